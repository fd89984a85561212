//! Role assignments: say whether each counts, record activations, and report what happened to each.

use std::sync::Arc;

use kube::{Resource, ResourceExt, runtime::controller::Action as Requeue};

use super::{Context, Guarded, LONGEST_SLEEP, key, people, view};
use crate::cluster::{Error, EventRecord};
use lockbox_api::{
    RoleAssignment,
    assignment::{AssignmentAction, AssignmentEntry},
    names,
    time::from_kubernetes,
};
use lockbox_lifecycle::{
    Proof,
    audit::{self, NOTE_LIMIT},
    recognition::{recognise, remember, show_trouble},
    settings::SettingsView,
    text::{clip, clip_bytes},
};

/// What is older has its entry in the history, and no Event any more: Events are kept for an hour.
const TOLD_WITHIN: chrono::TimeDelta = chrono::TimeDelta::hours(1);

/// Reconciles one assignment.
pub async fn reconcile(guarded: Arc<Guarded<RoleAssignment>>, ctx: Arc<Context>) -> Result<Requeue, Error> {
    let assignment = match &guarded.0 {
        Ok(assignment) => assignment,
        Err(invalid) => {
            tell_unreadable(&ctx, guarded.as_ref(), &invalid.error).await?;
            return Ok(Requeue::await_change());
        }
    };
    if assignment.metadata.deletion_timestamp.is_some() {
        return Ok(Requeue::await_change());
    }
    let settings = ctx.settings_or_read().await?;
    let settings = match view(settings.as_deref()) {
        // Who belongs to the provider is not known: what was recognised stays so, and nothing new is.
        SettingsView::Unreadable(_) => return Ok(Requeue::requeue(LONGEST_SLEEP)),
        settings => settings.known(),
    };
    let now = ctx.proofs.now();
    let home = &ctx.cluster.config().tenant_namespace;
    let (mut status, wake) = recognise(assignment, settings, home, now);
    let trouble = people::trouble_of(&ctx, assignment);
    let trouble = trouble.as_ref().map(|trouble| (trouble.reason, trouble.why.as_str()));
    show_trouble(&mut status, trouble, now, assignment.metadata.generation);
    let proofs = ctx.proofs.read();
    let created = assignment.metadata.creation_timestamp.as_ref().map_or(now, from_kubernetes);
    let authentic = *proofs.admission() == Proof::Proven && created >= proofs.authentic_since;
    // Published first: a status that says so is written once it is true. Publishing twice is one Event.
    for entry in remember(assignment, &mut status, authentic, now) {
        if now - entry.at < TOLD_WITHIN {
            ctx.cluster.publish_about(assignment.object_ref(&()), &told(assignment, &entry)).await?;
        }
    }
    if assignment.status.as_ref() != Some(&status) {
        ctx.cluster.write_assignment_status(assignment, status).await?;
    }
    ctx.retries.succeeded(&key(&guarded));
    Ok(Requeue::requeue(
        wake.and_then(|wake| (wake - now).to_std().ok()).map_or(LONGEST_SLEEP, |wait| wait.min(LONGEST_SLEEP)),
    ))
}

/// An entry of the history as an Event.
fn told(assignment: &RoleAssignment, entry: &AssignmentEntry) -> EventRecord {
    let words = match entry.action {
        AssignmentAction::CreateRoleAssignment => "Create Role Assignment",
        AssignmentAction::ActivateRoleAssignment => "Activate Role Assignment",
        AssignmentAction::EndActivation => "End Activation",
    };
    let actor = entry.actor.as_deref().unwrap_or(names::UNKNOWN_ACTOR);
    let namespace = assignment.namespace().unwrap_or_default();
    let place = format!("{namespace}/{}", assignment.name_any());
    let tail = format!("; actor {actor} [assignment {place}, sequence {}]", entry.sequence);
    let head = format!("{words}: {}", entry.message);
    EventRecord {
        name: audit::event_name(&assignment.uid().unwrap_or_default(), entry.sequence),
        namespace,
        reason: entry.action.to_string(),
        note: clip_bytes(&head, NOTE_LIMIT.saturating_sub(tail.len())) + &tail,
        warning: false,
        at: entry.at,
    }
}

async fn tell_unreadable(ctx: &Context, guarded: &Guarded<RoleAssignment>, error: &str) -> Result<(), Error> {
    let (namespace, name) = (guarded.namespace().unwrap_or_default(), guarded.name_any());
    let generation = guarded.meta().generation.unwrap_or_default();
    tracing::error!(
        assignment = name,
        namespace,
        error,
        "this assignment cannot be read: it counts for no request, and the rights that it gave stay as they are"
    );
    let record = EventRecord {
        name: format!("lockbox.{}.{generation:08}.unreadable", guarded.uid().unwrap_or_default()),
        namespace,
        reason: "RoleAssignmentUnreadable".into(),
        note: format!(
            "This version of the operator cannot read the assignment ({}): it counts for no request, and the rights that it gave stay as they are. Install the version that it was written for, or delete it.",
            clip(error, 128)
        ),
        warning: true,
        at: ctx.proofs.now(),
    };
    ctx.cluster.publish_about(guarded.object_ref(&()), &record).await
}
