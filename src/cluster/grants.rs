//! Making and ending grants.
//!
//! A grant is a Role that holds exactly what was approved, a binding of one user to it, and, in the subscription scope,
//! a Job that never makes a Pod and whose deadline removes both (request → Job → Role and binding). Everything is made
//! by POST under a name that follows from the request's UID. What is there already is compared, never adopted.

use std::collections::BTreeMap;

use k8s_openapi::{
    api::{
        batch::v1::{Job, JobSpec},
        core::v1::{
            Capabilities, Container, PodSecurityContext, PodSpec, PodTemplateSpec, ResourceRequirements,
            SeccompProfile, SecurityContext,
        },
        rbac::v1::{ClusterRole, ClusterRoleBinding, PolicyRule, Role, RoleBinding},
    },
    apimachinery::pkg::{
        api::resource::Quantity,
        apis::meta::v1::{LabelSelector, OwnerReference},
    },
};
use kube::{
    Api, Resource,
    api::{ObjectMeta, PostParams},
    core::{PartialObjectMeta, Status},
};
use serde::{Serialize, de::DeserializeOwned};

use super::{
    Cluster, Error, background, deleted, limited,
    rbac::{role_ref, subject},
};
use crate::config::{Config, Marks};
use lockbox_api::{LockboxRequest, Moment, Principal, Scope, names, time::text};
use lockbox_lifecycle::{GrantPlan, text::clip};

/// Seconds that the operator has to end a grant and record it before the Job's own deadline does.
const MARGIN: i64 = 5;
/// Characters kept of an API server's answer: a policy's author may write any length.
const WORDS: usize = 1024;

/// Why the API server does not take a grant, in its own words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NotGranted {
    /// For good: trying again would not help.
    Refused(String),
    /// For now: what stands in the way is not ours, and may pass.
    Blocked(String),
}

/// What of a grant is made by which nobody has access yet: all but its binding, which this owns.
#[derive(Clone, Debug)]
pub struct Prepared {
    plan: GrantPlan,
    owner: OwnerReference,
}

impl Prepared {
    /// Whether it is part of this grant.
    pub fn is_of(&self, plan: &GrantPlan) -> bool {
        self.plan == *plan
    }
}

impl Cluster {
    /// Makes the parts of a grant by which nobody has access yet: the deadline Job, and the role. What is there already from
    /// an earlier attempt is taken as it is. The outer result is for a call without a result, such as a lost connection; the
    /// inner one for what the API server refused.
    pub async fn prepare_grant(
        &self,
        request: &LockboxRequest,
        plan: &GrantPlan,
        now: Moment,
    ) -> Result<Result<Prepared, NotGranted>, Error> {
        let owner = match plan.scope() {
            Scope::Subscription => Box::pin(self.prepare_in_namespace(request, plan, now)).await,
            Scope::Tenant => self.prepare_in_cluster(request, plan).await,
        };
        said_no(owner.map(|owner| Prepared { plan: plan.clone(), owner }))
    }

    /// Makes the binding of a prepared grant: from here on, the user has access.
    pub async fn make_grant(
        &self,
        request: &LockboxRequest,
        prepared: Prepared,
    ) -> Result<Result<(), NotGranted>, Error> {
        let Prepared { plan, owner } = prepared;
        said_no(match plan.scope() {
            Scope::Subscription => self.bind_in_namespace(request, &plan, owner).await,
            Scope::Tenant => self.bind_in_cluster(request, &plan, owner).await,
        })
    }

    async fn prepare_in_namespace(
        &self,
        request: &LockboxRequest,
        plan: &GrantPlan,
        now: Moment,
    ) -> Result<OwnerReference, Error> {
        let namespace = request.metadata.namespace.as_deref().unwrap_or_default();
        let identity = Identity::of_grant(request, plan.name(), plan.until());
        let jobs: Api<Job> = Api::namespaced(self.client.clone(), namespace);
        let left = (plan.until() - now).num_seconds().max(0) + MARGIN;
        let wanted = deadline_job(&self.config, &identity, Some(owner_request(request)), left);
        let job = self.ensure("Job", &jobs, &wanted, |there| keeps_time(there, &wanted)).await?;
        let owner = owner(&job, "batch/v1", "Job");

        let roles: Api<Role> = Api::namespaced(self.client.clone(), namespace);
        let role = role(&self.config.grant, &identity, Some(owner.clone()), plan.rules().to_vec());
        self.ensure("Role", &roles, &role, |there| there.rules == role.rules).await?;
        Ok(owner)
    }

