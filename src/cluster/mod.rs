//! Every call that writes to the API server, and the few reads that decide whether to write. Whoever asks which rights
//! the operator needs reads this module. Each call has a time limit of its own: the client retries by itself for
//! longer than a deadline can wait.

mod admission;
mod canary;
mod clock;
mod discovery;
mod events;
mod grants;
mod lease;
mod people;
mod placement;
mod rbac;
mod removal;
mod status;
mod sweep;
mod views;

use std::{
    fmt::Debug,
    future::Future,
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};

use chrono::Utc;
use k8s_openapi::api::rbac::v1::ClusterRole;
use kube::{
    Api, Client,
    api::{DeleteParams, ListParams},
    core::{DeserializeGuard as Guarded, Status},
};
use serde::de::DeserializeOwned;

pub use discovery::OurKinds;
pub use events::EventRecord;
pub use grants::{NotGranted, Prepared};
pub use sweep::FoundGrant;
pub use views::named_by;

use self::{admission::Refused, placement::Placements};
use crate::config::Config;
use lockbox_api::{LockboxSettings, RoleAssignment, names};
use lockbox_lifecycle::RoleView;

/// Objects a page of a list.
const PAGE: u32 = 500;
/// How long one call may take.
const CALL: Duration = Duration::from_secs(10);

/// Why a call to the API server failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The API server, or the way to it.
    #[error("{doing}: {}", words(source))]
    Kube {
        /// What was being done.
        doing: &'static str,
        /// What came back.
        source: Box<kube::Error>,
    },
    /// No answer within the time limit.
    #[error("{doing}: no answer from the API server within {} s", within.as_secs())]
    TimedOut {
        /// What was being done.
        doing: &'static str,
        /// The limit.
        within: Duration,
    },
    /// A request that does not settle: a bug, or a definition that drops what we write.
    #[error("the request does not come to rest: are the CustomResourceDefinitions those of this version?")]
    Restless,
    /// An object of the name that we would use is somebody else's.
    #[error("{kind} {name} exists and is not ours: {what}")]
    Foreign {
        /// Kind of the object.
        kind: &'static str,
        /// Its name.
        name: String,
        /// What is wrong with it.
        what: String,
    },
    /// An object of the name that we would use is being deleted.
    #[error("{kind} {name} is being deleted, and its name is free only when it is gone")]
    Ending {
        /// Kind of the object.
        kind: &'static str,
        /// Its name.
        name: String,
    },
}

impl Error {
    /// What stands in the way, in one word, for a condition.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Foreign { .. } => "Foreign",
            Self::Ending { .. } => "Ending",
            Self::TimedOut { .. } => "NoAnswer",
            Self::Kube { .. } if self.namespace_is_ending() => "NamespaceEnding",
            Self::Kube { .. } if self.is_forbidden() || self.is_invalid() => "Refused",
            Self::Kube { .. } | Self::Restless => "Failed",
        }
    }

    /// What kind of failure it is, in one word, for metrics.
    pub fn class(&self) -> &'static str {
        match self {
            Self::Restless => "Restless",
            _ if self.is_conflict() => "Conflict",
            _ if self.is_unreadable() => "Unreadable",
            Self::Kube { source, .. } => match source.as_ref() {
                kube::Error::Api(status) if status.code >= 500 || status.code == 429 => "ServerError",
                kube::Error::Api(_) => self.reason(),
                _ => "NoAnswer",
            },
            Self::TimedOut { .. } | Self::Foreign { .. } | Self::Ending { .. } => self.reason(),
        }
    }

    /// The object is there, and this version of the operator cannot read it.
    pub fn is_unreadable(&self) -> bool {
        matches!(self, Self::Kube { source, .. } if matches!(**source, kube::Error::SerdeError(_)))
    }

    /// Somebody wrote the object in between: look again.
    pub fn is_conflict(&self) -> bool {
        self.status().is_some_and(Status::is_conflict)
    }

    /// Somebody was faster, with a write or with making it.
    pub fn is_overtaken(&self) -> bool {
        self.is_conflict() || self.already_exists()
    }

    /// The API server, or somebody whom it asked, said no: trying again at once is of no use.
    pub fn is_refusal(&self) -> bool {
        self.status().is_some_and(|status| (400..500).contains(&status.code) && status.code != 429)
    }

    fn status(&self) -> Option<&Status> {
        match self {
            Self::Kube { source, .. } => match source.as_ref() {
                kube::Error::Api(status) => Some(status),
                _ => None,
            },
            Self::TimedOut { .. } | Self::Restless | Self::Foreign { .. } | Self::Ending { .. } => None,
        }
    }

    fn is_not_found(&self) -> bool {
        self.status().is_some_and(Status::is_not_found)
    }

    fn is_forbidden(&self) -> bool {
        self.status().is_some_and(Status::is_forbidden)
    }

    fn is_invalid(&self) -> bool {
        self.status().is_some_and(Status::is_invalid)
    }

    fn already_exists(&self) -> bool {
        self.status().is_some_and(Status::is_already_exists)
    }

    /// The namespace is being deleted, or is gone: what belongs in it goes with it.
    pub fn namespace_is_ending(&self) -> bool {
        self.status().is_some_and(|status| {
            status.is_not_found()
                || (status.is_forbidden()
                    && (status.message.contains("is being terminated") || status.message.contains("being deleted")))
        })
    }
}

