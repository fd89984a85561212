//! Who is told what: the whole way, from a request in a real API server to a mailbox on a real mail server.

use std::{
    collections::BTreeMap,
    fs,
    net::TcpListener,
    path::PathBuf,
    sync::{LazyLock, Mutex, MutexGuard, PoisonError},
};

use lockbox_cluster::{
    Options,
    mailpit::{self, Mailpit},
};
use serde_json::{Value, json};

use crate::support::{ALICE, KIM, World, audit, eventually, operator::Operator, request};

const SOC: &str = "soc@contoso.example";

/// A cluster whose operator tells people. Mail servers come and go, so the tests take turns.
struct Told {
    world: World,
    folder: PathBuf,
    runtime: tokio::runtime::Runtime,
    mailpit: Option<Mailpit>,
}

static TOLD: LazyLock<Mutex<Told>> = LazyLock::new(|| {
    let world = World::installed(Options::default());
    let folder = world.cluster.data().join("notifications");
    fs::create_dir_all(&folder).unwrap();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    Mutex::new(Told { world, folder, runtime, mailpit: None })
});

/// The cluster with a mail server of the test's own, and the operator and the settings as they are wanted.
fn told(notifications: Value) -> MutexGuard<'static, Told> {
    let mut told = TOLD.lock().unwrap_or_else(PoisonError::into_inner);
    told.world.kill_operator();
    told.serve(&[]);
    told.start_operator();
    let world = &told.world;
    let mut settings = crate::support::settings();
    settings["spec"]["notifications"] = notifications;
    world.apply_as(&world.ada(), &settings.to_string()).unwrap();
    world.wait_for_settings();
    world.wait_for_proofs();
    told
}

fn everybody() -> Value {
    json!({
        "portalURL": "https://lockbox.contoso.example/{namespace}",
        "email": {"alternate": [SOC], "addresses": [{"kind": "User", "name": KIM, "address": "kim@phone.example"}]},
    })
}

impl Told {
    /// Starts a mail server; one that was there before is gone.
    fn serve(&mut self, triggers: &[&str]) {
        self.mailpit = None;
        let options = mailpit::Options {
            triggers: triggers.iter().map(|&trigger| trigger.to_owned()).collect(),
            ..mailpit::Options::default()
        };
        let server = Mailpit::start(&options).unwrap();
        self.point(server.smtp());
        self.mailpit = Some(server);
    }

    fn point(&self, port: u16) {
        let config = json!({"smtp": {
            "host": "127.0.0.1", "port": port, "security": "Plaintext", "authentication": "None", "timeoutSeconds": 5,
            "from": "Lockbox <lockbox@contoso.example>",
        }});
        fs::write(self.folder.join("config.yaml"), config.to_string()).unwrap();
    }

    fn start_operator(&self) {
        let account = self.world.cluster.service_account("lockbox-system", "lockbox-operator").unwrap();
        let (config, secrets) = (self.folder.join("config.yaml"), &self.folder);
        let flags =
            ["--notifications-config", config.to_str().unwrap(), "--notifications-secrets", secrets.to_str().unwrap()];
        let operator = Operator::start(&account, self.world.cluster.data(), &flags);
        *self.world.operator.lock().unwrap_or_else(PoisonError::into_inner) = Some(operator);
    }

    /// Subjects of what has arrived about a namespace's requests, by mailbox.
    fn mailboxes(&self, about: &str) -> BTreeMap<String, Vec<String>> {
        let server = self.mailpit.as_ref().unwrap();
        let list = self.json(&format!("{}/api/v1/messages?limit=1000", server.api()));
        let mut mailboxes: BTreeMap<String, Vec<String>> = BTreeMap::new();
        // The newest comes first.
        for message in list["messages"].as_array().unwrap().iter().rev() {
            let subject = message["Subject"].as_str().unwrap();
            if subject.contains(about) {
                let to = message["To"][0]["Address"].as_str().unwrap();
                mailboxes.entry(to.into()).or_default().push(subject.into());
            }
        }
        mailboxes
    }

