//! Adapts this crate's connections to the traits of ureq.

use core::fmt;
use std::io::{Read, Write};
use std::time::Instant;

use ureq::Error;
use ureq::http::Uri;
use ureq::unversioned::resolver::{ResolvedSocketAddrs, Resolver};
use ureq::unversioned::transport::{
    Buffers, ConnectionDetails, Connector as UreqConnector, LazyBuffers, NextTimeout, Transport,
};

use super::failure::carry;
use crate::protocol::http::DEFAULT_PORT;
use crate::transport::net::{Connector, TlsStream, after};

/// The connector that ureq calls.
#[derive(Debug)]
pub(super) struct HttpConnector(pub(super) Connector);

impl UreqConnector for HttpConnector {
    type Out = HttpStream;

    fn connect(&self, details: &ConnectionDetails<'_>, _: Option<()>) -> Result<Option<HttpStream>, Error> {
        let host = details.uri.host().ok_or(Error::HostNotFound)?;
        let port = details.uri.port_u16().unwrap_or(DEFAULT_PORT);
        let stream = self.0.connect(host, port, deadline(details.timeout)).map_err(carry)?;
        let config = details.config;
        let buffers = LazyBuffers::new(config.input_buffer_size(), config.output_buffer_size());
        Ok(Some(HttpStream { stream, buffers }))
    }
}

/// A resolver that resolves nothing: the connector looks names up itself, and only when needed.
#[derive(Debug)]
pub(super) struct NoResolver;

impl Resolver for NoResolver {
    fn resolve(&self, _: &Uri, _: &ureq::config::Config, _: NextTimeout) -> Result<ResolvedSocketAddrs, Error> {
        Ok(self.empty())
    }
}

pub(super) struct HttpStream {
    stream: TlsStream,
    buffers: LazyBuffers,
}

impl Transport for HttpStream {
    fn buffers(&mut self) -> &mut dyn Buffers {
        &mut self.buffers
    }

    fn transmit_output(&mut self, amount: usize, timeout: NextTimeout) -> Result<(), Error> {
        self.stream.set_deadline(deadline(timeout));
        let output = self.buffers.output().get(..amount).unwrap_or_default();
        self.stream.write_all(output)?;
        Ok(self.stream.flush()?)
    }

    fn await_input(&mut self, timeout: NextTimeout) -> Result<bool, Error> {
        self.stream.set_deadline(deadline(timeout));
        let length = self.stream.read(self.buffers.input_append_buf())?;
        self.buffers.input_appended(length);
        Ok(length > 0)
    }

    fn is_open(&mut self) -> bool {
        self.stream.is_open()
    }

    fn is_tls(&self) -> bool {
        true
    }
}

impl fmt::Debug for HttpStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("HttpStream")
    }
}

/// Returns the deadline. ureq always has one here, because all of its limits are set.
fn deadline(timeout: NextTimeout) -> Instant {
    after(*timeout.after)
}
