//! What the documents say about the repository is true: files, tests, links, layout.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

fn repository(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

fn read(path: &str) -> String {
    fs::read_to_string(repository(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// What stands between backticks in a cell.
fn quoted(cell: &str) -> impl Iterator<Item = &str> {
    cell.split('`').skip(1).step_by(2)
}

fn is_test_name(word: &str) -> bool {
    word.contains('_') && word.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_')
}

fn is_path(word: &str) -> bool {
    word.contains('.') && !word.contains(' ')
}

/// Names of the tests in a file: functions with `#[test]` (or tokio's) above them.
fn tests_in(path: &str) -> BTreeSet<String> {
    let text = read(path);
    let mut names = BTreeSet::new();
    let mut marked = false;
    for line in text.lines().map(str::trim) {
        if line.starts_with("#[test]") || line.starts_with("#[tokio::test") {
            marked = true;
        } else if marked && let Some(name) = line.strip_prefix("fn ").or_else(|| line.strip_prefix("async fn ")) {
            names.insert(name.split('(').next().unwrap().to_owned());
            marked = false;
        }
    }
    names
}

/// What is wrong with one row of docs/requirements.md; nothing when all is well.
fn problems(row: &str) -> Vec<String> {
    let cells: Vec<_> = row.trim_matches('|').split(" | ").map(str::trim).collect();
    let [id, _, implemented, tested, documented] = cells[..] else {
        return vec![format!("{row}: five cells, none of them empty")];
    };
    let mut problems = vec![];
    let mut problem = |what: String| problems.push(format!("{id}: {what}"));
    for (what, cell) in [("implemented", implemented), ("documented", documented)] {
        if quoted(cell).next().is_none() && !cell.contains("not yet") {
            problem(format!("{what} nowhere"));
        }
        for word in quoted(cell) {
            if !repository(word).is_file() {
                problem(format!("{what}: there is no file {word}"));
            }
        }
    }
    let (mut file, mut found) = (String::new(), 0);
    for word in quoted(tested) {
        if is_test_name(word) {
            found += 1;
            if file.is_empty() || !tests_in(&file).contains(word) {
                problem(format!("{file:?} has no test {word}"));
            }
        } else if is_path(word) && repository(word).is_file() {
            word.clone_into(&mut file);
        } else {
            problem(format!("tested: there is no file {word}"));
            file.clear();
        }
    }
    if found == 0 && !tested.contains("not yet") {
        problem("tested nowhere".into());
    }
    problems
}

fn rows(text: &str) -> impl Iterator<Item = &str> {
    let is_row = |line: &&str| line.starts_with("| M") || line.starts_with("| B");
    text.lines().filter(is_row)
}

#[test]
fn every_requirement_is_implemented_tested_and_documented_where_the_table_says() {
    let text = read("docs/requirements.md");
    let problems: Vec<_> = rows(&text).flat_map(problems).collect();
    assert!(problems.is_empty(), "{}", problems.join("\n"));
}

#[test]
fn the_table_has_every_requirement_once_and_in_order() {
    let text = read("docs/requirements.md");
    let ids: Vec<_> =
        rows(&text).map(|row| row.trim_matches('|').split('|').next().unwrap().trim().to_owned()).collect();
    let expected: Vec<_> = (1..=21).map(|n| format!("M{n}")).chain((1..=12).map(|n| format!("B{n}"))).collect();
    assert_eq!(ids, expected);
}

#[test]
fn a_row_that_names_what_is_not_there_is_found_out() {
    let row = |implemented: &str, tested: &str| format!("| M1 | text | {implemented} | {tested} | `README.md` |");
    let tested = "`tests/pure/docs.rs`: `a_row_that_names_what_is_not_there_is_found_out`";
    assert_eq!(problems(&row("`src/lib.rs`", tested)), Vec::<String>::new());
    for (implemented, tested) in [
        ("`src/nothing.rs`", tested),
        ("", tested),
        ("somewhere", tested),
        ("`src/lib.rs`", "`tests/pure/docs.rs`: `a_test_that_is_not_there`"),
        ("`src/lib.rs`", "`tests/pure/docs.rs`: `is_test_name`"),
        ("`src/lib.rs`", "`a_row_that_names_what_is_not_there_is_found_out`"),
        ("`src/lib.rs`", "`tests/pure/docs.rs`"),
    ] {
        assert!(!problems(&row(implemented, tested)).is_empty(), "{implemented} {tested}");
    }
}

/// The Rust files of a folder, by their names without the ending.
fn modules(folder: &Path) -> BTreeSet<String> {
    let files = fs::read_dir(folder).unwrap().map(|file| file.unwrap().path());
    let rust = files.filter(|file| file.extension().is_some_and(|extension| extension == "rs"));
    rust.map(|file| file.file_stem().unwrap().to_str().unwrap().to_owned()).collect()
}

#[test]
fn every_file_of_tests_is_part_of_a_binary() {
    let tests = repository("tests");
    assert_eq!(modules(&tests), BTreeSet::new(), "a file here would be one binary more");
    for folder in fs::read_dir(&tests).unwrap().map(|entry| entry.unwrap().path()) {
        let mut names = modules(&folder);
        let Some(root) = ["main", "mod"].into_iter().find(|root| names.remove(*root)) else {
            assert_eq!(names, BTreeSet::new(), "{} has no main.rs", folder.display());
            continue;
        };
        let text = fs::read_to_string(folder.join(root).with_extension("rs")).unwrap();
        names.retain(|name| !text.contains(&format!("mod {name};")));
        assert_eq!(names, BTreeSet::new(), "name them in {}/{root}.rs: else they never run", folder.display());
    }
}

/// The documents, by their paths.
fn documents() -> Vec<String> {
    let mut found: Vec<String> =
        ["README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "CHANGELOG.md", "charts/lockbox/README.md"]
            .map(str::to_owned)
            .to_vec();
    let mut folders = vec!["docs".to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(repository(&folder)).unwrap() {
            let entry = entry.unwrap();
            let path = format!("{folder}/{}", entry.file_name().to_str().unwrap());
            if entry.file_type().unwrap().is_dir() {
                folders.push(path);
            } else if Path::new(&path).extension().is_some_and(|extension| extension == "md") {
                found.push(path);
            }
        }
    }
    found
}

#[test]
fn every_link_and_every_example_in_the_documents_leads_somewhere() {
    let mut broken = vec![];
    for document in documents() {
        let text = read(&document);
        let folder = Path::new(&document).parent().unwrap();
        for link in text.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            let target = link.split('#').next().unwrap();
            if !target.is_empty() && !target.contains("://") && !repository("").join(folder).join(target).exists() {
                broken.push(format!("{document}: {link}"));
            }
        }
        for rest in text.split("examples/").skip(1) {
            let name: String = rest.chars().take_while(|c| c.is_ascii_alphanumeric() || "-_/.".contains(*c)).collect();
            let path = format!("examples/{}", name.trim_end_matches('.'));
            if !repository(&path).exists() {
                broken.push(format!("{document}: {path}"));
            }
        }
    }
    assert!(broken.is_empty(), "{}", broken.join("\n"));
}

#[test]
fn the_top_level_and_the_dependencies_are_the_promised_ones() {
    for path in ["Cargo.toml", "Cargo.lock", "src", "crds", "charts", "examples", "tests", "README.md"] {
        assert!(repository(path).exists(), "{path}");
    }
    let manifest = read("Cargo.toml");
    let of_all = manifest.split("[workspace.dependencies]").nth(1).unwrap().split("\n[").next().unwrap();
    let of_the_operator = manifest.split("\n[dependencies]").nth(1).unwrap().split("\n[").next().unwrap();
    let dependencies = format!("{of_all}{of_the_operator}");
    for name in ["kube", "k8s-openapi", "tokio", "schemars", "serde", "serde_json", "chrono", "tracing", "futures"] {
        assert!(dependencies.lines().any(|line| line.starts_with(&format!("{name} ="))), "{name}");
    }
}
