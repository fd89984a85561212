//! The way to the API server: one HTTP/2 connection that is asked from time to time whether it still lives, or, where
//! something in between speaks HTTP/1.1 alone, several whose silence is bounded. A connection that swallows what it is given
//! looks like one on which nothing happens, and on it nobody hears of a revocation.

mod body;
mod call;
mod service;
mod watched;

use std::{sync::Arc, time::Duration};

use hyper_rustls::{FixedServerNameResolver, HttpsConnector, HttpsConnectorBuilder};
use hyper_util::{
    client::legacy::{Client as Hyper, connect::HttpConnector},
    rt::{TokioExecutor, TokioTimer},
};
use kube::{
    Client, Config,
    client::{Body, ClientBuilder, ConfigExt as _, retry::RetryPolicy},
};
use tower::{ServiceBuilder, retry::RetryLayer};

use self::service::Service;
pub use self::{call::Call, watched::Watched};
use crate::metrics::Metrics;

/// Time between two questions whether the connection lives, while nothing comes by itself.
const PING: Duration = Duration::from_secs(10);
/// Time for the answer. With [`PING`] it bounds for how long a dead connection goes unnoticed.
const PONG: Duration = Duration::from_secs(5);
/// The same by TCP, for what hears no pings.
const PROBES: u32 = 2;
/// Time for a new connection to come about.
const CONNECT: Duration = Duration::from_secs(5);
/// How much of one answer may be on its way without having been read: of a watch, too, whose reader is busy.
const ANSWER_WINDOW: u32 = 1 << 20;
/// The same for all answers together: as much as all watches take, so that no busy reader holds up the others.
const WINDOW: u32 = 32 << 20;

/// Why there is no way to the API server.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The configuration cannot be used.
    #[error(transparent)]
    Kube(#[from] kube::Error),
    /// The name for which the API server shows a certificate is no name.
    #[error("tls-server-name {0} is not a name")]
    ServerName(String),
}

/// A client, and what is known of its calls.
pub struct Connection {
    /// The client.
    pub(crate) client: Client,
    /// What is counted.
    pub(crate) metrics: Metrics,
    /// When each watch last heard anything.
    pub(crate) watched: Watched,
}

impl Connection {
    /// By this configuration. Nothing is connected yet.
    pub fn new(config: Config) -> Result<Self, Error> {
        let (metrics, watched) = (Metrics::default(), Watched::default());
        {
            let watched = watched.clone();
            metrics.when_asked(move |seen| watched.silent().into_iter().for_each(|(on, age)| seen.watch(on, age)));
        }
        // It says itself that this build knows no proxies.
        if config.proxy_url.is_some() {
            let client = ClientBuilder::try_from(config)?.build();
            return Ok(Self { client, metrics, watched });
        }
        let connector = connector(&config)?;
        let service = Service::new(Box::new(move || hyper(connector.clone())), metrics.clone(), watched.clone());
        // The same layers as kube's own, in the same order: tokens are read again when they are renewed.
        let service = ServiceBuilder::new()
            .layer(config.base_uri_layer())
            .option_layer(config.default_retry.then(|| RetryLayer::new(RetryPolicy::server_retry())))
            .option_layer(config.auth_layer()?)
            .layer(config.extra_headers_layer()?)
            .service(service);
        let client = ClientBuilder::new(service, config.default_namespace).build();
        Ok(Self { client, metrics, watched })
    }
}

/// Connects by TCP and TLS, and has both sides agree on HTTP/2.
fn connector(config: &Config) -> Result<HttpsConnector<HttpConnector>, Error> {
    let mut tcp = HttpConnector::new();
    tcp.enforce_http(false);
    tcp.set_nodelay(true);
    tcp.set_connect_timeout(Some(config.connect_timeout.map_or(CONNECT, |configured| configured.min(CONNECT))));
    tcp.set_keepalive(Some(PING));
    tcp.set_keepalive_interval(Some(PONG));
    tcp.set_keepalive_retries(Some(PROBES));
    #[cfg(target_os = "linux")]
    tcp.set_tcp_user_timeout(Some(PING + PONG));
    let builder = HttpsConnectorBuilder::new().with_tls_config(config.rustls_client_config()?).https_or_http();
    let builder = match &config.tls_server_name {
        Some(name) => {
            let resolved = name.clone().try_into().map_err(|_| Error::ServerName(name.clone()))?;
            builder.with_server_name_resolver(FixedServerNameResolver::new(resolved))
        }
        None => builder,
    };
    Ok(builder.enable_all_versions().wrap_connector(tcp))
}

/// A client without a connection.
fn hyper(connector: HttpsConnector<HttpConnector>) -> Arc<Hyper<HttpsConnector<HttpConnector>, Body>> {
    let client = Hyper::builder(TokioExecutor::new())
        .timer(TokioTimer::new())
        .http2_keep_alive_interval(PING)
        .http2_keep_alive_timeout(PONG)
        .http2_keep_alive_while_idle(true)
        .http2_initial_stream_window_size(ANSWER_WINDOW)
        .http2_initial_connection_window_size(WINDOW)
        .build(connector);
    Arc::new(client)
}
