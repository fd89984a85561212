//! The review that the benchmark asks for (M16): for each service, whether Lockbox applies to it here, and why.

use super::{Catalogue, opted_in, stage_for};
use crate::text::{clip, list};
use lockbox_api::settings::{
    Benchmark, GroupResource, LockboxSettingsSpec, PreviewOptIn, Service, ServiceStatus, Stage,
};

/// Most services in the review: the schema's bound of status.services.
const MOST: usize = 128;
/// Most characters of a reason: the schema's bound.
const LONGEST: usize = 320;
/// Room for a list of kinds within a reason, in characters.
const ROOM: usize = 120;
/// Room for a list of access levels within a reason, in characters.
const ROOM_FOR_LEVELS: usize = 70;

/// For each service whether Lockbox applies to it in this cluster, and why, in a sentence. `served` says whether the
/// cluster serves a kind.
pub fn review(settings: &LockboxSettingsSpec, served: &dyn Fn(&GroupResource) -> bool) -> Vec<ServiceStatus> {
    Catalogue::new(settings)
        .iter()
        .take(MOST)
        .map(|service| {
            let (applies, reason) = verdict(settings, &service, served);
            ServiceStatus {
                stage: service.stage,
                applies,
                reason: clip(&reason, LONGEST),
                name: service.name,
                display_name: service.display_name,
            }
        })
        .collect()
}

/// The control that asks for this review.
pub fn benchmark() -> Benchmark {
    Benchmark {
        control: "PA-8".to_owned(),
        title: "Determine access process for cloud provider support".to_owned(),
        formerly: "Azure Security Benchmark 3.13".to_owned(),
    }
}

fn verdict(
    settings: &LockboxSettingsSpec,
    service: &Service,
    served: &dyn Fn(&GroupResource) -> bool,
) -> (bool, String) {
    let stages = Stages::of(service, opted_in(settings, service));
    if !stages.supported {
        return (false, not_supported(service));
    }
    if service.resources.is_empty() {
        return (false, "Not applicable here: nothing on Kubernetes corresponds to this service.".to_owned());
    }
    let (here, missing): (Vec<_>, Vec<_>) = service.resources.iter().partition(|kind| served(kind));
    if here.is_empty() {
        return (
            false,
            format!("Not applicable here: this cluster serves none of its kinds ({}).", some(&missing, ROOM)),
        );
    }
    if !stages.open {
        return (false, format!("In preview and not opted in: {}.", how_to_opt_in(settings, service)));
    }
    let how = if stages.preview_in_use { "Applies, in preview and opted in" } else { "Applies" };
    let kinds = some(&here, ROOM);
    // What may be asked for matters more to a reviewer than which kinds are missing.
    let reason = if !stages.closed_levels.is_empty() {
        let levels = some(&stages.closed_levels, ROOM_FOR_LEVELS);
        format!("{how}: this cluster serves {kinds}. Not for {levels}: not supported, or in preview and not opted in.")
    } else if missing.is_empty() {
        format!("{how}: this cluster serves {kinds}.")
    } else {
        format!("{how}: this cluster serves {kinds}; not installed: {}.", some(&missing, ROOM))
    };
    (true, reason)
}

/// What the stages of a service's access levels come to.
struct Stages<'a> {
    /// One at least is supported, if only in preview.
    supported: bool,
    /// One at least can be asked for.
    open: bool,
    /// One at least can be asked for only because the customer opted in.
    preview_in_use: bool,
    /// Those that cannot be asked for.
    closed_levels: Vec<&'a str>,
}

impl<'a> Stages<'a> {
    fn of(service: &'a Service, opted_in: bool) -> Self {
        let usable = |stage| stage == Stage::GeneralAvailability || (stage == Stage::Preview && opted_in);
        let levels: Vec<(&str, Stage)> =
            service.access_levels.iter().map(|level| (level.as_str(), stage_for(service, level))).collect();
        let mut stages: Vec<Stage> = levels.iter().map(|(_, stage)| *stage).collect();
        if stages.is_empty() {
            stages.push(service.stage);
        }
        Self {
            supported: stages.iter().any(|stage| *stage != Stage::NotSupported),
            open: stages.iter().any(|stage| usable(*stage)),
            preview_in_use: opted_in && stages.contains(&Stage::Preview),
            closed_levels: levels.into_iter().filter(|(_, stage)| !usable(*stage)).map(|(level, _)| level).collect(),
        }
    }
}

fn not_supported(service: &Service) -> String {
    match service.advice.as_deref().map(|advice| advice.trim().trim_end_matches('.')) {
        Some(advice) if !advice.is_empty() => format!("Not supported: {advice}."),
        _ => "Not supported, and its entry gives no advice: ask the provider what to use instead.".to_owned(),
    }
}

fn how_to_opt_in(settings: &LockboxSettingsSpec, service: &Service) -> String {
    let name = &service.name;
    match settings.preview_services.opt_in {
        PreviewOptIn::Listed => format!("add {name} to spec.previewServices.names"),
        _ => format!("set spec.previewServices.optIn to Listed and add {name} to spec.previewServices.names"),
    }
}

/// As many as there is room for.
fn some<T: ToString>(items: &[T], room: usize) -> String {
    list(&items.iter().map(T::to_string).collect::<Vec<_>>(), room)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_supported_says_what_to_use_instead_or_that_nobody_knows() {
        let said = |advice: Option<&str>| {
            let service = serde_json::json!({"name": "Bots", "stage": "NotSupported", "advice": advice});
            not_supported(&serde_json::from_value(service).unwrap())
        };
        assert_eq!(said(Some(" move to VirtualMachines. ")), "Not supported: move to VirtualMachines.");
        for nothing in [None, Some(""), Some(" ."), Some("  ")] {
            assert!(said(nothing).contains("gives no advice"), "{nothing:?}");
        }
    }
}
