//! Answers: written piece by piece while the client takes them, packed where it may be (`packing`).
//!
//! An answer that fits in one piece is sent whole, with its length. Of a longer one the first piece is written on the
//! thread that evaluated it; the others are written when the connection asks, so that a slow reader holds the result
//! but no thread, and its text is never held whole.

use axum::body::Body;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;

use crate::json::{Object, push_array, push_text};
use crate::packing::{Coding, Packer};

/// A piece is sent when it has this many bytes: large enough for few system calls, small enough to be written in
/// well under a millisecond.
const PIECE_BYTES: usize = 64 << 10;
/// Answers below it are sent as they are; packing would save no packet.
const PACK_BYTES_MIN: usize = 1400;

/// Writes the next part into the buffer; `false` when there is nothing after it.
type Parts = Box<dyn FnMut(&mut Vec<u8>) -> bool + Send>;

/// An answer of status 200, or 204 where there is no data.
pub(crate) struct Reply {
    media: HeaderValue,
    parts: Option<Parts>,
}

/// What is said beside the data.
#[derive(Clone, Debug, Default)]
pub(crate) struct Notes {
    pub(crate) warnings: Vec<String>,
    pub(crate) infos: Vec<String>,
}

impl Notes {
    /// Leaves what is past `limit` out of the answer, and says so.
    pub(crate) fn cut<T>(&mut self, items: &mut Vec<T>, limit: Option<usize>) {
        if let Some(limit) = limit.filter(|&limit| limit < items.len()) {
            items.truncate(limit);
            self.warnings.push("results truncated due to limit".to_owned());
        }
    }

    fn push(&self, object: &mut Object<'_>) {
        for (name, notes) in [("warnings", &self.warnings), ("infos", &self.infos)] {
            if !notes.is_empty() {
                object.array(name, notes, |out, note| push_text(out, note));
            }
        }
    }
}

impl Reply {
    /// `{"status":"success"}` and nothing else: 204.
    pub(crate) fn nothing() -> Self {
        Self { media: HeaderValue::from_static("application/json"), parts: None }
    }

    /// Data that `parts` writes.
    pub(crate) fn stream(mut parts: impl FnMut(&mut Vec<u8>) -> bool + Send + 'static, notes: Notes) -> Self {
        let mut begun = false;
        let with_envelope = move |out: &mut Vec<u8>| {
            if !begun {
                out.extend_from_slice(b"{\"status\":\"success\",\"data\":");
                begun = true;
            }
            let more = parts(out);
            if !more {
                push_tail(out, &notes);
            }
            more
        };
        Self { media: HeaderValue::from_static("application/json"), parts: Some(Box::new(with_envelope)) }
    }

    /// Data that `write` writes at once.
    pub(crate) fn json(write: impl FnOnce(&mut Vec<u8>)) -> Self {
        let mut data = Vec::new();
        write(&mut data);
        Self::stream(
            move |out| {
                out.append(&mut data);
                false
            },
            Notes::default(),
        )
    }

    /// Data that is one object.
    pub(crate) fn object(write: impl FnOnce(&mut Object<'_>)) -> Self {
        Self::json(|out| {
            let mut object = Object::new(out);
            write(&mut object);
            object.end();
        })
    }

    /// Data that is an array of what `push` writes.
    pub(crate) fn array<T: Send + 'static>(
        items: Vec<T>,
        push: impl Fn(&mut Vec<u8>, T) + Send + 'static,
        notes: Notes,
    ) -> Self {
        Self::stream(array_parts(items.into_iter(), push), notes)
    }

    /// A text of another media type.
    pub(crate) fn text(media: HeaderValue, text: Vec<u8>) -> Self {
        let mut text = text;
        let parts = move |out: &mut Vec<u8>| {
            out.append(&mut text);
            false
        };
        Self { media, parts: Some(Box::new(parts)) }
    }

    /// Writes the first piece, and says how the others are written. It may take its time.
    pub(crate) fn into_response(self, coding: Option<Coding>) -> Response {
        let Some(parts) = self.parts else { return StatusCode::NO_CONTENT.into_response() };
        let mut pieces = Pieces { parts, packer: None, finished: false };
        let first = pieces.next_raw();
        let coding = coding.filter(|_| !pieces.finished || first.len() >= PACK_BYTES_MIN);
        pieces.packer = coding.map(Packer::new);
        let first = pieces.packed(first);
        let body = if pieces.finished {
            Body::from(first)
        } else {
            let all = std::iter::once(first).chain(pieces);
            let frames = all.map(|piece| Ok::<_, std::convert::Infallible>(Bytes::from(piece)));
            Body::from_stream(futures_util::stream::iter(frames))
        };
        let mut response = body.into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, self.media);
        headers.insert(header::VARY, HeaderValue::from_static("Accept-Encoding"));
        if let Some(coding) = coding {
            headers.insert(header::CONTENT_ENCODING, coding.name());
        }
        response
    }
}

fn push_tail(out: &mut Vec<u8>, notes: &Notes) {
    let mut tail = Vec::new();
    let mut object = Object::new(&mut tail);
    notes.push(&mut object);
    object.end();
    if tail.len() > 2 {
        tail[0] = b',';
        out.extend_from_slice(&tail);
    } else {
        out.push(b'}');
    }
}

/// Parts of an array: each call writes items until a piece is full.
pub(crate) fn array_parts<T: Send, I: Iterator<Item = T> + Send>(
    items: I,
    push: impl Fn(&mut Vec<u8>, T) + Send,
) -> impl FnMut(&mut Vec<u8>) -> bool + Send {
    let mut items = items.peekable();
    let mut begun = false;
    move |out| {
        if !begun {
            out.push(b'[');
            begun = true;
        }
        while let Some(item) = items.next() {
            push(out, item);
            if items.peek().is_some() {
                out.push(b',');
                if out.len() >= PIECE_BYTES {
                    return true;
                }
            }
        }
        out.push(b']');
        false
    }
}

struct Pieces {
    parts: Parts,
    packer: Option<Packer>,
    finished: bool,
}

impl Pieces {
    fn next_raw(&mut self) -> Vec<u8> {
        let mut piece = Vec::new();
        while !self.finished && piece.len() < PIECE_BYTES {
            self.finished = !(self.parts)(&mut piece);
        }
        piece
    }

    /// A piece as it is sent.
    fn packed(&mut self, piece: Vec<u8>) -> Vec<u8> {
        let Some(packer) = &mut self.packer else { return piece };
        let mut packed = packer.pack(&piece);
        if self.finished {
            packed.extend(self.packer.take().map(Packer::finish).unwrap_or_default());
        }
        packed
    }
}

impl Iterator for Pieces {
    type Item = Vec<u8>;

    fn next(&mut self) -> Option<Vec<u8>> {
        if self.finished {
            return None;
        }
        let piece = self.next_raw();
        Some(self.packed(piece))
    }
}

/// A JSON array of texts.
pub(crate) fn push_texts<T: AsRef<str>>(out: &mut Vec<u8>, texts: impl IntoIterator<Item = T>) {
    push_array(out, texts, |out, text| push_text(out, text.as_ref()));
}

#[cfg(test)]
mod tests;
