//! The chart: its values, what it renders, and its life in a cluster (install, upgrade, uninstall).

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::too_many_lines,
    clippy::needless_pass_by_value,
    missing_docs
)]

#[path = "../support/mod.rs"]
mod support;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::LazyLock,
};

use lockbox::notify::{Authentication, Notifications, Secrets, Security};
use lockbox_api::Phase;
use lockbox_lifecycle::policies::REQUIRED;
use serde::Deserialize as _;
use serde_json::{Value, json};
use support::{ADA, KIM, World, audit, eventually, repository, request};

static WORLD: LazyLock<World> = LazyLock::new(World::new);

/// `helm` with these arguments, without a cluster: what it printed, or what it complained about.
fn helm(arguments: &[&str]) -> Result<String, String> {
    let mut helm = WORLD.cluster.helm(WORLD.cluster.admin());
    helm.args(arguments).arg(repository("charts/lockbox"));
    let output = helm.output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    if output.status.success() { Ok(text(&output.stdout)) } else { Err(text(&output.stderr)) }
}

/// The chart as text, with these values set, as JSON.
fn rendered_text(values: &[&str]) -> Result<String, String> {
    let mut arguments = vec!["template", "lockbox", "-n", "lockbox-system"];
    arguments.extend(["--api-versions", "admissionregistration.k8s.io/v1/MutatingAdmissionPolicy"]);
    for value in values {
        arguments.extend(["--set-json", value]);
    }
    helm(&arguments)
}

/// The objects in a manifest.
fn objects(manifest: &str) -> Vec<Value> {
    serde_yaml_ng::Deserializer::from_str(manifest)
        .map(|document| Value::deserialize(document).unwrap())
        .filter(|object| !object.is_null())
        .collect()
}

/// One object of the chart with its default values.
fn rendered(kind: &str, name: &str) -> Value {
    objects(&rendered_text(&[]).unwrap())
        .into_iter()
        .find(|object| object["kind"] == kind && object["metadata"]["name"] == name)
        .unwrap_or_else(|| panic!("the chart has no {kind} {name}"))
}

/// The expressions of a policy's validations.
fn expressions(policy: &str) -> Vec<String> {
    let policy = rendered("ValidatingAdmissionPolicy", policy);
    let validations = policy["spec"]["validations"].as_array().unwrap();
    validations.iter().map(|validation| validation["expression"].as_str().unwrap().to_owned()).collect()
}

/// The texts in single quotes.
fn quoted(expression: &str) -> Vec<String> {
    expression.split('\'').skip(1).step_by(2).map(str::to_owned).collect()
}

fn file(path: &str) -> String {
    std::fs::read_to_string(repository("charts/lockbox").join(path)).unwrap()
}

/// A mail server, without credentials: at once, and value by value.
const MAIL: &str = r#"notifications.smtp={"host":"smtp.contoso.example","from":"Großer Tresor <a@contoso.example>"}"#;
const HOST: &str = r#"notifications.smtp.host="smtp.contoso.example""#;
const FROM: &str = r#"notifications.smtp.from="a@contoso.example""#;
/// What most values of the audit stream need beside them.
const STREAM: &str = "activity.enabled=true";
const SECRET: &str = r#"activity.existingSecret="stream""#;
/// What most values for Prometheus need beside them.
const MONITOR: &str = "metrics.serviceMonitor.enabled=true";
const RULE: &str = "metrics.prometheusRule.enabled=true";

