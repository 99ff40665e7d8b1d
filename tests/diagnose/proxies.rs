//! Proxies that open tunnels, and proxies that do not.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::sleep;
use std::time::Duration;

use crate::peer::{self, Exchange, Peer, say};
use crate::program::{
    Service, closed_port, diagnose, diagnose_silence, http_date, of_peer, port_saying, port_serving, service,
    unauthorized, with_time_limit,
};
use crate::proxy;

#[test]
fn a_proxy_that_opens_tunnels_passes_and_takes_the_place_of_direct_connections() {
    let service = Service::new("proxy");
    let (port, asked) = proxy::proxy("HTTP/1.1 200 OK\r\n\r\n");
    let url = format!("http://ada:s3cret@127.0.0.1:{port}");
    let ran = service.diagnose_with(&[("https_proxy", &url)]);
    ran.fails_in(&[]);
    ran.says("pass", "proxy", &[&format!("127.0.0.1:{port} (https_proxy) opens a tunnel to localhost")]);
    ran.says("skip", "dns", &["by the proxy"]);
    ran.says("skip", "tcp", &["through the proxy"]);
    ran.says("pass", "tls", &["TLS 1.3"]);
    ran.says("pass", "credential", &[]);
    let asked = asked.lock().expect("not poisoned");
    assert!(asked.iter().all(|head| head.contains("Proxy-Authorization: Basic YWRhOnMzY3JldA==")), "{asked:?}");
    let ran = service.diagnose_with(&[("ALL_PROXY", &url), ("no_proxy", "localhost")]);
    ran.fails_in(&[]);
    ran.says("skip", "proxy", &["ALL_PROXY names 127.0.0.1:", "no_proxy exempts localhost"]);
    ran.says("pass", "tcp", &[]);
    let (port, _) = proxy::proxy("HTTP/1.1 200 OK\n\n");
    service.diagnose_with(&[("https_proxy", &format!("http://127.0.0.1:{port}"))]).fails_in(&[]);
}

#[test]
fn the_tunnel_and_the_handshake_have_a_limit_each() {
    let ran = with_time_limit(&[], |limit| {
        // More than half of the limit for each, so that both exceed it together.
        let long = Duration::from_secs(limit) * 3 / 5;
        let now = http_date();
        let peer = Peer::serving(
            |_| {},
            move |stream, log| {
                sleep(long);
                let answer = |_: &Exchange<'_>, stream: &mut peer::Stream| say(stream, unauthorized(&now).as_bytes());
                peer::serve(stream, log, &answer);
            },
        );
        let (port, _) = proxy::proxy_that(move |_| {
            sleep(long);
            "HTTP/1.1 200 OK\r\n\r\n"
        });
        let mut variables = service("slow_proxy", peer.endpoint().to_string(), peer.ca_pem());
        variables.push(("https_proxy", format!("http://127.0.0.1:{port}")));
        diagnose(&["--https-only", "--time-limit", &limit.to_string()], &variables)
    });
    ran.says("pass", "http", &[]);
}

#[test]
fn a_second_connection_that_is_refused_fails_tls() {
    let peer = Peer::saying(Vec::new());
    let asked = AtomicUsize::new(0);
    let (port, _) = proxy::proxy_that(move |_| match asked.fetch_add(1, Ordering::Relaxed) {
        0 => "HTTP/1.1 200 OK\r\n\r\n",
        _ => "HTTP/1.1 403 Forbidden\r\n\r\n",
    });
    let mut variables = of_peer("second", &peer);
    variables.push(("https_proxy", format!("http://127.0.0.1:{port}")));
    let ran = diagnose(&["--https-only"], &variables);
    ran.fails_in(&["tls"]);
    ran.says("FAIL", "tls", &["the second connection failed: the proxy refuses a tunnel", "limits the number"]);
    for name in ["http", "clock", "credential"] {
        ran.says("skip", name, &["because tls failed"]);
    }
}

#[test]
fn a_proxy_that_is_closed_fails_proxy_and_skips_what_needs_it() {
    let service = Service::new("closed_proxy");
    let url = format!("http://ada:s3cret@127.0.0.1:{}", closed_port());
    let ran = service.diagnose_with(&[("HTTPS_PROXY", &url)]);
    ran.fails_in(&["proxy", "proxy"]);
    ran.says(
        "FAIL",
        "proxy",
        &["(HTTPS_PROXY): the proxy cannot be reached: connection refused", "that the proxy runs"],
    );
    for name in ["tcp", "tls", "http", "clock", "credential"] {
        ran.says("skip", name, &["because proxy failed"]);
    }
    let ran = service.diagnose_with(&[("https_proxy", "http://proxy.invalid:3128")]);
    ran.fails_in(&["proxy", "proxy"]);
    ran.says("FAIL", "proxy", &["the proxy's name cannot be resolved"]);
    let ran =
        service.diagnose_with(&[("https_proxy", &format!("http://127.0.0.1:{}", port_saying(b"220 ready\r\n\r\n")))]);
    ran.fails_in(&["proxy", "proxy"]);
    ran.says("FAIL", "proxy", &["the proxy does not answer as one: its answer is not HTTP"]);
}

