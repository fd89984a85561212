//! What a ledger makes of audit events: attribution, sessions, refusals, what was left, coverage, and hostile input.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use lockbox_activity::{Belongs, Format, Ledger, MOST_ACCOUNTS, Record, read, report};
use lockbox_api::{
    Activity, LockboxRequest,
    activity::{Change, Coverage, MOST_CLIENTS, MOST_OBJECTS, MOST_RESIDUE, SessionKind},
};
use serde_json::{Value, json};

const KIM: &str = "kim@provider.example";

/// A request of this person with this UID in a namespace, approved at 10:00:00; ended then, if given.
fn request(uid: &str, namespace: &str, who: &str, ended: Option<&str>) -> LockboxRequest {
    serde_json::from_value(json!({
        "apiVersion": "lockbox.dev/v1alpha1", "kind": "LockboxRequest",
        "metadata": {"name": format!("sr-{uid}"), "namespace": namespace, "uid": uid},
        "spec": {
            "requester": {"username": who}, "origin": "SupportRequest", "justification": "because",
            "scope": if namespace == "tenant" { "Tenant" } else { "Subscription" }, "service": "AppService", "accessLevel": "Shell",
        },
        "status": {"phase": "AccessGranted", "approvedAt": "2026-11-29T10:00:00Z", "endedAt": ended},
    }))
    .unwrap()
}

fn reason(uid: &str, namespace: &str) -> String {
    format!(
        "RBAC: allowed by RoleBinding \"lockbox-grant-{uid}/{namespace}\" of Role \"lockbox-grant-{uid}\" to User \"{KIM}\""
    )
}

/// An event of Kim's at a time of that day: `get configmaps/c` in `shop`, by the access `u1`.
fn event(time: &str, change: impl FnOnce(&mut Value)) -> Value {
    let at = format!("2026-11-29T{time}Z");
    let mut event = json!({
        "kind": "Event", "apiVersion": "audit.k8s.io/v1", "level": "Metadata", "auditID": format!("id-{time}"),
        "stage": "ResponseComplete", "requestURI": "/api/v1/namespaces/shop/configmaps/c", "verb": "get",
        "user": {"username": KIM, "groups": ["provider:engineers"]}, "sourceIPs": ["192.0.2.7"], "userAgent": "kubectl/v1.37",
        "objectRef": {"resource": "configmaps", "namespace": "shop", "name": "c", "apiVersion": "v1"},
        "responseStatus": {"metadata": {}, "code": 200},
        "requestReceivedTimestamp": at, "stageTimestamp": at,
        "annotations": {"authorization.k8s.io/decision": "allow", "authorization.k8s.io/reason": reason("u1", "shop")},
    });
    change(&mut event);
    event
}

fn own_rights(event: &mut Value) {
    event["annotations"]["authorization.k8s.io/reason"] = json!(
        "RBAC: allowed by ClusterRoleBinding \"viewers\" of ClusterRole \"view\" to Group \"provider:engineers\""
    );
}

fn refused(event: &mut Value) {
    event["annotations"] = json!({"authorization.k8s.io/decision": "forbid", "authorization.k8s.io/reason": ""});
    event["responseStatus"]["code"] = json!(403);
}

fn on(event: &mut Value, verb: &str, resource: &str, name: &str, code: u16) {
    event["verb"] = json!(verb);
    event["objectRef"]["resource"] = json!(resource);
    event["objectRef"]["name"] = json!(name);
    event["responseStatus"]["code"] = json!(code);
}

/// A ledger that follows these requests.
fn following(requests: &[LockboxRequest]) -> Ledger {
    let mut ledger = Ledger::default();
    for request in requests {
        assert!(ledger.follow(request));
    }
    ledger
}

fn take(ledger: &mut Ledger, events: &[Value]) -> Vec<Record> {
    let calls = events.iter().flat_map(|event| read(&event.to_string(), Format::Auto).unwrap());
    calls.collect::<Vec<_>>().iter().flat_map(|call| ledger.take(call)).collect()
}

