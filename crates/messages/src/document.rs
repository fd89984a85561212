//! What a message says, in blocks that text and HTML both show.

use lockbox_api::{Audience, AuditAction, Circumstance, GrantForm, MessageKind, Phase, Scope, names, request::Entry};
use lockbox_lifecycle::text::list;
use serde::Serialize;

use crate::{
    commands::{Commands, YOURS},
    foreign::{broken, inline, isolated, person, shown, spelled_out, word},
    links, request,
    scene::{Scene, Side},
    subject, times,
};

/// Characters of a name.
const NAME: usize = 128;
/// Notes of a ticket that are shown: the latest.
const NOTES: usize = 4;
/// Characters of a note.
const NOTE: usize = 600;

/// A message: its subject, what it says, and what stands below it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Document {
    /// One line.
    pub subject: String,
    /// What it says.
    pub blocks: Vec<Block>,
    /// What stands below.
    pub footer: Vec<String>,
}

/// A part of a message. Every text in it can be shown as it is, but for the escapes of the format.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase", tag = "type")]
pub(crate) enum Block {
    /// Begins a section.
    Heading {
        /// Its title.
        text: &'static str,
    },
    /// A paragraph of ours.
    Words {
        /// The paragraph.
        text: String,
    },
    /// A table of facts.
    Facts {
        /// Its rows.
        rows: Vec<Fact>,
    },
    /// Words of somebody else.
    Quote {
        /// Who wrote them.
        who: String,
        /// Their words.
        text: String,
    },
    /// A list.
    List {
        /// Its items.
        items: Vec<String>,
    },
    /// A command to type.
    Command {
        /// What it does.
        about: String,
        /// The command, on one line or two.
        line: String,
    },
    /// A link that may be followed.
    Link {
        /// Where it leads.
        about: String,
        /// The link.
        url: String,
    },
}

/// A row of a table.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Fact {
    /// What it is.
    pub label: &'static str,
    /// Its value, in lines.
    pub lines: Vec<String>,
    /// A link that belongs to it.
    pub link: Option<String>,
}

fn words(text: impl Into<String>) -> Block {
    Block::Words { text: text.into() }
}

fn heading(text: &'static str) -> Block {
    Block::Heading { text }
}

fn fact(label: &'static str, line: impl Into<String>) -> Fact {
    Fact { label, lines: vec![line.into()], link: None }
}

fn command(about: impl Into<String>, line: Option<String>) -> Option<Block> {
    // Two lines, as a shell takes them.
    line.map(|line| Block::Command { about: about.into(), line: line.replacen(" -p '", " \\\n  -p '", 1) })
}

/// The message about a scene, for an audience; or for a webhook, which is nobody's in particular.
pub(crate) fn of(scene: &Scene<'_>, side: Side, audience: Option<Audience>) -> Document {
    let mut blocks = vec![words(lead(scene, side))];
    let asks =
        matches!(scene.kind(), MessageKind::ApprovalAsked | MessageKind::InternalApprovalAsked | MessageKind::Reminder);
    blocks.extend(said(scene, side));
    blocks.push(Block::Facts { rows: facts(scene, side, asks) });
    let is_told_why = asks
        || matches!(scene.kind(), MessageKind::Excluded)
        || (side == Side::Customer
            && matches!(scene.kind(), MessageKind::Approved | MessageKind::AccessBegan | MessageKind::EndOverdue));
    if is_told_why {
        blocks.extend(why(scene));
    }
    let is_told_effect = asks
        || (side == Side::Customer
            && matches!(scene.kind(), MessageKind::Approved | MessageKind::AccessBegan | MessageKind::EndOverdue));
    if is_told_effect {
        blocks.extend(effect(scene, side));
    }
    let commands = Commands::of(scene, side);
    blocks.extend(next(scene, side, &commands));
    if blocks.iter().any(|block| matches!(block, Block::Heading { .. })) {
        blocks.push(heading("More"));
    }
    blocks.extend(command("To read the whole request and its history:", Some(commands.show)));
    if side == Side::Customer
        && let Some(url) = links::portal(scene)
    {
        let about =
            if asks { "To see everything that waits for you, sign in at:" } else { "To see all requests, sign in at:" };
        blocks.push(Block::Link { about: about.into(), url });
    }
    Document { subject: subject::of(scene, side), blocks, footer: footer(scene, side, audience) }
}

