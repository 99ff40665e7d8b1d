//! Time limits: no step waits longer than it may.

use std::io::{self, IsTerminal, Read, Write};
use std::net::{SocketAddr, TcpStream, ToSocketAddrs};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use rustls::{ClientConnection, StreamOwned};

/// The limits of a run.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// The limit of one connection, one handshake, or one request.
    pub(crate) step: Duration,
}

impl Limits {
    /// Returns the limit of a name lookup. The system's resolver may ask a second server after 5 s.
    fn resolve(self) -> Duration {
        self.step.saturating_mul(2)
    }

    /// Returns the limit of a status lookup and its retries.
    pub(crate) fn look_up(self) -> Duration {
        self.step.saturating_mul(3)
    }

    fn end_of_step(self) -> Instant {
        let now = Instant::now();
        now.checked_add(self.step).unwrap_or(now)
    }
}

/// The time after which a step says what it waits for.
const PATIENCE: Duration = Duration::from_secs(1);

/// Takes a step. If it takes long, a person at a terminal is told what it is.
pub(crate) fn watched<T>(what: &str, step: impl FnOnce() -> T) -> T {
    if !io::stderr().is_terminal() {
        return step();
    }
    thread::scope(|scope| {
        let (done, waiting) = mpsc::channel::<()>();
        let tell = move || {
            if waiting.recv_timeout(PATIENCE) == Err(RecvTimeoutError::Timeout) {
                eprintln!("({what} ...)");
            }
        };
        // Without a thread, the step is taken in silence.
        let _ = thread::Builder::new().spawn_scoped(scope, tell);
        let result = step();
        drop(done);
        result
    })
}

/// Resolves a name within the limit. The list is never empty.
pub(crate) fn resolve(host: &str, port: u16, limits: Limits) -> io::Result<Vec<SocketAddr>> {
    let (answer, answered) = mpsc::channel();
    let host = host.trim_matches(['[', ']']).to_owned();
    // A lookup cannot be ended. If it is too late, its thread is left behind.
    thread::Builder::new().spawn(move || {
        let found = (host.as_str(), port).to_socket_addrs().map(Vec::from_iter);
        let _ = answer.send(found);
    })?;
    let mut addresses = answered.recv_timeout(limits.resolve()).map_err(|_| io::ErrorKind::TimedOut)??;
    let mut seen = Vec::new();
    addresses.retain(|address| {
        let is_new = !seen.contains(address);
        seen.push(*address);
        is_new
    });
    if addresses.is_empty() { Err(io::ErrorKind::NotFound.into()) } else { Ok(addresses) }
}

/// A socket whose reads and writes end at a point in time.
pub(crate) struct Limited {
    socket: TcpStream,
    limits: Limits,
    until: Instant,
}

impl Limited {
    /// Connects, and begins the first step.
    pub(crate) fn connect(address: &SocketAddr, limits: Limits) -> io::Result<Self> {
        let socket = TcpStream::connect_timeout(address, limits.step)?;
        Ok(Self { socket, limits, until: limits.end_of_step() })
    }

    fn left(&self) -> io::Result<Option<Duration>> {
        let left = self.until.saturating_duration_since(Instant::now());
        if left.is_zero() { Err(io::ErrorKind::TimedOut.into()) } else { Ok(Some(left)) }
    }
}

impl Read for Limited {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.socket.set_read_timeout(self.left()?)?;
        self.socket.read(buffer)
    }
}

impl Write for Limited {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.socket.set_write_timeout(self.left()?)?;
        self.socket.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.socket.flush()
    }
}

/// A connection: a socket, or TLS over one.
pub(crate) trait Channel: Read + Write {
    /// Begins the next step, whose limit counts from now.
    fn begin_step(&mut self);
}

impl Channel for Limited {
    fn begin_step(&mut self) {
        self.until = self.limits.end_of_step();
    }
}

impl Channel for StreamOwned<ClientConnection, Box<dyn Channel>> {
    fn begin_step(&mut self) {
        self.sock.begin_step();
    }
}
