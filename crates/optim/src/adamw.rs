//! [`AdamW`]: Adam with weight decay kept apart from the gradient.
//!
//! ```text
//! p = p * (1 - lr * weight_decay)
//! p = p - (step of Adam without weight decay)
//! ```
//!
//! Same as PyTorch's `AdamW`, without `maximize`. State as for [`Adam`](crate::Adam). Biases and
//! the scales of normalisation are usually spared: give them a
//! [group](crate::Optim::group) without decay.
//!
//! ```
//! use mapsto_optim::{AdamW, Optim, Optimizer};
//! use mapsto_tensor::{Device, Gradients, Tensor, Var};
//! let w = Var::new(&[2f64], &Device::Cpu)?;
//! let rule = AdamW { lr: 0.1, weight_decay: 0.5, ..AdamW::default() };
//! let mut optimizer = Optim::new(rule, vec![("w".into(), w.clone())])?;
//! let grad = Tensor::new(&[0f64], &Device::Cpu)?;
//! optimizer.step(&mut Gradients::from_iter([("w".into(), grad)]))?;
//! assert_eq!(w.to_vec1::<f64>()?, [2.0 * (1.0 - 0.1 * 0.5)]);
//! # Ok::<(), mapsto_tensor::Error>(())
//! ```
//!
//! **Reference:** Loshchilov, Hutter, "Decoupled Weight Decay Regularization", ICLR 2019.

use mapsto_tensor::{Float, Result, Tensor};
use serde::{Deserialize, Serialize};

use crate::adam::{Moments, slots, validate};
use crate::rule::{At, Rule};

/// Adam with decoupled weight decay.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct AdamW {
    /// Learning rate, at least 0. Default 1e-3.
    pub lr: f64,
    /// Decay per step of the running mean of gradients and of their squares, each in [0, 1).
    /// Default (0.9, 0.999).
    pub betas: (f64, f64),
    /// Added to the denominator, at least 0. Default 1e-8.
    pub eps: f64,
    /// Share of the parameter, times `lr`, that each step takes away; at least 0. Default 1e-2.
    pub weight_decay: f64,
    /// Whether to divide by the largest second moment so far. Default false.
    pub amsgrad: bool,
}

impl Default for AdamW {
    fn default() -> Self {
        Self {
            lr: 1e-3,
            betas: (0.9, 0.999),
            eps: 1e-8,
            weight_decay: 1e-2,
            amsgrad: false,
        }
    }
}

impl AdamW {
    fn moments(&self, at: &At) -> Moments {
        let shrink = 1.0 - at.lr * self.weight_decay;
        Moments::new(at, self.betas, self.eps, 0.0, shrink)
    }
}

impl Rule for AdamW {
    fn lr(&self) -> f64 {
        self.lr
    }

    fn validate(&self) -> Result<()> {
        validate("AdamW", self.lr, self.betas, self.eps, self.weight_decay)
    }

    fn slots(&self) -> Vec<&'static str> {
        slots(self.amsgrad)
    }

    #[inline(always)]
    fn update<T: Float>(&self, at: &At, param: &mut [T], grad: &[T], state: &mut [&mut [T]]) {
        self.moments(at).update(param, grad, state);
    }

    fn update_tensors(
        &self,
        at: &At,
        param: &Tensor,
        grad: &Tensor,
        state: &[Tensor],
    ) -> Result<(Tensor, Vec<Tensor>)> {
        self.moments(at).update_tensors(param, grad, state)
    }
}
