//! How often the operator writes, counted in the API server's audit log.

use std::sync::{LazyLock, Mutex, PoisonError};

use serde_json::{Value, json};

use crate::support::{World, audit, eventually, request};

/// Everything that is written in this time is counted, so the tests take turns.
pub static WORLD: LazyLock<Mutex<World>> = LazyLock::new(|| Mutex::new(World::new()));

/// The most writes that an approved request may cost, from its creation to its end by the clock.
const MOST: usize = 14;
/// The most calls of the operator that a life may cost, from its creation to its end by the clock: its writes, and what is
/// read before an approver is asked and before access is made.
const MOST_CALLS: usize = 18;
/// Of these the reads of the settings, which others read too.
const OF_SETTINGS: usize = 2;
/// What a requester's first request in a namespace costs besides: their Role's binding.
const FIRST: usize = 1;

fn uid(request: &Value) -> String {
    request["metadata"]["uid"].as_str().unwrap().to_owned()
}

/// The operator's writes for this request since `mark`: its status, its Events, its grant.
fn writes_for(world: &World, mark: u64, request: &Value) -> Vec<audit::Call> {
    let (name, uid) = (request["metadata"]["name"].as_str().unwrap(), uid(request));
    let about = |call: &audit::Call| call.name == name || call.name.contains(&uid);
    audit::operator_writes(&world.cluster, mark).into_iter().filter(about).collect()
}

/// The same, when as many as are expected are in the log: it is written a moment after the answer.
fn written(world: &World, mark: u64, request: &Value, expected: usize) -> Vec<audit::Call> {
    eventually("the writes are in the audit log", || {
        let writes = writes_for(world, mark, request);
        (writes.len() >= expected).then_some(writes)
    })
}

/// The operator's writes in a namespace since `mark` by which requests are shown to the provider's people.
fn views(world: &World, mark: u64, namespace: &str) -> Vec<audit::Call> {
    let about = |call: &audit::Call| call.namespace == namespace && call.name.starts_with("lockbox-view-");
    audit::operator_writes(&world.cluster, mark).into_iter().filter(about).collect()
}

fn words(calls: &[audit::Call]) -> Vec<String> {
    calls.iter().map(audit::Call::words).collect()
}

#[test]
fn an_approved_life_that_ends_by_the_clock_costs_thirteen_writes_and_one_to_show_it_to_its_requester() {
    let world = WORLD.lock().unwrap_or_else(PoisonError::into_inner);
    world.subscription("whole-life");
    let mark = audit::mark(&world.cluster);
    let manifest = request("sr-1").namespace("whole-life").set("/spec/duration", "3s");
    world.create_as(&world.kim(), &manifest.to_string()).unwrap();
    world.wait_for_phase("whole-life", "sr-1", "CustomerNotified");
    world.decide(&world.alice(), "whole-life", "sr-1", "Approve").unwrap();
    world.wait_for_phase("whole-life", "sr-1", "AccessGranted");
    let closed = world.wait_until_closed("whole-life", "sr-1");
    assert_eq!(closed["status"]["phase"], "Completed");
    eventually("the deadline Job took the Role along", || {
        let left = world.admin(&["get", "job,role", "-n", "whole-life", "-l", "lockbox.dev/request", "-o", "name"]);
        left.unwrap().is_empty().then_some(())
    });
    let writes = writes_for(&world, mark, &closed);
    for (number, write) in writes.iter().enumerate() {
        println!("{:>2}  {:<32} {}", number + 1, write.words(), write.name);
    }
    let expected = [
        "update lockboxrequests/status", // CustomerNotified
        "create events",                 // Create Lockbox Request
        "update lockboxrequests/status", // Approved
        "create jobs",                   // the deadline
        "create roles",
        "create rolebindings",           // access begins
        "update lockboxrequests/status", // AccessGranted
        "create events",                 // Approve Lockbox Request
        "create events",                 // Grant Access
        "delete rolebindings",           // access ends
        "update lockboxrequests/status", // Completed
        "create events",                 // Complete Access
        "update lockboxrequests/status", // closed
    ];
    assert_eq!(words(&writes), expected);
    let shown = views(&world, mark, "whole-life");
    assert_eq!(words(&shown), ["create roles", "create rolebindings"]);
    assert!(writes.len() + shown.len() <= MOST + FIRST, "{} writes", writes.len() + shown.len());
    let failed: Vec<_> = writes.iter().chain(&shown).filter(|write| write.code >= 300).collect();
    assert!(failed.is_empty(), "each write succeeds at the first attempt: {failed:?}");

    let mark = audit::mark(&world.cluster);
    let next = request("sr-2").namespace("whole-life").set("/spec/duration", "3s");
    world.create_as(&world.kim(), &next.to_string()).unwrap();
    world.wait_for_phase("whole-life", "sr-2", "CustomerNotified");
    world.decide(&world.alice(), "whole-life", "sr-2", "Approve").unwrap();
    let closed = world.wait_until_closed("whole-life", "sr-2");
    let (writes, shown) = (writes_for(&world, mark, &closed), views(&world, mark, "whole-life"));
    assert_eq!((words(&writes), words(&shown)), (expected.map(str::to_owned).into(), vec!["update roles".to_owned()]));
    assert_eq!(writes.len() + shown.len(), MOST, "in a namespace that its requester has asked for before");
}

