//! Evaluating: every check before anybody is asked.

use std::fmt::Write as _;

use http::Uri;

use super::{
    access::{self, Access, Extent, KindScope},
    approvers::{self, Snapshot, Subject},
    facts::{Facts, RoleView},
    jit,
    proofs::Proof,
    services, settings,
};
use crate::{Reason, SettingsView, Why, locks, text::clip};
use lockbox_api::{
    AuditAction, Circumstance, Duration, LockboxRequestSpec, LockboxSettingsSpec, Origin, Phase, RuleEffect, Scope,
    request::{Barred, Effect, JitResult, NamedObject},
    settings::{AccessLevel, Service, Stage},
};

/// Internal approvals that a status holds at most; the schema's limit too.
const MOST_INTERNAL_APPROVALS: usize = 16;

/// What the evaluation came to.
#[derive(Clone, Debug, PartialEq)]
pub enum Outcome {
    /// Not yet: something is missing in the cluster.
    Wait(Why),
    /// The end.
    End(Box<End>),
    /// On to whoever decides next.
    Proceed(Box<Proceed>),
}

/// A request that ends where it was evaluated.
#[derive(Clone, Debug, PartialEq)]
pub struct End {
    /// Rejected, `NotTriggered` or Excluded.
    pub phase: Phase,
    /// The audit action.
    pub action: AuditAction,
    /// Why.
    pub why: Why,
    /// The result of the JIT rules, if they were evaluated.
    pub jit: Option<JitResult>,
    /// The facts that they used.
    pub facts: Vec<String>,
    /// The approvers who are told of an exclusion, and those left out where nobody was left.
    pub snapshot: Option<Snapshot>,
}

/// A request that goes on.
#[derive(Clone, Debug, PartialEq)]
pub struct Proceed {
    /// The result of the JIT rules.
    pub jit: JitResult,
    /// The facts that they used.
    pub facts: Vec<String>,
    /// Internal approvals that are needed first.
    pub internal_approvals: Vec<lockbox_api::request::InternalApproval>,
    /// Whether the customer is asked.
    pub customer_data: bool,
    /// Who may decide for the customer.
    pub snapshot: Snapshot,
    /// How many of them must approve.
    pub required: i32,
    /// The provider's people.
    pub barred: Barred,
    /// What the access allows.
    pub effect: Effect,
    /// How long it would last.
    pub duration: Duration,
}

fn not_triggered(reason: Reason, message: impl AsRef<str>) -> Outcome {
    Outcome::End(Box::new(End {
        phase: Phase::NotTriggered,
        action: AuditAction::SkipLockboxRequest,
        why: Why::new(reason, message),
        jit: None,
        facts: vec![],
        snapshot: None,
    }))
}

fn rejected(reason: Reason, message: impl AsRef<str>) -> Outcome {
    rejected_after_rules(Why::new(reason, message), None, vec![], None)
}

/// Rejected after the rules were evaluated: their result is kept.
fn rejected_after_rules(why: Why, jit: Option<JitResult>, facts: Vec<String>, snapshot: Option<Snapshot>) -> Outcome {
    Outcome::End(Box::new(End {
        phase: Phase::Rejected,
        action: AuditAction::AutoDenyLockboxRequest,
        why,
        jit,
        facts,
        snapshot,
    }))
}

/// The outcome for a request whose requester nobody compared with the caller; none if the API server did.
pub fn authentic(facts: &Facts<'_>) -> Option<Outcome> {
    if let Proof::Unknown(why) = &facts.proofs.authentic {
        return Some(Outcome::Wait(Why::new(Reason::WaitingForAdmission, why)));
    }
    let why = facts.proofs.unchecked(facts.created())?;
    let message = format!("Create a new request: spec.requester was never verified: {why}");
    Some(rejected(Reason::AdmissionNotEnforced, message))
}