#[test]
fn a_proxy_with_a_head_without_an_end_or_no_answer_fails_proxy() {
    let long = port_serving(|mut stream| {
        let _ = stream.read(&mut [0; 4096]);
        let _ = stream.write_all(format!("HTTP/1.1 200 OK\r\nX-Long: {}", "x".repeat(16 * 1024)).as_bytes());
    });
    let silent = TcpListener::bind("127.0.0.1:0").expect("a port");
    let silent_port = silent.local_addr().expect("an address").port();
    for (port, words) in [
        (long, "the proxy does not answer as one: its answer is too long"),
        (silent_port, "the proxy does not answer in time"),
    ] {
        let proxy = vec![("https_proxy", format!("http://127.0.0.1:{port}"))];
        let ran = diagnose_silence(&["proxy"], &["--https-only", "--host", "localhost"], &proxy);
        ran.says("FAIL", "proxy", &[words]);
    }
}

#[test]
fn an_https_proxy_that_is_not_trusted_or_does_not_speak_tls_fails_proxy() {
    let service = Service::new("https_proxy");
    let peer = Peer::saying(Vec::new());
    let plain = port_saying(b"HTTP/1.1 400 Bad Request\r\n\r\n");
    for (port, why) in [(peer.port, "invalid peer certificate"), (plain, "corrupt message")] {
        let ran = service.diagnose_with(&[("https_proxy", &format!("https://localhost:{port}"))]);
        ran.fails_in(&["proxy", "proxy"]);
        ran.says("FAIL", "proxy", &["no TLS to the proxy: ", why, "Check the proxy's URL and its certificate"]);
    }
}

#[test]
fn a_proxy_that_refuses_fails_proxy() {
    let service = Service::new("refusing_proxy");
    let refuse = |answer: &'static str| {
        let url = format!("http://127.0.0.1:{}", proxy::proxy(answer).0);
        service.diagnose_with(&[("https_proxy", &url)])
    };
    let ran = refuse("HTTP/1.1 403 Forbidden\r\n\r\n");
    ran.fails_in(&["proxy", "proxy"]);
    ran.says("FAIL", "proxy", &["refuses a tunnel to localhost", "(status 403)", "allow CONNECT to localhost"]);
    assert!(ran.checks("proxy")[1].contains("Or use HTTPS or MQTT over WebSocket"), "{ran:?}");
    let ran = refuse("HTTP/1.1 407 Proxy Authentication Required\r\n\r\n");
    ran.says("FAIL", "proxy", &["requires a user name and password (status 407)"]);
    // Another port does not help.
    assert!(!ran.checks("proxy")[1].contains("Or use HTTPS"), "{ran:?}");
    for (answer, words) in [
        (
            "HTTP/1.1 407 No\r\nProxy-Authenticate: Negotiate\r\nproxy-authenticate: NTLM\r\n\r\n",
            "requires an authentication scheme other than Basic, the only supported one (status 407)",
        ),
        (
            "HTTP/1.1 401 No\r\nProxy-Authenticate: Digest realm=x, Basic realm=x\r\n\r\n",
            "requires a user name and password (status 401)",
        ),
        ("HTTP/1.1 302 Found\r\nLocation: http://portal.example/\r\n\r\n", "refuses a tunnel to localhost"),
        ("HTTP/1.1 408 Request Timeout\r\n\r\n", "the proxy answered 408 what to do: Wait, then try again"),
        ("HTTP/1.1 429 Too Many Requests\r\n\r\n", "the proxy answered 429 what to do: Wait, then try again"),
        ("HTTP/1.1 503 Service Unavailable\n\n", "the proxy answered 503 what to do: Wait, then try again"),
    ] {
        let ran = refuse(answer);
        ran.fails_in(&["proxy", "proxy"]);
        ran.says("FAIL", "proxy", &[words]);
    }
    let url = format!("http://ada:s3cret@127.0.0.1:{}", proxy::proxy("HTTP/1.1 407 No\r\n\r\n").0);
    let ran = service.diagnose_with(&[("https_proxy", &url)]);
    ran.says("FAIL", "proxy", &["refuses the user name and password (status 407)"]);
}

#[test]
fn a_variable_that_is_no_proxy_fails_proxy_and_does_not_show() {
    let service = Service::new("bad_proxy");
    let proxy = ("https_proxy", "socks5://ada:s3cret@127.0.0.1:1");
    let ran = service.diagnose_with(&[proxy]);
    ran.fails_in(&["proxy"]);
    ran.says("FAIL", "proxy", &["https_proxy: ", "must begin with http:// or https://"]);
    ran.says("pass", "tls", &[]);
    ran.says("skip", "credential", &["because proxy failed"]);
    let ran = service.diagnose_with(&[proxy, ("PROVISIONING_SYMMETRIC_KEY", "s3cret!s3cret")]);
    ran.fails_in(&["proxy", "credential"]);
    ran.says("FAIL", "credential", &["PROVISIONING_SYMMETRIC_KEY"]);
}
