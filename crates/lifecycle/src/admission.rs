//! What the trials of the admission policies come to, one after the other.
//!
//! A proof is easily lost and slowly won: what was disproven stays so until the contrary is proven, and policies that are
//! new, or were not in force a moment ago, prove nothing before every API server must know them.

use chrono::TimeDelta;

use super::proofs::{Proof, Proofs};
use lockbox_api::{Moment, time::whole_seconds};

/// Within this time a policy bites that was made or changed: an API server takes a second or two.
const BITES_WITHIN: TimeDelta = TimeDelta::seconds(5);
/// How long a proof outlives an API server that does not answer.
const OUTLIVES: TimeDelta = TimeDelta::minutes(5);

/// How one trial came out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Trial {
    /// The policies stand, and what is forged is refused. The youngest of them was made then.
    Standing(Moment),
    /// They do not; or that could not be tried, for a reason that lies in the cluster.
    Missing(Proof),
    /// The API server did not answer, or not to the point: a sentence says what happened.
    Failed(String),
}

/// What the trials have come to so far.
#[derive(Clone, Debug)]
pub struct Admission {
    /// Whether the policies are in force.
    pub proof: Proof,
    /// Since when they are, without a gap that anybody saw.
    pub since: Moment,
    /// There was a gap, and the policies were not found standing since.
    gap: bool,
    /// When they were last tried and found in force; none when one has changed since.
    proven_at: Option<Moment>,
}

impl Admission {
    /// At a start, with what was recorded before: since when they were in force, and whether they were missing.
    pub fn resume(since: Option<Moment>, missing: bool) -> Self {
        let Proofs { admission, .. } = Proofs::none_yet();
        Self { proof: admission, since: since.unwrap_or(Moment::MIN_UTC), gap: missing, proven_at: None }
    }

    /// A policy changed: what was proven was proven of others.
    pub fn changed(&mut self) {
        self.proven_at = None;
    }

    /// Something forged was let in, whatever the trials say: from now on, what is older does not count.
    pub fn doubt(&mut self) {
        self.gap = true;
        self.proven_at = None;
    }

