//! [`MseLoss`]: squared error.
//!
//! `l = (x - y)^2`, and their mean over all elements.
//!
//! **Shape:** input and target `(*)` → one number, or `(*)` without reduction.
//!
//! **Parameters:** none.
//!
//! As in PyTorch, except that unequal shapes are an error, where PyTorch warns and broadcasts.
//!
//! ```
//! use mapsto_nn::mse_loss;
//! use mapsto_tensor::{Device, Tensor};
//! let input = Tensor::new(&[1f32, 2.0], &Device::Cpu)?;
//! let target = Tensor::new(&[1f32, 5.0], &Device::Cpu)?;
//! assert_eq!(mse_loss(&input, &target)?.to_scalar::<f32>()?, 4.5);
//! # Ok::<(), mapsto_tensor::Error>(())
//! ```
//!
//! **References:** Carl Friedrich Gauss, "Theoria combinationis observationum erroribus minimis
//! obnoxiae", 1823.

use mapsto_tensor::{Result, Tensor};
use serde::{Deserialize, Serialize};

use super::{Reduction, check_shapes};

/// Squared error.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[doc(alias = "MeanSquaredError")]
pub struct MseLoss {
    /// What becomes of the single losses; default their mean.
    pub reduction: Reduction,
}

/// The mean of the squared errors.
///
/// # Errors
/// When the shapes differ.
#[doc(alias = "mean_squared_error")]
pub fn mse_loss(input: &Tensor, target: &Tensor) -> Result<Tensor> {
    MseLoss::default().forward(input, target)
}

impl MseLoss {
    /// The loss of `input` against `target`; both get gradients.
    ///
    /// # Errors
    /// When the shapes differ.
    pub fn forward(&self, input: &Tensor, target: &Tensor) -> Result<Tensor> {
        check_shapes("mse_loss", input, target)?;
        let losses = (input - target)?.sqr()?;
        self.reduction.apply(&losses, input.elem_count() as f64)
    }
}
