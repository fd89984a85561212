//! What the provider's side decides before the customer is asked (M5 to M8), on a real API server.

use lockbox_cluster::User;
use serde_json::{Value, json};

use crate::{
    WORLD,
    requirements::{self, ask, ask_under, create, list_and, may, seconds_between, text, why},
    support::{self, ALICE, Manifest, World, eventually, request},
};

const ENGINEERS: &str = "provider:engineers";
const WORKSTATIONS: &str = "provider:secure-workstations";
const LEADS: &str = "provider:support-leads";
const DEV: &str = "devops@provider.example";

fn rules(rules: &[Value]) -> Value {
    json!({"jit": {"rules": rules}})
}

/// A rule for everything that the example request asks for.
#[allow(clippy::needless_pass_by_value, reason = "reads better where it is called")]
fn permit(name: &str, matches: Value, require: Value) -> Value {
    json!({"name": name, "match": matches, "effect": "Permit", "require": require})
}

fn jit_rules(request: &Value) -> Vec<&str> {
    requirements::items(&request["status"]["jit"]["rules"]).iter().map(text).collect()
}

// M5

#[test]
fn an_engineer_asks_with_ticket_or_incident_reason_scope_resources_level_and_time_and_an_escalation_is_shown() {
    let world = &*WORLD;
    world.subscription("asks");
    let kim = world.kim();
    let asks = |manifest: Manifest, phase: &str| ask(world, &kim, &manifest.namespace("asks"), phase);

    let own = asks(request("own-ticket"), "CustomerNotified");
    assert!(!why(&own).1.contains("Note:"), "the assigned engineer asks: nothing to say");
    assert_eq!(
        own["status"]["effect"]["rules"],
        json!(["read the values in (get, list configmaps): configmaps shop-settings"])
    );

    let robin = request("robins-ticket").set("/spec/supportRequest/assignedTo", "robin@provider.example");
    let unexplained = asks(robin.clone().set("/metadata/name", "unexplained"), "CustomerNotified");
    let said = "Note: the ticket is assigned to robin@provider.example, but kim@provider.example made this request; no escalation is stated.";
    assert!(why(&unexplained).1.contains(said), "{}", why(&unexplained).1);
    let team = json!({"team": "Networking, third level", "reason": "needs somebody who knows the gateway"});
    let escalated = asks(robin.set("/spec/escalation", team), "CustomerNotified");
    let said = "Note: the ticket is assigned to robin@provider.example, but kim@provider.example made this request; escalated to Networking, third level.";
    assert!(why(&escalated).1.contains(said), "{}", why(&escalated).1);
    assert!(
        text(&escalated["status"]["history"][0]["message"]).contains(said),
        "everybody is told: Event and history too"
    );
    let wide = world.kubectl(&world.alice(), &["get", "lbr", "robins-ticket", "-n", "asks", "-o", "wide"]).unwrap();
    assert!(wide.contains("robin@provider.example"), "{wide}");

    let incident =
        json!({"id": "INC-1", "url": "https://support.example/incidents/1", "summary": "Gateways drop requests"});
    let found = request("incident")
        .without("/spec/supportRequest")
        .set("/spec/origin", "ProviderInitiated")
        .set("/spec/incident", incident);
    let found = asks(found, "CustomerNotified");
    assert_eq!(found["spec"]["origin"], "ProviderInitiated");

    for (name, field, value, reason, message) in [
        (
            "elsewhere",
            "/spec/supportRequest/url",
            json!("https://support.example.evil.example/1"),
            "UnknownHost",
            "spec.supportRequest.url: links point to hosts in spec.supportPortal.hosts of the LockboxSettings (support.example), not to support.example.evil.example.",
        ),
        (
            "level",
            "/spec/accessLevel",
            json!("RemoteDesktop"),
            "AccessLevelNotAllowed",
            "spec.accessLevel: RemoteDesktop does not go with service AppService; allowed there: ReadObjects, ReadLogs, Shell.",
        ),
        (
            "too-long",
            "/spec/duration",
            json!("25h"),
            "DurationTooLong",
            "spec.duration: 1d1h is longer than the maximum of access level ReadObjects, 1d; ask for 1d or less.",
        ),
    ] {
        let rejected = asks(request(name).set(field, value), "Rejected");
        assert_eq!(why(&rejected), (reason, message));
        assert_eq!(World::actions(&rejected), ["AutoDenyLockboxRequest"]);
    }
    let secret = json!([{"resource": "secrets", "name": "password"}]);
    let rejected = asks(request("kind").set("/spec/resources", secret), "Rejected");
    assert_eq!(why(&rejected).0, "ResourceNotAllowed");
    assert!(
        why(&rejected)
            .1
            .starts_with("spec.resources: secrets/password does not belong to service AppService, which has "),
        "{}",
        why(&rejected).1
    );
}