    /// The text of the first message whose subject holds this.
    fn text(&self, to: &str, about: &str) -> Value {
        let server = self.mailpit.as_ref().unwrap();
        let list = self.json(&format!("{}/api/v1/messages?limit=1000", server.api()));
        let fits = |message: &&Value| {
            message["To"][0]["Address"] == to && message["Subject"].as_str().unwrap().contains(about)
        };
        let id = list["messages"].as_array().unwrap().iter().rev().find(fits).unwrap()["ID"].clone();
        self.json(&format!("{}/api/v1/message/{}", server.api(), id.as_str().unwrap()))
    }

    fn json(&self, url: &str) -> Value {
        let text = self.runtime.block_on(async {
            let tls = rustls::ClientConfig::builder_with_provider(rustls::crypto::ring::default_provider().into())
                .with_safe_default_protocol_versions()
                .unwrap()
                .with_root_certificates(rustls::RootCertStore::empty())
                .with_no_client_auth();
            let client = reqwest::Client::builder().tls_backend_preconfigured(tls).no_proxy().build().unwrap();
            client.get(url).send().await.unwrap().text().await.unwrap()
        });
        serde_json::from_str(&text).unwrap()
    }

    fn wait_for_mail(&self, to: &str, about: &str, count: usize) -> Vec<String> {
        eventually(&format!("{to} has {count} messages about {about}"), || {
            self.mailboxes(about).remove(to).filter(|subjects| subjects.len() >= count)
        })
    }
}

fn states(request: &Value) -> Vec<(String, String)> {
    let told = request["status"]["notifications"].as_array().cloned().unwrap_or_default();
    let text = |told: &Value, field: &str| told[field].as_str().unwrap().to_owned();
    told.iter().map(|told| (text(told, "kind"), text(told, "state"))).collect()
}

fn all(state: &str, kinds: &[&str]) -> Vec<(String, String)> {
    kinds.iter().map(|kind| ((*kind).to_owned(), state.to_owned())).collect()
}

#[test]
fn designated_approvers_get_an_email_about_the_pending_request_and_everybody_hears_what_becomes_of_it() {
    let told = told(everybody());
    let world = &told.world;
    world.subscription("mailed");
    let mark = audit::mark(&world.cluster);
    world
        .create_as(&world.kim(), &request("sr-1").namespace("mailed").set("/spec/duration", "5s").to_string())
        .unwrap();
    told.wait_for_mail(ALICE, "mailed", 1);
    let asked = told.text(ALICE, "mailed");
    let (text, html) = (asked["Text"].as_str().unwrap(), asked["HTML"].as_str().unwrap());
    for said in ["https://lockbox.contoso.example/mailed", "kubectl patch lbr sr-1 -n mailed --type=merge", KIM] {
        assert!(text.contains(said), "{said}: {text}");
    }
    assert!(html.contains("lockbox.contoso.example"), "{html}");
    let asked = eventually("the delivery is recorded", || {
        Some(world.request("mailed", "sr-1")).filter(|request| !states(request).is_empty())
    });
    assert_eq!(states(&asked), all("Delivered", &["ApprovalAsked"]));

    world.decide(&world.alice(), "mailed", "sr-1", "Approve").unwrap();
    let closed = world.wait_until_closed("mailed", "sr-1");
    assert_eq!(closed["status"]["phase"], "Completed");
    assert_eq!(states(&closed), all("Delivered", &["ApprovalAsked", "Approved", "AccessBegan", "AccessEnded"]));
    let delivered =
        closed["status"]["conditions"].as_array().unwrap().iter().find(|c| c["type"] == "MessagesDelivered");
    assert_eq!(delivered.unwrap()["status"], "True");
    let counts: BTreeMap<_, _> = told.mailboxes("mailed").into_iter().map(|(to, got)| (to, got.len())).collect();
    let expected = [(ALICE, 4), (SOC, 4), ("kim@phone.example", 3)].map(|(to, count)| (to.to_owned(), count));
    assert_eq!(counts, BTreeMap::from(expected), "each person once for each message, whatever else they are");

    let writes: Vec<_> = audit::operator_writes(&world.cluster, mark)
        .into_iter()
        .filter(|call| call.name == "sr-1" && call.words() == "update lockboxrequests/status")
        .collect();
    // Five without messages: notified, approved, granted, completed, closed.
    assert!(writes.len() <= 5 + 3, "{} status writes: {writes:#?}", writes.len());
}

