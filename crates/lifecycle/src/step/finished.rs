//! A request that has ended: publish what is not yet published, tell who is to be told, then close it.

use lockbox_api::Moment;

use super::{Action, Step, activity, approved::again, count};
use crate::{
    conditions,
    facts::{Facts, GrantView},
    notifications,
};

pub(super) fn step(facts: &Facts<'_>, now: Moment) -> Step {
    // Made for a request that has ended meanwhile: whoever made it ends it.
    let left_over = facts.outcomes.grant == GrantView::Present;
    if left_over && facts.outcomes.not_ended.is_none() {
        return Step::Do(Action::EndGrant { early: true });
    }
    let Some(status) = facts.status().filter(|status| status.closed != Some(true)) else { return Step::Sleep(None) };
    if facts.published < status.history.len() {
        return Step::Do(Action::Publish { after: facts.published });
    }
    if left_over {
        return Step::Sleep(Some(again(now, now)));
    }
    if let Some(messages) = notifications::to_tell(facts, now) {
        return Step::Do(Action::Tell { messages });
    }
    match activity::last(facts, status, now) {
        Some(Step::Sleep(at)) => return Step::Sleep(at.into_iter().chain(notifications::wake(facts, now)).min()),
        Some(step) => return step,
        None => {}
    }
    let mut status = status.clone();
    let recorded = notifications::record(facts, &mut status, now);
    conditions::derive(&mut status, facts.request.metadata.generation, now);
    let closes = status.history.len() == facts.published && notifications::all_is_told(facts);
    if !closes && !recorded {
        return Step::Sleep(notifications::wake(facts, now));
    }
    status.events_published = Some(count(facts.published));
    status.closed = closes.then_some(true);
    Step::Write(Box::new(status))
}
