//! One connection over MQTT.

use alloc::vec::Vec;
use core::time::Duration;
use std::time::{SystemTime, UNIX_EPOCH};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::watch;
use tokio::time::{sleep, timeout};

use super::{Stopped, TlsStream, certificates};
use crate::simulator::front::mqtt::{Action, Session};
use crate::simulator::handle::Simulator;
use crate::simulator::lock::lock;

/// How long a client may take to read what it is sent.
const WRITE_LIMIT: Duration = Duration::from_secs(30);
/// How much a client may send while the simulator takes its time on purpose.
const MAX_PENDING: usize = 64 * 1024;
/// When nothing is due.
const NEVER: Duration = Duration::from_secs(24 * 60 * 60);

/// Serves a connection until the client or the server has had enough.
pub(super) async fn serve(
    simulator: Simulator,
    stream: TlsStream,
    mut alarm: watch::Receiver<()>,
    mut stopped: Stopped,
) {
    let mut session = Session::new(certificates(&stream), now());
    let mut connection = Connection { stream, pending: Vec::new(), buffer: alloc::vec![0; 4096] };
    loop {
        let due = session.deadline().map_or(NEVER, |deadline| deadline.saturating_sub(now()));
        let bytes = tokio::select! {
            bytes = connection.read() => match bytes {
                Some(bytes) => bytes,
                None => break,
            },
            changed = alarm.changed() => if changed.is_err() { break } else { Vec::new() },
            () = sleep(due) => Vec::new(),
            _ = stopped.changed() => break,
        };
        let actions = session.receive(&mut lock(&simulator.state), &bytes, now());
        if !connection.carry_out(actions, &mut stopped).await {
            break;
        }
    }
    session.end(&mut lock(&simulator.state));
    let _ = timeout(WRITE_LIMIT, connection.stream.shutdown()).await;
}

struct Connection {
    stream: TlsStream,
    /// What came while the simulator took its time.
    pending: Vec<u8>,
    buffer: Vec<u8>,
}

impl Connection {
    /// What the client sent; `None` where it is gone.
    async fn read(&mut self) -> Option<Vec<u8>> {
        if !self.pending.is_empty() {
            return Some(core::mem::take(&mut self.pending));
        }
        match self.stream.read(&mut self.buffer).await {
            Ok(length) if length > 0 => self.buffer.get(..length).map(Vec::from),
            _ => None,
        }
    }

    /// Returns whether the connection goes on.
    async fn carry_out(&mut self, actions: Vec<Action>, stopped: &mut Stopped) -> bool {
        for action in actions {
            let goes_on = match action {
                Action::Send(bytes) => self.send(&bytes).await,
                Action::Wait(pause) => self.wait(pause, stopped).await,
                Action::Close => false,
            };
            if !goes_on {
                return false;
            }
        }
        true
    }

    async fn send(&mut self, bytes: &[u8]) -> bool {
        let write = async {
            self.stream.write_all(bytes).await?;
            self.stream.flush().await
        };
        matches!(timeout(WRITE_LIMIT, write).await, Ok(Ok(())))
    }

    /// Lets time pass, unless the client goes away.
    async fn wait(&mut self, pause: Duration, stopped: &mut Stopped) -> bool {
        let pause = sleep(pause);
        let mut pause = core::pin::pin!(pause);
        loop {
            tokio::select! {
                () = &mut pause => return true,
                _ = stopped.changed() => return false,
                read = self.stream.read(&mut self.buffer) => match read {
                    Ok(length) if length > 0 && self.pending.len() < MAX_PENDING => {
                        self.pending.extend(self.buffer.get(..length).unwrap_or_default());
                    }
                    _ => return false,
                },
            }
        }
    }
}

/// Since 1970.
fn now() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}
