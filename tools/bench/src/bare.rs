//! A bare client: it makes the writes of the operator, with the operator's rights and as many at a time, and decides
//! nothing. What it writes is what the operator wrote for one life that was recorded in the audit log, with the names,
//! UIDs, versions and times of another.

use std::{
    collections::{BTreeSet, HashMap},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};
use http::Method;
use serde_json::{Value, json};
use tokio::{
    sync::{Mutex as AsyncMutex, Semaphore, oneshot},
    task::JoinHandle,
};

use crate::{
    audit::{self, Line},
    client::{Caller, Change, Meta, Object, paths},
    error::Error,
    progress::Progress,
    tracker::Request,
    world::{CONCURRENCY, OPERATOR, PATIENCE, World, request},
};

/// Where the life is lived that is recorded.
pub const TEMPLATE_NAMESPACE: &str = "bench-template";
const TEMPLATE_REQUEST: &str = "recorded-life";
const TEMPLATE_ENGINEER: &str = "recorded-engineer@provider.example";
const TEMPLATE_DURATION: u64 = 5;
/// Stand for a request's version and the UID of its Job.
const VERSION: &str = "@VERSION@";
const JOB: &str = "@JOB@";
/// A Role may name as many requests.
const MOST_NAMED: usize = 512;

/// What the operator writes in one life.
#[derive(Debug)]
pub struct Template {
    uid: String,
    /// When the request was created, and when it was approved.
    created: DateTime<Utc>,
    approved: DateTime<Utc>,
    /// When access ended, as it is written.
    until: String,
    /// Until the customer is asked.
    pub asked: Vec<Write>,
    /// From the approval on.
    pub granted: Vec<Write>,
    /// From the end of the access on.
    pub ended: Vec<Write>,
    /// The binding by which an engineer sees their requests, which is made with the first.
    view_binding: Write,
    /// Times that were written before the approval.
    early: BTreeSet<String>,
}

/// One write.
#[derive(Clone, Debug)]
pub struct Write {
    method: Method,
    uri: String,
    /// Kind of object: `jobs`, `lockboxrequests/status`.
    pub resource: String,
    body: String,
    /// Times in it.
    times: BTreeSet<String>,
    view: bool,
}

/// Another life, for which the writes are made.
#[derive(Clone, Debug, Default)]
pub struct BareLife {
    namespace: String,
    name: String,
    engineer: String,
    uid: String,
    /// The version of the request over which its status is written.
    pub version: String,
    job: String,
    created: DateTime<Utc>,
    approved: DateTime<Utc>,
    /// Seconds by which the access is longer than the recorded one.
    longer: i64,
}

impl Template {
    /// Has the operator live one life, and records it.
    pub async fn record(world: &World, progress: &Progress) -> Result<Self, Error> {
        progress.say("record what the operator writes in one life, for the bare client");
        world.subscription(TEMPLATE_NAMESPACE).await?;
        let engineer = world.engineer(TEMPLATE_ENGINEER).await?;
        let requests = paths::requests(TEMPLATE_NAMESPACE);
        let first = world.mark();
        // The first request makes the Role that shows requests to the engineer; later ones change it.
        engineer.post(&requests, &request("first", None, "1h")).await?;
        let mut life = world.tracker.life(TEMPLATE_NAMESPACE, "first");
        life.wait("notified", PATIENCE, |seen| seen.notified).await?;
        tokio::time::sleep(Duration::from_secs(1)).await;

        let second = world.mark();
        let body = request(TEMPLATE_REQUEST, None, &format!("{TEMPLATE_DURATION}s"));
        let uid = engineer.post(&requests, &body).await?.metadata.uid;
        let mut life = world.tracker.life(TEMPLATE_NAMESPACE, TEMPLATE_REQUEST);
        life.wait("notified", PATIENCE, |seen| seen.notified).await?;
        // Times before and after the approval are told apart by their text.
        tokio::time::sleep(Duration::from_millis(2100)).await;
        let approval = json!({"spec": {"decision": {"verdict": "Approve", "reason": "maintenance window agreed"}}});
        world.alice.patch(&paths::request(TEMPLATE_NAMESPACE, TEMPLATE_REQUEST), &approval).await?;
        life.wait_past_the_end("closed", PATIENCE, |seen| seen.closed.is_some()).await?;
        tokio::time::sleep(Duration::from_secs(1)).await;

        let log = world.cluster.audit_log();
        let mut views = vec![];
        audit::since(&log, first, |line| {
            if line.name().starts_with("lockbox-view-") && line.verb == "create" {
                views.extend(recorded(&line));
            }
        })?;
        let path = paths::request(TEMPLATE_NAMESPACE, TEMPLATE_REQUEST);
        let stored = world.admin.get(&path).await?;
        let mut writes = vec![];
        audit::since(&log, second, |line| writes.extend(recorded(&line)))?;
        Self::of(&uid, &stored, &writes, &views)
    }

