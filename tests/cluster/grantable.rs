//! What may be granted: access levels as customers write them, against the policy on a real API server and against the
//! code; and what an approver is shown of a grant.

use std::collections::BTreeMap;

use k8s_openapi::api::rbac::v1::PolicyRule;
use lockbox_api::{Scope, settings::ExtraRight};
use lockbox_lifecycle::access::{
    KNOWN_RIGHTS, NEVER_REACHED, NEVER_REACHED_ENDINGS, NEVER_VERBS, NEVER_WRITTEN, NEVER_WRITTEN_ENDINGS,
    NEVER_WRITTEN_GROUPS, READ_SUBRESOURCES, READ_VERBS, dangers,
};
use serde_json::{Value, json};

use crate::{
    WORLD, steady,
    support::{self, Manifest, World, refused, request},
};

/// An access level with these rules, and what its annotation names.
fn level(name: &str, rules: &Value, extra: &str) -> Value {
    json!({
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole",
        "metadata": {
            "name": name, "labels": {"lockbox.dev/access-level": "true"},
            "annotations": {"lockbox.dev/extra-rights": extra},
        },
        "rules": rules,
    })
}

fn rule(group: &str, resource: &str, verbs: &[&str]) -> Value {
    json!({"apiGroups": [group], "resources": [resource], "verbs": verbs})
}

/// The policy's answer to each access level, by its name: nothing, or why it is refused.
fn judged(world: &World, levels: &[Value]) -> BTreeMap<String, Option<String>> {
    let list = json!({"apiVersion": "v1", "kind": "List", "items": levels}).to_string();
    let dry = ["create", "--dry-run=server", "-f", "-", "-o", "name"];
    let said = match world.pipe(world.cluster.admin(), &dry, &list) {
        Ok(said) | Err(said) => said,
    };
    let answer = |level: &Value| {
        let name = level["metadata"]["name"].as_str().unwrap();
        let refused = said
            .lines()
            .find(|line| line.contains(&format!("\"{name}\" is forbidden: ValidatingAdmissionPolicy")))
            .map(|line| line.split_once("denied request: ").unwrap().1.to_owned());
        let let_in = said.lines().any(|line| line.ends_with(&format!("/{name}")));
        assert!(let_in != refused.is_some(), "{name}: {said}");
        (name.to_owned(), refused)
    };
    levels.iter().map(answer).collect()
}

fn parsed(rules: &Value) -> Vec<PolicyRule> {
    serde_json::from_value(rules.clone()).unwrap()
}

/// Roles that products and their users bring along, by what they are for. Groups, kinds and verbs are those of their
/// public manifests.
fn roles() -> Vec<(&'static str, Value)> {
    let read = ["get", "list", "watch"];
    let edit = ["get", "list", "create", "delete", "patch", "update"];
    let core = [
        "configmaps",
        "endpoints",
        "persistentvolumeclaims",
        "persistentvolumeclaims/status",
        "pods",
        "pods/log",
        "pods/status",
        "replicationcontrollers/scale",
        "serviceaccounts",
        "services",
        "bindings",
        "events",
        "namespaces/status",
        "resourcequotas/status",
    ];
    let apps = ["daemonsets", "deployments", "deployments/scale", "deployments/status", "replicasets", "statefulsets"];
    let all = |groups: &[&str], resources: &[&str], verbs: &[&str]| json!({"apiGroups": groups, "resources": resources, "verbs": verbs});
    vec![
        (
            "namespace-view",
            json!([
                all(&[""], &core, &read),
                all(&["apps"], &apps, &read),
                all(&["batch"], &["jobs", "cronjobs"], &read)
            ]),
        ),
        ("namespace-view-nowatch", json!([all(&[""], &core, &read[..2]), all(&["apps"], &apps, &read[..2])])),
        (
            "cluster-reader",
            json!([
                all(&["", "authorization.openshift.io"], &["roles", "rolebindings"], &read),
                all(&["", "authorization.openshift.io"], &["subjectaccessreviews"], &["create"]),
                all(&["certificates.k8s.io"], &["certificatesigningrequests/approval"], &read),
                all(&[""], &["nodes", "nodes/metrics", "pods"], &read),
                all(&[""], &["nodes/stats"], &["create", "get"]),
                json!({"nonResourceURLs": ["*"], "verbs": ["get"]}),
            ]),
        ),
        ("gitops-edit", json!([all(&["helm.toolkit.fluxcd.io"], &["*"], &["create", "delete", "patch"])])),
        (
            "gitops-edit-named",
            json!([
                all(&["helm.toolkit.fluxcd.io"], &["helmreleases"], &edit),
                all(&["source.toolkit.fluxcd.io"], &["gitrepositories", "buckets"], &edit),
            ]),
        ),
        (
            "project-edit",
            json!([
                all(&["", "apps.openshift.io"], &["deploymentconfigs", "deploymentconfigs/scale"], &edit),
                all(&["", "build.openshift.io"], &["buildconfigs/instantiate"], &["create"]),
                all(&["template.openshift.io"], &["templateinstances"], &edit),
            ]),
        ),
        (
            "registry",
            json!([
                all(&["image.openshift.io"], &["imagestreams", "imagestreams/secrets"], &["get"]),
                all(&["project.openshift.io"], &["projects"], &["get", "delete"]),
                all(&["authorization.openshift.io"], &["rolebindings"], &edit),
            ]),
        ),
        (
            "ui-server",
            json!([all(&["*"], &["*"], &["delete", "get", "patch"]), all(&["argoproj.io"], &["applications"], &read)]),
        ),
    ]
}