/// The API server, as the operator uses it.
#[derive(Clone)]
pub struct Cluster {
    client: Client,
    config: Config,
    placements: Arc<Placements>,
    refused: Arc<Refused>,
    /// Since when this process has been acting, in milliseconds since 1970.
    acts_since: Arc<AtomicI64>,
}

impl Cluster {
    /// Uses this client.
    pub fn new(client: Client, config: Config) -> Self {
        Self {
            client,
            config,
            placements: Arc::default(),
            refused: Arc::default(),
            acts_since: Arc::new(AtomicI64::new(millis())),
        }
    }

    /// From now on this process acts: what is older may have been done by another.
    pub fn acts(&self) {
        self.acts_since.store(millis(), Ordering::Relaxed);
    }

    /// The client, for watches.
    pub const fn client(&self) -> &Client {
        &self.client
    }

    /// The operator's configuration.
    pub const fn config(&self) -> &Config {
        &self.config
    }

    /// The settings as they are stored now, past every cache.
    pub async fn read_settings(&self) -> Result<Option<Guarded<LockboxSettings>>, Error> {
        let settings: Api<Guarded<LockboxSettings>> = Api::all(self.client.clone());
        limited("read the LockboxSettings", settings.get_opt(names::SETTINGS)).await
    }

    /// The assignments of a namespace as they are stored now, past every cache.
    pub async fn read_assignments(&self, namespace: &str) -> Result<Vec<Guarded<RoleAssignment>>, Error> {
        let assignments: Api<Guarded<RoleAssignment>> = Api::namespaced(self.client.clone(), namespace);
        let mut all = vec![];
        each("list RoleAssignments", &assignments, ListParams::default(), |assignment| all.push(assignment)).await?;
        Ok(all)
    }

    /// The rules of an access level's `ClusterRole`. Without the label of an access level it is none: the operator
    /// could not hand it out.
    pub async fn role(&self, name: &str) -> Result<RoleView, Error> {
        let roles: Api<ClusterRole> = Api::all(self.client.clone());
        let role = limited("read a ClusterRole", roles.get_opt(name)).await?;
        let labelled = |role: &ClusterRole| {
            role.metadata.labels.as_ref().and_then(|labels| labels.get(names::ACCESS_LEVEL)).map(String::as_str)
                == Some("true")
        };
        Ok(match role {
            Some(role) if labelled(&role) => RoleView::Rules(role.rules.unwrap_or_default()),
            _ => RoleView::Missing,
        })
    }
}

fn millis() -> i64 {
    Utc::now().timestamp_millis()
}

/// What came back, in the API server's own words where they are its: kube adds the whole answer.
fn words(source: &kube::Error) -> String {
    match source {
        kube::Error::Api(status) => status.message.clone(),
        other => other.to_string(),
    }
}

/// A call with its time limit.
async fn limited<T>(doing: &'static str, call: impl Future<Output = kube::Result<T>>) -> Result<T, Error> {
    limited_to(CALL, doing, call).await
}

/// A call with a time limit of its own.
async fn limited_to<T>(
    within: Duration,
    doing: &'static str,
    call: impl Future<Output = kube::Result<T>>,
) -> Result<T, Error> {
    match tokio::time::timeout(within, call).await {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(source)) => Err(Error::Kube { doing, source: Box::new(source) }),
        Err(_) => Err(Error::TimedOut { doing, within }),
    }
}

/// Lists page by page, and hands over one object after the other: what is kept of each is the caller's choice.
async fn each<K>(doing: &'static str, api: &Api<K>, selected: ListParams, mut take: impl FnMut(K)) -> Result<(), Error>
where
    K: Clone + Debug + DeserializeOwned,
{
    let mut page = selected.limit(PAGE);
    loop {
        let list = limited(doing, api.list(&page)).await?;
        list.items.into_iter().for_each(&mut take);
        match list.metadata.continue_ {
            Some(token) if !token.is_empty() => page = page.continue_token(&token),
            _ => return Ok(()),
        }
    }
}

/// A deletion: what is gone already is gone. Returns whether it was there.
async fn deleted<T>(doing: &'static str, call: impl Future<Output = kube::Result<T>>) -> Result<bool, Error> {
    match limited(doing, call).await {
        Ok(_) => Ok(true),
        Err(error) if error.is_not_found() => Ok(false),
        Err(error) => Err(error),
    }
}

/// In the background, and never leaving dependents behind: batch/v1 would orphan them unless told otherwise.
fn background() -> DeleteParams {
    DeleteParams::background()
}
