//! Who one is on a cluster, and what of it the audit log holds.

#![allow(clippy::unwrap_used, missing_docs)]

mod common;

use std::fs;
use std::sync::OnceLock;

use common::{json, succeed};
use lockbox_cluster::{Cluster, Credential, Options, Version};
use serde_json::{Value, json};

fn cluster() -> &'static Cluster {
    static CLUSTER: OnceLock<Cluster> = OnceLock::new();
    CLUSTER.get_or_init(|| Cluster::start(Options::default()).unwrap())
}

fn whoami(user: &lockbox_cluster::User) -> Value {
    let mut review = json(cluster().kubectl(user), &["auth", "whoami", "-o", "json"]);
    let mut info = review["status"]["userInfo"].take();
    // The API server adds it for certificates.
    if let Some(Value::Object(extra)) = info.get_mut("extra") {
        extra.remove("authentication.kubernetes.io/credential-id");
    }
    info
}

#[test]
fn a_started_cluster_is_ready_and_of_the_newest_version() {
    let cluster = cluster();
    let version = json(cluster.kubectl(cluster.admin()), &["version", "-o", "json"]);
    assert_eq!(version["serverVersion"]["gitVersion"], format!("v{}", Version::Newest));
    assert_eq!(version["clientVersion"]["gitVersion"], format!("v{}", Version::Newest));
    assert_eq!(succeed(cluster.kubectl(cluster.admin()), &["get", "--raw", "/readyz"]), "ok");
    // What the controllers do first has been done: no test has to wait for it.
    let view = json(cluster.kubectl(cluster.admin()), &["get", "clusterrole", "view", "-o", "json"]);
    assert!(!view["rules"].as_array().unwrap().is_empty());
    assert!(cluster.server().starts_with("https://127.0.0.1:"));
}

#[test]
fn a_user_is_who_was_asked_for_in_all_groups() {
    let kim = cluster().user("kim@provider.example", &["provider:engineers", "provider:secure-workstations"]).unwrap();
    let info = whoami(&kim);
    assert_eq!(info["username"], "kim@provider.example");
    assert_eq!(info["groups"], json!(["provider:engineers", "provider:secure-workstations", "system:authenticated"]));
}

#[test]
fn a_user_without_groups_and_with_a_long_name_is_taken_too() {
    let name = format!("{}@contoso.example", "a".repeat(80));
    let user = cluster().user(&name, &[]).unwrap();
    let info = whoami(&user);
    assert_eq!(info["username"], name.as_str());
    assert_eq!(info["groups"], json!(["system:authenticated"]));
}

#[test]
fn users_of_one_name_in_different_groups_have_kubeconfigs_of_their_own() {
    let inside = cluster().user("lee@contoso.example", &["contoso:owners"]).unwrap();
    let outside = cluster().user("lee@contoso.example", &[]).unwrap();
    assert_ne!(inside.kubeconfig, outside.kubeconfig);
    assert_eq!(whoami(&inside)["groups"], json!(["contoso:owners", "system:authenticated"]));
    assert_eq!(whoami(&outside)["groups"], json!(["system:authenticated"]));
}

#[test]
fn a_user_may_do_nothing_that_was_not_granted() {
    let user = cluster().user("bob@contoso.example", &["contoso:users"]).unwrap();
    let mut get = cluster().kubectl(&user);
    get.args(["get", "secrets", "--all-namespaces"]);
    let error = lockbox_cluster::output(get).unwrap_err().to_string();
    assert!(error.contains("Forbidden") && error.contains("bob@contoso.example"), "{error}");
}

#[test]
fn extra_attributes_reach_the_api_server() {
    let extra: &[(&str, &[&str])] = &[("provider.example/mfa", &["true"]), ("provider.example/devices", &["a", "b"])];
    let kim = cluster().user_with_extra("kim@provider.example", &["provider:engineers"], extra).unwrap();
    let info = whoami(&kim);
    assert_eq!(info["username"], "kim@provider.example");
    assert_eq!(info["groups"], json!(["provider:engineers", "system:authenticated"]));
    assert_eq!(info["extra"], json!({ "provider.example/mfa": ["true"], "provider.example/devices": ["a", "b"] }));
}

#[test]
fn a_service_account_logs_in_with_a_token() {
    let account = cluster().service_account("default", "default").unwrap();
    assert!(matches!(&account.credential, Credential::Token(token) if token.starts_with("ey")));
    let info = whoami(&account);
    assert_eq!(info["username"], "system:serviceaccount:default:default");
    assert_eq!(
        info["groups"],
        json!(["system:serviceaccounts", "system:serviceaccounts:default", "system:authenticated"])
    );
}

#[test]
fn a_call_is_in_the_audit_log_once_it_is_answered() {
    let cluster = cluster();
    let kim = cluster.user("audited@provider.example", &["provider:engineers"]).unwrap();
    let mut get = cluster.kubectl(&kim);
    get.args(["get", "--raw", "/api/v1/namespaces/default/configmaps/seen-by-the-audit-log"]);
    assert!(lockbox_cluster::output(get).is_err());
    let log = fs::read_to_string(cluster.audit_log()).unwrap();
    let calls: Vec<Value> = log
        .lines()
        .filter(|line| line.contains("seen-by-the-audit-log"))
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(calls.len(), 1, "{calls:#?}");
    assert_eq!(calls[0]["user"]["username"], "audited@provider.example");
    assert_eq!(calls[0]["verb"], "get");
    assert_eq!(calls[0]["level"], "Metadata");
    assert_eq!(calls[0]["responseStatus"]["code"], 403);
}

#[test]
fn kubectl_and_helm_know_nothing_of_the_person_at_the_keyboard() {
    let cluster = cluster();
    let folder = common::folder("keyboard");
    fs::create_dir_all(folder.join(".kube")).unwrap();
    let foreign = cluster.data().join("foreign.kubeconfig");
    fs::write(&foreign, "not a kubeconfig").unwrap();
    fs::write(folder.join(".kube/config"), "not a kubeconfig").unwrap();
    // As if the test itself ran with them: what the tool sets comes last.
    let mut run = common::tool();
    run.env("HOME", &folder).env("KUBECONFIG", &foreign).env("HELM_NAMESPACE", "nowhere");
    run.env("LOCKBOX_CACHE", lockbox_cluster::cache::folder().unwrap());
    let script = "before=$(find \"$HOME\" | sort)
        kubectl get namespaces -o name; helm env HELM_NAMESPACE; helm list; kubectl api-resources >/dev/null
        [ \"$before\" = \"$(find \"$HOME\" | sort)\" ] && echo unchanged || find \"$HOME\"";
    let told = succeed(run, &["run", "--", "sh", "-c", script]);
    assert!(told.contains("namespace/kube-system"), "{told}");
    assert!(told.contains("\ndefault\n"), "{told}");
    assert!(told.ends_with("unchanged\n"), "{told}");
    fs::remove_dir_all(folder).unwrap();
}
