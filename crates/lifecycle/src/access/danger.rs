use std::collections::BTreeMap;

use k8s_openapi::api::rbac::v1::PolicyRule;

use super::{
    items,
    powers::{MAX_WEIGHT, weight},
    words::{is_plain, plain, show_kind},
};
use crate::text::{clip, list_by};
use lockbox_api::{Scope, settings::ExtraRight};

// The lists below stand a second time in the chart (`lockbox.grantable.variables`), where policies
// `lockbox-access-levels` and `lockbox-operator-limits-roles` read them; `tests/cluster/grantable.rs` holds the two equal.

/// Verbs that read. `watch` reads too, and is cut from every grant, because a watch goes on after the access has ended.
/// Every other verb writes, in what follows.
pub const READ_VERBS: &[&str] = &["get", "list", "watch"];

/// Subresources of any kind that are read like the object itself. Others answer with something else: a shell, a screen,
/// a file, a credential.
pub const READ_SUBRESOURCES: &[&str] = &["log", "scale", "status"];

/// Rights beyond reading that an access level may hold without giving a reason: what the shipped levels need. Each has
/// words of its own for the approver, and leaves no object behind.
pub const KNOWN_RIGHTS: &[&str] = &[
    "create pods/attach",
    "create pods/exec",
    "create pods/portforward",
    "get pods/attach",
    "get pods/exec",
    "get pods/portforward",
    "get virtualmachineinstances.subresources.kubevirt.io/console",
    "get virtualmachineinstances.subresources.kubevirt.io/portforward",
    "get virtualmachineinstances.subresources.kubevirt.io/vnc",
    "get virtualmachines.subresources.kubevirt.io/portforward",
    "update virtualmachines.subresources.kubevirt.io/memorydump",
];

/// Verbs that no access level has: RBAC's own ways around itself, and certificates that outlive the access. So are all
/// that begin with `impersonate` (constrained impersonation has a family of them), and all that are not a plain word:
/// Kubernetes names special powers that way (`impersonate-on:user-info:list`, `arbitrary-node:patch`).
pub const NEVER_VERBS: &[&str] = &["approve", "attest", "bind", "escalate", "impersonate", "sign"];

/// Kinds that no access level reaches, in any group and with any verb, their subresources included: credentials.
pub const NEVER_REACHED: &[&str] = &["certificatesigningrequests", "secrets", "signers"];

/// Endings of kinds and subresources that no access level reaches, in any group and with any verb: what answers with
/// credentials, and ways past admission (a proxy reaches Pods and kubelets; an ephemeral container stays).
pub const NEVER_REACHED_ENDINGS: &[&str] = &[
    "/approval",
    "/ephemeralcontainers",
    "/proxy",
    "/secrets",
    "credentials",
    "kubeconfig",
    "kubeconfigs",
    "token",
    "tokens",
];

/// First parts of API groups in which no access level writes, whosever they are (`rbac.authorization.k8s.io`,
/// `authorization.openshift.io`): RBAC, admission, the API itself, its queues, certificates, sign-in. Our own group too.
pub const NEVER_WRITTEN_GROUPS: &[&str] = &[
    "admissionregistration",
    "apiextensions",
    "apiregistration",
    "authentication",
    "authorization",
    "certificates",
    "flowcontrol",
    "identity",
    "lockbox",
    "login",
    "oauth",
    "rbac",
    "user",
];

/// Kinds that no access level writes, in any group, their subresources included (but for [`KNOWN_RIGHTS`]): Pods and the
/// built-in kinds that make Pods (they choose any service account of the namespace, and stay), what decides where Pods
/// run and where traffic goes, namespaces, people, and the record of events.
pub const NEVER_WRITTEN: &[&str] = &[
    "cronjobs",
    "daemonsets",
    "deployments",
    "endpoints",
    "endpointslices",
    "events",
    "groups",
    "jobs",
    "namespaces",
    "nodes",
    "persistentvolumes",
    "pods",
    "podtemplates",
    "projectrequests",
    "projects",
    "replicasets",
    "replicationcontrollers",
    "securitycontextconstraints",
    "statefulsets",
    "users",
];

