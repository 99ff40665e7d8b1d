//! A connection over MQTT.

use std::time::Duration;
use std::time::{SystemTime, UNIX_EPOCH};

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::sleep;

use super::channel::Channel;
use super::context::{Context, Stopped};
use crate::front::mqtt::{Action, Session};
use crate::lock::lock;

/// The most bytes that a client may send while the simulator delays an answer.
const MAX_PENDING: usize = 64 * 1024;
/// The time to wait when nothing is due.
const NEVER: Duration = Duration::from_secs(24 * 60 * 60);

/// Serves a connection until the client closes it or the server stops.
pub(super) async fn serve<S: AsyncRead + AsyncWrite + Unpin>(
    context: Context,
    channel: Channel<S>,
    certificates: Vec<Vec<u8>>,
    mut stopped: Stopped,
) {
    let Context { simulator, mut alarm } = context;
    let mut session = Session::new(certificates, now());
    let mut connection = Connection { channel, pending: Vec::new() };
    loop {
        let due = session.deadline().map_or(NEVER, |deadline| deadline.saturating_sub(now()));
        let bytes = tokio::select! {
            bytes = connection.read() => match bytes {
                Some(bytes) => bytes,
                None => break,
            },
            changed = alarm.changed() => if changed.is_err() { break } else { Vec::new() },
            () = sleep(due) => Vec::new(),
            _ = stopped.changed() => {
                connection.channel.go_away();
                break;
            }
        };
        if !connection.channel.answer_pings().await {
            break;
        }
        let actions = session.receive(&mut lock(&simulator.state), &bytes, now());
        if !connection.carry_out(actions, &mut stopped).await {
            break;
        }
    }
    session.end(&mut lock(&simulator.state));
    connection.channel.close().await;
}

struct Connection<S> {
    channel: Channel<S>,
    /// The bytes that came while the simulator delayed an answer.
    pending: Vec<u8>,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Connection<S> {
    /// Returns the bytes that the client sent; `None` if it is gone.
    async fn read(&mut self) -> Option<Vec<u8>> {
        if self.pending.is_empty() { self.channel.read().await } else { Some(std::mem::take(&mut self.pending)) }
    }

    /// Does the actions, and returns whether the connection goes on.
    async fn carry_out(&mut self, actions: Vec<Action>, stopped: &mut Stopped) -> bool {
        for action in actions {
            let goes_on = match action {
                Action::Send(bytes) => self.channel.send(&bytes).await,
                Action::Wait(pause) => self.wait(pause, stopped).await,
                Action::Close => false,
            };
            if !goes_on {
                return false;
            }
        }
        true
    }

    /// Waits, unless the client goes away. Returns whether the connection goes on.
    async fn wait(&mut self, pause: Duration, stopped: &mut Stopped) -> bool {
        let pause = sleep(pause);
        let mut pause = std::pin::pin!(pause);
        loop {
            tokio::select! {
                () = &mut pause => return true,
                _ = stopped.changed() => return false,
                read = self.channel.read() => match read {
                    Some(bytes) if self.pending.len() < MAX_PENDING => self.pending.extend(bytes),
                    _ => return false,
                },
            }
            if !self.channel.answer_pings().await {
                return false;
            }
        }
    }
}

/// Returns the time since 1970.
fn now() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}
