//! Deterministic randomness: splitmix64 and smooth noise that can be evaluated at any point without a state.

/// One step of splitmix64 (Steele, Lea, Flood: "Fast Splittable Pseudorandom Number Generators", 2014): a bijection of
/// 64 bits whose output passes for random even on consecutive inputs.
pub(crate) fn mix(state: u64) -> u64 {
    let mut z = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// A number in `[0, 1)` that belongs to a salt and an index.
pub(crate) fn unit(salt: u64, index: i64) -> f64 {
    // 53 bits are what an f64 holds exactly.
    (mix(salt ^ mix(index.cast_unsigned())) >> 11) as f64 / (1u64 << 53) as f64
}

/// A salt that belongs to a seed and a text, such as a series' name and labels (FNV-1a, then mixed).
pub(crate) fn salt(seed: u64, text: &str) -> u64 {
    let hash = text
        .bytes()
        .fold(0xcbf2_9ce4_8422_2325u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3));
    mix(seed ^ hash)
}

/// The steepest slope of [`smooth`]: the values of neighbouring lattice points differ by at most 2, and a smoothstep
/// climbs at most 1.5 times as steeply as a line.
pub(crate) const SMOOTH_SLOPE_MAX: f64 = 3.0;

/// Value noise in `[-1, 1]`: random at the whole numbers, a smoothstep between them.
pub(crate) fn smooth(salt: u64, x: f64) -> f64 {
    let cell = x.floor();
    let at = |index: i64| 2.0 * unit(salt, index) - 1.0;
    let (left, right) = (at(cell as i64), at(cell as i64 + 1));
    left + (right - left) * smoothstep(x - cell)
}

/// Climbs from 0 to 1 over `[0, 1]`, level at both ends and outside.
pub(crate) fn smoothstep(x: f64) -> f64 {
    let x = x.clamp(0.0, 1.0);
    x * x * (3.0 - 2.0 * x)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn splitmix_gives_the_published_sequence() {
        // First outputs for the seed 1234567, from the authors' reference program.
        let mut state = 1_234_567u64;
        let outputs: Vec<u64> = (0..3)
            .map(|_| {
                let out = mix(state);
                state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
                out
            })
            .collect();
        assert_eq!(outputs, [6_457_827_717_110_365_317, 3_203_168_211_198_807_973, 9_817_491_932_198_370_423]);
    }

    #[test]
    fn noise_is_bounded_and_no_steeper_than_said() {
        let step = 0.01;
        for i in -2_000..2_000 {
            let x = f64::from(i) * step;
            let (here, next) = (smooth(7, x), smooth(7, x + step));
            assert!(here.abs() <= 1.0, "smooth({x}) = {here}");
            assert!((next - here).abs() <= SMOOTH_SLOPE_MAX * step + 1e-12, "slope at {x}");
        }
    }
}
