//! The three kinds on real API servers, the newest and the oldest: no chart, no operator.

use std::{
    collections::BTreeMap,
    io::Write as _,
    process::{Output, Stdio},
    sync::{LazyLock, Mutex, MutexGuard, Once, PoisonError},
    thread,
};

use lockbox_cluster::{AuditLevel, Cluster, Options, Version};
use serde_json::{Value, json};

use crate::schema_support::{
    created, full, is_condition, kind, kinds,
    limits::{ESCAPED, Filler, NARROW, WIDE},
    set, small_request, texts, walk, with, without,
};

/// What etcd takes at most, in bytes.
const ETCD: usize = 1_572_864;
/// Bytes that the chart lets people put into the annotations of a request (`bounds.annotationBytes`).
const ANNOTATIONS: usize = 4_096;
/// Bytes of text that the chart lets people put into a request (`bounds.requestBytes`).
const REQUEST: usize = 65_536;

struct Server {
    cluster: Cluster,
    /// The settings are one object: tests that make it take turns.
    settings: Mutex<()>,
}

static NEWEST: LazyLock<Server> = LazyLock::new(|| Server::start(Version::Newest));
static OLDEST: LazyLock<Server> = LazyLock::new(|| Server::start(Version::Oldest));

/// Both servers, each in the thread of its own in which it was asked for.
fn on_both(test: impl Fn(&Server) + Sync) {
    static STARTED: Once = Once::new();
    STARTED.call_once(|| {
        thread::scope(|scope| {
            scope.spawn(|| LazyLock::force(&NEWEST));
            scope.spawn(|| LazyLock::force(&OLDEST));
        });
    });
    thread::scope(|scope| {
        for server in [&NEWEST, &OLDEST] {
            scope.spawn(|| {
                let version = server.cluster.version();
                println!("Kubernetes {version}");
                test(server);
            });
        }
    });
}

impl Server {
    /// Starts a server and applies the definitions as the repository has them.
    fn start(version: Version) -> Self {
        let options = Options { version, audit: AuditLevel::None, ..Options::default() };
        let server = Self { cluster: Cluster::start(options).unwrap(), settings: Mutex::new(()) };
        let crds = concat!(env!("CARGO_MANIFEST_DIR"), "/crds");
        server.kubectl(&["apply", "--warnings-as-errors", "-f", crds]).unwrap();
        for kind in kinds() {
            let name = format!("crd/{}", kind.definition["metadata"]["name"].as_str().unwrap());
            server.kubectl(&["wait", "--for=condition=Established", "--timeout=60s", &name]).unwrap();
        }
        server
    }

    /// The turn to make the settings; there are none at its beginning.
    fn settings(&self) -> MutexGuard<'_, ()> {
        let turn = self.settings.lock().unwrap_or_else(PoisonError::into_inner);
        self.kubectl(&["delete", "lbs", "default", "--ignore-not-found"]).unwrap();
        turn
    }

    fn kubectl(&self, arguments: &[&str]) -> Result<String, String> {
        self.pipe(arguments, "")
    }

    /// kubectl with a text on its standard input: what it prints, or what it complains of.
    fn pipe(&self, arguments: &[&str], input: &str) -> Result<String, String> {
        let (done, said, complained) = self.both_outputs(arguments, input);
        if done { Ok(said) } else { Err(complained) }
    }

    fn both_outputs(&self, arguments: &[&str], input: &str) -> (bool, String, String) {
        let mut kubectl = self.cluster.kubectl(self.cluster.admin());
        kubectl.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = kubectl.spawn().unwrap();
        let mut stdin = child.stdin.take().unwrap();
        let input = input.to_owned();
        // In a thread of its own: kubectl answers before it has read everything. It may also end before.
        let writer = thread::spawn(move || drop(stdin.write_all(input.as_bytes())));
        let Output { status, stdout, stderr } = child.wait_with_output().unwrap();
        writer.join().unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        (status.success(), text(stdout), text(stderr))
    }

    fn namespace(&self, name: &str) {
        self.kubectl(&["create", "namespace", name]).unwrap();
    }

    fn create(&self, object: &Value) -> Result<String, String> {
        self.pipe(&["create", "-f", "-"], &object.to_string())
    }

    fn get(&self, object: &Value) -> Value {
        let (kind, name, namespace) = names(object);
        serde_json::from_str(&self.kubectl(&["get", kind, name, "-n", namespace, "-o", "json"]).unwrap()).unwrap()
    }

    /// Replaces an object by itself with another status, as the operator does.
    fn write_status(&self, object: &Value, status: &Value) -> Result<String, String> {
        let mut stored = self.get(object);
        stored["status"] = status.clone();
        self.pipe(&["replace", "--subresource=status", "-f", "-"], &stored.to_string())
    }

    /// Replaces an object by itself with more in its spec.
    fn write_spec(&self, object: &Value, fields: &Value) -> Result<String, String> {
        let mut stored = self.get(object);
        for (name, value) in fields.as_object().unwrap() {
            stored["spec"][name] = value.clone();
        }
        self.pipe(&["replace", "-f", "-"], &stored.to_string())
    }

    fn patch(&self, object: &Value, patch: &Value) -> Result<String, String> {
        let (kind, name, namespace) = names(object);
        self.kubectl(&["patch", kind, name, "-n", namespace, "--type=merge", "-p", &patch.to_string()])
    }

    fn patch_status(&self, object: &Value, patch: &Value) -> Result<String, String> {
        let (kind, name, namespace) = names(object);
        let patch = json!({"status": patch}).to_string();
        // On standard input: an argument cannot be this long.
        let file = "--patch-file=/dev/stdin";
        self.pipe(&["patch", kind, name, "-n", namespace, "--subresource=status", "--type=merge", file], &patch)
    }

    /// Creates many objects, dry, with one kubectl: what it complains of, by the object's name.
    fn refusals(&self, objects: &[Value]) -> BTreeMap<String, String> {
        // YAML takes no such characters, and kubectl reads several documents as YAML.
        let escaped =
            |c: char| if ('\u{7f}'..='\u{9f}').contains(&c) { format!("\\u{:04x}", u32::from(c)) } else { c.into() };
        let documents: Vec<String> =
            objects.iter().map(|object| object.to_string().chars().map(escaped).collect()).collect();
        let (_, said, complained) =
            self.both_outputs(&["create", "--dry-run=server", "-f", "-"], &documents.join("\n---\n"));
        let mut refusals = BTreeMap::new();
        // A message may have several lines; each begins with the object that it is about.
        for message in format!("\n{complained}").split("\nError from server").skip(1) {
            let name =
                message.split(".lockbox.dev \"").nth(1).and_then(|rest| rest.split('"').next()).unwrap_or(message);
            refusals.insert(name.to_owned(), message.to_owned());
        }
        let known = said.lines().count() + refusals.len();
        let last = complained.lines().last().unwrap_or_default();
        assert_eq!(known, objects.len(), "kubectl spoke of {known} of {} objects: {last}", objects.len());
        refusals
    }
}