/// Endings of kinds that no access level writes, in any group: roles and bindings under any name, service accounts, what
/// makes Secrets, and what is signed.
pub const NEVER_WRITTEN_ENDINGS: &[&str] =
    &["bindings", "certificaterequests", "roles", "roletemplates", "secrets", "serviceaccounts"];

/// Subresources that can be read in scope Tenant. All others open something: a shell, a log, a screen, a connection,
/// and some of them by `get` alone.
pub const TENANT_SUBRESOURCES: &[&str] = &["scale", "status"];

/// Why something of a rule is refused, in the order in which it is reported.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reason {
    /// More single rights than are read.
    TooWide,
    /// A wildcard among groups, resources or verbs.
    Wildcard,
    /// A path, and no resource.
    Path,
    /// A name that is empty, or `*`.
    Name,
    /// A character that no name has.
    Character,
    /// One of [`NEVER_VERBS`] and their kin.
    Verb,
    /// Credentials, or a way past admission: [`NEVER_REACHED`].
    Credential,
    /// A kind that is never written: [`NEVER_WRITTEN`].
    Guarded,
    /// Not known to be harmless, and not named in the settings.
    Unnamed,
    /// In the whole cluster, a level only reads.
    TenantWrites,
    /// Open in the whole cluster.
    TenantOpens,
}

impl Reason {
    /// What is wrong, and what to do about it. Policy `lockbox-access-levels` says the same.
    fn advice(self) -> &'static str {
        match self {
            Self::TooWide => "more rights than can be checked, use several access levels",
            Self::Wildcard => "wildcards, list groups, resources and verbs one by one",
            Self::Path => "nonResourceURLs, take them out",
            Self::Name => "resourceNames that stand for all objects, take them out",
            Self::Character => "characters that no name has, take them out",
            Self::Verb => "verbs that reach past RBAC or past the end of the access, take them out",
            Self::Credential => "credentials, or ways past admission, take them out",
            Self::Guarded => "writes that make Pods or rights, or change records, leave get, list and watch",
            Self::Unnamed => "not known to be harmless, take them out or name them with a reason in extraRights",
            Self::TenantWrites => "in the whole cluster a level only reads, leave get and list",
            Self::TenantOpens => "would be open in the whole cluster, use another level for scope Tenant",
        }
    }
}

/// Something in a rule that is too powerful to be granted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Danger {
    /// The number of the rule, from 0, as `rules[0]`.
    pub rule: usize,
    /// The word, the kind or the rights that are refused, such as `create, patch taskruns.tekton.dev`, as it can be shown.
    pub what: String,
    /// Why.
    pub why: Reason,
}

/// Characters of what is told about a role.
const MAX_TOLD: usize = 900;

/// What is refused, in a part for each reason: what to do, and then rules and words as far as there is room. All reasons
/// are there, in at most 900 characters.
pub fn told(dangers: &[Danger]) -> String {
    let mut by_reason = BTreeMap::<Reason, Vec<String>>::new();
    for danger in dangers {
        by_reason.entry(danger.why).or_default().push(format!("rules[{}] {}", danger.rule, danger.what));
    }
    let taken: usize = by_reason.keys().map(|why| why.advice().len() + ": ".len() + ". ".len()).sum();
    let room = MAX_TOLD.saturating_sub(taken) / by_reason.len().max(1);
    let parts: Vec<_> =
        by_reason.iter().map(|(why, found)| format!("{}: {}", why.advice(), list_by(found, "; ", room))).collect();
    clip(&parts.join(". "), MAX_TOLD)
}

/// Everything in the rules of an access level that is too powerful to be granted in the scope; none when it is fit.
/// `extra` is what the settings name with a reason. A level with a danger makes the settings not ready, and is never
/// granted.
pub fn dangers(rules: &[PolicyRule], extra: &[ExtraRight], scope: Scope) -> Vec<Danger> {
    let weight = weight(rules);
    if weight > MAX_WEIGHT {
        return vec![Danger { rule: 0, what: format!("and others: {weight} single rights"), why: Reason::TooWide }];
    }
    rules.iter().enumerate().flat_map(|(number, rule)| of_rule(number, rule, extra, scope)).collect()
}

