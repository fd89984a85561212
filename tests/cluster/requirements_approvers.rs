//! Who decides for the customer, and what comes of it (M9 to M14, B3, B4, B8, B10), on a real API server.

use serde_json::{Value, json};

use crate::{
    WORLD,
    requirements::{
        self, approvers, ask, ask_under, assignment, create, excluded, list_and, may, seconds_between, text,
        wait_for_assignment, why,
    },
    support::{self, ADA, ALICE, Manifest, World, eventually, example, request},
};

const OLGA: &str = "olga@contoso.example";
const CAROL: &str = "carol@contoso.example";

fn decision(fields: &Value) -> Value {
    json!({"spec": {"decision": fields}})
}

/// Two ConfigMaps are asked for.
fn request_for_two(namespace: &str, name: &str) -> Manifest {
    let object = |name: &str| json!({"resource": "configmaps", "name": name});
    request(name).namespace(namespace).set("/spec/resources", json!([object("shop-settings"), object("other")]))
}

// M9

#[test]
fn designated_approvers_depend_on_the_scope_owners_of_the_subscription_or_global_administrators_of_the_tenant() {
    let world = &*WORLD;
    let administrators = |subscription: &Value| {
        let mut names = approvers(subscription);
        names.retain(|name| *name == ADA);
        names.len()
    };
    world.subscription("models");
    world.assign("models", "olga", "User", OLGA, "LockboxApprover");
    let kim = world.kim();
    let ask_as = |model: &str, name: &str| {
        let settings = json!({"approvals": {"model": model, "required": 1}});
        ask_under(world, &settings, &kim, &request(name).namespace("models"), "CustomerNotified")
    };

    // The newest edition, and the role Customer Lockbox Approver for Subscription.
    let by_scope = ask_as("ByScope", "by-scope");
    assert_eq!(approvers(&by_scope), [ALICE, OLGA]);
    assert_eq!(by_scope["status"]["approvers"][0]["role"], "Owner");
    let refused = world.decide(&world.ada(), "models", "by-scope", "Approve").unwrap_err();
    assert!(refused.contains("you are not a designated approver of this request"), "{refused}");
    world.decide(&world.user(OLGA, &[]), "models", "by-scope", "Approve").unwrap();
    world.wait_for_phase("models", "by-scope", "AccessGranted");

    // 2023: Owners and Global Administrators.
    let both = ask_as("OwnerOrGlobalAdministrator", "owner-or-ga");
    assert_eq!(administrators(&both), 1, "{:?}", approvers(&both));
    assert!(approvers(&both).contains(&ALICE));
    assert!(excluded(&both).contains(&(OLGA, "RoleDoesNotCount")), "{:?}", excluded(&both));
    world.decide(&world.ada(), "models", "owner-or-ga", "Approve").unwrap();
    world.wait_for_phase("models", "owner-or-ga", "AccessGranted");

    // 2019 to 2021: Owners.
    let owners = ask_as("OwnerOnly", "owner-only");
    assert_eq!(approvers(&owners), [ALICE]);
    world.decide(&world.ada(), "models", "owner-only", "Approve").unwrap_err();
    world.decide(&world.alice(), "models", "owner-only", "Approve").unwrap();
    world.wait_for_phase("models", "owner-only", "AccessGranted");
}

