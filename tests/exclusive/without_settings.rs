//! While there are no settings: none were made yet, or they were deleted.

use serde_json::{Value, json};

use crate::{
    requirements::{create, why},
    support::{KIM, World, eventually, example, request},
    turn,
};

/// Settings give the right to ask. Without them, the administrator stands in.
fn let_kim_ask(world: &World, namespace: &str) {
    let bind = ["create", "rolebinding", "kim", "--clusterrole=lockbox-requester", "--user", KIM, "-n", namespace];
    world.admin(&bind).unwrap();
}

fn waits_for_settings(world: &World, namespace: &str, name: &str) -> Value {
    eventually("the request says what it waits for", || {
        let request = world.request(namespace, name);
        (why(&request).0 == "SettingsMissing").then_some(request)
    })
}

#[test]
fn without_settings_a_request_waits_and_says_for_what() {
    let (world, _turn) = turn();
    world.subscription("no-settings");
    let kim = world.kim();
    let _settings = world.with_settings(&json!({}));
    world.kubectl(&world.ada(), &["delete", "lbs", "default"]).unwrap();
    // Nobody is known to be the provider's, so nobody may ask.
    let said = eventually("the provider's people lose their rights", || {
        world.create_as(&kim, &request("early").namespace("no-settings").to_string()).err()
    });
    assert_eq!(
        said.trim_end(),
        "Error from server (Forbidden): error when creating \"STDIN\": lockboxrequests.lockbox.dev is forbidden: User \"kim@provider.example\" cannot create resource \"lockboxrequests\" in API group \"lockbox.dev\" in the namespace \"no-settings\""
    );
    let_kim_ask(world, "no-settings");
    create(world, &kim, &request("sr-1").namespace("no-settings"));
    let waits = waits_for_settings(world, "no-settings", "sr-1");
    assert_eq!(waits["status"]["phase"], "Evaluating");
    assert!(waits["status"]["evaluateUntil"].is_string(), "at most as long as the default pending time");
    assert_eq!(
        why(&waits).1,
        "There is no LockboxSettings yet; the request waits until a Global Administrator creates the one named default."
    );
}

#[test]
fn a_request_without_settings_waits_and_goes_on_when_there_are_some() {
    let (world, _turn) = turn();
    world.subscription("not-yet");
    let _settings = world.with_settings(&json!({}));
    world.kill_operator();
    world.kubectl(&world.ada(), &["delete", "lbs", "default"]).unwrap();
    world.start_operator();
    let_kim_ask(world, "not-yet");
    create(world, &world.kim(), &request("early").namespace("not-yet"));
    let waits = waits_for_settings(world, "not-yet", "early");
    assert_eq!(waits["status"]["phase"], "Evaluating");
    world.apply_as(&world.ada(), &example("global-administrator/settings.yaml")).unwrap();
    world.wait_for_phase("not-yet", "early", "CustomerNotified");
}
