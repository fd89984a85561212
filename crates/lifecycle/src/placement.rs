//! Whether the API server would take a grant in the requested place. This is tried before an approver is asked.

use k8s_openapi::api::rbac::v1::PolicyRule;
use lockbox_api::{LockboxRequest, LockboxSettingsSpec};

use crate::{
    access::{self, Extent},
    facts::RoleView,
};

/// What a trial in the request's own namespace came to: server-side dry runs of every object that a grant would make.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum PlacementView {
    /// Not tried: the phase does not need it, or the trial had no answer yet.
    #[default]
    Untried,
    /// The API server takes a grant there, as far as a dry run shows.
    Fits,
    /// The API server will never take it. Holds its words.
    Refused(String),
    /// The API server does not take it now, and may later: a quota, a policy of somebody's, a webhook that is down,
    /// RBAC that is still catching up. Holds its words.
    Blocked(String),
}

/// The rules that are tried: all that is asked for, as evaluation cuts them. None where evaluation finds fault with them.
pub fn rules(request: &LockboxRequest, settings: Option<&LockboxSettingsSpec>, role: &RoleView) -> Vec<PolicyRule> {
    let spec = &request.spec;
    let level = settings.and_then(|settings| settings.access_level(&spec.access_level));
    let (Some(level), RoleView::Rules(rules)) = (level, role) else { return vec![] };
    let cut = Extent::from_request(spec.resources.as_deref())
        .and_then(|extent| access::cut(rules, &extent, &level.same_name, spec.scope));
    cut.map(|access| access.rules().to_vec()).unwrap_or_default()
}
