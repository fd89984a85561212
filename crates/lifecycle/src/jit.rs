//! The just-in-time rules: who may request what, and what the request still needs (M6, M7).
//!
//! Every matching rule applies: a Deny wins, requirements add up, and no match at all means Deny.

use crate::Reason;
use lockbox_api::{
    GrantForm, Identity, LockboxRequestSpec, LockboxSettingsSpec, RuleEffect,
    request::{InternalApproval, Requester},
    settings::{AccessLevel, IdentityFact, JitRule, Match},
};

/// The two facts about a requester's identity that rules may require.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct IdentityOf {
    /// Signed in with a second factor.
    pub multi_factor: bool,
    /// An isolated identity.
    pub isolated: bool,
}

impl IdentityOf {
    /// Reads the facts from what the API server confirmed about the requester. Only positive facts count: an attribute
    /// that is absent proves nothing.
    pub fn of(requester: &Requester, settings: &LockboxSettingsSpec) -> Self {
        let holds = |fact: &Option<IdentityFact>| fact.as_ref().is_some_and(|fact| proves(fact, requester));
        Self {
            multi_factor: holds(&settings.identity.multi_factor),
            isolated: holds(&settings.identity.isolated_identity),
        }
    }

    /// Whether they meet what a rule requires.
    pub const fn meets(self, demanded: Identity) -> bool {
        match demanded {
            Identity::Any => self.multi_factor || self.isolated,
            Identity::MultiFactor => self.multi_factor,
            Identity::Isolated => self.isolated,
            Identity::Both => self.multi_factor && self.isolated,
        }
    }

    /// The facts in words, for the history.
    pub fn words(self) -> Vec<String> {
        vec![
            format!("multi-factor authentication: {}", if self.multi_factor { "yes" } else { "no" }),
            format!("isolated identity: {}", if self.isolated { "yes" } else { "no" }),
        ]
    }
}

fn proves(fact: &IdentityFact, requester: &Requester) -> bool {
    fact.groups.iter().any(|group| requester.groups.contains(group))
        || fact.extra.as_ref().is_some_and(|attribute| {
            requester
                .extra
                .get(&attribute.key)
                .is_some_and(|values| values.0.iter().any(|value| attribute.values.contains(value)))
        })
}

/// What one rule made of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trace {
    /// Name of the rule.
    pub rule: String,
    /// What it does.
    pub effect: RuleEffect,
    /// Why it does not match; empty if it does.
    pub misses: Vec<String>,
    /// What it requires when it matches, in words.
    pub requires: Vec<String>,
}

/// The result of all rules.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// Permit, or Deny with a reason.
    pub outcome: Result<(), Denial>,
    /// The rules that matched; when some of them deny, those.
    pub rules: Vec<String>,
    /// What the rules that matched, taken together, require of the requester's identity.
    pub identity: Option<Identity>,
    /// The internal approvals that the rules require, one per rule.
    pub internal_approvals: Vec<InternalApproval>,
    /// The facts that were used.
    pub facts: IdentityOf,
    /// What each rule made of the request, in the order of the settings.
    pub trace: Vec<Trace>,
}

/// Why the rules refuse.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Denial {
    /// As one word.
    pub reason: Reason,
    /// In a sentence that says what to do.
    pub message: String,
}

/// Evaluates all rules. `service` is the catalogue's own name of the requested service.
pub fn evaluate(
    settings: &LockboxSettingsSpec,
    request: &LockboxRequestSpec,
    service: &str,
    level: &AccessLevel,
) -> Verdict {
    let facts = IdentityOf::of(&request.requester, settings);
    let mut trace = Vec::with_capacity(settings.jit.rules.len());
    let (mut permitting, mut denying) = (vec![], vec![]);
    for rule in &settings.jit.rules {
        let misses = rule.matches.as_ref().map_or_else(Vec::new, |wanted| misses(wanted, request, service, level));
        if misses.is_empty() {
            match rule.effect {
                RuleEffect::Permit => permitting.push(rule),
                RuleEffect::Deny => denying.push(rule),
            }
        }
        trace.push(Trace { rule: rule.name.clone(), effect: rule.effect, misses, requires: requires(rule) });
    }
    let names = |rules: &[&JitRule]| rules.iter().map(|rule| rule.name.clone()).collect::<Vec<_>>();
    if !denying.is_empty() {
        let rules = names(&denying);
        let denial = Denial {
            reason: Reason::DeniedByRule,
            message: format!(
                "Just-in-time rule {} denies requests of this kind; ask for something else, or ask a Global Administrator to change spec.jit.rules of the LockboxSettings.",
                rules.join(", ")
            ),
        };
        return Verdict { outcome: Err(denial), rules, identity: None, internal_approvals: vec![], facts, trace };
    }
    let rules = names(&permitting);
    let Some(identity) =
        permitting.iter().map(|rule| rule.require.as_ref().map_or(Identity::Any, |r| r.identity)).reduce(both)
    else {
        let denial = Denial {
            reason: Reason::NoRuleMatches,
            message: "No just-in-time rule permits this combination of scope, service, access level, resources and requester; `lockbox-operator explain` shows for each rule what does not match.".into(),
        };
        return Verdict { outcome: Err(denial), rules, identity: None, internal_approvals: vec![], facts, trace };
    };
    let internal_approvals = permitting
        .iter()
        .filter_map(|rule| {
            let demanded = rule.require.as_ref()?.internal_approval.as_ref()?;
            Some(InternalApproval {
                rule: rule.name.clone(),
                approvers: demanded.approvers.clone(),
                count: demanded.count,
            })
        })
        .collect();
    let outcome = if facts.meets(identity) {
        Ok(())
    } else {
        Err(Denial {
            reason: Reason::IdentityNotSufficient,
            message: format!(
                "Just-in-time rule {} requires {}, and spec.requester proves {}; sign in that way and create a new request.",
                rules.join(", "),
                identity_words(identity),
                match (facts.multi_factor, facts.isolated) {
                    (false, false) => "neither",
                    (true, _) => "only multi-factor authentication",
                    (_, true) => "only an isolated identity",
                }
            ),
        })
    };
    Verdict { outcome, rules, identity: Some(identity), internal_approvals, facts, trace }
}

