//! The definitions in the repository are the generated ones, and hold to the rules that the API server, its users and
//! `kubectl explain` need.

use std::{collections::BTreeSet, fs, path::Path};

use lockbox_api::{
    AssignedRole, Audience, AuditAction, Circumstance, DeliveryState, GrantForm, Identity, MessageKind, Origin, Phase,
    PrincipalKind, RuleEffect, Scope, Verdict,
    activity::{Change, Coverage, SessionKind},
    assignment::{AssignmentAction, AssignmentScope, AssignmentType},
    condition::Truth,
    settings::{ApproverModel, Enablement, PreviewOptIn, SafetyNet, Stage, SupportPlan},
};
use serde_json::{Value, json};

use crate::schema_support::{self, full, is_condition, kinds, walk};

/// What `check` complains about, for every node of the three schemas.
fn complaints(mut check: impl FnMut(&str, &Value) -> Option<String>) -> Vec<String> {
    let mut found = vec![];
    for kind in kinds() {
        walk(kind.schema(), "", &mut |path, node| {
            if let Some(complaint) = check(path, node) {
                found.push(format!("{}{path}: {complaint}", kind.name));
            }
        });
    }
    found
}

fn assert_none(found: &[String]) {
    assert!(found.is_empty(), "{}", found.join("\n"));
}

#[test]
fn the_definitions_in_the_repository_are_the_generated_ones() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    for folder in ["crds", "charts/lockbox/crds"] {
        let files = fs::read_dir(root.join(folder)).unwrap();
        let stored: BTreeSet<_> = files.map(|file| file.unwrap().file_name().into_string().unwrap()).collect();
        let generated: BTreeSet<_> = kinds().iter().map(|kind| kind.file.to_owned()).collect();
        assert_eq!(stored, generated, "{folder} holds the three definitions and nothing else");
        for kind in kinds() {
            let stored = fs::read_to_string(root.join(folder).join(kind.file)).unwrap();
            let generated = lockbox::crds::yaml(&kind.definition).unwrap();
            let first = stored.lines().zip(generated.lines()).position(|(stored, generated)| stored != generated);
            assert!(
                stored == generated,
                "{folder}/{} differs from crates/api/src (first in line {}): run `cargo run -- crds --out {folder}`",
                kind.file,
                first.unwrap_or_else(|| stored.lines().count().min(generated.lines().count())) + 1,
            );
        }
    }
}

#[test]
fn every_text_list_and_map_is_bounded() {
    assert_none(&complaints(|_, node| {
        let has = |key: &str| node.get(key).is_some();
        match node["type"].as_str()? {
            "string" if !has("maxLength") && !has("enum") && node["format"] != "date-time" => {
                Some("a text without maxLength".into())
            }
            "array" if !has("maxItems") => Some("a list without maxItems".into()),
            "array" if !has("x-kubernetes-list-type") => Some("a list that does not say how it is merged".into()),
            "object" if has("additionalProperties") && !has("maxProperties") => {
                Some("a map without maxProperties".into())
            }
            "object"
                if !has("additionalProperties")
                    && !has("properties")
                    && !node["x-kubernetes-preserve-unknown-fields"].is_null() =>
            {
                Some("holds anything".into())
            }
            _ => None,
        }
    }));
}

#[test]
fn every_key_of_a_map_is_bounded() {
    // A schema has no limit for keys: a rule on the map has, or one on its parent.
    let mut maps = 0;
    assert_none(&complaints(|_, node| {
        let rules = node["x-kubernetes-validations"].as_array().into_iter().flatten();
        let rules: Vec<_> = rules.filter_map(|rule| rule["rule"].as_str()).collect();
        let properties = node["properties"].as_object().into_iter().flatten();
        let unbounded: Vec<_> = properties
            .filter(|(_, property)| property["additionalProperties"].is_object())
            .inspect(|_| maps += 1)
            .filter(|(name, property)| {
                let own = property["x-kubernetes-validations"].as_array().into_iter().flatten();
                let own = own.filter_map(|rule| rule["rule"].as_str()).map(|rule| (rule, "self.all(k, ".to_owned()));
                let of_parent = rules.iter().map(|rule| (*rule, format!("self.{name}.all(k, ")));
                !own.chain(of_parent).any(|(rule, keys)| rule.contains(&keys) && rule.ends_with("k.size() <= 256)"))
            })
            .map(|(name, _)| name.as_str())
            .collect();
        (!unbounded.is_empty()).then(|| format!("keys without a limit: {unbounded:?}"))
    }));
    assert_eq!(maps, 3, "decisions, internalDecisions, extra");
}

