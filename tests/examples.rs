//! Runs the examples as a user does: valid and invalid input, exit codes, standard output and
//! error.
#![cfg(all(feature = "bundled-roots", feature = "https", feature = "proxy", feature = "ring"))]
#![allow(clippy::expect_used, clippy::panic, reason = "a test may panic")]

#[cfg(feature = "x509")]
#[path = "common/certificates.rs"]
mod certificates;
mod common;
#[path = "common/proxy.rs"]
mod proxy;

use std::fs;
use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use common::folder;

const GROUP_KEY: &str = "8isrFI1sGsIlvvFSSFRiMfCNzv21fjbE/+ah/lSh3lF8e2YG1Te7w1KpZhJFFXJrqYKi9yegxkqIChbqOS9Egw==";
const TUTORIAL_ID: &str = "sn-007-888-abc-mac-a1-b2-c3-d4-e5-f6";
const TUTORIAL_KEY: &str = "Jsm0lyGpjaVYVP2g3FnmnmG9dI/9qU24wNoykUmermc=";

#[derive(Debug)]
struct Ran {
    code: Option<i32>,
    out: String,
    err: String,
}

/// Returns the path of an example, which `cargo test` builds next to the tests.
fn program(name: &str) -> PathBuf {
    let test = std::env::current_exe().expect("a path");
    let folder = test.parent().and_then(|deps| deps.parent()).expect("a folder").join("examples");
    let program = folder.join(format!("{name}{}", std::env::consts::EXE_SUFFIX));
    assert!(program.exists(), "{} is not built: `cargo test` without a test's name builds it", program.display());
    program
}

fn run_with(name: &str, arguments: &[&str], variables: &[(&str, &str)], input: &str) -> Ran {
    let mut command = Command::new(program(name));
    for (variable, _) in std::env::vars()
        .filter(|(name, _)| name.starts_with("PROVISIONING_") || name.to_ascii_uppercase().ends_with("_PROXY"))
    {
        command.env_remove(variable);
    }
    let command = command.args(arguments).envs(variables.iter().copied());
    let command = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("runs");
    // One that ends early does not read to the end.
    let _ = child.stdin.take().expect("piped").write_all(input.as_bytes());
    let output = child.wait_with_output().expect("ends");
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("UTF-8");
    Ran { code: output.status.code(), out: text(output.stdout), err: text(output.stderr) }
}

fn derive(arguments: &[&str], input: &str) -> Ran {
    run_with("derive_key", arguments, &[("PROVISIONING_GROUP_KEY", GROUP_KEY)], input)
}

#[test]
fn one_registration_id_prints_its_key_alone() {
    let ran = derive(&[TUTORIAL_ID], "");
    assert_eq!((ran.code, ran.out, ran.err), (Some(0), format!("{TUTORIAL_KEY}\n"), String::new()));
}

#[test]
fn several_registration_ids_print_lines_of_csv_in_order() {
    let ran = derive(&["b", TUTORIAL_ID, "a"], "");
    let lines: Vec<&str> = ran.out.lines().collect();
    assert_eq!((ran.code, lines.len(), lines[1]), (Some(0), 3, format!("{TUTORIAL_ID},{TUTORIAL_KEY}").as_str()));
    assert!(lines[0].starts_with("b,") && lines[2].starts_with("a,"));
}

#[test]
fn a_list_from_standard_input_takes_carriage_returns_and_blank_lines_in_stride() {
    let ran = derive(&["-"], &format!("\r\n{TUTORIAL_ID}\r\n\n  \ndev-01"));
    let lines: Vec<&str> = ran.out.lines().collect();
    assert_eq!((ran.code, lines.len(), lines[0]), (Some(0), 2, format!("{TUTORIAL_ID},{TUTORIAL_KEY}").as_str()));
}

#[test]
fn a_bad_registration_id_is_named_by_its_line_and_the_good_ones_are_printed() {
    let long = "x".repeat(10_000);
    let ran = derive(&["-"], &format!("a\nb c\nd\n{long}\ne\n"));
    assert_eq!((ran.code, ran.out.lines().count()), (Some(1), 3));
    assert!(
        ran.err.contains("line 2: ") && ran.err.contains("line 4: ") && ran.err.contains("2 registration IDs"),
        "{ran:?}"
    );
    assert_eq!(derive(&["a."], "").code, Some(1));
}

