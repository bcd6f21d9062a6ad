//! [`Sgd`]: stochastic gradient descent with momentum.
//!
//! ```text
//! g = grad + weight_decay * p
//! b = g                                       in the first step of the parameter
//! b = momentum * b + (1 - dampening) * g      in later ones
//! d = g + momentum * b   with nesterov,   b   with momentum,   g   without
//! p = p - lr * d
//! ```
//!
//! Same as PyTorch's `SGD`, except that momentum must be below 1 and dampening in [0, 1], which
//! PyTorch does not check, and that there is no `maximize`. State: `momentum_buffer`, if
//! `momentum` is not 0.
//!
//! ```
//! use mapsto_optim::{Optim, Optimizer, Sgd};
//! use mapsto_tensor::{Device, Gradients, Tensor, Var};
//! let w = Var::new(&[1f64], &Device::Cpu)?;
//! let rule = Sgd { lr: 0.1, momentum: 0.5, ..Sgd::default() };
//! let mut optimizer = Optim::new(rule, vec![("w".into(), w.clone())])?;
//! for _ in 0..2 {
//!     let grad = Tensor::new(&[1f64], &Device::Cpu)?;
//!     optimizer.step(&mut Gradients::from_iter([("w".into(), grad)]))?;
//! }
//! assert_eq!(w.to_vec1::<f64>()?, [1.0 - 0.1 - 0.1 * 1.5]);
//! # Ok::<(), mapsto_tensor::Error>(())
//! ```
//!
//! **Reference:** Sutskever, Martens, Dahl, Hinton, "On the importance of initialization and
//! momentum in deep learning", ICML 2013.

use mapsto_tensor::{Float, Result, Tensor, bail};
use serde::{Deserialize, Serialize};

use crate::hyper;
use crate::rule::{At, Rule};

/// Stochastic gradient descent, with momentum if asked for.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[doc(alias = "SGD")]
pub struct Sgd {
    /// Learning rate, at least 0. Default 1e-3.
    pub lr: f64,
    /// How much of the running direction each step keeps, in [0, 1). Default 0: none is kept.
    pub momentum: f64,
    /// Share of the gradient that does not enter the running direction, in [0, 1]. Default 0.
    pub dampening: f64,
    /// Strength of the L2 penalty, added to the gradient; at least 0. Default 0.
    pub weight_decay: f64,
    /// Whether to look one step ahead along the running direction; needs momentum and no
    /// dampening. Default false.
    pub nesterov: bool,
}

impl Default for Sgd {
    fn default() -> Self {
        Self {
            lr: 1e-3,
            momentum: 0.0,
            dampening: 0.0,
            weight_decay: 0.0,
            nesterov: false,
        }
    }
}

impl Sgd {
    /// Share of the gradient that enters the momentum buffer.
    fn intake(&self, at: &At) -> f64 {
        // The buffer starts as the whole gradient, whatever the dampening.
        if at.step == 1 {
            1.0
        } else {
            1.0 - self.dampening
        }
    }

    /// Weights of the gradient and of the buffer in the direction of the step.
    fn mix(&self) -> (f64, f64) {
        if self.nesterov {
            (1.0, self.momentum)
        } else {
            (0.0, 1.0)
        }
    }
}

impl Rule for Sgd {
    fn lr(&self) -> f64 {
        self.lr
    }

    fn validate(&self) -> Result<()> {
        hyper::non_negative("Sgd: lr", self.lr)?;
        hyper::decay("Sgd: momentum", self.momentum)?;
        hyper::fraction("Sgd: dampening", self.dampening)?;
        hyper::non_negative("Sgd: weight_decay", self.weight_decay)?;
        if self.nesterov && (self.momentum == 0.0 || self.dampening != 0.0) {
            bail!(
                "Sgd: nesterov needs momentum in (0, 1) and dampening 0, got momentum {} and \
                 dampening {}",
                self.momentum,
                self.dampening
            );
        }
        Ok(())
    }

    fn slots(&self) -> Vec<&'static str> {
        if self.momentum == 0.0 {
            vec![]
        } else {
            vec!["momentum_buffer"]
        }
    }

    #[inline(always)]
    fn update<T: Float>(&self, at: &At, param: &mut [T], grad: &[T], state: &mut [&mut [T]]) {
        let lr = T::from_f64(at.lr);
        let weight_decay = T::from_f64(self.weight_decay);
        let [buffer] = state else {
            for (p, &g) in param.iter_mut().zip(grad) {
                *p -= lr * (g + weight_decay * *p);
            }
            return;
        };
        let momentum = T::from_f64(self.momentum);
        let intake = T::from_f64(self.intake(at));
        let (of_grad, of_buffer) = self.mix();
        let (of_grad, of_buffer) = (T::from_f64(of_grad), T::from_f64(of_buffer));
        for ((p, &g), b) in param.iter_mut().zip(grad).zip(buffer.iter_mut()) {
            let g = g + weight_decay * *p;
            *b = momentum * *b + intake * g;
            *p -= lr * (of_grad * g + of_buffer * *b);
        }
    }

    fn update_tensors(
        &self,
        at: &At,
        param: &Tensor,
        grad: &Tensor,
        state: &[Tensor],
    ) -> Result<(Tensor, Vec<Tensor>)> {
        let grad = (grad + (param * self.weight_decay)?)?;
        let [buffer] = state else {
            return Ok(((param - (grad * at.lr)?)?, vec![]));
        };
        let buffer = ((buffer * self.momentum)? + (&grad * self.intake(at))?)?;
        let (of_grad, of_buffer) = self.mix();
        let direction = ((grad * of_grad)? + (&buffer * of_buffer)?)?;
        Ok(((param - (direction * at.lr)?)?, vec![buffer]))
    }
}
