//! One call: measured, and never without an end.

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use futures::{FutureExt as _, future::BoxFuture};
use http::{Request, Response, Uri, Version};
use hyper::body::Incoming;
use hyper_rustls::HttpsConnector;
use hyper_util::client::legacy::{Client as Hyper, connect::HttpConnector};
use kube::client::Body;
use tokio::time::{Instant, timeout};
use tower::BoxError;

use super::{
    Call, Watched,
    body::{Answer, Limit, Silent},
};
use crate::metrics::Metrics;

/// Time for the head of an answer, and between two parts of one. Less than a call may take (`cluster`), so that who waits in
/// vain learns that the connection is the reason.
const ANSWER: Duration = Duration::from_secs(9);
/// How long a watch lasts where nobody answers pings: then silence beyond it is the end of the connection.
const WATCH: Duration = Duration::from_secs(15);
/// How late the end of such a watch may come.
const LATE: Duration = Duration::from_secs(4);

type Client = Arc<Hyper<HttpsConnector<HttpConnector>, Body>>;

/// The innermost layer of the client.
#[derive(Clone)]
pub struct Service(Arc<Shared>);

struct Shared {
    make: Box<dyn Fn() -> Client + Send + Sync>,
    /// With its connections. Where one of them is dead the others probably are.
    client: Mutex<Client>,
    /// Whether the other side speaks HTTP/1.1 alone. Known from the first answer, and that comes before any watch.
    plain: AtomicBool,
    metrics: Metrics,
    watched: Watched,
}

impl Service {
    /// `make` makes a client without connections.
    pub fn new(make: Box<dyn Fn() -> Client + Send + Sync>, metrics: Metrics, watched: Watched) -> Self {
        let client = Mutex::new(make());
        Self(Arc::new(Shared { make, client, plain: AtomicBool::new(false), metrics, watched }))
    }
}

impl tower::Service<Request<Body>> for Service {
    type Response = Response<Answer<Incoming>>;
    type Error = BoxError;
    type Future = BoxFuture<'static, Result<Self::Response, BoxError>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        call(self.0.clone(), request).boxed()
    }
}

async fn call(shared: Arc<Shared>, mut request: Request<Body>) -> Result<Response<Answer<Incoming>>, BoxError> {
    let call = Call::of(request.method(), request.uri());
    if call.is_watch()
        && shared.plain.load(Ordering::Relaxed)
        && let Some(shorter) = for_at_most(request.uri(), WATCH)
    {
        *request.uri_mut() = shorter;
    }
    shared.watched.moved(&call);
    let begun = Instant::now();
    let client = shared.client();
    let answered = timeout(ANSWER, client.request(request)).await;
    let took = begun.elapsed();
    let code = answered.as_ref().ok().and_then(|answer| answer.as_ref().ok()).map(|answer| answer.status().as_u16());
    shared.metrics.called(&call, code, took);
    let (verb, resource, took) = (call.verb, call.resource, took.as_secs_f64());
    tracing::debug!(verb, resource, code, took, "called the API server");
    let answer = match answered {
        Ok(Ok(answer)) => answer,
        Ok(Err(error)) => {
            shared.watched.moved(&call);
            return Err(error.into());
        }
        Err(_) => {
            shared.watched.moved(&call);
            shared.lost(&client);
            return Err(Silent(ANSWER).into());
        }
    };
    let plain = answer.version() < Version::HTTP_2;
    shared.plain.store(plain, Ordering::Relaxed);
    if answer.status().is_success() {
        shared.watched.heard(&call);
    }
    let silence = match (call.is_watch(), plain) {
        (false, _) => Some(ANSWER),
        (true, true) => Some(WATCH + LATE),
        // Its connection is asked whether it lives.
        (true, false) => None,
    };
    let lost: Arc<dyn Fn() + Send + Sync> = {
        let shared = shared.clone();
        Arc::new(move || shared.lost(&client))
    };
    let limit = silence.map(|silence| Limit::new(silence, lost));
    Ok(answer.map(|body| Answer::new(body, call, shared.watched.clone(), limit)))
}

impl Shared {
    fn client(&self) -> Client {
        self.client.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// One of this client's connections is dead: from now on others are used. Whoever waits on the old ones learns of it in
    /// their own time.
    fn lost(&self, suspect: &Client) {
        let mut client = self.client.lock().unwrap_or_else(PoisonError::into_inner);
        if Arc::ptr_eq(&client, suspect) {
            tracing::warn!("the API server does not answer: its connections are taken for dead, and made anew");
            *client = (self.make)();
        }
    }
}

/// The same watch, for no longer than this.
fn for_at_most(uri: &Uri, longest: Duration) -> Option<Uri> {
    let seconds = longest.as_secs().to_string();
    let mut query: Vec<String> =
        uri.query()?.split('&').filter(|pair| !pair.starts_with("timeoutSeconds=")).map(str::to_owned).collect();
    query.push(format!("timeoutSeconds={seconds}"));
    let mut parts = uri.clone().into_parts();
    parts.path_and_query = Some(format!("{}?{}", uri.path(), query.join("&")).parse().ok()?);
    Uri::from_parts(parts).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_watch_is_shortened_and_stays_the_same_otherwise() {
        let uri: Uri = "https://host/api/v1/pods?watch=true&timeoutSeconds=290&labelSelector=a%3Db".parse().unwrap();
        let shorter = for_at_most(&uri, WATCH).unwrap();
        assert_eq!(shorter, "https://host/api/v1/pods?watch=true&labelSelector=a%3Db&timeoutSeconds=15");
    }
}