    async fn bind_in_namespace(
        &self,
        request: &LockboxRequest,
        plan: &GrantPlan,
        owner: OwnerReference,
    ) -> Result<(), Error> {
        let namespace = request.metadata.namespace.as_deref().unwrap_or_default();
        let identity = Identity::of_grant(request, plan.name(), plan.until());
        let bindings: Api<RoleBinding> = Api::namespaced(self.client.clone(), namespace);
        let binding = binding(&self.config.grant, &identity, Some(owner), plan.name(), plan.user());
        let same = |there: &RoleBinding| there.role_ref == binding.role_ref && there.subjects == binding.subjects;
        self.ensure("RoleBinding", &bindings, &binding, same).await.map(drop)
    }

    async fn prepare_in_cluster(&self, request: &LockboxRequest, plan: &GrantPlan) -> Result<OwnerReference, Error> {
        let identity = Identity { namespace: None, ..Identity::of_grant(request, plan.name(), plan.until()) };
        let roles: Api<ClusterRole> = Api::all(self.client.clone());
        let wanted = cluster_role(&self.config.grant, &identity, plan.rules().to_vec());
        let role = self.ensure("ClusterRole", &roles, &wanted, |there| there.rules == wanted.rules).await?;
        Ok(owner(&role, "rbac.authorization.k8s.io/v1", "ClusterRole"))
    }

    async fn bind_in_cluster(
        &self,
        request: &LockboxRequest,
        plan: &GrantPlan,
        owner: OwnerReference,
    ) -> Result<(), Error> {
        let identity = Identity { namespace: None, ..Identity::of_grant(request, plan.name(), plan.until()) };
        let bindings: Api<ClusterRoleBinding> = Api::all(self.client.clone());
        let binding = cluster_binding(&self.config.grant, &identity, owner, plan.name(), plan.user());
        let same =
            |there: &ClusterRoleBinding| there.role_ref == binding.role_ref && there.subjects == binding.subjects;
        self.ensure("ClusterRoleBinding", &bindings, &binding, same).await.map(drop)
    }

    /// Creates an object, or finds that an earlier attempt did. Anything else of that name is foreign.
    async fn ensure<K>(
        &self,
        kind: &'static str,
        api: &Api<K>,
        wanted: &K,
        same: impl Fn(&K) -> bool,
    ) -> Result<K, Error>
    where
        K: Resource + Clone + std::fmt::Debug + Serialize + DeserializeOwned,
    {
        let name = wanted.meta().name.as_deref().unwrap_or_default();
        match limited("make a grant", api.create(&PostParams::default(), wanted)).await {
            Err(error) if error.already_exists() => {}
            answer => return answer,
        }
        let there = limited("read a grant", api.get(name)).await?;
        let foreign = |what: &str| Error::Foreign { kind, name: name.into(), what: what.into() };
        let label =
            |object: &K| object.meta().labels.as_ref().and_then(|labels| labels.get(names::REQUEST_UID)).cloned();
        if label(&there) != label(wanted) {
            return Err(foreign("its labels name another request"));
        }
        if there.meta().deletion_timestamp.is_some() {
            return Err(Error::Ending { kind, name: name.into() });
        }
        let owners = |object: &K| -> Vec<String> {
            object.meta().owner_references.iter().flatten().map(|owner| owner.uid.clone()).collect()
        };
        if owners(&there) != owners(wanted) {
            return Err(foreign("it belongs to another owner"));
        }
        if there.meta().finalizers.as_ref().is_some_and(|finalizers| !finalizers.is_empty()) {
            return Err(foreign("a finalizer would keep it from ending"));
        }
        if !same(&there) {
            return Err(foreign("it grants something else, or for longer"));
        }
        Ok(there)
    }

