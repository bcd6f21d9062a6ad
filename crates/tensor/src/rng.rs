//! Seeded randomness that depends on nothing but seeds and counters.
//!
//! candle's CPU generator cannot be seeded, so every random number of this project comes from
//! here. A [`Generator`] is two integers, `seed` and `counter`; each call of
//! [`Generator::stream`] opens ChaCha8 stream number `counter` under the key `seed` and counts
//! up. Saving the two integers saves the generator, and restoring them costs nothing.
//!
//! Three ways to draw:
//!
//! * layers that draw while training (dropout, noise) use this thread's generator:
//!   [`manual_seed`], [`next_stream`];
//! * initialisation draws from [`Generator::for_name`], a function of seed and parameter path,
//!   so it does not depend on the order of construction;
//! * loaders and augmentation draw from [`Generator::keyed`], a function of for instance
//!   (seed, epoch, sample index), so it does not depend on workers or on what came before.
//!
//! ```
//! use mapsto_tensor::rng::Generator;
//! use rand::Rng;
//! let mut a = Generator::new(42);
//! let first: f32 = a.stream().random();
//! let mut b = Generator::new(42);
//! assert_eq!(first, b.stream().random::<f32>());
//! assert_ne!(first, b.stream().random::<f32>());
//! assert_eq!(a.counter + 1, b.counter);
//! ```
//!
//! **References:** Daniel J. Bernstein, "ChaCha, a variant of Salsa20", 2008; Salmon, Moraes,
//! Dror, Shaw, "Parallel random numbers: as easy as 1, 2, 3", 2011; Steele, Lea, Flood, "Fast
//! splittable pseudorandom number generators", 2014 (the mixing function).

use std::cell::Cell;

use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

/// One stream of random numbers; implements `rand::Rng`.
pub type Stream = ChaCha8Rng;

/// A counter-based generator whose whole state is `seed` and `counter`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Generator {
    /// Key of all streams.
    pub seed: u64,
    /// Number of the next stream.
    pub counter: u64,
}

impl Generator {
    /// A generator at its first stream.
    pub const fn new(seed: u64) -> Self {
        Self { seed, counter: 0 }
    }

    /// Opens the next stream and counts up.
    pub fn stream(&mut self) -> Stream {
        let stream = open(self.seed, self.counter);
        self.counter += 1;
        stream
    }

    /// The stream that belongs to `name` under `seed`, whatever was drawn before.
    pub fn for_name(seed: u64, name: &str) -> Stream {
        // FNV-1a over the bytes, then mixed with the seed.
        let hash = name.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
        });
        Self::keyed(seed, &[hash])
    }

    /// The stream that belongs to `key` under `seed`, whatever was drawn before.
    pub fn keyed(seed: u64, key: &[u64]) -> Stream {
        let folded = key
            .iter()
            .fold(mix(seed), |state, &part| mix(state ^ mix(part)));
        open(folded, u64::MAX)
    }
}

fn open(seed: u64, stream: u64) -> Stream {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    rng.set_stream(stream);
    rng
}

/// SplitMix64's output function: a bijection whose every output bit depends on every input bit.
const fn mix(state: u64) -> u64 {
    let z = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

thread_local! {
    static DEFAULT: Cell<Generator> = const { Cell::new(Generator::new(0)) };
}

/// Seeds this thread's generator, the one that layers draw from while training.
#[doc(alias = "set_seed")]
pub fn manual_seed(seed: u64) {
    set_generator(Generator::new(seed));
}

/// This thread's generator, to be stored in a checkpoint.
pub fn generator() -> Generator {
    DEFAULT.get()
}

/// Restores this thread's generator from a checkpoint.
pub fn set_generator(generator: Generator) {
    DEFAULT.set(generator);
}

/// Opens the next stream of this thread's generator.
pub fn next_stream() -> Stream {
    let mut generator = DEFAULT.get();
    let stream = generator.stream();
    DEFAULT.set(generator);
    stream
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::RngCore;

    #[test]
    fn a_restored_generator_goes_on_where_it_was() {
        manual_seed(7);
        next_stream();
        let saved = generator();
        let expected = next_stream().next_u64();
        set_generator(saved);
        assert_eq!(next_stream().next_u64(), expected);
        assert_eq!(
            saved,
            Generator {
                seed: 7,
                counter: 1
            }
        );
    }

    #[test]
    fn keys_and_names_give_different_streams() {
        let first = |mut stream: Stream| stream.next_u64();
        let mut seen = vec![
            first(Generator::for_name(1, "fc1.weight")),
            first(Generator::for_name(1, "fc1.bias")),
            first(Generator::for_name(2, "fc1.weight")),
            first(Generator::keyed(1, &[0, 1])),
            first(Generator::keyed(1, &[1, 0])),
            first(Generator::keyed(1, &[0])),
            first(Generator::new(1).stream()),
        ];
        seen.sort_unstable();
        seen.dedup();
        assert_eq!(seen.len(), 7);
    }

    #[test]
    fn the_numbers_never_change() {
        // Stored checkpoints and published figures rest on these bits.
        assert_eq!(Generator::new(42).stream().next_u64(), FIRST_OF_42);
    }

    const FIRST_OF_42: u64 = 12_578_764_544_318_200_737;
}
