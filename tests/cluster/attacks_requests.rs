//! Attacks on requests, each by the user who would make it: create, decide, withdraw, revoke, metadata, hostile content.

use lockbox_cluster::User;
use serde_json::{Value, json};

use crate::{
    steady,
    support::{ALICE, KIM, Manifest, World, eventually, merge, refused, request},
};

/// A request is tried, and nothing is stored even if it is accepted.
fn try_create(world: &World, user: &User, manifest: &Manifest) -> Result<String, String> {
    world.pipe(user, &["create", "--dry-run=server", "-f", "-"], &manifest.to_string())
}

/// The example's request with all of Kim's facts stated.
fn kims(namespace: &str) -> Manifest {
    request("sr-1").namespace(namespace).set(
        "/spec/requester",
        json!({"username": KIM, "groups": ["provider:engineers", "provider:secure-workstations"]}),
    )
}

/// `kubectl patch lbr sr-1 --type=json`.
fn json_patch(world: &World, user: &User, namespace: &str, operations: &Value) -> Result<String, String> {
    world.kubectl(user, &["patch", "lbr", "sr-1", "-n", namespace, "--type=json", "-p", &operations.to_string()])
}

/// A role for people in a namespace, by the cluster's administrator and past Lockbox: RBAC then lets the user through,
/// and admission alone stands in the way.
fn bind(world: &World, namespace: &str, name: &str, user: &str) {
    let (user, namespace) = (format!("--user={user}"), namespace.to_owned());
    world.admin(&["create", "rolebinding", name, "--clusterrole=lockbox-approver", &user, "-n", &namespace]).unwrap();
}

fn decision(user: &str, verdict: &str) -> Value {
    json!({"spec": {"decisions": {user: {"verdict": verdict, "reason": "mine"}}}})
}

#[test]
fn nobody_asks_in_anothers_name_or_with_facts_of_a_sign_in_that_they_do_not_have() {
    let world = &*steady();
    let kim = world.kim();
    try_create(world, &kim, &kims("default")).unwrap();

    let forged = kims("default").set("/spec/requester/username", "mallory@provider.example");
    let said = refused(try_create(world, &kim, &forged), &["you can ask only in your own name"]);
    assert!(said.contains("spec.requester.username must be kim@provider.example"), "{said}");
    let capital = kims("default").set("/spec/requester/username", "Kim@provider.example");
    refused(try_create(world, &kim, &capital), &["you can ask only in your own name"]);

    let foreign = kims("default")
        .set("/spec/requester/groups", json!(["provider:engineers", "provider:secure-workstations", "contoso:owners"]));
    refused(try_create(world, &kim, &foreign), &["a group that you are not in: contoso:owners; take it out"]);
    // A stricter rule for the group would not apply to somebody who does not state it.
    let hidden = kims("default").set("/spec/requester/groups", json!(["provider:engineers"]));
    refused(
        try_create(world, &kim, &hidden),
        &["must name every group that you are in; add provider:secure-workstations"],
    );
    refused(
        try_create(world, &kim, &kims("default").without("/spec/requester/groups")),
        &["provider:engineers", "add "],
    );

    let claimed = |values: Value| kims("default").set("/spec/requester/extra", json!({"provider.example/amr": values}));
    let unclaimed = "claims an attribute that your sign-in does not have";
    refused(try_create(world, &kim, &claimed(json!(["mfa"]))), &[unclaimed]);
    let extra: &[(&str, &[&str])] = &[("provider.example/amr", &["pwd", "mfa"])];
    let groups = &["provider:engineers", "provider:secure-workstations"];
    let with_factor = world.cluster.user_with_extra(KIM, groups, extra).unwrap();
    try_create(world, &with_factor, &claimed(json!(["mfa"]))).unwrap();
    refused(try_create(world, &with_factor, &claimed(json!(["mfa", "hwk"]))), &[unclaimed]);
    let without: &[(&str, &[&str])] = &[("provider.example/amr", &["pwd"])];
    let password = world.cluster.user_with_extra(KIM, groups, without).unwrap();
    refused(try_create(world, &password, &claimed(json!(["mfa"]))), &[unclaimed]);

    // Neither a component, nor an administrator of the cluster, nor somebody who is none of the provider's.
    let robot = ["create", "--as=system:serviceaccount:default:robot", "--as-group=system:masters", "-f", "-"];
    let own = kims("default").set("/spec/requester", json!({"username": "system:serviceaccount:default:robot"}));
    refused(world.pipe(world.cluster.admin(), &robot, &own.to_string()), &["access is granted to people"]);
    refused(
        world.pipe(world.cluster.admin(), &robot, &request("sr-1").namespace("default").to_string()),
        &["access is granted to people"],
    );
    refused(try_create(world, world.cluster.admin(), &kims("default")), &["you can ask only in your own name"]);
    let bob = world.user("bob@contoso.example", &[]);
    refused(
        try_create(world, &bob, &request("sr-1").namespace("default")),
        &["cannot create resource \"lockboxrequests\""],
    );
    refused(world.kubectl(&bob, &["get", "lbr", "-A"]), &["cannot list resource \"lockboxrequests\""]);
    refused(world.kubectl(&world.alice(), &["get", "lbr", "-n", "default"]), &["cannot list resource"]);
}

