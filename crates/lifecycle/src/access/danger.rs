use std::fmt;

use k8s_openapi::api::rbac::v1::PolicyRule;

use super::{
    MAX_SENTENCE, list as items,
    words::{is_plain, list, plain, sentence},
};
use crate::text::clip;
use lockbox_api::Scope;

/// Verbs that only read. All others write, in what follows.
pub const READ_VERBS: &[&str] = &["get", "list"];

/// Verbs that no access level has. `escalate`, `bind`, `impersonate`: RBAC's own ways around itself. `approve`, `sign`,
/// `attest`: certificates that outlive the access. `watch`: a watch goes on after the access is over, without limit
/// Policy `lockbox-access-levels` has the same list.
pub const NEVER_VERBS: &[&str] = &["escalate", "bind", "impersonate", "approve", "sign", "attest", "watch"];

/// Kinds that no access level reaches, in any group and with any verb: credentials that outlive the access, and ways
/// past admission (proxies reach the kubelet and Pods without it; an ephemeral container stays). Policy
/// `lockbox-access-levels` has the same list.
pub const NEVER_REACHED: &[&str] = &[
    "certificatesigningrequests",
    "certificatesigningrequests/approval",
    "nodes/proxy",
    "pods/ephemeralcontainers",
    "pods/proxy",
    "secrets",
    "serviceaccounts",
    "serviceaccounts/token",
    "services/proxy",
    "signers",
];

/// Subresources that no access level reaches, of whatever kind: see [`NEVER_REACHED`].
const NEVER_REACHED_SUBRESOURCES: &[&str] = &["ephemeralcontainers", "proxy", "token"];

/// API groups in which no access level writes: RBAC, admission, the API itself, its queues, certificates, tokens, and our
/// own kinds.
/// Policy `lockbox-access-levels` has the same list.
pub const GUARDED_GROUPS: &[&str] = &[
    "admissionregistration.k8s.io",
    "apiextensions.k8s.io",
    "apiregistration.k8s.io",
    "authentication.k8s.io",
    "authorization.k8s.io",
    "certificates.k8s.io",
    "flowcontrol.apiserver.k8s.io",
    "lockbox.dev",
    "rbac.authorization.k8s.io",
];

/// Groups of extensions whose kinds make Pods: no access level writes in them either.
/// Policy `lockbox-access-levels` has the same list.
pub const POD_MAKERS: &[&str] = &[
    "argoproj.io",
    "clickhouse.altinity.com",
    "k6.io",
    "kubeflow.org",
    "kubevirt.io",
    "monitoring.coreos.com",
    "mysql.oracle.com",
    "opensearch.opster.io",
    "pool.kubevirt.io",
    "postgresql.cnpg.io",
    "pxc.percona.com",
    "ray.io",
    "serving.knative.dev",
    "serving.kserve.io",
    "sparkoperator.k8s.io",
    "workspace.devfile.io",
];

/// Kinds that no access level writes, in any group, their subresources included: Pods and what makes Pods (they choose
/// any service account of the namespace, and stay), what decides where Pods run and where traffic goes, and the record
/// of events. The exception is [`CONNECTIONS`].
/// Policy `lockbox-access-levels` has the same list.
pub const NEVER_WRITTEN: &[&str] = &[
    "bindings",
    "cronjobs",
    "daemonsets",
    "deployments",
    "endpoints",
    "endpointslices",
    "events",
    "jobs",
    "namespaces",
    "nodes",
    "persistentvolumes",
    "pods",
    "podtemplates",
    "replicasets",
    "replicationcontrollers",
    "statefulsets",
];

/// Connections to a Pod: RBAC calls opening one `create`, and nothing is written.
const CONNECTIONS: &[&str] = &["pods/attach", "pods/exec", "pods/portforward"];