#[test]
fn roles_as_customers_have_them_are_let_in_when_they_read_and_refused_with_every_reason_at_once() {
    let world = &*WORLD;
    let levels: Vec<_> = roles().iter().map(|(name, rules)| level(&format!("level-{name}"), rules, "")).collect();
    let answers = judged(world, &levels);
    let answer = |name: &str| answers[&format!("level-{name}")].as_deref();
    assert_eq!(answer("namespace-view"), None, "a watch is cut and not refused");
    assert_eq!(answer("namespace-view-nowatch"), None);
    for (name, words) in [
        (
            "cluster-reader",
            &[
                "nonResourceURLs, take them out: rules[5] *",
                "rules[2] certificatesigningrequests.certificates.k8s.io/approval",
                "rules[3] nodes/metrics",
                "rules[4] nodes/stats",
                "rules[1] create subjectaccessreviews",
                "watch may stay: it is cut from every grant",
            ][..],
        ),
        ("gitops-edit", &["wildcards, list groups, resources and verbs one by one: rules[0] *"]),
        (
            "gitops-edit-named",
            &[
                "name them in the annotation lockbox.dev/extra-rights: ",
                "rules[0] create, delete, patch, update helmreleases.helm.toolkit.fluxcd.io",
                "rules[1] create, delete, patch, update gitrepositories.source.toolkit.fluxcd.io; create",
            ],
        ),
        (
            "project-edit",
            &[
                "rules[0] create, delete, patch, update deploymentconfigs; ",
                "create, delete, patch, update deploymentconfigs.apps.openshift.io/scale",
                "create buildconfigs.build.openshift.io/instantiate",
                "templateinstances.template.openshift.io",
            ],
        ),
        (
            "registry",
            &[
                "credentials, or ways past admission, take them out: rules[0] imagestreams.image.openshift.io/secrets",
                "rules[1] delete projects.project.openshift.io",
                "rules[2] create, delete, patch, update rolebindings.authorization.openshift.io",
            ],
        ),
        ("ui-server", &["wildcards, list groups, resources and verbs one by one: rules[0] *, *"]),
    ] {
        let said = answer(name).unwrap_or_else(|| panic!("{name} was let in"));
        for word in words {
            assert!(said.contains(word), "{name} should be told {word:?}: {said}");
        }
    }
}

/// Kinds that make Pods, rights or credentials for whoever writes them, under names that no list has.
const MAKERS: &[(&str, &str)] = &[
    ("helm.cattle.io", "helmcharts"),
    ("helm.toolkit.fluxcd.io", "helmreleases"),
    ("kustomize.toolkit.fluxcd.io", "kustomizations"),
    ("tekton.dev", "taskruns"),
    ("kafka.strimzi.io", "kafkas"),
    ("apps.openshift.io", "deploymentconfigs"),
    ("build.openshift.io", "buildconfigs"),
    ("template.openshift.io", "templateinstances"),
    ("keda.sh", "scaledjobs"),
    ("velero.io", "restores"),
    ("operators.coreos.com", "subscriptions"),
    ("jobset.x-k8s.io", "jobsets"),
    ("apps.kruise.io", "clonesets"),
    ("acid.zalan.do", "postgresqls"),
    ("actions.github.com", "autoscalingrunnersets"),
    ("pkg.crossplane.io", "providers"),
    ("cert-manager.io", "certificates"),
    ("generated-in.no-list.example", "things"),
    ("", "configmaps"),
    ("", "services"),
];

