//! Shows the progress of a registration on standard error.

use std::io::{IsTerminal, Write};
use std::ops::ControlFlow;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::{Duration, Instant};

use azure_iot_dps::Event;
use azure_iot_dps::registration::Wait;

/// How long a request may take before the user is told that it does.
const PATIENCE: Duration = Duration::from_secs(5);

/// Shows events as the official samples do: connecting, connected, assigning, assigned. Shows slow
/// requests as well.
pub fn show_events() -> impl FnMut(Event) {
    let mut connected = false;
    let sent = Arc::new(Mutex::new(None));
    show_slow_requests(Arc::downgrade(&sent));
    move |event| {
        let is_sent = matches!(event, Event::Registering { .. } | Event::Polling { .. } | Event::StatusLookup { .. });
        *sent.lock().unwrap_or_else(PoisonError::into_inner) = is_sent.then(Instant::now);
        match event {
            Event::Answered { .. } if !connected => {
                connected = true;
                eprintln!("connected");
            }
            // The next event says it as well.
            Event::Polling { .. } | Event::Answered { .. } | Event::Unanswered { .. } => {}
            event => eprintln!("{event}"),
        }
    }
}

/// Reports every 5 seconds that a request has no answer yet, until the observer is dropped.
fn show_slow_requests(sent: Weak<Mutex<Option<Instant>>>) {
    std::thread::spawn(move || {
        let mut reported = (None, Duration::ZERO);
        while let Some(sent) = sent.upgrade() {
            let sent_at = *sent.lock().unwrap_or_else(PoisonError::into_inner);
            if reported.0 != sent_at {
                reported = (sent_at, Duration::ZERO);
            }
            let waited = sent_at.map(|sent_at| sent_at.elapsed()).unwrap_or_default();
            if waited >= reported.1.saturating_add(PATIENCE) {
                reported.1 = waited;
                eprintln!(
                    "no answer for {} s: the service or the network is slow, or a firewall drops packets",
                    waited.as_secs()
                );
            }
            drop(sent);
            std::thread::sleep(Duration::from_millis(200));
        }
    });
}

/// Shows a countdown of the seconds on a terminal.
pub fn show_wait(pause: &Wait) -> ControlFlow<()> {
    let mut terminal = std::io::stderr();
    let left = pause.duration();
    if terminal.is_terminal() && !left.is_zero() {
        let _ = write!(terminal, "\r{:4} s ", left.as_secs_f32().ceil());
        if left <= Duration::from_secs(1) {
            let _ = write!(terminal, "\r       \r");
        }
    }
    ControlFlow::Continue(())
}
