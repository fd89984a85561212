//! Trying where access is asked for, before an approver is asked, whether a grant would be taken there: server-side dry runs
//! of its objects, as [`super::grants`] makes them. Nothing is stored whatever the answer.
//!
//! What shows: quotas, policies and webhooks on creation, RBAC's escalation check on the very rules, and whether a binding
//! in that namespace may be deleted by the operator. What does not: a policy that looks at the name of the binding's role
//! (a dry run stores no Role, so the trial names another), that refuses the deletion to the garbage collector alone, or
//! that counts what a dry run does not count; and what changes later.

use std::{
    collections::HashMap,
    hash::{BuildHasher as _, RandomState},
    sync::{Mutex, PoisonError},
    time::Instant,
};

use chrono::TimeDelta;
use k8s_openapi::api::{
    batch::v1::Job,
    rbac::v1::{ClusterRole, ClusterRoleBinding, PolicyRule, Role, RoleBinding},
};
use kube::{
    Api, Resource, ResourceExt,
    api::{ListParams, PostParams},
    core::PartialObjectMeta,
    core::Request,
};
use serde::{Serialize, de::DeserializeOwned};

use super::{
    Cluster, Error, NotGranted, background,
    grants::{self, Identity, said_no},
    limited,
};
use lockbox_api::{Duration, LockboxRequest, Moment, Scope, names};
use lockbox_lifecycle::PlacementView;

/// How long a trial counts that fitted. One that did not is made again.
const FRESH: std::time::Duration = std::time::Duration::from_mins(1);
/// Trials that are remembered at most.
const MOST: usize = 4096;
/// Seconds that the grant of a trial would last, where nothing says how long the request's does.
const LASTS: i64 = 60;

/// What one object of a trial came to; the outer error is no answer at all.
type Answer = Result<Result<(), NotGranted>, Error>;

/// The trials that fitted, by what was tried, and when.
#[derive(Debug, Default)]
pub(super) struct Placements {
    fitted: Mutex<HashMap<u64, Instant>>,
    hasher: RandomState,
}

impl Placements {
    /// What is tried, in short: where, for whom, and with which rights. The names of the objects are left out: they are what
    /// differs between the requests of one engineer, and what nobody's policy is about.
    fn key(&self, request: &LockboxRequest, rules: &[PolicyRule]) -> u64 {
        let nameless = |rule: &PolicyRule| PolicyRule { resource_names: None, ..rule.clone() };
        let rights: Vec<_> = rules.iter().map(nameless).collect();
        let rights = serde_json::to_string(&rights).unwrap_or_default();
        let spec = &request.spec;
        let tenant = spec.scope == Scope::Tenant;
        self.hasher.hash_one((&request.metadata.namespace, tenant, &spec.requester.username, rights))
    }

    fn fits(&self, key: u64) -> bool {
        let fitted = self.fitted.lock().unwrap_or_else(PoisonError::into_inner);
        fitted.get(&key).is_some_and(|at| at.elapsed() < FRESH)
    }

    fn remember(&self, key: u64) {
        let mut fitted = self.fitted.lock().unwrap_or_else(PoisonError::into_inner);
        if fitted.len() >= MOST {
            fitted.clear();
        }
        fitted.insert(key, Instant::now());
    }
}

impl Cluster {
    /// Tries whether a grant of these rules would be taken for this request. All reasons against it are in the answer.
    /// An error is no answer at all, such as a lost connection.
    pub async fn try_placement(
        &self,
        request: &LockboxRequest,
        rules: &[PolicyRule],
        now: Moment,
    ) -> Result<PlacementView, Error> {
        let key = self.placements.key(request, rules);
        if self.placements.fits(key) {
            return Ok(PlacementView::Fits);
        }
        let duration = request.status.as_ref().and_then(|status| status.duration).or(request.spec.duration);
        let lasts = duration.map_or_else(|| TimeDelta::seconds(LASTS), Duration::delta);
        let answers = match request.spec.scope {
            Scope::Subscription => Box::pin(self.try_in_namespace(request, rules, now, lasts)).await,
            Scope::Tenant => self.try_in_cluster(request, rules, now + lasts).await,
        };
        let found = sum(answers)?;
        if found == PlacementView::Fits {
            self.placements.remember(key);
        }
        Ok(found)
    }

