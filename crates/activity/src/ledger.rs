//! The accounts of all accesses that are followed, and the stream that they are kept from.

use std::{
    collections::{HashMap, HashSet, VecDeque},
    hash::{DefaultHasher, Hash, Hasher},
};

use lockbox_api::{Activity, LockboxRequest, Moment};

use crate::{
    account::{Access, Account},
    call::{Call, Stage},
    record::{Belongs, Record},
    residue,
    rights::Binding,
};

/// Accesses that are followed at the same time.
pub const MOST_ACCOUNTS: usize = 1_024;
/// Events that are remembered, so that one that comes twice counts once. The API server repeats a batch that was not
/// answered.
const MOST_REMEMBERED: usize = 65_536;
/// How long a stream is silent before that is a gap. Lockbox calls the API server more often, and finds itself in it.
const GAP: chrono::TimeDelta = chrono::TimeDelta::minutes(5);
/// How much later than the stream had come a lost event can be: the API server collects for so long.
const LATE: chrono::TimeDelta = chrono::TimeDelta::seconds(30);
/// Gaps that are remembered, and losses.
const MOST_GAPS: usize = 16;
/// How long an account is kept after its access ended, where nobody said that it is not needed any more.
const KEPT: chrono::TimeDelta = chrono::TimeDelta::minutes(10);

/// How far the stream reaches, by the events' own clock.
#[derive(Clone, Debug, Default)]
pub(crate) struct Stream {
    pub since: Option<Moment>,
    /// Nobody listened before: what was posted then, and to whom, is not known, however old the first events are.
    not_before: Option<Moment>,
    pub until: Option<Moment>,
    pub gaps: VecDeque<(Moment, Moment)>,
    /// Batches or lines that could not be read: how many, and how far the stream had come by then.
    losses: VecDeque<(Option<Moment>, u64)>,
}

impl Stream {
    fn lost(&mut self, events: u64) {
        match self.losses.back_mut() {
            Some((at, lost)) if *at == self.until => *lost = lost.saturating_add(events),
            _ => {
                if self.losses.len() >= MOST_GAPS {
                    self.losses.pop_front();
                }
                self.losses.push_back((self.until, events));
            }
        }
    }

    /// What was lost that can be of the time between these moments. Before the first event nobody knows of which time.
    pub fn lost_between(&self, from: Moment, to: Moment) -> u64 {
        let concerns = |at: Moment| at + LATE >= from && at <= to;
        self.losses.iter().filter(|(at, _)| at.is_none_or(concerns)).map(|(_, lost)| lost).sum()
    }

    fn heard(&mut self, at: Moment) {
        if let Some(until) = self.until.filter(|until| at - *until > GAP) {
            if self.gaps.len() >= MOST_GAPS {
                self.gaps.pop_front();
            }
            self.gaps.push_back((until, at));
        }
        let since = self.since.map_or(at, |since| since.min(at));
        self.since = Some(self.not_before.map_or(since, |start| start.max(since)));
        self.until = Some(self.until.map_or(at, |until| until.max(at)));
    }
}

/// What came and what became of it, for whoever watches the operator.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Events that came.
    pub events: u64,
    /// Events that belonged to an access, or to its time.
    pub taken: u64,
    /// Events that came a second time.
    pub repeated: u64,
    /// Events that could not be read.
    pub unreadable: u64,
    /// Accesses that are not followed because there are too many.
    pub not_followed: u64,
}

/// The accounts, by UID of the request.
#[derive(Debug, Default)]
pub struct Ledger {
    accounts: HashMap<String, Account>,
    /// UIDs by requester, in lower case.
    by_user: HashMap<String, Vec<String>>,
    stream: Stream,
    seen: HashSet<u64>,
    seen_in_order: VecDeque<u64>,
    changed: HashSet<String>,
    counters: Counters,
}

impl Ledger {
    /// For a stream that is listened to from now on; without that, for a log that is read from its beginning.
    pub fn listening(now: Moment) -> Self {
        Self { stream: Stream { not_before: Some(now), ..Stream::default() }, ..Self::default() }
    }

    /// Follows the access of a request, if one was approved, from now on; or takes down that it has ended. What its status
    /// has recorded is gone on with. Returns whether it is followed.
    pub fn follow(&mut self, request: &LockboxRequest) -> bool {
        let Some(access) = Access::of(request) else { return false };
        if let Some(known) = self.accounts.get_mut(&access.uid) {
            known.ended(access.to);
            return true;
        }
        if self.accounts.len() >= MOST_ACCOUNTS {
            self.forget_old();
        }
        if self.accounts.len() >= MOST_ACCOUNTS {
            self.counters.not_followed += 1;
            return false;
        }
        let recorded = request.status.as_ref().and_then(|status| status.activity.as_ref());
        let (uid, user) = (access.uid.clone(), access.requester.to_ascii_lowercase());
        self.by_user.entry(user).or_default().push(uid.clone());
        self.accounts.insert(uid, Account::new(access, recorded));
        true
    }