    /// Ends a grant: the binding first, which is what gives access. At the natural end the rest follows by the Job's
    /// own deadline; `early`, it is removed too. Safe to call at any time and as often as needed: what is not there has
    /// ended. Where something in the cluster refuses the binding's deletion, the rest is removed all the same, since
    /// without its Role a binding gives nothing. Returns whether the binding was there.
    pub async fn end_grant(&self, scope: Scope, namespace: &str, name: &str, early: bool) -> Result<bool, Error> {
        match scope {
            Scope::Subscription => {
                let bindings: Api<RoleBinding> = Api::namespaced(self.client.clone(), namespace);
                let ended = deleted("end a grant", bindings.delete(name, &background())).await;
                if early || ended.is_err() {
                    let jobs: Api<Job> = Api::namespaced(self.client.clone(), namespace);
                    // The Role goes with the Job that owns it.
                    let job = deleted("end a grant's deadline Job", jobs.delete(name, &background())).await;
                    return ended.and_then(|was_there| job.map(|_| was_there));
                }
                ended
            }
            Scope::Tenant => {
                let bindings: Api<ClusterRoleBinding> = Api::all(self.client.clone());
                let ended = deleted("end a grant", bindings.delete(name, &background())).await;
                let roles: Api<ClusterRole> = Api::all(self.client.clone());
                let role = deleted("end a grant's ClusterRole", roles.delete(name, &background())).await;
                ended.and_then(|was_there| role.map(|_| was_there))
            }
        }
    }

    /// Whether a grant's binding is there, past every cache.
    pub async fn grant_exists(&self, scope: Scope, namespace: &str, name: &str) -> Result<bool, Error> {
        let found = match scope {
            Scope::Subscription => {
                let bindings: Api<PartialObjectMeta<RoleBinding>> = Api::namespaced(self.client.clone(), namespace);
                limited("look for a grant", bindings.get_opt(name)).await?.is_some()
            }
            Scope::Tenant => {
                let bindings: Api<PartialObjectMeta<ClusterRoleBinding>> = Api::all(self.client.clone());
                limited("look for a grant", bindings.get_opt(name)).await?.is_some()
            }
        };
        Ok(found)
    }
}

/// Separates a refusal by the API server from the errors.
pub(super) fn said_no<T>(result: Result<T, Error>) -> Result<Result<T, NotGranted>, Error> {
    match result {
        Ok(value) => Ok(Ok(value)),
        Err(error) => match refusal(&error) {
            Some(why) => Ok(Err(why)),
            None => Err(error),
        },
    }
}

/// What an error means for the grant; none for what says nothing about it, such as a lost connection.
fn refusal(error: &Error) -> Option<NotGranted> {
    match error {
        Error::Foreign { .. } => Some(NotGranted::Refused(error.to_string())),
        Error::Ending { .. } => Some(NotGranted::Blocked(error.to_string())),
        Error::Kube { .. } | Error::TimedOut { .. } | Error::Restless => answer(error.status()?),
    }
}

/// What an answer of the API server means for the grant. Only what the API server itself finds wrong with our objects
/// stays wrong. All else is somebody's to put right, or passes by itself: a quota, a policy, a webhook that denies or is
/// down, a namespace that is being deleted, policies that are not ready after a start of the API server, RBAC that does not
/// know yet what the operator may hand out.
fn answer(status: &Status) -> Option<NotGranted> {
    let words = clip(&status.message, WORDS);
    let of_somebody = ["AdmissionPolicy '", "admission webhook \"", "calling webhook \""]
        .iter()
        .any(|by| status.message.contains(by));
    match status.code {
        // Any code may be a policy's or a webhook's choice; those two mean what they say for the calls that make grants.
        404 | 409 if !of_somebody => None,
        403 => Some(NotGranted::Blocked(words)),
        _ if of_somebody => Some(NotGranted::Blocked(words)),
        400 | 413 | 422 => Some(NotGranted::Refused(words)),
        _ => None,
    }
}

