//! A request that is being deleted while it is open: no binding without a live request. Nothing is recorded, for the
//! record itself goes.

use lockbox_api::Moment;

use super::{Action, Step, approved::again};
use crate::facts::{Facts, GrantView};

pub(super) fn step(facts: &Facts<'_>, now: Moment) -> Step {
    let may_exist = facts.status().is_some_and(|status| status.grant.is_some());
    match facts.outcomes.grant {
        _ if !may_exist => Step::Sleep(None),
        GrantView::Ended { .. } => Step::Sleep(None),
        _ if facts.outcomes.not_ended.is_some() => Step::Sleep(Some(again(now, now))),
        _ => Step::Do(Action::EndGrant { early: true }),
    }
}
