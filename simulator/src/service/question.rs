//! A question to the service or to the hub, independent of a protocol.

use crate::journal::Asked;

/// A question to the service or to the hub.
#[derive(Clone, Debug)]
pub(crate) struct Question<'a> {
    pub(crate) asked: Asked,
    /// The service or the hub.
    pub(crate) to: Addressee<'a>,
    pub(crate) api_version: Option<&'a str>,
    pub(crate) credentials: Credentials<'a>,
    pub(crate) body: &'a [u8],
    /// Whether the body must have the registration ID, as over HTTP.
    pub(crate) id_in_body: bool,
}

/// The credentials of the device that asks.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Credentials<'a> {
    pub(crate) token: Option<&'a str>,
    /// The certificate chain of the client as DER, leaf first; empty if none was presented.
    pub(crate) certificates: &'a [Vec<u8>],
}

#[derive(Clone, Debug)]
pub(crate) enum Addressee<'a> {
    /// The provisioning service, with the ID scope that was sent.
    Service { id_scope: &'a str },
    /// The hub, asked by a device or by a module of one.
    Hub { module_id: Option<&'a str> },
}

/// The reason why a question is unknown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unknown {
    /// The resource does not exist.
    Resource,
    /// The resource exists, but does not support the method.
    Method,
    /// The body is not JSON.
    MediaType,
}
