//! Telling whoever must look again that something changed.

use futures::{Stream, StreamExt, stream};
use tokio::sync::broadcast;

/// What changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// The settings: everybody looks again.
    Settings,
    /// An assignment in this namespace.
    Assignment(String),
    /// A binding of people.
    People,
    /// What is proven of the cluster.
    Proofs,
}

/// A bounded channel to any number of readers. A reader that fell behind is told that everything changed, so nothing
/// is lost by the bound.
#[derive(Clone, Debug)]
pub struct Changes(broadcast::Sender<Change>);

impl Default for Changes {
    fn default() -> Self {
        Self(broadcast::Sender::new(256))
    }
}

impl Changes {
    /// Tells all readers. Without any, nobody needs to know.
    pub fn tell(&self, change: Change) {
        let _ = self.0.send(change);
    }

    /// What changes from now on.
    pub fn read(&self) -> impl Stream<Item = Change> + Send + 'static {
        let next = |mut reader: broadcast::Receiver<Change>| async move {
            match reader.recv().await {
                Ok(change) => Some((change, reader)),
                Err(broadcast::error::RecvError::Lagged(_)) => Some((Change::Settings, reader)),
                Err(broadcast::error::RecvError::Closed) => None,
            }
        };
        stream::unfold(self.0.subscribe(), next).boxed()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_reader_that_fell_behind_is_told_that_everything_changed() {
        let changes = Changes::default();
        let mut reader = changes.read();
        for _ in 0..1_000 {
            changes.tell(Change::Assignment("contoso-prod".into()));
        }
        assert_eq!(reader.next().await, Some(Change::Settings));
    }
}
