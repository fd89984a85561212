use lockbox_api::{request::NamedObject, settings::GroupResource};

/// Short names and abbreviations of `kubectl` that people write in place of a plural.
const SHORT: &[(&str, &str)] = &[
    ("cj", "cronjobs"),
    ("cm", "configmaps"),
    ("deploy", "deployments"),
    ("ds", "daemonsets"),
    ("dv", "datavolumes"),
    ("ev", "events"),
    ("ing", "ingresses"),
    ("no", "nodes"),
    ("ns", "namespaces"),
    ("po", "pods"),
    ("pv", "persistentvolumes"),
    ("pvc", "persistentvolumeclaims"),
    ("rs", "replicasets"),
    ("sts", "statefulsets"),
    ("svc", "services"),
    ("vm", "virtualmachines"),
    ("vmi", "virtualmachineinstances"),
];

/// What was meant by an object whose kind is none of a service's, as a question to stand behind the refusal: `Did you mean
/// group apps, resource deployments?` The same kind in another group, its singular or short name, or one that differs by
/// a letter or two. None when nothing is near.
pub fn hint(object: &NamedObject, kinds: &[GroupResource]) -> Option<String> {
    let asked = object.resource.as_str();
    let spelled = SHORT.iter().find(|(short, _)| *short == asked).map_or(asked, |(_, kind)| kind);
    let distance = |kind: &&GroupResource| {
        let other = usize::from(kind.group != object.group);
        if kind.resource == spelled || singulars(&kind.resource).any(|singular| singular == spelled) {
            return Some(other);
        }
        let letters = strsim::osa_distance(&kind.resource, spelled);
        (letters <= 2 && letters * 3 <= kind.resource.len()).then_some(2 * letters + other)
    };
    let nearest =
        kinds.iter().filter_map(|kind| Some((distance(&kind)?, kind))).min_by_key(|(distance, _)| *distance)?.1;
    Some(match nearest.group.as_str() {
        "" if object.group.is_empty() => format!("Did you mean resource {}?", nearest.resource),
        "" => format!("Did you mean resource {}, without a group?", nearest.resource),
        group => format!("Did you mean group {group}, resource {}?", nearest.resource),
    })
}

/// What the singular of a plural may be.
fn singulars(plural: &str) -> impl Iterator<Item = String> {
    [("ies", "y"), ("es", ""), ("s", "")]
        .into_iter()
        .filter_map(|(ending, singular)| Some(format!("{}{singular}", plural.strip_suffix(ending)?)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kinds() -> Vec<GroupResource> {
        [
            ("", "pods"),
            ("", "configmaps"),
            ("apps", "deployments"),
            ("networking.k8s.io", "ingresses"),
            ("networking.k8s.io", "networkpolicies"),
        ]
        .map(|(group, resource)| GroupResource { group: group.into(), resource: resource.into() })
        .to_vec()
    }

    fn hinted(group: &str, resource: &str) -> Option<String> {
        hint(&NamedObject { group: group.into(), resource: resource.into(), name: "shop".into() }, &kinds())
    }

    #[test]
    fn a_kind_that_is_nearly_one_of_the_services_is_named_with_its_group() {
        for (group, resource, said) in [
            ("", "deployments", "Did you mean group apps, resource deployments?"),
            ("", "deployment", "Did you mean group apps, resource deployments?"),
            ("extensions", "deployments", "Did you mean group apps, resource deployments?"),
            ("", "deploy", "Did you mean group apps, resource deployments?"),
            ("", "configmap", "Did you mean resource configmaps?"),
            ("", "cm", "Did you mean resource configmaps?"),
            ("apps", "configmaps", "Did you mean resource configmaps, without a group?"),
            ("v1", "pod", "Did you mean resource pods, without a group?"),
            ("networking.k8s.io", "ingress", "Did you mean group networking.k8s.io, resource ingresses?"),
            ("", "networkpolicy", "Did you mean group networking.k8s.io, resource networkpolicies?"),
            ("", "configmpas", "Did you mean resource configmaps?"),
            ("apps", "deplyments", "Did you mean group apps, resource deployments?"),
        ] {
            assert_eq!(hinted(group, resource).as_deref(), Some(said), "{resource}.{group}");
        }
    }

    #[test]
    fn nothing_is_guessed_where_nothing_is_near() {
        for resource in ["secrets", "nodes", "x", "jobs"] {
            assert_eq!(hinted("", resource), None, "{resource}");
        }
        assert_eq!(hint(&NamedObject { group: String::new(), resource: "pods".into(), name: "a".into() }, &[]), None);
    }
}
