//! Whether what settings say about messages can be used.

use lockbox_api::{Audience, LockboxRequest, LockboxSettingsSpec, MessageKind, Moment, notifications::Notifications};
use lockbox_lifecycle::Message;
use serde_json::json;

use crate::{Scene, document, engine, letter, scene::Side, times, variables, webhook};

/// Names the field of the first template that does not parse, or that cannot be shown for a request that has everything;
/// and of a zone that is not known. A template can still fail for a request that lacks something, such as a ticket: then
/// the built-in text is sent.
pub fn check(settings: &Notifications) -> Result<(), String> {
    if let Some(name) = settings.time_zone.as_deref().filter(|name| times::zone(name).is_none()) {
        return Err(letter::unknown_zone(name));
    }
    // Both are made of constants, and always there.
    let (Some(request), Some(spec)) = (sample_request(), sample_settings()) else { return Ok(()) };
    for own in &settings.templates {
        for (part, template, format, most) in letter::parts(own) {
            let message = sample_message(own.kind);
            let scene = Scene { request: &request, message: &message, settings: &spec };
            let document = document::of(&scene, Side::Customer, Some(Audience::Approvers));
            let values = variables::of(&scene, Side::Customer, Some(Audience::Approvers), &document);
            engine::render(template, format, &values, most).map_err(|why| letter::trouble(own, part, &why))?;
        }
    }
    for webhook in &settings.webhooks {
        let Some(template) = &webhook.template else { continue };
        let kinds = if webhook.kinds.is_empty() { &MessageKind::ALL[..] } else { &webhook.kinds };
        for kind in kinds {
            let message = sample_message(*kind);
            let scene = Scene { request: &request, message: &message, settings: &spec };
            webhook::own(&scene, template).map_err(|why| webhook::trouble(webhook, &format!("for {kind}, {why}")))?;
        }
    }
    Ok(())
}

fn sample_message(kind: MessageKind) -> Message {
    let at = Moment::UNIX_EPOCH;
    Message { id: "0001".into(), kind, at, until: at, audiences: vec![Audience::Approvers] }
}

fn sample_settings() -> Option<LockboxSettingsSpec> {
    serde_json::from_value(json!({
        "supportPlan": "Developer", "supportPortal": {"hosts": ["support.example"]},
        "notifications": {"portalURL": "https://lockbox.example/{namespace}", "timeZone": "Europe/Berlin"},
    }))
    .ok()
}

/// A request that has everything.
fn sample_request() -> Option<LockboxRequest> {
    let (at, hash) = ("2026-11-29T12:00:00Z", format!("sha256:{}", "0".repeat(64)));
    let object = json!({"resource": "pods", "name": "shop-0"});
    serde_json::from_value(json!({
        "apiVersion": "lockbox.dev/v1alpha1", "kind": "LockboxRequest",
        "metadata": {"name": "sr-4711", "namespace": "contoso-prod", "uid": "00000000-0000-0000-0000-000000000000"},
        "spec": {
            "requester": {"username": "kim@provider.example"}, "origin": "SupportRequest",
            "supportRequest": {
                "id": "INC-4711", "url": "https://support.example/INC-4711", "summary": "The shop answers 502",
                "openedBy": "dana@contoso.example", "openedAt": at, "assignedTo": "lee@provider.example",
                "history": [{"at": at, "by": "lee@provider.example", "note": "Seen."}],
            },
            "incident": {"id": "P-2290", "url": "https://support.example/P-2290", "summary": "Queues stall"},
            "escalation": {"team": "Messaging", "reason": "Only we know the protocol."},
            "justification": "To see which upstream it uses.", "scope": "Subscription", "service": "AppService",
            "accessLevel": "Shell", "resources": [object], "duration": "8h",
        },
        "status": {
            "phase": "CustomerNotified", "reason": "WaitingForCustomer", "message": "Waiting for 1 approval",
            "until": at, "requiredApprovals": 1, "duration": "8h", "internalUntil": at, "notifiedAt": at,
            "pendingUntil": at, "approvedAt": at, "accessUntil": at, "grantedAt": at, "endedAt": at,
            "approvers": [{"kind": "User", "name": "alice@contoso.example", "role": "Owner", "assignment": "a/b", "uid": "c"}],
            "internalApprovals": [{"rule": "shell", "approvers": [{"kind": "Group", "name": "leads"}], "count": 1}],
            "effect": {"form": "Named", "role": "lockbox-shell", "rules": ["get: pods shop-0"], "reasons": ["needed"], "leftOut": ["watch pods"], "hash": hash},
            "grant": {"name": "lockbox-0", "resources": [object]},
            "history": [{
                "sequence": 1, "at": at, "action": "CreateLockboxRequest", "actor": "kim@provider.example",
                "phase": "CustomerNotified", "reason": "To see", "message": "asked until then", "hash": hash,
            }],
        },
    }))
    .ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_is_something_to_check_with() {
        assert!(sample_settings().is_some());
        let request = sample_request().unwrap();
        assert_eq!(request.status.unwrap().history.len(), 1);
    }
}
