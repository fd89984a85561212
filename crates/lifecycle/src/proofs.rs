//! What must be proven before anything is believed, and before access is granted.
//!
//! Who asks and who decides is compared with the caller by a few of the admission policies. Where those are not in force,
//! anybody who may write a request may write it in another's name; so what is met then does not count. Before access is
//! made, all policies, the clock and the safety net inside the cluster must be proven. How they are tried is the
//! controller's.

use chrono::TimeDelta;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;

use crate::{Reason, Why};
use lockbox_api::{LockboxSettingsSpec, Moment, Scope, condition::holds, settings::SafetyNet, time::text};

/// Type of the settings' condition that shows whether the admission policies are in force.
pub const ADMISSION: &str = "AdmissionEnforced";
/// Type of the settings' condition that shows whether the safety net works.
pub const SAFETY_NET: &str = "SafetyNet";
/// Type of the settings' condition that shows whether the clocks agree.
pub const CLOCK: &str = "ClockInSync";

/// Reason of [`ADMISSION`] while requests and decisions are not authentic: what is pending is void.
const NOT_AUTHENTIC: &str = "NotEnforced";
/// Reason of [`ADMISSION`] while a policy is missing that makes nothing authentic: access waits, and nothing is void.
const INCOMPLETE: &str = "Incomplete";

/// Seconds by which clocks may differ, and by which a recorded end may be further away than was approved.
pub const CLOCK_TOLERANCE: i64 = 5;

/// Within this time it is noticed that a policy is missing: an approval that was recorded in it may be the first forgery.
const NOTICED_WITHIN: TimeDelta = TimeDelta::seconds(10);

/// What a trial came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Proof {
    /// Tried, and it holds.
    Proven,
    /// Not tried yet, or the trial had no result: a sentence says why.
    Unknown(String),
    /// Tried, and it does not hold: a sentence says what was found.
    Disproven(String),
}

impl Proof {
    /// Why it is not proven; none when it is.
    pub fn missing(&self) -> Option<&str> {
        match self {
            Self::Proven => None,
            Self::Unknown(why) | Self::Disproven(why) => Some(why),
        }
    }
}

/// What is tried.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proofs {
    /// The admission policies are in force that make requests and decisions authentic. While they are not, nobody is
    /// believed, and what is pending is void.
    pub authentic: Proof,
    /// Since when they are, without a gap that anybody knows of. What stands in older requests may be forged.
    pub authentic_since: Moment,
    /// All of Lockbox's admission policies are in force, those among them. While they are not, no access is made.
    pub enforced: Proof,
    /// The cluster's own controllers end what a deadline Job owns.
    pub safety_net: Proof,
    /// The operator's clock and the API server's agree.
    pub clock: Proof,
}

impl Proofs {
    /// Everything has been proven.
    pub const ALL: Self = Self {
        authentic: Proof::Proven,
        authentic_since: Moment::MIN_UTC,
        enforced: Proof::Proven,
        safety_net: Proof::Proven,
        clock: Proof::Proven,
    };

    /// Nothing has been tried yet.
    pub fn none_yet() -> Self {
        let not_tried = |what: &str| Proof::Unknown(format!("{what} was not tried yet, which takes moments."));
        Self {
            authentic: not_tried("whether the admission policies are in force"),
            authentic_since: Moment::MAX_UTC,
            enforced: not_tried("whether the admission policies are in force"),
            safety_net: not_tried("whether the cluster ends access while the operator is down"),
            clock: not_tried("whether the operator's clock is right"),
        }
    }

    /// Whether all admission policies are in force. What is wrong with those that make requests authentic comes first.
    pub const fn admission(&self) -> &Proof {
        match self.authentic {
            Proof::Proven => &self.enforced,
            Proof::Unknown(_) | Proof::Disproven(_) => &self.authentic,
        }
    }

    /// With what the settings' conditions have recorded of earlier trials. That counts for the safety net alone, whose
    /// trial takes seconds, and until the first one is over: a restart is no reason to hold access back.
    #[must_use]
    pub fn with_recorded(self, conditions: &[Condition]) -> Self {
        if self.safety_net == Self::none_yet().safety_net && holds(conditions, SAFETY_NET) {
            return Self { safety_net: Proof::Proven, ..self };
        }
        self
    }

    /// Why what stands in a request made at this time may be written by anybody; none when the API server has checked
    /// all of it, as far as is known.
    pub(super) fn unchecked(&self, created: Moment) -> Option<String> {
        match &self.authentic {
            Proof::Disproven(why) => Some(why.clone()),
            Proof::Proven if created < self.authentic_since => Some(format!(
                "the admission policies have been in force since {} only, and the request is older.",
                text(self.authentic_since)
            )),
            Proof::Proven | Proof::Unknown(_) => None,
        }
    }

