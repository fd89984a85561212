//! Every CEL rule of the three kinds, accepted and refused, without an API server (`schema_server.rs` has one).
//!
//! Cases are data. A rule that stands at many fields (immutable, visible, durations, links) gets its cases from a walk over
//! the schema, so that a new field is covered without a new line here; the rest is written out. The last tests prove that no
//! rule is without a refused and an accepted case.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::LazyLock,
};

use kube::core::cel::{CompiledSchema, ErrorKind, ValidationError, Validator, compile_schema};
use serde_json::{Value, json};

use crate::schema_support::{created, full, kinds, set, small_request, texts, walk, with, without};

const REQUEST: &str = "LockboxRequest";
const SETTINGS: &str = "LockboxSettings";
const ASSIGNMENT: &str = "RoleAssignment";

/// Rules that kube-cel cannot evaluate, with the reason; the server's tests have their cases. None at present.
const ONLY_ON_A_SERVER: [(&str, &str); 0] = [];

const IMMUTABLE: &str = "is immutable: to ask for something else, create a new request";
const ANOTHER: &str = "is immutable: delete this assignment and create another";
const VISIBLE: &str = "must be one paragraph without line breaks (in YAML, write >- instead of |), tabs, runs of spaces, or control, zero-width and bidirectional characters";
const DURATION: &str = "must be a duration such as 4d, 8h, 90m or 1h30m: days, hours, minutes and seconds, in this order, none of them zero";
const LINK: &str = "must be an https URL without a user name in it, such as https://support.example/123";
const BUILT_IN: &str =
    "must not be a built-in user or group (system:...): it would stand for everybody, or for a component";
const RECORDED: &str = "is recorded and can be neither changed nor taken back";
const KEPT: &str = "is recorded once and never taken back";
const DEADLINE: &str = "a deadline is recorded once and never moved";
const WRITTEN_MOMENT: &str = "must be a date and time such as 2026-11-21T08:12:00Z or 2026-11-21T09:12:00+01:00";
const MOMENT: &str = "a moment is recorded once and never moved";

/// One object, what it was before, and what becomes of it.
struct Case {
    kind: &'static str,
    what: String,
    before: Option<Value>,
    object: Value,
    /// The field and the message; None: it is accepted.
    refused: Option<(String, String)>,
}

fn accept(kind: &'static str, what: impl Into<String>, object: Value) -> Case {
    Case { kind, what: what.into(), before: None, object, refused: None }
}

fn refuse(kind: &'static str, what: impl Into<String>, object: Value, field: &str, message: &str) -> Case {
    Case { refused: Some((field.into(), message.into())), ..accept(kind, what, object) }
}

impl Case {
    /// The case is an update of this object.
    fn after(self, before: &Value) -> Self {
        Self { before: Some(before.clone()), ..self }
    }
}

static COMPILED: LazyLock<BTreeMap<String, CompiledSchema>> =
    LazyLock::new(|| kinds().into_iter().map(|kind| (kind.name.clone(), compile_schema(kind.schema()))).collect());

/// What the rules say. The field of a rule at the root begins with a dot here, and a text in a list of a message has quotes:
/// neither matters to these tests.
fn errors(case: &Case) -> Vec<ValidationError> {
    thread_local!(static VALIDATOR: Validator = Validator::new());
    let schema = &COMPILED[case.kind];
    let result = VALIDATOR.with(|validator| validator.validate_compiled(schema, &case.object, case.before.as_ref()));
    let mut errors = result.err().map(kube::core::cel::ValidationErrors::into_vec).unwrap_or_default();
    for error in &mut errors {
        error.field_path = error.field_path.trim_start_matches('.').to_owned();
        error.message = error.message.replace('"', "");
    }
    errors
}

fn check(cases: &[Case]) {
    assert!(!cases.is_empty());
    for case in cases {
        let found = errors(case);
        let shown = || found.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n  ");
        let only_false = found.iter().all(|error| error.kind == ErrorKind::ValidationFailure);
        assert!(only_false, "{}: {}: a rule could not be evaluated:\n  {}", case.kind, case.what, shown());
        match &case.refused {
            None => assert!(found.is_empty(), "{}: {}: should be accepted:\n  {}", case.kind, case.what, shown()),
            Some((field, message)) => {
                let told = found.iter().any(|error| &error.field_path == field && &error.message == message);
                assert!(
                    told,
                    "{}: {}: should be refused with {field}: {message}\nbut:\n  {}",
                    case.kind,
                    case.what,
                    shown()
                );
            }
        }
    }
}

/// A field of the full sample at which a rule stands.
struct Place {
    kind: &'static str,
    /// In the sample, as a JSON pointer: `/spec/resources/0/name`.
    pointer: String,
    /// As errors name it: `spec.resources[0].name`.
    field: String,
    message: Option<String>,
    schema: Value,
}

/// Where the rules whose text fits stand, one place for each field of the schema.
fn places(fits: impl Fn(&str) -> bool) -> Vec<Place> {
    let mut found = vec![];
    for (kind, name) in kinds().iter().zip([REQUEST, SETTINGS, ASSIGNMENT]) {
        assert_eq!(kind.name, name);
        let sample = full(name);
        walk(kind.schema(), "", &mut |path, node| {
            for rule in node["x-kubernetes-validations"].as_array().into_iter().flatten() {
                if fits(rule["rule"].as_str().unwrap()) {
                    let (pointer, field) = in_sample(&sample, path);
                    let message = rule["message"].as_str().map(str::to_owned);
                    found.push(Place { kind: name, pointer, field, message, schema: node.clone() });
                }
            }
        });
    }
    assert!(!found.is_empty(), "no such rule any more");
    found
}

/// The first place in the sample that the schema's path means, as a pointer and as errors name it.
fn in_sample(sample: &Value, path: &str) -> (String, String) {
    let (mut at, mut pointer, mut field) = (sample, String::new(), String::new());
    for part in path.split('.').filter(|part| !part.is_empty()) {
        let name = part.trim_end_matches(['[', ']', '{', '}']);
        (at, pointer) = (&at[name], format!("{pointer}/{name}"));
        field = if field.is_empty() { name.to_owned() } else { format!("{field}.{name}") };
        for container in part.as_bytes()[name.len()..].chunks(2) {
            if container == b"[]" {
                (at, pointer, field) = (&at[0], format!("{pointer}/0"), format!("{field}[0]"));
            } else {
                let (key, value) = at.as_object().unwrap().iter().next().unwrap();
                (at, pointer, field) = (value, format!("{pointer}/{key}"), format!("{field}.{key}"));
            }
        }
    }
    assert!(!at.is_null(), "the sample has nothing at {path}");
    (pointer, field)
}

