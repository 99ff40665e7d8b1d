//! The parser of MQTT user names: which device connects, and to what.

use crate::journal::Asked;
use crate::service::Credentials;
use crate::wire::percent_decode;

/// A login to the service or to a hub. Both share a port.
#[derive(Debug)]
pub(super) enum Login {
    Provisioning(ProvisioningLogin),
    Hub(HubLogin),
}

/// The credentials of a client, kept for the duration of its connection.
#[derive(Debug)]
pub(super) struct Proof {
    pub(super) token: Option<String>,
    pub(super) certificates: Vec<Vec<u8>>,
}

impl Proof {
    pub(super) fn credentials(&self) -> Credentials<'_> {
        Credentials { token: self.token.as_deref(), certificates: &self.certificates }
    }
}

/// The user name `{idScope}/registrations/{registrationId}/api-version={version}`.
///
/// Clients may append more parameters.
#[derive(Debug)]
pub(super) struct ProvisioningLogin {
    pub(super) id_scope: String,
    pub(super) registration_id: String,
    pub(super) api_version: Option<String>,
}

/// The user name of a device or a module.
///
/// It is `{hub}/{deviceId}/?api-version={version}` or
/// `{hub}/{deviceId}/{moduleId}/?api-version={version}`. Clients may append more parameters.
#[derive(Debug)]
pub(super) struct HubLogin {
    pub(super) hub: String,
    pub(super) device_id: String,
    pub(super) module_id: Option<String>,
    pub(super) api_version: Option<String>,
}

impl Login {
    pub(super) fn parse(user_name: &str) -> Option<Self> {
        // The last part holds parameters, in which some clients do not encode a slash.
        let names = user_name.find("api-version=").and_then(|at| user_name.get(..at)).unwrap_or(user_name);
        let parameters = user_name.get(names.len()..).unwrap_or_default();
        let names = names.trim_end_matches('?').trim_end_matches('/');
        let api_version = parameters.split('&').find_map(|pair| pair.strip_prefix("api-version=")).map(String::from);
        match names.split('/').map(percent_decode).collect::<Vec<_>>().as_slice() {
            [id_scope, registrations, registration_id] if registrations == "registrations" => {
                let (id_scope, registration_id) = (id_scope.clone(), registration_id.clone());
                Some(Self::Provisioning(ProvisioningLogin { id_scope, registration_id, api_version }))
            }
            [hub, device_id, rest @ ..] if !device_id.is_empty() && rest.len() <= 1 => {
                let (hub, device_id, module_id) = (hub.clone(), device_id.clone(), rest.first().cloned());
                Some(Self::Hub(HubLogin { hub, device_id, module_id, api_version }))
            }
            _ => None,
        }
    }

    /// Returns the client ID that belongs to the user name.
    pub(super) fn client_id(&self) -> String {
        match self {
            Self::Provisioning(login) => login.registration_id.clone(),
            Self::Hub(login) => login.client_id(),
        }
    }

    /// Returns a question of the same device, to find its pending faults.
    pub(super) fn asked(&self) -> Asked {
        match self {
            Self::Provisioning(login) => Asked::Register { registration_id: login.registration_id.clone() },
            Self::Hub(login) => Asked::Connect { device_id: login.device_id.clone() },
        }
    }
}

impl HubLogin {
    pub(super) fn client_id(&self) -> String {
        match &self.module_id {
            None => self.device_id.clone(),
            Some(module_id) => format!("{}/{module_id}", self.device_id),
        }
    }

    /// Returns the prefix of the topics of the device or module.
    pub(super) fn topics(&self) -> String {
        match &self.module_id {
            None => format!("devices/{}/", self.device_id),
            Some(module_id) => format!("devices/{}/modules/{module_id}/", self.device_id),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hub(user_name: &str) -> (String, String, Option<String>, Option<String>) {
        match Login::parse(user_name) {
            Some(Login::Hub(login)) => (login.hub, login.device_id, login.module_id, login.api_version),
            other => panic!("{user_name}: {other:?}"),
        }
    }

    #[test]
    fn the_user_names_of_all_clients_are_understood() {
        for user_name in [
            "0ne00002193/registrations/my-device/api-version=2019-03-31&ClientVersion=azure-iot-device%2F2.14.0",
            "0ne00002193/registrations/my-device/api-version=2019-03-31&ClientVersion=a/b c",
            "0ne00002193/registrations/my%2Ddevice/api-version=2019-03-31",
        ] {
            let Some(Login::Provisioning(login)) = Login::parse(user_name) else { panic!("{user_name}") };
            assert_eq!((login.id_scope.as_str(), login.registration_id.as_str()), ("0ne00002193", "my-device"));
            assert_eq!(login.api_version.as_deref(), Some("2019-03-31"));
        }
        let some = |text: &str| Some(String::from(text));
        let version = some("2021-04-12");
        let device = hub("h.example/dev/?api-version=2021-04-12&DeviceClientType=x%2F1&model-id=dtmi%3Aa%3Bb%3B1");
        assert_eq!(device, ("h.example".into(), "dev".into(), None, version.clone()));
        assert_eq!(hub("h.example/dev/api-version=2021-04-12").2, None);
        assert_eq!(hub("h.example/dev/mod/?api-version=2021-04-12").2, some("mod"));
        assert_eq!(hub("h.example/dev"), ("h.example".into(), "dev".into(), None, None));
    }

    #[test]
    fn what_names_nobody_is_no_login() {
        for user_name in ["", "h.example", "h.example/", "a/b/c/d/?api-version=1", "0ne1/registrations"] {
            let login = Login::parse(user_name);
            assert!(login.is_none() || user_name == "0ne1/registrations", "{user_name}: {login:?}");
        }
    }
}
