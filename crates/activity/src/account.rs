//! The account of one access: what was done by it, and beside it in the same time.

use std::collections::VecDeque;

use lockbox_api::{
    Activity, LockboxRequest, Moment, Scope,
    activity::{
        Attempt, Coverage, LONGEST_OBJECT, LONGEST_TEXT, MOST_CLIENTS, MOST_OBJECTS, MOST_OPERATIONS, MOST_REFUSED,
        MOST_RESIDUE, MOST_SESSIONS, Operation, TouchedObject,
    },
    principal::same_user,
    time::{text as moment_text, whole_seconds},
};
use lockbox_lifecycle::text::clip;

use crate::{
    call::{Call, Stage},
    ledger::{Stream, key},
    record::Belongs,
    residue::Left,
    rights::Binding,
    session,
    text::plain,
};

/// Calls whose answer goes on that are kept in mind, so that their end is not counted as another call.
const MOST_OPEN: usize = 512;
/// Verbs of one object that are listed.
const MOST_VERBS: usize = 8;
/// What a recorded moment is exact to.
const SECOND: chrono::TimeDelta = chrono::TimeDelta::seconds(1);
/// What the recorded beginning and end may differ from the API server's own moments.
const SLACK: chrono::TimeDelta = chrono::TimeDelta::seconds(2);

/// Whose access it is, to what, and when.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Access {
    /// UID of the request.
    pub uid: String,
    /// Namespace of the request.
    pub namespace: String,
    /// Name of the request.
    pub name: String,
    /// Whether it reaches the request's namespace or the cluster.
    pub scope: Scope,
    /// Who has it.
    pub requester: String,
    /// From when on.
    pub from: Moment,
    /// When it ended; none while it lasts.
    pub to: Option<Moment>,
}

impl Access {
    /// The access of a request; none where none was approved.
    pub fn of(request: &LockboxRequest) -> Option<Self> {
        let status = request.status.as_ref()?;
        Some(Self {
            uid: request.metadata.uid.clone()?,
            namespace: request.metadata.namespace.clone().unwrap_or_default(),
            name: request.metadata.name.clone().unwrap_or_default(),
            scope: request.spec.scope,
            // As a call's user is taken down.
            requester: plain(&request.spec.requester.username, LONGEST_OBJECT),
            from: status.approved_at?,
            to: status.ended_at,
        })
    }

    fn is_in_scope(&self, call: &Call) -> bool {
        match self.scope {
            Scope::Tenant => true,
            Scope::Subscription => call.namespace == self.namespace,
        }
    }

    fn lasts_at(&self, moment: Moment) -> bool {
        // What is recorded has whole seconds: the last one belongs to the access as well.
        moment >= self.from && self.to.is_none_or(|to| moment < to + SECOND)
    }

    /// How a call belongs to this access; none where it does not.
    pub fn belongs(&self, call: &Call) -> Option<Belongs> {
        let binding = Binding::of(&call.reason);
        let by_this = binding
            .is_some_and(|binding| binding.request() == Some(&self.uid) && binding.is_in(self.scope, &self.namespace));
        if by_this {
            return Some(if call.is_refused() { Belongs::Refused } else { Belongs::ThisAccess });
        }
        if !call.is_by(&self.requester) || !self.lasts_at(call.received) {
            return None;
        }
        Some(match binding.and_then(Binding::request) {
            _ if call.is_refused() => Belongs::Refused,
            Some(_) => Belongs::AnotherAccess,
            None => Belongs::OtherRights,
        })
    }
}

/// What is known of one access.
#[derive(Clone, Debug)]
pub struct Account {
    access: Access,
    activity: Activity,
    left: Left,
    /// Calls whose answer goes on, by their key.
    open: VecDeque<u64>,
    /// Until when an earlier life of this account had heard the stream, and what it said was missing.
    resumed: Option<Resumed>,
}

#[derive(Clone, Debug)]
struct Resumed {
    until: Option<Moment>,
    was_partial: bool,
}

impl Account {
    /// A new one. What a status has recorded of the same access is gone on with.
    pub fn new(access: Access, recorded: Option<&Activity>) -> Self {
        let recorded = recorded.filter(|activity| activity.coverage != Coverage::None);
        let resumed = recorded
            .map(|activity| Resumed { until: activity.until, was_partial: activity.coverage == Coverage::Partial });
        let left =
            recorded.map_or_else(Left::default, |activity| Left::recorded(&activity.residue, activity.more_residue));
        Self { access, activity: recorded.cloned().unwrap_or_default(), left, open: VecDeque::new(), resumed }
    }

    /// Whose access it is.
    pub const fn access(&self) -> &Access {
        &self.access
    }

    pub(crate) fn ended(&mut self, to: Option<Moment>) {
        self.access.to = to;
    }

