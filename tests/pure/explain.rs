//! `lockbox-operator explain` as its user calls it.

use std::process::{Command, Output};

use serde_json::Value;

const SETTINGS: &str = "examples/global-administrator/settings.yaml";
const REQUEST: &str = "examples/engineer/request-subscription.yaml";

fn explain(arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_lockbox-operator"));
    command.current_dir(env!("CARGO_MANIFEST_DIR")).arg("explain").args(arguments).output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// The examples' request by an engineer on a secure workstation.
fn by_kim(more: &[&str]) -> Output {
    let kim = ["--as", "kim@provider.example", "--as-group", "provider:engineers"];
    explain(&[&["-f", SETTINGS, "-f", REQUEST][..], &kim, more].concat())
}

#[test]
fn it_shows_for_each_rule_whether_it_matches_why_not_and_what_it_requires() {
    let answer = by_kim(&["--as-group", "provider:secure-workstations"]);
    let said = text(&answer.stdout);
    assert_eq!(answer.status.code(), Some(0), "{said}");
    for line in [
        "  named-objects (Permit): matches\n    requires an isolated identity or multi-factor authentication\n",
        "  shell (Permit): does not match\n    - accessLevels: does not include ReadObjects\n",
        "  nodes (Permit): does not match\n    - scopes: [Tenant] does not include Subscription\n    - services: does not include AppService\n",
        "Goes on CustomerNotified: The customer's approvers are asked.\n",
    ] {
        assert!(said.contains(line), "{line}\nis not in\n{said}");
    }
}

#[test]
fn a_refused_request_is_exit_code_one_and_says_what_to_do() {
    let answer = by_kim(&[]);
    assert_eq!(answer.status.code(), Some(1));
    assert!(text(&answer.stdout).contains("sign in that way and create a new request"));
}

#[test]
fn a_second_factor_counts_like_an_isolated_identity() {
    let answer = by_kim(&["--as-user-extra", "provider.example/amr=mfa"]);
    assert_eq!(answer.status.code(), Some(0), "{}", text(&answer.stdout));
}

#[test]
fn scripts_read_json() {
    let answer = by_kim(&["-o", "json"]);
    let report: Value = serde_json::from_slice(&answer.stdout).unwrap();
    assert_eq!(report["outcome"], "refused");
    assert_eq!(report["reason"], "IdentityNotSufficient");
    assert_eq!(report["rules"][0]["name"], "named-objects");
    assert_eq!(report["rules"][0]["matches"], true);
}

#[test]
fn with_roles_and_assignments_the_whole_evaluation_is_shown() {
    let folder = std::env::temp_dir().join(format!("lockbox-explain-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let role = folder.join("role.yaml");
    std::fs::write(
        &role,
        "kind: ClusterRole\nmetadata: {name: lockbox-read-objects}\nrules: [{apiGroups: [\"\"], resources: [secrets], verbs: [get]}]\n",
    )
    .unwrap();
    let more = ["--as-group", "provider:secure-workstations", "-f", role.to_str().unwrap()];
    let answer = by_kim(&more);
    let said = text(&answer.stdout);
    assert_eq!(answer.status.code(), Some(1), "{said}");
    assert!(said.contains("Refused AccessLevelUnusable: Access level ReadObjects cannot be granted"), "{said}");
    std::fs::remove_dir_all(&folder).unwrap();
}

#[test]
fn what_cannot_be_read_is_named_with_exit_code_two() {
    let answer = explain(&["-f", "no/such/file.yaml"]);
    assert_eq!(answer.status.code(), Some(2));
    assert!(text(&answer.stderr).contains("no/such/file.yaml"));
    let answer = explain(&["-f", REQUEST, "--as", "kim@provider.example"]);
    assert_eq!(answer.status.code(), Some(2));
    assert!(text(&answer.stderr).contains("no LockboxSettings in the files: name one with -f"));
}