#[test]
fn somebody_in_hundreds_of_groups_with_long_names_asks_and_states_them_all() {
    let world = &*steady();
    let mut groups = vec!["provider:engineers".to_owned(), "provider:secure-workstations".to_owned()];
    groups.extend((0..253).map(|n| format!("CN=Group {n},OU=O'Brien \\ Sons,DC={}", "x".repeat(150))));
    groups.push(format!("CN=Long,DC={}", "x".repeat(280)));
    let in_all: Vec<&str> = groups.iter().map(String::as_str).collect();
    // As the API server fills them in (a request without a requester), and as somebody states them.
    let made = |groups: &[&str], manifest: &Manifest| {
        let user = world.cluster.user_with_extra(KIM, groups, &[]).unwrap();
        world.pipe(&user, &["create", "--dry-run=server", "-o", "json", "-f", "-"], &manifest.to_string())
    };
    let filled: Value = serde_json::from_str(&made(&in_all, &request("sr-1").namespace("default")).unwrap()).unwrap();
    assert_eq!(filled["spec"]["requester"]["groups"], json!(groups));
    let stated = kims("default").set("/spec/requester/groups", json!(groups));
    made(&in_all, &stated).unwrap();
    let fewer: Vec<&str> = in_all.iter().copied().filter(|group| *group != "provider:secure-workstations").collect();
    // In another order, and with one left out or one too many.
    let turned: Vec<_> = groups.iter().rev().collect();
    made(&in_all, &kims("default").set("/spec/requester/groups", json!(turned))).unwrap();
    refused(
        made(&in_all, &kims("default").set("/spec/requester/groups", json!(groups[1..]))),
        &["add provider:engineers"],
    );
    refused(made(&fewer, &stated), &["a group that you are not in: provider:secure-workstations"]);
    let one_more: Vec<&str> = in_all.iter().copied().chain(["one more"]).collect();
    refused(made(&one_more, &request("sr-1").namespace("default")), &["spec.requester.groups", "256"]);
    // More bytes than a request may have: the message says what to do.
    let wide: Vec<_> = (0..250).map(|n| format!("{n}{}", "x".repeat(290))).collect();
    let wide: Vec<&str> = ["provider:engineers"].into_iter().chain(wide.iter().map(String::as_str)).collect();
    refused(
        made(&wide, &request("sr-1").namespace("default")),
        &["65536 bytes", "raise bounds.requestBytes in the chart"],
    );
}

#[test]
fn of_a_sign_in_only_what_the_rules_look_at_is_recorded() {
    let world = &*steady();
    let extra: &[(&str, &[&str])] =
        &[("provider.example/amr", &["mfa"]), ("authentication.kubernetes.io/credential-id", &["secret-number"])];
    let groups = &["provider:engineers", "provider:secure-workstations"];
    let kim = world.cluster.user_with_extra(KIM, groups, extra).unwrap();
    let manifest = request("sr-1").namespace("default").to_string();
    let made = world.pipe(&kim, &["create", "--dry-run=server", "-o", "json", "-f", "-"], &manifest).unwrap();
    let made: Value = serde_json::from_str(&made).unwrap();
    assert_eq!(
        made["spec"]["requester"],
        json!({"username": KIM, "groups": groups, "extra": {"provider.example/amr": ["mfa"]}})
    );
}

#[test]
fn who_may_create_requests_by_rbac_alone_and_is_not_the_providers_is_rejected() {
    let world = &*steady();
    world.subscription("not-the-providers");
    let created = world.create_as(&world.ada(), &request("sr-1").namespace("not-the-providers").to_string());
    created.unwrap();
    let rejected = world.wait_for_phase("not-the-providers", "sr-1", "Rejected");
    assert_eq!(rejected["status"]["reason"], "NotTheProvider");
}

#[test]
fn a_request_starts_undecided_and_what_it_brings_of_the_servers_is_ignored() {
    let world = &*steady();
    world.subscription("undecided");
    let kim = world.kim();
    let approve = json!({"verdict": "Approve", "reason": "planted"});
    for (field, planted) in [
        ("decision", approve.clone()),
        ("decisions", json!({ALICE: approve})),
        ("decisions", json!({KIM: approve})),
        ("internalDecision", approve.clone()),
        ("internalDecisions", json!({"lea@provider.example": approve})),
        ("cancellation", json!({"by": KIM})),
        ("release", json!({"by": KIM})),
        ("revocation", json!({"by": ALICE, "reason": "planted"})),
    ] {
        let planted = kims("undecided").set(&format!("/spec/{field}"), planted);
        refused(try_create(world, &kim, &planted), &["create the request without decisions"]);
    }
    let prefilled = kims("undecided")
        .set(
            "/status",
            json!({"phase": "Approved", "accessUntil": "2099-01-01T00:00:00Z", "requiredApprovals": 1,
            "grant": {"name": "lockbox-grant-mine"}, "approvers": []}),
        )
        .set("/metadata/creationTimestamp", "2020-01-01T00:00:00Z")
        .set("/metadata/uid", "11111111-1111-1111-1111-111111111111");
    world.create_as(&kim, &prefilled.to_string()).unwrap();
    let stored = world.wait_for_phase("undecided", "sr-1", "CustomerNotified");
    assert!(stored["status"]["accessUntil"].is_null(), "{stored}");
    assert_ne!(stored["metadata"]["uid"], "11111111-1111-1111-1111-111111111111");
    assert!(!stored["metadata"]["creationTimestamp"].as_str().unwrap().starts_with("2020"));
}

#[test]
fn no_request_reaches_the_clusters_own_namespaces_or_the_wrong_scope() {
    let world = &*steady();
    let kim = world.kim();
    for namespace in ["kube-system", "kube-public", "kube-node-lease", "lockbox-system"] {
        refused(try_create(world, &kim, &kims(namespace)), &["nobody can request access to namespace", namespace]);
    }
    let tenant = kims("default").set("/spec/scope", "Tenant");
    refused(try_create(world, &kim, &tenant), &["create a request of scope Tenant in namespace lockbox-tenant"]);
    refused(try_create(world, &kim, &kims("lockbox-tenant")), &["lockbox-tenant takes only requests of scope Tenant"]);
    let long = kims("default").set("/metadata/name", "a".repeat(64));
    refused(try_create(world, &kim, &long), &["metadata.name has at most 63 characters: it becomes a label"]);
    try_create(world, &kim, &kims("default").set("/metadata/name", "a".repeat(63))).unwrap();
}

/// What a policy of Lockbox refused, whichever of several it was that answered.
#[track_caller]
fn denied(answer: Result<String, String>) {
    refused(answer, &["ValidatingAdmissionPolicy 'lockbox-", "denied request"]);
}