    /// Takes down a call. Returns how it belongs to the access; none where it does not, or was taken down before.
    pub(crate) fn take(&mut self, call: &Call) -> Option<Belongs> {
        let belongs = self.access.belongs(call)?;
        if call.is_long() && call.stage == Stage::Complete && self.ends(call, belongs) {
            return Some(belongs);
        }
        if call.is_long() && call.stage == Stage::Started {
            if self.open.len() >= MOST_OPEN {
                self.open.pop_front();
            }
            self.open.push_back(key(call, false));
        }
        match belongs {
            Belongs::ThisAccess => self.used(call),
            Belongs::Refused => self.refused(call),
            Belongs::AnotherAccess | Belongs::OtherRights => self.beside(call, belongs),
        }
        Some(belongs)
    }

    /// Whether this is the end of a call that was counted when it began.
    fn ends(&mut self, call: &Call, belongs: Belongs) -> bool {
        let key = key(call, false);
        let known = self.open.iter().position(|open| *open == key);
        known.map(|at| self.open.remove(at));
        let mut known = known.is_some();
        if belongs == Belongs::ThisAccess
            && let Some(session) = self.activity.sessions.iter_mut().find(|one| session::is_ended_by(one, call))
        {
            session::finish(session, call);
            known = true;
        }
        // It began before this account was opened anew, and was counted then.
        known || self.resumed.as_ref().and_then(|resumed| resumed.until).is_some_and(|until| call.received < until)
    }

    fn used(&mut self, call: &Call) {
        let activity = &mut self.activity;
        let at = whole_seconds(call.received);
        activity.calls += 1;
        activity.failed += i64::from(!call.succeeded());
        activity.after_the_end += i64::from(self.access.to.is_some_and(|to| call.received > to + SLACK));
        span(&mut activity.first, &mut activity.last, at);
        activity.more_operations += i64::from(!operation(&mut activity.operations, call, at));
        activity.more_objects += i64::from(!object(&mut activity.objects, call, at));
        if let Some(session) = session::of(call) {
            if activity.sessions.len() < MOST_SESSIONS {
                activity.sessions.push(session);
            } else {
                activity.more_sessions += 1;
            }
        }
        activity.more_user_agents += i64::from(!listed(&mut activity.user_agents, &call.user_agent));
        for address in call.addresses.iter().take(1) {
            activity.more_addresses += i64::from(!listed(&mut activity.addresses, address));
        }
        if call.impersonated.is_some() {
            listed(&mut activity.impersonated_by, &call.user);
        }
        if call.stage == Stage::Complete {
            self.left.made(call);
        }
    }

    fn refused(&mut self, call: &Call) {
        let refused = &mut self.activity.refused;
        if !self.access.is_in_scope(call) {
            refused.elsewhere += 1;
            return;
        }
        refused.calls += 1;
        let at = Some(whole_seconds(call.received));
        let what = call.what();
        let known = refused.attempts.iter_mut().find(|one| {
            (&one.verb, &one.group, &one.resource, &one.namespace, &one.name)
                == (&call.verb, &call.group, &what, &call.namespace, &call.name)
        });
        if let Some(known) = known {
            known.count += 1;
            known.code = i32::from(call.code);
            known.last = at.max(known.last);
        } else if refused.attempts.len() < MOST_REFUSED {
            refused.attempts.push(Attempt {
                verb: call.verb.clone(),
                group: call.group.clone(),
                resource: what,
                namespace: call.namespace.clone(),
                name: call.name.clone(),
                code: i32::from(call.code),
                count: 1,
                last: at,
            });
        } else {
            refused.more_attempts += 1;
        }
    }

    fn beside(&mut self, call: &Call, belongs: Belongs) {
        let other = &mut self.activity.by_other_rights;
        if call.is_discovery() {
            other.discovery += 1;
            return;
        }
        if !same_user(call.effective_user(), &self.access.requester) {
            other.as_somebody_else += 1;
            listed(&mut other.impersonated, call.effective_user());
        }
        if !self.access.is_in_scope(call) {
            other.elsewhere += 1;
            return;
        }
        other.calls += 1;
        other.by_other_grants += i64::from(belongs == Belongs::AnotherAccess);
        other.more_operations += i64::from(!operation(&mut other.operations, call, whole_seconds(call.received)));
        listed(&mut other.rights, &call.reason);
    }

    /// Whether anything that the access left can be deleted.
    pub(crate) const fn left_anything(&self) -> bool {
        !self.left.is_empty()
    }

    /// Somebody deleted something. Returns whether the access had left it.
    pub(crate) fn deleted(&mut self, call: &Call) -> bool {
        self.left.deleted(call)
    }

    /// What is known, as a request's status shows it.
    pub(crate) fn activity(&self, stream: &Stream) -> Activity {
        let mut activity = self.activity.clone();
        (activity.residue, activity.more_residue) = self.left.shown(MOST_RESIDUE);
        self.cover(&mut activity, stream);
        activity
    }

