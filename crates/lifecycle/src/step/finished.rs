//! A request that has ended: publish what is not yet published, then close it.

use lockbox_api::Moment;

use super::{Action, Step, approved::again, count};
use crate::facts::{Facts, GrantView};

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
    let mut status = status.clone();
    status.events_published = Some(count(status.history.len()));
    status.closed = Some(true);
    Step::Write(Box::new(status))
}
