//! [`Adam`]: steps scaled by running moments of the gradient.
//!
//! ```text
//! g = grad + weight_decay * p
//! m = beta1 * m + (1 - beta1) * g
//! v = beta2 * v + (1 - beta2) * g^2
//! p = p - lr * (m / (1 - beta1^t)) / (sqrt(v / (1 - beta2^t)) + eps)
//! ```
//!
//! `t` counts the updates of the parameter, from 1. With `amsgrad`, the largest `v` so far
//! stands in the last line. Weight decay enters the gradient and is scaled with it;
//! [`AdamW`](crate::AdamW) keeps it apart, which is usually better.
//!
//! Same as PyTorch's `Adam`, without `maximize`. State: `exp_avg` (m), `exp_avg_sq` (v) and, with
//! `amsgrad`, `max_exp_avg_sq`, in the dtype of the parameter.
//!
//! ```
//! use mapsto_optim::{Adam, Optim, Optimizer};
//! use mapsto_tensor::{Device, Gradients, Tensor, Var};
//! let w = Var::new(&[1f64, 1.0], &Device::Cpu)?;
//! let rule = Adam { lr: 0.1, ..Adam::default() };
//! let mut optimizer = Optim::new(rule, vec![("w".into(), w.clone())])?;
//! let grad = Tensor::new(&[1e-3f64, -1e3], &Device::Cpu)?;
//! optimizer.step(&mut Gradients::from_iter([("w".into(), grad)]))?;
//! // The first step has length lr whatever the size of the gradient.
//! let w = w.to_vec1::<f64>()?;
//! assert!((w[0] - 0.9).abs() < 1e-5 && (w[1] - 1.1).abs() < 1e-5);
//! # Ok::<(), mapsto_tensor::Error>(())
//! ```
//!
//! **References:** Kingma, Ba, "Adam: A Method for Stochastic Optimization", ICLR 2015;
//! for `amsgrad`: Reddi, Kale, Kumar, "On the Convergence of Adam and Beyond", ICLR 2018.

use mapsto_tensor::{Float, Result, Tensor, bail};
use serde::{Deserialize, Serialize};

use crate::hyper;
use crate::rule::{At, Rule};

/// Adam, with weight decay as part of the gradient.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Adam {
    /// Learning rate, at least 0. Default 1e-3.
    pub lr: f64,
    /// Decay per step of the running mean of gradients and of their squares, each in [0, 1).
    /// Default (0.9, 0.999).
    pub betas: (f64, f64),
    /// Added to the denominator, at least 0. Default 1e-8.
    pub eps: f64,
    /// Strength of the L2 penalty, added to the gradient; at least 0. Default 0.
    pub weight_decay: f64,
    /// Whether to divide by the largest second moment so far. Default false.
    pub amsgrad: bool,
}

impl Default for Adam {
    fn default() -> Self {
        Self {
            lr: 1e-3,
            betas: (0.9, 0.999),
            eps: 1e-8,
            weight_decay: 0.0,
            amsgrad: false,
        }
    }
}

impl Adam {
    fn moments(&self, at: &At) -> Moments {
        Moments::new(at, self.betas, self.eps, self.weight_decay, 1.0)
    }
}

impl Rule for Adam {
    fn lr(&self) -> f64 {
        self.lr
    }

