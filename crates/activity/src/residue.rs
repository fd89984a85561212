//! What an access left behind: objects that were made or changed by it and whose deletion is not seen.

use lockbox_api::{
    activity::{Change, LONGEST_TEXT, Residue},
    time::whole_seconds,
};
use lockbox_lifecycle::text::clip;

use crate::{
    call::{Call, Stage},
    session,
    text::quoted,
};

/// Objects that are kept in mind; what is shown of them is less.
const MOST: usize = 256;
/// Groups whose objects are questions: nothing of them is stored.
const QUESTIONS: [&str; 2] = ["authorization.k8s.io", "authentication.k8s.io"];
/// Where the subresources of KubeVirt's machines are served, and where the machines are.
const KUBEVIRT: (&str, &str) = ("subresources.kubevirt.io", "kubevirt.io");

/// The objects that an access left behind, so far.
#[derive(Clone, Debug, Default)]
pub struct Left {
    objects: Vec<Residue>,
    /// Objects for which there was no room.
    more: i64,
}

impl Left {
    /// What a status has recorded.
    pub fn recorded(objects: &[Residue], more: i64) -> Self {
        Self { objects: objects.to_vec(), more }
    }

    pub const fn is_empty(&self) -> bool {
        self.objects.is_empty()
    }

    /// Takes down what a call of the access left, if it left anything.
    pub fn made(&mut self, call: &Call) {
        let Some(left) = of(call) else { return };
        if let Some(known) = self.objects.iter_mut().find(|known| is_same(known, &left)) {
            known.at = left.at;
            if known.change == Change::Changed {
                known.change = left.change;
            }
            if !known.done.contains(&left.done) {
                known.done = clip(&format!("{}; {}", known.done, left.done), LONGEST_TEXT);
            }
        } else if self.objects.len() < MOST {
            self.objects.push(left);
        } else {
            self.more = self.more.saturating_add(1);
        }
    }

    /// Takes away what anybody's call deleted. Returns whether there was anything of it.
    pub fn deleted(&mut self, call: &Call) -> bool {
        let Some(deletion) = Deletion::of(call) else { return false };
        let mut touched = false;
        match deletion {
            Deletion::Object => self.objects.retain(|left| {
                let is_it = left.group == call.group
                    && left.resource == call.resource
                    && left.namespace == call.namespace
                    && left.name == call.name
                    && !call.name.is_empty()
                    // Events can come out of their order: what was deleted before is not what was made later.
                    && left.at <= whole_seconds(call.at);
                touched |= is_it;
                !is_it
            }),
            Deletion::Many => {
                touched = self.note("objects of its kind were deleted together afterwards: it may be gone", |left| {
                    left.group == call.group
                        && left.resource == call.resource
                        && (call.namespace.is_empty() || left.namespace == call.namespace)
                });
            }
            Deletion::Namespace => {
                touched = self.note("its namespace was deleted afterwards", |left| left.namespace == call.name);
            }
        }
        touched
    }

    fn note(&mut self, words: &str, of: impl Fn(&Residue) -> bool) -> bool {
        let mut touched = false;
        for left in self.objects.iter_mut().filter(|left| of(left) && !left.done.contains(words)) {
            left.done = clip(&format!("{}; {words}", left.done), LONGEST_TEXT);
            touched = true;
        }
        touched
    }

    /// Those that matter most first, as many as may be shown; and how many more there are.
    pub fn shown(&self, most: usize) -> (Vec<Residue>, i64) {
        let mut objects = self.objects.clone();
        objects.sort_by_key(weight);
        let hidden = i64::try_from(objects.len().saturating_sub(most)).unwrap_or(i64::MAX);
        objects.truncate(most);
        (objects, self.more.saturating_add(hidden))
    }
}

/// What a deletion takes away.
enum Deletion {
    Object,
    Many,
    Namespace,
}

