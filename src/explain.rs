//! `lockbox-operator explain`: what happens to a request, rule by rule, without a cluster.

use std::{collections::BTreeMap, fmt::Write as _, fs, path::PathBuf, process::ExitCode};

use clap::ValueEnum;
use k8s_openapi::api::rbac::v1::ClusterRole;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use lockbox_api::{
    LockboxRequest, LockboxSettings, Moment, Phase, RoleAssignment, RuleEffect,
    time::{from_kubernetes, to_kubernetes},
};
use lockbox_lifecycle::{
    Channels, Facts, OpenRequests, Outcomes, Proofs, Reason, RoleView, SettingsView,
    evaluate::{Outcome, evaluate},
    jit::{self, IdentityOf},
    services::Catalogue,
};

/// Options of `explain`.
#[derive(clap::Args, Debug)]
pub struct Explain {
    /// Files with YAML documents: one LockboxSettings and one LockboxRequest; ClusterRoles and RoleAssignments as needed.
    #[arg(short, long = "filename", value_name = "FILE", required = true)]
    filenames: Vec<PathBuf>,
    /// The requester, if the request does not say (on Kubernetes 1.36 and later the API server fills it in).
    #[arg(long = "as", value_name = "USER")]
    user: Option<String>,
    /// A group of the requester. May be repeated.
    #[arg(long = "as-group", value_name = "GROUP")]
    groups: Vec<String>,
    /// An attribute of the requester. May be repeated.
    #[arg(long = "as-user-extra", value_name = "KEY=VALUE")]
    extra: Vec<String>,
    /// Output format.
    #[arg(short, long, value_enum, default_value_t = Output::Text, value_name = "FORMAT")]
    output: Output,
}

/// Output format.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum Output {
    /// For people.
    Text,
    /// For scripts.
    Json,
}

/// Why nothing can be explained.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file cannot be read.
    #[error("{0}: {1}")]
    File(PathBuf, std::io::Error),
    /// A document is not what it says it is.
    #[error("{0}: {1}")]
    Document(PathBuf, String),
    /// Something is missing.
    #[error("no {0} in the files: name one with -f")]
    Missing(&'static str),
    /// An attribute is not written as key=value.
    #[error("--as-user-extra {0}: write KEY=VALUE, such as provider.example/amr=mfa")]
    Extra(String),
}

/// What the files hold.
#[derive(Debug, Default)]
struct Documents {
    settings: Option<LockboxSettings>,
    request: Option<LockboxRequest>,
    roles: BTreeMap<String, ClusterRole>,
    assignments: Vec<RoleAssignment>,
}

/// The answer.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Report {
    request: String,
    requester: String,
    multi_factor: bool,
    isolated: bool,
    rules: Vec<RuleReport>,
    outcome: &'static str,
    reason: String,
    message: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    internal_approvals: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    not_looked_at: Vec<&'static str>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct RuleReport {
    name: String,
    effect: RuleEffect,
    matches: bool,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    why_not: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    requires: Vec<String>,
}

impl Explain {
    /// Prints the answer. 0: the request proceeds; 1: it is refused; 2: nothing could be explained.
    pub fn run(&self) -> ExitCode {
        let report = match self.documents().and_then(|documents| report(&documents)) {
            Ok(report) => report,
            Err(error) => {
                eprintln!("lockbox-operator explain: {error}");
                return ExitCode::from(2);
            }
        };
        let text = match self.output {
            Output::Json => serde_json::to_string_pretty(&report).unwrap_or_default() + "\n",
            Output::Text => report.text(),
        };
        // Who closes the pipe has read enough.
        let _ = std::io::Write::write_all(&mut std::io::stdout().lock(), text.as_bytes());
        ExitCode::from(u8::from(report.outcome == "refused"))
    }