/// Evaluates a request.
pub fn evaluate(facts: &Facts<'_>) -> Outcome {
    match checked(facts) {
        Ok(outcome) | Err(outcome) => outcome,
    }
}

/// The checks in their order; the first that does not hold ends the evaluation.
fn checked(facts: &Facts<'_>) -> Result<Outcome, Outcome> {
    let request = &facts.request.spec;
    let settings = match facts.settings {
        SettingsView::Known(settings) => settings,
        SettingsView::Missing => {
            return Err(Outcome::Wait(Why::new(
                Reason::SettingsMissing,
                "There is no LockboxSettings yet; the request waits until a Global Administrator creates the one named default.",
            )));
        }
        SettingsView::Unreadable(why) => {
            return Err(Outcome::Wait(Why::new(
                Reason::SettingsUnreadable,
                format!("This operator cannot read the LockboxSettings, so the request waits: {why}"),
            )));
        }
    };
    let problems = settings::problems(settings);
    if let Some(problem) = problems.first() {
        return Err(Outcome::Wait(Why::new(
            Reason::SettingsInvalid,
            format!("The LockboxSettings cannot be used, so the request waits: {problem}."),
        )));
    }
    if let Some(reason) = Reason::of_exclusion(request.circumstance) {
        return Err(exclusion(facts, settings, reason));
    }
    if let Err(off) = settings::enabled(settings) {
        return Err(not_triggered(off.reason, off.message));
    }
    check_requester(request, settings)?;
    check_limits(facts, settings)?;
    check_scope(facts)?;
    let service = check_service(request, settings)?;
    let level = check_level(request, settings, &service)?;
    check_ticket(request, settings)?;
    let duration = check_duration(request, settings, level)?;
    let access = check_access(facts, &service, level)?;
    let verdict = jit::evaluate(settings, request, &service.name, level);
    let jit = JitResult {
        rules: verdict.rules.clone(),
        verdict: if verdict.outcome.is_ok() { RuleEffect::Permit } else { RuleEffect::Deny },
        identity: verdict.identity,
        message: match &verdict.outcome {
            Ok(()) => clip(&format!("permitted by {}", verdict.rules.join(", ")), 1024),
            Err(denial) => clip(&denial.message, 1024),
        },
    };
    let used = verdict.facts.words();
    if let Err(denial) = verdict.outcome {
        return Err(rejected_after_rules(Why::new(denial.reason, denial.message), Some(jit), used, None));
    }
    let demands = verdict.internal_approvals.len();
    if demands > MOST_INTERNAL_APPROVALS {
        return Err(rejected_after_rules(
            Why::new(
                Reason::TooManyInternalApprovals,
                format!(
                    "{demands} rules in spec.jit.rules of the LockboxSettings demand an internal approval of this request, and status.internalApprovals holds {MOST_INTERNAL_APPROVALS}; a Global Administrator merges some of them, then create a new request."
                ),
            ),
            Some(jit),
            used,
            None,
        ));
    }
    // Also where the rules decide alone: they are shown who may end the access.
    let snapshot = take_snapshot(facts, settings);
    let required = settings.approvals.required.max(1);
    if level.customer_data
        && let Some(why) = nobody(&snapshot, required, request.scope)
    {
        return Err(rejected_after_rules(why, Some(jit), used, Some(snapshot)));
    }
    Ok(Outcome::Proceed(Box::new(Proceed {
        jit,
        facts: used,
        internal_approvals: verdict.internal_approvals,
        customer_data: level.customer_data,
        snapshot,
        required,
        barred: approvers::barred(settings),
        effect: access::effect(level, &access),
        duration,
    })))
}

fn take_snapshot(facts: &Facts<'_>, settings: &LockboxSettingsSpec) -> Snapshot {
    let subject = Subject {
        scope: facts.request.spec.scope,
        namespace: facts.namespace(),
        created: facts.created(),
        requester: &facts.request.spec.requester,
    };
    approvers::snapshot(facts.assignments, settings, &subject, facts.tenant_namespace)
}