    /// Why nothing can come of a pending request that was made at this time, and what to do; none when something can, or
    /// when that is not known now. What is void stays so: the request ends. Nobody's Deny or withdrawal needs this, and
    /// what was approved already is judged by when that was recorded.
    pub fn voided(&self, created: Moment) -> Option<Why> {
        let message = match &self.authentic {
            Proof::Disproven(why) => format!(
                "Create a new request when AdmissionEnforced is True again (kubectl get lbs default -o yaml): until then anyone could forge requests and decisions: {why}"
            ),
            Proof::Proven if created < self.authentic_since => format!(
                "Create a new request: the admission policies that compare with the caller who asks and who decides have been in force since {} only (status.admissionSince of the LockboxSettings), and this request is older.",
                text(self.authentic_since)
            ),
            Proof::Proven | Proof::Unknown(_) => return None,
        };
        Some(Why::new(Reason::AdmissionNotEnforced, message))
    }

    /// Why an approval that was recorded at this time may be forged: that a policy is missing is noticed a moment later.
    pub(super) fn doubts(&self, approved: Moment, now: Moment) -> Option<String> {
        let noticed = match &self.authentic {
            Proof::Disproven(_) => now,
            Proof::Proven => self.authentic_since,
            Proof::Unknown(_) => return None,
        };
        let late = approved < noticed && noticed - approved <= NOTICED_WITHIN;
        late.then(|| "the admission policies were missing when it was approved, or a moment later.".into())
    }

    /// Why no access can be made now; none when it can. The safety net is a Job in the request's namespace, so it does
    /// not matter to access of scope Tenant.
    pub(super) fn before_grant(&self, scope: Scope, settings: Option<&LockboxSettingsSpec>) -> Option<Why> {
        let required = settings.is_none_or(|settings| settings.grant.safety_net == SafetyNet::Required);
        let net = (scope == Scope::Subscription && required).then_some((Reason::WaitingForSafetyNet, &self.safety_net));
        [(Reason::WaitingForAdmission, self.admission()), (Reason::WaitingForClock, &self.clock)]
            .into_iter()
            .chain(net)
            .find_map(|(reason, proof)| proof.missing().map(|why| Why::new(reason, why)))
    }
}

/// Why the condition [`ADMISSION`] does not hold, as one word.
pub(super) const fn gap_reason(proofs: &Proofs) -> &'static str {
    if matches!(proofs.authentic, Proof::Disproven(_)) { NOT_AUTHENTIC } else { INCOMPLETE }
}

/// Whether these conditions of the settings have recorded that requests and decisions were not authentic.
pub fn records_gap(conditions: &[Condition]) -> bool {
    conditions
        .iter()
        .any(|condition| condition.type_ == ADMISSION && condition.status == "False" && condition.reason != INCOMPLETE)
}

/// A proof that was lost, or won back: what an Event about the settings says of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Turn {
    /// What follows from the condition before and is the same for every attempt to say this.
    pub key: String,
    /// Type and reason of the condition as it is now, in one word.
    pub reason: String,
    /// What was found.
    pub message: String,
    /// Whether it was lost.
    pub lost: bool,
}

/// The proofs that were lost between two states of the settings' conditions, and those that were lost before and are won
/// back. What was not tried yet, or could not be, is neither.
pub fn turns(before: &[Condition], after: &[Condition]) -> Vec<Turn> {
    let turn = |type_: &str| {
        let find = |conditions: &'_ [Condition]| conditions.iter().find(|condition| condition.type_ == type_).cloned();
        let (old, new) = (find(before), find(after)?);
        let was = old.as_ref().map_or("Unknown", |old| old.status.as_str());
        let lost = match (was, new.status.as_str()) {
            (was, "False") if was != "False" => true,
            ("False", "True") => false,
            _ => return None,
        };
        let since = old.map_or_else(|| "first".to_owned(), |old| old.last_transition_time.0.as_second().to_string());
        Some(Turn {
            key: format!("{}.{since}", type_.to_lowercase()),
            reason: format!("{type_}{}", if lost { "Lost" } else { "Restored" }),
            message: new.message,
            lost,
        })
    };
    [ADMISSION, SAFETY_NET, CLOCK].into_iter().filter_map(turn).collect()
}

