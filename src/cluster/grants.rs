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
        rbac::v1::{ClusterRole, ClusterRoleBinding, Role, RoleBinding, RoleRef, Subject},
    },
    apimachinery::pkg::{api::resource::Quantity, apis::meta::v1::OwnerReference},
};
use kube::{
    Api, Resource,
    api::{ObjectMeta, PostParams},
    core::PartialObjectMeta,
};
use serde::{Serialize, de::DeserializeOwned};

use super::{Cluster, Error, background, deleted, limited};
use lockbox_api::{LockboxRequest, Moment, Scope, names, time::text};
use lockbox_lifecycle::GrantPlan;

const RBAC: &str = "rbac.authorization.k8s.io";
/// Seconds that the operator has to end a grant and record it before the Job's own deadline does.
const MARGIN: i64 = 5;

/// Why the API server does not take a grant, in its own words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NotGranted {
    /// For good: trying again would not help.
    Refused(String),
    /// For now: a quota stands in the way.
    Blocked(String),
}

impl Cluster {
    /// Makes a grant. The outer result is for what may pass, the inner one for what will not.
    pub async fn make_grant(
        &self,
        request: &LockboxRequest,
        plan: &GrantPlan,
        now: Moment,
    ) -> Result<Result<(), NotGranted>, Error> {
        let made = match plan.scope() {
            Scope::Subscription => self.make_in_namespace(request, plan, now).await,
            Scope::Tenant => self.make_in_cluster(request, plan).await,
        };
        match made {
            Ok(()) => Ok(Ok(())),
            Err(error) => match refusal(&error) {
                Some(why) => Ok(Err(why)),
                None => Err(error),
            },
        }
    }

    async fn make_in_namespace(&self, request: &LockboxRequest, plan: &GrantPlan, now: Moment) -> Result<(), Error> {
        let namespace = request.metadata.namespace.as_deref().unwrap_or_default();
        let jobs: Api<Job> = Api::namespaced(self.client.clone(), namespace);
        let owner = owner(request, "lockbox.dev/v1alpha1", "LockboxRequest");
        let left = (plan.until() - now).num_seconds().max(0) + MARGIN;
        let wanted = job_of_no_pods(metadata(request, plan, Some(owner)), left);
        let job = self.ensure("Job", &jobs, &wanted, |there| {
            there.spec.as_ref().is_some_and(|spec| spec.parallelism == Some(0) && spec.suspend != Some(true))
        });
        let job = job.await?;
        let owner = || Some(self::owner(&job, "batch/v1", "Job"));

        let roles: Api<Role> = Api::namespaced(self.client.clone(), namespace);
        let role = Role { metadata: metadata(request, plan, owner()), rules: Some(plan.rules().to_vec()) };
        self.ensure("Role", &roles, &role, |there| there.rules == role.rules).await?;

        let bindings: Api<RoleBinding> = Api::namespaced(self.client.clone(), namespace);
        let binding = RoleBinding {
            metadata: metadata(request, plan, owner()),
            role_ref: role_ref("Role", plan.name()),
            subjects: Some(vec![subject(plan.user())]),
        };
        let same = |there: &RoleBinding| there.role_ref == binding.role_ref && there.subjects == binding.subjects;
        self.ensure("RoleBinding", &bindings, &binding, same).await.map(drop)
    }

    async fn make_in_cluster(&self, request: &LockboxRequest, plan: &GrantPlan) -> Result<(), Error> {
        let roles: Api<ClusterRole> = Api::all(self.client.clone());
        let wanted = ClusterRole {
            metadata: ObjectMeta { namespace: None, ..metadata(request, plan, None) },
            rules: Some(plan.rules().to_vec()),
            aggregation_rule: None,
        };
        let role = self.ensure("ClusterRole", &roles, &wanted, |there| there.rules == wanted.rules).await?;
        let owner = owner(&role, "rbac.authorization.k8s.io/v1", "ClusterRole");

        let bindings: Api<ClusterRoleBinding> = Api::all(self.client.clone());
        let binding = ClusterRoleBinding {
            metadata: ObjectMeta { namespace: None, ..metadata(request, plan, Some(owner)) },
            role_ref: role_ref("ClusterRole", plan.name()),
            subjects: Some(vec![subject(plan.user())]),
        };
        let same =
            |there: &ClusterRoleBinding| there.role_ref == binding.role_ref && there.subjects == binding.subjects;
        self.ensure("ClusterRoleBinding", &bindings, &binding, same).await.map(drop)
    }