#[test]
fn a_denied_request_costs_five_writes() {
    let world = WORLD.lock().unwrap_or_else(PoisonError::into_inner);
    world.subscription("denied-life");
    let mark = audit::mark(&world.cluster);
    world.ask("denied-life", "sr-1");
    world.decide(&world.alice(), "denied-life", "sr-1", "Deny").unwrap();
    let closed = world.wait_until_closed("denied-life", "sr-1");
    let expected = [
        "update lockboxrequests/status", // CustomerNotified
        "create events",                 // Create Lockbox Request
        "update lockboxrequests/status", // Denied
        "create events",                 // Deny Lockbox Request
        "update lockboxrequests/status", // closed
    ];
    assert_eq!(words(&written(&world, mark, &closed, expected.len())), expected);
}

#[test]
fn a_life_costs_eighteen_calls_and_trials_that_requests_share() {
    let world = WORLD.lock().unwrap_or_else(PoisonError::into_inner);
    world.subscription("counted");
    // The first request of its engineer in the namespace: their Role, and the trials.
    world.grant("counted", "sr-0");
    eventually("its Events are published", || (world.events("counted", "sr-0").len() == 3).then_some(()));
    let mark = audit::mark(&world.cluster);
    let manifest = request("sr-1").namespace("counted").set("/spec/duration", "3s");
    world.create_as(&world.kim(), &manifest.to_string()).unwrap();
    world.wait_for_phase("counted", "sr-1", "CustomerNotified");
    world.decide(&world.alice(), "counted", "sr-1", "Approve").unwrap();
    world.wait_until_closed("counted", "sr-1");
    let calls: Vec<_> = audit::since(&world.cluster, mark)
        .into_iter()
        .filter(|call| call.user == audit::OPERATOR && call.verb != "watch" && !call.dry)
        .filter(|call| call.namespace == "counted")
        .collect();
    let words = words(&calls);
    assert!(calls.len() + OF_SETTINGS <= MOST_CALLS, "{}: {words:#?}", calls.len());
}

#[test]
fn a_restart_makes_no_event_and_no_write_again() {
    let world = WORLD.lock().unwrap_or_else(PoisonError::into_inner);
    world.subscription("restarted");
    for n in 0..8 {
        world.ask("restarted", &format!("waits-{n}"));
    }
    world.grant("restarted", "has-access");
    eventually("the Events of what is granted are published", || {
        (world.events("restarted", "has-access").len() == 3).then_some(())
    });
    world.kill_operator();
    let mark = audit::mark(&world.cluster);
    world.start_operator();
    // A request that is made now is worked on after those that were there.
    world.grant("restarted", "made-afterwards");
    eventually("its Events are published", || (world.events("restarted", "made-afterwards").len() == 3).then_some(()));
    let again: Vec<_> = audit::operator_writes(&world.cluster, mark)
        .into_iter()
        .filter(|call| call.namespace == "restarted" && !call.name.contains("made-afterwards"))
        .filter(|call| !call.name.starts_with("lockbox-view-"))
        .collect();
    let uid = uid(&world.get("lbr", "restarted", "made-afterwards"));
    let again: Vec<_> = again.iter().filter(|call| !call.name.contains(&uid)).collect();
    assert!(again.is_empty(), "{again:#?}");
}

/// At rest: every object is looked at again, because something that concerns it changed and changed nothing. That the
/// operator did look is known when it has brought a request that was made afterwards to its end.
#[test]
fn at_rest_the_operator_writes_nothing() {
    let world = WORLD.lock().unwrap_or_else(PoisonError::into_inner);
    world.subscription("at-rest");
    world.ask("at-rest", "waits");
    world.grant("at-rest", "has-access");
    world.ask("at-rest", "is-over");
    world.decide(&world.alice(), "at-rest", "is-over", "Deny").unwrap();
    world.wait_until_closed("at-rest", "is-over");
    eventually("the Events of what is granted are published", || {
        (world.events("at-rest", "has-access").len() == 3).then_some(())
    });
    world.subscription("busy");
    let bindings = |namespace| {
        world.admin(&["get", "rolebinding", "-n", namespace, "-l", "lockbox.dev/people", "-o", "name"]).unwrap()
    };
    let of_an_owner = bindings("at-rest").lines().count();
    assert_ne!(of_an_owner, 0);
    eventually("Alice is bound in the other namespace", || {
        (bindings("busy").lines().count() == of_an_owner).then_some(())
    });

    let mark = audit::mark(&world.cluster);
    for round in 1..=3 {
        let note = format!("example.com/round={round}");
        // All requests and assignments are looked at when the settings change, and an assignment when it does itself.
        for object in [["lbs/default", "-n", "default"], ["lra/alice", "-n", "at-rest"]] {
            world.admin(&[&["annotate", "--overwrite"], &object[..], &[&note]].concat()).unwrap();
        }
        let name = format!("sr-{round}");
        world.ask("busy", &name);
        let denial = json!({"spec": {"decision": {"verdict": "Deny", "reason": "not now"}}});
        world.patch(&world.alice(), "busy", &name, &denial).unwrap();
        world.wait_until_closed("busy", &name);
    }
    let besides: Vec<_> =
        audit::operator_writes(&world.cluster, mark).into_iter().filter(|call| call.namespace != "busy").collect();
    assert!(besides.is_empty(), "{besides:#?}");
    let busy = audit::operator_writes(&world.cluster, mark);
    assert_eq!(busy.len(), 3 * (5 + 1) + FIRST, "what the operator did for the others: {busy:#?}");
}
