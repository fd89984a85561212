//! CEL rules that the three kinds share, each written once.
//!
//! Transition rules guard both sides with `has()`: otherwise a field that is absent turns every later write, status
//! included, into an error.
//!
//! All rules of a definition are evaluated at every write, status included, and the API server makes a list of a node's
//! fields anew whenever a rule names one of them: on `spec` and `status`, which have many, that is most of what a rule
//! costs. So a rule stands on the field that it is about, and its parent says only what the field cannot: that it came or
//! went. What decides most often stands first.

use kube::core::{Message, Reason, Rule};

use super::{
    Phase,
    duration::{Duration, is_legal, seconds},
};

/// One of ours, or one of Kubernetes' own names.
pub(super) const NAME: &str = r"^[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?$";
/// Control, bidirectional, zero-width and other invisible characters: a text that holds one can show an approver
/// something else than it says. Line feeds and tabs are among them: `kubectl describe` shows a text of several lines at
/// the left margin, where a line of it passes for a field of the system's own. The escapes are CEL's own: the regular
/// expression holds the characters themselves.
const INVISIBLE: &str = concat!(
    r"[\x00-\x1f\x7f-\x9f\u00ad\u034f\u061c\u115f\u1160\u180b-\u180f\u200b-\u200f\u2028-\u202e\u2060-\u206f",
    r"\u2800\u3164\ufeff\uffa0\ufff9-\ufffb\U000e0000-\U000e0fff]",
);
/// Blanks in a row, of whatever width: enough of them break a line wherever a terminal ends.
const GAP: &str = r"[ \u00a0\u1680\u2000-\u200a\u202f\u205f\u3000]{4}";

/// RFC 3339, in the years 1000 to 2999.
const MOMENT: &str = concat!(
    r"^[12][0-9]{3}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])T([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9]([.][0-9]{1,9})?",
    r"(Z|[+-]([01][0-9]|2[0-3]):[0-5][0-9])$",
);

pub(super) fn forbidden(rule: impl Into<String>, message: impl Into<Message>) -> Rule {
    Rule::new(rule).message(message).reason(Reason::FieldValueForbidden)
}

const ASK_ANEW: &str = "is immutable: to ask for something else, create a new request";

pub(super) fn immutable() -> Rule {
    forbidden("self == oldSelf", ASK_ANEW)
}

/// On the parent of an immutable field that may be absent: it may be neither added nor taken away.
pub(super) fn as_created(field: &str) -> Rule {
    forbidden(format!("has(self.{field}) == has(oldSelf.{field})"), ASK_ANEW).field_path(format!(".{field}"))
}

pub(super) fn required_if(condition: &str, field: &str, message: &'static str) -> Rule {
    Rule::new(format!("!({condition}) || has(self.{field})"))
        .message(message)
        .field_path(format!(".{field}"))
        .reason(Reason::FieldValueRequired)
}

/// On a map whose entries are recorded for good.
pub(super) fn recorded_entries() -> Rule {
    forbidden(
        "oldSelf.all(k, k in self && self[k] == oldSelf[k])",
        Message::Expression(
            "'a recorded decision can be neither changed nor taken back: %s'.format([oldSelf.filter(k, !(k in self) || self[k] != oldSelf[k])])".into(),
        ),
    )
}

/// On the parent of a map whose entries are recorded for good.
pub(super) fn recorded_map(field: &str) -> Rule {
    forbidden(
        format!("!has(oldSelf.{field}) || has(self.{field})"),
        Message::Expression(format!(
            "'a recorded decision can be neither changed nor taken back: %s'.format([oldSelf.{field}.map(k, k)])"
        )),
    )
    .field_path(format!(".{field}"))
}

/// On a map by user name.
pub(super) fn user_name_keys() -> Rule {
    forbidden("self.all(k, k.size() > 0 && k.size() <= 256)", "keys are user names of at most 256 characters")
}

const RECORDED: &str = "is recorded and can be neither changed nor taken back";

/// On a field that is written once.
pub(super) fn recorded() -> Rule {
    forbidden("self == oldSelf", RECORDED)
}

/// On the parent of a field that is written once.
pub(super) fn stays_recorded(field: &str) -> Rule {
    forbidden(format!("!has(oldSelf.{field}) || has(self.{field})"), RECORDED).field_path(format!(".{field}"))
}

/// On the parent: once there, the field stays.
pub(super) fn kept(field: &str) -> Rule {
    forbidden(format!("has(self.{field}) || !has(oldSelf.{field})"), "is recorded once and never taken back")
        .field_path(format!(".{field}"))
}

/// On the field: once there, the value stays.
pub(super) fn once(message: &'static str) -> Rule {
    forbidden("self == oldSelf", message)
}

/// On a duration: its bounds.
pub(super) fn between(least: &str, most: &str) -> Rule {
    let bound = |text: &str| text.parse::<Duration>().map_or(1, Duration::seconds);
    let length = seconds("self");
    Rule::new(format!("!{} || ({length} >= {} && {length} <= {})", is_legal("self"), bound(least), bound(most)))
        .message(format!("must be between {least} and {most}").as_str())
}

/// On a name that people write: a rule in place of a `pattern`, which kubectl shows without a word.
pub(super) fn spelled(pattern: &str, message: &'static str) -> Rule {
    Rule::new(format!("self.matches('{pattern}')")).message(message)
}

/// On a moment that people write: what the operator reads, and not all that the API server takes for a `date-time`.
/// `timestamp` refuses days that a month does not have. [`super::schema`] puts it in the place of that format.
pub(super) fn moment() -> (String, &'static str) {
    (
        format!("self.matches('{MOMENT}') && timestamp(self) > timestamp('1000-01-01T00:00:00Z')"),
        "must be a date and time such as 2026-11-21T08:12:00Z or 2026-11-21T09:12:00+01:00",
    )
}

