use std::collections::BTreeSet;

use super::Unfit;
use crate::api::request::{GrantForm, NamedObject};

/// How much is asked for, or approved. There is no empty form of it: cutting down to nothing is an [`Unfit`], and can
/// never turn into everything.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Extent {
    /// Everything that the access level covers in the scope.
    Whole,
    /// These objects alone.
    Named(Names),
}

/// At least one object, each with a name that stands for itself alone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Names(BTreeSet<NamedObject>);

impl Names {
    /// The objects, each once, sorted. Refused are an empty list and an object whose kind or name could mean more than
    /// one: the schema refuses them too, but what is stored may be older than the schema.
    pub fn new(objects: impl IntoIterator<Item = NamedObject>) -> Result<Self, Unfit> {
        let objects: BTreeSet<_> = objects.into_iter().collect();
        if objects.is_empty() {
            return Err(Unfit::NoNames);
        }
        match objects.iter().find(|object| !is_exact(object)) {
            Some(object) => Err(Unfit::not_a_name(object)),
            None => Ok(Self(objects)),
        }
    }

    /// The objects, sorted; at least one.
    pub fn iter(&self) -> impl Iterator<Item = &NamedObject> {
        self.0.iter()
    }

    /// The objects as a request lists them.
    pub fn to_vec(&self) -> Vec<NamedObject> {
        self.0.iter().cloned().collect()
    }
}

impl Extent {
    /// What a request asks for: the whole scope when it names nothing. A list without items is refused, never taken for
    /// the whole.
    pub fn from_request(resources: Option<&[NamedObject]>) -> Result<Self, Unfit> {
        resources.map_or(Ok(Self::Whole), |objects| Ok(Self::Named(Names::new(objects.iter().cloned())?)))
    }

    /// What is left when an approver says yes to these objects alone: never more than was asked for. Several approvers'
    /// limits apply one after the other.
    pub fn narrowed(&self, to: &[NamedObject]) -> Result<Self, Unfit> {
        let Self::Named(asked) = self else { return Err(Unfit::NothingNamed) };
        let left: Vec<_> = asked.iter().filter(|object| to.contains(object)).cloned().collect();
        if left.is_empty() { Err(Unfit::NoneApproved) } else { Ok(Self::Named(Names::new(left)?)) }
    }

    /// Its form, as the effect shows it.
    pub fn form(&self) -> GrantForm {
        match self {
            Self::Whole => GrantForm::Whole,
            Self::Named(_) => GrantForm::Named,
        }
    }

    /// The objects as `status.grant.resources` records them; none when the whole scope is meant.
    pub fn resources(&self) -> Option<Vec<NamedObject>> {
        match self {
            Self::Whole => None,
            Self::Named(names) => Some(names.to_vec()),
        }
    }
}

/// Whether kind and name are what the schema demands: no wildcard, no subresource, nothing empty but the core group.
fn is_exact(object: &NamedObject) -> bool {
    let in_name = |c: char| c.is_ascii_alphanumeric() || "-._:".contains(c);
    let in_group = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "-.".contains(c);
    let in_resource = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    object.group.chars().all(in_group)
        && !object.resource.is_empty()
        && object.resource.chars().all(in_resource)
        && !object.name.is_empty()
        && object.name.chars().all(in_name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pod(name: &str) -> NamedObject {
        NamedObject { group: String::new(), resource: "pods".into(), name: name.into() }
    }

    #[test]
    fn a_request_without_resources_asks_for_the_whole_and_an_empty_list_for_nothing() {
        assert_eq!(Extent::from_request(None), Ok(Extent::Whole));
        assert_eq!(Extent::from_request(Some(&[])), Err(Unfit::NoNames));
    }

    #[test]
    fn an_object_that_could_mean_several_is_refused() {
        for object in [
            pod(""),
            pod("*"),
            pod("a b"),
            pod("a/b"),
            NamedObject { resource: String::new(), ..pod("a") },
            NamedObject { resource: "*".into(), ..pod("a") },
            NamedObject { resource: "pods/exec".into(), ..pod("a") },
            NamedObject { group: "*".into(), ..pod("a") },
        ] {
            let answer = Extent::from_request(Some(&[pod("fine"), object.clone()]));
            assert!(matches!(answer, Err(Unfit::NotAName { .. })), "{object:?} was taken: {answer:?}");
        }
    }

    #[test]
    fn approval_of_fewer_objects_narrows_and_never_adds() {
        let asked = Extent::from_request(Some(&[pod("b"), pod("a"), pod("a")])).unwrap();
        assert_eq!(asked.resources(), Some(vec![pod("a"), pod("b")]));
        let narrowed = asked.narrowed(&[pod("b"), pod("c")]).unwrap();
        assert_eq!(narrowed.resources(), Some(vec![pod("b")]));
        assert_eq!(narrowed.narrowed(&[pod("a")]), Err(Unfit::NoneApproved));
        assert_eq!(asked.narrowed(&[]), Err(Unfit::NoneApproved));
        assert_eq!(Extent::Whole.narrowed(&[pod("a")]), Err(Unfit::NothingNamed));
    }
}
