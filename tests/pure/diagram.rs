//! The diagram in docs/lifecycle.md is the one that the code's own table makes, and the document mentions every phase,
//! every audit action and every reason.

use std::{collections::BTreeSet, fmt::Write as _, path::Path};

use lockbox_api::Phase;

fn document() -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/lifecycle.md");
    std::fs::read_to_string(path).expect("docs/lifecycle.md is there")
}

/// The diagram as mermaid writes it.
fn diagram() -> String {
    let mut text = String::from("```mermaid\nstateDiagram-v2\n    [*] --> Evaluating\n");
    for from in Phase::ALL {
        for to in from.next() {
            let _ = writeln!(text, "    {from} --> {to}");
        }
    }
    for phase in Phase::ALL.into_iter().filter(|phase| phase.is_terminal()) {
        let _ = writeln!(text, "    {phase} --> [*]");
    }
    text.push_str("```\n");
    text
}

/// The names of an enumeration's members, read from the source: a new one cannot be forgotten here.
fn members(enumeration: &str) -> Vec<String> {
    let source = include_str!("../../crates/api/src/vocabulary.rs");
    let (_, after) = source.split_once(&format!("pub enum {enumeration} {{")).expect("the enumeration is there");
    let (inside, _) = after.split_once("\n}").unwrap();
    inside
        .lines()
        .filter_map(|line| line.trim().strip_suffix(','))
        .filter(|name| name.chars().all(char::is_alphanumeric))
        .map(str::to_owned)
        .collect()
}

/// Words that the code gives as a request's reason, read from the sources.
fn reasons() -> BTreeSet<String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("crates/lifecycle/src");
    // Reasons of approvers and assignments are not a request's.
    let others = ["approvers.rs", "recognition.rs", "people.rs", "conditions.rs", "proofs.rs"];
    let files = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let sources: Vec<_> = files
        .filter(|path| path.is_file() && !others.iter().any(|other| path.ends_with(other)))
        .map(|path| std::fs::read_to_string(path).unwrap())
        .collect();
    let mut found = BTreeSet::new();
    for source in &sources {
        let shipped = source.split("#[cfg(test)]").next().unwrap();
        for piece in shipped.split('"').skip(1).step_by(2) {
            let camel = piece.len() > 6
                && piece.chars().all(char::is_alphabetic)
                && piece.starts_with(char::is_uppercase)
                && piece.chars().filter(|letter| letter.is_uppercase()).count() > 1
                && piece != "GlobalAdministrator";
            if camel {
                found.insert(piece.to_owned());
            }
        }
    }
    found
}

#[test]
fn the_diagram_in_the_document_is_the_one_of_the_code() {
    let right = diagram();
    assert!(document().contains(&right), "docs/lifecycle.md should hold this diagram:\n\n{right}");
}

#[test]
fn the_document_mentions_every_phase_and_every_audit_action() {
    let document = document();
    let (phases, actions) = (members("Phase"), members("AuditAction"));
    assert_eq!(phases.len(), Phase::ALL.len());
    assert!(actions.len() >= 20, "{actions:?}");
    let missing: Vec<_> =
        phases.iter().chain(&actions).filter(|name| !document.contains(&format!("`{name}`"))).collect();
    assert!(missing.is_empty(), "docs/lifecycle.md does not mention {missing:?}");
}

#[test]
fn the_document_mentions_every_reason() {
    let document = document();
    let reasons = reasons();
    assert!(reasons.len() > 30 && reasons.contains("NoEligibleApprover"), "{reasons:?}");
    let missing: Vec<_> = reasons.iter().filter(|reason| !document.contains(&format!("`{reason}`"))).collect();
    assert!(missing.is_empty(), "docs/lifecycle.md does not mention {missing:?}");
}