// M6

#[test]
fn the_jit_service_asks_for_an_isolated_identity_or_multi_factor_authentication_or_what_the_rule_says() {
    let world = &*WORLD;
    world.subscription("identity");
    let user = |name: &str, isolated: bool, multi_factor: bool| {
        let groups: &[&str] = if isolated { &[ENGINEERS, WORKSTATIONS] } else { &[ENGINEERS] };
        let extra: &[(&str, &[&str])] = if multi_factor { &[("provider.example/amr", &["pwd", "mfa"])] } else { &[] };
        let name = format!("{name}@provider.example");
        world.cluster.user_with_extra(&name, groups, extra).unwrap()
    };
    let people: [(&str, User); 4] = [
        ("neither", user("neither", false, false)),
        ("mfa", user("mfa", false, true)),
        ("isolated", user("isolated", true, false)),
        ("both", user("both", true, true)),
    ];
    let allowed = [
        ("Any", vec!["mfa", "isolated", "both"]),
        ("MultiFactor", vec!["mfa", "both"]),
        ("Isolated", vec!["isolated", "both"]),
        ("Both", vec!["both"]),
    ];
    let settings = world.with_settings(&json!({}));
    for (demanded, allowed) in allowed {
        settings.change(&rules(&[permit("named", json!({"resources": "Named"}), json!({"identity": demanded}))]));
        let named = |who: &str| format!("{}-{who}", demanded.to_lowercase());
        for (who, user) in &people {
            create(world, user, &request(&named(who)).namespace("identity"));
        }
        for (who, _) in &people {
            let phase = if allowed.contains(who) { "CustomerNotified" } else { "Rejected" };
            let request = world.wait_for_phase("identity", &named(who), phase);
            assert_eq!(request["status"]["jit"]["identity"], demanded);
            if phase == "Rejected" {
                assert_eq!(why(&request).0, "IdentityNotSufficient", "{demanded} {who}");
            }
        }
    }
    let refused = world.request("identity", "both-isolated");
    assert_eq!(
        why(&refused).1,
        "Just-in-time rule named requires an isolated identity and multi-factor authentication, and spec.requester proves only an isolated identity; sign in that way and create a new request."
    );
    assert_eq!(
        refused["status"]["history"][0]["facts"],
        json!(["multi-factor authentication: no", "isolated identity: yes"])
    );
    // The fact is the API server's, not the requester's: nobody claims a second factor that their sign-in lacks.
    let claimed = request("claims")
        .namespace("identity")
        .set("/spec/requester/username", "neither@provider.example")
        .set("/spec/requester/groups", json!([ENGINEERS]))
        .set("/spec/requester/extra", json!({"provider.example/amr": ["mfa"]}));
    let refused = world.create_as(&people[0].1, &claimed.to_string()).unwrap_err();
    assert!(refused.contains("spec.requester.extra claims an attribute that your sign-in does not have"), "{refused}");
}