/// Rights that no name lets in.
const NEVER: &[(&str, &str, &str)] = &[
    ("authorization.openshift.io", "rolebindings", "create"),
    ("management.cattle.io", "clusterroletemplatebindings", "create"),
    ("cert-manager.io", "certificaterequests", "create"),
    ("project.openshift.io", "projects", "delete"),
    ("oauth.openshift.io", "oauthaccesstokens", "list"),
    ("image.openshift.io", "imagestreams/secrets", "get"),
    ("core.gardener.cloud", "shoots/adminkubeconfig", "create"),
    ("external-secrets.io", "externalsecrets", "create"),
    ("security.openshift.io", "securitycontextconstraints", "use"),
    ("", "serviceaccounts", "patch"),
    ("", "users", "impersonate"),
    ("", "users", "impersonate:user-info"),
    ("", "pods", "impersonate-on:user-info:list"),
    ("resource.k8s.io", "resourceclaims/status", "arbitrary-node:patch"),
];

#[test]
fn whoever_makes_a_level_names_what_it_writes_and_some_rights_cannot_be_named() {
    let world = &*WORLD;
    let (mut levels, mut named) = (vec![], vec![]);
    for (number, (group, kind)) in MAKERS.iter().enumerate() {
        let full = if group.is_empty() { (*kind).to_owned() } else { format!("{kind}.{group}") };
        let rules = json!([rule(group, kind, &["get", "create", "patch"])]);
        levels.push(level(&format!("bare-{number}"), &rules, ""));
        levels.push(level(&format!("other-{number}"), &rules, &format!("create {full}; patch {full}x")));
        named.push(level(&format!("named-{number}"), &rules, &format!("get pods/x; patch, create {full}")));
    }
    for (number, (group, kind, verb)) in NEVER.iter().enumerate() {
        let (base, sub) = kind.split_once('/').map_or((*kind, String::new()), |(base, sub)| (base, format!("/{sub}")));
        let full = if group.is_empty() { (*kind).to_owned() } else { format!("{base}.{group}{sub}") };
        let rules = json!([rule(group, kind, &[verb])]);
        levels.push(level(&format!("never-{number}"), &rules, &format!("{verb} {full}")));
    }
    for (name, refused) in judged(world, &levels) {
        assert!(
            refused.is_some(),
            "{name} was let in: {:?}",
            levels.iter().find(|level| level["metadata"]["name"] == name)
        );
    }
    for (name, refused) in judged(world, &named) {
        assert_eq!(refused, None, "{name}");
    }
}

/// A rule for every word that code or policy knows, and for some that neither does.
fn every_word() -> Vec<Value> {
    let verbs = ["get", "list", "watch", "create", "deletecollection", "use"];
    let mut rules = vec![];
    for verb in
        READ_VERBS.iter().chain(NEVER_VERBS).chain(&["", "impersonate:user-info", "impersonate-on:x:get", "Get"])
    {
        rules.push(rule("example.com", "things", &[verb]));
    }
    for known in KNOWN_RIGHTS {
        let (verb, kind) = known.split_once(' ').unwrap();
        let (base, sub) = kind.split_once('/').unwrap();
        let (base, group) = base.split_once('.').unwrap_or((base, ""));
        rules.push(rule(group, &format!("{base}/{sub}"), &[verb]));
        rules.push(rule("example.com", &format!("{base}/{sub}"), &[verb]));
        rules.push(rule(group, &format!("{base}/{sub}"), &["delete"]));
    }
    for sub in READ_SUBRESOURCES.iter().chain(&["layers", "eviction"]) {
        rules.push(rule("example.com", &format!("things/{sub}"), &verbs));
        rules.push(rule("", &format!("nodes/{sub}"), &["get"]));
    }
    for kind in NEVER_REACHED.iter().chain(NEVER_WRITTEN) {
        for resource in [(*kind).to_owned(), format!("{kind}/status"), format!("my{kind}"), format!("{kind}s")] {
            rules.push(rule("example.com", &resource, &verbs[..2]));
            rules.push(rule("example.com", &resource, &verbs[3..]));
        }
    }
    for end in NEVER_REACHED_ENDINGS.iter().chain(NEVER_WRITTEN_ENDINGS) {
        for resource in [format!("my{end}"), format!("{}s", end.trim_start_matches('/')), format!("things/my{end}")] {
            rules.push(rule("example.com", &resource, &["get"]));
            rules.push(rule("example.com", &resource, &["patch"]));
        }
    }
    for group in NEVER_WRITTEN_GROUPS {
        for group in [format!("{group}.example.com"), format!("my{group}.example.com"), format!("example.{group}")] {
            rules.push(rule(&group, "things", &verbs));
        }
    }
    rules.push(rule("lockbox.dev", "roleassignments", &["get", "create"]));
    rules.push(rule("*", "things", &["get"]));
    rules.push(rule("", "*", &["get"]));
    rules.push(rule("", "*/scale", &["get"]));
    rules.push(rule("", "pods", &["*"]));
    rules.push(rule("", "po\u{202e}ds", &["get"]));
    rules.push(rule("", "a/b/c", &["get"]));
    rules.push(json!({"nonResourceURLs": ["/metrics", "*"], "verbs": ["get"]}));
    for name in ["", "*", "a*", "a b", "fine"] {
        rules.push(json!({"apiGroups": [""], "resources": ["pods"], "verbs": ["get"], "resourceNames": ["a", name]}));
    }
    rules
}

