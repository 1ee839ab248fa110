//! Raw texts of series in the order of a page, each coded against the one before it.
//!
//! Neighbours on a page share most of their text: the name, labels before the one that differs, labels after it. What
//! is shared with the text before is kept as two lengths, so that a text of a hundred bytes takes some thirty. Every
//! [`GROUP`]th text stands whole, from where those after it are rebuilt.

use std::iter::zip;

/// A text is rebuilt from at most this many; with twice as many the texts would be a fifth smaller, and finding one by its hash
/// would cost twice as much.
const GROUP: usize = 8;

/// The texts, numbered from 0.
#[derive(Debug, Default)]
pub(crate) struct Texts {
    /// For each text: lengths shared at its start and at its end, length of what lies between, and that.
    coded: Vec<u8>,
    /// Where each group begins.
    groups: Vec<u32>,
    len: usize,
    /// The text added last.
    last: String,
}

/// A text that was rebuilt, and where the next one begins.
#[derive(Debug, Default)]
pub(crate) struct Cursor {
    text: Vec<u8>,
    next: usize,
}

impl Texts {
    /// Adds a text. `false` where it would lie beyond what can be addressed.
    pub(crate) fn push(&mut self, text: &str) -> bool {
        let Ok(start) = u32::try_from(self.coded.len() + text.len()) else { return false };
        let whole = self.len.is_multiple_of(GROUP);
        if whole {
            self.groups.push(start - text.len() as u32);
        }
        let (head, tail) = if whole { (0, 0) } else { shared(&self.last, text) };
        let middle = &text[head..text.len() - tail];
        for number in [head, tail, middle.len()] {
            put(&mut self.coded, number);
        }
        self.coded.extend_from_slice(middle.as_bytes());
        self.len += 1;
        self.last.clear();
        self.last.push_str(text);
        true
    }

    /// Bytes that the texts take.
    pub(crate) fn size_bytes(&self) -> usize {
        self.coded.len()
    }

    /// Rebuilds the text of a number; an empty one where there is none.
    pub(crate) fn find(&self, number: usize, cursor: &mut Cursor) {
        cursor.text.clear();
        let Some(&start) = self.groups.get(number / GROUP).filter(|_| number < self.len) else {
            cursor.next = self.coded.len();
            return;
        };
        cursor.next = start as usize;
        for _ in 0..=number % GROUP {
            self.step(cursor);
        }
    }

    /// Rebuilds the text after the cursor's; an empty one at the end.
    pub(crate) fn step(&self, cursor: &mut Cursor) {
        let mut rest = self.coded.get(cursor.next..).unwrap_or_default();
        let before = rest.len();
        let lengths = (take(&mut rest), take(&mut rest), take(&mut rest));
        let (Some(head), Some(tail), Some(middle)) = lengths else {
            cursor.text.clear();
            return;
        };
        let middle = rest.get(..middle).unwrap_or_default();
        exchange(&mut cursor.text, head, tail, middle);
        cursor.next += before - rest.len() + middle.len();
    }

    /// Gives back what growth took ahead.
    pub(crate) fn shrink(&mut self) {
        self.coded.shrink_to_fit();
        self.groups.shrink_to_fit();
        self.last.shrink_to_fit();
    }
}

impl Cursor {
    pub(crate) fn text(&self) -> &[u8] {
        &self.text
    }
}

/// Puts other bytes between what stays at the start and at the end. Mostly they are as many as before, and nothing moves.
fn exchange(text: &mut Vec<u8>, head: usize, tail: usize, middle: &[u8]) {
    let len = text.len();
    let end = len.saturating_sub(tail).max(head.min(len));
    let new_end = head + middle.len();
    if new_end > end {
        text.resize(len + new_end - end, 0);
    }
    if new_end != end {
        text.copy_within(end..len, new_end);
    }
    text.truncate(new_end + len - end);
    if let Some(place) = text.get_mut(head..new_end) {
        place.copy_from_slice(middle);
    }
}

/// Bytes that two texts share at their starts and at their ends, whole characters, not overlapping.
fn shared(before: &str, text: &str) -> (usize, usize) {
    let (a, b) = (before.as_bytes(), text.as_bytes());
    let mut head = zip(a, b).take_while(|(a, b)| a == b).count();
    while !text.is_char_boundary(head) {
        head -= 1;
    }
    let (a, b) = (&a[head..], &b[head..]);
    let mut tail = zip(a.iter().rev(), b.iter().rev()).take_while(|(a, b)| a == b).count();
    while !text.is_char_boundary(text.len() - tail) {
        tail -= 1;
    }
    (head, tail)
}

/// Seven bits a byte, the lowest first; the top bit says that more follow.
fn put(into: &mut Vec<u8>, mut number: usize) {
    while number >= 0x80 {
        into.push(number as u8 | 0x80);
        number >>= 7;
    }
    into.push(number as u8);
}

fn take(from: &mut &[u8]) -> Option<usize> {
    let mut number = 0;
    for shift in (0..usize::BITS).step_by(7) {
        let (&byte, rest) = from.split_first()?;
        *from = rest;
        number |= usize::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return Some(number);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    /// All texts come back, one after the other and each alone, within so many coded bytes.
    fn check(texts: &[&str], bytes_max: usize) {
        let mut coded = Texts::default();
        assert!(texts.iter().all(|text| coded.push(text)));
        let mut walking = Cursor::default();
        coded.find(0, &mut walking);
        for (number, text) in texts.iter().enumerate() {
            let mut alone = Cursor::default();
            coded.find(number, &mut alone);
            let bytes = text.as_bytes();
            assert_eq!((walking.text(), alone.text()), (bytes, bytes), "{number} of {texts:?}");
            coded.step(&mut walking);
        }
        assert_eq!(walking.text(), b"", "after the last of {texts:?}");
        assert!(coded.size_bytes() <= bytes_max, "{} bytes for {texts:?}", coded.size_bytes());
    }

    #[test]
    fn texts_come_back() {
        check(&[], 0);
        check(&["up"], 5);
        check(&["a", "a", "", "a"], 14);
        check(&["aa", "aaa", "aaaa", "aaa"], 16);
        check(&["x{a=\"ä\"}", "x{a=\"ö\"}", "x{a=\"\u{2028}\"}", "x{a=\"\u{2029}\"}"], 60);
        let long = "x".repeat(200);
        check(&[&long, &long], 210);
        let of =
            |i: usize| format!("http_requests_total{{code=\"200\",handler=\"/api/{i}\",instance=\"10.0.0.1:9090\"}}");
        let pages: Vec<String> = (0..100).map(of).collect();
        let pages: Vec<&str> = pages.iter().map(String::as_str).collect();
        check(&pages, 100 * 16);
    }
}