#[test]
fn nothing_is_nullable() {
    // A stored null makes `self == oldSelf` false for ever on Kubernetes 1.33: the object is stuck.
    assert_none(&complaints(|_, node| {
        let null = node["enum"].as_array().is_some_and(|values| values.contains(&Value::Null));
        (node.get("nullable").is_some() || null).then(|| "can be null".into())
    }));
}

#[test]
fn every_type_and_format_is_known_to_kubernetes() {
    assert_none(&complaints(|_, node| {
        let format = node["format"].as_str().unwrap_or_default();
        let fits = match node["type"].as_str() {
            Some("integer") => ["", "int32", "int64"].contains(&format),
            Some("string") => ["", "date-time"].contains(&format),
            Some("object" | "array" | "boolean") => format.is_empty(),
            _ => false,
        };
        (!fits).then(|| format!("type {} with format {format:?}", node["type"]))
    }));
}

#[test]
fn no_number_is_a_fraction_and_each_is_bounded_below_where_it_counts() {
    assert_none(&complaints(|path, node| {
        let counts = node["type"] == "integer" && !path.ends_with("observedGeneration");
        (counts && node.get("minimum").is_none()).then(|| "a number without a minimum".into())
    }));
}

#[test]
fn every_field_is_explained_to_a_stranger() {
    let mut texts = 0;
    assert_none(&complaints(|path, node| {
        // The items of a list of texts need no words of their own, and those of a condition are Kubernetes' own.
        let scalar = path.ends_with("[]") && node["type"] == "string";
        if is_condition(path) || (scalar && node.get("description").is_none()) {
            return None;
        }
        let Some(text) = node["description"].as_str() else { return Some("no description".into()) };
        texts += 1;
        unclear(text).map(|why| format!("{why}: {text:?}"))
    }));
    assert!(texts > 200, "the walk saw only {texts} descriptions");
}

/// What would make a reader of `kubectl explain` stumble.
fn unclear(text: &str) -> Option<&'static str> {
    let ends = [".", ")"].iter().any(|end| text.ends_with(end));
    let numbered = |letter: char| {
        let mut at = text.split(letter).skip(1);
        at.any(|rest| text.contains(&format!("({letter}")) && rest.starts_with(|c: char| c.is_ascii_digit()))
    };
    if !text.starts_with(|c: char| c.is_uppercase() || c.is_ascii_digit()) {
        Some("does not start with a capital")
    } else if !ends {
        Some("is not a sentence")
    } else if text.contains("::") || text.contains("](") || text.contains("[`") {
        Some("holds Rust markup")
    } else if ["Auto-generated", "schemars", "serde", "Rust", "Option", "TODO", "FIXME"]
        .iter()
        .any(|w| text.contains(w))
    {
        Some("speaks about the source and not about the field")
    } else if numbered('M') {
        Some("refers to a number that only the authors know")
    } else {
        None
    }
}

#[test]
fn the_lint_of_descriptions_can_fail() {
    for text in ["lower case.", "No end", "See [`Phase`].", "See api::Phase.", "A TODO.", "How it is (M3)."] {
        assert!(unclear(text).is_some(), "{text}");
    }
    assert_eq!(unclear("The 14 phases (see kubectl explain lbr.status.phase)."), None);
}

/// The words of a Rust enum as they are stored. Does not compile when a variant is missing.
macro_rules! words {
    ($type:ident: $($variant:ident)+) => {{
        #[allow(dead_code)]
        fn all_are_named(value: $type) {
            match value { $($type::$variant => {})+ }
        }
        vec![$(serde_json::to_value($type::$variant).unwrap()),+]
    }};
}

