//! What an access level's `ClusterRole` can do: cut down to what was asked for, in words, with a hash, and what is too
//! dangerous to grant.
//!
//! Pure: rules in, rules out. Everything works on a normal form (`powers`), in which two lists of rules that allow the
//! same are the same list: order, repetition and the way in which rules are split do not matter, to the hash least of all.
//!
//! RBAC's own pitfalls are kept out here, once: an empty list of `resourceNames` means all, an empty name among them
//! matches calls without a name, `create` and `deletecollection` know no name, a watch outlives its authorization.

mod cut;
mod danger;
mod data;
mod extent;
mod kind;
mod powers;
#[cfg(test)]
mod properties;
mod unfit;
mod words;

use k8s_openapi::api::rbac::v1::PolicyRule;
use serde_json::json;

pub use self::{
    cut::cut,
    danger::{
        Danger, GUARDED_GROUPS, NEVER_REACHED, NEVER_VERBS, NEVER_WRITTEN, POD_MAKERS, READ_VERBS, TENANT_SUBRESOURCES,
        dangers,
    },
    data::customer_data,
    extent::{Extent, Names},
    kind::{KindScope, kind_scope},
    unfit::Unfit,
    words::{difference, words},
};
use crate::text::sha256;
use lockbox_api::{GrantForm, Scope, request::Effect, settings::AccessLevel};

/// Sentences in `status.effect`, rules and what is left out each: the schema's own bound.
pub const MAX_SENTENCES: usize = 64;
/// Characters of such a sentence.
pub const MAX_SENTENCE: usize = 512;

/// What a grant holds. Made by [`cut`] alone, so its rules are in normal form, never empty, without wildcards, without
/// `watch`, without empty names, and at most [`MAX_SENTENCES`] in words.
#[derive(Clone, Debug, PartialEq)]
pub struct Access {
    form: GrantForm,
    scope: Scope,
    rules: Vec<PolicyRule>,
    left_out: Vec<String>,
}

impl Access {
    /// Whole, or the named objects alone.
    pub fn form(&self) -> GrantForm {
        self.form
    }

    /// The namespace of the request, or the cluster.
    pub fn scope(&self) -> Scope {
        self.scope
    }

    /// The rules of the grant's Role or `ClusterRole`: one API group each, sorted, none of them empty.
    pub fn rules(&self) -> &[PolicyRule] {
        &self.rules
    }

    /// What of the access level is not granted, and why: at most [`MAX_SENTENCES`] of [`MAX_SENTENCE`] characters.
    pub fn left_out(&self) -> &[String] {
        &self.left_out
    }

    /// The rules in words, for the approver: see [`words`].
    pub fn words(&self) -> Vec<String> {
        words(&self.rules, self.scope)
    }

    /// The hash over exactly what is granted: see [`hash`].
    pub fn hash(&self) -> String {
        hash(self.form, self.scope, &self.rules)
    }
}

/// What the approver is shown of the access, and approves (B3).
pub fn effect(level: &AccessLevel, access: &Access) -> Effect {
    Effect {
        form: access.form,
        role: level.cluster_role.clone(),
        rules: access.words(),
        left_out: access.left_out.clone(),
        hash: access.hash(),
    }
}

/// `sha256:` and 64 hexadecimal digits, over a canonical JSON of form, scope and every single right (group, resource,
/// verb, and names or null for all). Rules that allow the same have the same hash, in whatever way they are written;
/// rules that allow something else have another.
pub fn hash(form: GrantForm, scope: Scope, rules: &[PolicyRule]) -> String {
    let form = match form {
        GrantForm::Whole => "Whole",
        GrantForm::Named => "Named",
    };
    let scope = match scope {
        Scope::Subscription => "Subscription",
        Scope::Tenant => "Tenant",
    };
    // Keys in alphabetical order, so that the text is the same whether or not the map keeps the order of insertion.
    let granted = json!({ "form": form, "granted": powers::canonical(rules), "scope": scope });
    sha256(&granted.to_string())
}

