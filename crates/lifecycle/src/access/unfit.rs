use super::words::plain;
use crate::text::clip;
use crate::text::list;
use lockbox_api::{Scope, request::NamedObject};

/// Why an access level cannot give what was asked for. The texts name the field and what to do next, and have at most
/// 512 characters.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unfit {
    /// A list of resources without items.
    #[error(
        "resources: the list is empty: name at least one object, or leave resources out to ask for the whole scope"
    )]
    NoNames,
    /// A kind or name that could stand for more than one.
    #[error(
        "resources: {object} is not one object of one kind: give group, resource (a plural such as pods) and a name"
    )]
    NotAName {
        /// The object as it was given.
        object: String,
    },
    /// Requested objects that no rule of the access level is about.
    #[error(
        "resources: {objects}: not covered by this access level, which covers {covers}: ask for one of those, or with another access level"
    )]
    NotCovered {
        /// The objects.
        objects: String,
        /// Kinds that the access level covers.
        covers: String,
    },
    /// A kind that does not live where the request reaches.
    #[error("{}", elsewhere(.object, *.scope))]
    Elsewhere {
        /// The object.
        object: String,
        /// The request's scope, in which it does not live.
        scope: Scope,
    },
    /// Nothing of the access level can be granted.
    #[error("accessLevel: nothing of it can be granted in this scope ({left_out}): choose another access level")]
    Nothing {
        /// What was left out, and why.
        left_out: String,
    },
    /// More than an approver could read.
    #[error(
        "accessLevel: {what}, more than can be shown to an approver: name fewer resources, or use an access level with fewer rules"
    )]
    TooWide {
        /// What there is too much of.
        what: String,
    },
}

impl Unfit {
    pub(super) fn not_a_name(object: &NamedObject) -> Self {
        Self::NotAName { object: show(object) }
    }

    pub(super) fn not_covered(objects: &[&NamedObject], covers: &[String]) -> Self {
        let objects: Vec<_> = objects.iter().map(|object| show(object)).collect();
        let covers = if covers.is_empty() { "nothing".to_owned() } else { list(covers, 150) };
        Self::NotCovered { objects: list(&objects, 220), covers }
    }

    pub(super) fn elsewhere(object: &NamedObject, scope: Scope) -> Self {
        Self::Elsewhere { object: show(object), scope }
    }

    pub(super) fn nothing(left_out: &[String]) -> Self {
        let why = left_out.first().map_or_else(|| "its role has no rules".to_owned(), |first| clip(first, 380));
        Self::Nothing { left_out: why }
    }

    pub(super) fn too_wide(what: impl Into<String>) -> Self {
        Self::TooWide { what: what.into() }
    }
}

fn show(object: &NamedObject) -> String {
    clip(&plain(&object.to_string()), 200)
}

fn elsewhere(object: &str, scope: Scope) -> String {
    match scope {
        Scope::Subscription => {
            format!("resources: {object} belongs to the whole cluster and to no namespace: ask for it in scope Tenant")
        }
        Scope::Tenant => format!(
            "resources: {object} lives in a namespace, and in scope Tenant its name would mean one in every namespace: ask for it in its own namespace, in scope Subscription"
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_object_that_lives_elsewhere_is_named_with_where_to_ask_for_it() {
        let object = |resource: &str| NamedObject { group: String::new(), resource: resource.into(), name: "a".into() };
        let said = |resource: &str, scope| Unfit::elsewhere(&object(resource), scope).to_string();
        assert_eq!(
            said("nodes", Scope::Subscription),
            "resources: nodes/a belongs to the whole cluster and to no namespace: ask for it in scope Tenant"
        );
        assert!(said("pods", Scope::Tenant).starts_with("resources: pods/a lives in a namespace, and in scope Tenant"));
    }
}
