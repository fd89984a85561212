//! Between the operator and the API server: sees every write, and holds the one at which the operator is to die.
//!
//! The operator's kubeconfig points here, in plain HTTP. Everything is handed on, watches as they stream. A write about
//! a request has a name, such as `status Approved 2` or `POST rolebindings`. Where a request has a [`Point`], that write
//! is held, once: before the API server has seen it, or after it was stored and before the operator hears of it. Then
//! [`Proxy::reached`] returns, and the test kills.

use std::{
    collections::HashMap,
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use axum::{
    Router,
    body::{Body, to_bytes},
    extract::{Request, State},
    http::{Method, StatusCode, header},
    response::Response,
};
use chrono::{DateTime, TimeDelta};
use kube::Client;
use lockbox_cluster::{Credential, User};
use serde_json::{Value, json};
use tokio::sync::{Notify, watch};

/// Time in which held writes are held together, for one kill. Far below the time limit of the operator's calls.
const TOGETHER: Duration = Duration::from_millis(250);

/// When the operator dies at a write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum When {
    /// The API server never sees the write.
    Before,
    /// It is stored, and the operator never hears of it.
    After,
    /// The API server sees it when the proxy is told to let go.
    Slow,
}

/// At which write of a request the operator dies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Point {
    pub write: String,
    pub when: When,
}

/// What the proxy has seen of one request.
#[derive(Clone, Debug, Default)]
pub struct Seen {
    /// Names of its writes, in the order in which they were first tried.
    pub writes: Vec<String>,
    /// The statuses that were stored, in order.
    pub statuses: Vec<Value>,
}

#[derive(Default)]
struct Memory {
    points: HashMap<String, Point>,
    names: HashMap<String, String>,
    seen: HashMap<String, Seen>,
}

struct Shared {
    client: Client,
    memory: Mutex<Memory>,
    reached: Notify,
    /// How often the operator was killed: what is held is let go when this grows.
    killed: watch::Sender<u32>,
    /// By how much the API server's clock seems to be ahead.
    ahead: Mutex<TimeDelta>,
}

/// A running proxy.
#[derive(Clone)]
pub struct Proxy {
    shared: Arc<Shared>,
    address: SocketAddr,
}

impl Proxy {
    /// Starts it; `client` is its way to the API server.
    pub async fn start(client: Client) -> Self {
        let memory = Mutex::new(Memory::default());
        let (reached, killed, ahead) = (Notify::new(), watch::Sender::new(0), Mutex::default());
        let shared = Arc::new(Shared { client, memory, reached, killed, ahead });
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let router = Router::new().fallback(handle).with_state(shared.clone());
        tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { shared, address }
    }

    /// `account`, but through the proxy.
    pub fn user(&self, account: &User, folder: &Path) -> User {
        let Credential::Token(token) = &account.credential else { panic!("{} has no token", account.name) };
        let kubeconfig: PathBuf = folder.join("through-the-proxy.kubeconfig");
        let config = json!({
            "apiVersion": "v1", "kind": "Config",
            "clusters": [{"name": "proxy", "cluster": {"server": format!("http://{}", self.address)}}],
            "users": [{"name": "operator", "user": {"token": token}}],
            "contexts": [{"name": "proxy", "context": {"cluster": "proxy", "user": "operator"}}],
            "current-context": "proxy",
        });
        std::fs::write(&kubeconfig, config.to_string()).unwrap();
        User { kubeconfig, ..account.clone() }
    }

    /// The operator is to die at this write of the request of this name.
    pub fn arm(&self, request: &str, point: Point) {
        self.memory().points.insert(request.to_owned(), point);
    }

    /// Points that no write has reached yet, by request.
    pub fn armed(&self) -> Vec<(String, Point)> {
        self.memory().points.iter().map(|(name, point)| (name.clone(), point.clone())).collect()
    }

    /// What it has seen of the request of this name.
    pub fn seen(&self, request: &str) -> Seen {
        self.memory().seen.get(request).cloned().unwrap_or_default()
    }

    /// Waits until a write is held, at most this long. Others may be at theirs a little later: they get the time, and
    /// are spared a start of the operator each.
    pub async fn reached(&self, most: Duration) -> bool {
        let reached = tokio::time::timeout(most, self.shared.reached.notified()).await.is_ok();
        if reached {
            tokio::time::sleep(TOGETHER).await;
        }
        reached
    }

    /// Lets go what is held. Of those who were killed nobody is there any more to hear the answers; what is slow goes on.
    pub fn killed(&self) {
        self.shared.killed.send_modify(|count| *count += 1);
    }

    /// From now on the API server's clock seems to be ahead by this much.
    pub fn set_clock(&self, ahead: TimeDelta) {
        *self.shared.ahead.lock().unwrap() = ahead;
    }

