use std::collections::BTreeSet;

use super::Unfit;
use lockbox_api::{GrantForm, request::NamedObject};

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
}

impl Extent {
    /// What a request asks for: the whole scope when it names nothing. A list without items is refused, never taken for
    /// the whole.
    pub fn from_request(resources: Option<&[NamedObject]>) -> Result<Self, Unfit> {
        resources.map_or(Ok(Self::Whole), |objects| Ok(Self::Named(Names::new(objects.iter().cloned())?)))
    }

    /// Its form, as the effect shows it.
    pub fn form(&self) -> GrantForm {
        match self {
            Self::Whole => GrantForm::Whole,
            Self::Named(_) => GrantForm::Named,
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
    fn every_character_that_the_schema_allows_is_taken() {
        let all = NamedObject { group: "a9-b.example".into(), resource: "pods9-x".into(), name: "A-z_0.9:b".into() };
        assert!(matches!(Extent::from_request(Some(&[all])), Ok(Extent::Named(_))));
        for object in [
            NamedObject { group: "Apps".into(), ..pod("a") },
            NamedObject { group: "a_b".into(), ..pod("a") },
            NamedObject { resource: "Pods".into(), ..pod("a") },
            NamedObject { resource: "pods.x".into(), ..pod("a") },
            pod("a,b"),
        ] {
            assert!(Extent::from_request(Some(std::slice::from_ref(&object))).is_err(), "{object:?}");
        }
    }
}
