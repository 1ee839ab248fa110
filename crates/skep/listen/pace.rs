//! Clients that are too slow. A connection waits for its client for some time, and for longer the more bytes were moved:
//! one that moves nothing is cut off soon, one that trickles a little later, and one with a thin line never.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::Bytes;
use hyper::body::{Body, Frame, Incoming, SizeHint};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep};

use super::line::FirstLine;

/// How slow a client may be.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pace {
    /// Time that it may keep the server waiting without moving a byte.
    pub(super) grace: Duration,
    /// So many bytes earn it another second.
    pub(super) bytes_per_second: u32,
}

/// Measures one direction of a connection. Only time counts in which the server wants to go on and cannot.
#[derive(Debug)]
struct Allowance {
    pace: Pace,
    moved: u64,
    waited: Duration,
    waiting: Option<Waiting>,
}

#[derive(Debug)]
struct Waiting {
    since: Instant,
    end: Pin<Box<Sleep>>,
}

/// A stream whose reader may not let answers lie, and whose first line is read leniently.
#[derive(Debug)]
pub(super) struct Paced<Stream> {
    stream: Stream,
    line: FirstLine,
    writing: Allowance,
}

/// The body of a request whose sender may not dawdle.
#[derive(Debug)]
pub(super) struct PacedBody {
    body: Incoming,
    reading: Allowance,
}

impl Allowance {
    fn new(pace: Pace) -> Self {
        Self { pace, moved: 0, waited: Duration::ZERO, waiting: None }
    }

    fn left(&self) -> Duration {
        let earned = self.moved / u64::from(self.pace.bytes_per_second.max(1));
        (self.pace.grace + Duration::from_secs(earned)).saturating_sub(self.waited)
    }

    /// What became of an operation, or `TimedOut` where the client made it wait for too long. `moved` counts its bytes.
    fn watch<T>(
        &mut self,
        cx: &mut Context<'_>,
        polled: Poll<io::Result<T>>,
        moved: impl FnOnce(&T) -> usize,
    ) -> Poll<io::Result<T>> {
        if let Poll::Ready(result) = polled {
            self.waited += self.waiting.take().map(|waiting| waiting.since.elapsed()).unwrap_or_default();
            self.moved += result.as_ref().map_or(0, moved) as u64;
            return Poll::Ready(result);
        }
        let left = self.left();
        let begin = || Waiting { since: Instant::now(), end: Box::pin(tokio::time::sleep(left)) };
        let end = self.waiting.get_or_insert_with(begin).end.as_mut();
        end.poll(cx).map(|()| Err(io::Error::new(io::ErrorKind::TimedOut, "the client is too slow")))
    }
}

impl<Stream> Paced<Stream> {
    pub(super) fn new(stream: Stream, pace: Pace) -> Self {
        Self { stream, line: FirstLine::default(), writing: Allowance::new(pace) }
    }
}

impl<Stream: AsyncRead + Unpin> AsyncRead for Paced<Stream> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let Self { stream, line, .. } = &mut *self;
        line.poll_read(Pin::new(stream), cx, into)
    }
}

impl<Stream: AsyncWrite + Unpin> AsyncWrite for Paced<Stream> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.stream).poll_write(cx, bytes);
        self.writing.watch(cx, polled, |written| *written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.stream).poll_write_vectored(cx, parts);
        self.writing.watch(cx, polled, |written| *written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let polled = Pin::new(&mut self.stream).poll_flush(cx);
        self.writing.watch(cx, polled, |()| 0)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let polled = Pin::new(&mut self.stream).poll_shutdown(cx);
        self.writing.watch(cx, polled, |()| 0)
    }
}

impl PacedBody {
    pub(super) fn new(body: Incoming, pace: Pace) -> Self {
        Self { body, reading: Allowance::new(pace) }
    }
}

impl Body for PacedBody {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        let polled = Pin::new(&mut self.body).poll_frame(cx);
        let polled = polled.map(|frame| frame.transpose().map_err(io::Error::other));
        let length = |frame: &Option<Frame<Bytes>>| frame.as_ref().and_then(Frame::data_ref).map_or(0, Bytes::len);
        self.reading.watch(cx, polled, length).map(Result::transpose)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