/// Another legal value of the same type.
fn another(schema: &Value, value: &Value) -> Value {
    match value {
        Value::Object(fields) => {
            let mut fields = fields.clone();
            let (name, field) = fields.iter().find(|(_, field)| field.is_string()).unwrap();
            let (name, field) = (name.clone(), another(&schema["properties"][name], field));
            fields.insert(name, field);
            fields.into()
        }
        Value::Array(items) => items[1..].into(),
        Value::String(text) if schema["format"] == "date-time" || text.starts_with("2026-") => {
            text.replace("2026", "2027").into()
        }
        Value::String(text) => match schema["enum"].as_array() {
            Some(words) => words.iter().find(|word| *word != value).unwrap().clone(),
            None => format!("{text}x").into(),
        },
        _ => panic!("no other value than {value}"),
    }
}

fn unchanged() -> Vec<Case> {
    let mut cases = vec![];
    for kind in [REQUEST, SETTINGS, ASSIGNMENT] {
        cases.push(accept(kind, "as it is created", created(kind)));
        cases.push(accept(kind, "with every field", full(kind)));
        cases.push(accept(kind, "written again", full(kind)).after(&full(kind)));
    }
    cases
}

/// Immutable fields that may be absent.
const OPTIONAL: [&str; 5] =
    ["spec.supportRequest", "spec.incident", "spec.escalation", "spec.resources", "spec.duration"];

fn immutable_fields() -> Vec<Case> {
    let mut cases = vec![];
    let immutable = |place: &&Place| {
        // Those that change have their own cases below.
        let message = if place.kind == REQUEST { IMMUTABLE } else { ANOTHER };
        place.field.starts_with("spec.")
            && place.message.as_deref() == Some(message)
            && !OPTIONAL.contains(&place.field.as_str())
    };
    for place in places(|rule| rule == "self == oldSelf").iter().filter(immutable) {
        let sample = full(place.kind);
        let other = another(&place.schema, sample.pointer(&place.pointer).unwrap());
        let message = if place.kind == REQUEST { IMMUTABLE } else { ANOTHER };
        cases.push(
            refuse(
                place.kind,
                format!("{} changes", place.field),
                with(&sample, &place.pointer, other),
                &place.field,
                message,
            )
            .after(&sample),
        );
    }
    for path in OPTIONAL {
        // Not Standard names an incident: without that, the missing incident would be refused for another reason.
        let (sample, pointer) = (full(REQUEST), format!("/{}", path.replace('.', "/")));
        let less = without(&sample, &pointer);
        let other = match path {
            "spec.duration" => json!("7h"),
            "spec.resources" => json!([{"group": "", "resource": "configmaps", "name": "shop-settings"}]),
            _ => another(&Value::Null, sample.pointer(&pointer).unwrap()),
        };
        let changed = with(&sample, &pointer, other);
        cases.push(refuse(REQUEST, format!("{path} changes"), changed, path, IMMUTABLE).after(&sample));
        cases.push(refuse(REQUEST, format!("{path} goes"), less.clone(), path, IMMUTABLE).after(&sample));
        cases.push(refuse(REQUEST, format!("{path} comes"), sample, path, IMMUTABLE).after(&less));
    }
    cases
}

#[test]
fn an_immutable_field_can_be_neither_changed_nor_added_nor_taken_away() {
    let cases = immutable_fields();
    check(&cases);
    let fields: BTreeSet<_> = cases.iter().map(|case| case.refused.as_ref().unwrap().0.as_str()).collect();
    // Everything that people ask for, and everything that an assignment says.
    let expected = [
        "spec.accessLevel",
        "spec.circumstance",
        "spec.duration",
        "spec.escalation",
        "spec.incident",
        "spec.justification",
        "spec.origin",
        "spec.principal",
        "spec.requester",
        "spec.resources",
        "spec.role",
        "spec.scope",
        "spec.service",
        "spec.supportRequest",
        "spec.type",
    ];
    assert_eq!(fields.into_iter().collect::<Vec<_>>(), expected);
}

fn creation() -> Vec<Case> {
    let undecided = "create the request without decisions, cancellation, release, revocation and removal: they are written once Lockbox has taken it up (status.phase)";
    let mut cases = vec![];
    let sample = full(REQUEST);
    for field in [
        "decision",
        "internalDecision",
        "decisions",
        "internalDecisions",
        "cancellation",
        "release",
        "revocation",
        "removal",
    ] {
        let early = with(&created(REQUEST), &format!("/spec/{field}"), sample["spec"][field].clone());
        cases.push(refuse(REQUEST, format!("{field} at creation"), early.clone(), "spec", undecided));
        let live = with(&early, "/status/phase", "CustomerNotified");
        let before = with(&created(REQUEST), "/status/phase", "CustomerNotified");
        cases.push(accept(REQUEST, format!("{field} later"), live).after(&before));
    }
    let empty = with(&with(&created(REQUEST), "/spec/decisions", json!({})), "/spec/internalDecisions", json!({}));
    cases.push(accept(REQUEST, "empty maps at creation", empty));
    let activated = with(&created(ASSIGNMENT), "/spec/activation", full(ASSIGNMENT)["spec"]["activation"].clone());
    let message = "leave activation out: the principal activates the assignment after it is created";
    cases.push(refuse(ASSIGNMENT, "activated at creation", activated.clone(), "spec.activation", message));
    cases.push(accept(ASSIGNMENT, "activated later", with(&activated, "/status/observedGeneration", 1)));

    for (length, fits) in [(63, true), (64, false)] {
        let named = with(&created(REQUEST), "/metadata/name", "n".repeat(length));
        cases.push(if fits {
            accept(REQUEST, "a name that fits a label", named)
        } else {
            refuse(
                REQUEST,
                "a name that fits no label",
                named,
                "",
                "metadata.name has at most 63 characters: it becomes a label",
            )
        });
    }
    let other = with(&created(SETTINGS), "/metadata/name", "mine");
    let message = "there is one LockboxSettings in a cluster: name it default, not mine";
    cases.push(refuse(SETTINGS, "of another name", other, "", message));
    cases
}

