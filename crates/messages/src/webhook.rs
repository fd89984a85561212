//! What a webhook is sent.

use lockbox_api::{Audience, notifications::Webhook};
use lockbox_lifecycle::text::clip;

use crate::{
    Rendered, Scene, cloud_event, document,
    engine::{self, Format},
    letter::zone_trouble,
    scene::Side,
    variables,
};

/// Bytes of a webhook's body at most: 64 KiB.
pub const LONGEST_BODY: usize = 64 * 1024;

/// The body of an HTTP request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Body {
    /// Its media type.
    pub content_type: &'static str,
    /// JSON, at most [`LONGEST_BODY`].
    pub bytes: Vec<u8>,
}

/// What a scene is to a webhook: a CloudEvent, or what the webhook's own template writes. It never fails: where the
/// template cannot be used, or does not write JSON, it is a CloudEvent, and [`Rendered::trouble`] says so.
pub fn event(scene: &Scene<'_>, webhook: &Webhook) -> Rendered<Body> {
    let mut troubles = zone_trouble(scene);
    if let Some(template) = &webhook.template {
        match own(scene, template) {
            Ok(text) => {
                return Rendered::new(Body { content_type: "application/json", bytes: text.into_bytes() }, &troubles);
            }
            Err(why) => troubles.push(trouble(webhook, &why)),
        }
    }
    let body = Body { content_type: "application/cloudevents+json", bytes: cloud_event::of(scene) };
    Rendered::new(body, &troubles)
}

/// What is wrong with a webhook's template, by its field.
pub(crate) fn trouble(webhook: &Webhook, why: &str) -> String {
    clip(&format!("spec.notifications.webhooks[{}].template: {why}", webhook.name), 400)
}

/// What a template writes, if it is JSON.
pub(crate) fn own(scene: &Scene<'_>, template: &str) -> Result<String, String> {
    // A webhook is the customer's: it is told what the approvers are told, and of others' messages in the third person.
    let audience = if scene.is_internal() { Audience::InternalApprovers } else { Audience::Approvers };
    let side = Side::from(audience);
    let document = document::of(scene, side, Some(audience));
    let values = variables::of(scene, side, None, &document);
    let text = engine::render(template, Format::Json, &values, LONGEST_BODY)?;
    match serde_json::from_str::<serde::de::IgnoredAny>(&text) {
        Ok(_) => Ok(text.trim().to_owned()),
        Err(error) => Err(clip(
            &format!(
                "it does not write JSON ({error}). Write {{{{ value }}}} without quotation marks around it: they are added"
            ),
            300,
        )),
    }
}
