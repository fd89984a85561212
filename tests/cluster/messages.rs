//! What people are told when something is wrong: each message as a whole, as kubectl shows it or status.message has it.
//!
//! Every one names the field or object and says what to do. A change of words shows here, and is meant to be read.

use std::fmt::Write as _;

use lockbox_cluster::User;
use serde_json::{Value, json};

use crate::{
    WORLD,
    requirements::{ask, assignment, example_settings, items, list_and, may, text, why},
    support::{self, ALICE, Manifest, World, eventually, request},
};

/// Compares what was said with what should be; all differences are shown at once.
#[derive(Default)]
struct Compared(String);

impl Compared {
    fn check(&mut self, case: &str, said: &str, expected: &str) {
        let said = said.trim_end();
        if said != expected {
            write!(self.0, "\n{case}\n  said:     {said}\n  expected: {expected}\n").unwrap();
        }
    }

    fn finish(self) {
        assert!(self.0.is_empty(), "{}", self.0);
    }
}

/// Creates nothing: the API server's answer alone.
fn refused(world: &World, user: &User, manifest: &Manifest) -> String {
    world
        .pipe(user, &["create", "--dry-run=server", "-f", "-"], &manifest.to_string())
        .expect_err("this should have been refused")
}

#[test]
fn a_request_that_the_api_server_refuses_is_told_which_field_and_what_to_write_instead() {
    let world = &*WORLD;
    world.subscription("fields");
    let kim = world.kim();
    let named = |object: Value| json!([object]);
    let twice = json!([{"resource": "configmaps", "name": "a"}, {"resource": "configmaps", "name": "a"}]);
    let base = || request("sr-1").namespace("fields");
    let mut compared = Compared::default();
    for (case, manifest, expected) in [
        (
            "unknown scope",
            base().set("/spec/scope", "Galaxy"),
            "The LockboxRequest \"sr-1\" is invalid: \n* spec.scope: Unsupported value: \"Galaxy\": supported values: \"Subscription\", \"Tenant\"\n* <nil>: Invalid value: null: some validation rules were not checked because the object was invalid; correct the existing errors to complete validation",
        ),
        (
            "duration of 0",
            base().set("/spec/duration", "0"),
            "The LockboxRequest \"sr-1\" is invalid: spec.duration: Invalid value: \"0\": must be a duration such as 4d, 8h, 90m or 1h30m: days, hours, minutes and seconds, in this order, none of them zero",
        ),
        (
            "duration of 0 hours",
            base().set("/spec/duration", "0h"),
            "The LockboxRequest \"sr-1\" is invalid: spec.duration: Invalid value: \"0h\": must be a duration such as 4d, 8h, 90m or 1h30m: days, hours, minutes and seconds, in this order, none of them zero",
        ),
        (
            "negative duration",
            base().set("/spec/duration", "-8h"),
            "The LockboxRequest \"sr-1\" is invalid: spec.duration: Invalid value: \"-8h\": must be a duration such as 4d, 8h, 90m or 1h30m: days, hours, minutes and seconds, in this order, none of them zero",
        ),
        (
            "enormous duration",
            base().set("/spec/duration", "9999999999999999999999h"),
            "The LockboxRequest \"sr-1\" is invalid: spec.duration: Invalid value: \"9999999999999999999999h\": must be a duration such as 4d, 8h, 90m or 1h30m: days, hours, minutes and seconds, in this order, none of them zero",
        ),
        (
            "long duration",
            base().set("/spec/duration", "30d"),
            "The LockboxRequest \"sr-1\" is invalid: spec.duration: Invalid value: \"30d\": must be between 1s and 7d",
        ),
        (
            "duration in words",
            base().set("/spec/duration", "soon"),
            "The LockboxRequest \"sr-1\" is invalid: spec.duration: Invalid value: \"soon\": must be a duration such as 4d, 8h, 90m or 1h30m: days, hours, minutes and seconds, in this order, none of them zero",
        ),
        (
            "duration as a number",
            base().set("/spec/duration", 8),
            "The LockboxRequest \"sr-1\" is invalid: \n* spec.duration: Invalid value: \"integer\": spec.duration in body must be of type string: \"integer\"\n* <nil>: Invalid value: null: some validation rules were not checked because the object was invalid; correct the existing errors to complete validation",
        ),
        (
            "no ticket",
            base().without("/spec/supportRequest"),
            "The LockboxRequest \"sr-1\" is invalid: spec.supportRequest: Required value: name the support request (id, url, summary): origin SupportRequest requires it",
        ),
        (
            "no incident",
            base().set("/spec/origin", "ProviderInitiated"),
            "The LockboxRequest \"sr-1\" is invalid: spec.incident: Required value: name the incident (id, summary): origin ProviderInitiated requires it",
        ),
        (
            "link without https",
            base().set("/spec/supportRequest/url", "http://support.example/1"),
            "The LockboxRequest \"sr-1\" is invalid: spec.supportRequest.url: Invalid value: \"http://support.example/1\": must be an https URL without a user name in it, such as https://support.example/123",
        ),
        (
            "no justification",
            base().without("/spec/justification"),
            "The LockboxRequest \"sr-1\" is invalid: \n* spec.justification: Required value\n* <nil>: Invalid value: null: some validation rules were not checked because the object was invalid; correct the existing errors to complete validation",
        ),
        (
            "hidden text",
            base().set("/spec/justification", "read \u{202e}lla"),
            "The LockboxRequest \"sr-1\" is invalid: spec.justification: Forbidden: must be one paragraph without line breaks (in YAML, write >- instead of |), tabs, runs of spaces, or control, zero-width and bidirectional characters",
        ),
        (
            "object without a name",
            base().set("/spec/resources", named(json!({"resource": "pods", "name": ""}))),
            "The LockboxRequest \"sr-1\" is invalid: \n* spec.resources[0].name: Invalid value: \"\": spec.resources[0].name in body should be at least 1 chars long\n* spec.resources[0].name: Invalid value: \"\": must be the name of one object: letters, digits and : . _ - only, no wildcards",
        ),
        (
            "object twice",
            base().set("/spec/resources", twice),
            "The LockboxRequest \"sr-1\" is invalid: spec.resources: Forbidden: must not name an object twice",
        ),
        (
            "no objects",
            base().set("/spec/resources", json!([])),
            "The LockboxRequest \"sr-1\" is invalid: spec.resources: Invalid value: 0: spec.resources in body should have at least 1 items",
        ),
        (
            "unknown field",
            base().set("/spec/urgency", "high"),
            "Error from server (BadRequest): error when creating \"STDIN\": LockboxRequest in version \"v1alpha1\" cannot be handled as a LockboxRequest: strict decoding error: unknown field \"spec.urgency\"",
        ),
        (
            "decided at once",
            base().set("/spec/decisions", json!({ALICE: {"verdict": "Approve"}})),
            "The LockboxRequest \"sr-1\" is invalid: spec: Forbidden: create the request without decisions, cancellation, release, revocation and removal: they are written once Lockbox has taken it up (status.phase)",
        ),
        (
            "protected namespace",
            request("sr-1").namespace("kube-system"),
            "Error from server (Forbidden): error when creating \"STDIN\": lockboxrequests.lockbox.dev \"sr-1\" is forbidden: ValidatingAdmissionPolicy 'lockbox-requests-create' with binding 'lockbox-requests-create' denied request: nobody can request access to namespace kube-system: it belongs to the cluster itself or to the operator",
        ),
        (
            "tenant elsewhere",
            base().set("/spec/scope", "Tenant"),
            "Error from server (Forbidden): error when creating \"STDIN\": lockboxrequests.lockbox.dev \"sr-1\" is forbidden: ValidatingAdmissionPolicy 'lockbox-requests-create' with binding 'lockbox-requests-create' denied request: create a request of scope Tenant in namespace lockbox-tenant, not in fields",
        ),
        (
            "subscription in the tenant's home",
            request("sr-1").namespace("lockbox-tenant"),
            "Error from server (Forbidden): error when creating \"STDIN\": lockboxrequests.lockbox.dev \"sr-1\" is forbidden: ValidatingAdmissionPolicy 'lockbox-requests-create' with binding 'lockbox-requests-create' denied request: create this request in the namespace that you need access to: namespace lockbox-tenant takes only requests of scope Tenant",
        ),
    ] {
        compared.check(case, &refused(world, &kim, &manifest), expected);
    }

    // Who asks.
    let stated = |username: &str, groups: &[&str]| {
        base().set("/spec/requester/username", username).set("/spec/requester/groups", json!(groups))
    };
    let both = ["provider:engineers", "provider:secure-workstations"];
    for (case, manifest, expected) in [
        (
            "somebody else's name",
            stated("robin@provider.example", &both),
            "Error from server (Forbidden): error when creating \"STDIN\": lockboxrequests.lockbox.dev \"sr-1\" is forbidden: ValidatingAdmissionPolicy 'lockbox-requests-create' with binding 'lockbox-requests-create' denied request: you can ask only in your own name: spec.requester.username must be kim@provider.example",
        ),
        (
            "a group too many",
            stated(support::KIM, &[both[0], both[1], "provider:directors"]),
            "Error from server (Forbidden): error when creating \"STDIN\": lockboxrequests.lockbox.dev \"sr-1\" is forbidden: ValidatingAdmissionPolicy 'lockbox-requests-create' with binding 'lockbox-requests-create' denied request: spec.requester.groups names a group that you are not in: provider:directors; take it out",
        ),
        (
            "a group too few",
            stated(support::KIM, &both[..1]),
            "Error from server (Forbidden): error when creating \"STDIN\": lockboxrequests.lockbox.dev \"sr-1\" is forbidden: ValidatingAdmissionPolicy 'lockbox-requests-create' with binding 'lockbox-requests-create' denied request: spec.requester.groups must name every group that you are in; add provider:secure-workstations",
        ),
    ] {
        compared.check(case, &refused(world, &kim, &manifest), expected);
    }
    let stranger = world.user("mallory@elsewhere.example", &[]);
    compared.check("a stranger", &refused(world, &stranger, &base()), "Error from server (Forbidden): error when creating \"STDIN\": lockboxrequests.lockbox.dev is forbidden: User \"mallory@elsewhere.example\" cannot create resource \"lockboxrequests\" in API group \"lockbox.dev\" in the namespace \"fields\"");
    compared.finish();
}