/// What is known of `u1` after these events.
fn after(events: &[Value]) -> Activity {
    let mut ledger = following(&[request("u1", "shop", KIM, None)]);
    take(&mut ledger, events);
    ledger.activity("u1").unwrap()
}

#[test]
fn a_call_belongs_to_the_access_whose_binding_allowed_it() {
    let activity = after(&[event("10:01:00", |_| {}), event("10:02:00", |_| {}), event("10:03:00", own_rights)]);
    assert_eq!((activity.calls, activity.by_other_rights.calls, activity.refused.calls), (2, 1, 0));
    let [operation] = activity.operations.as_slice() else { panic!("{activity:?}") };
    assert_eq!((operation.verb.as_str(), operation.resource.as_str(), operation.count), ("get", "configmaps", 2));
    assert_eq!(lockbox_api::time::text(operation.first.unwrap()), "2026-11-29T10:01:00Z");
    assert_eq!(lockbox_api::time::text(operation.last.unwrap()), "2026-11-29T10:02:00Z");
    assert_eq!(activity.by_other_rights.rights.len(), 1);
    assert!(activity.by_other_rights.rights[0].contains("viewers"));
    assert_eq!(activity.objects[0].name, "c");
    assert_eq!(
        (activity.user_agents, activity.addresses),
        (vec!["kubectl/v1.37".to_owned()], vec!["192.0.2.7".to_owned()])
    );
}

#[test]
fn two_accesses_of_one_person_are_told_apart() {
    let mut ledger = following(&[request("u1", "shop", KIM, None), request("u2", "bank", KIM, None)]);
    let in_the_bank = |event: &mut Value| {
        event["objectRef"]["namespace"] = json!("bank");
        event["annotations"]["authorization.k8s.io/reason"] = json!(reason("u2", "bank"));
    };
    take(&mut ledger, &[event("10:01:00", |_| {}), event("10:02:00", in_the_bank)]);
    let (one, two) = (ledger.activity("u1").unwrap(), ledger.activity("u2").unwrap());
    assert_eq!((one.calls, one.by_other_rights.calls, one.by_other_rights.elsewhere), (1, 0, 1));
    assert_eq!((two.calls, two.by_other_rights.calls, two.by_other_rights.elsewhere), (1, 0, 1));
    assert!(one.objects.iter().all(|object| object.namespace == "shop"), "no customer sees another's objects");
}

#[test]
fn two_people_at_once_are_told_apart() {
    const LENA: &str = "lena@provider.example";
    let mut ledger = following(&[request("u1", "shop", KIM, None), request("u2", "shop", LENA, None)]);
    let hers = |event: &mut Value| {
        event["user"]["username"] = json!(LENA);
        event["annotations"]["authorization.k8s.io/reason"] = json!(reason("u2", "shop"));
    };
    take(&mut ledger, &[event("10:01:00", |_| {}), event("10:02:00", hers), event("10:03:00", hers)]);
    let (one, two) = (ledger.activity("u1").unwrap(), ledger.activity("u2").unwrap());
    assert_eq!((one.calls, one.by_other_rights.calls), (1, 0));
    assert_eq!((two.calls, two.by_other_rights.calls), (2, 0));
}

#[test]
fn a_name_that_differs_in_case_alone_is_the_same_person() {
    let activity = after(&[event("10:01:00", |event| {
        own_rights(event);
        event["user"]["username"] = json!("KIM@Provider.example");
    })]);
    assert_eq!(activity.by_other_rights.calls, 1);
}

#[test]
fn what_others_do_in_the_same_time_belongs_to_nobody() {
    let activity = after(&[event("10:01:00", |event| {
        own_rights(event);
        event["user"]["username"] = json!("alice@contoso.example");
    })]);
    assert_eq!((activity.calls, activity.by_other_rights.calls), (0, 0));
}