#[test]
fn nobody_is_told_anything_and_no_write_is_made_where_the_settings_say_nothing() {
    let told = told(Value::Null);
    let world = &told.world;
    world.subscription("silent");
    let closed = {
        world.create_as(&world.kim(), &request("sr-1").namespace("silent").to_string()).unwrap();
        world.wait_for_phase("silent", "sr-1", "CustomerNotified");
        world.decide(&world.alice(), "silent", "sr-1", "Deny").unwrap();
        world.wait_until_closed("silent", "sr-1")
    };
    assert_eq!(states(&closed), []);
    assert!(told.mailboxes("silent").is_empty());
}

#[test]
fn what_could_not_be_sent_before_a_kill_is_sent_after_it_and_access_waits_for_nobody() {
    let mut told = told(everybody());
    // A server that accepts and never answers.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    told.point(silent.local_addr().unwrap().port());
    told.world.kill_operator();
    told.start_operator();
    let world = &told.world;
    world.subscription("cut-off");
    world.create_as(&world.kim(), &request("sr-1").namespace("cut-off").to_string()).unwrap();
    world.wait_for_phase("cut-off", "sr-1", "CustomerNotified");
    world.decide(&world.alice(), "cut-off", "sr-1", "Approve").unwrap();
    world.wait_for_phase("cut-off", "sr-1", "AccessGranted");
    assert!(world.kim_reads("cut-off", "shop-settings"));
    assert_eq!(states(&world.request("cut-off", "sr-1")), []);

    world.kill_operator();
    told.serve(&[]);
    told.start_operator();
    let subjects = told.wait_for_mail(ALICE, "cut-off", 2);
    let world = &told.world;
    let granted = eventually("the deliveries are recorded", || {
        Some(world.request("cut-off", "sr-1")).filter(|request| states(request).len() == 2)
    });
    assert_eq!(states(&granted), all("Delivered", &["Approved", "AccessBegan"]));
    assert_eq!(subjects.len(), 2, "nobody is asked to decide what is decided: {subjects:#?}");
}

#[test]
fn who_is_refused_for_good_is_told_on_the_request_and_the_others_get_theirs() {
    let mut told = told(everybody());
    told.world.kill_operator();
    told.serve(&["Recipient:550:100"]);
    told.start_operator();
    let world = &told.world;
    world.subscription("refused");
    world.create_as(&world.kim(), &request("sr-1").namespace("refused").to_string()).unwrap();
    let failed = eventually("giving up is recorded and published", || {
        let request = world.request("refused", "sr-1");
        let published = world.events("refused", "sr-1").iter().any(|(reason, _)| reason == "NotificationFailed");
        (published && !states(&request).is_empty()).then_some(request)
    });
    assert_eq!(failed["status"]["phase"], "CustomerNotified", "the request goes on");
    assert_eq!(states(&failed), all("Failed", &["ApprovalAsked"]));
    let said = failed["status"]["notifications"][0]["message"].as_str().unwrap();
    assert!(said.contains("550"), "{said}");
}

#[test]
fn a_webhook_that_hangs_delays_no_mail() {
    let told = told(json!({"email": {}, "webhooks": [{"name": "hangs"}]}));
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("https://127.0.0.1:{}/", silent.local_addr().unwrap().port());
    fs::write(told.folder.join("webhook-hangs-url"), url).unwrap();
    fs::write(told.folder.join("webhook-hangs-secret"), "unsigned").unwrap();
    let world = &told.world;
    world.subscription("hooked");
    for name in ["sr-1", "sr-2", "sr-3", "sr-4", "sr-5", "sr-6"] {
        world.create_as(&world.kim(), &request(name).namespace("hooked").to_string()).unwrap();
    }
    told.wait_for_mail(ALICE, "hooked", 6);
    for name in ["sr-1", "sr-6"] {
        assert_eq!(states(&world.request("hooked", name)), [], "it waits for the webhook");
        world.decide(&world.alice(), "hooked", name, "Deny").unwrap();
        world.wait_for_phase("hooked", name, "Denied");
    }
}