fn what_a_request_names() -> Vec<Case> {
    let sample = created(REQUEST);
    let who = "say who asks: set requester.username to your own user name and requester.groups to all your groups (Kubernetes 1.36 and later fills this in)";
    let ticket = "name the support request (id, url, summary): origin SupportRequest requires it";
    let incident = "name the incident (id, summary): origin ProviderInitiated requires it";
    let belongs = "name the incident: every circumstance except Standard requires it";
    let happened = "say what happened in incident.summary: only a LegalDemand may leave it out";
    let person = "access is granted to people: a service account or component cannot ask for it";
    let no_incident = without(&sample, "/spec/incident");
    let mut cases = vec![
        refuse(REQUEST, "nobody asks", without(&sample, "/spec/requester"), "spec.requester", who),
        refuse(REQUEST, "no ticket", without(&sample, "/spec/supportRequest"), "spec.supportRequest", ticket),
        accept(REQUEST, "a ticket and no incident", no_incident.clone()),
        accept(
            REQUEST,
            "an incident and no ticket",
            with(&without(&sample, "/spec/supportRequest"), "/spec/origin", "ProviderInitiated"),
        ),
        refuse(
            REQUEST,
            "no incident",
            with(&no_incident, "/spec/origin", "ProviderInitiated"),
            "spec.incident",
            incident,
        ),
    ];
    let silent = without(&sample, "/spec/incident/summary");
    cases.push(refuse(REQUEST, "an incident that says nothing", silent.clone(), "spec.incident.summary", happened));
    for circumstance in ["BreakGlass", "PlatformTroubleshooting", "LegalDemand"] {
        let excluded = |object: &Value| with(object, "/spec/circumstance", circumstance);
        cases.push(refuse(
            REQUEST,
            format!("{circumstance} without incident"),
            excluded(&no_incident),
            "spec.incident",
            belongs,
        ));
        cases.push(accept(REQUEST, format!("{circumstance} with incident"), excluded(&sample)));
        cases.push(if circumstance == "LegalDemand" {
            accept(REQUEST, "a legal demand that says nothing", excluded(&silent))
        } else {
            refuse(
                REQUEST,
                format!("{circumstance} that says nothing"),
                excluded(&silent),
                "spec.incident.summary",
                happened,
            )
        });
    }
    for (length, fits) in [(256, true), (257, false)] {
        let mut attribute = sample.clone();
        attribute["spec"]["requester"]["extra"] = json!({"k".repeat(length): ["mfa"]});
        let what = format!("an attribute whose key has {length} characters");
        cases.push(if fits {
            accept(REQUEST, what, attribute)
        } else {
            refuse(REQUEST, what, attribute, "spec.requester.extra", "keys have at most 256 characters")
        });
    }
    for (name, fits) in [
        ("system:serviceaccount:shop:default", false),
        ("system:admin", false),
        ("system:", false),
        ("systematic@provider.example", true),
        ("kim:system:", true),
    ] {
        let named = with(&sample, "/spec/requester/username", name);
        cases.push(if fits {
            accept(REQUEST, name, named)
        } else {
            refuse(REQUEST, name, named, "spec.requester.username", person)
        });
    }
    cases
}

fn decisions() -> Vec<Case> {
    let mut cases = vec![];
    let mut live = with(&created(REQUEST), "/status/phase", "CustomerNotified");
    set(&mut live, "/spec/resources/0/name", "shop-settings");
    for field in ["decisions", "internalDecisions"] {
        let path = format!("spec.{field}");
        let entry = |name: &str| format!("/spec/{field}/{name}");
        let recorded = with(&live, &entry("alice"), json!({"verdict": "Approve"}));
        let kept = "a recorded decision can be neither changed nor taken back: [alice]";
        let second = with(&recorded, &entry("bob"), json!({"verdict": "Deny", "reason": "no"}));
        cases.push(accept(REQUEST, format!("a first entry in {field}"), recorded.clone()).after(&live));
        cases.push(accept(REQUEST, format!("a second entry in {field}"), second.clone()).after(&recorded));
        for (what, changed) in [
            ("changed", with(&recorded, &entry("alice"), json!({"verdict": "Deny"}))),
            ("explained later", with(&recorded, &entry("alice"), json!({"verdict": "Approve", "reason": "because"}))),
            ("taken back", with(&recorded, &format!("/spec/{field}"), json!({}))),
            ("taken back with its map", live.clone()),
            ("replaced by another's", with(&live, &entry("bob"), json!({"verdict": "Approve"}))),
        ] {
            cases.push(refuse(REQUEST, format!("an entry in {field} {what}"), changed, &path, kept).after(&recorded));
        }
        let half = with(&second, &format!("/spec/{field}"), json!({"alice": {"verdict": "Approve"}}));
        let bob = "a recorded decision can be neither changed nor taken back: [bob]";
        cases.push(refuse(REQUEST, format!("one of two entries in {field} gone"), half, &path, bob).after(&second));

        let keys = "keys are user names of at most 256 characters";
        for (name, fits) in
            // kube-cel counts the bytes of a text and the API server its characters: schema_server.rs has the others.
            [(String::new(), false), ("n".repeat(257), false), ("n".repeat(256), true)]
        {
            let mut keyed = live.clone();
            keyed["spec"][field] = json!({name: {"verdict": "Approve"}});
            cases.push(if fits {
                accept(REQUEST, format!("a long name in {field}"), keyed).after(&live)
            } else {
                refuse(REQUEST, format!("a bad name in {field}"), keyed, &path, keys).after(&live)
            });
        }
    }
    cases
}

fn cuts() -> Vec<Case> {
    let mut cases = vec![];
    let live = with(&created(REQUEST), "/status/phase", "CustomerNotified");
    let decided =
        |field: &str, value: Value| with(&live, "/spec/decisions/alice", json!({"verdict": "Approve", field: value}));
    let longer = "a decision can shorten the requested time (spec.duration), not lengthen it";
    for (duration, fits) in [
        ("8h", true),
        ("480m", true),
        ("28800s", true),
        ("7h59m59s", true),
        ("1s", true),
        ("8h1s", false),
        ("481m", false),
        ("28801s", false),
        ("1d", false),
        ("7d", false),
    ] {
        let decision = decided("duration", json!(duration));
        cases.push(if fits {
            accept(REQUEST, format!("8h cut down to {duration}"), decision).after(&live)
        } else {
            refuse(REQUEST, format!("8h lengthened to {duration}"), decision, "spec.decisions", longer).after(&live)
        });
    }
    let open = without(&decided("duration", json!("7d")), "/spec/duration");
    cases.push(accept(REQUEST, "nothing was asked for, so Lockbox compares", open));

    let more = "a decision can leave out requested resources (spec.resources), not add any";
    let asked = live["spec"]["resources"].clone();
    let one = |group: &str, resource: &str, name: &str| json!({"group": group, "resource": resource, "name": name});
    for (what, resources, fits) in [
        ("all", asked.clone(), true),
        ("the other way round", json!([asked[1], asked[0]]), true),
        ("one", json!([asked[1]]), true),
        ("the core group left out", json!([{"resource": "configmaps", "name": "shop-settings"}]), true),
        ("another name", json!([one("", "configmaps", "other")]), false),
        ("another kind", json!([one("", "secrets", "shop-settings")]), false),
        ("another group", json!([one("extensions", "deployments", "shop")]), false),
        ("one more", json!([asked[0], asked[1], one("", "secrets", "shop")]), false),
        ("the parts of two", json!([one("apps", "deployments", "shop-settings")]), false),
    ] {
        let decision = decided("resources", resources);
        cases.push(if fits {
            accept(REQUEST, what, decision).after(&live)
        } else {
            refuse(REQUEST, what, decision, "spec.decisions", more).after(&live)
        });
    }
    let whole = without(&decided("resources", json!([asked[0]])), "/spec/resources");
    cases.push(refuse(REQUEST, "some of the whole scope", whole, "spec.decisions", more));

    for place in places(|rule| rule.contains("exists_one")) {
        let twice = json!([asked[0], asked[1], asked[0]]);
        let object = with(&full(place.kind), &place.pointer, twice);
        cases.push(refuse(
            place.kind,
            format!("{} twice the same", place.field),
            object,
            &place.field,
            "must not name an object twice",
        ));
    }
    cases
}

