//! The proofs: tried at the start, whenever a policy changes or somebody has doubts, and from time to time. What is tried
//! for one request, just before its access is made, is the requests' reconciler's.

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use chrono::TimeDelta;
use futures::{Stream, StreamExt};
use tokio::{
    sync::{Notify, watch},
    time::{sleep, timeout},
};

use super::{
    changes::{Change, Changes},
    retry::Retries,
};
use crate::cluster::{Cluster, Error};
use lockbox_api::Moment;
use lockbox_lifecycle::{
    Proof, Proofs,
    admission::{Admission, Trial},
    proofs::{ahead, clocks, records_gap},
};

/// Time between two trials of admission and clock, while nothing changes.
const INTERVAL: Duration = Duration::from_mins(2);
/// Time between two trials while a change may not be in force yet.
const SOON: Duration = Duration::from_secs(1);
/// For so long after a change trials come soon.
const SETTLED: Duration = Duration::from_secs(10);
/// Longest time between two trials while something is missing.
const WHILE_MISSING: Duration = Duration::from_secs(5);
/// Many changes in a row (an upgrade of the chart) are one.
const SETTLE: Duration = Duration::from_millis(20);
/// Time between two trials of the safety net.
const NET_INTERVAL: Duration = Duration::from_hours(6);
/// How long a trial of the safety net counts when the next one cannot be made.
const NET_OUTLIVES: Duration = Duration::from_hours(24);
/// How long a trial of the safety net may take: on an idle cluster it takes two or three seconds.
const NET_WITHIN: Duration = Duration::from_mins(1);
/// How often a trial of the safety net is looked at, while it may still succeed, and after.
const NET_LOOK: [Duration; 2] = [Duration::from_millis(500), Duration::from_secs(10)];

/// What is proven now, for all reconcilers; and the time, which follows from it.
pub struct CurrentProofs {
    state: Mutex<State>,
    /// Whether admission and clock were tried once.
    tried: watch::Sender<bool>,
    /// Somebody has a reason to doubt what is proven.
    doubted: Notify,
    changes: Changes,
}

struct State {
    proofs: Proofs,
    /// By how much the API server's clock is ahead of ours; nothing while they are in sync.
    ahead: TimeDelta,
    /// When each was last proven.
    proven_at: [Option<Instant>; KINDS.len()],
}

/// One of the proofs.
struct Kind {
    name: &'static str,
    of: fn(&Proofs) -> &Proof,
}

const AUTHENTIC: &str = "authentic";
const ENFORCED: &str = "enforced";
const CLOCK: &str = "clock";
const SAFETY_NET: &str = "safety_net";

/// In the order of [`State::proven_at`].
const KINDS: [Kind; 4] = [
    Kind { name: AUTHENTIC, of: |proofs| &proofs.authentic },
    Kind { name: ENFORCED, of: |proofs| &proofs.enforced },
    Kind { name: CLOCK, of: |proofs| &proofs.clock },
    Kind { name: SAFETY_NET, of: |proofs| &proofs.safety_net },
];