    fn documents(&self) -> Result<Documents, Error> {
        let mut documents = Documents::default();
        for path in &self.filenames {
            let text = fs::read_to_string(path).map_err(|error| Error::File(path.clone(), error))?;
            for document in serde_yaml_ng::Deserializer::from_str(&text) {
                let bad = |error: &dyn std::fmt::Display| Error::Document(path.clone(), error.to_string());
                let value = Value::deserialize(document).map_err(|error| bad(&error))?;
                let kind = value["kind"].as_str().unwrap_or_default().to_owned();
                match kind.as_str() {
                    "LockboxSettings" => documents.settings = Some(read(value).map_err(|error| bad(&error))?),
                    "LockboxRequest" => {
                        documents.request = Some(read(self.with_requester(value)?).map_err(|error| bad(&error))?);
                    }
                    "ClusterRole" => {
                        let role: ClusterRole = read(value).map_err(|error| bad(&error))?;
                        documents.roles.insert(role.metadata.name.clone().unwrap_or_default(), role);
                    }
                    "RoleAssignment" => documents.assignments.push(read(value).map_err(|error| bad(&error))?),
                    _ => {}
                }
            }
        }
        Ok(documents)
    }

    /// The request with its requester as the API server would fill it in.
    fn with_requester(&self, mut request: Value) -> Result<Value, Error> {
        if request["spec"].get("requester").is_some() && self.user.is_none() {
            return Ok(request);
        }
        let mut extra: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        for attribute in &self.extra {
            let (key, value) = attribute.split_once('=').ok_or_else(|| Error::Extra(attribute.clone()))?;
            extra.entry(key).or_default().push(value);
        }
        request["spec"]["requester"] = json!({
            "username": self.user.as_deref().unwrap_or("nobody"),
            "groups": self.groups,
            "extra": extra,
        });
        Ok(request)
    }
}

fn read<T: serde::de::DeserializeOwned>(value: Value) -> Result<T, serde_json::Error> {
    serde_json::from_value(value)
}

fn report(documents: &Documents) -> Result<Report, Error> {
    let settings = documents.settings.as_ref().ok_or(Error::Missing("LockboxSettings"))?;
    let request = documents.request.clone().ok_or(Error::Missing("LockboxRequest"))?;
    let spec = &settings.spec;
    let level = spec.access_level(&request.spec.access_level);
    let service = Catalogue::new(spec).find(&request.spec.service);
    let verdict = level.map(|level| {
        let service = service.as_ref().map_or(request.spec.service.as_str(), |service| &service.name);
        jit::evaluate(spec, &request.spec, service, level)
    });
    let rules = verdict.as_ref().map_or_else(Vec::new, |verdict| {
        let report = |trace: &jit::Trace| RuleReport {
            name: trace.rule.clone(),
            effect: trace.effect,
            matches: trace.misses.is_empty(),
            why_not: trace.misses.clone(),
            requires: if trace.misses.is_empty() { trace.requires.clone() } else { vec![] },
        };
        verdict.trace.iter().map(report).collect()
    });
    let identity = IdentityOf::of(&request.spec.requester, spec);
    let mut not_looked_at = vec![];
    let role = level.and_then(|level| documents.roles.get(&level.cluster_role));
    if role.is_none() {
        not_looked_at.push("what the access level's ClusterRole can do (give it with -f)");
    }
    if documents.assignments.is_empty() {
        not_looked_at.push("who may approve (give RoleAssignments with -f)");
    }
    let (outcome, reason, message) = decide(documents, settings, &request, role, verdict.as_ref());
    let internal_approvals = verdict
        .iter()
        .flat_map(|verdict| &verdict.internal_approvals)
        .map(|demanded| {
            let approvers: Vec<_> = demanded.approvers.iter().map(ToString::to_string).collect();
            format!("{}: {} of {}", demanded.rule, demanded.count, approvers.join(", "))
        })
        .collect();
    Ok(Report {
        request: request.metadata.name.clone().unwrap_or_default(),
        requester: request.spec.requester.username.clone(),
        multi_factor: identity.multi_factor,
        isolated: identity.isolated,
        rules,
        outcome,
        reason,
        message,
        internal_approvals,
        not_looked_at,
    })
}

