//! What the trials of the admission policies come to, one after the other.
//!
//! A proof is easily lost and slowly won: what was disproven stays so until the contrary is proven, and policies that are
//! new, or were not in force a moment ago, prove nothing before every API server must know them.

use chrono::TimeDelta;

use super::proofs::{Proof, Proofs};
use crate::api::{Moment, time::whole_seconds};

/// Within this time a policy bites that was made or changed: an API server takes a second or two.
pub const BITES_WITHIN: TimeDelta = TimeDelta::seconds(5);
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
    /// Since when they are, without a gap that was seen.
    pub since: Moment,
    /// When they were last tried and found in force; none when one has changed since.
    proven_at: Option<Moment>,
}

impl Default for Admission {
    fn default() -> Self {
        let Proofs { admission, .. } = Proofs::none_yet();
        Self { proof: admission, since: Moment::MIN_UTC, proven_at: None }
    }
}

impl Admission {
    /// A policy changed: what was proven was proven of others.
    pub fn changed(&mut self) {
        self.proven_at = None;
    }

    /// Takes in a trial that was over at `now`.
    pub fn take(&mut self, trial: Trial, now: Moment) {
        let now = whole_seconds(now);
        let disproven = matches!(self.proof, Proof::Disproven(_));
        match trial {
            Trial::Standing(youngest) => {
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
                self.since = now + BITES_WITHIN;
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
        let mut admission = Admission::default();
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
        let back = after(&[(0, stands()), (10, gone()), (12, gone()), (16, stands()), (17, stands())]);
        assert_eq!((back.proof, back.since), (Proof::Proven, at(17)), "five seconds after it was last gone");
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
