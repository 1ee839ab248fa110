//! Names and values of labels, each kept once.

use std::hash::BuildHasher;

use hashbrown::{DefaultHashBuilder, HashTable};

/// The number of a text while something uses it.
pub(crate) type Symbol = u32;

/// What a text costs beside its bytes: the entry and its share of the table.
const OVERHEAD_BYTES: usize = size_of::<Text>() + 6;

/// Texts by number, counted by their users; numbers of texts that nobody uses any more are given out again.
#[derive(Default)]
pub(crate) struct Symbols {
    table: HashTable<Symbol>,
    texts: Vec<Text>,
    free: Vec<Symbol>,
    hasher: DefaultHashBuilder,
    bytes: usize,
}

struct Text {
    text: Box<str>,
    users: u32,
}

impl Symbols {
    /// The number of a text, which has one user more.
    pub(crate) fn take(&mut self, text: &str) -> Symbol {
        let hash = self.hasher.hash_one(text);
        if let Some(&symbol) = self.table.find(hash, |&s| &*self.texts[s as usize].text == text) {
            self.texts[symbol as usize].users += 1;
            return symbol;
        }
        let entry = Text { text: Box::from(text), users: 1 };
        self.bytes += text.len() + OVERHEAD_BYTES;
        let symbol = match self.free.pop() {
            Some(symbol) => {
                self.texts[symbol as usize] = entry;
                symbol
            }
            None => {
                self.texts.push(entry);
                (self.texts.len() - 1) as Symbol
            }
        };
        let (texts, hasher) = (&self.texts, &self.hasher);
        self.table.insert_unique(hash, symbol, |&s| hasher.hash_one(&*texts[s as usize].text));
        symbol
    }

    /// The text has one user less.
    pub(crate) fn give_back(&mut self, symbol: Symbol) {
        let entry = &mut self.texts[symbol as usize];
        entry.users -= 1;
        if entry.users > 0 {
            return;
        }
        let text = std::mem::replace(&mut entry.text, Box::from(""));
        if let Ok(found) = self.table.find_entry(self.hasher.hash_one(&*text), |&s| s == symbol) {
            found.remove();
        }
        self.bytes -= text.len() + OVERHEAD_BYTES;
        self.free.push(symbol);
    }

    pub(crate) fn text(&self, symbol: Symbol) -> &str {
        &self.texts[symbol as usize].text
    }

    /// By number, the place of each text among all texts in their order.
    pub(crate) fn ranks(&self) -> Vec<u32> {
        let mut order: Vec<Symbol> = (0..self.texts.len() as Symbol).collect();
        order.sort_unstable_by(|&a, &b| self.text(a).cmp(self.text(b)));
        let mut ranks = vec![0; order.len()];
        order.iter().zip(0..).for_each(|(&symbol, rank)| ranks[symbol as usize] = rank);
        ranks
    }

    /// Memory of all texts.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_kept_once_and_go_with_their_last_user() {
        let mut symbols = Symbols::default();
        let (a, b) = (symbols.take("job"), symbols.take("instance"));
        assert_eq!(symbols.take("job"), a);
        assert_eq!((symbols.text(a), symbols.text(b)), ("job", "instance"));
        assert_eq!(symbols.ranks(), [1, 0]);
        symbols.give_back(a);
        assert_eq!(symbols.take("job"), a);
        for _ in 0..2 {
            symbols.give_back(a);
        }
        assert_eq!((symbols.take("pod"), symbols.text(a)), (a, "pod"));
        symbols.give_back(a);
        symbols.give_back(b);
        assert_eq!(symbols.bytes(), 0);
    }
}
