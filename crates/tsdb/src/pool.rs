//! Bytes of many streams, in pieces of one line of the processor's cache.
//!
//! A stream grows by a byte or two with each sample, and with each scrape thousands of them do. A buffer for each would be
//! allocated and copied again and again, or be empty for a large part. As a list of pieces out of one pool a stream
//! touches one line of memory when it grows, nothing is copied, and half a piece is empty on average.

/// Bytes of a stream in a piece; with the number of the next one they fill a line.
const PIECE_BYTES: usize = 60;

/// Pieces are allocated so many at once, and never move.
const PAGE_PIECES: usize = 256;

type PieceId = u32;

#[derive(Debug)]
#[repr(align(64))]
struct Piece {
    bytes: [u8; PIECE_BYTES],
    /// The piece behind this one, of those in a list and of those that are free.
    next: PieceId,
}

/// Bytes of a stream. All pieces but the last are full.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Pieces {
    first: PieceId,
    last: PieceId,
    len: u32,
}

/// The pieces of all streams.
#[derive(Debug, Default)]
pub(crate) struct Pool {
    pages: Vec<Vec<Piece>>,
    /// Pieces that were given back: the first one, and how many.
    free: PieceId,
    free_len: usize,
}

impl Pieces {
    pub(crate) fn len(&self) -> usize {
        self.len as usize
    }

    /// How much of the last piece is used; all of it where there is none.
    fn used(&self) -> usize {
        match self.len() % PIECE_BYTES {
            0 => PIECE_BYTES,
            used => used,
        }
    }
}

impl Pool {
    /// Adds bytes at the end.
    pub(crate) fn extend(&mut self, pieces: &mut Pieces, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let mut used = pieces.used();
            if used == PIECE_BYTES {
                let added = self.add();
                match pieces.len {
                    0 => pieces.first = added,
                    _ => self.piece_mut(pieces.last).next = added,
                }
                pieces.last = added;
                used = 0;
            }
            let (some, rest) = bytes.split_at(bytes.len().min(PIECE_BYTES - used));
            self.piece_mut(pieces.last).bytes[used..used + some.len()].copy_from_slice(some);
            pieces.len += some.len() as u32;
            bytes = rest;
        }
    }

    /// A copy of all bytes.
    pub(crate) fn read(&self, pieces: Pieces) -> Vec<u8> {
        self.read_from(pieces, 0)
    }

    /// A copy of the bytes from one on that is not behind the end.
    pub(crate) fn read_from(&self, pieces: Pieces, start: usize) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(pieces.len().saturating_sub(start));
        let mut next = pieces.first;
        for begin in (0..pieces.len()).step_by(PIECE_BYTES) {
            let piece = self.piece(next);
            let used = PIECE_BYTES.min(pieces.len() - begin);
            bytes.extend_from_slice(piece.bytes[..used].get(start.saturating_sub(begin)..).unwrap_or_default());
            next = piece.next;
        }
        bytes
    }

    /// Frees the pieces; the list is empty after it.
    pub(crate) fn give_back(&mut self, pieces: &mut Pieces) {
        let Pieces { first, last, len } = std::mem::take(pieces);
        if len > 0 {
            self.piece_mut(last).next = self.free;
            self.free = first;
            self.free_len += (len as usize).div_ceil(PIECE_BYTES);
        }
    }

    /// Memory of all pieces.
    pub(crate) fn bytes(&self) -> usize {
        self.pages.len() * PAGE_PIECES * size_of::<Piece>()
    }

    fn add(&mut self) -> PieceId {
        if self.free_len > 0 {
            let free = self.free;
            (self.free, self.free_len) = (self.piece(free).next, self.free_len - 1);
            return free;
        }
        if self.pages.last().is_none_or(|page| page.len() == PAGE_PIECES) {
            self.pages.push(Vec::with_capacity(PAGE_PIECES));
        }
        let page = self.pages.len() - 1;
        self.pages[page].push(Piece { bytes: [0; PIECE_BYTES], next: 0 });
        (page * PAGE_PIECES + self.pages[page].len() - 1) as PieceId
    }

    fn piece(&self, id: PieceId) -> &Piece {
        &self.pages[id as usize / PAGE_PIECES][id as usize % PAGE_PIECES]
    }

    fn piece_mut(&mut self, id: PieceId) -> &mut Piece {
        &mut self.pages[id as usize / PAGE_PIECES][id as usize % PAGE_PIECES]
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_piece_fills_a_line() {
        assert_eq!(size_of::<Piece>(), 64);
    }

    proptest! {
        #[test]
        fn bytes_come_back(steps in prop::collection::vec((0usize..4, 0usize..150, any::<u8>()), 0..200)) {
            let mut pool = Pool::default();
            let mut lists = vec![(Pieces::default(), Vec::new()); 4];
            for (at, len, byte) in steps {
                let (pieces, expected) = &mut lists[at];
                if len == 0 {
                    pool.give_back(pieces);
                    expected.clear();
                }
                let bytes: Vec<u8> = (0..len).map(|i| byte.wrapping_add(i as u8)).collect();
                pool.extend(pieces, &bytes);
                expected.extend(bytes);
                for (pieces, expected) in &lists {
                    prop_assert_eq!(&pool.read(*pieces), expected);
                }
            }
        }

        #[test]
        fn what_is_given_back_is_used_again(sizes in prop::collection::vec(1usize..2000, 1..20)) {
            let mut pool = Pool::default();
            let mut bytes = 0;
            for round in 0..5 {
                let mut lists = vec![Pieces::default(); sizes.len()];
                lists.iter_mut().zip(&sizes).for_each(|(pieces, size)| pool.extend(pieces, &vec![1; *size]));
                lists.iter_mut().for_each(|pieces| pool.give_back(pieces));
                prop_assert!(round == 0 || pool.bytes() == bytes);
                bytes = pool.bytes();
            }
        }
    }
}
