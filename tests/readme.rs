//! What the README claims holds. Its Rust is compiled with the crate's documentation.
#![cfg(feature = "https")]
#![allow(clippy::expect_used, reason = "a test may panic")]

mod common;

use azure_iot_dps::error::TransportErrorKind;
use azure_iot_dps::registration::{RegistrationSettings, Session};
use common::{Drive, assigned, at, drive, key, seconds, settings};

const README: &str = include_str!("../README.md");
const MANIFEST: &str = include_str!("../Cargo.toml");
const MINIMAL: &str = include_str!("../examples/minimal.rs");

#[test]
fn the_shortest_program_is_the_example_minimal_word_for_word() {
    let (_, rest) = README.split_once("```rust,no_run\n").expect("a program");
    let (program, _) = rest.split_once("```").expect("its end");
    let (_, example) = MINIMAL.split_once("\n\n").expect("a heading");
    assert_eq!(program, example);
}

#[test]
fn the_first_commands_are_the_main_job_and_the_tests() {
    let commands: Vec<&str> =
        README.split("```text\n").skip(1).filter_map(|block| block.split_once("\n```")).map(|it| it.0).collect();
    assert_eq!(
        commands[..2],
        ["cargo run --example register --features simulator-server", "cargo test --all-features"]
    );
}

/// The first column of the table under a heading.
fn rows(heading: &str) -> Vec<&'static str> {
    let (_, section) = README.split_once(heading).expect("the heading");
    let lines =
        section.lines().skip_while(|line| !line.starts_with('|')).take_while(|line| line.starts_with('|')).skip(2);
    lines.filter_map(|line| line.split('|').nth(1)).map(|cell| cell.trim().trim_matches('`')).collect()
}

#[test]
fn every_feature_is_in_the_table_and_no_other() {
    let (_, features) = MANIFEST.split_once("[features]\n").expect("features");
    let (features, _) = features.split_once("\n[").expect("their end");
    let is_name = |name: &&str| {
        !name.is_empty() && name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-')
    };
    let mut declared: Vec<&str> =
        features.lines().filter_map(|line| line.split_once(" = ")).map(|it| it.0).filter(is_name).collect();
    declared.retain(|name| *name != "default");
    let mut documented = rows("## Features");
    declared.sort_unstable();
    documented.sort_unstable();
    assert_eq!(documented, declared);
}

#[test]
fn the_minimum_supported_rust_version_is_the_manifests() {
    let (_, section) = README.split_once("## Minimum supported Rust version\n\n").expect("the heading");
    let (_, version) = MANIFEST.split_once("rust-version = \"").expect("a version");
    assert_eq!(section.split(". ").next(), version.split('"').next());
}

#[test]
fn every_example_in_the_manifest_is_named() {
    for name in MANIFEST.split("[[example]]\nname = \"").skip(1).filter_map(|it| it.split('"').next()) {
        assert!(README.contains(name), "{name}");
    }
}

#[test]
fn what_it_does_not_do_is_said() {
    let (_, section) = README.split_once("## What it does not do").expect("the heading");
    for word in ["X.509", "TPM", "MQTT", "AMQP"] {
        assert!(section.contains(word), "{word}");
    }
}

// The table of defaults

#[test]
fn the_deadline_is_15_minutes() {
    assert!(rows("`Error::retry_after()` tells when").contains(&"deadline of one `register()"));
    let run = drive(&settings(), [Err(TransportErrorKind::TimedOut)]);
    assert!(run.error().to_string().contains("900 s"), "{}", run.error());
}

#[test]
fn a_token_is_good_for_an_hour_and_signed_anew_with_less_than_2_minutes_left() {
    let settings: RegistrationSettings = settings().deadline(seconds(100_000));
    let waits = |first: &'static str| {
        let script = [common::assigning_after(first), assigned()];
        let run = Drive {
            settings: &settings,
            signer: &key(),
            session: Session::default(),
            start: at(0),
            latency: seconds(0),
        }
        .run(script);
        run.sent[0].authorization == run.sent[1].authorization
    };
    assert!(waits("3480"), "exactly 2 minutes are left");
    assert!(!waits("3481"), "less than 2 minutes are left");
}