/// What happens to the request, according to the files. If no `ClusterRole` or assignments are given, the request is
/// not refused for lack of them.
fn decide(
    documents: &Documents,
    settings: &LockboxSettings,
    request: &LockboxRequest,
    role: Option<&ClusterRole>,
    verdict: Option<&jit::Verdict>,
) -> (&'static str, String, String) {
    let mut request = request.clone();
    // Everything in the files was there when the request is made.
    let created = documents
        .assignments
        .iter()
        .filter_map(|assignment| assignment.metadata.creation_timestamp.as_ref().map(from_kubernetes))
        .max()
        .unwrap_or(Moment::UNIX_EPOCH);
    request.metadata.creation_timestamp = Some(to_kubernetes(created));
    let assignments: Vec<RoleAssignment> = documents
        .assignments
        .iter()
        .cloned()
        .map(|mut assignment| {
            assignment.metadata.creation_timestamp.get_or_insert_with(|| to_kubernetes(created));
            assignment
        })
        .collect();
    let home = if request.spec.scope == lockbox_api::Scope::Tenant {
        request.metadata.namespace.get_or_insert_with(|| "lockbox-tenant".into()).clone()
    } else {
        "lockbox-tenant".into()
    };
    let view = role.map_or(RoleView::Missing, |role| RoleView::Rules(role.rules.clone().unwrap_or_default()));
    let facts = Facts {
        request: &request,
        settings: SettingsView::Known(&settings.spec),
        assignments: &assignments,
        role: &view,
        outcomes: &Outcomes::default(),
        published: 0,
        open: OpenRequests::default(),
        proofs: &Proofs::ALL,
        channels: Channels::default(),
        deliveries: &[],
        tenant_namespace: &home,
        activity: None,
    };
    match evaluate(&facts) {
        Outcome::Wait(why) => ("waits", why.reason.to_string(), why.message),
        Outcome::End(end)
            if (role.is_none() && end.why.reason == Reason::AccessLevelUnusable)
                || (assignments.is_empty() && end.why.reason == Reason::NoEligibleApprover) =>
        {
            rules_alone(settings, &request, verdict)
        }
        Outcome::End(end) => {
            let outcome = if end.phase == Phase::Excluded { "recorded" } else { "refused" };
            (outcome, end.why.reason.to_string(), end.why.message)
        }
        Outcome::Proceed(proceed) => goes_on(proceed.internal_approvals.is_empty(), proceed.customer_data),
    }
}

/// What the rules alone said, where the rest was not given.
fn rules_alone(
    settings: &LockboxSettings,
    request: &LockboxRequest,
    verdict: Option<&jit::Verdict>,
) -> (&'static str, String, String) {
    let level = settings.spec.access_level(&request.spec.access_level);
    match (level, verdict) {
        (Some(level), Some(verdict)) => match &verdict.outcome {
            Err(denial) => ("refused", denial.reason.to_string(), denial.message.clone()),
            Ok(()) => goes_on(verdict.internal_approvals.is_empty(), level.customer_data),
        },
        _ => (
            "refused",
            Reason::UnknownAccessLevel.to_string(),
            format!("spec.accessLevel: {} is unknown", request.spec.access_level),
        ),
    }
}

fn goes_on(no_internal_approval: bool, customer_data: bool) -> (&'static str, String, String) {
    let (reason, message) = match (no_internal_approval, customer_data) {
        (false, _) => ("AwaitingInternalApproval", "The provider's own approvers are asked first."),
        (true, true) => ("CustomerNotified", "The customer's approvers are asked."),
        (true, false) => ("Approved", "No customer data is needed: the rules approve."),
    };
    ("goes on", reason.into(), message.into())
}

impl Report {
    fn text(&self) -> String {
        let yes = |fact: bool| if fact { "yes" } else { "no" };
        let mut text = format!(
            "Request {} of {}\n  multi-factor authentication: {}\n  isolated identity: {}\n\nRules\n",
            self.request,
            self.requester,
            yes(self.multi_factor),
            yes(self.isolated)
        );
        if self.rules.is_empty() {
            text.push_str("  none was asked: spec.jit.rules is empty, or the access level is unknown\n");
        }
        for rule in &self.rules {
            let verdict = if rule.matches { "matches" } else { "does not match" };
            // Writing to a String cannot fail.
            let _ = writeln!(text, "  {} ({}): {verdict}", rule.name, rule.effect);
            for why in &rule.why_not {
                let _ = writeln!(text, "    - {why}");
            }
            for demanded in &rule.requires {
                let _ = writeln!(text, "    requires {demanded}");
            }
        }
        let _ = writeln!(text, "\n{} {}: {}", capital(self.outcome), self.reason, self.message);
        for approval in &self.internal_approvals {
            let _ = writeln!(text, "  internal approval by rule {approval}");
        }
        for part in &self.not_looked_at {
            let _ = writeln!(text, "  not looked at: {part}");
        }
        text
    }
}

fn capital(word: &str) -> String {
    let mut letters = word.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}