#[test]
fn a_request_that_is_not_processed_says_why_in_its_status() {
    let world = &*WORLD;
    world.subscription("unknown");
    world.namespace("nobody");
    let kim = world.kim();
    let mut compared = Compared::default();
    let mut check = |name: &str, manifest: Manifest, phase: &str, reason: &str, expected: &str| {
        let request = ask(world, &kim, &manifest.set("/metadata/name", name), phase);
        assert_eq!(why(&request).0, reason, "{name}");
        compared.check(name, why(&request).1, expected);
        let condition = items(&request["status"]["conditions"]).iter().find(|one| one["type"] == "Finished").unwrap();
        assert_eq!(condition["message"], request["status"]["message"], "kubectl wait and describe show the same");
    };
    let base = || request("x").namespace("unknown");
    check(
        "level",
        base().set("/spec/accessLevel", "Root"),
        "Rejected",
        "UnknownAccessLevel",
        "spec.accessLevel: Root is not in spec.accessLevels of the LockboxSettings, which has ReadObjects, ReadLogs, Shell, RemoteDesktop.",
    );
    check(
        "service",
        base().set("/spec/service", "AppServices"),
        "NotTriggered",
        "UnknownService",
        "spec.service: AppServices is not in the catalogue of services (status.services of the LockboxSettings). Did you mean AppService?",
    );
    check(
        "strange",
        base().set("/spec/service", "Mainframe"),
        "NotTriggered",
        "UnknownService",
        "spec.service: Mainframe is not in the catalogue of services (status.services of the LockboxSettings).",
    );
    let kind = "spec.resources: configmaps/shop-settings does not belong to service DataBox, which has datavolumes.cdi.kubevirt.io.";
    check("kind", base().set("/spec/service", "DataBox"), "Rejected", "ResourceNotAllowed", kind);
    let tenant = request("x").namespace("lockbox-tenant").set("/spec/scope", "Tenant");
    let scope = "spec.scope: Tenant does not go with service AppService; allowed there: [Subscription].";
    check("scope", tenant, "Rejected", "ScopeNotAllowed", scope);
    let other = base().set("/spec/accessLevel", "RemoteDesktop");
    let level = "spec.accessLevel: RemoteDesktop does not go with service AppService; allowed there: ReadObjects, ReadLogs, Shell.";
    check("level-elsewhere", other, "Rejected", "AccessLevelNotAllowed", level);
    check(
        "longer",
        base().set("/spec/duration", "25h"),
        "Rejected",
        "DurationTooLong",
        "spec.duration: 1d1h is longer than the maximum of access level ReadObjects, 1d; ask for 1d or less.",
    );
    check(
        "rule",
        base().without("/spec/resources"),
        "Rejected",
        "NoRuleMatches",
        "No just-in-time rule permits this combination of scope, service, access level, resources and requester; `lockbox-operator explain` shows for each rule what does not match.",
    );
    check(
        "approver",
        request("x").namespace("nobody"),
        "Rejected",
        "NoEligibleApprover",
        "No designated approver was in place when the request was made; the customer assigns the role Owner or LockboxApprover of this namespace (RoleAssignment), then create a new request.",
    );
    compared.finish();
}

