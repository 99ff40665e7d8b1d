//! The example `diagnose`, run against faults that are really made.
#![cfg(all(feature = "bundled-roots", feature = "https", feature = "proxy"))]
#![allow(clippy::expect_used, clippy::panic, reason = "a test may panic")]

#[cfg(feature = "x509")]
#[path = "common/certificates.rs"]
mod certificates;
mod common;
#[path = "common/peer.rs"]
mod peer;
#[path = "diagnose/program.rs"]
mod program;
#[path = "diagnose/proxies.rs"]
mod proxies;
#[path = "common/proxy.rs"]
mod proxy;

use std::fs;
use std::io::Write;
use std::net::{Ipv6Addr, TcpListener};
use std::ops::ControlFlow;
use std::time::Duration;

use azure_iot_dps::{DeviceKey, HttpsTransport, ProvisioningClient, Roots};
use azure_iot_dps_simulator::{Asked, Record};
use common::id;
use peer::{Peer, http, say};
use program::{
    Service, closed_port, diagnose, diagnose_silence, forward, http_date, https_only, of_peer, port_saying,
    port_serving, run, service, unauthorized,
};
use rcgen::{DnType, ExtendedKeyUsagePurpose, SanType, date_time_ymd};

#[test]
fn with_nothing_set_a_simulated_service_passes_every_check() {
    let ran = diagnose(&[], &vec![("PROVISIONING_IDSCOPE", String::new())]);
    ran.fails_in(&[]);
    assert!(ran.err.contains("simulated service"), "{ran:?}");
    for (name, count) in [("dns", 1), ("tcp", 2), ("tls", 2), ("http", 1), ("clock", 1), ("credential", 1)] {
        let passed = ran.checks(name).iter().filter(|check| check.starts_with("pass")).count();
        assert_eq!(passed, count, "{name}: {ran:?}");
    }
    ran.says("skip", "proxy", &["without one"]);
    assert!(ran.out.ends_with("pass: 8 passed, 0 failed, 1 skipped\n"), "{ran:?}");
}

#[test]
fn a_device_that_has_all_it_needs_passes_every_check_and_is_not_registered_by_it() {
    let service = Service::new("good");
    let ran = service.diagnose();
    ran.fails_in(&[]);
    ran.says("skip", "proxy", &["no variable names one"]);
    ran.says("pass", "tls", &["TLS 1.3", "issued by CN=azure-iot-dps simulator CA", "trusted root: CN=azure-iot-dps"]);
    ran.says("pass", "credential", &["dev-01 has no assignment yet"]);
    let registrations =
        service.sim.records().into_iter().filter(
            |record| matches!(record, Record::Request { asked, .. } if matches!(asked, Asked::Register { .. })),
        );
    assert_eq!(registrations.count(), 0);

    let roots = Roots::pem(service.server.ca_pem().as_bytes()).expect("PEM");
    let key = common::key_of(&service.sim, &id("dev-01"));
    let client = ProvisioningClient::builder(service.sim.id_scope(), id("dev-01"), key);
    let client = client.endpoint(service.server.endpoint());
    client.transport(HttpsTransport::builder().roots(roots).build()).build().register().expect("registers");
    let ran = service.diagnose();
    ran.fails_in(&[]);
    ran.says("pass", "credential", &["dev-01 is assigned to simulated-hub.azure-devices.net as dev-01"]);
}

#[test]
fn an_ipv6_address_in_brackets_passes_every_check() {
    // Not every system has IPv6.
    let Ok(listener) = TcpListener::bind("[::1]:0") else { return };
    let host = format!("[::1]:{}", listener.local_addr().expect("an address").port());
    let now = http_date();
    let peer = Peer::with_validity(
        |leaf| leaf.subject_alt_names = vec![SanType::IpAddress(Ipv6Addr::LOCALHOST.into())],
        move |_, stream| say(stream, unauthorized(&now).as_bytes()),
    );
    forward(listener, peer.port);
    let ran = diagnose(&["--https-only", "--host", &host], &service("ipv6", String::new(), peer.ca_pem()));
    ran.fails_in(&[]);
    ran.says("pass", "dns", &["[::1] resolves to ::1"]);
    ran.says("pass", "tcp", &[&format!("{host} is open")]);
    ran.says("pass", "tls", &[&format!("{host}: TLS 1.3")]);
    ran.says("pass", "http", &["status 401"]);
    assert!(peer.requests()[0].contains(&format!("\r\nHost: {host}\r\n")), "{:?}", peer.requests());
}

