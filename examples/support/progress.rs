//! Shows somebody who watches what happens.

use std::io::{IsTerminal, Write};
use std::ops::ControlFlow;
use std::time::Duration;

use azure_iot_dps::Event;
use azure_iot_dps::registration::Wait;

/// Shows what happens, as the official samples do: connecting, connected, assigning, assigned.
pub fn show_events() -> impl FnMut(Event) {
    let mut connected = false;
    move |event| match event {
        Event::Answered { .. } if !connected => {
            connected = true;
            eprintln!("connected");
        }
        // What follows tells these.
        Event::Polling { .. } | Event::Answered { .. } | Event::Unanswered { .. } => {}
        event => eprintln!("{event}"),
    }
}

/// Counts the seconds down.
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
