//! The diagram in docs/lifecycle.md is the one that the code's own table makes, and the document mentions every phase,
//! every audit action and every reason.

use std::{fmt::Write as _, path::Path};

use lockbox_api::Phase;
use lockbox_lifecycle::Reason;

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

/// The table of reasons as the code has them: by phase, each with what to do.
fn reasons() -> String {
    let mut text = String::from("| phase | `status.reason` | what to do |\n|---|---|---|\n");
    for phase in Phase::ALL {
        let mut first = true;
        for reason in Reason::ALL.iter().filter(|reason| reason.phases().contains(&phase)) {
            let shown = if first { format!("`{phase}`") } else { String::new() };
            let _ = writeln!(text, "| {shown} | `{reason}` | {} |", reason.advice());
            first = false;
        }
    }
    text
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
fn the_table_of_reasons_in_the_document_is_the_one_of_the_code() {
    let right = reasons();
    assert!(document().contains(&right), "docs/lifecycle.md should hold this table:\n\n{right}");
}
