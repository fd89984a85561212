//! What has to be proven before anything is believed, and before access is given.
//!
//! Who asks and who decides is compared with the caller by admission policies. Where they are not in force, anybody who
//! may write a request may write it in another's name; so what is met then does not count. Before access is made, the
//! policies, the clock and the safety net inside the cluster must be proven. How they are tried is the controller's.

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

/// Seconds by which clocks may differ, and by which a recorded end may be further away than was approved.
pub const CLOCK_TOLERANCE: i64 = 5;

/// Within this time it is noticed that a policy is missing: an approval that was recorded in it may be the first forgery.
const NOTICED_WITHIN: TimeDelta = TimeDelta::seconds(10);

/// What a trial came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Proof {
    /// Tried, and it holds.
    Proven,
    /// Not tried yet, or the trial came to nothing: a sentence says why.
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
    /// Lockbox's admission policies are in force.
    pub admission: Proof,
    /// Since when they are, without a gap that anybody knows of. What stands in older requests may be forged.
    pub admission_since: Moment,
    /// The cluster's own controllers end what a deadline Job owns.
    pub safety_net: Proof,
    /// The operator's clock and the API server's agree.
    pub clock: Proof,
}

impl Proofs {
    /// Everything is proven.
    pub const ALL: Self = Self {
        admission: Proof::Proven,
        admission_since: Moment::MIN_UTC,
        safety_net: Proof::Proven,
        clock: Proof::Proven,
    };

    /// Nothing was tried yet.
    pub fn none_yet() -> Self {
        let not_tried = |what: &str| Proof::Unknown(format!("{what} was not tried yet, which takes moments."));
        Self {
            admission: not_tried("whether the admission policies are in force"),
            admission_since: Moment::MAX_UTC,
            safety_net: not_tried("whether the cluster ends access while the operator is down"),
            clock: not_tried("whether the operator's clock is right"),
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
        match &self.admission {
            Proof::Disproven(why) => Some(why.clone()),
            Proof::Proven if created < self.admission_since => Some(format!(
                "the admission policies have been in force since {} only, and the request is older.",
                text(self.admission_since)
            )),
            Proof::Proven | Proof::Unknown(_) => None,
        }
    }

    /// Why an approval that was recorded at this time may be forged: that a policy is missing is noticed a moment later.
    pub(super) fn doubts(&self, approved: Moment, now: Moment) -> Option<String> {
        let noticed = match &self.admission {
            Proof::Disproven(_) => now,
            Proof::Proven => self.admission_since,
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
        [(Reason::WaitingForAdmission, &self.admission), (Reason::WaitingForClock, &self.clock)]
            .into_iter()
            .chain(net)
            .find_map(|(reason, proof)| proof.missing().map(|why| Why::new(reason, why)))
    }
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
        "the operator's clock is more than {CLOCK_TOLERANCE} s {how} the API server's; put both right (NTP on their nodes)."
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
        assert_eq!((after.admission, after.clock), (none.admission.clone(), none.clock.clone()), "they are tried anew");
        let broken = Proofs { safety_net: Proof::Disproven("it hangs".into()), ..Proofs::ALL };
        assert_eq!(broken.clone().with_recorded(&recorded), broken);
        show(&broken, &mut recorded, at(1), Some(1));
        assert_eq!(none.clone().with_recorded(&recorded), none, "what failed does not count either");
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
            let proofs = Proofs { admission: missing("a"), ..Proofs::ALL };
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