/// What happened, or is asked for, in a sentence or two.
pub(crate) fn lead(scene: &Scene<'_>, side: Side) -> String {
    let (who, level, place) = (scene.who(NAME), scene.level(63), scene.place(63));
    let what = format!("{level} access to {place}");
    let by = scene.deadline().map(|deadline| format!(" by {}", scene.time(deadline))).unwrap_or_default();
    let status = scene.status();
    let until = status
        .and_then(|status| status.access_until)
        .map(|until| format!(" until {}", scene.time(until)))
        .unwrap_or_default();
    let doer = scene.entry().filter(|entry| entry.actor != names::LOCKBOX);
    let doer = doer.map(|entry| format!(" by {}", person(&entry.actor, NAME))).unwrap_or_default();
    let mine = side == Side::Requester;
    let request = if mine { format!("Your request for {what}") } else { format!("The request of {who} for {what}") };
    match scene.kind() {
        MessageKind::ApprovalAsked => format!("{who} asks for {what}. Please decide{by}."),
        MessageKind::InternalApprovalAsked => format!(
            "{who} asks for {what} and needs the provider's approval first. Please decide{by}. Until then, the customer is not asked."
        ),
        MessageKind::Reminder if side == Side::Provider => {
            format!("{who} still waits for the provider's approval of {what}. Please decide{by}.")
        }
        MessageKind::Reminder => format!("{who} still waits for your decision on {what}. Please decide{by}."),
        MessageKind::Approved if scene.action() == Some(AuditAction::AutoApproveLockboxRequest) => format!(
            "{request} was approved by just-in-time rules: it reaches no customer data, so no approver was asked.{}",
            lasts(scene, &until)
        ),
        MessageKind::Approved => format!("{request} was approved by {}.{}", approved_by(scene), lasts(scene, &until)),
        MessageKind::Denied => format!("{request} was denied{doer}. No access was granted."),
        MessageKind::Rejected => match scene.action() {
            Some(AuditAction::SkipLockboxRequest) => {
                format!("{request} is not processed by Lockbox. The customer was not asked, and no access was granted.")
            }
            Some(AuditAction::DenyInternally) => {
                format!("{request} was denied for the provider{doer}. The customer was not asked.")
            }
            _ => format!("{request} was rejected. The customer was not asked, and no access was granted."),
        },
        MessageKind::Expired if scene.is_internal() => {
            format!("{request} expired before the customer was asked. No access was granted.")
        }
        MessageKind::Expired => format!("{request} was not decided in time and has expired. No access was granted."),
        MessageKind::Cancelled if mine && scene.is_by_requester() => {
            format!("You withdrew your request for {what}. No access was granted.")
        }
        MessageKind::Cancelled if mine => format!("{request} was cancelled. No access was granted."),
        MessageKind::Cancelled if scene.is_by_requester() => {
            format!("{who} withdrew the request for {what}. No access was granted, and nothing is left to decide.")
        }
        MessageKind::Cancelled => {
            format!("{request} was cancelled. No access was granted, and nothing is left to decide.")
        }
        MessageKind::AccessBegan => began(scene, mine, &who, &what, &until),
        MessageKind::AccessEnded | MessageKind::AccessRevoked => {
            let end = match (scene.kind(), scene.is_by_requester()) {
                (MessageKind::AccessRevoked, _) => format!("it was ended early{doer}"),
                (_, true) if mine => "you gave it back".to_owned(),
                (_, true) => "it was given back".to_owned(),
                (_, false) => "it ended on time".to_owned(),
            };
            if mine {
                format!("You no longer have {what}: {end}.")
            } else {
                format!("{who} no longer has {what}: {end}.")
            }
        }
        MessageKind::AccessFailed => {
            format!(
                "{request} was approved, but Lockbox could not grant the access, or could not keep it. Nobody has access by it now."
            )
        }
        MessageKind::EndOverdue if mine => format!(
            "Your {what} should have ended, and has not: Lockbox could not remove it. Please stop using it. Lockbox keeps trying."
        ),
        MessageKind::EndOverdue => format!(
            "The {what} of {who} should have ended, and has not: Lockbox could not remove it. {who} can still use it. Lockbox keeps trying."
        ),
        MessageKind::Excluded => format!(
            "{who} recorded an exclusion for {place}: {}. Nobody is asked to decide, and Lockbox grants nothing for it. What the provider does outside Lockbox is not limited or ended by Lockbox.",
            match scene.spec().circumstance {
                Circumstance::BreakGlass => "break glass, an emergency outside standard operating procedure",
                Circumstance::PlatformTroubleshooting => {
                    "platform troubleshooting, during which data may be seen by accident"
                }
                Circumstance::LegalDemand => "an external legal demand for data",
                Circumstance::Standard => "of no stated kind",
            }
        ),
    }
}

