//! What there is, for whoever asks for metrics.

use std::{collections::BTreeMap, time::Duration};

use kube::runtime::reflector::Store;

use super::{Context, packed::Packed};
use crate::metrics::Seen;
use lockbox_api::{Moment, Phase};

/// Shows the requests and the proofs as they are now.
pub fn show(context: &Context, seen: &Seen<'_>) {
    let (by_phase, overdue) = count(&context.requests, context.proofs.now());
    seen.requests(&by_phase, overdue);
    for (proof, proven, age) in context.proofs.ages() {
        seen.proof(proof, proven, age);
    }
}

/// How many requests are in each phase, and by how much the access that is most overdue is past its end. What cannot be read
/// is in none.
fn count(requests: &Store<Packed>, now: Moment) -> (BTreeMap<Phase, i64>, Duration) {
    let (mut by_phase, mut overdue) = (BTreeMap::new(), Duration::ZERO);
    for request in requests.state() {
        let Some(glance) = request.glance() else { continue };
        *by_phase.entry(glance.phase).or_default() += 1;
        let until = glance.access_until.filter(|_| glance.phase == Phase::AccessGranted);
        let late = until.and_then(|until| (now - until).to_std().ok());
        overdue = overdue.max(late.unwrap_or_default());
    }
    (by_phase, overdue)
}
