//! A receiver of webhooks, over TLS with an authority of its own.

use std::{
    future,
    net::SocketAddr,
    sync::{Arc, Mutex},
};

use axum::{
    Router,
    body::Bytes,
    extract::{Path, State},
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse as _, Response},
    routing::{any, post},
    serve::Listener,
};
use lockbox_cluster::Loopback;
use rustls::{
    ServerConfig,
    crypto::ring,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _},
};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::{TlsAcceptor, server::TlsStream};

#[derive(Clone, Debug)]
pub struct Received {
    pub headers: HeaderMap,
    pub body: Bytes,
}

impl Received {
    pub fn header(&self, name: &str) -> &str {
        self.headers[name].to_str().unwrap()
    }
}

pub struct Receiver {
    pub loopback: Loopback,
    port: u16,
    received: Arc<Mutex<Vec<Received>>>,
}

impl Receiver {
    pub async fn start() -> Receiver {
        let loopback = Loopback::new().unwrap();
        let tcp = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = tcp.local_addr().unwrap().port();
        let certificate = CertificateDer::from_pem_slice(loopback.certificate_pem.as_bytes()).unwrap();
        let key = PrivateKeyDer::from_pem_slice(loopback.key_pem.as_bytes()).unwrap();
        let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![certificate], key)
            .unwrap();
        let received = Arc::new(Mutex::new(vec![]));
        let router = Router::new()
            .route("/{status}", post(answer))
            .route("/elsewhere/{status}", any(|| async { StatusCode::OK }))
            .with_state(received.clone());
        let listener = Encrypted { tcp, acceptor: TlsAcceptor::from(Arc::new(config)) };
        tokio::spawn(async move { axum::serve(listener, router).await });
        Receiver { loopback, port, received }
    }

    /// Where the status is answered that the path is.
    pub fn url(&self, path: &str) -> String {
        format!("https://localhost:{}/{path}", self.port)
    }

    pub fn received(&self) -> Vec<Received> {
        self.received.lock().unwrap().clone()
    }
}

async fn answer(
    State(received): State<Arc<Mutex<Vec<Received>>>>,
    Path(status): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    received.lock().unwrap().push(Received { headers, body });
    match status.as_str() {
        // As a receiver that works on the message before it answers.
        "slow" => future::pending().await,
        "302" => (StatusCode::FOUND, [(header::LOCATION, "/200")]).into_response(),
        "429" => (StatusCode::TOO_MANY_REQUESTS, [(header::RETRY_AFTER, "7")]).into_response(),
        "503" => (StatusCode::SERVICE_UNAVAILABLE, [(header::RETRY_AFTER, "999999")]).into_response(),
        "endless" => (StatusCode::BAD_REQUEST, "x".repeat(64 * 1024 * 1024)).into_response(),
        status => (StatusCode::from_bytes(status.as_bytes()).unwrap(), "what I\r\nthink of it").into_response(),
    }
}

struct Encrypted {
    tcp: TcpListener,
    acceptor: TlsAcceptor,
}

impl Listener for Encrypted {
    type Io = TlsStream<TcpStream>;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Self::Io, Self::Addr) {
        loop {
            let (stream, address) = self.tcp.accept().await.unwrap();
            // Who does not trust the certificate goes away.
            if let Ok(stream) = self.acceptor.accept(stream).await {
                return (stream, address);
            }
        }
    }

    fn local_addr(&self) -> std::io::Result<SocketAddr> {
        self.tcp.local_addr()
    }
}
