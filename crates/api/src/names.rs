//! Names, labels and annotations that others rely on: chart, policies, documents, people.

/// The one `LockboxSettings`.
pub const SETTINGS: &str = "default";

/// Label of a grant's objects: name of the request.
pub const REQUEST: &str = "lockbox.dev/request";
/// Label of a grant's objects: UID of the request.
pub const REQUEST_UID: &str = "lockbox.dev/request-uid";
/// Annotation of a grant's objects: when it ends, as RFC 3339.
pub const ACCESS_UNTIL: &str = "lockbox.dev/access-until";
/// Label of bindings that the operator makes for people: the short name of their role.
pub const PEOPLE: &str = "lockbox.dev/people";
/// Label of the Roles, and their bindings, that name the requests which one of the provider's people sees.
pub const VIEW: &str = "lockbox.dev/view";
/// Annotation of bindings that the operator makes for people: the assignment that they stem from, as `namespace/name`.
pub const ASSIGNMENT: &str = "lockbox.dev/assignment";
/// Annotation of bindings that the operator makes for people: the UID of the assignment that they stem from.
pub const ASSIGNMENT_UID: &str = "lockbox.dev/assignment-uid";
/// Annotation of an assignment: who created it, stamped by the API server.
pub const CREATED_BY: &str = "lockbox.dev/created-by";
/// Annotation of our `CustomResourceDefinitions`: the digest of what they define.
pub const DEFINITION: &str = "lockbox.dev/definition";
/// Label of `ClusterRoles` that are access levels.
pub const ACCESS_LEVEL: &str = "lockbox.dev/access-level";
/// Annotation of such a `ClusterRole`: its rights that are not known to be harmless, such as `update, patch configmaps;
/// delete services`.
pub const EXTRA_RIGHTS: &str = "lockbox.dev/extra-rights";
/// Annotation of the settings: who wrote them last, stamped by the API server.
pub const CHANGED_BY: &str = "lockbox.dev/changed-by";
/// Label of what tries the safety net.
pub const CANARY: &str = "lockbox.dev/canary";
/// Label of what is forged, by dry run, to see the admission policies refuse it. Not under `lockbox.dev/`, which nobody
/// may write on a request.
pub const TRIAL: &str = "trial.lockbox.dev/forged";
/// Label of a deadline Job's Pod template and its selector. No Pod may bear it: the Job controller adopts Pods by label, and
/// a Job does not end before its Pods do.
pub const DEADLINE: &str = "lockbox.dev/deadline";
/// The role that a trial binds, in place of a grant's own Role, which a dry run does not store. It never exists.
pub const TRIAL_ROLE: &str = "lockbox-trial";
/// A user whom nobody is: `.invalid` is reserved for that (RFC 2606).
pub const NOBODY: &str = "nobody@lockbox.invalid";
/// Label of everything in the chart; its value is [`MANAGER`].
pub const NAME: &str = "app.kubernetes.io/name";
/// Who manages an object.
pub const MANAGED_BY: &str = "app.kubernetes.io/managed-by";
/// The value of [`MANAGED_BY`].
pub const MANAGER: &str = "lockbox";
/// Reporting controller of our Events, and the actor of what a rule or a clock decides.
pub const CONTROLLER: &str = "lockbox.dev/operator";
/// The actor of what a person did where the API server does not say which.
pub const UNKNOWN_ACTOR: &str = "somebody (this Kubernetes version does not say who)";
/// The actor in the history where no person acted.
pub const LOCKBOX: &str = "lockbox";

/// Selects everything in the chart, by [`NAME`].
pub fn of_the_chart() -> String {
    format!("{NAME}={MANAGER}")
}

/// Name of a grant's objects.
pub fn grant(request_uid: &str) -> String {
    format!("lockbox-grant-{request_uid}")
}