#[test]
fn the_person_acted_for_counts_and_who_acted_is_shown() {
    let admin = |event: &mut Value| {
        event["user"]["username"] = json!("admin");
        event["impersonatedUser"] = json!({"username": KIM});
    };
    let as_bob = |event: &mut Value| {
        own_rights(event);
        event["impersonatedUser"] = json!({"username": "bob@contoso.example"});
    };
    let activity = after(&[event("10:01:00", admin), event("10:02:00", as_bob)]);
    assert_eq!((activity.calls, activity.impersonated_by), (1, vec!["admin".to_owned()]));
    assert_eq!(activity.by_other_rights.as_somebody_else, 1);
    assert_eq!(activity.by_other_rights.impersonated, ["bob@contoso.example"]);
}

#[test]
fn refused_attempts_are_listed_whoever_refused() {
    let secrets = |event: &mut Value| {
        refused(event);
        on(event, "list", "secrets", "", 403);
    };
    let by_admission = |event: &mut Value| on(event, "patch", "configmaps", "c", 403);
    let elsewhere = |event: &mut Value| {
        refused(event);
        event["objectRef"]["namespace"] = json!("kube-system");
    };
    let activity = after(&[
        event("10:01:00", secrets),
        event("10:02:00", secrets),
        event("10:03:00", by_admission),
        event("10:04:00", elsewhere),
    ]);
    assert_eq!((activity.calls, activity.refused.calls, activity.refused.elsewhere), (0, 3, 1));
    let attempts: Vec<_> = activity
        .refused
        .attempts
        .iter()
        .map(|one| (one.verb.as_str(), one.resource.as_str(), one.code, one.count))
        .collect();
    assert_eq!(attempts, [("list", "secrets", 403, 2), ("patch", "configmaps", 403, 1)]);
    assert!(activity.residue.is_empty(), "what was refused left nothing: {activity:?}");
}

#[test]
fn what_is_outside_the_time_of_the_access_does_not_concern_it() {
    let mut ledger = following(&[request("u1", "shop", KIM, Some("2026-11-29T11:00:00Z"))]);
    take(
        &mut ledger,
        &[event("09:59:59.999999", own_rights), event("11:00:01", own_rights), event("11:00:30", refused)],
    );
    let activity = ledger.activity("u1").unwrap();
    assert_eq!((activity.by_other_rights.calls, activity.refused.calls), (0, 0));
    // The recorded end has whole seconds: its second belongs to the access.
    take(&mut ledger, &[event("11:00:00.999999", own_rights)]);
    assert_eq!(ledger.activity("u1").unwrap().by_other_rights.calls, 1);
}

#[test]
fn a_use_after_the_recorded_end_is_shown_as_one() {
    let mut ledger = following(&[request("u1", "shop", KIM, None)]);
    take(&mut ledger, &[event("10:30:00", |_| {})]);
    ledger.follow(&request("u1", "shop", KIM, Some("2026-11-29T11:00:00Z")));
    take(&mut ledger, &[event("11:00:01", |_| {}), event("11:00:05", |_| {})]);
    let activity = ledger.activity("u1").unwrap();
    assert_eq!((activity.calls, activity.after_the_end), (3, 1), "two seconds are the clocks'");
}

#[test]
fn an_event_that_comes_twice_counts_once() {
    let mut ledger = following(&[request("u1", "shop", KIM, None)]);
    let one = event("10:01:00", |_| {});
    assert_eq!(take(&mut ledger, &[one.clone(), one]).len(), 1);
    assert_eq!((ledger.activity("u1").unwrap().calls, ledger.counters().repeated), (1, 1));
}

#[test]
fn an_engineer_who_chooses_one_id_for_all_calls_hides_none() {
    let same = |event: &mut Value| event["auditID"] = json!("mine");
    let activity = after(&[event("10:01:00", same), event("10:01:00.000001", same), event("10:02:00", same)]);
    assert_eq!(activity.calls, 3);
}

