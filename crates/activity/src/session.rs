//! Sessions: what goes on between a person and a container or a virtual machine after the call has been answered.

use lockbox_api::{
    activity::{LONGEST_OBJECT, LONGEST_TEXT, Session, SessionKind},
    time::whole_seconds,
};

use crate::{
    call::{Call, Stage},
    text::{plain, quoted},
    uri,
};

/// The API group in which KubeVirt serves consoles.
const KUBEVIRT: &str = "subresources.kubevirt.io";

/// What kind of session a call asks for, if any. The verb does not matter: it follows from the protocol of the client.
pub fn kind(call: &Call) -> Option<SessionKind> {
    match (call.group.as_str(), call.resource.as_str(), call.subresource.as_str()) {
        ("", "pods", "exec") => Some(SessionKind::Exec),
        ("", "pods", "attach") => Some(SessionKind::Attach),
        ("", "pods", "portforward") | (KUBEVIRT, _, "portforward") => Some(SessionKind::PortForward),
        (KUBEVIRT, _, "console") => Some(SessionKind::Console),
        (KUBEVIRT, _, "vnc") => Some(SessionKind::Screen),
        _ => None,
    }
}

/// The session that a call began, or tried to begin.
pub fn of(call: &Call) -> Option<Session> {
    let kind = kind(call)?;
    let mut session = Session {
        kind,
        resource: call.resource.clone(),
        namespace: call.namespace.clone(),
        name: call.name.clone(),
        container: uri::values(&call.uri, "container").first().map(|name| plain(name, LONGEST_OBJECT)),
        command: command(call),
        start: whole_seconds(call.received),
        end: None,
        lasted: None,
        code: i32::from(call.code),
        began: call.succeeded(),
    };
    if call.stage == Stage::Complete {
        finish(&mut session, call);
    }
    Some(session)
}

/// The end of a session, or of the attempt at it.
pub fn finish(session: &mut Session, call: &Call) {
    session.end = Some(whole_seconds(call.at));
    session.began |= call.succeeded();
    if session.code == 0 || !session.began {
        session.code = i32::from(call.code);
    }
    let seconds = (call.at - call.received).num_seconds().max(0);
    session.lasted = session.began.then(|| lasted(seconds));
}

/// Whether a call ends this session: the one that was asked for then, of that kind, there.
pub fn is_ended_by(session: &Session, call: &Call) -> bool {
    session.end.is_none()
        && kind(call) == Some(session.kind)
        && session.start == whole_seconds(call.received)
        && (session.resource == call.resource && session.namespace == call.namespace && session.name == call.name)
}

fn command(call: &Call) -> Option<String> {
    let words = uri::values(&call.uri, "command");
    if !words.is_empty() {
        let words: Vec<_> = words.iter().map(|word| quoted(word)).collect();
        return Some(plain(&words.join(" "), LONGEST_TEXT));
    }
    let ports = uri::values(&call.uri, "ports");
    if !ports.is_empty() {
        return Some(plain(&format!("ports {}", ports.join(", ")), LONGEST_TEXT));
    }
    // KubeVirt has the port in the path: …/portforward/22/tcp.
    let after = uri::path(&call.uri).split_once("/portforward/").map(|(_, ports)| ports)?;
    Some(plain(&format!("port {after}"), LONGEST_TEXT))
}

/// As people write it, such as 1h4m10s.
fn lasted(seconds: i64) -> String {
    let (hours, minutes, seconds) = (seconds / 3_600, seconds / 60 % 60, seconds % 60);
    match (hours, minutes) {
        (0, 0) => format!("{seconds}s"),
        (0, _) => format!("{minutes}m{seconds}s"),
        _ => format!("{hours}h{minutes}m{seconds}s"),
    }
}
