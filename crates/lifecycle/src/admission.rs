//! What the trials of the admission policies come to, one after the other.
//!
//! A proof is easily lost and slowly won: what was disproven stays so until the contrary is proven, and policies that are
//! new, or were not in force a moment ago, prove nothing before every API server must know them. The same is followed
//! twice: for the few policies that make requests and decisions authentic, whose gaps void what is older, and for all,
//! whose gaps hold access back while they last.

use chrono::TimeDelta;

use super::{
    policies::Standing,
    proofs::{Proof, Proofs},
};
use lockbox_api::{Moment, time::whole_seconds};

/// How long a new or changed policy takes to be in force: an API server needs a second or two.
const BITES_WITHIN: TimeDelta = TimeDelta::seconds(5);
/// How long a proof outlives an API server that does not answer.
const OUTLIVES: TimeDelta = TimeDelta::minutes(5);
/// How long after an installation, or a start, what was never proven counts as not proven *yet*: policies are created
/// one after the other, some installers create them after the operator, and an API server takes a moment to know them.
const SETTLES_WITHIN: TimeDelta = TimeDelta::seconds(30);

/// How one trial came out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Trial {
    /// The policies were looked at, and, where they stand, something forged was tried.
    Looked {
        /// Which of them stand.
        standing: Standing,
        /// Whether what is forged is refused.
        refused: Proof,
    },
    /// They could not be looked at, for a reason in the cluster: a sentence says which.
    Untried(String),
    /// The API server did not answer, or not to the point: a sentence says what happened.
    Failed(String),
}

/// What the trials have come to so far.
#[derive(Clone, Debug)]
pub struct Admission {
    /// The policies that make requests and decisions authentic.
    authentic: Track,
    /// All of them.
    all: Track,
    /// According to the record, they were proven before this start.
    recorded: bool,
    /// When the first trial was over.
    started: Option<Moment>,
    /// What was looked at last.
    versions: Vec<(String, i64)>,
}

impl Admission {
    /// At a start, with what was recorded before: since when requests were authentic, and whether there was a gap then.
    pub fn resume(since: Option<Moment>, gap: bool) -> Self {
        let recorded = since.is_some();
        let authentic = Track { since: since.unwrap_or(Moment::MIN_UTC), gap, ..Track::default() };
        Self { authentic, all: Track::default(), recorded, started: None, versions: vec![] }
    }

    /// Whether requests and decisions are authentic.
    pub const fn authentic(&self) -> &Proof {
        &self.authentic.proof
    }

    /// Since when they are, without a gap that anybody saw.
    pub const fn authentic_since(&self) -> Moment {
        self.authentic.since
    }

    /// Whether all policies are in force. What is wrong with those that make requests authentic comes first.
    pub const fn enforced(&self) -> &Proof {
        match self.authentic.proof {
            Proof::Proven => &self.all.proof,
            Proof::Unknown(_) | Proof::Disproven(_) => &self.authentic.proof,
        }
    }

    /// A policy changed: what was proven was proven of others.
    pub fn changed(&mut self) {
        self.authentic.proven_at = None;
        self.all.proven_at = None;
    }

    /// Something forged was let in, whatever the trials say: anything older than now no longer counts.
    pub fn doubt(&mut self) {
        self.changed();
        self.authentic.gap = true;
    }

    /// Takes in a trial that was over at `now`, by the API server's clock. Whether a policy that makes requests authentic
    /// is another than at the last one: then it is tried again soon.
    pub fn take(&mut self, trial: Trial, now: Moment) -> bool {
        let now = whole_seconds(now);
        let started = *self.started.get_or_insert(now);
        match trial {
            Trial::Looked { standing, refused } => {
                let changed = self.versions != standing.versions;
                if changed {
                    self.changed();
                    self.versions = standing.versions;
                }
                let within = |since: Moment| (now - since).abs() < SETTLES_WITHIN;
                let installed = standing.youngest.is_some_and(within) || (!self.recorded && within(started));
                let authentic = match (standing.authentic, refused) {
                    (Ok(youngest), Proof::Proven) => Ok(youngest),
                    (Ok(_), missing) => Err(missing),
                    (Err(what), _) => Err(not_in_force(&what)),
                };
                self.authentic.take(authentic, installed, now);
                // A policy that a new chart brings may come a moment after the operator that knows it.
                self.all.take(standing.all.map_err(|what| not_in_force(&what)), within(started), now);
                changed
            }
            Trial::Untried(why) => {
                for track in [&mut self.authentic, &mut self.all] {
                    track.take(Err(Proof::Unknown(why.clone())), false, now);
                }
                false
            }
            Trial::Failed(why) => {
                let why = format!("whether the admission policies are in force could not be tried: {why}.");
                for track in [&mut self.authentic, &mut self.all] {
                    track.fail(&why, now);
                }
                false
            }
        }
    }
}