#[test]
fn every_matching_rule_applies_a_deny_wins_requirements_add_up_and_no_match_means_deny() {
    let world = &*WORLD;
    world.subscription("adding");
    let kim = world.kim();
    let asks = |name: &str, list: &[Value], phase: &str| {
        ask_under(world, &rules(list), &kim, &request(name).namespace("adding"), phase)
    };
    let named = || permit("named", json!({"resources": "Named"}), json!({"identity": "Any"}));

    let deny = json!({"name": "not-app-service", "match": {"services": ["AppService"]}, "effect": "Deny"});
    let denied = asks("denied", &[named(), deny], "Rejected");
    assert_eq!(why(&denied).0, "DeniedByRule");
    assert_eq!(jit_rules(&denied), ["not-app-service"]);
    assert_eq!(
        why(&denied).1,
        "Just-in-time rule not-app-service denies requests of this kind; ask for something else, or ask a Global Administrator to change spec.jit.rules of the LockboxSettings."
    );

    let unmatched = asks("unmatched", &[permit("shell", json!({"accessLevels": ["Shell"]}), json!({}))], "Rejected");
    assert_eq!(why(&unmatched).0, "NoRuleMatches");
    let nothing = asks("no-rules", &[], "Rejected");
    assert_eq!(why(&nothing).0, "NoRuleMatches");

    let factor = permit("factor", json!({"scopes": ["Subscription"]}), json!({"identity": "MultiFactor"}));
    let leads = json!({"approvers": [{"kind": "Group", "name": LEADS}], "count": 1});
    let isolated = permit(
        "isolated",
        json!({"origins": ["SupportRequest"]}),
        json!({"identity": "Isolated", "internalApproval": leads}),
    );
    let both = [factor, isolated, named()];
    let half = asks("half", &both, "Rejected");
    assert_eq!(why(&half).0, "IdentityNotSufficient");
    let kim_with_factor = world
        .cluster
        .user_with_extra(support::KIM, &[ENGINEERS, WORKSTATIONS], &[("provider.example/amr", &["mfa"])])
        .unwrap();
    let whole = ask_under(
        world,
        &rules(&both),
        &kim_with_factor,
        &request("whole").namespace("adding"),
        "AwaitingInternalApproval",
    );
    assert_eq!(whole["status"]["jit"]["identity"], "Both");
    assert_eq!(jit_rules(&whole), ["factor", "isolated", "named"]);
    assert_eq!(whole["status"]["internalApprovals"][0]["rule"], "isolated");
}

#[test]
fn a_rule_looks_at_scope_resources_kinds_service_level_origin_groups_and_customer_data() {
    let world = &*WORLD;
    world.subscription("matching");
    let kim = world.kim();
    let fields = [
        ("scopes", json!(["Subscription"]), json!(["Tenant"])),
        ("resources", json!("Named"), json!("Whole")),
        ("kinds", json!([{"resource": "configmaps"}, {"resource": "pods"}]), json!([{"resource": "pods"}])),
        ("services", json!(["AppService", "Monitor"]), json!(["Monitor"])),
        ("accessLevels", json!(["ReadObjects"]), json!(["Shell"])),
        ("origins", json!(["SupportRequest"]), json!(["ProviderInitiated"])),
        ("requesterGroups", json!([WORKSTATIONS, "provider:others"]), json!(["provider:others"])),
        ("customerData", json!(true), json!(false)),
    ];
    let mut list = vec![];
    for (field, fits, misses) in &fields {
        for (how, value) in [("fits", fits), ("misses", misses)] {
            list.push(permit(&format!("{}-{how}", field.to_lowercase()), json!({*field: value}), json!({})));
        }
    }
    let fits: Vec<_> = fields.iter().map(|(field, ..)| format!("{}-fits", field.to_lowercase())).collect();
    let settings = world.with_settings(&rules(&list));
    create(world, &kim, &request("named").namespace("matching"));
    let named = world.wait_for_phase("matching", "named", "CustomerNotified");
    assert_eq!(jit_rules(&named), fits);

    // A request for the whole scope fits no list of kinds, and every kind asked for must be in it.
    create(world, &kim, &request("whole").namespace("matching").without("/spec/resources"));
    let whole = world.wait_for_phase("matching", "whole", "CustomerNotified");
    assert_eq!(whole["status"]["effect"]["form"], "Whole");
    let rules_of_whole = jit_rules(&whole);
    assert!(rules_of_whole.contains(&"resources-misses") && !rules_of_whole.contains(&"resources-fits"));
    assert!(!rules_of_whole.contains(&"kinds-fits") && !rules_of_whole.contains(&"kinds-misses"));
    let mixed = json!([{"resource": "configmaps", "name": "shop-settings"}, {"resource": "services", "name": "shop"}]);
    settings.change(&json!({
        "services": [{
            "name": "Shop", "stage": "GeneralAvailability", "accessLevels": ["ReadObjects"],
            "resources": [{"resource": "configmaps"}, {"resource": "services"}],
        }],
        "jit": {"rules": list},
    }));
    create(
        world,
        &kim,
        &request("mixed").namespace("matching").set("/spec/service", "Shop").set("/spec/resources", mixed),
    );
    let mixed = world.wait_for_phase("matching", "mixed", "CustomerNotified");
    assert!(!jit_rules(&mixed).contains(&"kinds-fits"), "{:?}", jit_rules(&mixed));
    assert!(jit_rules(&mixed).contains(&"resources-fits"));
}