/// What the objects of one grant, or of one trial, have in common.
pub(super) struct Identity<'a> {
    /// Name of each.
    pub(super) name: &'a str,
    /// Their namespace; none for the cluster's.
    pub(super) namespace: Option<&'a str>,
    /// Lockbox's own labels.
    pub(super) labels: Vec<(&'static str, &'a str)>,
    /// When they end.
    pub(super) until: Moment,
}

impl<'a> Identity<'a> {
    /// Of a grant, in the request's namespace.
    pub(super) fn of_grant(request: &'a LockboxRequest, name: &'a str, until: Moment) -> Self {
        let metadata = &request.metadata;
        Self {
            name,
            namespace: metadata.namespace.as_deref(),
            labels: vec![
                (names::REQUEST, metadata.name.as_deref().unwrap_or_default()),
                (names::REQUEST_UID, metadata.uid.as_deref().unwrap_or_default()),
            ],
            until,
        }
    }

    /// Lockbox's own labels and annotations win over those that the chart's values add.
    fn metadata(&self, marks: &[&Marks], owner: Option<OwnerReference>) -> ObjectMeta {
        let own = |(key, value): (&str, &str)| (key.to_owned(), value.to_owned());
        let mut labels: BTreeMap<_, _> = marks.iter().flat_map(|marks| marks.labels.clone()).collect();
        labels.extend(self.labels.iter().copied().map(own));
        labels.insert(names::MANAGED_BY.into(), names::MANAGER.into());
        let mut annotations: BTreeMap<_, _> = marks.iter().flat_map(|marks| marks.annotations.clone()).collect();
        annotations.insert(names::ACCESS_UNTIL.into(), text(self.until));
        ObjectMeta {
            name: Some(self.name.into()),
            namespace: self.namespace.map(Into::into),
            labels: Some(labels),
            annotations: Some(annotations),
            owner_references: owner.map(|owner| vec![owner]),
            ..ObjectMeta::default()
        }
    }
}

pub(super) fn role(
    marks: &Marks,
    identity: &Identity<'_>,
    owner: Option<OwnerReference>,
    rules: Vec<PolicyRule>,
) -> Role {
    Role { metadata: identity.metadata(&[marks], owner), rules: Some(rules) }
}

pub(super) fn binding(
    marks: &Marks,
    identity: &Identity<'_>,
    owner: Option<OwnerReference>,
    role: &str,
    user: &str,
) -> RoleBinding {
    RoleBinding {
        metadata: identity.metadata(&[marks], owner),
        role_ref: role_ref("Role", role),
        subjects: Some(vec![subject(&Principal::user(user))]),
    }
}

pub(super) fn cluster_role(marks: &Marks, identity: &Identity<'_>, rules: Vec<PolicyRule>) -> ClusterRole {
    ClusterRole { metadata: identity.metadata(&[marks], None), rules: Some(rules), aggregation_rule: None }
}

pub(super) fn cluster_binding(
    marks: &Marks,
    identity: &Identity<'_>,
    owner: OwnerReference,
    role: &str,
    user: &str,
) -> ClusterRoleBinding {
    ClusterRoleBinding {
        metadata: identity.metadata(&[marks], Some(owner)),
        role_ref: role_ref("ClusterRole", role),
        subjects: Some(vec![subject(&Principal::user(user))]),
    }
}

/// The request as the owner of its deadline Job.
pub(super) fn owner_request(request: &LockboxRequest) -> OwnerReference {
    owner(request, &LockboxRequest::api_version(&()), &LockboxRequest::kind(&()))
}

pub(super) fn owner<K: Resource<DynamicType = ()>>(object: &K, api_version: &str, kind: &str) -> OwnerReference {
    let text = |text: &Option<String>| text.clone().unwrap_or_default();
    named_owner(&text(&object.meta().name), &text(&object.meta().uid), api_version, kind)
}

