//! A connection whose reader has to take what is sent, and at a fair pace.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
    time::{Instant, Sleep, sleep},
};

/// Bytes that a reader has to take within the limit.
const FAIR_PACE: usize = 64 << 10;

/// A stream that ends when a reader that keeps it waiting takes less than [`FAIR_PACE`]
/// bytes within a time.
#[derive(Debug)]
pub(super) struct TimedWrites {
    stream: TcpStream,
    limit: Duration,
    /// The end of the present wait.
    wait: Pin<Box<Sleep>>,
    is_waiting: bool,
    /// Bytes that were taken during it.
    taken: usize,
}

impl TimedWrites {
    pub(super) fn new(stream: TcpStream, limit: Duration) -> Self {
        Self {
            stream,
            limit,
            wait: Box::pin(sleep(limit)),
            is_waiting: false,
            taken: 0,
        }
    }

    /// Passes the result of a write on, or fails one that waits for too long.
    fn timed(
        &mut self,
        context: &mut Context<'_>,
        written: Poll<io::Result<usize>>,
    ) -> Poll<io::Result<usize>> {
        if let Poll::Ready(written) = written {
            self.taken += written.as_ref().copied().unwrap_or_default();
            self.is_waiting &= self.taken < FAIR_PACE;
            return Poll::Ready(written);
        }
        if !self.is_waiting {
            (self.is_waiting, self.taken) = (true, 0);
            self.wait.as_mut().reset(Instant::now() + self.limit);
        }
        ready!(self.wait.as_mut().poll(context));
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }
}

impl AsyncRead for TimedWrites {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl AsyncWrite for TimedWrites {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.timed(context, written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(context, slices);
        self.timed(context, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        // Everything was taken: the next answer has its own time.
        self.is_waiting = false;
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        net::TcpListener,
    };

    async fn pair(limit: Duration) -> (TcpStream, TimedWrites) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let reader = TcpStream::connect(address).await.unwrap();
        let (stream, _) = listener.accept().await.unwrap();
        (reader, TimedWrites::new(stream, limit))
    }

    #[tokio::test]
    async fn field_s16_a_reader_that_takes_nothing_is_given_up() {
        let (reader, mut writer) = pair(Duration::from_millis(200)).await;
        let error = writer.write_all(&vec![0; 64 << 20]).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        drop(reader);
    }

    #[tokio::test]
    async fn field_s16_a_reader_that_takes_a_little_at_a_time_is_given_up_too() {
        let (mut reader, mut writer) = pair(Duration::from_millis(500)).await;
        let reading = tokio::spawn(async move {
            let mut piece = [0; 512];
            while let Ok(1..) = reader.read(&mut piece).await {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        });
        let error = writer.write_all(&vec![0; 64 << 20]).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        reading.abort();
    }

    #[tokio::test]
    async fn a_reader_at_a_fair_pace_gets_everything() {
        let (mut reader, mut writer) = pair(Duration::from_millis(500)).await;
        let reading = tokio::spawn(async move {
            let (mut piece, mut bytes) = (vec![0; 256 << 10], 0);
            while let Ok(count @ 1..) = reader.read(&mut piece).await {
                bytes += count;
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
            bytes
        });
        writer.write_all(&vec![0; 32 << 20]).await.unwrap();
        drop(writer);
        assert_eq!(reading.await.unwrap(), 32 << 20);
    }
}