fn names(object: &Value) -> (&str, &str, &str) {
    let metadata = &object["metadata"];
    let text = |field: &str| metadata[field].as_str();
    (object["kind"].as_str().unwrap(), text("name").unwrap(), text("namespace").unwrap_or("default"))
}

/// An object in a namespace of the test's own.
fn placed(object: &Value, namespace: &str, name: &str) -> Value {
    with(&with(object, "/metadata/namespace", namespace), "/metadata/name", name)
}

fn size(value: &Value) -> usize {
    value.to_string().len()
}

#[test]
fn the_definitions_are_taken_without_a_warning_and_can_be_applied_again() {
    on_both(|server| {
        let crds = concat!(env!("CARGO_MANIFEST_DIR"), "/crds");
        let again = server.kubectl(&["apply", "--warnings-as-errors", "-f", crds]).unwrap();
        assert_eq!(again.lines().filter(|line| line.ends_with("unchanged")).count(), 3, "{again}");
        let structural = server
            .kubectl(&[
                "get",
                "crd",
                "-o",
                "jsonpath={.items[*].status.conditions[?(@.type==\"NonStructuralSchema\")].message}",
            ])
            .unwrap();
        assert_eq!(structural, "");
    });
}

/// The bytes of all texts in a value.
fn bytes(value: &Value) -> usize {
    match value {
        Value::String(text) => text.len(),
        Value::Array(items) => items.iter().map(bytes).sum(),
        Value::Object(fields) => fields.values().map(bytes).sum(),
        _ => 0,
    }
}

/// A request at its limits: as it is created, what people write later, and its status.
fn request_at_its_limits(ask: Filler, decide: Filler, status: Filler) -> (Value, Value, Value) {
    let kind = kind("LockboxRequest");
    let properties = &kind.schema()["properties"];
    let mut fresh = created("LockboxRequest");
    let mut decided = json!({});
    for (field, property) in properties["spec"]["properties"].as_object().unwrap() {
        let path = format!(".spec.{field}");
        match field.as_str() {
            // The shorthands are never stored: the API server expands them, or a policy refuses them.
            "decision" | "internalDecision" => {}
            // The provider's people decide these.
            "internalDecisions" | "cancellation" | "release" => decided[field] = ask.fill(&path, property, 0),
            "decisions" | "revocation" | "removal" => decided[field] = decide.fill(&path, property, 0),
            _ => fresh["spec"][field] = ask.fill(&path, property, 0),
        }
    }
    // Of the groups, as many as the chart lets into a request with these texts.
    let mut left = REQUEST.saturating_sub(bytes(&without(&fresh, "/spec/requester/groups")["spec"]));
    let groups = fresh["spec"]["requester"]["groups"].as_array_mut().unwrap();
    groups.retain(|group| {
        let fits = bytes(group) <= left;
        left -= if fits { bytes(group) } else { left };
        fits
    });
    (placed(&fresh, "limits", &"n".repeat(63)), decided, status.fill(".status", &properties["status"], 0))
}

/// Creates it, decides it, and writes its status as the operator does: at the limits, and once more over what is there.
fn store(server: &Server, fresh: &Value, decided: &Value, status: &Value) {
    server.create(fresh).unwrap();
    server.patch_status(fresh, &json!({"phase": "Evaluating"})).unwrap();
    server.write_spec(fresh, decided).unwrap();
    server.patch_status(fresh, &json!({"phase": "Approved"})).unwrap();
    let mut before = status.clone();
    let last = before["history"].as_array_mut().unwrap().pop().unwrap();
    assert_eq!(last["sequence"], 64);
    server.write_status(fresh, &before).unwrap();
    server.write_status(fresh, status).unwrap();
    server.patch_status(fresh, &json!({"phase": "Completed", "closed": true})).unwrap();
    server.patch(fresh, &json!({"metadata": {"labels": {"seen": "yes"}}})).unwrap();
    let stored = server.get(fresh);
    assert_eq!(stored["status"]["history"], status["history"]);
    for (field, value) in decided.as_object().unwrap() {
        assert_eq!(&stored["spec"][field], value, "{field}");
    }
}

#[test]
fn a_request_at_every_limit_fits_in_four_byte_characters() {
    let (fresh, decided, status) = request_at_its_limits(WIDE, WIDE, WIDE);
    let parts = [("spec", &fresh["spec"]), ("spec", &decided), ("status", &status)];
    let mut sizes: Vec<_> = parts
        .into_iter()
        .flat_map(|(part, object)| {
            let one = move |(name, value): (&String, &Value)| (size(value), format!("{part}.{name}"));
            object.as_object().unwrap().iter().map(one)
        })
        .collect();
    sizes.sort();
    let total = size(&fresh) + size(&decided) + size(&status);
    let largest: Vec<_> = sizes.iter().rev().take(10).map(|(size, name)| format!("{name} {}", size / 1000)).collect();
    let summary = format!("{} kB at every limit: {}", total / 1000, largest.join(", "));
    println!("{summary}");
    assert!(total < ETCD, "{summary}: more than etcd takes");
    on_both(|server| {
        server.namespace("limits");
        store(server, &fresh, &decided, &status);
    });
}

