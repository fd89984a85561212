//! Whether the admission policies stand: each one exists, is in force, and is bound to Deny for every namespace and
//! object.
//!
//! What a policy says (its expressions, and which operations it matches) is not compared: the chart's values go into
//! it, and Lockbox cannot restrict whoever may change one. Those that make requests and approvals authentic are tried
//! besides, with what they must refuse.

use k8s_openapi::{
    api::admissionregistration::v1::{ValidatingAdmissionPolicy, ValidatingAdmissionPolicyBinding},
    apimachinery::pkg::apis::meta::v1::{LabelSelector, ObjectMeta},
};

use lockbox_api::{Moment, time::from_kubernetes};

/// The policies that the chart always makes; each has a binding of its own name.
pub const REQUIRED: [&str; 22] = [
    "lockbox-access-levels",
    "lockbox-assignments",
    "lockbox-bounds",
    "lockbox-crds",
    "lockbox-deadline-pods",
    "lockbox-events",
    "lockbox-grants",
    "lockbox-operator-limits",
    "lockbox-operator-limits-bindings",
    "lockbox-operator-limits-jobs",
    "lockbox-operator-limits-roles",
    "lockbox-operator-limits-views",
    "lockbox-operator-never-uses",
    "lockbox-requests-after-creation",
    "lockbox-requests-create",
    "lockbox-requests-decide",
    "lockbox-requests-delete",
    "lockbox-requests-end",
    "lockbox-requests-size",
    "lockbox-requests-status",
    "lockbox-settings",
    "lockbox-status",
];

/// Those without which what stands in a request may be anybody's: who asks, who decides, and what status an approval
/// rests on. The others hold back what is *done* (deleting records, writing Events, making roles), or what a decision
/// cannot be forged with: an end that somebody else writes (lockbox-requests-end) gives access to nobody.
pub const AUTHENTIC: [&str; 4] =
    ["lockbox-requests-create", "lockbox-requests-decide", "lockbox-requests-status", "lockbox-status"];

/// What a look at the policies and their bindings found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Standing {
    /// When the youngest of those was made that make requests and decisions authentic; or the first thing that is wrong
    /// with one, in words that go on "the admission policies are not in force: …".
    pub authentic: Result<Moment, String>,
    /// The same of all that the chart makes.
    pub all: Result<Moment, String>,
    /// When the youngest was made of those that are there; none when none is.
    pub youngest: Option<Moment>,
    /// UID and generation of what makes requests and decisions authentic. Other ones mean: try again.
    pub versions: Vec<(String, i64)>,
}

/// Looks at the policies that are there, and at their bindings.
pub fn check(policies: &[ValidatingAdmissionPolicy], bindings: &[ValidatingAdmissionPolicyBinding]) -> Standing {
    let policy = |name: &str| policies.iter().find(|policy| policy.metadata.name.as_deref() == Some(name));
    let binding = |name: &str| bindings.iter().find(|binding| binding.metadata.name.as_deref() == Some(name));
    let youngest_of = |names: &[&str]| {
        names.iter().try_fold(Moment::MIN_UTC, |youngest, name| {
            stands(name, policy(name), binding(name)).map(|made| youngest.max(made))
        })
    };
    let there = |names: &'static [&'static str]| {
        let metadata = |name: &'static &'static str| {
            [policy(name).map(|policy| &policy.metadata), binding(name).map(|binding| &binding.metadata)]
        };
        names.iter().flat_map(metadata).flatten()
    };
    let version =
        |metadata: &ObjectMeta| (metadata.uid.clone().unwrap_or_default(), metadata.generation.unwrap_or_default());
    Standing {
        authentic: youngest_of(&AUTHENTIC),
        all: youngest_of(&REQUIRED),
        youngest: there(&REQUIRED).map(created).max(),
        versions: there(&AUTHENTIC).map(version).collect(),
    }
}

