//! One step of a request's life: what to do next, decided from facts. A file for each phase.
//!
//! A step never waits for an answer. It asks for what it must know before it decides ([`Step::Do`]), and the outcome is
//! a fact of the next step ([`Outcomes`](crate::facts::Outcomes)). So everything flows one way: facts in, one thing to
//! do out.
//!
//! Rules that always hold (their numbers are the specification's):
//! 1. no grant without a recorded approval and an absolute `accessUntil`;
//! 2. a decision met after its deadline loses, however early it was written;
//! 3. the first Deny ends the request;
//! 5. no clock restarts;
//! 6. the status that says Approved comes before the grant, and the end of the grant before the status that says so;
//! 8. every step says when to look again.

mod activity;
mod approved;
mod awaiting;
mod deleted;
mod ends;
mod evaluating;
mod finished;
mod granted;
mod incomplete;
mod notified;

use chrono::TimeDelta;
use lockbox_api::{LockboxRequestStatus, Moment, condition, time::whole_seconds};

use crate::{
    conditions,
    facts::Facts,
    grant::GrantPlan,
    notifications::{self, Message},
    state::State,
    transition::{Move, Stay},
};

/// The one thing to do next.
#[derive(Clone, Debug, PartialEq)]
pub enum Step {
    /// Do this. The outcome is a fact of the next step.
    Do(Action),
    /// Write this status over the version that was read, then take the next step.
    Write(Box<LockboxRequestStatus>),
    /// Nothing to do before this moment, unless something changes; none: nothing by the clock.
    Sleep(Option<Moment>),
}

/// Something to do in the cluster. Each can be repeated.
#[derive(Clone, Debug, PartialEq)]
pub enum Action {
    /// Read settings, assignments and role past every cache: what is recorded for good is decided from what is stored now.
    Read {
        /// The request too.
        request: bool,
    },
    /// Try whether a grant could be made in the request's namespace.
    TryPlacement,
    /// Try whether something forged about this request is refused; beside it, make those parts of this grant by which nobody
    /// has access yet.
    PrepareGrant(Box<GrantPlan>),
    /// Make the grant, with whatever part of it is still missing.
    MakeGrant(Box<GrantPlan>),
    /// Look whether the grant's binding is there.
    FindGrant,
    /// End the grant: its binding first.
    EndGrant {
        /// Ahead of time: the deadline Job is deleted too, instead of ending by itself.
        early: bool,
    },
    /// Publish the history's entries after this many as Events.
    Publish {
        /// Entries that are published already.
        after: usize,
    },
    /// Let the outbox hold these messages about the request, and no others.
    Tell {
        /// The messages.
        messages: Vec<Message>,
    },
}

/// After how long without a transition the count of published entries is recorded by itself. An API server keeps Events for
/// an hour unless it is told otherwise.
const AT_REST: TimeDelta = TimeDelta::minutes(10);

/// What a phase decides.
enum Next {
    /// Something must be known, or done, first.
    First(Action),
    /// The request stays in its phase.
    Stay(Stay),
    /// The request moves.
    Move(Box<Move>),
}

impl From<Move> for Next {
    fn from(next: Move) -> Self {
        Self::Move(Box::new(next))
    }
}

/// Decides the next step. Pure: the same facts at the same time give the same step.
pub fn step(facts: &Facts<'_>, now: Moment) -> Step {
    let now = whole_seconds(now);
    if facts.request.metadata.deletion_timestamp.is_some() && !facts.phase().is_terminal() {
        return deleted::step(facts, now);
    }
    if let Some(words) = &facts.outcomes.trouble {
        return in_trouble(facts, words, now);
    }
    let next = match State::parse(facts.status()) {
        Ok(State::Evaluating { until }) => evaluating::next(until, facts, now),
        Ok(State::AwaitingInternalApproval(state)) => awaiting::next(&state, facts, now),
        Ok(State::CustomerNotified(state)) => notified::next(&state, facts, now),
        Ok(State::Approved(approval)) => approved::next(&approval, facts, now),
        Ok(State::AccessGranted(approval)) => granted::next(&approval, facts, now),
        Ok(State::Finished) => return finished::step(facts, now),
        Err(missing) => incomplete::next(missing, facts, now),
    };
    let mut status = facts.status().cloned().unwrap_or_default();
    let again = match next {
        Next::First(action) => return Step::Do(action),
        Next::Stay(stay) => stay.apply(&mut status, facts.uid(), now),
        Next::Move(next) => next.apply(&mut status, facts.uid(), now),
    };
    settle(facts, status, again, now)
}

