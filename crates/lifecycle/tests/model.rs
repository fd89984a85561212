//! Model checking of the shipped `lifecycle::step`: every order in which requester, approvers, administrator, saboteur,
//! time, crashes, stale caches and the operator's own calls can meet, in worlds small enough to try them all.

#![allow(
    clippy::disallowed_macros,
    clippy::disallowed_methods,
    clippy::unwrap_used,
    clippy::struct_excessive_bools,
    clippy::unnecessary_wraps,
    clippy::expect_used,
    clippy::panic,
    reason = "tests"
)]

#[path = "model/machine.rs"]
mod machine;
#[path = "model/world.rs"]
mod world;

use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

use machine::{Machine, Mutation, Variant};
use stateright::{Checker, HasDiscoveries, Model};

const PLAIN: Variant = Variant {
    name: "one approval, crashes",
    internal: false,
    customer_data: true,
    quorum: 1,
    eligible: false,
    own: false,
    endings: false,
    approvers: 1,
    mischief: 0,
    crashes: 1,
};
const ENDINGS: Variant = Variant { name: "one approval, ended early", endings: true, crashes: 0, ..PLAIN };
const TWO: Variant = Variant { name: "two approvers and the requester", approvers: 2, own: true, crashes: 0, ..PLAIN };
const MISCHIEF: Variant = Variant { name: "administrator and saboteur", mischief: 1, crashes: 0, ..PLAIN };
const QUORUM: Variant = Variant { name: "two of three approvals", quorum: 2, approvers: 3, crashes: 0, ..PLAIN };
const INTERNAL: Variant = Variant { name: "internal approval first", internal: true, crashes: 0, ..PLAIN };
const RULES_ALONE: Variant = Variant {
    name: "no customer data, with mischief",
    customer_data: false,
    endings: true,
    mischief: 1,
    crashes: 0,
    ..PLAIN
};
const BOTH_SIDES: Variant = Variant {
    name: "internal approval, no customer data",
    internal: true,
    customer_data: false,
    endings: true,
    crashes: 0,
    ..PLAIN
};
/// With two crashes, and nobody but the requester who acts.
const CRASHES: Variant =
    Variant { name: "no customer data, with two crashes", customer_data: false, endings: true, crashes: 2, ..PLAIN };
const ACTIVATION: Variant = Variant { name: "an approver whose activation ends", eligible: true, crashes: 0, ..PLAIN };

/// Explores a variant to its end; every property has to hold, and everything that should be possible has to be.
fn holds(variant: Variant) {
    let started = Instant::now();
    let checker = Machine::new(variant, Mutation::None)
        .checker()
        .threads(2)
        .finish_when(HasDiscoveries::AnyFailures)
        .timeout(Duration::from_mins(5))
        .spawn_bfs()
        .join();
    let (states, depth) = (checker.unique_state_count(), checker.max_depth());
    println!("{}: {states} states, depth {depth}, {:.1} s", variant.name, started.elapsed().as_secs_f64());
    let failed: Vec<_> = checker
        .discoveries()
        .into_iter()
        .filter(|(name, _)| checker.model().property(name).expectation.discovery_is_failure())
        .map(|(name, path)| format!("{name}:\n{:#?}\nends in {:?}", path.clone().into_actions(), path.last_state()))
        .collect();
    assert!(failed.is_empty(), "{}", failed.join("\n\n"));
    assert!(checker.is_done() && started.elapsed() < Duration::from_mins(5), "the exploration did not come to its end");
    let possible: BTreeSet<_> = checker.discoveries().into_keys().collect();
    for property in checker.model().properties() {
        let optional = property.name == "a request fails" && variant.mischief == 0;
        assert!(
            property.expectation.discovery_is_failure() || optional || possible.contains(property.name),
            "{} never happens",
            property.name
        );
    }
}

