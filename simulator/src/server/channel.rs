//! The channel that carries the bytes of MQTT.

use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::time::timeout;

use super::frames::{self, Frame, Frames, GOING_AWAY, NORMAL};

/// The time that a client has to read what it is sent.
const WRITE_LIMIT: Duration = Duration::from_secs(30);

/// A stream, with or without the frames of WebSocket.
pub(super) struct Channel<S> {
    stream: S,
    frames: Option<Frames>,
    buffer: Vec<u8>,
    /// The answers to pings, to be sent.
    pongs: Vec<u8>,
    /// The close frame to send before the stream is closed; empty without WebSocket.
    farewell: Vec<u8>,
    /// Whether the client has closed the WebSocket or broken its protocol.
    is_over: bool,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Channel<S> {
    pub(super) fn tls(stream: S) -> Self {
        let buffer = vec![0; 4096];
        Self { stream, frames: None, buffer, pongs: Vec::new(), farewell: Vec::new(), is_over: false }
    }

    pub(super) fn websocket(stream: S) -> Self {
        Self { frames: Some(Frames::new()), farewell: frames::close(NORMAL), ..Self::tls(stream) }
    }

    /// Reads bytes of the client, which may be empty. Returns `None` if the client is gone.
    ///
    /// This is cancel safe.
    pub(super) async fn read(&mut self) -> Option<Vec<u8>> {
        if self.is_over {
            return None;
        }
        let length = self.stream.read(&mut self.buffer).await.unwrap_or_default();
        let bytes = self.buffer.get(..length).filter(|bytes| !bytes.is_empty())?;
        let Some(frames) = &mut self.frames else { return Some(bytes.to_vec()) };
        frames.extend(bytes);
        let mut content = Vec::new();
        let end = loop {
            match frames.next() {
                Ok(None) => break None,
                Ok(Some(Frame::Binary(more))) => content.extend(more),
                Ok(Some(Frame::Ping(more))) => self.pongs.extend(frames::pong(&more)),
                Ok(Some(Frame::Pong)) => {}
                Ok(Some(Frame::Close(code))) => break Some(code.unwrap_or(NORMAL)),
                Err(code) => break Some(code),
            }
        };
        if let Some(code) = end {
            self.end(code);
        }
        Some(content)
    }

    fn end(&mut self, code: u16) {
        self.is_over = true;
        if self.frames.is_some() {
            self.farewell = frames::close(code);
        }
    }

    /// Ends the channel because the server stops.
    pub(super) fn go_away(&mut self) {
        self.end(GOING_AWAY);
    }

    /// Answers the pings that have been read. Returns whether the answers could be sent.
    pub(super) async fn answer_pings(&mut self) -> bool {
        let pongs = std::mem::take(&mut self.pongs);
        pongs.is_empty() || self.write(&pongs).await
    }

    pub(super) async fn send(&mut self, bytes: &[u8]) -> bool {
        match &self.frames {
            None => self.write(bytes).await,
            Some(_) => self.write(&frames::binary(bytes)).await,
        }
    }

    async fn write(&mut self, bytes: &[u8]) -> bool {
        let write = async {
            self.stream.write_all(bytes).await?;
            self.stream.flush().await
        };
        matches!(timeout(WRITE_LIMIT, write).await, Ok(Ok(())))
    }

    pub(super) async fn close(mut self) {
        let farewell = std::mem::take(&mut self.farewell);
        if farewell.is_empty() || self.write(&farewell).await {
            let _ = timeout(WRITE_LIMIT, self.stream.shutdown()).await;
        }
    }
}
