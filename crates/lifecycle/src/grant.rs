//! The grant that an approval amounts to.

use k8s_openapi::api::rbac::v1::PolicyRule;

use super::{
    access::{self, Extent},
    facts::{Facts, RoleView},
};
use lockbox_api::{LockboxRequestStatus, Moment, Scope, request::Effect};

/// A grant to make. Only a step makes one, and only from an approval.
#[derive(Clone, Debug, PartialEq)]
pub struct GrantPlan {
    /// Name of its objects.
    pub name: String,
    /// Who gets it.
    pub user: String,
    /// The namespace, or the cluster.
    pub scope: Scope,
    /// Exactly what is granted.
    pub rules: Vec<PolicyRule>,
    /// When it ends.
    pub until: Moment,
}

/// The grant that was approved, or why there is none: what the role can do is compared with what was approved.
pub(super) fn plan(facts: &Facts<'_>, status: &LockboxRequestStatus) -> Result<GrantPlan, (&'static str, String)> {
    let spec = &facts.request.spec;
    let (Some(effect), Some(grant), Some(until)) = (&status.effect, &status.grant, status.access_until) else {
        return Err((
            "NothingApproved",
            "The status records no approval to grant from (status.effect, status.grant); create a new request.".into(),
        ));
    };
    let level = facts
        .settings
        .and_then(|settings| settings.access_levels.iter().find(|level| level.name == spec.access_level))
        .ok_or_else(|| {
            (
                "AccessLevelGone",
                format!(
                    "Access level {} was taken out of the LockboxSettings after it was approved; create a new request.",
                    spec.access_level
                ),
            )
        })?;
    let RoleView::Rules(rules) = facts.role else {
        return Err((
            "RoleGone",
            format!("ClusterRole {} of the access level is gone; create a new request.", level.cluster_role),
        ));
    };
    let changed = |now: Option<&Effect>| {
        let difference = access::difference(&effect.rules, now.map_or(&[], |now| &now.rules));
        (
            "RoleChanged",
            format!(
                "What access level {} can do changed after the approvers saw it: {difference}. Create a new request.",
                level.name
            ),
        )
    };
    let extent = Extent::from_request(spec.resources.as_deref()).map_err(|_| changed(None))?;
    let whole = access::cut(rules, &extent, &level.same_name, spec.scope).map_err(|_| changed(None))?;
    let current = access::effect(level, &whole);
    if current.hash != effect.hash {
        return Err(changed(Some(&current)));
    }
    if grant.resources.as_ref().is_some_and(Vec::is_empty) {
        return Err((
            "NothingLeft",
            "The approvers cut the request down to different resources, so nothing is left that all of them approved; create a new request.".into(),
        ));
    }
    let access = Extent::from_request(grant.resources.as_deref())
        .and_then(|approved| access::cut(rules, &approved, &level.same_name, spec.scope))
        .map_err(|why| ("NothingLeft", format!("Of what was approved nothing can be granted: {why}.")))?;
    if let Some(danger) = access::dangers(access.rules(), spec.scope).first() {
        return Err(("AccessLevelUnusable", format!("Access level {} cannot be granted: {danger}.", level.name)));
    }
    Ok(GrantPlan {
        name: grant.name.clone(),
        user: spec.requester.username.clone(),
        scope: spec.scope,
        rules: access.rules().to_vec(),
        until,
    })
}
