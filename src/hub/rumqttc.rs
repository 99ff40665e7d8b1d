use std::sync::Arc;
use std::time::Duration;

use azure_iot_dps::hub::MqttLogin;
use azure_iot_dps::{Endpoint, Roots};
use rumqttc::{MqttOptions, TlsConfiguration, Transport};
use rustls::pki_types::CertificateDer;
use rustls::{ClientConfig, RootCertStore};

/// The options of rumqttc for a connection to the hub, or to a gateway in front of it.
pub fn options(
    login: &MqttLogin<'_>,
    gateway: Option<&Endpoint>,
    tls: &TlsConfiguration,
) -> MqttOptions {
    let host = gateway.map_or(login.host(), |gateway| gateway.host().as_str());
    let port = gateway.and_then(Endpoint::port).unwrap_or(login.port());
    let mut options = MqttOptions::new(login.client_id(), host, port);
    options.set_credentials(login.user_name(), login.password().unwrap_or_default());
    options.set_transport(Transport::tls_with_config(tls.clone()));
    options.set_keep_alive(Duration::from_secs(230));
    options.set_max_packet_size(256 * 1024, 256 * 1024);
    options
}

/// TLS to the hub. It names its crypto provider, so it does not depend on the process's default.
///
/// `Roots::platform` has no certificates to pass on.
pub fn tls(roots: &Roots) -> Result<TlsConfiguration, rustls::Error> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut trusted = RootCertStore::empty();
    trusted.add_parsable_certificates(roots.certificates().map(CertificateDer::from));
    if trusted.is_empty() {
        return Err(rustls::Error::General("there are no root certificates".into()));
    }
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_root_certificates(trusted)
        .with_no_client_auth();
    Ok(TlsConfiguration::Rustls(Arc::new(config)))
}
