//! RBAC for people: who may call the API server for what, derived from settings and assignments, so that nobody has to
//! write a `RoleBinding` by hand. What exactly a person may write is up to the admission policies.

use std::collections::{BTreeMap, BTreeSet};

use super::{recognition, settings::SettingsView, text::sha256};
use lockbox_api::{AssignedRole, Moment, Principal, RoleAssignment, assignment::AssignmentType};

/// The chart's `ClusterRoles` for people that the operator binds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum PeopleRole {
    /// Requests access.
    Requester,
    /// Approves for the provider.
    InternalApprover,
    /// Approves in a namespace.
    Approver,
    /// Approves in a namespace, and assigns roles there.
    Owner,
    /// The same through an activation: assigns nothing that would outlast it.
    OwnerActivated,
    /// May activate an assignment.
    Eligible,
    /// Administers Lockbox.
    Administrator,
    /// Reads the settings: a role in a namespace cannot hold that.
    SettingsViewer,
    /// The same through an activation: assigns nothing that would outlast it.
    AdministratorActivated,
}

impl PeopleRole {
    /// The short name, which is the label's value too.
    pub const fn short(self) -> &'static str {
        match self {
            Self::Requester => "requester",
            Self::InternalApprover => "internal-approver",
            Self::Approver => "approver",
            Self::Owner => "owner",
            Self::OwnerActivated => "owner-activated",
            Self::Eligible => "eligible",
            Self::Administrator => "administrator",
            Self::SettingsViewer => "settings-viewer",
            Self::AdministratorActivated => "administrator-activated",
        }
    }

    /// Whether the settings, and not an assignment, give it.
    const fn is_from_settings(self) -> bool {
        matches!(self, Self::Requester | Self::InternalApprover)
    }

    fn from_short(short: &str) -> Option<Self> {
        [
            Self::Requester,
            Self::InternalApprover,
            Self::Approver,
            Self::Owner,
            Self::OwnerActivated,
            Self::Eligible,
            Self::Administrator,
            Self::AdministratorActivated,
            Self::SettingsViewer,
        ]
        .into_iter()
        .find(|role| role.short() == short)
    }

    /// Name of the `ClusterRole`.
    pub fn cluster_role(self) -> String {
        format!("lockbox-{}", self.short())
    }
}

/// A binding that should exist.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PeopleBinding {
    /// The namespace; none for the whole cluster.
    pub namespace: Option<String>,
    /// What is bound.
    pub role: PeopleRole,
    /// To whom.
    pub principal: Principal,
}

impl PeopleBinding {
    /// Its name, which follows from what it says: a binding that should say something else is another one.
    pub fn name(&self) -> String {
        let says = format!(
            "{}\n{}\n{}\n{}",
            self.namespace.as_deref().unwrap_or_default(),
            self.role.short(),
            self.principal.kind,
            self.principal.name
        );
        let digest = sha256(&says);
        format!("lockbox-people-{}", digest.get(7..39).unwrap_or_default())
    }
}

/// The place of a binding: its namespace (none for the whole cluster) and its name.
pub type Place = (Option<String>, String);

/// The assignment that a binding stems from. Written on the binding, so that what becomes of the binding can be told of
/// the assignment even when that is gone or cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Source {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// Its UID.
    pub uid: String,
}

impl Source {
    /// The assignment as a source.
    pub fn of(assignment: &RoleAssignment) -> Self {
        Self {
            namespace: assignment.metadata.namespace.clone().unwrap_or_default(),
            name: assignment.metadata.name.clone().unwrap_or_default(),
            uid: assignment.metadata.uid.clone().unwrap_or_default(),
        }
    }
}

/// The bindings that should exist, each with the assignment that it stems from; none for what the settings give.
pub type Wanted = BTreeMap<PeopleBinding, Option<Source>>;

/// All bindings that should exist now.
pub fn bindings<'a>(
    settings: SettingsView<'_>,
    assignments: impl IntoIterator<Item = &'a RoleAssignment>,
    now: Moment,
) -> Wanted {
    let mut wanted = Wanted::new();
    if let Some(settings) = settings.known() {
        let mut everywhere = |role, principal: &Principal| {
            wanted.insert(PeopleBinding { namespace: None, role, principal: principal.clone() }, None);
        };
        let engineers = settings.provider.iter().flat_map(|provider| &provider.engineers);
        let excluding = settings.exclusions.iter().flat_map(|e| &e.allowed).flat_map(|allowed| &allowed.by);
        engineers.chain(excluding).for_each(|who| everywhere(PeopleRole::Requester, who));
        let internal = settings.jit.rules.iter().filter_map(|rule| rule.require.as_ref()?.internal_approval.as_ref());
        internal.flat_map(|demanded| &demanded.approvers).for_each(|who| everywhere(PeopleRole::InternalApprover, who));
    }
    for assignment in assignments {
        for binding in of_assignment(assignment, now) {
            wanted.entry(binding).or_insert_with(|| Some(Source::of(assignment)));
        }
    }
    wanted
}