/// Why the snapshot cannot decide: an empty one means nobody, never everybody.
fn nobody(snapshot: &Snapshot, required: i32, scope: Scope) -> Option<Why> {
    let role = match scope {
        Scope::Subscription => "Owner or LockboxApprover of this namespace",
        Scope::Tenant => "GlobalAdministrator",
    };
    if snapshot.approvers.is_empty() {
        let mut message = format!(
            "No designated approver was in place when the request was made; the customer assigns the role {role} (RoleAssignment), then create a new request."
        );
        if !snapshot.excluded.is_empty() {
            let _ = write!(message, " Excluded: {} (status.excludedApprovers says why).", snapshot.excluded.len());
        }
        return Some(Why::new(Reason::NoEligibleApprover, message));
    }
    (!approvers::can_reach(&snapshot.approvers, required)).then(|| {
        Why::new(
            Reason::NotEnoughApprovers,
            format!(
                "spec.approvals.required of the LockboxSettings is {required}, and only {} approvers were in place when the request was made; assign the role {role} to more people, then create a new request.",
                snapshot.approvers.len()
            ),
        )
    })
}

/// An exclusion (M17): a record, from those whom the settings allow. It grants nothing, so it is recorded even while
/// Lockbox is off: the customer learns of it in any case.
fn exclusion(facts: &Facts<'_>, settings: &LockboxSettingsSpec, reason: Reason) -> Outcome {
    let request = &facts.request.spec;
    let circumstance = request.circumstance;
    let allowed = settings.exclusions.iter().flat_map(|exclusions| &exclusions.allowed);
    let by = allowed.filter(|allowed| allowed.circumstance == circumstance).flat_map(|allowed| &allowed.by);
    if !by.into_iter().any(|who| who.includes(&request.requester.username, &request.requester.groups)) {
        return rejected(
            Reason::ExclusionNotAllowed,
            format!(
                "spec.circumstance: {} may not record {circumstance}; spec.exclusions.allowed of the LockboxSettings says who may. An exclusion grants nothing: for access, ask with circumstance Standard.",
                request.requester.username
            ),
        );
    }
    let incident = request.incident.as_ref().map_or("", |incident| incident.id.as_str());
    let mut message = format!(
        "{} recorded {circumstance} for incident {incident}: no approval is asked for, and nothing is granted here.",
        request.requester.username
    );
    if circumstance == Circumstance::LegalDemand
        && let Some(url) = settings.exclusions.as_ref().and_then(|exclusions| exclusions.legal_demands_url.as_ref())
    {
        let _ = write!(message, " How legal demands are answered: {url}");
    }
    Outcome::End(Box::new(End {
        phase: Phase::Excluded,
        action: AuditAction::ExcludeLockboxRequest,
        why: Why::new(reason, message),
        jit: None,
        facts: vec![],
        snapshot: Some(take_snapshot(facts, settings)),
    }))
}

fn check_requester(request: &LockboxRequestSpec, settings: &LockboxSettingsSpec) -> Result<(), Outcome> {
    let requester = &request.requester;
    let mut engineers = settings.provider.iter().flat_map(|provider| &provider.engineers);
    if !engineers.any(|who| who.includes(&requester.username, &requester.groups)) {
        return Err(rejected(
            Reason::NotTheProvider,
            format!(
                "spec.requester: {} is not one of the provider's engineers (spec.provider.engineers of the LockboxSettings), and only they ask for access.",
                requester.username
            ),
        ));
    }
    if !settings.origins.contains(&request.origin) {
        return Err(rejected(
            Reason::OriginNotAccepted,
            format!(
                "spec.origin: {} is not accepted here; spec.origins of the LockboxSettings accepts {:?}.",
                request.origin, settings.origins
            ),
        ));
    }
    Ok(())
}

