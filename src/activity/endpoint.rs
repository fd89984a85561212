//! The endpoint that the API server's audit webhook backend posts to.
//!
//! An API server repeats a batch that was not answered with 200, for some minutes; so a batch that comes while it is not
//! known yet which accesses there are is refused with 503. Everything is bounded: connections, the time for each part of a
//! call, the bytes of a batch, and how many batches are read at the same time.

use std::{
    convert::Infallible,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use http::{HeaderMap, Method, Request, Response, StatusCode, header};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::{
    body::{Bytes, Incoming},
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::{TokioIo, TokioTimer};
use lockbox_activity::read_list;
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore, watch},
    time::timeout,
};
use tokio_rustls::TlsAcceptor;

use super::{Books, credentials::Credentials, records::Records};
use crate::{config, health::Health, metrics::Metrics};

/// Connections at the same time: each API server has one, or a few.
const MOST_CONNECTIONS: usize = 64;
/// Batches that are read at the same time: each takes its own bytes and about as much again.
const MOST_BATCHES: usize = 2;
/// Bytes of a batch. An API server keeps its own below 10 MiB.
const LARGEST_BATCH: usize = 16 * 1024 * 1024;
/// How long a handshake may take.
const HANDSHAKE: Duration = Duration::from_secs(10);
/// How long a connection may wait for the next call.
const HEADERS: Duration = Duration::from_mins(1);
/// How long a batch may take to arrive, once it has begun.
const BODY: Duration = Duration::from_secs(30);
/// How long a batch waits for its turn.
const TURN: Duration = Duration::from_secs(10);
/// How often it is said what came, while anything does.
const SAID: Duration = Duration::from_mins(10);

/// Why there is no endpoint.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Anybody could post to it.
    #[error("the audit stream: {0}")]
    Credentials(#[from] super::credentials::Error),
    /// Its address, or the file for records, cannot be opened.
    #[error("the audit stream: {0}: {1}")]
    Open(String, std::io::Error),
}

/// An endpoint that listens.
pub struct Endpoint {
    listener: TcpListener,
    shared: Arc<Shared>,
}

/// What all connections share.
struct Shared {
    credentials: Credentials,
    books: Arc<Books>,
    health: Health,
    /// Where the operator that acts takes the stream, while another does.
    elsewhere: watch::Receiver<Option<SocketAddr>>,
    batches: Semaphore,
    /// Calls without the right token.
    refused: AtomicU64,
}

impl Endpoint {
    /// Reads the credentials and takes the address. Refuses what anybody could post to.
    pub async fn open(
        config: config::Activity,
        health: Health,
        metrics: Metrics,
        elsewhere: watch::Receiver<Option<SocketAddr>>,
    ) -> Result<Self, Error> {
        let records = match &config.log {
            Some(path) => Some(Records::open(path).map_err(|error| Error::Open(path.display().to_string(), error))?),
            None => None,
        };
        let listen = config.listen;
        let credentials = Credentials::read(config)?;
        let listener = TcpListener::bind(listen).await.map_err(|error| Error::Open(listen.to_string(), error))?;
        let books = Arc::new(Books::new(records, metrics));
        let (batches, refused) = (Semaphore::new(MOST_BATCHES), AtomicU64::new(0));
        let shared = Shared { credentials, books, health, elsewhere, batches, refused };
        Ok(Self { listener, shared: Arc::new(shared) })
    }

    /// What is known from it.
    pub fn books(&self) -> Arc<Books> {
        self.shared.books.clone()
    }

    /// Serves for ever.
    pub async fn serve(self) {
        let Self { listener, shared } = self;
        let accept = async {
            let slots = Arc::new(Semaphore::new(MOST_CONNECTIONS));
            loop {
                let Ok(slot) = slots.clone().acquire_owned().await else { return };
                match listener.accept().await {
                    Ok((stream, peer)) => {
                        tokio::spawn(connection(stream, peer, shared.clone(), slot));
                    }
                    Err(error) => {
                        // Out of file descriptors, mostly: others may be given back.
                        tracing::warn!(%error, "the audit stream: a connection was not taken");
                        tokio::time::sleep(Duration::from_secs(1)).await;
                    }
                }
            }
        };
        tokio::select! {
            () = accept => {}
            () = shared.credentials.keep_up() => {}
            () = say(&shared.books) => {}
        }
    }
}

/// Says what came and what was dropped.
async fn say(books: &Books) {
    let mut said = books.counters();
    loop {
        tokio::time::sleep(SAID).await;
        let now = books.counters();
        if now != said {
            tracing::info!(
                events = now.events,
                taken = now.taken,
                repeated = now.repeated,
                unreadable = now.unreadable,
                not_followed = now.not_followed,
                "the audit stream, since the start"
            );
            said = now;
        }
    }
}