#[test]
fn a_request_for_the_tenant_is_decided_by_global_administrators_and_reaches_the_named_node_alone() {
    let world = &*WORLD;
    world.subscription("not-the-tenant");
    for name in ["node-a", "node-b"] {
        let node = json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": name}});
        world.apply_as(world.cluster.admin(), &node.to_string()).unwrap();
    }
    let gina = world.user("gina@contoso.example", &[]);
    let assigned = assignment("lockbox-tenant", "gina", "User", &gina.name, "GlobalAdministrator");
    world.apply_as(&world.ada(), &assigned.to_string()).unwrap();
    wait_for_assignment(world, "lockbox-tenant", "gina", "Recognized=true");
    let kim = world.kim();
    let reads = |node: &str| may(world, &kim, &["get", &format!("nodes/{node}")]);
    assert!(!reads("node-a"));

    let manifest = Manifest(serde_yaml_ng::from_str(&example("engineer/request-tenant.yaml")).unwrap());
    let manifest = manifest.set("/metadata/name", "inc-by-gina");
    let asked = ask(world, &kim, &manifest, "CustomerNotified");
    assert!(approvers(&asked).contains(&ADA) && approvers(&asked).contains(&"gina@contoso.example"));
    assert!(!approvers(&asked).contains(&ALICE));
    world.decide(&world.alice(), "lockbox-tenant", "inc-by-gina", "Approve").unwrap_err();
    eventually("Gina has her rights", || may(world, &gina, &["patch", "lbr", "-n", "lockbox-tenant"]).then_some(()));
    world.decide(&gina, "lockbox-tenant", "inc-by-gina", "Approve").unwrap();
    let granted = world.wait_for_phase("lockbox-tenant", "inc-by-gina", "AccessGranted");
    assert_eq!(seconds_between(&granted, "approvedAt", "accessUntil"), 2 * 3600);
    assert!(reads("node-a"));
    assert!(!reads("node-b"), "the neighbouring node stays out of reach");
    assert!(!may(world, &kim, &["list", "nodes"]));

    let done = json!({"spec": {"release": {"reason": "the node is not affected"}}});
    world.patch(&kim, "lockbox-tenant", "inc-by-gina", &done).unwrap();
    world.wait_for_phase("lockbox-tenant", "inc-by-gina", "Completed");
    assert!(!reads("node-a"));
    eventually("nothing of the grant is left in the cluster", || {
        let left = ["get", "clusterrole,clusterrolebinding", "-l", "lockbox.dev/request=inc-by-gina", "-o", "name"];
        world.admin(&left).unwrap().is_empty().then_some(())
    });
}

// M10

#[test]
fn role_assignments_must_be_in_place_before_processing_starts_and_later_ones_are_not_recognised() {
    let world = &*WORLD;
    world.subscription("in-place");
    world.assign("in-place", "engineers", "Group", "contoso:security", "LockboxApprover");
    let apply = |manifest: &Manifest| world.apply_as(&world.ada(), &manifest.to_string()).unwrap();
    apply(&assignment("in-place", "alice-again", "User", ALICE, "LockboxApprover"));
    apply(&assignment("in-place", "kim", "User", support::KIM, "LockboxApprover"));
    apply(&assignment("in-place", "provider", "Group", "provider:engineers", "LockboxApprover"));
    let above = assignment("in-place", "above", "User", "mara@contoso.example", "Owner");
    apply(&above.set("/spec/scope", "ManagementGroup"));
    for (name, user) in [("carol", CAROL), ("idle", "ida@contoso.example")] {
        apply(&assignment("in-place", name, "User", user, "LockboxApprover").set("/spec/type", "Eligible"));
    }
    for (name, state) in [("above", "Recognized=false"), ("provider", "Recognized=false"), ("carol", "Active=false")] {
        wait_for_assignment(world, "in-place", name, state);
    }
    let above = world.get("lra", "in-place", "above");
    assert_eq!(
        above["status"]["conditions"][0]["message"],
        "assignments scoped to a management group are not supported; assign the role in each namespace"
    );

    // Settings that cannot be used keep the request where processing has not started.
    let kim = world.kim();
    let asked = {
        let settings =
            world.with_settings(&json!({"previewServices": {"optIn": "Listed", "names": ["NoSuchService"]}}));
        create(world, &kim, &request("sr-1").namespace("in-place"));
        eventually("the request waits", || {
            (why(&world.request("in-place", "sr-1")).0 == "SettingsInvalid").then_some(())
        });
        // Times have whole seconds, and equal ones count: later means another second.
        let made = world.request("in-place", "sr-1")["metadata"]["creationTimestamp"].clone();
        eventually("the clock shows another second", || {
            (chrono::Utc::now().format("%Y-%m-%dT%H:%M:%SZ").to_string() != made).then_some(())
        });
        apply(&assignment("in-place", "late", "User", "lara@contoso.example", "Owner"));
        wait_for_assignment(world, "in-place", "late", "Recognized=true");
        let activation = json!({"spec": {"activation": {"justification": "on call", "duration": "1h"}}}).to_string();
        let carol = world.user(CAROL, &[]);
        eventually("Carol may activate", || {
            may(world, &carol, &["patch", "lra/carol", "-n", "in-place"]).then_some(())
        });
        world.kubectl(&carol, &["patch", "lra", "carol", "-n", "in-place", "--type=merge", "-p", &activation]).unwrap();
        wait_for_assignment(world, "in-place", "carol", "Active=true");
        settings.change(&json!({}));
        world.wait_for_phase("in-place", "sr-1", "CustomerNotified")
    };
    assert_eq!(approvers(&asked), [ALICE, "contoso:security"]);
    assert_eq!(
        excluded(&asked),
        [
            (ALICE, "Duplicate"),
            (CAROL, "ActivatedLater"),
            ("ida@contoso.example", "NotActive"),
            (support::KIM, "IsRequester"),
            ("lara@contoso.example", "AddedLater"),
            ("mara@contoso.example", "ManagementGroup"),
            ("provider:engineers", "Provider"),
        ]
    );
    let messages: Vec<_> =
        requirements::items(&asked["status"]["excludedApprovers"]).iter().map(|who| text(&who["message"])).collect();
    assert!(messages.iter().all(|message| message.len() > 20), "each says why in a sentence: {messages:?}");

    // The one who came later has the rights of an Owner, and still does not decide about this request.
    let lara = world.user("lara@contoso.example", &[]);
    eventually("Lara has her rights", || may(world, &lara, &["patch", "lbr", "-n", "in-place"]).then_some(()));
    let refused = world.decide(&lara, "in-place", "sr-1", "Approve").unwrap_err();
    assert!(
        refused.contains("you are not a designated approver of this request: status.approvers says who is"),
        "{refused}"
    );
    // For the next request, both count.
    let next = ask(world, &kim, &request("sr-2").namespace("in-place"), "CustomerNotified");
    assert_eq!(approvers(&next), [ALICE, CAROL, "contoso:security", "lara@contoso.example"]);
    // Nobody who asks decides.
    let own = world.decide(&kim, "in-place", "sr-2", "Approve").unwrap_err();
    assert!(own.contains("you asked for this access, so you cannot decide about it"), "{own}");
}

