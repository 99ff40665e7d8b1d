//! Finds out why a device cannot be provisioned: checks names, ports, TLS, clocks and credentials.
//!
//! It registers nothing. Each check passes, fails or is skipped, and a failure says what to do. The
//! exit code is 0 if nothing failed, 1 if something failed, and 2 if the arguments are wrong.
//!
//! It takes the arguments and variables of the other examples. Without an ID scope, a registration
//! ID and a key, the credential is skipped. With nothing set it checks a simulated service inside
//! the process.

mod certificates;
mod credential;
mod http;
mod limits;
mod network;
mod proxy;
mod report;
mod setup;
#[path = "../support/mod.rs"]
mod support;
mod tls;

use std::io;
use std::net::SocketAddr;
use std::process::ExitCode;
use std::time::Duration;

use azure_iot_dps::Proxy;
use clap::Parser;
use limits::{Channel, Limited, Limits, watched};
use proxy::Route;
use report::{Check, Report};
use setup::{Credential, Port, Setup};
use support::device::DeviceArguments;
use tls::Outcome;

/// Finds out why a device cannot be provisioned with the Azure IoT Hub Device Provisioning Service.
///
/// It checks the proxy, the name, the ports, TLS and the clock from this machine, and the
/// credential with a status lookup, which registers nothing and is not billed. Keys and tokens are
/// not printed.
#[derive(Parser)]
struct Arguments {
    #[command(flatten)]
    device: DeviceArguments,
    /// The port for MQTT [default: 8883, or a simulated service's]
    #[arg(long, value_name = "PORT", value_parser = clap::value_parser!(u16).range(1..))]
    mqtt_port: Option<u16>,
    /// Do not check the port for MQTT
    #[arg(long, conflicts_with = "mqtt_port")]
    https_only: bool,
    /// The longest time of one connection, one TLS handshake or one request, for slow links
    #[arg(long, value_name = "SECONDS", default_value_t = 5, value_parser = clap::value_parser!(u64).range(1..=600))]
    time_limit: u64,
    /// Print the result as JSON
    #[arg(long)]
    json: bool,
}

impl Arguments {
    fn limits(&self) -> Limits {
        Limits { step: Duration::from_secs(self.time_limit) }
    }
}

fn main() -> ExitCode {
    // What is set in part is told line by line, so the arguments are read one by one.
    let arguments = Arguments::parse();
    let setup = match Setup::new(&arguments) {
        Ok(setup) => setup,
        Err(error) => {
            let error = support::sentence(&*error);
            eprintln!("error: {error}");
            if arguments.json {
                // If the output is closed, the exit code still tells that the arguments are wrong.
                let _ = report::print_error(&error);
            }
            return ExitCode::from(2);
        }
    };
    let ports: Vec<String> = setup.ports.iter().map(|port| port.number.to_string()).collect();
    let mut report = Report::new(arguments.json, &format!("checking {}:{}", setup.host, ports.join(" and :")));
    diagnose(&setup, &mut report);
    match report.finish() {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => support::exit(Err(error)),
    }
}

/// Where a connection begins.
enum Way<'p> {
    Address(SocketAddr),
    Tunnel(&'p Proxy),
    /// There is none, because this check failed.
    Closed(&'static str),
}

impl Way<'_> {
    fn open(&self, setup: &Setup, port: Port) -> io::Result<Box<dyn Channel>> {
        match self {
            Self::Address(address) => Ok(Box::new(Limited::connect(address, setup.limits)?)),
            Self::Tunnel(proxy) => {
                proxy::tunnel(proxy, setup, port.number).map_err(|failure| io::Error::other(failure.detail))
            }
            Self::Closed(_) => Err(io::ErrorKind::NotConnected.into()),
        }
    }
}

