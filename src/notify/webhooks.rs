//! Webhooks: signed HTTPS requests.

use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};

use reqwest::{Client, Response, StatusCode, Url, header, redirect};

use super::{
    DeliveryStep, Post, Secrets, Sent, Trouble,
    delivery::{Failed, causes},
    post::Keys,
    secrets,
    session::Report,
    trust::{self, Trust},
};

/// How long a connection may take.
const CONNECT: Duration = Duration::from_secs(5);
/// How long a whole attempt may take. Who answers later is asked again, and finds the same id.
const ATTEMPT: Duration = Duration::from_secs(15);
/// How long an unused connection is kept.
const IDLE: Duration = Duration::from_secs(15);
/// Most bytes of an answer that are read.
const ANSWER: usize = 1024;
/// The longest that a receiver may ask us to wait.
const AFTER: Duration = Duration::from_hours(1);
/// Most bytes of a webhook's name.
const NAME: usize = 63;

/// The webhooks of a mounted Secret, by their names.
pub struct Webhooks {
    secrets: Secrets,
    limit: Duration,
    /// With the customer's authorities that it was made for.
    client: Mutex<Option<(Option<String>, Client)>>,
}

impl Webhooks {
    /// Webhooks whose addresses and keys are in this Secret. Nothing is read and nobody is called yet.
    pub fn new(secrets: Secrets) -> Self {
        Webhooks { secrets, limit: ATTEMPT, client: Mutex::default() }
    }

    /// The same, with another limit on an attempt than 15 s.
    #[must_use]
    pub fn within(self, limit: Duration) -> Self {
        Webhooks { limit, ..self }
    }

    /// Tries once to deliver a message to the webhook of this name.
    ///
    /// Address and keys are read anew. Redirects are not followed: they would take the message to somebody who is not in
    /// the Secret. Proxies are those of `HTTPS_PROXY` and `NO_PROXY`. An attempt takes at most 15 s, however slowly the
    /// receiver answers, and at most 1 KiB of the answer is read.
    pub async fn send(&self, name: &str, post: &Post) -> Sent {
        self.send_telling(name, post, &|_, _| {}).await
    }

    /// The same, and tells of every step that went well.
    pub async fn send_telling(&self, name: &str, post: &Post, report: Report<'_>) -> Sent {
        self.attempt(name, post, report).await.into()
    }

    async fn attempt(&self, name: &str, post: &Post, report: Report<'_>) -> Result<(), Failed> {
        post.check()?;
        let content_type = header::HeaderValue::from_str(&post.content_type)
            .map_err(|_| Failed::never(DeliveryStep::Content, "the content type is no header's value"))?;
        let (url, keys) = self.destination(name).map_err(Failed::Later)?;
        let client = self.client().map_err(Failed::Later)?;
        report(
            DeliveryStep::Credentials,
            if keys.is_empty() { "address read; unsigned" } else { "address and keys read" },
        );
        let mut request = client
            .post(url)
            .timeout(self.limit)
            .header(header::CONTENT_TYPE, content_type)
            .header("webhook-id", &post.id)
            .header("webhook-timestamp", post.at.timestamp());
        if !keys.is_empty() {
            request = request.header("webhook-signature", post.signatures(&keys));
        }
        let answer = request.body(post.body.clone()).send().await.map_err(|error| self.broken(error))?;
        let (status, after) = (answer.status(), retry_after(&answer));
        if status.is_success() {
            report(DeliveryStep::Status, &status.to_string());
            return Ok(());
        }
        let said = beginning(answer).await;
        let mut trouble = Trouble::new(DeliveryStep::Status, format!("{status} {said}"));
        trouble.after = after;
        Err(if is_final(status) { Failed::Never(trouble) } else { Failed::Later(trouble) })
    }

