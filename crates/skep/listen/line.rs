//! Addresses as people type them: `curl -g 'http://host/api/v1/query?query=up{job="a"}>0'` sends quotes and angle brackets as
//! they are. Prometheus takes them; hyper would refuse the request without a word. They are escaped in the first line of a
//! connection: programs, which use one for several requests, escape them themselves.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, ReadBuf};

/// Bytes that an escaped one takes.
const ESCAPED_BYTES: usize = 3;

/// Read at a time while the line lasts. Most requests are no longer, with all their headers.
const READ_BYTES: usize = 2048;

/// Where a connection is: in its first line, or behind it.
#[derive(Debug, Default)]
pub(super) struct FirstLine {
    is_over: bool,
}

impl FirstLine {
    /// Reads from the stream, with what is in the first line escaped.
    pub(super) fn poll_read(
        &mut self,
        stream: Pin<&mut impl AsyncRead>,
        cx: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let room = into.remaining() / ESCAPED_BYTES;
        if self.is_over || room == 0 {
            return stream.poll_read(cx, into);
        }
        let mut bytes = [0; READ_BYTES];
        let mut read = ReadBuf::new(&mut bytes[..room.min(READ_BYTES)]);
        ready!(stream.poll_read(cx, &mut read))?;
        let read = read.filled();
        let end = read.iter().position(|byte| *byte == b'\n');
        let (line, rest) = read.split_at(end.unwrap_or(read.len()));
        line.iter().for_each(|byte| match byte {
            b'"' => into.put_slice(b"%22"),
            b'<' => into.put_slice(b"%3C"),
            b'>' => into.put_slice(b"%3E"),
            byte => into.put_slice(&[*byte]),
        });
        into.put_slice(rest);
        self.is_over = end.is_some();
        Poll::Ready(Ok(()))
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncReadExt;

    use super::*;

    /// A stream whose first line is read leniently, and nothing else.
    struct Read<Stream>(Stream, FirstLine);

    impl<Stream: AsyncRead + Unpin> AsyncRead for Read<Stream> {
        fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
            let Self(stream, line) = &mut *self;
            line.poll_read(Pin::new(stream), cx, into)
        }
    }

    /// What is read of a text that comes in pieces of this length, into a buffer that is always larger than needed or hardly.
    async fn check(text: &str, expected: &str) {
        for (piece, buffer) in [(1, 8192), (3, 8192), (4096, 8192), (7, 3), (5, 4)] {
            let (mut sender, receiver) = tokio::io::duplex(piece);
            let text = text.to_owned();
            tokio::spawn(async move {
                let _ = tokio::io::AsyncWriteExt::write_all(&mut sender, text.as_bytes()).await;
            });
            let mut reader = Read(receiver, FirstLine::default());
            let (mut got, mut bytes) = (Vec::new(), vec![0; buffer]);
            loop {
                match reader.read(&mut bytes).await.unwrap() {
                    0 => break,
                    length => got.extend_from_slice(&bytes[..length]),
                }
            }
            assert_eq!(String::from_utf8(got).unwrap(), expected, "pieces of {piece}, a buffer of {buffer}");
        }
    }

    #[tokio::test]
    async fn the_first_line_alone() {
        check("", "").await;
        check("GET /", "GET /").await;
        check(
            "GET /?q=a{b=\"c\"}>0<é HTTP/1.1\r\nX: \"<>\"\r\n\r\n\"<>\"",
            "GET /?q=a{b=%22c%22}%3E0%3Cé HTTP/1.1\r\nX: \"<>\"\r\n\r\n\"<>\"",
        )
        .await;
        let long = "\"".repeat(10_000);
        check(&format!("{long}\n{long}"), &format!("{}\n{long}", "%22".repeat(10_000))).await;
    }
}
