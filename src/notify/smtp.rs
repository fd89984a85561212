//! E-mail, over few connections.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, PoisonError, Weak},
    time::{Duration, Instant},
};

use tokio::{sync::Semaphore, time};

use super::{
    DeliveryStep, Letter, Secrets, Sent, SmtpConfig,
    access::Access,
    delivery::{Failed, WORDS, one_line},
    letter::Sealed,
    session::{CONTENT, Fate, Refused, Report, Session},
};

/// Connections at the same time.
const CONNECTIONS: usize = 4;
/// Letters over one connection: servers count them, too.
const LETTERS: u32 = 100;
/// How long a connection is kept without a letter. Servers end idle ones after some minutes, firewalls silently.
const IDLE: Duration = Duration::from_secs(15);
/// How long a letter waits for a connection while others are sent.
const TURN: Duration = Duration::from_mins(2);
/// An attempt may take as long as this many steps, besides the answer to the message's end.
const STEPS: u32 = 4;

/// The mail server. Clones share their connections.
#[derive(Clone)]
pub struct Smtp {
    shared: Arc<Shared>,
}

struct Shared {
    config: SmtpConfig,
    secrets: Secrets,
    turns: Semaphore,
    idle: Mutex<Idle>,
}

/// Connections that wait for a letter, the longest first.
#[derive(Default)]
struct Idle {
    sessions: VecDeque<(Access, Session)>,
    /// Whether somebody will close those that wait for too long.
    watched: bool,
}

impl Smtp {
    /// A mail server to send by. Nothing is read and nobody is called yet.
    pub fn new(config: SmtpConfig, secrets: Secrets) -> Self {
        let turns = Semaphore::new(CONNECTIONS);
        Smtp { shared: Arc::new(Shared { config, secrets, turns, idle: Mutex::default() }) }
    }

    /// Tries once to hand a letter to the server.
    ///
    /// Credentials are read anew; a connection is used again for as long as they stay the same, for at most 100 letters,
    /// and if it was idle for at most 15 s. At most four are open at once: a letter waits up to 2 min for its turn. After
    /// that an attempt takes at most four times the configured timeout.
    pub async fn send(&self, letter: &Letter) -> Sent {
        self.send_telling(letter, &|_, _| {}).await
    }

    /// The same, and tells of every step that went well, with what was learnt in it. Steps that an earlier letter has
    /// taken on the same connection are not told again.
    pub async fn send_telling(&self, letter: &Letter, report: Report<'_>) -> Sent {
        // A server says what it likes, and this may be shown on a terminal.
        let report = |step, learnt: &str| report(step, &one_line(learnt, WORDS));
        self.shared.clone().send(letter, &report).await.into()
    }
}

impl Shared {
    async fn send(self: Arc<Self>, letter: &Letter, report: Report<'_>) -> Result<(), Failed> {
        let sealed = letter.seal(&self.config.from)?;
        let Ok(Ok(_turn)) = time::timeout(TURN, self.turns.acquire()).await else {
            return Err(Failed::later(DeliveryStep::Timeout, format!("other messages took {} s", TURN.as_secs())));
        };
        // Read when it is used, and not before the wait.
        let access = Access::read(self.config.authentication, &self.secrets).map_err(Failed::Later)?;
        report(
            DeliveryStep::Credentials,
            if access.credentials.is_some() { "read from the Secret" } else { "none needed" },
        );
        let limit = self.config.timeout * (STEPS + CONTENT);
        let attempt = time::timeout(limit, self.attempt(&access, &sealed, report)).await;
        attempt.unwrap_or_else(|_| {
            let words = format!("the server was too slow: {} s in all", limit.as_secs_f32());
            Err(Failed::later(DeliveryStep::Timeout, words))
        })
    }

    async fn attempt(self: &Arc<Self>, access: &Access, letter: &Sealed, report: Report<'_>) -> Result<(), Failed> {
        // Each connection that turns out to be gone is one less, so this ends.
        while let Some(mut session) = self.take(access) {
            match session.send(letter, report).await {
                Err(Refused { connection: Fate::Stale, .. }) => {}
                result => return self.done(access, session, result),
            }
        }
        let mut session = Session::open(&self.config, access, report).await?;
        let result = session.send(letter, report).await;
        self.done(access, session, result)
    }

    /// A connection with this access. Those with another one are closed: the credentials have changed.
    fn take(&self, access: &Access) -> Option<Session> {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        // The one that was used last is the likeliest to be alive.
        while let Some((with, session)) = idle.sessions.pop_back() {
            if with == *access && session.used.elapsed() < IDLE {
                return Some(session);
            }
            tokio::spawn(session.close());
        }
        None
    }

    /// Keeps the connection for the next letter, if it is still good for one.
    fn done(self: &Arc<Self>, access: &Access, session: Session, result: Result<(), Refused>) -> Result<(), Failed> {
        let gone = result.as_ref().err().is_some_and(|refused| refused.connection != Fate::Alive);
        let result = result.map_err(|refused| refused.failed);
        if gone {
            return result;
        }
        if session.letters >= LETTERS {
            tokio::spawn(session.close());
            return result;
        }
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        idle.sessions.push_back((access.clone(), session));
        if !idle.watched {
            idle.watched = true;
            tokio::spawn(close_idle(Arc::downgrade(self)));
        }
        result
    }
}

/// Closes what waits for too long, until nothing waits any more.
async fn close_idle(shared: Weak<Shared>) {
    loop {
        time::sleep(IDLE / 2).await;
        let Some(shared) = shared.upgrade() else { return };
        let (expired, watched) = {
            let mut idle = shared.idle.lock().unwrap_or_else(PoisonError::into_inner);
            let now = Instant::now();
            let (expired, kept) = std::mem::take(&mut idle.sessions)
                .into_iter()
                .partition::<Vec<_>, _>(|(_, session)| now - session.used >= IDLE);
            idle.sessions = kept.into();
            idle.watched = !idle.sessions.is_empty();
            (expired, idle.watched)
        };
        for (_, session) in expired {
            session.close().await;
        }
        if !watched {
            return;
        }
    }
}
