//! How a request moves: one type for every transition, and one for staying.

use lockbox_api::{
    AuditAction, Duration, LockboxRequestStatus, Moment, Phase, names,
    request::{Grant, JitResult, NamedObject},
    time::text,
};

use crate::{
    approvers::Snapshot,
    evaluate::Proceed,
    history::{self, Happening},
    reason::Reason,
    text::clip,
    why::Why,
};

/// A move to another phase.
#[derive(Clone, Debug)]
pub(crate) struct Move {
    /// Where to.
    pub to: To,
    /// What the status says from now on.
    pub why: Why,
    /// The entry of the move.
    pub entry: Entry,
    /// Entries that come before it: decisions that do not count, and those that do.
    pub before: Vec<Happening>,
    /// What the evaluation found; on leaving Evaluating alone.
    pub evaluated: Option<Evaluated>,
}

/// Where a move leads, with what is recorded there once and for all.
#[derive(Clone, Debug)]
pub(crate) enum To {
    /// The provider's own approvers decide, until then.
    AwaitingInternalApproval {
        /// Until when.
        until: Moment,
    },
    /// The customer's approvers decide, until then.
    CustomerNotified {
        /// Until when.
        until: Moment,
    },
    /// It is approved.
    Approved {
        /// For how long from now.
        duration: Duration,
        /// What of the requested resources; none: the whole scope.
        resources: Option<Vec<NamedObject>>,
    },
    /// Access begins.
    AccessGranted,
    /// It ends, in a terminal phase.
    End(Phase),
}

/// What an evaluation leaves in the status.
#[derive(Clone, Debug)]
pub(crate) enum Evaluated {
    /// The request goes on.
    Proceeds(Box<Proceed>),
    /// It ends.
    Ends {
        /// What the rules said, if they were asked.
        jit: Option<JitResult>,
        /// Who may approve, if that was looked at.
        snapshot: Option<Snapshot>,
    },
}

/// The entry of a move, in the history.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    /// What happened.
    pub action: AuditAction,
    /// Who did it.
    pub actor: String,
    /// The reason that they gave.
    pub given: Option<String>,
    /// What happened, in a sentence; none: the status's own message.
    pub message: Option<String>,
    /// JIT rules that decided something.
    pub rules: Vec<String>,
    /// Facts that they used.
    pub facts: Vec<String>,
}

impl Entry {
    /// Done by Lockbox: a rule, or a clock.
    pub fn of(action: AuditAction) -> Self {
        Self::by(action, names::LOCKBOX, None)
    }

    /// Done by somebody, for the reason that they gave.
    pub fn by(action: AuditAction, actor: &str, given: Option<String>) -> Self {
        Self { action, actor: actor.into(), given, message: None, rules: vec![], facts: vec![] }
    }

    /// With a sentence of its own.
    pub fn saying(self, message: impl Into<String>) -> Self {
        Self { message: Some(message.into()), ..self }
    }

    /// With what the rules made of it.
    pub fn with_rules(self, rules: Vec<String>, facts: Vec<String>) -> Self {
        Self { rules, facts, ..self }
    }
}

impl From<Happening> for Entry {
    fn from(happening: Happening) -> Self {
        let Happening { action, actor, phase: _, reason, message, rules, facts } = happening;
        Self { action, actor, given: reason, message: Some(message), rules, facts }
    }
}

impl Move {
    /// A move with nothing before it.
    pub fn new(to: To, why: Why, entry: Entry) -> Self {
        Self { to, why, entry, before: vec![], evaluated: None }
    }

    /// The end of a request.
    pub fn end(phase: Phase, reason: Reason, message: impl AsRef<str>, entry: Entry) -> Self {
        Self::new(To::End(phase), Why::new(reason, message), entry)
    }

    /// With entries that come before its own.
    pub fn after(self, before: Vec<Happening>) -> Self {
        Self { before, ..self }
    }

