//! Byte streams with a deadline: a socket, and TLS on it, directly or through a proxy.

#[cfg(feature = "proxy")]
use alloc::boxed::Box;
use alloc::sync::Arc;
use core::time::Duration;
use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::time::Instant;

use rustls::{ClientConnection, StreamOwned};

use super::failure::is_hang_up;
#[cfg(feature = "https")]
use super::limits::after;

/// The time limit for reading the rest of a TLS record that has begun to arrive.
#[cfg(feature = "https")]
const PROBE_LIMIT: Duration = Duration::from_secs(1);

/// A socket that fails with a timeout at its deadline.
pub(super) struct Socket {
    tcp: Arc<TcpStream>,
    until: Instant,
}

impl Socket {
    pub(super) fn new(tcp: Arc<TcpStream>, until: Instant) -> Self {
        Self { tcp, until }
    }

    fn left(&self) -> io::Result<Option<Duration>> {
        let left = self.until.saturating_duration_since(Instant::now());
        if left.is_zero() { Err(io::ErrorKind::TimedOut.into()) } else { Ok(Some(left)) }
    }
}

/// Maps both errors that systems report for a socket's timeout to one.
fn timed_out<T>(result: io::Result<T>) -> io::Result<T> {
    result.map_err(|error| match error.kind() {
        io::ErrorKind::WouldBlock => io::ErrorKind::TimedOut.into(),
        _ => error,
    })
}

impl Read for Socket {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.tcp.set_read_timeout(self.left()?)?;
        timed_out((&*self.tcp).read(buffer))
    }
}

impl Write for Socket {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.tcp.set_write_timeout(self.left()?)?;
        timed_out((&*self.tcp).write(bytes))
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The stream below TLS to the service.
pub(super) enum Lower {
    Direct(Socket),
    /// TLS to the proxy itself.
    #[cfg(feature = "proxy")]
    Proxy(Box<StreamOwned<ClientConnection, Socket>>),
}

impl Lower {
    fn socket(&mut self) -> &mut Socket {
        match self {
            Self::Direct(socket) => socket,
            #[cfg(feature = "proxy")]
            Self::Proxy(stream) => &mut stream.sock,
        }
    }
}

impl Read for Lower {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Direct(socket) => socket.read(buffer),
            #[cfg(feature = "proxy")]
            Self::Proxy(stream) => stream.read(buffer),
        }
    }
}

impl Write for Lower {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Direct(socket) => socket.write(bytes),
            #[cfg(feature = "proxy")]
            Self::Proxy(stream) => stream.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Direct(socket) => socket.flush(),
            #[cfg(feature = "proxy")]
            Self::Proxy(stream) => stream.flush(),
        }
    }
}

/// A connection to the service.
pub(in crate::transport) struct TlsStream(StreamOwned<ClientConnection, Lower>);

impl TlsStream {
    /// Performs the TLS handshake.
    pub(super) fn new(mut tls: ClientConnection, mut lower: Lower) -> io::Result<Self> {
        match tls.complete_io(&mut lower) {
            Ok(_) => Ok(Self(StreamOwned::new(tls, lower))),
            Err(error) => Err(last_word(&mut tls, &mut lower, error)),
        }
    }

    /// Sets the time after which reads and writes fail with [`io::ErrorKind::TimedOut`].
    pub(in crate::transport) fn set_deadline(&mut self, until: Instant) {
        self.0.sock.socket().until = until;
    }

    /// Returns whether the peer has neither closed the connection nor sent unexpected data.
    #[cfg(feature = "https")]
    pub(in crate::transport) fn is_open(&mut self) -> bool {
        // Servers may send TLS 1.3 session tickets at any time, so waiting data must be decrypted.
        self.set_deadline(after(PROBE_LIMIT));
        loop {
            let tcp = &self.0.sock.socket().tcp;
            let waiting = tcp.set_nonblocking(true).and_then(|()| tcp.peek(&mut [0]));
            let restored = tcp.set_nonblocking(false).is_ok();
            match waiting {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return restored,
                Ok(1..) if restored => {}
                _ => return false,
            }
            let read = self.0.conn.read_tls(&mut self.0.sock).map(|_| self.0.conn.process_new_packets());
            let nothing_came =
                |state: &rustls::IoState| state.plaintext_bytes_to_read() == 0 && !state.peer_has_closed();
            if !matches!(read, Ok(Ok(state)) if nothing_came(&state)) {
                return false;
            }
        }
    }

    /// Announces the end of the connection to the peer, without waiting for an answer.
    #[cfg(feature = "mqtt")]
    pub(in crate::transport) fn close(&mut self) {
        self.0.conn.send_close_notify();
        // The peer may be gone already.
        let _ = self.0.flush();
    }
}

impl Read for TlsStream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.read(buffer)
    }
}

impl Write for TlsStream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.0.write(bytes);
        written.map_err(|error| last_word(&mut self.0.conn, &mut self.0.sock, error))
    }

    fn flush(&mut self) -> io::Result<()> {
        let flushed = self.0.flush();
        flushed.map_err(|error| last_word(&mut self.0.conn, &mut self.0.sock, error))
    }
}

/// Replaces the error of a write to a peer that hung up by the peer's last alert, if there is one.
///
/// A server may refuse a client certificate after the client has begun to write.
fn last_word(tls: &mut ClientConnection, lower: &mut Lower, error: io::Error) -> io::Error {
    if !is_hang_up(&error) {
        return error;
    }
    while let Ok(1..) = tls.read_tls(lower) {
        if let Err(alert) = tls.process_new_packets() {
            return io::Error::new(io::ErrorKind::InvalidData, alert);
        }
    }
    error
}