#[test]
fn a_requester_who_is_not_the_providers_is_refused() {
    let world = &*WORLD;
    world.subscription("strangers");
    let mallory = world.user("mallory@elsewhere.example", &[WORKSTATIONS]);
    world.create_as(&mallory, &request("without-rights").namespace("strangers").to_string()).unwrap_err();
    let bind = [
        "create",
        "rolebinding",
        "mallory",
        "-n",
        "strangers",
        "--clusterrole=lockbox-requester",
        "--user",
        &mallory.name,
    ];
    world.admin(&bind).unwrap();
    let rejected = ask(world, &mallory, &request("with-rights").namespace("strangers"), "Rejected");
    assert_eq!(
        why(&rejected),
        (
            "NotTheProvider",
            "spec.requester: mallory@elsewhere.example is not one of the provider's engineers (spec.provider.engineers of the LockboxSettings), and only they ask for access."
        )
    );
}

// M7

#[test]
fn by_the_rule_a_request_first_needs_the_approval_of_internal_approvers_of_the_provider() {
    let world = &*WORLD;
    world.subscription("internal");
    let kim = world.kim();
    let approvers = json!([{"kind": "Group", "name": LEADS}, {"kind": "User", "name": DEV}]);
    let two = permit("two-of-them", json!({}), json!({"internalApproval": {"approvers": approvers, "count": 2}}));
    let settings = world.with_settings(&rules(std::slice::from_ref(&two)));
    for name in ["approved", "denied", "withdrawn"] {
        create(world, &kim, &request(name).namespace("internal"));
    }
    let waits = world.wait_for_phase("internal", "approved", "AwaitingInternalApproval");
    assert_eq!(
        waits["status"]["internalApprovals"][0],
        json!({"rule": "two-of-them", "approvers": approvers, "count": 2})
    );
    assert!(waits["status"]["notifiedAt"].is_null(), "the customer was not asked yet");
    assert_eq!(waits["status"]["until"], waits["status"]["internalUntil"]);

    let lead = world.user("lead@provider.example", &[LEADS]);
    let dev = world.user(DEV, &["provider:devops"]);
    let say = |user: &User, name: &str, verdict: &str| {
        let patch = json!({"spec": {"internalDecision": {"verdict": verdict, "reason": "looked at it"}}});
        world.patch(user, "internal", name, &patch)
    };
    for (user, name) in [(&lead, "approved"), (&dev, "approved"), (&lead, "denied")] {
        world.sees(user, "internal", name);
    }
    let early = world.decide(&world.alice(), "internal", "approved", "Approve").unwrap_err();
    assert!(
        early.contains("the request is not waiting for the customer: its phase is AwaitingInternalApproval"),
        "{early}"
    );
    let colleague = world.user("lee@provider.example", &[ENGINEERS, WORKSTATIONS]);
    let unseen = say(&colleague, "approved", "Approve").unwrap_err();
    assert!(unseen.contains("cannot get resource \"lockboxrequests\""), "{unseen}");
    // By RBAC that somebody else gave.
    let bound = ["create", "rolebinding", "lee", "--clusterrole=lockbox-approver", "--user=lee@provider.example"];
    world.admin(&[&bound[..], &["-n", "internal"]].concat()).unwrap();
    eventually("Lee may patch", || may(world, &colleague, &["patch", "lbr", "-n", "internal"]).then_some(()));
    let refused = say(&colleague, "approved", "Approve").unwrap_err();
    assert!(
        refused.contains("you are not an internal approver of this request: status.internalApprovals says who is"),
        "{refused}"
    );
    let own = say(&kim, "approved", "Approve").unwrap_err();
    assert!(own.contains("you asked for this access, so you cannot decide about it"), "{own}");

    say(&lead, "approved", "Approve").unwrap();
    eventually("the first of two is counted", || {
        let request = world.request("internal", "approved");
        World::actions(&request).contains(&"ApproveInternally").then_some(())
    });
    assert_eq!(world.phase("internal", "approved"), "AwaitingInternalApproval");
    say(&dev, "approved", "Approve").unwrap();
    let asked = world.wait_for_phase("internal", "approved", "CustomerNotified");
    assert_eq!(
        World::actions(&asked),
        ["RequestInternalApproval", "ApproveInternally", "ApproveInternally", "CreateLockboxRequest"]
    );
    assert_eq!(
        seconds_between(&asked, "notifiedAt", "pendingUntil"),
        4 * 24 * 3600,
        "the customer's clock starts here"
    );
    // Who approves for the provider does not decide for the customer.
    let for_customer = world.decide(&lead, "internal", "approved", "Approve").unwrap_err();
    assert!(
        for_customer.contains("you are one of the provider's people, so you cannot decide for the customer"),
        "{for_customer}"
    );
    world.decide(&world.alice(), "internal", "approved", "Approve").unwrap();
    world.wait_for_phase("internal", "approved", "AccessGranted");

    say(&lead, "denied", "Deny").unwrap();
    let denied = world.wait_for_phase("internal", "denied", "Rejected");
    assert_eq!(
        why(&denied),
        (
            "DeniedInternally",
            "lead@provider.example denied the request for the provider (looked at it); the customer was not asked."
        )
    );
    assert_eq!(World::actions(&denied), ["RequestInternalApproval", "DenyInternally"]);

    let withdraw = json!({"spec": {"cancellation": {"reason": "solved without"}}});
    world.patch(&kim, "internal", "withdrawn", &withdraw).unwrap();
    let withdrawn = world.wait_for_phase("internal", "withdrawn", "Cancelled");
    assert_eq!(World::actions(&withdrawn), ["RequestInternalApproval", "CancelBeforeNotification"]);

    // A clock of its own, before the customer's.
    settings.change(&json!({"jit": {"rules": [two]}, "internalTimeout": "3s"}));
    create(world, &kim, &request("expired").namespace("internal"));
    let expired = eventually("the internal clock runs out", || {
        let request = world.request("internal", "expired");
        (request["status"]["phase"] == "Expired").then_some(request)
    });
    assert_eq!(
        why(&expired),
        (
            "NoInternalApproval",
            "The provider's own approvers did not decide in time; the customer was not asked. Create a new request."
        )
    );
    assert_eq!(World::actions(&expired), ["RequestInternalApproval", "ExpireInternalApproval"]);
    let late = say(&lead, "expired", "Approve").unwrap_err();
    assert!(late.contains("the request is not waiting for an internal approval: its phase is Expired"), "{late}");
}

