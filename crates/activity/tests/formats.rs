//! The forms in which audit events come. Those of the clouds are made after what their vendors and users have published of
//! them; none was recorded from a live cluster of theirs.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use lockbox_activity::{Call, Format, LONGEST_LINE, Stage, Unreadable, read};
use serde_json::{Value, json};

fn event() -> Value {
    json!({
        "kind": "Event", "apiVersion": "audit.k8s.io/v1", "level": "RequestResponse", "auditID": "a-1",
        "stage": "ResponseComplete", "requestURI": "/api/v1/namespaces/shop/pods/web/exec?command=ls&container=app", "verb": "create",
        "user": {"username": "kim@provider.example", "uid": "7", "extra": {"x": ["y"]}}, "sourceIPs": ["192.0.2.7", "10.0.0.1"],
        "userAgent": "kubectl/v1.37",
        "objectRef": {"resource": "pods", "namespace": "shop", "name": "web", "apiVersion": "v1", "subresource": "exec"},
        "responseStatus": {"metadata": {}, "code": 101},
        "requestObject": {"kind": "Secret", "data": {"password": "aHVudGVyMg=="}},
        "requestReceivedTimestamp": "2026-11-29T10:00:00.000001Z", "stageTimestamp": "2026-11-29T10:00:00.5Z",
        "annotations": {"authorization.k8s.io/decision": "allow", "authorization.k8s.io/reason": "RBAC: allowed by RoleBinding \"lockbox-grant-u1/shop\" of Role \"x\" to User \"kim\""},
        "somethingNew": {"of": ["a", "later", "version"]},
    })
}

fn one(line: &Value, format: Format) -> Call {
    let mut calls = read(&line.to_string(), format).unwrap();
    assert_eq!(calls.len(), 1);
    calls.remove(0)
}

fn is_it(call: &Call) {
    assert_eq!(
        (call.user.as_str(), call.verb.as_str(), call.what().as_str(), call.code),
        ("kim@provider.example", "create", "pods/exec", 101)
    );
    assert_eq!((call.namespace.as_str(), call.name.as_str(), call.stage), ("shop", "web", Stage::Complete));
    assert_eq!(call.addresses, ["192.0.2.7", "10.0.0.1"]);
    assert!(call.reason.contains("lockbox-grant-u1/shop"));
    assert_eq!((call.at - call.received).num_microseconds(), Some(499_999));
}

#[test]
fn kubernetes_writes_events_as_lines_and_lists() {
    is_it(&one(&event(), Format::Kubernetes));
    // In a list, an event does not say of what kind it is.
    let mut bare = event();
    bare.as_object_mut().unwrap().retain(|key, _| key != "kind" && key != "apiVersion");
    let list =
        json!({"kind": "EventList", "apiVersion": "audit.k8s.io/v1", "metadata": {}, "items": [bare.clone(), bare]});
    let calls = read(&list.to_string(), Format::Auto).unwrap();
    assert_eq!(calls.len(), 2);
    is_it(&calls[1]);
}

#[test]
fn amazon_has_the_event_as_a_text() {
    let message = event().to_string();
    for line in [
        // aws logs filter-log-events and get-log-events, an event by itself.
        json!({"logStreamName": "kube-apiserver-audit-1", "timestamp": 1_764_410_400_000_u64, "message": message, "ingestionTime": 1}),
        // The whole answer.
        json!({"events": [{"timestamp": 1, "message": message}], "nextToken": "t"}),
        // A subscription.
        json!({"messageType": "DATA_MESSAGE", "owner": "1", "logGroup": "/aws/eks/c/cluster", "logStream": "kube-apiserver-audit-1",
            "subscriptionFilters": ["f"], "logEvents": [{"id": "1", "timestamp": 1, "message": message}]}),
        // Log routers that read the message themselves.
        json!({"message": event()}),
    ] {
        is_it(&one(&line, Format::Eks));
        is_it(&one(&line, Format::Auto));
    }
    // An export to S3 has the time in front, aws logs tail the stream as well.
    for prefix in ["2026-11-29T10:00:00.000Z ", "2026-11-29T10:00:00.000000+00:00 kube-apiserver-audit-1 "] {
        is_it(&read(&format!("{prefix}{message}"), Format::Eks).unwrap()[0]);
    }
    // Other logs of the control plane are in the same group.
    let other = json!({"message": "I1129 10:00:00.000000 1 controller.go:1] syncing"});
    assert_eq!(read(&other.to_string(), Format::Eks), Err(Unreadable::Other));
}

#[test]
fn azure_has_the_event_as_a_text_in_properties() {
    let log = event().to_string();
    let record = json!({
        "time": "2026-11-29T10:00:00Z", "category": "kube-audit", "operationName": "Microsoft.ContainerService/managedClusters/diagnosticLogs/Read",
        "resourceId": "/SUBSCRIPTIONS/1/RESOURCEGROUPS/G/PROVIDERS/MICROSOFT.CONTAINERSERVICE/MANAGEDCLUSTERS/C",
        "properties": {"log": log, "stream": "stdout", "pod": "kube-apiserver-1", "containerID": "c"},
    });
    for line in [record.clone(), json!({"records": [record]}), json!({"Category": "kube-audit", "log_s": log})] {
        is_it(&one(&line, Format::Aks));
        is_it(&one(&line, Format::Auto));
    }
}

