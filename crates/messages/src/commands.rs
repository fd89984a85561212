//! The exact commands that a message tells.

use lockbox_api::{MessageKind, Phase};
use serde::Serialize;

use crate::{
    foreign::broken,
    request,
    scene::{Scene, Side},
};

/// Stands where everybody writes their own name.
pub(crate) const YOURS: &str = "YOUR-USER-NAME";

/// Commands to read a request, and to decide on it or end its access where that is possible. Each is one line for a
/// shell.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Commands {
    /// Shows the whole request.
    pub show: String,
    /// Approves, on Kubernetes 1.36 and later.
    pub approve: Option<String>,
    /// Denies, on Kubernetes 1.36 and later.
    pub deny: Option<String>,
    /// Approves, on any version.
    pub approve_long: Option<String>,
    /// Denies, on any version.
    pub deny_long: Option<String>,
    /// Ends the access early: revokes it or gives it back; or withdraws the request.
    pub end: Option<String>,
    /// The same on any version.
    pub end_long: Option<String>,
}

impl Commands {
    pub fn of(scene: &Scene<'_>, side: Side) -> Self {
        let object = format!("{} -n {}", word(request::name(scene.request)), word(request::namespace(scene.request)));
        let patch = |spec: &str| format!("kubectl patch lbr {object} --type=merge -p '{{\"spec\":{{{spec}}}}}'");
        let mut commands = Self { show: format!("kubectl get lbr {object} -o yaml"), ..Self::default() };
        let asks = matches!(
            scene.kind(),
            MessageKind::ApprovalAsked | MessageKind::InternalApprovalAsked | MessageKind::Reminder
        );
        if asks && side != Side::Requester {
            let (short, long) = match side {
                Side::Customer => ("decision", "decisions"),
                _ => ("internalDecision", "internalDecisions"),
            };
            // Approves what this message shows, and nothing else.
            let hash = scene
                .status()
                .and_then(|status| status.effect.as_ref())
                .filter(|_| side == Side::Customer)
                .map(|effect| &effect.hash)
                .filter(|hash| is_hash(hash))
                .map(|hash| format!(",\"effectHash\":\"{hash}\""))
                .unwrap_or_default();
            let approve = format!("{{\"verdict\":\"Approve\"{hash},\"reason\":\"...\"}}");
            let deny = "{\"verdict\":\"Deny\",\"reason\":\"...\"}";
            commands.approve = Some(patch(&format!("\"{short}\":{approve}")));
            commands.deny = Some(patch(&format!("\"{short}\":{deny}")));
            commands.approve_long = Some(patch(&format!("\"{long}\":{{\"{YOURS}\":{approve}}}")));
            commands.deny_long = Some(patch(&format!("\"{long}\":{{\"{YOURS}\":{deny}}}")));
        }
        let field = match (side, scene.phase()) {
            (Side::Customer, Phase::Approved | Phase::AccessGranted) => Some("revocation"),
            (Side::Requester, Phase::Approved | Phase::AccessGranted) => Some("release"),
            _ => None,
        };
        if let Some(field) = field {
            commands.end = Some(patch(&format!("\"{field}\":{{\"reason\":\"...\"}}")));
            commands.end_long = Some(patch(&format!("\"{field}\":{{\"by\":\"{YOURS}\",\"reason\":\"...\"}}")));
        }
        commands
    }
}

fn is_hash(text: &str) -> bool {
    text.strip_prefix("sha256:")
        .is_some_and(|digits| digits.len() == 64 && digits.bytes().all(|c| c.is_ascii_hexdigit()))
}

/// A name of Kubernetes as a word of a shell. One that a mail program would take for a host is written with a quoted dot:
/// `pay"."example` is `pay.example` to a shell, and no link. Whatever no such name holds is left out.
fn word(name: &str) -> String {
    let name: String = name.chars().filter(|c| c.is_ascii_alphanumeric() || "-.".contains(*c)).take(253).collect();
    broken(&name).replace("[.]", "\".\"")
}
