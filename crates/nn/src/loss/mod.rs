//! Losses: how far outputs are from what they should be, and how single losses become one.

mod bce_with_logits;
mod cross_entropy;
mod mse;

pub use bce_with_logits::{BceWithLogitsLoss, binary_cross_entropy_with_logits};
pub use cross_entropy::{CrossEntropyLoss, cross_entropy};
pub use mse::{MseLoss, mse_loss};

use mapsto_tensor::{Result, Tensor, bail};
use serde::{Deserialize, Serialize};

/// What becomes of the losses of the single elements.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reduction {
    /// They stay as they are.
    None,
    /// Their mean; each loss says by what it divides.
    #[default]
    Mean,
    /// Their sum.
    Sum,
}

impl Reduction {
    /// Applies itself; a mean divides by `divisor`.
    fn apply(self, losses: &Tensor, divisor: f64) -> Result<Tensor> {
        match self {
            Self::None => Ok(losses.clone()),
            Self::Sum => losses.sum_all(),
            Self::Mean => losses.sum_all()? / divisor,
        }
    }
}

/// Broadcasting here would average over pairs that nobody meant, so shapes must agree.
fn check_shapes(loss: &str, input: &Tensor, target: &Tensor) -> Result<()> {
    if input.shape() != target.shape() {
        bail!(
            "{loss}: the input has shape {:?}, the target {:?}; they must be the same",
            input.shape(),
            target.shape()
        );
    }
    Ok(())
}
