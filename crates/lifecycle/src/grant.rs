//! The grant that an approval amounts to.

use k8s_openapi::api::rbac::v1::PolicyRule;
use lockbox_api::{Moment, Scope, request::Effect};

use crate::{
    access::{self, Extent},
    facts::{Facts, RoleView},
    reason::Reason,
    state::Approval,
    why::Why,
};

/// A grant to make. Only an [`Approval`] can produce one: nothing else can set its fields.
#[derive(Clone, Debug, PartialEq)]
pub struct GrantPlan {
    name: String,
    user: String,
    scope: Scope,
    rules: Vec<PolicyRule>,
    until: Moment,
}

impl GrantPlan {
    /// Name of its objects.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Who gets it.
    pub fn user(&self) -> &str {
        &self.user
    }

    /// The namespace, or the cluster.
    pub const fn scope(&self) -> Scope {
        self.scope
    }

    /// Exactly what is granted.
    pub fn rules(&self) -> &[PolicyRule] {
        &self.rules
    }

    /// When it ends.
    pub const fn until(&self) -> Moment {
        self.until
    }
}

/// The grant that was approved, or why there is none: what the role allows is compared with what was approved.
pub(crate) fn plan(approval: &Approval<'_>, facts: &Facts<'_>) -> Result<GrantPlan, Why> {
    let spec = &facts.request.spec;
    let level =
        facts.settings.known().and_then(|settings| settings.access_level(&spec.access_level)).ok_or_else(|| {
            Why::new(
                Reason::AccessLevelGone,
                format!(
                    "Create a new request: access level {} was taken out of the LockboxSettings after it was approved.",
                    spec.access_level
                ),
            )
        })?;
    let RoleView::Rules(rules) = facts.role else {
        return Err(Why::new(
            Reason::RoleGone,
            format!("Create a new request: ClusterRole {} of the access level is gone.", level.cluster_role),
        ));
    };
    let changed = |now: Option<&Effect>| {
        let difference = access::difference(&approval.effect.rules, now.map_or(&[], |now| &now.rules));
        Why::new(
            Reason::RoleChanged,
            format!(
                "Create a new request: what access level {} can do changed after the approvers saw it: {difference}.",
                level.name
            ),
        )
    };
    let extent = Extent::from_request(spec.resources.as_deref()).map_err(|_| changed(None))?;
    let whole = access::cut(rules, &extent, &level.same_name, spec.scope).map_err(|_| changed(None))?;
    let current = access::effect(level, &whole);
    if current.hash != approval.effect.hash {
        return Err(changed(Some(&current)));
    }
    let grant = approval.grant;
    if grant.resources.as_ref().is_some_and(Vec::is_empty) {
        return Err(Why::new(
            Reason::NothingLeft,
            "Agree, then create a new request: the approvers cut this one down to different resources, so nothing is left that all of them approved.",
        ));
    }
    let access = Extent::from_request(grant.resources.as_deref())
        .and_then(|approved| access::cut(rules, &approved, &level.same_name, spec.scope))
        .map_err(|why| Why::new(Reason::NothingLeft, format!("Of what was approved nothing can be granted: {why}.")))?;
    let dangers = access::dangers(access.rules(), &level.extra_rights, spec.scope);
    if !dangers.is_empty() {
        let told = access::told(&dangers);
        return Err(Why::new(
            Reason::AccessLevelUnusable,
            format!("Access level {} cannot be granted: {told}.", level.name),
        ));
    }
    Ok(GrantPlan {
        name: grant.name.clone(),
        user: spec.requester.username.clone(),
        scope: spec.scope,
        rules: access.rules().to_vec(),
        until: approval.until,
    })
}
