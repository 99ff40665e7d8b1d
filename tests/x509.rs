//! Tests devices with certificates.
#![cfg(all(feature = "bundled-roots", feature = "https", feature = "mqtt", feature = "ring", feature = "x509"))]
#![allow(
    clippy::expect_used,
    clippy::items_after_statements,
    clippy::panic,
    clippy::unchecked_time_subtraction,
    reason = "a test may panic"
)]

#[path = "common/certificates.rs"]
mod certificates;
mod common;
#[path = "common/over.rs"]
mod over;
#[path = "common/peer.rs"]
mod peer;

use std::ops::ControlFlow;
use std::sync::{Arc, Mutex};

use azure_iot_dps::attestation::{
    Attestation, AttestationKind, CertificateError, CertificateNote, CertificateSigner, ClientCertificate,
    KeyAlgorithm, SignatureScheme,
};
use azure_iot_dps::error::TransportErrorKind as Kind;
use azure_iot_dps::hub::{Advice, CredentialsError, HubFailure, Reconnection, X509Credentials};
use azure_iot_dps::key::SignerError;
use azure_iot_dps::registration::{Registration, RegistrationSettings, Step};
use azure_iot_dps::time::UnixTime;
use azure_iot_dps::{
    Assignment, Error, Event, HttpsTransport, MqttTransport, ProvisioningClient, ProvisioningClientBuilder, Roots,
    Transport,
};
use azure_iot_dps_simulator::{
    EnrollmentError, EnrollmentGroup, IndividualEnrollment, Simulator, SimulatorServer, certificates_from_pem,
};
use certificates::{Authority, Device, self_signed};
use common::{NO_SECOND_TRY, id, scope, seconds};
use over::Over;
use peer::{Peer, http, say};

fn certificate(device: &Device, issuers: &[&Authority]) -> ClientCertificate {
    let chain = issuers.iter().fold(device.pem.clone(), |chain, issuer| chain + &issuer.pem);
    ClientCertificate::pem(chain.as_bytes(), device.key_pem.as_bytes()).expect("a certificate")
}

fn kind(result: Result<ClientCertificate, CertificateError>) -> CertificateError {
    result.expect_err("it is wrong")
}

/// Includes a certificate or key that OpenSSL created and that is valid for a hundred years.
macro_rules! rsa {
    ($name:literal) => {
        include_bytes!(concat!("data/rsa/", $name))
    };
}

// Reading

#[test]
fn keys_in_pkcs_8_pkcs_1_and_sec_1_are_read_with_rsa_of_both_lengths() {
    for (chain, key, name) in [
        (&rsa!("dev-rsa-2048.pem")[..], &rsa!("dev-rsa-2048.key")[..], "dev-rsa-2048"),
        (rsa!("dev-rsa-2048.pem"), rsa!("dev-rsa-2048.pkcs1.key"), "dev-rsa-2048"),
        (rsa!("dev-rsa-4096.pem"), rsa!("dev-rsa-4096.key"), "dev-rsa-4096"),
        (rsa!("dev-ec.pem"), rsa!("dev-ec.sec1.key"), "dev-ec"),
    ] {
        assert_eq!(ClientCertificate::pem(chain, key).expect("reads").common_name(), name);
    }
    let mixed = ClientCertificate::pem(rsa!("dev-rsa-2048.pem"), rsa!("dev-rsa-4096.key"));
    assert!(matches!(mixed, Err(CertificateError::KeyMismatch)));
}

#[test]
fn a_chain_and_its_key_are_read_from_one_text_two_texts_two_files_or_der() {
    let root = Authority::root("root");
    let issuer = root.intermediate("intermediate");
    let device = issuer.device("Dev-01");
    let chain = device.pem.clone() + &issuer.pem;
    let both = device.key_pem.clone() + &chain;
    let folder = common::folder("x509_files");
    std::fs::write(folder.join("chain.pem"), &chain).expect("writes");
    std::fs::write(folder.join("key.pem"), &device.key_pem).expect("writes");
    let second = ClientCertificate::pem(chain.as_bytes(), device.key_pem.as_bytes()).expect("reads");
    let chain_der: Vec<Vec<u8>> = second.chain().map(Vec::from).collect();
    for read in [
        Ok(second),
        ClientCertificate::pem(both.as_bytes(), both.as_bytes()),
        ClientCertificate::files(folder.join("chain.pem"), folder.join("key.pem")),
        ClientCertificate::der(chain_der.iter().map(Vec::as_slice), &device.key_der),
    ] {
        let read = read.expect("reads");
        assert_eq!((read.common_name(), read.chain().len()), ("Dev-01", 2));
        assert_eq!(read.chain().next(), Some(device.der.as_slice()));
        assert_eq!(read.registration_id().expect("valid"), id("Dev-01"));
        assert!(read.not_before() < read.not_after());
    }
}