#[test]
fn the_provider_alone_cannot_fill_a_request_until_the_customer_cannot_write_any_more() {
    // Whatever the provider's people write, in the characters that cost most, annotations included; and a customer whose
    // names and reasons are as long as they can be.
    let (fresh, decided, status) = request_at_its_limits(ESCAPED, NARROW, NARROW);
    let fresh = with(&fresh, "/metadata/namespace", "filled");
    let fresh = with(&fresh, "/metadata/annotations", json!({"note": "<".repeat(ANNOTATIONS)}));
    on_both(|server| {
        server.namespace("filled");
        store(server, &fresh, &decided, &status);
    });
}

#[test]
fn an_assignment_at_every_limit_fits() {
    let kind = kind("RoleAssignment");
    let properties = &kind.schema()["properties"];
    let object = placed(&created("RoleAssignment"), "assigned", "at-its-limits");
    let whole = WIDE.fill(".spec", &properties["spec"], 0);
    let object = with(&object, "/spec", without(&json!({"spec": whole}), "/spec/activation")["spec"].clone());
    on_both(|server| {
        server.namespace("assigned");
        server.create(&object).unwrap();
        server.patch_status(&object, &json!({"observedGeneration": 1})).unwrap();
        server.write_spec(&object, &json!({"activation": whole["activation"]})).unwrap();
        server.write_status(&object, &WIDE.fill(".status", &properties["status"], 0)).unwrap();
        server.write_spec(&object, &json!({"activation": {"justification": "again", "duration": "1h"}})).unwrap();
    });
}

/// The settings with one part at its limits, by the part's name.
///
/// All of them at once are more than etcd takes (the lists of one JIT rule alone may hold 100 kB, and there may be 128): only a
/// Global Administrator writes them, who is told so by the API server at once.
fn settings_at_a_limit() -> Vec<(String, Value)> {
    let kind = kind("LockboxSettings");
    let properties = &kind.schema()["properties"]["spec"]["properties"];
    let sample = with(&created("LockboxSettings"), "/spec/grant/maximum", "7d");
    let at = |field: &str| WIDE.fill(&format!(".spec.{field}"), &properties[field], 0);
    let (rules, levels, services) = (at("jit")["rules"].clone(), at("accessLevels"), at("services"));
    // The names of access levels and services that others refer to.
    let mut named = levels;
    for level in named.as_array_mut().unwrap() {
        level.as_object_mut().unwrap().retain(|field, _| ["name", "clusterRole", "maximum"].contains(&field.as_str()));
    }
    let known = with(&with(&sample, "/spec/accessLevels", named), "/spec/services", json!([]));
    let mut all = vec![];
    for field in
        properties.as_object().unwrap().keys().filter(|field| !["jit", "services", "grant"].contains(&field.as_str()))
    {
        let mut object = with(&sample, "/spec/jit/rules", json!([]));
        set(&mut object, "/spec/services", json!([]));
        set(&mut object, &format!("/spec/{field}"), at(field));
        all.push((field.clone(), object));
    }
    all.push(("services".into(), with(&with(&known, "/spec/jit/rules", json!([])), "/spec/services", services)));
    // One rule with every list as long as it may be, and as many rules as there may be.
    let mut whole = rules[0].clone();
    set(&mut whole, "/require/internalApproval/count", 4);
    all.push(("the lists of a rule".into(), with(&known, "/spec/jit/rules", json!([whole]))));
    let short = |rule: &Value, kept: &str| {
        let mut rule = rule.clone();
        for list in rule["match"].as_object_mut().unwrap().iter_mut().filter(|(name, _)| *name != kept) {
            if let Some(list) = list.1.as_array_mut() {
                list.truncate(1);
            }
        }
        rule["require"]["internalApproval"] = json!({"approvers": [{"kind": "Group", "name": "leads"}], "count": 16});
        rule
    };
    for kept in ["accessLevels", "none"] {
        let many: Vec<_> = rules.as_array().unwrap().iter().map(|rule| short(rule, kept)).collect();
        assert_eq!(many.len(), 128);
        all.push((format!("128 rules ({kept})"), with(&known, "/spec/jit/rules", many)));
    }
    all
}

#[test]
fn settings_at_each_limit_fit_and_leave_room_for_their_status() {
    let status = WIDE.fill(".status", &kind("LockboxSettings").schema()["properties"]["status"], 0);
    let objects = settings_at_a_limit();
    on_both(|server| {
        let _turn = server.settings();
        for (what, object) in &objects {
            let bytes = size(object) + size(&status);
            println!("settings, {what}: {} kB", bytes / 1000);
            server.create(object).unwrap_or_else(|refusal| panic!("{what}, {bytes} bytes: {refusal}"));
            server.write_status(object, &status).unwrap_or_else(|refusal| panic!("{what}, {bytes} bytes: {refusal}"));
            // Once more over what is there, which costs most.
            server
                .patch(object, &json!({"spec": {"enabled": false}}))
                .unwrap_or_else(|refusal| panic!("{what}: {refusal}"));
            server.kubectl(&["delete", "lbs", "default"]).unwrap();
        }
    });
}

