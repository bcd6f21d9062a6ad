//! Placeholder.

use mapsto_tensor::rng::Generator;
use rand::RngCore;

/// Side of a picture in pixels.
pub const SIDE: usize = 28;

/// Draws digit `index` under `seed`: its pixels and its class.
pub fn draw(seed: u64, index: u64) -> (Vec<u8>, u8) {
    let mut pixels = vec![0; SIDE * SIDE];
    Generator::keyed(seed, &[index]).fill_bytes(&mut pixels);
    (pixels, (index % 10) as u8)
}
