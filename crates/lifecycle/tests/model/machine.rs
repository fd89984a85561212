//! The machine that is checked: the operator's micro-steps around the shipped `step`, and everybody who acts beside it.
//!
//! A state is small: a status is stood for by a number, and what people wrote by a few bits. The objects are built again
//! when `step` is called, and what it answered is remembered.

use std::{
    collections::{HashMap, HashSet},
    sync::{Mutex, MutexGuard, PoisonError},
};

use lockbox_api::{
    AuditAction, LockboxRequest, LockboxRequestStatus, LockboxSettingsSpec, Phase, RoleAssignment, Verdict,
};
use lockbox_lifecycle::{Action, Facts, GrantView, Proof, Proofs, RoleView, Step, history, step};
use serde_json::json;
use stateright::{Model, Property};

use crate::world::{self, ALICE, BOB, CAROL, HOME, KIM, LEAD, UID, World, at};

/// Seconds that the net in the cluster waits after a grant's end.
const MARGIN: i64 = 5;
/// Seconds of the windows, short so that a state has few moments to jump to.
const INTERNAL: i64 = 30;
const PENDING: i64 = 40;
const GRANT: i64 = 20;
const CUT: i64 = 10;
/// The activation of an eligible approver ends here.
const ACTIVATION: i64 = 15;

/// A world to explore.
#[derive(Clone, Copy, Debug)]
pub struct Variant {
    pub name: &'static str,
    pub internal: bool,
    pub customer_data: bool,
    pub quorum: i32,
    pub eligible: bool,
    /// Whether the requester approves, too.
    pub own: bool,
    /// Whether the request may be withdrawn, given back and revoked; otherwise nobody ends it.
    pub endings: bool,
    /// How many of the three approvers act.
    pub approvers: usize,
    /// How often somebody other than requester, approvers and operator may act: administrator, saboteur.
    pub mischief: u8,
    pub crashes: u8,
}

/// A wrong operator. The checker has to find out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mutation {
    None,
    DeadlineIgnored,
    DenyIgnored,
    StatusBeforeBindingEnds,
    AccessUntilRecomputed,
    GrantFromStaleCopy,
    RequesterCounts,
    PublishDropped,
    CutDownForgotten,
    GrantWhileOff,
    GrantBeforeStatus,
    BlindWrite,
    BindingBeforeNet,
    HistoryShortened,
    ActivationIgnored,
    GrantUnproven,
    ApprovalUnproven,
}

/// What people wrote into the request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Written {
    /// By approver: nothing, Approve, Approve cut down, Deny.
    decisions: [u8; 3],
    own: bool,
    internal: u8,
    cancelled: bool,
    released: bool,
    revoked: bool,
}

/// A stored version of the request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Version {
    written: Written,
    /// Number of the status; 0: none.
    status: u32,
}

/// One call of the operator to the API server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Call {
    Job(i64),
    /// Owned by the Job, when that was made first.
    Bind {
        until: i64,
        owned: bool,
    },
    DropBinding,
    DropJob,
    Write(u32),
    Event(u8),
}

/// Entries that say that Lockbox believed somebody, or the requester.
const BELIEVED: [AuditAction; 5] = [
    AuditAction::RequestInternalApproval,
    AuditAction::ApproveInternally,
    AuditAction::CreateLockboxRequest,
    AuditAction::ApproveLockboxRequest,
    AuditAction::AutoApproveLockboxRequest,
];

/// What the operator knows of the grant that it has just tried to make.
const UNREAD: u8 = 0;
const PRESENT: u8 = 1;
const BLOCKED: u8 = 2;
const REFUSED: u8 = 3;

