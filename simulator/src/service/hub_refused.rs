//! The errors of the hub.
//!
//! Source: Microsoft, "Understand and resolve Azure IoT Hub errors".

use serde::Serialize;

use crate::service::answer::{Answer, ErrorCode};
use crate::service::question::Unknown;

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct ErrorBody<'a> {
    message: &'a str,
}

/// An error in the format of the hub.
#[derive(Clone, Copy)]
pub(crate) struct HubRefused {
    pub(crate) status: u16,
    code: &'static str,
    message: &'static str,
}

impl HubRefused {
    pub(super) fn answer(self) -> Answer {
        let Self { status, code, message } = self;
        Answer { error_code: Some(ErrorCode::Hub(code)), ..Answer::json(status, &ErrorBody { message }) }
    }
}

pub(super) const fn error(status: u16, code: &'static str, message: &'static str) -> HubRefused {
    HubRefused { status, code, message }
}

pub(super) const UNAUTHORIZED: HubRefused =
    error(401, "IotHubUnauthorizedAccess", "ErrorCode:IotHubUnauthorizedAccess;Unauthorized");
pub(super) const NOT_FOUND: HubRefused =
    error(404, "DeviceNotFound", "ErrorCode:DeviceNotFound;The device is not known to this hub");

pub(super) fn refuse_unknown(unknown: Unknown) -> HubRefused {
    match unknown {
        Unknown::Resource | Unknown::MediaType => error(404, "NotFound", "ErrorCode:NotFound;Resource not found"),
        Unknown::Method => error(405, "MethodNotAllowed", "ErrorCode:MethodNotAllowed;Method not allowed"),
    }
}