#[test]
fn a_group_key_comes_from_a_variable_or_a_file_and_an_error_does_not_show_it() {
    let file = folder("group_key").join("key");
    fs::write(&file, format!("{GROUP_KEY}\r\n")).expect("writes");
    let path = file.to_str().expect("UTF-8");
    assert_eq!(run_with("derive_key", &["--key-file", path, TUTORIAL_ID], &[], "").out, format!("{TUTORIAL_KEY}\n"));
    let ran = run_with("derive_key", &["a"], &[], "");
    assert_eq!((ran.code, ran.err.as_str()), (Some(1), "error: not set: PROVISIONING_GROUP_KEY (or --key-file)\n"));
    let ran = run_with("derive_key", &["a"], &[("PROVISIONING_GROUP_KEY", "s3cret!s3cret")], "");
    assert!(ran.code == Some(1) && !ran.err.contains("s3cret"), "{ran:?}");
}

#[test]
fn a_list_is_written_whole_or_not_at_all_and_for_its_owner_only() {
    let folder = folder("list");
    let file = folder.join("keys.csv");
    fs::write(&file, "old").expect("writes");
    let path = file.to_str().expect("UTF-8");
    assert_eq!(derive(&["--output", path, "a", "b."], "").code, Some(1));
    assert_eq!(fs::read_to_string(&file).expect("is there"), "old");
    assert_eq!(derive(&["--output", path, "-"], "a\nb\n").code, Some(0));
    assert_eq!(fs::read_to_string(&file).expect("is there").lines().count(), 2);
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        assert_eq!(fs::metadata(&file).expect("is there").permissions().mode() & 0o777, 0o600);
    }
    assert_eq!(fs::read_dir(&folder).expect("a folder").count(), 1, "nothing else is left there");
}

#[test]
fn a_token_is_printed_alone() {
    let key = [("PROVISIONING_SYMMETRIC_KEY", common::KEY)];
    let arguments = ["--resource", "0ne/registrations/d", "--key-name", "registration", "--expires-at", "1"];
    let ran = run_with("sas_token", &arguments, &key, "");
    let token = azure_iot_dps::SasToken::parse(ran.out.trim_end()).expect("a token");
    assert!(token.verify(&common::key()) && token.key_name().as_deref() == Some("registration"));
    assert_eq!((token.resource_uri().as_str(), ran.out.lines().count()), ("0ne/registrations/d", 1));
    let ran = run_with("sas_token", &["--resource", "r", "--ttl", "3600"], &key, "");
    let token = azure_iot_dps::SasToken::parse(ran.out.trim_end()).expect("a token");
    assert!(token.expires_at() > azure_iot_dps::time::UnixTime::from_secs(1_700_000_000));
    for wrong in [&["--resource", "r"][..], &["--resource", "r", "--ttl", "1", "--expires-at", "1"], &["--ttl", "1"]] {
        assert_ne!(run_with("sas_token", wrong, &key, "").code, Some(0));
    }
    assert_eq!(run_with("sas_token", &["--resource", "r", "--ttl", "1"], &[], "").code, Some(1));
}

#[test]
fn a_token_is_good_for_a_second_at_least_and_for_365_days_at_most() {
    let key = [("PROVISIONING_SYMMETRIC_KEY", common::KEY)];
    let ttl = |seconds: &str| run_with("sas_token", &["--resource", "r", "--ttl", seconds], &key, "");
    for seconds in ["1", "31536000"] {
        assert_eq!(ttl(seconds).code, Some(0), "{seconds}");
    }
    for seconds in ["0", "31536001", "18446744073709551615", "99999999999999999999", "-1", "", "1h"] {
        let ran = ttl(seconds);
        assert!(ran.code != Some(0) && ran.out.is_empty() && ran.err.contains("--ttl"), "{seconds}: {ran:?}");
    }
}

/// What a device is set to, for a service that is not there.
const DEVICE: [(&str, &str); 4] = [
    ("PROVISIONING_HOST", "localhost:1"),
    ("PROVISIONING_IDSCOPE", "0ne00002193"),
    ("PROVISIONING_REGISTRATION_ID", "dev-01"),
    ("PROVISIONING_SYMMETRIC_KEY", common::KEY),
];

fn with(name: &'static str, value: &'static str) -> Vec<(&'static str, &'static str)> {
    DEVICE.into_iter().filter(|(set, _)| *set != name).chain([(name, value)]).collect()
}

