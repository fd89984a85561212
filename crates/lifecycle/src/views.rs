//! What the provider's people see: their own requests, and those that they may have to approve for the provider.
//!
//! RBAC cannot say *own*. So each of them has one Role in a namespace, bound to them alone, that names the requests.
//! The Roles follow from the open requests; of finished ones the Role itself remembers the latest
//! ([`MOST_FINISHED`]), so that an engineer can read how a request ended.

use std::collections::{BTreeMap, BTreeSet};

use super::text::sha256;
use lockbox_api::{LockboxRequest, Principal};

/// Requests that one Role names at most; `lockbox-operator-limits-views` refuses more.
pub const MOST_NAMES: usize = 512;
/// Finished requests that one Role names at most.
pub const MOST_FINISHED: usize = 64;

/// Name of a principal's Role, and of its binding: it follows from the principal.
pub fn name(principal: &Principal) -> String {
    let digest = sha256(&format!("{}\n{}", principal.kind, principal.name));
    format!("lockbox-view-{}", digest.get(7..39).unwrap_or_default())
}

/// Who of the provider's people sees a request: the requester, and the internal approvers that it was evaluated to need,
/// for as long as it is there. They answer for what they approved.
pub fn viewers(request: &LockboxRequest) -> BTreeSet<Principal> {
    let internal = request.status.iter().flat_map(|status| &status.internal_approvals);
    let mut viewers: BTreeSet<_> = internal.flat_map(|demanded| &demanded.approvers).cloned().collect();
    viewers.insert(Principal::user(&request.spec.requester.username));
    // No request names one of Kubernetes' own, and the policy on bindings would refuse it.
    viewers.retain(|who| !who.name.is_empty() && !who.name.starts_with("system:"));
    viewers
}

/// A request that is open, or was when it was last seen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    /// Its name.
    pub name: String,
    /// Who sees it; none when the request cannot be read, and then nobody loses it.
    pub viewers: Option<BTreeSet<Principal>>,
}

/// What a Role should be.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct View {
    /// Whose it is; none where no open request says so any more.
    pub principal: Option<Principal>,
    /// The requests that it names, the latest last. Without any there must be no Role: RBAC takes that for all requests.
    pub names: Vec<String>,
}

/// The Roles of one namespace, by name: from the requests that are seen there, the oldest first, and what the Roles that
/// exist name now.
pub fn views(requests: &[Seen], held: &BTreeMap<String, Vec<String>>) -> BTreeMap<String, View> {
    let known: BTreeMap<&str, &Seen> = requests.iter().map(|seen| (seen.name.as_str(), seen)).collect();
    let mut views: BTreeMap<String, View> = held.keys().map(|role| (role.clone(), View::default())).collect();
    for seen in requests {
        for principal in seen.viewers.iter().flatten() {
            let view = views.entry(name(principal)).or_default();
            view.principal.get_or_insert_with(|| principal.clone());
            view.names.push(seen.name.clone());
        }
    }
    for (role, view) in &mut views {
        let held = held.get(role).map_or(&[][..], Vec::as_slice);
        view.names = names(held, &view.names, |name| known.get(name).is_some_and(|seen| seen.viewers.is_some()));
    }
    views
}