#[test]
fn an_eligible_assignment_counts_from_its_recorded_activation_to_its_end() {
    let world = &*WORLD;
    world.namespace("eligible");
    let carol = world.user(CAROL, &[]);
    let eligible = assignment("eligible", "carol", "User", CAROL, "LockboxApprover").set("/spec/type", "Eligible");
    world.apply_as(&world.ada(), &eligible.to_string()).unwrap();
    wait_for_assignment(world, "eligible", "carol", "Active=false");
    let kim = world.kim();
    let rejected = ask(world, &kim, &request("before").namespace("eligible"), "Rejected");
    assert_eq!(why(&rejected).0, "NoEligibleApprover");
    assert_eq!(excluded(&rejected), [(CAROL, "NotActive")]);

    let activate = |why: &str, duration: &str| {
        let activation = json!({"spec": {"activation": {"justification": why, "duration": duration}}}).to_string();
        let patch = ["patch", "lra", "carol", "-n", "eligible", "--type=merge", "-p", &activation];
        eventually("Carol may activate", || world.kubectl(&carol, &patch).ok());
        wait_for_assignment(world, "eligible", "carol", "Active=true");
    };
    // Nobody activates for somebody else, an Owner and a Global Administrator neither.
    let forged = json!({"spec": {"activation": {"justification": "for her", "duration": "1h"}}}).to_string();
    let refused = ["patch", "lra", "carol", "-n", "eligible", "--type=merge", "-p", &forged];
    let refused = world.kubectl(&world.ada(), &refused).unwrap_err();
    assert!(refused.contains("only carol@contoso.example may activate this assignment"), "{refused}");

    activate("on call", "20s");
    let recorded = world.get("lra", "eligible", "carol");
    assert_eq!(seconds_between(&recorded, "activatedAt", "activeUntil"), 20);
    let asked = ask(world, &kim, &request("during").namespace("eligible"), "CustomerNotified");
    assert_eq!(approvers(&asked), [CAROL]);
    assert_eq!(asked["status"]["approvers"][0]["activeUntil"], recorded["status"]["activeUntil"]);

    // Rights that last longer than the activation, from elsewhere: the decision comes too late all the same.
    let bind = ["create", "rolebinding", "carol", "-n", "eligible", "--clusterrole=lockbox-approver", "--user", CAROL];
    world.admin(&bind).unwrap();
    wait_for_assignment(world, "eligible", "carol", "Active=false");
    world.decide(&carol, "eligible", "during", "Approve").unwrap();
    let told = eventually("the late decision is answered", || {
        let request = world.request("eligible", "during");
        World::actions(&request).contains(&"RejectDecision").then_some(request)
    });
    assert_eq!(told["status"]["phase"], "CustomerNotified");
    assert_eq!(
        told["status"]["history"][1]["message"],
        format!(
            "Approve by {CAROL} does not count: RoleAssignment eligible/carol is gone, or its activation has ended"
        )
    );
    let after = ask(world, &kim, &request("after").namespace("eligible"), "Rejected");
    assert_eq!(excluded(&after), [(CAROL, "NotActive")]);
    // A new activation counts again.
    activate("on call again", "1h");
    ask(world, &kim, &request("again").namespace("eligible"), "CustomerNotified");
}