    /// From what was written, in its order.
    fn of(uid: &str, stored: &Value, writes: &[Write], views: &[Write]) -> Result<Self, Error> {
        let missing = |what: &str| Error::Said(format!("the recorded life has no {what}"));
        let at = |pointer: &str| stored.pointer(pointer).and_then(Value::as_str);
        let time = |pointer: &str| at(pointer).and_then(|text| text.parse().ok()).ok_or_else(|| missing(pointer));
        let created = time("/metadata/creationTimestamp")?;
        let approved: DateTime<Utc> = time("/status/approvedAt")?;
        let until = at("/status/accessUntil").ok_or_else(|| missing("end"))?.to_owned();

        let status = |write: &Write| write.resource == "lockboxrequests/status";
        let granted = writes.iter().position(|write| status(write) && write.body.contains(r#""approvedAt":"#));
        let granted = granted.ok_or_else(|| missing("approval"))?;
        let ended = writes.iter().position(|write| write.method == Method::DELETE && write.resource == "rolebindings");
        let ended = ended.ok_or_else(|| missing("end of its binding"))?;
        // The UID of its Job, which the others name as their owner.
        let role = writes.iter().find(|write| write.resource == "roles" && !write.view);
        let job = role.and_then(|role| serde_json::from_str::<Value>(&role.body).ok());
        let job = job.and_then(|role| Some(role.pointer("/metadata/ownerReferences/0/uid")?.as_str()?.to_owned()));
        let marked = |write: &Write| match &job {
            Some(job) => Write { body: write.body.replace(job.as_str(), JOB), ..write.clone() },
            None => write.clone(),
        };
        let part = |range: std::ops::Range<usize>| writes[range].iter().map(marked).collect::<Vec<_>>();
        let asked = part(0..granted);
        Ok(Self {
            uid: uid.to_owned(),
            created,
            approved,
            until,
            early: asked.iter().flat_map(|write| write.times.clone()).collect(),
            asked,
            granted: part(granted..ended),
            ended: part(ended..writes.len()),
            view_binding: views
                .iter()
                .find(|write| write.resource == "rolebindings")
                .cloned()
                .ok_or_else(|| missing("view"))?,
        })
    }

    /// How many writes a life has.
    pub fn writes(&self) -> usize {
        self.asked.len() + self.granted.len() + self.ended.len()
    }

    /// When the access of a life ends.
    fn until(&self, life: &BareLife) -> Option<DateTime<Utc>> {
        self.shifted(&self.until, life)?.parse().ok()
    }

    /// A time of the recorded life, in another one.
    fn shifted(&self, time: &str, life: &BareLife) -> Option<String> {
        let at: DateTime<Utc> = time.parse().ok()?;
        let shift = if self.early.contains(time) { life.created - self.created } else { life.approved - self.approved };
        let longer = if time == self.until { life.longer } else { 0 };
        let form = if time.contains('.') { SecondsFormat::Micros } else { SecondsFormat::Secs };
        Some((at + TimeDelta::seconds(shift.num_seconds() + longer)).to_rfc3339_opts(form, true))
    }

    /// Path and body of a write in another life.
    pub fn fill(&self, write: &Write, life: &BareLife) -> (String, String) {
        let names = |text: &str| {
            text.replace(&self.uid, &life.uid)
                .replace(TEMPLATE_REQUEST, &life.name)
                .replace(TEMPLATE_NAMESPACE, &life.namespace)
                .replace(TEMPLATE_ENGINEER, &life.engineer)
        };
        let mut body = names(&write.body).replace(VERSION, &life.version).replace(JOB, &life.job);
        for time in &write.times {
            if let Some(shifted) = self.shifted(time, life) {
                body = body.replace(&format!("\"{time}\""), &format!("\"{shifted}\""));
            }
        }
        if life.longer != 0 && write.resource == "jobs" {
            body = with_longer_job(&body, life.longer);
        }
        (names(&write.uri), body)
    }
}

/// A Job that ends by so many seconds later.
fn with_longer_job(body: &str, longer: i64) -> String {
    const SECONDS: &str = r#""activeDeadlineSeconds":"#;
    let Some((before, after)) = body.split_once(SECONDS) else { return body.to_owned() };
    let end = after.find(|digit: char| !digit.is_ascii_digit()).unwrap_or(after.len());
    let seconds = after[..end].parse::<i64>().unwrap_or_default() + longer;
    format!("{before}{SECONDS}{seconds}{}", &after[end..])
}

/// A write of the operator's in the namespace of the recorded life; none for any other line.
fn recorded(line: &Line) -> Option<Write> {
    if line.user.username != OPERATOR || !line.writes() || line.namespace() != TEMPLATE_NAMESPACE {
        return None;
    }
    let method = match line.verb.as_str() {
        "create" => Method::POST,
        "update" => Method::PUT,
        "patch" => Method::PATCH,
        _ => Method::DELETE,
    };
    let mut body = line.request_object.clone().unwrap_or(Value::Null);
    let mut times = BTreeSet::new();
    if let Some(metadata) = body.get_mut("metadata").and_then(Value::as_object_mut) {
        metadata.remove("creationTimestamp");
        if let Some(version) = metadata.get_mut("resourceVersion") {
            *version = json!(VERSION);
        }
    }
    find_times(&body, &mut times);
    let view = line.name().starts_with("lockbox-view-");
    let body = if body.is_null() { String::new() } else { body.to_string() };
    Some(Write { method, uri: line.uri.clone(), resource: line.resource(), body, times, view })
}

fn find_times(value: &Value, times: &mut BTreeSet<String>) {
    match value {
        Value::String(text) if text.ends_with('Z') && text.parse::<DateTime<Utc>>().is_ok() => {
            times.insert(text.clone());
        }
        Value::Array(items) => items.iter().for_each(|item| find_times(item, times)),
        Value::Object(fields) => fields.values().for_each(|field| find_times(field, times)),
        _ => {}
    }
}

impl Write {
    /// Whether it shows requests to an engineer, which happens for several at once.
    pub fn is_view(&self) -> bool {
        self.view
    }

    /// Whether it deletes.
    pub fn is_delete(&self) -> bool {
        self.method == Method::DELETE
    }
}

impl BareLife {
    /// Of a request that was just created.
    pub fn of(metadata: &Meta, engineer: &str) -> Self {
        Self {
            namespace: metadata.namespace.clone(),
            name: metadata.name.clone(),
            engineer: engineer.to_owned(),
            uid: metadata.uid.clone(),
            version: metadata.resource_version.clone(),
            job: String::new(),
            created: Utc::now(),
            approved: Utc::now(),
            longer: 0,
        }
    }

    /// The same with access that is longer than the recorded one by so many seconds.
    pub fn longer(self, seconds: i64) -> Self {
        Self { longer: seconds, ..self }
    }

    /// Takes up an approval that is stored in this version.
    pub fn approve(&mut self, version: String) {
        self.version = version;
        self.approved = Utc::now();
    }

    /// Takes up what an answer says.
    pub fn take(&mut self, write: &Write, answer: &Object) {
        match write.resource.as_str() {
            "lockboxrequests/status" => self.version.clone_from(&answer.metadata.resource_version),
            "jobs" => self.job.clone_from(&answer.metadata.uid),
            _ => {}
        }
    }
}

/// Makes the operator's writes for every request whose name begins with a prefix, until it is dropped.
pub struct Bare {
    task: JoinHandle<()>,
    work: Arc<Work>,
}

/// The Roles that name requests, by namespace and engineer. One bare client after the other goes on with them.
pub type Views = Arc<Mutex<HashMap<(String, String), Arc<AsyncMutex<View>>>>>;

struct Work {
    template: Arc<Template>,
    caller: Caller,
    turns: Semaphore,
    views: Views,
    approvals: Mutex<HashMap<String, oneshot::Sender<String>>>,
    first_error: Mutex<Option<String>>,
}

/// The Role that names one engineer's requests in a namespace.
#[derive(Default)]
pub struct View {
    version: Option<String>,
    named: Vec<String>,
}

impl Bare {
    /// Begins.
    pub async fn start(world: &World, template: Arc<Template>, views: Views, prefix: &str) -> Result<Self, Error> {
        let work = Arc::new(Work {
            template,
            caller: Caller::new(&world.account.kubeconfig).await?,
            turns: Semaphore::new(CONCURRENCY),
            views,
            approvals: Mutex::default(),
            first_error: Mutex::default(),
        });
        let prefix = prefix.to_owned();
        let task = tokio::spawn({
            let work = work.clone();
            async move {
                let each = |change, request: Request| {
                    if request.metadata.name.starts_with(&prefix) {
                        work.see(change, request);
                    }
                };
                work.caller.follow(paths::ALL_REQUESTS, each).await;
            }
        });
        Ok(Self { task, work })
    }

    /// What went wrong first, if anything did.
    pub fn error(&self) -> Option<String> {
        self.work.first_error.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Drop for Bare {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Work {
    fn see(self: &Arc<Self>, change: Change, request: Request) {
        let mut approvals = self.approvals.lock().unwrap_or_else(PoisonError::into_inner);
        if change == Change::Added && request.status.is_none() {
            let (approved, approval) = oneshot::channel();
            approvals.insert(request.metadata.uid.clone(), approved);
            let work = self.clone();
            tokio::spawn(async move {
                if let Err(error) = work.live(&request, approval).await {
                    let mut first = work.first_error.lock().unwrap_or_else(PoisonError::into_inner);
                    first.get_or_insert_with(|| error.to_string());
                }
            });
        } else if change == Change::Modified
            && !request.spec.decisions.is_empty()
            && let Some(approved) = approvals.remove(&request.metadata.uid)
        {
            let _ = approved.send(request.metadata.resource_version);
        }
    }

    async fn live(&self, request: &Request, approval: oneshot::Receiver<String>) -> Result<(), Error> {
        let mut life = BareLife::of(&request.metadata, &request.spec.requester.username);
        let template = self.template.clone();
        self.part(&template.asked, &mut life).await?;
        let Ok(version) = approval.await else { return Ok(()) };
        life.approve(version);
        self.part(&template.granted, &mut life).await?;
        let left = template.until(&life).and_then(|until| (until - Utc::now()).to_std().ok());
        tokio::time::sleep(left.unwrap_or_default()).await;
        self.part(&template.ended, &mut life).await
    }

    async fn part(&self, writes: &[Write], life: &mut BareLife) -> Result<(), Error> {
        let _turn = self.turns.acquire().await;
        for write in writes {
            if write.view {
                self.show(write, life).await?;
            } else {
                let answer = make(&self.caller, &self.template, write, life).await?;
                life.take(write, &answer);
            }
        }
        Ok(())
    }

    /// Lets the engineer's Role name the request as well; the first makes it, with its binding.
    async fn show(&self, write: &Write, life: &BareLife) -> Result<(), Error> {
        let key = (life.namespace.clone(), life.engineer.clone());
        let view = self.views.lock().unwrap_or_else(PoisonError::into_inner).entry(key).or_default().clone();
        let mut view = view.lock().await;
        view.named.push(life.name.clone());
        if view.named.len() > MOST_NAMED {
            view.named.remove(0);
        }
        let name = format!("lockbox-view-{}", life.engineer.split('@').next().unwrap_or_default());
        let named = |write: &Write| {
            let (uri, body) = self.template.fill(write, life);
            let mut body: Value = serde_json::from_str(&body).unwrap_or_default();
            body["metadata"]["name"] = json!(name);
            (uri.rsplit_once('/').map_or(uri.clone(), |(path, _)| path.to_owned()), body)
        };
        let (roles, mut role) = named(write);
        role["rules"][0]["resourceNames"] = json!(view.named);
        let call = async |method: Method, path: &str, body: &Value| {
            let body = body.to_string().into_bytes();
            self.caller.call::<Object>(&method, path, body).await.map_err(Error::call(format!("{method} {path}")))
        };
        let made = if let Some(version) = &view.version {
            role["metadata"]["resourceVersion"] = json!(version);
            call(Method::PUT, &format!("{roles}/{name}"), &role).await?
        } else {
            if let Some(metadata) = role["metadata"].as_object_mut() {
                metadata.remove("resourceVersion");
                metadata.remove("uid");
            }
            let made = call(Method::POST, &roles, &role).await?;
            let mut binding = named(&self.template.view_binding).1;
            binding["roleRef"]["name"] = json!(name);
            call(Method::POST, &roles.replace("/roles", "/rolebindings"), &binding).await?;
            made
        };
        view.version = Some(made.metadata.resource_version);
        Ok(())
    }
}

/// Makes one write.
pub async fn make(caller: &Caller, template: &Template, write: &Write, life: &BareLife) -> Result<Object, Error> {
    let (uri, body) = template.fill(write, life);
    let doing = || format!("{} {} for {}", write.method, write.resource, life.name);
    caller.call(&write.method, &uri, body.into_bytes()).await.map_err(|error| Error::call(doing())(error))
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIFE: &str = "2026-11-29T12:00:00Z";
    const END: &str = "2026-11-29T12:00:09Z";

    fn write(method: Method, resource: &str, body: &Value) -> Write {
        let mut times = BTreeSet::new();
        find_times(body, &mut times);
        let (uri, body) = (format!("/{TEMPLATE_NAMESPACE}/{resource}"), body.to_string());
        Write { method, uri, resource: resource.into(), body, times, view: false }
    }

    fn template() -> Template {
        let status = "lockboxrequests/status";
        let owners = json!({"metadata": {"name": "lockbox-grant-uid-1", "ownerReferences": [{"uid": "job-1"}]}});
        let writes = [
            write(
                Method::PUT,
                status,
                &json!({"metadata": {"resourceVersion": VERSION}, "status": {"notifiedAt": LIFE}}),
            ),
            write(Method::PUT, status, &json!({"status": {"notifiedAt": LIFE, "approvedAt": "2026-11-29T12:00:03Z"}})),
            write(Method::POST, "jobs", &json!({"name": TEMPLATE_REQUEST})),
            write(Method::POST, "roles", &owners),
            write(Method::DELETE, "rolebindings", &json!({})),
            write(Method::PUT, status, &json!({"status": {"endedAt": END}})),
        ];
        let stored = json!({
            "metadata": {"creationTimestamp": LIFE},
            "status": {"approvedAt": "2026-11-29T12:00:03Z", "accessUntil": END},
        });
        let view = write(Method::POST, "rolebindings", &json!({}));
        Template::of("uid-1", &stored, &writes, &[view]).unwrap()
    }

    #[test]
    fn a_recorded_life_has_three_parts_and_its_times_move_with_what_they_follow() {
        let template = template();
        let parts = [template.asked.len(), template.granted.len(), template.ended.len(), template.writes()];
        assert_eq!(parts, [1, 3, 2, 6]);
        let metadata = Meta { name: "sr-2".into(), namespace: "shop".into(), uid: "uid-2".into(), ..Meta::default() };
        let mut life = BareLife::of(&metadata, "kim");
        life.version = "7".into();
        life.created = "2026-11-29T13:00:00Z".parse().unwrap();
        life.approved = "2026-11-29T14:00:00Z".parse().unwrap();
        let body =
            |write: &Write, life: &BareLife| serde_json::from_str::<Value>(&template.fill(write, life).1).unwrap();
        assert_eq!(
            body(&template.asked[0], &life),
            json!({"metadata": {"resourceVersion": "7"}, "status": {"notifiedAt": "2026-11-29T13:00:00Z"}})
        );
        assert_eq!(
            body(&template.granted[0], &life),
            json!({"status": {"notifiedAt": "2026-11-29T13:00:00Z", "approvedAt": "2026-11-29T14:00:00Z"}})
        );
        let job = Object { metadata: Meta { uid: "job-2".into(), ..Meta::default() } };
        life.take(&template.granted[1], &job);
        assert_eq!(
            body(&template.granted[2], &life),
            json!({"metadata": {"name": "lockbox-grant-uid-2", "ownerReferences": [{"uid": "job-2"}]}})
        );
        assert_eq!(template.fill(&template.granted[1], &life).0, "/shop/jobs");
        let longer = life.clone().longer(60);
        assert_eq!(template.until(&longer), Some("2026-11-29T14:01:06Z".parse().unwrap()));
        let job = r#"{"spec":{"activeDeadlineSeconds":11,"x":1}}"#;
        assert_eq!(with_longer_job(job, 60), r#"{"spec":{"activeDeadlineSeconds":71,"x":1}}"#);
        assert_eq!(template.until(&life), Some("2026-11-29T14:00:06Z".parse().unwrap()));
    }
}