#[test]
fn a_decision_by_somebody_who_may_not_decide_is_refused_with_who_may() {
    let world = &*WORLD;
    world.subscription("deciders");
    let kim = world.kim();
    let alice = world.alice();
    world.assign("deciders", "omar", "User", "omar@contoso.example", "LockboxApprover");
    let omar = world.user("omar@contoso.example", &[]);
    ask(world, &kim, &request("sr-1").namespace("deciders"), "CustomerNotified");
    let olga = assignment("deciders", "olga", "User", "olga@contoso.example", "LockboxApprover");
    world.apply_as(&world.ada(), &olga.to_string()).unwrap();
    let olga = world.user("olga@contoso.example", &[]);
    eventually("Olga has her rights", || may(world, &olga, &["patch", "lbr", "-n", "deciders"]).then_some(()));
    let nora = world.user("nora@contoso.example", &[]);
    let lee = world.user("lee@provider.example", &["provider:engineers"]);
    let bound = ["create", "rolebinding", "lee", "--clusterrole=lockbox-approver", "--user=lee@provider.example"];
    world.admin(&[&bound[..], &["-n", "deciders"]].concat()).unwrap();
    eventually("Lee may patch", || may(world, &lee, &["patch", "lbr", "-n", "deciders"]).then_some(()));
    let say = |user: &User, spec: Value| {
        world.patch(user, "deciders", "sr-1", &json!({"spec": spec})).expect_err("this should have been refused")
    };
    let approve = || json!({"decision": {"verdict": "Approve"}});
    let mut compared = Compared::default();
    compared.check("no role at all", &say(&nora, approve()), "Error from server (Forbidden): lockboxrequests.lockbox.dev \"sr-1\" is forbidden: User \"nora@contoso.example\" cannot get resource \"lockboxrequests\" in API group \"lockbox.dev\" in the namespace \"deciders\"");
    compared.check("assigned too late", &say(&olga, approve()), "Error from server (Forbidden): lockboxrequests.lockbox.dev \"sr-1\" is forbidden: ValidatingAdmissionPolicy 'lockbox-requests-decide' with binding 'lockbox-requests-decide' denied request: you are not a designated approver of this request: status.approvers says who is, status.excludedApprovers who is not and why; you may only deny it");
    compared.check("the requester", &say(&kim, approve()), "Error from server (Forbidden): lockboxrequests.lockbox.dev \"sr-1\" is forbidden: ValidatingAdmissionPolicy 'lockbox-requests-decide' with binding 'lockbox-requests-decide' denied request: you asked for this access, so you cannot decide about it");
    compared.check("the provider", &say(&lee, approve()), "Error from server (Forbidden): lockboxrequests.lockbox.dev \"sr-1\" is forbidden: ValidatingAdmissionPolicy 'lockbox-requests-decide' with binding 'lockbox-requests-decide' denied request: you are one of the provider's people, so you cannot decide for the customer");
    let forged = json!({"decisions": {ALICE: {"verdict": "Approve"}}});
    compared.check("in another's name", &say(&olga, forged), "Error from server (Forbidden): lockboxrequests.lockbox.dev \"sr-1\" is forbidden: ValidatingAdmissionPolicy 'lockbox-requests-decide' with binding 'lockbox-requests-decide' denied request: a decision can only be recorded under your own user name, olga@contoso.example");
    let group = json!({"decision": {"verdict": "Approve", "group": "contoso:security"}});
    compared.check("for a group", &say(&alice, group), "Error from server (Forbidden): lockboxrequests.lockbox.dev \"sr-1\" is forbidden: ValidatingAdmissionPolicy 'lockbox-requests-decide' with binding 'lockbox-requests-decide' denied request: you cannot decide for group contoso:security: it is not an approver of this request, or you are not in it; leave group out");
    let verdict = json!({"decision": {"verdict": "Maybe"}});
    compared.check("no verdict", &say(&alice, verdict), "The LockboxRequest \"sr-1\" is invalid: \n* spec.decisions.alice@contoso.example.verdict: Unsupported value: \"Maybe\": supported values: \"Approve\", \"Deny\"\n* <nil>: Invalid value: null: some validation rules were not checked because the object was invalid; correct the existing errors to complete validation");
    compared.check("withdrawn by an approver", &say(&alice, json!({"cancellation": {}})), "Error from server (Forbidden): lockboxrequests.lockbox.dev \"sr-1\" is forbidden: ValidatingAdmissionPolicy 'lockbox-requests-end' with binding 'lockbox-requests-end' denied request: only the requester may withdraw a request or return access; an approver denies it (spec.decisions) or revokes it (spec.revocation)");
    compared.check("revoked too early", &say(&alice, json!({"revocation": {}})), "Error from server (Forbidden): lockboxrequests.lockbox.dev \"sr-1\" is forbidden: ValidatingAdmissionPolicy 'lockbox-requests-end' with binding 'lockbox-requests-end' denied request: there is no access to revoke: the phase is CustomerNotified; deny the request with spec.decisions");
    compared.check("given back too early", &say(&kim, json!({"release": {}})), "Error from server (Forbidden): lockboxrequests.lockbox.dev \"sr-1\" is forbidden: ValidatingAdmissionPolicy 'lockbox-requests-end' with binding 'lockbox-requests-end' denied request: there is no access to return: the phase is CustomerNotified; withdraw the request with spec.cancellation");
    compared.check("changed afterwards", &say(&kim, json!({"accessLevel": "Shell"})), "The LockboxRequest \"sr-1\" is invalid: spec.accessLevel: Forbidden: is immutable: to ask for something else, create a new request");
    // kubectl's own default.
    let strategic = ["patch", "lbr", "sr-1", "-n", "deciders", "-p", r#"{"spec":{"decision":{"verdict":"Approve"}}}"#];
    compared.check(
        "a patch of the wrong type",
        &world.kubectl(&alice, &strategic).unwrap_err(),
        "error: application/strategic-merge-patch+json is not supported by lockbox.dev/v1alpha1, Kind=LockboxRequest: the body of the request was in an unknown format - accepted media types include: application/json-patch+json, application/merge-patch+json, application/apply-patch+yaml",
    );
    let status = [
        "patch",
        "lbr",
        "sr-1",
        "-n",
        "deciders",
        "--type=merge",
        "--subresource=status",
        "-p",
        r#"{"status":{"phase":"Approved"}}"#,
    ];
    compared.check("the status", &world.kubectl(&alice, &status).unwrap_err(), "Error from server (Forbidden): lockboxrequests.lockbox.dev \"sr-1\" is forbidden: User \"alice@contoso.example\" cannot get resource \"lockboxrequests/status\" in API group \"lockbox.dev\" in the namespace \"deciders\"");
    assert_eq!(world.phase("deciders", "sr-1"), "CustomerNotified", "none of it changed anything");

    world.decide(&alice, "deciders", "sr-1", "Approve").unwrap();
    world.wait_for_phase("deciders", "sr-1", "AccessGranted");
    compared.check("too late", &say(&omar, approve()), "Error from server (Forbidden): lockboxrequests.lockbox.dev \"sr-1\" is forbidden: ValidatingAdmissionPolicy 'lockbox-requests-decide' with binding 'lockbox-requests-decide' denied request: the request is not waiting for the customer: its phase is AccessGranted");
    compared.check("twice", &say(&alice, approve()), "Error from server (Forbidden): lockboxrequests.lockbox.dev \"sr-1\" is forbidden: ValidatingAdmissionPolicy 'lockbox-requests-decide' with binding 'lockbox-requests-decide' denied request: you have decided already (spec.decisions of alice@contoso.example), and a recorded decision can be neither changed nor taken back; end access with spec.revocation");
    let deny = json!({"decisions": {ALICE: {"verdict": "Deny"}}});
    compared.check("changed", &say(&alice, deny), "The LockboxRequest \"sr-1\" is invalid: spec.decisions: Forbidden: a recorded decision can be neither changed nor taken back: [\"alice@contoso.example\"]");
    compared.check("withdrawn too late", &say(&kim, json!({"cancellation": {}})), "Error from server (Forbidden): lockboxrequests.lockbox.dev \"sr-1\" is forbidden: ValidatingAdmissionPolicy 'lockbox-requests-end' with binding 'lockbox-requests-end' denied request: there is nothing to withdraw: the phase is AccessGranted; return access with spec.release");
    compared.check("revoked by the requester", &say(&kim, json!({"revocation": {}})), "Error from server (Forbidden): lockboxrequests.lockbox.dev \"sr-1\" is forbidden: ValidatingAdmissionPolicy 'lockbox-requests-end' with binding 'lockbox-requests-end' denied request: you asked for this access: return it with spec.release; spec.revocation is for the customer");
    let delete = world.kubectl(&world.ada(), &["delete", "lbr", "sr-1", "-n", "deciders"]).unwrap_err();
    compared.check("deleted", &delete, "Error from server (Forbidden): lockboxrequests.lockbox.dev \"sr-1\" is forbidden: ValidatingAdmissionPolicy 'lockbox-requests-delete' with binding 'lockbox-requests-delete' denied request: end access first (spec.release, spec.revocation): a request cannot be deleted while there is access, and this one is AccessGranted");
    compared.finish();
}

#[test]
fn settings_that_contradict_themselves_are_refused_or_shown_as_not_ready_with_the_field() {
    let world = &*WORLD;
    let ada = world.ada();
    let changed = world.with_settings(&json!({}));
    let settings = || Manifest(example_settings());
    let rule = |name: &str, fields: &Value| {
        let mut rule = json!({"name": name, "effect": "Permit"});
        support::merge(&mut rule, fields);
        json!([rule])
    };
    let level = |fields: &Value| {
        let mut level = json!({"name": "Mine", "clusterRole": "lockbox-read-logs"});
        support::merge(&mut level, fields);
        list_and("/spec/accessLevels", &[level])
    };
    let one = json!([{"kind": "User", "name": "lead@provider.example"}]);
    let mut compared = Compared::default();
    let mut refused = |case: &str, manifest: Manifest, expected: &str| {
        let said = world
            .pipe(&ada, &["apply", "--dry-run=server", "-f", "-"], &manifest.to_string())
            .expect_err("these settings should have been refused");
        // kubectl apply repeats the whole patch before a refusal by a policy.
        let said = said.rsplit("\nfor: \"STDIN\": ").next().unwrap_or_default().to_owned();
        compared.check(case, &said, expected);
    };
    refused(
        "default over maximum",
        settings().set("/spec/grant", json!({"default": "8h", "maximum": "4h"})),
        "The LockboxSettings \"default\" is invalid: \n* spec.grant.default: Forbidden: grant.default must not be longer than grant.maximum\n* spec.accessLevels: Forbidden: the maximum of access levels [\"ReadObjects\", \"ReadLogs\", \"Shell\", \"RemoteDesktop\"] is longer than grant.maximum",
    );
    refused(
        "level over maximum",
        settings().set("/spec/accessLevels", level(&json!({"maximum": "2d"}))),
        "The LockboxSettings \"default\" is invalid: spec.accessLevels: Forbidden: the maximum of access levels [\"Mine\"] is longer than grant.maximum",
    );
    let unknown = rule("mine", &json!({"match": {"accessLevels": ["Root"]}}));
    refused(
        "rule with an unknown level",
        settings().set("/spec/jit/rules", unknown),
        "The LockboxSettings \"default\" is invalid: spec.jit.rules: Forbidden: rules [\"mine\"] name an access level that is not in accessLevels",
    );
    let deny = rule("mine", &json!({"effect": "Deny", "require": {"identity": "Both"}}));
    refused(
        "deny that requires",
        settings().set("/spec/jit/rules", deny),
        "The LockboxSettings \"default\" is invalid: spec.jit.rules[0].require: Forbidden: leave require out: it belongs to rules with effect Permit",
    );
    let empty = rule("mine", &json!({"match": {"services": []}}));
    refused(
        "empty list in a match",
        settings().set("/spec/jit/rules", empty),
        "The LockboxSettings \"default\" is invalid: spec.jit.rules[0].match.services: Invalid value: 0: spec.jit.rules[0].match.services in body should have at least 1 items",
    );
    let two = rule("mine", &json!({"require": {"internalApproval": {"approvers": one, "count": 2}}}));
    refused(
        "more approvals than approvers",
        settings().set("/spec/jit/rules", two),
        "The LockboxSettings \"default\" is invalid: spec.jit.rules[0].require.internalApproval.count: Forbidden: must not exceed the number of approvers",
    );
    let names = json!({"optIn": "All", "names": ["Batch"]});
    refused(
        "names without Listed",
        settings().set("/spec/previewServices", names),
        "The LockboxSettings \"default\" is invalid: spec.previewServices.names: Forbidden: set optIn to Listed, or leave names out",
    );
    let service = json!([{"name": "Shop", "stage": "GeneralAvailability", "accessLevels": ["Root"]}]);
    refused(
        "service with an unknown level",
        settings().set("/spec/services", service),
        "The LockboxSettings \"default\" is invalid: spec.services: Forbidden: a service names an access level that is not in accessLevels",
    );
    refused(
        "no plan",
        settings().without("/spec/supportPlan"),
        "The LockboxSettings \"default\" is invalid: \n* spec.supportPlan: Required value\n* <nil>: Invalid value: null: some validation rules were not checked because the object was invalid; correct the existing errors to complete validation",
    );
    refused(
        "unknown plan",
        settings().set("/spec/supportPlan", "Gold"),
        "The LockboxSettings \"default\" is invalid: \n* spec.supportPlan: Unsupported value: \"Gold\": supported values: \"Basic\", \"Developer\", \"Standard\", \"ProfessionalDirect\"\n* <nil>: Invalid value: null: some validation rules were not checked because the object was invalid; correct the existing errors to complete validation",
    );
    refused(
        "no origin",
        settings().set("/spec/origins", json!([])),
        "The LockboxSettings \"default\" is invalid: spec.origins: Invalid value: 0: spec.origins in body should have at least 1 items",
    );
    refused(
        "no time",
        settings().set("/spec/pendingTimeout", "0s"),
        "The LockboxSettings \"default\" is invalid: spec.pendingTimeout: Invalid value: \"0s\": must be a duration such as 4d, 8h, 90m or 1h30m: days, hours, minutes and seconds, in this order, none of them zero",
    );
    refused(
        "quorum of none",
        settings().set("/spec/approvals/required", 0),
        "The LockboxSettings \"default\" is invalid: spec.approvals.required: Invalid value: 0: spec.approvals.required in body should be greater than or equal to 1",
    );
    let everybody = json!([{"kind": "Group", "name": "system:authenticated"}]);
    refused(
        "everybody an engineer",
        settings().set("/spec/provider/engineers", everybody),
        "The LockboxSettings \"default\" is invalid: spec.provider.engineers[0].name: Forbidden: must not be a built-in user or group (system:...): it would stand for everybody, or for a component",
    );
    refused(
        "fact without a source",
        settings().set("/spec/identity/multiFactor", json!({})),
        "The LockboxSettings \"default\" is invalid: spec.identity.multiFactor: Required value: name groups, or an attribute in extra",
    );
    let standard = json!({"allowed": [{"circumstance": "Standard", "by": one}]});
    refused(
        "Standard as an exclusion",
        settings().set("/spec/exclusions", standard),
        "The LockboxSettings \"default\" is invalid: spec.exclusions.allowed[0].circumstance: Forbidden: must be an exclusion: BreakGlass, PlatformTroubleshooting or LegalDemand",
    );
    refused(
        "second settings",
        settings().set("/metadata/name", "mine"),
        "The LockboxSettings \"mine\" is invalid: <nil>: Forbidden: there is one LockboxSettings in a cluster: name it default, not mine",
    );

    let mut not_ready = |case: &str, patch: Value, expected: &str| {
        changed.change(&patch);
        let conditions = world.wait_for_settings()["status"]["conditions"].clone();
        let ready = items(&conditions).iter().find(|condition| condition["type"] == "Ready").unwrap();
        assert_eq!(ready["status"], "False", "{case}");
        compared.check(case, text(&ready["message"]), expected);
    };
    let services = rule("mine", &json!({"match": {"services": ["AppServices"]}}));
    not_ready(
        "rule with an unknown service",
        json!({"jit": {"rules": services}}),
        "spec.jit.rules[mine].match.services: AppServices is the name of no service in the catalogue or in spec.services; did you mean AppService?",
    );
    not_ready(
        "preview of an unknown service",
        json!({"previewServices": {"optIn": "Listed", "names": ["Mainframe"]}}),
        "spec.previewServices.names: Mainframe is the name of no service in the catalogue or in spec.services",
    );
    not_ready(
        "level for an unknown service",
        json!({"accessLevels": level(&json!({"services": ["Mainframe"]}))}),
        "spec.accessLevels[Mine].services: Mainframe is the name of no service in the catalogue or in spec.services",
    );
    not_ready(
        "level without a role",
        json!({"accessLevels": level(&json!({"clusterRole": "contoso-nothing"}))}),
        "spec.accessLevels[Mine].clusterRole: there is no ClusterRole contoso-nothing with the label lockbox.dev/access-level: \"true\"; create it, or name another",
    );
    not_ready(
        "level with a role of another purpose",
        json!({"accessLevels": level(&json!({"clusterRole": "cluster-admin"}))}),
        "spec.accessLevels[Mine].clusterRole: there is no ClusterRole cluster-admin with the label lockbox.dev/access-level: \"true\"; create it, or name another",
    );
    not_ready(
        "level that reaches data",
        json!({"accessLevels": level(&json!({"customerData": false}))}),
        "spec.accessLevels[Mine].customerData: says false, but ClusterRole lockbox-read-logs reaches customer data (get pods/log); say true, or take that out of the role",
    );
    compared.finish();
}
