//! An answer, while it comes: who waits for it knows when something came, and when for too long nothing did.

use std::{
    future::Future as _,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use hyper::body::{Body, Bytes, Frame, SizeHint};
use tokio::time::{Instant, Sleep};
use tower::BoxError;

use super::{Call, Watched};

/// Nothing came for too long.
#[derive(Debug, thiserror::Error)]
#[error("no word from the API server for {} s: the connection is taken for dead", .0.as_secs())]
pub struct Silent(pub Duration);

/// The body of an answer.
pub struct Answer<B> {
    body: B,
    call: Call,
    watched: Watched,
    limit: Option<Limit>,
}

/// For how long nothing may come, and who is told when nothing did.
pub struct Limit {
    silence: Duration,
    timer: Pin<Box<Sleep>>,
    lost: Arc<dyn Fn() + Send + Sync>,
}

impl Limit {
    /// From now on.
    pub fn new(silence: Duration, lost: Arc<dyn Fn() + Send + Sync>) -> Self {
        Self { silence, timer: Box::pin(tokio::time::sleep(silence)), lost }
    }
}

impl<B> Answer<B> {
    /// The body of the answer to this call.
    pub fn new(body: B, call: Call, watched: Watched, limit: Option<Limit>) -> Self {
        Self { body, call, watched, limit }
    }
}

impl<B> Answer<B> {
    /// Nothing has come: says so when that has lasted for too long.
    fn silent(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let Some(mut limit) = self.limit.take() else { return Poll::Pending };
        if limit.timer.as_mut().poll(cx).is_pending() {
            self.limit = Some(limit);
            return Poll::Pending;
        }
        (limit.lost)();
        Poll::Ready(Some(Err(Silent(limit.silence).into())))
    }
}

impl<B> Body for Answer<B>
where
    B: Body<Data = Bytes> + Unpin,
    B::Error: Into<BoxError>,
{
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let this = self.get_mut();
        match Pin::new(&mut this.body).poll_frame(cx) {
            Poll::Ready(Some(Ok(frame))) => {
                this.watched.heard(&this.call);
                if let Some(limit) = &mut this.limit {
                    limit.timer.as_mut().reset(Instant::now() + limit.silence);
                }
                Poll::Ready(Some(Ok(frame)))
            }
            Poll::Ready(Some(Err(error))) => Poll::Ready(Some(Err(error.into()))),
            Poll::Ready(None) => Poll::Ready(None),
            // Only when there is nothing to read: a reader that was busy is no sign of silence.
            Poll::Pending => this.silent(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// However it ended: whoever watched starts anew, or does not.
impl<B> Drop for Answer<B> {
    fn drop(&mut self) {
        self.watched.moved(&self.call);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use futures::{StreamExt as _, stream};
    use http::Method;
    use http_body_util::{BodyExt as _, StreamBody};

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    /// A body with something after each of these waits, and then nothing any more.
    fn body(waits: &[u32]) -> impl Body<Data = Bytes, Error = BoxError> + Unpin + use<> {
        let some = stream::iter(waits.to_vec()).then(|wait| async move {
            tokio::time::sleep(wait * SECOND).await;
            Ok(Frame::data(Bytes::from_static(b"{}")))
        });
        StreamBody::new(Box::pin(some.chain(stream::pending())))
    }

    #[tokio::test(start_paused = true)]
    async fn a_watch_that_hears_nothing_ends_by_its_own_time_and_each_word_gives_it_more() {
        let call = Call::of(&Method::GET, &"/api/v1/pods?watch=true".parse().unwrap());
        let (watched, lost) = (Watched::default(), Arc::new(AtomicUsize::new(0)));
        let tell: Arc<dyn Fn() + Send + Sync> = {
            let lost = lost.clone();
            Arc::new(move || {
                lost.fetch_add(1, Ordering::Relaxed);
            })
        };
        let limit = Limit::new(24 * SECOND, tell);
        let mut answer = Answer::new(body(&[20, 20]), call, watched.clone(), Some(limit));
        let begun = Instant::now();
        for _ in 0..2 {
            answer.frame().await.unwrap().unwrap();
        }
        assert_eq!(lost.load(Ordering::Relaxed), 0);
        let error = answer.frame().await.unwrap().unwrap_err();
        assert!(error.to_string().contains("no word from the API server for 24 s"), "{error}");
        assert_eq!((begun.elapsed().as_secs(), lost.load(Ordering::Relaxed)), (64, 1));
        assert_eq!((watched.silent()[0].1.as_secs(), watched.closed().len()), (24, 0));
        drop(answer);
        tokio::time::advance(SECOND).await;
        assert_eq!(watched.silent()[0].1.as_secs(), 25);
        assert_eq!((watched.closed()[0].1.as_secs(), watched.still()[0].1.as_secs()), (1, 1));
    }
}