#[test]
fn a_member_of_an_assigned_group_decides_for_it_and_a_deleted_assignment_decides_no_more() {
    let world = &*WORLD;
    world.namespace("groups");
    world.assign("groups", "security", "Group", "contoso:security", "LockboxApprover");
    let kim = world.kim();
    let sam = world.user("sam@contoso.example", &["contoso:security"]);
    ask(world, &kim, &request("by-group").namespace("groups"), "CustomerNotified");
    let outsider = world.user("sam@contoso.example", &["contoso:sales"]);
    world.decide(&outsider, "groups", "by-group", "Approve").unwrap_err();
    world.decide(&sam, "groups", "by-group", "Approve").unwrap();
    let granted = world.wait_for_phase("groups", "by-group", "AccessGranted");
    assert_eq!(
        granted["status"]["history"][1]["message"],
        "sam@contoso.example approved as a member of contoso:security"
    );

    ask(world, &kim, &request("gone").namespace("groups"), "CustomerNotified");
    let bind = ["create", "rolebinding", "sam", "-n", "groups", "--clusterrole=lockbox-approver", "--user", &sam.name];
    world.admin(&bind).unwrap();
    world.kubectl(&world.ada(), &["delete", "lra", "security", "-n", "groups"]).unwrap();
    world.decide(&sam, "groups", "gone", "Approve").unwrap();
    let told = eventually("the decision is answered", || {
        let request = world.request("groups", "gone");
        World::actions(&request).contains(&"RejectDecision").then_some(request)
    });
    assert_eq!(told["status"]["phase"], "CustomerNotified", "an assignment must still exist when it decides");
}

#[test]
fn the_same_assignment_never_becomes_somebody_elses() {
    let world = &*WORLD;
    world.subscription("immutable");
    let patch = |patch: &Value| {
        let patch = patch.to_string();
        world.kubectl(&world.ada(), &["patch", "lra", "alice", "-n", "immutable", "--type=merge", "-p", &patch])
    };
    for (field, value) in [
        ("principal", json!({"name": "mallory@contoso.example"})),
        ("role", json!("LockboxApprover")),
        ("type", json!("Eligible")),
    ] {
        let refused = patch(&json!({"spec": {field: value}})).unwrap_err();
        assert!(refused.contains(&format!("spec.{field}")), "{refused}");
        assert!(refused.contains("is immutable: delete this assignment and create another"), "{refused}");
    }
    // An Owner assigns roles in her namespace, in no other, and for the tenant never.
    eventually("Alice has her rights", || {
        may(world, &world.alice(), &["create", "lra", "-n", "immutable"]).then_some(())
    });
    let olga = assignment("immutable", "olga", "User", OLGA, "LockboxApprover");
    world.apply_as(&world.alice(), &olga.to_string()).unwrap();
    let elsewhere = assignment("default", "olga", "User", OLGA, "LockboxApprover");
    world.apply_as(&world.alice(), &elsewhere.to_string()).unwrap_err();
    let tenant = assignment("lockbox-tenant", "alice", "User", ALICE, "GlobalAdministrator");
    world.apply_as(&world.alice(), &tenant.to_string()).unwrap_err();
    // The provider's people assign nothing, whoever gave them rights.
    let bind =
        ["create", "rolebinding", "kim", "-n", "immutable", "--clusterrole=lockbox-owner", "--user", support::KIM];
    world.admin(&bind).unwrap();
    let own = assignment("immutable", "friend", "User", "friend@provider.example", "Owner");
    let refused = world.apply_as(&world.kim(), &own.to_string()).unwrap_err();
    assert!(refused.contains("you are one of the provider's people, so you cannot assign roles"), "{refused}");
}

