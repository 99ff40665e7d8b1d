//! Tests the statements of the README. Its code is compiled with the crate's documentation.
#![cfg(feature = "https")]
#![allow(clippy::expect_used, reason = "a test may panic")]

mod common;

use azure_iot_dps::error::TransportErrorKind;
use azure_iot_dps::registration::{RegistrationSettings, Session};
use common::{Drive, assigned, at, drive, key, seconds, settings};

const README: &str = include_str!("../README.md");
const MANIFEST: &str = include_str!("../Cargo.toml");
const TESTS: &str = include_str!("Cargo.toml");
const FEATURES: &str = include_str!("../src/guide/features.md");
const EXAMPLES: &str = include_str!("../src/guide/examples.md");
const PROVISIONING: &str = include_str!("../src/guide/provisioning.md");
const CHAPTERS: &str = include_str!("../src/guide/mod.rs");

#[test]
fn it_has_150_lines_at_most() {
    assert!(README.lines().count() <= 150, "{}", README.lines().count());
}

#[test]
fn every_chapter_of_the_guide_is_linked_and_every_link_leads_to_one() {
    let chapters = CHAPTERS.split("pub mod ").skip(1).filter_map(|it| it.split(' ').next());
    let mut chapters: Vec<_> = chapters.collect();
    let mut links: Vec<_> =
        README.split("azure_iot_dps/guide/").skip(1).filter_map(|it| it.split('/').next()).collect();
    chapters.sort_unstable();
    links.sort_unstable();
    assert_eq!(links, chapters);
}

/// The files of this package, by its manifest.
#[test]
fn every_file_that_is_linked_is_in_the_package() {
    let targets = README.split("](").skip(1).filter_map(|it| it.split(')').next());
    for target in targets.filter(|target| !target.starts_with("https://")) {
        assert!(MANIFEST.contains(&format!("\"/{target}\"")), "{target}");
    }
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

/// Returns the first column of the first table after a text.
fn rows(page: &'static str, before: &str) -> Vec<&'static str> {
    let (_, section) = page.split_once(before).expect("the text");
    let lines =
        section.lines().skip_while(|line| !line.starts_with('|')).take_while(|line| line.starts_with('|')).skip(2);
    lines.filter_map(|line| line.split('|').nth(1)).map(|cell| cell.trim().trim_matches('`')).collect()
}

/// The names of the features in a manifest, sorted, without `default`.
fn declared(manifest: &'static str) -> Vec<&'static str> {
    let (_, features) = manifest.split_once("[features]\n").expect("features");
    let (features, _) = features.split_once("\n[").expect("their end");
    let is_name = |name: &&str| {
        !name.is_empty() && name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-')
    };
    let names = features.lines().filter_map(|line| line.split_once(" = ")).map(|it| it.0).filter(is_name);
    let mut names: Vec<_> = names.filter(|name| *name != "default").collect();
    names.sort_unstable();
    names
}

#[test]
fn every_feature_is_in_the_table_and_no_other() {
    let mut documented = rows(FEATURES, "features");
    documented.sort_unstable();
    assert_eq!(documented, declared(MANIFEST));
}

#[test]
fn the_tests_have_the_features_of_the_library() {
    assert_eq!(declared(TESTS), declared(MANIFEST));
}

/// A suite that the manifest does not list would never run.
#[test]
fn every_suite_is_in_the_manifest() {
    let folder = std::fs::read_dir(env!("CARGO_MANIFEST_DIR")).expect("a folder");
    let files = folder.map(|entry| entry.expect("an entry").path());
    let suites: Vec<_> = files.filter(|file| file.extension().is_some_and(|extension| extension == "rs")).collect();
    for suite in &suites {
        let name = suite.file_name().and_then(|name| name.to_str()).expect("UTF-8");
        assert!(TESTS.contains(&format!("path = \"{name}\"")), "{name}");
    }
    assert!(suites.len() > 40, "{suites:?}");
}

#[test]
fn the_minimum_supported_rust_version_is_the_manifests() {
    let (_, section) = README.split_once("## Minimum supported Rust version\n\n").expect("the heading");
    let (_, version) = MANIFEST.split_once("rust-version = \"").expect("a version");
    assert_eq!(section.split(". ").next(), version.split('"').next());
}

#[test]
fn every_example_is_in_the_table_and_no_other() {
    let manifests = [MANIFEST, TESTS].into_iter().flat_map(|it| it.split("[[example]]\nname = \"").skip(1));
    let mut declared: Vec<_> = manifests.filter_map(|it| it.split('"').next()).collect();
    let mut documented = rows(EXAMPLES, "example programs");
    declared.sort_unstable();
    documented.sort_unstable();
    assert_eq!(documented, declared);
}

#[test]
fn what_it_does_not_do_is_said() {
    let (_, section) = README.split_once("It does not do:").expect("the list");
    for word in ["X.509", "TPM", "SDK", "AMQP"] {
        assert!(section.contains(word), "{word}");
    }
}

// The table of defaults

#[test]
fn the_deadline_is_15_minutes() {
    assert!(rows(PROVISIONING, "None takes longer than the deadline.").contains(&"deadline of one `register()"));
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