/// The bindings that an assignment calls for now.
pub fn of_assignment(assignment: &RoleAssignment, now: Moment) -> Vec<PeopleBinding> {
    let recognized = assignment
        .status
        .as_ref()
        .is_some_and(|status| lockbox_api::condition::holds(&status.conditions, "Recognized"));
    if !recognized || assignment.metadata.deletion_timestamp.is_some() {
        return vec![];
    }
    let spec = &assignment.spec;
    let here = || assignment.metadata.namespace.clone();
    let binding = |namespace, role| PeopleBinding { namespace, role, principal: spec.principal.clone() };
    let activated = spec.type_ == AssignmentType::Eligible;
    let mut wanted = vec![];
    if activated {
        wanted.push(binding(here(), PeopleRole::Eligible));
    }
    if recognition::is_active(assignment, now) {
        wanted.push(match (spec.role, activated) {
            (AssignedRole::LockboxApprover, _) => binding(here(), PeopleRole::Approver),
            (AssignedRole::Owner, false) => binding(here(), PeopleRole::Owner),
            (AssignedRole::Owner, true) => binding(here(), PeopleRole::OwnerActivated),
            (AssignedRole::GlobalAdministrator, false) => binding(None, PeopleRole::Administrator),
            (AssignedRole::GlobalAdministrator, true) => binding(None, PeopleRole::AdministratorActivated),
        });
        if spec.role != AssignedRole::GlobalAdministrator {
            wanted.push(binding(None, PeopleRole::SettingsViewer));
        }
    }
    wanted
}

/// When the first activation ends: the rights that it gave end then.
pub fn first_end<'a>(assignments: impl IntoIterator<Item = &'a RoleAssignment>, now: Moment) -> Option<Moment> {
    let ends = assignments.into_iter().filter(|assignment| assignment.spec.type_ == AssignmentType::Eligible);
    ends.filter_map(|assignment| assignment.status.as_ref()?.active_until).filter(|until| *until > now).min()
}

/// A binding that is there.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct There {
    /// Where.
    pub place: Place,
    /// Its label: the short name of its role.
    pub role: String,
    /// The assignment that it says it stems from; none for what the settings gave, and for what older versions made.
    pub source: Option<Source>,
}

/// What is wrong with the bindings that are there.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Difference {
    /// Nothing calls for these any more.
    pub too_many: Vec<There>,
    /// These are missing, each with the assignment that it stems from.
    pub missing: Vec<(PeopleBinding, Option<Source>)>,
}