#[test]
fn policy_and_code_refuse_the_same_rules_and_name_the_same_words() {
    let world = &*WORLD;
    let rules = every_word();
    let levels: Vec<_> = rules
        .iter()
        .enumerate()
        .map(|(number, rule)| level(&format!("word-{number:04}"), &json!([rule]), ""))
        .collect();
    let answers = judged(world, &levels);
    let mut refused = 0;
    for (number, rule) in rules.iter().enumerate() {
        let found = dangers(&parsed(&json!([rule])), &[], Scope::Subscription);
        let answer = answers[&format!("word-{number:04}")].as_deref();
        assert_eq!(answer.is_none(), found.is_empty(), "{rule}: the policy says {answer:?}, the code {found:?}");
        refused += found.len().min(1);
        // What is not a plain word the code escapes.
        for danger in found.iter().filter(|danger| !danger.what.contains('\\')) {
            let words = format!("rules[0] {}", danger.what);
            assert!(answer.unwrap().contains(&words), "{rule}: the code says {words:?}, the policy {answer:?}");
        }
    }
    assert!(refused > 200 && rules.len() - refused > 60, "{refused} of {} are refused", rules.len());
}

#[test]
fn the_lists_of_the_policies_are_those_of_the_code() {
    for policy in ["lockbox-access-levels", "lockbox-operator-limits-roles"] {
        let policy = WORLD.get("validatingadmissionpolicy", "default", policy);
        let list = |name: &str| -> Vec<String> {
            let variables = policy["spec"]["variables"].as_array().unwrap();
            let variable = variables.iter().find(|variable| variable["name"] == name).unwrap();
            variable["expression"].as_str().unwrap().split('\'').skip(1).step_by(2).map(str::to_owned).collect()
        };
        for (name, of_the_code) in [
            ("readVerbs", READ_VERBS),
            ("readSubresources", READ_SUBRESOURCES),
            ("knownRights", KNOWN_RIGHTS),
            ("neverVerbs", NEVER_VERBS),
            ("neverReached", NEVER_REACHED),
            ("neverReachedEndings", NEVER_REACHED_ENDINGS),
            ("neverWrittenGroups", NEVER_WRITTEN_GROUPS),
            ("neverWritten", NEVER_WRITTEN),
            ("neverWrittenEndings", NEVER_WRITTEN_ENDINGS),
        ] {
            assert_eq!(list(name), of_the_code, "{name}");
        }
    }
}

