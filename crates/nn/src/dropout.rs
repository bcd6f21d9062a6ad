//! [`Dropout`]: noise that keeps units from relying on each other.
//!
//! `y_i = x_i m_i / (1 - p)` while training, with independent `m_i` that are 0 with
//! probability `p`, else 1; `y = x` otherwise.
//!
//! **Shape:** any → the same.
//!
//! **Parameters:** none.
//!
//! As in PyTorch. The mask comes from this thread's generator
//! ([`rng::manual_seed`](mapsto_tensor::rng::manual_seed)), the same at any number of threads.
//!
//! ```
//! use mapsto_nn::Dropout;
//! use mapsto_tensor::{DType, Device, ModuleT, Tensor};
//! let layer = Dropout::new(0.5)?;
//! let x = Tensor::ones(4, DType::F32, &Device::Cpu)?;
//! assert_eq!(layer.forward_t(&x, false)?.to_vec1::<f32>()?, [1.0; 4]);
//! let noisy = layer.forward_t(&x, true)?.to_vec1::<f32>()?;
//! assert_eq!(noisy.iter().filter(|&&y| y != 0.0 && y != 2.0).count(), 0);
//! # Ok::<(), mapsto_tensor::Error>(())
//! ```
//!
//! **References:** Nitish Srivastava et al., "Dropout: a simple way to prevent neural networks
//! from overfitting", 2014.

use mapsto_tensor::{ModuleT, Result, Tensor, bail, ops};

/// Zeroes elements at random while training.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Dropout {
    p: f64,
}

impl Dropout {
    /// Drops each element with probability `p`.
    ///
    /// # Errors
    /// When `p` is not in `[0, 1]`.
    pub fn new(p: f64) -> Result<Self> {
        if !(0.0..=1.0).contains(&p) {
            bail!("dropout: the probability must lie in [0, 1], got {p}");
        }
        Ok(Self { p })
    }

    /// The probability that an element is dropped.
    pub fn p(&self) -> f64 {
        self.p
    }
}

impl ModuleT for Dropout {
    fn forward_t(&self, x: &Tensor, train: bool) -> Result<Tensor> {
        if train {
            ops::dropout(x, self.p)
        } else {
            Ok(x.clone())
        }
    }
}
