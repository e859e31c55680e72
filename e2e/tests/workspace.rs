//! The direction of dependencies, checked from `cargo metadata`. A new edge is its own commit with
//! a line in ARCHITECTURE.md.

use std::collections::{BTreeMap, BTreeSet};

use cargo_metadata::{DependencyKind, MetadataCommand, Package};

fn packages() -> Vec<Package> {
    let metadata = MetadataCommand::new()
        .manifest_path(concat!(env!("CARGO_MANIFEST_DIR"), "/../Cargo.toml"))
        .no_deps()
        .exec()
        .expect("cargo metadata");
    metadata.packages
}

/// Level of each crate: an edge may only go to a lower level.
fn level(name: &str) -> u8 {
    match name {
        "schema"
        | "millrace-configuration"
        | "millrace-resilience"
        | "millrace-lifecycle"
        | "millrace-telemetry"
        | "millrace-verdicts" => 0,
        "millrace-alarms" | "millrace-kafka" | "millrace-http" | "millrace-store" => 1,
        "producer" | "consumer" | "monitor" => 2,
        "millrace-testkit" => 3,
        "e2e" => 4,
        "bench" => 5,
        other => panic!("{other} has no level: give it one here and a line in ARCHITECTURE.md"),
    }
}

fn normal(package: &Package) -> BTreeSet<String> {
    let normal = package.dependencies.iter().filter(|d| d.kind == DependencyKind::Normal);
    normal.map(|d| d.name.clone()).collect()
}

#[test]
fn edges_only_go_down() {
    let packages = packages();
    let names: BTreeSet<String> = packages.iter().map(|p| p.name.to_string()).collect();
    for package in &packages {
        for dependency in normal(package).intersection(&names) {
            assert!(
                level(dependency) < level(&package.name),
                "{} (level {}) depends on {dependency} (level {})",
                package.name,
                level(&package.name),
                level(dependency)
            );
        }
    }
}

#[test]
fn each_outside_library_stays_where_it_belongs() {
    let allowed: BTreeMap<&str, &[&str]> = BTreeMap::from([
        ("rdkafka", &["millrace-kafka", "producer", "consumer", "monitor", "millrace-testkit", "e2e", "bench"][..]),
        ("tokio-postgres", &["millrace-store", "millrace-testkit", "e2e", "bench"][..]),
        ("warp", &["millrace-http", "producer", "consumer", "monitor", "bench"][..]),
    ]);
    for package in packages() {
        for (library, homes) in &allowed {
            let uses = normal(&package).contains(*library);
            assert!(!uses || homes.contains(&package.name.as_str()), "{} uses {library}", package.name);
        }
    }
}

#[test]
fn the_contract_does_no_io() {
    let packages = packages();
    let schema = packages.iter().find(|p| p.name.as_str() == "schema").expect("the contract");
    for library in ["tokio", "rdkafka", "tokio-postgres", "postgres"] {
        assert!(!normal(schema).contains(library), "schema depends on {library}");
    }
}

#[test]
fn only_tests_use_the_test_kit() {
    for package in packages() {
        let uses = normal(&package).contains("millrace-testkit");
        assert!(!uses || level(&package.name) > 3, "{} uses the test kit outside its tests", package.name);
    }
}