/// That the policies are not in force, with what was found.
pub fn not_in_force(what: &str) -> Proof {
    Proof::Disproven(format!(
        "the admission policies are not in force: {what}. A cluster administrator runs helm upgrade, which makes anew what is not there; what was changed is deleted first."
    ))
}

/// What the trials of some of the policies have come to.
#[derive(Clone, Debug)]
struct Track {
    proof: Proof,
    /// Since when they are in force, without a gap that anybody saw.
    since: Moment,
    /// There was a gap, and they were not found standing since.
    gap: bool,
    /// They were found in force since the start.
    once_proven: bool,
    /// When they were last tried and found in force; none when one has changed since.
    proven_at: Option<Moment>,
}

impl Default for Track {
    fn default() -> Self {
        let proof = Proofs::none_yet().authentic;
        Self { proof, since: Moment::MIN_UTC, gap: false, once_proven: false, proven_at: None }
    }
}

impl Track {
    const fn is_disproven(&self) -> bool {
        matches!(self.proof, Proof::Disproven(_))
    }

    /// They stand, and the youngest was made then; or what was found. `settling`: what was never proven may be yet.
    fn take(&mut self, found: Result<Moment, Proof>, settling: bool, now: Moment) {
        match found {
            Ok(youngest) => {
                if self.gap {
                    self.since = now + BITES_WITHIN;
                    self.gap = false;
                }
                // A clock that was ahead when a gap ended must not prolong it.
                self.since = self.since.min(now + BITES_WITHIN);
                self.since = self.since.max(youngest.checked_add_signed(BITES_WITHIN).unwrap_or(Moment::MAX_UTC));
                if now >= self.since {
                    self.proof = Proof::Proven;
                    self.once_proven = true;
                    self.proven_at = Some(now);
                } else if !self.is_disproven() {
                    let why = "the admission policies were made, or put back, a moment ago.";
                    self.proof = Proof::Unknown(why.into());
                }
            }
            Err(Proof::Disproven(why)) => {
                self.gap = true;
                // Nothing is believed meanwhile, and what is older than the end of this is void all the same.
                self.proof = if settling && !self.once_proven && !self.is_disproven() {
                    Proof::Unknown(format!("the installation may not be complete yet: {why}"))
                } else {
                    Proof::Disproven(why)
                };
            }
            // What is only waited for would count later. While anybody can forge, it must not.
            Err(found) if !self.is_disproven() => self.proof = found,
            Err(_) => {}
        }
    }