    /// Takes in a trial that was over at `now`, by the API server's clock.
    pub fn take(&mut self, trial: Trial, now: Moment) {
        let now = whole_seconds(now);
        let disproven = matches!(self.proof, Proof::Disproven(_));
        match trial {
            Trial::Standing(youngest) => {
                if self.gap {
                    self.since = now + BITES_WITHIN;
                    self.gap = false;
                }
                // A clock that was ahead when a gap ended must not prolong it.
                self.since = self.since.min(now + BITES_WITHIN);
                self.since = self.since.max(youngest.checked_add_signed(BITES_WITHIN).unwrap_or(Moment::MAX_UTC));
                if now >= self.since {
                    self.proof = Proof::Proven;
                    self.proven_at = Some(now);
                } else if !disproven {
                    let why = "the admission policies were made, or put back, a moment ago.";
                    self.proof = Proof::Unknown(why.into());
                }
            }
            Trial::Missing(found @ Proof::Disproven(_)) => {
                self.gap = true;
                self.proof = found;
            }
            // What is only waited for would count later. While anybody can forge, it must not.
            Trial::Missing(found) if !disproven => self.proof = found,
            Trial::Failed(why) if !disproven && self.proven_at.is_none_or(|at| (now - at).abs() >= OUTLIVES) => {
                let why = format!("whether the admission policies are in force could not be tried: {why}.");
                self.proof = Proof::Unknown(why);
            }
            Trial::Missing(_) | Trial::Failed(_) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Moment {
        Moment::from_timestamp(1_800_000_000 + seconds, 0).unwrap()
    }

    fn gone() -> Trial {
        Trial::Missing(Proof::Disproven("a policy is gone.".into()))
    }

    fn untried() -> Trial {
        Trial::Missing(Proof::Unknown("somebody else's policy refuses it.".into()))
    }

    fn failed() -> Trial {
        Trial::Failed("no answer".into())
    }

    /// After these trials, each with its second.
    fn after(trials: &[(i64, Trial)]) -> Admission {
        let mut admission = Admission::resume(None, false);
        for (second, trial) in trials {
            admission.take(trial.clone(), at(*second));
        }
        admission
    }

    fn is_disproven(admission: &Admission) -> bool {
        matches!(admission.proof, Proof::Disproven(_))
    }

    fn said(admission: &Admission) -> &str {
        match &admission.proof {
            Proof::Unknown(why) => why,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn policies_that_stand_prove_nothing_while_they_are_young() {
        let proven = after(&[(0, Trial::Standing(at(-100)))]);
        assert_eq!((proven.proof, proven.since), (Proof::Proven, at(-95)));
        let young = after(&[(4, Trial::Standing(at(0)))]);
        assert!(said(&young).contains("a moment ago"));
        let grown = after(&[(4, Trial::Standing(at(0))), (5, Trial::Standing(at(0)))]);
        assert_eq!((grown.proof, grown.since), (Proof::Proven, at(5)));
        let undated = after(&[(0, Trial::Standing(Moment::MAX_UTC))]);
        assert!(said(&undated).contains("a moment ago"));
    }

    #[test]
    fn a_policy_that_was_made_again_is_young_although_nobody_saw_it_gone() {
        let again = after(&[(0, Trial::Standing(at(-100))), (50, Trial::Standing(at(48)))]);
        assert!(said(&again).contains("a moment ago"));
        let grown =
            after(&[(0, Trial::Standing(at(-100))), (50, Trial::Standing(at(48))), (53, Trial::Standing(at(48)))]);
        assert_eq!((grown.proof, grown.since), (Proof::Proven, at(53)));
    }

    #[test]
    fn what_was_disproven_stays_so_until_it_has_been_in_force_for_a_while() {
        let stands = || Trial::Standing(at(-100));
        for weaker in [untried(), failed(), stands()] {
            assert!(is_disproven(&after(&[(0, stands()), (10, gone()), (14, weaker)])));
        }
        let back = [(0, stands()), (10, gone()), (12, gone()), (16, stands())];
        assert!(is_disproven(&after(&back)));
        let still = after(&[&back[..], &[(20, stands())]].concat());
        assert!(is_disproven(&still), "five seconds after it was first found to stand again");
        let proven = after(&[&back[..], &[(21, stands())]].concat());
        assert_eq!((proven.proof, proven.since), (Proof::Proven, at(21)));
    }

    #[test]
    fn a_restart_forgets_no_gap() {
        let resumed = |since, missing, seconds: &[i64]| {
            let mut admission = Admission::resume(since, missing);
            for second in seconds {
                admission.take(Trial::Standing(at(-100)), at(*second));
            }
            admission
        };
        let on = resumed(Some(at(-7)), false, &[0]);
        assert_eq!((on.proof, on.since), (Proof::Proven, at(-7)), "the gap that ended before");
        let gap = resumed(Some(at(-50)), true, &[0]);
        assert!(said(&gap).contains("a moment ago"), "the gap that had not ended");
        let over = resumed(Some(at(-50)), true, &[0, 5]);
        assert_eq!((over.proof, over.since), (Proof::Proven, at(5)));
    }

    #[test]
    fn something_forged_that_was_let_in_makes_a_gap_although_every_policy_stands() {
        let stands = || Trial::Standing(at(-100));
        let mut admission = after(&[(0, stands())]);
        admission.doubt();
        admission.take(stands(), at(10));
        assert!(said(&admission).contains("a moment ago"));
        admission.take(stands(), at(15));
        assert_eq!((admission.proof, admission.since), (Proof::Proven, at(15)));
    }

    #[test]
    fn a_gap_that_ended_by_a_clock_that_was_ahead_is_not_prolonged() {
        let mut admission = Admission::resume(Some(at(3600)), false);
        admission.take(Trial::Standing(at(-100)), at(0));
        admission.take(Trial::Standing(at(-100)), at(5));
        assert_eq!((admission.proof, admission.since), (Proof::Proven, at(5)));
    }

    #[test]
    fn a_proof_outlives_an_api_server_that_does_not_answer_for_a_while_and_only_while_nothing_changed() {
        let stands = Trial::Standing(at(-100));
        assert_eq!(after(&[(0, stands.clone()), (299, failed())]).proof, Proof::Proven);
        assert!(said(&after(&[(0, stands.clone()), (300, failed())])).contains("could not be tried: no answer."));
        let mut admission = after(&[(0, stands)]);
        admission.changed();
        admission.take(failed(), at(1));
        assert!(said(&admission).contains("no answer"));
        assert!(said(&after(&[(0, failed())])).contains("no answer"), "there was no proof");
    }

    #[test]
    fn what_cannot_be_tried_is_not_proven() {
        assert!(said(&after(&[(0, Trial::Standing(at(-100))), (1, untried())])).contains("somebody else's"));
        assert_eq!(after(&[]).proof, Proofs::none_yet().admission);
    }
}
