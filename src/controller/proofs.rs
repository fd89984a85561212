//! The proofs: tried at the start, whenever a policy changes, from time to time, and in a request's own namespace just
//! before access is given.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use chrono::TimeDelta;
use futures::{Stream, StreamExt};
use tokio::{
    sync::watch,
    time::{sleep, timeout},
};

use super::{
    changes::{Change, Changes},
    retry::Retries,
};
use crate::{
    api::{LockboxRequest, Moment},
    cluster::{Cluster, Error},
    lifecycle::{
        Proof, Proofs,
        proofs::{ahead, clocks},
    },
};

/// Time between two trials of admission and clock, while nothing changes.
const INTERVAL: Duration = Duration::from_mins(2);
/// A change of a policy bites a second or two after it is made: for so long afterwards, trials come this soon.
const BITES_WITHIN: Duration = Duration::from_secs(5);
const SOON: Duration = Duration::from_secs(1);
/// Many changes in a row (an upgrade of the chart) are one.
const SETTLE: Duration = Duration::from_millis(20);
/// How long what was proven in a namespace counts there, while no policy changes.
const HERE: Duration = Duration::from_secs(30);
/// How long a proof outlives an API server that does not answer.
const OUTLIVES: Duration = Duration::from_mins(5);
/// Namespaces that are remembered at most.
const MOST_PLACES: usize = 1_000;
/// Time between two trials of the safety net.
const NET_INTERVAL: Duration = Duration::from_hours(6);
/// How long a trial of the safety net may take: on an idle cluster it takes two or three seconds.
const NET_WITHIN: Duration = Duration::from_mins(1);
/// How often a trial of the safety net is looked at, while it may still succeed, and after.
const NET_LOOK: [Duration; 2] = [Duration::from_millis(500), Duration::from_secs(10)];

/// What is proven now, for all reconcilers; and the time, which follows from it.
pub struct Board {
    found: Mutex<Found>,
    /// Whether admission and clock were tried once.
    tried: watch::Sender<bool>,
    changes: Changes,
}

struct Found {
    proofs: Proofs,
    /// By how much the API server's clock is ahead of ours; nothing while they are in sync.
    ahead: TimeDelta,
    /// Namespaces where a forged approval was refused, and when.
    here: HashMap<String, Instant>,
}

impl Board {
    /// Nothing is proven yet.
    pub fn new(changes: Changes) -> Self {
        let found = Found { proofs: Proofs::none_yet(), ahead: TimeDelta::zero(), here: HashMap::new() };
        Self { found: Mutex::new(found), tried: watch::Sender::new(false), changes }
    }

    /// What is proven now.
    pub fn read(&self) -> Proofs {
        self.lock().proofs.clone()
    }

    /// Completes when admission and clock were tried once, whatever came of it.
    pub async fn tried(&self) {
        // An error means that the sender is gone, and the sender is ours.
        let _ = self.tried.subscribe().wait_for(|tried| *tried).await;
    }

    /// The time: by our own clock or by the API server's, whichever is later, so that nothing lasts longer by a clock
    /// that is wrong.
    pub fn now(&self) -> Moment {
        super::now() + self.lock().ahead.max(TimeDelta::zero())
    }

    /// What is proven for this request, about to be granted: that a forged approval of it is refused, too.
    pub async fn for_grant(&self, cluster: &Cluster, request: &LockboxRequest) -> Result<Proofs, Error> {
        let namespace = request.metadata.namespace.as_deref().unwrap_or_default();
        let proofs = {
            let found = self.lock();
            if found.proofs.admission != Proof::Proven
                || found.here.get(namespace).is_some_and(|at| at.elapsed() < HERE)
            {
                return Ok(found.proofs.clone());
            }
            found.proofs.clone()
        };
        let admission = cluster.try_forged_approval(request).await?;
        match &admission {
            Proof::Proven => {
                let mut found = self.lock();
                if found.here.len() >= MOST_PLACES {
                    found.here.clear();
                }
                found.here.insert(namespace.to_owned(), Instant::now());
            }
            // Something about this request: it holds up nobody else.
            Proof::Unknown(_) => {}
            Proof::Disproven(_) => self.found(|proofs| proofs.admission = admission.clone()),
        }
        Ok(Proofs { admission, ..proofs })
    }

    fn lock(&self) -> MutexGuard<'_, Found> {
        self.found.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes down what was found, and tells everybody if it is something new.
    fn found(&self, write: impl FnOnce(&mut Proofs)) {
        let (before, now) = {
            let mut found = self.lock();
            let before = found.proofs.clone();
            write(&mut found.proofs);
            if found.proofs.admission != Proof::Proven {
                found.here.clear();
            }
            (before, found.proofs.clone())
        };
        if before == now {
            return;
        }
        for (what, before, now) in [
            ("admission", before.admission, now.admission),
            ("safety net", before.safety_net, now.safety_net),
            ("clock", before.clock, now.clock),
        ] {
            match now {
                _ if now == before => {}
                Proof::Proven => tracing::info!(what, "proven"),
                Proof::Unknown(why) => tracing::warn!(what, why, "not proven yet"),
                Proof::Disproven(why) => tracing::error!(what, why, "disproven"),
            }
        }
        self.changes.tell(Change::Proofs);
    }
}