/// Subresources that can be read in scope Tenant. All others open something: a shell, a log, a screen, a connection,
/// and some of them by `get` alone.
pub const TENANT_SUBRESOURCES: &[&str] = &["scale", "status"];

/// A rule that is too powerful to be granted, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Danger {
    /// The rule, in words.
    pub rule: String,
    /// Why it is refused, and what to do about it.
    pub why: String,
}

impl fmt::Display for Danger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", clip(&self.rule, MAX_SENTENCE / 2), self.why)
    }
}

/// The rules of an access level that are too powerful to be granted in the scope, in their order; none when it is fit.
/// A level with a danger must make the settings not ready, and is never granted. As text each has at most 512
/// characters.
pub fn dangers(rules: &[PolicyRule], scope: Scope) -> Vec<Danger> {
    rules
        .iter()
        .flat_map(|rule| {
            // What is found is listed in few words, so a reason is short.
            of_rule(rule, scope).into_iter().map(|why| Danger { rule: sentence(rule, scope), why })
        })
        .collect()
}

fn of_rule(rule: &PolicyRule, scope: Scope) -> Vec<String> {
    let groups = items(rule.api_groups.as_ref());
    let resources = items(rule.resources.as_ref());
    let names = items(rule.resource_names.as_ref());
    let paths = items(rule.non_resource_urls.as_ref());
    let writes = which(&rule.verbs, |verb| !READ_VERBS.contains(&verb));
    let mut whys = Vec::new();
    let mut refuse = |found: &[String], why: &str| {
        if !found.is_empty() {
            whys.push(format!("{} {why}", list(found, 110)));
        }
    };

    let wild = |text: &str| text.contains('*');
    let wildcards = [which(groups, wild), which(resources, wild), which(&rule.verbs, wild)].concat();
    refuse(&wildcards, "is a wildcard: list groups, resources and verbs one by one");
    // Since 1.35 the verb exists in finer forms, such as impersonate:user-info.
    let never = |verb: &str| {
        NEVER_VERBS.contains(&verb) || verb.starts_with("impersonate:") || verb.starts_with("impersonate-on:")
    };
    refuse(&which(&rule.verbs, never), "reaches past the end or past RBAC: take the verb out");
    refuse(&which(paths, |_| true), "is a path and no resource: take nonResourceURLs out");
    refuse(&which(resources, is_never_reached), "is never granted: take the resource out");
    refuse(&which(names, str::is_empty), "as a resource name stands for every call without a name: take it out");
    let odd = |text: &str| text.chars().any(|c| !is_plain(c));
    let odd = [groups, resources, names, &rule.verbs].map(|texts| which(texts, odd)).concat();
    refuse(&odd, "holds characters that names do not have");
    if !writes.is_empty() {
        let guarded = which(groups, |group| GUARDED_GROUPS.contains(&group));
        refuse(&guarded, "is a group in which an access level only reads: leave get and list");
        let makers = which(groups, |group| POD_MAKERS.contains(&group));
        refuse(&makers, "is a group whose kinds make Pods: leave get and list");
        let guarded = which(resources, is_never_written);
        refuse(&guarded, "is, or makes, or places Pods, or is a record: leave get and list");
    }
    if scope == Scope::Tenant {
        refuse(&writes, "is more than reading, in the whole cluster: leave get and list");
        let opens = |kind: &str| kind.split_once('/').is_some_and(|(_, sub)| !TENANT_SUBRESOURCES.contains(&sub));
        refuse(&which(resources, opens), "would be open in the whole cluster: use another level for scope Tenant");
    }
    whys
}

/// Credentials, and ways past admission. Of a node only its status is harmless: the rest reaches the kubelet.
fn is_never_reached(resource: &str) -> bool {
    NEVER_REACHED.contains(&resource)
        || resource.split_once('/').is_some_and(|(kind, sub)| {
            NEVER_REACHED_SUBRESOURCES.contains(&sub)
                || kind == "certificatesigningrequests"
                || (kind == "nodes" && sub != "status")
        })
}

