//! What an access level's `ClusterRole` allows: cut down to what was requested, in words, with a hash, and what is too
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
        Danger, KNOWN_RIGHTS, NEVER_REACHED, NEVER_REACHED_ENDINGS, NEVER_VERBS, NEVER_WRITTEN, NEVER_WRITTEN_ENDINGS,
        NEVER_WRITTEN_GROUPS, READ_SUBRESOURCES, READ_VERBS, Reason, TENANT_SUBRESOURCES, dangers, told,
    },
    data::customer_data,
    extent::{Extent, Names},
    kind::{KindScope, kind_scope},
    unfit::Unfit,
    words::{difference, words},
};
use crate::text::{clip, sha256};
use lockbox_api::{GrantForm, Scope, request::Effect, settings::AccessLevel};

/// Sentences in `status.effect.rules`: the schema's own bound.
pub const MAX_RULES: usize = 96;
/// Sentences in `status.effect.leftOut`: the schema's own bound.
pub const MAX_LEFT_OUT: usize = 16;
/// Texts in `status.effect.reasons`: the schema's own bound, as many as a level has `extraRights`.
const MAX_REASONS: usize = 8;
/// Characters of such a text: room for all that the schema lets into one of `extraRights`.
const MAX_REASON: usize = 600;
/// Characters of such a sentence.
pub const MAX_SENTENCE: usize = 512;

/// What a grant holds. Made by [`cut`] alone, so its rules are in normal form, never empty, without wildcards, without
/// `watch`, without empty names, and can be said in at most [`MAX_RULES`] sentences that leave nothing out.
#[derive(Clone, Debug, PartialEq)]
pub struct Access {
    form: GrantForm,
    scope: Scope,
    rules: Vec<PolicyRule>,
    words: Vec<String>,
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

    /// What of the access level is not granted, and why: at most [`MAX_LEFT_OUT`] of [`MAX_SENTENCE`] characters.
    pub fn left_out(&self) -> &[String] {
        &self.left_out
    }

    /// The rules in words, for the approver: see [`words`].
    pub fn words(&self) -> &[String] {
        &self.words
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
        rules: access.words.clone(),
        reasons: reasons(level, access),
        left_out: access.left_out.clone(),
        hash: access.hash(),
    }
}

/// The reasons that the settings give for rights beyond reading, as far as the access holds them, with the rights:
/// `patch, update configmaps: support changes shop settings`.
fn reasons(level: &AccessLevel, access: &Access) -> Vec<String> {
    let granted = |group: &str, resource: &str, verb: &String| {
        access.rules.iter().any(|rule| {
            items(rule.api_groups.as_ref()).iter().any(|of| of == group)
                && items(rule.resources.as_ref()).iter().any(|kind| kind == resource)
                && rule.verbs.contains(verb)
        })
    };
    level
        .extra_rights
        .iter()
        .filter_map(|extra| {
            let mut verbs: Vec<_> =
                extra.verbs.iter().filter(|verb| granted(&extra.group, &extra.resource, verb)).cloned().collect();
            verbs.sort();
            let kind = words::show_kind(&extra.group, &extra.resource);
            (!verbs.is_empty()).then(|| clip(&format!("{} {kind}: {}", verbs.join(", "), extra.reason), MAX_REASON))
        })
        .take(MAX_REASONS)
        .collect()
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
fn items(items: Option<&Vec<String>>) -> &[String] {
    items.map_or(&[], Vec::as_slice)
}

#[cfg(test)]
mod tests {
    use super::*;
    use lockbox_api::{request::NamedObject, settings::ExtraRight};

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
            extra_rights: vec![],
        };
        let rules = [rule("", &["pods"], &["get", "watch"], &[])];
        let access = cut(&rules, &Extent::Whole, &[], Scope::Subscription).unwrap();
        let effect = effect(&level, &access);
        assert_eq!(effect.form, GrantForm::Whole);
        assert_eq!(effect.role, "lockbox-shell");
        assert_eq!(effect.rules, ["get: all pods of the namespace"]);
        assert_eq!(effect.left_out, ["watch: never granted, because a watch goes on after the access has ended"]);
        assert_eq!(effect.reasons, [""; 0]);
        assert_eq!(effect.hash, access.hash());
    }
    #[test]
    fn an_effect_gives_the_reasons_for_what_is_granted_beyond_reading() {
        let extra = |resource: &str, verbs: &[&str], reason: &str| ExtraRight {
            group: String::new(),
            resource: resource.into(),
            verbs: verbs.iter().map(ToString::to_string).collect(),
            reason: reason.into(),
        };
        let level = AccessLevel {
            name: "EditSettings".into(),
            cluster_role: "contoso-edit-settings".into(),
            customer_data: true,
            maximum: None,
            services: None,
            same_name: vec![],
            extra_rights: vec![
                extra("configmaps", &["update", "patch", "delete"], "support changes shop settings"),
                extra("services", &["patch"], "not asked for"),
                extra("configmaps", &["create"], "cannot be limited to a name"),
            ],
        };
        let rules = [
            rule("", &["configmaps"], &["get", "update", "patch", "create"], &[]),
            rule("", &["services"], &["patch"], &[]),
        ];
        let one = NamedObject { group: String::new(), resource: "configmaps".into(), name: "shop".into() };
        let extent = Extent::from_request(Some(&[one])).unwrap();
        let access = cut(&rules, &extent, &[], Scope::Subscription).unwrap();
        assert_eq!(effect(&level, &access).reasons, ["patch, update configmaps: support changes shop settings"]);
    }
}
