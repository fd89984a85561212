//! The machine that is checked: the operator's micro-steps around the shipped `step`, and everybody who acts beside it.
//!
//! A state is small: a status is stood for by a number, and what people wrote by a few bits. The objects are built again
//! when `step` is called, and what it answered is remembered. What `step` asks for (reads, trials, the grant) is done by
//! the machine one call at a time, and anybody may act between two of them.

use std::{
    collections::{HashMap, HashSet},
    sync::{Mutex, MutexGuard, PoisonError},
};

use lockbox_api::{
    AuditAction, LockboxRequest, LockboxRequestStatus, LockboxSettingsSpec, Phase, RoleAssignment, Verdict,
};
use lockbox_lifecycle::{
    Action, Attempt, Channels, Facts, Forgery, GrantView, OpenRequests, Outcomes, PlacementView, Proof, Proofs,
    RoleView, SettingsView, Step, history, step,
};
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
    AccessHidden,
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
    /// Something forged.
    Try,
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

/// What came of an attempt at making the grant.
const BLOCKED: u8 = 1;
const REFUSED: u8 = 2;

/// What an operator has found out since it turned to the request: [`Outcomes`], small.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
struct Known {
    /// Settings, role, and whether Alice's assignment is gone, as they were read.
    read: Option<(u8, u8, bool)>,
    request_read: bool,
    placed: bool,
    forgery: Tried,
    grant: Grant,
    attempt: u8,
    not_ended: bool,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
enum Tried {
    #[default]
    No,
    Refused,
    LetIn,
    Unknown,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
enum Grant {
    #[default]
    Unknown,
    Absent,
    Present,
    Ended {
        was_there: bool,
    },
}

impl Known {
    fn outcomes(self) -> Outcomes {
        Outcomes {
            read: self.read.is_some(),
            request_read: self.request_read,
            placement: if self.placed { PlacementView::Fits } else { PlacementView::Untried },
            forgery: match self.forgery {
                Tried::No => Forgery::Untried,
                Tried::Refused => Forgery::Refused,
                Tried::LetIn => Forgery::LetIn("a decision was let in.".into()),
                Tried::Unknown => Forgery::Unknown("it could not be tried.".into()),
            },
            grant: match self.grant {
                Grant::Unknown => GrantView::Unknown,
                Grant::Absent => GrantView::Absent,
                Grant::Present => GrantView::Present,
                Grant::Ended { was_there } => GrantView::Ended { was_there },
            },
            attempt: match self.attempt {
                BLOCKED => Attempt::Blocked("exceeded quota".into()),
                REFUSED => Attempt::Refused("the name is taken".into()),
                _ => Attempt::None,
            },
            not_ended: self.not_ended.then(|| "a webhook denied the request".into()),
            trouble: None,
        }
    }
}

/// What the operator is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Operator {
    Idle,
    Working { copy: Version, known: Known },
    Performing { copy: Version, known: Known, decided: u32, next: u8 },
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
    /// Somebody's webhook does not let the grant be ended.
    HinderEnd,
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
pub const HIDDEN: u32 = 16384;

/// 0: all is proven; 1: admission is not tried, 2: disproven; 3: the clock differs; 4: the safety net does not work; 5: all
/// is proven again, after it was not.
const UNTRIED: u8 = 1;
const FORGEABLE: u8 = 2;
const PUT_BACK: u8 = 5;
fn proofs(number: u8) -> Proofs {
    let all = Proofs::ALL;
    match number {
        UNTRIED => Proofs { authentic: Proof::Unknown("not tried".into()), ..all },
        FORGEABLE => Proofs { authentic: Proof::Disproven("a policy is gone".into()), ..all },
        3 => Proofs { clock: Proof::Disproven("it is late".into()), ..all },
        4 => Proofs { safety_net: Proof::Unknown("not tried".into()), ..all },
        PUT_BACK => Proofs { authentic_since: at(1), ..all },
        _ => all,
    }
}

/// Everything that a decision depends on.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
struct Question {
    copy: Version,
    known: Known,
    settings: u8,
    proofs: u8,
    published: u8,
    now: i64,
}

/// What a step asks for.
#[derive(Clone, Debug)]
enum Asked {
    Nothing,
    Read {
        request: bool,
    },
    Placement,
    FindGrant,
    /// Calls that write, one after the other.
    Calls(Vec<Call>),
}

struct Decided {
    asked: Asked,
    makes: bool,
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
        let mut outcomes = facts.outcomes.clone();
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
            Mutation::GrantWhileOff if phase == Phase::Approved => {
                facts.settings = SettingsView::Known(&self.settings);
            }
            Mutation::GrantUnproven if phase == Phase::Approved => {
                facts.proofs = &Proofs::ALL;
                outcomes.forgery = Forgery::Refused;
            }
            Mutation::ApprovalUnproven if phase == Phase::CustomerNotified => facts.proofs = &Proofs::ALL,
            Mutation::ActivationIgnored => {
                if let Some(status) = request.status.as_mut() {
                    status.approvers.iter_mut().flatten().for_each(|approver| approver.active_until = None);
                }
            }
            Mutation::GrantFromStaleCopy => outcomes.request_read = true,
            Mutation::AccessHidden => {
                if let GrantView::Ended { was_there } = &mut outcomes.grant {
                    *was_there = false;
                }
            }
            _ => {}
        }
        let lasting: Vec<RoleAssignment>;
        if self.mutation == Mutation::ActivationIgnored {
            lasting = facts.assignments.iter().map(|assignment| world::lasting(assignment.clone())).collect();
            facts.assignments = &lasting;
        }
        let facts = Facts { request: &request, outcomes: &outcomes, ..facts };
        let next = step(&facts, at(now));
        let again = |outcomes: Outcomes| step(&Facts { outcomes: &outcomes, ..facts }, at(now));
        match (self.mutation, next) {
            (Mutation::StatusBeforeBindingEnds, Step::Do(Action::EndGrant { .. })) if !phase.is_terminal() => {
                again(Outcomes { grant: GrantView::Ended { was_there: true }, ..outcomes.clone() })
            }
            (Mutation::AccessUntilRecomputed, Step::Write(mut status)) => {
                if status.phase == Some(Phase::AccessGranted) {
                    let until = at(now + GRANT);
                    (status.access_until, status.until) = (Some(until), Some(until));
                }
                Step::Write(status)
            }
            (Mutation::PublishDropped, Step::Do(Action::Publish { .. })) => Step::Sleep(None),
            (Mutation::GrantBeforeStatus, Step::Write(status))
                if status.phase == Some(Phase::Approved)
                    && phase != Phase::Approved
                    && outcomes.grant != GrantView::Present =>
            {
                let mut approved = request.clone();
                approved.status = Some(status.as_ref().clone());
                let all = Outcomes { read: true, request_read: true, forgery: Forgery::Refused, ..outcomes.clone() };
                match step(&Facts { request: &approved, outcomes: &all, ..facts }, at(now)) {
                    Step::Do(Action::MakeGrant(plan)) => Step::Do(Action::MakeGrant(plan)),
                    _ => Step::Write(status),
                }
            }
            (Mutation::HistoryShortened, Step::Write(mut status)) => {
                if status.phase == Some(Phase::Completed) {
                    status.history.remove(0);
                }
                Step::Write(status)
            }
            (_, next) => next,
        }
    }