/// Two requirements combined.
const fn both(one: Identity, other: Identity) -> Identity {
    match (one, other) {
        (Identity::Any, demanded) | (demanded, Identity::Any) => demanded,
        (Identity::MultiFactor, Identity::MultiFactor) => Identity::MultiFactor,
        (Identity::Isolated, Identity::Isolated) => Identity::Isolated,
        (Identity::Both, _)
        | (_, Identity::Both)
        | (Identity::MultiFactor, Identity::Isolated)
        | (Identity::Isolated, Identity::MultiFactor) => Identity::Both,
    }
}

/// A requirement in words.
pub const fn identity_words(identity: Identity) -> &'static str {
    match identity {
        Identity::Any => "an isolated identity or multi-factor authentication",
        Identity::MultiFactor => "multi-factor authentication",
        Identity::Isolated => "an isolated identity",
        Identity::Both => "an isolated identity and multi-factor authentication",
    }
}

fn requires(rule: &JitRule) -> Vec<String> {
    if rule.effect == RuleEffect::Deny {
        return vec![];
    }
    let demanded = rule.require.clone().unwrap_or_default();
    let mut words = vec![identity_words(demanded.identity).to_owned()];
    if let Some(internal) = demanded.internal_approval {
        let approvers: Vec<_> = internal.approvers.iter().map(ToString::to_string).collect();
        words.push(format!("internal approval by {} of {}", internal.count, approvers.join(", ")));
    }
    words
}

/// Why a rule does not match; empty if it does.
fn misses(wanted: &Match, request: &LockboxRequestSpec, service: &str, level: &AccessLevel) -> Vec<String> {
    let mut misses = vec![];
    let mut check = |fits: bool, why: String| {
        if !fits {
            misses.push(why);
        }
    };
    let resources = request.resources.as_deref().unwrap_or_default();
    if let Some(scopes) = &wanted.scopes {
        check(scopes.contains(&request.scope), format!("scopes: {scopes:?} does not include {}", request.scope));
    }
    if let Some(form) = wanted.resources {
        let is = if resources.is_empty() { GrantForm::Whole } else { GrantForm::Named };
        check(form == is, format!("resources: wants {form}, the request is {is}"));
    }
    if let Some(kinds) = &wanted.kinds {
        let fits = !resources.is_empty()
            && resources
                .iter()
                .all(|object| kinds.iter().any(|kind| kind.group == object.group && kind.resource == object.resource));
        check(fits, "kinds: does not include every requested kind".into());
    }
    if let Some(services) = &wanted.services {
        check(services.iter().any(|name| name == service), format!("services: does not include {service}"));
    }
    if let Some(levels) = &wanted.access_levels {
        check(levels.contains(&level.name), format!("accessLevels: does not include {}", level.name));
    }
    if let Some(origins) = &wanted.origins {
        check(origins.contains(&request.origin), format!("origins: does not include {}", request.origin));
    }
    if let Some(groups) = &wanted.requester_groups {
        check(
            groups.iter().any(|group| request.requester.groups.contains(group)),
            "requesterGroups: the requester is in none of them".into(),
        );
    }
    if let Some(customer_data) = wanted.customer_data {
        check(
            customer_data == level.customer_data,
            format!("customerData: wants {customer_data}, access level {} says {}", level.name, level.customer_data),
        );
    }
    misses
}