fn endings() -> Vec<Case> {
    let mut cases = vec![];
    let live = with(&created(REQUEST), "/status/phase", "AccessGranted");
    let live =
        with(&with(&live, "/status/accessUntil", "2026-11-23T12:00:00Z"), "/status/grantedAt", "2026-11-23T12:00:00Z");
    for field in ["cancellation", "release", "revocation", "removal"] {
        let (pointer, path) = (format!("/spec/{field}"), format!("spec.{field}"));
        let ended = with(&live, &pointer, json!({"by": "kim", "reason": "done"}));
        cases.push(accept(REQUEST, format!("{field} is written"), ended.clone()).after(&live));
        for (what, changed) in [
            ("gets another reason", with(&ended, &format!("{pointer}/reason"), "other")),
            ("loses its reason", without(&ended, &format!("{pointer}/reason"))),
            ("gets another author", with(&ended, &format!("{pointer}/by"), "alice")),
            ("is taken back", live.clone()),
        ] {
            cases.push(refuse(REQUEST, format!("{field} {what}"), changed, &path, RECORDED).after(&ended));
        }
    }
    cases
}

/// Which phases may follow, from the diagram of the lifecycle and not from the code.
const STEPS: [(&str, &[&str]); 14] = [
    (
        "Evaluating",
        &[
            "AwaitingInternalApproval",
            "CustomerNotified",
            "Approved",
            "Rejected",
            "NotTriggered",
            "Excluded",
            "Expired",
            "Cancelled",
        ],
    ),
    ("AwaitingInternalApproval", &["CustomerNotified", "Approved", "Rejected", "Expired", "Cancelled", "NotTriggered"]),
    ("CustomerNotified", &["Approved", "Denied", "Expired", "Cancelled"]),
    ("Approved", &["AccessGranted", "Failed", "Completed", "Revoked"]),
    ("AccessGranted", &["Completed", "Revoked"]),
    ("Rejected", &[]),
    ("NotTriggered", &[]),
    ("Excluded", &[]),
    ("Denied", &[]),
    ("Expired", &[]),
    ("Cancelled", &[]),
    ("Failed", &[]),
    ("Completed", &[]),
    ("Revoked", &[]),
];

fn phases() -> Vec<Case> {
    let mut cases = vec![];
    let base = with(&created(REQUEST), "/status/accessUntil", "2026-11-23T12:00:00Z");
    let base = with(&base, "/status/grantedAt", "2026-11-23T04:00:00Z");
    let at = |phase: &str| with(&base, "/status/phase", phase);
    for (from, next) in STEPS {
        for (to, _) in STEPS {
            let what = format!("{from} to {to}");
            cases.push(if from == to || next.contains(&to) {
                accept(REQUEST, what, at(to)).after(&at(from))
            } else {
                let message = format!("the lifecycle has no step from {from} to {to}");
                refuse(REQUEST, what, at(to), "status.phase", &message).after(&at(from))
            });
        }
        cases.push(accept(REQUEST, format!("nothing to {from}"), at(from)).after(&base));
        let message = "is recorded once and never taken back";
        cases.push(
            refuse(REQUEST, format!("{from} to nothing"), base.clone(), "status.phase", message).after(&at(from)),
        );
    }
    let message = "access is granted only until a recorded moment";
    for field in ["/status/accessUntil", "/status/grantedAt"] {
        let endless = without(&at("AccessGranted"), field);
        cases.push(refuse(REQUEST, format!("granted without {field}"), endless, "status.accessUntil", message));
    }
    cases
}

fn recorded_in_status() -> Vec<Case> {
    let mut cases = vec![];
    let sample = full(REQUEST);
    let mut changed = BTreeSet::new();
    for place in places(|rule| rule == "self == oldSelf").iter().filter(|place| place.field.starts_with("status.")) {
        let message = place.message.clone().unwrap();
        let name = place.field.trim_start_matches("status.").to_owned();
        let expected = match name.as_str() {
            "approvers" => "the snapshot of approvers is taken once",
            "barred" => "is recorded once and never changed",
            "history[0]" => "an entry of the history is never changed",
            name if name.ends_with("At") => MOMENT,
            _ => DEADLINE,
        };
        assert_eq!(message, expected, "{name}");
        let other = match name.as_str() {
            "barred" => json!({"users": ["kim@provider.example"]}),
            "approvers" => json!([]),
            _ => another(&place.schema, sample.pointer(&place.pointer).unwrap()),
        };
        let object = with(&sample, &place.pointer, other);
        cases.push(refuse(REQUEST, format!("{name} changes"), object, &place.field, &message).after(&sample));
        changed.insert(name);
    }
    let fields = [
        "accessUntil",
        "approvedAt",
        "approvers",
        "barred",
        "endedAt",
        "evaluateUntil",
        "grantedAt",
        "history",
        "internalUntil",
        "notifiedAt",
        "pendingUntil",
    ];
    for field in fields {
        let name = if field == "history" { "history[0]" } else { field };
        assert!(changed.remove(name), "{field} can go but cannot change, or the other way round");
        let (less, path) = (without(&sample, &format!("/status/{field}")), format!("status.{field}"));
        let less =
            if ["accessUntil", "grantedAt"].contains(&field) { with(&less, "/status/phase", "Revoked") } else { less };
        let before = with(&sample, "/status/phase", less["status"]["phase"].clone());
        cases.push(refuse(REQUEST, format!("{field} goes"), less.clone(), &path, KEPT).after(&before));
        cases.push(accept(REQUEST, format!("{field} comes"), before).after(&less));
    }
    assert!(changed.is_empty(), "can change by vanishing: {changed:?}");
    cases
}