/// Who approved, in the order in which they did.
fn approved_by(scene: &Scene<'_>) -> String {
    let names: Vec<_> = scene
        .status()
        .iter()
        .flat_map(|status| &status.history)
        .filter(|entry| entry.action == AuditAction::ApproveLockboxRequest)
        .map(|entry| person(&entry.actor, NAME))
        .collect();
    list(&names, 300)
}

/// How long approved access lasts, while it does.
fn lasts(scene: &Scene<'_>, until: &str) -> String {
    match scene.phase() {
        _ if until.is_empty() => String::new(),
        Phase::Approved => format!(" Access begins in a moment and lasts{until} at the latest."),
        Phase::AccessGranted => format!(" Access lasts{until} at the latest."),
        _ => String::new(),
    }
}

fn began(scene: &Scene<'_>, mine: bool, who: &str, what: &str, until: &str) -> String {
    let had = if mine { "You had" } else { &format!("{who} had") };
    if scene.entry().is_some_and(|entry| entry.phase == Phase::Approved) {
        return format!("{had} {what} for a moment: it was made, and ended before that could be recorded.");
    }
    if scene.phase().is_terminal() {
        return format!("{had} {what}. This message comes late: the access has ended by now.");
    }
    if mine { format!("You have {what}{until}.") } else { format!("{who} now has {what}{until}.") }
}

/// What the record says of it, and the reason that somebody gave.
fn said(scene: &Scene<'_>, side: Side) -> Vec<Block> {
    let Some(entry) = scene.entry() else { return vec![] };
    let mut blocks = vec![];
    // What a person did is told by the first sentence and their reason; what Lockbox did has its own reason.
    let has_more = match scene.kind() {
        MessageKind::Approved
        | MessageKind::Rejected
        | MessageKind::Expired
        | MessageKind::Cancelled
        | MessageKind::AccessRevoked
        | MessageKind::AccessFailed => entry.actor == names::LOCKBOX,
        MessageKind::EndOverdue => true,
        _ => false,
    };
    let is_told = entry.action == AuditAction::ExpireLockboxRequest;
    if has_more && !is_told {
        blocks.push(Block::Quote { who: "Why, in the words of the record:".into(), text: shown(&entry.message, 512) });
    }
    if let Some(reason) = reason(scene, entry) {
        let by = if side == Side::Requester && scene.is_by_requester() {
            "You gave this reason:".to_owned()
        } else {
            format!("{} gave this reason:", person(&entry.actor, NAME))
        };
        blocks.push(Block::Quote { who: by, text: shown(reason, 512) });
    }
    blocks
}