#[test]
fn ecdsa_on_both_curves_and_ed25519_are_taken() {
    let root = Authority::root("root");
    for algorithm in [&rcgen::PKCS_ECDSA_P256_SHA256, &rcgen::PKCS_ECDSA_P384_SHA384, &rcgen::PKCS_ED25519] {
        let device = root.device_with("dev-01", algorithm, |_| {});
        assert_eq!(certificate(&device, &[]).common_name(), "dev-01", "{algorithm:?}");
    }
}

#[test]
fn what_is_wrong_with_a_certificate_or_a_key_is_told_apart_without_a_byte_of_the_key() {
    let root = Authority::root("root");
    let (outer, inner) = (root.intermediate("outer"), root.intermediate("inner"));
    let middle = outer.intermediate("middle");
    let device = middle.device("dev-01");
    let read = |chain: &[&str], key: &str| ClientCertificate::pem(chain.concat().as_bytes(), key.as_bytes());
    let encrypted = device.key_pem.replace("PRIVATE KEY", "ENCRYPTED PRIVATE KEY");
    let old = "-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\n\nAAAA\n-----END RSA PRIVATE KEY-----\n";
    let damaged = device.key_pem.replace("MI", "M!");
    let cut = "-----BEGIN PRIVATE KEY-----\nMAA=\n-----END PRIVATE KEY-----\n";
    let empty = "-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n";
    let other = root.device("dev-02");
    let mut errors = Vec::new();
    macro_rules! refused {
        ($chain:expr, $key:expr, $pattern:pat) => {
            let error = kind(read($chain, $key));
            assert!(matches!(&error, $pattern), "{error:?}");
            errors.push(format!("{error} {error:?}"));
        };
    }
    refused!(&[], &device.key_pem, CertificateError::NoCertificate);
    refused!(&[&device.key_pem], &device.key_pem, CertificateError::NoCertificate);
    refused!(&[&device.pem], "", CertificateError::NoKey);
    refused!(&[&device.pem], &device.pem, CertificateError::NoKey);
    refused!(&[&device.pem], &encrypted, CertificateError::EncryptedKey);
    refused!(&[&device.pem], old, CertificateError::EncryptedKey);
    refused!(&[&device.pem], &damaged, CertificateError::Pem);
    refused!(&[&device.pem], cut, CertificateError::Key);
    refused!(&[empty], &device.key_pem, CertificateError::Certificate { number: 1 });
    refused!(&[&device.pem, &middle.pem, empty], &device.key_pem, CertificateError::Certificate { number: 3 });
    refused!(&[&device.pem], &other.key_pem, CertificateError::KeyMismatch);
    refused!(&[&device.pem, &outer.pem, &middle.pem], &device.key_pem, CertificateError::OutOfOrder { number: 1 });
    refused!(&[&device.pem, &outer.pem], &device.key_pem, CertificateError::IssuerMissing { number: 1, .. });
    refused!(
        &[&device.pem, &middle.pem, &inner.pem],
        &device.key_pem,
        CertificateError::IssuerMissing { number: 2, .. }
    );
    let nameless = middle.device_with("x", &rcgen::PKCS_ECDSA_P256_SHA256, |params| {
        params.distinguished_name = rcgen::DistinguishedName::new();
    });
    refused!(&[&nameless.pem], &nameless.key_pem, CertificateError::NoCommonName);
    let missing = kind(ClientCertificate::files("/nowhere/chain.pem", "/nowhere/key.pem"));
    assert_eq!(missing.to_string(), "the file /nowhere/chain.pem cannot be read");
    assert!(errors.iter().any(|error| error.contains("issuer of certificate 1, CN=middle")), "{errors:?}");
    let key: Vec<&str> = device.key_pem.lines().filter(|line| !line.starts_with('-')).collect();
    for error in errors {
        assert!(!key.iter().any(|line| error.contains(line.get(..8).unwrap_or(line))), "{error}");
    }
}

#[test]
fn a_clock_that_disagrees_and_a_leaf_without_its_issuer_are_notes_and_no_errors() {
    let root = Authority::root("root");
    let device = root.device_with("dev-01", &rcgen::PKCS_ECDSA_P256_SHA256, |params| {
        params.not_before = rcgen::date_time_ymd(2026, 1, 2);
        params.not_after = rcgen::date_time_ymd(2026, 1, 3);
    });
    let notes = |issuers: &[&Authority], day: u64| {
        let now = UnixTime::from_secs(common::NEW_YEAR + day * 86_400);
        certificate(&device, issuers).notes(Some(now)).collect::<Vec<_>>()
    };
    let (not_before, not_after) =
        (UnixTime::from_secs(common::NEW_YEAR + 86_400), UnixTime::from_secs(common::NEW_YEAR + 2 * 86_400));
    assert_eq!(notes(&[&root], 0), [CertificateNote::NotYetValid { not_before }]);
    assert_eq!(notes(&[&root], 1), []);
    assert_eq!(notes(&[&root], 3), [CertificateNote::Expired { not_after }]);
    assert_eq!(notes(&[], 1), [CertificateNote::IssuerNotIncluded]);
    assert_eq!(certificate(&device, &[]).notes(None).count(), 1);
    assert_eq!(certificate(&self_signed("dev-01"), &[]).notes(None).count(), 0);
    assert!(CertificateNote::IssuerNotIncluded.to_string().contains("the service needs it"));
}

