//! What is known of the accesses that are open, shared by the endpoint that hears of them and the controller that writes it
//! down.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use futures::{Stream, stream};
use lockbox_activity::{Call, Counters, Ledger};
use lockbox_api::{Activity, LockboxRequest, Phase};

use super::records::Records;
use crate::metrics::{Heard, Metrics};

/// Time between two looks at which accesses have changed: a batch that changes many is one look.
const TOGETHER: Duration = Duration::from_secs(2);

/// Calls that are taken down at once: whoever writes a request waits for no more than these.
const AT_ONCE: usize = 64;

/// The ledger, behind a lock that is never held across a wait.
#[derive(Debug)]
pub struct Books {
    ledger: Mutex<Ledger>,
    records: Option<Records>,
    metrics: Metrics,
}

impl Books {
    /// Empty ones, from now on. Full records go there, if anywhere.
    pub fn new(records: Option<Records>, metrics: Metrics) -> Self {
        Self { ledger: Mutex::new(Ledger::listening(chrono::Utc::now())), records, metrics }
    }

    /// From now on what is heard is taken down: before, another operator acted and heard it.
    pub fn begin(&self) {
        *self.ledger() = Ledger::listening(chrono::Utc::now());
    }

    /// Follows the access of a request that has one and is not closed, and says what is known of it.
    pub fn activity(&self, request: &LockboxRequest) -> Option<Activity> {
        let status = request.status.as_ref()?;
        let phase = status.phase.unwrap_or_default();
        let has_access =
            matches!(phase, Phase::Approved | Phase::AccessGranted | Phase::Completed | Phase::Revoked | Phase::Failed);
        if !has_access || status.approved_at.is_none() || status.closed == Some(true) {
            return None;
        }
        let mut ledger = self.ledger();
        ledger.follow(request);
        let known = ledger.activity(request.metadata.uid.as_deref().unwrap_or_default());
        // More accesses at once than are followed: nothing is known of this one, and that is said.
        Some(known.unwrap_or_else(Activity::unwatched))
    }

    /// Follows a request no more.
    pub fn forget(&self, request: &LockboxRequest) {
        self.ledger().forget(request.metadata.uid.as_deref().unwrap_or_default());
    }

    /// Follows the requests of these UIDs alone.
    pub fn keep(&self, known: impl Fn(&str) -> bool) {
        self.ledger().keep(known);
    }

    /// Takes down what was heard.
    pub fn take(&self, calls: &[Call]) {
        calls.chunks(AT_ONCE).for_each(|calls| self.take_some(calls));
    }

    fn take_some(&self, calls: &[Call]) {
        let (records, before, after) = {
            let mut ledger = self.ledger();
            let before = ledger.counters();
            let records: Vec<_> = calls.iter().flat_map(|call| ledger.take(call)).collect();
            (records, before, ledger.counters())
        };
        let (taken, repeated) = (after.taken - before.taken, after.repeated - before.repeated);
        self.metrics.heard(Heard::Taken, taken);
        self.metrics.heard(Heard::Repeated, repeated);
        self.metrics.heard(Heard::Other, (after.events - before.events).saturating_sub(taken + repeated));
        if let Some(log) = &self.records {
            let dropped = records.iter().filter(|record| !log.write(record)).count();
            self.metrics.heard(Heard::NotRecorded, u64::try_from(dropped).unwrap_or(u64::MAX));
        }
    }

    /// A batch could not be read.
    pub fn lost(&self) {
        self.ledger().lost(1);
        self.metrics.heard(Heard::Lost, 1);
    }

    /// Somebody posted who may not.
    pub fn refused(&self) {
        self.metrics.heard(Heard::Refused, 1);
    }

    /// What came and what became of it.
    pub fn counters(&self) -> Counters {
        self.ledger().counters()
    }

    /// Namespace and name of each request of whose access something new is known, now and then.
    pub fn changes(self: Arc<Self>) -> impl Stream<Item = (String, String)> + Send {
        let looks = stream::unfold(self, |books| async move {
            tokio::time::sleep(TOGETHER).await;
            let changed = books.ledger().changed();
            Some((stream::iter(changed), books))
        });
        futures::StreamExt::flatten(looks)
    }

    fn ledger(&self) -> MutexGuard<'_, Ledger> {
        self.ledger.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
