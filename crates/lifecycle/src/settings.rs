//! Whether the settings switch Lockbox on, and what is wrong with them.

use k8s_openapi::api::rbac::v1::PolicyRule;

use crate::{Reason, Why, access, approvers, services, text::clip};
use lockbox_api::{
    LockboxSettingsSpec, Scope,
    settings::{AccessLevel, Enablement, SupportPlan},
};

/// The settings, as far as they can be read.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum SettingsView<'a> {
    /// They do not exist.
    Missing,
    /// They exist, but this operator cannot read them: a sentence says why. They may say anything, so they neither let
    /// anything through nor end anything.
    Unreadable(&'a str),
    /// What they say.
    Known(&'a LockboxSettingsSpec),
}

/// Whether Lockbox is on.
#[derive(Clone, Debug, PartialEq)]
pub enum Standing<'a> {
    /// Settings exist, it is switched on (M3), and the plan qualifies (M2).
    On(&'a LockboxSettingsSpec),
    /// It is known to be off.
    Off(Off),
    /// Nobody can tell.
    Unknown(Why),
}

/// Why Lockbox is off.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Off {
    /// As one word.
    pub reason: Reason,
    /// In a sentence that says what to do.
    pub message: String,
}

impl<'a> SettingsView<'a> {
    /// What the settings say, if they can be read.
    pub const fn known(self) -> Option<&'a LockboxSettingsSpec> {
        match self {
            Self::Known(settings) => Some(settings),
            Self::Missing | Self::Unreadable(_) => None,
        }
    }

    /// Whether Lockbox is on.
    pub fn standing(self) -> Standing<'a> {
        match self {
            Self::Missing => Standing::Off(Off {
                reason: Reason::SettingsMissing,
                message: "There is no LockboxSettings; a Global Administrator creates the one named default.".into(),
            }),
            Self::Unreadable(why) => Standing::Unknown(Why::new(
                Reason::SettingsUnreadable,
                format!("This operator cannot read the LockboxSettings, so the request waits: {why}"),
            )),
            Self::Known(settings) => match enabled(settings) {
                Ok(()) => Standing::On(settings),
                Err(off) => Standing::Off(off),
            },
        }
    }
}

/// Whether these settings switch Lockbox on.
pub fn enabled(settings: &LockboxSettingsSpec) -> Result<(), Off> {
    if settings.support_plan < SupportPlan::Developer {
        return Err(Off {
            reason: Reason::SupportPlanTooLow,
            message: format!(
                "Customer Lockbox needs a support plan of at least Developer; spec.supportPlan of the LockboxSettings is {}.",
                settings.support_plan
            ),
        });
    }
    if settings.enablement == Enablement::Manual && !settings.enabled {
        return Err(Off {
            reason: Reason::LockboxDisabled,
            message: "Customer Lockbox is switched off; a Global Administrator sets spec.enabled of the LockboxSettings to true.".into(),
        });
    }
    Ok(())
}

/// Something in the settings that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The field, such as `spec.jit.rules[remote-desktop].match.services`.
    pub field: String,
    /// What is wrong with it and what to do.
    pub message: String,
}

impl std::fmt::Display for Problem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.field, self.message)
    }
}

/// Characters of a condition's message: the schema's own bound.
const MAX_MESSAGE: usize = 1024;
/// Problems that a message names.
const MOST_TOLD: usize = 6;

/// Problems in one message of at most 1024 characters: the first six, each with its share of the room, and how many more
/// there are.
pub fn told(problems: &[Problem]) -> String {
    let shown = problems.len().min(MOST_TOLD);
    let more = problems.len() - shown;
    let more = if more > 0 { format!(" (and {more} more)") } else { String::new() };
    let room = (MAX_MESSAGE - more.len()) / shown.max(1) - " | ".len();
    let texts: Vec<_> = problems.iter().take(shown).map(|problem| clip(&problem.to_string(), room)).collect();
    texts.join(" | ") + &more
}

/// What is wrong with the settings themselves, beyond what the API server refuses. While there is any, no request is
/// evaluated.
pub fn problems(settings: &LockboxSettingsSpec) -> Vec<Problem> {
    let catalogue = services::Catalogue::new(settings);
    let mut problems: Vec<_> = services::problems(settings)
        .into_iter()
        .map(|message| Problem { field: "spec.services".into(), message })
        .collect();
    let mut known = |field: String, names: &[String]| {
        for name in names {
            if catalogue.find(name).is_none_or(|service| service.name != *name) {
                let advice = catalogue.nearest(name).map(|near| format!("; did you mean {near}?")).unwrap_or_default();
                problems.push(Problem {
                    field: field.clone(),
                    message: format!("{name} is the name of no service in the catalogue or in spec.services{advice}"),
                });
            }
        }
    };
    for rule in &settings.jit.rules {
        if let Some(names) = rule.matches.as_ref().and_then(|wanted| wanted.services.as_ref()) {
            known(format!("spec.jit.rules[{}].match.services", rule.name), names);
        }
    }
    for level in &settings.access_levels {
        if let Some(names) = &level.services {
            known(format!("spec.accessLevels[{}].services", level.name), names);
        }
    }
    known("spec.previewServices.names".into(), &settings.preview_services.names);
    problems.extend(too_many_of_the_provider(settings));
    problems
}