fn of_rule(number: usize, rule: &PolicyRule, extra: &[ExtraRight], scope: Scope) -> Vec<Danger> {
    let groups = items(rule.api_groups.as_ref());
    let resources = items(rule.resources.as_ref());
    let names = items(rule.resource_names.as_ref());
    let paths = items(rule.non_resource_urls.as_ref());
    let mut found = Vec::new();
    let mut refuse = |words: Vec<&String>, why: Reason| {
        let what: Vec<_> = words.into_iter().map(|word| plain(word)).collect();
        if !what.is_empty() {
            found.push(Danger { rule: number, what: what.join(", "), why });
        }
    };
    let words = || [groups, resources, &rule.verbs].into_iter().flatten();
    refuse(words().filter(|word| is_wild(word)).collect(), Reason::Wildcard);
    refuse(paths.iter().collect(), Reason::Path);
    refuse(names.iter().filter(|name| name.is_empty() || is_wild(name)).collect(), Reason::Name);
    let is_odd = |word: &&String| word.chars().any(|c| !is_plain(c));
    refuse(words().chain(names).filter(is_odd).collect(), Reason::Character);
    refuse(rule.verbs.iter().filter(|verb| is_never_a_verb(verb)).collect(), Reason::Verb);
    for group in groups {
        for resource in resources {
            let mut verbs = BTreeMap::<Reason, Vec<String>>::new();
            for verb in &rule.verbs {
                for why in of_right(group, resource, verb, extra, scope) {
                    verbs.entry(why).or_default().push(plain(verb));
                }
            }
            let kind = show_kind(group, resource);
            found.extend(verbs.into_iter().map(|(why, verbs)| Danger {
                rule: number,
                what: match why {
                    // Whatever the verb.
                    Reason::Credential | Reason::TenantOpens => kind.clone(),
                    _ => format!("{} {kind}", verbs.join(", ")),
                },
                why,
            }));
        }
    }
    found
}

/// What is wrong with a right, beyond its words.
fn of_right(group: &str, resource: &str, verb: &str, extra: &[ExtraRight], scope: Scope) -> Vec<Reason> {
    let writes = !READ_VERBS.contains(&verb);
    let opens = |harmless: &[&str]| resource.split_once('/').is_some_and(|(_, sub)| !harmless.contains(&sub));
    let is_known = KNOWN_RIGHTS.contains(&format!("{verb} {}", show_kind(group, resource)).as_str());
    let is_said_already = is_wild(group) || is_wild(resource) || is_wild(verb) || is_never_a_verb(verb);
    let needs_a_reason = writes || (verb != "watch" && opens(READ_SUBRESOURCES));
    let is_named = || extra.iter().any(|extra| names(extra, group, resource, verb));
    let mut whys = Vec::new();
    if is_never_reached(resource) {
        whys.push(Reason::Credential);
    } else if !is_said_already && !is_known {
        if writes && is_never_written(group, resource) {
            whys.push(Reason::Guarded);
        } else if needs_a_reason && !is_named() {
            whys.push(Reason::Unnamed);
        }
    }
    if scope == Scope::Tenant {
        if writes {
            whys.push(Reason::TenantWrites);
        }
        if opens(TENANT_SUBRESOURCES) {
            whys.push(Reason::TenantOpens);
        }
    }
    whys
}

/// Whether the settings name a right.
fn names(extra: &ExtraRight, group: &str, resource: &str, verb: &str) -> bool {
    extra.group == group && extra.resource == resource && extra.verbs.iter().any(|named| named == verb)
}

fn is_wild(text: &str) -> bool {
    text.contains('*')
}

