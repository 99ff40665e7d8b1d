//! The state machine of a registration: register, wait, poll, until the device is assigned or
//! refused.
//!
//! [`Registration`] does no I/O, reads no clock and holds no key. The caller asks for the next
//! [`Step`], signs, sends or waits, and hands in the result. The documentation of [`Registration`]
//! shows a blocking and an async loop. [`client::drive`](crate::client::drive) is a ready-made
//! blocking loop with a wait hook and an observer.
//!
//! ```
//! use azure_iot_dps::attestation::AttestationKind;
//! use azure_iot_dps::registration::{Registration, RegistrationSettings, Step};
//! use azure_iot_dps::time::Now;
//! use std::time::Duration;
//!
//! let settings = RegistrationSettings::new("0ne00002193".parse()?, "my-device".parse()?);
//! let mut registration = Registration::new(&settings, AttestationKind::SymmetricKey);
//! let now = Now { unix: None, uptime: Duration::ZERO };
//! assert!(matches!(registration.step(now)?, Step::Sign(_)));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! | file | content |
//! | --- | --- |
//! | `machine` | the order of steps |
//! | `judge`, `outcome` | the meaning of an answer: a pure function, with a table of all answers |
//! | `changes` | the changes that each outcome makes, and the next phase |
//! | `attempts` | the attempts of this registration and their limits |
//! | `session` | the state that outlives it: backoff, pending operation, the service's time, the key that works |
//! | `pacing` | the time of the next step |
//! | `retry`, `refusal` | the length of every wait and of every pause after a refusal |
//! | `event`, `step`, `settings` | events, steps and settings |

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