#[test]
fn one_over_each_limit_is_refused_and_the_field_is_named() {
    for kind in kinds() {
        let sample = placed(&created(&kind.name), "over", "sample");
        let sample = if kind.name == "LockboxSettings" { with(&sample, "/metadata/name", "default") } else { sample };
        // For each field with a limit, an object in which it is one too long, and how the field is named.
        let mut over: Vec<(String, Value)> = vec![];
        walk(kind.schema(), "", &mut |path, node| {
            let Some((pointer, field)) = place(&full(&kind.name), path) else { return };
            if let Some(value) = one_too_many(node, full(&kind.name).pointer(&pointer).unwrap()) {
                over.push((field, with(&full(&kind.name), &pointer, value)));
            }
        });
        let (in_status, in_spec): (Vec<_>, Vec<_>) =
            over.into_iter().partition(|(field, _)| field.starts_with("status."));
        assert!(in_spec.len() >= 3, "{}", kind.name);
        on_both(|server| {
            let _ = server.kubectl(&["create", "namespace", "over"]);
            let _turn = (kind.name == "LockboxSettings").then(|| server.settings());
            for (field, object) in &in_spec {
                let mut one = sample.clone();
                let top = field.split(['.', '[']).nth(1).unwrap();
                one["spec"][top] = object["spec"][top].clone();
                let refusal = server.pipe(&["create", "--dry-run=server", "-f", "-"], &one.to_string()).unwrap_err();
                assert!(refusal.contains(field) && is_too_much(&refusal), "{}: {field}: {refusal}", kind.name);
            }
            server.create(&sample).unwrap();
            for (field, object) in &in_status {
                let refusal = server.patch_status(&sample, &object["status"]).unwrap_err();
                assert!(refusal.contains(field) && is_too_much(&refusal), "{}: {field}: {refusal}", kind.name);
            }
        });
    }
}

fn is_too_much(refusal: &str) -> bool {
    ["Too long", "Too many", "should be less than or equal to", "must have at most"]
        .iter()
        .any(|words| refusal.contains(words))
}

/// Where the sample has the first value of a schema's path, and how errors name it.
fn place(sample: &Value, path: &str) -> Option<(String, String)> {
    let (mut at, mut pointer, mut field) = (sample, String::new(), String::new());
    for part in path.split('.').filter(|part| !part.is_empty()) {
        let name = part.trim_end_matches(['[', ']', '{', '}']);
        (at, pointer) = (&at[name], format!("{pointer}/{name}"));
        field = if field.is_empty() { name.to_owned() } else { format!("{field}.{name}") };
        for container in part.as_bytes()[name.len()..].chunks(2) {
            if container == b"[]" {
                (at, pointer, field) = (&at[0], format!("{pointer}/0"), format!("{field}[0]"));
            } else {
                let (key, value) = at.as_object()?.iter().next()?;
                (at, pointer, field) = (value, format!("{pointer}/{key}"), format!("{field}.{key}"));
            }
        }
    }
    (!at.is_null()).then_some((pointer, field))
}

/// A value that is one longer than the schema allows.
fn one_too_many(node: &Value, value: &Value) -> Option<Value> {
    if node["enum"].is_array() || node["format"] == "date-time" {
        return None;
    }
    let limit = |key: &str| node[key].as_u64().map(|limit| usize::try_from(limit).unwrap());
    match value {
        Value::String(_) => {
            let most = limit("maxLength")?;
            // Where a pattern wants something else, the length is still complained of.
            Some("n".repeat(most + 1).into())
        }
        Value::Array(_) => {
            let most = limit("maxItems")?;
            let keys = node["x-kubernetes-list-map-keys"].as_array().cloned().unwrap_or_default();
            let one = |n| match &value[0] {
                Value::String(text) => json!(format!("{text}{n}")),
                item => {
                    let mut item = item.clone();
                    // A key that is a word has too few words for so many items: the length is complained of all the same.
                    for key in keys.iter().filter_map(Value::as_str).filter(|key| *key != "kind") {
                        item[key] = if item[key].is_number() { json!(n + 1) } else { json!(format!("n{n}")) };
                    }
                    item
                }
            };
            Some((0..=most).map(one).collect())
        }
        Value::Object(_) if node["additionalProperties"].is_object() => {
            let most = limit("maxProperties")?;
            let item = value.as_object()?.values().next()?;
            Some((0..=most).map(|n| (format!("k{n}"), item.clone())).collect::<serde_json::Map<_, _>>().into())
        }
        Value::Number(_) => node["maximum"].as_i64().map(|most| json!(most + 1)),
        _ => None,
    }
}

/// The object with null for each optional field that is no object, at every depth; and for each that is one, if `deep` is
/// false, too.
fn with_nulls(schema: &Value, value: &Value, deep: bool, nulls: &mut usize) -> Value {
    match value {
        Value::Object(fields) if schema["properties"].is_object() => {
            let required = schema["required"].as_array().cloned().unwrap_or_default();
            let mut all = serde_json::Map::new();
            for (name, property) in schema["properties"].as_object().unwrap() {
                let Some(field) = fields.get(name) else { continue };
                let optional = !required.contains(&json!(name)) && name != "requester";
                let kept = deep
                    && (field.is_object() || field.as_array().is_some_and(|items| items.iter().any(Value::is_object)));
                let value = if optional && !kept {
                    *nulls += 1;
                    Value::Null
                } else {
                    with_nulls(property, field, deep, nulls)
                };
                all.insert(name.clone(), value);
            }
            all.into()
        }
        Value::Object(fields) => {
            let one = |(key, value): (&String, &Value)| {
                (key.clone(), with_nulls(&schema["additionalProperties"], value, deep, nulls))
            };
            fields.iter().map(one).collect::<serde_json::Map<_, _>>().into()
        }
        Value::Array(items) => items.iter().map(|item| with_nulls(&schema["items"], item, deep, nulls)).collect(),
        _ => value.clone(),
    }
}

fn count_nulls(value: &Value) -> usize {
    match value {
        Value::Null => 1,
        Value::Object(fields) => fields.values().map(count_nulls).sum(),
        Value::Array(items) => items.iter().map(count_nulls).sum(),
        _ => 0,
    }
}

