//! What each feature pulls in: a user of one layer does not pay for Redis, sysinfo or axum.

#![allow(clippy::unwrap_used)]

use std::{collections::BTreeSet, process::Command};

/// Names of the crates that a user of these features compiles, ours left out.
fn crates(features: &str) -> BTreeSet<String> {
    let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".into());
    let output = Command::new(cargo)
        .args(["tree", "--offline", "--edges", "normal", "--prefix", "none"])
        .args([
            "--manifest-path",
            concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml"),
        ])
        .args(["--no-default-features", "--features", features])
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let text = String::from_utf8(output.stdout).unwrap();
    let names = text
        .lines()
        .filter_map(|line| line.split_whitespace().next());
    let names: BTreeSet<_> = names
        .filter(|name| *name != "pitcrew")
        .map(str::to_owned)
        .collect();
    println!("{features}: {} crates: {names:?}", names.len());
    names
}

#[test]
fn one_layer_pulls_in_only_its_own() {
    let cases: [(&str, &[&str]); 8] = [
        (
            "latency",
            &[
                "redis",
                "bb8",
                "sysinfo",
                "axum",
                "quick_cache",
                "tokio",
                "sqlparser",
                "tokio-postgres",
                "hdrhistogram",
            ],
        ),
        ("statements", &["redis", "bb8", "tokio", "tokio-postgres"]),
        ("bb8", &["redis", "sqlparser", "tokio-postgres"]),
        ("tokio-postgres", &["redis", "bb8", "quick_cache"]),
        (
            "memory",
            &["redis", "bb8", "axum", "quick_cache", "hdrhistogram"],
        ),
        (
            "cache",
            &["redis", "bb8", "sysinfo", "axum", "hdrhistogram"],
        ),
        ("cache,latency,memory", &["redis", "bb8", "axum"]),
        ("cache,latency,memory,axum", &["redis", "bb8"]),
    ];
    for (features, absent) in cases {
        let crates = crates(features);
        for name in absent {
            assert!(!crates.contains(*name), "{features} pulls in {name}");
        }
    }
    assert!(crates("redis").contains("redis"));
}