#[test]
fn a_name_that_does_not_resolve_fails_dns_and_skips_what_needs_it() {
    let ran = diagnose(&["--host", "dps.invalid"], &Vec::new());
    ran.fails_in(&["dns"]);
    ran.says("FAIL", "dns", &["dps.invalid cannot be resolved", "DNS server"]);
    for name in ["tcp", "tls", "http", "clock"] {
        ran.says("skip", name, &["because dns failed"]);
    }
    ran.says("skip", "credential", &["PROVISIONING_IDSCOPE", "PROVISIONING_SYMMETRIC_KEY"]);
}

#[test]
fn a_closed_port_fails_tcp_and_skips_what_needs_it() {
    let service = Service::new("closed");
    let closed = closed_port();
    let ran = diagnose(&["--mqtt-port", &closed.to_string()], &service.variables);
    ran.fails_in(&["tcp"]);
    let [https, mqtt] = &ran.checks("tcp")[..] else { panic!("{ran:?}") };
    assert!(https.starts_with("pass"), "{ran:?}");
    assert!(mqtt.contains("connection refused") && mqtt.contains("or use HTTPS or MQTT over WebSocket"), "{ran:?}");
    assert_eq!(ran.checks("tls")[1], format!("skip tls localhost:{closed}: because tcp failed"));
    ran.says("pass", "credential", &[]);
    assert!(!diagnose(&["--https-only"], &service.variables).out.contains(&closed.to_string()));

    let ran = https_only(closed);
    ran.fails_in(&["tcp"]);
    ran.says("FAIL", "tcp", &["connection refused", "Allow outgoing connections to localhost, port"]);
    for name in ["tls", "http", "clock"] {
        ran.says("skip", name, &["because tcp failed"]);
    }
}

#[test]
fn an_authority_that_is_not_trusted_fails_tls_and_is_named() {
    let good = Service::new("wrong_ca");
    let other = Peer::saying(Vec::new());
    let others = service("other_ca", String::new(), other.ca_pem());
    let ran = good.diagnose_with(&[("PROVISIONING_CA_CERT", &others[1].1)]);
    ran.fails_in(&["tls", "tls"]);
    ran.says("FAIL", "tls", &["no trusted root issued it", "issuer is CN=azure-iot-dps simulator CA", "inspects TLS"]);
    assert!(!ran.out.contains("trusted root:"), "{ran:?}");
    for name in ["http", "clock", "credential"] {
        ran.says("skip", name, &["because tls failed"]);
    }
}

#[test]
fn an_authority_with_the_name_of_a_trusted_one_and_another_key_fails_tls() {
    let [peer, namesake] = [(); 2].map(|()| Peer::saying(Vec::new()));
    let mut variables = of_peer("namesake", &peer);
    fs::write(&variables[1].1, namesake.ca_pem()).expect("writes");
    let ran = diagnose(&["--https-only"], &variables);
    ran.fails_in(&["tls"]);
    ran.says("FAIL", "tls", &["the name of a trusted root with another key"]);
    assert!(!ran.out.contains("trusted root:"), "{ran:?}");
    variables[1].1 = "/nowhere".into();
    assert_eq!(diagnose(&["--https-only"], &variables).code, Some(2));
}

#[test]
fn a_certificate_for_another_name_fails_tls() {
    let name = |leaf: &mut rcgen::CertificateParams| {
        leaf.subject_alt_names = vec![SanType::DnsName("portal.example".try_into().expect("a name"))];
    };
    let peer = Peer::with_validity(name, |_, stream| say(stream, b""));
    let ran = diagnose(&["--https-only"], &of_peer("wrong_name", &peer));
    ran.fails_in(&["tls"]);
    ran.says("FAIL", "tls", &["portal.example", "not for localhost"]);
}