#[test]
fn a_common_name_that_is_no_registration_id_or_another_is_refused_with_both_names() {
    let root = Authority::root("root");
    let odd = certificate(&root.device("my device"), &[]);
    let error = ProvisioningClient::builder_with_certificate(scope(), &odd).expect_err("no registration ID");
    assert!(
        matches!(&error, CertificateError::NotARegistrationId { common_name, .. } if &**common_name == "my device")
    );
    let good = certificate(&root.device("Dev-01"), &[]);
    good.check(&id("dev-01")).expect("case does not count");
    let error = good.check(&id("dev-02")).expect_err("another device");
    assert_eq!(error.to_string(), r#"the certificate belongs to "Dev-01", but the registration ID is "dev-02""#);
    assert!(!format!("{good:?}").contains("KEY") && format!("{good:?}").contains("Dev-01"));
}

// Against the service, in virtual time

fn transport(sim: &Simulator, certificate: &ClientCertificate) -> Box<dyn Transport + Send> {
    let chain = certificate.chain().map(Vec::from);
    match over::over() {
        Over::Https => Box::new(sim.transport().certificate(chain)),
        Over::Mqtt => Box::new(sim.mqtt_transport().certificate(chain)),
    }
}

fn register(sim: &Simulator, certificate: &ClientCertificate) -> Result<Assignment, Error> {
    let client = ProvisioningClient::builder_with_certificate(sim.id_scope(), certificate).expect("a registration ID");
    client.build_with(transport(sim, certificate), sim.clock()).register()
}

fn group(authority: &Authority) -> Simulator {
    let group = EnrollmentGroup::x509("line-7", certificates_from_pem(authority.pem.as_bytes()).expect("PEM"))
        .expect("certificates");
    Simulator::builder().group(group).build()
}

fn a_group_takes_chains_that_lead_to_its_authority_whether_that_is_a_root_or_an_intermediate() {
    let root = Authority::root("root");
    let outer = root.intermediate("outer");
    let inner = outer.intermediate("inner");
    for (authority, device, issuers) in [
        (&root, root.device("dev-01"), vec![]),
        (&root, root.device("dev-01"), vec![&root]),
        (&root, outer.device("dev-01"), vec![&outer]),
        (&root, inner.device("dev-01"), vec![&inner, &outer]),
        (&outer, inner.device("dev-01"), vec![&inner]),
        (&inner, inner.device("dev-01"), vec![]),
    ] {
        let assignment = register(&group(authority), &certificate(&device, &issuers)).expect("assigned");
        assert_eq!((assignment.enrollment_group_id(), assignment.key_used()), (Some("line-7"), None));
        let info = assignment.certificate_info().expect("told");
        assert_eq!(info.subject_name(), Some("CN=dev-01"));
        assert_eq!(info.sha256_thumbprint().map(str::len), Some(64));
    }
}

fn what_is_no_chain_to_the_authority_is_a_401_with_the_services_words() {
    let root = Authority::root("root");
    let issuer = root.intermediate("intermediate");
    let expired = root.device_with("dev-01", &rcgen::PKCS_ECDSA_P256_SHA256, |params| {
        params.not_after = rcgen::date_time_ymd(2025, 1, 1);
    });
    let server = root.device_with("dev-01", &rcgen::PKCS_ECDSA_P256_SHA256, |params| {
        params.extended_key_usages = [rcgen::ExtendedKeyUsagePurpose::ServerAuth].into();
    });
    for (name, certificate) in [
        ("a missing intermediate", certificate(&issuer.device("dev-01"), &[])),
        ("another authority of the same name", certificate(&Authority::root("root").device("dev-01"), &[])),
        ("no authority", certificate(&self_signed("dev-01"), &[])),
        ("an expired one", certificate(&expired, &[])),
        ("a server's", certificate(&server, &[])),
    ] {
        let error = register(&group(&root), &certificate).expect_err(name);
        assert_eq!((error.error_code(), error.message()), (Some(401_002), Some("CA certificate not found.")), "{name}");
        assert!(!error.is_transient() && error.retry_after() >= Some(seconds(1800)), "{name}: {error:?}");
        assert!(error.remedy().contains("intermediates") && error.remedy().contains("common name"), "{name}");
    }
}

fn an_individual_enrollment_takes_its_own_certificates_byte_for_byte_and_goes_before_the_groups() {
    let root = Authority::root("root");
    let [first, second, third] = [self_signed("dev-01"), self_signed("dev-01"), root.device("dev-01")];
    let both = first.pem.clone() + &second.pem;
    let individual = IndividualEnrollment::x509(id("dev-01"), certificates_from_pem(both.as_bytes()).expect("PEM"))
        .expect("certificates");
    let group = EnrollmentGroup::x509("line-7", certificates_from_pem(root.pem.as_bytes()).expect("PEM"))
        .expect("certificates");
    let sim = Simulator::builder().individual(individual).group(group).build();
    for device in [&first, &second] {
        assert_eq!(register(&sim, &certificate(device, &[])).expect("assigned").enrollment_group_id(), None);
    }
    let error = register(&sim, &certificate(&third, &[])).expect_err("another certificate");
    assert_eq!((error.error_code(), error.message()), (Some(401_002), Some("Invalid certificate.")));
}

fn a_certificate_of_another_device_lets_nobody_in() {
    let root = Authority::root("root");
    let sim = group(&root);
    let other = certificate(&root.device("dev-02"), &[]);
    let client = ProvisioningClient::builder(sim.id_scope(), id("dev-01"), Attestation::x509());
    let error = client.build_with(transport(&sim, &other), sim.clock()).register().expect_err("another device");
    assert_eq!((error.status(), error.message()), (Some(401), Some("Invalid certificate.")));
    let client = ProvisioningClient::builder(sim.id_scope(), id("dev-01"), Attestation::x509());
    let error = client.build_with(over::transport(&sim), sim.clock()).register().expect_err("no certificate");
    assert_eq!(error.status(), Some(401));
}

over_both! {
    a_group_takes_chains_that_lead_to_its_authority_whether_that_is_a_root_or_an_intermediate,
    what_is_no_chain_to_the_authority_is_a_401_with_the_services_words,
    an_individual_enrollment_takes_its_own_certificates_byte_for_byte_and_goes_before_the_groups,
    a_certificate_of_another_device_lets_nobody_in,
}

#[test]
fn enrollments_of_nothing_are_errors() {
    assert_eq!(EnrollmentGroup::x509("g", []).err(), Some(EnrollmentError::NoCertificate));
    assert_eq!(certificates_from_pem(b""), Err(EnrollmentError::NoCertificate));
    let empty = "-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n";
    let root = Authority::root("root").pem;
    // No block is passed over: not one that is glued to the last, not one that cannot be read.
    let glued = format!("{}{root}", root.trim_end());
    assert_eq!(certificates_from_pem(glued.as_bytes()).map(|read| read.len()), Ok(2));
    for (pem, number) in [
        (empty.to_owned(), 1),
        (root.clone() + empty, 2),
        (format!("{root}-----BEGIN CERTIFICATE-----\nAAAA"), 2),
        (format!("{root}-----BEGIN CERTIFICATE-----\n!!!!\n-----END CERTIFICATE-----\n{root}"), 2),
    ] {
        let error = certificates_from_pem(pem.as_bytes()).err();
        assert_eq!(error, Some(EnrollmentError::Certificate { number }), "{pem}");
    }
    let error = IndividualEnrollment::x509(id("dev-01"), [vec![0x30, 0]]).err();
    assert_eq!(error, Some(EnrollmentError::Certificate { number: 1 }));
}

#[test]
fn the_certificate_that_the_service_tells_is_stored_with_the_assignment() {
    let root = Authority::root("root");
    let sim = group(&root);
    let certificate = certificate(&root.device("dev-01"), &[]);
    let file = common::folder("x509_store").join("assignment");
    let mut store = azure_iot_dps::FileStore::new(&file);
    let build = || {
        let client = ProvisioningClient::builder_with_certificate(sim.id_scope(), &certificate).expect("valid");
        let chain = certificate.chain().map(Vec::from);
        client.build_with(sim.transport().certificate(chain), sim.clock())
    };
    let registered = build().load_or_register(&mut store).expect("assigned");
    let stored = build().load_or_register(&mut store).expect("stored");
    assert_eq!((stored.requests(), stored.enrollment_group_id()), (0, Some("line-7")));
    assert_eq!(stored.certificate_info(), registered.certificate_info());
    assert!(stored.certificate_info().is_some());
}

// The hub

#[test]
fn what_a_device_with_a_certificate_shows_to_its_hub_has_no_password() {
    let root = Authority::root("root");
    let sim = group(&root);
    let certificate = certificate(&root.device("dev-01"), &[]);
    let assignment = register(&sim, &certificate).expect("assigned");
    let credentials = X509Credentials::new(&assignment).expect("a certificate let it in");
    let login = credentials.mqtt();
    let user_name = "simulated-hub.azure-devices.net/dev-01/?api-version=2021-04-12";
    assert_eq!((login.client_id(), login.user_name(), login.password()), ("dev-01", user_name, None));
    let expected = "HostName=simulated-hub.azure-devices.net;DeviceId=dev-01;x509=true";
    assert_eq!(credentials.connection_string(), expected);
    let key = azure_iot_dps::HubCredentials::new(&assignment, common::key()).err();
    assert!(matches!(key, Some(CredentialsError::NoSymmetricKey)));
    let by_key = common::drive(&common::settings(), [common::assigned()]).result.expect("assigned");
    assert!(matches!(X509Credentials::new(&by_key), Err(CredentialsError::NoCertificate)));
}

#[test]
fn a_hub_that_refuses_the_certificate_is_a_reason_to_ask_the_service() {
    let mut reconnection = Reconnection::new(id("dev-01")).fleet_spread(seconds(0));
    reconnection.connected(common::at(0));
    let advice = [(); 2].map(|()| reconnection.failed(HubFailure::CERTIFICATE_REFUSED, common::at(0)));
    assert!(matches!(advice, [Advice::LookUp, Advice::Register]), "{advice:?}");
}

// Over TLS

struct Site {
    sim: Simulator,
    server: SimulatorServer,
    root: Authority,
}

fn site() -> Site {
    let root = Authority::root("root");
    let group = EnrollmentGroup::x509("line-7", certificates_from_pem(root.pem.as_bytes()).expect("PEM"))
        .expect("certificates");
    let keys = EnrollmentGroup::new("keys", common::enrolled_key());
    let builder = Simulator::builder().group(group).group(keys).assigning_polls(0).retry_after(seconds(0));
    let sim = builder.build();
    let server = sim.serve().expect("serves");
    Site { sim, server, root }
}

impl Site {
    fn roots(&self) -> Roots {
        Roots::pem(self.server.ca_pem().as_bytes()).expect("PEM")
    }

    fn client(&self, certificate: &ClientCertificate) -> ProvisioningClientBuilder {
        let client = ProvisioningClient::builder_with_certificate(self.sim.id_scope(), certificate);
        client.expect("a registration ID")
    }

    fn over_https(&self, certificate: &ClientCertificate) -> Result<Assignment, Error> {
        let transport = HttpsTransport::builder().roots(self.roots()).certificate(certificate.clone()).build();
        self.client(certificate).endpoint(self.server.endpoint()).transport(transport).build().register()
    }

    fn over_mqtt(&self, certificate: &ClientCertificate) -> Result<Assignment, Error> {
        let transport = MqttTransport::builder().roots(self.roots()).certificate(certificate.clone()).build();
        let endpoint = self.server.mqtt_endpoint().expect("serves MQTT");
        self.client(certificate).endpoint(endpoint).transport(transport).build().register()
    }

    #[cfg(feature = "mqtt-websocket")]
    fn over_websocket(&self, certificate: &ClientCertificate) -> Result<Assignment, Error> {
        let transport = MqttTransport::builder().roots(self.roots()).certificate(certificate.clone());
        let transport = transport.route(azure_iot_dps::transport::MqttRoute::WebSocket);
        let transport = transport.websocket_port(self.server.endpoint().port().expect("a port")).build();
        self.client(certificate).endpoint(self.server.endpoint()).transport(transport).build().register()
    }
}

#[test]
fn a_certificate_is_presented_over_tls_by_both_transports_beside_devices_with_keys() {
    let site = site();
    let issuer = site.root.intermediate("intermediate");
    for algorithm in [&rcgen::PKCS_ECDSA_P256_SHA256, &rcgen::PKCS_ECDSA_P384_SHA384, &rcgen::PKCS_ED25519] {
        let certificate = certificate(&issuer.device_with("dev-01", algorithm, |_| {}), &[&issuer]);
        site.over_https(&certificate).expect("assigned");
        site.over_mqtt(&certificate).expect("assigned");
        #[cfg(feature = "mqtt-websocket")]
        site.over_websocket(&certificate).expect("assigned");
    }
    let key = common::key_of(&site.sim, &id("dev-02"));
    let transport = HttpsTransport::builder().roots(site.roots()).build();
    let client = ProvisioningClient::builder(site.sim.id_scope(), id("dev-02"), key);
    client.endpoint(site.server.endpoint()).transport(transport).build().register().expect("assigned");
    let alone = certificate(&issuer.device("dev-01"), &[]);
    let mut results = vec![site.over_https(&alone), site.over_mqtt(&alone)];
    #[cfg(feature = "mqtt-websocket")]
    results.push(site.over_websocket(&alone));
    for result in results {
        assert_eq!(result.expect_err("the intermediate is missing").message(), Some("CA certificate not found."));
    }
}

#[test]
fn rsa_and_ecdsa_with_no_one_and_two_intermediates_are_taken_in_tls_1_2_and_1_3() {
    static ONE_EACH: [&[&rustls::SupportedProtocolVersion]; 2] =
        [&[&rustls::version::TLS12], &[&rustls::version::TLS13]];
    let root = Authority::root("root");
    let outer = root.intermediate("outer");
    let inner = outer.intermediate("inner");
    let rsa_root = Authority::of_pem(std::str::from_utf8(rsa!("root.pem")).expect("PEM"));
    let read = |chain: &[u8], key: &[u8]| ClientCertificate::pem(chain, key).expect("reads");
    let cases = [
        (&root, certificate(&root.device("dev-01"), &[])),
        (&root, certificate(&outer.device("dev-01"), &[&outer])),
        (&root, certificate(&inner.device("dev-01"), &[&inner, &outer])),
        (&rsa_root, read(rsa!("dev-rsa-2048.pem"), rsa!("dev-rsa-2048.key"))),
        (&rsa_root, read(rsa!("dev-rsa-4096.pem"), rsa!("dev-rsa-4096.key"))),
    ];
    for versions in ONE_EACH {
        for (authority, certificate) in &cases {
            let peer = demanding(authority, versions);
            let transport = HttpsTransport::builder().roots(peer.roots()).certificate(certificate.clone()).build();
            let client = ProvisioningClient::builder_with_certificate(scope(), certificate).expect("valid");
            let client = client.endpoint(peer.endpoint()).transport(transport);
            client.build().register().unwrap_or_else(|error| panic!("{certificate:?}: {error:?}"));
        }
    }
}

#[test]
fn a_self_signed_certificate_that_openssl_makes_is_taken_over_tls_by_its_individual_enrollment() {
    let individual = IndividualEnrollment::x509(id("dev-ec"), certificates_from_pem(rsa!("dev-ec.pem")).expect("PEM"))
        .expect("certificates");
    let sim = Simulator::builder().individual(individual).assigning_polls(0).retry_after(seconds(0)).build();
    let server = sim.serve().expect("serves");
    let site = Site { sim, server, root: Authority::root("unused") };
    let certificate = ClientCertificate::pem(rsa!("dev-ec.pem"), rsa!("dev-ec.sec1.key")).expect("reads");
    site.over_https(&certificate).expect("assigned");
    site.over_mqtt(&certificate).expect("assigned");
}

/// A key in a chip, which signs and never leaves it.
struct Chip(ring::signature::EcdsaKeyPair, Arc<Mutex<u32>>);

impl CertificateSigner for Chip {
    fn algorithm(&self) -> KeyAlgorithm {
        KeyAlgorithm::Ecdsa
    }

    fn schemes(&self) -> &[SignatureScheme] {
        &[SignatureScheme::EcdsaP256Sha256]
    }

    fn sign(&self, scheme: SignatureScheme, message: &[u8]) -> Result<Vec<u8>, SignerError> {
        assert_eq!(scheme, SignatureScheme::EcdsaP256Sha256);
        *self.1.lock().expect("not poisoned") += 1;
        let random = ring::rand::SystemRandom::new();
        let signature = self.0.sign(&random, message).map_err(|_| SignerError::new("the chip is tired"))?;
        Ok(signature.as_ref().to_vec())
    }
}

#[test]
fn a_key_that_stays_in_its_chip_signs_for_both_transports() {
    let site = site();
    let device = site.root.device("dev-01");
    let signed = Arc::new(Mutex::new(0));
    let random = ring::rand::SystemRandom::new();
    let algorithm = &ring::signature::ECDSA_P256_SHA256_ASN1_SIGNING;
    let key = ring::signature::EcdsaKeyPair::from_pkcs8(algorithm, &device.key_der, &random).expect("a key");
    let chip = Chip(key, Arc::clone(&signed));
    let certificate = ClientCertificate::with_signer(device.pem.as_bytes(), chip).expect("a certificate");
    site.over_https(&certificate).expect("assigned");
    site.over_mqtt(&certificate).expect("assigned");
    assert_eq!(*signed.lock().expect("not poisoned"), 2);
}

#[test]
fn a_signing_request_is_made_by_a_chip_and_what_is_issued_for_it_is_a_client_certificate() {
    use ring::signature::KeyPair;

    let site = site();
    let random = ring::rand::SystemRandom::new();
    let algorithm = &ring::signature::ECDSA_P256_SHA256_ASN1_SIGNING;
    let pkcs8 = ring::signature::EcdsaKeyPair::generate_pkcs8(algorithm, &random).expect("a key");
    let chip = || {
        let key = ring::signature::EcdsaKeyPair::from_pkcs8(algorithm, pkcs8.as_ref(), &random).expect("a key");
        Chip(key, Arc::default())
    };
    let public_key = chip().0.public_key().as_ref().try_into().expect("a point");
    let csr = ClientCertificate::signing_request(&id("dev-02"), &public_key, &chip()).expect("signs");
    let read = rcgen::CertificateSigningRequestParams::from_der(&csr.clone().into()).expect("is signed by its key");
    let name = read.params.distinguished_name.get(&rcgen::DnType::CommonName);
    assert!(matches!(name, Some(rcgen::DnValue::Utf8String(name)) if name == "dev-02"), "{name:?}");
    verify_with_openssl(&csr);

    let key = common::key_of(&site.sim, &id("dev-02"));
    let transport = HttpsTransport::builder().roots(site.roots()).build();
    let client = ProvisioningClient::builder(site.sim.id_scope(), id("dev-02"), key).endpoint(site.server.endpoint());
    let client = client.certificate_signing_request(&csr).expect("DER").transport(transport);
    let assignment = client.build().register().expect("assigned");
    let issued = ClientCertificate::der_with_signer(assignment.certificates(), chip()).expect("a chain");
    assert_eq!((issued.common_name(), issued.chain().len()), ("dev-02", 2));
    ClientCertificate::der(assignment.certificates(), pkcs8.as_ref()).expect("a chain and its key");
}

/// Verifies a signing request with OpenSSL, if that is installed.
fn verify_with_openssl(csr: &[u8]) {
    let file = common::folder("x509_csr").join("csr.der");
    std::fs::write(&file, csr).expect("writes");
    let mut command = std::process::Command::new("openssl");
    let command = command.args(["req", "-inform", "DER", "-verify", "-noout", "-subject", "-in"]).arg(&file);
    match command.output() {
        Ok(output) => {
            let text =
                format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
            assert!(output.status.success() && text.contains("verify OK") && text.contains("dev-02"), "{text}");
        }
        Err(error) => println!("there is no openssl: {error}"),
    }
}

#[test]
fn a_chip_that_fails_is_a_failure_that_passes() {
    struct Broken;
    impl CertificateSigner for Broken {
        fn algorithm(&self) -> KeyAlgorithm {
            KeyAlgorithm::Ecdsa
        }

        fn schemes(&self) -> &[SignatureScheme] {
            &[SignatureScheme::EcdsaP256Sha256]
        }

        fn sign(&self, _: SignatureScheme, _: &[u8]) -> Result<Vec<u8>, SignerError> {
            Err(SignerError::new("the bus hangs"))
        }
    }
    let site = site();
    let device = site.root.device("dev-01");
    let certificate = ClientCertificate::with_signer(device.pem.as_bytes(), Broken).expect("a certificate");
    let transport = HttpsTransport::builder().roots(site.roots()).certificate(certificate.clone()).build();
    let client = site.client(&certificate).retry(NO_SECOND_TRY).endpoint(site.server.endpoint());
    let error = client.transport(transport).build().register().expect_err("it cannot sign");
    assert!(error.is_transient(), "{error:?}");
    let causes: Vec<String> = std::iter::successors(Some(&error as &dyn std::error::Error), |error| error.source())
        .map(|it| format!("{it:?}"))
        .collect();
    assert!(causes.iter().any(|cause| cause.contains("the bus hangs")), "{causes:?}");
}

#[test]
fn neither_an_authorization_header_nor_a_password_leaves_the_device() {
    let root = Authority::root("root");
    let certificate = certificate(&root.device("dev-01"), &[]);
    let answer = || http("200 OK", "Content-Type: application/json\r\n", common::ASSIGNED);
    let peer = Peer::new(move |_, stream| say(stream, answer().as_bytes()));
    let transport = HttpsTransport::builder().roots(peer.roots()).certificate(certificate.clone()).build();
    let client = ProvisioningClient::builder_with_certificate(scope(), &certificate).expect("valid");
    client.endpoint(peer.endpoint()).transport(transport).build().register().expect("assigned");
    let request = peer.requests().remove(0).to_ascii_lowercase();
    assert!(!request.contains("authorization") && !request.contains("sharedaccess"), "{request}");
}

#[test]
fn a_certificate_of_another_device_is_refused_before_anything_is_sent() {
    let site = site();
    let certificate = certificate(&site.root.device("dev-02"), &[]);
    let settings = RegistrationSettings::new(site.sim.id_scope(), id("dev-01"));
    let mut https = HttpsTransport::builder().roots(site.roots()).certificate(certificate.clone()).build();
    let mut mqtt = MqttTransport::builder().roots(site.roots()).certificate(certificate).build();
    let transports: [(&mut dyn Transport, _); 2] =
        [(&mut https, site.server.endpoint()), (&mut mqtt, site.server.mqtt_endpoint().expect("serves MQTT"))];
    for (transport, endpoint) in transports {
        let settings = settings.clone().endpoint(endpoint);
        let mut registration = Registration::new(&settings, AttestationKind::X509);
        let Ok(Step::Send(request)) = common::act(&mut registration, common::at(0)) else { panic!("nothing to sign") };
        let error = transport.send(&request).map(|_| ()).expect_err("another device");
        let source = std::error::Error::source(&error).expect("a cause").to_string();
        assert!(source.contains("dev-01") && source.contains("dev-02"), "{source}");
        assert!(error.kind() == Kind::WrongCertificate && !error.kind().is_transient());
        registration.receive(Err(error), common::at(0));
        assert!(common::act(&mut registration, common::at(0)).is_err(), "it is final");
    }
    assert_eq!(site.server.connections(), 0);
}

#[test]
fn a_certificate_is_replaced_under_a_living_connection() {
    let site = site();
    let old = certificate(&Authority::root("another").device("dev-01"), &[]);
    let new = certificate(&site.root.device("dev-01"), &[]);
    let transport = MqttTransport::builder().roots(site.roots()).certificate(old.clone()).build();
    let handle = transport.certificate_handle();
    let endpoint = site.server.mqtt_endpoint().expect("serves MQTT");
    let mut client = site.client(&old).endpoint(endpoint).transport(transport).build();
    assert_eq!(client.register().expect_err("not enrolled").status(), Some(401));
    handle.replace(new);
    client.forget_refusal();
    client.register().expect("assigned");
}

#[test]
fn what_may_be_wrong_with_a_certificate_is_told_as_an_event_before_the_first_request() {
    let site = site();
    let issuer = site.root.intermediate("intermediate");
    let certificate = certificate(&issuer.device("dev-01"), &[]);
    let told = Arc::new(Mutex::new(Vec::new()));
    let events = Arc::clone(&told);
    let client = site.client(&certificate).observer(move |event| events.lock().expect("not poisoned").push(event));
    let transport = HttpsTransport::builder().roots(site.roots()).certificate(certificate.clone()).build();
    let _ = client.endpoint(site.server.endpoint()).transport(transport).build().register();
    let told = told.lock().expect("not poisoned");
    assert_eq!(told[0], Event::CertificateNote { note: CertificateNote::IssuerNotIncluded });
}

/// Starts a server that requires a certificate of this authority, with these versions of TLS.
fn demanding(authority: &Authority, versions: &'static [&'static rustls::SupportedProtocolVersion]) -> Peer {
    let pem = authority.pem.clone();
    Peer::serving_with(
        |_| {},
        move |chain, key| {
            use rustls::pki_types::pem::PemObject;
            let mut roots = rustls::RootCertStore::empty();
            roots.add(rustls::pki_types::CertificateDer::from_pem_slice(pem.as_bytes()).expect("PEM")).expect("a root");
            let provider = Arc::new(rustls::crypto::ring::default_provider());
            let verifier = rustls::server::WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
            let provider = Arc::new(rustls::crypto::ring::default_provider());
            rustls::ServerConfig::builder_with_provider(provider)
                .with_protocol_versions(versions)
                .expect("versions")
                .with_client_cert_verifier(verifier.build().expect("a verifier"))
                .with_single_cert(chain, key)
                .expect("a configuration")
        },
        |stream, log| {
            peer::serve(stream, log, &|_, stream| {
                let _ = say(stream, http("200 OK", "", common::ASSIGNED).as_bytes());
                ControlFlow::Continue(())
            });
        },
    )
}