    /// Says whether the stream covers the time of the access.
    fn cover(&self, activity: &mut Activity, stream: &Stream) {
        let access = &self.access;
        let Some((heard, until)) = stream.since.zip(stream.until) else {
            (activity.coverage, activity.message) = match &self.resumed {
                None => (
                    Coverage::None,
                    "Nothing has come from the API server's audit stream yet: what was done is not known.".into(),
                ),
                Some(resumed) => (
                    Coverage::Partial,
                    format!("Nothing has come from the API server's audit stream{}.", since_then(resumed.until)),
                ),
            };
            return;
        };
        let mut missing = vec![];
        let from = match &self.resumed {
            Some(resumed) => {
                if resumed.was_partial {
                    missing.push("an earlier part of it is missing".to_owned());
                }
                missing.push(format!(
                    "Lockbox was restarted{}, and heard it again from {} on",
                    since_then(resumed.until),
                    moment_text(heard)
                ));
                activity.since
            }
            None => None,
        };
        let from = from.unwrap_or(if heard <= access.from + SLACK { access.from } else { heard });
        if from > access.from + SLACK {
            missing.push(format!("it was heard from {} on only", moment_text(from)));
        }
        let end = access.to.unwrap_or(Moment::MAX_UTC);
        for (begin, end) in stream.gaps.iter().filter(|(begin, until)| *until > access.from && *begin < end).take(3) {
            missing.push(format!("nothing came between {} and {}", moment_text(*begin), moment_text(*end)));
        }
        if let Some(to) = access.to.filter(|to| until < *to) {
            missing.push(format!(
                "it was heard until {} only, and the access ended at {}",
                moment_text(until),
                moment_text(to)
            ));
        }
        let lost = stream.lost_between(access.from, end);
        if lost > 0 {
            missing.push(format!("{lost} lines or batches of it could not be read"));
        }
        activity.since = Some(whole_seconds(from));
        activity.until = Some(whole_seconds(access.to.map_or(until, |to| until.min(to))));
        let nothing = until < access.from || from > end;
        (activity.coverage, activity.message) = if nothing {
            (
                Coverage::None,
                "The API server's audit stream does not cover the time of this access: what was done is not known."
                    .into(),
            )
        } else if missing.is_empty() {
            let end =
                if access.to.is_some() { "from its beginning to its end" } else { "from its beginning on, so far" };
            (
                Coverage::Covered,
                format!(
                    "The API server's audit stream covers this access {end}. What is typed into a shell is not in it."
                ),
            )
        } else {
            let missing = clip(&missing.join("; "), LONGEST_TEXT - 100);
            (
                Coverage::Partial,
                format!("The API server's audit stream does not cover the whole time of this access: {missing}."),
            )
        };
    }
}

fn since_then(until: Option<Moment>) -> String {
    until.map_or_else(String::new, |until| format!(" since {}", moment_text(until)))
}

fn span(first: &mut Option<Moment>, last: &mut Option<Moment>, at: Moment) {
    *first = Some(first.map_or(at, |first| first.min(at)));
    *last = Some(last.map_or(at, |last| last.max(at)));
}

/// Counts a call under its operation. Returns false where there is no room for another one.
fn operation(operations: &mut Vec<Operation>, call: &Call, at: Moment) -> bool {
    let what = call.what();
    let known =
        operations.iter_mut().find(|one| (&one.verb, &one.group, &one.resource) == (&call.verb, &call.group, &what));
    if let Some(known) = known {
        known.count += 1;
        span(&mut known.first, &mut known.last, at);
    } else if operations.len() < MOST_OPERATIONS {
        operations.push(Operation {
            verb: call.verb.clone(),
            group: call.group.clone(),
            resource: what,
            count: 1,
            first: Some(at),
            last: Some(at),
        });
    } else {
        return false;
    }
    true
}

/// Counts a call under the object that it names, if it names one. Returns false where there is no room for another one.
fn object(objects: &mut Vec<TouchedObject>, call: &Call, at: Moment) -> bool {
    if call.name.is_empty() || call.resource.is_empty() {
        return true;
    }
    let verb =
        if call.subresource.is_empty() { call.verb.clone() } else { format!("{} {}", call.verb, call.subresource) };
    let known = objects.iter_mut().find(|one| {
        (&one.group, &one.resource, &one.namespace, &one.name)
            == (&call.group, &call.resource, &call.namespace, &call.name)
    });
    if let Some(known) = known {
        known.count += 1;
        known.last = Some(at).max(known.last);
        if known.verbs.len() < MOST_VERBS && !known.verbs.contains(&verb) {
            known.verbs.push(verb);
        }
    } else if objects.len() < MOST_OBJECTS {
        objects.push(TouchedObject {
            group: call.group.clone(),
            resource: call.resource.clone(),
            namespace: call.namespace.clone(),
            name: call.name.clone(),
            verbs: vec![verb],
            count: 1,
            last: Some(at),
        });
    } else {
        return false;
    }
    true
}

/// Lists a text once. Returns false where there is no room for another one.
fn listed(list: &mut Vec<String>, text: &str) -> bool {
    if text.is_empty() || list.iter().any(|one| one == text) {
        return true;
    }
    if list.len() < MOST_CLIENTS {
        list.push(text.to_owned());
        return true;
    }
    false
}