/// Writes what has changed; then publishes; then tells; then sleeps.
fn settle(facts: &Facts<'_>, mut status: LockboxRequestStatus, again: Option<Moment>, now: Moment) -> Step {
    let published = facts.published.min(status.history.len());
    notifications::record(facts, &mut status, now);
    let all_is_published = published == status.history.len();
    conditions::derive(&mut status, facts.request.metadata.generation, now);
    if all_is_published {
        // Everything that there was to do is done: whatever was in the way is not any more.
        conditions::recovered(&mut status, facts.request.metadata.generation, now);
    }
    let again = again.into_iter().chain(activity::show(facts, &mut status, now)).min();
    if let Some(write) = changed(facts, status) {
        return write;
    }
    if !all_is_published {
        return Step::Do(Action::Publish { after: published });
    }
    // Last: who is told waits for nobody, and nobody waits for who is told.
    if let Some(messages) = notifications::to_tell(facts, now) {
        return Step::Do(Action::Tell { messages });
    }
    if let Some(write) = record_published(facts, now) {
        return write;
    }
    Step::Sleep(wake(facts, again.into_iter().chain(notifications::wake(facts, now)).min(), now))
}

/// The write that records how much is published, for a request that has been at rest for so long that its Events may go
/// before its next transition comes: then nobody could tell any more that they were there, and would publish them again.
/// Whoever looks next writes it, so nobody is woken for it.
fn record_published(facts: &Facts<'_>, now: Moment) -> Option<Step> {
    let stored = facts.status()?;
    let recorded = usize::try_from(stored.events_published.unwrap_or_default()).unwrap_or_default();
    let rests_since = stored.history.last()?.at;
    if recorded >= stored.history.len() || now < rests_since + AT_REST {
        return None;
    }
    let published = Some(count(facts.published.min(stored.history.len())));
    Some(Step::Write(Box::new(LockboxRequestStatus { events_published: published, ..stored.clone() })))
}

/// An action keeps failing: the request says so, and waits.
fn in_trouble(facts: &Facts<'_>, words: &str, now: Moment) -> Step {
    let mut status = facts.status().cloned().unwrap_or_default();
    conditions::degraded(&mut status, words, facts.request.metadata.generation, now);
    changed(facts, status).unwrap_or_else(|| Step::Sleep(wake(facts, None, now)))
}

/// The next deadline, or the moment at which to try again, whichever comes first. A deadline that has passed is what is being
/// worked on: then trying again alone counts, or it would be tried without a pause.
fn wake(facts: &Facts<'_>, again: Option<Moment>, now: Moment) -> Option<Moment> {
    let deadline = facts.status().filter(|_| !facts.phase().is_terminal()).and_then(|status| status.until);
    deadline.into_iter().filter(|deadline| *deadline > now).chain(again).min()
}

/// The write that brings the stored status to this one; none when it says the same already. What is written along with
/// the next change, whenever that comes, is no reason to write.
fn changed(facts: &Facts<'_>, mut status: LockboxRequestStatus) -> Option<Step> {
    if facts.status().is_some_and(|stored| says_the_same(stored, &status)) {
        return None;
    }
    status.events_published = Some(count(facts.published.min(status.history.len())));
    Some(Step::Write(Box::new(status)))
}

fn says_the_same(stored: &LockboxRequestStatus, new: &LockboxRequestStatus) -> bool {
    let essence = |status: &LockboxRequestStatus| {
        let mut status = status.clone();
        status.observed_generation = None;
        status.events_published = None;
        for condition in &mut status.conditions {
            condition.observed_generation = None;
        }
        status
    };
    essence(stored) == essence(new)
}

fn count(entries: usize) -> i64 {
    i64::try_from(entries).unwrap_or(i64::MAX)
}

/// Whether the request shows that something stands in its way.
pub fn is_degraded(status: &LockboxRequestStatus) -> bool {
    condition::holds(&status.conditions, conditions::DEGRADED)
}