#[test]
fn an_alert_about_the_certificate_is_final_with_a_sentence_in_tls_1_2_and_1_3() {
    let root = Authority::root("root");
    static ONE_EACH: [&[&rustls::SupportedProtocolVersion]; 2] =
        [&[&rustls::version::TLS12], &[&rustls::version::TLS13]];
    for versions in ONE_EACH {
        let peer = demanding(&root, versions);
        let register = |device: &Device, presented: bool| {
            let certificate = certificate(device, &[]);
            let builder = HttpsTransport::builder().roots(peer.roots());
            let transport = builder.certificate(presented.then(|| certificate.clone())).build();
            let client = ProvisioningClient::builder_with_certificate(scope(), &certificate).expect("valid");
            client.endpoint(peer.endpoint()).transport(transport).build().register()
        };
        register(&root.device("dev-01"), true).expect("assigned");
        for error in [
            register(&root.device("dev-01"), false).expect_err("no certificate"),
            register(&Authority::root("another").device("dev-01"), true).expect_err("another authority"),
        ] {
            let Error::Transport(transport) = &error else { panic!("{error:?}") };
            assert_eq!(transport.kind(), Kind::CertificateRefused);
            assert!(!error.is_transient() && error.retry_after() >= Some(seconds(1800)), "{error:?}");
            assert!(error.remedy().contains("intermediates"));
        }
    }
}

#[test]
fn a_connection_that_ends_before_an_answer_names_the_certificate_as_a_possible_cause_and_passes() {
    let root = Authority::root("root");
    let certificate = certificate(&root.device("dev-01"), &[]);
    let peer = Peer::new(|_, _| ControlFlow::Break(()));
    let transport = HttpsTransport::builder().roots(peer.roots()).certificate(certificate.clone()).build();
    let client = ProvisioningClient::builder_with_certificate(scope(), &certificate).expect("valid");
    let client = client.endpoint(peer.endpoint()).retry(NO_SECOND_TRY).transport(transport);
    let error = client.build().register().expect_err("it hangs up");
    let source = error.transport().and_then(std::error::Error::source).expect("a cause").to_string();
    assert!(source.contains("refused the client certificate") && source.contains("renegotiation"), "{source}");
    assert!(error.is_transient());
}