#[test]
fn an_explicit_null_is_dropped_at_every_depth_and_wedges_nothing() {
    on_both(|server| {
        server.namespace("nulls");
        for deep in [true, false] {
            let kind = kind("LockboxRequest");
            let (spec, status) = (&kind.schema()["properties"]["spec"], &kind.schema()["properties"]["status"]);
            let object = placed(&created("LockboxRequest"), "nulls", if deep { "deep" } else { "flat" });
            let mut nulls = 0;
            let mut fresh = with(&object, "/spec", with_nulls(spec, &object["spec"], deep, &mut nulls));
            assert!(nulls >= 5, "{nulls}");
            // A support request and an incident are asked for by origin and by summary.
            for field in ["supportRequest", "incident"] {
                if fresh["spec"][field].is_null() && field == "supportRequest" {
                    fresh["spec"][field] = object["spec"][field].clone();
                }
            }
            if deep {
                fresh["spec"]["incident"]["summary"] = json!("A host was updated");
            }
            server.create(&fresh).unwrap();
            let stored = server.get(&fresh);
            assert_eq!(count_nulls(&stored["spec"]), 0, "{stored}");
            assert_eq!(stored["spec"]["circumstance"], "Standard", "a null is the default");

            // The status, twice, and a decision in between, each full of nulls.
            let sample = full("LockboxRequest");
            let told = with_nulls(status, &sample["status"], deep, &mut nulls);
            let told = if deep { with(&told, "/phase", "CustomerNotified") } else { told };
            server.write_status(&fresh, &told).unwrap();
            let mut later = json!({});
            for field in ["decisions", "internalDecisions", "cancellation", "release", "revocation", "removal"] {
                later[field] = with_nulls(&spec["properties"][field], &sample["spec"][field], true, &mut nulls);
            }
            if let Some(decision) = later.pointer_mut("/decisions/alice").and_then(Value::as_object_mut) {
                decision.remove("resources");
            }
            server.write_spec(&fresh, &later).unwrap();
            let stored = server.get(&fresh);
            assert_eq!(count_nulls(&stored), 0, "{stored}");
            assert_eq!(stored["spec"]["release"], json!({"by": ""}));
            server.write_status(&fresh, &told).unwrap();
            server.patch_status(&fresh, &json!({"message": "still alive"})).unwrap();
            server
                .patch(&fresh, &json!({"spec": {"decisions": {"bob": {"verdict": "Deny", "reason": null}}}}))
                .unwrap();
            // As a JSON patch adds it, and a merge patch never would.
            let (_, name, namespace) = names(&fresh);
            let add =
                json!([{"op": "add", "path": "/spec/decisions/carol", "value": {"verdict": "Deny", "reason": null}}]);
            server.kubectl(&["patch", "lbr", name, "-n", namespace, "--type=json", "-p", &add.to_string()]).unwrap();
            server.patch_status(&fresh, &json!({"message": "still alive, and well"})).unwrap();
            let stored = server.get(&fresh);
            assert_eq!(stored["spec"]["decisions"]["carol"], json!({"verdict": "Deny"}));
            assert_eq!(stored["status"]["message"], "still alive, and well");
        }
    });
}

#[test]
fn nulls_in_settings_and_assignments_mean_the_defaults() {
    on_both(|server| {
        let kind = kind("LockboxSettings");
        let mut nulls = 0;
        let spec = &kind.schema()["properties"]["spec"];
        let object = created("LockboxSettings");
        let fresh = with(&object, "/spec", with_nulls(spec, &object["spec"], false, &mut nulls));
        assert!(nulls >= 12, "{nulls}");
        let fresh = with(&fresh, "/metadata/name", "default");
        let turn = server.settings();
        server.create(&fresh).unwrap();
        let stored = server.get(&fresh);
        server.patch_status(&fresh, &json!({"enabled": null, "observedGeneration": 1})).unwrap();
        drop(turn);
        assert_eq!(count_nulls(&stored), 0);
        let defaults = json!({
            "supportPlan": "Developer", "enablement": "Manual", "enabled": false,
            "origins": ["SupportRequest", "ProviderInitiated"], "pendingTimeout": "4d", "internalTimeout": "4d",
            "grant": {"default": "8h", "maximum": "1d", "safetyNet": "Required"}, "approvals": {"required": 1, "model": "ByScope"},
            "previewServices": {"optIn": "None"}, "identity": {}, "jit": {},
            "limits": {"openPerRequester": 32, "openPerNamespace": 256},
        });
        assert_eq!(stored["spec"], defaults, "off, and with the documented times");

        let _ = server.kubectl(&["create", "namespace", "null-assigned"]);
        let mut fresh = placed(&created("RoleAssignment"), "null-assigned", "alice");
        fresh["spec"]["type"] = Value::Null;
        fresh["spec"]["activation"] = Value::Null;
        server.create(&fresh).unwrap();
        let stored = server.get(&fresh);
        assert_eq!(stored["spec"]["type"], "Active");
        assert_eq!(count_nulls(&stored), 0);
        server.patch_status(&fresh, &json!({"observedGeneration": 1})).unwrap();
    });
}

