//! What is wrong with the services that the settings add or override, and the schema cannot see.

use std::collections::BTreeMap;

use super::{Catalogue, Source};
use lockbox_api::settings::LockboxSettingsSpec;

/// What is wrong with spec.services, each with the way out, to be shown after the name of that field. Empty when all is
/// well.
pub fn problems(settings: &LockboxSettingsSpec) -> Vec<String> {
    let catalogue = Catalogue::new(settings);
    let mut found = Vec::new();
    twice(settings, &mut found);
    ambiguous(&catalogue, &mut found);
    unknown_levels(settings, &mut found);
    found
}

fn twice(settings: &LockboxSettingsSpec, found: &mut Vec<String>) {
    for (at, service) in settings.services.iter().enumerate() {
        let before = settings.services.iter().take(at).filter(|other| other.name == service.name).count();
        if before == 1 {
            found.push(format!("there are two entries {}: take one of them out", service.name));
        }
    }
}

/// Two services that answer to one name: which one a request meant would depend on their order.
fn ambiguous(catalogue: &Catalogue<'_>, found: &mut Vec<String>) {
    let mut names: BTreeMap<&str, Source<'_>> =
        catalogue.services.iter().map(|service| (service.name(), *service)).collect();
    for service in &catalogue.services {
        for alias in service.aliases() {
            let Some(other) = names.insert(alias, *service) else { continue };
            if other.name() == service.name() {
                continue;
            }
            found.push(clash(alias, other, *service));
        }
    }
}

fn clash(alias: &str, first: Source<'_>, second: Source<'_>) -> String {
    let (first_name, second_name) = (first.name(), second.name());
    match (first, second) {
        // The settings' service comes first where it stands in the place of a built-in one, or where it is the name.
        (Source::Settings(_), Source::BuiltIn(_)) if first_name == alias => format!(
            "{alias} is another name of the built-in service {second_name}: override {second_name} itself, or choose another name for spec.services[{alias}]"
        ),
        (Source::Settings(_), Source::BuiltIn(_)) => too(alias, first_name, second_name),
        _ => too(alias, second_name, first_name),
    }
}

fn too(alias: &str, of: &str, other: &str) -> String {
    format!(
        "the alias {alias} of {of} is a name of the service {other} too: take it out of spec.services[{of}].aliases"
    )
}

fn unknown_levels(settings: &LockboxSettingsSpec, found: &mut Vec<String>) {
    for service in &settings.services {
        for scenario in &service.scenarios {
            let (name, level) = (&service.name, &scenario.access_level);
            if !settings.access_levels.iter().any(|known| known.name == *level) {
                found.push(format!(
                    "{name} has a scenario for {level}, which is no access level: add it to spec.accessLevels, or take it out of spec.services[{name}].scenarios"
                ));
            } else if !service.access_levels.contains(level) {
                found.push(format!(
                    "{name} has a scenario for {level}, which it does not allow: add it to spec.services[{name}].accessLevels, or take it out of spec.services[{name}].scenarios"
                ));
            }
        }
    }
}