/// A lock holds for every request; and one requester, or one namespace, has a bounded number of open ones, so that nobody
/// fills the cluster or the operator's memory with them.
fn check_limits(facts: &Facts<'_>, settings: &LockboxSettingsSpec) -> Result<(), Outcome> {
    if let Some(lock) = locks::of(settings, facts.request) {
        return Err(rejected(Reason::RequesterLocked, locks::words(lock)));
    }
    let (open, limits) = (facts.open, &settings.limits);
    let over = |open: usize, limit: i32| i32::try_from(open).unwrap_or(i32::MAX) > limit;
    if over(open.of_requester, limits.open_per_requester) {
        return Err(rejected(
            Reason::TooManyOpenRequests,
            format!(
                "Wait until some of your requests have ended, or withdraw them (spec.cancellation): {} has {} open ones, and spec.limits.openPerRequester of the LockboxSettings is {}.",
                facts.request.spec.requester.username, open.of_requester, limits.open_per_requester
            ),
        ));
    }
    if over(open.in_namespace, limits.open_per_namespace) {
        return Err(rejected(
            Reason::TooManyOpenRequests,
            format!(
                "Wait until some requests in namespace {} have ended: {} are open, and spec.limits.openPerNamespace of the LockboxSettings is {}.",
                facts.namespace(),
                open.in_namespace,
                limits.open_per_namespace
            ),
        ));
    }
    Ok(())
}

fn check_scope(facts: &Facts<'_>) -> Result<(), Outcome> {
    let at_home = facts.namespace() == facts.tenant_namespace;
    match facts.request.spec.scope {
        Scope::Tenant if !at_home => Err(rejected(
            Reason::WrongNamespace,
            format!("spec.scope: a request for the tenant lives in namespace {}.", facts.tenant_namespace),
        )),
        Scope::Subscription if at_home => Err(rejected(
            Reason::WrongNamespace,
            "spec.scope: this is the tenant's home namespace; a request for a subscription lives in that namespace.",
        )),
        Scope::Tenant | Scope::Subscription => Ok(()),
    }
}

fn check_service(request: &LockboxRequestSpec, settings: &LockboxSettingsSpec) -> Result<Service, Outcome> {
    let catalogue = services::Catalogue::new(settings);
    let Some(service) = catalogue.find(&request.service) else {
        let advice =
            catalogue.nearest(&request.service).map(|near| format!(" Did you mean {near}?")).unwrap_or_default();
        return Err(not_triggered(
            Reason::UnknownService,
            format!(
                "spec.service: {} is not in the catalogue of services (status.services of the LockboxSettings).{advice}",
                request.service
            ),
        ));
    };
    match services::stage_for(&service, &request.access_level) {
        Stage::NotSupported => Err(not_triggered(
            Reason::ServiceNotSupported,
            format!(
                "spec.service: {} is not supported by Customer Lockbox; {}.",
                service.name,
                service.advice.as_deref().unwrap_or("ask for another service").trim_end_matches('.')
            ),
        )),
        Stage::Preview if !services::opted_in(settings, &service) => Err(not_triggered(
            Reason::PreviewNotOptedIn,
            format!(
                "spec.service: {} with access level {} is in preview, and the customer has not opted in (spec.previewServices of the LockboxSettings).",
                service.name, request.access_level
            ),
        )),
        Stage::Preview | Stage::GeneralAvailability => Ok(service),
    }
}