/// The reason that a person gave for what the entry tells; the justification of the request is shown as such.
fn reason<'a>(scene: &Scene<'_>, entry: &'a Entry) -> Option<&'a str> {
    let is_justification = matches!(
        entry.action,
        AuditAction::CreateLockboxRequest
            | AuditAction::RequestInternalApproval
            | AuditAction::AutoApproveLockboxRequest
            | AuditAction::ExcludeLockboxRequest
    );
    let reason = entry.reason.as_deref().filter(|_| !is_justification && entry.actor != names::LOCKBOX)?;
    (reason != scene.spec().justification).then_some(reason)
}

fn facts(scene: &Scene<'_>, side: Side, asks: bool) -> Vec<Fact> {
    let (spec, status) = (scene.spec(), scene.status());
    let is_exclusion = scene.kind() == MessageKind::Excluded;
    let mut rows = vec![];
    if side != Side::Requester {
        let mut who = fact(if is_exclusion { "Recorded by" } else { "Who asks" }, scene.who(256));
        if let Some(spelled) = spelled_out(&spec.requester.username, 512) {
            who.lines.push(format!("This name has letters outside ASCII, and may look like another one: {spelled}"));
        }
        rows.push(who);
    }
    rows.push(fact(
        if is_exclusion { "Concerns" } else { "Access" },
        format!("{} (service {})", scene.level(63), word(&spec.service, 63)),
    ));
    rows.push(fact(
        "Where",
        match spec.scope {
            Scope::Subscription => format!("namespace {}", scene.place(253)),
            Scope::Tenant => "the tenant: the whole cluster".to_owned(),
        },
    ));
    let granted = status.and_then(|status| status.grant.as_ref()).and_then(|grant| grant.resources.as_ref());
    let objects = match granted.or(spec.resources.as_ref()) {
        Some(objects) => objects.iter().take(32).map(|object| isolated(&shown(&object.to_string(), 400))).collect(),
        None => vec!["all that the access level covers there".to_owned()],
    };
    rows.push(Fact { label: "Objects", lines: objects, link: None });
    rows.extend(ticket(scene, side));
    let Some(status) = status else { return rows };
    if asks {
        if let Some(duration) = status.duration.or(spec.duration) {
            rows.push(fact("How long", format!("{} from the approval on", times::length(duration))));
        }
        if let Some(deadline) = scene.deadline() {
            rows.push(fact("Decide by", scene.time(deadline)));
        }
        rows.extend(deciders(scene));
        return rows;
    }
    let recorded = scene.entry().map_or(scene.message.at, |entry| entry.at);
    match scene.kind() {
        MessageKind::AccessEnded | MessageKind::AccessRevoked => {
            rows.extend(status.granted_at.map(|at| fact("Access began", scene.time(at))));
            rows.push(fact("Access ended", scene.time(status.ended_at.unwrap_or(recorded))));
        }
        MessageKind::AccessBegan | MessageKind::EndOverdue => {
            rows.extend(status.granted_at.map(|at| fact("Access began", scene.time(at))));
            rows.extend(status.access_until.map(|at| fact("Approved until", scene.time(at))));
        }
        MessageKind::Approved => rows.extend(status.access_until.map(|at| fact("Approved until", scene.time(at)))),
        _ => rows.push(fact("When", scene.time(recorded))),
    }
    rows
}

/// The ticket and the incident, as the provider states them.
fn ticket(scene: &Scene<'_>, side: Side) -> Vec<Fact> {
    let spec = scene.spec();
    let mut rows = vec![];
    if let Some(ticket) = &spec.support_request {
        let number = word(&ticket.id, 64);
        rows.push(Fact { label: "Ticket", lines: vec![number], link: links::ticket(spec, scene.settings) });
        if let Some(by) = ticket.opened_by.as_ref().filter(|_| side != Side::Requester) {
            let at = ticket.opened_at.map(|at| format!(", {}", scene.time(at))).unwrap_or_default();
            rows.push(fact("Opened by", format!("{}{at}", person(by, NAME))));
        }
        if let Some(engineer) = ticket.assigned_to.as_ref().filter(|_| side != Side::Requester) {
            rows.push(fact("Assigned to", person(engineer, NAME)));
        }
    }
    if let Some(incident) = &spec.incident {
        let number = word(&incident.id, 64);
        rows.push(Fact { label: "Incident", lines: vec![number], link: links::incident(spec, scene.settings) });
    }
    rows
}

