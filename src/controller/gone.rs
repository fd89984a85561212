//! What is reported about deleted objects. A deletion leaves no object that could record it, and does not say who did
//! it: an Event and a log line do what can be done, and the API server's own audit log knows the rest.

use std::{
    collections::VecDeque,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use k8s_openapi::api::core::v1::ObjectReference;
use kube::{Resource, ResourceExt};
use tokio::{
    sync::Notify,
    time::{Instant, timeout},
};

use super::{Guarded, now, retry::Retries};
use crate::cluster::{Cluster, EventRecord};
use lockbox_api::{LockboxSettings, RoleAssignment, names};
use lockbox_lifecycle::people::Source;

/// Events that wait to be published at most. The log has them all.
const MOST: usize = 1_000;
/// While another operator acts, it tells of what was deleted. What it may not have come to is kept for this long, for the case
/// that it is over with it: a Lease's time, and a start.
const KEPT: Duration = Duration::from_mins(1);
/// How often one Event is tried: its namespace may be out of room for good.
const TRIES: u8 = 10;
/// Where to find out who deleted something.
const BY: &str = "the API server does not say by whom; its audit log does";

/// What was deleted and is not reported yet.
#[derive(Default)]
pub struct Gone {
    waiting: Mutex<VecDeque<Waiting>>,
    /// The names of the latest: what is found twice is told once.
    latest: Mutex<VecDeque<String>>,
    came: Notify,
    /// Whether this operator tells.
    tells: AtomicBool,
}

struct Waiting {
    since: Instant,
    regarding: ObjectReference,
    record: EventRecord,
    tried: u8,
}

impl Gone {
    /// An assignment was deleted.
    pub fn assignment(&self, guarded: &Guarded<RoleAssignment>) {
        let what = match &guarded.0 {
            Ok(assignment) => {
                let spec = &assignment.spec;
                format!("{} {} for {}", spec.type_, spec.role, spec.principal)
            }
            Err(_) => "which this version of the operator cannot read".into(),
        };
        let source = Source {
            namespace: guarded.namespace().unwrap_or_default(),
            name: guarded.name_any(),
            uid: guarded.uid().unwrap_or_default(),
        };
        self.assignment_of(&source, &what);
    }

    /// The assignment that something stems from went, perhaps while nobody was watching. Telling it again is one Event.
    pub fn assignment_of(&self, source: &Source, what: &str) {
        let note = format!("Delete Role Assignment {}/{} ({what}); {BY}", source.namespace, source.name);
        let regarding = ObjectReference {
            api_version: Some(RoleAssignment::api_version(&()).into()),
            kind: Some(RoleAssignment::kind(&()).into()),
            namespace: Some(source.namespace.clone()),
            name: Some(source.name.clone()),
            uid: Some(source.uid.clone()),
            ..ObjectReference::default()
        };
        let name = format!("lockbox.{}.deleted", source.uid);
        self.push(regarding, name, "DeleteRoleAssignment", note, &source.namespace);
    }

    /// The settings were deleted.
    pub fn settings(&self, guarded: &Guarded<LockboxSettings>) {
        if guarded.name_any() != names::SETTINGS {
            return;
        }
        let regarding = guarded.object_ref(&());
        let uid = guarded.uid().unwrap_or_default();
        let generation = guarded.meta().generation.unwrap_or_default();
        let note = format!("Delete Settings: the LockboxSettings of generation {generation} are gone; {BY}");
        self.push(regarding.clone(), format!("lockbox.{uid}.deleted"), "DeleteSettings", note, "default");
        let was_on = guarded.0.as_ref().ok().and_then(|settings| settings.status.as_ref()?.enabled);
        if was_on == Some(true) {
            let note = format!("Disable Customer Lockbox: the LockboxSettings are gone; {BY}");
            self.push(regarding, format!("lockbox.{uid}.deleted-off"), "DisableLockbox", note, "default");
        }
    }

    fn push(&self, regarding: ObjectReference, name: String, reason: &str, note: String, namespace: &str) {
        {
            let mut latest = self.latest.lock().unwrap_or_else(PoisonError::into_inner);
            if latest.contains(&name) {
                return;
            }
            latest.truncate(MOST - 1);
            latest.push_front(name.clone());
        }
        let record =
            EventRecord { name, namespace: namespace.into(), reason: reason.into(), note, warning: false, at: now() };
        if !self.tells.load(Ordering::Relaxed) {
            self.forget_old();
        }
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        if waiting.len() < MOST {
            waiting.push_back(Waiting { since: Instant::now(), regarding, record, tried: 0 });
        } else {
            let EventRecord { reason, note, .. } = record;
            tracing::error!(action = reason, note, "audit: no room for the Event about a deletion; this line is all");
        }
        self.came.notify_one();
    }

    /// Events that wait to be published.
    pub fn waiting(&self) -> usize {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner).len()
    }

    fn pop(&self) -> Option<Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner).pop_front()
    }

    /// What another has told by now.
    fn forget_old(&self) {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        waiting.retain(|waiting| waiting.since.elapsed() < KEPT);
    }

    /// Publishes until it is stopped. One that fails goes to the back: it stops no other.
    pub async fn run(&self, cluster: &Cluster) {
        self.tells.store(true, Ordering::Relaxed);
        self.forget_old();
        let retries = Retries::default();
        let mut failed_in_a_row = 0;
        loop {
            let Some(mut next) = self.pop() else {
                self.came.notified().await;
                continue;
            };
            match cluster.publish_about(next.regarding.clone(), &next.record).await {
                Ok(()) => {
                    failed_in_a_row = 0;
                    retries.succeeded("");
                }
                Err(error) => {
                    next.tried += 1;
                    failed_in_a_row += 1;
                    let (action, note) = (&next.record.reason, &next.record.note);
                    if next.tried < TRIES {
                        tracing::warn!(action, note, %error, "the Event will be published again");
                        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
                        waiting.push_back(next);
                    } else {
                        tracing::error!(action, note, %error, "audit: the Event cannot be published; this line is all");
                    }
                    // All of them failed once: only then is there anything to wait for.
                    let all = self.waiting.lock().unwrap_or_else(PoisonError::into_inner).len();
                    if failed_in_a_row >= all {
                        let wait: Duration = retries.failed("");
                        let _ = timeout(wait, self.came.notified()).await;
                        failed_in_a_row = 0;
                    }
                }
            }
        }
    }
}