fn exec(event: &mut Value) {
    on(event, "get", "pods", "web", 101);
    event["objectRef"]["subresource"] = json!("exec");
    event["requestURI"] = json!(
        "/api/v1/namespaces/shop/pods/web/exec?command=sh&command=-c&command=cat+%2Fetc%2Fpasswd&container=app&tty=true"
    );
}

#[test]
fn a_session_has_a_container_a_command_and_a_duration() {
    let begun = |event: &mut Value| {
        exec(event);
        event["stage"] = json!("ResponseStarted");
    };
    let over = |event: &mut Value| {
        exec(event);
        event["stageTimestamp"] = json!("2026-11-29T10:05:10Z");
    };
    let mut ledger = following(&[request("u1", "shop", KIM, None)]);
    take(&mut ledger, &[event("10:01:00", begun)]);
    let session = ledger.activity("u1").unwrap().sessions.remove(0);
    assert_eq!((session.kind, session.end, session.began), (SessionKind::Exec, None, true), "it goes on");
    take(&mut ledger, &[event("10:01:00", over)]);
    let activity = ledger.activity("u1").unwrap();
    assert_eq!((activity.calls, activity.sessions.len()), (1, 1), "one call, told in two events");
    let session = &activity.sessions[0];
    assert_eq!(session.container.as_deref(), Some("app"));
    assert_eq!(session.command.as_deref(), Some("sh -c 'cat /etc/passwd'"));
    assert_eq!(session.lasted.as_deref(), Some("4m10s"));
    assert!(activity.residue.is_empty(), "a session stores nothing");
}

#[test]
fn a_session_that_did_not_begin_is_shown_as_an_attempt() {
    for code in [400, 404, 500] {
        let activity = after(&[event("10:01:00", |event| {
            exec(event);
            event["responseStatus"]["code"] = json!(code);
        })]);
        let session = &activity.sessions[0];
        assert_eq!((session.began, session.code, session.lasted.as_deref()), (false, code, None));
        assert_eq!(activity.failed, 1);
    }
}

#[test]
fn consoles_and_ports_are_sessions_too() {
    let kubevirt = |subresource: &str| {
        let subresource = subresource.to_owned();
        move |event: &mut Value| {
            on(event, "get", "virtualmachineinstances", "vm1", 101);
            event["objectRef"]["apiGroup"] = json!("subresources.kubevirt.io");
            event["objectRef"]["subresource"] = json!(subresource);
            event["requestURI"] = json!(format!(
                "/apis/subresources.kubevirt.io/v1/namespaces/shop/virtualmachineinstances/vm1/{subresource}{}",
                if subresource == "portforward" { "/22/tcp" } else { "" }
            ));
        }
    };
    let ports = |event: &mut Value| {
        on(event, "create", "pods", "web", 101);
        event["objectRef"]["subresource"] = json!("portforward");
        event["requestURI"] = json!("/api/v1/namespaces/shop/pods/web/portforward?ports=8080&ports=8443");
    };
    let activity = after(&[
        event("10:01:00", kubevirt("console")),
        event("10:02:00", kubevirt("vnc")),
        event("10:03:00", kubevirt("portforward")),
        event("10:04:00", ports),
    ]);
    let seen: Vec<_> = activity.sessions.iter().map(|one| (one.kind, one.command.as_deref())).collect();
    assert_eq!(
        seen,
        [
            (SessionKind::Console, None),
            (SessionKind::Screen, None),
            (SessionKind::PortForward, Some("port 22/tcp")),
            (SessionKind::PortForward, Some("ports 8080, 8443")),
        ]
    );
}