#[test]
fn nobody_deletes_hides_or_fills_a_request_by_its_metadata() {
    let world = &*steady();
    world.subscription("metadata");
    world.ask("metadata", "sr-1");
    let kim = world.kim();
    // An owner that does not exist: the garbage collector, which is exempt elsewhere, would delete request and history.
    let owner = json!([{"apiVersion": "v1", "kind": "ConfigMap", "name": "gone", "uid": "00000000-0000-0000-0000-000000000001"}]);
    let finalizer = json!(["example.org/stay"]);
    for user in [&kim, &world.alice(), &world.ada(), world.cluster.admin()] {
        let patch = |metadata: Value| world.patch(user, "metadata", "sr-1", &json!({"metadata": metadata}));
        denied(patch(json!({"ownerReferences": owner})));
        denied(patch(json!({"finalizers": finalizer})));
        denied(patch(json!({"labels": {"lockbox.dev/access-level": "true"}})));
    }
    // Beside something that may be written, they are not let in either.
    let beside = json!({"metadata": {"ownerReferences": owner}, "spec": {"cancellation": {"reason": "solved"}}});
    refused(world.patch(&kim, "metadata", "sr-1", &beside), &["leave metadata.ownerReferences empty"]);
    let create = |field: &str, value: Value| {
        let manifest = kims("metadata").set("/metadata/name", "sr-2").set(&format!("/metadata/{field}"), value);
        try_create(world, &kim, &manifest)
    };
    for (field, value) in [("ownerReferences", owner), ("finalizers", finalizer)] {
        refused(create(field, value), &[&format!("leave metadata.{field} empty")]);
    }
    for field in ["labels", "annotations"] {
        refused(create(field, json!({"lockbox.dev/request": "sr-1"})), &["use a prefix of your own"]);
        let many = |count: usize| -> Value { (0..count).map(|n| (format!("example.org/l{n}"), json!("x"))).collect() };
        create(field, many(32)).unwrap();
        refused(create(field, many(33)), &[&format!("metadata.{field} may have at most 32 entries, and has 33")]);
        // Nothing that costs more than to count them is done with thousands.
        refused(create(field, many(6_000)), &[&format!("metadata.{field} may have at most 32 entries, and has 6000")]);
    }
    // In bytes: each of these characters has four. A key has one byte here.
    create("annotations", json!({"a": "\u{1f600}".repeat(1_023), "b": "xx"})).unwrap();
    let said = refused(
        create("annotations", json!({"a": "\u{1f600}".repeat(1_023), "b": "xxx"})),
        &["metadata.annotations may have at most 4096 bytes in all, and has 4097"],
    );
    assert!(said.contains("kubectl create"), "{said}");
    assert_eq!(world.phase("metadata", "sr-1"), "CustomerNotified");
}

#[test]
fn a_request_is_bounded_in_bytes_whatever_its_texts_are_made_of() {
    let world = &*steady();
    let kim = world.kim();
    let wide = |characters: usize| "\u{1f600}".repeat(characters);
    let note = |characters: usize| json!({"at": "2026-11-21T09:40:00Z", "by": "robin", "note": wide(characters)});
    let large = |notes: usize| {
        kims("default")
            .set("/spec/justification", wide(4_096))
            .set("/spec/supportRequest/history", vec![note(1_024); notes])
    };
    try_create(world, &kim, &large(11)).unwrap();
    let said = refused(
        try_create(world, &kim, &large(12)),
        &["a request may have 65536 bytes of text at most, and this one has"],
    );
    // Every text counts: one byte more in any of them is one byte more in all.
    let counted = |said: &str| -> usize {
        let (_, rest) = said.split_once("and this one has ").unwrap();
        rest.split_once(' ').unwrap().0.parse().unwrap()
    };
    let whole = large(12)
        .set("/spec/incident", json!({"id": "INC-7", "url": "https://support.example/7", "summary": "s"}))
        .set("/spec/escalation", json!({"team": "t", "reason": "r"}));
    let before = counted(&refused(try_create(world, &kim, &whole), &["bytes of text"]));
    assert!(before > counted(&said), "incident and escalation count");
    for field in [
        "supportRequest/id",
        "supportRequest/url",
        "supportRequest/summary",
        "supportRequest/openedBy",
        "supportRequest/assignedTo",
        "supportRequest/history/0/by",
        "incident/id",
        "incident/url",
        "incident/summary",
        "escalation/team",
        "escalation/reason",
        "resources/0/resource",
        "resources/0/name",
    ] {
        let pointer = format!("/spec/{field}");
        let text = whole.0.pointer(&pointer).and_then(Value::as_str).unwrap_or_else(|| panic!("{field}"));
        let longer = whole.clone().set(&pointer, format!("{text}x"));
        assert_eq!(counted(&refused(try_create(world, &kim, &longer), &["bytes of text"])), before + 1, "{field}");
    }
    let grouped = whole.clone().set("/spec/resources/0/group", "x");
    assert_eq!(counted(&refused(try_create(world, &kim, &grouped), &["bytes of text"])), before + 1);
    // What is a fact of the sign-in counts too.
    let extra: &[(&str, &[&str])] = &[("provider.example/amr", &["mfa"])];
    let groups = &["provider:engineers", "provider:secure-workstations", "provider:night-shift"];
    let more = world.cluster.user_with_extra(KIM, groups, extra).unwrap();
    let stated = whole
        .set("/spec/requester/groups", json!(groups))
        .set("/spec/requester/extra", json!({"provider.example/amr": ["mfa"]}));
    let after = counted(&refused(try_create(world, &more, &stated), &["bytes of text"]));
    assert_eq!(after, before + "provider:night-shift".len() + "provider.example/amr".len() + "mfa".len());
}