/// Tries admission and clock until it is stopped: now, whenever `policies` says that one changed, and from time to time.
pub async fn run(board: &Board, cluster: &Cluster, policies: impl Stream<Item = ()>) {
    let mut policies = std::pin::pin!(policies);
    let retries = Retries::default();
    let (mut proven_at, mut changed_at) = (Instant::now(), Instant::now());
    loop {
        let (admission, clock) = tokio::join!(try_admission(cluster), try_clock(cluster));
        for error in [admission.as_ref().err(), clock.as_ref().err()].into_iter().flatten() {
            tracing::warn!(%error, "the proofs will be tried again");
        }
        let answered = admission.is_ok() && clock.is_ok();
        if answered {
            proven_at = Instant::now();
        }
        if let Ok((_, ahead)) = clock {
            board.lock().ahead = ahead;
        }
        let keeps = board.read().admission == Proof::Proven && proven_at.elapsed() < OUTLIVES;
        board.found(|proofs| {
            match admission {
                Ok(admission) => proofs.admission = admission,
                Err(_) if keeps => {}
                Err(error) => {
                    let why = format!("whether the admission policies are in force could not be tried: {error}.");
                    proofs.admission = Proof::Unknown(why);
                }
            }
            if let Ok((clock, _)) = &clock {
                proofs.clock = clock.clone();
            }
        });
        board.tried.send_replace(true);
        let now = board.read();
        let wait = if answered && (now.admission, now.clock) == (Proof::Proven, Proof::Proven) {
            retries.succeeded("");
            if changed_at.elapsed() < BITES_WITHIN { SOON } else { INTERVAL }
        } else {
            retries.failed("")
        };
        match timeout(wait, policies.next()).await {
            Ok(Some(())) => {
                let _ = timeout(SETTLE, async { while policies.next().await.is_some() {} }).await;
                // What was proven was proven of other policies.
                board.lock().here.clear();
                changed_at = Instant::now();
                retries.succeeded("");
            }
            // Watches do not end; if these did, trials would still come from time to time.
            Ok(None) => sleep(wait).await,
            Err(_) => {}
        }
    }
}

async fn try_admission(cluster: &Cluster) -> Result<Proof, Error> {
    match cluster.check_policies().await? {
        Proof::Proven => cluster.try_forged_request().await,
        missing => Ok(missing),
    }
}

/// The proof, and by how much the API server's clock is ahead; nothing while they are in sync.
async fn try_clock(cluster: &Cluster) -> Result<(Proof, TimeDelta), Error> {
    let before = super::now();
    let Some(server) = cluster.server_time().await? else {
        let why = "the API server's answers bear no date, so the operator's clock cannot be compared with its.";
        return Ok((Proof::Unknown(why.into()), TimeDelta::zero()));
    };
    let ahead = ahead(server, before, super::now());
    Ok(match clocks(ahead) {
        Proof::Proven => (Proof::Proven, TimeDelta::zero()),
        differs => (differs, ahead),
    })
}

/// Tries the safety net until it is stopped: now, and from time to time. A trial that does not come to its end is looked
/// at until it does, in place of another.
pub async fn run_canaries(board: &Board, cluster: &Cluster) {
    let retries = Retries::default();
    loop {
        let name = format!("lockbox-canary-{}", super::now().timestamp());
        if let Err(error) = cluster.make_canary(&name).await {
            tracing::warn!(%error, "the safety net will be tried again");
            let why =
                format!("whether the cluster ends access while the operator is down could not be tried: {error}.");
            board.found(|proofs| proofs.safety_net = Proof::Unknown(why));
            sleep(retries.failed("")).await;
            continue;
        }
        retries.succeeded("");
        let made = Instant::now();
        loop {
            let late = made.elapsed() >= NET_WITHIN;
            match cluster.canary_is_gone(&name).await {
                Ok(true) => break,
                Ok(false) if late => {
                    let why = format!(
                        "Job {name} in namespace {} should have ended after a second and taken its Role along, and after {} s has not: the cluster's Job, TTL or garbage-collection controllers do not act (kube-controller-manager; values controllers.* of the chart).",
                        cluster.config().namespace,
                        NET_WITHIN.as_secs()
                    );
                    board.found(|proofs| proofs.safety_net = Proof::Disproven(why));
                }
                Ok(false) => {}
                Err(error) => tracing::warn!(%error, "the trial of the safety net will be looked at again"),
            }
            sleep(NET_LOOK[usize::from(late)]).await;
        }
        board.found(|proofs| proofs.safety_net = Proof::Proven);
        sleep(NET_INTERVAL).await;
    }
}
