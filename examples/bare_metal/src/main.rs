//! A board without an operating system that provisions itself over Ethernet and TLS, and sends a
//! message to its hub. See `README.md`.
#![no_std]
#![no_main]

extern crate alloc;

mod board;
mod device;
mod factory;
mod flash;
mod http;
#[cfg(feature = "mqtt")]
mod hub;
#[cfg(feature = "mqtt")]
mod mqtt;
mod net;
mod tls;

use core::error::Error;

use board::say;
use factory::Factory;

#[cortex_m_rt::entry]
fn main() -> ! {
    board::start();
    let result = run();
    if let Err(error) = &result {
        core::iter::successors(Some(&**error as &dyn Error), |&error| error.source()).for_each(|cause| say!("{cause}"));
    }
    board::say_figures();
    board::exit(result.is_ok())
}

fn run() -> Result<(), device::Failure> {
    net::start(board::Lan9118::new()?)?;
    device::run(Factory::load()?)
}

#[panic_handler]
fn panic(info: &core::panic::PanicInfo<'_>) -> ! {
    say!("{info}");
    board::exit(false)
}
