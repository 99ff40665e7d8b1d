//! Tests the program `dps-simulator`: its arguments, its output, and its end.
#![cfg(feature = "server")]
#![allow(clippy::expect_used, clippy::panic, reason = "a test may panic")]

use std::io::{BufRead, BufReader};
use std::net::{Ipv4Addr, TcpListener};
use std::process::{Child, Command, Stdio};

const PROGRAM: &str = env!("CARGO_BIN_EXE_dps-simulator");
const KEY: &str = "miuSB501eJKWtdSGawOlw0wbqw7z4flDPUIeAsCTiWs=";

struct Program(Child);

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn the_program_takes_enrollments_and_hubs_and_ends_at_once_on_an_interrupt() {
    let mut command = Command::new(PROGRAM);
    command.args([
        "--listen",
        "127.0.0.1:0",
        "--mqtt-listen",
        "127.0.0.1:0",
        "--id-scope",
        "0ne7",
        "--hub",
        "h.example",
        "--retry-after",
        "0",
    ]);
    command.args(["--individual", &format!("dev-01={KEY}"), "--group", &format!("line={KEY}")]);
    let mut program = Program(command.stdout(Stdio::piped()).spawn().expect("runs"));
    let mut lines = BufReader::new(program.0.stdout.take().expect("piped")).lines().map(|line| line.expect("a line"));
    assert_eq!(lines.next().as_deref(), Some("ID scope 0ne7"));
    assert!(lines.next().is_some_and(|line| line.starts_with("listening on mqtts://localhost:")));
    assert!(lines.next().is_some_and(|line| line.starts_with("listening on https://localhost:")));
    #[cfg(unix)]
    {
        // The signal of Ctrl-C.
        let pid = program.0.id().to_string();
        assert!(Command::new("kill").args(["-INT", &pid]).status().expect("runs").success());
        assert!(!program.0.wait().expect("ends").success());
    }
    let taken = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
    let taken = taken.local_addr().expect("an address").to_string();
    for wrong in [
        &["--group", "line"][..],
        &["--listen", "0.0.0.0:0"],
        &["--individual", "a b=AAAA"],
        &["--mqtt-listen", "0.0.0.0:0"],
        &["--listen", "127.0.0.1:0", "--mqtt-listen", &taken],
        &["--fault", "dev-01"],
        &["--fault", "dev-01=no"],
        &["--fault", "dev-01=99"],
        &["--fault", "dev-01=cut"],
        &["--fault", "dev-01=drop:1"],
        &["--fault", "dev-01=429*x"],
        &["--fault", "dev-01=connack:256"],
        &["--fault", "a b=429"],
        &["--x509-group", "line"],
        &["--x509-group", "line=/nowhere/root.pem"],
        &["--x509-individual", "dev-01=Cargo.toml"],
    ] {
        let output = Command::new(PROGRAM).args(wrong).output().expect("runs");
        assert_eq!((output.status.code(), output.stdout.is_empty()), (Some(1), true), "{wrong:?}");
    }
}
