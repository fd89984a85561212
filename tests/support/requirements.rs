//! What the tests of the requirements share: asking under settings of one's own, and reading what became of it.

use lockbox_cluster::User;
use serde_json::{Value, json};

use super::{ADA, Manifest, World, example};

/// Creates a request under changed settings and waits until it is in a phase. What depends on settings is recorded when
/// a request leaves Evaluating, so the settings are back when this returns. Tests take turns here.
pub fn ask_under(world: &World, settings: &Value, user: &User, manifest: &Manifest, phase: &str) -> Value {
    let _turn = world.with_settings(settings);
    create(world, user, manifest);
    world.wait_for_phase(&place(manifest), &name(manifest), phase)
}

/// The same with the settings of the examples, along with other tests that rely on these.
pub fn ask(world: &World, user: &User, manifest: &Manifest, phase: &str) -> Value {
    let _steady = world.steady();
    create(world, user, manifest);
    world.wait_for_phase(&place(manifest), &name(manifest), phase)
}

/// Creates a request, and waits until its requester may follow it.
pub fn create(world: &World, user: &User, manifest: &Manifest) {
    world.create_as(user, &manifest.to_string()).unwrap();
    world.sees(user, &place(manifest), &name(manifest));
}

pub fn place(manifest: &Manifest) -> String {
    manifest.0["metadata"]["namespace"].as_str().unwrap().to_owned()
}

pub fn name(manifest: &Manifest) -> String {
    manifest.0["metadata"]["name"].as_str().unwrap().to_owned()
}

/// The example's settings, as a value.
pub fn example_settings() -> Value {
    serde_yaml_ng::from_str(&example("global-administrator/settings.yaml")).unwrap()
}

/// A list of the example's settings (such as `/spec/jit/rules`) with more items: a merge patch replaces lists.
pub fn list_and(pointer: &str, more: &[Value]) -> Value {
    let mut list = example_settings().pointer(pointer).unwrap().as_array().unwrap().clone();
    list.extend_from_slice(more);
    Value::Array(list)
}

/// A `RoleAssignment` in a namespace.
pub fn assignment(namespace: &str, name: &str, kind: &str, principal: &str, role: &str) -> Manifest {
    let scope = if role == "GlobalAdministrator" { "Tenant" } else { "Subscription" };
    Manifest(json!({
        "apiVersion": "lockbox.dev/v1alpha1", "kind": "RoleAssignment",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {"principal": {"kind": kind, "name": principal}, "role": role, "scope": scope},
    }))
}

/// Waits for a condition of an assignment.
pub fn wait_for_assignment(world: &World, namespace: &str, name: &str, condition: &str) {
    let condition = format!("--for=condition={condition}");
    world.admin(&["wait", &condition, &format!("lra/{name}"), "-n", namespace, "--timeout=60s"]).unwrap();
}

/// Asks the API server whether a user may, with its own answer.
pub fn may(world: &World, user: &User, question: &[&str]) -> bool {
    world.kubectl(user, &[&["auth", "can-i", "--quiet"], question].concat()).is_ok()
}

/// The names in `status.approvers`, sorted.
pub fn approvers(request: &Value) -> Vec<&str> {
    let mut names: Vec<_> = items(&request["status"]["approvers"]).iter().map(|who| text(&who["name"])).collect();
    names.sort_unstable();
    names
}

/// (name, reason) of `status.excludedApprovers`, sorted.
pub fn excluded(request: &Value) -> Vec<(&str, &str)> {
    let mut out: Vec<_> = items(&request["status"]["excludedApprovers"])
        .iter()
        .map(|who| (text(&who["name"]), text(&who["reason"])))
        .collect();
    out.sort_unstable();
    out
}

pub fn items(list: &Value) -> &[Value] {
    list.as_array().map_or(&[], Vec::as_slice)
}

pub fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

/// Reason and message of a status.
pub fn why(request: &Value) -> (&str, &str) {
    (text(&request["status"]["reason"]), text(&request["status"]["message"]))
}

/// Seconds between two moments of a status.
pub fn seconds_between(request: &Value, from: &str, to: &str) -> i64 {
    let moment = |field: &str| {
        chrono::DateTime::parse_from_rfc3339(text(&request["status"][field]))
            .unwrap_or_else(|error| panic!("status.{field}: {error}"))
    };
    (moment(to) - moment(from)).num_seconds()
}

/// The Events of the LockboxSettings with this reason: their notes.
pub fn settings_events(world: &World, reason: &str) -> Vec<String> {
    let selector = format!("--field-selector=reason={reason},involvedObject.kind=LockboxSettings");
    let list = world.admin(&["get", "events", "-n", "default", &selector, "-o", "json"]).unwrap();
    let list: Value = serde_json::from_str(&list).unwrap();
    items(&list["items"]).iter().map(|event| text(&event["message"]).to_owned()).collect()
}

/// The first Global Administrator's name, as Events write it.
pub const ADMINISTRATOR: &str = ADA;
