//! Whether the admission policies are in force: they stand as the chart made them, and what they have to refuse is
//! refused. Everything is tried by server-side dry run, so nothing is stored whatever the answer.

use std::fmt::Debug;

use k8s_openapi::api::admissionregistration::v1::{ValidatingAdmissionPolicy, ValidatingAdmissionPolicyBinding};
use kube::{
    Api, Resource, ResourceExt,
    api::{ListParams, Patch, PatchParams, PostParams},
};
use serde::de::DeserializeOwned;
use serde_json::json;

use super::{Cluster, Error, PAGE, limited};
use crate::{
    api::{LockboxRequest, Moment, names, request::MOST_DECISIONS},
    lifecycle::{Proof, policies},
};

/// A user whom nobody is: `.invalid` is reserved for that (RFC 2606).
const NOBODY: &str = "nobody@lockbox.invalid";

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
        let label = format!("{}={}", names::NAME, names::MANAGER);
        let page = ListParams::default().labels(&label).limit(PAGE);
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
        judge(answer, "a request in another's name", "lockbox-requests-create")
    }

    /// Whether a decision in somebody else's name, and a status that changes what was approved, are refused for this very
    /// request. The request must have a status with an effect.
    pub async fn try_forged_approval(&self, request: &LockboxRequest) -> Result<Proof, Error> {
        let namespace = request.namespace().unwrap_or_default();
        let requests: Api<LockboxRequest> = Api::namespaced(self.client.clone(), &namespace);
        let name = request.name_any();
        let dry = PatchParams { dry_run: true, ..PatchParams::default() };
        // Under a name that has not decided: what is there already would be no change, and let in.
        let decisions = &request.spec.decisions;
        let forger =
            (0..=decisions.len()).map(|n| format!("{n}.{NOBODY}")).find(|name| !decisions.contains_key(name.as_str()));
        let decision = json!({"spec": {"decisions": {forger.unwrap_or_default(): {"verdict": "Approve"}}}});
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
        let decision = match decision {
            // Nobody can add another one, forged or not.
            Err(error) if error.is_invalid() && decisions.len() >= MOST_DECISIONS => Proof::Proven,
            decision => judge(decision, "a decision in another's name", "lockbox-requests-decide")?,
        };
        let status = judge(status, "a status that changes what was approved", "lockbox-requests-status")?;
        Ok(if decision == Proof::Proven { status } else { decision })
    }
}

/// What the API server's answer to something forged proves. Answers that have nothing to do with it are errors.
fn judge<T>(answer: Result<T, Error>, forged: &str, policy: &str) -> Result<Proof, Error> {
    match answer {
        Ok(_) => Ok(not_in_force(&format!(
            "the API server let in {forged}, which ValidatingAdmissionPolicy {policy} has to refuse"
        ))),
        Err(error) if error.is_forbidden() && error.to_string().contains(&format!("'{policy}'")) => Ok(Proof::Proven),
        Err(error) if error.is_forbidden() || error.is_invalid() => Ok(Proof::Unknown(format!(
            "whether the admission policies are in force could not be tried with {forged}: {}",
            sentence(&error.to_string())
        ))),
        Err(error) => Err(error),
    }
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
    fn only_the_refusal_of_the_policy_itself_proves_anything() {
        let policy = "lockbox-requests-create";
        let refused = answer(
            403,
            "Forbidden",
            "ValidatingAdmissionPolicy 'lockbox-requests-create' with binding 'lockbox-requests-create' denied request: no",
        );
        assert_eq!(judge(refused, "a request", policy).unwrap(), Proof::Proven);
        assert!(matches!(judge(Ok(()), "a request", policy).unwrap(), Proof::Disproven(why) if why.contains(policy)));
        for (code, reason, message) in [
            (403, "Forbidden", "User cannot create resource"),
            (403, "Forbidden", "ValidatingAdmissionPolicy 'another' with binding 'another' denied request: no"),
            (422, "Invalid", "spec.accessLevel: Required value"),
        ] {
            let proof = judge(answer(code, reason, message), "a request", policy).unwrap();
            assert!(matches!(&proof, Proof::Unknown(why) if why.contains(message)), "{proof:?}");
        }
        assert!(judge(answer(500, "InternalError", "etcd is away"), "a request", policy).is_err());
    }
}
