//! The measured steps: keys, tokens, a registration by hand, a client with a store, and the hub.

use core::hint::black_box;

use azure_iot_dps::sas::Resource;
use azure_iot_dps::time::UnixTime;
use azure_iot_dps::{DeviceKey, GroupKey, IdScope, KeyDerivation, RegistrationId, SasToken};

use crate::{board, heap, say};

const GROUP_KEY: &str = "8isrFI1sGsIlvvFSSFRiMfCNzv21fjbE/+ah/lSh3lF8e2YG1Te7w1KpZhJFFXJrqYKi9yegxkqIChbqOS9Egw==";
const ID: &str = "sn-007-888-abc-mac-a1-b2-c3-d4-e5-f6";
const DEVICE_KEY: &str = "Jsm0lyGpjaVYVP2g3FnmnmG9dI/9qU24wNoykUmermc=";

/// Returns the value of a step that must not fail.
///
/// It omits the error's text, and the checks use `assert!` instead of `assert_eq!`: a device that
/// never prints values does not link the code for that.
fn good<T, E>(result: Result<T, E>) -> T {
    match result {
        Ok(value) => value,
        Err(_) => panic!("a step failed"),
    }
}

/// Runs a step, and prints its heap, stack and instructions.
#[inline(never)]
fn measure<T>(what: &str, work: impl FnOnce() -> T) -> T {
    let (before, ..) = heap::take();
    let stack = board::paint_stack();
    let start = board::instructions();
    let result = work();
    let took = board::instructions() - start;
    let stack = board::stack_used(stack);
    let (_, peak, count) = heap::take();
    say!("{what}: {took} instructions, heap {} in {count}, stack {stack}", peak - before);
    result
}

pub fn run() {
    let scope = good(IdScope::new("0ne00002193"));
    let id = good(RegistrationId::new(ID));
    let group = good(GroupKey::from_base64(black_box(GROUP_KEY)));
    let key = measure("derive a key", || {
        let text = KeyDerivation::new(&group).derive_base64(black_box(&id));
        assert!(text.as_str() == DEVICE_KEY);
        good(DeviceKey::from_base64(text.as_str()))
    });
    let expiry = UnixTime::from_secs(1_800_000_000);
    let token =
        measure("sign a token", || good(SasToken::sign(Resource::registration(black_box(&scope), &id), &key, expiry)));
    assert!(measure("verify a token", || token.verify(&key)));
    drop(token);
    #[cfg(feature = "registration")]
    registration::run(&scope, &id, &key);
}

#[cfg(feature = "registration")]
mod registration;