/// Who may decide, and how many must approve.
fn deciders(scene: &Scene<'_>) -> Vec<Fact> {
    let Some(status) = scene.status() else { return vec![] };
    if scene.is_internal() {
        let demanded: Vec<_> = status
            .internal_approvals
            .iter()
            .take(16)
            .map(|demanded| {
                let names: Vec<_> =
                    demanded.approvers.iter().map(|one| format!("{} {}", one.kind, person(&one.name, NAME))).collect();
                format!("rule {}: {} of {}", word(&demanded.rule, 63), demanded.count, list(&names, 300))
            })
            .collect();
        return if demanded.is_empty() {
            vec![]
        } else {
            vec![Fact { label: "Approvals", lines: demanded, link: None }]
        };
    }
    let approved: Vec<_> = status
        .history
        .iter()
        .filter(|entry| entry.action == AuditAction::ApproveLockboxRequest)
        .map(|entry| person(&entry.actor, NAME))
        .collect();
    let required = status.required_approvals.unwrap_or(1);
    let needed = match (required, approved.is_empty()) {
        (1, _) => "one is needed".to_owned(),
        (_, true) => format!("{required} different people must approve"),
        (_, false) => format!("{} of {required} are there: {}", approved.len(), list(&approved, 200)),
    };
    let names: Vec<_> = status
        .approvers
        .iter()
        .flatten()
        .map(|one| match one.kind {
            lockbox_api::PrincipalKind::User => person(&one.name, NAME),
            lockbox_api::PrincipalKind::Group => format!("group {}", person(&one.name, NAME)),
        })
        .collect();
    let mut rows = vec![fact("Approvals", needed)];
    if !names.is_empty() {
        rows.push(fact("May approve", list(&names, 500)));
    }
    rows
}

/// Why, in the words of the provider's people.
fn why(scene: &Scene<'_>) -> Vec<Block> {
    let spec = scene.spec();
    let who = scene.who(NAME);
    let mut blocks =
        vec![heading("Why"), Block::Quote { who: format!("{who} wrote:"), text: shown(&spec.justification, 4096) }];
    if let Some(ticket) = &spec.support_request {
        blocks.push(Block::Quote {
            who: format!("What the ticket is about, as {who} states it:"),
            text: shown(&ticket.summary, 1024),
        });
        if let Some(assigned) = ticket.assigned_to.as_ref().filter(|assigned| **assigned != spec.requester.username)
            && spec.escalation.is_none()
        {
            blocks.push(words(format!(
                "Note: the ticket is assigned to {}, but {who} asks. No escalation is stated.",
                person(assigned, NAME)
            )));
        }
    }
    if let Some(summary) = spec.incident.as_ref().and_then(|incident| incident.summary.as_ref()) {
        blocks.push(Block::Quote {
            who: format!("What the incident is about, as {who} states it:"),
            text: shown(summary, 1024),
        });
    }
    if let Some(escalation) = &spec.escalation {
        let assigned = spec.support_request.as_ref().and_then(|ticket| ticket.assigned_to.as_ref());
        let assigned = assigned.map_or_else(
            || "Escalated".to_owned(),
            |assigned| format!("The ticket is assigned to {}, and was escalated", person(assigned, NAME)),
        );
        blocks.push(Block::Quote {
            who: format!("{assigned} to {}. Why, as {who} states it:", inline(&escalation.team, NAME)),
            text: shown(&escalation.reason, 1024),
        });
    }
    let notes = spec.support_request.as_ref().map_or(&[][..], |ticket| &ticket.history);
    if notes.len() > NOTES {
        blocks.push(words(format!("The request holds {} notes of the ticket. The latest {NOTES}:", notes.len())));
    }
    for note in notes.iter().skip(notes.len().saturating_sub(NOTES)) {
        blocks.push(Block::Quote {
            who: format!("Note of {} in the ticket, {}:", person(&note.by, NAME), scene.time(note.at)),
            text: shown(&note.note, NOTE),
        });
    }
    blocks
}