fn history() -> Vec<Case> {
    let sample = full(REQUEST);
    let entry = sample["status"]["history"][0].clone();
    let entries = |sequences: &[i64]| -> Value {
        let list: Vec<_> = sequences.iter().map(|sequence| with(&entry, "/sequence", *sequence)).collect();
        with(&sample, "/status/history", list)
    };
    let (grows, gap, same) = (
        "the history only grows",
        "entries are numbered 1, 2, 3 without a gap",
        "an entry of the history is never changed",
    );
    let mut cases = vec![
        accept(REQUEST, "one more", entries(&[1, 2, 3])).after(&entries(&[1, 2])),
        accept(REQUEST, "three at once", entries(&[1, 2, 3, 4])).after(&entries(&[1])),
        accept(REQUEST, "the first", entries(&[1])).after(&without(&sample, "/status/history")),
        refuse(REQUEST, "one less", entries(&[1]), "status.history", grows).after(&entries(&[1, 2])),
        refuse(REQUEST, "none left", entries(&[]), "status.history", grows).after(&entries(&[1])),
        refuse(REQUEST, "a gap", entries(&[1, 3]), "status.history", gap).after(&entries(&[1])),
        refuse(REQUEST, "a gap at once", entries(&[2]), "status.history", gap),
        refuse(REQUEST, "the first replaced", entries(&[2, 3]), "status.history", gap).after(&entries(&[1, 2])),
    ];
    for (field, value) in [
        ("actor", json!("mallory")),
        ("action", json!("DenyLockboxRequest")),
        ("at", json!("2026-11-23T12:00:01Z")),
        ("message", json!("nothing happened")),
        ("reason", json!("none")),
        ("hash", json!(format!("sha256:{}", "f".repeat(64)))),
        ("rules", json!([])),
        ("facts", json!(["multiFactor"])),
        ("phase", json!("Denied")),
    ] {
        let mut forged = entries(&[1, 2]);
        set(&mut forged, &format!("/status/history/0/{field}"), value);
        cases
            .push(refuse(REQUEST, format!("another {field}"), forged, "status.history[0]", same).after(&entries(&[1])));
    }
    cases
}

fn durations() -> Vec<Case> {
    let mut cases = vec![];
    for place in places(|rule| rule.starts_with("(self != '' && self.matches")) {
        // Other rules compare durations with each other: only these may complain of a legal text.
        let base = with(&full(place.kind), "/spec/grant", json!({"default": "1s", "maximum": "7d"}));
        // The grammar is the same everywhere: one field sees every text.
        let everywhere = place.field == "spec.duration";
        for text in texts::DURATIONS.iter().take(if everywhere { texts::DURATIONS.len() } else { 2 }).copied() {
            let object = with(&base, &place.pointer, text);
            let refused = errors(&accept(place.kind, "", object))
                .into_iter()
                .any(|error| error.field_path == place.field && error.message == DURATION);
            assert!(!refused, "{}: {text}", place.field);
        }
        for text in texts::NO_DURATIONS.iter().filter(|text| everywhere || ["", "0s", "1.5h", "10000d"].contains(text))
        {
            let object = with(&base, &place.pointer, *text);
            cases.push(refuse(place.kind, format!("{} is {text:?}", place.field), object, &place.field, DURATION));
        }
    }
    cases
}

fn bounds() -> Vec<Case> {
    let mut cases = vec![];
    let week = ["7d1s", "8d", "168h1s", "10081m", "604801s", "9999d9999h99999m999999s"];
    let month = ["30d1s", "31d", "721h", "43201m", "29d24h1s", "9999d9999h99999m999999s"];
    let places = places(|rule| rule.contains("!(self != '' && self.matches"));
    for place in &places {
        let (message, fits, over): (_, &[_], &[_]) = match place.message.as_deref().unwrap() {
            "must be between 1s and 7d" => {
                ("must be between 1s and 7d", &["1s", "168h", "7d", "6d24h", "604800s"], &week)
            }
            "must be between 1s and 30d" => {
                ("must be between 1s and 30d", &["1s", "30d", "720h", "43200m", "29d24h"], &month)
            }
            "must be between 1h and 7d" => ("must be between 1h and 7d", &["1h", "60m", "7d"], &["59m59s", "7d1s"]),
            "each must be between 1m and 29d" => continue,
            other => panic!("{}: {other}", place.field),
        };
        let sample = full(place.kind);
        for text in fits {
            let mut object = with(&sample, &place.pointer, *text);
            // What is compared with it gives way.
            match place.kind {
                REQUEST => {
                    if place.field == "spec.duration" {
                        object["spec"]["decisions"]["alice"]["duration"] = json!("1s");
                    } else {
                        object["spec"]["duration"] = json!("7d");
                    }
                }
                SETTINGS => {
                    if place.field == "spec.grant.maximum" {
                        object["spec"]["grant"]["default"] = json!("1s");
                        object["spec"]["accessLevels"][0]["maximum"] = json!("1s");
                    } else {
                        object["spec"]["grant"]["maximum"] = json!("7d");
                    }
                }
                _ => {}
            }
            cases.push(accept(place.kind, format!("{} is {text}", place.field), object));
        }
        for text in over {
            let object = with(&sample, &place.pointer, *text);
            cases.push(refuse(place.kind, format!("{} is {text}", place.field), object, &place.field, message));
        }
    }
    assert!(places.len() >= 10);
    cases
}

fn links() -> Vec<Case> {
    let mut cases = vec![];
    for place in places(|rule| rule.contains("isURL")) {
        // The rule is the same everywhere: one field, of a small request, sees every link.
        let everywhere = place.field == "spec.supportRequest.url";
        let sample = if everywhere { small_request() } else { full(place.kind) };
        for url in texts::LINKS.iter().take(if everywhere { texts::LINKS.len() } else { 1 }).copied() {
            cases.push(accept(place.kind, format!("{}: {url}", place.field), with(&sample, &place.pointer, url)));
        }
        for url in texts::NO_LINKS.iter().take(if everywhere { texts::NO_LINKS.len() } else { 1 }).copied() {
            let object = with(&sample, &place.pointer, url);
            cases.push(refuse(place.kind, format!("{}: {url:?}", place.field), object, &place.field, LINK));
        }
    }
    cases
}

/// Rules in the place of patterns: each says what to write.
fn spelled() -> Vec<Case> {
    let places = places(|rule| rule.starts_with("self.matches('^") && !rule.contains("timestamp"));
    assert!(places.len() >= 12);
    let mut cases = vec![];
    for place in places {
        let message = place.message.unwrap();
        assert!(message.starts_with("must be "), "{}: {message}", place.field);
        for text in ["no good", "\u{430}pp", "a*", "a\n"] {
            // References are plain ASCII, and may hold an asterisk.
            if text == "a*" && place.field.rsplit('.').next() == Some("id") {
                continue;
            }
            let object = with(&full(place.kind), &place.pointer, text);
            cases.push(refuse(place.kind, format!("{} is {text:?}", place.field), object, &place.field, &message));
        }
    }
    cases
}

