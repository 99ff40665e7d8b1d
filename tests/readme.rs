//! Tests the statements of the two READMEs and of the guide's tables. Their code is compiled with the
//! documentation of the crates, except that of the simulator's which needs a transport over TLS.
#![cfg(feature = "https")]
#![allow(clippy::expect_used, reason = "a test may panic")]

mod common;
/// The code of the simulator's page `testing`.
#[cfg(all(feature = "bundled-roots", feature = "ring"))]
#[allow(unreachable_pub, reason = "as in a program's library")]
#[rustfmt::skip]
#[path = "../simulator/src/testing/over_tls.rs"]
mod over_tls;

use azure_iot_dps::RegistrationId;
use azure_iot_dps::error::TransportErrorKind;
use azure_iot_dps::registration::{RegistrationSettings, Session};
use azure_iot_dps_simulator::Simulator;
use common::{Drive, assigned, at, drive, key, seconds, settings};

const README: &str = include_str!("../README.md");
const MANIFEST: &str = include_str!("../Cargo.toml");
const TESTS: &str = include_str!("Cargo.toml");
const WITH_SIMULATOR: &str = include_str!("../examples/with_simulator/Cargo.toml");
const WITH_REQWEST: &str = include_str!("../examples/with_reqwest/Cargo.toml");
const SIMULATOR: &str = include_str!("../simulator/Cargo.toml");
const SIMULATOR_README: &str = include_str!("../simulator/README.md");
const PROGRAM: &str = include_str!("../simulator/src/bin/dps-simulator/main.rs");
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
    assert_eq!(commands[..2], ["cargo run --example register", "cargo test --all-features"]);
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
fn the_tests_and_the_examples_have_the_features_of_the_library() {
    assert_eq!(declared(TESTS), declared(MANIFEST));
    assert_eq!(declared(WITH_SIMULATOR), declared(MANIFEST));
}

/// Without a feature that is named, the commands of the README provision.
#[test]
fn the_tests_and_the_examples_have_the_default_features_of_the_library() {
    let default = |manifest: &'static str| manifest.lines().find(|line| line.starts_with("default = ["));
    assert!(default(MANIFEST).is_some());
    assert_eq!(default(TESTS), default(MANIFEST));
    assert_eq!(default(WITH_SIMULATOR), default(MANIFEST));
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

/// The name and the required features of each example in a manifest.
fn examples(manifest: &'static str) -> impl Iterator<Item = (&'static str, &'static str)> {
    manifest.split("[[example]]\nname = \"").skip(1).map(|it| {
        let (name, rest) = it.split_once('"').expect("the end of a name");
        let rest = rest.split("\n\n").next().unwrap_or_default();
        let features = rest.split_once("required-features = [").and_then(|(_, it)| it.split(']').next());
        (name, features.unwrap_or_default())
    })
}

#[test]
fn every_example_is_in_the_table_with_its_features_and_no_other() {
    let manifests = [MANIFEST, WITH_SIMULATOR, WITH_REQWEST];
    let mut declared: Vec<_> = manifests.into_iter().flat_map(examples).collect();
    let mut documented = rows(EXAMPLES, "example programs");
    declared.sort_unstable();
    documented.sort_unstable();
    let names: Vec<_> = declared.iter().map(|it| it.0).collect();
    assert_eq!(documented, names);
    for (name, features) in declared {
        let row = EXAMPLES.lines().find(|line| line.starts_with(&format!("| `{name}` |"))).expect("a row");
        let expected = if features.is_empty() { "none".to_owned() } else { features.replace('"', "`") };
        assert_eq!(row.trim_end_matches(" |").rsplit(" | ").next(), Some(expected.as_str()), "{name}");
    }
}

#[test]
fn what_it_does_not_do_is_said() {
    let (_, section) = README.split_once("Not supported:").expect("the list");
    for word in ["X.509", "TPM", "SDK", "AMQP"] {
        assert!(section.contains(word), "{word}");
    }
}

// The simulator

#[test]
fn every_flag_of_the_simulator_is_in_its_readme_and_no_other() {
    // An argument stands on the first line after its attribute that is neither one nor a comment.
    let arguments = PROGRAM.split("#[arg(long").skip(1).filter_map(|it| it.split(")]\n    ").nth(1));
    let mut flags: Vec<_> = arguments.filter_map(|it| it.split(':').next()).map(|it| it.replace('_', "-")).collect();
    let mut documented: Vec<_> = rows(SIMULATOR_README, "## Flags")
        .into_iter()
        .map(|row| row.split(' ').next().unwrap_or_default().trim_matches('`').trim_start_matches("--").to_owned())
        .collect();
    flags.sort_unstable();
    documented.sort_unstable();
    assert_eq!(documented, flags);
    assert_eq!(flags.len(), PROGRAM.matches("#[arg(").count());
}

/// The values that the programs of the README contain.
#[test]
fn the_scope_and_the_key_in_the_simulators_readme_are_those_of_its_demo() {
    let sim = Simulator::builder().build();
    let key = sim.device_key(&RegistrationId::new("my-device").expect("an ID")).expect("a key");
    assert!(SIMULATOR_README.contains(&format!("ID scope {}\n", sim.id_scope())));
    assert!(SIMULATOR_README.contains(&format!("device my-device, key {key}\n")), "{key}");
    assert!(SIMULATOR_README.contains(&format!("symmetric_key=\"{key}\"")));
    let group = format!("group demo, key {}", &Simulator::demo_group_key()[..40]);
    assert!(SIMULATOR_README.contains(&group), "{group}");
}

#[test]
fn every_feature_of_the_simulator_is_in_its_readme_and_no_other() {
    assert_eq!(rows(SIMULATOR_README, "## In a Rust test"), declared(SIMULATOR));
}

/// What is left out has no part in what goes over the wire.
#[test]
fn every_crate_that_reads_or_writes_the_wire_is_in_the_simulators_readme() {
    const OTHERS: [&str; 8] =
        ["bytes", "clap", "http-body-util", "hyper-util", "rustls-pki-types", "serde", "thiserror", "tokio"];
    let (_, section) = SIMULATOR_README.split_once("## Which crate plays which part").expect("the heading");
    let (section, _) = section.split_once("\n## ").expect("its end");
    let words: Vec<_> = section.split(|c: char| !c.is_ascii_alphanumeric() && c != '-' && c != '_').collect();
    let (_, dependencies) = SIMULATOR.split_once("[dependencies]\n").expect("dependencies");
    let (dependencies, _) = dependencies.split_once("\n[").expect("their end");
    let names = dependencies.lines().filter_map(|line| line.split_once(" = ")).map(|it| it.0);
    for name in names.filter(|name| !OTHERS.contains(name)) {
        assert!(words.contains(&name) || words.contains(&format!("rustls-{name}").as_str()), "{name}");
    }
}

#[cfg(all(feature = "bundled-roots", feature = "ring"))]
#[test]
fn the_code_of_the_page_on_testing_registers_over_tls() {
    over_tls::register_over_tls().expect("registers");
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
