//! The settings: whether they can be used, to which services Lockbox applies here, and who changed what.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::{Resource, ResourceExt, runtime::controller::Action as Requeue};
use serde_json::{Value, json};

use super::{Context, Guarded, key};
use crate::cluster::{Error, EventRecord};
use lockbox_api::{
    LockboxSettings, LockboxSettingsStatus, Moment,
    condition::{Truth, clear, set},
    names,
    settings::GroupResource,
    time::whole_seconds,
};
use lockbox_lifecycle::{
    Channels, Proof, RoleView, changes, conditions,
    proofs::{self, Turn},
    services, settings as rules,
    text::{clip, clip_bytes},
};

/// Kinds come and go with what is installed in the cluster: the review of services is made anew after this time.
const REVIEW: Duration = Duration::from_mins(5);

/// Type of the condition that says whether the definitions are those of this version.
const DEFINITIONS: &str = "DefinitionsMatch";
/// Type of the condition that says that people's RBAC could not be created or removed.
const PEOPLE: &str = "PeopleBound";
/// Type of the condition that says whether people can be told as the settings have it; there while they say anything.
const TELLING: &str = "NotificationsUsable";
/// Bytes of an Event's note for what changed.
const CHANGES: usize = 640;

/// Reconciles the settings.
pub async fn reconcile(guarded: Arc<Guarded<LockboxSettings>>, ctx: Arc<Context>) -> Result<Requeue, Error> {
    let now = whole_seconds(ctx.proofs.now());
    let settings = match &guarded.0 {
        Ok(settings) => settings,
        Err(invalid) => {
            tell_unreadable(&ctx, guarded.as_ref(), &invalid.error, now).await?;
            ctx.retries.succeeded(&key(&guarded));
            return Ok(Requeue::requeue(REVIEW));
        }
    };
    let served = ctx.cluster.served_kinds().await?;
    let mut roles = BTreeMap::new();
    for level in &settings.spec.access_levels {
        if !roles.contains_key(&level.cluster_role) {
            roles.insert(level.cluster_role.clone(), ctx.role(&level.cluster_role).await?);
        }
    }
    let mut status = status(settings, &served, &roles, now);
    let generation = settings.metadata.generation;
    let proven = ctx.proofs.read();
    conditions::show(&proven, &mut status.conditions, now, generation);
    if proven.authentic == Proof::Proven {
        status.admission_since = Some(proven.authentic_since);
    }
    let (truth, reason, message) = definitions(ctx.cluster.other_definitions().await);
    set(&mut status.conditions, DEFINITIONS, truth, reason, &clip(&message, 1024), now, generation);
    match ctx.troubles.of_no_assignment() {
        Some((count, first)) => {
            let more = if count > 1 { format!(" (and {} more)", count - 1) } else { String::new() };
            let message = clip(&format!("{}{more}", first.why), 1024);
            set(&mut status.conditions, PEOPLE, Truth::False, first.reason, &message, now, generation);
        }
        None => clear(&mut status.conditions, PEOPLE),
    }
    match telling(settings, ctx.outbox.channels()) {
        Some(Ok(())) => {
            let message = "messages are sent as the settings say";
            set(&mut status.conditions, TELLING, Truth::True, "Usable", message, now, generation);
        }
        Some(Err(why)) => {
            set(&mut status.conditions, TELLING, Truth::False, "Unusable", &clip(&why, 1024), now, generation);
        }
        None => clear(&mut status.conditions, TELLING),
    }
    for record in told(settings, &status, now).into_iter().chain(turns(settings, &status, now)) {
        ctx.cluster.publish_about(settings.object_ref(&()), &record).await?;
    }
    if settings.status.as_ref() != Some(&status) {
        ctx.cluster.write_settings_status(settings, status).await?;
    }
    ctx.retries.succeeded(&key(&guarded));
    Ok(Requeue::requeue(REVIEW))
}

/// Whether people can be told what the settings say; none where these say nothing. Requests do not depend on it.
fn telling(settings: &LockboxSettings, channels: Channels) -> Option<Result<(), String>> {
    let rules = settings.spec.notifications.as_ref()?;
    Some(if rules.email.is_some() && !channels.mail {
        Err("set notifications.smtp in the chart's values: spec.notifications.email needs a mail server, and this installation has none".into())
    } else if !rules.webhooks.is_empty() && !channels.webhooks {
        Err("set notifications.existingSecret in the chart's values: spec.notifications.webhooks needs their addresses, and this installation has none".into())
    } else {
        lockbox_messages::check(rules)
    })
}

/// What a look at the definitions came to.
fn definitions(others: Result<Vec<String>, Error>) -> (Truth, &'static str, String) {
    match others {
        Ok(others) if others.is_empty() => {
            (Truth::True, "Match", "the CustomResourceDefinitions are those of this version of the operator".into())
        }
        Ok(others) => (
            Truth::False,
            "Differ",
            format!(
                "{} are not those of this version of the operator, so fields that it writes may be lost and values that it does not know may be let in; kubectl apply --server-side --force-conflicts -f crds/ of the version that is installed (Helm leaves definitions as they are)",
                others.join(", ")
            ),
        ),
        Err(error) => (Truth::Unknown, "NotRead", error.to_string()),
    }
}

