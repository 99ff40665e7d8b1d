//! The checks of names, addresses and ports.

use std::io;
use std::net::SocketAddr;
use std::thread;
use std::time::{Duration, Instant};

use crate::limits::{Limited, Limits, resolve, watched};
use crate::report::{Check, Report, describe};
use crate::setup::{Port, Protocol, Setup};

/// The most addresses that are tried.
const MOST_ADDRESSES: usize = 8;

/// Resolves the name.
pub(crate) fn check_name(setup: &Setup, report: &mut Report) -> Vec<SocketAddr> {
    let host = setup.host.as_str();
    let start = Instant::now();
    match watched(&format!("resolving {host}"), || resolve(host, 0, setup.limits)) {
        Ok(addresses) => {
            let shown: Vec<String> = addresses.iter().map(|address| address.ip().to_string()).collect();
            let detail = format!("{host} resolves to {} ({})", shown.join(", "), milliseconds(start.elapsed()));
            report.add(Check::pass("dns", detail).fact("name", host).fact("addresses", shown));
            addresses.into_iter().take(MOST_ADDRESSES).collect()
        }
        Err(error) => {
            let what_to_do = "Check the host name, the network cable or the radio link, and the DNS server that this \
                network assigns.";
            let detail = format!("{host} cannot be resolved: {}", describe(&error));
            report.add(Check::fail("dns", detail, what_to_do).fact("name", host).fact("error", describe(&error)));
            Vec::new()
        }
    }
}

/// Connects to each address at this port, and returns the first one that answers.
pub(crate) fn check_port(
    setup: &Setup,
    port: Port,
    addresses: &[SocketAddr],
    report: &mut Report,
) -> Option<SocketAddr> {
    let number = port.number;
    let addresses = addresses.iter().map(|address| SocketAddr::new(address.ip(), number)).collect::<Vec<_>>();
    let tried = watched(&format!("connecting to port {number}"), || connect_to_each(&addresses, setup.limits));
    let open = tried.iter().find(|(_, result)| result.is_ok()).map(|(address, _)| *address);
    for (address, result) in tried {
        let check = match result {
            Ok(took) => Check::pass("tcp", format!("{address} is open ({})", milliseconds(took))),
            Err(error) if open.is_some() && lacks_route(&address, &error) => Check::skip(
                "tcp",
                format!("{address}: this machine has no route for IPv6, and another address is open"),
            ),
            Err(error) => {
                let detail = format!("{address}: {}", describe(&error));
                Check::fail("tcp", detail, remedy(setup, port, &error)).fact("error", describe(&error))
            }
        };
        report.add(check.fact("address", address.ip().to_string()).fact("port", number));
    }
    open
}

fn connect_to_each(addresses: &[SocketAddr], limits: Limits) -> Vec<(SocketAddr, io::Result<Duration>)> {
    let connect = |address: &SocketAddr| {
        let start = Instant::now();
        Limited::connect(address, limits).map(|_| start.elapsed())
    };
    thread::scope(|scope| {
        let tries = addresses.iter().map(|address| {
            let thread = thread::Builder::new().spawn_scoped(scope, move || connect(address));
            (*address, thread)
        });
        // All threads are started before the first one is waited for.
        let tries = tries.collect::<Vec<_>>().into_iter();
        let result = tries.map(|(address, thread)| {
            let result = thread.and_then(|thread| thread.join().unwrap_or(Err(io::ErrorKind::Other.into())));
            (address, result)
        });
        result.collect()
    })
}

/// Returns whether the machine has no IPv6, which is no fault if the service has other addresses.
fn lacks_route(address: &SocketAddr, error: &io::Error) -> bool {
    use io::ErrorKind::{AddrNotAvailable, HostUnreachable, NetworkUnreachable};
    address.is_ipv6() && matches!(error.kind(), AddrNotAvailable | HostUnreachable | NetworkUnreachable)
}

fn remedy(setup: &Setup, port: Port, error: &io::Error) -> String {
    let (host, number) = (&setup.host, port.number);
    let limit = setup.limits.step.as_secs();
    let cause = match error.kind() {
        io::ErrorKind::TimedOut => {
            format!("Nothing answers within {limit} s: a firewall probably drops the connection.")
        }
        io::ErrorKind::ConnectionRefused => "A firewall rejects the connection, or nothing listens there.".into(),
        _ => "Check the network and its route to the Internet.".into(),
    };
    let otherwise = match port.protocol {
        Protocol::Https => "",
        Protocol::Mqtt => ", or use HTTPS or MQTT over WebSocket, which do not need it",
    };
    format!("{cause} Allow outgoing connections to {host}, port {number}{otherwise}.")
}

fn milliseconds(duration: Duration) -> String {
    format!("{} ms", duration.as_millis())
}