    fn validate(&self) -> Result<()> {
        validate("Adam", self.lr, self.betas, self.eps, self.weight_decay)
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

pub(crate) fn validate(
    rule: &str,
    lr: f64,
    betas: (f64, f64),
    eps: f64,
    weight_decay: f64,
) -> Result<()> {
    hyper::non_negative(&format!("{rule}: lr"), lr)?;
    hyper::decay(&format!("{rule}: betas.0"), betas.0)?;
    hyper::decay(&format!("{rule}: betas.1"), betas.1)?;
    hyper::non_negative(&format!("{rule}: eps"), eps)?;
    hyper::non_negative(&format!("{rule}: weight_decay"), weight_decay)
}

pub(crate) fn slots(amsgrad: bool) -> Vec<&'static str> {
    let mut slots = vec!["exp_avg", "exp_avg_sq"];
    if amsgrad {
        slots.push("max_exp_avg_sq");
    }
    slots
}

/// What Adam and AdamW share: the formula with the constants of one step worked out.
pub(crate) struct Moments {
    /// Penalty added to the gradient (Adam).
    l2: f64,
    /// What the parameter is multiplied by before the step (AdamW).
    shrink: f64,
    betas: (f64, f64),
    eps: f64,
    /// `lr / (1 - beta1^t)`
    step_size: f64,
    /// `1 / sqrt(1 - beta2^t)`
    root_scale: f64,
}

impl Moments {
    pub(crate) fn new(at: &At, betas: (f64, f64), eps: f64, l2: f64, shrink: f64) -> Self {
        let t = at.step as f64;
        Self {
            l2,
            shrink,
            betas,
            eps,
            step_size: at.lr / (1.0 - betas.0.powf(t)),
            root_scale: 1.0 / (1.0 - betas.1.powf(t)).sqrt(),
        }
    }

    #[inline(always)]
    pub(crate) fn update<T: Float>(&self, param: &mut [T], grad: &[T], state: &mut [&mut [T]]) {
        let [l2, shrink] = [self.l2, self.shrink].map(T::from_f64);
        let [beta1, beta2] = [self.betas.0, self.betas.1].map(T::from_f64);
        let [rest1, rest2] = [1.0 - self.betas.0, 1.0 - self.betas.1].map(T::from_f64);
        let [step_size, root_scale, eps] =
            [self.step_size, self.root_scale, self.eps].map(T::from_f64);
        match state {
            [m, v] => {
                let elements = param
                    .iter_mut()
                    .zip(grad)
                    .zip(m.iter_mut().zip(v.iter_mut()));
                for ((p, &g), (m, v)) in elements {
                    let g = g + l2 * *p;
                    *m = beta1 * *m + rest1 * g;
                    *v = beta2 * *v + rest2 * g * g;
                    *p = shrink * *p - step_size * *m / (v.sqrt() * root_scale + eps);
                }
            }
            [m, v, max] => {
                let moments = m.iter_mut().zip(v.iter_mut()).zip(max.iter_mut());
                for ((p, &g), ((m, v), max)) in param.iter_mut().zip(grad).zip(moments) {
                    let g = g + l2 * *p;
                    *m = beta1 * *m + rest1 * g;
                    *v = beta2 * *v + rest2 * g * g;
                    *max = if *v > *max { *v } else { *max };
                    *p = shrink * *p - step_size * *m / (max.sqrt() * root_scale + eps);
                }
            }
            // `Optim` makes as many state tensors as `slots` has names.
            _ => {}
        }
    }

    pub(crate) fn update_tensors(
        &self,
        param: &Tensor,
        grad: &Tensor,
        state: &[Tensor],
    ) -> Result<(Tensor, Vec<Tensor>)> {
        let [m, v, max @ ..] = state else {
            bail!("Adam keeps at least 2 state tensors, got {}", state.len());
        };
        let g = (grad + (param * self.l2)?)?;
        let m = ((m * self.betas.0)? + (&g * (1.0 - self.betas.0))?)?;
        let v = ((v * self.betas.1)? + (g.sqr()? * (1.0 - self.betas.1))?)?;
        let max = max.first().map(|max| max.maximum(&v)).transpose()?;
        let root = max.as_ref().unwrap_or(&v).sqrt()?;
        let step = ((&m * self.step_size)? / root.affine(self.root_scale, self.eps)?)?;
        let param = ((param * self.shrink)? - step)?;
        Ok((param, [m, v].into_iter().chain(max).collect()))
    }
}