#[test]
fn a_certificate_that_is_not_for_servers_fails_tls() {
    let for_clients = |leaf: &mut rcgen::CertificateParams| {
        leaf.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    };
    let peer = Peer::with_validity(for_clients, |_, stream| say(stream, b""));
    let ran = diagnose(&["--https-only"], &of_peer("for_clients", &peer));
    ran.fails_in(&["tls"]);
    ran.says("FAIL", "tls", &["the certificate is not accepted: ", "its own certificates do not have this fault"]);
}

#[test]
fn an_expired_certificate_fails_tls_and_the_clock_is_compared_all_the_same() {
    let now = http_date();
    let peer = Peer::with_validity(
        |leaf| leaf.not_after = date_time_ymd(2020, 2, 3),
        move |_, stream| say(stream, unauthorized(&now).as_bytes()),
    );
    let ran = diagnose(&["--https-only"], &of_peer("expired", &peer));
    ran.fails_in(&["tls"]);
    ran.says("FAIL", "tls", &["a certificate has expired", "until 2020-02-03T00:00:00Z", "Compare the clock"]);
    ran.says("pass", "clock", &[]);
    ran.says("skip", "credential", &["because tls failed"]);
    assert!(peer.requests().iter().all(|request| !request.to_ascii_lowercase().contains("authorization")));
}

#[test]
fn a_clock_at_which_the_certificate_is_not_valid_yet_fails_tls_and_the_clock() {
    let peer = Peer::with_validity(
        |leaf| leaf.not_before = date_time_ymd(2100, 1, 1),
        |_, stream| say(stream, unauthorized("Mon, 04 Jan 2100 00:00:00 GMT").as_bytes()),
    );
    let ran = diagnose(&["--https-only"], &of_peer("not_yet", &peer));
    ran.fails_in(&["tls", "clock"]);
    ran.says("FAIL", "tls", &["a certificate is not valid yet", "valid from 2100-01-01T00:00:00Z"]);
    ran.says("FAIL", "clock", &["2100-01-04T00:00:00Z at the service", "s behind it", "Set the clock"]);
}

#[test]
fn a_clock_that_is_off_by_more_than_five_minutes_fails_clock() {
    let service = Service::new("clock");
    for (off_by, status, word) in [(-3600, "FAIL", "s ahead of"), (3600, "FAIL", "s behind"), (200, "pass", "s behind")]
    {
        service.sim.device(&id("dev-01")).date_off_by(off_by);
        let ran = service.diagnose();
        ran.fails_in(if status == "FAIL" { &["clock"] } else { &[] });
        ran.says(status, "clock", &[word]);
        service.sim.device(&id("dev-01")).recover();
    }
}

#[test]
fn a_key_that_the_service_refuses_fails_credential() {
    let service = Service::new("refused");
    let key = |bytes: &[u8]| DeviceKey::from_bytes(bytes).expect("a key").to_base64().as_str().to_owned();
    let ran = service.diagnose_with(&[("PROVISIONING_SYMMETRIC_KEY", &key(&[1; 32]))]);
    ran.fails_in(&["credential"]);
    ran.says("FAIL", "credential", &["401002", "status 401", "tracking ID", "Check that the key"]);
    assert!(!ran.out.contains("64 bytes"), "{ran:?}");
    let ran = service.diagnose_with(&[("PROVISIONING_SYMMETRIC_KEY", &key(&[1; 64]))]);
    ran.fails_in(&["credential"]);
    ran.says("FAIL", "credential", &["This key has 64 bytes"]);
}