#[test]
fn after_its_creation_nobody_writes_anything_to_a_request_but_what_is_decided_about_it() {
    let world = &*steady();
    let here = "afterwards";
    world.subscription(here);
    let manifest = kims(here).set("/metadata/labels", json!({"example.org/team": "shop"})).to_string();
    let apply = |user: &User, manager: &str, manifest: &str| {
        let manager = format!("--field-manager={manager}");
        world.pipe(user, &["apply", "--server-side", "--force-conflicts", &manager, "-f", "-"], manifest)
    };
    let kim = world.kim();
    world.create_as(&kim, &manifest).unwrap();
    world.wait_for_phase(here, "sr-1", "CustomerNotified");
    world.sees(&kim, here, "sr-1");
    let version = || world.request(here, "sr-1")["metadata"]["resourceVersion"].as_str().unwrap().to_owned();
    let before = version();
    // RBAC lets all of these through; and of an engineer who has no part in it, nothing.
    let mallory = world.user("mallory@provider.example", &["provider:engineers"]);
    refused(world.patch(&mallory, here, "sr-1", &json!({"metadata": {"labels": {"a": "b"}}})), &["Forbidden"]);
    let fixed = "labels and annotations of a request are fixed at creation";
    let alone = "this write changes only metadata";
    for user in [&kim, &world.alice(), &world.ada(), world.cluster.admin()] {
        let patch = |metadata: Value| world.patch(user, here, "sr-1", &json!({"metadata": metadata}));
        refused(patch(json!({"annotations": {"a": "b"}})), &[fixed, "kubectl patch --type=merge"]);
        refused(patch(json!({"labels": {"a": "b"}})), &[fixed]);
        refused(patch(json!({"labels": {"example.org/team": null}})), &[fixed]);
        refused(patch(json!({"generateName": "sr-"})), &[alone]);
        refused(patch(json!({"managedFields": [{}]})), &[alone]);
        // The same fields under another manager: only managedFields change.
        let named = json!({
            "apiVersion": "lockbox.dev/v1alpha1", "kind": "LockboxRequest",
            "metadata": {"name": "sr-1", "namespace": here, "labels": {"example.org/team": "shop"}},
        });
        refused(apply(user, "another", &named.to_string()), &[alone]);
        // Beside a change of the spec they are refused as well.
        let beside = json!({"metadata": {"annotations": {"a": "b"}}, "spec": {"cancellation": {"reason": "solved"}}});
        denied(world.patch(user, here, "sr-1", &beside));
    }
    assert_eq!(version(), before);
    // What changes nothing is let in, whoever writes it, and is not stored.
    let stored = world.request(here, "sr-1").to_string();
    for user in [&world.ada(), world.cluster.admin()] {
        world.pipe(user, &["replace", "-f", "-"], &stored).unwrap();
        world.pipe(user, &["replace", "--field-manager=migration", "-f", "-"], &stored).unwrap();
    }
    for user in [&kim, &world.alice()] {
        world.patch(user, here, "sr-1", &json!({})).unwrap();
    }
    // As the API server's own migration of stored versions does it.
    let nothing = json!({
        "apiVersion": "lockbox.dev/v1alpha1", "kind": "LockboxRequest", "metadata": {"name": "sr-1", "namespace": here},
    });
    apply(world.cluster.admin(), "migration", &nothing.to_string()).unwrap();
    assert_eq!(version(), before);
    // What may be written is, by apply as well: the decision stands in its author's own fields.
    let decided = json!({
        "apiVersion": "lockbox.dev/v1alpha1", "kind": "LockboxRequest", "metadata": {"name": "sr-1", "namespace": here},
        "spec": {"decisions": {ALICE: {"verdict": "Approve", "reason": "agreed"}}},
    });
    apply(&world.alice(), "alice", &decided.to_string()).unwrap();
    world.wait_for_phase(here, "sr-1", "AccessGranted");
}