/// The list, or none: RBAC makes no difference between an absent and an empty one.
fn list(items: Option<&Vec<String>>) -> &[String] {
    items.map_or(&[], Vec::as_slice)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(group: &str, resources: &[&str], verbs: &[&str], names: &[&str]) -> PolicyRule {
        let owned = |items: &[&str]| items.iter().map(ToString::to_string).collect::<Vec<_>>();
        PolicyRule {
            api_groups: Some(vec![group.to_owned()]),
            resources: Some(owned(resources)),
            verbs: owned(verbs),
            resource_names: (!names.is_empty()).then(|| owned(names)),
            non_resource_urls: None,
        }
    }

    #[test]
    fn a_hash_is_the_same_however_the_rules_are_written() {
        let one = [rule("", &["services", "pods"], &["list", "get"], &["b", "a", "a"])];
        let other = [
            rule("", &["pods"], &["get"], &["a", "b"]),
            rule("", &["services"], &["get", "list"], &["a", "b"]),
            rule("", &["pods"], &["list"], &["b"]),
            rule("", &["pods"], &["list"], &["a"]),
        ];
        let hash_of = |rules: &[PolicyRule]| hash(GrantForm::Named, Scope::Subscription, rules);
        assert_eq!(hash_of(&one), hash_of(&other));
        let mut absent = rule("", &["pods"], &["get"], &[]);
        let without = hash_of(&[absent.clone()]);
        absent.resource_names = Some(vec![]);
        assert_eq!(hash_of(&[absent]), without, "an empty list of names restricts nothing, as an absent one");
    }

    #[test]
    fn a_hash_differs_by_form_scope_and_every_part_of_a_rule() {
        let base = || rule("apps", &["deployments"], &["get"], &["a"]);
        let named = |rules: &[PolicyRule]| hash(GrantForm::Named, Scope::Subscription, rules);
        let mut all = vec![
            named(&[base()]),
            hash(GrantForm::Whole, Scope::Subscription, &[base()]),
            hash(GrantForm::Named, Scope::Tenant, &[base()]),
            named(&[]),
            named(&[rule("batch", &["deployments"], &["get"], &["a"])]),
            named(&[rule("apps", &["deployments/scale"], &["get"], &["a"])]),
            named(&[rule("apps", &["deployments"], &["list"], &["a"])]),
            named(&[rule("apps", &["deployments"], &["get"], &["b"])]),
            named(&[rule("apps", &["deployments"], &["get"], &["a,b"])]),
            named(&[rule("apps", &["deployments"], &["get"], &["a", "b"])]),
            named(&[rule("apps", &["deployments"], &["get"], &[])]),
            named(&[PolicyRule {
                non_resource_urls: Some(vec!["/metrics".into()]),
                verbs: vec!["get".into()],
                ..PolicyRule::default()
            }]),
        ];
        let count = all.len();
        all.sort();
        all.dedup();
        assert_eq!(all.len(), count, "two different grants share a hash");
        assert!(all.iter().all(|hash| hash.len() == 71 && hash.starts_with("sha256:")));
    }

    #[test]
    fn a_hash_is_stable_over_releases() {
        // Requests that wait for the customer over an upgrade keep the hash that the approver saw.
        let rules = [rule("", &["pods"], &["get", "list"], &["erp-db-0"])];
        assert_eq!(
            hash(GrantForm::Named, Scope::Subscription, &rules),
            "sha256:23c4ac4c27f9b38b7945ec97e0b872054763d42be6bc188f3b2d3eb6f39c475e"
        );
    }

    #[test]
    fn an_effect_shows_role_words_and_hash() {
        let level = AccessLevel {
            name: "Shell".into(),
            cluster_role: "lockbox-shell".into(),
            customer_data: true,
            maximum: None,
            services: None,
            same_name: vec![],
        };
        let rules = [rule("", &["pods"], &["get", "watch"], &[])];
        let access = cut(&rules, &Extent::Whole, &[], Scope::Subscription).unwrap();
        let effect = effect(&level, &access);
        assert_eq!(effect.form, GrantForm::Whole);
        assert_eq!(effect.role, "lockbox-shell");
        assert_eq!(effect.rules, ["get: all pods of the namespace"]);
        assert_eq!(effect.left_out, ["watch pods: never granted: a watch outlives the access"]);
        assert_eq!(effect.hash, access.hash());
    }
}