#[test]
fn a_call_counts_when_it_was_answered_and_not_when_it_was_received() {
    let stage = |stage: &str| {
        let stage = stage.to_owned();
        move |event: &mut Value| event["stage"] = json!(stage)
    };
    assert_eq!(after(&[event("10:01:00", stage("RequestReceived"))]).calls, 0);
    assert_eq!(after(&[event("10:01:00", stage("ResponseStarted"))]).calls, 0, "its end comes, too");
    assert_eq!(after(&[event("10:01:00", stage("Panic"))]).calls, 1);
    let watch = |event: &mut Value| {
        event["stage"] = json!("ResponseStarted");
        event["verb"] = json!("watch");
    };
    let over = |event: &mut Value| {
        event["verb"] = json!("watch");
        event["stageTimestamp"] = json!("2026-11-29T10:09:00Z");
    };
    assert_eq!(after(&[event("10:01:00", watch), event("10:01:00", over)]).calls, 1);
    assert_eq!(after(&[event("10:01:00", over)]).calls, 1, "where the policy leaves the beginning out");
}

#[test]
fn what_was_made_and_not_deleted_is_left_behind() {
    let made = |name: &'static str| move |event: &mut Value| on(event, "create", "configmaps", name, 201);
    let gone = |event: &mut Value| {
        own_rights(event);
        on(event, "delete", "configmaps", "gone", 200);
        event["user"]["username"] = json!("alice@contoso.example");
    };
    let activity = after(&[event("10:01:00", made("left")), event("10:02:00", made("gone")), event("10:03:00", gone)]);
    let [left] = activity.residue.as_slice() else { panic!("{:?}", activity.residue) };
    assert_eq!((left.name.as_str(), left.change, left.done.as_str()), ("left", Change::Created, "created"));
    assert_eq!(left.look, "kubectl get configmaps/left -n shop -o yaml");
}

#[test]
fn a_deletion_that_came_before_takes_nothing_away_whenever_it_is_told() {
    let made = |event: &mut Value| on(event, "create", "configmaps", "again", 201);
    let gone = |event: &mut Value| on(event, "delete", "configmaps", "again", 200);
    let activity = after(&[event("10:03:00", made), event("10:02:00", gone)]);
    assert_eq!(activity.residue.len(), 1);
}

#[test]
fn each_way_of_leaving_something_is_told_in_its_words() {
    let by = |verb: &'static str, group: &'static str, resource: &'static str, sub: &'static str, code: u16| {
        after(&[event("10:01:00", |event| {
            on(event, verb, resource, "x", code);
            event["objectRef"]["apiGroup"] = json!(group);
            event["objectRef"]["subresource"] = json!(sub);
        })])
        .residue
    };
    let one = |residue: Vec<lockbox_api::activity::Residue>| {
        let left = residue.into_iter().next().unwrap();
        (left.change, left.done)
    };
    assert_eq!(one(by("create", "batch", "cronjobs", "", 201)), (Change::Created, "created".into()));
    assert_eq!(one(by("patch", "apps", "deployments", "", 200)), (Change::Changed, "changed".into()));
    assert_eq!(
        one(by("patch", "apps", "deployments", "", 201)),
        (Change::Created, "created".into()),
        "kubectl apply --server-side"
    );
    assert_eq!(one(by("update", "apps", "deployments", "scale", 200)), (Change::Changed, "changed (scale)".into()));
    assert!(one(by("create", "", "serviceaccounts", "token", 201)).1.contains("token"));
    assert!(one(by("patch", "", "pods", "ephemeralcontainers", 200)).1.contains("container was added"));
    for nothing in [
        by("create", "", "pods", "eviction", 201),
        by("create", "", "pods", "proxy", 201),
        by("create", "authorization.k8s.io", "selfsubjectaccessreviews", "", 201),
        by("create", "", "configmaps", "", 409),
        by("get", "", "configmaps", "", 200),
    ] {
        assert_eq!(nothing, [], "leaves nothing");
    }
    let dry = after(&[event("10:01:00", |event| {
        on(event, "create", "configmaps", "x", 201);
        event["requestURI"] = json!("/api/v1/namespaces/shop/configmaps?dryRun=All");
    })]);
    assert_eq!((dry.residue.len(), dry.calls), (0, 1));
}

