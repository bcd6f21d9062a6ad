//! [`BceWithLogitsLoss`]: cross-entropy of yes-or-no answers, from logits.
//!
//! `l = w (-p z ln s(x) - (1 - z) ln(1 - s(x))) = w ((1 - z) x + (1 + (p - 1) z) ln(1 + exp(-x)))`
//! with logit `x`, target `z` in `[0, 1]`, weights `w` and `p`, and `s(x) = 1 / (1 + exp(-x))`.
//! The second form neither overflows nor takes the logarithm of 0.
//!
//! **Shape:** input and target `(*)` → one number, or `(*)` without reduction.
//!
//! **Parameters:** none.
//!
//! As in PyTorch.
//!
//! ```
//! use mapsto_nn::binary_cross_entropy_with_logits;
//! use mapsto_tensor::{Device, Tensor};
//! let logits = Tensor::new(&[0f64, 0.0], &Device::Cpu)?;
//! let targets = Tensor::new(&[0f64, 1.0], &Device::Cpu)?;
//! let loss = binary_cross_entropy_with_logits(&logits, &targets)?;
//! assert_eq!(loss.to_scalar::<f64>()?, std::f64::consts::LN_2);
//! # Ok::<(), mapsto_tensor::Error>(())
//! ```
//!
//! **References:** David Cox, "The regression analysis of binary sequences", 1958.

use mapsto_tensor::ops::{Unary, unary};
use mapsto_tensor::{Result, Tensor};

use super::{Reduction, check_shapes};

/// Cross-entropy of yes-or-no answers, from logits.
#[derive(Debug, Clone, Default)]
#[doc(alias = "BinaryCrossentropy")]
pub struct BceWithLogitsLoss {
    /// Factor on each loss, broadcast to the input's shape; default 1.
    pub weight: Option<Tensor>,
    /// Factor on the share of the positive answers, broadcast to the input's shape; above 1 it
    /// raises recall; default 1.
    pub pos_weight: Option<Tensor>,
    /// What becomes of the single losses; default their mean over all elements.
    pub reduction: Reduction,
}

/// The mean of the unweighted losses.
///
/// # Errors
/// When the shapes differ.
#[doc(alias = "binary_crossentropy")]
pub fn binary_cross_entropy_with_logits(logits: &Tensor, targets: &Tensor) -> Result<Tensor> {
    BceWithLogitsLoss::default().forward(logits, targets)
}

impl BceWithLogitsLoss {
    /// The loss of logits `input` against `target`; both get gradients.
    ///
    /// # Errors
    /// When the shapes differ or a weight does not broadcast to them.
    pub fn forward(&self, input: &Tensor, target: &Tensor) -> Result<Tensor> {
        check_shapes("binary_cross_entropy_with_logits", input, target)?;
        let softplus = unary(&input.neg()?, Unary::Softplus)?;
        let softplus = match &self.pos_weight {
            Some(p) => (softplus * (target.broadcast_mul(&(p - 1.0)?)? + 1.0)?)?,
            None => softplus,
        };
        let losses = ((1.0 - target)? * input)?.add(&softplus)?;
        let losses = match &self.weight {
            Some(weight) => losses.broadcast_mul(weight)?,
            None => losses,
        };
        self.reduction.apply(&losses, input.elem_count() as f64)
    }
}