// A regular expression and not `getScheme` and `getHost`: the scheme's case would not matter to them, and
// `HTTPS://user@host` would pass the look for a user name.
pub(super) fn https() -> Rule {
    Rule::new("isURL(self) && self.matches('^https://[^/@?#:][^/@]*(/.*)?$') && !self.matches('[^!-~]')")
        .message("must be an https URL without a user name in it, such as https://support.example/123")
}

/// On a link in which `{namespace}` and `{name}` stand for a request's: its host is fixed, whatever the request is called.
pub(super) fn https_template() -> Rule {
    Rule::new("self.matches('^https://[^/@?#:{}][^/@{}]*(/[^{}]*([{](namespace|name)[}][^{}]*)*)?$') && !self.matches('[^!-~]')")
        .message("must be an https URL without a user name in it, such as https://lockbox.contoso.example/{namespace}: {namespace} and {name} may stand behind the host, and nothing else in braces")
}

/// What an e-mail address looks like here: a local part without quotes, and a domain. Never what could be a second
/// recipient, a header or a name.
const ADDRESS: &str = r#"^[^@,;:<>()\[\]\\"\s\x00-\x1f\x7f]+@[^@,;:<>()\[\]\\"\s\x00-\x1f\x7f]+$"#;

/// On an e-mail address.
pub(super) fn address() -> Rule {
    Rule::new(format!("self.matches(r'{ADDRESS}')")).message("must be one e-mail address, such as soc@contoso.example")
}

/// On a list of e-mail addresses.
pub(super) fn addresses() -> Rule {
    Rule::new(format!("self.all(a, a.matches(r'{ADDRESS}'))"))
        .message("must be e-mail addresses, one an item, such as soc@contoso.example")
}

/// On a list of durations: the bounds of each.
pub(super) fn each_between(least: &str, most: &str) -> Rule {
    let bound = |text: &str| text.parse::<Duration>().map_or(1, Duration::seconds);
    let length = seconds("d");
    Rule::new(format!(
        "self.all(d, !{} || ({length} >= {} && {length} <= {}))",
        is_legal("d"),
        bound(least),
        bound(most)
    ))
    .message(format!("each must be between {least} and {most}").as_str())
}

/// On a text that is shown to somebody who decides.
pub(super) fn visible() -> Rule {
    forbidden(
        format!("!self.matches('{INVISIBLE}|{GAP}')"),
        "must be one paragraph without line breaks (in YAML, write >- instead of |), tabs, runs of spaces, or control, zero-width and bidirectional characters",
    )
}

pub(super) fn not_built_in() -> Rule {
    forbidden(
        "!self.startsWith('system:')",
        "must not be a built-in user or group (system:...): it would stand for everybody, or for a component",
    )
}

/// On a list of groups by which a fact is recognised.
pub(super) fn no_built_in_groups() -> Rule {
    forbidden(
        "!has(self.groups) || self.groups.all(g, !g.startsWith('system:'))",
        "must not name a built-in group (system:...): everybody who is signed in would have the fact",
    )
    .field_path(".groups")
}

/// On a list of objects: none stands there twice.
pub(super) fn unique() -> Rule {
    forbidden("self.all(r, self.exists_one(o, o == r))", "must not name an object twice")
}

/// On the request: a decision may shorten, never lengthen.
pub(super) fn shortens() -> Rule {
    forbidden(
        format!(
            "!has(self.decisions) || !has(self.duration) || self.decisions.all(k, !has(self.decisions[k].duration) || {} <= {})",
            seconds("self.decisions[k].duration"),
            seconds("self.duration")
        ),
        "a decision can shorten the requested time (spec.duration), not lengthen it",
    )
    .field_path(".decisions")
}

/// On the request: a decision may leave resources out, never add any. Fields are compared one by one: `==` between
/// objects from two places of a schema does not compile.
pub(super) fn leaves_out() -> Rule {
    forbidden(
        "!has(self.decisions) || self.decisions.all(k, !has(self.decisions[k].resources) || (has(self.resources) && self.decisions[k].resources.all(r, self.resources.exists(a, a.name == r.name && a.resource == r.resource && a.group == r.group))))",
        "a decision can leave out requested resources (spec.resources), not add any",
    )
    .field_path(".decisions")
}

/// On the request's root: nothing is decided at creation.
pub(super) fn starts_undecided() -> Rule {
    forbidden(
        "has(self.status) || !(has(self.spec.decision) || has(self.spec.internalDecision) || (has(self.spec.internalDecisions) && self.spec.internalDecisions.size() > 0) || (has(self.spec.decisions) && self.spec.decisions.size() > 0) || has(self.spec.cancellation) || has(self.spec.release) || has(self.spec.revocation) || has(self.spec.removal))",
        "create the request without decisions, cancellation, release, revocation and removal: they are written once Lockbox has taken it up (status.phase)",
    )
    .field_path(".spec")
}

/// On the phase: it moves along the edges of [`Phase::next`] alone.
pub(super) fn next_phase() -> Rule {
    let quoted = |phases: &[Phase]| phases.iter().map(|p| format!("'{p}'")).collect::<Vec<_>>().join(",");
    let live: Vec<Phase> = Phase::ALL.into_iter().filter(|phase| !phase.is_terminal()).collect();
    let table = live.iter().map(|phase| format!("'{phase}':[{}]", quoted(phase.next()))).collect::<Vec<_>>().join(",");
    forbidden(
        format!("self == oldSelf || (oldSelf in [{}] && self in {{{table}}}[oldSelf])", quoted(&live)),
        Message::Expression("'the lifecycle has no step from %s to %s'.format([oldSelf, self])".into()),
    )
}