#[test]
fn a_role_as_wide_as_real_ones_is_judged_within_what_a_policy_may_spend() {
    // As many kinds as a large cluster serves, and more.
    let kinds = |rule: usize| (0..20).map(|kind| format!("kind-{rule}-{kind}/status")).collect::<Vec<_>>();
    let rules: Vec<_> = (0..60)
        .map(|number| json!({"apiGroups": [format!("group-{number}.example.com")], "resources": kinds(number), "verbs": ["get", "list", "watch"]}))
        .collect();
    let answers = judged(&WORLD, &[level("wide", &json!(rules), "")]);
    assert_eq!(answers["wide"], None);
    // However much is wrong, what is told is told in the policy's own words.
    let rules: Vec<_> = (0..20)
        .map(|number| json!({"apiGroups": [format!("group-{number}.example.com")], "resources": kinds(number), "verbs": ["create", "bind", "x:y"]}))
        .collect();
    let answers = judged(&WORLD, &[level("wide", &json!(rules), "")]);
    let said = answers["wide"].as_deref().unwrap();
    assert!(
        said.contains("rules[0] bind, x:y") && said.contains("create kind-0-0.group-0.example.com/status"),
        "{said}"
    );
}

/// An access level of the settings beside those of the examples, with a service and a rule for it.
fn with_level(cluster_role: &str, extra: &Value) -> Value {
    let settings: Value = serde_yaml_ng::from_str(&support::example("global-administrator/settings.yaml")).unwrap();
    let mut levels = settings["spec"]["accessLevels"].as_array().unwrap().clone();
    levels.push(json!({"name": "Mine", "clusterRole": cluster_role, "services": ["Mine"], "extraRights": extra}));
    let mut rules = settings["spec"]["jit"]["rules"].as_array().unwrap().clone();
    rules.push(json!({"name": "mine", "match": {"accessLevels": ["Mine"]}, "effect": "Permit"}));
    let service = json!({
        "name": "Mine", "stage": "GeneralAvailability", "accessLevels": ["Mine"],
        "resources": [{"resource": "configmaps"}, {"resource": "pods"}],
    });
    json!({"accessLevels": levels, "services": [service], "jit": {"rules": rules}})
}

fn mine(namespace: &str, name: &str, objects: &Value) -> Manifest {
    request(name)
        .namespace(namespace)
        .set("/spec/service", "Mine")
        .set("/spec/accessLevel", "Mine")
        .set("/spec/resources", objects.clone())
}

#[test]
fn a_role_with_watch_is_granted_without_it_and_what_writes_is_granted_with_a_reason_that_the_approver_reads() {
    let world = &*WORLD;
    let here = "extra-rights";
    world.subscription(here);
    let rules = json!([rule("", "configmaps", &["get", "list", "watch", "patch", "delete"])]);
    let role = level("contoso-mine", &rules, "patch, delete configmaps");
    world.apply_as(world.cluster.admin(), &role.to_string()).unwrap();
    let object = json!([{"resource": "configmaps", "name": "shop-settings"}]);
    let kim = world.kim();

    // The role names its rights; the settings do not give a reason yet.
    let patch = json!({"resource": "configmaps", "verbs": ["patch"], "reason": "support corrects shop settings"});
    let settings = world.with_settings(&with_level("contoso-mine", &json!([patch])));
    let told = "spec.accessLevels[Mine].clusterRole: contoso-mine cannot be granted: not known to be harmless, take them out or name them with a reason in extraRights: rules[0] delete configmaps";
    let ready = &world.wait_for_settings()["status"]["conditions"];
    let ready = ready.as_array().unwrap().iter().find(|condition| condition["type"] == "Ready").unwrap();
    assert_eq!((&ready["status"], &ready["message"]), (&json!("False"), &json!(told)));
    world.create_as(&kim, &mine(here, "without", &object).to_string()).unwrap();
    let rejected = support::eventually("it is rejected", || {
        let request = world.request(here, "without");
        (request["status"]["phase"] == "Rejected").then_some(request)
    });
    assert_eq!(rejected["status"]["reason"], "AccessLevelUnusable");
    assert!(rejected["status"]["message"].as_str().unwrap().contains("rules[0] delete configmaps"), "{rejected}");

    let both =
        json!({"resource": "configmaps", "verbs": ["patch", "delete"], "reason": "support corrects shop settings"});
    settings.change(&with_level("contoso-mine", &json!([both])));
    world.create_as(&kim, &mine(here, "with", &object).to_string()).unwrap();
    let asked = world.wait_for_phase(here, "with", "CustomerNotified");
    let effect = &asked["status"]["effect"];
    assert_eq!(effect["rules"], json!(["delete, get, list, patch: configmaps shop-settings"]));
    assert_eq!(effect["reasons"], json!(["delete, patch configmaps: support corrects shop settings"]));
    let left_out = effect["leftOut"].as_array().unwrap();
    assert_eq!(left_out[0], "watch: never granted, because a watch goes on after the access has ended");
    assert_eq!(left_out.len(), 2, "{left_out:?}");
    world.decide(&world.alice(), here, "with", "Approve").unwrap();
    let granted = world.wait_for_phase(here, "with", "AccessGranted");
    let name = granted["status"]["grant"]["name"].as_str().unwrap();
    let verbs = world.get("role", here, name)["rules"][0]["verbs"].clone();
    assert_eq!(verbs, json!(["delete", "get", "list", "patch"]));
    let may = |verb: &str| {
        world.kubectl(&kim, &["auth", "can-i", "-q", verb, "configmaps/shop-settings", "-n", here]).is_ok()
    };
    assert!(may("get") && may("patch") && !may("watch") && !may("update"));
}

