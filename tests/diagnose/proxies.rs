//! Proxies that open tunnels, and proxies that do not.

use crate::program::{Service, closed_port, port_saying};
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
    ran.says("FAIL", "proxy", &["the proxy does not answer as one"]);
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
    let url = format!("http://ada:s3cret@127.0.0.1:{}", proxy::proxy("HTTP/1.1 407 No\r\n\r\n").0);
    let ran = service.diagnose_with(&[("https_proxy", &url)]);
    ran.says("FAIL", "proxy", &["refuses the user name and password (status 407)"]);
}

#[test]
fn a_variable_that_is_no_proxy_fails_proxy_and_does_not_show() {
    let ran = Service::new("bad_proxy").diagnose_with(&[("https_proxy", "socks5://ada:s3cret@127.0.0.1:1")]);
    ran.says("FAIL", "proxy", &["https_proxy: ", "must begin with http:// or https://"]);
    ran.says("pass", "tls", &[]);
}