#[cfg(feature = "x509")]
#[test]
fn a_certificate_in_the_place_of_a_key_is_looked_up_and_fails_credential_if_it_is_refused() {
    let [root, other] = ["root", "other"].map(certificates::Authority::root);
    let group = azure_iot_dps_simulator::EnrollmentGroup::x509(
        "line-7",
        azure_iot_dps_simulator::certificates_from_pem(root.pem.as_bytes()).expect("PEM"),
    )
    .expect("certificates");
    let sim = azure_iot_dps_simulator::Simulator::builder().group(group).build();
    let server = sim.serve().expect("serves");
    let mut variables = service("x509", server.endpoint().to_string(), server.ca_pem());
    variables.push(("PROVISIONING_IDSCOPE", sim.id_scope().to_string()));
    let mut run = |authority: &certificates::Authority| {
        let device = authority.device("dev-01");
        let file = common::folder("diagnose_x509_device").join("device.pem");
        fs::write(&file, device.pem + &device.key_pem).expect("writes");
        variables.push(("CERTIFICATE_FILE", file.to_str().expect("UTF-8").to_owned()));
        diagnose(&["--https-only"], &variables)
    };
    let ran = run(&root);
    ran.fails_in(&[]);
    ran.says("pass", "credential", &["dev-01 has no assignment yet"]);
    let ran = run(&other);
    ran.fails_in(&["credential"]);
    ran.says("FAIL", "credential", &["401002", "Check that the certificate's authority is verified"]);
}

#[test]
fn a_scope_that_the_service_does_not_know_fails_credential() {
    let ran = Service::new("scope").diagnose_with(&[("PROVISIONING_IDSCOPE", "0ne99999999")]);
    ran.fails_in(&["credential"]);
    ran.says("FAIL", "credential", &["does not know the ID scope 0ne99999999", "Correct the ID scope"]);
}

#[test]
fn a_device_that_is_set_in_part_or_wrongly_does_not_keep_the_network_from_being_checked() {
    let service = Service::new("part");
    let ran = service.diagnose_with(&[("PROVISIONING_SYMMETRIC_KEY", "")]);
    ran.fails_in(&[]);
    assert_eq!(ran.checks("credential"), ["skip credential not set: PROVISIONING_SYMMETRIC_KEY (or --key-file)"]);
    let ran = service.diagnose_with(&[("PROVISIONING_SYMMETRIC_KEY", "s3cret!s3cret")]);
    ran.fails_in(&["credential"]);
    ran.says("pass", "clock", &[]);
}

#[test]
fn a_captive_portal_fails_http_whether_it_shows_a_page_or_redirects() {
    let page = http("200 OK", "Content-Type: text/html\r\n", "<html>Please log in</html>");
    let ran = diagnose(&["--https-only"], &of_peer("page", &Peer::saying(page)));
    ran.fails_in(&["http"]);
    ran.says("FAIL", "http", &["captive portal", "status 200, a web page", "Sign in"]);
    ran.says("skip", "clock", &["because http failed"]);
    ran.says("skip", "credential", &["because http failed"]);

    let location = "Location: https://ada:s3cret@portal.example/login?session=s3cret\r\n";
    let ran = diagnose(&["--https-only"], &of_peer("redirect", &Peer::saying(http("302 Found", location, ""))));
    ran.fails_in(&["http"]);
    ran.says("FAIL", "http", &["status 302, redirect to portal.example what to do: Sign in"]);

    let peer = Peer::saying(http("302 Found", "", ""));
    let ran = diagnose(&["--https-only"], &of_peer("no_location", &peer));
    ran.fails_in(&["http"]);
    ran.says("FAIL", "http", &["captive portal", "status 302, a redirect without a target what to do: Sign in"]);
    let requests = peer.requests();
    assert!(requests[0].contains(&format!("\r\nHost: localhost:{}\r\n", peer.port)), "{requests:?}");
}

#[test]
fn an_answer_of_something_else_or_none_fails_http() {
    for (name, answer, words) in [
        ("json", http("200 OK", "Content-Type: application/json\r\n", "{}"), "something else than the service answers"),
        ("ftp", "220 ready\r\n\r\n".to_owned(), "not HTTP"),
        ("long", format!("HTTP/1.1 200 OK\r\nX-Long: {}", "x".repeat(20_000)), "the answer is too large"),
    ] {
        let ran = diagnose(&["--https-only"], &of_peer(name, &Peer::saying(answer)));
        ran.fails_in(&["http"]);
        ran.says("FAIL", "http", &[words]);
    }
    let ran = diagnose(&["--https-only"], &of_peer("hang_up", &Peer::new(|_, _| ControlFlow::Break(()))));
    ran.fails_in(&["http"]);
    ran.says("FAIL", "http", &["no answer to a request: the connection was closed"]);
    let silent = Peer::new(|_, _| ControlFlow::Continue(()));
    let ran = diagnose_silence(&["http"], &["--https-only"], &of_peer("silent", &silent));
    ran.says("FAIL", "http", &["no answer to a request: no answer in time"]);
}