impl Deletion {
    fn of(call: &Call) -> Option<Self> {
        if call.stage != Stage::Complete || call.is_refused() || !call.succeeded() || call.is_dry() {
            return None;
        }
        match (call.verb.as_str(), call.group.as_str(), call.resource.as_str(), call.subresource.as_str()) {
            ("delete", "", "namespaces", "") => Some(Self::Namespace),
            ("delete", _, _, "") | ("create", "", "pods", "eviction") => Some(Self::Object),
            ("deletecollection", _, _, "") => Some(Self::Many),
            _ => None,
        }
    }
}

/// Whether a call can have deleted anything: most cannot, and need not be looked at further.
pub fn is_deletion(call: &Call) -> bool {
    Deletion::of(call).is_some()
}

fn is_same(one: &Residue, other: &Residue) -> bool {
    (&one.group, &one.resource, &one.namespace, &one.name)
        == (&other.group, &other.resource, &other.namespace, &other.name)
}

/// What a call left behind.
fn of(call: &Call) -> Option<Residue> {
    let stores = matches!(call.verb.as_str(), "create" | "update" | "patch");
    let stored = matches!(call.code, 0 | 200..=299) && !call.is_refused() && !call.is_dry();
    let is_question = QUESTIONS.contains(&call.group.as_str());
    if !stores || !stored || is_question || call.resource.is_empty() || session::kind(call).is_some() {
        return None;
    }
    let (change, done) = match (call.resource.as_str(), call.subresource.as_str()) {
        (_, "proxy" | "eviction" | "exec" | "attach" | "portforward" | "log") => return None,
        (_, "") if call.verb == "create" || call.code == 201 => (Change::Created, "created".to_owned()),
        (_, "") => (Change::Changed, "changed".to_owned()),
        ("serviceaccounts", "token") => (
            Change::Changed,
            "a token of it was issued: it works until it expires, or until the ServiceAccount is deleted".to_owned(),
        ),
        ("pods", "ephemeralcontainers") => {
            (Change::Changed, "a container was added to the Pod: it stays until the Pod is deleted".to_owned())
        }
        ("certificatesigningrequests", "approval") => (
            Change::Changed,
            "a certificate was approved or denied: one that was signed works until it expires".to_owned(),
        ),
        (_, subresource) => (Change::Changed, format!("changed ({subresource})")),
    };
    let group = if call.group == KUBEVIRT.0 { KUBEVIRT.1 } else { &call.group };
    Some(Residue {
        group: group.to_owned(),
        resource: call.resource.clone(),
        namespace: call.namespace.clone(),
        name: call.name.clone(),
        change,
        done,
        at: whole_seconds(call.at),
        look: look(group, call),
    })
}

/// The command that shows an object. Its name cannot leave its word.
fn look(group: &str, call: &Call) -> String {
    let kind = if group.is_empty() { call.resource.clone() } else { format!("{}.{group}", call.resource) };
    let place = if call.namespace.is_empty() { String::new() } else { format!(" -n {}", quoted(&call.namespace)) };
    let command = if call.name.is_empty() {
        format!("kubectl get {}{place} --sort-by=.metadata.creationTimestamp", quoted(&kind))
    } else {
        format!("kubectl get {}{place} -o yaml", quoted(&format!("{kind}/{}", call.name)))
    };
    clip(&command, LONGEST_TEXT)
}

/// Rights and ways in first, then what runs, then the rest; what was made before what was changed; the last first.
fn weight(left: &Residue) -> (u8, Change, std::cmp::Reverse<lockbox_api::Moment>) {
    let kind = match (left.group.as_str(), left.resource.as_str()) {
        (
            "rbac.authorization.k8s.io"
            | "admissionregistration.k8s.io"
            | "certificates.k8s.io"
            | "apiregistration.k8s.io",
            _,
        )
        | ("", "serviceaccounts" | "secrets") => 0,
        ("", "pods" | "replicationcontrollers") | ("batch" | "apps" | "kubevirt.io", _) => 1,
        _ => 2,
    };
    (kind, left.change, std::cmp::Reverse(left.at))
}
