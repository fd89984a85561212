//! Whether the admission policies are in force: each stands and denies, and what they have to refuse is refused. Everything is tried by server-side dry run, so nothing is stored whatever the answer.

use std::fmt::Debug;

use k8s_openapi::api::admissionregistration::v1::{ValidatingAdmissionPolicy, ValidatingAdmissionPolicyBinding};
use kube::{
    Api, Resource, ResourceExt,
    api::{ListParams, Patch, PatchParams, PostParams},
};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::{Cluster, Error, PAGE, limited};
use lockbox_api::{
    LockboxRequest, Moment,
    names::{self, NOBODY},
    request::MOST_DECISIONS,
};
use lockbox_lifecycle::{Proof, policies};

impl Cluster {
    /// Since when the policies and their bindings stand; or what is missing.
    pub async fn check_policies(&self) -> Result<Result<Moment, Proof>, Error> {
        let found = tokio::try_join!(
            self.of_lockbox::<ValidatingAdmissionPolicy>(),
            self.of_lockbox::<ValidatingAdmissionPolicyBinding>()
        );
        let (policies, bindings) = match found {
            Err(error) if error.is_forbidden() => return Ok(Err(Proof::Unknown(sentence(&error.to_string())))),
            found => found?,
        };
        Ok(policies::check(&policies, &bindings).map_err(|what| not_in_force(&what)))
    }

    /// Everything that bears the chart's label.
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
            "apiVersion": "lockbox.dev/v1alpha1",
            "kind": "LockboxRequest",
            "metadata": {"name": "lockbox-forged", "namespace": namespace},
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
        let requests: Api<LockboxRequest> = Api::namespaced(self.client.clone(), namespace);
        let forged: LockboxRequest = match serde_json::from_value(forged) {
            Ok(forged) => forged,
            Err(error) => return Ok(Proof::Unknown(sentence(&error.to_string()))),
        };
        let dry = PostParams { dry_run: true, ..PostParams::default() };
        let answer = limited("try a forged request", requests.create(&dry, &forged)).await;
        judge(answer, "a request in another's name", &CREATE)
    }

    /// Whether a decision in somebody else's name, and a status that changes what was approved, are refused for this very
    /// request. The request must have a status with an effect.
    pub async fn try_forged_approval(&self, request: &LockboxRequest) -> Result<Proof, Error> {
        let Some(decision) = forged_decision(request) else {
            let why = "the request holds as many decisions as it can, so none can be forged to see it refused; create a new request.";
            return Ok(Proof::Unknown(why.into()));
        };
        let namespace = request.namespace().unwrap_or_default();
        let requests: Api<LockboxRequest> = Api::namespaced(self.client.clone(), &namespace);
        let name = request.name_any();
        let dry = PatchParams { dry_run: true, ..PatchParams::default() };
        let decision = Patch::Merge(&decision);
        let decision = requests.patch(&name, &dry, &decision);
        let mut forged = request.clone();
        if let Some(effect) = forged.status.as_mut().and_then(|status| status.effect.as_mut()) {
            // Another one, whatever it is.
            let digit = if effect.hash.ends_with('0') { "1" } else { "0" };
            effect.hash = format!("sha256:{}", digit.repeat(64));
        }
        let dry = PostParams { dry_run: true, ..PostParams::default() };
        let status = requests.replace_status(&name, &dry, &forged);
        let (decision, status) =
            tokio::join!(limited("try a forged decision", decision), limited("try a forged status", status));
        let decision = judge(decision, "a decision in another's name", &DECIDE);
        let status = judge(status, "a status that changes what was approved", &STATUS);
        // What one of them disproves, no failure of the other hides.
        match (decision, status) {
            (Ok(found @ Proof::Disproven(_)), _) | (_, Ok(found @ Proof::Disproven(_))) => Ok(found),
            (decision, status) => match decision? {
                Proof::Proven => status,
                unknown => Ok(unknown),
            },
        }
    }
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
    Some(json!({"spec": {field: {forger: {"verdict": "Approve"}}}}))
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

/// What the API server's answer to something forged proves. Answers that have nothing to do with it are errors.
fn judge<T>(answer: Result<T, Error>, forged: &str, refusal: &Refusal) -> Result<Proof, Error> {
    let Refusal { policy, words } = refusal;
    let error = match answer {
        Ok(_) => return Ok(let_in(forged, policy)),
        // Storing comes after admission: it was let in.
        Err(error) if error.already_exists() => return Ok(let_in(forged, policy)),
        Err(error) => error,
    };
    let said = error.to_string();
    if error.is_forbidden() && said.contains(&format!("'{policy}'")) && said.contains(words) {
        return Ok(Proof::Proven);
    }
    if error.is_forbidden() || error.is_invalid() {
        return Ok(Proof::Unknown(format!(
            "whether the admission policies are in force could not be tried with {forged}: {}",
            sentence(&said)
        )));
    }
    Err(error)
}

fn let_in(forged: &str, policy: &str) -> Proof {
    not_in_force(&format!("the API server let in {forged}, which ValidatingAdmissionPolicy {policy} has to refuse"))
}

fn not_in_force(what: &str) -> Proof {
    Proof::Disproven(format!(
        "the admission policies are not in force: {what}. A cluster administrator runs helm upgrade, which makes anew what is not there; what was changed is deleted first."
    ))
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

    #[test]
    fn only_the_policys_own_refusal_of_what_is_forged_proves_anything() {
        let denied = |policy: &str, words: &str| {
            let said = format!("ValidatingAdmissionPolicy '{policy}' with binding '{policy}' denied request: {words}");
            answer(403, "Forbidden", &said)
        };
        let tried = |answer| judge(answer, "a request", &CREATE);
        assert_eq!(tried(denied(CREATE.policy, CREATE.words)).unwrap(), Proof::Proven);
        for let_in in [Ok(()), answer(409, "AlreadyExists", "it exists")] {
            assert!(matches!(tried(let_in).unwrap(), Proof::Disproven(why) if why.contains(CREATE.policy)));
        }
        for other in [
            answer(403, "Forbidden", "User cannot create resource"),
            denied("another", CREATE.words),
            denied(CREATE.policy, "access is granted to people"),
            answer(422, "Invalid", "spec.accessLevel: Required value"),
        ] {
            assert!(matches!(tried(other).unwrap(), Proof::Unknown(_)));
        }
        assert!(tried(answer(500, "InternalError", "etcd is away")).is_err());
        assert!(tried(answer(409, "Conflict", "somebody wrote it")).is_err());
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
            Some(format!(r#"{{"spec":{{"{field}":{{"{n}.{NOBODY}":{{"verdict":"Approve"}}}}}}}}"#))
        };
        assert_eq!(forged(0, 0), whole("decisions", 0));
        assert_eq!(forged(15, 0), whole("decisions", 15));
        assert_eq!(forged(16, 3), whole("internalDecisions", 3));
        assert_eq!(forged(16, 16), None);
    }
}
