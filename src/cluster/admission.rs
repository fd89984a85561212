//! Whether the admission policies are in force: each stands and denies, and what they have to refuse is refused.
//! Everything is tried by server-side dry run, so nothing is stored whatever the answer.
//!
//! If several policies refuse something, the API server names one of them, and which one is undefined. If somebody
//! else's policy also refuses what is forged here, ours would be named only by chance. So the chart binds the policies
//! that are tried in this way a second time, only for objects with a label, and with a warning as the answer: warnings
//! come from all policies.

use std::{
    collections::HashMap,
    fmt::Debug,
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use http::Response;
use k8s_openapi::api::admissionregistration::v1::{ValidatingAdmissionPolicy, ValidatingAdmissionPolicyBinding};
use kube::{
    Api, Resource, ResourceExt,
    api::{ListParams, Patch, PatchParams, PostParams},
    client::Body,
    core::{Request, Status},
};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::{Cluster, Error, PAGE, limited};
use lockbox_api::{
    LockboxRequest,
    names::{self, NOBODY},
    request::MOST_DECISIONS,
};
use lockbox_lifecycle::{
    Proof,
    admission::not_in_force,
    policies::{self, Standing},
};

/// How long ago a trial with a request of the same namespace may have begun to count for another one. What changes meanwhile,
/// the watch on the policies tells.
const SHARED: Duration = Duration::from_secs(1);
/// Namespaces that are remembered at most.
const MOST: usize = 1024;

/// In which namespaces what is forged was refused just now.
#[derive(Debug, Default)]
pub(super) struct Refused(Mutex<Trials>);

#[derive(Debug, Default)]
struct Trials {
    /// How often everything was forgotten.
    epoch: u64,
    /// When the trial began, by namespace.
    began: HashMap<String, Instant>,
}

impl Refused {
    fn is_fresh(&self, namespace: &str) -> bool {
        self.lock().began.get(namespace).is_some_and(|began| began.elapsed() < SHARED)
    }

    fn epoch(&self) -> u64 {
        self.lock().epoch
    }

    /// A trial that began in this epoch. If another one began meanwhile, it says nothing any more.
    fn remember(&self, namespace: &str, began: Instant, epoch: u64) {
        let mut trials = self.lock();
        if trials.began.len() >= MOST {
            trials.began.retain(|_, began| began.elapsed() < SHARED);
        }
        if trials.epoch == epoch && trials.began.len() < MOST {
            trials.began.insert(namespace.to_owned(), began);
        }
    }

    fn forget(&self) {
        let mut trials = self.lock();
        trials.epoch += 1;
        trials.began.clear();
    }

    fn lock(&self) -> MutexGuard<'_, Trials> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Cluster {
    /// A policy changed, or there is doubt about one: trials from before count for nobody any more.
    pub fn forget_trials(&self) {
        self.refused.forget();
    }

    /// Which of the policies and their bindings stand; or why that cannot be read.
    pub async fn check_policies(&self) -> Result<Result<Standing, String>, Error> {
        let found = tokio::try_join!(
            self.of_lockbox::<ValidatingAdmissionPolicy>(),
            self.of_lockbox::<ValidatingAdmissionPolicyBinding>()
        );
        let (policies, bindings) = match found {
            Err(error) if error.is_forbidden() => return Ok(Err(sentence(&error.to_string()))),
            found => found?,
        };
        Ok(Ok(policies::check(&policies, &bindings)))
    }

    /// Everything with the chart's label.
    async fn of_lockbox<K>(&self) -> Result<Vec<K>, Error>
    where
        K: Resource<DynamicType = ()> + Clone + DeserializeOwned + Debug,
        K: Resource<Scope = kube::core::ClusterResourceScope>,
    {
        let page = ListParams::default().labels(&names::of_the_chart()).limit(PAGE);
        let all: Api<K> = Api::all(self.client.clone());
        // There are some twenty: what a first page does not hold is not the chart's.
        limited("list the admission policies", all.list(&page)).await.map(|list| list.items)
    }

    /// Whether a request in somebody else's name is refused.
    pub async fn try_forged_request(&self) -> Result<Proof, Error> {
        let namespace = self.config.namespace.as_str();
        let forged = json!({
            "apiVersion": LockboxRequest::api_version(&()),
            "kind": LockboxRequest::kind(&()),
            "metadata": {"name": "lockbox-forged", "namespace": namespace, "labels": {names::TRIAL: "true"}},
            "spec": {
                "requester": {"username": NOBODY},
                "origin": "ProviderInitiated",
                "incident": {"id": "lockbox-forged", "summary": "Tries whether the admission policies are in force"},
                "justification": "Tries whether the admission policies are in force; never stored.",
                "scope": "Subscription",
                "service": "AppService",
                "accessLevel": "ReadObjects",
                "resources": [{"group": "", "resource": "configmaps", "name": "lockbox-forged"}],
            },
        });
        let dry = PostParams { dry_run: true, ..PostParams::default() };
        let create = requests_in(namespace).create(&dry, forged.to_string().into_bytes());
        let answer = self.try_out("try a forged request", create).await;
        judge(answer, "a request in another's name", &CREATE, &self.account())
    }

    /// Whether a decision in somebody else's name, and a status that changes what was approved, are refused where this request
    /// is: tried with this very one, or within the last second with another of its namespace. The request must have a
    /// status with an effect.
    pub async fn try_forged_approval(&self, request: &LockboxRequest) -> Result<Proof, Error> {
        let namespace = request.metadata.namespace.as_deref().unwrap_or_default();
        if self.refused.is_fresh(namespace) {
            return Ok(Proof::Proven);
        }
        let (began, epoch) = (Instant::now(), self.refused.epoch());
        let found = self.try_forged_about(request).await?;
        if found == Proof::Proven {
            self.refused.remember(namespace, began, epoch);
        }
        Ok(found)
    }

    async fn try_forged_about(&self, request: &LockboxRequest) -> Result<Proof, Error> {
        let Some(decision) = forged_decision(request) else {
            let why = "the request holds as many decisions as it can, so none can be forged to see it refused; create a new request.";
            return Ok(Proof::Unknown(why.into()));
        };
        let namespace = request.namespace().unwrap_or_default();
        let requests: Api<LockboxRequest> = Api::namespaced(self.client.clone(), &namespace);
        let name = request.name_any();
        let dry = PatchParams { dry_run: true, ..PatchParams::default() };
        let decision = requests_in(&namespace).patch(&name, &dry, &Patch::Merge(&decision));
        let decision = self.try_out("try a forged decision", decision);
        let mut forged = request.clone();
        if let Some(effect) = forged.status.as_mut().and_then(|status| status.effect.as_mut()) {
            // Another one, whatever it is.
            let digit = if effect.hash.ends_with('0') { "1" } else { "0" };
            effect.hash = format!("sha256:{}", digit.repeat(64));
        }
        let dry = PostParams { dry_run: true, ..PostParams::default() };
        let status = requests.replace_status(&name, &dry, &forged);
        let (decision, status) = tokio::join!(decision, limited("try a forged status", status));
        let account = self.account();
        let decision = judge(decision, "a decision in another's name", &DECIDE, &account);
        // Who refuses that refuses the operator every status, so nobody else can be meant to.
        let status = Answer { outcome: status.map(drop), warnings: vec![] };
        let status = judge(status, "a status that changes what was approved", &STATUS, &account);
        // What one of them disproves, no failure of the other hides.
        match (decision, status) {
            (Ok(found @ Proof::Disproven(_)), _) | (_, Ok(found @ Proof::Disproven(_))) => Ok(found),
            (decision, status) => match decision? {
                Proof::Proven => status,
                unknown => Ok(unknown),
            },
        }
    }

    /// Sends something forged. Of what comes back, only the refusal and the warnings matter.
    async fn try_out(
        &self,
        doing: &'static str,
        request: Result<http::Request<Vec<u8>>, kube::core::request::Error>,
    ) -> Answer {
        let sent = async {
            let request = request.map_err(kube::Error::BuildRequest)?;
            let answer = self.client.send(request.map(Body::from)).await?;
            let (parts, body) = answer.into_parts();
            Ok(Response::from_parts(parts, body.collect_bytes().await?))
        };
        match limited(doing, sent).await {
            Err(error) => Answer { outcome: Err(error), warnings: vec![] },
            Ok(answer) => {
                let warnings = answer.headers().get_all("warning").iter();
                let warnings = warnings.filter_map(|text| text.to_str().ok().map(str::to_owned)).collect();
                let outcome = if answer.status().is_success() { Ok(()) } else { Err(refused(doing, &answer)) };
                Answer { outcome, warnings }
            }
        }
    }

    /// Who we are, according to the API server.
    fn account(&self) -> String {
        format!("system:serviceaccount:{}:lockbox-operator", self.config.namespace)
    }
}

fn requests_in(namespace: &str) -> Request {
    Request::new(LockboxRequest::url_path(&(), Some(namespace)))
}

/// What the API server says when it does not do something.
fn refused(doing: &'static str, answer: &Response<impl AsRef<[u8]>>) -> Error {
    let body = answer.body().as_ref();
    let status = serde_json::from_slice(body).unwrap_or_else(|_| {
        let code = answer.status();
        Status::failure(&String::from_utf8_lossy(body), code.canonical_reason().unwrap_or_default())
            .with_code(code.as_u16())
    });
    Error::Kube { doing, source: Box::new(kube::Error::Api(Box::new(status))) }
}

/// What came back when something forged was tried.
struct Answer {
    outcome: Result<(), Error>,
    warnings: Vec<String>,
}

/// A patch with a decision of somebody who has not decided: what is there already would be no change, and let in. Where
/// the customer's decisions are all taken, one of the provider's, which the same policy compares with the caller.
fn forged_decision(request: &LockboxRequest) -> Option<Value> {
    let forger =
        |taken: &dyn Fn(&str) -> bool| (0..MOST_DECISIONS).map(|n| format!("{n}.{NOBODY}")).find(|name| !taken(name));
    let spec = &request.spec;
    let (field, forger) = if spec.decisions.len() < MOST_DECISIONS {
        ("decisions", forger(&|name| spec.decisions.contains_key(name))?)
    } else if spec.internal_decisions.len() < MOST_DECISIONS {
        ("internalDecisions", forger(&|name| spec.internal_decisions.contains_key(name))?)
    } else {
        return None;
    };
    Some(json!({
        "metadata": {"labels": {names::TRIAL: "true"}},
        "spec": {field: {forger: {"verdict": "Approve"}}},
    }))
}

/// A policy, and the words with which it refuses what is forged: another reason of its own to refuse would prove less.
struct Refusal {
    policy: &'static str,
    words: &'static str,
}

const CREATE: Refusal = Refusal { policy: "lockbox-requests-create", words: "you can ask only in your own name" };
const DECIDE: Refusal =
    Refusal { policy: "lockbox-requests-decide", words: "a decision can only be recorded under your own user name" };
const STATUS: Refusal = Refusal {
    policy: "lockbox-requests-status",
    words: "what an approval rests on is recorded once and never changed",
};

impl Refusal {
    /// Whether this is said by the policy itself, bound to deny.
    fn denies(&self, said: &str) -> bool {
        said.contains(&format!("'{}'", self.policy)) && said.contains(self.words)
    }

    /// Whether this is said by its other binding, which warns of what bears the label of a trial.
    fn warns(&self, warning: &str) -> bool {
        let Self { policy, words } = self;
        warning.contains(&format!("'{policy}' with binding '{policy}-trial': {words}"))
    }
}

/// What the API server's answer to something forged proves. Answers that have nothing to do with it are errors.
/// `account` is the user who tried it.
fn judge(answer: Answer, forged: &str, refusal: &Refusal, account: &str) -> Result<Proof, Error> {
    let Answer { outcome, warnings } = answer;
    let error = match outcome {
        Ok(()) => return Ok(let_in(forged, refusal.policy)),
        // Storing comes after admission: it was let in.
        Err(error) if error.already_exists() => return Ok(let_in(forged, refusal.policy)),
        Err(error) => error,
    };
    if !error.is_forbidden() && !error.is_invalid() {
        return Err(error);
    }
    let said = error.to_string();
    // Somebody else may have refused it, and be named in place of ours.
    if refusal.denies(&said) || warnings.iter().any(|warning| refusal.warns(warning)) {
        return Ok(Proof::Proven);
    }
    let advice = if said.contains("denied request") || said.contains("denied the request") {
        format!(
            " Let user {account} pass there (in a ValidatingAdmissionPolicy by spec.matchConditions): what it writes to requests are dry runs alone."
        )
    } else {
        String::new()
    };
    Ok(Proof::Unknown(format!(
        "whether the admission policies are in force could not be tried with {forged}, because something else refuses it: {}{advice}",
        sentence(&said)
    )))
}

fn let_in(forged: &str, policy: &str) -> Proof {
    not_in_force(&format!("the API server let in {forged}, which ValidatingAdmissionPolicy {policy} has to refuse"))
}

fn sentence(text: &str) -> String {
    format!("{}.", text.trim_end_matches('.'))
}

#[cfg(test)]
mod tests {
    use kube::core::Status;

    use super::*;

    fn answer(code: u16, reason: &str, message: &str) -> Result<(), Error> {
        let status = Status::failure(message, reason).with_code(code);
        Err(Error::Kube { doing: "try", source: Box::new(kube::Error::Api(Box::new(status))) })
    }

    fn denied(policy: &str, words: &str) -> Result<(), Error> {
        let said = format!("ValidatingAdmissionPolicy '{policy}' with binding '{policy}' denied request: {words}");
        answer(403, "Forbidden", &said)
    }

    fn tried(outcome: Result<(), Error>, warnings: &[&str]) -> Result<Proof, Error> {
        let warnings = warnings.iter().map(|&warning| warning.to_owned()).collect();
        judge(
            Answer { outcome, warnings },
            "a request",
            &CREATE,
            "system:serviceaccount:lockbox-system:lockbox-operator",
        )
    }

    #[test]
    fn only_the_policys_own_refusal_of_what_is_forged_proves_anything() {
        assert_eq!(tried(denied(CREATE.policy, CREATE.words), &[]).unwrap(), Proof::Proven);
        for let_in in [Ok(()), answer(409, "AlreadyExists", "it exists")] {
            assert!(matches!(tried(let_in, &[]).unwrap(), Proof::Disproven(why) if why.contains(CREATE.policy)));
        }
        for other in [
            answer(403, "Forbidden", "User cannot create resource"),
            denied("another", CREATE.words),
            denied(CREATE.policy, "access is granted to people"),
            answer(422, "Invalid", "spec.accessLevel: Required value"),
        ] {
            assert!(matches!(tried(other, &[]).unwrap(), Proof::Unknown(_)));
        }
        assert!(tried(answer(500, "InternalError", "etcd is away"), &[]).is_err());
        assert!(tried(answer(409, "Conflict", "somebody wrote it"), &[]).is_err());
    }

    #[test]
    fn a_refusal_of_somebody_elses_hides_ours_only_where_no_warning_tells() {
        let warning = |policy: &str, binding: &str, words: &str| {
            format!(
                "299 - \"Validation failed for ValidatingAdmissionPolicy '{policy}' with binding '{binding}': {words}: x\""
            )
        };
        let ours = warning(CREATE.policy, "lockbox-requests-create-trial", CREATE.words);
        let refused = || denied("wants-a-team", "label team is missing");
        assert_eq!(tried(refused(), &["299 - \"something\"", &ours]).unwrap(), Proof::Proven);
        assert_eq!(tried(answer(422, "Invalid", "label team is missing"), &[&ours]).unwrap(), Proof::Proven);
        // What is let in is let in, whatever is warned of.
        assert!(matches!(tried(Ok(()), &[&ours]).unwrap(), Proof::Disproven(_)));
        for other in [
            warning("another", "lockbox-requests-create-trial", CREATE.words),
            warning(CREATE.policy, "lockbox-requests-create-trial", "access is granted to people"),
            warning("wants-a-team", "wants-a-team", CREATE.words),
        ] {
            let Proof::Unknown(why) = tried(refused(), &[&other]).unwrap() else { panic!("{other}") };
            assert!(why.contains("'wants-a-team'"), "{why}");
            assert!(why.contains("Let user system:serviceaccount:lockbox-system:lockbox-operator pass"), "{why}");
        }
        let Proof::Unknown(why) = tried(answer(403, "Forbidden", "User cannot create resource"), &[]).unwrap() else {
            panic!()
        };
        assert!(!why.contains("Let user"), "{why}");
    }

    #[test]
    fn a_trial_counts_for_its_namespace_alone_for_a_second_and_until_a_policy_changes() {
        let refused = Refused::default();
        refused.remember("shop", Instant::now(), refused.epoch());
        assert!(refused.is_fresh("shop"));
        assert!(!refused.is_fresh("bank"));
        refused.remember("old", Instant::now().checked_sub(SHARED).unwrap(), refused.epoch());
        assert!(!refused.is_fresh("old"));
        let before = refused.epoch();
        refused.forget();
        assert!(!refused.is_fresh("shop"));
        refused.remember("shop", Instant::now(), before);
        assert!(!refused.is_fresh("shop"), "it began before the change");
        for n in 0..2 * MOST {
            refused.remember(&n.to_string(), Instant::now(), refused.epoch());
        }
        assert!(refused.lock().began.len() <= MOST);
    }

    #[test]
    fn a_decision_is_forged_in_a_name_that_has_not_decided_and_where_there_is_room() {
        let request = |customer: usize, provider: usize| -> LockboxRequest {
            let decisions = |count: usize| -> Value {
                (0..count).map(|n| (format!("{n}.{NOBODY}"), json!({"verdict": "Approve"}))).collect()
            };
            serde_json::from_value(json!({
                "apiVersion": "lockbox.dev/v1alpha1", "kind": "LockboxRequest", "metadata": {"name": "sr-1"},
                "spec": {
                    "requester": {"username": "kim"}, "origin": "ProviderInitiated", "justification": "because",
                    "scope": "Subscription", "service": "AppService", "accessLevel": "Shell",
                    "decisions": decisions(customer), "internalDecisions": decisions(provider),
                },
            }))
            .unwrap()
        };
        let forged = |customer, provider| forged_decision(&request(customer, provider)).map(|patch| patch.to_string());
        let whole = |field: &str, n: usize| {
            let spec = format!(r#"{{"{field}":{{"{n}.{NOBODY}":{{"verdict":"Approve"}}}}}}"#);
            Some(format!(r#"{{"metadata":{{"labels":{{"{}":"true"}}}},"spec":{spec}}}"#, names::TRIAL))
        };
        assert_eq!(forged(0, 0), whole("decisions", 0));
        assert_eq!(forged(15, 0), whole("decisions", 15));
        assert_eq!(forged(16, 3), whole("internalDecisions", 3));
        assert_eq!(forged(16, 16), None);
    }
}
