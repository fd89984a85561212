//! What ends a request before anybody decides, or an access before its time.

use lockbox_api::{AuditAction, Moment, Phase, request::Ending};

use super::{Action, Next};
use crate::{
    facts::Facts,
    locks,
    reason::Reason,
    settings::{Off, Standing},
    transition::{Entry, Move, in_brackets},
};

/// What a requester wrote to withdraw the request or to return access, if it is really theirs.
fn own<'a>(facts: &'a Facts<'_>, ending: Option<&'a Ending>) -> Option<&'a Ending> {
    ending.filter(|ending| ending.by == facts.request.spec.requester.username)
}

/// The requester withdrew.
pub(super) fn withdrawal(facts: &Facts<'_>, action: AuditAction) -> Option<Move> {
    let ending = own(facts, facts.request.spec.cancellation.as_ref())?;
    let message = format!("{} withdrew the request; nothing was granted.", ending.by);
    let entry = Entry::by(action, &ending.by, ending.reason.clone());
    Some(Move::end(Phase::Cancelled, Reason::Withdrawn, message, entry))
}

/// How a phase that waits for somebody ends when nobody decides.
pub(super) struct Terms {
    /// Lockbox is switched off.
    pub off: (Phase, AuditAction),
    /// The time is up.
    pub expired: (Reason, &'static str, AuditAction),
    /// The requester withdraws or is locked, or it can no longer be told who wrote what.
    pub cancelled: (Phase, AuditAction),
}

/// What ends a request that waits until then, whatever is decided; none when it goes on waiting.
pub(super) fn waiting(facts: &Facts<'_>, until: Moment, terms: &Terms, now: Moment) -> Option<Next> {
    if let Standing::Off(off) = facts.settings.standing() {
        // A cache may be behind: what ends for good is decided from what is stored now.
        if !facts.outcomes.read {
            return Some(Next::First(Action::Read { request: false }));
        }
        let message = format!("{} Nothing was granted.", off.message);
        return Some(Move::end(terms.off.0, off.reason, message, Entry::of(terms.off.1)).into());
    }
    if now >= until {
        let (reason, message, action) = terms.expired;
        return Some(Move::end(Phase::Expired, reason, message, Entry::of(action)).into());
    }
    let locked = facts.settings.known().and_then(|settings| locks::of(settings, facts.request));
    if let Some(lock) = locked {
        if !facts.outcomes.read {
            return Some(Next::First(Action::Read { request: false }));
        }
        let (phase, action) = terms.cancelled;
        let message = format!("{} Nothing was granted.", locks::words(lock));
        return Some(Move::end(phase, Reason::RequesterLocked, message, Entry::of(action)).into());
    }
    withdrawal(facts, terms.cancelled.1).map(Next::from)
}

/// Why it can no longer be told who wrote a pending request; none while it can.
pub(super) fn voided(facts: &Facts<'_>, terms: &Terms) -> Option<Move> {
    let why = facts.proofs.voided(facts.created())?;
    let (phase, action) = terms.cancelled;
    Some(Move::end(phase, why.reason, why.message, Entry::of(action)))
}

/// Who ended an access early, and how.
pub(super) enum Early<'a> {
    /// The requester returned it.
    Released(&'a Ending),
    /// The customer ended it.
    Revoked(&'a Ending),
    /// A Global Administrator locked the requester: a sentence says so.
    Locked(String),
    /// A Global Administrator ended all access granted before a moment: a sentence says so.
    Stopped(String),
    /// Lockbox is off.
    Off(Off),
}

impl Early<'_> {
    /// Whether only the settings say so: then it matters what they say now, and only while there is time left.
    pub fn is_by_the_settings(&self) -> bool {
        matches!(self, Self::Locked(_) | Self::Stopped(_) | Self::Off(_))
    }
}

/// What ends an access that was approved then, before its time. The customer's revocation comes first.
pub(super) fn early<'a>(facts: &'a Facts<'_>, approved: Moment) -> Option<Early<'a>> {
    let spec = &facts.request.spec;
    if let Some(ending) = &spec.revocation {
        return Some(Early::Revoked(ending));
    }
    if let Some(ending) = own(facts, spec.release.as_ref()) {
        return Some(Early::Released(ending));
    }
    if let Some(settings) = facts.settings.known() {
        if let Some(lock) = locks::of(settings, facts.request) {
            return Some(Early::Locked(locks::words(lock)));
        }
        if let Some(stop) = settings.stop.as_ref().filter(|stop| approved < stop.before) {
            return Some(Early::Stopped(locks::stop_words(stop)));
        }
    }
    match facts.settings.standing() {
        Standing::Off(off) => Some(Early::Off(off)),
        Standing::On(_) | Standing::Unknown(_) => None,
    }
}

/// Where no admission policy filled in or compared the name, there may be none. An entry needs an actor all the same:
/// without one the API server would refuse the status, and the end could never be recorded.
fn named(by: &str) -> &str {
    if by.is_empty() { "an unnamed user" } else { by }
}

/// Records an early end.
pub(super) fn end_early(end: &Early<'_>) -> Move {
    match end {
        Early::Released(ending) => Move::end(
            Phase::Completed,
            Reason::Released,
            format!("{} returned access.", ending.by),
            Entry::by(AuditAction::CompleteAccess, &ending.by, ending.reason.clone()),
        ),
        Early::Revoked(ending) => {
            let by = named(&ending.by);
            Move::end(
                Phase::Revoked,
                Reason::RevokedByCustomer,
                format!("{by} ended the access{}.", in_brackets(ending.reason.as_deref())),
                Entry::by(AuditAction::RevokeAccess, by, ending.reason.clone())
                    .saying(format!("{by} ended the access.")),
            )
        }
        Early::Locked(message) => Move::end(
            Phase::Revoked,
            Reason::RequesterLocked,
            format!("{message} The access was ended."),
            Entry::of(AuditAction::RevokeAccess),
        ),
        Early::Stopped(message) => {
            Move::end(Phase::Revoked, Reason::AccessStopped, message, Entry::of(AuditAction::RevokeAccess))
        }
        Early::Off(off) => Move::end(
            Phase::Revoked,
            off.reason,
            format!("{} The access was ended.", off.message),
            Entry::of(AuditAction::RevokeAccess),
        ),
    }
}