fn moments() -> Vec<Case> {
    let mut cases = vec![];
    let places = places(|rule| rule.contains("timestamp(self)"));
    for place in &places {
        for text in texts::MOMENTS {
            assert!(serde_json::from_value::<lockbox_api::Moment>(json!(text)).is_ok(), "the code reads {text}");
            cases.push(accept(
                place.kind,
                format!("{}: {text}", place.field),
                with(&full(place.kind), &place.pointer, text),
            ));
        }
        for text in texts::NO_MOMENTS {
            let object = with(&full(place.kind), &place.pointer, text);
            cases.push(refuse(place.kind, format!("{}: {text:?}", place.field), object, &place.field, WRITTEN_MOMENT));
        }
    }
    assert!(places.len() >= 2);
    cases
}

fn hidden_characters() -> Vec<Case> {
    let mut cases = vec![];
    let places = places(|rule| rule.contains("202e"));
    for place in &places {
        // The rule is the same everywhere: one field, of a small request, sees every text and character.
        let everywhere = place.field == "spec.justification";
        let sample = if everywhere { small_request() } else { full(place.kind) };
        for text in texts::VISIBLE.iter().take(if everywhere { texts::VISIBLE.len() } else { 1 }) {
            cases.push(accept(place.kind, format!("{}: {text:?}", place.field), with(&sample, &place.pointer, *text)));
        }
        for character in texts::hidden().iter().filter(|character| everywhere || ['\0', '\u{202e}'].contains(character))
        {
            let object = with(&sample, &place.pointer, format!("pay{character}load"));
            cases.push(refuse(place.kind, format!("{}: {character:?}", place.field), object, &place.field, VISIBLE));
        }
    }
    assert!(places.len() >= 17);
    cases
}

fn built_in_principals() -> Vec<Case> {
    let mut cases = vec![];
    for place in places(|rule| rule == "!self.startsWith('system:')")
        .iter()
        .filter(|place| place.field != "spec.requester.username")
    {
        let sample = full(place.kind);
        for name in
            ["system:authenticated", "system:masters", "system:serviceaccount:a:b", "system:unauthenticated", "system:"]
        {
            let object = with(&sample, &place.pointer, name);
            cases.push(refuse(place.kind, format!("{} is {name}", place.field), object, &place.field, BUILT_IN));
        }
        let object = with(&sample, &place.pointer, "systems:masters");
        cases.push(accept(place.kind, format!("{} is somebody", place.field), object));
    }
    cases
}

fn assignments() -> Vec<Case> {
    let mut cases = vec![];
    let sample = created(ASSIGNMENT);
    let pair = "GlobalAdministrator goes with scope Tenant; Owner and LockboxApprover with Subscription (or ManagementGroup, which is not supported)";
    for role in ["Owner", "LockboxApprover", "GlobalAdministrator"] {
        for scope in ["Subscription", "Tenant", "ManagementGroup"] {
            let object = with(&with(&sample, "/spec/role", role), "/spec/scope", scope);
            cases.push(if (role == "GlobalAdministrator") == (scope == "Tenant") {
                accept(ASSIGNMENT, format!("{role}, {scope}"), object)
            } else {
                refuse(ASSIGNMENT, format!("{role}, {scope}"), object, "spec.scope", pair)
            });
        }
    }
    let group = with(&sample, "/spec/principal/kind", "Group");
    cases.push(refuse(
        ASSIGNMENT,
        "an eligible group",
        group.clone(),
        "spec.principal.kind",
        "only a user can be Eligible: a group cannot activate",
    ));
    cases.push(accept(ASSIGNMENT, "an active group", with(&group, "/spec/type", "Active")));
    cases.push(accept(ASSIGNMENT, "Active, unless it says so", without(&group, "/spec/type")));

    let activated = full(ASSIGNMENT);
    let idle = without(&activated, "/spec/activation");
    cases.push(accept(ASSIGNMENT, "activated", activated.clone()).after(&idle));
    for (what, pointer, value) in
        [("for longer", "/spec/activation/duration", "5h"), ("again", "/spec/activation/justification", "Night shift")]
    {
        cases.push(accept(ASSIGNMENT, format!("activated {what}"), with(&activated, pointer, value)).after(&activated));
    }
    cases.push(
        refuse(
            ASSIGNMENT,
            "an activation taken back",
            idle,
            "spec.activation",
            "an activation cannot be taken back: it ends by itself",
        )
        .after(&activated),
    );
    let active = with(&activated, "/spec/type", "Active");
    cases.push(refuse(
        ASSIGNMENT,
        "an active one activated",
        active,
        "spec.activation",
        "only an Eligible assignment can be activated; this one is Active",
    ));
    cases
}