    fn settings_of(&self, number: u8) -> SettingsView<'_> {
        match number {
            0 => SettingsView::Known(&self.settings),
            1 => SettingsView::Known(&self.off),
            _ => SettingsView::Missing,
        }
    }

    /// Asks `step`, once for each question.
    fn decide(&self, question: Question) -> u32 {
        let mut memory = self.memory();
        if let Some(known) = memory.answers.get(&question) {
            return *known;
        }
        let old = memory.status(question.copy.status).cloned();
        let request = self.build(question.copy, old.as_ref());
        let (settings, role, alice_gone) = question.known.read.unwrap_or((question.settings, 0, false));
        let role = match (question.known.read.is_some(), role, self.variant.customer_data) {
            (false, ..) => RoleView::Unread,
            (_, 0, true) => RoleView::Rules(world::shell_rules()),
            (_, 0, false) => RoleView::Rules(world::reading_rules()),
            (_, 1, _) => RoleView::Rules(world::changed_rules()),
            _ => RoleView::Missing,
        };
        let facts = Facts {
            request: &request,
            settings: self.settings_of(settings),
            assignments: self.assignments.get(usize::from(alice_gone)..).unwrap(),
            role: &role,
            outcomes: &question.known.outcomes(),
            published: usize::from(question.published),
            open: OpenRequests { of_requester: 1, in_namespace: 1 },
            proofs: &proofs(question.proofs),
            channels: Channels::default(),
            deliveries: &[],
            tenant_namespace: HOME,
            activity: None,
        };
        let (mut by_grant, mut by_write, mut makes) = (0, 0, false);
        let asked = match self.step_under_test(&facts, question.now) {
            Step::Sleep(_) => Asked::Nothing,
            Step::Do(Action::Tell { .. }) => panic!("nobody can be told in this model"),
            Step::Do(Action::Read { request }) => Asked::Read { request },
            Step::Do(Action::TryPlacement) => Asked::Placement,
            Step::Do(Action::PrepareGrant(plan)) => {
                let until = (plan.until() - at(0)).num_seconds();
                Asked::Calls(vec![Call::Job(until + MARGIN), Call::Try])
            }
            Step::Do(Action::FindGrant) => Asked::FindGrant,
            Step::Do(Action::MakeGrant(plan)) => {
                makes = true;
                if settings != 0 {
                    by_grant |= WHILE_OFF;
                }
                if !matches!(question.proofs, 0 | PUT_BACK) || question.known.forgery != Tried::Refused {
                    by_grant |= UNPROVEN;
                }
                let cut = question.copy.written.decisions.contains(&2);
                let reached: Vec<_> =
                    plan.rules().iter().flat_map(|rule| rule.resource_names.iter().flatten()).collect();
                if cut && self.variant.quorum > 1 && reached.iter().any(|name| *name != "shop-0") {
                    by_grant |= CUT_FORGOTTEN;
                }
                let until = (plan.until() - at(0)).num_seconds();
                Asked::Calls(if self.mutation == Mutation::BindingBeforeNet {
                    vec![Call::Bind { until, owned: false }, Call::Job(until + MARGIN)]
                } else {
                    vec![Call::Job(until + MARGIN), Call::Bind { until, owned: true }]
                })
            }
            Step::Do(Action::EndGrant { early }) => {
                Asked::Calls([Call::DropBinding].into_iter().chain(early.then_some(Call::DropJob)).collect())
            }
            Step::Do(Action::Publish { after }) => {
                let length = old.as_ref().map_or(0, |status| status.history.len());
                Asked::Calls((after..length).map(|entry| Call::Event(u8::try_from(entry).unwrap())).collect())
            }
            Step::Write(status) => {
                by_write = self.judge_approval(&question, old.as_ref(), &status);
                let believed = |status: &LockboxRequestStatus| {
                    status.history.iter().filter(|entry| BELIEVED.contains(&entry.action)).count()
                };
                let unchecked = matches!(question.proofs, UNTRIED | FORGEABLE | PUT_BACK);
                if unchecked && believed(&status) > old.as_ref().map_or(0, believed) {
                    by_write |= UNPROVEN;
                }
                let recorded = status.history.iter().any(|entry| entry.action == AuditAction::GrantAccess);
                let was_there = question.known.grant == (Grant::Ended { was_there: true });
                if was_there && status.ended_at.is_some() && !recorded {
                    by_write |= HIDDEN;
                }
                Asked::Calls(vec![Call::Write(memory.number(&status))])
            }
        };
        memory.decided.push(Decided { asked, makes, by_grant, by_write });
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
        let (settings, _, alice_gone) = question.known.read.unwrap_or((question.settings, 0, false));
        if settings != 0 {
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
        let alice_may = !alice_gone && !activation_ended;
        let mut approvals = 0;
        let mut cut = false;
        for (user, (decision, may)) in
            [ALICE, BOB, CAROL].into_iter().zip(written.decisions.into_iter().zip([alice_may, true, true]))
        {
            let refused = old.is_some_and(|status| {
                status.history.iter().any(|entry| entry.action == AuditAction::RejectDecision && entry.actor == user)
            });
            // Recorded or not, at the moment of the approval its author must still be an approver.
            let counts = may && (recorded(user) || !refused);
            match decision {
                1 | 2 if counts => {
                    approvals += 1;
                    cut |= decision == 2;
                }
                // Who was asked may say no in any case.
                3 => broken |= DENY_OVERLOOKED,
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
            Operator::Working { copy, known } => state.operator = self.work(&state, copy, known),
            Operator::Performing { copy, known, decided, next } => {
                let (call, last, makes, by_grant, by_write) = {
                    let memory = self.memory();
                    let decided = &memory.decided[decided as usize];
                    let Asked::Calls(calls) = &decided.asked else { unreachable!("it performs calls") };
                    let call = calls[usize::from(next)];
                    (call, usize::from(next) + 1 == calls.len(), decided.makes, decided.by_grant, decided.by_write)
                };
                let (mut copy, mut known) = (copy, known);
                match call {
                    Call::Job(until) => state.job = state.job.or(Some(until)),
                    Call::Try => {
                        known.forgery = match state.proofs {
                            FORGEABLE => Tried::LetIn,
                            UNTRIED => Tried::Unknown,
                            _ => Tried::Refused,
                        };
                    }
                    Call::Bind { until, owned } => {
                        state.owned = owned;
                        state.broken |= by_grant;
                        let recorded = self.memory().status(state.stored.status).and_then(|status| status.access_until);
                        if recorded != Some(at(until)) {
                            state.broken |= OTHER_END;
                        }
                        state.binding = state.binding.or(Some(until));
                    }
                    Call::DropBinding => {
                        let was_there = state.binding.take().is_some() || known.grant == Grant::Present;
                        (known.grant, known.not_ended) = (Grant::Ended { was_there }, false);
                    }
                    Call::DropJob => (state.job, state.binding) = (None, None),
                    Call::Write(_) if state.stored != copy && self.mutation != Mutation::BlindWrite => {
                        // A conflict: the request is read again, and what was done is still done.
                        (copy, known.request_read) = (state.stored, true);
                    }
                    Call::Write(status) => {
                        state.broken |= by_write | self.judge_write(state.stored.status, status);
                        state.stored.status = status;
                        (copy, known.request_read) = (state.stored, true);
                        if self.memory().status(status).is_some_and(|status| status.closed == Some(true)) {
                            state.remembered = 0;
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
                if last && makes {
                    (known.grant, known.attempt) = (Grant::Present, 0);
                }
                state.operator = if last && matches!(call, Call::Write(_)) {
                    Operator::Working { copy, known }
                } else if last {
                    // Nobody sees whether the operator thinks at once or a moment later.
                    self.work(&state, copy, known)
                } else {
                    Operator::Performing { copy, known, decided, next: next + 1 }
                };
            }
        }
        state
    }

    /// Takes steps until one writes something, or nothing is left to do. Reads and trials change nothing, so nobody has to
    /// act between them: what is stale by the time of the write is stale all the same.
    fn work(&self, state: &State, mut copy: Version, mut known: Known) -> Operator {
        loop {
            let published = {
                let memory = self.memory();
                let recorded = memory.status(copy.status).and_then(|status| status.events_published).unwrap_or(0);
                u8::try_from(recorded).unwrap().max(state.remembered)
            };
            let (settings, proofs, now) = (state.settings, state.proofs, state.now);
            let decided = self.decide(Question { copy, known, settings, proofs, published, now });
            let asked = self.memory().decided[decided as usize].asked.clone();
            match asked {
                Asked::Nothing => return Operator::Idle,
                Asked::Read { request } => {
                    known.read = Some((state.settings, state.role, state.alice_gone));
                    if request {
                        (copy, known.request_read) = (state.stored, true);
                    }
                }
                Asked::Placement => known.placed = true,
                Asked::FindGrant => {
                    known.grant = if state.binding.is_some() { Grant::Present } else { Grant::Absent };
                }
                Asked::Calls(_) => return Operator::Performing { copy, known, decided, next: 0 },
            }
        }
    }

    /// The operator turns to the request: the cache of bindings says what is there.
    fn observe(state: &State) -> Operator {
        let grant = if state.binding.is_some() { Grant::Present } else { Grant::Unknown };
        Operator::Working { copy: state.cache, known: Known { grant, ..Known::default() } }
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
            let after = self.operate(&State { operator: Self::observe(&state), ..state });
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

    /// The call that the operator makes next.
    fn call(&self, state: &State) -> Option<Call> {
        let Operator::Performing { decided, next, .. } = state.operator else { return None };
        match &self.memory().decided[decided as usize].asked {
            Asked::Calls(calls) => calls.get(usize::from(next)).copied(),
            _ => None,
        }
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
                        // Two who may cut the request down are enough to see what comes of that.
                        let cuts = approver < 2;
                        let decisions = (1..=3).filter(|decision| *decision != 2 || cuts);
                        acts.extend(decisions.map(|decision| Act::Decide(approver, decision)));
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
            Operator::Working { .. } | Operator::Performing { .. } => {
                acts.push(Act::Operate);
                match self.call(state) {
                    Some(Call::Job(_) | Call::Bind { .. }) if state.mischief > 0 => {
                        acts.extend([Act::Hinder(BLOCKED), Act::Hinder(REFUSED)]);
                    }
                    Some(Call::DropBinding) if state.mischief > 0 => acts.push(Act::HinderEnd),
                    _ => {}
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
            Act::Observe => next.operator = Self::observe(state),
            Act::Operate => next = self.operate(state),
            Act::Hinder(attempt) => {
                let Operator::Performing { copy, known, .. } = state.operator else { return None };
                next.operator = Operator::Working { copy, known: Known { attempt, ..known } };
                next.mischief -= 1;
            }
            Act::HinderEnd => {
                let Operator::Performing { copy, known, .. } = state.operator else { return None };
                next.operator = Operator::Working { copy, known: Known { not_ended: true, ..known } };
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
            Property::always("access that Lockbox ended is in the record", |_, state: &State| {
                state.broken & HIDDEN == 0
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