/// The end of a field's path, and the words it may hold. The first that fits counts.
fn vocabulary() -> Vec<(&'static str, Vec<Value>)> {
    let principals = words!(PrincipalKind: User Group);
    let kinds: Vec<_> = MessageKind::ALL.iter().map(|kind| serde_json::to_value(kind).unwrap()).collect();
    let scopes = words!(Scope: Subscription Tenant);
    vec![
        (
            ".status.conditions[].status",
            [Truth::True, Truth::False, Truth::Unknown].map(|truth| json!(truth.as_str())).to_vec(),
        ),
        ("Request.status.jit.verdict", words!(RuleEffect: Permit Deny)),
        ("rules[].effect", words!(RuleEffect: Permit Deny)),
        (".verdict", words!(Verdict: Approve Deny)),
        ("Assignment.spec.scope", words!(AssignmentScope: Subscription Tenant ManagementGroup)),
        (".scope", scopes.clone()),
        (".scopes[]", scopes),
        ("Assignment.spec.type", words!(AssignmentType: Active Eligible)),
        (".role", words!(AssignedRole: Owner LockboxApprover GlobalAdministrator)),
        (".activity.coverage", words!(Coverage: None Partial Covered)),
        (".sessions[].kind", words!(SessionKind: Exec Attach PortForward Console Screen)),
        (".residue[].change", words!(Change: Created Changed)),
        (".notifications[].kind", kinds.clone()),
        (".templates[].kind", kinds.clone()),
        (".mute[].kind", kinds.clone()),
        (".webhooks[].kinds[]", kinds),
        (".audience", words!(Audience: InternalApprovers Approvers Requester Alternates)),
        (".notifications[].state", words!(DeliveryState: Delivered Waiting Failed)),
        (".kind", principals),
        (".origin", words!(Origin: SupportRequest ProviderInitiated)),
        (".origins[]", words!(Origin: SupportRequest ProviderInitiated)),
        (".circumstance", words!(Circumstance: Standard BreakGlass PlatformTroubleshooting LegalDemand)),
        (".effect.form", words!(GrantForm: Whole Named)),
        (".match.resources", words!(GrantForm: Whole Named)),
        (".phase", Phase::ALL.iter().map(|phase| serde_json::to_value(phase).unwrap()).collect()),
        (
            "Assignment.status.history[].action",
            words!(AssignmentAction: CreateRoleAssignment ActivateRoleAssignment EndActivation),
        ),
        (
            ".action",
            words!(AuditAction: RequestInternalApproval ApproveInternally DenyInternally CreateLockboxRequest
                ApproveLockboxRequest DenyLockboxRequest AutoApproveLockboxRequest AutoDenyLockboxRequest
                ExpireLockboxRequest ExpireInternalApproval CancelLockboxRequest CancelBeforeNotification GrantAccess
                CompleteAccess RevokeAccess FailAccess SkipLockboxRequest ExcludeLockboxRequest RejectDecision
                TamperWithGrant EndOverdue NotificationFailed RecordActivity),
        ),
        (".identity", words!(Identity: Any MultiFactor Isolated Both)),
        (".enablement", words!(Enablement: Manual AutomaticWithPlan)),
        (".supportPlan", words!(SupportPlan: Basic Developer Standard ProfessionalDirect)),
        (".model", words!(ApproverModel: ByScope OwnerOrGlobalAdministrator OwnerOnly)),
        (".safetyNet", words!(SafetyNet: Required Preferred)),
        (".optIn", words!(PreviewOptIn: None All Listed)),
        (".stage", words!(Stage: GeneralAvailability Preview NotSupported)),
    ]
}

#[test]
fn every_vocabulary_of_the_schema_is_that_of_the_code() {
    let vocabulary = vocabulary();
    let mut used = BTreeSet::new();
    for kind in kinds() {
        walk(kind.schema(), "", &mut |path, node| {
            let Some(stored) = node["enum"].as_array() else { return };
            let path = format!("{}{path}", kind.name);
            let (end, words) =
                vocabulary.iter().find(|(end, _)| path.ends_with(end)).unwrap_or_else(|| panic!("{path} is new here"));
            let set =
                |words: &[Value]| words.iter().map(|word| word.as_str().unwrap().to_owned()).collect::<BTreeSet<_>>();
            assert_eq!(set(stored), set(words), "{path}");
            used.insert(*end);
        });
    }
    for (end, _) in &vocabulary {
        assert!(used.contains(end), "no field ends in {end} any more");
    }
}

#[test]
fn every_phase_is_in_the_list_of_all_phases() {
    let all = words!(Phase: Evaluating AwaitingInternalApproval CustomerNotified Approved AccessGranted Rejected
        NotTriggered Excluded Denied Expired Cancelled Failed Completed Revoked);
    assert_eq!(all, Phase::ALL.iter().map(|phase| serde_json::to_value(phase).unwrap()).collect::<Vec<_>>());
}

/// Whether a printer column's or a selector's path leads to a field.
fn leads_somewhere(schema: &Value, path: &str) -> bool {
    // A filter or a union of names selects among fields that are looked up one by one.
    let plain = path.replace("['supportRequest','incident']", ".supportRequest").replace("[*]", "[]");
    let plain = match (plain.find("[?("), plain.find(")]")) {
        (Some(from), Some(to)) => format!("{}[]{}", &plain[..from], &plain[to + 2..]),
        _ => plain,
    };
    let mut found = plain.starts_with(".metadata.");
    walk(schema, "", &mut |at, _| found |= at == plain);
    found
}