#[test]
fn a_service_with_a_problem_of_its_own_fails_http() {
    let service = Service::new("unavailable");
    service.sim.device(&id("dev-01")).answer(503);
    let ran = service.diagnose();
    ran.fails_in(&["http"]);
    ran.says("FAIL", "http", &["status 503", "Azure's status"]);
}

#[test]
fn what_does_not_speak_tls_fails_tls() {
    let ran = https_only(port_saying(b"HTTP/1.1 400 Bad Request\r\n\r\n"));
    ran.fails_in(&["tls"]);
    ran.says("FAIL", "tls", &["does not speak TLS", "captive portal"]);
    // A fatal alert: handshake_failure.
    let ran = https_only(port_saying(&[21, 3, 3, 0, 2, 2, 40]));
    ran.fails_in(&["tls"]);
    ran.says("FAIL", "tls", &["the server refused the handshake: HandshakeFailure"]);
    // A ServerHello of TLS 1.0.
    let old = b"\x16\x03\x01\x00\x2a\x02\x00\x00\x26\x03\x01................................\x00\x00\x2f\x00";
    let ran = https_only(port_saying(old));
    ran.fails_in(&["tls"]);
    ran.says("FAIL", "tls", &["the handshake failed: peer is incompatible", "the cause that the error names"]);
    let ran = https_only(port_saying(b""));
    ran.fails_in(&["tls"]);
    ran.says("FAIL", "tls", &["the connection was", "a firewall probably blocks TLS"]);
}

#[test]
fn a_handshake_that_is_not_answered_or_byte_by_byte_ends_within_its_limit() {
    let silent = TcpListener::bind("127.0.0.1:0").expect("a port");
    let silent = silent.local_addr().expect("an address").port().to_string();
    // The head of a long record, then a byte now and then, then the end. A limit of each read alone would
    // not be exceeded before the end.
    let slow = port_serving(|mut stream| {
        let _ = stream.write_all(&[22, 3, 3, 0x3f, 0xff]);
        let mut bytes = 0..100;
        while bytes.next().is_some() && stream.write_all(&[0]).is_ok() {
            std::thread::park_timeout(Duration::from_millis(100));
        }
    });
    let host = [("PROVISIONING_HOST", format!("localhost:{slow}"))].into();
    let ran = diagnose(&["--https-only", "--time-limit", "1"], &host);
    ran.fails_in(&["tls"]);
    ran.says("FAIL", "tls", &["no answer in time"]);

    // The time that MQTT took is not missing elsewhere.
    let service = Service::new("silent");
    let ran = diagnose_silence(&["tls"], &["--mqtt-port", &silent], &service.variables);
    ran.says("pass", "tls", &[]);
    assert!(ran.checks("tls")[1].contains("no answer in time"), "{ran:?}");
    ran.says("pass", "credential", &[]);
}

