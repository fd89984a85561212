//! What decides is pure: `api` and `lifecycle` import no client and no runtime, read no clock, no file, no environment.
//! Rust has no such rule, so this test reads the sources.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

use std::path::{Path, PathBuf};

/// What pure code may not name, and why.
const FORBIDDEN: &[(&str, &str)] = &[
    ("kube::Client", "it would call the API server"),
    ("kube::client", "it would call the API server"),
    ("kube::Api", "it would call the API server"),
    ("kube::api", "it would call the API server"),
    ("kube::runtime", "it would watch"),
    ("kube::Config", "it would find a cluster"),
    ("tokio", "it would wait"),
    ("futures", "it would wait"),
    ("async ", "it would wait"),
    (".await", "it would wait"),
    ("SystemTime", "it would read a clock"),
    ("Instant", "it would read a clock"),
    ("Utc::now", "it would read a clock"),
    ("Local::now", "it would read a clock"),
    ("Timestamp::now", "it would read a clock"),
    ("Zoned::now", "it would read a clock"),
    ("std::fs", "it would read files"),
    ("std::net", "it would use the network"),
    ("std::env", "it would depend on the environment"),
    ("std::process", "it would depend on the process"),
    ("std::thread", "it would run beside itself"),
    ("std::io", "it would read or write"),
    ("include_str!", "it would depend on a file"),
    ("OnceLock", "it would remember"),
    ("LazyLock", "it would remember"),
    ("static mut", "it would remember"),
    ("Mutex", "it would remember"),
    ("thread_local!", "it would remember"),
    ("rand::", "it would guess"),
    ("tracing::", "it would log"),
    ("println!", "it would print"),
    ("crate::cluster", "it would call the API server"),
    ("crate::controller", "it would depend on who calls it"),
    ("crate::operator", "it would depend on who calls it"),
    ("crate::config", "it would depend on how it was started"),
];

/// Braces in a `use` hide a path's pieces from each other: `use std::{fs, env}`.
const HIDDEN_IN_BRACES: &[(&str, &[&str])] = &[
    ("std::{", &["fs", "net", "env", "process", "thread", "io"]),
    ("kube::{", &["Client", "Api", "api", "client", "runtime", "Config"]),
    ("crate::{", &["cluster", "controller", "operator", "config"]),
];

/// Everything impure in a source text, as line number and why. Comments do not count, nor does what is compiled for
/// tests alone.
fn impurities(source: &str) -> Vec<(usize, String)> {
    let shipped = source.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default();
    let mut found = vec![];
    for (number, line) in (1..).zip(shipped.lines()) {
        let code = line.split("//").next().unwrap_or_default();
        for (word, why) in FORBIDDEN {
            if code.contains(word) {
                found.push((number, format!("{word}: {why}")));
            }
        }
    }
    let flat: String = shipped
        .lines()
        .map(|line| line.split("//").next().unwrap_or_default().trim())
        .collect::<Vec<_>>()
        .join(" ")
        .replace("{ ", "{")
        .replace("use ", "\u{0}use ");
    for usage in flat.split('\u{0}').filter(|usage| usage.starts_with("use ")) {
        let usage = usage.split(';').next().unwrap_or_default();
        for (prefix, members) in HIDDEN_IN_BRACES {
            let Some((_, inside)) = usage.split_once(prefix) else { continue };
            let mut depth = 0_i32;
            for part in inside.split_inclusive(['{', '}', ',']) {
                let name = part.trim().trim_end_matches(['{', '}', ',']).trim();
                let name = name.split("::").next().unwrap_or_default();
                if depth == 0 && members.contains(&name) {
                    found.push((0, format!("{prefix}{name}}}")));
                }
                depth += match part.chars().last() {
                    Some('{') => 1,
                    Some('}') => -1,
                    _ => 0,
                };
                if depth < 0 {
                    break;
                }
            }
        }
    }
    found
}

fn sources(folder: &Path) -> Vec<PathBuf> {
    let mut found = vec![];
    for entry in std::fs::read_dir(folder).expect("the folder is there") {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(sources(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") && path.file_name().unwrap() != "tests.rs"
        {
            found.push(path);
        }
    }
    found
}

#[test]
fn what_is_stored_and_what_is_decided_depends_on_nothing_but_what_is_handed_in() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let files: Vec<_> = ["api", "lifecycle"].iter().flat_map(|module| sources(&root.join(module))).collect();
    assert!(files.len() > 20, "only {} files were found", files.len());
    assert!(files.iter().any(|file| file.ends_with("lifecycle/step.rs")), "the step itself is not among them");
    let found: Vec<_> = files
        .iter()
        .flat_map(|file| {
            let source = std::fs::read_to_string(file).unwrap();
            impurities(&source)
                .into_iter()
                .map(|(line, why)| format!("{}:{line}: {why}", file.strip_prefix(&root).unwrap().display()))
        })
        .collect();
    assert!(found.is_empty(), "pure code is not:\n{}", found.join("\n"));
}

#[test]
fn the_search_finds_what_it_looks_for() {
    for impure in [
        "use kube::Client;",
        "fn f() { let now = std::time::SystemTime::now(); }",
        "fn f() { let now = chrono::Utc::now(); }",
        "use tokio::time::sleep;",
        "use std::{collections::BTreeMap, env};",
        "use std::{\n    collections::{BTreeMap, BTreeSet},\n    fs,\n};",
        "use kube::{Api, CustomResource};",
        "use crate::{api::Moment, cluster::Cluster};",
        "async fn f() {}",
        "fn f() { g().await; }",
    ] {
        assert!(!impurities(impure).is_empty(), "nothing was found in {impure:?}");
    }
}

#[test]
fn the_search_finds_nothing_in_what_is_pure() {
    for pure in [
        "use std::{collections::BTreeMap, fmt};",
        "use kube::{CustomResource, KubeSchema};",
        "// Utc::now() is for the controller.",
        "use chrono::{DateTime, SubsecRound, Utc};",
        "use crate::{api::Moment, lifecycle::step};",
        "fn f() {}\n#[cfg(test)]\nmod tests {\n    use std::fs;\n}",
    ] {
        assert_eq!(impurities(pure), [], "something was found in {pure:?}");
    }
}