#[test]
fn bad_input_is_named_with_its_source_before_anything_is_sent() {
    let folder = folder("bad_input");
    for (name, content) in [("empty.pem", ""), ("text.pem", "no certificate")] {
        fs::write(folder.join(name), content).expect("writes");
        let path = folder.join(name).to_str().expect("UTF-8").to_owned();
        let ran = run_with("register", &["--ca-cert", &path], &DEVICE, "");
        assert!(ran.code == Some(1) && ran.err.contains(&path) && ran.err.contains("no root certificate"), "{ran:?}");
    }
    for (name, value, said) in [
        (
            "PROVISIONING_HOST",
            "::1",
            "PROVISIONING_HOST: an endpoint must have an IPv6 address in brackets, such as [::1]",
        ),
        ("PROVISIONING_HOST", "https://localhost:18443", "write localhost:18443"),
        ("PROVISIONING_IDSCOPE", "0ne 1", "PROVISIONING_IDSCOPE: an ID scope must"),
        ("PROVISIONING_REGISTRATION_ID", "a b", "PROVISIONING_REGISTRATION_ID: a registration ID must"),
        ("PROVISIONING_SYMMETRIC_KEY", "abc", "PROVISIONING_SYMMETRIC_KEY: a key must have 16 to 64 bytes"),
        ("PROVISIONING_SYMMETRIC_KEY", "HostName=h;DeviceId=d;SharedAccessKey=k", "this is a connection string"),
        ("PROVISIONING_IDSCOPE", "", "not set: PROVISIONING_IDSCOPE"),
        ("https_proxy", "socks5://proxy.example", "https_proxy: the proxy's URL must begin with"),
    ] {
        let ran = run_with("register", &[], &with(name, value), "");
        assert!(ran.code == Some(1) && ran.err.contains(said) && !ran.err.contains("registers at"), "{name}: {ran:?}");
    }
    let ran = run_with("register", &["--payload", "{'a'"], &DEVICE, "");
    assert!(ran.code == Some(1) && ran.err.contains("--payload: ") && !ran.err.contains("registers at"), "{ran:?}");
}

#[test]
fn a_key_file_may_begin_with_a_byte_order_mark() {
    let file = folder("byte_order_mark").join("device.key");
    fs::write(&file, format!("\u{feff}{}\r\n", common::KEY)).expect("writes");
    let arguments = ["--key-file", file.to_str().expect("UTF-8"), "--deadline", "1"];
    let ran = run_with("register", &arguments, &with("PROVISIONING_SYMMETRIC_KEY", ""), "");
    assert!(ran.code == Some(75) && ran.err.contains("registers at localhost:1"), "{ran:?}");
}

#[test]
fn a_failure_that_may_pass_has_its_own_exit_code_and_is_told_in_json_too() {
    let ran = run_with("register", &["--json", "--deadline", "1"], &DEVICE, "");
    let json: serde_json::Value = serde_json::from_str(&ran.out).expect("JSON alone");
    assert_eq!(
        (ran.code, &json["status"], &json["isTransient"]),
        (Some(75), &"failed".into(), &true.into()),
        "{ran:?}"
    );
    assert!(json["error"].as_str().is_some_and(|error| ran.err.contains(error)), "{ran:?}");
    let ran = run_with("register", &["--json"], &with("PROVISIONING_SYMMETRIC_KEY", "abc"), "");
    let json: serde_json::Value = serde_json::from_str(&ran.out).expect("JSON alone");
    assert_eq!((ran.code, &json["isTransient"]), (Some(1), &false.into()), "{ran:?}");
}

#[test]
fn an_empty_variable_is_as_good_as_none_for_the_shortest_program_too() {
    let ran = run_with("minimal", &[], &[("PROVISIONING_IDSCOPE", ""), ("PROVISIONING_HOST", "")], "");
    assert_eq!((ran.code, ran.err.as_str()), (Some(1), "the variable PROVISIONING_IDSCOPE is not set\n"));
    let ran = run_with("minimal", &[], &with("PROVISIONING_HOST", "::1"), "");
    assert!(ran.code == Some(1) && ran.err.starts_with("PROVISIONING_HOST: "), "{ran:?}");
}