/// By how much the API server's clock is ahead of ours, at least; negative when it is behind. `server` is what it said, in
/// whole seconds, in answer to a call between `before` and `after` by ours.
pub fn ahead(server: Moment, before: Moment, after: Moment) -> TimeDelta {
    let (least, most) = (server - after, server + TimeDelta::seconds(1) - before);
    TimeDelta::zero().max(least).min(most)
}

/// What that proves.
pub fn clocks(ahead: TimeDelta) -> Proof {
    let tolerance = TimeDelta::seconds(CLOCK_TOLERANCE);
    let how = if ahead > tolerance {
        "behind"
    } else if ahead < -tolerance {
        "ahead of"
    } else {
        return Proof::Proven;
    };
    Proof::Disproven(format!(
        "the operator's clock is more than {CLOCK_TOLERANCE} s {how} the API server's; correct both clocks (NTP on their nodes)."
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conditions::show;
    use lockbox_api::Duration;

    fn at(milliseconds: i64) -> Moment {
        Moment::from_timestamp_millis(1_800_000_000_000 + milliseconds).unwrap()
    }

    #[test]
    fn clocks_differ_by_no_more_than_their_readings_must() {
        for (server, before, after, ahead_by) in [
            // The answer's second holds the time of the call.
            (10_000, 10_400, 10_500, 0),
            // It came at the very end of a second, or was asked for at its very beginning.
            (10_000, 9_990, 10_000, 0),
            (10_000, 11_000, 11_010, 0),
            // The call took long: it may have been answered at any time in between.
            (10_000, 3_000, 13_000, 0),
            (20_000, 10_000, 10_400, 9_600),
            (10_000, 20_000, 20_400, -9_000),
        ] {
            let found = ahead(at(server), at(before), at(after));
            assert_eq!(found.num_milliseconds(), ahead_by, "{server} between {before} and {after}");
        }
    }

    #[test]
    fn clocks_that_differ_by_more_than_a_few_seconds_are_not_in_sync() {
        let seconds = TimeDelta::seconds;
        for in_sync in [seconds(0), seconds(CLOCK_TOLERANCE), seconds(-CLOCK_TOLERANCE)] {
            assert_eq!(clocks(in_sync), Proof::Proven, "{in_sync}");
        }
        let just = TimeDelta::milliseconds(1);
        let said = |ahead: TimeDelta| clocks(ahead).missing().unwrap().to_owned();
        assert!(said(seconds(CLOCK_TOLERANCE) + just).contains("s behind the API server's"));
        assert!(said(seconds(-CLOCK_TOLERANCE) - just).contains("s ahead of the API server's"));
    }

    #[test]
    fn an_earlier_trial_of_the_safety_net_counts_until_the_present_one_comes_to_something() {
        let mut recorded = vec![];
        let none = Proofs::none_yet();
        assert_eq!(none.clone().with_recorded(&recorded), none, "nothing is recorded");
        show(&Proofs::ALL, &mut recorded, at(0), Some(1));
        let after = none.clone().with_recorded(&recorded);
        assert_eq!(after.safety_net, Proof::Proven);
        assert_eq!((after.authentic, after.clock), (none.authentic.clone(), none.clock.clone()), "they are tried anew");
        assert_eq!(after.enforced, none.enforced);
        let broken = Proofs { safety_net: Proof::Disproven("it hangs".into()), ..Proofs::ALL };
        assert_eq!(broken.clone().with_recorded(&recorded), broken);
        show(&broken, &mut recorded, at(1), Some(1));
        assert_eq!(none.clone().with_recorded(&recorded), none, "what failed does not count either");
    }

    #[test]
    fn a_gap_voids_what_is_older_and_what_is_asked_in_it_and_nothing_while_it_is_only_suspected() {
        let since = at(60_000);
        let proven = Proofs { authentic_since: since, ..Proofs::ALL };
        assert_eq!(proven.voided(since), None);
        let why = proven.voided(since - TimeDelta::seconds(1)).unwrap();
        assert_eq!(why.reason, Reason::AdmissionNotEnforced);
        assert!(why.message.starts_with("Create a new request: "), "{}", why.message);
        assert!(why.message.contains(&text(since)), "{}", why.message);
        let gap = Proofs { authentic: Proof::Disproven("policy p is not there.".into()), ..proven.clone() };
        for created in [since - TimeDelta::days(1), since + TimeDelta::days(1)] {
            let why = gap.voided(created).unwrap();
            assert!(why.message.contains("when AdmissionEnforced is True again"), "{}", why.message);
            assert!(why.message.ends_with("policy p is not there."), "{}", why.message);
        }
        let suspected = Proofs { authentic: Proof::Unknown("away".into()), ..proven.clone() };
        assert_eq!(suspected.voided(at(0)), None);
        let incomplete = Proofs { enforced: Proof::Disproven("policy q is not there.".into()), ..proven };
        assert_eq!(incomplete.voided(since), None, "what makes nothing authentic voids nothing");
        assert_eq!(incomplete.unchecked(since), None);
        assert_eq!(incomplete.doubts(since, since), None);
        assert_eq!(incomplete.before_grant(Scope::Tenant, None).unwrap().reason, Reason::WaitingForAdmission);
    }

    #[test]
    fn only_a_gap_in_what_makes_requests_authentic_is_recorded_as_one() {
        let disproven = |why: &str| Proof::Disproven(why.into());
        let gap = Proofs { authentic: disproven("a"), enforced: disproven("a"), ..Proofs::ALL };
        let incomplete = Proofs { enforced: disproven("b"), ..Proofs::ALL };
        let mut conditions = vec![];
        for (proofs, recorded) in [(&incomplete, false), (&gap, true), (&Proofs::none_yet(), false)] {
            show(proofs, &mut conditions, at(0), Some(1));
            assert_eq!(records_gap(&conditions), recorded);
        }
    }

    #[test]
    fn a_proof_that_is_lost_or_won_back_is_told_once_and_under_one_name() {
        let lost = Proofs { enforced: Proof::Disproven("policy p is not there.".into()), ..Proofs::ALL };
        let states = |proofs: [&Proofs; 2]| {
            let mut before = vec![];
            show(proofs[0], &mut before, at(0), Some(1));
            let mut after = before.clone();
            show(proofs[1], &mut after, at(5_000), Some(2));
            turns(&before, &after)
        };
        assert_eq!(states([&Proofs::ALL, &Proofs::ALL]), []);
        assert_eq!(states([&lost, &lost]), []);
        assert_eq!(states([&Proofs::none_yet(), &Proofs::ALL]), [], "a start");
        for before in [&Proofs::ALL, &Proofs::none_yet()] {
            let turns = states([before, &lost]);
            let [turn] = turns.as_slice() else { panic!("{turns:?}") };
            assert_eq!((turn.reason.as_str(), turn.lost), ("AdmissionEnforcedLost", true));
            assert_eq!(turn.key, format!("admissionenforced.{}", at(0).timestamp()));
            assert_eq!(turn.message, "policy p is not there.");
        }
        let turns = states([&lost, &Proofs::ALL]);
        let [turn] = turns.as_slice() else { panic!("{turns:?}") };
        assert_eq!((turn.reason.as_str(), turn.lost), ("AdmissionEnforcedRestored", false));
        let mut after = vec![];
        show(&lost, &mut after, at(0), None);
        assert_eq!(super::turns(&[], &after)[0].key, "admissionenforced.first");
    }

    #[test]
    fn access_waits_for_what_its_scope_and_the_settings_need() {
        let missing = |what: &str| Proof::Unknown(what.into());
        let reason = |proofs: &Proofs, scope, settings: Option<&LockboxSettingsSpec>| {
            proofs.before_grant(scope, settings).map(|why| (why.reason.to_string(), why.message))
        };
        let waits = |reason: &str, message: &str| Some((reason.to_owned(), message.to_owned()));
        let both = [Scope::Subscription, Scope::Tenant];
        for scope in both {
            assert_eq!(reason(&Proofs::ALL, scope, None), None);
            let proofs = Proofs { enforced: missing("a"), ..Proofs::ALL };
            assert_eq!(reason(&proofs, scope, None), waits("WaitingForAdmission", "a"));
            let proofs = Proofs { clock: Proof::Disproven("c".into()), ..Proofs::ALL };
            assert_eq!(reason(&proofs, scope, None), waits("WaitingForClock", "c"));
        }
        let proofs = Proofs { safety_net: missing("n"), ..Proofs::ALL };
        assert_eq!(reason(&proofs, Scope::Subscription, None), waits("WaitingForSafetyNet", "n"));
        assert_eq!(reason(&proofs, Scope::Tenant, None), None, "a Job in a namespace cannot own it");
        let mut settings: LockboxSettingsSpec = serde_json::from_str(r#"{"supportPlan": "Developer"}"#).unwrap();
        assert_eq!(settings.grant.default, Duration::DEFAULT_GRANT);
        assert_eq!(reason(&proofs, Scope::Subscription, Some(&settings)), waits("WaitingForSafetyNet", "n"));
        settings.grant.safety_net = SafetyNet::Preferred;
        assert_eq!(reason(&proofs, Scope::Subscription, Some(&settings)), None);
    }
}
