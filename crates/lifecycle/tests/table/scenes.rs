//! Scenes that rows begin with: a world with one thing about it changed.

use super::*;

/// The last second before a deadline, and the deadline itself.
pub fn deadline(world: &World) -> i64 {
    (world.status().until.unwrap() - at(0)).num_seconds()
}

pub fn past_deadline(world: World) -> World {
    let now = deadline(&world);
    world.at(now)
}

pub fn off(world: World) -> World {
    world.settings(|spec| spec["enabled"] = json!(false))
}

pub fn without_settings(mut world: World) -> World {
    world.settings = None;
    world
}

pub fn deciding(mut world: World, decisions: &[(&str, Value)]) -> World {
    for (user, decision) in decisions {
        world.decide(user, decision.clone());
    }
    world
}

pub fn deciding_internally(mut world: World, user: &str, decision: Value) -> World {
    world.decide_internally(user, decision);
    world
}

pub fn cancelled(mut world: World, by: &str) -> World {
    world.request.spec.cancellation = ending(by);
    world
}

pub fn released(mut world: World) -> World {
    world.request.spec.release = ending(KIM);
    world
}

pub fn revoked(mut world: World) -> World {
    world.request.spec.revocation = ending(ALICE);
    world
}

pub fn attempted(mut world: World, attempt: Attempt) -> World {
    world.attempt = attempt;
    world
}

pub fn tried(mut world: World, forgery: Forgery) -> World {
    world.forgery = forgery;
    world
}

pub fn bound(mut world: World, binding: bool) -> World {
    world.binding = binding;
    world
}

pub fn stuck(mut world: World) -> World {
    world.not_ended = Some("admission webhook \"guard\" denied the request.".into());
    world
}

pub fn placed(mut world: World, placement: PlacementView) -> World {
    world.placement = placement;
    world
}

/// So many open requests of the requester, and in the namespace.
pub fn open(mut world: World, of_requester: usize, in_namespace: usize) -> World {
    world.open = OpenRequests { of_requester, in_namespace };
    world
}

pub fn unreadable(mut world: World) -> World {
    world.unreadable = Some("spec.grant: unknown variant `Later`.".into());
    world
}

pub fn locked(world: World) -> World {
    world.settings(|spec| spec["locks"] = json!([{"user": "KIM@provider.example", "reason": "laptop stolen"}]))
}

/// All access that was approved before so many seconds after the request ends.
pub fn stopped(world: World, before: i64) -> World {
    world.settings(|spec| spec["stop"] = json!({"before": lockbox_api::time::text(at(before)), "reason": "INC-9"}))
}

pub fn with_role(mut world: World, role: RoleView) -> World {
    world.role = role;
    world
}

/// Whether the admission policies are in force was not tried yet.
pub fn untried(mut world: World) -> World {
    world.proofs.authentic = Proof::Unknown("it was not tried yet.".into());
    world
}

/// They are known not to be.
pub fn forgeable(mut world: World) -> World {
    world.proofs.authentic = Proof::Disproven("policy lockbox-requests-decide is not there.".into());
    world
}

pub fn proven(mut world: World) -> World {
    world.proofs = Proofs::ALL;
    world
}

/// They are in force, but only since the request was made.
pub fn put_back(mut world: World) -> World {
    world.proofs = Proofs { authentic_since: at(1), ..Proofs::ALL };
    world
}

pub fn yes() -> Value {
    json!({"verdict": "Approve", "reason": "window agreed"})
}

pub fn no() -> Value {
    json!({"verdict": "Deny", "reason": "not today"})
}

pub fn quorum_of_two() -> World {
    World::new().settings(|spec| spec["approvals"] = json!({"required": 2}))
}

pub fn recognised(mut assignment: lockbox_api::RoleAssignment) -> lockbox_api::RoleAssignment {
    let mut status = assignment.status.take().unwrap_or_default();
    set(&mut status.conditions, "Recognized", Truth::True, "Recognized", "", at(0), None);
    assignment.status = Some(status);
    assignment
}

pub fn excluded_world(circumstance: &str) -> World {
    World::new()
        .settings(|spec| {
            spec["exclusions"] = json!({
                "allowed": [{"circumstance": circumstance, "by": [{"kind": "Group", "name": "provider:engineers"}]}],
                "legalDemandsURL": "https://provider.example/legal"
            });
        })
        .request(|spec| {
            spec["circumstance"] = json!(circumstance);
            spec["incident"] = json!({"id": "INC-7", "summary": "the platform burns"});
        })
}