#[test]
fn hostile_content_is_refused_with_the_field_and_what_to_write() {
    let world = &*steady();
    let kim = world.kim();
    let object = |name: &str| json!([{"resource": "configmaps", "name": name}]);
    let hidden = "must be one paragraph without line breaks";
    let url = "must be an https URL without a user name in it";
    let length = "must be a duration such as 4d, 8h, 90m or 1h30m";
    let cases: Vec<(&str, Value, Vec<&str>)> = vec![
        // An empty name in a Role matches every call without a name, such as list.
        ("resources", object(""), vec!["spec.resources[0].name"]),
        ("resources", object("*"), vec!["spec.resources[0].name", "must be the name of one object"]),
        ("resources", object("a/b"), vec!["spec.resources[0].name", "must be the name of one object"]),
        (
            "resources",
            json!([{"resource": "*", "name": "a"}]),
            vec!["spec.resources[0].resource", "must be the plural name of a kind"],
        ),
        (
            "resources",
            json!([{"resource": "pods/exec", "name": "a"}]),
            vec!["spec.resources[0].resource", "must be the plural name of a kind"],
        ),
        (
            "resources",
            json!([{"resource": "pods", "name": "p:80/proxy"}]),
            vec!["spec.resources[0].name", "must be the name of one object"],
        ),
        ("resources", json!([{"group": "*", "resource": "configmaps", "name": "a"}]), vec!["spec.resources[0].group"]),
        ("resources", json!([]), vec!["spec.resources", "at least 1"]),
        (
            "resources",
            json!([{"resource": "pods", "name": "a"}, {"resource": "pods", "name": "a"}]),
            vec!["spec.resources", "must not name an object twice"],
        ),
        ("justification", json!("Read \u{202e}gnihtyreve"), vec!["spec.justification", hidden]),
        ("justification", json!("zero\u{200b}width"), vec!["spec.justification", hidden]),
        ("justification", json!("\u{1b}[31mred"), vec!["spec.justification", hidden]),
        // kubectl describe shows a second line at the left margin, where it passes for a field of the system's own.
        (
            "justification",
            json!("Restart it.\nStatus:\n  Phase:  Approved\n  Effect:  get one ConfigMap"),
            vec!["spec.justification", hidden],
        ),
        ("justification", json!(format!("Restart it.{}Status:", " ".repeat(60))), vec!["spec.justification", hidden]),
        ("justification", json!("Restart it.\u{3000}\u{2003}\u{a0} Status:"), vec!["spec.justification", hidden]),
        ("supportRequest/summary", json!("a\nStatus:  fine"), vec!["spec.supportRequest.summary", hidden]),
        ("supportRequest/summary", json!("a\tb"), vec!["spec.supportRequest.summary", hidden]),
        ("justification", json!(""), vec!["spec.justification", "at least 1"]),
        ("justification", json!("x".repeat(4097)), vec!["spec.justification", "may not be more than 4096"]),
        ("supportRequest/summary", json!("a\u{2066}b"), vec!["spec.supportRequest.summary", hidden]),
        ("supportRequest/url", json!("https://support.example:x@evil.example/1"), vec!["spec.supportRequest.url", url]),
        ("supportRequest/url", json!("http://support.example/1"), vec!["spec.supportRequest.url", url]),
        ("supportRequest/url", json!("javascript:alert(1)"), vec!["spec.supportRequest.url", url]),
        (
            "supportRequest/id",
            json!("1\u{7}2"),
            vec!["spec.supportRequest.id", "must be a number or reference in ASCII"],
        ),
        (
            "accessLevel",
            json!("cluster-admin/../x"),
            vec!["spec.accessLevel", "must be the name of an access level, such as ReadObjects"],
        ),
        ("duration", json!("0"), vec!["spec.duration", length]),
        ("duration", json!("0s"), vec!["spec.duration", length]),
        ("duration", json!("-1h"), vec!["spec.duration", length]),
        ("duration", json!("eight hours"), vec!["spec.duration", length]),
        ("duration", json!(""), vec!["spec.duration"]),
        ("duration", json!("1e9d"), vec!["spec.duration", length]),
        ("duration", json!("9999d"), vec!["spec.duration", "must be between 1s and 7d"]),
        ("duration", json!("169h"), vec!["spec.duration", "must be between 1s and 7d"]),
        ("duration", json!("99999999999999999999999999h"), vec!["spec.duration", "may not be more than 24"]),
        ("circumstance", json!("Anything"), vec!["spec.circumstance", "Unsupported value"]),
    ];
    for (field, value, words) in cases {
        let manifest = kims("default").set(&format!("/spec/{field}"), value);
        refused(try_create(world, &kim, &manifest), &words);
    }
    // A short look at the limit itself.
    try_create(world, &kim, &kims("default").set("/spec/justification", "x".repeat(4096))).unwrap();
    try_create(world, &kim, &kims("default").set("/spec/duration", "168h")).unwrap();
    let unknown = kims("default").set("/spec/approved", true);
    refused(try_create(world, &kim, &unknown), &["unknown field \"spec.approved\""]);
}

#[test]
fn what_was_asked_for_cannot_be_changed_afterwards() {
    let world = &*steady();
    world.subscription("unchanged");
    world.ask("unchanged", "sr-1");
    let other = json!([{"resource": "configmaps", "name": "other"}]);
    let anew = "is immutable: to ask for something else, create a new request";
    for (field, value) in [
        ("resources", other),
        ("resources", Value::Null),
        ("justification", json!("Something else")),
        ("duration", json!("24h")),
        ("duration", Value::Null),
        ("accessLevel", json!("Shell")),
        ("scope", json!("Tenant")),
        ("service", json!("SQLDatabase")),
        ("requester", json!({"username": "mallory@provider.example"})),
        ("supportRequest", json!({"id": "another"})),
    ] {
        refused(world.patch(&world.kim(), "unchanged", "sr-1", &json!({"spec": {field: value}})), &["spec.", anew]);
    }
    let kim = world.kim();
    // What is no object is refused by the definition, with the field, and not by what fills it in before.
    for field in
        ["cancellation", "release", "revocation", "decision", "internalDecision", "decisions", "internalDecisions"]
    {
        for value in [json!(true), json!("Approve"), json!(["Approve"]), json!(1)] {
            let said = refused(
                world.patch(&kim, "unchanged", "sr-1", &json!({"spec": {field: value}})),
                &[&format!("spec.{field} in body must be of type object")],
            );
            assert!(!said.contains("policy"), "{said}");
        }
    }
    let both = json!({"spec": {"decision": {"verdict": "Deny"}, "decisions": true}});
    refused(world.patch(&kim, "unchanged", "sr-1", &both), &["spec.decisions in body must be of type object"]);
    for value in [json!(true), json!("text"), json!([])] {
        let manifest = kims("unchanged").set("/spec", value);
        let said = refused(try_create(world, &kim, &manifest), &["spec"]);
        assert!(!said.contains("policy '"), "{said}");
    }
    refused(try_create(world, &kim, &kims("unchanged").without("/spec")), &["spec: Required value"]);
    refused(world.patch(&kim, "unchanged", "sr-1", &json!({"spec": null})), &["spec"]);
    refused(json_patch(world, &kim, "unchanged", &json!([{"op": "remove", "path": "/spec"}])), &["spec"]);
    // A status in a patch of the main resource is left out by the API server.
    let _ = world.patch(&kim, "unchanged", "sr-1", &json!({"status": null}));
    let _ = world.patch(&kim, "unchanged", "sr-1", &json!({"status": {"phase": "Approved"}}));
    let put = Manifest(world.request("unchanged", "sr-1"))
        .set("/status/phase", "Approved")
        .set("/status/approvers", json!([]));
    let _ = world.pipe(&world.ada(), &["replace", "-f", "-"], &put.to_string());
    let stored = world.request("unchanged", "sr-1");
    assert_eq!(stored["status"]["phase"], "CustomerNotified");
    assert_eq!(stored["status"]["approvers"][0]["name"], ALICE);
}

