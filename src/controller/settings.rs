//! The settings: whether they can be used, to which services Lockbox applies here, and who changed what.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use kube::{ResourceExt, runtime::controller::Action as Requeue};

use super::{Context, Guarded, retry::Retries};
use crate::cluster::{Error, EventRecord};
use lockbox_api::{
    LockboxSettings, LockboxSettingsStatus, Moment,
    condition::{Truth, set},
    names,
    settings::GroupResource,
    time::whole_seconds,
};
use lockbox_lifecycle::{
    Proof, RoleView,
    audit::NOTE_LIMIT,
    conditions,
    proofs::{self, Turn},
    services, settings as rules,
    text::{clip, clip_bytes},
};

/// Kinds come and go with what is installed in the cluster: the review of services is made anew after this time.
const REVIEW: Duration = Duration::from_mins(5);

/// Reconciles the settings.
pub async fn reconcile(guarded: Arc<Guarded<LockboxSettings>>, ctx: Arc<Context>) -> Result<Requeue, Error> {
    let settings = match &guarded.0 {
        Ok(settings) => settings,
        Err(invalid) => {
            tracing::error!(error = invalid.error, "the LockboxSettings cannot be read, so Lockbox is off");
            return Ok(Requeue::await_change());
        }
    };
    let now = whole_seconds(ctx.proofs.now());
    let served = ctx.cluster.served_kinds().await?;
    let mut roles = BTreeMap::new();
    for level in &settings.spec.access_levels {
        if !roles.contains_key(&level.cluster_role) {
            roles.insert(level.cluster_role.clone(), ctx.cluster.role(&level.cluster_role).await?);
        }
    }
    let mut status = status(settings, &served, &roles, now);
    let proven = ctx.proofs.read();
    conditions::show(&proven, &mut status.conditions, now, settings.metadata.generation);
    if proven.authentic == Proof::Proven {
        status.admission_since = Some(proven.authentic_since);
    }
    for record in changes(settings, &status, now).into_iter().chain(turns(settings, &status, now)) {
        ctx.cluster.publish_settings(settings, &record).await?;
    }
    if settings.status.as_ref() != Some(&status) {
        ctx.cluster.write_settings_status(settings, status).await?;
    }
    ctx.retries.succeeded(KEY);
    Ok(Requeue::requeue(REVIEW))
}

const KEY: &str = "settings";

/// What to do after a failure.
#[allow(clippy::needless_pass_by_value, reason = "the controller's own signature")]
pub fn on_error(_: Arc<Guarded<LockboxSettings>>, error: &Error, ctx: Arc<Context>) -> Requeue {
    if error.is_conflict() {
        return Requeue::requeue(Retries::conflict());
    }
    tracing::warn!(%error, "the LockboxSettings will be looked at again");
    Requeue::requeue(ctx.retries.failed(KEY))
}

/// The status that the settings should have.
fn status(
    settings: &LockboxSettings,
    served: &BTreeSet<GroupResource>,
    roles: &BTreeMap<String, RoleView>,
    now: Moment,
) -> LockboxSettingsStatus {
    let mut status = settings.status.clone().unwrap_or_default();
    let spec = &settings.spec;
    let mut problems = rules::problems(spec);
    for level in &spec.access_levels {
        let role = match roles.get(&level.cluster_role) {
            Some(RoleView::Rules(rules)) => Some(rules.as_slice()),
            _ => None,
        };
        problems.extend(rules::level_problems(level, role));
    }
    let enabled = rules::enabled(spec);
    let (truth, reason, message) = match &enabled {
        _ if !problems.is_empty() => (Truth::False, "Invalid", rules::told(&problems)),
        Ok(()) => (Truth::True, "Enabled", "requests are processed".to_owned()),
        Err(off) => (Truth::True, off.reason.as_str(), off.message.clone()),
    };
    set(&mut status.conditions, "Ready", truth, reason, &message, now, settings.metadata.generation);
    status.enabled = Some(enabled.is_ok());
    status.services = services::review(spec, &|kind| served.contains(kind));
    status.benchmark = Some(services::benchmark());
    status.observed_generation = settings.metadata.generation;
    status
}

/// Events for proofs that were lost or won back since the status was written last.
fn turns(settings: &LockboxSettings, new: &LockboxSettingsStatus, now: Moment) -> Vec<EventRecord> {
    let before = settings.status.as_ref().map_or(&[][..], |status| &status.conditions);
    let uid = settings.uid().unwrap_or_default();
    let record = |turn: Turn| EventRecord {
        name: format!("lockbox.{uid}.{}", turn.key),
        namespace: "default".into(),
        reason: turn.reason,
        note: clip_bytes(&turn.message, NOTE_LIMIT),
        warning: turn.lost,
        at: now,
    };
    proofs::turns(before, &new.conditions).into_iter().map(record).collect()
}

/// Events for what changed since the status was written last. Their names follow from the generation, so that each
/// change is one Event.
fn changes(settings: &LockboxSettings, new: &LockboxSettingsStatus, now: Moment) -> Vec<EventRecord> {
    let generation = settings.metadata.generation.unwrap_or_default();
    let before = settings.status.as_ref();
    if before.and_then(|before| before.observed_generation) == Some(generation) {
        return vec![];
    }
    let uid = settings.uid().unwrap_or_default();
    let by = settings
        .annotations()
        .get(names::CHANGED_BY)
        .map_or_else(|| "somebody (this Kubernetes version does not say who)".to_owned(), |who| clip(who, 256));
    let record = |what: &str, reason: &str, words: &str| EventRecord {
        name: format!("lockbox.{uid}.{generation:08}.{what}"),
        namespace: "default".into(),
        reason: reason.into(),
        note: format!("{words} by {by}; generation {generation} of the LockboxSettings"),
        warning: false,
        at: now,
    };
    let mut records = vec![];
    if before.is_some_and(|before| before.observed_generation.is_some()) {
        records.push(record("changed", "ChangeSettings", "Change Settings"));
    }
    match (before.and_then(|before| before.enabled).unwrap_or(false), new.enabled.unwrap_or(false)) {
        (false, true) => records.push(record("enabled", "EnableLockbox", "Enable Customer Lockbox")),
        (true, false) => records.push(record("disabled", "DisableLockbox", "Disable Customer Lockbox")),
        _ => {}
    }
    records
}
