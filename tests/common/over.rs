//! Runs tests over HTTPS and over MQTT, because the rules of a registration are the same for both.
#![allow(dead_code, unreachable_pub, reason = "each suite uses a part")]

use std::cell::Cell;

use azure_iot_dps::Transport;
use azure_iot_dps_simulator::Simulator;

#[derive(Clone, Copy, PartialEq)]
pub enum Over {
    Https,
    Mqtt,
}

thread_local! {
    static OVER: Cell<Over> = const { Cell::new(Over::Https) };
}

/// Returns the protocol of this test.
pub fn over() -> Over {
    OVER.get()
}

pub fn run(over: Over, test: fn()) {
    OVER.set(over);
    test();
}

/// Returns a transport to the simulator for the protocol of this test.
pub fn transport(sim: &Simulator) -> Box<dyn Transport + Send> {
    match OVER.get() {
        Over::Https => Box::new(sim.transport()),
        Over::Mqtt => Box::new(sim.mqtt_transport()),
    }
}

/// Creates two tests from each function, one per protocol.
#[macro_export]
macro_rules! over_both {
    ($($test:ident),* $(,)?) => {
        mod https {
            $(#[test] fn $test() { super::over::run(super::over::Over::Https, super::$test); })*
        }
        #[cfg(any(feature = "mqtt", not(feature = "https")))]
        mod mqtt {
            $(#[test] fn $test() { super::over::run(super::over::Over::Mqtt, super::$test); })*
        }
    };
}
