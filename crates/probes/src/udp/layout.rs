//! What the program and user space agree on: `ebpf/include/udp.h`, mirrored.

/// Kinds of losses, by their number.
pub(super) const LOSSES: [&str; 3] = ["buffer", "memory", "no_port"];

/// `struct loss`.
pub(super) struct Loss {
    pub(super) port: u16,
    /// Its place in [`LOSSES`].
    pub(super) kind: usize,
}

impl Loss {
    /// From a key of the map.
    pub(super) fn decode([low, high, kind, _]: [u8; 4]) -> Self {
        Self { port: u16::from_ne_bytes([low, high]), kind: usize::from(kind) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEADER_FILE: &str = include_str!("../../../../ebpf/include/udp.h");

    fn check(name: &str, expected: usize) {
        let line = format!("#define {name} {expected}");
        assert!(HEADER_FILE.lines().any(|l| l == line), "udp.h lacks {line:?}");
    }

    #[test]
    fn numbers_are_those_of_the_program() {
        for (number, name) in LOSSES.iter().enumerate() {
            check(&format!("LOSS_{}", name.to_uppercase()), number);
        }
        check("LOSSES", LOSSES.len());
        let [low, high] = 5353u16.to_ne_bytes();
        let loss = Loss::decode([low, high, 2, 0]);
        assert_eq!((loss.port, loss.kind), (5353, 2));
    }
}