// M12

#[test]
fn a_request_stays_in_the_customers_queue_for_four_days_then_expires_by_itself_and_grants_nothing() {
    let world = &*WORLD;
    world.subscription("queue");
    let kim = world.kim();
    let waiting = ask(world, &kim, &request("by-default").namespace("queue"), "CustomerNotified");
    assert_eq!(seconds_between(&waiting, "notifiedAt", "pendingUntil"), 4 * 24 * 3600);
    assert_eq!(waiting["status"]["until"], waiting["status"]["pendingUntil"]);

    let short = json!({"pendingTimeout": "3s"});
    ask_under(world, &short, &kim, &request("short").namespace("queue"), "CustomerNotified");
    let expired = world.wait_for_phase("queue", "short", "Expired");
    assert_eq!(
        why(&expired),
        (
            "NotDecidedInTime",
            "The customer's approvers did not decide in time; no access was granted. Create a new request."
        )
    );
    assert_eq!(World::actions(&expired), ["CreateLockboxRequest", "ExpireLockboxRequest"]);
    assert!(seconds_between(&expired, "pendingUntil", "endedAt") >= 0, "never before its time");
    let late = world.decide(&world.alice(), "queue", "short", "Approve").unwrap_err();
    assert!(late.contains("the request is not waiting for the customer: its phase is Expired"), "{late}");
    assert!(!world.kim_reads("queue", "shop-settings"));
    assert_eq!(world.phase("queue", "by-default"), "CustomerNotified");
}

// M13

#[test]
fn an_approver_lists_the_pending_requests_reads_one_in_full_and_sees_the_ticket_as_its_author_wrote_it() {
    let world = &*WORLD;
    world.subscription("reads-here");
    world.namespace("reads-there");
    world.assign("reads-there", "olga", "User", OLGA, "Owner");
    let kim = world.kim();
    for namespace in ["reads-here", "reads-there"] {
        ask(world, &kim, &request("sr-1").namespace(namespace), "CustomerNotified");
    }
    let alice = world.alice();
    let pending = ["get", "lbr", "-n", "reads-here", "--field-selector=status.phase=CustomerNotified", "-o", "wide"];
    let list = world.kubectl(&alice, &pending).unwrap();
    for shown in
        ["sr-1", support::KIM, "AppService", "ReadObjects", "2611210040000123", "shop-settings", "CustomerNotified"]
    {
        assert!(list.contains(shown), "{shown} in {list}");
    }
    world.kubectl(&alice, &["get", "lbr", "-n", "reads-there"]).unwrap_err();
    world.kubectl(&alice, &["get", "lbr", "-A"]).unwrap_err();

    let full = world.kubectl(&alice, &["get", "lbr", "sr-1", "-n", "reads-here", "-o", "json"]).unwrap();
    let full: Value = serde_json::from_str(&full).unwrap();
    let written: Value = serde_yaml_ng::from_str(&example("engineer/request-subscription.yaml")).unwrap();
    assert_eq!(full["spec"]["supportRequest"], written["spec"]["supportRequest"], "word for word, history included");
    assert_eq!(full["spec"]["justification"], written["spec"]["justification"]);
    assert_eq!(
        full["status"]["effect"]["rules"],
        json!(["read the values in (get, list configmaps): configmaps shop-settings"])
    );
    let described = world.kubectl(&alice, &["describe", "lbr", "sr-1", "-n", "reads-here"]).unwrap();
    assert!(described.contains("the upstream in the shop's settings looks wrong"), "{described}");

    // Global Administrators and auditors read all of them; whoever has no role reads none.
    let bind =
        ["create", "clusterrolebinding", "audrey", "--clusterrole=lockbox-auditor", "--user=audrey@contoso.example"];
    world.admin(&bind).unwrap();
    let audrey = world.user("audrey@contoso.example", &[]);
    for user in [&world.ada(), &audrey] {
        let all = world.kubectl(user, &["get", "lbr", "-A"]).unwrap();
        assert!(all.contains("reads-here") && all.contains("reads-there"), "{all}");
        world.kubectl(user, &["get", "events", "-n", "reads-here"]).unwrap();
        world.kubectl(user, &["get", "lra", "-A"]).unwrap();
    }
    world.decide(&audrey, "reads-here", "sr-1", "Approve").unwrap_err();
    let nobody = world.user("nora@contoso.example", &[]);
    world.kubectl(&nobody, &["get", "lbr", "-n", "reads-here"]).unwrap_err();
}

