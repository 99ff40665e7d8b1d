//! The state machine of a registration: register, wait, poll, until the device has its hub or it is clear that it gets none.
//!
//! [`Registration`] does no I/O, reads no clock and holds no key. Whoever drives it asks for the next [`Step`], signs, sends or
//! waits, and hands in what comes of it. The page of [`Registration`] shows the loop, blocking and async.
//! [`client::drive`](crate::client::drive) is the blocking loop with a wait hook and an observer.
//!
//! | file | what it decides |
//! | --- | --- |
//! | `machine` | the order of steps |
//! | `judge`, `outcome` | what an answer means: a pure function, with the table of all answers |
//! | `changes` | what each outcome changes, and what comes next |
//! | `attempts` | what has been tried in this registration, and how often that is enough |
//! | `session` | what outlives it: backoff, operation under way, the service's time, the key that works |
//! | `pacing` | when the next step is due |
//! | `retry`, `refusal` | how long every wait is, and every pause after a refusal |
//! | `event`, `step`, `settings` | what it tells, what it asks for, and what it is told |

mod attempts;
mod changes;
mod event;
mod judge;
mod machine;
mod outcome;
mod pacing;
mod refusal;
mod retry;
mod session;
mod settings;
mod step;

pub use event::{Event, WaitReason};
pub use machine::Registration;
pub use retry::RetryPolicy;
pub(crate) use retry::{Jitter, doubled};
pub use session::{SavedSession, Session};
pub use settings::RegistrationSettings;
pub use step::{SignRequest, Step, Wait};