fn is_never_a_verb(verb: &str) -> bool {
    let is_word = !verb.is_empty() && verb.chars().all(|c| c.is_ascii_lowercase());
    NEVER_VERBS.contains(&verb) || verb.starts_with("impersonate") || !(is_word || is_wild(verb))
}

/// Credentials, and ways past admission. Of a node only its status is harmless: the rest reaches the kubelet.
fn is_never_reached(resource: &str) -> bool {
    let (base, sub) = resource.split_once('/').map_or((resource, None), |(base, sub)| (base, Some(sub)));
    NEVER_REACHED.contains(&base)
        || NEVER_REACHED_ENDINGS.iter().any(|end| base.ends_with(end) || resource.ends_with(end))
        || (base == "nodes" && sub.is_some_and(|sub| sub != "status"))
}

/// A kind that is never written, or any part of one.
fn is_never_written(group: &str, resource: &str) -> bool {
    let base = resource.split('/').next().unwrap_or_default();
    let first = group.split('.').next().unwrap_or_default();
    NEVER_WRITTEN_GROUPS.contains(&first)
        || NEVER_WRITTEN.contains(&base)
        || NEVER_WRITTEN_ENDINGS.iter().any(|end| base.ends_with(end))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(group: &str, resource: &str, verb: &str) -> PolicyRule {
        PolicyRule {
            api_groups: Some(vec![group.to_owned()]),
            resources: Some(vec![resource.to_owned()]),
            verbs: vec![verb.to_owned()],
            ..PolicyRule::default()
        }
    }

    fn in_scope(rule: &PolicyRule, scope: Scope) -> Vec<Danger> {
        dangers(std::slice::from_ref(rule), &[], scope)
    }

    fn why(rule: &PolicyRule) -> Vec<Reason> {
        in_scope(rule, Scope::Subscription).into_iter().map(|danger| danger.why).collect()
    }

    fn extra(group: &str, resource: &str, verbs: &[&str]) -> ExtraRight {
        ExtraRight {
            group: group.into(),
            resource: resource.into(),
            verbs: verbs.iter().map(ToString::to_string).collect(),
            reason: "every support case needs it".into(),
        }
    }

    const WRITES: &[&str] = &["create", "update", "patch", "delete", "deletecollection", "use"];

    #[test]
    fn what_is_too_powerful_is_refused_in_every_scope_and_whatever_the_settings_name() {
        let mut rules = vec![
            rule("*", "pods", "get"),
            rule("", "*", "get"),
            rule("", "pods/*", "get"),
            rule("", "*/scale", "get"),
            rule("", "pods", "*"),
            rule("", "pods\u{202e}", "get"),
        ];
        for verb in [
            "impersonate:user-info",
            "impersonate:serviceaccount",
            "impersonate-on:user-info:list",
            "impersonate-all",
            "arbitrary-node:patch",
            "request-serviceaccounts-token-audience",
            "",
        ] {
            rules.push(rule("example.com", "things", verb));
        }
        rules.extend(NEVER_VERBS.iter().map(|verb| rule("example.com", "things", verb)));
        for kind in NEVER_REACHED {
            rules.extend([rule("", kind, "get"), rule("example.com", &format!("{kind}/status"), "list")]);
        }
        for end in NEVER_REACHED_ENDINGS {
            rules.push(rule("example.com", &format!("things{end}"), "get"));
        }
        for verb in WRITES {
            rules
                .extend(NEVER_WRITTEN_GROUPS.iter().map(|group| rule(&format!("{group}.example.com"), "things", verb)));
            rules.extend(NEVER_WRITTEN.iter().map(|kind| rule("apps", kind, verb)));
            rules.extend(NEVER_WRITTEN_ENDINGS.iter().map(|end| rule("example.com", &format!("my{end}"), verb)));
            rules.extend(["pods/binding", "pods/eviction", "jobs/status"].map(|kind| rule("", kind, verb)));
            rules.push(rule("lockbox.dev", "lockboxrequests", verb));
            rules.push(rule("cert-manager.io", "certificaterequests", verb));
            rules.push(rule("authorization.openshift.io", "rolebindings", verb));
        }
        rules.extend(
            ["imagestreams/secrets", "shoots/adminkubeconfig", "nodes/configz"].map(|kind| rule("", kind, "get")),
        );
        rules.push(PolicyRule { resource_names: Some(vec!["a".into(), String::new()]), ..rule("", "pods", "get") });
        rules.push(PolicyRule { resource_names: Some(vec!["*".into()]), ..rule("", "pods", "get") });
        rules.push(PolicyRule {
            non_resource_urls: Some(vec!["/metrics".into()]),
            verbs: vec!["get".into()],
            ..PolicyRule::default()
        });
        for rule in &rules {
            let named: Vec<_> = items(rule.api_groups.as_ref())
                .iter()
                .map(|group| ExtraRight {
                    group: group.clone(),
                    resource: rule.resources.as_ref().unwrap()[0].clone(),
                    verbs: rule.verbs.clone(),
                    reason: "because".into(),
                })
                .collect();
            for scope in [Scope::Subscription, Scope::Tenant] {
                let found = dangers(std::slice::from_ref(rule), &named, scope);
                assert!(!found.is_empty(), "not refused: {rule:?}");
            }
        }
    }

    #[test]
    fn a_write_is_let_in_only_when_it_is_known_or_named_with_a_reason() {
        // Kinds whose controllers make Pods, rights or certificates for whoever writes them.
        for (group, kind) in [
            ("helm.cattle.io", "helmcharts"),
            ("helm.toolkit.fluxcd.io", "helmreleases"),
            ("tekton.dev", "taskruns"),
            ("apps.openshift.io", "deploymentconfigs"),
            ("cert-manager.io", "certificates"),
            ("", "configmaps"),
            ("", "services"),
            ("some.operator.example", "things"),
        ] {
            for verb in WRITES {
                let rule = rule(group, kind, verb);
                assert_eq!(why(&rule), [Reason::Unnamed], "{rule:?}");
                let named = |extra: &[ExtraRight]| dangers(std::slice::from_ref(&rule), extra, Scope::Subscription);
                assert_eq!(named(&[extra(group, kind, &[verb])]), []);
                assert_ne!(named(&[extra("other.example", kind, &[verb])]), []);
                assert_ne!(named(&[extra(group, "others", &[verb])]), []);
                assert_ne!(named(&[extra(group, kind, &["another"])]), []);
                assert!(
                    !dangers(std::slice::from_ref(&rule), &[extra(group, kind, &[verb])], Scope::Tenant).is_empty()
                );
            }
        }
    }

    #[test]
    fn a_subresource_is_read_only_when_it_is_known_to_answer_with_nothing_else() {
        for (group, kind) in [("apps", "deployments/scale"), ("example.com", "things/status"), ("", "pods/log")] {
            for verb in READ_VERBS {
                assert_eq!(why(&rule(group, kind, verb)), [], "{verb} {kind}");
            }
        }
        for (group, kind) in [("image.openshift.io", "imagestreams/layers"), ("packages.example", "things/icon")] {
            assert_eq!(why(&rule(group, kind, "get")), [Reason::Unnamed], "{kind}");
            let named = [extra(group, kind, &["get"])];
            assert_eq!(dangers(&[rule(group, kind, "get")], &named, Scope::Subscription), []);
        }
        assert_eq!(why(&rule("example.com", "pods/exec", "get")), [Reason::Unnamed], "known in its own group alone");
    }

    #[test]
    fn reading_alone_is_fit_and_a_watch_is_cut_and_not_refused() {
        for (group, kind) in [
            ("", "serviceaccounts"),
            ("", "pods"),
            ("", "bindings"),
            ("rbac.authorization.k8s.io", "rolebindings"),
            ("external-secrets.io", "externalsecrets"),
            ("cert-manager.io", "certificaterequests"),
        ] {
            for verb in READ_VERBS {
                assert_eq!(why(&rule(group, kind, verb)), [], "{verb} {kind}");
            }
        }
    }

    #[test]
    fn in_the_whole_cluster_a_level_only_reads() {
        for (group, kind, verb) in [
            ("", "pods/exec", "create"),
            ("", "pods/exec", "get"),
            ("", "pods/attach", "get"),
            ("", "pods/portforward", "get"),
            ("", "pods/log", "get"),
            ("subresources.kubevirt.io", "virtualmachineinstances/vnc", "get"),
            ("subresources.kubevirt.io", "virtualmachines/memorydump", "update"),
        ] {
            let rule = rule(group, kind, verb);
            assert_eq!(in_scope(&rule, Scope::Subscription), [], "{rule:?}");
            assert!(!in_scope(&rule, Scope::Tenant).is_empty(), "not refused: {rule:?}");
        }
        for (group, kind, verb) in
            [("", "nodes", "list"), ("", "nodes/status", "get"), ("rbac.authorization.k8s.io", "clusterroles", "get")]
        {
            assert_eq!(in_scope(&rule(group, kind, verb), Scope::Tenant), []);
        }
    }

    #[test]
    fn every_reason_is_told_at_once_with_the_rule_and_the_word() {
        let level = [
            rule("", "pods", "get"),
            rule("", "secrets", "get"),
            PolicyRule {
                verbs: vec!["create".into(), "get".into(), "patch".into()],
                ..rule("tekton.dev", "taskruns", "create")
            },
            rule("apps", "deployments/scale", "patch"),
            rule("", "users", "impersonate"),
            PolicyRule {
                non_resource_urls: Some(vec!["*".into()]),
                verbs: vec!["get".into()],
                ..PolicyRule::default()
            },
        ];
        assert_eq!(
            told(&dangers(&level, &[], Scope::Subscription)),
            "nonResourceURLs, take them out: rules[5] *. \
             verbs that reach past RBAC or past the end of the access, take them out: rules[4] impersonate. \
             credentials, or ways past admission, take them out: rules[1] secrets. \
             writes that make Pods or rights, or change records, leave get, list and watch: rules[3] patch deployments.apps/scale. \
             not known to be harmless, take them out or name them with a reason in extraRights: rules[2] create, patch taskruns.tekton.dev"
        );
    }

    #[test]
    fn more_rights_than_can_be_checked_are_refused_without_checking_them() {
        let many = |start: &str| (0..300).map(|n| format!("{start}{n}")).collect::<Vec<_>>();
        let wide = PolicyRule {
            api_groups: Some(many("g")),
            resources: Some(many("r")),
            verbs: many("v"),
            ..PolicyRule::default()
        };
        assert_eq!(why(&wide), [Reason::TooWide]);
    }

    #[test]
    fn what_is_told_is_bounded_however_much_is_wrong() {
        let long = |start: &str| (0..20).map(|n| format!("{start}{n:02}{}", "x".repeat(200))).collect::<Vec<_>>();
        let wild = PolicyRule {
            api_groups: Some(long("*")),
            resources: Some(long("*/proxy")),
            resource_names: Some(vec!["\u{202e}".repeat(300), String::new()]),
            verbs: long("impersonate:"),
            ..PolicyRule::default()
        };
        for scope in [Scope::Subscription, Scope::Tenant] {
            let told = told(&in_scope(&wild, scope));
            assert!(told.chars().count() <= MAX_TOLD && told.contains('…'), "{told}");
        }
        let every: Vec<_> = [
            Reason::Wildcard,
            Reason::Path,
            Reason::Name,
            Reason::Character,
            Reason::Verb,
            Reason::Credential,
            Reason::Guarded,
            Reason::Unnamed,
            Reason::TenantWrites,
            Reason::TenantOpens,
        ]
        .into_iter()
        .flat_map(|why| (0..9).map(move |rule| Danger { rule, what: "x".repeat(200), why }))
        .collect();
        let told = told(&every);
        assert!(told.chars().count() <= MAX_TOLD, "{told}");
        assert!(every.iter().all(|danger| told.contains(danger.why.advice())), "{told}");
    }
}
