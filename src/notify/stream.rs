//! The bytes between us and a mail server.

use std::{
    fmt,
    io::Result,
    net::SocketAddr,
    pin::Pin,
    task::{Context, Poll, ready},
};

use lettre::transport::smtp::client::AsyncTokioStream;
use tokio::io::{AsyncBufRead as _, AsyncRead, AsyncWrite, BufReader, ReadBuf};

/// A stream that never hands out more than one line at once.
///
/// So whoever reads lines from it has nothing left over when a connection is encrypted. Otherwise somebody in between
/// could append answers in plaintext to the one to STARTTLS, and they would count as the server's own; as it is, they
/// break the handshake.
pub(super) struct Lines<S> {
    inner: BufReader<S>,
    peer: SocketAddr,
}

impl<S: AsyncRead> Lines<S> {
    pub(super) fn new(inner: S, peer: SocketAddr) -> Self {
        Lines { inner: BufReader::new(inner), peer }
    }
}

impl<S> fmt::Debug for Lines<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Lines({})", self.peer)
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Lines<S> {
    fn poll_read(mut self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<Result<()>> {
        let there = ready!(Pin::new(&mut self.inner).poll_fill_buf(context))?;
        let line = there.iter().position(|&byte| byte == b'\n').map_or(there.len(), |end| end + 1);
        let length = line.min(buffer.remaining());
        buffer.put_slice(&there[..length]);
        Pin::new(&mut self.inner).consume(length);
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Lines<S> {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<Result<usize>> {
        Pin::new(self.inner.get_mut()).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<()>> {
        Pin::new(self.inner.get_mut()).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<()>> {
        Pin::new(self.inner.get_mut()).poll_shutdown(context)
    }
}

impl<S: AsyncRead + AsyncWrite + Send + Sync + Unpin> AsyncTokioStream for Lines<S> {
    fn peer_addr(&self) -> Result<SocketAddr> {
        Ok(self.peer)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncReadExt as _;

    use super::*;

    #[tokio::test]
    async fn a_read_ends_with_the_line_whatever_follows() {
        let bytes: &[u8] = b"220 ready\r\n250 forged\r\n";
        let mut lines = Lines::new(bytes, ([127, 0, 0, 1], 25).into());
        let mut buffer = [0; 64];
        let first = lines.read(&mut buffer).await.unwrap();
        assert_eq!(&buffer[..first], b"220 ready\r\n");
        let second = lines.read(&mut buffer).await.unwrap();
        assert_eq!(&buffer[..second], b"250 forged\r\n");
        assert_eq!(lines.read(&mut buffer).await.unwrap(), 0);
    }
}