#[test]
fn every_printer_column_shows_a_field_and_none_shows_a_future_date() {
    let columns = |name: &str| -> Vec<String> {
        let kind = schema_support::kind(name);
        let columns = kind.version()["additionalPrinterColumns"].as_array().unwrap().clone();
        for column in &columns {
            let path = column["jsonPath"].as_str().unwrap();
            assert!(leads_somewhere(kind.schema(), path), "{name}: {path} leads nowhere");
            // kubectl shows <invalid> for a date in the future.
            assert!(column["type"] != "date" || path == ".metadata.creationTimestamp", "{name}: {path}");
        }
        let wide = |column: &Value| if column["priority"] == 1 { "wide " } else { "" };
        columns.iter().map(|column| format!("{}{}", wide(column), column["name"].as_str().unwrap())).collect()
    };
    assert_eq!(
        columns("LockboxRequest"),
        [
            "Requester",
            "Service",
            "Level",
            "Ticket",
            "Phase",
            "Until",
            "Age",
            "wide Scope",
            "wide Resources",
            "wide Assigned-To",
            "wide Why"
        ]
    );
    assert_eq!(
        columns("RoleAssignment"),
        ["Principal", "wide Kind", "Role", "Scope", "Type", "Recognized", "Active", "Until", "Age", "wide Why"]
    );
    assert_eq!(columns("LockboxSettings"), ["Enabled", "Plan", "Ready", "Age", "wide Why"]);
}

#[test]
fn the_selectable_fields_are_the_promised_ones() {
    let selectable = |name: &str| -> Vec<String> {
        let kind = schema_support::kind(name);
        let fields = kind.version()["selectableFields"].as_array().cloned().unwrap_or_default();
        let paths: Vec<_> = fields.iter().map(|field| field["jsonPath"].as_str().unwrap().to_owned()).collect();
        assert!(paths.len() <= 8, "the API server allows 8 at most");
        assert!(paths.iter().all(|path| leads_somewhere(kind.schema(), path)), "{paths:?}");
        paths
    };
    let request = [
        ".status.phase",
        ".status.closed",
        ".spec.requester.username",
        ".spec.service",
        ".spec.scope",
        ".spec.removal.by",
    ];
    assert_eq!(selectable("LockboxRequest"), request);
    assert_eq!(selectable("RoleAssignment"), [".spec.principal.name", ".spec.role"]);
}

#[test]
fn each_kind_is_found_by_its_short_name_and_its_category_and_has_a_status() {
    for (name, short, scope) in [
        ("LockboxRequest", "lbr", "Namespaced"),
        ("LockboxSettings", "lbs", "Cluster"),
        ("RoleAssignment", "lra", "Namespaced"),
    ] {
        let kind = schema_support::kind(name);
        let spec = &kind.definition["spec"];
        assert_eq!(spec["names"]["shortNames"], json!([short]));
        assert_eq!(spec["names"]["categories"], json!(["lockbox"]));
        assert_eq!(spec["scope"], scope);
        assert_eq!(spec["versions"].as_array().unwrap().len(), 1);
        assert!(kind.version()["subresources"]["status"].is_object(), "status is written apart from the spec");
        assert_eq!(kind.schema()["required"], json!(["spec"]));
    }
}

#[test]
fn the_samples_of_these_tests_fill_in_every_field() {
    fn visit(path: &str, schema: &Value, value: &Value, missing: &mut Vec<String>) {
        for (name, property) in schema["properties"].as_object().into_iter().flatten() {
            let at = format!("{path}.{name}");
            match value.get(name) {
                Some(value) => visit(&at, property, value, missing),
                None if path.is_empty() => {}
                None => missing.push(at),
            }
        }
        for name in value.as_object().into_iter().flatten().map(|(name, _)| name) {
            let known = schema["properties"].get(name).is_some() || schema.get("additionalProperties").is_some();
            assert!(known || path.is_empty() || schema.get("properties").is_none(), "{path}.{name} is no field");
        }
        if schema["items"].is_object() {
            visit(&format!("{path}[]"), &schema["items"], &value[0], missing);
        }
        if schema["additionalProperties"].is_object() {
            let first = value.as_object().unwrap().values().next().unwrap();
            visit(&format!("{path}{{}}"), &schema["additionalProperties"], first, missing);
        }
    }
    for kind in kinds() {
        let mut missing = vec![];
        visit("", kind.schema(), &full(&kind.name), &mut missing);
        assert!(missing.is_empty(), "{}: {missing:?}", kind.name);
    }
}

#[test]
fn the_code_reads_what_the_schema_allows_and_writes_it_back() {
    use lockbox_api::{LockboxRequest, LockboxSettings, RoleAssignment};
    fn again<T: serde::Serialize + serde::de::DeserializeOwned>(kind: &str) {
        let stored = full(kind);
        let read: T = serde_json::from_value(stored.clone()).unwrap();
        let written = serde_json::to_value(read).unwrap();
        assert_eq!(written["spec"], stored["spec"], "{kind}");
        assert_eq!(written["status"], stored["status"], "{kind}");
    }
    again::<LockboxRequest>("LockboxRequest");
    again::<LockboxSettings>("LockboxSettings");
    again::<RoleAssignment>("RoleAssignment");
}