/// When the younger of a policy and its binding was made, or what is wrong with them.
fn stands(
    name: &str,
    policy: Option<&ValidatingAdmissionPolicy>,
    binding: Option<&ValidatingAdmissionPolicyBinding>,
) -> Result<Moment, String> {
    let policy = policy.ok_or_else(|| format!("ValidatingAdmissionPolicy {name} is not there"))?;
    policy_acts(policy).map_err(|what| format!("ValidatingAdmissionPolicy {name} {what}"))?;
    let binding = binding.ok_or_else(|| format!("ValidatingAdmissionPolicyBinding {name} is not there"))?;
    binding_acts(binding, name).map_err(|what| format!("ValidatingAdmissionPolicyBinding {name} {what}"))?;
    Ok(created(&policy.metadata).max(created(&binding.metadata)))
}

fn created(metadata: &ObjectMeta) -> Moment {
    // Every stored object has one.
    metadata.creation_timestamp.as_ref().map_or(Moment::MAX_UTC, from_kubernetes)
}

fn selects(selector: Option<&LabelSelector>) -> bool {
    selector.is_some_and(|selector| *selector != LabelSelector::default())
}

fn policy_acts(policy: &ValidatingAdmissionPolicy) -> Result<(), &'static str> {
    let spec = policy.spec.as_ref().ok_or("is empty")?;
    if policy.metadata.deletion_timestamp.is_some() {
        return Err("is being deleted");
    }
    // Fail is what a policy has that does not say.
    if spec.failure_policy.as_deref().unwrap_or("Fail") != "Fail" {
        return Err("lets everything in when it fails (spec.failurePolicy)");
    }
    if spec.param_kind.is_some() {
        return Err("waits for parameters (spec.paramKind)");
    }
    if spec.validations.as_ref().is_none_or(Vec::is_empty) {
        return Err("refuses nothing (spec.validations)");
    }
    let matched = spec.match_constraints.as_ref().ok_or("matches nothing (spec.matchConstraints)")?;
    let rules = matched.resource_rules.as_ref();
    if rules.is_none_or(|rules| rules.is_empty() || rules.iter().any(|rule| rule.resource_names.is_some()))
        || matched.exclude_resource_rules.as_ref().is_some_and(|rules| !rules.is_empty())
        || selects(matched.namespace_selector.as_ref())
        || selects(matched.object_selector.as_ref())
    {
        return Err("leaves objects out (spec.matchConstraints)");
    }
    Ok(())
}