#[test]
fn the_rules_say_on_a_server_what_they_say_without_one() {
    let small = |name: &str| placed(&small_request(), "default", name);
    let mut objects = vec![];
    let mut expected = BTreeMap::new();
    let mut add = |object: Value, field: &str, told: Option<&str>| {
        let name = format!("r{}", objects.len());
        objects.push(with(&object, "/metadata/name", name.clone()));
        if let Some(told) = told {
            expected.insert(name, format!("{field}: {told}"));
        }
    };
    let link = "must be an https URL without a user name in it, such as https://support.example/123";
    for url in texts::LINKS {
        add(with(&small("x"), "/spec/supportRequest/url", url), "spec.supportRequest.url", None);
    }
    for url in texts::NO_LINKS {
        // Nine characters are the least; what is shorter is refused for that.
        let told = if url.chars().count() < 9 { "Invalid value" } else { link };
        add(with(&small("x"), "/spec/supportRequest/url", url), "spec.supportRequest.url", Some(told));
    }
    for text in texts::DURATIONS {
        add(with(&small("x"), "/spec/duration", text), "spec.duration", None);
    }
    for text in texts::NO_DURATIONS {
        add(
            with(&small("x"), "/spec/duration", text),
            "spec.duration",
            Some("must be a duration such as 4d, 8h, 90m or 1h30m"),
        );
    }
    for text in texts::VISIBLE {
        add(with(&small("x"), "/spec/justification", text), "spec.justification", None);
    }
    let opened = "/spec/supportRequest/openedAt";
    for text in texts::MOMENTS {
        add(with(&small("x"), opened, text), "spec.supportRequest.openedAt", None);
    }
    // The last is a day that this year does not have: CEL fails on it, in words of its own before ours.
    for text in texts::NO_MOMENTS.into_iter().chain(["2026-02-29T12:00:00Z"]) {
        let told = "must be a date and time such as 2026-11-21T08:12:00Z";
        add(with(&small("x"), opened, text), "spec.supportRequest.openedAt", Some(told));
    }
    for character in texts::hidden() {
        let told = "must be one paragraph without line breaks (in YAML, write >- instead of |), tabs, runs of spaces, or control, zero-width and bidirectional characters";
        add(with(&small("x"), "/spec/justification", format!("pay{character}load")), "spec.justification", Some(told));
    }
    on_both(|server| {
        let refusals = server.refusals(&objects);
        for object in &objects {
            let name = object["metadata"]["name"].as_str().unwrap();
            match (expected.get(name), refusals.get(name)) {
                (None, None) => {}
                (Some(told), Some(refusal)) => {
                    let (field, told) = told.split_once(": ").unwrap();
                    assert!(refusal.contains(field) && refusal.contains(told), "{object}: {told}: {refusal}");
                }
                (expected, refusal) => panic!("{object}\nexpected {expected:?}\ngot {refusal:?}"),
            }
        }
    });
}

/// Each field of a spec with each of these in its place: what the API server takes, our types read.
#[test]
fn what_the_api_server_takes_of_people_the_operator_can_read() {
    let odd = [
        json!(null),
        json!(true),
        json!(0),
        json!(-1),
        json!(1),
        json!(1.5),
        json!(1e300),
        json!(i64::MAX),
        json!(2_147_483_648_i64),
        json!([]),
        json!({}),
        json!([null]),
        json!({"a": null}),
        json!(""),
        json!(" "),
        json!("0"),
        json!("1s"),
        json!("00001s"),
        json!("9999d9999h99999m999999s"),
        json!("2026-11-27"),
        json!("2026-11-27T12:00:00Ztx"),
        json!("approve"),
        json!("\u{fffd}"),
    ];
    let readable = |kind: &str, object: Value| match kind {
        "LockboxRequest" => serde_json::from_value::<lockbox_api::LockboxRequest>(object).map(drop),
        "LockboxSettings" => serde_json::from_value::<lockbox_api::LockboxSettings>(object).map(drop),
        _ => serde_json::from_value::<lockbox_api::RoleAssignment>(object).map(drop),
    };
    on_both(|server| {
        let _turn = server.settings();
        server.namespace("odd");
        for kind in ["LockboxRequest", "LockboxSettings", "RoleAssignment"] {
            let base = match kind {
                "LockboxSettings" => created(kind),
                _ => placed(&created(kind), "odd", "odd"),
            };
            // What people write later is judged as an update of what is there.
            let whole = with(&base, "/spec", full(kind)["spec"].clone());
            let mut later = whole.clone();
            server.create(&base).unwrap();
            if kind == "LockboxRequest" {
                server.patch_status(&base, &json!({"phase": "Evaluating"})).unwrap();
            } else if kind == "RoleAssignment" {
                server.patch_status(&base, &json!({"observedGeneration": 1})).unwrap();
            }
            later["metadata"] = server.get(&base)["metadata"].clone();
            let variants = |base: &Value| -> Vec<Value> {
                let pointers = pointers(&base["spec"], "/spec");
                pointers.iter().flat_map(|at| odd.iter().map(|value| with(base, at, value.clone()))).collect()
            };
            for (command, objects) in [("create", variants(&base)), ("replace", variants(&later))] {
                let list = json!({"apiVersion": "v1", "kind": "List", "items": objects}).to_string();
                let arguments = [command, "--dry-run=server", "--validate=ignore", "-o", "json", "-f", "-"];
                let (_, taken, _) = server.both_outputs(&arguments, &list);
                let mut count = 0;
                for object in serde_json::Deserializer::from_str(&taken).into_iter::<Value>() {
                    let object = object.unwrap();
                    let items = object["items"].as_array().cloned().unwrap_or_else(|| vec![object]);
                    for item in items {
                        count += 1;
                        if let Err(error) = readable(kind, item.clone()) {
                            panic!("{error}: {}", item["spec"]);
                        }
                    }
                }
                println!("{kind}: of {} objects to {command} {count} were taken", objects.len());
                assert!(count > 0 || command == "create", "some are taken");
                assert!(count < objects.len(), "some are refused");
            }
        }
    });
}

/// Every place in a value, as JSON pointers.
fn pointers(value: &Value, at: &str) -> Vec<String> {
    let inner: Vec<(String, &Value)> = match value {
        Value::Object(fields) => {
            fields.iter().map(|(name, field)| (name.replace('~', "~0").replace('/', "~1"), field)).collect()
        }
        Value::Array(items) => items.iter().enumerate().map(|(n, item)| (n.to_string(), item)).collect(),
        _ => vec![],
    };
    inner
        .into_iter()
        .flat_map(|(name, value)| {
            let at = format!("{at}/{name}");
            let mut found = pointers(value, &at);
            found.push(at);
            found
        })
        .collect()
}

