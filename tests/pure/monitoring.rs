//! Alerts, dashboard and document name what the operator shows.

use std::{collections::BTreeSet, fs, path::Path};

use serde_json::Value;

fn read(path: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn alerts() -> Vec<Value> {
    let groups: Value = serde_yaml_ng::from_str(&read("charts/lockbox/files/alerts.yaml")).unwrap();
    let groups = groups.as_array().unwrap().clone();
    groups.iter().flat_map(|group| group["rules"].as_array().unwrap().clone()).collect()
}

/// The queries of the dashboard's panels.
fn queries() -> Vec<String> {
    let dashboard: Value = serde_json::from_str(&read("charts/lockbox/files/dashboard.json")).unwrap();
    let panels = dashboard["panels"].as_array().unwrap();
    let targets = panels.iter().flat_map(|panel| panel["targets"].as_array().unwrap());
    targets.map(|target| target["expr"].as_str().unwrap().to_owned()).collect()
}

/// The words of a text that look like names of our series.
fn series(text: &str) -> BTreeSet<String> {
    let is_part = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let words = text.split(|c| !is_part(c)).filter(|word| word.starts_with("lockbox_"));
    words.map(str::to_owned).collect()
}

fn registered() -> BTreeSet<String> {
    lockbox::metrics::names().into_iter().collect()
}

#[test]
fn every_series_that_an_alert_or_a_panel_asks_for_is_one_that_the_operator_has() {
    let known = registered();
    let mut asked = vec![];
    for alert in alerts() {
        asked.push((alert["alert"].as_str().unwrap().to_owned(), alert["expr"].as_str().unwrap().to_owned()));
    }
    asked.extend(queries().into_iter().map(|query| ("dashboard".to_owned(), query)));
    assert!(asked.len() > 30, "{}", asked.len());
    for (who, query) in asked {
        let names = series(&query);
        assert!(!names.is_empty(), "{who}: {query}");
        for name in names {
            assert!(known.contains(&name), "{who} asks for {name}, which the operator does not show");
        }
        let count = |c: char| query.chars().filter(|of| *of == c).count();
        assert_eq!((count('('), count('{'), count('[')), (count(')'), count('}'), count(']')), "{who}: {query}");
    }
}

#[test]
fn the_document_says_of_every_alert_what_to_do_and_of_every_series_what_it_is() {
    let text = read("docs/operations.md");
    let sections: BTreeSet<&str> = text.lines().filter_map(|line| line.strip_prefix("### Lockbox")).collect();
    let alerts: Vec<String> = alerts().iter().map(|alert| alert["alert"].as_str().unwrap().to_owned()).collect();
    let named: BTreeSet<&str> = alerts.iter().map(|name| name.strip_prefix("Lockbox").unwrap()).collect();
    assert_eq!(named, sections);
    assert_eq!(named.len(), alerts.len(), "an alert's name is there twice");
    // A histogram has three series of one name.
    let whole = |name: &str| {
        ["_bucket", "_sum", "_count"].iter().find_map(|end| name.strip_suffix(end)).unwrap_or(name).to_owned()
    };
    let documented: BTreeSet<String> = series(&text).iter().map(|name| whole(name)).collect();
    let known: BTreeSet<String> = registered().iter().map(|name| whole(name)).collect();
    assert_eq!(documented, known);
}

#[test]
fn every_alert_says_how_bad_it_is_and_what_it_means() {
    for alert in alerts() {
        let name = &alert["alert"];
        let severity = alert["labels"]["severity"].as_str().unwrap_or_else(|| panic!("{name}"));
        assert!(["critical", "warning"].contains(&severity), "{name}: {severity}");
        for part in ["summary", "description"] {
            assert!(alert["annotations"][part].as_str().is_some_and(|text| text.ends_with('.')), "{name}: {part}");
        }
    }
}
