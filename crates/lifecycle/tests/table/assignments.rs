//! Whether an assignment counts, and which rights people get.

use super::*;

// --- recognition and people ---

fn condition<'a>(status: &'a lockbox_api::RoleAssignmentStatus, type_: &str) -> (&'a str, &'a str) {
    let found = status.conditions.iter().find(|condition| condition.type_ == type_).unwrap();
    (found.status.as_str(), found.reason.as_str())
}

#[test]
fn an_assignment_is_recognised_or_says_why_not() {
    let in_namespace = |mut a: lockbox_api::RoleAssignment, namespace: &str| {
        a.metadata.namespace = Some(namespace.into());
        a
    };
    let management_group = {
        let mut assignment = assignment(ALICE, "Owner", 0);
        assignment.spec.scope = lockbox_api::assignment::AssignmentScope::ManagementGroup;
        assignment
    };
    let crossed = {
        let mut assignment = assignment(ALICE, "Owner", 0);
        assignment.spec.role = AssignedRole::GlobalAdministrator;
        assignment
    };
    for (assignment, expected) in [
        (assignment(ALICE, "Owner", 0), ("True", "Recognized")),
        (assignment(ALICE, "LockboxApprover", 0), ("True", "Recognized")),
        (assignment(ALICE, "GlobalAdministrator", 0), ("True", "Recognized")),
        (management_group, ("False", "ManagementGroup")),
        (in_namespace(assignment(ALICE, "Owner", 0), HOME), ("False", "WrongNamespace")),
        (in_namespace(assignment(ALICE, "GlobalAdministrator", 0), NAMESPACE), ("False", "WrongNamespace")),
        (crossed, ("False", "RoleAndScope")),
        (assignment("provider:engineers", "Owner", 0), ("False", "Provider")),
    ] {
        let (status, _) = recognition::recognise(&assignment, Some(&settings()), HOME, at(0));
        assert_eq!(condition(&status, "Recognized"), expected, "{:?}", assignment.spec);
        let active = if expected.0 == "True" { ("True", "Active") } else { ("False", "NotRecognized") };
        assert_eq!(condition(&status, "Active"), active, "{:?}", assignment.spec);
    }
}

#[test]
fn an_activation_counts_from_when_the_operator_saw_it_and_once() {
    let settings = settings();
    let mut assignment = eligible(ALICE, "Owner", 0, None);
    let recognise = |assignment: &lockbox_api::RoleAssignment, now: i64| {
        recognition::recognise(assignment, Some(&settings), HOME, at(now))
    };
    let (status, wake) = recognise(&assignment, 5);
    assert_eq!((condition(&status, "Active"), wake), (("False", "NotActivated"), None));

    assignment.spec.activation = serde_json::from_value(json!({"justification": "on call", "duration": "1m"})).unwrap();
    let (status, wake) = recognise(&assignment, 10);
    assert_eq!((status.activated_at, status.active_until, wake), (Some(at(10)), Some(at(70)), Some(at(70))));
    assignment.status = Some(status.clone());
    assert!(recognition::is_active(&assignment, at(69)));
    assert!(!recognition::is_active(&assignment, at(70)));

    let (again, _) = recognise(&assignment, 30);
    assert_eq!(again, status, "the same activation is not recorded twice");
    let (ended, wake) = recognise(&assignment, 70);
    assert_eq!((condition(&ended, "Active"), wake), (("False", "ActivationEnded"), None));

    assignment.spec.activation = serde_json::from_value(json!({"justification": "again", "duration": "1m"})).unwrap();
    let (renewed, _) = recognise(&assignment, 80);
    assert_eq!((renewed.activated_at, renewed.active_until), (Some(at(80)), Some(at(140))));
}

#[test]
fn people_get_what_settings_and_assignments_say_and_nothing_else() {
    let settings = excluded_world("BreakGlass").settings(|s| {
        s["jit"]["rules"][0]["require"] =
            json!({"internalApproval": {"approvers": [{"kind": "User", "name": LEAD}], "count": 1}});
        s["exclusions"]["allowed"][0]["by"] = json!([{"kind": "Group", "name": "provider:commanders"}]);
    });
    let deleting = {
        let mut a = recognised(assignment("gone@contoso.example", "Owner", 0));
        a.metadata.deletion_timestamp = Some(to_kubernetes(at(1)));
        a
    };
    let assignments = [
        recognised(assignment(ALICE, "Owner", 0)),
        recognised(assignment(BOB, "LockboxApprover", 0)),
        recognised(assignment(CAROL, "GlobalAdministrator", 0)),
        recognised(eligible("eve@contoso.example", "Owner", 0, Some((0, 60)))),
        recognised(eligible("frank@contoso.example", "Owner", 0, Some((0, 30)))),
        assignment("unrecognised@contoso.example", "Owner", 0),
        deleting,
    ];
    let wanted = people::bindings(SettingsView::Known(settings.settings.as_ref().unwrap()), &assignments, at(30));
    let words: BTreeSet<_> = wanted
        .keys()
        .map(|binding| {
            format!(
                "{} {} {}",
                binding.namespace.as_deref().unwrap_or("*"),
                binding.role.short(),
                binding.principal.name
            )
        })
        .collect();
    let expected: BTreeSet<_> = [
        "* requester provider:engineers".to_owned(),
        "* requester provider:commanders".to_owned(),
        format!("* internal-approver {LEAD}"),
        format!("* settings-viewer {ALICE}"),
        format!("* settings-viewer {BOB}"),
        "* settings-viewer eve@contoso.example".to_owned(),
        format!("{NAMESPACE} owner {ALICE}"),
        format!("{NAMESPACE} approver {BOB}"),
        format!("* administrator {CAROL}"),
        format!("{NAMESPACE} owner-activated eve@contoso.example"),
        format!("{NAMESPACE} eligible eve@contoso.example"),
        format!("{NAMESPACE} eligible frank@contoso.example"),
    ]
    .into();
    assert_eq!(words, expected);
    assert!(people::bindings(SettingsView::Missing, &[], at(0)).is_empty());
}

#[test]
fn a_binding_for_people_has_a_name_of_its_own() {
    let mut names = BTreeSet::new();
    let mut count = 0;
    for namespace in [None, Some("a".to_owned()), Some("b".to_owned())] {
        for role in [PeopleRole::Owner, PeopleRole::Approver] {
            for principal in [Principal::user("x"), Principal::group("x"), Principal::user("y")] {
                let binding = people::PeopleBinding { namespace: namespace.clone(), role, principal };
                let name = binding.name();
                assert!(name.len() <= 63 && name.starts_with("lockbox-people-"), "{name}");
                names.insert(name);
                count += 1;
            }
        }
    }
    assert_eq!(names.len(), count);
    assert_eq!(PeopleRole::Eligible.cluster_role(), "lockbox-eligible");
}