#[test]
fn only_an_approver_of_the_snapshot_decides_and_only_in_their_own_name() {
    let world = &*steady();
    let here = "own-name";
    world.subscription(here);
    // Kim in the customer's own approver group; a colleague of hers; somebody eligible who did not activate.
    world.assign(here, "team", "Group", "contoso:approvers", "LockboxApprover");
    world.assign(here, "eve", "User", "eve@contoso.example", "LockboxApprover");
    let eligible = json!({
        "apiVersion": "lockbox.dev/v1alpha1", "kind": "RoleAssignment",
        "metadata": {"name": "eli", "namespace": here},
        "spec": {"principal": {"kind": "User", "name": "eli@contoso.example"}, "role": "LockboxApprover",
            "scope": "Subscription", "type": "Eligible"},
    });
    world.apply_as(&world.alice(), &eligible.to_string()).unwrap();
    world.ask(here, "sr-1");
    world.assign(here, "olga", "User", "olga@contoso.example", "LockboxApprover");
    for (name, user) in
        [("bob", "bob@contoso.example"), ("eli-too", "eli@contoso.example"), ("kims", "Kim@provider.example")]
    {
        bind(world, here, name, user);
    }
    let robot = "system:serviceaccount:default:robot";
    bind(world, here, "robot", robot);

    let decide = |user: &User| world.decide(user, here, "sr-1", "Approve");
    let not_designated = "you are not a designated approver of this request: status.approvers says who is";
    let requester = "you asked for this access, so you cannot decide about it";
    refused(decide(&world.kim()), &[requester]);
    refused(decide(&world.user(KIM, &["contoso:approvers"])), &[requester]);
    refused(decide(&world.user("Kim@provider.example", &["contoso:approvers"])), &[requester]);
    refused(
        decide(&world.user("joe@provider.example", &["provider:engineers", "contoso:approvers"])),
        &["you are one of the provider's people, so you cannot decide for the customer"],
    );
    refused(decide(&world.user("bob@contoso.example", &[])), &[not_designated]);
    refused(decide(&world.user("olga@contoso.example", &[])), &[not_designated]);
    refused(decide(&world.user("eli@contoso.example", &[])), &[not_designated]);
    refused(decide(world.cluster.admin()), &[not_designated]);
    refused(decide(&world.ada()), &[not_designated]);
    refused(decide(&world.user("zoe@contoso.example", &[])), &["cannot get resource \"lockboxrequests\""]);
    let patch = json!({"spec": {"decision": {"verdict": "Approve"}}}).to_string();
    let component = format!("--as={robot}");
    let said = world.admin(&["patch", "lbr", "sr-1", "-n", here, "--type=merge", "-p", &patch, &component]);
    refused(said, &["people decide, so a service account or component cannot"]);

    // In another's name, in both forms, in one's own besides, in a group that one is not in, for another's object.
    let own = "a decision can only be recorded under your own user name, eve@contoso.example";
    let eve = world.user("eve@contoso.example", &[]);
    let patch = |value: &Value| world.patch(&eve, here, "sr-1", value);
    refused(patch(&decision(ALICE, "Approve")), &[own]);
    refused(patch(&decision("a/b~c@contoso.example", "Approve")), &[own]);
    refused(patch(&decision("EVE@contoso.example", "Approve")), &[own]);
    let both =
        json!({"spec": {"decisions": {ALICE: {"verdict": "Approve"}, "eve@contoso.example": {"verdict": "Approve"}}}});
    refused(patch(&both), &[own]);
    let forms = json!({"spec": {"decision": {"verdict": "Approve"}, "decisions": {ALICE: {"verdict": "Approve"}}}});
    refused(patch(&forms), &[own]);
    let forms = json!({"spec": {"decision": {"verdict": "Approve"}, "decisions": {"eve@contoso.example": {"verdict": "Deny"}}}});
    refused(patch(&forms), &["spec.decision"]);
    let group = json!({"spec": {"decision": {"verdict": "Approve", "group": "contoso:approvers"}}});
    refused(patch(&group), &["you cannot decide for group contoso:approvers", "or you are not in it"]);
    let hash = format!("sha256:{}", "0".repeat(64));
    let effect = json!({"spec": {"decision": {"verdict": "Approve", "effectHash": hash}}});
    refused(patch(&effect), &["read status.effect again before you approve: it is not what effectHash names"]);
    let longer = json!({"spec": {"decision": {"verdict": "Approve", "duration": "24h"}}});
    refused(patch(&longer), &["a decision can shorten the requested time (spec.duration), not lengthen it"]);
    let more = json!({"spec": {"decision": {"verdict": "Approve", "resources": [{"resource": "configmaps", "name": "other"}]}}});
    refused(patch(&more), &["a decision can leave out requested resources (spec.resources), not add any"]);
    let nothing = json!({"spec": {"decision": {"verdict": "Approve", "resources": []}}});
    refused(patch(&nothing), &["resources"]);
    let uid = json!({"metadata": {"uid": "11111111-1111-1111-1111-111111111111"}, "spec": {"decision": {"verdict": "Approve"}}});
    refused(patch(&uid), &["metadata.uid", "field is immutable"]);
    let internal = json!({"spec": {"internalDecision": {"verdict": "Approve"}}});
    refused(patch(&internal), &["the request is not waiting for an internal approval: its phase is CustomerNotified"]);

    let stored = world.request(here, "sr-1");
    assert_eq!(stored["status"]["phase"], "CustomerNotified");
    assert!(stored["spec"].get("decisions").is_none(), "nothing was recorded: {}", stored["spec"]["decisions"]);
    let excluded = stored["status"]["excludedApprovers"].to_string();
    assert!(excluded.contains("eli@contoso.example"), "the request says why Eli does not decide: {excluded}");
}