    async fn try_in_namespace(
        &self,
        request: &LockboxRequest,
        rules: &[PolicyRule],
        now: Moment,
        lasts: TimeDelta,
    ) -> Vec<Answer> {
        let uid = request.metadata.uid.as_deref().unwrap_or_default();
        let namespace = request.metadata.namespace.as_deref().unwrap_or_default();
        let name = names::grant(uid);
        let identity = Identity::of_grant(request, &name, now + lasts);
        let owner = Some(grants::owner_request(request));
        let job = grants::deadline_job(&self.config, &identity, owner, lasts.num_seconds());
        // The Job has no UID before it is stored; the API server takes any.
        let owner = || Some(grants::named_owner(&name, uid, "batch/v1", "Job"));
        let role = grants::role(&self.config.grant, &identity, owner(), rules.to_vec());
        let user = &request.spec.requester.username;
        let binding = grants::binding(&self.config.grant, &identity, owner(), names::TRIAL_ROLE, user);
        let (jobs, roles, bindings): (Api<Job>, Api<Role>, Api<RoleBinding>) = (
            Api::namespaced(self.client.clone(), namespace),
            Api::namespaced(self.client.clone(), namespace),
            Api::namespaced(self.client.clone(), namespace),
        );
        let (job, role, binding, end) =
            tokio::join!(tried(&jobs, &job), tried(&roles, &role), tried(&bindings, &binding), self.try_end(namespace));
        vec![job, role, binding, end]
    }

    async fn try_in_cluster(&self, request: &LockboxRequest, rules: &[PolicyRule], until: Moment) -> Vec<Answer> {
        let uid = request.metadata.uid.as_deref().unwrap_or_default();
        let name = names::grant(uid);
        let identity = Identity { namespace: None, ..Identity::of_grant(request, &name, until) };
        let role = grants::cluster_role(&self.config.grant, &identity, rules.to_vec());
        let owner = grants::named_owner(&name, uid, "rbac.authorization.k8s.io/v1", "ClusterRole");
        let user = &request.spec.requester.username;
        let binding = grants::cluster_binding(&self.config.grant, &identity, owner, names::TRIAL_ROLE, user);
        let (roles, bindings): (Api<ClusterRole>, Api<ClusterRoleBinding>) =
            (Api::all(self.client.clone()), Api::all(self.client.clone()));
        let (role, binding) = tokio::join!(tried(&roles, &role), tried(&bindings, &binding));
        vec![role, binding]
    }

    /// Whether a binding may be deleted there. No grant is there yet to try it on; the binding of somebody's role is, in
    /// every namespace that has an assignment.
    async fn try_end(&self, namespace: &str) -> Answer {
        let bindings: Api<PartialObjectMeta<RoleBinding>> = Api::namespaced(self.client.clone(), namespace);
        let one = ListParams::default().labels(names::PEOPLE).limit(1);
        let Some(one) = limited("look for a binding", bindings.list(&one)).await?.items.into_iter().next() else {
            return Ok(Ok(()));
        };
        let end = async {
            let bindings = Request::new(RoleBinding::url_path(&(), Some(namespace)));
            let mut end =
                bindings.delete(&one.name_any(), &background().dry_run()).map_err(kube::Error::BuildRequest)?;
            // The body says that it is a dry run. The URL says so too, and with it the API server's audit log.
            if let Ok(said) = format!("{}&dryRun=All", end.uri()).parse() {
                *end.uri_mut() = said;
            }
            self.client.request_text(end).await
        };
        let answer = match limited("try whether access can be ended", end).await {
            Err(error) if error.is_not_found() => Ok(()),
            answer => answer.map(drop),
        };
        Ok(said_no(answer)?.map_err(|why| match why {
            NotGranted::Refused(words) | NotGranted::Blocked(words) => {
                NotGranted::Blocked(format!("access could not be ended here: {words}"))
            }
        }))
    }
}