// M14

#[test]
fn approve_grants_access_to_that_engineer_for_eight_hours_by_default_until_it_ends_by_itself_and_deny_ends_the_request()
{
    let world = &*WORLD;
    world.subscription("decided");
    let kim = world.kim();
    let unsaid = request("by-default").namespace("decided").without("/spec/duration");
    ask(world, &kim, &unsaid, "CustomerNotified");
    world.decide(&world.alice(), "decided", "by-default", "Approve").unwrap();
    let granted = world.wait_for_phase("decided", "by-default", "AccessGranted");
    assert_eq!(seconds_between(&granted, "approvedAt", "accessUntil"), 8 * 3600);
    assert!(world.kim_reads("decided", "shop-settings"));
    let colleague = world.user("lee@provider.example", &["provider:engineers", "provider:secure-workstations"]);
    let read = ["get", "configmap", "shop-settings", "-n", "decided"];
    world.kubectl(&colleague, &read).expect_err("access is that engineer's, not the team's");
    let done = json!({"spec": {"release": {"reason": "done"}}});
    world.patch(&kim, "decided", "by-default", &done).unwrap();
    world.wait_for_phase("decided", "by-default", "Completed");

    let short = request("short").namespace("decided").set("/spec/duration", "8s");
    ask(world, &kim, &short, "CustomerNotified");
    world.decide(&world.alice(), "decided", "short", "Approve").unwrap();
    let ended = eventually("the access ends by itself", || {
        let request = world.request("decided", "short");
        (request["status"]["phase"] == "Completed").then_some(request)
    });
    assert_eq!(why(&ended).0, "TimeIsUp");
    assert!(!world.kim_reads("decided", "shop-settings"));

    ask(world, &kim, &request("denied").namespace("decided"), "CustomerNotified");
    world.decide(&world.alice(), "decided", "denied", "Deny").unwrap();
    let denied = world.wait_for_phase("decided", "denied", "Denied");
    assert_eq!(
        why(&denied),
        ("DeniedByCustomer", "alice@contoso.example denied the request (agreed); no access was granted.")
    );
    let closed = world.wait_until_closed("decided", "denied");
    assert_eq!(World::actions(&closed), ["CreateLockboxRequest", "DenyLockboxRequest"]);
    assert!(!world.kim_reads("decided", "shop-settings"));
}

// B8