#[test]
fn a_refusal_names_the_field_and_the_remedy() {
    on_both(|server| {
        server.namespace("refused");
        let request = placed(&created("LockboxRequest"), "refused", "sr-1");
        server.create(&request).unwrap();
        server.patch_status(&request, &json!({"phase": "CustomerNotified"})).unwrap();
        let decide = |name: &str, verdict: &str| json!({"spec": {"decisions": {name: {"verdict": verdict}}}});
        server.patch(&request, &decide("alice", "Approve")).unwrap();
        for (patch, told) in [
            (
                decide("alice", "Deny"),
                "spec.decisions: Forbidden: a recorded decision can be neither changed nor taken back: [\"alice\"]",
            ),
            (
                json!({"spec": {"justification": "other"}}),
                "spec.justification: Forbidden: is immutable: to ask for something else, create a new request",
            ),
            (
                json!({"spec": {"resources": null}}),
                "spec.resources: Forbidden: is immutable: to ask for something else, create a new request",
            ),
            (
                decide("bob", "Maybe"),
                r#"spec.decisions.bob.verdict: Unsupported value: "Maybe": supported values: "Approve", "Deny""#,
            ),
            (
                json!({"spec": {"decisions": {"bob": {"verdict": "Approve", "duration": "9h"}}}}),
                "spec.decisions: Forbidden: a decision can shorten the requested time (spec.duration), not lengthen it",
            ),
        ] {
            let refusal = server.patch(&request, &patch).unwrap_err();
            assert!(refusal.contains(told), "{told}\nbut: {refusal}");
        }
        let refusal = server.patch_status(&request, &json!({"phase": "Completed"})).unwrap_err();
        let told = "status.phase: Forbidden: the lifecycle has no step from CustomerNotified to Completed";
        assert!(refusal.contains(told), "{refusal}");
        let nobody = placed(&without(&request, "/spec/requester"), "refused", "sr-2");
        let refusal = server.create(&nobody).unwrap_err();
        assert!(
            refusal.contains("spec.requester: Required value: say who asks: set requester.username to your own"),
            "{refusal}"
        );
        let long = "nobody@example.org".repeat(15);
        let refusal = server.patch(&request, &decide(&long, "Approve")).unwrap_err();
        assert!(
            refusal.contains("spec.decisions: Forbidden: keys are user names of at most 256 characters"),
            "{refusal}"
        );
    });
}