#[test]
fn register_with_nothing_set_provisions_a_device_against_a_simulated_service() {
    let ran = run_with("register", &["--json"], &[], "");
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert!(
        ran.err.contains("simulated service")
            && ran.err.contains("connecting")
            && ran.err.contains("assigning, next poll in")
    );
    let json: serde_json::Value = serde_json::from_str(&ran.out).expect("JSON alone");
    for field in
        ["registrationId", "assignedHub", "deviceId", "status", "createdDateTimeUtc", "lastUpdatedDateTimeUtc", "etag"]
    {
        assert!(json[field].is_string(), "{field}: {json}");
    }
    assert_eq!(json["substatus"], "initialAssignment");
    assert_eq!(json["keyUsed"], "primary");
    let ran = run_with("register", &["--payload", r#"{"a":1}"#], &[], "");
    assert!(ran.out.starts_with("assigned hub: ") && ran.out.contains("device ID: "), "{ran:?}");
}

#[test]
fn register_over_mqtt_has_the_same_events_and_the_same_result() {
    let [https, mqtt] = ["https", "mqtt"].map(|transport| run_with("register", &["--transport", transport], &[], ""));
    assert_eq!(https.code, Some(0), "{https:?}");
    if cfg!(not(feature = "mqtt")) {
        assert!(mqtt.code == Some(1) && mqtt.err.contains("--features mqtt"), "{mqtt:?}");
        return;
    }
    let told =
        |ran: &Ran| ran.err.lines().filter(|line| !line.contains("localhost:")).map(String::from).collect::<Vec<_>>();
    assert_eq!((mqtt.code, &mqtt.out, told(&mqtt)), (Some(0), &https.out, told(&https)));
    let ran = run_with("mqtt_client", &[], &[], "");
    assert_eq!(ran.out, "mqtt-device is assigned to simulated-hub.azure-devices.net\n", "{ran:?}");
    assert!(ran.code == Some(0) && ran.err.contains("assigning, next poll in 1 s"), "{ran:?}");
}

#[cfg(feature = "x509")]
#[test]
fn register_proves_itself_with_a_certificate_and_says_what_is_wrong_with_one() {
    let root = certificates::Authority::root("root");
    let issuer = root.intermediate("intermediate");
    let device = issuer.device("dev-01");
    let group = azure_iot_dps_simulator::EnrollmentGroup::x509(
        "line-7",
        azure_iot_dps_simulator::certificates_from_pem(root.pem.as_bytes()).expect("PEM"),
    )
    .expect("certificates");
    let sim = azure_iot_dps_simulator::Simulator::builder().group(group).retry_after(std::time::Duration::ZERO).build();
    let server = sim.serve().expect("serves");
    let folder = folder("register_x509");
    let write = |name: &str, text: &str| {
        let file = folder.join(name);
        fs::write(&file, text).expect("writes");
        file.to_str().expect("text").to_owned()
    };
    let (ca, key) = (write("ca.pem", server.ca_pem()), write("key.pem", &device.key_pem));
    let (chain, leaf) = (write("chain.pem", &(device.pem.clone() + &issuer.pem)), write("leaf.pem", &device.pem));
    let host = server.endpoint().to_string();
    let service = [
        ("PROVISIONING_HOST", host.as_str()),
        ("PROVISIONING_IDSCOPE", "0ne00002193"),
        ("PROVISIONING_CA_CERT", ca.as_str()),
    ];
    let by_variables = |cert, key_name| [&service[..], &[(cert, chain.as_str()), (key_name, key.as_str())]].concat();
    for variables in [by_variables("CERTIFICATE_FILE", "KEY_FILE"), by_variables("X509_CERT_FILE", "X509_KEY_FILE")] {
        let ran = run_with("register", &[], &variables, "");
        assert!(ran.code == Some(0) && ran.out.contains("device ID:    dev-01"), "{ran:?}");
    }
    let run = |arguments: &[&str]| run_with("register", arguments, &service, "");
    let ran = run(&["--certificate", &leaf, "--private-key", &key]);
    assert!(ran.err.contains("the service needs it") && ran.err.contains("CA certificate not found"), "{ran:?}");
    let ran = run(&["--certificate", &chain, "--private-key", &key, "--registration-id", "dev-02"]);
    assert!(
        ran.code == Some(1) && ran.err.contains(r#"belongs to "dev-01", but the registration ID is "dev-02""#),
        "{ran:?}"
    );
    let ran = run(&["--certificate", &chain]);
    assert!(ran.code == Some(1) && ran.err.contains("no private key"), "{ran:?}");
    let ran = run(&["--certificate", "/nowhere/chain.pem"]);
    assert!(ran.code == Some(1) && ran.err.contains("/nowhere/chain.pem"), "{ran:?}");
}

#[test]
fn register_with_some_but_not_all_set_names_what_is_missing() {
    let ran =
        run_with("register", &[], &[("PROVISIONING_IDSCOPE", "0ne00002193"), ("PROVISIONING_SYMMETRIC_KEY", "")], "");
    assert_eq!(
        (ran.code, ran.out.as_str(), ran.err.as_str()),
        (
            Some(1),
            "",
            "error: not set: PROVISIONING_REGISTRATION_ID (or --registration-id), PROVISIONING_SYMMETRIC_KEY (or --key-file)\n"
        )
    );
    assert_eq!(run_with("register", &["--ca-cert", "/nowhere"], &[], "").code, Some(1));
}

#[test]
fn a_bad_registration_id_is_an_error_before_anything_is_sent() {
    let set = [
        ("PROVISIONING_IDSCOPE", "0ne1"),
        ("PROVISIONING_REGISTRATION_ID", "a b"),
        ("PROVISIONING_SYMMETRIC_KEY", common::KEY),
    ];
    for name in ["register", "minimal"] {
        let ran = run_with(name, &[], &set, "");
        assert_eq!((ran.code, ran.out.as_str()), (Some(1), ""));
        assert!(ran.err.contains("found ' ' at position 1") && !ran.err.contains("connecting"), "{ran:?}");
    }
}

#[test]
fn register_and_minimal_provision_against_a_service_that_is_set_and_say_what_went_wrong() {
    use azure_iot_dps_simulator::Simulator;

    let sim = Simulator::builder().assigning_polls(0).retry_after(std::time::Duration::ZERO).build();
    let server = sim.serve().expect("serves");
    let ca_file = folder("service").join("ca.pem");
    fs::write(&ca_file, server.ca_pem()).expect("writes");
    let (host, ca_file) = (server.endpoint().to_string(), ca_file.to_str().expect("UTF-8").to_owned());
    let key = common::key_of(&sim, &common::id("dev-01")).to_base64();
    let set = |scope: &'static str, key: &str| {
        [
            ("HOST", host.as_str()),
            ("CA_CERT", &ca_file),
            ("IDSCOPE", scope),
            ("REGISTRATION_ID", "dev-01"),
            ("SYMMETRIC_KEY", key),
        ]
        .map(|(name, value)| (format!("PROVISIONING_{name}"), value.to_owned()))
    };
    let run = |name: &str, set: &[(String, String)]| {
        let set: Vec<(&str, &str)> = set.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        run_with(name, &[], &set, "")
    };
    let ran = run("minimal", &set("0ne00002193", key.as_str()));
    assert_eq!((ran.code, ran.out.as_str()), (Some(0), "simulated-hub.azure-devices.net dev-01\n"), "{ran:?}");
    assert_eq!(run("register", &set("0ne00002193", key.as_str())).code, Some(0));

    let group_key = azure_iot_dps::DeviceKey::from_bytes(&[1; 64]).expect("a key").to_base64();
    for name in ["minimal", "register"] {
        let ran = run(name, &set("0ne00002193", group_key.as_str()));
        assert_eq!((ran.code, ran.out.as_str()), (Some(1), ""));
        assert!(ran.err.contains("401002") && ran.err.contains("tracking ID"), "{ran:?}");
        assert_eq!(ran.err.contains("hint: this key has 64 bytes"), name == "register");
        assert!(run(name, &set("0ne99999999", key.as_str())).err.contains("status 404"));
    }
}

/// A simulated service for one test, and the variables that direct the examples to it.
fn service(
    name: &str,
) -> (azure_iot_dps_simulator::Simulator, azure_iot_dps_simulator::SimulatorServer, Vec<(&'static str, String)>) {
    let builder = azure_iot_dps_simulator::Simulator::builder().assigning_polls(0);
    let sim = builder.retry_after(std::time::Duration::ZERO).build();
    let server = sim.serve().expect("serves");
    let ca_file = folder(name).join("ca.pem");
    fs::write(&ca_file, server.ca_pem()).expect("writes");
    let key = common::key_of(&sim, &common::id("dev-01")).to_base64();
    let set = vec![
        ("PROVISIONING_HOST", server.endpoint().to_string()),
        ("PROVISIONING_CA_CERT", ca_file.to_str().expect("UTF-8").to_owned()),
        ("PROVISIONING_IDSCOPE", sim.id_scope().to_string()),
        ("PROVISIONING_REGISTRATION_ID", "dev-01".to_owned()),
        ("PROVISIONING_SYMMETRIC_KEY", key.as_str().to_owned()),
    ];
    (sim, server, set)
}

/// Returns the numbers of registrations and messages.
fn asked_for(sim: &azure_iot_dps_simulator::Simulator) -> [usize; 2] {
    use azure_iot_dps_simulator::{Asked, Record};
    let count = |wanted: fn(&Asked) -> bool| {
        sim.records().iter().filter(|it| matches!(it, Record::Request { asked, .. } if wanted(asked))).count()
    };
    [count(|it| matches!(it, Asked::Register { .. })), count(|it| matches!(it, Asked::SendMessage { .. }))]
}

#[test]
fn send_telemetry_with_nothing_set_sends_three_messages_to_a_simulated_hub() {
    let ran = run_with("send_telemetry", &["--interval", "0"], &[], "");
    let expected =
        "sent 1 of 3\nacknowledged 1 of 3\nsent 2 of 3\nacknowledged 2 of 3\nsent 3 of 3\nacknowledged 3 of 3\n";
    assert_eq!((ran.code, ran.out.as_str()), (Some(0), expected), "{ran:?}");
    assert!(ran.err.contains("simulated service") && ran.err.contains("simulated-device-1 belongs to"), "{ran:?}");
    let ran = run_with("send_telemetry", &["--count", "1", "--json"], &[], "");
    let (json, rest) = ran.out.split_once('\n').expect("lines");
    let json: serde_json::Value = serde_json::from_str(json).expect("JSON");
    assert_eq!((json["deviceId"].as_str(), rest), (Some("simulated-device-1"), "sent 1 of 1\nacknowledged 1 of 1\n"));
}

#[test]
fn send_telemetry_with_a_store_registers_once_and_again_where_the_hub_has_forgotten_the_device() {
    let (sim, server, set) = service("send_telemetry");
    let set: Vec<(&str, &str)> = set.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let store = folder("send_telemetry_store").join("assignment");
    let hub = server.endpoint().to_string();
    let arguments = ["--count", "2", "--interval", "0", "--message", r#"{"t":21}"#, "--fleet-spread", "0"];
    let arguments = [&arguments[..], &["--hub-endpoint", &hub, "--store"]].concat();
    let run = |set: &[(&str, &str)]| {
        run_with("send_telemetry", &[&arguments[..], &[store.to_str().expect("UTF-8")]].concat(), set, "")
    };
    let first = run(&set);
    assert_eq!((first.code, asked_for(&sim)), (Some(0), [1, 2]), "{first:?}");
    assert!(first.err.contains("connecting"));
    assert_eq!(server.connections(), 2, "one to the service, one to the hub");
    let second = run(&set);
    assert_eq!((second.code, second.out, asked_for(&sim)), (Some(0), first.out, [1, 4]), "{:?}", second.err);
    assert!(!second.err.contains("connecting") && second.err.contains("loaded the stored assignment"));
    let messages = sim.records().into_iter().filter_map(|record| match record {
        azure_iot_dps_simulator::Record::Telemetry { body, .. } => Some(body),
        _ => None,
    });
    assert_eq!(messages.collect::<Vec<_>>(), [b"{\"t\":21}"; 4]);

    // The lookup meets the same 404: there is nothing to look up, so it registers.
    sim.device(&common::id("dev-01")).answer(404).times(2);
    let third = run(&set);
    assert_eq!((third.code, asked_for(&sim)), (Some(0), [2, 7]), "{third:?}");
    assert!(third.out.starts_with("sent 1 of 2\nsent 1 of 2\nacknowledged 1 of 2\n"), "{third:?}");
    assert!(third.err.contains("the hub refused the message with status 404, looking the assignment up"), "{third:?}");
}

#[test]
fn send_telemetry_says_what_is_wrong_and_gives_up_when_its_time_is_over() {
    let (sim, server, set) = service("send_telemetry_wrong");
    let set: Vec<(&str, &str)> = set.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let ran = run_with("send_telemetry", &["--message", "{"], &set, "");
    assert_eq!((ran.code, ran.out.as_str()), (Some(1), ""));
    assert!(ran.err.contains("--message: not JSON"), "{ran:?}");
    assert_ne!(run_with("send_telemetry", &["--hub-endpoint", "https://x"], &set, "").code, Some(0));

    // Nothing listens on port 1, and the first wait is longer than the deadline.
    let ran = run_with("send_telemetry", &["--hub-endpoint", "localhost:1", "--deadline", "1"], &set, "");
    assert_eq!((ran.code, ran.out.as_str()), (Some(1), ""), "{ran:?}");
    assert!(ran.err.contains("error: the hub cannot be reached: "), "{ran:?}");
    // A hub that cannot be reached during one run is no reason to register. Otherwise a fleet that cron
    // runs would register after an outage.
    let kept = folder("send_telemetry_gone").join("assignment");
    let gone = ["--hub-endpoint", "localhost:1", "--deadline", "1", "--store", kept.to_str().expect("UTF-8")];
    let before = asked_for(&sim)[0];
    for _ in 0..2 {
        assert_eq!(run_with("send_telemetry", &gone, &set, "").code, Some(1));
        assert_eq!(asked_for(&sim)[0], before + 1, "the first run alone");
    }
    // After half an hour it is a reason to ask the service, even if each run is short.
    let patience = kept.with_extension("hub");
    let state = fs::read(&patience).expect("is kept");
    let state: azure_iot_dps::hub::ReconnectionState = serde_json::from_slice(&state).expect("JSON");
    let long_ago = std::time::Duration::from_secs(2 * 3600);
    let state = azure_iot_dps::hub::Reconnection::restore(common::id("dev-01"), state, std::time::Duration::ZERO)
        .state(long_ago);
    fs::write(&patience, serde_json::to_vec(&state).expect("JSON")).expect("writes");
    let ran = run_with("send_telemetry", &gone, &set, "");
    assert!(ran.code == Some(1) && ran.err.contains("looking the assignment up"), "{ran:?}");
    assert_eq!(asked_for(&sim)[0], before + 2, "then it registers");

    let hub = server.endpoint().to_string();
    let nowhere = folder("send_telemetry_nowhere").join("missing").join("assignment");
    let store = nowhere.to_str().expect("UTF-8");
    let ran = run_with("send_telemetry", &["--count", "1", "--hub-endpoint", &hub, "--store", store], &set, "");
    assert_eq!((ran.code, ran.out.as_str()), (Some(0), "sent 1 of 1\nacknowledged 1 of 1\n"), "{ran:?}");
    assert!(ran.err.contains("warning: the stored assignment could not be read or written: "), "{ran:?}");
}

#[test]
fn boot_registers_once_feeds_its_watchdog_and_gets_through_to_a_hub_that_has_forgotten_the_device() {
    let (sim, server, set) = service("boot");
    let set: Vec<(&str, &str)> = set.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let folder = folder("boot_store");
    let (store, watchdog) = (folder.join("assignment"), folder.join("watchdog"));
    fs::write(&watchdog, "").expect("writes");
    let hub = server.endpoint().to_string();
    let (store, dog) = (store.to_str().expect("UTF-8"), watchdog.to_str().expect("UTF-8"));
    let arguments = ["--store", store, "--watchdog", dog, "--hub-endpoint", &hub, "--fleet-spread", "0"];
    let boot = || run_with("boot", &arguments, &set, "");
    let ran = boot();
    assert_eq!((ran.code, asked_for(&sim)), (Some(0), [1, 1]), "{ran:?}");
    let told = ["looking for an assignment in ", "connecting", "assigned", "connects to ", "has the first message"];
    let told = told.map(|words| ran.err.find(words).unwrap_or_else(|| panic!("{words}: {ran:?}")));
    assert!(told.is_sorted(), "each step is told when it comes: {ran:?}");
    let fed = fs::metadata(&watchdog).expect("is there").len();
    assert!(fed >= 2, "fed {fed} times");
    assert_eq!((boot().code, asked_for(&sim)), (Some(0), [1, 2]));

    sim.device(&common::id("dev-01")).answer(503);
    sim.device(&common::id("dev-01")).answer(404).times(2);
    let ran = boot();
    // The lookup meets the same 404: there is nothing to look up, so it registers.
    assert_eq!((ran.code, asked_for(&sim)), (Some(0), [2, 5]), "{ran:?}");
    assert!(ran.err.contains("status 503, next try in ") && ran.err.contains("looking the assignment up"), "{ran:?}");
    assert!(fs::metadata(&watchdog).expect("is there").len() > fed + 2, "fed while it waited");
    assert!(fs::read(&watchdog).expect("is there").ends_with(b"V"), "disarmed at the end");
    assert_eq!(run_with("boot", &["--store", store, "--watchdog", "/nowhere/watchdog"], &set, "").code, Some(1));
    assert_ne!(run_with("boot", &[], &set, "").code, Some(0));
}

#[test]
fn register_goes_through_the_environments_proxy_and_minimal_leaves_the_environment_alone() {
    let (sim, server, set) = service("environment");
    let (port, log) = proxy::proxy("HTTP/1.1 200 Connection established\r\n\r\n");
    let url = format!("http://ada:s3cret%40s3cret@127.0.0.1:{port}");
    let run = |command: &[&str], more: &[(&str, &str)]| {
        let set: Vec<(&str, &str)> = set.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let ran = run_with(command[0], &command[1..], &[&set[..], more].concat(), "");
        assert!(ran.code == Some(0) && !ran.err.contains("s3cret"), "{ran:?}");
        std::mem::take(&mut *log.lock().expect("not poisoned"))
    };
    let asked = run(&["register"], &[("HTTPS_PROXY", &url)]);
    assert_eq!(asked.len(), 1, "one tunnel serves the whole registration: {asked:?}");
    // "ada:s3cret@s3cret" in base64.
    assert!(asked[0].to_ascii_lowercase().contains("proxy-authorization: basic ywrhonmzy3jldebzm2nyzxq="), "{asked:?}");
    assert!(asked[0].starts_with("CONNECT localhost:") && !asked[0].contains("SharedAccessSignature"), "{asked:?}");
    assert!(run(&["register"], &[("HTTPS_PROXY", &url), ("NO_PROXY", "localhost")]).is_empty());
    assert_eq!(run(&["register"], &[("ALL_PROXY", &format!("127.0.0.1:{port}"))]).len(), 1);
    // As with curl, lower-case names come first, and `https_proxy` comes before `all_proxy`.
    let nowhere = "http://127.0.0.1:1";
    for set in [
        &[("https_proxy", url.as_str())][..],
        &[("all_proxy", &url)],
        &[("https_proxy", &url), ("HTTPS_PROXY", nowhere)],
        &[("all_proxy", &url), ("ALL_PROXY", nowhere)],
        &[("HTTPS_PROXY", &url), ("all_proxy", nowhere)],
        &[("https_proxy", &url), ("no_proxy", "example.net"), ("NO_PROXY", "localhost")],
    ] {
        assert_eq!(run(&["register"], set).len(), 1, "{set:?}");
    }
    assert!(run(&["register"], &[("https_proxy", &url), ("no_proxy", "localhost")]).is_empty());
    assert!(run(&["minimal"], &[("HTTPS_PROXY", &url), ("ALL_PROXY", &url)]).is_empty());
    assert_eq!(asked_for(&sim)[0], 11);
    // The connection to the hub obeys the same setting.
    let hub = server.endpoint().to_string();
    let telemetry = ["send_telemetry", "--count", "1", "--deadline", "30", "--hub-endpoint", &hub];
    assert_eq!(run(&telemetry, &[("HTTPS_PROXY", &url)]).len(), 2, "the service's and the hub's");
    assert!(run(&telemetry, &[("HTTPS_PROXY", &url), ("NO_PROXY", ".localhost")]).is_empty());
    let set: Vec<(&str, &str)> = set.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let ran = run_with("register", &[], &[&set[..], &[("HTTPS_PROXY", "ftp://ada:s3cret@proxy.example")]].concat(), "");
    assert!(ran.code == Some(1) && !ran.err.contains("s3cret"), "{ran:?}");
}

#[test]
fn a_modems_stack_and_an_async_loop_provision_a_device_too() {
    let ran = run_with("custom_transport", &[], &[], "");
    assert_eq!(ran.out, "assigned hub: simulated-hub.azure-devices.net\ndevice ID:    modem-device-1\n", "{ran:?}");
    for told in
        ["no connection could be made, next try", "no complete answer arrived in time, next try", "TIMEOUT\",70"]
    {
        assert!(ran.err.contains(told), "{told}: {ran:?}");
    }
    assert!(ran.code == Some(0) && !ran.err.contains("SharedAccessSignature"), "{ran:?}");
    let assigned = "assigned hub: simulated-hub.azure-devices.net\ndevice ID:    async-device-1\n";
    let ran = run_with("async_by_hand", &[], &[], "");
    assert_eq!((ran.code, ran.out.as_str()), (Some(0), assigned), "{ran:?}");
    let ran = run_with("async_blocking", &[], &[], "");
    assert!(ran.code == Some(0) && ran.out.starts_with(assigned) && ran.out.contains("\ncancelled: "), "{ran:?}");
}

#[cfg(feature = "mqtt-websocket")]
#[test]
fn register_through_a_websocket_has_the_same_result() {
    let https = run_with("register", &[], &[], "");
    for transport in ["mqtt-ws", "mqtt-auto"] {
        let ran = run_with("register", &["--transport", transport], &[], "");
        assert_eq!((ran.code, &ran.out), (Some(0), &https.out), "{ran:?}");
    }
}

#[test]
fn mqtt_hub_with_nothing_set_exchanges_messages_with_a_simulated_hub() {
    let ran = run_with("mqtt_hub", &["--count", "2"], &[], "");
    let mut said: Vec<&str> = ran.out.lines().collect();
    said.sort_unstable();
    assert_eq!(
        (ran.code, said),
        (Some(0), vec!["received hello, device", "sent message 1 of 2", "sent message 2 of 2"])
    );
}
