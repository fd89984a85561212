//! The `CustomResourceDefinitions` as they are shipped: the derived ones, with what the derive cannot say.

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::CustomResourceExt;
use serde_json::{Value, json};

use super::{LockboxRequest, LockboxSettings, RoleAssignment, rules};

/// All three, with the name of the file each is shipped in.
pub fn definitions() -> [(&'static str, Value); 3] {
    [
        ("lockboxrequests.yaml", shipped(&LockboxRequest::crd())),
        ("lockboxsettings.yaml", shipped(&LockboxSettings::crd())),
        ("roleassignments.yaml", shipped(&RoleAssignment::crd())),
    ]
}

/// Corrects a derived definition:
///
/// 1. `nullable`, which the derive puts on every `Option`, is taken off. A stored `null` makes `self == oldSelf` false
///    for ever on Kubernetes 1.33, and then no status can be written any more. Without it the API server drops nulls.
/// 2. `requester` is not `required`: a CEL rule says so, with a sentence. The Rust type stays as it is, since no object
///    without it is ever stored.
/// 3. `metav1.Condition` of k8s-openapi has no limits.
/// 4. Formats that Kubernetes does not know (`uint32`…) are taken off.
/// 5. `date-time` is taken off what people write: the API server takes more for one than its own CEL or we can read, and a
///    stored moment that CEL cannot read fails every later write, status included. A CEL rule stands in its place.
/// 6. `status` is atomic: the operator alone writes it, and always the whole of it. Field by field, its ownership alone
///    takes as much room in `managedFields` as the status itself, and is worked out anew at each write.
fn shipped(crd: &CustomResourceDefinition) -> Value {
    let mut value = serde_json::to_value(crd).unwrap_or_default();
    tidy(&mut value);
    if let Some(schema) = value.pointer_mut("/spec/versions/0/schema/openAPIV3Schema/properties") {
        if let Some(spec) = schema.get_mut("spec") {
            readable_moments(spec);
        }
        if let Some(required) = schema.pointer_mut("/spec/required").and_then(Value::as_array_mut) {
            required.retain(|field| field != "requester");
        }
        if let Some(status) = schema.get_mut("status") {
            status["x-kubernetes-map-type"] = json!("atomic");
        }
        if let Some(condition) = schema.pointer_mut("/status/properties/conditions/items/properties") {
            condition["type"]["maxLength"] = json!(64);
            condition["status"]["enum"] = json!(["True", "False", "Unknown"]);
            condition["reason"]["maxLength"] = json!(64);
            condition["reason"]["minLength"] = json!(1);
            condition["message"]["maxLength"] = json!(1024);
        }
    }
    value
}

fn readable_moments(value: &mut Value) {
    match value {
        Value::Object(object) => {
            if object.get("format").and_then(Value::as_str) == Some("date-time") {
                object.remove("format");
                let (rule, message) = rules::moment();
                object.insert("x-kubernetes-validations".into(), json!([{"rule": rule, "message": message}]));
            }
            object.values_mut().for_each(readable_moments);
        }
        Value::Array(values) => values.iter_mut().for_each(readable_moments),
        _ => {}
    }
}

fn tidy(value: &mut Value) {
    match value {
        Value::Object(object) => {
            if object.get("nullable") == Some(&Value::Bool(true)) {
                object.remove("nullable");
            }
            if object.get("format").and_then(Value::as_str).is_some_and(|format| format.starts_with("uint")) {
                object.remove("format");
            }
            if let Some(Value::Array(values)) = object.get_mut("enum") {
                values.retain(|value| !value.is_null());
            }
            object.values_mut().for_each(tidy);
        }
        Value::Array(values) => values.iter_mut().for_each(tidy),
        _ => {}
    }
}