// M8

#[test]
fn a_request_for_customer_data_waits_for_the_customer_and_one_without_is_decided_by_the_rules_alone() {
    let world = &*WORLD;
    world.subscription("data");
    let role = json!({
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole",
        "metadata": {"name": "contoso-list-pods", "labels": {"lockbox.dev/access-level": "true"}},
        "rules": [{"apiGroups": [""], "resources": ["pods"], "verbs": ["get", "list"]}],
    });
    world.apply_as(world.cluster.admin(), &role.to_string()).unwrap();
    let kim = world.kim();
    let level = |role: &str| json!({"name": "Describe", "clusterRole": role, "customerData": false, "maximum": "2h"});
    let service = json!({
        "name": "Workloads", "stage": "GeneralAvailability", "resources": [{"resource": "pods"}, {"resource": "configmaps"}],
        "accessLevels": ["Describe", "ReadObjects"],
    });
    let describe = permit("describe", json!({"accessLevels": ["Describe"], "customerData": false}), json!({}));
    let with = |role: &str, rule: Value| {
        json!({
            "accessLevels": list_and("/spec/accessLevels", &[level(role)]),
            "services": [service], "jit": {"rules": list_and("/spec/jit/rules", &[rule])},
        })
    };
    let whole = |name: &str| {
        request(name)
            .namespace("data")
            .set("/spec/service", "Workloads")
            .set("/spec/accessLevel", "Describe")
            .set("/spec/duration", "1h")
            .without("/spec/resources")
    };
    let settings = world.with_settings(&with("contoso-list-pods", describe.clone()));
    create(world, &kim, &whole("no-data"));
    let granted = world.wait_for_phase("data", "no-data", "AccessGranted");
    assert_eq!(World::actions(&granted), ["AutoApproveLockboxRequest", "GrantAccess"]);
    let status = &granted["status"];
    assert!(status["requiredApprovals"].is_null() && status["notifiedAt"].is_null(), "nobody was asked");
    assert_eq!(status["approvers"][0]["name"], ALICE, "who may end it is known all the same");
    assert!(may(world, &kim, &["list", "pods", "-n", "data"]));
    assert!(!may(world, &kim, &["get", "configmaps", "-n", "data"]));

    let with_data = request("data").namespace("data");
    create(world, &kim, &with_data);
    let waits = world.wait_for_phase("data", "data", "CustomerNotified");
    let condition = ["wait", "--for=condition=CustomerNotified", "lbr/data", "-n", "data", "--timeout=5s"];
    world.kubectl(&kim, &condition).unwrap();
    assert!(waits["status"]["grant"].is_null());
    assert!(!world.kim_reads("data", "shop-settings"), "nothing is granted while the customer is asked");

    let deny = json!({"name": "no-describe", "match": {"accessLevels": ["Describe"]}, "effect": "Deny"});
    settings.change(&with("contoso-list-pods", deny));
    create(world, &kim, &whole("denied"));
    let denied = world.wait_for_phase("data", "denied", "Rejected");
    assert_eq!(World::actions(&denied), ["AutoDenyLockboxRequest"]);

    // Saying that a level needs no customer data does not make it so.
    settings.change(&with("lockbox-read-objects", describe));
    let ready = requirements::items(&world.wait_for_settings()["status"]["conditions"])[0].clone();
    assert_eq!(ready["status"], "False");
    let field = "spec.accessLevels[Describe].customerData: says false, but ClusterRole lockbox-read-objects reaches customer data (";
    assert!(text(&ready["message"]).starts_with(field), "{}", ready["message"]);
    create(world, &kim, &whole("says-no-data"));
    let rejected = world.wait_for_phase("data", "says-no-data", "Rejected");
    assert_eq!(why(&rejected).0, "AccessLevelUnusable");
    assert!(why(&rejected).1.contains(field), "{}", why(&rejected).1);
}