#[test]
fn what_may_be_gone_is_said_and_not_left_out() {
    let made = |event: &mut Value| on(event, "create", "configmaps", "x", 201);
    let all = |event: &mut Value| on(event, "deletecollection", "configmaps", "", 200);
    let namespace = |event: &mut Value| {
        on(event, "delete", "namespaces", "shop", 200);
    };
    let activity = after(&[event("10:01:00", made), event("10:02:00", all), event("10:03:00", namespace)]);
    let done = &activity.residue[0].done;
    assert!(done.contains("it may be gone") && done.contains("its namespace was deleted"), "{done}");
}

#[test]
fn rights_left_behind_come_first_and_all_are_counted() {
    let mut ledger = following(&[request("u1", "shop", KIM, None)]);
    let mut events: Vec<Value> = (0..300)
        .map(|n| event(&format!("10:01:00.{n:06}"), |event| on(event, "create", "configmaps", &format!("c{n}"), 201)))
        .collect();
    events.insert(
        100,
        event("10:02:00", |event| {
            on(event, "create", "rolebindings", "back-door", 201);
            event["objectRef"]["apiGroup"] = json!("rbac.authorization.k8s.io");
        }),
    );
    take(&mut ledger, &events);
    let activity = ledger.activity("u1").unwrap();
    assert_eq!(activity.residue[0].name, "back-door");
    assert_eq!(activity.residue.len(), MOST_RESIDUE);
    assert_eq!(activity.more_residue, 301 - i64::try_from(MOST_RESIDUE).unwrap());
    assert_eq!(activity.objects.len(), MOST_OBJECTS);
    assert_eq!(activity.more_objects, 301 - i64::try_from(MOST_OBJECTS).unwrap());
}

#[test]
fn hostile_texts_are_clean_bounded_and_cannot_leave_their_command() {
    let activity = after(&[event("10:01:00", |event| {
        on(event, "create", "roles", "$(reboot)\u{202e}'", 201);
        event["objectRef"]["apiGroup"] = json!("rbac.authorization.k8s.io");
        event["userAgent"] = json!(format!("\u{1b}[2J{}", "x".repeat(100_000)));
        event["requestURI"] = json!(format!("/x?{}", "&a=%00".repeat(100_000)));
    })]);
    assert_eq!(activity.user_agents[0].chars().count(), 128);
    assert!(!activity.user_agents[0].contains('\u{1b}'));
    let look = &activity.residue[0].look;
    assert_eq!(look, "kubectl get 'roles.rbac.authorization.k8s.io/$(reboot)\\u{202e}'\\''' -n shop -o yaml");
    let mut many = vec![];
    for n in 0..100 {
        many.push(event(&format!("10:01:{:02}.{n:06}", n % 60), |event| {
            event["userAgent"] = json!(format!("agent-{n}"));
            event["verb"] = json!(format!("verb-{n}"));
            event["sourceIPs"] = json!([format!("192.0.2.{n}")]);
        }));
    }
    let activity = after(&many);
    assert_eq!((activity.user_agents.len(), activity.addresses.len()), (MOST_CLIENTS, MOST_CLIENTS));
    assert_eq!(activity.more_user_agents, 100 - i64::try_from(MOST_CLIENTS).unwrap());
    let listed: i64 = activity.operations.iter().map(|one| one.count).sum();
    assert_eq!(listed + activity.more_operations, 100, "every call is in one or the other");
}