async fn connection(stream: TcpStream, peer: SocketAddr, shared: Arc<Shared>, slot: OwnedSemaphorePermit) {
    let _slot = slot;
    let other = *shared.elsewhere.borrow();
    if let Some(other) = other {
        return hand_on(stream, other, shared.elsewhere.clone()).await;
    }
    let Some(tls) = shared.credentials.tls() else { return };
    let acceptor = TlsAcceptor::from(tls);
    let stream = match timeout(HANDSHAKE, acceptor.accept(stream)).await {
        Ok(Ok(stream)) => stream,
        Ok(Err(error)) => {
            tracing::debug!(%peer, %error, "the audit stream: a connection was refused");
            return;
        }
        Err(_) => return,
    };
    let service = service_fn(|request| {
        let shared = shared.clone();
        async move { Ok::<_, Infallible>(answered(request, peer, &shared).await) }
    });
    let served = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADERS)
        .serve_connection(TokioIo::new(stream), service)
        .await;
    if let Err(error) = served {
        tracing::debug!(%peer, %error, "the audit stream: a connection ended");
    }
}

/// Hands a connection on as it is to the operator that acts: whom that believes is its own affair. Nobody hands it back, since
/// who acts hands on nothing.
async fn hand_on(mut stream: TcpStream, other: SocketAddr, mut elsewhere: watch::Receiver<Option<SocketAddr>>) {
    let handed = async {
        let mut there = timeout(HANDSHAKE, TcpStream::connect(other)).await??;
        tokio::io::copy_bidirectional(&mut stream, &mut there).await
    };
    tokio::select! {
        done = handed => {
            if let Err(error) = done {
                tracing::debug!(%other, %error, "the audit stream: a connection was not handed on");
            }
        }
        // Another acts now: the API server connects anew.
        _ = elsewhere.wait_for(|now| *now != Some(other)) => {}
    }
}

async fn answered(request: Request<Incoming>, peer: SocketAddr, shared: &Arc<Shared>) -> Response<Full<Bytes>> {
    let (status, words) = taken(request, peer, shared).await;
    let mut response = Response::new(Full::new(Bytes::from_static(words.as_bytes())));
    *response.status_mut() = status;
    if status == StatusCode::SERVICE_UNAVAILABLE {
        // The next connection may reach another operator.
        response.headers_mut().insert(header::CONNECTION, header::HeaderValue::from_static("close"));
    }
    response
}

/// Takes a batch. Whoever is not allowed to post learns nothing else.
async fn taken(request: Request<Incoming>, peer: SocketAddr, shared: &Arc<Shared>) -> (StatusCode, &'static str) {
    if !shared.credentials.allow(authorization(request.headers())) {
        shared.books.refused();
        let refused = shared.refused.fetch_add(1, Ordering::Relaxed) + 1;
        // Whoever tries over and over fills no log.
        if refused.is_power_of_two() {
            tracing::warn!(%peer, refused, "the audit stream: a call without the right token was refused");
        }
        return (StatusCode::UNAUTHORIZED, "the token is missing or wrong\n");
    }
    if request.method() != Method::POST {
        return (StatusCode::METHOD_NOT_ALLOWED, "post an EventList of audit.k8s.io/v1\n");
    }
    if !shared.health.is_started() {
        return (StatusCode::SERVICE_UNAVAILABLE, "this operator does not act, or is starting: post it again\n");
    }
    let Ok(Ok(_turn)) = timeout(TURN, shared.batches.acquire()).await else {
        return (StatusCode::TOO_MANY_REQUESTS, "busy: post it again\n");
    };
    let body = match timeout(BODY, Limited::new(request.into_body(), LARGEST_BATCH).collect()).await {
        Ok(Ok(body)) => body.to_bytes(),
        Ok(Err(error)) if error.is::<http_body_util::LengthLimitError>() => {
            tracing::error!(%peer, "the audit stream: a batch was too large; what is in it is lost");
            shared.books.lost();
            return (StatusCode::PAYLOAD_TOO_LARGE, "too large\n");
        }
        Ok(Err(_)) | Err(_) => return (StatusCode::REQUEST_TIMEOUT, "it did not arrive: post it again\n"),
    };
    // A batch can have megabytes: other tasks go on meanwhile.
    let books = shared.books.clone();
    let read = tokio::task::spawn_blocking(move || read_list(&body).map(|calls| books.take(&calls))).await;
    match read {
        Ok(Ok(())) => (StatusCode::OK, ""),
        Ok(Err(error)) => {
            tracing::error!(%peer, %error, "the audit stream: a batch could not be read; what is in it is lost");
            shared.books.lost();
            (StatusCode::BAD_REQUEST, "no EventList of audit.k8s.io/v1\n")
        }
        Err(_) => (StatusCode::INTERNAL_SERVER_ERROR, "post it again\n"),
    }
}

fn authorization(headers: &HeaderMap) -> Option<&[u8]> {
    headers.get(header::AUTHORIZATION).map(http::HeaderValue::as_bytes)
}