fn check_level<'a>(
    request: &LockboxRequestSpec,
    settings: &'a LockboxSettingsSpec,
    service: &Service,
) -> Result<&'a AccessLevel, Outcome> {
    let Some(level) = settings.access_level(&request.access_level) else {
        let known: Vec<_> = settings.access_levels.iter().map(|level| level.name.as_str()).collect();
        return Err(rejected(
            Reason::UnknownAccessLevel,
            format!(
                "spec.accessLevel: {} is not in spec.accessLevels of the LockboxSettings, which has {}.",
                request.access_level,
                or_none(&known)
            ),
        ));
    };
    let says_service = service.access_levels.contains(&level.name);
    let says_level = level.services.as_ref().is_none_or(|services| services.contains(&service.name));
    if !says_service || !says_level {
        let allowed: Vec<_> = settings
            .access_levels
            .iter()
            .filter(|level| service.access_levels.contains(&level.name))
            .filter(|level| level.services.as_ref().is_none_or(|services| services.contains(&service.name)))
            .map(|level| level.name.as_str())
            .collect();
        return Err(rejected(
            Reason::AccessLevelNotAllowed,
            format!(
                "spec.accessLevel: {} does not go with service {}; allowed there: {}.",
                level.name,
                service.name,
                or_none(&allowed)
            ),
        ));
    }
    if !service.scopes.contains(&request.scope) {
        return Err(rejected(
            Reason::ScopeNotAllowed,
            format!(
                "spec.scope: {} does not go with service {}; allowed there: {:?}.",
                request.scope, service.name, service.scopes
            ),
        ));
    }
    let outside = request.resources.iter().flatten().find(|object| {
        !service.resources.iter().any(|kind| kind.group == object.group && kind.resource == object.resource)
    });
    if let Some(object) = outside {
        return Err(rejected(
            Reason::ResourceNotAllowed,
            format!(
                "spec.resources: {object} does not belong to service {}, which has {}.{}",
                service.name,
                or_none(&service.resources),
                services::hint(object, &service.resources).map(|hint| format!(" {hint}")).unwrap_or_default()
            ),
        ));
    }
    Ok(level)
}

fn check_ticket(request: &LockboxRequestSpec, settings: &LockboxSettingsSpec) -> Result<(), Outcome> {
    let hosts: &[String] = settings.support_portal.as_ref().map_or(&[], |portal| &portal.hosts);
    let links = [
        ("spec.supportRequest.url", request.support_request.as_ref().map(|ticket| ticket.url.as_str())),
        ("spec.incident.url", request.incident.as_ref().and_then(|incident| incident.url.as_deref())),
    ];
    for (field, url) in links {
        let Some(url) = url else { continue };
        let host = host_of(url);
        let is_known = |host: &String| hosts.iter().any(|known| known.eq_ignore_ascii_case(host));
        if !host.as_ref().is_some_and(is_known) {
            return Err(rejected(
                Reason::UnknownHost,
                format!(
                    "{field}: links point to hosts in spec.supportPortal.hosts of the LockboxSettings ({}), not to {}.",
                    or_none(hosts),
                    host.as_deref().unwrap_or("one that cannot be read")
                ),
            ));
        }
    }
    let named = match request.origin {
        Origin::SupportRequest => request.support_request.is_some(),
        Origin::ProviderInitiated => request.incident.is_some(),
    };
    if named {
        Ok(())
    } else {
        Err(rejected(
            Reason::OriginNotStated,
            "spec.origin: name the support request, or the incident, that it comes from.",
        ))
    }
}

/// The host of a URL by RFC 3986. Browsers go beyond it (they take `\` for `/`, and leave out tabs and line breaks): a
/// URL that needs them has none here.
pub fn host_of(url: &str) -> Option<String> {
    url.parse::<Uri>().ok()?.host().map(str::to_owned)
}

fn check_duration(
    request: &LockboxRequestSpec,
    settings: &LockboxSettingsSpec,
    level: &AccessLevel,
) -> Result<Duration, Outcome> {
    let maximum = settings.grant.maximum;
    let Some(asked) = request.duration else {
        return Ok(settings.grant.default.min(maximum).min(level.maximum.unwrap_or(maximum)));
    };
    let limits = [
        (level.maximum, format!("the maximum of access level {}", level.name)),
        (Some(maximum), "grant.maximum of the LockboxSettings".into()),
    ];
    for (limit, what) in limits {
        if let Some(limit) = limit
            && asked > limit
        {
            return Err(rejected(
                Reason::DurationTooLong,
                format!("spec.duration: {asked} is longer than {what}, {limit}; ask for {limit} or less."),
            ));
        }
    }
    Ok(asked)
}