#[test]
fn a_quorum_of_two_needs_two_people_and_the_first_deny_ends_it() {
    let world = &*WORLD;
    world.subscription("quorum");
    world.assign("quorum", "owners", "Group", "contoso:owners", "LockboxApprover");
    world.assign("quorum", "olga", "User", OLGA, "LockboxApprover");
    let kim = world.kim();
    let two = json!({"approvals": {"required": 2}});
    for name in ["approved", "denied"] {
        let asked = ask_under(world, &two, &kim, &request(name).namespace("quorum"), "CustomerNotified");
        assert_eq!(asked["status"]["requiredApprovals"], 2);
        world.decide(&world.alice(), "quorum", name, "Approve").unwrap();
        let waits = eventually("the first approval is counted", || {
            let request = world.request("quorum", name);
            (why(&request).0 == "WaitingForQuorum").then_some(request)
        });
        assert_eq!(waits["status"]["phase"], "CustomerNotified");
    }
    // Alice is an approver in her own name and by her group: she counts once, and cannot decide again.
    let again = decision(&json!({"verdict": "Approve", "group": "contoso:owners"}));
    world.patch(&world.alice(), "quorum", "approved", &again).unwrap_err();
    // Nor in another spelling of her name: the operator would count both as one person.
    let shouting = world.user("ALICE@contoso.example", &["contoso:owners"]);
    let refused = world.decide(&shouting, "quorum", "approved", "Approve").unwrap_err();
    assert!(refused.contains("alice@contoso.example has approved already"), "{refused}");
    assert_eq!(world.phase("quorum", "approved"), "CustomerNotified");
    let olga = world.user(OLGA, &[]);
    world.decide(&olga, "quorum", "approved", "Approve").unwrap();
    let granted = world.wait_for_phase("quorum", "approved", "AccessGranted");
    assert_eq!(
        World::actions(&granted),
        ["CreateLockboxRequest", "ApproveLockboxRequest", "ApproveLockboxRequest", "GrantAccess"]
    );
    world.decide(&olga, "quorum", "denied", "Deny").unwrap();
    let denied = world.wait_for_phase("quorum", "denied", "Denied");
    assert_eq!(World::actions(&denied).last(), Some(&"DenyLockboxRequest"));

    // Fewer approvers than the quorum: nobody waits four days for what cannot come.
    world.subscription("too-few");
    let rejected = ask_under(world, &two, &kim, &request("sr-1").namespace("too-few"), "Rejected");
    assert_eq!(why(&rejected).0, "NotEnoughApprovers");
    assert!(why(&rejected).1.starts_with("spec.approvals.required of the LockboxSettings is 2, and only 1 approvers"));
}

// B10

#[test]
fn an_approver_cuts_down_time_and_resources_and_never_adds_any() {
    let world = &*WORLD;
    world.subscription("cut");
    let kim = world.kim();
    let alice = world.alice();
    ask(world, &kim, &request_for_two("cut", "sr-1"), "CustomerNotified");
    let say = |fields: Value| world.patch(&alice, "cut", "sr-1", &decision(&fields));
    let longer = say(json!({"verdict": "Approve", "duration": "9h"})).unwrap_err();
    assert!(longer.contains("a decision can shorten the requested time (spec.duration), not lengthen it"), "{longer}");
    let other = json!([{"resource": "configmaps", "name": "another"}]);
    let more = say(json!({"verdict": "Approve", "resources": other})).unwrap_err();
    assert!(more.contains("a decision can leave out requested resources (spec.resources), not add any"), "{more}");
    say(json!({"verdict": "Approve", "resources": []})).unwrap_err();
    assert_eq!(world.phase("cut", "sr-1"), "CustomerNotified", "refused decisions change nothing");

    let one = json!([{"resource": "configmaps", "name": "other"}]);
    say(json!({"verdict": "Approve", "duration": "20m", "resources": one})).unwrap();
    let granted = world.wait_for_phase("cut", "sr-1", "AccessGranted");
    assert_eq!(seconds_between(&granted, "approvedAt", "accessUntil"), 20 * 60);
    assert_eq!(
        granted["status"]["history"][1]["message"],
        "alice@contoso.example approved, for 20m at most, only configmaps/other"
    );
    assert!(world.kim_reads("cut", "other"));
    assert!(!world.kim_reads("cut", "shop-settings"), "what was cut away is not granted");
}

