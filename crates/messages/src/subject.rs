//! Subjects: one line that begins with what to do, or with what happened.

use lockbox_api::{AuditAction, Circumstance, MessageKind};
use lockbox_lifecycle::text::clip;

use crate::{
    foreign::{END_OF_ISOLATE, ISOLATE},
    scene::{Scene, Side},
    times,
};

/// Characters of a subject at most.
pub(crate) const LONGEST: usize = 150;

/// A text as a subject: one line, bounded, without control characters. What keeps a script's direction to itself stays,
/// and ends within the line.
pub(crate) fn fit(text: &str) -> String {
    let line: Vec<_> = text.split_whitespace().collect();
    let line: String = line.join(" ").chars().filter(|c| !c.is_control()).collect();
    let mut line = clip(&line, LONGEST);
    let count = |line: &str, mark: char| line.matches(mark).count();
    let open = count(&line, ISOLATE).saturating_sub(count(&line, END_OF_ISOLATE));
    if open > 0 {
        line = clip(&line, LONGEST - open.min(LONGEST / 2));
        let open = count(&line, ISOLATE).saturating_sub(count(&line, END_OF_ISOLATE));
        line.extend(std::iter::repeat_n(END_OF_ISOLATE, open));
    }
    line
}

/// The built-in subject.
pub(crate) fn of(scene: &Scene<'_>, side: Side) -> String {
    let (who, level, place) = (scene.who(40), scene.level(22), scene.place(26));
    let number = scene.reference(16).map(|number| format!(" ({number})")).unwrap_or_default();
    let by = |prefix: &str, suffix: &str| match scene.deadline() {
        Some(deadline) => format!("{prefix} by {}{suffix}", times::utc(deadline)),
        None => format!("{prefix}{suffix}"),
    };
    let lives = !scene.phase().is_terminal();
    let until = scene.status().and_then(|status| status.access_until).filter(|_| lives).map(times::utc);
    let until = until.map(|until| format!(" until {until}")).unwrap_or_default();
    let mine = side == Side::Requester;
    let text = match scene.kind() {
        MessageKind::ApprovalAsked => {
            format!("{}: {who} asks for {level} in {place}{number}", by("Decide", ""))
        }
        MessageKind::InternalApprovalAsked => {
            format!("{}: {who} needs your approval for {level} in {place}{number}", by("Decide", ""))
        }
        MessageKind::Reminder => format!("{}: {who} asks for {level} in {place}{number}", by("Reminder, decide", "")),
        MessageKind::Approved if mine => format!("Approved: your request for {level} in {place}{number}"),
        MessageKind::Approved => format!("Approved: {level} in {place} for {who}{until}{number}"),
        MessageKind::Denied if mine => format!("Denied: your request for {level} in {place}{number}"),
        MessageKind::Denied => format!("Denied: {level} in {place} for {who}{number}"),
        MessageKind::Rejected if scene.action() == Some(AuditAction::SkipLockboxRequest) && mine => {
            format!("Not processed: your request for {level} in {place}{number}")
        }
        MessageKind::Rejected if mine => format!("Rejected: your request for {level} in {place}{number}"),
        MessageKind::Rejected => format!("Rejected: {level} in {place} for {who}{number}"),
        MessageKind::Expired if mine => format!("Expired: your request for {level} in {place}{number}"),
        MessageKind::Expired => format!("Expired undecided: {level} in {place} for {who}{number}"),
        MessageKind::Cancelled if mine => format!("Cancelled: your request for {level} in {place}{number}"),
        MessageKind::Cancelled => format!("Cancelled: {level} in {place} for {who}{number}"),
        MessageKind::AccessBegan if !lives && mine => format!("Access began and has ended: {level} in {place}{number}"),
        MessageKind::AccessBegan if !lives => {
            format!("Access began and has ended: {who} had {level} in {place}{number}")
        }
        MessageKind::AccessBegan if mine => format!("You have access{until}: {level} in {place}{number}"),
        MessageKind::AccessBegan => format!("Access began: {who} has {level} in {place}{until}{number}"),
        MessageKind::AccessEnded if mine => format!("Access ended: your {level} in {place}{number}"),
        MessageKind::AccessEnded => format!("Access ended: {who} no longer has {level} in {place}{number}"),
        MessageKind::AccessRevoked if mine => format!("Access ended early: your {level} in {place}{number}"),
        MessageKind::AccessRevoked => format!("Access ended early: {who} no longer has {level} in {place}{number}"),
        MessageKind::AccessFailed if mine => format!("No access: {level} in {place} could not be granted{number}"),
        MessageKind::AccessFailed => format!("No access: {level} in {place} could not be granted to {who}{number}"),
        MessageKind::EndOverdue if mine => {
            format!("Stop using it: your {level} in {place} should have ended, and has not{number}")
        }
        MessageKind::EndOverdue => {
            format!("Act now: {who} still has {level} in {place}, which should have ended{number}")
        }
        MessageKind::Excluded => {
            let what = match scene.spec().circumstance {
                Circumstance::BreakGlass => "break glass",
                Circumstance::PlatformTroubleshooting => "platform troubleshooting",
                Circumstance::LegalDemand => "legal demand",
                Circumstance::Standard => "exclusion",
            };
            format!("For your records: {what} in {place}, recorded by {who}{number}")
        }
    };
    fit(&text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_subject_is_one_line_whose_directions_end_within_it() {
        assert_eq!(fit(" a\r\nBcc: b\u{1b}[31m "), "a Bcc: b[31m");
        assert_eq!(fit("\u{2068}\u{5e9}\u{2069} a"), "\u{2068}\u{5e9}\u{2069} a");
        let long = fit(&format!("\u{2068}{}\u{2069}", "\u{5e9}".repeat(500)));
        assert_eq!(long.chars().count(), LONGEST);
        assert!(long.ends_with("\u{2026}\u{2069}"), "{long:?}");
    }
}
