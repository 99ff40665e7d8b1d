//! Runs the example `diagnose`, and makes what it is run against.
#![allow(unreachable_pub, clippy::expect_used, clippy::panic, reason = "a test may panic")]

use std::fs;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::Command;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use azure_iot_dps::DeviceKey;
use azure_iot_dps::time::UnixTime;
use azure_iot_dps_simulator::{Simulator, SimulatorServer};

use crate::common::{self, folder, id};
use crate::peer::{Peer, http};

/// What the program printed.
#[derive(Debug)]
pub struct Ran {
    pub code: Option<i32>,
    pub out: String,
    pub err: String,
}

pub type Variables = Vec<(&'static str, String)>;

/// Runs the program, and searches what it prints for secrets.
pub fn diagnose(arguments: &[&str], variables: &Variables) -> Ran {
    let ran = run(arguments, variables);
    let key = variables.iter().find(|(name, key)| *name == "PROVISIONING_SYMMETRIC_KEY" && !key.is_empty());
    for secret in key.map(|(_, key)| key.as_str()).into_iter().chain(["SharedAccessSignature", "sig=", "s3cret"]) {
        assert!(!ran.out.contains(secret) && !ran.err.contains(secret), "{secret}: {ran:?}");
    }
    ran
}

/// Runs the program with a time limit that no check exceeds, however busy the machine is, unless the
/// arguments have one.
pub fn run(arguments: &[&str], variables: &Variables) -> Ran {
    let suite = std::env::current_exe().expect("a path");
    let examples = suite.parent().and_then(|deps| deps.parent()).expect("a folder").join("examples");
    let program = examples.join(format!("diagnose{}", std::env::consts::EXE_SUFFIX));
    assert!(program.exists(), "{} is not built: `cargo test` without a test's name builds it", program.display());
    let mut command = Command::new(program);
    for (variable, _) in std::env::vars().filter(|(name, _)| {
        name.starts_with("PROVISIONING_")
            || name.to_ascii_uppercase().ends_with("_PROXY")
            || ["CERTIFICATE_FILE", "KEY_FILE", "X509_CERT_FILE", "X509_KEY_FILE"].contains(&name.as_str())
    }) {
        command.env_remove(variable);
    }
    if !arguments.contains(&"--time-limit") {
        command.args(["--time-limit", "120"]);
    }
    let output = command.args(arguments).envs(variables.iter().cloned()).output().expect("runs");
    let text = |bytes| String::from_utf8(bytes).expect("UTF-8");
    Ran { code: output.status.code(), out: text(output.stdout), err: text(output.stderr) }
}

/// Runs the program with a short time limit in seconds, so that these checks fail.
///
/// On a machine that is busy, other checks may exceed it, too. Then the limit is a longer one.
#[track_caller]
pub fn with_time_limit(names: &[&str], run: impl Fn(u64) -> Ran) -> Ran {
    let mut ran = run(1);
    for limit in [5, 20, 60] {
        if ran.failed() != names {
            ran = run(limit);
        }
    }
    ran.fails_in(names);
    ran
}

/// Runs the program against something that never answers, so that these checks fail.
#[track_caller]
pub fn diagnose_silence(names: &[&str], arguments: &[&str], variables: &Variables) -> Ran {
    with_time_limit(names, |limit| diagnose(&[arguments, &["--time-limit", &limit.to_string()]].concat(), variables))
}

impl Ran {
    /// The whole of each check of this name: its first line and what is indented beneath it.
    pub fn checks(&self, name: &str) -> Vec<String> {
        let mut all: Vec<String> = Vec::new();
        for line in self.out.lines() {
            match all.last_mut() {
                Some(last) if line.starts_with("  ") => last.extend(["\n", line]),
                _ => all.push(line.to_owned()),
            }
        }
        all.retain(|check| check.split_whitespace().nth(1) == Some(name));
        all.iter().map(|check| check.split_whitespace().collect::<Vec<_>>().join(" ")).collect()
    }

    /// Asserts that the only check of this name, or the first, has this status and these words.
    #[track_caller]
    pub fn says(&self, status: &str, name: &str, words: &[&str]) {
        let checks = self.checks(name);
        let check = checks.first().unwrap_or_else(|| panic!("no {name}: {self:?}"));
        assert!(check.starts_with(status), "{check}\n{self:?}");
        for word in words {
            assert!(check.contains(word), "not {word:?}: {check}\n{self:?}");
        }
        assert_eq!(check.contains(" what to do: "), status == "FAIL", "{check}");
    }

    /// Returns the names of the checks that failed.
    pub fn failed(&self) -> Vec<&str> {
        let failed = |line: &&str| line.starts_with("FAIL  ");
        self.out.lines().filter(failed).filter_map(|line| line.split_whitespace().nth(1)).collect()
    }

    /// Asserts that these checks failed, and no others.
    #[track_caller]
    pub fn fails_in(&self, names: &[&str]) {
        assert_eq!(self.failed(), names, "{}\n{}", self.out, self.err);
        assert_eq!(self.code, Some(i32::from(!names.is_empty())), "{self:?}");
    }
}

/// Leads the program to this endpoint, with this authority to trust in addition.
pub fn service(name: &str, host: String, ca_pem: &str) -> Variables {
    let ca = folder(&format!("diagnose_{name}")).join("ca.pem");
    fs::write(&ca, ca_pem).expect("writes");
    let ca = ca.to_str().expect("UTF-8").to_owned();
    vec![("PROVISIONING_HOST", host), ("PROVISIONING_CA_CERT", ca)]
}

/// Adds a device.
pub fn with_device(mut variables: Variables, id_scope: &str, key: &DeviceKey) -> Variables {
    variables.push(("PROVISIONING_IDSCOPE", id_scope.to_owned()));
    variables.push(("PROVISIONING_REGISTRATION_ID", "dev-01".to_owned()));
    variables.push(("PROVISIONING_SYMMETRIC_KEY", key.to_base64().as_str().to_owned()));
    variables
}

/// A simulated service, its port for MQTT, and the variables of a device that it knows.
pub struct Service {
    pub sim: Simulator,
    pub server: SimulatorServer,
    pub mqtt_port: String,
    pub variables: Variables,
}

impl Service {
    pub fn new(name: &str) -> Self {
        let sim = Simulator::builder().assigning_polls(0).retry_after(Duration::ZERO).build();
        let server = sim.serve().expect("serves");
        let mqtt_port = server.mqtt_endpoint().and_then(|endpoint| endpoint.port()).expect("a port").to_string();
        let variables = service(name, server.endpoint().to_string(), server.ca_pem());
        let key = common::key_of(&sim, &id("dev-01"));
        let variables = with_device(variables, sim.id_scope().as_str(), &key);
        Self { sim, server, mqtt_port, variables }
    }

    pub fn diagnose(&self) -> Ran {
        self.diagnose_with(&[])
    }

    /// Runs the program with other values of some variables.
    pub fn diagnose_with(&self, others: &[(&'static str, &str)]) -> Ran {
        let mut variables = self.variables.clone();
        variables.retain(|(name, _)| others.iter().all(|(other, _)| name != other));
        variables.extend(others.iter().map(|(name, value)| (*name, (*value).to_owned())));
        diagnose(&["--mqtt-port", &self.mqtt_port], &variables)
    }
}

/// The variables for a peer, and a device that it may or may not know.
pub fn of_peer(name: &str, peer: &Peer) -> Variables {
    let variables = service(name, peer.endpoint().to_string(), peer.ca_pem());
    with_device(variables, "0ne00002193", &common::key())
}

/// Answers as the service does to a request without credentials, at this time.
pub fn unauthorized(date: &str) -> String {
    let headers = format!("Content-Type: application/json\r\nx-ms-request-id: 6a7b\r\nDate: {date}\r\n");
    http("401 Unauthorized", &headers, r#"{"errorCode":401002,"message":"Unauthorized"}"#)
}

/// The present time as in the header `Date`.
pub fn http_date() -> String {
    let seconds = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_secs();
    let time = UnixTime::from_secs(seconds).to_string();
    let [year, month, day] = [0..4, 5..7, 8..10].map(|range| &time[range]);
    let month = month.parse::<usize>().expect("a month") * 3;
    let month = &"...JanFebMarAprMayJunJulAugSepOctNovDec"[month..month + 3];
    let weekday = usize::try_from(seconds / 86_400 % 7).expect("small") * 3;
    let weekday = &"ThuFriSatSunMonTueWed"[weekday..weekday + 3];
    format!("{weekday}, {day} {month} {year} {} GMT", &time[11..19])
}

/// A port at which nothing listens.
pub fn closed_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    listener.local_addr().expect("an address").port()
}

/// A port whose connections get these bytes after their first ones, then end.
pub fn port_saying(bytes: &'static [u8]) -> u16 {
    port_serving(move |mut stream| {
        let _ = stream.read(&mut [0; 4096]);
        let _ = stream.write_all(bytes);
    })
}

/// A port whose connections are served like that, one after the other.
pub fn port_serving(serve: impl Fn(TcpStream) + Send + 'static) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("an address").port();
    std::thread::spawn(move || listener.incoming().flatten().for_each(serve));
    port
}

/// Forwards the connections of a listener to this port of `127.0.0.1`.
pub fn forward(listener: TcpListener, port: u16) {
    std::thread::spawn(move || {
        for client in listener.incoming().flatten() {
            let Ok(server) = TcpStream::connect(("127.0.0.1", port)) else { continue };
            let copy =
                |mut from: TcpStream, mut to: TcpStream| std::thread::spawn(move || std::io::copy(&mut from, &mut to));
            let (client_too, server_too) =
                (client.try_clone().expect("a handle"), server.try_clone().expect("a handle"));
            copy(client, server);
            copy(server_too, client_too);
        }
    });
}

pub fn https_only(port: u16) -> Ran {
    let variables = vec![("PROVISIONING_HOST", format!("localhost:{port}"))];
    diagnose(&["--https-only"], &variables)
}