#[test]
fn approvers_are_reminded_before_the_deadline_and_never_of_what_is_decided() {
    let told = told(json!({"email": {}, "reminders": ["1m"]}));
    let world = &told.world;
    let mut settings = crate::support::settings();
    settings["spec"]["notifications"] = json!({"email": {}, "reminders": ["1m"]});
    settings["spec"]["pendingTimeout"] = json!("65s");
    world.apply_as(&world.ada(), &settings.to_string()).unwrap();
    world.wait_for_settings();
    world.subscription("reminded");
    for name in ["waits", "decided"] {
        world.create_as(&world.kim(), &request(name).namespace("reminded").to_string()).unwrap();
        world.wait_for_phase("reminded", name, "CustomerNotified");
    }
    world.decide(&world.alice(), "reminded", "decided", "Deny").unwrap();
    let waits = eventually("the reminder is recorded", || {
        let request = world.request("reminded", "waits");
        (states(&request) == all("Delivered", &["ApprovalAsked", "Reminder"])).then_some(request)
    });
    assert_eq!(waits["status"]["notifications"][1]["id"], "reminder-1m");
    let decided = world.wait_until_closed("reminded", "decided");
    assert!(states(&decided).iter().all(|(kind, _)| kind != "Reminder"), "{decided}");
}

#[test]
fn five_hundred_recipients_get_it_once_or_twice_although_the_operator_is_killed_in_the_midst() {
    let told = told(json!({"email": {}}));
    let world = &told.world;
    world.subscription("many");
    let addresses = |kind: &str, owner: usize| -> Vec<String> {
        (0..8).map(|n| format!("{kind}-{owner}-{n}@many.contoso.example")).collect()
    };
    let assignments: Vec<Value> = (0..31)
        .map(|owner| {
            json!({
                "apiVersion": "lockbox.dev/v1alpha1", "kind": "RoleAssignment",
                "metadata": {"name": format!("owner-{owner}"), "namespace": "many"},
                "spec": {
                    "principal": {"kind": "User", "name": format!("owner-{owner}@contoso.example")},
                    "role": "Owner", "scope": "Subscription",
                    "notification": {"emails": addresses("own", owner), "alternate": addresses("deputy", owner)},
                },
            })
        })
        .collect();
    world
        .apply_as(&world.ada(), &json!({"apiVersion": "v1", "kind": "List", "items": assignments}).to_string())
        .unwrap();
    world.admin(&["wait", "--for=condition=Active=true", "lra", "--all", "-n", "many", "--timeout=60s"]).unwrap();
    world.create_as(&world.kim(), &request("sr-1").namespace("many").to_string()).unwrap();
    eventually("some have it", || (told.mailboxes("many").len() > 50).then_some(()));
    world.kill_operator();
    told.start_operator();
    let request = eventually("all have it", || {
        let request = world.request("many", "sr-1");
        (states(&request) == all("Delivered", &["ApprovalAsked"])).then_some(request)
    });
    assert_eq!(request["status"]["notifications"][0]["destinations"], 31 * 16 + 1);
    let mailboxes = told.mailboxes("many");
    assert_eq!(mailboxes.len(), 31 * 16 + 1);
    let often: Vec<_> = mailboxes.iter().filter(|(_, got)| got.len() > 2).collect();
    assert!(often.is_empty(), "{often:?}");
}

#[test]
fn two_operators_at_once_tell_each_of_everything_once_or_twice() {
    let told = told(everybody());
    let world = &told.world;
    let account = world.cluster.service_account("lockbox-system", "lockbox-operator").unwrap();
    let (config, secrets) = (told.folder.join("config.yaml"), &told.folder);
    let flags =
        ["--notifications-config", config.to_str().unwrap(), "--notifications-secrets", secrets.to_str().unwrap()];
    let second = Operator::start(&account, world.cluster.data(), &flags);
    world.subscription("twice");
    for name in ["sr-1", "sr-2", "sr-3"] {
        world.create_as(&world.kim(), &request(name).namespace("twice").to_string()).unwrap();
        world.wait_for_phase("twice", name, "CustomerNotified");
        eventually("the question is recorded", || (!states(&world.request("twice", name)).is_empty()).then_some(()));
        world.decide(&world.alice(), "twice", name, "Deny").unwrap();
        let closed = world.wait_until_closed("twice", name);
        assert_eq!(states(&closed), all("Delivered", &["ApprovalAsked", "Denied"]));
    }
    drop(second);
    let mailboxes = told.mailboxes("twice");
    let count = |to: &str| mailboxes[to].len();
    for (to, messages) in [(ALICE, 6), (SOC, 6), ("kim@phone.example", 3)] {
        assert!((messages..=2 * messages).contains(&count(to)), "{to}: {:#?}", mailboxes[to]);
    }
}