/// A kind that is never written, or any part of one.
fn is_never_written(resource: &str) -> bool {
    let kind = resource.split_once('/').map_or(resource, |(kind, _)| kind);
    NEVER_WRITTEN.contains(&kind) && !CONNECTIONS.contains(&resource)
}

/// Those of the texts that are so, as they can be shown.
fn which(texts: &[String], is_so: impl Fn(&str) -> bool) -> Vec<String> {
    texts.iter().filter(|text| is_so(text)).map(|text| plain(text)).collect()
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
        dangers(std::slice::from_ref(rule), scope)
    }

    #[test]
    fn what_is_too_powerful_is_refused_in_every_scope() {
        let mut rules = vec![
            rule("*", "pods", "get"),
            rule("", "*", "get"),
            rule("", "pods/*", "get"),
            rule("", "*/scale", "get"),
            rule("", "pods", "*"),
            rule("", "users", "impersonate:user-info"),
            rule("", "users", "impersonate-on:user-info:list"),
            rule("", "pods\u{202e}", "get"),
        ];
        rules.extend(NEVER_VERBS.iter().map(|verb| rule("example.com", "things", verb)));
        rules.extend(NEVER_REACHED.iter().map(|kind| rule("", kind, "get")));
        for verb in ["create", "update", "patch", "delete", "deletecollection"] {
            rules.extend(GUARDED_GROUPS.iter().map(|group| rule(group, "things", verb)));
            rules.extend(POD_MAKERS.iter().map(|group| rule(group, "things", verb)));
            rules.extend(NEVER_WRITTEN.iter().map(|kind| rule("apps", kind, verb)));
            rules.extend(["pods/binding", "pods/eviction", "jobs/status"].map(|kind| rule("", kind, verb)));
        }
        rules.extend(["things/proxy", "things/token", "nodes/configz"].map(|kind| rule("", kind, "get")));
        rules.push(PolicyRule { resource_names: Some(vec!["a".into(), String::new()]), ..rule("", "pods", "get") });
        rules.push(PolicyRule {
            non_resource_urls: Some(vec!["/metrics".into()]),
            verbs: vec!["get".into()],
            ..PolicyRule::default()
        });
        for rule in &rules {
            for scope in [Scope::Subscription, Scope::Tenant] {
                assert!(!in_scope(rule, scope).is_empty(), "not refused: {rule:?}");
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
            ("", "configmaps", "patch"),
            ("example.com", "things", "use"),
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
    fn a_danger_is_a_sentence_however_much_is_wrong() {
        let long = |start: &str| (0..40).map(|n| format!("{start}{n:02}{}", "x".repeat(200))).collect::<Vec<_>>();
        let wild = PolicyRule {
            api_groups: Some(long("*")),
            resources: Some(long("*/proxy")),
            resource_names: Some(long("\u{202e}")),
            verbs: long("impersonate:"),
            ..PolicyRule::default()
        };
        for scope in [Scope::Subscription, Scope::Tenant] {
            let found = in_scope(&wild, scope);
            assert!(found.len() >= 3, "{found:?}");
            for danger in found {
                let text = danger.to_string();
                assert!(text.chars().count() <= MAX_SENTENCE, "{} characters", text.chars().count());
                let (rule, _) = text.split_once("…: ").expect("the rule is cut");
                assert_eq!(rule.chars().count() + 1, MAX_SENTENCE / 2);
            }
        }
    }

    #[test]
    fn a_danger_names_the_rule_and_what_to_do() {
        let level = [rule("", "pods", "get"), rule("", "secrets", "get")];
        let found = dangers(&level, Scope::Subscription);
        assert_eq!(found.len(), 1);
        assert_eq!(
            found[0].to_string(),
            "read the secret values in (get secrets): all secrets of the namespace: secrets is never granted: take the resource out"
        );
    }
}