fn settings() -> Vec<Case> {
    let mut cases = vec![];
    let sample = full(SETTINGS);
    let grant =
        |default: &str, maximum: &str| with(&sample, "/spec/grant", json!({"default": default, "maximum": maximum}));
    let default = "grant.default must not be longer than grant.maximum";
    cases.push(accept(SETTINGS, "default is the maximum", grant("24h", "1d")));
    cases.push(refuse(SETTINGS, "default over the maximum", grant("24h1s", "1d"), "spec.grant.default", default));
    let short = with(&sample, "/spec/grant", json!({"maximum": "7h"}));
    cases.push(refuse(SETTINGS, "a maximum below the default's default", short, "spec.grant.default", default));

    let level = "the maximum of access levels [ReadObjects] is longer than grant.maximum";
    let maximum = |text: &str| with(&sample, "/spec/accessLevels/0/maximum", text);
    cases.push(accept(SETTINGS, "a level's maximum is the grant's", maximum("24h")));
    cases.push(accept(SETTINGS, "a level without a maximum", without(&sample, "/spec/accessLevels/0/maximum")));
    cases.push(refuse(SETTINGS, "a level's maximum is longer", maximum("1d1s"), "spec.accessLevels", level));

    let built_in = "must not name a built-in group (system:...): everybody who is signed in would have the fact";
    for fact in ["multiFactor", "isolatedIdentity"] {
        let groups = |name: &str| with(&sample, &format!("/spec/identity/{fact}/groups"), json!([name]));
        let field = format!("spec.identity.{fact}.groups");
        cases.push(refuse(SETTINGS, format!("{fact} for everybody"), groups("system:authenticated"), &field, built_in));
        cases.push(accept(SETTINGS, format!("{fact} for a group"), groups("provider:secure-workstations")));
    }

    let rules = "rules [named-objects] name an access level that is not in accessLevels";
    let unknown = with(&sample, "/spec/jit/rules/0/match/accessLevels", json!(["ReadObjects", "Shell"]));
    cases.push(refuse(SETTINGS, "a rule about an unknown level", unknown.clone(), "spec.jit.rules", rules));
    let no_levels = without(&without(&sample, "/spec/accessLevels"), "/spec/services");
    cases.push(refuse(
        SETTINGS,
        "a rule about a level where there is none",
        no_levels.clone(),
        "spec.jit.rules",
        rules,
    ));
    for (what, object) in [
        ("a rule about any level", without(&no_levels, "/spec/jit/rules/0/match/accessLevels")),
        ("a rule about anything", without(&no_levels, "/spec/jit/rules/0/match")),
        ("no rule", without(&no_levels, "/spec/jit/rules")),
        ("no rules", without(&no_levels, "/spec/jit")),
        (
            "a level written twice in two rules",
            with(&sample, "/spec/jit/rules/0/match/accessLevels", json!(["ReadObjects"])),
        ),
    ] {
        cases.push(accept(SETTINGS, what, object));
    }

    let service = "a service names an access level that is not in accessLevels";
    let unknown = with(&sample, "/spec/services/0/accessLevels", json!(["Shell"]));
    cases.push(refuse(SETTINGS, "a service with an unknown level", unknown, "spec.services", service));
    cases.push(accept(SETTINGS, "a service without levels", without(&sample, "/spec/services/0/accessLevels")));

    let names = "set optIn to Listed, or leave names out";
    for (opt_in, listed, fits) in [
        ("None", 1, false),
        ("All", 1, false),
        ("Listed", 1, true),
        ("None", 0, true),
        ("All", 0, true),
        ("Listed", 0, true),
    ] {
        let preview = json!({"optIn": opt_in, "names": vec!["Bots"; listed]});
        let object = with(&sample, "/spec/previewServices", preview);
        let what = format!("{opt_in} and {listed} names");
        cases.push(if fits {
            accept(SETTINGS, what, object)
        } else {
            refuse(SETTINGS, what, object, "spec.previewServices.names", names)
        });
    }

    let fact = "name groups, or an attribute in extra";
    for name in ["multiFactor", "isolatedIdentity"] {
        let at = format!("/spec/identity/{name}");
        cases.push(refuse(
            SETTINGS,
            format!("{name} by nothing"),
            with(&sample, &at, json!({})),
            &format!("spec.identity.{name}"),
            fact,
        ));
        cases.push(accept(SETTINGS, format!("{name} by groups"), without(&sample, &format!("{at}/extra"))));
        cases.push(accept(SETTINGS, format!("{name} by an attribute"), without(&sample, &format!("{at}/groups"))));
    }

    let deny = with(&sample, "/spec/jit/rules/0/effect", "Deny");
    cases.push(refuse(
        SETTINGS,
        "a Deny that requires",
        deny.clone(),
        "spec.jit.rules[0].require",
        "leave require out: it belongs to rules with effect Permit",
    ));
    cases.push(accept(SETTINGS, "a Deny", without(&deny, "/spec/jit/rules/0/require")));

    let internal = "/spec/jit/rules/0/require/internalApproval";
    let approvers = |users: usize, groups: usize, count: i32| {
        let user = |n| json!({"kind": "User", "name": format!("lea-{n}")});
        let group = |n| json!({"kind": "Group", "name": format!("leads-{n}")});
        let all: Vec<_> = (0..users).map(user).chain((0..groups).map(group)).collect();
        with(&sample, internal, json!({"approvers": all, "count": count}))
    };
    let field = "spec.jit.rules[0].require.internalApproval.count";
    cases.push(accept(SETTINGS, "two of two users", approvers(2, 0, 2)));
    cases.push(accept(SETTINGS, "two of a group", approvers(0, 1, 2)));
    cases.push(accept(SETTINGS, "three of a user and a group", approvers(1, 1, 3)));
    cases.push(refuse(
        SETTINGS,
        "three of two users",
        approvers(2, 0, 3),
        field,
        "must not exceed the number of approvers",
    ));

    let standard = with(&sample, "/spec/exclusions/allowed/0/circumstance", "Standard");
    cases.push(refuse(
        SETTINGS,
        "Standard as an exclusion",
        standard,
        "spec.exclusions.allowed[0].circumstance",
        "must be an exclusion: BreakGlass, PlatformTroubleshooting or LegalDemand",
    ));
    cases
}

fn notifications() -> Vec<Case> {
    let sample = full(SETTINGS);
    let mut cases = vec![];
    let portal = "must be an https URL without a user name in it, such as https://lockbox.contoso.example/{namespace}: {namespace} and {name} may stand behind the host, and nothing else in braces";
    for url in [
        "https://lockbox.contoso.example",
        "https://lockbox.contoso.example:8443/a?ns={namespace}&name={name}",
        "https://lockbox.contoso.example/{namespace}/{name}#top",
    ] {
        cases.push(accept(SETTINGS, url, with(&sample, "/spec/notifications/portalURL", url)));
    }
    for url in [
        "http://lockbox.contoso.example",
        "https://{namespace}.contoso.example/",
        "https://lockbox.contoso.example@evil.example/",
        "https://lockbox.contoso.example/{user}",
        "https://lockbox.contoso.example/{namespace",
        "https://lockbox.contoso.example/ {name}",
        "https://{name}/",
    ] {
        let object = with(&sample, "/spec/notifications/portalURL", url);
        cases.push(refuse(SETTINGS, url, object, "spec.notifications.portalURL", portal));
    }
    let each = "each must be between 1m and 29d";
    for (reminders, fits) in [(json!(["1m", "29d"]), true), (json!(["24h", "59s"]), false), (json!(["30d"]), false)] {
        let object = with(&sample, "/spec/notifications/reminders", reminders.clone());
        cases.push(if fits {
            accept(SETTINGS, reminders.to_string(), object)
        } else {
            refuse(SETTINGS, reminders.to_string(), object, "spec.notifications.reminders", each)
        });
    }
    let (one, several) = (
        "must be one e-mail address, such as soc@contoso.example",
        "must be e-mail addresses, one an item, such as soc@contoso.example",
    );
    let places = [
        (
            SETTINGS,
            "/spec/notifications/email/addresses/0/address",
            "spec.notifications.email.addresses[0].address",
            one,
        ),
        (SETTINGS, "/spec/notifications/email/alternate/0", "spec.notifications.email.alternate", several),
        (ASSIGNMENT, "/spec/notification/emails/0", "spec.notification.emails", several),
        (ASSIGNMENT, "/spec/notification/alternate/0", "spec.notification.alternate", several),
    ];
    for (kind, pointer, field, message) in places {
        for address in ["soc@contoso.example", "o'neil+lockbox@contoso.example", "jürgen@bücher.example", "a@b"] {
            cases.push(accept(kind, address, with(&full(kind), pointer, address)));
        }
        for address in [
            "soc",
            "a@b@c",
            "a@b.example, c@d.example",
            "<a@b.example>",
            "A <a@b.example>",
            "a@b.example\nBcc: c@d.example",
            "a b@c.example",
            "\"a\"@b.example",
            "a@[192.0.2.1]",
            "@b.example",
            "a@b;c",
        ] {
            cases.push(refuse(kind, address, with(&full(kind), pointer, address), field, message));
        }
    }
    let nothing = with(&sample, "/spec/notifications/mute/0", json!({}));
    let message = "name a kind of message, an audience, or both";
    cases.push(refuse(SETTINGS, "nothing is muted", nothing, "spec.notifications.mute[0]", message));
    cases
}

