//! HTTP as the simulator sees it, whatever carries it.

use alloc::borrow::ToOwned;
use alloc::string::String;
use alloc::vec::Vec;

use serde::Serialize;

use crate::encoding::percent_decode;
use crate::protocol::Response;

/// A request, complete.
pub(super) struct HttpRequest<'a> {
    pub(super) method: &'a str,
    /// Path and query, as sent.
    pub(super) target: &'a str,
    pub(super) headers: Vec<(&'a str, &'a str)>,
    pub(super) body: &'a [u8],
}

impl<'a> HttpRequest<'a> {
    pub(super) fn header(&self, name: &str) -> Option<&'a str> {
        self.headers.iter().find(|(it, _)| it.eq_ignore_ascii_case(name)).map(|(_, value)| *value)
    }

    pub(super) fn path(&self) -> &'a str {
        self.target.split_once('?').map_or(self.target, |(path, _)| path)
    }

    /// The segments of the path, decoded.
    pub(super) fn segments(&self) -> Vec<String> {
        let decode =
            |segment: &str| String::from_utf8_lossy(&percent_decode(segment).collect::<Vec<u8>>()).into_owned();
        self.path().split('/').skip(1).map(decode).collect()
    }

    /// A parameter of the query, not decoded.
    pub(super) fn parameter(&self, name: &str) -> Option<&'a str> {
        let (_, query) = self.target.split_once('?')?;
        query.split('&').filter_map(|pair| pair.split_once('=')).find(|(it, _)| *it == name).map(|(_, value)| value)
    }
}

/// An answer, complete.
#[derive(Clone, Debug)]
pub(super) struct HttpAnswer {
    pub(super) status: u16,
    pub(super) headers: Vec<(&'static str, String)>,
    pub(super) body: Vec<u8>,
}

impl HttpAnswer {
    /// Nothing that the simulator writes fails to serialize; an empty body would show that it did.
    pub(super) fn json<T: Serialize>(status: u16, body: &T) -> Self {
        let headers = Vec::from([("Content-Type", "application/json; charset=utf-8".to_owned())]);
        Self { status, headers, body: serde_json::to_vec(body).unwrap_or_default() }
    }

    pub(super) fn empty(status: u16) -> Self {
        Self { status, headers: Vec::new(), body: Vec::new() }
    }

    pub(super) fn into_response(self) -> Response<'static> {
        let response = Response::new(self.status, self.body);
        self.headers.into_iter().fold(response, |response, (name, value)| response.with_header(name, value))
    }

    pub(super) fn with_header(mut self, name: &'static str, value: String) -> Self {
        self.headers.push((name, value));
        self
    }
}