#[test]
fn a_misspelt_field_is_refused_and_not_dropped() {
    on_both(|server| {
        let request = with(&small_request(), "/spec/durration", "8h");
        let refusal = server.pipe(&["create", "--dry-run=server", "-f", "-"], &request.to_string()).unwrap_err();
        assert!(refusal.contains(r#"unknown field "spec.durration""#), "{refusal}");
    });
}

#[test]
fn fields_select_requests_also_those_that_do_not_have_them_yet() {
    on_both(|server| {
        server.namespace("selected");
        for name in ["new", "waiting", "over"] {
            server.create(&placed(&created("LockboxRequest"), "selected", name)).unwrap();
        }
        let object = |name: &str| placed(&created("LockboxRequest"), "selected", name);
        server.patch_status(&object("waiting"), &json!({"phase": "CustomerNotified", "closed": false})).unwrap();
        server.patch_status(&object("over"), &json!({"phase": "Denied", "closed": true})).unwrap();
        let select = |selector: &str| {
            let arguments = [
                "get",
                "lbr",
                "-n",
                "selected",
                "--field-selector",
                selector,
                "-o",
                "jsonpath={.items[*].metadata.name}",
            ];
            server.kubectl(&arguments).unwrap()
        };
        assert_eq!(select("status.phase=CustomerNotified"), "waiting");
        assert_eq!(select("status.phase!=Denied"), "new waiting");
        assert_eq!(select("status.closed!=true"), "new waiting", "what the operator watches");
        assert_eq!(select("status.closed=true"), "over");
        assert_eq!(select("spec.requester.username=kim@provider.example"), "new over waiting");
        assert_eq!(select("spec.requester.username=robin@provider.example"), "");
        assert_eq!(select("spec.service=AppService,spec.scope=Subscription"), "new over waiting");
        assert_eq!(select("spec.scope=Tenant"), "");
        server.create(&placed(&created("RoleAssignment"), "selected", "alice")).unwrap();
        let assignments = |selector: &str| {
            let arguments = ["get", "lra", "-n", "selected", "--field-selector", selector, "-o", "name"];
            server.kubectl(&arguments).unwrap()
        };
        assert_eq!(
            assignments("spec.principal.name=alice@contoso.example,spec.role=Owner").trim(),
            "roleassignment.lockbox.dev/alice"
        );
        assert_eq!(assignments("spec.role=LockboxApprover"), "");
        let unknown =
            server.kubectl(&["get", "lbr", "-n", "selected", "--field-selector", "spec.justification=x"]).unwrap_err();
        assert!(
            unknown.contains("not a known field selector") || unknown.contains("field label not supported"),
            "{unknown}"
        );
    });
}

#[test]
fn columns_show_who_what_where_and_until_when() {
    on_both(|server| {
        server.namespace("columns");
        let request = placed(&created("LockboxRequest"), "columns", "sr-1");
        server.create(&request).unwrap();
        let at = "2096-11-23T12:00:00Z";
        let status = json!({"phase": "AccessGranted", "until": at, "accessUntil": at, "grantedAt": at, "message": "Kim has access"});
        server.patch_status(&request, &status).unwrap();
        let incident = without(&placed(&request, "columns", "sr-2"), "/spec/supportRequest");
        server.create(&with(&incident, "/spec/origin", "ProviderInitiated")).unwrap();
        let ticket = without(&placed(&request, "columns", "sr-3"), "/spec/incident");
        server.create(&ticket).unwrap();
        let rows = |arguments: &[&str]| -> Vec<Vec<String>> {
            let text = server.kubectl(arguments).unwrap();
            text.lines()
                .map(|line| {
                    line.split("  ").map(str::trim).filter(|cell| !cell.is_empty()).map(str::to_owned).collect()
                })
                .collect()
        };
        let wide = rows(&["get", "lbr", "-n", "columns", "-o", "wide"]);
        let heads = [
            "NAME",
            "REQUESTER",
            "SERVICE",
            "LEVEL",
            "TICKET",
            "PHASE",
            "UNTIL",
            "AGE",
            "SCOPE",
            "RESOURCES",
            "ASSIGNED-TO",
            "WHY",
        ];
        assert_eq!(wide[0], heads);
        // Of two tickets the customer's is shown first, and of the resources every one.
        let first =
            ["sr-1", "kim@provider.example", "AppService", "ReadObjects", "2611210040000123", "AccessGranted", at];
        assert_eq!(wide[1][..7], first, "{wide:?}");
        let last = ["robin@provider.example", "Kim has access"];
        assert_eq!(wide[1][wide[1].len() - 2..], last, "{wide:?}");
        for name in ["shop-settings", "deployments"] {
            assert!(wide[1].iter().any(|cell| cell.contains(name)), "{name}: {wide:?}");
        }
        assert_eq!(wide[2][4], "INC-7", "{wide:?}");
        assert_eq!(wide[3][4], "2611210040000123", "{wide:?}");
        assert!(!wide.iter().flatten().any(|cell| cell.contains("invalid")), "{wide:?}");

        let assignment = placed(&created("RoleAssignment"), "columns", "alice");
        server.create(&assignment).unwrap();
        let mut status = full("RoleAssignment")["status"].clone();
        status["activeUntil"] = json!(at);
        server.write_status(&assignment, &status).unwrap();
        let rows = rows(&["get", "lra", "-n", "columns"]);
        assert_eq!(rows[0], ["NAME", "PRINCIPAL", "ROLE", "SCOPE", "TYPE", "RECOGNIZED", "ACTIVE", "UNTIL", "AGE"]);
        assert!(
            rows[1].starts_with(
                &["alice", "alice@contoso.example", "Owner", "Subscription", "Eligible"].map(str::to_owned)
            ),
            "{rows:?}"
        );
        assert!(rows[1].contains(&at.to_owned()), "{rows:?}");
    });
}

#[test]
fn kubectl_explains_fields_in_our_words() {
    on_both(|server| {
        let explain =
            |path: &str| server.kubectl(&["explain", path]).unwrap().split_whitespace().collect::<Vec<_>>().join(" ");
        let decisions = explain("lbr.spec.decisions");
        assert!(decisions.contains("What the customer's approvers decided, by user name."), "{decisions}");
        assert!(decisions.contains("enum: Approve, Deny"), "{decisions}");
        for (path, words) in [
            ("lbr", "A support engineer's request for time-bound access to a customer's resources."),
            ("lbr.spec", "What is requested, fixed at creation"),
            ("lbr.spec.duration", "How long access lasts, such as 8h or 90m, from 1s to 7d."),
            ("lbr.status.phase", "Where a request stands: Evaluating"),
            ("lbr.status.history.hash", "SHA-256 over the hash of the previous entry"),
            ("lra", "Makes a user or group a designated approver of lockbox requests."),
            ("lra.spec.activation.duration", "For how long, such as 4h, from 1s to 30d"),
            ("lbs", "The configuration of Lockbox in this cluster."),
            ("lbs.spec.jit.rules.match.kinds", "all of them must be in this list"),
        ] {
            let text = explain(path);
            assert!(text.contains(words), "{path}: {text}");
        }
        // Every field has words on a server, too.
        for kind in kinds() {
            let text = server.kubectl(&["explain", "--recursive", &kind.name]).unwrap();
            walk(kind.schema(), "", &mut |path, _| {
                let name = path.rsplit('.').next().unwrap().trim_end_matches(['[', ']', '{', '}']);
                assert!(is_condition(path) || text.contains(name), "{path}");
            });
        }
    });
}

#[test]
fn waiting_for_a_phase_and_for_a_condition_works() {
    on_both(|server| {
        server.namespace("waited");
        let request = placed(&created("LockboxRequest"), "waited", "sr-1");
        server.create(&request).unwrap();
        let conditions = full("LockboxRequest")["status"]["conditions"].clone();
        thread::scope(|scope| {
            let waits = ["--for=jsonpath={.status.phase}=CustomerNotified", "--for=condition=Approved"].map(|until| {
                scope.spawn(move || server.kubectl(&["wait", until, "lbr/sr-1", "-n", "waited", "--timeout=60s"]))
            });
            server.patch_status(&request, &json!({"phase": "CustomerNotified", "conditions": conditions})).unwrap();
            for wait in waits {
                assert!(wait.join().unwrap().unwrap().contains("condition met"));
            }
        });
    });
}

#[test]
fn kubectls_own_kinds_of_writing_do_what_they_say() {
    on_both(|server| {
        server.namespace("written");
        let request = placed(&created("LockboxRequest"), "written", "sr-1");
        let text = request.to_string();
        let apply = || server.pipe(&["apply", "-f", "-"], &text).unwrap();
        assert!(apply().ends_with("created\n"));
        server.patch_status(&request, &json!({"phase": "CustomerNotified"})).unwrap();
        server.patch(&request, &json!({"spec": {"decisions": {"alice": {"verdict": "Approve"}}}})).unwrap();
        assert!(apply().ends_with("unchanged\n"), "a decision is not in the manifest, so apply leaves it");
        assert_eq!(server.get(&request)["spec"]["decisions"]["alice"]["verdict"], "Approve");
        let stored = server.get(&request);
        assert!(server.pipe(&["replace", "-f", "-"], &stored.to_string()).unwrap().ends_with("replaced\n"));
        // A replacement by the manifest would take the decision back.
        let refusal = server.pipe(&["replace", "-f", "-"], &text).unwrap_err();
        assert!(
            refusal.contains("a recorded decision can be neither changed nor taken back: [\"alice\"]"),
            "{refusal}"
        );
        let side = server.pipe(&["apply", "--server-side", "--force-conflicts", "-f", "-"], &text).unwrap();
        assert!(side.ends_with("serverside-applied\n"), "{side}");
        // Custom resources take no strategic patch, which is kubectl's default: the documents always say --type=merge.
        let refusal = server
            .kubectl(&["patch", "lbr", "sr-1", "-n", "written", "-p", r#"{"spec":{"release":{"by":"kim"}}}"#])
            .unwrap_err();
        assert!(refusal.contains("strategic-merge-patch+json is not supported by lockbox.dev/v1alpha1"), "{refusal}");
    });
}
