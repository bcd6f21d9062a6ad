//! [`SinusoidalPositions`]: tells the places of a sequence apart.
//!
//! To the vector at place `t` is added `p(t, 2 i) = sin(t / 10000^(2 i / E))`, `p(t, 2 i + 1) = cos(t /
//! 10000^(2 i / E))`.
//!
//! **Shape:** `(N, T, E)` → the same.
//!
//! **Parameters:** none.
//!
//! PyTorch has no such layer.
//!
//! ```
//! use mapsto_nn::SinusoidalPositions;
//! use mapsto_tensor::{DType, Device, Tensor};
//! let x = Tensor::zeros((1, 3, 2), DType::F64, &Device::Cpu)?;
//! let y = SinusoidalPositions.forward(&x, 0)?;
//! assert_eq!(y.get(0)?.get(2)?.to_vec1::<f64>()?, [2f64.sin(), 2f64.cos()]);
//! # Ok::<(), mapsto_tensor::Error>(())
//! ```
//!
//! **Reference:** Ashish Vaswani et al., "Attention is all you need", 2017.

use mapsto_tensor::{Device, Result, Tensor};

/// Adds a wave of places to a sequence.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[doc(alias = "PositionalEncoding")]
pub struct SinusoidalPositions;

impl SinusoidalPositions {
    /// The places of `x (N, T, E)` are `first` and those after it.
    ///
    /// # Errors
    /// When `x` has not three dimensions.
    pub fn forward(&self, x: &Tensor, first: usize) -> Result<Tensor> {
        let (_, places, size) = x.dims3()?;
        let mut table = Vec::with_capacity(places * size);
        for place in first..first + places {
            for at in 0..size {
                let wave = (at / 2 * 2) as f64 / size as f64;
                let angle = place as f64 / 10_000_f64.powf(wave);
                table.push(if at % 2 == 0 {
                    angle.sin()
                } else {
                    angle.cos()
                });
            }
        }
        // Not every device has f64, so the cast comes first.
        let table = Tensor::from_vec(table, (places, size), &Device::Cpu)?;
        let table = table.to_dtype(x.dtype())?.to_device(x.device())?;
        x.broadcast_add(&table)
    }
}