/// `blockOwnerDeletion` stays out: a cluster may refuse it to a caller who may not finalise the owner, and what blocks its
/// owner's deletion holds back everything else that the owner has.
pub(super) fn named_owner(name: &str, uid: &str, api_version: &str, kind: &str) -> OwnerReference {
    OwnerReference {
        api_version: api_version.into(),
        kind: kind.into(),
        name: name.into(),
        uid: uid.into(),
        controller: Some(true),
        block_owner_deletion: None,
    }
}

/// Whether a Job that is there ends a grant as the wanted one would. Its seconds are those of the first attempt, so they
/// may be more; `lockbox-operator-limits-jobs` keeps them within its own end, which has to be the same.
fn keeps_time(there: &Job, wanted: &Job) -> bool {
    let until = |job: &Job| job.metadata.annotations.as_ref().and_then(|all| all.get(names::ACCESS_UNTIL)).cloned();
    let clockwork = |job: &Job| {
        job.spec.as_ref().map(|spec| {
            let selector = spec.selector.clone();
            (
                spec.parallelism,
                spec.suspend == Some(true),
                spec.ttl_seconds_after_finished,
                spec.managed_by.clone(),
                selector,
            )
        })
    };
    let timed = there.spec.as_ref().is_some_and(|spec| spec.active_deadline_seconds.is_some());
    timed && until(there) == until(wanted) && clockwork(there) == clockwork(wanted)
}