    fn destination(&self, name: &str) -> Result<(Url, Keys), Trouble> {
        let known = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        if name.is_empty() || name.len() > NAME || !name.chars().all(known) {
            let words = "a webhook's name has at most 63 small letters, digits and -";
            return Err(Trouble::new(DeliveryStep::Configuration, words));
        }
        let (url_file, keys_file) = (format!("webhook-{name}-url"), format!("webhook-{name}-secret"));
        let url = self.secrets.line(&url_file)?;
        let url = Url::parse(&url).map_err(|error| secrets::trouble(&url_file, &format!("is no URL: {error}")))?;
        if url.scheme() != "https" {
            return Err(secrets::trouble(&url_file, "must begin with https://"));
        }
        Ok((url, Keys::parse(&keys_file, &self.secrets.read(&keys_file)?)?))
    }

    /// The client for the authorities that count now.
    fn client(&self) -> Result<Client, Trouble> {
        let ca = self.secrets.optional(trust::FILE)?;
        let mut kept = self.client.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, client)) = kept.as_ref().filter(|(with, _)| *with == ca) {
            return Ok(client.clone());
        }
        let client = Client::builder()
            .tls_backend_preconfigured(Trust::new(ca.as_deref())?.client()?)
            .https_only(true)
            .redirect(redirect::Policy::none())
            .referer(false)
            .connect_timeout(CONNECT)
            .pool_idle_timeout(IDLE)
            .pool_max_idle_per_host(2)
            .user_agent(concat!("lockbox/", env!("CARGO_PKG_VERSION")))
            .build()
            .map_err(|error| Trouble::new(DeliveryStep::Configuration, causes(&error.without_url())))?;
        *kept = Some((ca, client.clone()));
        Ok(client)
    }

    /// No answer came. The address stays out of the words: who has it can post.
    fn broken(&self, error: reqwest::Error) -> Failed {
        let error = error.without_url();
        if error.is_timeout() {
            let failed =
                Failed::later(DeliveryStep::Timeout, format!("no answer within {} s", self.limit.as_secs_f32()));
            return if error.is_connect() { failed } else { failed.uncertain() };
        }
        let words = causes(&error);
        let step = if is_tls(&error) {
            DeliveryStep::Tls
        } else if words.contains("dns error") {
            DeliveryStep::Resolve
        } else {
            DeliveryStep::Connect
        };
        Failed::later(step, words)
    }
}

/// A refusal that no later attempt changes. Where nobody is known (401, 403, 404) or a redirect points elsewhere, address
/// and keys may be on their way.
fn is_final(status: StatusCode) -> bool {
    let later = [
        StatusCode::UNAUTHORIZED,
        StatusCode::FORBIDDEN,
        StatusCode::NOT_FOUND,
        StatusCode::PROXY_AUTHENTICATION_REQUIRED,
        StatusCode::REQUEST_TIMEOUT,
        StatusCode::TOO_EARLY,
        StatusCode::TOO_MANY_REQUESTS,
    ];
    status.is_client_error() && !later.contains(&status)
}

/// How long the receiver asks us to wait, in seconds or as a date.
fn retry_after(answer: &Response) -> Option<Duration> {
    let text = answer.headers().get(header::RETRY_AFTER)?.to_str().ok()?;
    let wait = if let Ok(seconds) = text.trim().parse() {
        Duration::from_secs(seconds)
    } else {
        let at = chrono::DateTime::parse_from_rfc2822(text.trim()).ok()?;
        (at.to_utc() - chrono::Utc::now()).to_std().ok()?
    };
    Some(wait.min(AFTER))
}

/// The beginning of an answer, whatever came of the rest.
async fn beginning(mut answer: Response) -> String {
    let mut bytes = Vec::new();
    while bytes.len() < ANSWER {
        match answer.chunk().await {
            Ok(Some(chunk)) => bytes.extend_from_slice(&chunk[..chunk.len().min(ANSWER - bytes.len())]),
            _ => break,
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

fn is_tls(error: &reqwest::Error) -> bool {
    let mut next = std::error::Error::source(error);
    for _ in 0..8 {
        let Some(cause) = next else { break };
        if cause.is::<rustls::Error>() {
            return true;
        }
        // An I/O error hides what it wraps from its sources.
        let wrapped = cause.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref);
        next = wrapped.map(|wrapped| wrapped as &dyn std::error::Error).or_else(|| cause.source());
    }
    false
}