/// The names of one Role: what it holds already keeps its place, what is new comes last. A name that it holds and that
/// is `read` and not `open` to it is somebody else's request by now.
fn names(held: &[String], open: &[String], read: impl Fn(&str) -> bool) -> Vec<String> {
    let theirs: BTreeSet<&str> = open.iter().map(String::as_str).collect();
    let mut listed = BTreeSet::new();
    let kept = held.iter().filter(|name| theirs.contains(name.as_str()) || !read(name));
    let mut names: Vec<&String> = kept.chain(open).filter(|name| listed.insert(name.as_str())).collect();
    let open = names.iter().filter(|name| theirs.contains(name.as_str())).count();
    // Finished ones make room, the oldest first; of too many open ones those that came first stay, so that a flood takes
    // nothing away.
    let room = MOST_NAMES.saturating_sub(open).min(MOST_FINISHED);
    let mut too_many = (names.len() - open).saturating_sub(room);
    names.retain(|name| {
        let goes = too_many > 0 && !theirs.contains(name.as_str());
        too_many -= usize::from(goes);
        !goes
    });
    names.into_iter().take(MOST_NAMES).cloned().collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

    use super::*;
    use proptest::{collection::vec, option, prelude::*};

    fn seen(name: &str, who: &[&str]) -> Seen {
        Seen { name: name.into(), viewers: Some(who.iter().map(|who| Principal::user(*who)).collect()) }
    }

    fn held(who: &str, names: &[&str]) -> BTreeMap<String, Vec<String>> {
        BTreeMap::from([(name(&Principal::user(who)), names.iter().map(|name| (*name).to_owned()).collect())])
    }

    fn of<'a>(views: &'a BTreeMap<String, View>, who: &str) -> &'a [String] {
        views.get(&name(&Principal::user(who))).map_or(&[], |view| &view.names)
    }

    #[test]
    fn each_sees_their_own_and_a_finished_one_stays() {
        let now = [seen("b", &["kim", "lead"]), seen("c", &["robin"])];
        let views = views(&now, &held("kim", &["a"]));
        assert_eq!(of(&views, "kim"), ["a", "b"]);
        assert_eq!(of(&views, "lead"), ["b"]);
        assert_eq!(of(&views, "robin"), ["c"]);
    }

    #[test]
    fn a_name_that_is_somebody_elses_by_now_goes_and_with_the_last_one_the_role() {
        let views = views(&[seen("a", &["robin"])], &held("kim", &["a"]));
        assert_eq!(views[&name(&Principal::user("kim"))], View::default());
        assert_eq!(of(&views, "robin"), ["a"]);
    }

    #[test]
    fn what_cannot_be_read_is_taken_from_nobody_and_given_to_nobody() {
        let unreadable = Seen { name: "a".into(), viewers: None };
        let views = views(&[unreadable], &held("kim", &["a"]));
        assert_eq!((of(&views, "kim"), views.len()), (&["a".to_owned()][..], 1));
    }

    #[test]
    fn the_oldest_finished_ones_make_room_and_an_open_one_is_never_displaced() {
        let finished: Vec<_> = (0..MOST_FINISHED).map(|n| format!("f{n}")).collect();
        let finished: Vec<&str> = finished.iter().map(String::as_str).collect();
        let mut now = vec![seen("new", &["kim"])];
        let one_more: Vec<_> = ["f"].iter().chain(&finished).copied().collect();
        let first = views(&now, &held("kim", &one_more));
        assert_eq!(of(&first, "kim")[0], "f0");
        assert_eq!(of(&first, "kim").len(), MOST_FINISHED + 1);
        now.extend((0..MOST_NAMES).map(|n| seen(&format!("n{n}"), &["kim"])));
        let flooded =
            views(&now, &held("kim", of(&first, "kim").iter().map(String::as_str).collect::<Vec<_>>().as_slice()));
        assert_eq!((of(&flooded, "kim").len(), of(&flooded, "kim")[0].as_str()), (MOST_NAMES, "new"));
    }

    #[test]
    fn a_role_has_a_name_of_its_own_for_each_principal() {
        let all = [Principal::user("x"), Principal::group("x"), Principal::user("X")].map(|who| name(&who));
        assert_eq!(BTreeSet::from(all.clone()).len(), 3);
        assert!(all.iter().all(|name| name.len() <= 63 && name.starts_with("lockbox-view-")));
    }

    proptest! {
        #[test]
        fn roles_are_bounded_settle_at_once_and_name_nothing_of_somebody_elses(
            now in vec((0..40_u8, option::of(vec(0..4_u8, 0..3))), 0..40),
            before in vec((0..4_u8, vec(0..200_u8, 0..150)), 0..4),
        ) {
            let mut requests: Vec<Seen> = vec![];
            for (request, viewers) in now {
                let viewers = viewers.map(|who| who.iter().map(|who| Principal::user(format!("u{who}"))).collect());
                if requests.iter().all(|seen| seen.name != format!("r{request}")) {
                    requests.push(Seen { name: format!("r{request}"), viewers });
                }
            }
            let held: BTreeMap<_, _> = before.iter().map(|(who, names)| {
                (name(&Principal::user(format!("u{who}"))), names.iter().map(|name| format!("r{name}")).collect())
            }).collect();
            let first = views(&requests, &held);
            for (role, view) in &first {
                prop_assert!(view.names.len() <= MOST_NAMES);
                prop_assert_eq!(view.names.iter().collect::<BTreeSet<_>>().len(), view.names.len());
                for seen in requests.iter().filter(|seen| view.names.contains(&seen.name)) {
                    let theirs = seen.viewers.as_ref().is_none_or(|all| all.iter().any(|who| name(who) == *role));
                    prop_assert!(theirs, "{} in {role}", seen.name);
                }
                for seen in requests.iter().filter(|seen| seen.viewers.iter().flatten().any(|who| name(who) == *role)) {
                    prop_assert!(view.names.contains(&seen.name));
                }
            }
            let next = first.iter().map(|(role, view)| (role.clone(), view.names.clone())).collect();
            for (role, view) in views(&requests, &next) {
                prop_assert_eq!(&view.names, &first[&role].names);
            }
        }
    }
}
