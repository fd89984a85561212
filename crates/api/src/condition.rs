//! Conditions as `metav1` has them.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;

use super::time::{Moment, to_kubernetes};

/// Whether a condition holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Truth {
    /// It does.
    True,
    /// It does not.
    False,
    /// Not known yet.
    Unknown,
}

impl Truth {
    /// As it is stored.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::True => "True",
            Self::False => "False",
            Self::Unknown => "Unknown",
        }
    }
}

impl From<bool> for Truth {
    fn from(holds: bool) -> Self {
        if holds { Self::True } else { Self::False }
    }
}

/// Sets the condition `type_`. The moment of its last transition stays when its status stays: a status that says the
/// same twice is the same, and is not written again.
pub fn set(
    conditions: &mut Vec<Condition>,
    type_: &str,
    truth: Truth,
    reason: &str,
    message: &str,
    at: Moment,
    generation: Option<i64>,
) {
    let before = conditions.iter().position(|condition| condition.type_ == type_);
    let last_transition_time = match before.and_then(|at| conditions.get(at)) {
        Some(old) if old.status == truth.as_str() => old.last_transition_time.clone(),
        _ => to_kubernetes(at),
    };
    let condition = Condition {
        type_: type_.into(),
        status: truth.as_str().into(),
        reason: reason.into(),
        message: message.into(),
        observed_generation: generation,
        last_transition_time,
    };
    match before.and_then(|at| conditions.get_mut(at)) {
        Some(old) => *old = condition,
        None => conditions.push(condition),
    }
}

/// Takes the condition `type_` away.
pub fn clear(conditions: &mut Vec<Condition>, type_: &str) {
    conditions.retain(|condition| condition.type_ != type_);
}

/// Whether the condition `type_` is there and holds.
pub fn holds(conditions: &[Condition], type_: &str) -> bool {
    is(conditions, type_, Truth::True)
}

/// Whether the condition `type_` is there and does not hold.
pub fn fails(conditions: &[Condition], type_: &str) -> bool {
    is(conditions, type_, Truth::False)
}

fn is(conditions: &[Condition], type_: &str, truth: Truth) -> bool {
    conditions.iter().any(|condition| condition.type_ == type_ && condition.status == truth.as_str())
}