    /// Does not follow a request any more.
    pub fn forget(&mut self, uid: &str) {
        let Some(account) = self.accounts.remove(uid) else { return };
        let user = account.access().requester.to_ascii_lowercase();
        if let Some(uids) = self.by_user.get_mut(&user) {
            uids.retain(|one| one != uid);
            if uids.is_empty() {
                self.by_user.remove(&user);
            }
        }
        self.changed.remove(uid);
    }

    /// Follows the requests of these UIDs alone.
    pub fn keep(&mut self, known: impl Fn(&str) -> bool) {
        let gone: Vec<String> = self.accounts.keys().filter(|uid| !known(uid)).cloned().collect();
        for uid in gone {
            self.forget(&uid);
        }
    }

    fn forget_old(&mut self) {
        let Some(now) = self.stream.until else { return };
        let old: Vec<String> = self
            .accounts
            .iter()
            .filter(|(_, account)| account.access().to.is_some_and(|to| now - to > KEPT))
            .map(|(uid, _)| uid.clone())
            .collect();
        for uid in old {
            self.forget(&uid);
        }
    }

    /// Takes down what a call says, in every account that it belongs to. Returns a record for each.
    pub fn take(&mut self, call: &Call) -> Vec<Record> {
        self.counters.events += 1;
        self.stream.heard(call.at);
        if call.stage == Stage::Received || (call.stage == Stage::Started && !call.is_long()) {
            return vec![];
        }
        if residue::is_deletion(call) {
            self.deleted(call);
        }
        let uids = self.concerned(call);
        if uids.is_empty() {
            return vec![];
        }
        if !self.is_new(key(call, true)) {
            self.counters.repeated += 1;
            return vec![];
        }
        let mut records = vec![];
        for uid in uids {
            let Some(account) = self.accounts.get_mut(&uid) else { continue };
            let Some(belongs) = account.take(call) else { continue };
            records.push(Record::new(call, account.access(), belongs));
            self.changed.insert(uid);
        }
        self.counters.taken += u64::from(!records.is_empty());
        records
    }

    /// Events came that could not be read.
    pub fn lost(&mut self, events: u64) {
        self.counters.unreadable = self.counters.unreadable.saturating_add(events);
        self.stream.lost(events);
    }

    /// The accounts that a call can belong to: that of the access which allowed it, and those of the person.
    fn concerned(&self, call: &Call) -> Vec<String> {
        let mut uids: Vec<String> = vec![];
        let by = Binding::of(&call.reason).and_then(Binding::request).filter(|uid| self.accounts.contains_key(*uid));
        uids.extend(by.map(str::to_owned));
        for user in [call.effective_user(), &call.user] {
            for uid in self.by_user.get(&user.to_ascii_lowercase()).into_iter().flatten() {
                if !uids.contains(uid) {
                    uids.push(uid.clone());
                }
            }
        }
        uids
    }

    fn deleted(&mut self, call: &Call) {
        for (uid, account) in self.accounts.iter_mut().filter(|(_, account)| account.left_anything()) {
            if account.deleted(call) {
                self.changed.insert(uid.clone());
            }
        }
    }

    fn is_new(&mut self, key: u64) -> bool {
        if !self.seen.insert(key) {
            return false;
        }
        self.seen_in_order.push_back(key);
        if self.seen_in_order.len() > MOST_REMEMBERED
            && let Some(oldest) = self.seen_in_order.pop_front()
        {
            self.seen.remove(&oldest);
        }
        true
    }

    /// What is known of the access of a request; none where it is not followed.
    pub fn activity(&self, uid: &str) -> Option<Activity> {
        self.accounts.get(uid).map(|account| account.activity(&self.stream))
    }

    /// Whose access it is.
    pub fn access(&self, uid: &str) -> Option<&Access> {
        self.accounts.get(uid).map(Account::access)
    }

    /// UIDs of the requests whose accounts have changed since this was asked the last time, with namespace and name.
    pub fn changed(&mut self) -> Vec<(String, String)> {
        let changed = std::mem::take(&mut self.changed);
        let place = |access: &Access| (access.namespace.clone(), access.name.clone());
        changed.iter().filter_map(|uid| self.accounts.get(uid)).map(|account| place(account.access())).collect()
    }

    /// What came and what became of it.
    pub const fn counters(&self) -> Counters {
        self.counters
    }

    /// From when and until when events came.
    pub fn span(&self) -> Option<(Moment, Moment)> {
        self.stream.since.zip(self.stream.until)
    }
}

/// What tells an event, or a call, apart from all others. The id alone does not: whoever calls may choose it, and would hide
/// all calls but one by choosing the same. The moments, to the microsecond, nobody chooses.
pub(crate) fn key(call: &Call, event: bool) -> u64 {
    let mut hasher = DefaultHasher::new();
    (&call.id, call.received, &call.verb, &call.uri, &call.user, &call.what(), &call.name).hash(&mut hasher);
    if event {
        (call.at, call.stage == Stage::Complete).hash(&mut hasher);
    }
    hasher.finish()
}

impl Belongs {
    /// Whether the access allowed the call.
    pub const fn is_use(self) -> bool {
        matches!(self, Self::ThisAccess)
    }
}
