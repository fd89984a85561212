//! Whether what settings say about messages can be used.

use lockbox_api::notifications::Notifications;

use crate::{engine, letter, times, webhook};

/// Names the field of the first template that does not parse, and of a zone that is not known. What only some requests
/// lack (`ticket`, `effect`) is found when a message is made: then the built-in text is sent.
pub fn check(settings: &Notifications) -> Result<(), String> {
    if let Some(name) = settings.time_zone.as_deref().filter(|name| times::zone(name).is_none()) {
        return Err(letter::unknown_zone(name));
    }
    for own in &settings.templates {
        for (part, template, ..) in letter::parts(own) {
            engine::parse(template).map_err(|why| letter::trouble(own, part, &why))?;
        }
    }
    for webhook in &settings.webhooks {
        if let Some(template) = &webhook.template {
            engine::parse(template).map_err(|why| webhook::trouble(webhook, &why))?;
        }
    }
    Ok(())
}
