//! Permutations and draws that depend on the stream's bits only.
//!
//! Written here, not taken from the `rand` crate, because `rand` may change which numbers its
//! `shuffle` draws from one release to the next, and a resumed run must see the same order.

use mapsto_tensor::rng::Stream;
use rand::RngCore;

/// A number below `bound`, from the high half of a 128-bit product; the bias is below
/// `bound / 2^64`.
pub(crate) fn below(bound: usize, rng: &mut Stream) -> usize {
    let product = u128::from(rng.next_u64()) * bound as u128;
    (product >> 64) as usize
}

/// A number in `[0, 1)` of 53 random bits.
pub(crate) fn unit(rng: &mut Stream) -> f64 {
    (rng.next_u64() >> 11) as f64 / (1_u64 << 53) as f64
}

/// Fisher and Yates's shuffle.
pub(crate) fn shuffle<T>(items: &mut [T], rng: &mut Stream) {
    for last in (1..items.len()).rev() {
        items.swap(last, below(last + 1, rng));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use mapsto_tensor::rng::Generator;

    #[test]
    fn every_permutation_is_equally_likely() {
        let mut rng = Generator::keyed(3, &[]);
        let mut counts = std::collections::BTreeMap::new();
        for _ in 0..6000 {
            let mut items = [0, 1, 2];
            shuffle(&mut items, &mut rng);
            *counts.entry(items).or_insert(0) += 1;
        }
        assert_eq!(counts.len(), 6);
        // 1,000 expected, standard deviation 29.
        assert!(
            counts.values().all(|&n| (880..1120).contains(&n)),
            "{counts:?}"
        );
    }
}