#[test]
fn an_approval_that_could_not_count_is_refused_and_its_author_decides_again() {
    let world = &*steady();
    let here = "could-not-count";
    world.subscription(here);
    world.assign(here, "approvers", "Group", "contoso:approvers", "LockboxApprover");
    // Without a duration in the request, the settings' default of 8 hours stands in the status.
    let manifest = request("sr-1").namespace(here).without("/spec/duration");
    world.create_as(&world.kim(), &manifest.to_string()).unwrap();
    assert_eq!(world.wait_for_phase(here, "sr-1", "CustomerNotified")["status"]["duration"], "8h");
    let alice = world.alice();
    let approve = |more: Value| {
        let mut decision = json!({"verdict": "Approve"});
        merge(&mut decision, &more);
        world.patch(&alice, here, "sr-1", &json!({"spec": {"decision": decision}}))
    };
    let longer = "an approval can shorten the access, not lengthen it: spec.decisions has ";
    for duration in ["24h", "8h1s", "1d", "481m"] {
        refused(approve(json!({"duration": duration})), &[longer, duration, "status.duration is 8h"]);
    }
    refused(approve(json!({"resources": [{"resource": "configmaps", "name": "other"}]})), &["not add any"]);
    refused(approve(json!({"effectHash": format!("sha256:{}", "0".repeat(64))})), &["read status.effect again"]);
    // People whose names differ in case alone. RBAC lets all of these through.
    bind(world, here, "shouting", "ALICE@contoso.example");
    let decide = |user: &User| world.decide(user, here, "sr-1", "Approve");
    let alike =
        "you are ALICE@contoso.example, and status.approvers names alice@contoso.example, which differs only in case";
    refused(decide(&world.user("ALICE@contoso.example", &[])), &[alike, "sign in as alice@contoso.example"]);
    // She has not been locked out.
    approve(json!({"duration": "480m"})).unwrap();
    world.wait_for_phase(here, "sr-1", "AccessGranted");
}

#[test]
fn the_providers_people_do_not_decide_in_another_spelling_of_their_name() {
    let world = &*crate::WORLD;
    let here = "another-spelling";
    world.subscription(here);
    world.assign(here, "approvers", "Group", "contoso:approvers", "LockboxApprover");
    let engineers = json!([
        {"kind": "Group", "name": "provider:engineers"}, {"kind": "User", "name": "lena@provider.example"},
    ]);
    {
        let _settings = world.with_settings(&json!({"provider": {"engineers": engineers}}));
        world.create_as(&world.kim(), &request("sr-1").namespace(here).to_string()).unwrap();
        world.wait_for_phase(here, "sr-1", "CustomerNotified");
    }
    let barred = &world.request(here, "sr-1")["status"]["barred"];
    assert!(barred["users"].to_string().contains("lena@provider.example"), "{barred}");
    for (number, name) in ["lena@provider.example", "Lena@Provider.example"].iter().enumerate() {
        let lena = world.user(name, &["contoso:approvers"]);
        for verdict in ["Approve", "Deny"] {
            refused(world.decide(&lena, here, "sr-1", verdict), &["you are one of the provider's people"]);
        }
        bind(world, here, &format!("lena-{number}"), name);
    }
    // Nothing that does not count stands in the way of what does.
    world.decide(&world.alice(), here, "sr-1", "Approve").unwrap();
    world.wait_for_phase(here, "sr-1", "AccessGranted");
}

#[test]
fn a_decision_is_made_once_and_stays() {
    let world = &*steady();
    let here = "made-once";
    world.subscription(here);
    world.assign(here, "eve", "User", "eve@contoso.example", "LockboxApprover");
    world.ask(here, "sr-1");
    let alice = world.alice();
    world.decide(&alice, here, "sr-1", "Approve").unwrap();
    world.wait_for_phase(here, "sr-1", "AccessGranted");
    let kept = "a recorded decision can be neither changed nor taken back";
    for user in [&alice, &world.user("eve@contoso.example", &[]), &world.ada(), world.cluster.admin()] {
        refused(world.patch(user, here, "sr-1", &decision(ALICE, "Deny")), &[kept]);
        refused(world.patch(user, here, "sr-1", &json!({"spec": {"decisions": null}})), &[kept]);
        refused(world.patch(user, here, "sr-1", &json!({"spec": {"decisions": {ALICE: null}}})), &[kept]);
    }
    let path = "/spec/decisions/alice@contoso.example";
    let moved = json!([{"op": "move", "from": path, "path": "/spec/decisions/eve@contoso.example"}]);
    refused(json_patch(world, &world.user("eve@contoso.example", &[]), here, &moved), &["decision"]);
    let copied = json!([{"op": "copy", "from": path, "path": "/spec/decisions/olga@contoso.example"}]);
    refused(json_patch(world, &world.user("eve@contoso.example", &[]), here, &copied), &["under your own user name"]);
    refused(json_patch(world, &alice, here, &json!([{"op": "remove", "path": path}])), &[kept]);
    refused(world.decide(&alice, here, "sr-1", "Deny"), &["spec.decision"]);
    let stored = world.request(here, "sr-1");
    assert_eq!(stored["spec"]["decisions"][ALICE]["verdict"], "Approve");
    assert_eq!(stored["status"]["phase"], "AccessGranted");
}

#[test]
fn an_approver_who_was_removed_since_does_not_count_and_the_history_says_so() {
    let world = &*steady();
    let here = "removed-since";
    world.subscription(here);
    world.assign(here, "eve", "User", "eve@contoso.example", "LockboxApprover");
    world.ask(here, "sr-1");
    // RBAC by another way: only the controller can know that the assignment is gone.
    bind(world, here, "eve-too", "eve@contoso.example");
    world.kubectl(&world.alice(), &["delete", "lra", "eve", "-n", here]).unwrap();
    eventually("the operator knows that the assignment is gone", || {
        let bindings = world
            .admin(&["get", "rolebinding", "-n", here, "-l", "lockbox.dev/people=approver", "-o", "yaml"])
            .unwrap();
        (!bindings.contains("eve@contoso.example")).then_some(())
    });
    world.decide(&world.user("eve@contoso.example", &[]), here, "sr-1", "Approve").unwrap();
    let request = eventually("the decision was looked at", || {
        let request = world.request(here, "sr-1");
        World::actions(&request).contains(&"RejectDecision").then_some(request)
    });
    assert_eq!(request["status"]["phase"], "CustomerNotified");
    let entry = &request["status"]["history"][1];
    assert_eq!(entry["actor"], "eve@contoso.example");
    assert!(entry["message"].as_str().unwrap().contains("is gone, or its activation has ended"), "{entry}");
    world.decide(&world.alice(), here, "sr-1", "Deny").unwrap();
    world.wait_for_phase(here, "sr-1", "Denied");
}