    fn memory(&self) -> MutexGuard<'_, Memory> {
        self.shared.memory()
    }
}

impl Shared {
    fn memory(&self) -> MutexGuard<'_, Memory> {
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whose write it is and what it is called; none for what is no write about a request.
    fn write(&self, method: &Method, path: &str, query: &str, body: &[u8]) -> Option<(String, String)> {
        if ![Method::POST, Method::PUT, Method::PATCH, Method::DELETE].contains(method) || query.contains("dryRun") {
            return None;
        }
        let object: Value = serde_json::from_slice(body).unwrap_or_default();
        let parts: Vec<&str> = path.split('/').collect();
        let text = |pointer: &str| object.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
        let mut memory = self.memory();
        if let [.., "lockboxrequests", name, "status"] = parts[..] {
            memory.names.insert(text("/metadata/uid").to_owned(), name.to_owned());
            let entries = object.pointer("/status/history").and_then(Value::as_array).map_or(0, Vec::len);
            let closed = if object.pointer("/status/closed") == Some(&json!(true)) { " closed" } else { "" };
            return Some((name.to_owned(), format!("status {} {entries}{closed}", text("/status/phase"))));
        }
        let (resource, name) = match *method {
            Method::POST => (*parts.last()?, text("/metadata/name")),
            _ => (*parts.get(parts.len().checked_sub(2)?)?, *parts.last()?),
        };
        let (uid, sequence) = match name.strip_prefix("lockbox-grant-") {
            Some(uid) => (uid, ""),
            None => name.strip_prefix("lockbox.")?.split_once('.')?,
        };
        let request = memory.names.get(uid)?.clone();
        Some((request, format!("{method} {resource} {sequence}").trim_end().to_owned()))
    }

    /// Holds a write for good.
    async fn hold(&self) -> Response {
        let mut killed = self.killed.subscribe();
        killed.borrow_and_update();
        self.reached.notify_one();
        let _ = killed.changed().await;
        gone("the operator was killed")
    }
}

fn gone(why: &str) -> Response {
    Response::builder().status(StatusCode::BAD_GATEWAY).body(Body::from(why.to_owned())).unwrap()
}

async fn handle(State(shared): State<Arc<Shared>>, request: Request) -> Response {
    let (mut head, body) = request.into_parts();
    // Each connection has its own.
    for header in [header::HOST, header::AUTHORIZATION, header::CONNECTION, header::TRANSFER_ENCODING] {
        head.headers.remove(header);
    }
    head.version = axum::http::Version::HTTP_11;
    let Ok(body) = to_bytes(body, usize::MAX).await else { return gone("the operator went away") };
    let write = shared.write(&head.method, head.uri.path(), head.uri.query().unwrap_or_default(), &body);
    let mut point = None;
    if let Some((name, what)) = &write {
        let mut memory = shared.memory();
        let seen = memory.seen.entry(name.clone()).or_default();
        if !seen.writes.contains(what) {
            seen.writes.push(what.clone());
        }
        if memory.points.get(name).is_some_and(|point| point.write == *what) {
            point = memory.points.remove(name);
        }
    }
    if point.as_ref().is_some_and(|point| point.when == When::Before) {
        return shared.hold().await;
    }
    let slow = point.take_if(|point| point.when == When::Slow);
    if slow.is_some() {
        shared.hold().await;
    }
    let forwarded = axum::http::Request::from_parts(head, kube::client::Body::from(body));
    let mut answer = match shared.client.send(forwarded).await {
        Ok(answer) => answer.map(Body::new),
        Err(error) => return gone(&format!("no way to the API server: {error}")),
    };
    *answer.version_mut() = axum::http::Version::HTTP_11;
    for header in [header::CONNECTION, header::TRANSFER_ENCODING] {
        answer.headers_mut().remove(header);
    }
    let ahead = *shared.ahead.lock().unwrap();
    if !ahead.is_zero()
        && let Some(date) = answer.headers_mut().get_mut(header::DATE)
    {
        let real = DateTime::parse_from_rfc2822(date.to_str().unwrap()).unwrap();
        *date = (real + ahead).format("%a, %d %b %Y %H:%M:%S GMT").to_string().parse().unwrap();
    }
    let Some((name, what)) = write else { return answer };
    let (head, body) = answer.into_parts();
    let Ok(body) = to_bytes(body, usize::MAX).await else { return gone("the API server broke off") };
    if head.status.is_success() && what.starts_with("status ") {
        let stored: Value = serde_json::from_slice(&body).unwrap();
        shared.memory().seen.entry(name).or_default().statuses.push(stored["status"].clone());
    }
    if point.is_some() {
        return shared.hold().await;
    }
    Response::from_parts(head, Body::from(body))
}