fn check_access(facts: &Facts<'_>, service: &Service, level: &AccessLevel) -> Result<Access, Outcome> {
    let request = &facts.request.spec;
    let rules = match facts.role {
        RoleView::Unread | RoleView::Missing => None,
        RoleView::Rules(rules) => Some(rules.as_slice()),
    };
    if let Some(problem) = settings::level_problems(level, rules).first() {
        return Err(rejected(
            Reason::AccessLevelUnusable,
            format!("Access level {} cannot be granted: {problem}.", level.name),
        ));
    }
    let unfit = |why: &access::Unfit| {
        rejected(Reason::NothingToGrant, format!("spec.{}.", why.to_string().trim_end_matches('.')))
    };
    // In a ClusterRole, the name of a namespaced object means the objects of that name in every namespace.
    let unknown = |object: &&NamedObject| access::kind_scope(&object.group, &object.resource) == KindScope::Unknown;
    if request.scope == Scope::Tenant
        && let Some(object) = request.resources.iter().flatten().find(unknown)
    {
        return Err(rejected(
            Reason::ResourceNotAllowed,
            format!(
                "spec.resources: {object} is not known to belong to the cluster rather than to a namespace; ask for it with scope Subscription, in its namespace."
            ),
        ));
    }
    let extent = Extent::from_request(request.resources.as_deref()).map_err(|why| unfit(&why))?;
    let access =
        access::cut(rules.unwrap_or_default(), &extent, &level.same_name, request.scope).map_err(|why| unfit(&why))?;
    let dangers = access::dangers(access.rules(), &level.extra_rights, request.scope);
    if !dangers.is_empty() {
        return Err(rejected(
            Reason::AccessLevelUnusable,
            format!(
                "Access level {} of service {} is not fit for scope {}: {}.",
                level.name,
                service.name,
                request.scope,
                access::told(&dangers)
            ),
        ));
    }
    Ok(access)
}

/// All of them, or that there is none.
fn or_none<T: ToString>(items: &[T]) -> String {
    let items: Vec<_> = items.iter().map(T::to_string).collect();
    if items.is_empty() { "none".into() } else { items.join(", ") }
}

#[cfg(test)]
mod tests {
    use super::host_of;

    #[test]
    fn the_host_of_a_link_is_the_one_that_a_browser_would_ask() {
        for (url, host) in [
            ("https://support.example/123", "support.example"),
            ("https://support.example:8443/123", "support.example"),
            ("https://support.example@evil.example/123", "evil.example"),
            ("https://support.example:443@evil.example/123", "evil.example"),
            ("https://a@b@evil.example/", "evil.example"),
            ("https://evil.example?https://support.example/", "evil.example"),
            ("https://evil.example#support.example", "evil.example"),
            ("https://evil.example/@support.example", "evil.example"),
            ("https://SUPPORT.example/", "SUPPORT.example"),
            ("HTTPS://evil.example/https://support.example/", "evil.example"),
            ("https://xn--spport-3ya.example/", "xn--spport-3ya.example"),
            ("https://support.example./", "support.example."),
            ("https://[::1]:443/x", "[::1]"),
        ] {
            assert_eq!(host_of(url).as_deref(), Some(host), "{url}");
        }
    }

    #[test]
    fn a_link_that_browsers_read_in_their_own_way_has_no_host() {
        for url in [
            "https://",
            "https:///support.example",
            r"https://evil.example\@support.example/",
            r"https://support.example\@evil.example/",
            "https://evil.example\t@support.example/",
            "https://sup\tport.example/",
            "https://support.example\n.evil.example/",
            " https://support.example/",
            "https://süpport.example/",
            "https://ｓupport.example/",
            "https://support%2Eexample/",
            "https://support.example%00.evil.example/",
        ] {
            assert_eq!(host_of(url), None, "{url}");
        }
    }
}