/// An entry as published: a list of Pods, with the labels that an authorizer's annotations become.
fn entry() -> Value {
    json!({
        "insertId": "b2c2e792", "logName": "projects/p/logs/cloudaudit.googleapis.com%2Fdata_access",
        "labels": {"authorization.k8s.io/decision": "allow", "authorization.k8s.io/reason": "RBAC: allowed by RoleBinding \"lockbox-grant-u1/shop\" of Role \"x\" to User \"kim\""},
        "operation": {"first": true, "id": "b2c2e792", "last": true, "producer": "k8s.io"},
        "protoPayload": {
            "@type": "type.googleapis.com/google.cloud.audit.AuditLog",
            "authenticationInfo": {"principalEmail": "kim@provider.example"},
            "authorizationInfo": [{"granted": true, "permission": "io.k8s.core.v1.pods.exec.create", "resource": "core/v1/namespaces/shop/pods/web/exec"}],
            "methodName": "io.k8s.core.v1.pods.exec.create", "resourceName": "core/v1/namespaces/shop/pods/web/exec",
            "requestMetadata": {"callerIp": "192.0.2.7", "callerSuppliedUserAgent": "kubectl/v1.37"},
            "serviceName": "k8s.io", "status": {"code": 0},
        },
        "resource": {"type": "k8s_cluster", "labels": {"cluster_name": "c"}},
        "timestamp": "2026-11-29T10:00:00.5Z", "receiveTimestamp": "2026-11-29T10:00:01Z",
    })
}

#[test]
fn google_says_it_in_its_own_words() {
    let call = one(&entry(), Format::Gke);
    assert_eq!(
        (call.user.as_str(), call.verb.as_str(), call.what().as_str(), call.code),
        ("kim@provider.example", "create", "pods/exec", 200)
    );
    assert_eq!(
        (call.namespace.as_str(), call.name.as_str(), call.user_agent.as_str()),
        ("shop", "web", "kubectl/v1.37")
    );
    assert!(call.reason.contains("lockbox-grant-u1/shop"));
    let mut refused = entry();
    refused["protoPayload"]["status"] = json!({"code": 7, "message": "PERMISSION_DENIED"});
    refused["labels"] = json!({"authorization.k8s.io/decision": "forbid"});
    let call = one(&refused, Format::Auto);
    assert_eq!((call.code, call.is_refused()), (403, true));
    // Google's other services log in the same form.
    let mut other = entry();
    other["protoPayload"]["serviceName"] = json!("container.googleapis.com");
    assert_eq!(read(&other.to_string(), Format::Gke), Err(Unreadable::Other));
}

#[test]
fn a_form_that_was_named_is_the_only_one_that_is_read() {
    assert!(read(&entry().to_string(), Format::Kubernetes).is_err());
    assert!(read(&event().to_string(), Format::Gke).is_err());
    assert!(read(&json!({"message": event()}).to_string(), Format::Aks).is_err());
}

#[test]
fn what_is_no_event_is_told_from_what_cannot_be_read() {
    for (line, expected) in [
        ("{\"kind\":\"Event\",\"apiVersion\":\"v1\",\"message\":\"Started container\"}", Unreadable::Other),
        ("{\"kind\":\"Policy\",\"apiVersion\":\"audit.k8s.io/v1\"}", Unreadable::Other),
        ("{}", Unreadable::Other),
        ("{\"kind\":\"Event\",\"apiVersion\":\"audit.k8s.io/v1\"}", Unreadable::Other),
        ("{\"kind\":", Unreadable::Json),
        ("hello", Unreadable::Json),
        ("\u{0}", Unreadable::Json),
    ] {
        assert_eq!(read(line, Format::Auto), Err(expected), "{line}");
    }
    assert_eq!(read(&" ".repeat(LONGEST_LINE + 1), Format::Auto), Err(Unreadable::TooLong));
}

#[test]
fn envelopes_are_opened_a_bounded_number_of_times() {
    let mut line = event().to_string();
    for _ in 0..8 {
        line = json!({"message": line}).to_string();
    }
    assert!(read(&line, Format::Auto).is_err());
}

#[test]
fn a_field_of_another_type_does_not_lose_the_event() {
    let mut strange = event();
    strange["userAgent"] = json!(["a", {"b": 1}]);
    strange["auditID"] = json!(17);
    strange["annotations"]["other"] = json!({"deep": [1, 2.5, null, true]});
    let call = one(&strange, Format::Auto);
    assert_eq!((call.user_agent.as_str(), call.id.as_str(), call.name.as_str()), ("", "", "web"));
}

#[test]
fn the_name_that_the_api_server_made_up_is_read_from_its_answer() {
    let mut made = event();
    made["objectRef"] = json!({"resource": "pods", "namespace": "shop", "apiVersion": "v1"});
    made["responseObject"] = json!({"kind": "Pod", "metadata": {"name": "web-x7k2", "labels": {}}, "spec": {}});
    assert_eq!(one(&made, Format::Auto).name, "web-x7k2");
}