fn diagnose(setup: &Setup, report: &mut Report) {
    let host = setup.host.as_str();
    let (proxy, routes) = proxy::check(setup, report);
    let addresses = if routes.contains(&Route::Direct) {
        network::check_name(setup, report)
    } else {
        report.add(Check::skip("dns", format!("{host} is resolved by the proxy")));
        Vec::new()
    };
    let mut ways = Vec::new();
    for (port, route) in setup.ports.iter().zip(routes) {
        ways.push((*port, way(setup, *port, route, &addresses, proxy.as_ref(), report)));
    }
    let mut https = Outcome::Failed;
    let mut https_way = None;
    for (port, way) in &ways {
        let outcome = check_tls(setup, *port, way, report);
        if https_way.is_none() {
            (https, https_way) = (outcome, Some((port, way)));
        }
    }
    let (is_trusted, stream) = match (https, https_way) {
        (Outcome::Open(stream), _) => (true, Ok(stream)),
        // The answer's date shows whether the clock or the certificate is wrong. At that time, the
        // chain is trusted.
        (Outcome::OnlyAt(time), Some((port, way))) => {
            let stream = watched(&format!("TLS handshake with {host} to compare the clocks"), || {
                let lower = way.open(setup, *port)?;
                tls::handshake(lower, host, &setup.roots, Some(time)).stream
            });
            (false, stream.map(Box::new).map_err(|_| "tls"))
        }
        (_, Some((_, Way::Closed(failed)))) => (false, Err(*failed)),
        _ => (false, Err("tls")),
    };
    let mut knows_device = check_answer(setup, stream, report);
    if !is_trusted && knows_device.is_ok() {
        knows_device = Err("tls");
    }
    check_credential(setup, knows_device, report);
}

/// Checks the way to a port, up to TCP.
fn way<'p>(
    setup: &Setup,
    port: Port,
    route: Route,
    addresses: &[SocketAddr],
    proxy: Option<&'p Proxy>,
    report: &mut Report,
) -> Way<'p> {
    let (host, number) = (setup.host.as_str(), port.number);
    let (way, reason) = match (route, proxy) {
        (Route::Tunnel, Some(proxy)) => (Way::Tunnel(proxy), "the connection goes through the proxy"),
        (Route::Direct, _) if addresses.is_empty() => (Way::Closed("dns"), "because dns failed"),
        (Route::Direct, _) => {
            let open = network::check_port(setup, port, addresses, report);
            return open.map_or(Way::Closed("tcp"), Way::Address);
        }
        _ => (Way::Closed("proxy"), "because proxy failed"),
    };
    report.add(Check::skip("tcp", format!("{host}:{number}: {reason}")).fact("port", number));
    way
}

fn check_tls(setup: &Setup, port: Port, way: &Way<'_>, report: &mut Report) -> Outcome {
    let (host, number) = (setup.host.as_str(), port.number);
    if let Way::Closed(failed) = way {
        report.add(Check::skip("tls", format!("{host}:{number}: because {failed} failed")).fact("port", number));
        return Outcome::Failed;
    }
    let (check, outcome) = watched(&format!("TLS handshake with {host}:{number}"), || match way.open(setup, port) {
        Ok(lower) => tls::judge(tls::handshake(lower, host, &setup.roots, None), host, number, &setup.roots),
        Err(error) => {
            let detail = format!("{host}:{number}: the second connection failed: {}", report::describe(&error));
            let what_to_do = "Run the check again. If this persists, a firewall limits the number of connections.";
            (Check::fail("tls", detail, what_to_do).fact("port", number), Outcome::Failed)
        }
    });
    report.add(check);
    outcome
}

/// Checks the answer and the clock. Returns whether the service asks the device for credentials, or
/// which check failed.
fn check_answer(
    setup: &Setup,
    stream: Result<Box<tls::Stream>, &'static str>,
    report: &mut Report,
) -> Result<bool, &'static str> {
    let mut stream = match stream {
        Ok(stream) => stream,
        Err(failed) => {
            for name in ["http", "clock"] {
                report.add(Check::skip(name, format!("because {failed} failed")));
            }
            return Err(failed);
        }
    };
    let host = setup.host.as_str();
    let answer = watched(&format!("waiting for an answer from {host}"), || http::ask(&mut stream, setup));
    let is_good = report.add(http::check(&answer, host));
    match answer {
        Ok(answer) if is_good => {
            report.add(http::check_clock(&answer));
            Ok(answer.status != 404)
        }
        _ => {
            report.add(Check::skip("clock", "because http failed"));
            Err("http")
        }
    }
}

fn check_credential(setup: &Setup, knows_device: Result<bool, &'static str>, report: &mut Report) {
    let check = match (&setup.credential, knows_device) {
        (Credential::NotSet { missing }, _) => Check::skip("credential", format!("not set: {missing}")),
        (Credential::Wrong { problem }, _) => {
            Check::fail("credential", problem.as_str(), "Correct the argument or the variable that holds it.")
        }
        (Credential::WithoutProxy, _) => Check::skip("credential", "because proxy failed"),
        (Credential::Device(_), Err(failed)) => Check::skip("credential", format!("because {failed} failed")),
        (Credential::Device(device), Ok(knows_device)) => {
            watched("looking the assignment up", || credential::check(device, knows_device, setup.limits))
        }
    };
    report.add(check);
}
