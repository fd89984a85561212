//! What a request is called.

use lockbox_api::LockboxRequest;

/// Its namespace.
pub(crate) fn namespace(request: &LockboxRequest) -> &str {
    request.metadata.namespace.as_deref().unwrap_or_default()
}

/// Its name.
pub(crate) fn name(request: &LockboxRequest) -> &str {
    request.metadata.name.as_deref().unwrap_or_default()
}

/// Its UID.
pub(crate) fn uid(request: &LockboxRequest) -> &str {
    request.metadata.uid.as_deref().unwrap_or_default()
}