/// A request must record all of the provider's people: anyone left out could decide for the customer.
fn too_many_of_the_provider(settings: &LockboxSettingsSpec) -> Option<Problem> {
    let barred = approvers::barred(settings);
    let (users, groups) = (barred.users.len(), barred.groups.len());
    (users.max(groups) > approvers::BARRED_LIMIT).then(|| Problem {
        field: "spec.provider.engineers, spec.jit.rules, spec.exclusions".into(),
        message: format!(
            "{users} users and {groups} groups of the provider are named, and a request records at most {} of each; name groups in place of users",
            approvers::BARRED_LIMIT
        ),
    })
}

/// What is wrong with one access level, given the rules of its `ClusterRole` (`None`: it does not exist). Requests for
/// such a level are refused; the others go on. Everything against the role stands in one problem.
pub fn level_problems(level: &AccessLevel, rules: Option<&[PolicyRule]>) -> Vec<Problem> {
    let field = |name: &str| format!("spec.accessLevels[{}].{name}", level.name);
    let Some(rules) = rules else {
        return vec![Problem {
            field: field("clusterRole"),
            message: format!(
                "there is no ClusterRole {} with the label lockbox.dev/access-level: \"true\"; create it, or name another",
                level.cluster_role
            ),
        }];
    };
    let mut problems = Vec::new();
    let dangers = access::dangers(rules, &level.extra_rights, Scope::Subscription);
    if !dangers.is_empty() {
        let message = format!("{} cannot be granted: {}", level.cluster_role, access::told(&dangers));
        problems.push(Problem { field: field("clusterRole"), message });
    }
    if !level.customer_data {
        let reached = access::customer_data(rules);
        if !reached.is_empty() {
            problems.push(Problem {
                field: field("customerData"),
                message: format!(
                    "says false, but ClusterRole {} reaches customer data ({}); say true, or take that out of the role",
                    level.cluster_role,
                    clip(&reached.join("; "), 600)
                ),
            });
        }
    }
    problems
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn more_of_the_providers_people_than_a_request_records_are_a_problem() {
        let with = |kind: &str, count: usize| -> Vec<Problem> {
            let people: Vec<_> = (0..count).map(|n| json!({"kind": kind, "name": format!("p{n}")})).collect();
            let settings = json!({"supportPlan": "Developer", "provider": {"engineers": people}});
            problems(&serde_json::from_value(settings).unwrap())
        };
        for kind in ["User", "Group"] {
            assert_eq!(with(kind, approvers::BARRED_LIMIT), []);
            let found = with(kind, approvers::BARRED_LIMIT + 1);
            assert_eq!(found.len(), 1, "{kind}");
            assert!(found[0].to_string().starts_with("spec.provider.engineers"), "{}", found[0]);
            assert!(found[0].message.contains("65") && found[0].message.contains("name groups"), "{}", found[0]);
        }
    }

    #[test]
    fn everything_against_a_role_is_one_problem_until_the_settings_name_it_with_a_reason() {
        let rules: Vec<PolicyRule> = serde_json::from_value(json!([
            {"apiGroups": [""], "resources": ["configmaps"], "verbs": ["get", "watch", "update", "patch"]},
            {"apiGroups": ["image.openshift.io"], "resources": ["imagestreams/layers"], "verbs": ["get"]},
        ]))
        .unwrap();
        let level = |extra: serde_json::Value| -> AccessLevel {
            serde_json::from_value(json!({"name": "Edit", "clusterRole": "contoso-edit", "extraRights": extra}))
                .unwrap()
        };
        let update = json!({"resource": "configmaps", "verbs": ["update"], "reason": "settings of the shop"});
        let found = level_problems(&level(json!([update])), Some(&rules));
        let found: Vec<_> = found.iter().map(ToString::to_string).collect();
        assert_eq!(
            found,
            [
                "spec.accessLevels[Edit].clusterRole: contoso-edit cannot be granted: not known to be harmless, take them out or name them with a reason in extraRights: rules[0] patch configmaps; rules[1] get imagestreams.image.openshift.io/layers"
            ]
        );
        let all = json!([
            {"resource": "configmaps", "verbs": ["update", "patch"], "reason": "settings of the shop"},
            {"group": "image.openshift.io", "resource": "imagestreams/layers", "verbs": ["get"], "reason": "images"},
        ]);
        assert_eq!(level_problems(&level(all), Some(&rules)), []);
    }

    #[test]
    fn several_problems_are_told_at_once_each_with_its_share_of_the_message() {
        let problem = |field: &str, length: usize| Problem { field: field.into(), message: "x".repeat(length) };
        assert_eq!(told(&[]), "");
        assert_eq!(told(&[problem("spec.a", 2)]), "spec.a: xx");
        assert_eq!(told(&[problem("spec.a", 2), problem("spec.b", 1)]), "spec.a: xx | spec.b: x");
        let many: Vec<_> = (0..9).map(|n| problem(&format!("spec.f{n}"), 2000)).collect();
        for count in 1..=many.len() {
            let text = told(&many[..count]);
            assert!(text.chars().count() <= MAX_MESSAGE, "{count}: {}", text.chars().count());
            assert!(many[..count.min(MOST_TOLD)].iter().all(|problem| text.contains(&problem.field)), "{text}");
        }
        assert!(told(&many).ends_with(" (and 3 more)"));
    }
}