#[test]
fn silence_is_told_from_innocence() {
    let mut ledger = following(&[request("u1", "shop", KIM, None)]);
    let nothing = ledger.activity("u1").unwrap();
    assert_eq!(nothing.coverage, Coverage::None);
    assert!(nothing.message.contains("not known"), "{}", nothing.message);
    let of_others = |event: &mut Value| event["user"]["username"] = json!("system:node:n1");
    let anybody = |event: &mut Value| {
        of_others(event);
        own_rights(event);
    };
    take(&mut ledger, &[event("09:59:59", anybody), event("10:04:00", anybody)]);
    assert_eq!(ledger.activity("u1").unwrap().coverage, Coverage::Covered, "a stream that shows nothing of Kim");
    take(&mut ledger, &[event("10:20:00", anybody)]);
    let gap = ledger.activity("u1").unwrap();
    assert_eq!(gap.coverage, Coverage::Partial);
    assert!(
        gap.message.contains("nothing came between 2026-11-29T10:04:00Z and 2026-11-29T10:20:00Z"),
        "{}",
        gap.message
    );
}

#[test]
fn a_stream_that_begins_late_or_ends_early_covers_a_part() {
    let late = after(&[event("10:00:10", |_| {})]);
    assert_eq!(late.coverage, Coverage::Partial);
    assert!(late.message.contains("from 2026-11-29T10:00:10Z on only"), "{}", late.message);
    let mut ledger = following(&[request("u1", "shop", KIM, Some("2026-11-29T10:04:00Z"))]);
    take(&mut ledger, &[event("10:00:00", |_| {}), event("10:03:00", |_| {})]);
    assert!(ledger.activity("u1").unwrap().message.contains("until 2026-11-29T10:03:00Z only"));
    take(&mut ledger, &[event("10:04:00", |_| {})]);
    assert_eq!(ledger.activity("u1").unwrap().coverage, Coverage::Covered);
    ledger.lost(3);
    assert!(ledger.activity("u1").unwrap().message.contains("3 lines or batches of it could not be read"));
    // What was lost an hour before concerns no later access.
    let mut later = request("u2", "shop", KIM, None);
    later.status.as_mut().unwrap().approved_at = lockbox_api::time::parse("2026-11-29T10:04:31Z");
    ledger.follow(&later);
    take(&mut ledger, &[event("10:04:31", own_rights)]);
    assert_eq!(ledger.activity("u2").unwrap().coverage, Coverage::Covered);
    let never = {
        let mut ledger = following(&[request("u1", "shop", KIM, Some("2026-11-29T10:04:00Z"))]);
        take(&mut ledger, &[event("12:00:00", own_rights)]);
        ledger.activity("u1").unwrap()
    };
    assert_eq!(never.coverage, Coverage::None);
}

#[test]
fn a_restart_goes_on_with_what_was_recorded_and_says_so() {
    let mut request = request("u1", "shop", KIM, None);
    let mut before = following(&[request.clone()]);
    let begun = |event: &mut Value| {
        exec(event);
        event["stage"] = json!("ResponseStarted");
    };
    take(
        &mut before,
        &[
            event("10:00:00", |_| {}),
            event("10:01:00", begun),
            event("10:02:00", |event| on(event, "create", "configmaps", "left", 201)),
        ],
    );
    let recorded = before.activity("u1").unwrap();
    assert_eq!(recorded.coverage, Coverage::Covered);
    request.status.as_mut().unwrap().activity = Some(recorded);
    let mut again = following(&[request]);
    let over = |event: &mut Value| {
        exec(event);
        event["stageTimestamp"] = json!("2026-11-29T10:04:00Z");
    };
    take(&mut again, &[event("10:01:00", over), event("10:05:00", |_| {})]);
    let activity = again.activity("u1").unwrap();
    assert_eq!(activity.calls, 4, "the session's end is no call");
    assert_eq!((activity.sessions.len(), activity.sessions[0].lasted.as_deref()), (1, Some("3m0s")));
    assert_eq!(activity.residue.len(), 1);
    assert_eq!(activity.coverage, Coverage::Partial);
    assert!(activity.message.contains("Lockbox was restarted since 2026-11-29T10:02:00Z"), "{}", activity.message);
}

