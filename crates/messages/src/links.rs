//! The only links that a message has: to the customer's portal, and to a ticket on a host that the settings allow.

use lockbox_api::{LockboxRequestSpec, LockboxSettingsSpec};
use lockbox_lifecycle::evaluate::host_of;

use crate::request;

/// Bytes of a link at most.
const LONGEST: usize = 2048;

/// Whether a text is a link that can stand in any message as it is: https, ASCII, no user name, nothing that ends it.
fn is_plain(url: &str) -> bool {
    let host_ends = url.get(8..).and_then(|rest| rest.find(['/', '?', '#'])).map_or(url.len(), |at| at + 8);
    url.starts_with("https://")
        && url.len() <= LONGEST
        && url.bytes().all(|c| c.is_ascii_graphic() && !b"\"'<>\\`{}|^".contains(&c))
        && url.get(8..host_ends).is_some_and(|host| !host.is_empty() && !host.contains('@'))
}

/// Where people see what waits for them. None when the settings say nothing, or nothing that could be a link.
pub(crate) fn portal(scene: &crate::Scene<'_>) -> Option<String> {
    let template = scene.settings.notifications.as_ref()?.portal_url.as_deref()?;
    let (host, path) = template.split_at(template.get(8..)?.find('/').map_or(template.len(), |at| at + 8));
    let url = format!(
        "{host}{}",
        path.replace("{namespace}", &segment(request::namespace(scene.request)))
            .replace("{name}", &segment(request::name(scene.request)))
    );
    is_plain(&url).then_some(url)
}

/// A name within a path. Names of Kubernetes need no escapes; what does is no such name.
fn segment(name: &str) -> String {
    name.bytes()
        .take(253)
        .map(|c| {
            if c.is_ascii_alphanumeric() || c == b'-' || c == b'.' {
                char::from(c).to_string()
            } else {
                format!("%{c:02X}")
            }
        })
        .collect()
}

/// The ticket's own page, if it is on a host that the settings allow.
pub(crate) fn ticket(spec: &LockboxRequestSpec, settings: &LockboxSettingsSpec) -> Option<String> {
    let ticket = spec.support_request.as_ref().map(|ticket| ticket.url.as_str());
    allowed(ticket?, settings)
}

/// The incident's own page, if it is on a host that the settings allow.
pub(crate) fn incident(spec: &LockboxRequestSpec, settings: &LockboxSettingsSpec) -> Option<String> {
    allowed(spec.incident.as_ref()?.url.as_deref()?, settings)
}

fn allowed(url: &str, settings: &LockboxSettingsSpec) -> Option<String> {
    let host = host_of(url)?;
    let hosts = settings.support_portal.as_ref().map_or(&[][..], |portal| &portal.hosts);
    (is_plain(url) && hosts.iter().any(|known| known.eq_ignore_ascii_case(&host))).then(|| url.to_owned())
}