fn binding_acts(binding: &ValidatingAdmissionPolicyBinding, policy: &str) -> Result<(), &'static str> {
    let spec = binding.spec.as_ref().ok_or("is empty")?;
    if binding.metadata.deletion_timestamp.is_some() {
        return Err("is being deleted");
    }
    if spec.policy_name.as_deref() != Some(policy) {
        return Err("binds another policy (spec.policyName)");
    }
    if !spec.validation_actions.iter().flatten().any(|action| action == "Deny") {
        return Err("does not deny (spec.validationActions)");
    }
    if spec.param_ref.is_some() {
        return Err("waits for parameters (spec.paramRef)");
    }
    let all = spec.match_resources.as_ref().is_none_or(|matched| {
        matched.resource_rules.is_none()
            && matched.exclude_resource_rules.as_ref().is_none_or(Vec::is_empty)
            && !selects(matched.namespace_selector.as_ref())
            && !selects(matched.object_selector.as_ref())
    });
    if all { Ok(()) } else { Err("leaves objects out (spec.matchResources)") }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    const MADE: &str = "2026-11-26T12:00:00Z";

    fn made() -> Moment {
        MADE.parse().unwrap()
    }

    fn policy(name: &str) -> Value {
        json!({
            "metadata": {"name": name, "creationTimestamp": MADE},
            "spec": {
                "failurePolicy": "Fail",
                // The API server fills in selectors that select everything.
                "matchConstraints": {
                    "matchPolicy": "Equivalent", "namespaceSelector": {}, "objectSelector": {},
                    "resourceRules": [{"apiGroups": ["lockbox.dev"], "apiVersions": ["*"], "operations": ["*"], "resources": ["*"], "scope": "*"}],
                },
                "validations": [{"expression": "false"}],
            },
        })
    }

    fn binding(name: &str) -> Value {
        json!({
            "metadata": {"name": name, "creationTimestamp": MADE},
            "spec": {"policyName": name, "validationActions": ["Deny"]},
        })
    }

    /// Looks at the chart's policies, with those of one name changed.
    fn looked(name: &str, change_policy: impl Fn(&mut Value), change_binding: impl Fn(&mut Value)) -> Standing {
        let all = |make: fn(&str) -> Value, change: &dyn Fn(&mut Value)| -> Vec<Value> {
            let changed = |one: &&str| {
                let mut made = make(one);
                if *one == name {
                    change(&mut made);
                }
                made
            };
            REQUIRED.iter().map(changed).collect()
        };
        let policies = all(policy, &change_policy).into_iter().map(|made| serde_json::from_value(made).unwrap());
        let bindings = all(binding, &change_binding).into_iter().map(|made| serde_json::from_value(made).unwrap());
        check(&policies.collect::<Vec<_>>(), &bindings.collect::<Vec<_>>())
    }

    /// The same with one that makes requests authentic.
    fn checked(change_policy: impl Fn(&mut Value), change_binding: impl Fn(&mut Value)) -> Result<Moment, String> {
        looked("lockbox-status", change_policy, change_binding).authentic
    }

    #[test]
    fn policies_as_the_chart_makes_them_are_in_order() {
        assert_eq!(checked(|_| {}, |_| {}), Ok(made()));
        // What an empty list excludes is nothing, and more actions beside Deny take nothing away.
        let harmless_policy =
            |policy: &mut Value| policy["spec"]["matchConstraints"]["excludeResourceRules"] = json!([]);
        let harmless_binding = |binding: &mut Value| {
            binding["spec"]["validationActions"] = json!(["Audit", "Deny"]);
            binding["spec"]["matchResources"] =
                json!({"namespaceSelector": {}, "objectSelector": {}, "excludeResourceRules": []});
        };
        assert_eq!(checked(harmless_policy, harmless_binding), Ok(made()));
        let unsaid = |policy: &mut Value| {
            policy["spec"].as_object_mut().unwrap().remove("failurePolicy");
        };
        assert_eq!(checked(unsaid, |_| {}), Ok(made()));
    }

    #[test]
    fn the_youngest_of_those_that_make_requests_authentic_says_since_when_they_are() {
        let later = "2026-11-26T13:00:00Z";
        let young = |object: &mut Value| object["metadata"]["creationTimestamp"] = json!(later);
        assert_eq!(checked(young, |_| {}), Ok(later.parse().unwrap()));
        assert_eq!(checked(|_| {}, young), Ok(later.parse().unwrap()));
        let undated = |object: &mut Value| object["metadata"]["creationTimestamp"] = json!(null);
        assert_eq!(checked(undated, |_| {}), Ok(Moment::MAX_UTC));
        let standing = looked("lockbox-crds", young, young);
        assert_eq!(standing.authentic, Ok(made()), "others may come later");
        assert_eq!(standing.all, Ok(later.parse().unwrap()));
        assert_eq!(standing.youngest, Some(later.parse().unwrap()));
        assert_eq!(check(&[], &[]).youngest, None);
    }

    #[test]
    fn only_what_makes_requests_and_decisions_authentic_is_missed_as_such() {
        let gone = |object: &mut Value| object["metadata"]["name"] = json!("another");
        for name in REQUIRED {
            for standing in [looked(name, gone, |_| {}), looked(name, |_| {}, gone)] {
                let wrong = standing.all.unwrap_err();
                assert!(wrong.contains(&format!("{name} is not there")), "{wrong}");
                assert_eq!(standing.authentic.is_err(), AUTHENTIC.contains(&name), "{name}");
            }
        }
        for name in AUTHENTIC {
            assert!(REQUIRED.contains(&name), "{name}");
        }
    }

    #[test]
    fn a_policy_that_was_changed_or_made_anew_shows_in_the_versions_if_it_makes_requests_authentic() {
        let versions = |name: &str, field: &str, value: Value| {
            let change = |object: &mut Value| object["metadata"][field] = value.clone();
            looked(name, change, change).versions
        };
        let before = versions("none", "uid", json!(""));
        assert_eq!(before.len(), 2 * AUTHENTIC.len());
        assert_ne!(versions("lockbox-status", "generation", json!(2)), before);
        assert_ne!(versions("lockbox-status", "uid", json!("another")), before);
        assert_eq!(versions("lockbox-crds", "generation", json!(2)), before);
    }

    #[test]
    fn a_policy_that_is_missing_weakened_or_narrowed_is_named_with_the_field() {
        let rules = "/spec/matchConstraints/resourceRules";
        let some = json!({"matchLabels": {"a": "b"}});
        let rows: [(&str, Value, &str); 11] = [
            ("/metadata/name", json!("another"), "is not there"),
            ("/spec", json!(null), "is empty"),
            ("/metadata/deletionTimestamp", json!("2026-11-26T12:00:00Z"), "is being deleted"),
            ("/spec/failurePolicy", json!("Ignore"), "spec.failurePolicy"),
            ("/spec/paramKind", json!({"apiVersion": "v1", "kind": "ConfigMap"}), "spec.paramKind"),
            ("/spec/validations", json!([]), "spec.validations"),
            ("/spec/matchConstraints", json!(null), "spec.matchConstraints"),
            (rules, json!([]), "spec.matchConstraints"),
            ("/spec/matchConstraints/excludeResourceRules", json!([{"resources": ["*"]}]), "spec.matchConstraints"),
            ("/spec/matchConstraints/namespaceSelector", some.clone(), "spec.matchConstraints"),
            ("/spec/matchConstraints/objectSelector", some, "spec.matchConstraints"),
        ];
        for (pointer, value, said) in rows {
            let wrong = checked(|policy| set(policy, pointer, &value), |_| {}).unwrap_err();
            assert!(wrong.starts_with("ValidatingAdmissionPolicy lockbox-status"), "{pointer}: {wrong}");
            assert!(wrong.contains(said), "{pointer}: {wrong}");
        }
        let narrowed = |policy: &mut Value| {
            policy["spec"]["matchConstraints"]["resourceRules"][0]["resourceNames"] = json!(["one"]);
        };
        assert!(checked(narrowed, |_| {}).unwrap_err().contains("spec.matchConstraints"));
    }

    #[test]
    fn a_binding_that_is_missing_weakened_or_narrowed_is_named_with_the_field() {
        let some = json!({"matchLabels": {"a": "b"}});
        let rows: [(&str, Value, &str); 11] = [
            ("/metadata/name", json!("another"), "is not there"),
            ("/spec", json!(null), "is empty"),
            ("/metadata/deletionTimestamp", json!("2026-11-26T12:00:00Z"), "is being deleted"),
            ("/spec/policyName", json!("another"), "spec.policyName"),
            ("/spec/validationActions", json!(["Warn", "Audit"]), "spec.validationActions"),
            ("/spec/validationActions", json!(null), "spec.validationActions"),
            ("/spec/paramRef", json!({"name": "p"}), "spec.paramRef"),
            ("/spec/matchResources", json!({"namespaceSelector": some}), "spec.matchResources"),
            ("/spec/matchResources", json!({"objectSelector": some}), "spec.matchResources"),
            ("/spec/matchResources", json!({"resourceRules": [{"resources": ["*"]}]}), "spec.matchResources"),
            ("/spec/matchResources", json!({"excludeResourceRules": [{"resources": ["*"]}]}), "spec.matchResources"),
        ];
        for (pointer, value, said) in rows {
            let wrong = checked(|_| {}, |binding| set(binding, pointer, &value)).unwrap_err();
            assert!(wrong.starts_with("ValidatingAdmissionPolicyBinding lockbox-status"), "{pointer}: {wrong}");
            assert!(wrong.contains(said), "{pointer}: {wrong}");
        }
    }

    fn set(object: &mut Value, pointer: &str, value: &Value) {
        let (parent, field) = pointer.rsplit_once('/').unwrap();
        object.pointer_mut(parent).unwrap()[field] = value.clone();
    }
}