async fn tried<K>(api: &Api<K>, wanted: &K) -> Answer
where
    K: Resource + Clone + std::fmt::Debug + Serialize + DeserializeOwned,
{
    let dry = PostParams { dry_run: true, ..PostParams::default() };
    match limited("try a grant", api.create(&dry, wanted)).await {
        // Storing comes after admission: it was let in.
        Err(error) if error.already_exists() => Ok(Ok(())),
        answer => said_no(answer.map(drop)),
    }
}

/// What all answers come to. A no of one is worth more than no answer of another.
fn sum(answers: Vec<Answer>) -> Result<PlacementView, Error> {
    let (mut refused, mut blocked, mut lost) = (vec![], vec![], None);
    for answer in answers {
        match answer {
            Ok(Ok(())) => {}
            Ok(Err(NotGranted::Refused(words))) => refused.push(words),
            Ok(Err(NotGranted::Blocked(words))) => blocked.push(words),
            Err(error) => lost = lost.or(Some(error)),
        }
    }
    let together = |mut all: Vec<String>| {
        all.dedup();
        all.join("; ")
    };
    match (refused.is_empty(), blocked.is_empty(), lost) {
        (false, ..) => Ok(PlacementView::Refused(together(refused))),
        (true, false, _) => Ok(PlacementView::Blocked(together(blocked))),
        (true, true, Some(error)) => Err(error),
        (true, true, None) => Ok(PlacementView::Fits),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_no_is_enough_and_every_no_is_told() {
        let blocked = |words: &str| Ok(Err(NotGranted::Blocked(words.into())));
        let refused = |words: &str| Ok(Err(NotGranted::Refused(words.into())));
        let fits = || Ok(Ok(()));
        let lost = || Err(Error::TimedOut { doing: "try a grant", within: std::time::Duration::from_secs(10) });
        assert_eq!(sum(vec![fits(), fits()]).unwrap(), PlacementView::Fits);
        assert_eq!(
            sum(vec![fits(), blocked("a"), blocked("a"), blocked("b")]).unwrap(),
            PlacementView::Blocked("a; b".into())
        );
        assert_eq!(sum(vec![blocked("a"), refused("c"), lost()]).unwrap(), PlacementView::Refused("c".into()));
        assert_eq!(sum(vec![lost(), blocked("a")]).unwrap(), PlacementView::Blocked("a".into()));
        assert!(sum(vec![fits(), lost()]).is_err());
    }

    #[test]
    fn what_is_remembered_is_bounded_and_only_of_the_very_same_trial() {
        let request = |user: &str, namespace: &str| -> LockboxRequest {
            serde_json::from_value(serde_json::json!({
                "apiVersion": "lockbox.dev/v1alpha1", "kind": "LockboxRequest", "metadata": {"name": "sr-1", "namespace": namespace},
                "spec": {
                    "requester": {"username": user}, "origin": "ProviderInitiated", "justification": "because",
                    "scope": "Subscription", "service": "AppService", "accessLevel": "Shell",
                },
            }))
            .unwrap()
        };
        let rule = PolicyRule { verbs: vec!["get".into()], ..PolicyRule::default() };
        let named = PolicyRule { resource_names: Some(vec!["shop-0".into()]), ..rule.clone() };
        let placements = Placements::default();
        let key = placements.key(&request("kim", "a"), std::slice::from_ref(&rule));
        placements.remember(key);
        assert!(placements.fits(key));
        assert!(placements.fits(placements.key(&request("kim", "a"), std::slice::from_ref(&rule))));
        assert!(placements.fits(placements.key(&request("kim", "a"), &[named])));
        for other in [
            placements.key(&request("kim", "b"), std::slice::from_ref(&rule)),
            placements.key(&request("joe", "a"), std::slice::from_ref(&rule)),
            placements.key(&request("kim", "a"), &[]),
        ] {
            assert!(!placements.fits(other));
        }
        for n in 0..2 * u64::try_from(MOST).unwrap() {
            placements.remember(n);
            assert!(placements.fitted.lock().unwrap().len() <= MOST);
        }
    }
}
