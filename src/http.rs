//! Probes and metrics.

use std::{future, net::SocketAddr};

use axum::{
    Router,
    http::{StatusCode, header},
    routing::get,
};

use crate::{health::Health, metrics::Metrics};

/// Serves `/healthz`, `/readyz` and `/metrics` until it is stopped.
pub async fn serve(address: SocketAddr, health: Health, metrics: Metrics) -> std::io::Result<()> {
    let alive = {
        let health = health.clone();
        move || future::ready(answer(health.alive()))
    };
    let ready = move || future::ready(answer(health.ready()));
    let shown = move || {
        let text = metrics.text();
        async move { ([(header::CONTENT_TYPE, "application/openmetrics-text; version=1.0.0; charset=utf-8")], text) }
    };
    let router = Router::new().route("/healthz", get(alive)).route("/readyz", get(ready)).route("/metrics", get(shown));
    let listener = tokio::net::TcpListener::bind(address).await?;
    axum::serve(listener, router).await
}

fn answer(fares: Result<(), String>) -> (StatusCode, String) {
    match fares {
        Ok(()) => (StatusCode::OK, "ok\n".into()),
        Err(why) => (StatusCode::SERVICE_UNAVAILABLE, why + "\n"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_wrong_is_told_with_a_status_that_fails_the_probe() {
        assert_eq!(answer(Ok(())), (StatusCode::OK, "ok\n".into()));
        assert_eq!(answer(Err("starting".into())), (StatusCode::SERVICE_UNAVAILABLE, "starting\n".into()));
    }
}