    /// The API server did not answer.
    fn fail(&mut self, why: &str, now: Moment) {
        if !self.is_disproven() && self.proven_at.is_none_or(|at| (now - at).abs() >= OUTLIVES) {
            self.proof = Proof::Unknown(why.into());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Moment {
        Moment::from_timestamp(1_800_000_000 + seconds, 0).unwrap()
    }

    fn looked(authentic: Result<Moment, &str>, all: Result<Moment, &str>, refused: Proof) -> Trial {
        let youngest = all.ok().or(authentic.ok());
        let [authentic, all] = [authentic, all].map(|found| found.map_err(str::to_owned));
        Trial::Looked { standing: Standing { authentic, all, youngest, versions: vec![] }, refused }
    }

    fn stands(made: i64) -> Trial {
        looked(Ok(at(made)), Ok(at(made)), Proof::Proven)
    }

    /// A policy is gone that makes requests authentic.
    fn gone() -> Trial {
        looked(Err("a policy is gone"), Err("a policy is gone"), Proof::Proven)
    }

    /// One of the others is.
    fn another_gone() -> Trial {
        looked(Ok(at(-100)), Err("another policy is gone"), Proof::Proven)
    }

    /// All stand, and what is forged is let in.
    fn let_in(made: i64) -> Trial {
        looked(Ok(at(made)), Ok(at(made)), Proof::Disproven("something forged was let in.".into()))
    }

    fn untried() -> Trial {
        looked(Ok(at(-100)), Ok(at(-100)), Proof::Unknown("somebody else's policy refuses it.".into()))
    }

    fn failed() -> Trial {
        Trial::Failed("no answer".into())
    }

    /// After these trials, each with its second. They were proven before.
    fn after(trials: &[(i64, Trial)]) -> Admission {
        let mut admission = Admission::resume(Some(at(-1000)), false);
        take(&mut admission, trials);
        admission
    }

    fn take(admission: &mut Admission, trials: &[(i64, Trial)]) {
        for (second, trial) in trials {
            admission.take(trial.clone(), at(*second));
        }
    }

    fn is_disproven(proof: &Proof) -> bool {
        matches!(proof, Proof::Disproven(_))
    }

    fn said(proof: &Proof) -> &str {
        match proof {
            Proof::Unknown(why) => why,
            other => panic!("{other:?}"),
        }
    }

    fn proven_since(admission: &Admission) -> Moment {
        assert_eq!((admission.authentic(), admission.enforced()), (&Proof::Proven, &Proof::Proven));
        admission.authentic_since()
    }

    #[test]
    fn policies_that_stand_prove_nothing_while_they_are_young() {
        assert_eq!(proven_since(&after(&[(0, stands(-100))])), at(-95));
        assert!(said(after(&[(4, stands(0))]).authentic()).contains("a moment ago"));
        assert_eq!(proven_since(&after(&[(4, stands(0)), (5, stands(0))])), at(5));
        let undated = looked(Ok(Moment::MAX_UTC), Ok(Moment::MAX_UTC), Proof::Proven);
        assert!(said(after(&[(0, undated)]).authentic()).contains("a moment ago"));
    }

    #[test]
    fn a_policy_that_was_made_again_is_young_although_nobody_saw_it_gone() {
        let again = [(0, stands(-100)), (50, stands(48))];
        assert!(said(after(&again).authentic()).contains("a moment ago"));
        assert_eq!(proven_since(&after(&[&again[..], &[(53, stands(48))]].concat())), at(53));
    }

    #[test]
    fn what_was_disproven_stays_so_until_it_has_been_in_force_for_a_while() {
        for weaker in [untried(), Trial::Untried("not readable".into()), failed(), stands(-100)] {
            assert!(is_disproven(after(&[(0, stands(-100)), (10, gone()), (14, weaker)]).authentic()));
        }
        let back = [(0, stands(-100)), (10, gone()), (12, gone()), (16, stands(-100))];
        assert!(is_disproven(after(&back).authentic()));
        let still = after(&[&back[..], &[(20, stands(-100))]].concat());
        assert!(is_disproven(still.authentic()), "five seconds after it was first found to stand again");
        assert_eq!(proven_since(&after(&[&back[..], &[(21, stands(-100))]].concat())), at(21));
    }

    #[test]
    fn a_policy_that_makes_nothing_authentic_holds_access_back_and_voids_nothing() {
        let missed = after(&[(0, stands(-100)), (10, another_gone())]);
        assert!(is_disproven(missed.enforced()));
        assert_eq!((missed.authentic(), missed.authentic_since()), (&Proof::Proven, at(-95)));
        let back = [(0, stands(-100)), (10, another_gone()), (20, stands(-100))];
        assert!(is_disproven(after(&back).enforced()), "it may not bite yet");
        assert_eq!(proven_since(&after(&[&back[..], &[(25, stands(-100))]].concat())), at(-95));
        // One that a new chart brings, or that was replaced.
        let brought = looked(Ok(at(-100)), Ok(at(30)), Proof::Proven);
        let young = after(&[(0, stands(-100)), (31, brought.clone())]);
        assert!(said(young.enforced()).contains("a moment ago"));
        assert_eq!((young.authentic(), young.authentic_since()), (&Proof::Proven, at(-95)));
        assert_eq!(proven_since(&after(&[(0, stands(-100)), (31, brought.clone()), (35, brought)])), at(-95));
    }

    #[test]
    fn what_makes_requests_authentic_comes_first_in_what_is_said_of_all() {
        let both = looked(Err("the one is gone"), Err("the other is gone"), Proof::Proven);
        let missed = after(&[(0, stands(-100)), (1, both)]);
        assert!(missed.enforced().missing().unwrap().contains("the one is gone"));
        assert_eq!(missed.enforced(), missed.authentic());
    }

    #[test]
    fn a_restart_forgets_no_gap() {
        let resumed = |since, gap, seconds: &[i64]| {
            let mut admission = Admission::resume(since, gap);
            for second in seconds {
                admission.take(stands(-100), at(*second));
            }
            admission
        };
        let on = resumed(Some(at(-7)), false, &[0]);
        assert_eq!(proven_since(&on), at(-7), "the gap that ended before");
        let gap = resumed(Some(at(-50)), true, &[0]);
        assert!(said(gap.authentic()).contains("a moment ago"), "the gap that had not ended");
        assert_eq!(proven_since(&resumed(Some(at(-50)), true, &[0, 5])), at(5));
    }

    #[test]
    fn something_forged_that_was_let_in_makes_a_gap_although_every_policy_stands() {
        let mut admission = after(&[(0, stands(-100))]);
        admission.doubt();
        admission.take(stands(-100), at(10));
        assert!(said(admission.authentic()).contains("a moment ago"));
        admission.take(stands(-100), at(15));
        assert_eq!(proven_since(&admission), at(15));
        assert!(is_disproven(after(&[(0, stands(-100)), (1, let_in(-100))]).authentic()));
    }

    #[test]
    fn a_gap_that_ended_by_a_clock_that_was_ahead_is_not_prolonged() {
        let mut admission = Admission::resume(Some(at(3600)), false);
        take(&mut admission, &[(0, stands(-100)), (5, stands(-100))]);
        assert_eq!(proven_since(&admission), at(5));
    }

    #[test]
    fn a_proof_outlives_an_api_server_that_does_not_answer_for_a_while_and_only_while_nothing_changed() {
        assert_eq!(proven_since(&after(&[(0, stands(-100)), (299, failed())])), at(-95));
        let late = after(&[(0, stands(-100)), (300, failed())]);
        assert!(said(late.authentic()).contains("could not be tried: no answer."));
        let mut admission = after(&[(0, stands(-100))]);
        admission.changed();
        admission.take(failed(), at(1));
        for proof in [admission.authentic(), admission.enforced()] {
            assert!(said(proof).contains("no answer"));
        }
        assert!(said(after(&[(0, failed())]).authentic()).contains("no answer"), "there was no proof");
    }

    #[test]
    fn a_policy_of_another_version_is_tried_again() {
        let version = |generation: i64| {
            let Trial::Looked { standing, refused } = stands(-100) else { panic!() };
            Trial::Looked { standing: Standing { versions: vec![("uid".into(), generation)], ..standing }, refused }
        };
        let mut admission = after(&[(0, version(1))]);
        assert!(!admission.take(version(1), at(1)));
        assert!(admission.take(version(2), at(2)));
        assert_eq!(proven_since(&admission), at(-95), "a change is no gap");
    }

    #[test]
    fn what_cannot_be_tried_is_not_proven() {
        assert!(said(after(&[(0, stands(-100)), (1, untried())]).authentic()).contains("somebody else's"));
        let unreadable = after(&[(0, stands(-100)), (1, Trial::Untried("not readable".into()))]);
        for proof in [unreadable.authentic(), unreadable.enforced()] {
            assert!(said(proof).contains("not readable"));
        }
        assert_eq!(after(&[]).authentic(), &Proofs::none_yet().authentic);
    }

    #[test]
    fn a_fresh_installation_is_not_proven_yet_and_nothing_older_counts_when_it_is() {
        let fresh = |trials: &[(i64, Trial)]| {
            let mut admission = Admission::resume(None, false);
            take(&mut admission, trials);
            admission
        };
        // The operator was there first; and its policies are there, and do not bite yet.
        let nothing = || Trial::Looked {
            standing: Standing { youngest: None, ..standing_of(gone()) },
            refused: Proof::Unknown(String::new()),
        };
        let steps = [(0, nothing()), (20, let_in(19)), (29, nothing())];
        for count in 1..=steps.len() {
            let admission = fresh(&steps[..count]);
            for proof in [admission.authentic(), admission.enforced()] {
                assert!(said(proof).contains("may not be complete yet"), "{proof:?}");
            }
        }
        let complete = fresh(&[(0, nothing()), (3, let_in(2)), (4, stands(2)), (9, stands(2))]);
        assert_eq!(proven_since(&complete), at(9));
        // What stays so is found out.
        assert!(is_disproven(fresh(&[(0, nothing()), (30, nothing())]).authentic()));
        assert!(is_disproven(fresh(&[(0, let_in(0)), (30, let_in(0))]).authentic()));
    }

    fn standing_of(trial: Trial) -> Standing {
        match trial {
            Trial::Looked { standing, .. } => standing,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_gap_in_what_was_proven_is_found_at_once() {
        assert!(is_disproven(after(&[(0, gone())]).authentic()), "before a restart");
        let mut installed = Admission::resume(None, false);
        take(&mut installed, &[(0, stands(-2)), (3, stands(-2)), (4, gone())]);
        assert!(is_disproven(installed.authentic()), "a moment after the installation");
        assert!(is_disproven(installed.enforced()));
        // Made anew over an old record: what does not bite yet is no gap that anybody has to hear of.
        assert!(said(after(&[(0, let_in(-1))]).authentic()).contains("may not be complete yet"));
    }
}