/// Every group of cases, by the name of its test.
fn groups() -> Vec<(&'static str, Vec<Case>)> {
    vec![
        ("unchanged", unchanged()),
        ("immutable_fields", immutable_fields()),
        ("creation", creation()),
        ("what_a_request_names", what_a_request_names()),
        ("decisions", decisions()),
        ("cuts", cuts()),
        ("endings", endings()),
        ("phases", phases()),
        ("recorded_in_status", recorded_in_status()),
        ("history", history()),
        ("durations", durations()),
        ("bounds", bounds()),
        ("links", links()),
        ("moments", moments()),
        ("spelled", spelled()),
        ("hidden_characters", hidden_characters()),
        ("built_in_principals", built_in_principals()),
        ("assignments", assignments()),
        ("who_is_told_has_an_address_and_what_links_lead_to_is_fixed", notifications()),
        ("settings", settings()),
    ]
}

#[test]
fn an_object_with_every_field_is_accepted_and_can_be_written_again() {
    check(&unchanged());
}

#[test]
fn nothing_is_decided_or_activated_at_creation() {
    check(&creation());
}

#[test]
fn a_request_names_its_requester_and_what_it_comes_from() {
    check(&what_a_request_names());
}

#[test]
fn a_recorded_decision_stays_as_it_is() {
    check(&decisions());
}

#[test]
fn a_decision_cuts_down_and_never_adds() {
    check(&cuts());
}

#[test]
fn cancellation_release_and_revocation_are_written_once() {
    check(&endings());
}

#[test]
fn the_phase_moves_along_the_diagram_alone() {
    check(&phases());
}

#[test]
fn deadlines_moments_and_snapshots_are_recorded_once() {
    check(&recorded_in_status());
}

#[test]
fn the_history_only_grows() {
    check(&history());
}

#[test]
fn a_duration_is_what_the_grammar_says() {
    check(&durations());
}

#[test]
fn a_duration_stays_within_its_bounds() {
    check(&bounds());
}

#[test]
fn a_link_is_plain_https() {
    check(&links());
}

#[test]
fn a_name_that_is_no_name_is_told_what_to_write() {
    check(&spelled());
}

#[test]
fn a_moment_is_one_that_the_operator_reads() {
    check(&moments());
}

#[test]
fn a_text_that_somebody_decides_by_hides_nothing() {
    check(&hidden_characters());
}

#[test]
fn no_built_in_user_or_group_is_a_principal() {
    check(&built_in_principals());
}

#[test]
fn an_assignment_is_one_of_the_documented_kinds() {
    check(&assignments());
}

#[test]
fn who_is_told_has_an_address_and_what_links_lead_to_is_fixed() {
    check(&notifications());
}

#[test]
fn settings_fit_together() {
    check(&settings());
}

/// A rule at its place: kind, field that errors name (as a path of the schema), and text.
type At = (String, String, String);

fn all_rules() -> BTreeSet<At> {
    let mut all = BTreeSet::new();
    for kind in kinds() {
        walk(kind.schema(), "", &mut |path, node| {
            for rule in node["x-kubernetes-validations"].as_array().into_iter().flatten() {
                let field = rule["fieldPath"].as_str().unwrap_or_default();
                let new = all.insert((
                    kind.name.clone(),
                    format!("{path}{field}"),
                    rule["rule"].as_str().unwrap().to_owned(),
                ));
                assert!(new, "{}{path} has the same rule twice", kind.name);
            }
        });
    }
    all
}

/// `spec.decisions.alice.duration` as `.spec.decisions{}.duration`.
fn schema_path(schema: &Value, field: &str) -> String {
    let (mut at, mut path) = (schema, String::new());
    for part in field.split('.').filter(|part| !part.is_empty()) {
        let (name, indexes) = part.split_once('[').map_or((part, 0), |(name, rest)| (name, rest.matches(']').count()));
        if at["properties"][name].is_object() {
            (at, path) = (&at["properties"][name], format!("{path}.{name}"));
        } else {
            (at, path) = (&at["additionalProperties"], format!("{path}{{}}"));
        }
        for _ in 0..indexes {
            (at, path) = (&at["items"], format!("{path}[]"));
        }
    }
    path
}

#[test]
fn no_rule_is_without_a_refused_case() {
    let schemas: BTreeMap<_, _> = kinds().into_iter().map(|kind| (kind.name.clone(), kind)).collect();
    let (mut left, mut cases) = (all_rules(), 0);
    let rules = left.len();
    for (_, group) in groups() {
        for case in &group {
            cases += 1;
            let Some((field, message)) = &case.refused else { continue };
            let schema = schemas[case.kind].schema();
            let path = schema_path(schema, field);
            if !left.iter().any(|(kind, at, _)| kind == case.kind && *at == path) {
                continue;
            }
            // Only what the case is about counts, not what else was wrong with the object.
            for error in errors(case).iter().filter(|error| &error.field_path == field && &error.message == message) {
                left.remove(&(case.kind.to_owned(), schema_path(schema, &error.field_path), error.rule.clone()));
            }
        }
    }
    left.retain(|(_, _, rule)| !ONLY_ON_A_SERVER.iter().any(|(only, _)| rule.contains(only)));
    let shown: Vec<_> = left.iter().map(|(kind, field, rule)| format!("{kind}{field}: {rule}")).collect();
    assert!(
        shown.is_empty(),
        "{} of {rules} rules are never seen to refuse anything:\n{}",
        shown.len(),
        shown.join("\n")
    );
    println!("{rules} rules, {cases} cases");
}

#[test]
fn no_rule_is_without_an_accepted_case() {
    // The full sample has a value at every field (schema_generated.rs), and the update of it by itself has an old value too:
    // every rule is evaluated. A rule that could not be would be an error.
    for case in unchanged().iter().filter(|case| case.before.is_some()) {
        assert_eq!(errors(case).len(), 0);
        for (kind, path, rule) in all_rules().into_iter().filter(|(kind, ..)| kind == case.kind) {
            let parent = path.rsplit_once(['.', '{', '[']).map_or("", |(parent, _)| parent);
            let seen = in_sample(&case.object, if rule.contains("self.") { parent } else { &path });
            assert!(seen.0.is_empty() || case.object.pointer(&seen.0).is_some(), "{kind}{path}: {rule}");
        }
    }
}

#[test]
fn every_rule_has_a_message() {
    for kind in kinds() {
        walk(kind.schema(), "", &mut |path, node| {
            for rule in node["x-kubernetes-validations"].as_array().into_iter().flatten() {
                let told = rule["message"].is_string() || rule["messageExpression"].is_string();
                assert!(told, "{}{path}: {} would be shown as it is", kind.name, rule["rule"]);
            }
        });
    }
}