#[test]
fn accesses_beyond_the_bound_are_not_followed() {
    let mut ledger = Ledger::default();
    for n in 0..MOST_ACCOUNTS {
        assert!(ledger.follow(&request(&format!("u{n}"), "shop", KIM, None)));
    }
    assert!(!ledger.follow(&request("one-more", "shop", KIM, None)));
    assert_eq!(ledger.counters().not_followed, 1);
    ledger.forget("u0");
    assert!(ledger.activity("u0").is_none());
    assert!(ledger.follow(&request("one-more", "shop", KIM, None)));
}

#[test]
fn a_record_holds_no_query_and_names_how_the_call_belongs() {
    let mut ledger = following(&[request("u1", "shop", KIM, None)]);
    let records = take(
        &mut ledger,
        &[event("10:01:00.123456", |event| {
            event["requestURI"] = json!("/api/v1/namespaces/shop/services/web/proxy/login?token=hunter2");
            event["objectRef"]["subresource"] = json!("proxy");
            event["requestObject"] = json!({"data": {"password": "hunter2"}});
        })],
    );
    assert_eq!(records[0].belongs, Belongs::ThisAccess);
    let line = serde_json::to_string(&records[0]).unwrap();
    assert!(!line.contains("hunter2"), "{line}");
    let value: Value = serde_json::from_str(&line).unwrap();
    assert_eq!(value["received"], "2026-11-29T10:01:00.123456Z");
    assert_eq!(value["requestUID"], "u1");
    assert_eq!(value["path"], "/api/v1/namespaces/shop/services/web/proxy/login");
}

#[test]
fn the_access_to_a_tenant_is_a_cluster_role_binding() {
    let mut ledger = following(&[request("u1", "tenant", KIM, None)]);
    let by = |reason: &str| {
        let reason = reason.to_owned();
        move |event: &mut Value| event["annotations"]["authorization.k8s.io/reason"] = json!(reason)
    };
    take(
        &mut ledger,
        &[
            event(
                "10:01:00",
                by(
                    "RBAC: allowed by ClusterRoleBinding \"lockbox-grant-u1\" of ClusterRole \"lockbox-grant-u1\" to User \"kim\"",
                ),
            ),
            // A binding of that name in a namespace is somebody else's.
            event("10:02:00", by(&reason("u1", "shop"))),
        ],
    );
    let activity = ledger.activity("u1").unwrap();
    assert_eq!((activity.calls, activity.by_other_rights.calls), (1, 1));
}

#[test]
fn the_report_says_first_whether_the_time_is_covered() {
    let mut ledger = following(&[request("u1", "shop", KIM, Some("2026-11-29T10:04:00Z"))]);
    take(
        &mut ledger,
        &[
            event("10:00:01", exec),
            event("10:01:00", refused),
            event("10:02:00", own_rights),
            event("10:04:00", |event| on(event, "create", "configmaps", "left", 201)),
        ],
    );
    let text = report(ledger.access("u1").unwrap(), &ledger.activity("u1").unwrap());
    let at = |words: &str| text.find(words).unwrap_or_else(|| panic!("no {words:?} in\n{text}"));
    assert!(at("coverage     Covered") < at("by this access"));
    assert!(at("Exec pods/web in shop, container app, sh -c 'cat /etc/passwd'") < at("refused      1 call here"));
    assert!(at("by other rights in the same time: 1 call here") < at("left behind (no deletion was seen)"));
    at("kubectl get configmaps/left -n shop -o yaml");
}

#[test]
fn who_listens_since_a_moment_claims_nothing_of_the_time_before_however_old_the_first_events_are() {
    let early = event("10:00:01", |_| {});
    let coverage = |mut ledger: Ledger| {
        ledger.follow(&request("u1", "shop", KIM, None));
        for call in read(&early.to_string(), Format::Auto).unwrap() {
            ledger.take(&call);
        }
        ledger.activity("u1").unwrap().coverage
    };
    assert_eq!(coverage(Ledger::default()), Coverage::Covered, "a log is read from its beginning");
    assert_eq!(coverage(Ledger::listening("2026-11-29T10:00:30Z".parse().unwrap())), Coverage::Partial);
}
