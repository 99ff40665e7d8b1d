//! A stream that can be broken at a given byte.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::Mutex;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::lock::lock;

/// The plan for the bytes that are written.
#[derive(Debug, Default)]
enum Plan {
    /// All bytes pass.
    #[default]
    Open,
    /// So many bytes pass, then the connection is closed.
    CloseAfter(usize),
    /// These bytes are sent instead, then the connection is closed.
    Instead(Vec<u8>),
}

/// A switch that changes the plan for the bytes that are written from now on.
#[derive(Clone, Debug)]
pub(super) struct FaultySwitch(Arc<Mutex<Plan>>);

impl FaultySwitch {
    pub(super) fn close_after(&self, bytes: usize) {
        *lock(&self.0) = Plan::CloseAfter(bytes);
    }

    pub(super) fn send_instead(&self, bytes: Vec<u8>) {
        *lock(&self.0) = Plan::Instead(bytes);
    }
}

/// A wrapper of a stream that can be closed on purpose.
#[derive(Debug)]
pub(super) struct FaultyStream<S> {
    stream: S,
    plan: Arc<Mutex<Plan>>,
}

impl<S> FaultyStream<S> {
    pub(super) fn around(stream: S) -> (Self, FaultySwitch) {
        let plan = Arc::default();
        (Self { stream, plan: Arc::clone(&plan) }, FaultySwitch(plan))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for FaultyStream<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buffer)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for FaultyStream<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let closed = Err(io::ErrorKind::BrokenPipe.into());
        let this = &mut *self;
        let mut plan = lock(&this.plan);
        match &mut *plan {
            Plan::Open => Pin::new(&mut this.stream).poll_write(cx, bytes),
            Plan::CloseAfter(left) => {
                let part = bytes.get(..*left).unwrap_or(bytes);
                if part.is_empty() {
                    // The bytes before are sent before the connection is closed.
                    let _ = ready!(Pin::new(&mut this.stream).poll_flush(cx));
                    return Poll::Ready(closed);
                }
                let written = ready!(Pin::new(&mut this.stream).poll_write(cx, part))?;
                *left = left.saturating_sub(written);
                Poll::Ready(Ok(written))
            }
            Plan::Instead(other) => {
                while !other.is_empty() {
                    let written = ready!(Pin::new(&mut this.stream).poll_write(cx, other))?;
                    other.drain(..written.min(other.len()));
                }
                let _ = ready!(Pin::new(&mut this.stream).poll_flush(cx));
                Poll::Ready(closed)
            }
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