#[test]
fn what_several_approvers_cut_down_is_cut_down_by_all_and_nothing_left_means_failed() {
    let world = &*WORLD;
    world.subscription("intersection");
    world.assign("intersection", "olga", "User", OLGA, "LockboxApprover");
    let kim = world.kim();
    let two = json!({"approvals": {"required": 2}});
    let object = |name: &str| json!({"resource": "configmaps", "name": name});
    let approve = |user: &str, name: &str, duration: &str, resources: &[&str]| {
        let resources: Vec<_> = resources.iter().map(|name| object(name)).collect();
        let fields = json!({"verdict": "Approve", "duration": duration, "resources": resources});
        world.patch(&world.user(user, &["contoso:owners"]), "intersection", name, &decision(&fields)).unwrap();
    };
    for name in ["some", "nothing"] {
        ask_under(world, &two, &kim, &request_for_two("intersection", name), "CustomerNotified");
    }
    approve(ALICE, "some", "3h", &["shop-settings", "other"]);
    approve(OLGA, "some", "2h", &["other"]);
    let granted = world.wait_for_phase("intersection", "some", "AccessGranted");
    assert_eq!(seconds_between(&granted, "approvedAt", "accessUntil"), 2 * 3600);
    assert_eq!(granted["status"]["grant"]["resources"][0]["name"], "other");
    assert!(world.kim_reads("intersection", "other"));
    assert!(!world.kim_reads("intersection", "shop-settings"));

    approve(ALICE, "nothing", "3h", &["shop-settings"]);
    approve(OLGA, "nothing", "3h", &["other"]);
    let failed = world.wait_for_phase("intersection", "nothing", "Failed");
    assert_eq!(
        why(&failed),
        (
            "NothingLeft",
            "Agree, then create a new request: the approvers cut this one down to different resources, so nothing is left that all of them approved."
        )
    );
    assert!(!world.kim_reads("intersection", "shop-settings"));
}

// B3

#[test]
fn an_approver_approves_the_content_that_was_shown_and_a_role_that_changed_since_is_not_granted() {
    let world = &*WORLD;
    world.subscription("content");
    let role = |verbs: Value| {
        json!({
            "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole",
            "metadata": {
                "name": "contoso-read-settings", "labels": {"lockbox.dev/access-level": "true"},
                "annotations": {"lockbox.dev/extra-rights": "update configmaps"},
            },
            "rules": [{"apiGroups": [""], "resources": ["configmaps"], "verbs": verbs}],
        })
        .to_string()
    };
    world.apply_as(world.cluster.admin(), &role(json!(["get"]))).unwrap();
    let level = json!({"name": "ReadSettings", "clusterRole": "contoso-read-settings"});
    let service = json!({
        "name": "Settings", "stage": "GeneralAvailability", "resources": [{"resource": "configmaps"}],
        "accessLevels": ["ReadSettings"],
    });
    let rule = json!({"name": "settings", "match": {"accessLevels": ["ReadSettings"]}, "effect": "Permit"});
    let kim = world.kim();
    let _settings = world.with_settings(&json!({
        "accessLevels": list_and("/spec/accessLevels", &[level]),
        "services": [service], "jit": {"rules": list_and("/spec/jit/rules", &[rule])},
    }));
    for name in ["same", "changed"] {
        let manifest = request(name).namespace("content");
        create(world, &kim, &manifest.set("/spec/service", "Settings").set("/spec/accessLevel", "ReadSettings"));
    }
    let shown = world.wait_for_phase("content", "same", "CustomerNotified")["status"]["effect"].clone();
    assert_eq!(shown["role"], "contoso-read-settings");
    assert_eq!(shown["form"], "Named");
    world.wait_for_phase("content", "changed", "CustomerNotified");
    let approve = |name: &str, hash: &str| {
        world.patch(&world.alice(), "content", name, &decision(&json!({"verdict": "Approve", "effectHash": hash})))
    };
    let another = approve("same", &format!("sha256:{}", "0".repeat(64))).unwrap_err();
    assert!(another.contains("it is not what effectHash names, and status.effect.hash is sha256:"), "{another}");
    approve("same", text(&shown["hash"])).unwrap();
    world.wait_for_phase("content", "same", "AccessGranted");

    world.apply_as(world.cluster.admin(), &role(json!(["get", "update"]))).unwrap();
    approve("changed", text(&shown["hash"])).unwrap();
    let failed = world.wait_for_phase("content", "changed", "Failed");
    let (reason, message) = why(&failed);
    assert_eq!(reason, "RoleChanged");
    assert!(
        message.contains("what access level ReadSettings can do changed after the approvers saw it: "),
        "{message}"
    );
    assert!(message.contains("update"), "the difference is named: {message}");
    // A grant that was made holds what was approved, not what the role has become.
    let update = ["auth", "can-i", "--quiet", "update", "configmaps/shop-settings", "-n", "content"];
    world.kubectl(&kim, &update).unwrap_err();
    assert!(may(world, &kim, &["get", "configmaps/shop-settings", "-n", "content"]));
}
