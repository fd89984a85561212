//! Whether a grant could be made in a namespace, as far as that can be tried before anybody approves it.

/// What a trial came to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum PlacementView {
    /// Not tried.
    #[default]
    Untried,
    /// Nothing stands in the way.
    Fits,
    /// It would be refused: the API server's words.
    Refused(String),
    /// It would be refused now, and may not be later: the API server's words.
    Blocked(String),
}