/// Every value of the chart, and another value that the schema allows. A value's effect may need others beside it.
const VALUES: &[(&str, &[&str])] = &[
    ("image.repository", &[r#"image.repository="registry.example/lockbox""#]),
    ("image.tag", &[r#"image.tag="edge""#]),
    ("image.digest", &[r#"image.digest="sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef""#]),
    ("image.pullPolicy", &[r#"image.pullPolicy="Always""#]),
    ("image.pullSecrets", &[r#"image.pullSecrets=[{"name":"registry"}]"#]),
    ("operator.replicas", &["operator.replicas=3"]),
    ("operator.log", &[r#"operator.log="debug""#]),
    ("operator.listen", &[r#"operator.listen="0.0.0.0:8080""#]),
    ("operator.onlyFromItsPod", &["operator.onlyFromItsPod=false"]),
    ("operator.namespaces", &[r#"operator.namespaces=["contoso-prod"]"#]),
    ("operator.bindsAnyRole", &["operator.bindsAnyRole=true"]),
    ("operator.flowSchema", &["operator.flowSchema=false"]),
    ("operator.resources", &[r#"operator.resources={"limits":{"cpu":"1"}}"#]),
    ("operator.priorityClassName", &[r#"operator.priorityClassName="system-cluster-critical""#]),
    ("operator.nodeSelector", &[r#"operator.nodeSelector={"disk":"fast"}"#]),
    ("operator.tolerations", &[r#"operator.tolerations=[{"key":"infra","operator":"Exists"}]"#]),
    ("operator.affinity", &[r#"operator.affinity={"podAffinity":{}}"#]),
    ("activity.enabled", &[STREAM, SECRET]),
    ("activity.listen", &[r#"activity.listen="0.0.0.0:9443""#, STREAM, SECRET]),
    ("activity.existingSecret", &[r#"activity={"enabled":true,"existingSecret":"other"}"#]),
    ("activity.clientCertificate", &["activity.clientCertificate=true", STREAM, SECRET]),
    ("activity.records", &["activity.records=true", STREAM, SECRET]),
    ("activity.service.clusterIP", &[r#"activity.service.clusterIP="10.96.0.20""#, STREAM, SECRET]),
    ("activity.service.port", &["activity.service.port=8443", STREAM, SECRET]),
    ("activity.from", &[r#"activity.from=[{"ipBlock":{"cidr":"192.0.2.10/32"}}]"#, STREAM, SECRET]),
    ("metrics.serviceMonitor.enabled", &[MONITOR]),
    ("metrics.serviceMonitor.interval", &[r#"metrics.serviceMonitor.interval="1m""#, MONITOR]),
    ("metrics.serviceMonitor.labels", &[r#"metrics.serviceMonitor.labels={"release":"prometheus"}"#, MONITOR]),
    ("metrics.prometheusRule.enabled", &[RULE]),
    ("metrics.prometheusRule.labels", &[r#"metrics.prometheusRule.labels={"release":"prometheus"}"#, RULE]),
    ("metrics.grafanaDashboard.enabled", &["metrics.grafanaDashboard.enabled=true"]),
    ("tenant.namespace", &[r#"tenant.namespace="contoso-tenant""#]),
    ("tenant.create", &["tenant.create=false"]),
    ("bootstrap.globalAdministrators", &[r#"bootstrap.globalAdministrators=[{"kind":"User","name":"ada"}]"#]),
    ("bootstrap.auditors", &[r#"bootstrap.auditors=[{"kind":"Group","name":"auditors"}]"#]),
    ("accessLevels.remoteDesktop", &["accessLevels.remoteDesktop=false"]),
    ("accessLevels.memoryDump", &["accessLevels.memoryDump=false"]),
    ("accessLevels.managedDisk", &["accessLevels.managedDisk=false"]),
    ("accessLevels.shell", &["accessLevels.shell=false"]),
    ("accessLevels.readLogs", &["accessLevels.readLogs=false"]),
    ("accessLevels.readObjects", &["accessLevels.readObjects=false"]),
    ("grants.maximum", &[r#"grants.maximum="1h""#]),
    ("grants.labels", &[r#"grants.labels={"team":"platform"}"#]),
    ("grants.annotations", &[r#"grants.annotations={"example.org/note":"with = and spaces"}"#]),
    ("deadlineJob.image", &[r#"deadlineJob.image="registry.corp/none:1""#]),
    ("deadlineJob.labels", &[r#"deadlineJob.labels={"team":"platform"}"#]),
    ("deadlineJob.annotations", &[r#"deadlineJob.annotations={"sidecar.istio.io/inject":"false"}"#]),
    ("approvals.requireEffectHash", &["approvals.requireEffectHash=true"]),
    ("identity.extraPrefixes", &[r#"identity.extraPrefixes=["example.org/"]"#]),
    ("provider.users", &[r#"provider.users=["kim"]"#]),
    ("provider.groups", &[r#"provider.groups=["provider:engineers"]"#]),
    ("provider.onlyThroughLockbox", &["provider.onlyThroughLockbox=true", r#"provider.users=["kim"]"#]),
    ("notifications.smtp.host", &[MAIL]),
    ("notifications.smtp.port", &["notifications.smtp.port=2525", HOST, FROM]),
    ("notifications.smtp.security", &[r#"notifications.smtp.security="Plaintext""#, HOST, FROM]),
    ("notifications.smtp.from", &[MAIL]),
    (
        "notifications.smtp.authentication",
        &[r#"notifications.smtp.authentication="XOAuth2""#, r#"notifications.existingSecret="mail""#, HOST, FROM],
    ),
    ("notifications.smtp.heloName", &[r#"notifications.smtp.heloName="lockbox.contoso.example""#, HOST, FROM]),
    ("notifications.smtp.timeoutSeconds", &["notifications.smtp.timeoutSeconds=5", HOST, FROM]),
    ("notifications.existingSecret", &[r#"notifications.existingSecret="mail""#]),
    (
        "notifications.httpsProxy",
        &[r#"notifications.httpsProxy="http://proxy:3128""#, r#"notifications.existingSecret="mail""#],
    ),
    (
        "notifications.noProxy",
        &[r#"notifications.noProxy=".svc,10.0.0.0/8""#, r#"notifications.existingSecret="mail""#],
    ),
    ("settings.readableBy", &[r#"settings.readableBy=["contoso:all"]"#]),
    ("protectedNamespaces", &[r#"protectedNamespaces=["vault"]"#]),
    ("bounds.annotationBytes", &["bounds.annotationBytes=2048"]),
    ("bounds.requestBytes", &["bounds.requestBytes=131072"]),
    ("quotas.requests", &["quotas.requests=100"]),
    ("quotas.namespaces", &[r#"quotas.namespaces=["contoso-prod"]"#, "quotas.requests=100"]),
    ("controllers.garbageCollector", &[r#"controllers.garbageCollector="system:kube-controller-manager""#]),
    ("controllers.namespace", &[r#"controllers.namespace="system:kube-controller-manager""#]),
    ("controllers.job", &[r#"controllers.job="system:kube-controller-manager""#]),
    ("controllers.ttlAfterFinished", &[r#"controllers.ttlAfterFinished="system:kube-controller-manager""#]),
];

/// The paths of the schema's values: down to where a value has no named fields.
fn schema_paths(schema: &Value, path: &str, found: &mut BTreeSet<String>) {
    let Some(properties) = schema["properties"].as_object().filter(|properties| !properties.is_empty()) else {
        found.insert(path.to_owned());
        return;
    };
    assert_eq!(schema["additionalProperties"], false, "values.schema.json: {path:?} must refuse unknown values");
    for (name, property) in properties {
        let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
        schema_paths(property, &path, found);
    }
}

/// The paths in values.yaml, as deep as the schema names them.
fn value_paths(values: &Value, schema: &Value, path: &str, found: &mut BTreeSet<String>) {
    match values.as_object() {
        Some(fields) if schema["properties"].is_object() => {
            for (name, value) in fields {
                let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
                value_paths(value, &schema["properties"][name], &path, found);
            }
        }
        _ => {
            found.insert(path.to_owned());
        }
    }
}

/// The paths in the README's table of values; `.tag` after `image.repository` is `image.tag`.
fn readme_paths() -> BTreeSet<String> {
    let readme = file("README.md");
    let table = readme.split("\n## Values\n").nth(1).expect("README.md: section Values");
    let table = table.split("\n## ").next().unwrap();
    let mut found = BTreeSet::new();
    for row in table.lines().filter(|line| line.starts_with("| `")) {
        let mut parent = String::new();
        for path in row.split('|').nth(1).unwrap().split('`').skip(1).step_by(2) {
            let whole = if path.starts_with('.') { format!("{parent}{path}") } else { path.to_owned() };
            parent = whole.rsplit_once('.').map_or_else(String::new, |(parent, _)| parent.to_owned());
            found.insert(whole);
        }
    }
    found
}

#[test]
fn helm_lint_finds_nothing() {
    let said = helm(&["lint", "--strict", "--namespace", "lockbox-system"]).unwrap();
    assert!(said.contains("0 chart(s) failed"), "{said}");
    assert!(!said.contains("[WARNING]") && !said.contains("[ERROR]"), "{said}");
}

#[test]
fn every_value_is_in_the_schema_and_in_the_readme() {
    let schema: Value = serde_json::from_str(&file("values.schema.json")).unwrap();
    let values: Value = serde_yaml_ng::from_str(&file("values.yaml")).unwrap();
    let (mut in_schema, mut in_values) = (BTreeSet::new(), BTreeSet::new());
    schema_paths(&schema, "", &mut in_schema);
    value_paths(&values, &schema, "", &mut in_values);
    // Helm's own, for charts that contain this one.
    assert!(in_schema.remove("global"));
    assert_eq!(in_schema, in_values, "values.schema.json and values.yaml");
    assert_eq!(readme_paths(), in_values, "README.md and values.yaml");
    let tried: BTreeSet<String> = VALUES.iter().map(|(path, _)| (*path).to_owned()).collect();
    assert_eq!(tried, in_values, "VALUES of this test and values.yaml");
}

#[test]
fn every_value_changes_what_is_rendered() {
    let default = objects(&rendered_text(&[]).unwrap());
    for (path, values) in VALUES {
        let changed = objects(&rendered_text(values).unwrap_or_else(|error| panic!("{path}: {error}")));
        // What the value needs beside it is not its own effect.
        let without = if values.len() == 1 { default.clone() } else { objects(&rendered_text(&values[1..]).unwrap()) };
        assert!(changed != without, "{path} changes nothing");
    }
}

#[test]
fn unknown_and_unfit_values_are_refused_by_name() {
    for (value, named) in [
        ("nonsense=1", "nonsense"),
        ("operator.nonsense=1", "'/operator'"),
        ("grants.maxmum=\"1h\"", "'/grants'"),
        ("grants.maximum=\"soon\"", "'/grants/maximum'"),
        ("grants.labels={\"lockbox.dev/request\":\"sr-1\"}", "invalid propertyName 'lockbox.dev/request'"),
        ("deadlineJob.labels={\"team\":\"no blanks\"}", "'/deadlineJob/labels/team'"),
        ("image.digest=\"latest\"", "'/image/digest'"),
        ("provider.users=[\"two\\nlines\"]", "'/provider/users/0'"),
        ("controllers.job=\"it's\"", "'/controllers/job'"),
        (
            "bootstrap.globalAdministrators=[{\"kind\":\"Robot\",\"name\":\"x\"}]",
            "'/bootstrap/globalAdministrators/0/kind'",
        ),
        (
            "bootstrap.globalAdministrators=[{\"kind\":\"Group\",\"name\":\"system:authenticated\"}]",
            "bootstrap.globalAdministrators: system:authenticated",
        ),
        ("provider.onlyThroughLockbox=true", "provider.onlyThroughLockbox"),
        ("activity.enabled=true", "activity.existingSecret"),
        ("tenant.namespace=\"lockbox-system\"", "lockbox-system"),
        ("notifications.smtp.host=\"https://mail\"", "'/notifications/smtp/host'"),
        ("notifications.smtp.host=\"smtp.contoso.example\"", "notifications.smtp.from"),
        ("notifications.smtp.from=\"a\\nBcc: eve <e@evil.example>\"", "'/notifications/smtp/from'"),
        ("notifications.smtp.security=\"None\"", "'/notifications/smtp/security'"),
        (
            "notifications.smtp={\"host\":\"m\",\"from\":\"a@b\",\"authentication\":\"Plain\"}",
            "notifications.existingSecret",
        ),
        (
            "notifications={\"existingSecret\":\"mail\",\"smtp\":{\"security\":\"Plaintext\",\"authentication\":\"Plain\"}}",
            "notifications.smtp.authentication",
        ),
    ] {
        let refused = rendered_text(&[value]).expect_err(value);
        assert!(refused.contains(named), "{value}: {refused}");
    }
}

/// What the chart writes is what the operator reads, whatever the values hold.
#[test]
fn the_operator_reads_the_notifications_of_the_chart() {
    let own = r#"notifications={"existingSecret":"mail","smtp":{"host":"smtp.contoso.example","port":2525,"security":"TLS","from":"\"Großer: 'Tresor'\" <lockbox@contoso.example>","authentication":"XOAuth2","heloName":"lockbox.contoso.example","timeoutSeconds":7}}"#;
    let objects = objects(&rendered_text(&[own]).unwrap());
    let find = |kind: &str, name: &str| {
        objects.iter().find(|object| object["kind"] == kind && object["metadata"]["name"] == name).unwrap()
    };
    let file = std::env::temp_dir().join(format!("lockbox-chart-notifications-{}", std::process::id()));
    let text = find("ConfigMap", "lockbox-notifications")["data"]["notifications.yaml"].as_str().unwrap();
    std::fs::write(&file, text).unwrap();
    let read = Notifications::read(&file, Secrets::new("/etc/lockbox/secrets")).unwrap();
    std::fs::remove_file(file).unwrap();
    let smtp = read.smtp.unwrap();
    assert_eq!((smtp.port, smtp.security, smtp.authentication), (2525, Security::TLS, Authentication::XOAuth2));
    assert_eq!((smtp.helo_name.as_str(), smtp.timeout.as_secs()), ("lockbox.contoso.example", 7));
    assert_eq!(smtp.from.name.as_deref(), Some("Großer: 'Tresor'"));
    let pod = &find("Deployment", "lockbox-operator")["spec"]["template"]["spec"];
    let secret =
        &pod["volumes"].as_array().unwrap().iter().find(|volume| volume["name"] == "secrets").unwrap()["secret"];
    assert_eq!((&secret["secretName"], &secret["optional"]), (&json!("mail"), &json!(true)));
    // The Secret is mounted by the kubelet: the operator itself reads none.
    let roles = objects.iter().filter(|object| object["kind"] == "ClusterRole" || object["kind"] == "Role");
    let operators = roles.filter(|role| role["metadata"]["name"].as_str().unwrap().starts_with("lockbox-operator"));
    assert!(operators.map(|role| role["rules"].to_string()).all(|rules| !rules.contains("\"secrets\"")));
}

#[test]
fn two_operators_run_apart_from_each_other_and_one_stays_while_nodes_are_drained() {
    let deployment = rendered("Deployment", "lockbox-operator");
    let spec = &deployment["spec"];
    assert_eq!(spec["replicas"], 2);
    assert_eq!(spec["strategy"]["rollingUpdate"], json!({"maxSurge": 1, "maxUnavailable": 0}));
    let pod = &spec["template"]["spec"];
    let arguments = pod["containers"][0]["args"].as_array().unwrap();
    assert!(arguments.contains(&json!("--leader-election")), "{arguments:?}");
    let keys: Vec<_> = pod["topologySpreadConstraints"].as_array().unwrap().iter().collect();
    assert_eq!(keys[0]["topologyKey"], "kubernetes.io/hostname");
    // Spread and budget are about the Pods that there are, and the policy lets all of them write.
    let labels = &spec["template"]["metadata"]["labels"];
    let budget = rendered("PodDisruptionBudget", "lockbox-operator");
    assert_eq!(budget["spec"]["maxUnavailable"], 1);
    for selector in [&budget["spec"]["selector"], &keys[0]["labelSelector"], &spec["selector"]] {
        let wanted = selector["matchLabels"].as_object().unwrap();
        assert!(!wanted.is_empty() && wanted.iter().all(|(key, value)| labels[key] == *value), "{selector}");
    }
    let prefix = format!("{}-", deployment["metadata"]["name"].as_str().unwrap());
    let from_its_pod = expressions("lockbox-operator-from-its-pod");
    assert!(quoted(&from_its_pod[0]).contains(&prefix), "Pods are named after their Deployment: {from_its_pod:?}");
    // One needs no budget: it would keep its node from being drained.
    let one = objects(&rendered_text(&["operator.replicas=1"]).unwrap());
    assert!(one.iter().all(|object| object["kind"] != "PodDisruptionBudget"));
}

#[test]
fn what_prometheus_and_grafana_look_at_is_rendered_whole_and_only_when_it_is_asked_for() {
    let dashboard = "metrics.grafanaDashboard.enabled=true";
    let find = |objects: &[Value], kind: &str, name: &str| {
        objects.iter().find(|object| object["kind"] == kind && object["metadata"]["name"] == name).cloned()
    };
    let ours = [
        ("Service", "lockbox-metrics"),
        ("ServiceMonitor", "lockbox"),
        ("PrometheusRule", "lockbox"),
        ("ConfigMap", "lockbox-dashboard"),
    ];
    // The values of an older release have none of it.
    for values in [&[][..], &["metrics=null"]] {
        let objects = objects(&rendered_text(values).unwrap());
        for (kind, name) in ours {
            assert!(find(&objects, kind, name).is_none(), "{values:?}: {kind} {name}");
        }
    }
    let labels = r#"metrics.prometheusRule.labels={"release":"prometheus"}"#;
    let objects = objects(&rendered_text(&[MONITOR, RULE, dashboard, labels]).unwrap());
    let [service, monitor, rule, shown] = ours.map(|(kind, name)| find(&objects, kind, name).expect(name));

    // Prometheus comes to the operator's own port.
    let operator = find(&objects, "Deployment", "lockbox-operator").unwrap();
    let pod = &operator["spec"]["template"];
    for (key, value) in service["spec"]["selector"].as_object().unwrap() {
        assert_eq!(pod["metadata"]["labels"][key], *value, "{key}");
    }
    let port = &service["spec"]["ports"][0];
    let ports = pod["spec"]["containers"][0]["ports"].as_array().unwrap();
    assert!(ports.iter().any(|of| of["name"] == port["targetPort"] && of["containerPort"] == port["port"]), "{port}");
    let (endpoint, selected) = (&monitor["spec"]["endpoints"][0], &monitor["spec"]["selector"]["matchLabels"]);
    assert_eq!((&endpoint["port"], &endpoint["path"]), (&port["name"], &json!("/metrics")));
    for (key, value) in selected.as_object().unwrap() {
        assert_eq!(service["metadata"]["labels"][key], *value, "{key}");
    }
    // It selects no other Service of the chart's.
    let with_stream = rendered_text(&[MONITOR, STREAM, SECRET]).unwrap();
    let services = self::objects(&with_stream).into_iter().filter(|object| object["kind"] == "Service");
    let matching = services.filter(|service| {
        selected.as_object().unwrap().iter().all(|(key, value)| service["metadata"]["labels"][key] == *value)
    });
    assert_eq!(matching.count(), 1);

    // Both files come through as they are.
    assert_eq!(rule["metadata"]["labels"]["release"], "prometheus");
    let alerts: Value = serde_yaml_ng::from_str(&file("files/alerts.yaml")).unwrap();
    assert_eq!(rule["spec"]["groups"], alerts);
    assert_eq!(shown["metadata"]["labels"]["grafana_dashboard"], "1");
    let text = shown["data"]["lockbox.json"].as_str().unwrap();
    let dashboard: Value = serde_json::from_str(text).unwrap();
    assert_eq!(dashboard, serde_json::from_str::<Value>(&file("files/dashboard.json")).unwrap());
}

#[test]
fn mutating_policies_are_rendered_where_the_api_server_has_them_and_nowhere_else() {
    let mutating =
        |manifest: &str| objects(manifest).iter().filter(|object| object["kind"] == "MutatingAdmissionPolicy").count();
    assert_eq!(mutating(&rendered_text(&[]).unwrap()), 7);
    let oldest = helm(&["template", "lockbox", "-n", "lockbox-system", "--kube-version", "1.33.0"]).unwrap();
    assert_eq!(mutating(&oldest), 0);
    assert!(objects(&oldest).iter().any(|object| object["kind"] == "ValidatingAdmissionPolicy"));
    let refused = helm(&["template", "lockbox", "-n", "lockbox-system", "--kube-version", "1.32.0"]).unwrap_err();
    assert!(refused.contains(">=1.33.0"), "{refused}");
}

#[test]
fn the_policy_on_status_has_the_phase_table_of_the_code() {
    let policy = rendered("ValidatingAdmissionPolicy", "lockbox-requests-status");
    let variables = policy["spec"]["variables"].as_array().unwrap();
    let edges = variables.iter().find(|variable| variable["name"] == "edges").unwrap();
    let edges: BTreeMap<String, BTreeSet<String>> =
        serde_json::from_str(&edges["expression"].as_str().unwrap().replace('\'', "\"")).unwrap();
    let expected: BTreeMap<String, BTreeSet<String>> = Phase::ALL
        .iter()
        .filter(|phase| !phase.is_terminal())
        .map(|phase| (phase.to_string(), phase.next().iter().map(ToString::to_string).collect()))
        .collect();
    assert_eq!(edges, expected);
}

#[test]
fn the_operator_looks_for_every_policy_that_the_chart_always_makes() {
    let made = |values: &[&str]| -> BTreeSet<String> {
        let objects = objects(&rendered_text(values).unwrap());
        let policies = objects.iter().filter(|object| object["kind"] == "ValidatingAdmissionPolicy");
        policies.map(|policy| policy["metadata"]["name"].as_str().unwrap().to_owned()).collect()
    };
    let fewest = made(&["operator.onlyFromItsPod=false"]);
    assert_eq!(fewest, REQUIRED.iter().map(|name| (*name).to_owned()).collect());
    assert!(made(&[]).is_superset(&fewest));
}

#[test]
fn the_policy_on_deletion_has_the_phases_in_which_there_is_access() {
    let first = &expressions("lockbox-requests-delete")[0];
    let granted: BTreeSet<String> = quoted(first).into_iter().collect();
    // From the approval on, until it is over: whatever can still become a grant's end.
    let ends = [Phase::Completed, Phase::Revoked];
    let has_access = |phase: &&Phase| phase.next().iter().any(|next| ends.contains(next));
    let expected: BTreeSet<String> = Phase::ALL.iter().filter(has_access).map(ToString::to_string).collect();
    assert_eq!(granted, expected);
}

#[test]
fn the_api_server_finds_no_mistake_in_any_policy() {
    eventually("the policies were checked", || {
        let list = WORLD.admin(&["get", "validatingadmissionpolicies", "-o", "json"]).unwrap();
        let list: Value = serde_json::from_str(&list).unwrap();
        let policies = list["items"].as_array().unwrap();
        assert!(policies.len() >= 17, "{} policies", policies.len());
        policies
            .iter()
            .all(|policy| {
                let (status, name) = (&policy["status"], &policy["metadata"]["name"]);
                let warnings = &status["typeChecking"]["expressionWarnings"];
                assert!(warnings.as_array().is_none_or(Vec::is_empty), "{name}: {warnings:#}");
                status["observedGeneration"] == policy["metadata"]["generation"]
            })
            .then_some(())
    });
}

/// As the migration of stored versions and the rotation of encryption keys do it, for everything that a policy guards.
#[test]
fn objects_that_are_written_back_unchanged_pass_whoever_writes_them() {
    let world = &*WORLD;
    world.subscription("rewritten");
    world.grant("rewritten", "sr-1");
    eventually("the Events are published", || (world.events("rewritten", "sr-1").len() == 3).then_some(()));
    // Somebody who may write everything, and administers nothing of Lockbox's.
    let rules = json!([{
        "apiGroups": ["lockbox.dev", "batch", "rbac.authorization.k8s.io", "apiextensions.k8s.io", "events.k8s.io"],
        "resources": ["lockboxrequests", "lockboxsettings", "roleassignments", "jobs", "roles", "rolebindings", "clusterroles",
            "customresourcedefinitions", "events"],
        "verbs": ["get", "list", "update"],
    }]);
    let role = json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole", "metadata": {"name": "migrator"}, "rules": rules});
    world.apply_as(world.cluster.admin(), &role.to_string()).unwrap();
    world.admin(&["create", "clusterrolebinding", "migrator", "--clusterrole=migrator", "--user=migrator"]).unwrap();
    let migrator = world.user("migrator", &[]);
    for path in [
        "/apis/lockbox.dev/v1alpha1/namespaces/rewritten/lockboxrequests",
        "/apis/lockbox.dev/v1alpha1/namespaces/rewritten/roleassignments",
        "/apis/lockbox.dev/v1alpha1/namespaces/lockbox-tenant/roleassignments",
        "/apis/lockbox.dev/v1alpha1/lockboxsettings",
        "/apis/batch/v1/namespaces/rewritten/jobs",
        "/apis/rbac.authorization.k8s.io/v1/namespaces/rewritten/roles",
        "/apis/rbac.authorization.k8s.io/v1/namespaces/rewritten/rolebindings",
        "/apis/rbac.authorization.k8s.io/v1/clusterroles",
        "/apis/apiextensions.k8s.io/v1/customresourcedefinitions",
        // By the API in which the operator writes them.
        "/apis/events.k8s.io/v1/namespaces/rewritten/events",
    ] {
        let read =
            || -> Value { serde_json::from_str(&world.kubectl(&migrator, &["get", "--raw", path]).unwrap()).unwrap() };
        let list = read();
        let items = list["items"].as_array().unwrap();
        let ours = |name: &str| !path.ends_with("/clusterroles") || name.starts_with("lockbox-");
        let mut written = 0;
        for item in items {
            let name = item["metadata"]["name"].as_str().unwrap();
            if !ours(name) {
                continue;
            }
            // Somebody may write the object in between: then it is a conflict, and the object is read again.
            eventually("it is written back", || {
                let one = format!("{path}/{name}");
                let before: Value =
                    serde_json::from_str(&world.kubectl(&migrator, &["get", "--raw", &one]).unwrap()).unwrap();
                match world.pipe(&migrator, &["replace", "--raw", &one, "-f", "-"], &before.to_string()) {
                    Ok(after) => {
                        let after: Value = serde_json::from_str(&after).unwrap();
                        assert_eq!(
                            after["metadata"]["resourceVersion"], before["metadata"]["resourceVersion"],
                            "{one}"
                        );
                        Some(())
                    }
                    Err(said) => {
                        assert!(said.contains("the object has been modified"), "{one}: {said}");
                        None
                    }
                }
            });
            written += 1;
        }
        assert!(written > 0, "{path}");
    }
    let annotated = ["annotate", "clusterrole", "lockbox-shell", "a=b"];
    let refused = world.kubectl(&migrator, &annotated).unwrap_err();
    assert!(refused.contains("cannot patch"), "{refused}");
    let shell = world.get("clusterrole", "default", "lockbox-shell");
    let changed = support::Manifest(shell).set("/metadata/annotations/a", "b").to_string();
    let refused = world.pipe(&migrator, &["replace", "-f", "-"], &changed).unwrap_err();
    // RBAC comes first: to write a role is to hand out what is in it.
    assert!(refused.contains("attempting to grant RBAC permissions not currently held"), "{refused}");
}

#[test]
fn the_policies_reckon_durations_as_the_definitions_do() {
    let policy = expressions("lockbox-requests-decide").join("\n");
    for x in ["variables.after[k].duration", "oldObject.status.duration"] {
        assert!(policy.contains(&lockbox_api::duration::seconds(x)), "{x}:\n{policy}");
    }
}

#[test]
fn the_policy_on_events_has_the_reasons_of_the_code() {
    let policy = rendered("ValidatingAdmissionPolicy", "lockbox-events");
    let conditions = policy["spec"]["matchConditions"].as_array().unwrap();
    let about = conditions.iter().find(|condition| condition["name"] == "about-lockbox").unwrap();
    let (_, reasons) = about["expression"].as_str().unwrap().split_once("reason.orValue('') in [").unwrap();
    let (reasons, _) = reasons.split_once(']').unwrap();
    let reasons: BTreeSet<String> = quoted(reasons).into_iter().collect();
    // The schema has every action; the settings have Events of their own.
    let actions = &lockbox_api::schema::definitions()[0].1["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]
        ["status"]["properties"]["history"]["items"]["properties"]["action"];
    let mut expected: BTreeSet<String> = serde_json::from_value(actions["enum"].clone()).unwrap();
    assert!(expected.len() >= 20, "{expected:?}");
    let of_assignments = &lockbox_api::schema::definitions()
        .into_iter()
        .find(|(file, _)| file.starts_with("roleassignments"))
        .unwrap()
        .1["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["status"]["properties"]["history"]["items"]
        ["properties"]["action"];
    expected.extend(serde_json::from_value::<BTreeSet<String>>(of_assignments["enum"].clone()).unwrap());
    for proof in ["AdmissionEnforced", "SafetyNet", "ClockInSync"] {
        expected.extend(["Lost", "Restored"].map(|turn| format!("{proof}{turn}")));
    }
    let others = [
        "EnableLockbox",
        "DisableLockbox",
        "ChangeSettings",
        "DeleteSettings",
        "RemoveLockboxRequest",
        "EndAccessFailed",
        "DeleteRoleAssignment",
        "SettingsUnreadable",
        "RoleAssignmentUnreadable",
    ];
    expected.extend(others.map(str::to_owned));
    assert_eq!(reasons, expected);
}

/// What the operator may and does not do in the workflow below, and why it needs the right all the same.
const NOT_SEEN: &[(&str, &str, &str, &str)] = &[
    // The creation of a binding asks for it; it is no call of its own. Without it no person would be bound.
    ("rbac.authorization.k8s.io", "clusterroles", "bind", "people's bindings are made with it"),
    ("rbac.authorization.k8s.io", "roles", "bind", "a trial names a role that is not there"),
];

/// What the operator calls only when somebody writes in between, which may happen in the workflow below or not.
const SOMETIMES: (&str, &str, &str) = ("lockbox.dev", "lockboxrequests", "get");

/// The whole workflow, then the audit log: what the operator called is what its ClusterRole allows, all of it and
/// nothing else.
#[test]
fn the_operators_rights_are_the_calls_that_it_makes() {
    let world = World::new();
    world.subscription("rights");
    // An approved life that ends by the clock, one that is revoked, one that is denied.
    let manifest = request("by-the-clock").namespace("rights").set("/spec/duration", "2s");
    world.create_as(&world.kim(), &manifest.to_string()).unwrap();
    world.wait_for_phase("rights", "by-the-clock", "CustomerNotified");
    world.decide(&world.alice(), "rights", "by-the-clock", "Approve").unwrap();
    world.grant("rights", "revoked");
    world.patch(&world.alice(), "rights", "revoked", &json!({"spec": {"revocation": {"reason": "enough"}}})).unwrap();
    world.wait_for_phase("rights", "revoked", "Revoked");
    world.ask("rights", "denied");
    world.decide(&world.alice(), "rights", "denied", "Deny").unwrap();
    world.wait_for_phase("rights", "denied", "Denied");
    world.wait_for_phase("rights", "by-the-clock", "Completed");
    // Two for the tenant.
    for name in ["inc-1", "inc-2"] {
        let manifest = serde_yaml_ng::from_str::<Value>(&support::example("engineer/request-tenant.yaml")).unwrap();
        let manifest = support::Manifest(manifest).set("/metadata/name", name);
        world.create_as(&world.kim(), &manifest.to_string()).unwrap();
        world.wait_for_phase("lockbox-tenant", name, "CustomerNotified");
        world.decide(&world.ada(), "lockbox-tenant", name, "Approve").unwrap();
        world.wait_for_phase("lockbox-tenant", name, "AccessGranted");
    }
    let release = json!({"spec": {"release": {"reason": "done"}}});
    world.patch(&world.kim(), "lockbox-tenant", "inc-1", &release).unwrap();
    world.wait_until_closed("lockbox-tenant", "inc-1");
    // Somebody removes bindings behind the operator's back.
    world.grant("rights", "tampered");
    for (namespace, name, kind) in
        [("rights", "tampered", "rolebinding"), ("lockbox-tenant", "inc-2", "clusterrolebinding")]
    {
        let grant = world.request(namespace, name)["status"]["grant"]["name"].as_str().unwrap().to_owned();
        let collector = "--as=system:serviceaccount:kube-system:generic-garbage-collector";
        world.admin(&["delete", kind, &grant, "-n", namespace, collector]).unwrap();
        let revoked = world.wait_for_phase(namespace, name, "Revoked");
        assert_eq!(revoked["status"]["reason"], "TamperWithGrant");
    }
    // Rights of people are given, for the namespace and the cluster, and taken back.
    world.admin(&["delete", "lra", "alice", "-n", "rights"]).unwrap();
    eventually("Alice's rights are taken back", || {
        let left = world.admin(&["get", "rolebinding", "-n", "rights", "-l", "lockbox.dev/people", "-o", "name"]);
        left.unwrap().is_empty().then_some(())
    });
    drop(world.with_settings(&json!({"provider": {"engineers": [{"kind": "User", "name": KIM}]}})));
    // Of a role that the watch does not know, the API server is asked.
    let mut levels = support::settings()["spec"]["accessLevels"].as_array().unwrap().clone();
    levels.push(json!({"name": "Gone", "clusterRole": "is-not-there"}));
    drop(world.with_settings(&json!({"accessLevels": levels})));
    // A name that is used again: what showed it to the one before goes, with the last name the Role too.
    world.subscription("used-again");
    world.ask("used-again", "sr-1");
    world.decide(&world.alice(), "used-again", "sr-1", "Deny").unwrap();
    world.wait_until_closed("used-again", "sr-1");
    world.remove("used-again", "sr-1");
    let groups = ["provider:engineers", "provider:secure-workstations"];
    let robin = world.user("robin@provider.example", &groups);
    world.create_as(&robin, &request("sr-1").namespace("used-again").to_string()).unwrap();
    world.sees(&robin, "used-again", "sr-1");
    eventually("Robin's Role is the only one", || {
        let left = world.admin(&["get", "role", "-n", "used-again", "-l", "lockbox.dev/view", "-o", "name"]);
        (left.unwrap().lines().count() == 1).then_some(())
    });
    // A restart: Events whose publishing is not yet recorded are published again.
    world.subscription("again");
    world.grant("again", "sr-1");
    eventually("the Events are published", || (world.events("again", "sr-1").len() == 3).then_some(()));
    world.kill_operator();
    world.start_operator();
    world.patch(&world.kim(), "again", "sr-1", &release).unwrap();
    world.wait_until_closed("again", "sr-1");

    let calls: Vec<_> =
        audit::since(&world.cluster, 0).into_iter().filter(|call| call.user == audit::OPERATOR).collect();
    // What is forged by dry run is meant to be refused.
    let refused: Vec<_> = calls.iter().filter(|call| call.code == 403 && !call.dry).collect();
    assert!(refused.is_empty(), "the chart lacks a right: {refused:#?}");

    let mut allowed = BTreeSet::new();
    let role = rendered("ClusterRole", "lockbox-operator");
    for rule in role["rules"].as_array().unwrap() {
        let texts = |field: &str| -> Vec<String> { serde_json::from_value(rule[field].clone()).unwrap() };
        for group in texts("apiGroups") {
            for resource in texts("resources") {
                allowed.extend(texts("verbs").into_iter().map(|verb| (group.clone(), resource.clone(), verb)));
            }
        }
    }
    let called: BTreeSet<_> = calls
        .into_iter()
        .filter(|call| !call.resource.is_empty())
        .map(|call| (call.group, call.resource, call.verb))
        .collect();
    let excused: BTreeSet<_> = NOT_SEEN
        .iter()
        .map(|(group, resource, verb, _)| ((*group).to_owned(), (*resource).to_owned(), (*verb).to_owned()))
        .collect();
    let missing: Vec<_> = called.difference(&allowed).collect();
    assert!(
        missing.is_empty(),
        "called without a right of its own (the access levels' sum must not help out): {missing:#?}"
    );
    let mut needed: BTreeSet<_> = called.union(&excused).cloned().collect();
    let (group, resource, verb) = SOMETIMES;
    needed.insert((group.into(), resource.into(), verb.into()));
    let unused: Vec<_> = allowed.difference(&needed).collect();
    assert!(unused.is_empty(), "the chart gives rights that nobody uses: {unused:#?}");
    let seen: Vec<_> = excused.intersection(&called).collect();
    assert!(seen.is_empty(), "no exceptions any more, take them out of NOT_SEEN: {seen:#?}");
    let stale: Vec<_> = excused.difference(&allowed).collect();
    assert!(stale.is_empty(), "exceptions that the chart does not give, take them out of NOT_SEEN: {stale:#?}");
}

/// `helm upgrade` with values changed, `helm uninstall`, and what becomes of an access that is granted meanwhile.
#[test]
fn an_upgrade_keeps_what_is_granted_and_after_uninstalling_it_ends_by_itself() {
    let world = World::new();
    world.subscription("upgraded");
    world.grant("upgraded", "kept");
    let run = |arguments: &[&str]| {
        let mut helm = world.cluster.helm(world.cluster.admin());
        helm.args(arguments);
        lockbox_cluster::output(helm).unwrap()
    };
    let chart = repository("charts/lockbox");
    let chart = chart.to_str().unwrap();
    run(&["upgrade", "lockbox", chart, "-n", "lockbox-system", "--reuse-values", "--set", "grants.maximum=1h"]);
    assert!(world.kim_reads("upgraded", "shop-settings"), "the upgrade ends nothing");
    assert_eq!(world.phase("upgraded", "kept"), "AccessGranted");
    // The new bound holds as soon as the API server has read it: a longer access is refused to the operator.
    let mut attempts = 0;
    eventually("an access of two hours is refused", || {
        attempts += 1;
        let name = format!("too-long-{attempts}");
        let manifest = request(&name).namespace("upgraded").set("/spec/duration", "2h").to_string();
        world.create_as(&world.kim(), &manifest).unwrap();
        world.wait_for_phase("upgraded", &name, "CustomerNotified");
        world.decide(&world.alice(), "upgraded", &name, "Approve").unwrap();
        let decided = eventually("it is granted or refused", || {
            let decided = world.request("upgraded", &name);
            let status = &decided["status"];
            let refused = status["message"].as_str().unwrap_or_default().contains("ValidatingAdmissionPolicy");
            (status["phase"] == "AccessGranted" || refused).then_some(decided)
        });
        let status = &decided["status"];
        (status["phase"] != "AccessGranted").then(|| {
            assert_eq!(status["phase"], "Approved", "an administrator may allow it while the approval lasts");
            assert!(status["message"].as_str().unwrap().contains("within 1h"), "{}", status["message"]);
        })
    });

    // RBAC lets the operator bind any Role only where the values say so; the policies hold it to its grants all the same.
    let binds = || {
        let operator = format!("--as={}", support::audit::OPERATOR);
        let asked = ["auth", "can-i", "bind", "roles/somebodys", "-n", "upgraded", &operator];
        let may = world.admin(&asked).is_ok_and(|answer| answer.trim() == "yes");
        let binding =
            ["lockbox-grant-mallory", "-n", "upgraded", "--role=somebodys", "--user=mallory@provider.example"];
        let tried = [&["create", "rolebinding"], &binding[..], &["--dry-run=server", &operator]].concat();
        (may, world.admin(&tried).unwrap_err())
    };
    world.admin(&["create", "role", "somebodys", "-n", "upgraded", "--verb=get", "--resource=secrets"]).unwrap();
    let (may, refused) = binds();
    assert!(!may && refused.contains("forbidden"), "{refused}");
    run(&[
        "upgrade",
        "lockbox",
        chart,
        "-n",
        "lockbox-system",
        "--reuse-values",
        "--set",
        "operator.bindsAnyRole=true",
    ]);
    eventually("RBAC lets the operator bind, and a policy does not", || {
        let (may, refused) = binds();
        (may && refused.contains("ValidatingAdmissionPolicy 'lockbox-operator-limits")).then_some(())
    });

    let short = request("short").namespace("upgraded").set("/spec/duration", "8s").to_string();
    world.create_as(&world.kim(), &short).unwrap();
    world.patch(&world.kim(), "upgraded", "kept", &json!({"spec": {"release": {"reason": "done"}}})).unwrap();
    world.wait_for_phase("upgraded", "short", "CustomerNotified");
    world.decide(&world.alice(), "upgraded", "short", "Approve").unwrap();
    world.wait_for_phase("upgraded", "short", "AccessGranted");
    world.wait_for_phase("upgraded", "kept", "Completed");
    for attempt in 1..=attempts {
        let name = format!("too-long-{attempt}");
        if world.phase("upgraded", &name) == "AccessGranted" {
            world.patch(&world.kim(), "upgraded", &name, &json!({"spec": {"release": {"reason": "done"}}})).unwrap();
            world.wait_for_phase("upgraded", &name, "Completed");
        }
    }
    assert!(world.kim_reads("upgraded", "shop-settings"));
    world.kill_operator();
    run(&["uninstall", "lockbox", "-n", "lockbox-system", "--wait"]);
    eventually("the access ends without Lockbox", || (!world.kim_reads("upgraded", "shop-settings")).then_some(()));
    eventually("nothing of it is left", || {
        let left =
            world.admin(&["get", "job,role,rolebinding", "-n", "upgraded", "-l", "lockbox.dev/request", "-o", "name"]);
        left.unwrap().is_empty().then_some(())
    });
    // The record stays; what makes and guards it goes.
    assert_eq!(world.phase("upgraded", "kept"), "Completed");
    world.admin(&["get", "namespace", "lockbox-tenant"]).unwrap();
    let kinds = "validatingadmissionpolicy,validatingadmissionpolicybinding,mutatingadmissionpolicy,mutatingadmissionpolicybinding,clusterrole,clusterrolebinding,flowschema";
    let left = world.admin(&["get", kinds, "-l", "app.kubernetes.io/name=lockbox", "-o", "name"]).unwrap();
    assert_eq!(left, "", "left in the cluster");
    let left = world.admin(&[
        "get",
        "deployment,serviceaccount",
        "-n",
        "lockbox-system",
        "-l",
        "app.kubernetes.io/name=lockbox",
        "-o",
        "name",
    ]);
    assert_eq!(left.unwrap(), "", "left in the namespace");

    // And it can be installed again, over its own record.
    let first = format!("bootstrap.globalAdministrators[0].name={ADA}");
    run(&[
        "install",
        "lockbox",
        chart,
        "-n",
        "lockbox-system",
        "--set",
        "operator.onlyFromItsPod=false",
        "--set",
        "bootstrap.globalAdministrators[0].kind=User",
        "--set",
        &first,
    ]);
}
