//! Locked users, and the end of all access: what a Global Administrator writes in the settings.

use lockbox_api::{
    LockboxRequest, LockboxSettingsSpec,
    principal::same_user,
    settings::{Lock, Stop},
    time::text,
};

use crate::transition::in_brackets;

/// The lock of the request's requester; none when they are not locked. Names are compared without case: a lock must
/// not be dodged by another spelling.
pub fn of<'a>(settings: &'a LockboxSettingsSpec, request: &LockboxRequest) -> Option<&'a Lock> {
    settings.locks.iter().find(|lock| same_user(&lock.user, &request.spec.requester.username))
}

/// What a lock tells those whom it concerns.
pub fn words(lock: &Lock) -> String {
    format!(
        "{} is locked: a Global Administrator says so in spec.locks of the LockboxSettings{}.",
        lock.user,
        in_brackets(lock.reason.as_deref())
    )
}

/// What the end of all access tells them.
pub fn stop_words(stop: &Stop) -> String {
    format!(
        "A Global Administrator ended all access that was approved before {} (spec.stop of the LockboxSettings){}.",
        text(stop.before),
        in_brackets(stop.reason.as_deref())
    )
}
