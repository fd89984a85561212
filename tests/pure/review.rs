//! `lockbox-operator activity` as its user calls it: logs of every form, from files and from standard input.

use std::{
    fs,
    io::Write as _,
    path::PathBuf,
    process::{Command, Output, Stdio},
    sync::atomic::{AtomicUsize, Ordering},
};

use serde_json::{Value, json};

const KIM: &str = "kim@provider.example";

/// A file of a test's own.
fn file(name: &str, text: &str) -> PathBuf {
    let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("review-{name}"));
    fs::write(&path, text).unwrap();
    path
}

fn request(uid: &str) -> Value {
    json!({
        "apiVersion": "lockbox.dev/v1alpha1", "kind": "LockboxRequest",
        "metadata": {"name": format!("sr-{uid}"), "namespace": "shop", "uid": uid},
        "spec": {
            "requester": {"username": KIM}, "origin": "SupportRequest", "justification": "because",
            "scope": "Subscription", "service": "AppService", "accessLevel": "Shell",
        },
        "status": {
            "phase": "Completed", "approvedAt": "2026-11-29T10:00:00Z", "endedAt": "2026-11-29T10:04:00Z",
            // What was recorded then is not what the log shows.
            "activity": {
                "coverage": "Covered", "message": "", "calls": 99, "failed": 0, "afterTheEnd": 0, "moreOperations": 0,
                "moreObjects": 0, "moreSessions": 0, "moreUserAgents": 0, "moreAddresses": 0, "moreResidue": 0,
                "refused": {"calls": 0, "moreAttempts": 0, "elsewhere": 0},
                "byOtherRights": {"calls": 0, "byOtherGrants": 0, "elsewhere": 0, "discovery": 0, "asSomebodyElse": 0, "moreOperations": 0},
            },
        },
    })
}

fn event(time: &str) -> Value {
    let at = format!("2026-11-29T{time}Z");
    json!({
        "kind": "Event", "apiVersion": "audit.k8s.io/v1", "level": "Metadata", "auditID": time, "stage": "ResponseComplete",
        "requestURI": "/api/v1/namespaces/shop/configmaps/c", "verb": "get", "user": {"username": KIM},
        "sourceIPs": ["192.0.2.7"], "userAgent": "kubectl/v1.37",
        "objectRef": {"resource": "configmaps", "namespace": "shop", "name": "c", "apiVersion": "v1"},
        "responseStatus": {"metadata": {}, "code": 200}, "requestReceivedTimestamp": at, "stageTimestamp": at,
        "annotations": {
            "authorization.k8s.io/decision": "allow",
            "authorization.k8s.io/reason": "RBAC: allowed by RoleBinding \"lockbox-grant-u1/shop\" of Role \"x\" to User \"kim\"",
        },
    })
}

/// Three events, from before the access to after it.
fn events() -> [Value; 3] {
    ["10:00:00", "10:02:00", "10:04:00"].map(event)
}

fn lines() -> String {
    events().map(|event| event.to_string() + "\n").concat()
}

fn activity(arguments: &[&str], input: &str) -> Output {
    // Tests run side by side: each call has a file of its own.
    static CALLS: AtomicUsize = AtomicUsize::new(0);
    let name = format!("request-{}.yaml", CALLS.fetch_add(1, Ordering::Relaxed));
    let request = file(&name, &serde_yaml_ng::to_string(&request("u1")).unwrap());
    let mut command = Command::new(env!("CARGO_BIN_EXE_lockbox-operator"));
    command.arg("activity").arg("--request").arg(request).args(arguments);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    // It may refuse its arguments before it reads.
    let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
    child.wait_with_output().unwrap()
}

/// How many calls were found in a log by the access.
fn calls(name: &str, log: &str, more: &[&str]) -> i64 {
    let path = file(name, log).display().to_string();
    let output = activity(&[&["-o", "json", "--audit-log", &path][..], more].concat(), "");
    let shown: Value = serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {output:?}"));
    shown["requests"][0]["activity"]["calls"].as_i64().unwrap()
}

#[test]
fn every_form_of_a_log_shows_the_same_calls() {
    let message = |event: &Value| json!({"message": event.to_string(), "timestamp": 1});
    let record = |event: &Value| json!({"category": "kube-audit", "properties": {"log": event.to_string()}});
    let bare = |event: &Value| {
        let mut event = event.clone();
        event.as_object_mut().unwrap().retain(|key, _| key != "kind" && key != "apiVersion");
        event
    };
    let entry = |event: &Value| {
        json!({
            "labels": event["annotations"], "insertId": event["auditID"], "timestamp": event["stageTimestamp"],
            "protoPayload": {
                "serviceName": "k8s.io", "methodName": "io.k8s.core.v1.configmaps.get",
                "resourceName": "core/v1/namespaces/shop/configmaps/c", "status": {},
                "authenticationInfo": {"principalEmail": KIM}, "requestMetadata": {"callerIp": "192.0.2.7"},
            },
        })
    };
    let pretty = |value: Value| serde_json::to_string_pretty(&value).unwrap();
    let each =
        |of: &dyn Fn(&Value) -> Value| events().iter().map(|event| of(event).to_string() + "\n").collect::<String>();
    let all = |of: &dyn Fn(&Value) -> Value| json!(events().iter().map(of).collect::<Vec<_>>());
    let list = json!({"kind": "EventList", "apiVersion": "audit.k8s.io/v1", "metadata": {}, "items": all(&bare)});
    for (name, form, log) in [
        ("lines", "kubernetes", lines()),
        ("lines without an end", "kubernetes", lines().trim_end().to_owned()),
        ("a list in one line", "kubernetes", list.to_string()),
        ("a list in many lines", "kubernetes", pretty(list)),
        ("events in many lines each", "kubernetes", events().map(pretty).concat()),
        ("CloudWatch lines", "eks", each(&message)),
        ("CloudWatch answer", "eks", pretty(json!({"events": all(&message), "searchedLogStreams": []}))),
        (
            "CloudWatch subscription",
            "eks",
            json!({"messageType": "DATA_MESSAGE", "logEvents": all(&message)}).to_string(),
        ),
        ("CloudWatch export", "eks", events().map(|event| format!("2026-11-29T10:00:00.000Z {event}\n")).concat()),
        ("Azure lines", "aks", each(&record)),
        ("Azure records", "aks", pretty(json!({"records": all(&record)}))),
        ("Google list", "gke", pretty(all(&entry))),
        ("Google lines", "gke", each(&entry)),
    ] {
        assert_eq!(calls(name, &log, &[]), 3, "{name}");
        assert_eq!(calls(name, &log, &["--format", form]), 3, "{name} as {form}");
    }
}

