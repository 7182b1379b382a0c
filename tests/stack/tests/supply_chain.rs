//! Licences, sources and duplicates of everything that is built, from `cargo metadata`; the rules stand in `deny.toml`.

#![allow(
    clippy::unwrap_used,
    reason = "a test ends where something unexpected happens"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

use serde_json::Value;

/// What a build for this machine uses, as cargo resolved it.
fn metadata() -> Value {
    let root = pitcrew_stack::checkout();
    let rustc = Command::new("rustc")
        .arg("-vV")
        .current_dir(&root)
        .output()
        .unwrap();
    let rustc = String::from_utf8(rustc.stdout).unwrap();
    let host = rustc
        .lines()
        .find_map(|line| line.strip_prefix("host: "))
        .unwrap();
    let output = Command::new(env!("CARGO"))
        .args([
            "metadata",
            "--format-version",
            "1",
            "--locked",
            "--all-features",
            "--filter-platform",
            host,
        ])
        .current_dir(&root)
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    serde_json::from_slice(&output.stdout).unwrap()
}

fn packages() -> Vec<Value> {
    let metadata = metadata();
    let used: BTreeSet<&str> = metadata["resolve"]["nodes"]
        .as_array()
        .unwrap()
        .iter()
        .map(|node| node["id"].as_str().unwrap())
        .collect();
    let all = metadata["packages"].as_array().unwrap();
    all.iter()
        .filter(|package| used.contains(package["id"].as_str().unwrap()))
        .cloned()
        .collect()
}

fn rules() -> toml::Table {
    toml::from_str(&std::fs::read_to_string(pitcrew_stack::checkout().join("deny.toml")).unwrap())
        .unwrap()
}

fn names(list: &toml::Value) -> Vec<&str> {
    list.as_array()
        .unwrap()
        .iter()
        .map(|entry| {
            entry
                .as_str()
                .unwrap_or_else(|| entry["name"].as_str().unwrap())
        })
        .collect()
}

/// Whether an SPDX expression can be met with the allowed licences. `/` is an old way to write OR.
fn is_allowed(expression: &str, allowed: &[&str]) -> bool {
    let spaced = expression
        .replace('/', " OR ")
        .replace('(', " ( ")
        .replace(')', " ) ")
        .replace(" WITH ", "_WITH_");
    let words: Vec<&str> = spaced.split_whitespace().collect();
    let mut rest = words.as_slice();
    let met = any(&mut rest, allowed);
    met && rest.is_empty()
}

fn any(words: &mut &[&str], allowed: &[&str]) -> bool {
    let mut met = all(words, allowed);
    while words.first() == Some(&"OR") {
        *words = &words[1..];
        met |= all(words, allowed);
    }
    met
}

fn all(words: &mut &[&str], allowed: &[&str]) -> bool {
    let mut met = one(words, allowed);
    while words.first() == Some(&"AND") {
        *words = &words[1..];
        met &= one(words, allowed);
    }
    met
}

fn one(words: &mut &[&str], allowed: &[&str]) -> bool {
    let Some((first, rest)) = words.split_first() else {
        return false;
    };
    *words = rest;
    if *first != "(" {
        return allowed.contains(&first.replace("_WITH_", " WITH ").as_str());
    }
    let met = any(words, allowed);
    let closed = words.first() == Some(&")");
    *words = words.get(1..).unwrap_or_default();
    met && closed
}

#[test]
fn expressions_are_read_as_spdx_says() {
    let allowed = ["MIT", "Apache-2.0", "Apache-2.0 WITH LLVM-exception"];
    for good in [
        "MIT",
        "MIT OR GPL-3.0",
        "GPL-3.0/MIT",
        "(MIT OR GPL-3.0) AND Apache-2.0",
        "Apache-2.0 WITH LLVM-exception",
    ] {
        assert!(is_allowed(good, &allowed), "{good}");
    }
    for bad in [
        "GPL-3.0",
        "MIT AND GPL-3.0",
        "",
        "(MIT",
        "MIT MIT",
        "GPL-2.0 WITH LLVM-exception",
    ] {
        assert!(!is_allowed(bad, &allowed), "{bad}");
    }
}