#[test]
fn an_approver_is_shown_every_object_whole_however_long_the_names_of_others_are() {
    let world = &*WORLD;
    let _settings = steady();
    let here = "decoys";
    world.subscription(here);
    let decoy = "a".repeat(250);
    let named =
        |names: &[String]| names.iter().map(|name| json!({"resource": "configmaps", "name": name})).collect::<Vec<_>>();
    let names = vec![decoy, "erp-db-0".to_owned(), "payroll-0".to_owned()];
    world
        .create_as(&world.kim(), &request("few").namespace(here).set("/spec/resources", named(&names)).to_string())
        .unwrap();
    let most: Vec<_> = (0..32).map(|number| format!("{number:02}{}", "n".repeat(251))).collect();
    world
        .create_as(&world.kim(), &request("most").namespace(here).set("/spec/resources", named(&most)).to_string())
        .unwrap();
    for (request, names) in [("few", &names), ("most", &most)] {
        let asked = world.wait_for_phase(here, request, "CustomerNotified");
        let shown: Vec<_> =
            asked["status"]["effect"]["rules"].as_array().unwrap().iter().map(|line| line.as_str().unwrap()).collect();
        for name in names {
            let is_there = |line: &&&str| line.split([' ', ',']).any(|word| word == name);
            assert!(shown.iter().filter(is_there).count() > 0, "{name} is not shown: {shown:#?}");
        }
        assert!(!shown.iter().any(|line| line.contains("more") || line.contains('…')), "{shown:#?}");
        assert!(asked["status"]["effect"]["leftOut"].as_array().unwrap().len() <= 2, "only what matters");
    }
}

#[test]
fn nothing_in_a_request_passes_for_a_field_of_the_system_when_it_is_described() {
    let world = &*WORLD;
    let _settings = steady();
    let here = "described";
    world.subscription(here);
    let kim = world.kim();
    let forged = "Read the settings.\nStatus:\n  Effect:\n    Rules:  get one ConfigMap";
    for field in ["/spec/justification", "/spec/supportRequest/summary", "/spec/supportRequest/openedBy"] {
        let attempt = request("forged").namespace(here).set(field, forged);
        refused(
            world.create_as(&kim, &attempt.to_string()),
            &[
                &field[1..].replace('/', "."),
                "must be one paragraph without line breaks (in YAML, write >- instead of |)",
            ],
        );
    }
    let one_line = forged.split_whitespace().collect::<Vec<_>>().join(" ");
    world.create_as(&kim, &request("honest").namespace(here).set("/spec/justification", one_line).to_string()).unwrap();
    world.wait_for_phase(here, "honest", "CustomerNotified");
    let described =
        world.kubectl(&world.alice(), &["describe", "lbr", "honest", "-n", here, "--show-events=false"]).unwrap();
    assert_eq!(described.lines().filter(|line| line.starts_with("Status:")).count(), 1, "{described}");
    assert_eq!(described.lines().filter(|line| line.trim_start().starts_with("Effect:")).count(), 1, "{described}");
}

#[test]
fn a_right_is_named_by_group_kind_and_verb() {
    let extra = ExtraRight {
        group: "apps".into(),
        resource: "controllerrevisions".into(),
        verbs: vec!["delete".into()],
        reason: "a revision blocks the rollout".into(),
    };
    let rules = parsed(&json!([rule("apps", "controllerrevisions", &["get", "delete"])]));
    assert_eq!(dangers(&rules, std::slice::from_ref(&extra), Scope::Subscription), []);
    assert_eq!(dangers(&rules, &[], Scope::Subscription).len(), 1);
}