#[test]
fn a_log_that_covers_the_access_is_exit_code_zero_and_says_so_first() {
    let answer = activity(&[], &lines());
    let said = String::from_utf8(answer.stdout).unwrap();
    assert_eq!(answer.status.code(), Some(0), "{said}");
    assert!(said.starts_with(&format!("shop/sr-u1 of {KIM}\n")), "{said}");
    assert!(said.contains("coverage     Covered") && said.contains("3 calls"), "{said}");
}

#[test]
fn a_log_that_does_not_cover_it_is_exit_code_one() {
    for log in [event("10:02:00").to_string(), String::new()] {
        let answer = activity(&[], &log);
        assert_eq!(answer.status.code(), Some(1), "{answer:?}");
        let said = String::from_utf8(answer.stdout).unwrap();
        assert!(said.contains("Partial") || said.contains("None"), "{said}");
    }
}

#[test]
fn lines_that_are_no_events_are_passed_over_and_counted() {
    let log = format!(
        "not json\n{{\"kind\":\"Event\",\"apiVersion\":\"v1\"}}\n\n{}{}\n",
        lines(),
        // Longer than any event.
        "x".repeat(9 * 1024 * 1024)
    );
    // The first line is JSON, so each line is looked at by itself.
    let log = format!("{}\n{log}", event("10:03:00"));
    let answer = activity(&["-o", "json"], &log);
    let shown: Value = serde_json::from_slice(&answer.stdout).unwrap();
    assert_eq!(shown["requests"][0]["activity"]["calls"], 4);
    assert_eq!((&shown["read"]["unreadable"], &shown["read"]["other"]), (&json!(2), &json!(1)));
    assert_eq!(answer.status.code(), Some(1), "what could not be read may be what was done");
}

#[test]
fn records_come_as_lines_with_stable_fields() {
    let answer = activity(&["-o", "jsonl"], &lines());
    let records: Vec<Value> =
        String::from_utf8(answer.stdout).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(records.len(), 3);
    let fields: Vec<_> = records[0].as_object().unwrap().keys().map(String::as_str).collect();
    let expected = [
        "at",
        "auditID",
        "belongs",
        "code",
        "name",
        "namespace",
        "path",
        "reason",
        "received",
        "request",
        "requestNamespace",
        "requestUID",
        "resource",
        "sourceIPs",
        "user",
        "userAgent",
        "verb",
    ];
    assert_eq!(fields, expected);
}

#[test]
fn several_requests_come_from_a_list_and_each_has_its_own() {
    let list = json!({"apiVersion": "v1", "kind": "List", "items": [request("u2"), request("u3")]});
    let more = file("list.json", &list.to_string()).display().to_string();
    let answer = activity(&["-o", "json", "--request", &more], &lines());
    let shown: Value = serde_json::from_slice(&answer.stdout).unwrap();
    let found: Vec<_> = shown["requests"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| (one["uid"].as_str().unwrap(), one["activity"]["calls"].as_i64().unwrap()))
        .collect();
    assert_eq!(found, [("u1", 3), ("u2", 0), ("u3", 0)]);
    assert_eq!(shown["requests"][1]["activity"]["byOtherRights"]["byOtherGrants"], 3);
}

#[test]
fn what_cannot_be_read_is_exit_code_two_and_named() {
    for (arguments, named) in [
        (&["--audit-log", "/nonexistent/audit.log"][..], "/nonexistent/audit.log"),
        (&["--request", "/nonexistent/request.yaml"], "/nonexistent/request.yaml"),
    ] {
        let answer = activity(arguments, "");
        assert_eq!(answer.status.code(), Some(2));
        assert!(String::from_utf8(answer.stderr).unwrap().contains(named));
    }
    let broken = file("broken.json", "[{\"kind\":").display().to_string();
    let answer = activity(&["--audit-log", &broken], "");
    assert_eq!(answer.status.code(), Some(2), "a list that ends in the middle is no whole log: {answer:?}");
    let none = file(
        "none.yaml",
        "kind: LockboxRequest\napiVersion: lockbox.dev/v1alpha1\nmetadata: {name: x}\nspec: {origin: SupportRequest, justification: x, scope: Subscription, service: x, accessLevel: x, requester: {username: x}}\n",
    );
    let mut command = Command::new(env!("CARGO_BIN_EXE_lockbox-operator"));
    let answer = command.args(["activity", "--request"]).arg(none).stdin(Stdio::null()).output().unwrap();
    assert_eq!(answer.status.code(), Some(2));
    assert!(String::from_utf8(answer.stderr).unwrap().contains("no request in the files was approved"));
}