/// What the operator is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Operator {
    Idle,
    Deciding { copy: Version, fresh: bool, made: u8 },
    Performing { copy: Version, fresh: bool, made: u8, decided: u32, next: u8 },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct State {
    now: i64,
    stored: Version,
    cache: Version,
    /// 0: on, 1: off, 2: deleted.
    settings: u8,
    /// 0: as it was, 1: changed, 2: gone.
    role: u8,
    /// What is not proven; see [`proofs`].
    proofs: u8,
    alice_gone: bool,
    mischief: u8,
    crashes: u8,
    job: Option<i64>,
    binding: Option<i64>,
    /// The binding goes with its Job: also when the Job was gone before the binding came.
    owned: bool,
    events: u32,
    remembered: u8,
    operator: Operator,
    /// Rules that were broken on the way here, one bit each.
    broken: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Act {
    Decide(usize, u8),
    ApproveOneself,
    DecideInternally(u8),
    Cancel,
    Release,
    Revoke,
    Settings(u8),
    Role(u8),
    Proofs(u8),
    RemoveAssignment,
    RemoveBinding,
    Time(i64),
    Net,
    Sync,
    Observe,
    Operate,
    /// The API server does not let the grant be made: now, or for good.
    Hinder(u8),
    Crash,
}

/// What breaks a rule at the moment of a write; each a bit.
pub const OFF_THE_DIAGRAM: u32 = 1;
pub const DEADLINE_MOVED: u32 = 2;
pub const SNAPSHOT_CHANGED: u32 = 4;
pub const HISTORY_BROKEN: u32 = 8;
pub const ENTRY_TWICE: u32 = 16;
pub const ENDED_CHANGED: u32 = 32;
pub const DENY_OVERLOOKED: u32 = 64;
pub const TOO_LATE: u32 = 128;
pub const NOT_ENOUGH: u32 = 256;
pub const CUT_FORGOTTEN: u32 = 512;
pub const WHILE_OFF: u32 = 1024;
pub const EVENT_OF_NOTHING: u32 = 2048;
pub const OTHER_END: u32 = 4096;
pub const UNPROVEN: u32 = 8192;

/// 0: all is proven; 1: admission is not tried, 2: disproven; 3: the clock differs; 4: the safety net does not work; 5: all
/// is proven again, after it was not.
const UNTRIED: u8 = 1;
const FORGEABLE: u8 = 2;
const PUT_BACK: u8 = 5;
fn proofs(number: u8) -> Proofs {
    let all = Proofs::ALL;
    match number {
        UNTRIED => Proofs { admission: Proof::Unknown("not tried".into()), ..all },
        FORGEABLE => Proofs { admission: Proof::Disproven("a policy is gone".into()), ..all },
        3 => Proofs { clock: Proof::Disproven("it is late".into()), ..all },
        4 => Proofs { safety_net: Proof::Unknown("not tried".into()), ..all },
        PUT_BACK => Proofs { admission_since: at(1), ..all },
        _ => all,
    }
}

/// Everything that a decision depends on.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
struct Question {
    copy: Version,
    settings: u8,
    role: u8,
    proofs: u8,
    alice_gone: bool,
    /// Two bits: what an attempt came to; a third: whether the binding is there.
    grant: u8,
    published: u8,
    now: i64,
}

struct Decided {
    calls: Vec<Call>,
    makes: bool,
    quiet: bool,
    /// Broken by making this grant.
    by_grant: u32,
    /// Broken by writing this status.
    by_write: u32,
}

#[derive(Default)]
struct Memory {
    statuses: Vec<LockboxRequestStatus>,
    numbers: HashMap<String, u32>,
    decided: Vec<Decided>,
    answers: HashMap<Question, u32>,
    writes: HashMap<(u32, u32), u32>,
    ends: HashSet<State>,
}

impl Memory {
    fn status(&self, number: u32) -> Option<&LockboxRequestStatus> {
        number.checked_sub(1).and_then(|at| self.statuses.get(at as usize))
    }

    fn phase(&self, number: u32) -> Phase {
        self.status(number).and_then(|status| status.phase).unwrap_or_default()
    }

    fn number(&mut self, status: &LockboxRequestStatus) -> u32 {
        let text = serde_json::to_string(status).unwrap();
        if let Some(number) = self.numbers.get(&text) {
            return *number;
        }
        self.statuses.push(status.clone());
        let number = u32::try_from(self.statuses.len()).unwrap();
        self.numbers.insert(text, number);
        number
    }
}

pub struct Machine {
    variant: Variant,
    mutation: Mutation,
    request: LockboxRequest,
    settings: LockboxSettingsSpec,
    off: LockboxSettingsSpec,
    assignments: Vec<RoleAssignment>,
    memory: Mutex<Memory>,
}

impl Machine {
    pub fn new(variant: Variant, mutation: Mutation) -> Self {
        let mut base = if variant.customer_data { World::new() } else { World::without_customer_data() };
        base.change_settings(|spec| {
            spec["internalTimeout"] = json!(format!("{INTERNAL}s"));
            spec["pendingTimeout"] = json!(format!("{PENDING}s"));
            spec["grant"] = json!({"default": format!("{GRANT}s"), "maximum": "12h"});
            spec["approvals"] = json!({"required": variant.quorum});
            if variant.internal {
                spec["jit"]["rules"][0]["require"] =
                    json!({"internalApproval": {"approvers": [{"kind": "User", "name": LEAD}], "count": 1}});
            }
        });
        let off = base.clone().settings(|spec| spec["enabled"] = json!(false));
        let mut assignments = base.assignments.clone();
        if variant.eligible {
            assignments[0] = world::eligible(ALICE, "Owner", -100, Some((-50, ACTIVATION)));
        }
        Self {
            variant,
            mutation,
            request: base.request,
            settings: base.settings.unwrap(),
            off: off.settings.unwrap(),
            assignments,
            memory: Mutex::default(),
        }
    }

    fn memory(&self) -> MutexGuard<'_, Memory> {
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn phase(&self, state: &State) -> Phase {
        self.memory().phase(state.stored.status)
    }

    /// The request of a version, as the API server would hand it out.
    fn build(&self, version: Version, status: Option<&LockboxRequestStatus>) -> LockboxRequest {
        let mut built = World { request: self.request.clone(), ..World::new() };
        let written = version.written;
        for (user, decision) in [ALICE, BOB, CAROL].into_iter().zip(written.decisions) {
            match decision {
                1 => built.decide(user, json!({"verdict": "Approve"})),
                2 => built.decide(
                    user,
                    json!({"verdict": "Approve", "duration": format!("{CUT}s"), "resources": [{"resource": "pods", "name": "shop-0"}]}),
                ),
                3 => built.decide(user, json!({"verdict": "Deny"})),
                _ => {}
            }
        }
        if written.own {
            built.decide(KIM, json!({"verdict": "Approve"}));
        }
        match written.internal {
            1 => built.decide_internally(LEAD, json!({"verdict": "Approve"})),
            2 => built.decide_internally(LEAD, json!({"verdict": "Deny"})),
            _ => {}
        }
        let mut request = built.request;
        request.spec.cancellation = written.cancelled.then(|| world::ending(KIM)).flatten();
        request.spec.release = written.released.then(|| world::ending(KIM)).flatten();
        request.spec.revocation = written.revoked.then(|| world::ending(ALICE)).flatten();
        request.status = status.cloned();
        request
    }

    /// The shipped `step`, with what the mutation distorts of it.
    fn step_under_test(&self, facts: &Facts<'_>, now: i64) -> Step {
        let mut request = facts.request.clone();
        let status = request.status.clone().unwrap_or_default();
        let phase = facts.phase();
        let mut facts = *facts;
        let mut now = now;
        let assignments: Vec<RoleAssignment> =
            facts.assignments.iter().map(|assignment| (*assignment).clone()).collect();
        match self.mutation {
            Mutation::DeadlineIgnored => {
                if let Some(until) = status.until
                    && !phase.is_terminal()
                {
                    now = now.min((until - at(0)).num_seconds() - 1);
                }
            }
            Mutation::DenyIgnored => request.spec.decisions.retain(|_, decision| decision.verdict != Verdict::Deny),
            Mutation::RequesterCounts => {
                if let Some(own) = request.spec.decisions.remove(KIM) {
                    request.spec.decisions.insert(CAROL.into(), own);
                }
            }
            Mutation::CutDownForgotten => {
                for decision in request.spec.decisions.values_mut() {
                    (decision.duration, decision.resources) = (None, None);
                }
            }
            Mutation::GrantWhileOff if phase == Phase::Approved => facts.settings = Some(&self.settings),
            Mutation::GrantUnproven if phase == Phase::Approved => facts.proofs = &Proofs::ALL,
            Mutation::ApprovalUnproven if phase == Phase::CustomerNotified => facts.proofs = &Proofs::ALL,
            Mutation::ActivationIgnored => {
                if let Some(status) = request.status.as_mut() {
                    status.approvers.iter_mut().flatten().for_each(|approver| approver.active_until = None);
                }
            }
            _ => {}
        }
        let references: Vec<_> = assignments.iter().collect();
        let facts = Facts { request: &request, assignments: &references, ..facts };
        let mut next = step(&facts, at(now));
        match self.mutation {
            Mutation::StatusBeforeBindingEnds => {
                let (ends, before) =
                    next.before.drain(..).partition(|action| matches!(action, Action::EndGrant { .. }));
                next.before = before;
                next.after.splice(0..0, Vec::<Action>::from_iter::<Vec<Action>>(ends));
            }
            Mutation::AccessUntilRecomputed => {
                let until = at(now + GRANT);
                if let Some(status) = next.status.as_mut()
                    && status.phase == Some(Phase::AccessGranted)
                {
                    (status.access_until, status.until) = (Some(until), Some(until));
                }
            }
            Mutation::PublishDropped => next.after.clear(),
            Mutation::GrantBeforeStatus => {
                if let Some(status) = &next.status
                    && status.phase == Some(Phase::Approved)
                {
                    let mut approved = request.clone();
                    approved.status = Some(status.as_ref().clone());
                    let ahead = step(&Facts { request: &approved, ..facts }, at(now));
                    next.before.extend(ahead.before);
                }
            }
            Mutation::HistoryShortened => {
                if let Some(status) = next.status.as_mut()
                    && status.phase == Some(Phase::Completed)
                {
                    status.history.remove(0);
                }
            }
            _ => {}
        }
        next
    }

    /// Asks `step`, once for each question.
    fn decide(&self, question: Question) -> u32 {
        let mut memory = self.memory();
        if let Some(known) = memory.answers.get(&question) {
            return *known;
        }
        let old = memory.status(question.copy.status).cloned();
        let request = self.build(question.copy, old.as_ref());
        let assignments: Vec<_> = self.assignments.iter().skip(usize::from(question.alice_gone)).collect();
        let role = match (question.role, self.variant.customer_data) {
            (0, true) => RoleView::Rules(world::shell_rules()),
            (0, false) => RoleView::Rules(world::reading_rules()),
            (1, _) => RoleView::Rules(world::changed_rules()),
            _ => RoleView::Missing,
        };
        let grant = match question.grant {
            UNREAD => GrantView::Unread,
            BLOCKED => GrantView::Blocked("exceeded quota".into()),
            REFUSED => GrantView::Refused("the name is taken".into()),
            4 => GrantView::Absent,
            _ => GrantView::Present,
        };
        let facts = Facts {
            request: &request,
            settings: match question.settings {
                0 => Some(&self.settings),
                1 => Some(&self.off),
                _ => None,
            },
            assignments: &assignments,
            role: &role,
            grant: &grant,
            published: usize::from(question.published),
            proofs: &proofs(question.proofs),
            tenant_namespace: HOME,
        };
        let next = self.step_under_test(&facts, question.now);

        let seconds = |moment: lockbox_api::Moment| (moment - at(0)).num_seconds();
        let mut calls = vec![];
        let mut by_grant = 0;
        let length = next.status.as_deref().or(old.as_ref()).map_or(0, |status| status.history.len());
        let mut perform = |action: &Action, calls: &mut Vec<Call>| match action {
            Action::MakeGrant(plan) => {
                let until = seconds(plan.until);
                if self.mutation == Mutation::BindingBeforeNet {
                    calls.extend([Call::Bind { until, owned: false }, Call::Job(until + MARGIN)]);
                } else {
                    calls.extend([Call::Job(until + MARGIN), Call::Bind { until, owned: true }]);
                }
                if question.settings != 0 {
                    by_grant |= WHILE_OFF;
                }
                if !matches!(question.proofs, 0 | PUT_BACK) {
                    by_grant |= UNPROVEN;
                }
                let cut = question.copy.written.decisions.contains(&2);
                let reached: Vec<_> = plan.rules.iter().flat_map(|rule| rule.resource_names.iter().flatten()).collect();
                if cut && self.variant.quorum > 1 && reached.iter().any(|name| *name != "shop-0") {
                    by_grant |= CUT_FORGOTTEN;
                }
            }
            Action::EndGrant { early } => {
                calls.push(Call::DropBinding);
                if *early {
                    calls.push(Call::DropJob);
                }
            }
            Action::Publish { after } => {
                calls.extend((*after..length).map(|entry| Call::Event(u8::try_from(entry).unwrap())));
            }
        };
        for action in &next.before {
            perform(action, &mut calls);
        }
        let mut by_write = 0;
        if let Some(status) = &next.status {
            by_write = self.judge_approval(&question, old.as_ref(), status);
            let believed = |status: &LockboxRequestStatus| {
                status.history.iter().filter(|entry| BELIEVED.contains(&entry.action)).count()
            };
            let unchecked = matches!(question.proofs, UNTRIED | FORGEABLE | PUT_BACK);
            if unchecked && believed(status) > old.as_ref().map_or(0, believed) {
                by_write |= UNPROVEN;
            }
            calls.push(Call::Write(memory.number(status)));
        }
        for action in &next.after {
            perform(action, &mut calls);
        }
        let decided = Decided {
            calls,
            makes: next.before.iter().any(|action| matches!(action, Action::MakeGrant(_))),
            // After an attempt that was blocked, the operator looks again later.
            quiet: (next.status.is_none() && next.after.is_empty()) || question.grant == BLOCKED,
            by_grant,
            by_write,
        };
        memory.decided.push(decided);
        let number = u32::try_from(memory.decided.len() - 1).unwrap();
        memory.answers.insert(question, number);
        number
    }

    /// Whether an approval is one, reckoned here again and otherwise than `step` does.
    fn judge_approval(
        &self,
        question: &Question,
        old: Option<&LockboxRequestStatus>,
        new: &LockboxRequestStatus,
    ) -> u32 {
        let from = old.and_then(|status| status.phase).unwrap_or_default();
        if new.phase != Some(Phase::Approved) || from == Phase::Approved {
            return 0;
        }
        let mut broken = 0;
        if question.settings != 0 {
            broken |= WHILE_OFF;
        }
        if let Some(until) = old.and_then(|status| status.until)
            && at(question.now) >= until
        {
            broken |= TOO_LATE;
        }
        if !self.variant.customer_data {
            return broken;
        }
        let written = question.copy.written;
        let recorded = |user: &str| {
            old.is_some_and(|status| {
                status
                    .history
                    .iter()
                    .any(|entry| entry.action == AuditAction::ApproveLockboxRequest && entry.actor == user)
            })
        };
        let activation_ended = self.variant.eligible && question.now >= ACTIVATION;
        let alice_may = !question.alice_gone && !activation_ended;
        let mut approvals = 0;
        let mut cut = false;
        for (user, (decision, may)) in
            [ALICE, BOB, CAROL].into_iter().zip(written.decisions.into_iter().zip([alice_may, true, true]))
        {
            let refused = old.is_some_and(|status| {
                status.history.iter().any(|entry| entry.action == AuditAction::RejectDecision && entry.actor == user)
            });
            let counts = recorded(user) || (may && !refused);
            match decision {
                1 | 2 if counts => {
                    approvals += 1;
                    cut |= decision == 2;
                }
                3 if counts => broken |= DENY_OVERLOOKED,
                _ => {}
            }
        }
        if approvals < self.variant.quorum {
            broken |= NOT_ENOUGH;
        }
        let length = new.access_until.zip(new.approved_at).map(|(until, from)| (until - from).num_seconds());
        if length != Some(if cut { CUT } else { GRANT }) {
            broken |= CUT_FORGOTTEN;
        }
        broken
    }

    /// What a write breaks, looking at the two statuses alone.
    fn judge_write(&self, old: u32, new: u32) -> u32 {
        let mut memory = self.memory();
        if let Some(known) = memory.writes.get(&(old, new)) {
            return *known;
        }
        let empty = LockboxRequestStatus::default();
        let (a, b) = (memory.status(old).unwrap_or(&empty), memory.status(new).unwrap_or(&empty));
        let (from, to) = (a.phase.unwrap_or_default(), b.phase.unwrap_or_default());
        let mut broken = 0;
        if from != to && !from.next().contains(&to) {
            broken |= OFF_THE_DIAGRAM;
        }
        let moments = |status: &LockboxRequestStatus| {
            [
                status.evaluate_until,
                status.internal_until,
                status.notified_at,
                status.pending_until,
                status.approved_at,
                status.access_until,
                status.granted_at,
                status.ended_at,
            ]
        };
        if moments(a).into_iter().zip(moments(b)).any(|(one, other)| one.is_some() && one != other) {
            broken |= DEADLINE_MOVED;
        }
        let snapshot_moved = (a.approvers.is_some() && a.approvers != b.approvers)
            || (a.barred.is_some() && a.barred != b.barred)
            || (a.effect.is_some() && a.effect != b.effect)
            || (a.required_approvals.is_some() && a.required_approvals != b.required_approvals);
        if snapshot_moved {
            broken |= SNAPSHOT_CHANGED;
        }
        if !b.history.starts_with(&a.history) || history::verify(&b.history, UID).is_err() {
            broken |= HISTORY_BROKEN;
        }
        // No way through the diagram passes an action twice, but for different people's decisions.
        let mut seen = HashSet::new();
        if !b.history.iter().all(|entry| seen.insert((entry.action, entry.actor.clone()))) {
            broken |= ENTRY_TWICE;
        }
        let essence = |status: &LockboxRequestStatus| LockboxRequestStatus {
            events_published: None,
            closed: None,
            ..status.clone()
        };
        if from.is_terminal() && essence(a) != essence(b) {
            broken |= ENDED_CHANGED;
        }
        memory.writes.insert((old, new), broken);
        broken
    }

    /// One micro-step of the operator.
    fn operate(&self, state: &State) -> State {
        let mut state = *state;
        match state.operator {
            Operator::Idle => {}
            Operator::Deciding { copy, fresh, made } => {
                let phase = self.memory().phase(copy.status);
                if phase == Phase::Approved && !fresh && self.mutation != Mutation::GrantFromStaleCopy {
                    state.operator = Operator::Deciding { copy: state.stored, fresh: true, made };
                    return state;
                }
                let published = {
                    let memory = self.memory();
                    let recorded = memory.status(copy.status).and_then(|status| status.events_published).unwrap_or(0);
                    u8::try_from(recorded).unwrap().max(state.remembered)
                };
                let decided = self.decide(Question {
                    copy,
                    settings: state.settings,
                    role: if matches!(phase, Phase::Evaluating | Phase::Approved) { state.role } else { 0 },
                    proofs: state.proofs,
                    alice_gone: state.alice_gone,
                    grant: match (made, phase) {
                        (UNREAD, Phase::AccessGranted) => 4 + u8::from(state.binding.is_some()),
                        _ => made,
                    },
                    published,
                    now: state.now,
                });
                state.operator = Operator::Performing { copy, fresh, made: UNREAD, decided, next: 0 };
                let nothing = self.memory().decided[decided as usize].calls.is_empty();
                if nothing {
                    state.operator = Operator::Idle;
                }
            }
            Operator::Performing { copy, fresh, decided, next, .. } => {
                let (call, last, makes, quiet, by_grant, by_write) = {
                    let memory = self.memory();
                    let decided = &memory.decided[decided as usize];
                    let next = usize::from(next);
                    let last = next + 1 == decided.calls.len();
                    (decided.calls[next], last, decided.makes, decided.quiet, decided.by_grant, decided.by_write)
                };
                let (mut copy, mut fresh) = (copy, fresh);
                match call {
                    Call::Job(until) => state.job = state.job.or(Some(until)),
                    Call::Bind { until, owned } => {
                        state.owned = owned;
                        state.broken |= by_grant;
                        let recorded = self.memory().status(state.stored.status).and_then(|status| status.access_until);
                        if recorded != Some(at(until)) {
                            state.broken |= OTHER_END;
                        }
                        state.binding = state.binding.or(Some(until));
                    }
                    Call::DropBinding => state.binding = None,
                    Call::DropJob => (state.job, state.binding) = (None, None),
                    Call::Write(status) => {
                        if state.stored != copy && self.mutation != Mutation::BlindWrite {
                            // A conflict: the operator looks again later.
                            state.operator = Operator::Idle;
                            return state;
                        }
                        state.broken |= by_write | self.judge_write(state.stored.status, status);
                        state.stored.status = status;
                        (copy, fresh) = (state.stored, true);
                        if self.memory().status(status).is_some_and(|status| status.closed == Some(true)) {
                            state.remembered = 0;
                            state.operator = Operator::Idle;
                            return state;
                        }
                    }
                    Call::Event(entry) => {
                        let memory = self.memory();
                        let published = memory.status(copy.status).and_then(|s| s.history.get(usize::from(entry)));
                        let recorded =
                            memory.status(state.stored.status).and_then(|s| s.history.get(usize::from(entry)));
                        if published.is_none() || published != recorded {
                            state.broken |= EVENT_OF_NOTHING;
                        }
                        state.events |= 1 << entry;
                        if last {
                            state.remembered = entry + 1;
                        }
                    }
                }
                state.operator = if !last {
                    Operator::Performing {
                        copy,
                        fresh,
                        made: if makes { PRESENT } else { UNREAD },
                        decided,
                        next: next + 1,
                    }
                } else if quiet {
                    Operator::Idle
                } else {
                    Operator::Deciding { copy, fresh, made: if makes { PRESENT } else { UNREAD } }
                };
            }
        }
        state
    }

    /// Whether the request ends, is recorded as closed, fully published, and without access, if from here on the
    /// operator keeps running, time passes, and nobody else does anything.
    fn ends(&self, from: &State) -> bool {
        let mut state = *from;
        let mut way = vec![];
        for _ in 0..400 {
            if self.memory().ends.contains(&state) {
                self.memory().ends.extend(way);
                return true;
            }
            way.push(state);
            if state.operator != Operator::Idle {
                state = self.operate(&state);
                continue;
            }
            let (closed, length, until) = {
                let memory = self.memory();
                let status = memory.status(state.stored.status);
                (
                    status.is_some_and(|status| status.closed == Some(true)),
                    status.map_or(0, |status| status.history.len()),
                    status.and_then(|status| status.until).map(|until| (until - at(0)).num_seconds()),
                )
            };
            if closed {
                let all = (1_u32 << length) - 1;
                if state.binding.is_some() || state.events != all {
                    return false;
                }
                self.memory().ends.extend(way);
                return true;
            }
            state.cache = state.stored;
            let looking =
                State { operator: Operator::Deciding { copy: state.cache, fresh: false, made: UNREAD }, ..state };
            let mut after = self.operate(&looking);
            if matches!(after.operator, Operator::Deciding { .. }) {
                after = self.operate(&after);
            }
            if after.operator == Operator::Idle {
                // Nothing to do now: time passes until the deadline.
                match until {
                    Some(until) if until > state.now => state.now = until,
                    _ => return false,
                }
            } else {
                state = after;
            }
        }
        false
    }

    fn makes_a_grant(&self, state: &State) -> bool {
        let Operator::Performing { decided, next, .. } = state.operator else { return false };
        matches!(self.memory().decided[decided as usize].calls[usize::from(next)], Call::Job(_) | Call::Bind { .. })
    }

    fn granted_by_the_book(&self, state: &State) -> bool {
        let Some(until) = state.binding else { return true };
        let memory = self.memory();
        let Some(status) = memory.status(state.stored.status) else { return false };
        let approvals =
            status.history.iter().filter(|entry| entry.action == AuditAction::ApproveLockboxRequest).count();
        let automatic = status.history.iter().any(|entry| entry.action == AuditAction::AutoApproveLockboxRequest);
        let denied = status.history.iter().any(|entry| entry.action == AuditAction::DenyLockboxRequest);
        matches!(status.phase, Some(Phase::Approved | Phase::AccessGranted))
            && status.access_until == Some(at(until))
            && !denied
            && (automatic || i32::try_from(approvals).unwrap() >= self.variant.quorum)
    }
}

impl Model for Machine {
    type State = State;
    type Action = Act;

    fn init_states(&self) -> Vec<State> {
        let made = Version { written: Written::default(), status: 0 };
        vec![State {
            now: 0,
            stored: made,
            cache: made,
            settings: 0,
            role: 0,
            proofs: 0,
            alice_gone: false,
            mischief: self.variant.mischief,
            crashes: self.variant.crashes,
            job: None,
            binding: None,
            owned: false,
            events: 0,
            remembered: 0,
            operator: Operator::Idle,
            broken: 0,
        }]
    }

    fn actions(&self, state: &State, acts: &mut Vec<Act>) {
        let (phase, until, closed) = {
            let memory = self.memory();
            let status = memory.status(state.stored.status);
            (
                memory.phase(state.stored.status),
                status.and_then(|status| status.until).map(|until| (until - at(0)).num_seconds()),
                status.is_some_and(|status| status.closed == Some(true)),
            )
        };
        let written = state.stored.written;
        match phase {
            Phase::AwaitingInternalApproval if written.internal == 0 => {
                acts.extend([Act::DecideInternally(1), Act::DecideInternally(2)]);
            }
            Phase::CustomerNotified => {
                // Bob and Carol are alike: who comes second waits for the first.
                for approver in 0..self.variant.approvers {
                    let in_turn = approver < 2 || written.decisions[1] != 0;
                    if written.decisions[approver] == 0 && in_turn {
                        acts.extend((1..=3).map(|decision| Act::Decide(approver, decision)));
                    }
                }
                if self.variant.own && !written.own {
                    acts.push(Act::ApproveOneself);
                }
            }
            _ => {}
        }
        let pending = matches!(phase, Phase::Evaluating | Phase::AwaitingInternalApproval | Phase::CustomerNotified);
        if self.variant.endings && pending && !written.cancelled {
            acts.push(Act::Cancel);
        }
        if self.variant.endings && matches!(phase, Phase::Approved | Phase::AccessGranted) {
            if !written.released {
                acts.push(Act::Release);
            }
            if !written.revoked {
                acts.push(Act::Revoke);
            }
        }
        if state.mischief > 0 && !phase.is_terminal() {
            acts.extend((0..3).filter(|settings| *settings != state.settings).map(Act::Settings));
            acts.extend((1..3).filter(|role| *role != state.role).map(Act::Role));
            acts.extend((0..5).filter(|proofs| state.proofs == 0 && *proofs != 0).map(Act::Proofs));
            if !state.alice_gone {
                acts.push(Act::RemoveAssignment);
            }
            if state.binding.is_some() {
                acts.push(Act::RemoveBinding);
            }
        }
        // What was not proven is proven again by itself; what was forged meanwhile stays.
        match state.proofs {
            0 | PUT_BACK => {}
            FORGEABLE => acts.push(Act::Proofs(PUT_BACK)),
            _ => acts.push(Act::Proofs(0)),
        }
        let mut moments = vec![];
        if !phase.is_terminal() {
            moments.extend(until);
        }
        if self.variant.eligible && phase == Phase::CustomerNotified {
            moments.push(ACTIVATION);
        }
        let mut jumps: Vec<_> = moments.iter().flat_map(|moment| [moment - 1, *moment, moment + 1]).collect();
        jumps.retain(|moment| *moment > state.now);
        jumps.sort_unstable();
        jumps.dedup();
        acts.extend(jumps.into_iter().map(Act::Time));
        if let Some(net) = state.job.filter(|net| *net > state.now) {
            acts.push(Act::Time(net));
        }
        let left_behind = state.binding.is_some() && state.owned && state.job.is_none();
        if left_behind || state.job.is_some_and(|until| state.now >= until) {
            acts.push(Act::Net);
        }
        if state.cache != state.stored {
            acts.push(Act::Sync);
        }
        match state.operator {
            Operator::Idle if !closed || state.cache != state.stored => acts.push(Act::Observe),
            Operator::Idle => {}
            Operator::Deciding { .. } | Operator::Performing { .. } => {
                acts.push(Act::Operate);
                if state.mischief > 0 && self.makes_a_grant(state) {
                    acts.extend([Act::Hinder(BLOCKED), Act::Hinder(REFUSED)]);
                }
                if state.crashes > 0 {
                    acts.push(Act::Crash);
                }
            }
        }
    }

    fn next_state(&self, state: &State, act: Act) -> Option<State> {
        let mut next = *state;
        let written = &mut next.stored.written;
        match act {
            Act::Decide(approver, decision) => written.decisions[approver] = decision,
            Act::ApproveOneself => written.own = true,
            Act::DecideInternally(decision) => written.internal = decision,
            Act::Cancel => written.cancelled = true,
            Act::Release => written.released = true,
            Act::Revoke => written.revoked = true,
            Act::Settings(settings) => (next.settings, next.mischief) = (settings, state.mischief - 1),
            Act::Role(role) => (next.role, next.mischief) = (role, state.mischief - 1),
            Act::Proofs(proofs) => {
                next.mischief -= u8::from(state.proofs == 0);
                next.proofs = proofs;
            }
            Act::RemoveAssignment => (next.alice_gone, next.mischief) = (true, state.mischief - 1),
            Act::RemoveBinding => (next.binding, next.mischief) = (None, state.mischief - 1),
            Act::Time(now) => next.now = now,
            Act::Net => (next.job, next.binding) = (None, None),
            Act::Sync => next.cache = state.stored,
            Act::Observe => next.operator = Operator::Deciding { copy: state.cache, fresh: false, made: UNREAD },
            Act::Operate => next = self.operate(state),
            Act::Hinder(made) => {
                let Operator::Performing { copy, fresh, .. } = state.operator else { return None };
                next.operator = Operator::Deciding { copy, fresh, made };
                next.mischief -= 1;
            }
            Act::Crash => {
                next.operator = Operator::Idle;
                next.remembered = 0;
                next.crashes -= 1;
            }
        }
        (next != *state).then_some(next)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            Property::always(
                "a binding stands on a recorded approval, its end and a live request",
                Self::granted_by_the_book,
            ),
            Property::always("the net in the cluster holds every binding", |_, state: &State| {
                state.binding.is_none_or(|until| state.owned && state.job.is_none_or(|job| job <= until + MARGIN))
            }),
            Property::always("the phase moves along the diagram", |_, state: &State| {
                state.broken & OFF_THE_DIAGRAM == 0
            }),
            Property::always("what has ended stays as it ended", |_, state: &State| state.broken & ENDED_CHANGED == 0),
            Property::always("no deadline moves", |_, state: &State| state.broken & DEADLINE_MOVED == 0),
            Property::always("the snapshot never changes", |_, state: &State| state.broken & SNAPSHOT_CHANGED == 0),
            Property::always("the history grows and verifies", |_, state: &State| state.broken & HISTORY_BROKEN == 0),
            Property::always("each entry is there once", |_, state: &State| state.broken & ENTRY_TWICE == 0),
            Property::always("the first Deny wins", |_, state: &State| state.broken & DENY_OVERLOOKED == 0),
            Property::always("a decision met after its deadline never counts", |_, state: &State| {
                state.broken & TOO_LATE == 0
            }),
            Property::always("enough approvers approved, none of them the requester", |_, state: &State| {
                state.broken & NOT_ENOUGH == 0
            }),
            Property::always("what one approver cut down stays cut down", |_, state: &State| {
                state.broken & CUT_FORGOTTEN == 0
            }),
            Property::always("nothing is approved or granted while off", |_, state: &State| {
                state.broken & WHILE_OFF == 0
            }),
            Property::always("nothing is believed or granted that is not proven", |_, state: &State| {
                state.broken & UNPROVEN == 0
            }),
            Property::always("every Event is of an entry in the history", |_, state: &State| {
                state.broken & EVENT_OF_NOTHING == 0
            }),
            Property::always("a binding ends when status says so", |_, state: &State| state.broken & OTHER_END == 0),
            Property::always("every request ends, closed, published and without access", |machine, state| {
                Self::ends(machine, state)
            }),
            Property::sometimes("somebody gets access", |_, state: &State| state.binding.is_some()),
            Property::sometimes("a request ends by itself", |machine, state| {
                Self::phase(machine, state) == Phase::Completed
            }),
            Property::sometimes("a request fails", |machine, state| Self::phase(machine, state) == Phase::Failed),
        ]
    }
}