/// Explores the plain variant with a wrong operator: the property named has to fail.
fn is_found(variant: Variant, mutation: Mutation, properties: &[&'static str]) {
    let checker = Machine::new(variant, mutation)
        .checker()
        .threads(2)
        .finish_when(HasDiscoveries::AnyOf(properties.iter().copied().collect()))
        .timeout(Duration::from_mins(5))
        .spawn_bfs()
        .join();
    let found = checker.discoveries();
    let failed: Vec<_> = found
        .iter()
        .filter(|(name, _)| checker.model().property(name).expectation.discovery_is_failure())
        .map(|(name, path)| format!("{name} after {} steps", path.clone().into_actions().len()))
        .collect();
    println!("{mutation:?}: {} states; {}", checker.unique_state_count(), failed.join("; "));
    assert!(
        properties.iter().any(|name| found.contains_key(name)),
        "{mutation:?} was not found out by {properties:?}, only by {failed:?}"
    );
}

#[test]
fn every_way_through_a_request_with_one_approval_keeps_the_rules() {
    holds(PLAIN);
}

#[test]
fn every_way_through_a_request_with_mischief_keeps_the_rules() {
    holds(MISCHIEF);
}

#[test]
fn every_way_through_a_request_with_two_approvers_keeps_the_rules() {
    holds(TWO);
}

#[test]
fn every_way_through_a_request_that_is_ended_early_keeps_the_rules() {
    holds(ENDINGS);
}

#[test]
fn every_way_through_a_request_with_a_quorum_keeps_the_rules() {
    holds(QUORUM);
}

#[test]
fn every_way_through_a_request_with_internal_approval_keeps_the_rules() {
    holds(INTERNAL);
}

#[test]
fn every_way_through_a_request_without_customer_data_keeps_the_rules() {
    holds(RULES_ALONE);
}

#[test]
fn every_way_through_a_request_with_crashes_keeps_the_rules() {
    holds(CRASHES);
}

#[test]
fn every_way_through_a_request_with_internal_approval_alone_keeps_the_rules() {
    holds(BOTH_SIDES);
}

#[test]
fn every_way_through_a_request_with_an_activation_that_ends_keeps_the_rules() {
    holds(ACTIVATION);
}

#[test]
fn an_operator_that_overlooks_passed_deadlines_is_found_out() {
    is_found(PLAIN, Mutation::DeadlineIgnored, &["a decision met after its deadline never counts"]);
}

#[test]
fn an_operator_that_overlooks_a_deny_is_found_out() {
    is_found(TWO, Mutation::DenyIgnored, &["the first Deny wins"]);
}

#[test]
fn an_operator_that_writes_the_end_before_it_ends_access_is_found_out() {
    is_found(
        RULES_ALONE,
        Mutation::StatusBeforeBindingEnds,
        &["a binding stands on a recorded approval, its end and a live request"],
    );
}

#[test]
fn an_operator_that_reckons_the_end_of_access_again_is_found_out() {
    is_found(RULES_ALONE, Mutation::AccessUntilRecomputed, &["no deadline moves"]);
}

#[test]
fn an_operator_that_grants_from_a_stale_copy_is_found_out() {
    is_found(
        RULES_ALONE,
        Mutation::GrantFromStaleCopy,
        &["a binding stands on a recorded approval, its end and a live request"],
    );
}

#[test]
fn an_operator_that_counts_the_requesters_own_approval_is_found_out() {
    is_found(TWO, Mutation::RequesterCounts, &["enough approvers approved, none of them the requester"]);
}

#[test]
fn an_operator_that_publishes_nothing_is_found_out() {
    is_found(RULES_ALONE, Mutation::PublishDropped, &["every request ends, closed, published and without access"]);
}

#[test]
fn an_operator_that_forgets_what_was_cut_down_is_found_out() {
    is_found(PLAIN, Mutation::CutDownForgotten, &["what one approver cut down stays cut down"]);
}

#[test]
fn an_operator_that_grants_while_off_is_found_out() {
    // The operator is killed after the approval, and Lockbox goes off before it is back.
    let variant = Variant { crashes: 1, endings: false, ..RULES_ALONE };
    is_found(variant, Mutation::GrantWhileOff, &["nothing is approved or granted while off"]);
}

#[test]
fn an_operator_that_grants_what_is_not_proven_is_found_out() {
    is_found(RULES_ALONE, Mutation::GrantUnproven, &["nothing is believed or granted that is not proven"]);
}

#[test]
fn an_operator_that_believes_an_approval_that_nobody_checked_is_found_out() {
    is_found(MISCHIEF, Mutation::ApprovalUnproven, &["nothing is believed or granted that is not proven"]);
}

#[test]
fn an_operator_that_hides_access_that_it_made_is_found_out() {
    is_found(ENDINGS, Mutation::AccessHidden, &["access that Lockbox ended is in the record"]);
}

#[test]
fn an_operator_that_grants_before_the_approval_is_recorded_is_found_out() {
    is_found(
        PLAIN,
        Mutation::GrantBeforeStatus,
        &["a binding stands on a recorded approval, its end and a live request"],
    );
}

#[test]
fn an_operator_that_writes_over_what_it_has_not_read_is_found_out() {
    is_found(
        ENDINGS,
        Mutation::BlindWrite,
        &["the phase moves along the diagram", "the history grows and verifies", "what has ended stays as it ended"],
    );
}

#[test]
fn an_operator_that_binds_before_the_net_is_made_is_found_out() {
    is_found(RULES_ALONE, Mutation::BindingBeforeNet, &["the net in the cluster holds every binding"]);
}

#[test]
fn an_operator_that_drops_an_entry_is_found_out() {
    is_found(RULES_ALONE, Mutation::HistoryShortened, &["the history grows and verifies"]);
}

#[test]
fn an_operator_that_counts_somebody_whose_activation_ended_is_found_out() {
    is_found(ACTIVATION, Mutation::ActivationIgnored, &["enough approvers approved, none of them the requester"]);
}
