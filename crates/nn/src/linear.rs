//! [`Linear`]: an affine map of the last dimension.
//!
//! `y = x W^T + b`
//!
//! **Shape:** `(*, in)` → `(*, out)`, with any number of leading dimensions, none included.
//!
//! **Parameters:** `weight (out, in)`, `bias (out)`; both start uniform within `1 / sqrt(in)`.
//!
//! As in PyTorch. candle's own layer draws its weights from a wider range (Kaiming for ReLU).
//!
//! ```
//! use mapsto_nn::linear;
//! use mapsto_tensor::{DType, Device, Module, ParamStore, Tensor};
//! let store = ParamStore::new(DType::F32, &Device::Cpu);
//! let layer = linear(3, 2, store.root())?;
//! let y = layer.forward(&Tensor::zeros((5, 3), DType::F32, &Device::Cpu)?)?;
//! assert_eq!(y.dims(), [5, 2]);
//! # Ok::<(), mapsto_tensor::Error>(())
//! ```
//!
//! **References:** Yann LeCun, Léon Bottou, Genevieve Orr, Klaus-Robert Müller, "Efficient
//! backprop", 1998 (the scale of the initial weights).

use mapsto_tensor::{Module, Result, Tensor, VarBuilder, init::Initializer, ops};
use serde::{Deserialize, Serialize};

/// The sizes of a [`Linear`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LinearConfig {
    /// Size of the input's last dimension.
    pub in_features: usize,
    /// Size of the output's last dimension.
    pub out_features: usize,
    /// Whether a bias is added; default true.
    #[serde(default = "crate::defaults::yes")]
    pub bias: bool,
}

impl LinearConfig {
    /// With a bias.
    pub const fn new(in_features: usize, out_features: usize) -> Self {
        Self {
            in_features,
            out_features,
            bias: true,
        }
    }
}

/// An affine map of the last dimension.
#[derive(Debug, Clone)]
#[doc(alias = "Dense")]
pub struct Linear {
    pub(crate) weight: Tensor,
    bias: Option<Tensor>,
}

/// A [`Linear`] with a bias.
///
/// # Errors
/// When the store behind `vb` holds these names with other shapes.
#[doc(alias = "Dense")]
pub fn linear(in_features: usize, out_features: usize, vb: VarBuilder<'_>) -> Result<Linear> {
    Linear::new(&LinearConfig::new(in_features, out_features), vb)
}

impl Linear {
    /// Makes or finds the parameters under `vb`.
    ///
    /// # Errors
    /// When the store behind `vb` holds these names with other shapes.
    pub fn new(config: &LinearConfig, vb: VarBuilder<'_>) -> Result<Self> {
        let (input, out) = (config.in_features, config.out_features);
        let init = Initializer::torch_default(input);
        let weight = vb.get_with_hints((out, input), "weight", init)?;
        let bias = config
            .bias
            .then(|| vb.get_with_hints(out, "bias", init))
            .transpose()?;
        Ok(Self { weight, bias })
    }

    /// The weight, `(out, in)`.
    pub fn weight(&self) -> &Tensor {
        &self.weight
    }

    /// The bias, `(out)`.
    pub fn bias(&self) -> Option<&Tensor> {
        self.bias.as_ref()
    }
}

impl Module for Linear {
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        ops::linear(x, &self.weight, self.bias.as_ref())
    }
}
