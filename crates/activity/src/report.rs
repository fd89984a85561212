//! What is known of an access, for people.

use std::fmt::Write as _;

use lockbox_api::{
    Activity, Moment,
    activity::{Operation, Session},
    time::text as moment_text,
};

use crate::account::Access;

/// The whole of it, as text. Coverage first: where the stream does not cover the time, that nothing is shown says nothing.
pub fn report(access: &Access, activity: &Activity) -> String {
    let mut out = String::new();
    // Writing to a String cannot fail.
    let _ = writeln!(out, "{}/{} of {}", access.namespace, access.name, access.requester);
    let to = access.to.map_or_else(|| "now".to_owned(), moment_text);
    let _ = writeln!(out, "  access       {} to {to}", moment_text(access.from));
    let _ = writeln!(out, "  coverage     {}: {}", activity.coverage, activity.message);
    let _ = writeln!(out, "  by this access");
    let failed = if activity.failed > 0 { format!(", of which {} failed", activity.failed) } else { String::new() };
    let span = between(activity.first, activity.last);
    let _ = writeln!(out, "    {}{failed}{span}", counted(activity.calls, "call"));
    if activity.after_the_end > 0 {
        let _ = writeln!(out, "    {} after the recorded end", counted(activity.after_the_end, "call"));
    }
    operations(&mut out, &activity.operations, activity.more_operations);
    if !activity.objects.is_empty() {
        let _ = writeln!(out, "  objects");
        for object in &activity.objects {
            let name = whole_name(&object.group, &object.resource, &object.namespace, &object.name);
            let _ = writeln!(out, "    {name}: {} ({})", object.verbs.join(", "), counted(object.count, "call"));
        }
        more(&mut out, activity.more_objects, "calls to other objects");
    }
    if !activity.sessions.is_empty() {
        let _ = writeln!(out, "  sessions (what was typed in them is not in the stream)");
        for one in &activity.sessions {
            let _ = writeln!(out, "    {}", session(one));
        }
        more(&mut out, activity.more_sessions, "sessions");
    }
    let refused = &activity.refused;
    if refused.calls + refused.elsewhere > 0 {
        let _ =
            writeln!(out, "  refused      {} here, {} elsewhere", counted(refused.calls, "call"), refused.elsewhere);
        for one in &refused.attempts {
            let name = whole_name(&one.group, &one.resource, &one.namespace, &one.name);
            let _ = writeln!(out, "    {} {name}: {} ({})", one.verb, one.code, counted(one.count, "time"));
        }
        more(&mut out, refused.more_attempts, "refused calls");
    }
    let other = &activity.by_other_rights;
    if other.calls + other.elsewhere + other.as_somebody_else > 0 {
        let _ = writeln!(
            out,
            "  by other rights in the same time: {} here ({} by other accesses), {} elsewhere, {} in somebody else's name",
            counted(other.calls, "call"),
            other.by_other_grants,
            other.elsewhere,
            other.as_somebody_else
        );
        operations(&mut out, &other.operations, other.more_operations);
        for right in &other.rights {
            let _ = writeln!(out, "    {right}");
        }
        for user in &other.impersonated {
            let _ = writeln!(out, "    as {user}");
        }
    }
    for (title, list, rest) in [
        ("clients", &activity.user_agents, activity.more_user_agents),
        ("addresses", &activity.addresses, activity.more_addresses),
        ("used by others, in the requester's name", &activity.impersonated_by, 0),
    ] {
        if !list.is_empty() {
            let _ = writeln!(out, "  {title}");
            for one in list {
                let _ = writeln!(out, "    {one}");
            }
            more(&mut out, rest, "calls from others");
        }
    }
    if activity.residue.is_empty() {
        let _ = writeln!(out, "  left behind  nothing that the stream shows");
    } else {
        let _ = writeln!(out, "  left behind (no deletion was seen)");
        for left in &activity.residue {
            let name = whole_name(&left.group, &left.resource, &left.namespace, &left.name);
            let _ = writeln!(out, "    {name}: {}, {}", left.done, moment_text(left.at));
            let _ = writeln!(out, "      {}", left.look);
        }
        more(&mut out, activity.more_residue, "objects");
    }
    out
}

fn operations(out: &mut String, operations: &[Operation], rest: i64) {
    for one in operations {
        let group = if one.group.is_empty() { String::new() } else { format!(".{}", one.group) };
        let _ =
            writeln!(out, "    {:>6}  {} {}{group}{}", one.count, one.verb, one.resource, between(one.first, one.last));
    }
    more(out, rest, "calls of other kinds");
}

fn session(one: &Session) -> String {
    let mut text = format!("{} {}/{} in {}", one.kind, one.resource, one.name, one.namespace);
    if let Some(container) = &one.container {
        let _ = write!(text, ", container {container}");
    }
    if let Some(command) = &one.command {
        let _ = write!(text, ", {command}");
    }
    let _ = write!(text, ": {}", moment_text(one.start));
    match (one.began, &one.lasted, one.end) {
        (false, ..) => {
            let _ = write!(text, ", attempted, did not begin ({})", one.code);
        }
        (true, Some(lasted), _) => {
            let _ = write!(text, ", lasted {lasted}");
        }
        (true, None, _) => text.push_str(", its end was not seen"),
    }
    text
}

fn whole_name(group: &str, resource: &str, namespace: &str, name: &str) -> String {
    let group = if group.is_empty() { String::new() } else { format!(".{group}") };
    let name = if name.is_empty() { String::new() } else { format!("/{name}") };
    let place = if namespace.is_empty() { String::new() } else { format!(" in {namespace}") };
    format!("{resource}{group}{name}{place}")
}

fn between(first: Option<Moment>, last: Option<Moment>) -> String {
    match (first, last) {
        (Some(first), Some(last)) if first == last => format!(", {}", moment_text(first)),
        (Some(first), Some(last)) => format!(", {} to {}", moment_text(first), moment_text(last)),
        _ => String::new(),
    }
}

fn counted(count: i64, word: &str) -> String {
    if count == 1 { format!("1 {word}") } else { format!("{count} {word}s") }
}

fn more(out: &mut String, rest: i64, words: &str) {
    if rest > 0 {
        let _ = writeln!(out, "    and {rest} more {words}");
    }
}