/// What the access can do. Nothing of it is cut: nobody is shown less than what is granted.
fn effect(scene: &Scene<'_>, side: Side) -> Vec<Block> {
    let Some(effect) = scene.status().and_then(|status| status.effect.as_ref()) else { return vec![] };
    // Kinds belong to the customer's roles; names of objects are the engineer's choice, and may look like a host.
    let hosts: Vec<_> = scene
        .spec()
        .resources
        .iter()
        .flatten()
        .map(|object| (object.name.clone(), broken(&object.name)))
        .filter(|(name, broken)| name != broken)
        .collect();
    let rule = |rule: &String| {
        let mut text = crate::foreign::visible(rule, 512);
        for (name, broken) in &hosts {
            text = text.replace(name.as_str(), broken);
        }
        isolated(&text)
    };
    let mut blocks = vec![heading("What the access allows")];
    blocks.push(words(match effect.form {
        GrantForm::Named => "Only on the objects named here:",
        GrantForm::Whole => match scene.spec().scope {
            Scope::Subscription => "On every object of these kinds in the namespace:",
            Scope::Tenant => "On every object of these kinds in the cluster:",
        },
    }));
    let (notes, rules): (Vec<_>, Vec<_>) =
        effect.rules.iter().take(96).map(rule).partition(|text| text.starts_with("Note: "));
    blocks.push(Block::List { items: rules });
    blocks.extend(notes.into_iter().map(|note| words(note + ".")));
    if !effect.reasons.is_empty() {
        let administrator = if side == Side::Customer { "Your" } else { "The customer's" };
        blocks.push(words(format!("{administrator} administrator allows more than reading, and gave this reason:")));
        blocks.push(Block::List {
            items: effect.reasons.iter().take(8).map(|text| isolated(&shown(text, 600))).collect(),
        });
    }
    if !effect.left_out.is_empty() {
        blocks.push(words("Of the access level, this is not granted:"));
        blocks.push(Block::List { items: effect.left_out.iter().take(16).map(rule).collect() });
    }
    blocks
}

