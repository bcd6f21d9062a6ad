//! [`Activation`]: elementwise functions, and softmax over a dimension.
//!
//! The formulas stand at the variants; `s(x) = 1 / (1 + exp(-x))`, and `softmax(x)_i =
//! exp(x_i) / sum over j of exp(x_j)` along one dimension.
//!
//! **Shape:** any → the same.
//!
//! **Parameters:** none.
//!
//! Values and derivatives are PyTorch's, at kinks and extremes too. `Softplus` has no `beta`
//! and no threshold: it is exact for all numbers.
//!
//! ```
//! use mapsto_nn::Activation;
//! use mapsto_tensor::{Device, Module, Tensor};
//! let x = Tensor::new(&[-1f32, 0.0, 2.0], &Device::Cpu)?;
//! assert_eq!(Activation::Relu.forward(&x)?.to_vec1::<f32>()?, [0.0, 0.0, 2.0]);
//! let leaky: Activation = "leaky_relu".parse()?;
//! assert_eq!(leaky, Activation::LeakyRelu(0.01));
//! # Ok::<(), mapsto_tensor::Error>(())
//! ```
//!
//! **References:** Vinod Nair, Geoffrey Hinton, "Rectified linear units improve restricted
//! Boltzmann machines", 2010; Djork-Arné Clevert et al., "Fast and accurate deep network
//! learning by exponential linear units", 2016; Dan Hendrycks, Kevin Gimpel, "Gaussian error
//! linear units", 2016; Günter Klambauer et al., "Self-normalizing neural networks", 2017;
//! Jonathan Barron, "Continuously differentiable exponential linear units", 2017; Stefan
//! Elfwing et al., "Sigmoid-weighted linear units", 2018; Andrew Howard et al., "Searching for
//! MobileNetV3", 2019; Diganta Misra, "Mish", 2020.

use std::str::FromStr;

use mapsto_tensor::ops::{self, Unary};
use mapsto_tensor::{Error, Module, Result, Tensor, bail};
use serde::{Deserialize, Serialize};

use crate::dim::resolve;

/// A function without parameters that keeps the shape.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Activation {
    /// `x`.
    Identity,
    /// `max(x, 0)`.
    Relu,
    /// `min(max(x, 0), 6)`.
    Relu6,
    /// `x` if positive, else slope times `x`; PyTorch's slope is 0.01.
    LeakyRelu(f64),
    /// `x` if positive, else `alpha (exp(x) - 1)`; PyTorch's alpha is 1.
    Elu(f64),
    /// Elu with the constants that keep mean 0 and variance 1.
    Selu,
    /// `x` if positive, else `alpha (exp(x / alpha) - 1)`; PyTorch's alpha is 1.
    Celu(f64),
    /// `x P(Z <= x)` for a standard normal `Z`.
    Gelu,
    /// The tanh approximation of Gelu.
    GeluTanh,
    /// `x s(x)`.
    #[doc(alias = "Swish")]
    Silu,
    /// `x tanh(ln(1 + exp(x)))`.
    Mish,
    /// `ln(1 + exp(x))`.
    Softplus,
    /// `x / (1 + |x|)`.
    Softsign,
    /// `s(x)`.
    Sigmoid,
    /// `ln s(x)`.
    LogSigmoid,
    /// `tanh(x)`.
    Tanh,
    /// `min(max(x + 3, 0), 6) / 6`.
    Hardsigmoid,
    /// `x min(max(x + 3, 0), 6) / 6`.
    Hardswish,
    /// `x` kept within two bounds; PyTorch's are -1 and 1.
    Hardtanh(f64, f64),
    /// Softmax over a dimension; negative ones count from the end.
    Softmax(i64),
    /// Logarithm of softmax over a dimension; negative ones count from the end.
    LogSoftmax(i64),
}

impl Activation {
    /// The elementwise op behind it, if there is one.
    fn unary(self) -> Option<Unary> {
        Some(match self {
            Self::Identity | Self::Softmax(_) | Self::LogSoftmax(_) => return None,
            Self::Relu => Unary::Relu,
            Self::Relu6 => Unary::Relu6,
            Self::LeakyRelu(slope) => Unary::LeakyRelu(slope),
            Self::Elu(alpha) => Unary::Elu(alpha),
            Self::Selu => Unary::Selu,
            Self::Celu(alpha) => Unary::Celu(alpha),
            Self::Gelu => Unary::Gelu,
            Self::GeluTanh => Unary::GeluTanh,
            Self::Silu => Unary::Silu,
            Self::Mish => Unary::Mish,
            Self::Softplus => Unary::Softplus,
            Self::Softsign => Unary::Softsign,
            Self::Sigmoid => Unary::Sigmoid,
            Self::LogSigmoid => Unary::LogSigmoid,
            Self::Tanh => Unary::Tanh,
            Self::Hardsigmoid => Unary::Hardsigmoid,
            Self::Hardswish => Unary::Hardswish,
            Self::Hardtanh(low, high) => Unary::Hardtanh(low, high),
        })
    }
}

/// Names that parse, with PyTorch's defaults behind them.
const NAMED: [(&str, Activation); 21] = [
    ("identity", Activation::Identity),
    ("relu", Activation::Relu),
    ("relu6", Activation::Relu6),
    ("leaky_relu", Activation::LeakyRelu(0.01)),
    ("elu", Activation::Elu(1.0)),
    ("selu", Activation::Selu),
    ("celu", Activation::Celu(1.0)),
    ("gelu", Activation::Gelu),
    ("gelu_tanh", Activation::GeluTanh),
    ("silu", Activation::Silu),
    ("mish", Activation::Mish),
    ("softplus", Activation::Softplus),
    ("softsign", Activation::Softsign),
    ("sigmoid", Activation::Sigmoid),
    ("log_sigmoid", Activation::LogSigmoid),
    ("tanh", Activation::Tanh),
    ("hardsigmoid", Activation::Hardsigmoid),
    ("hardswish", Activation::Hardswish),
    ("hardtanh", Activation::Hardtanh(-1.0, 1.0)),
    ("softmax", Activation::Softmax(-1)),
    ("log_softmax", Activation::LogSoftmax(-1)),
];

impl FromStr for Activation {
    type Err = Error;

    /// Reads a name such as `relu` or `leaky_relu`, with PyTorch's default arguments (softmax
    /// over the last dimension).
    fn from_str(name: &str) -> Result<Self> {
        match NAMED.iter().find(|(known, _)| *known == name) {
            Some((_, activation)) => Ok(*activation),
            None => {
                let known: Vec<&str> = NAMED.iter().map(|(known, _)| *known).collect();
                bail!(
                    "there is no activation \"{name}\"; known are {}",
                    known.join(", ")
                )
            }
        }
    }
}

/// Softmax or its logarithm; a single number counts as a row of one, as in PyTorch.
fn over_dim(x: &Tensor, dim: i64, f: impl Fn(&Tensor, usize) -> Result<Tensor>) -> Result<Tensor> {
    if x.rank() == 0 {
        resolve(dim, 1, "softmax")?;
        return f(&x.reshape(1)?, 0)?.reshape(());
    }
    f(x, resolve(dim, x.rank(), "softmax")?)
}

impl Module for Activation {
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        match (self, self.unary()) {
            (_, Some(function)) => ops::unary(x, function),
            (Self::Softmax(dim), _) => over_dim(x, *dim, ops::softmax),
            (Self::LogSoftmax(dim), _) => over_dim(x, *dim, ops::log_softmax),
            _ => Ok(x.clone()),
        }
    }
}
