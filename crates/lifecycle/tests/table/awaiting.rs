//! `AwaitingInternalApproval`: the provider's own approvers.

use super::*;

pub fn internal_rows() -> Vec<Row> {
    use Phase::{AwaitingInternalApproval as Awaiting, Cancelled, CustomerNotified, Expired, NotTriggered, Rejected};
    let waiting = || World::with_internal_approval().into_phase(Awaiting);
    let voided = |name, world, entries: &[AuditAction]| {
        row(name, world, Awaiting, Cancelled, "AdmissionNotEnforced", entries).says("Create a new request")
    };
    let no_data = || {
        let mut world = World::without_customer_data().settings(|spec| {
            spec["jit"]["rules"][0]["require"] =
                json!({"internalApproval": {"approvers": [{"kind": "User", "name": LEAD}], "count": 1}});
        });
        world.take();
        world
    };
    let stays = |name, world, entries: &[AuditAction]| {
        row(name, world, Awaiting, Awaiting, "WaitingForInternalApproval", entries)
    };
    vec![
        row(
            "approved internally: the customer is asked",
            deciding_internally(waiting(), LEAD, yes()),
            Awaiting,
            CustomerNotified,
            "WaitingForCustomer",
            &[ApproveInternally, CreateLockboxRequest],
        ),
        row(
            "approved internally, without customer data",
            deciding_internally(no_data(), LEAD, yes()),
            Awaiting,
            Phase::Approved,
            "Approved",
            &[ApproveInternally, AutoApproveLockboxRequest],
        ),
        row(
            "denied internally",
            deciding_internally(waiting(), LEAD, no()),
            Awaiting,
            Rejected,
            "DeniedInternally",
            &[DenyInternally],
        )
        .says("not today"),
        row(
            "nobody decided internally",
            past_deadline(waiting()),
            Awaiting,
            Expired,
            "NoInternalApproval",
            &[ExpireInternalApproval],
        ),
        row(
            "approved internally, but met after the deadline",
            past_deadline(deciding_internally(waiting(), LEAD, yes())),
            Awaiting,
            Expired,
            "NoInternalApproval",
            &[ExpireInternalApproval],
        ),
        row(
            "withdrawn before the customer was asked",
            cancelled(waiting(), KIM),
            Awaiting,
            Cancelled,
            "Withdrawn",
            &[CancelBeforeNotification],
        ),
        row(
            "switched off before the customer was asked",
            off(waiting()),
            Awaiting,
            NotTriggered,
            "LockboxDisabled",
            &[SkipLockboxRequest],
        ),
        row(
            "settings deleted before the customer was asked",
            without_settings(waiting()),
            Awaiting,
            NotTriggered,
            "SettingsMissing",
            &[SkipLockboxRequest],
        ),
        stays(
            "a second before the deadline it still waits",
            {
                let w = waiting();
                let last = deadline(&w) - 1;
                w.at(last)
            },
            &[],
        ),
        stays("somebody who may not decide internally", deciding_internally(waiting(), BOB, no()), &[RejectDecision]),
        stays(
            "the requester does not decide internally",
            deciding_internally(waiting(), KIM, yes()),
            &[RejectDecision],
        ),
        stays("a customer's decision is not looked at yet", deciding(waiting(), &[(ALICE, no())]), &[]),
        stays("somebody else's cancellation", cancelled(waiting(), LEAD), &[]),
        row(
            "approved internally, and whether anybody checked by whom is not known yet",
            untried(deciding_internally(waiting(), LEAD, yes())),
            Awaiting,
            Awaiting,
            "WaitingForAdmission",
            &[],
        )
        .says("not tried yet"),
        voided(
            "approved internally while anybody could do it in the lead's name",
            forgeable(deciding_internally(waiting(), LEAD, yes())),
            &[RejectDecision, CancelBeforeNotification],
        ),
        voided(
            "approved internally, while nobody knows what was forged before",
            put_back(deciding_internally(waiting(), LEAD, yes())),
            &[RejectDecision, CancelBeforeNotification],
        ),
        voided("a gap ends what it voids at once", put_back(waiting()), &[CancelBeforeNotification]),
        row(
            "the requester is locked before the customer was asked",
            locked(waiting()),
            Awaiting,
            Cancelled,
            "RequesterLocked",
            &[CancelBeforeNotification],
        )
        .says("laptop stolen"),
        stays("settings that cannot be read end nothing", unreadable(waiting()), &[]),
        row(
            "a Deny needs no proof internally",
            forgeable(deciding_internally(waiting(), LEAD, no())),
            Awaiting,
            Rejected,
            "DeniedInternally",
            &[DenyInternally],
        ),
    ]
}

#[test]
fn internal_approvals_are_met_rule_by_rule() {
    let mut world = World::new().settings(|spec| {
        spec["jit"]["rules"] = json!([
            {"name": "leads", "effect": "Permit", "require": {"internalApproval": {"approvers": [{"kind": "Group", "name": "provider:leads"}], "count": 2}}},
            {"name": "devops", "effect": "Permit", "require": {"internalApproval": {"approvers": [{"kind": "User", "name": "lee@provider.example"}], "count": 1}}}
        ]);
    });
    world.take();
    let yes_as_lead = json!({"verdict": "Approve", "group": "provider:leads"});
    world.decide_internally("lee@provider.example", yes_as_lead.clone());
    world.settle();
    assert_eq!(world.phase(), Phase::AwaitingInternalApproval, "one of two leads");
    world.decide_internally("max@provider.example", yes_as_lead);
    world.settle();
    assert_eq!(world.phase(), Phase::CustomerNotified, "who is named in one and a member of the other counts for both");
}