/// The deadline inside the cluster: a Job of no Pods. When its seconds are over, the Job, TTL and garbage-collection
/// controllers remove it and what it owns, whether the operator runs or not.
///
/// A Job does not end before its Pods do, and the Job controller adopts every Pod that its selector matches. The
/// selector that the API server would make asks for a label that anybody may put on a Pod; this one asks for a label
/// that no Pod may carry (`lockbox-deadline-pods`).
pub(super) fn deadline_job(
    config: &Config,
    identity: &Identity<'_>,
    owner: Option<OwnerReference>,
    seconds: i64,
) -> Job {
    let marks = [&config.grant, &config.deadline_job];
    let selector = BTreeMap::from([(names::DEADLINE.to_owned(), identity.name.to_owned())]);
    let mut labels: BTreeMap<_, _> = marks.iter().flat_map(|marks| marks.labels.clone()).collect();
    labels.extend(selector.clone());
    let annotations: BTreeMap<_, _> = marks.iter().flat_map(|marks| marks.annotations.clone()).collect();
    let quantity = |value: &str| Quantity(value.into());
    // Never run; it satisfies other people's policies that look at every Pod template.
    let container = Container {
        name: "none".into(),
        image: Some(config.deadline_job_image.clone()),
        resources: Some(ResourceRequirements {
            requests: Some([("cpu".into(), quantity("1m")), ("memory".into(), quantity("1Mi"))].into()),
            limits: Some([("cpu".into(), quantity("1m")), ("memory".into(), quantity("1Mi"))].into()),
            ..ResourceRequirements::default()
        }),
        security_context: Some(SecurityContext {
            allow_privilege_escalation: Some(false),
            capabilities: Some(Capabilities { drop: Some(vec!["ALL".into()]), add: None }),
            read_only_root_filesystem: Some(true),
            ..SecurityContext::default()
        }),
        ..Container::default()
    };
    Job {
        metadata: identity.metadata(&marks, owner),
        spec: Some(JobSpec {
            parallelism: Some(0),
            backoff_limit: Some(0),
            active_deadline_seconds: Some(seconds),
            ttl_seconds_after_finished: Some(0),
            manual_selector: Some(true),
            selector: Some(LabelSelector { match_labels: Some(selector), match_expressions: None }),
            template: PodTemplateSpec {
                metadata: Some(ObjectMeta {
                    labels: Some(labels),
                    annotations: Some(annotations),
                    ..ObjectMeta::default()
                }),
                spec: Some(PodSpec {
                    restart_policy: Some("Never".into()),
                    automount_service_account_token: Some(false),
                    security_context: Some(PodSecurityContext {
                        run_as_non_root: Some(true),
                        run_as_user: Some(65_532),
                        seccomp_profile: Some(SeccompProfile {
                            type_: "RuntimeDefault".into(),
                            localhost_profile: None,
                        }),
                        ..PodSecurityContext::default()
                    }),
                    containers: vec![container],
                    ..PodSpec::default()
                }),
            },
            ..JobSpec::default()
        }),
        status: None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn said(code: u16, message: &str) -> Status {
        Status { code, message: message.into(), ..Status::default() }
    }

    /// Answers as API servers of 1.33 and 1.37 give them.
    #[test]
    fn only_what_stays_wrong_is_final() {
        let (job, binding) =
            (r#"jobs.batch "lockbox-grant-1" is forbidden"#, r#"rolebindings "lockbox-grant-1" is forbidden"#);
        for (code, message) in [
            (403, format!("{job}: exceeded quota: no-jobs, requested: count/jobs.batch=1, used: count/jobs.batch=0, limited: count/jobs.batch=0")),
            (403, format!("{job}: status unknown for quota: no-jobs, resources: count/jobs.batch")),
            (403, format!("{job}: not yet ready to handle request")),
            (403, format!("{job}: unable to create new content in namespace shop because it is being terminated")),
            (403, r#"jobs.batch is forbidden: User "system:serviceaccount:lockbox-system:lockbox-operator" cannot create resource "jobs" in API group "batch" in the namespace "shop""#.into()),
            (403, r#"roles.rbac.authorization.k8s.io "lockbox-grant-1" is forbidden: user "system:serviceaccount:lockbox-system:lockbox-operator" (groups=["system:authenticated"]) is attempting to grant RBAC permissions not currently held:"#.into()),
            (403, format!("{job}: ValidatingAdmissionPolicy 'images' with binding 'images' denied request: use registry.corp")),
            (422, format!("{job}: ValidatingAdmissionPolicy 'images' with binding 'images' denied request: failed expression: false")),
            (401, format!("{job}: ValidatingAdmissionPolicy 'images' with binding 'images' denied request: who are you")),
            (413, format!("{job}: ValidatingAdmissionPolicy 'images' with binding 'images' denied request: too big")),
            (400, r#"admission webhook "validate.kyverno.svc-fail" denied the request: use registry.corp"#.into()),
            (409, r#"admission webhook "validate.kyverno.svc-fail" denied the request: not now"#.into()),
            (418, r#"admission webhook "validate.kyverno.svc-fail" denied the request: tea"#.into()),
            (500, r#"Internal error occurred: failed calling webhook "validate.kyverno.svc-fail": failed to call webhook: Post "https://kyverno.kyverno.svc:443/": dial tcp: connection refused"#.into()),
            (504, r#"Timeout: failed calling webhook "validate.kyverno.svc-fail": context deadline exceeded"#.into()),
            (403, format!("{binding}: whatever")),
        ] {
            assert_eq!(answer(&said(code, &message)), Some(NotGranted::Blocked(message.clone())), "{code} {message}");
        }
        for (code, message) in [
            (422, r#"Role.rbac.authorization.k8s.io "lockbox-grant-1" is invalid: rules[0].apiGroups: Required value"#),
            (400, "Job in version \"v1\" cannot be handled as a Job: strict decoding error"),
            (413, "Request entity too large: limit is 3145728"),
        ] {
            assert_eq!(answer(&said(code, message)), Some(NotGranted::Refused(message.into())), "{code} {message}");
        }
        for (code, message) in [
            (401, "Unauthorized"),
            (404, r#"namespaces "shop" not found"#),
            (409, r#"Operation cannot be fulfilled on resourcequotas "no-jobs": the object has been modified"#),
            (429, "too many requests"),
            (500, "Internal error occurred: etcdserver: leader changed"),
            (503, "the server is currently unable to handle the request"),
            (504, "Timeout: request did not complete within requested timeout"),
        ] {
            assert_eq!(answer(&said(code, message)), None, "{code} {message}");
        }
        let long = answer(&said(403, &"x".repeat(10_000)));
        assert!(matches!(long, Some(NotGranted::Blocked(words)) if words.chars().count() == WORDS));
    }

    #[test]
    fn a_name_that_is_somebody_elses_is_final_and_one_that_becomes_free_is_not() {
        let (kind, name) = ("Role", "lockbox-grant-1".to_owned());
        let foreign = Error::Foreign { kind, name: name.clone(), what: "it belongs to another owner".into() };
        assert!(matches!(refusal(&foreign), Some(NotGranted::Refused(_))));
        assert!(matches!(refusal(&Error::Ending { kind, name }), Some(NotGranted::Blocked(_))));
        assert_eq!(
            refusal(&Error::TimedOut { doing: "make a grant", within: std::time::Duration::from_secs(10) }),
            None
        );
    }

    fn config() -> Config {
        let marks = |text: &str| Marks {
            labels: [("team".into(), text.into()), (names::REQUEST_UID.into(), text.into())].into(),
            annotations: [("note".into(), text.into()), (names::ACCESS_UNTIL.into(), text.into())].into(),
        };
        Config {
            namespace: "lockbox-system".into(),
            tenant_namespace: "lockbox-tenant".into(),
            instance: "test".into(),
            listen: None,
            activity: None,
            concurrency: 1,
            leader_election: false,
            deadline_job_image: "registry.corp/none:1".into(),
            grant: marks("platform"),
            deadline_job: Marks { labels: [("job".into(), "deadline".into())].into(), annotations: [].into() },
            notifications: None,
        }
    }

    fn identity() -> Identity<'static> {
        let until = "2026-11-23T20:59:54Z".parse().unwrap();
        let labels = vec![(names::REQUEST, "sr-1"), (names::REQUEST_UID, "1")];
        Identity { name: "lockbox-grant-1", namespace: Some("shop"), labels, until }
    }

    #[test]
    fn a_deadline_job_bears_what_the_chart_says_and_lockboxs_own_wins() {
        let job = serde_json::to_value(deadline_job(&config(), &identity(), None, 60)).unwrap();
        let labels = json!({
            "team": "platform", "job": "deadline", "lockbox.dev/request": "sr-1", "lockbox.dev/request-uid": "1",
            "app.kubernetes.io/managed-by": "lockbox",
        });
        assert_eq!(job["metadata"]["labels"], labels);
        let annotations = json!({"note": "platform", "lockbox.dev/access-until": "2026-11-23T20:59:54Z"});
        assert_eq!(job["metadata"]["annotations"], annotations);
        let template = &job["spec"]["template"];
        assert_eq!(template["metadata"]["labels"]["job"], "deadline");
        assert_eq!(template["spec"]["containers"][0]["image"], "registry.corp/none:1");
        let role = serde_json::to_value(role(&config().grant, &identity(), None, vec![])).unwrap();
        assert_eq!(role["metadata"]["labels"]["team"], "platform");
        assert_eq!(role["metadata"]["labels"]["lockbox.dev/request-uid"], "1");
        assert_eq!(role["metadata"]["labels"]["job"], json!(null));
    }

    #[test]
    fn a_job_that_is_there_is_taken_only_if_it_ends_the_same_grant_in_the_same_way() {
        let wanted = deadline_job(&config(), &identity(), None, 60);
        let changed = |change: fn(&mut Job)| {
            let mut job = wanted.clone();
            change(&mut job);
            job
        };
        assert!(keeps_time(&wanted, &wanted));
        // A second attempt wants fewer seconds than the first.
        assert!(keeps_time(&changed(|job| job.spec.as_mut().unwrap().active_deadline_seconds = Some(61)), &wanted));
        for change in [
            (|job| job.spec = None) as fn(&mut Job),
            |job| job.metadata.annotations = None,
            |job| job.spec.as_mut().unwrap().active_deadline_seconds = None,
            |job| job.spec.as_mut().unwrap().parallelism = Some(1),
            |job| job.spec.as_mut().unwrap().suspend = Some(true),
            |job| job.spec.as_mut().unwrap().ttl_seconds_after_finished = None,
            |job| job.spec.as_mut().unwrap().managed_by = Some("example.org/other".into()),
            |job| job.spec.as_mut().unwrap().selector = None,
        ] {
            assert!(!keeps_time(&changed(change), &wanted));
        }
    }
}