#[test]
fn every_licence_is_allowed() {
    let rules = rules();
    let allowed = names(&rules["licenses"]["allow"]);
    let bad: Vec<String> = packages()
        .iter()
        .filter(|package| !is_allowed(package["license"].as_str().unwrap_or_default(), &allowed))
        .map(|package| {
            format!(
                "{} {}: {}",
                package["name"], package["version"], package["license"]
            )
        })
        .collect();
    assert!(bad.is_empty(), "not allowed by deny.toml: {bad:#?}");
}

#[test]
fn everything_comes_from_one_registry_or_from_this_checkout() {
    let root = pitcrew_stack::checkout();
    let mut registries = BTreeSet::new();
    for package in packages() {
        match package["source"].as_str() {
            Some(source) => {
                assert!(
                    source.starts_with("registry+"),
                    "{} comes from {source}",
                    package["name"]
                );
                registries.insert(source.to_owned());
            }
            None => {
                let manifest = package["manifest_path"].as_str().unwrap();
                assert!(
                    std::path::Path::new(manifest).starts_with(&root),
                    "{manifest} lies outside of the checkout"
                );
            }
        }
    }
    assert!(registries.len() <= 1, "{registries:?}");
}

#[test]
fn a_crate_that_we_name_has_one_version_and_banned_ones_are_absent() {
    let rules = rules();
    let root = pitcrew_stack::checkout();
    let manifest: toml::Table =
        toml::from_str(&std::fs::read_to_string(root.join("Cargo.toml")).unwrap()).unwrap();
    let named = manifest["workspace"]["dependencies"].as_table().unwrap();
    let skipped = names(&rules["bans"]["skip"]);
    let banned = names(&rules["bans"]["deny"]);
    let mut versions: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for package in packages() {
        let name = package["name"].as_str().unwrap().to_owned();
        assert!(
            !banned.contains(&name.as_str()),
            "{name} is banned by deny.toml"
        );
        versions
            .entry(name)
            .or_default()
            .push(package["version"].as_str().unwrap().to_owned());
    }
    let twice: Vec<_> = versions
        .iter()
        .filter(|(name, found)| {
            found.len() > 1 && named.contains_key(*name) && !skipped.contains(&name.as_str())
        })
        .collect();
    assert!(twice.is_empty(), "more than one version: {twice:?}");
    for name in skipped {
        assert!(
            versions.get(name).is_some_and(|found| found.len() > 1),
            "deny.toml excuses {name} for nothing"
        );
    }
}

/// The names of a package and of all that it is built with, whatever its features; not what its tests use.
fn built_with(name: &str) -> BTreeSet<String> {
    let metadata = metadata();
    let names: BTreeMap<&str, &str> = metadata["packages"]
        .as_array()
        .unwrap()
        .iter()
        .map(|package| {
            (
                package["id"].as_str().unwrap(),
                package["name"].as_str().unwrap(),
            )
        })
        .collect();
    let nodes: BTreeMap<&str, &Value> = metadata["resolve"]["nodes"]
        .as_array()
        .unwrap()
        .iter()
        .map(|node| (node["id"].as_str().unwrap(), node))
        .collect();
    let mut seen = BTreeSet::new();
    let mut left: Vec<&str> = names
        .iter()
        .filter(|(_, other)| **other == name)
        .map(|(id, _)| *id)
        .collect();
    while let Some(id) = left.pop() {
        if !seen.insert(id) {
            continue;
        }
        for dependency in nodes[id]["deps"].as_array().unwrap() {
            let is_for_tests = dependency["dep_kinds"]
                .as_array()
                .unwrap()
                .iter()
                .all(|kind| kind["kind"] == "dev");
            if !is_for_tests {
                left.push(dependency["pkg"].as_str().unwrap());
            }
        }
    }
    seen.iter().map(|id| names[id].to_owned()).collect()
}

#[test]
fn the_load_tester_needs_no_web_framework() {
    let load = built_with("pitcrew-load");
    // It is the right graph, and deep enough.
    assert!(load.contains("tokio") && load.contains("mio"), "{load:?}");
    for framework in [
        "axum",
        "axum-core",
        "tower-http",
        "pitcrew-admin",
        "pitcrew",
    ] {
        assert!(!load.contains(framework), "{framework}");
    }
    assert!(built_with("pitcrew-admin").contains("axum"));
}