    /// Creates an object, or finds that an earlier attempt did. Whatever else bears the name is foreign.
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
            made => return made,
        }
        let there = limited("read a grant", api.get(name)).await?;
        let foreign = |what: &str| Error::Foreign { kind, name: name.into(), what: what.into() };
        let label =
            |object: &K| object.meta().labels.as_ref().and_then(|labels| labels.get(names::REQUEST_UID)).cloned();
        if label(&there) != label(wanted) {
            return Err(foreign("its labels name another request"));
        }
        if there.meta().deletion_timestamp.is_some() {
            return Err(foreign("it is being deleted"));
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
            return Err(foreign("it grants something else"));
        }
        Ok(there)
    }

    /// Ends a grant: the binding first, which is what gives access. At the natural end the rest follows by the Job's
    /// own deadline; `early`, it is removed too. Returns whether the binding was there.
    pub async fn end_grant(&self, scope: Scope, namespace: &str, name: &str, early: bool) -> Result<bool, Error> {
        Ok(match scope {
            Scope::Subscription => {
                let bindings: Api<RoleBinding> = Api::namespaced(self.client.clone(), namespace);
                let was_there = deleted("end a grant", bindings.delete(name, &background())).await?;
                if early {
                    let jobs: Api<Job> = Api::namespaced(self.client.clone(), namespace);
                    deleted("end a grant's deadline Job", jobs.delete(name, &background())).await?;
                }
                was_there
            }
            Scope::Tenant => {
                let bindings: Api<ClusterRoleBinding> = Api::all(self.client.clone());
                let was_there = deleted("end a grant", bindings.delete(name, &background())).await?;
                let roles: Api<ClusterRole> = Api::all(self.client.clone());
                deleted("end a grant's ClusterRole", roles.delete(name, &background())).await?;
                was_there
            }
        })
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

/// What the API server's answer means for the grant; none for what has nothing to do with it, such as a lost connection.
fn refusal(error: &Error) -> Option<NotGranted> {
    if let Error::Foreign { .. } = error {
        return Some(NotGranted::Refused(error.to_string()));
    }
    let status = error.status()?;
    if !status.is_forbidden() && !status.is_invalid() {
        return None;
    }
    // A quota passes; an escalation, a policy or a bad name does not.
    let quota = status.message.contains("exceeded quota") || status.message.contains("for quota");
    let why = status.message.clone();
    Some(if quota { NotGranted::Blocked(why) } else { NotGranted::Refused(why) })
}

fn metadata(request: &LockboxRequest, plan: &GrantPlan, owner: Option<OwnerReference>) -> ObjectMeta {
    let pairs = |pairs: &[(&str, &str)]| -> BTreeMap<String, String> {
        pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
    };
    ObjectMeta {
        name: Some(plan.name().to_owned()),
        namespace: request.metadata.namespace.clone(),
        labels: Some(pairs(&[
            (names::REQUEST, request.metadata.name.as_deref().unwrap_or_default()),
            (names::REQUEST_UID, request.metadata.uid.as_deref().unwrap_or_default()),
            (names::MANAGED_BY, names::MANAGER),
        ])),
        annotations: Some(pairs(&[(names::ACCESS_UNTIL, &text(plan.until()))])),
        owner_references: owner.map(|owner| vec![owner]),
        ..ObjectMeta::default()
    }
}

/// `blockOwnerDeletion` stays out: a cluster may refuse it to whoever may not finalise the owner.
pub(super) fn owner<K: Resource<DynamicType = ()>>(object: &K, api_version: &str, kind: &str) -> OwnerReference {
    OwnerReference {
        api_version: api_version.into(),
        kind: kind.into(),
        name: object.meta().name.clone().unwrap_or_default(),
        uid: object.meta().uid.clone().unwrap_or_default(),
        controller: Some(true),
        block_owner_deletion: None,
    }
}

fn role_ref(kind: &str, name: &str) -> RoleRef {
    RoleRef { api_group: RBAC.into(), kind: kind.into(), name: name.into() }
}

fn subject(user: &str) -> Subject {
    Subject { api_group: Some(RBAC.into()), kind: "User".into(), name: user.into(), namespace: None }
}

/// The deadline inside the cluster: a Job of no Pods. When its seconds are over, the Job, TTL and garbage-collection
/// controllers remove it and what it owns, whether the operator runs or not.
pub(super) fn job_of_no_pods(metadata: ObjectMeta, seconds: i64) -> Job {
    let quantity = |value: &str| Quantity(value.into());
    // Never run; it satisfies other people's policies that look at every Pod template.
    let container = Container {
        name: "none".into(),
        image: Some("none.invalid/none".into()),
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
        metadata,
        spec: Some(JobSpec {
            parallelism: Some(0),
            backoff_limit: Some(0),
            active_deadline_seconds: Some(seconds),
            ttl_seconds_after_finished: Some(0),
            template: PodTemplateSpec {
                metadata: None,
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