#[test]
fn nobody_withdraws_gives_back_or_revokes_for_another_or_at_the_wrong_time() {
    let world = &*steady();
    let here = "ends";
    world.subscription(here);
    world.ask(here, "sr-1");
    let (kim, alice) = (world.kim(), world.alice());
    let patch = |user: &User, field: &str, by: Option<&str>| {
        let ending = by.map_or_else(|| json!({"reason": "enough"}), |by| json!({"by": by, "reason": "enough"}));
        world.patch(user, here, "sr-1", &json!({"spec": {field: ending}}))
    };
    let joe = world.user("joe@provider.example", &["provider:engineers"]);
    bind(world, here, "joe", "joe@provider.example");
    let only = "only the requester may withdraw a request or return access";
    refused(patch(&alice, "cancellation", None), &[only, "an approver denies it (spec.decisions)"]);
    refused(patch(&joe, "cancellation", None), &[only]);
    refused(patch(world.cluster.admin(), "cancellation", None), &[only]);
    refused(
        patch(&joe, "cancellation", Some(KIM)),
        &["spec.cancellation.by must be your own user name, joe@provider.example"],
    );
    refused(
        patch(&kim, "release", None),
        &["there is no access to return: the phase is CustomerNotified; withdraw the request"],
    );
    refused(
        patch(&alice, "revocation", None),
        &["there is no access to revoke: the phase is CustomerNotified; deny the request"],
    );
    world.decide(&alice, here, "sr-1", "Approve").unwrap();
    world.wait_for_phase(here, "sr-1", "AccessGranted");
    refused(patch(&joe, "release", Some(KIM)), &["spec.release.by must be your own user name, joe@provider.example"]);
    refused(patch(&joe, "release", None), &[only]);
    refused(patch(&alice, "release", None), &[only, "revokes it (spec.revocation)"]);
    refused(
        patch(&kim, "cancellation", None),
        &["there is nothing to withdraw: the phase is AccessGranted; return access"],
    );
    refused(patch(&kim, "revocation", None), &["you asked for this access: return it with spec.release"]);
    refused(
        patch(world.cluster.admin(), "revocation", Some(ALICE)),
        &["spec.revocation.by must be your own user name"],
    );
    refused(world.decide(&alice, here, "sr-1", "Deny"), &["spec.decision"]);
    assert!(world.kim_reads(here, "shop-settings"), "none of this ended the access");
    patch(&alice, "revocation", None).unwrap();
    world.wait_for_phase(here, "sr-1", "Revoked");
    let kept = "is recorded and can be neither changed nor taken back";
    refused(world.patch(&alice, here, "sr-1", &json!({"spec": {"revocation": null}})), &["spec.revocation", kept]);
    refused(patch(&kim, "release", None), &["there is no access to return: the phase is Revoked"]);
}

#[test]
fn the_customer_does_not_approve_internally_nor_the_provider_for_the_customer() {
    let world = &*steady();
    let here = "two-sides";
    world.subscription(here);
    world
        .admin(&[
            "create",
            "rolebinding",
            "leads",
            "--clusterrole=lockbox-approver",
            "--group=provider:support-leads",
            "-n",
            here,
        ])
        .unwrap();
    let groups = &["provider:engineers", "provider:secure-workstations"];
    let extra: &[(&str, &[&str])] = &[("provider.example/amr", &["mfa"])];
    let kim = world.cluster.user_with_extra(KIM, groups, extra).unwrap();
    let lea = world.user("lea@provider.example", &["provider:support-leads"]);
    let shell = request("sr-1")
        .namespace(here)
        .set("/spec/accessLevel", "Shell")
        .set("/spec/resources", json!([{"resource": "pods", "name": "shop-0"}]));
    world.create_as(&kim, &shell.to_string()).unwrap();
    world.wait_for_phase(here, "sr-1", "AwaitingInternalApproval");
    let internally =
        |user: &User| world.patch(user, here, "sr-1", &json!({"spec": {"internalDecision": {"verdict": "Approve"}}}));
    refused(
        internally(&world.alice()),
        &["you are not an internal approver of this request: status.internalApprovals says who is"],
    );
    refused(
        internally(&world.user("lee@provider.example", &["provider:engineers"])),
        &["cannot get resource \"lockboxrequests\""],
    );
    bind(world, here, "lee", "lee@provider.example");
    refused(
        internally(&world.user("lee@provider.example", &["provider:engineers"])),
        &["you are not an internal approver"],
    );
    refused(
        internally(&world.user(KIM, &["provider:engineers", "provider:support-leads"])),
        &["you asked for this access"],
    );
    refused(
        world.decide(&world.alice(), here, "sr-1", "Approve"),
        &["not waiting for the customer: its phase is AwaitingInternalApproval"],
    );
    refused(world.decide(&lea, here, "sr-1", "Approve"), &["not waiting for the customer"]);
    let another = json!({"spec": {"internalDecisions": {"leo@provider.example": {"verdict": "Approve", "group": "provider:support-leads"}}}});
    refused(world.patch(&lea, here, "sr-1", &another), &["under your own user name, lea@provider.example"]);
    internally(&lea).unwrap();
    world.wait_for_phase(here, "sr-1", "CustomerNotified");
    refused(world.decide(&lea, here, "sr-1", "Approve"), &["you are one of the provider's people"]);
    refused(
        world.patch(&lea, here, "sr-1", &json!({"spec": {"internalDecisions": null}})),
        &["a recorded decision can be neither changed nor taken back"],
    );
    assert_eq!(
        World::actions(&world.request(here, "sr-1")),
        ["RequestInternalApproval", "ApproveInternally", "CreateLockboxRequest"]
    );
}