#[test]
fn json_is_one_object_with_every_check() {
    let service = Service::new("json");
    let run = |others: &[(&'static str, &str)]| {
        let mut variables = service.variables.clone();
        variables.retain(|(name, _)| others.iter().all(|(other, _)| name != other));
        variables.extend(others.iter().map(|(name, value)| (*name, (*value).to_owned())));
        let ran = diagnose(&["--json", "--mqtt-port", &service.mqtt_port], &variables);
        let json: serde_json::Value = serde_json::from_str(&ran.out).expect("JSON alone");
        (ran.code, json)
    };
    let (code, json) = run(&[]);
    assert_eq!((code, &json["result"]), (Some(0), &"pass".into()), "{json}");
    let checks = json["checks"].as_array().expect("a list");
    let names: Vec<&str> = checks.iter().filter_map(|check| check["name"].as_str()).collect();
    assert_eq!(names, ["proxy", "dns", "tcp", "tcp", "tls", "tls", "http", "clock", "credential"]);
    for check in checks {
        assert!(check["status"].is_string() && check["facts"].is_object() && check["detail"].is_string(), "{check}");
        assert!(check["what_to_do"].is_null(), "{check}");
    }
    let tls = &checks[4]["facts"];
    assert_eq!(tls["chain"][0]["issuer"], "CN=azure-iot-dps simulator CA");
    assert_eq!((&tls["version"], &tls["trusted_root"]), (&"TLS 1.3".into(), &"CN=azure-iot-dps simulator CA".into()));
    assert!(checks[7]["facts"]["offset_seconds"].is_i64(), "{json}");

    let (code, json) = run(&[("PROVISIONING_SYMMETRIC_KEY", common::KEY)]);
    assert_eq!((code, &json["result"]), (Some(1), &"fail".into()), "{json}");
    let credential = &json["checks"][8];
    assert_eq!((&credential["status"], &credential["facts"]["status"]), (&"fail".into(), &401.into()), "{json}");
    assert!(credential["what_to_do"].is_string(), "{json}");
}

#[test]
fn neither_the_key_nor_a_token_shows_even_if_the_service_repeats_it() {
    // Each run of this suite is searched for both. Here the service repeats the token.
    let peer = Peer::new(|exchange, stream| {
        let token = exchange.text.lines().find_map(|line| line.strip_prefix("Authorization: ")).unwrap_or("none");
        let body = format!(r#"{{"errorCode":401002,"message":"Refused {token}"}}"#);
        say(stream, http("401 Unauthorized", "Content-Type: application/json\r\n", &body).as_bytes())
    });
    let variables = of_peer("echo", &peer);
    for arguments in [&["--https-only"][..], &["--https-only", "--json"]] {
        let ran = run(arguments, &variables);
        let requests = peer.requests();
        let sent = requests.iter().find_map(|text| text.split_once("sig=")).expect("a token").1;
        let signature = sent.split(['&', '\r']).next().expect("a signature");
        assert!(ran.out.contains("401002"), "{ran:?}");
        for text in [&ran.out, &ran.err] {
            assert!(!text.contains(signature) && !text.contains(common::KEY), "{ran:?}");
        }
    }
}

#[test]
fn lines_fit_a_serial_console_and_a_certificate_cannot_control_it() {
    let name = |leaf: &mut rcgen::CertificateParams| {
        leaf.distinguished_name.push(DnType::CommonName, "gateway \u{1b}[2J\u{202e}\u{e9}");
        leaf.distinguished_name.push(DnType::OrganizationName, "An organization with a very long name ".repeat(5));
        leaf.not_after = date_time_ymd(2020, 2, 3);
    };
    let peer = Peer::with_validity(name, |_, _| ControlFlow::Break(()));
    let ran = diagnose(&["--https-only"], &of_peer("console", &peer));
    ran.says("FAIL", "tls", &["CN=gateway"]);
    for line in ran.out.lines() {
        assert!(line.len() <= 100 && line.bytes().all(|byte| matches!(byte, b' '..=b'~')), "{line:?}");
    }
}

#[test]
fn wrong_arguments_end_with_code_2() {
    for arguments in [
        &["--nonsense"][..],
        &["--host", "https://x"],
        &["--ca-cert", "/nowhere/ca.pem"],
        &["--mqtt-port", "0"],
        &["--time-limit", "0"],
        &["--https-only", "--mqtt-port", "8883"],
    ] {
        let ran = diagnose(arguments, &Vec::new());
        assert!(ran.code == Some(2) && ran.out.is_empty() && ran.err.contains("error: "), "{arguments:?}: {ran:?}");
    }
    for arguments in [["--json", "--host", "https://x"], ["--json", "--ca-cert", "/nowhere/ca.pem"]] {
        let ran = diagnose(&arguments, &Vec::new());
        let json: serde_json::Value = serde_json::from_str(&ran.out).expect("JSON alone");
        assert_eq!((ran.code, &json["result"]), (Some(2), &"fail".into()), "{ran:?}");
        assert_eq!(json["checks"].as_array().map(Vec::len), Some(0), "{ran:?}");
        let error = json["error"].as_str().expect("a text");
        assert!(ran.err.contains(&format!("error: {error}")), "{ran:?}");
    }
}