/// Compares what should be there with what is. What cannot be read takes nothing away: while the settings are
/// unreadable, what they gave stays, and what an assignment in `unreadable` (by UID) gave stays with it.
pub fn compare(
    wanted: &Wanted,
    there: impl IntoIterator<Item = There>,
    settings: SettingsView<'_>,
    unreadable: &BTreeSet<String>,
) -> Difference {
    let mut missing: BTreeMap<Place, (&PeopleBinding, &Option<Source>)> = wanted
        .iter()
        .map(|(binding, source)| ((binding.namespace.clone(), binding.name()), (binding, source)))
        .collect();
    let mut too_many = vec![];
    let mut kept = BTreeSet::new();
    for binding in there {
        if missing.remove(&binding.place).is_some() || !kept.insert(binding.place.clone()) {
            continue;
        }
        let from_settings = PeopleRole::from_short(&binding.role).is_some_and(PeopleRole::is_from_settings);
        let unknown = match &binding.source {
            _ if from_settings => matches!(settings, SettingsView::Unreadable(_)),
            Some(source) => unreadable.contains(&source.uid),
            None => false,
        };
        if !unknown {
            too_many.push(binding);
        }
    }
    let missing = missing.into_values().map(|(binding, source)| (binding.clone(), source.clone())).collect();
    Difference { too_many, missing }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use lockbox_api::LockboxSettingsSpec;

    fn at(seconds: i64) -> Moment {
        Moment::from_timestamp(1_800_000_000 + seconds, 0).unwrap()
    }

    fn assignment(name: &str, role: &str, eligible: Option<i64>) -> RoleAssignment {
        let tenant = role == "GlobalAdministrator";
        let mut status = json!({"conditions": [{
            "type": "Recognized", "status": "True", "reason": "R", "message": "", "lastTransitionTime": "2026-01-01T00:00:00Z",
        }]});
        if let Some(until) = eligible.filter(|until| *until >= 0) {
            status["activeUntil"] = json!(lockbox_api::time::text(at(until)));
        }
        serde_json::from_value(json!({
            "apiVersion": "lockbox.dev/v1alpha1", "kind": "RoleAssignment",
            "metadata": {"name": name, "namespace": "shop", "uid": format!("uid-{name}")},
            "spec": {"principal": {"kind": "User", "name": name}, "role": role,
                "scope": if tenant { "Tenant" } else { "Subscription" },
                "type": if eligible.is_some() { "Eligible" } else { "Active" }},
            "status": status,
        }))
        .unwrap()
    }

    fn settings() -> LockboxSettingsSpec {
        let kim = json!([{"kind": "User", "name": "kim"}]);
        serde_json::from_value(json!({"supportPlan": "Developer", "provider": {"engineers": kim}})).unwrap()
    }

    fn there(binding: &PeopleBinding, source: Option<&Source>) -> There {
        There {
            place: (binding.namespace.clone(), binding.name()),
            role: binding.role.short().into(),
            source: source.cloned(),
        }
    }

    #[test]
    fn an_activation_gives_a_role_of_its_own_until_it_ends() {
        let roles = |assignment: &RoleAssignment, now: i64| -> Vec<PeopleRole> {
            of_assignment(assignment, at(now)).into_iter().map(|binding| binding.role).collect()
        };
        for (role, standing, activated) in [
            ("Owner", PeopleRole::Owner, PeopleRole::OwnerActivated),
            ("GlobalAdministrator", PeopleRole::Administrator, PeopleRole::AdministratorActivated),
            ("LockboxApprover", PeopleRole::Approver, PeopleRole::Approver),
        ] {
            let reads = (role != "GlobalAdministrator").then_some(PeopleRole::SettingsViewer);
            let all = |roles: &[PeopleRole]| -> Vec<PeopleRole> { roles.iter().copied().chain(reads).collect() };
            assert_eq!(roles(&assignment("a", role, None), 0), all(&[standing]));
            let eligible = assignment("a", role, Some(10));
            assert_eq!(roles(&eligible, 9), all(&[PeopleRole::Eligible, activated]), "{role}");
            assert_eq!(roles(&eligible, 10), [PeopleRole::Eligible], "{role}");
            assert_eq!(roles(&assignment("a", role, Some(-1)), 0), [PeopleRole::Eligible], "{role}: never activated");
        }
    }

    #[test]
    fn the_first_activation_to_end_is_the_one_to_wake_for() {
        let all = [
            assignment("standing", "Owner", None),
            assignment("later", "Owner", Some(30)),
            assignment("sooner", "LockboxApprover", Some(20)),
            assignment("over", "Owner", Some(5)),
        ];
        assert_eq!(first_end(&all, at(10)), Some(at(20)));
        assert_eq!(first_end(&all, at(20)), Some(at(30)));
        assert_eq!(first_end(&all, at(30)), None);
    }

    #[test]
    fn what_is_there_and_wanted_stays_and_the_rest_is_a_difference() {
        let (settings, owner) = (settings(), assignment("alice", "Owner", None));
        let view = SettingsView::Known(&settings);
        let wanted = bindings(view, [&owner], at(0));
        assert_eq!(wanted.len(), 3, "the engineer, the Owner, and that she reads the settings");
        let all: Vec<There> = wanted.iter().map(|(binding, source)| there(binding, source.as_ref())).collect();
        assert_eq!(compare(&wanted, all.clone(), view, &BTreeSet::new()), Difference::default());

        let nothing = compare(&wanted, [], view, &BTreeSet::new());
        assert_eq!((nothing.too_many.len(), nothing.missing.len()), (0, 3));
        let mut sources: Vec<_> =
            nothing.missing.into_iter().map(|(_, source)| source.map(|source| source.name)).collect();
        sources.sort();
        assert_eq!(sources, [None, Some("alice".into()), Some("alice".into())]);

        let gone = compare(&Wanted::new(), all.clone(), SettingsView::Missing, &BTreeSet::new());
        assert_eq!((gone.too_many, gone.missing), (all, vec![]));
    }

    #[test]
    fn what_cannot_be_read_takes_nothing_away() {
        let (settings, owner) = (settings(), assignment("alice", "Owner", None));
        let wanted = bindings(SettingsView::Known(&settings), [&owner], at(0));
        let all = || wanted.iter().map(|(binding, source)| there(binding, source.as_ref()));
        let none = Wanted::new();
        let unreadable = SettingsView::Unreadable("unknown variant");
        let roles = |difference: Difference| -> Vec<String> {
            difference.too_many.into_iter().map(|there| there.role).collect()
        };
        assert_eq!(roles(compare(&none, all(), unreadable, &BTreeSet::new())), ["settings-viewer", "owner"]);
        let alices = BTreeSet::from(["uid-alice".to_owned()]);
        assert_eq!(roles(compare(&none, all(), SettingsView::Missing, &alices)), ["requester"]);
        assert_eq!(roles(compare(&none, all(), unreadable, &alices)), [""; 0]);
        // Somebody else's unreadable assignment holds nothing of hers.
        let others = BTreeSet::from(["uid-bob".to_owned()]);
        assert_eq!(roles(compare(&none, all(), unreadable, &others)), ["settings-viewer", "owner"]);
    }
}