/// Settings that cannot be read: nothing is known of whether Lockbox is on. They say so themselves, as far as they can be
/// written.
async fn tell_unreadable(
    ctx: &Context,
    guarded: &Guarded<LockboxSettings>,
    error: &str,
    now: Moment,
) -> Result<(), Error> {
    tracing::error!(
        error,
        "the LockboxSettings cannot be read: nothing ends by that, and nothing new is evaluated or granted"
    );
    let generation = guarded.meta().generation.unwrap_or_default();
    let message = format!(
        "this version of the operator cannot read the settings ({}): nothing ends by that, and nothing new is evaluated or granted; install the version that they were written for, or correct them",
        clip(error, 256)
    );
    let record = EventRecord {
        name: format!("lockbox.{}.{generation:08}.unreadable", guarded.uid().unwrap_or_default()),
        namespace: "default".into(),
        reason: "SettingsUnreadable".into(),
        note: format!("{message}; generation {generation} of the LockboxSettings"),
        warning: true,
        at: now,
    };
    ctx.cluster.publish_about(guarded.object_ref(&()), &record).await?;
    let ready = |settings: &mut Value| {
        let stored = settings.pointer("/status/conditions").cloned().unwrap_or_default();
        let before: Vec<Condition> = serde_json::from_value(stored).unwrap_or_default();
        let mut conditions = before.clone();
        set(&mut conditions, "Ready", Truth::False, "Unreadable", &message, now, Some(generation));
        if conditions == before {
            return false;
        }
        let status = settings.as_object_mut().map(|settings| settings.entry("status").or_insert_with(|| json!({})));
        let Some(status) = status.and_then(Value::as_object_mut) else { return false };
        status.insert("conditions".into(), json!(conditions));
        true
    };
    ctx.cluster.edit_settings_conditions(ready).await
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
    status.recorded = changes::record(spec);
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
        note: turn.message,
        warning: turn.lost,
        at: now,
    };
    proofs::turns(before, &new.conditions).into_iter().map(record).collect()
}

/// Events for what changed since the status was written last, and that is what was recorded of the spec then, so changes
/// of a time when nobody looked are told as well. Their names follow from the generation, so that each is one Event.
fn told(settings: &LockboxSettings, new: &LockboxSettingsStatus, now: Moment) -> Vec<EventRecord> {
    let generation = settings.metadata.generation.unwrap_or_default();
    let before = settings.status.as_ref();
    let seen = before.and_then(|before| before.observed_generation);
    if seen == Some(generation) {
        return vec![];
    }
    let uid = settings.uid().unwrap_or_default();
    let by = settings
        .annotations()
        .get(names::CHANGED_BY)
        .map_or_else(|| names::UNKNOWN_ACTOR.to_owned(), |who| clip_bytes(who, 256));
    let missed = seen.map_or(0, |seen| (generation - seen - 1).max(0));
    let missed = match missed {
        0 => String::new(),
        1 => "; of one change before it nobody was there to see who made it".into(),
        more => format!("; of {more} changes before it nobody was there to see who made them"),
    };
    let record = |what: &str, reason: &str, words: &str, how: &str| EventRecord {
        name: format!("lockbox.{uid}.{generation:08}.{what}"),
        namespace: "default".into(),
        reason: reason.into(),
        note: format!("{words} by {by}{how}; generation {generation} of the LockboxSettings{missed}"),
        warning: false,
        at: now,
    };
    let mut records = vec![];
    if let (Some(before), Some(_)) = (before, seen) {
        let changed = changes::changed(&before.recorded, &new.recorded);
        let how = match (before.recorded.is_empty(), changed.is_empty()) {
            (true, _) => ": what changed was not recorded by the version before".into(),
            (false, true) => ": nothing that is recorded".into(),
            (false, false) => format!(": {}", clip_bytes(&changed.join("; "), CHANGES)),
        };
        records.push(record("changed", "ChangeSettings", "Change Settings", &how));
    }
    match (before.and_then(|before| before.enabled).unwrap_or(false), new.enabled.unwrap_or(false)) {
        (false, true) => records.push(record("enabled", "EnableLockbox", "Enable Customer Lockbox", "")),
        (true, false) => records.push(record("disabled", "DisableLockbox", "Disable Customer Lockbox", "")),
        _ => {}
    }
    records
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(generation: i64, pending: &str) -> LockboxSettings {
        serde_json::from_value(json!({
            "apiVersion": "lockbox.dev/v1alpha1", "kind": "LockboxSettings",
            "metadata": {"name": "default", "uid": "u", "generation": generation,
                "annotations": {"lockbox.dev/changed-by": "ada"}},
            "spec": {"supportPlan": "Developer", "enabled": true, "pendingTimeout": pending},
        }))
        .unwrap()
    }

    fn look(settings: &mut LockboxSettings) -> Vec<(String, String)> {
        let new = status(settings, &BTreeSet::new(), &BTreeMap::new(), Moment::UNIX_EPOCH);
        let records = told(settings, &new, Moment::UNIX_EPOCH);
        settings.status = Some(new);
        records.into_iter().map(|record| (record.reason, record.note)).collect()
    }

    #[test]
    fn a_change_of_the_settings_says_who_and_what_and_what_nobody_saw() {
        let mut first = settings(1, "4d");
        let told = look(&mut first);
        assert_eq!(told.len(), 1, "{told:?}");
        assert_eq!(told[0].0, "EnableLockbox");
        assert_eq!(look(&mut first), []);
        let mut second = LockboxSettings { status: first.status, ..settings(2, "3d") };
        let words = "Change Settings by ada: pendingTimeout: 4d, now 3d; generation 2 of the LockboxSettings";
        assert_eq!(look(&mut second), [("ChangeSettings".to_owned(), words.to_owned())]);
        let mut later = LockboxSettings { status: second.status, ..settings(5, "2d") };
        let told = look(&mut later);
        assert!(told[0].1.contains("3d, now 2d") && told[0].1.contains("of 2 changes before it"), "{told:?}");
    }
}