impl CurrentProofs {
    /// Nothing is proven yet.
    pub fn new(changes: Changes) -> Self {
        let state = State { proofs: Proofs::none_yet(), ahead: TimeDelta::zero(), proven_at: [None; KINDS.len()] };
        Self { state: Mutex::new(state), tried: watch::Sender::new(false), doubted: Notify::new(), changes }
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

    /// Something forged was let in: anything older than now no longer counts, and everything is tried again.
    pub fn doubt(&self) {
        self.doubted.notify_one();
    }

    /// For each: its name in metrics, whether it is proven, and how long ago it last was.
    pub fn ages(&self) -> Vec<(&'static str, bool, Option<Duration>)> {
        let state = self.lock();
        let of = |(kind, at): (&Kind, &Option<Instant>)| {
            (kind.name, *(kind.of)(&state.proofs) == Proof::Proven, at.map(|at| at.elapsed()))
        };
        KINDS.iter().zip(&state.proven_at).map(of).collect()
    }

    /// These were tried just now, and what came of it is written down.
    fn were_tried(&self, tried: &[&str]) {
        let mut state = self.lock();
        let State { proofs, proven_at, .. } = &mut *state;
        for (kind, at) in KINDS.iter().zip(proven_at) {
            if tried.contains(&kind.name) && *(kind.of)(proofs) == Proof::Proven {
                *at = Some(Instant::now());
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes down what was found, and tells everybody if it is something new.
    fn update(&self, write: impl FnOnce(&mut Proofs)) {
        let (before, now) = {
            let mut state = self.lock();
            let before = state.proofs.clone();
            write(&mut state.proofs);
            (before, state.proofs.clone())
        };
        if before == now {
            return;
        }
        for (what, before, now) in [
            ("admission", before.admission().clone(), now.admission().clone()),
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

/// Tries admission and clock until it is stopped: now, whenever `policies` says that one changed or somebody has doubts,
/// and from time to time.
pub async fn run(current: &CurrentProofs, cluster: &Cluster, policies: impl Stream<Item = ()>) {
    let mut policies = std::pin::pin!(policies);
    let retries = Retries::default();
    let (mut admission, mut changed_at) = (resume(cluster, &retries).await, Instant::now());
    loop {
        let (tried, clock) = tokio::join!(try_admission(cluster), try_clock(cluster));
        for error in [tried.as_ref().err(), clock.as_ref().err()].into_iter().flatten() {
            tracing::warn!(%error, "the proofs will be tried again");
        }
        if let Ok(clock) = &clock {
            current.lock().ahead = clock.ahead;
        }
        // Policies and requests bear the API server's dates.
        let now = clock.as_ref().ok().and_then(|clock| clock.server).unwrap_or_else(|| current.now());
        let looked = tried.is_ok();
        if admission.take(tried.unwrap_or_else(|error| Trial::Failed(error.to_string())), now) {
            changed_at = Instant::now();
        }
        current.update(|proofs| {
            proofs.authentic = admission.authentic().clone();
            proofs.enforced = admission.enforced().clone();
            // Of what is not in force, nobody asks since when; and nobody need be told of it again and again.
            if proofs.authentic == Proof::Proven {
                proofs.authentic_since = admission.authentic_since();
            }
            if let Ok(clock) = &clock {
                proofs.clock = clock.proof.clone();
            }
        });
        // A trial that failed leaves what was proven before as it was, for a while.
        if looked {
            current.were_tried(&[AUTHENTIC, ENFORCED]);
        }
        if clock.is_ok() {
            current.were_tried(&[CLOCK]);
        }
        current.tried.send_replace(true);
        let now = current.read();
        let wait = if (now.admission(), &now.clock) == (&Proof::Proven, &Proof::Proven) {
            retries.succeeded("");
            if changed_at.elapsed() < SETTLED { SOON } else { INTERVAL }
        } else {
            // The watch says that a policy was put back; of other things that were missing, a trial alone.
            retries.failed("").min(WHILE_MISSING)
        };
        let woken = async {
            tokio::select! {
                changed = policies.next() => changed.map(|()| Woken::Changed),
                () = current.doubted.notified() => Some(Woken::Doubted),
            }
        };
        match timeout(wait, woken).await {
            Ok(Some(why)) => {
                cluster.forget_trials();
                match why {
                    Woken::Changed => admission.changed(),
                    Woken::Doubted => admission.doubt(),
                }
                let _ = timeout(SETTLE, async { while policies.next().await.is_some() {} }).await;
                changed_at = Instant::now();
                retries.succeeded("");
            }
            // Watches do not end; if these did, trials would still come from time to time.
            Ok(None) => sleep(wait).await,
            Err(_) => {}
        }
    }
}

/// Why everything is tried again at once.
enum Woken {
    Changed,
    Doubted,
}

/// What the settings' status recorded of admission before this start.
async fn resume(cluster: &Cluster, retries: &Retries) -> Admission {
    loop {
        match cluster.read_settings().await {
            Ok(settings) => {
                let status = settings.and_then(|settings| settings.0.ok()).and_then(|settings| settings.status);
                let gap = status.as_ref().is_some_and(|status| records_gap(&status.conditions));
                return Admission::resume(status.and_then(|status| status.admission_since), gap);
            }
            Err(error) => {
                tracing::warn!(%error, "what is recorded of the admission policies will be read again");
                sleep(retries.failed("").min(WHILE_MISSING)).await;
            }
        }
    }
}

/// Whether the policies stand and are in force.
async fn try_admission(cluster: &Cluster) -> Result<Trial, Error> {
    let standing = match cluster.check_policies().await? {
        Ok(standing) => standing,
        Err(why) => return Ok(Trial::Untried(why)),
    };
    // What does not stand need not be tried.
    let refused = match standing.authentic {
        Ok(_) => cluster.try_forged_request().await?,
        Err(_) => Proof::Proven,
    };
    Ok(Trial::Looked { standing, refused })
}

/// What a look at the clocks came to.
struct Clock {
    proof: Proof,
    /// By how much the API server's is ahead; nothing while they are in sync.
    ahead: TimeDelta,
    /// What the API server's says.
    server: Option<Moment>,
}

async fn try_clock(cluster: &Cluster) -> Result<Clock, Error> {
    let before = super::now();
    let server = cluster.server_time().await?;
    let Some(time) = server else {
        let why = "the API server's answers bear no date, so the operator's clock cannot be compared with its.";
        return Ok(Clock { proof: Proof::Unknown(why.into()), ahead: TimeDelta::zero(), server });
    };
    let ahead = ahead(time, before, super::now());
    let proof = clocks(ahead);
    let ahead = if proof == Proof::Proven { TimeDelta::zero() } else { ahead };
    Ok(Clock { proof, ahead, server })
}

/// Tries the safety net until it is stopped: now, and from time to time. A trial that does not come to its end is looked
/// at until it does, in place of another.
pub async fn run_canaries(current: &CurrentProofs, cluster: &Cluster) {
    let retries = Retries::default();
    let mut proven_at: Option<Instant> = None;
    loop {
        // One name for all attempts: what the API server says about it stays the same.
        let name = format!("lockbox-canary-{}", super::now().timestamp());
        while let Err(error) = cluster.make_canary(&name, super::now()).await {
            tracing::warn!(%error, "the safety net will be tried again");
            if proven_at.is_none_or(|at| at.elapsed() >= NET_OUTLIVES) {
                let why =
                    format!("whether the cluster ends access while the operator is down could not be tried: {error}.");
                current.update(|proofs| proofs.safety_net = Proof::Unknown(why));
            }
            sleep(retries.failed("")).await;
        }
        retries.succeeded("");
        let made = Instant::now();
        loop {
            let late = made.elapsed() >= NET_WITHIN;
            match cluster.canary_is_gone(&name).await {
                Ok(true) => break,
                Ok(false) if late => {
                    let why = format!(
                        "Job {name} in namespace {} should have ended after a second and taken its Role and RoleBinding along, and after {} s has not: the cluster's Job, TTL or garbage-collection controllers do not act (kube-controller-manager; values controllers.* of the chart), or a policy or webhook refuses them the deletion.",
                        cluster.config().namespace,
                        NET_WITHIN.as_secs()
                    );
                    current.update(|proofs| proofs.safety_net = Proof::Disproven(why));
                }
                Ok(false) => {}
                Err(error) => tracing::warn!(%error, "the trial of the safety net will be looked at again"),
            }
            sleep(NET_LOOK[usize::from(late)]).await;
        }
        current.update(|proofs| proofs.safety_net = Proof::Proven);
        current.were_tried(&[SAFETY_NET]);
        proven_at = Some(Instant::now());
        sleep(NET_INTERVAL).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_was_tried_and_is_proven_has_an_age() {
        let current = CurrentProofs::new(Changes::default());
        current.update(|proofs| {
            proofs.authentic = Proof::Proven;
            proofs.clock = Proof::Proven;
        });
        current.were_tried(&[AUTHENTIC, ENFORCED]);
        let shown: Vec<_> =
            current.ages().into_iter().map(|(name, proven, age)| (name, proven, age.is_some())).collect();
        let expected =
            [(AUTHENTIC, true, true), (ENFORCED, false, false), (CLOCK, true, false), (SAFETY_NET, false, false)];
        assert_eq!(shown, expected);
    }
}