/// What the reader can do.
fn next(scene: &Scene<'_>, side: Side, commands: &Commands) -> Vec<Block> {
    let mut blocks = vec![];
    match scene.kind() {
        MessageKind::ApprovalAsked | MessageKind::InternalApprovalAsked | MessageKind::Reminder => {
            blocks.extend(decide(scene, side, commands));
        }
        MessageKind::AccessBegan | MessageKind::Approved if commands.end.is_some() => {
            if side == Side::Customer {
                blocks.push(heading("To end it early"));
                blocks.push(words("Any of the approvers, anybody who may approve there now, and any Global Administrator can end the access at any time."));
                blocks.extend(command("On Kubernetes 1.36 and later:", commands.end.clone()));
                blocks.extend(command(
                    format!(
                        "Before Kubernetes 1.36, name yourself in place of {YOURS} (kubectl auth whoami prints it):"
                    ),
                    commands.end_long.clone(),
                ));
            } else {
                blocks.push(heading("To give it back early"));
                blocks.extend(command("On Kubernetes 1.36 and later:", commands.end.clone()));
                blocks.extend(command(
                    format!(
                        "Before Kubernetes 1.36, name yourself in place of {YOURS} (kubectl auth whoami prints it):"
                    ),
                    commands.end_long.clone(),
                ));
            }
        }
        MessageKind::AccessEnded | MessageKind::AccessRevoked if side == Side::Customer => {
            blocks.push(heading("What ending access does not undo"));
            blocks.push(words("Data that was copied stays copied, and what was created or changed stays. A session that is still open does not break off: restart the Pods that were entered."));
        }
        MessageKind::EndOverdue if side == Side::Customer => {
            blocks.push(heading("What to do"));
            blocks.push(words("Ask a cluster administrator to remove what refuses the deletion: the record above quotes it. Until then, assume that the engineer can still do all of the above. Lockbox tells you when the access has ended."));
        }
        MessageKind::Denied if side == Side::Requester => {
            blocks.push(words("Talk to them before you create a new request."));
        }
        MessageKind::Rejected if side == Side::Requester && scene.action() == Some(AuditAction::DenyInternally) => {
            blocks.push(words("Talk to them before you create a new request."));
        }
        MessageKind::Rejected if scene.action() == Some(AuditAction::SkipLockboxRequest) => {}
        MessageKind::Rejected | MessageKind::AccessFailed if side == Side::Requester => {
            blocks.push(words("You can create a new request once what the record names is put right."));
        }
        MessageKind::Expired | MessageKind::Cancelled if side == Side::Requester && !scene.is_by_requester() => {
            blocks.push(words("Create a new request if you still need access."));
        }
        _ => {}
    }
    blocks
}

fn decide(scene: &Scene<'_>, side: Side, commands: &Commands) -> Vec<Block> {
    let mut blocks = vec![heading("How to decide")];
    blocks.push(words("Decide on the command line, in your own name. Write your reason in place of the three dots: it becomes part of the record."));
    blocks.extend(command("To approve, on Kubernetes 1.36 and later:", commands.approve.clone()));
    blocks.extend(command("To deny:", commands.deny.clone()));
    blocks.push(words(format!(
        "Before Kubernetes 1.36, write your own user name in place of {YOURS} (kubectl auth whoami prints it). If you are an approver through a group, add \"group\":\"NAME-OF-THE-GROUP\" after the verdict."
    )));
    blocks.extend(command("To approve, on any version:", commands.approve_long.clone()));
    blocks.extend(command("To deny, on any version:", commands.deny_long.clone()));
    if commands.approve.as_ref().is_some_and(|line| line.contains("effectHash")) {
        blocks.push(words("The effectHash makes sure that you approve exactly what this message shows. If the access has come to mean something else, the cluster refuses the approval."));
    }
    if side == Side::Customer {
        blocks.push(words("You may approve less: add \"duration\":\"1h\" for a shorter time, or name the objects that stay in \"resources\". One denial ends the request, whatever others decide."));
    }
    blocks.push(heading("If nobody decides"));
    let by = scene.deadline().map(|deadline| format!(" on {}", scene.time(deadline))).unwrap_or_default();
    blocks.push(words(if side == Side::Customer {
        format!("The request expires{by}, and no access is granted.")
    } else {
        format!("The request expires{by}: the customer is not asked, and no access is granted.")
    }));
    blocks
}

fn footer(scene: &Scene<'_>, side: Side, audience: Option<Audience>) -> Vec<String> {
    let mut lines = vec![];
    if side == Side::Customer {
        lines.push(
            "No link in this message approves, denies or ends anything, and Lockbox never asks for a password."
                .to_owned(),
        );
    }
    lines.push("Text behind a bar is quoted. Links in it are broken up on purpose (hxxps, [:], [.]).".to_owned());
    if audience == Some(Audience::Alternates) {
        lines.push("You get this because your address is an alternate address in the settings of Lockbox or in a role assignment.".to_owned());
    }
    lines.push(format!(
        "Lockbox, request {}/{}, message {}",
        word(request::namespace(scene.request), 63),
        word(request::name(scene.request), 63),
        shown(&scene.message.id, 40)
    ));
    lines
}
