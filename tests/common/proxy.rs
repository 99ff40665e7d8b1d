//! A small HTTP proxy that opens tunnels.
#![allow(dead_code, unreachable_pub, clippy::expect_used, reason = "each suite uses a part, and a test may panic")]

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

/// Starts a proxy that answers `CONNECT` with `answer`, and opens the tunnel if that is a 200.
///
/// Returns its port and the requests that it received.
pub fn proxy(answer: &'static str) -> (u16, Arc<Mutex<Vec<String>>>) {
    proxy_that(move |_| answer)
}

/// Starts a proxy like [`proxy`], with an answer for each target.
pub fn proxy_that(answer: impl Fn(&str) -> &'static str + Send + 'static) -> (u16, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("an address").port();
    let log = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&log);
    std::thread::spawn(move || {
        for mut client in listener.incoming().flatten() {
            let mut head = Vec::new();
            let mut byte = [0];
            while !head.ends_with(b"\r\n\r\n") && client.read_exact(&mut byte).is_ok() {
                head.push(byte[0]);
            }
            let head = String::from_utf8_lossy(&head).into_owned();
            let target = head.split(' ').nth(1).unwrap_or_default().to_owned();
            seen.lock().expect("not poisoned").push(head);
            let answer = answer(&target);
            let _ = client.write_all(answer.as_bytes());
            if !answer.starts_with("HTTP/1.1 200") {
                continue;
            }
            let Ok(server) = TcpStream::connect(target.as_str()) else { continue };
            let copy =
                |mut from: TcpStream, mut to: TcpStream| std::thread::spawn(move || std::io::copy(&mut from, &mut to));
            let (client_too, server_too) =
                (client.try_clone().expect("a handle"), server.try_clone().expect("a handle"));
            copy(client, server);
            copy(server_too, client_too);
        }
    });
    (port, log)
}