    /// Writes the move into a status. It moves nothing on where the history has no room for its entry: what is not
    /// recorded did not happen. An end happens all the same.
    pub fn apply(self, status: &mut LockboxRequestStatus, uid: &str, now: Moment) -> Option<Moment> {
        let Self { to, why, entry, before, evaluated } = self;
        let phase = to.phase();
        for happening in before {
            history::append(&mut status.history, uid, now, happening);
        }
        let happening = Happening {
            action: entry.action,
            actor: entry.actor,
            phase,
            reason: entry.given,
            message: entry.message.unwrap_or_else(|| why.message.clone()),
            rules: entry.rules,
            facts: entry.facts,
        };
        let recorded = history::append(&mut status.history, uid, now, happening);
        if !recorded && !phase.is_terminal() {
            return None;
        }
        status.phase = Some(phase);
        status.reason = Some(why.reason.to_string());
        status.message = Some(why.message);
        if let Some(evaluated) = evaluated {
            evaluated.apply(status);
        }
        match to {
            To::AwaitingInternalApproval { until } => status.internal_until = Some(until),
            To::CustomerNotified { until } => {
                status.notified_at = Some(now);
                status.pending_until = Some(until);
            }
            To::Approved { duration, resources } => {
                status.duration = Some(duration);
                status.approved_at = Some(now);
                status.access_until = Some(now + duration.delta());
                status.grant = Some(Grant { name: names::grant(uid), resources });
            }
            To::AccessGranted => status.granted_at = Some(now),
            To::End(_) => status.ended_at = Some(now),
        }
        None
    }
}

impl To {
    const fn phase(&self) -> Phase {
        match self {
            Self::AwaitingInternalApproval { .. } => Phase::AwaitingInternalApproval,
            Self::CustomerNotified { .. } => Phase::CustomerNotified,
            Self::Approved { .. } => Phase::Approved,
            Self::AccessGranted => Phase::AccessGranted,
            Self::End(phase) => *phase,
        }
    }
}

impl Evaluated {
    fn apply(self, status: &mut LockboxRequestStatus) {
        match self {
            Self::Proceeds(proceed) => {
                status.duration = Some(proceed.duration);
                status.effect = Some(proceed.effect);
                status.barred = Some(proceed.barred);
                status.internal_approvals = proceed.internal_approvals;
                status.approvers = Some(proceed.snapshot.approvers);
                status.excluded_approvers = proceed.snapshot.excluded;
                // Only where the customer is asked; so whether there is a number says whether they are.
                status.required_approvals = proceed.customer_data.then_some(proceed.required);
                status.jit = Some(proceed.jit);
            }
            Self::Ends { jit, snapshot } => {
                status.jit = jit;
                if let Some(snapshot) = snapshot {
                    status.approvers = Some(snapshot.approvers);
                    status.excluded_approvers = snapshot.excluded;
                }
            }
        }
    }
}

/// The request stays in its phase and says what it waits for.
#[derive(Clone, Debug, Default)]
pub(crate) struct Stay {
    /// What it waits for; none: what it says already.
    pub why: Option<Why>,
    /// Entries of what happened meanwhile.
    pub entries: Vec<Happening>,
    /// Until when it waits to be evaluated.
    pub evaluate_until: Option<Moment>,
    /// When to try again, where nothing else says so.
    pub again: Option<Moment>,
}

impl Stay {
    /// Waits, and says for what.
    pub fn waiting(why: Why) -> Self {
        Self { why: Some(why), ..Self::default() }
    }

    /// With entries of what happened meanwhile.
    pub fn recording(self, entries: Vec<Happening>) -> Self {
        Self { entries, ..self }
    }

    /// And tries again then.
    pub fn until(self, again: Moment) -> Self {
        Self { again: Some(again), ..self }
    }

    /// Writes it into a status. Returns when to try again.
    pub fn apply(self, status: &mut LockboxRequestStatus, uid: &str, now: Moment) -> Option<Moment> {
        status.phase = Some(status.phase.unwrap_or_default());
        if let Some(why) = self.why {
            status.reason = Some(why.reason.to_string());
            status.message = Some(why.message);
        }
        if let Some(until) = self.evaluate_until {
            status.evaluate_until.get_or_insert(until);
        }
        for happening in self.entries {
            history::append(&mut status.history, uid, now, happening);
        }
        self.again
    }
}

/// What an approval's status says while access is being made.
pub(crate) fn being_made(until: Moment) -> Why {
    Why::new(Reason::Approved, format!("Approved; access is being made, until {}.", text(until)))
}

/// The reason that somebody gave, in brackets.
pub(crate) fn in_brackets(given: Option<&str>) -> String {
    given.map(|given| format!(" ({})", clip(given, 512))).unwrap_or_default()
}
