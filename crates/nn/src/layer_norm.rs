//! [`LayerNorm`]: each sample by itself to mean 0 and deviation 1, then scaled and shifted.
//!
//! `y = (x - mean) / sqrt(variance + eps) * w + b`, with mean and (biased) variance over the
//! dimensions in `normalized_shape`.
//!
//! **Shape:** `(*, normalized_shape)` → the same.
//!
//! **Parameters:** `weight` and `bias` of the shape `normalized_shape`; they start at 1 and 0.
//!
//! As in PyTorch; one kernel forward and one back.
//!
//! ```
//! use mapsto_nn::{LayerNorm, LayerNormConfig};
//! use mapsto_tensor::{DType, Device, Module, ParamStore, Tensor};
//! let store = ParamStore::new(DType::F64, &Device::Cpu);
//! let layer = LayerNorm::new(&LayerNormConfig::new([4]), store.root())?;
//! let y = layer.forward(&Tensor::new(&[[1.0, 2.0, 3.0, 4.0]], &Device::Cpu)?)?;
//! assert!(y.sum_all()?.to_scalar::<f64>()?.abs() < 1e-12);
//! # Ok::<(), mapsto_tensor::Error>(())
//! ```
//!
//! **Reference:** Jimmy Ba, Jamie Kiros, Geoffrey Hinton, "Layer normalization", 2016.

use mapsto_tensor::{Init, Module, Result, Tensor, VarBuilder, bail, ops};
use serde::{Deserialize, Serialize};

/// The options of a [`LayerNorm`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LayerNormConfig {
    /// The last dimensions of the input, all of which are normalised together.
    pub normalized_shape: Vec<usize>,
    /// Added to the variance, 0 or more; default 1e-5.
    #[serde(default = "crate::defaults::eps")]
    pub eps: f64,
    /// Whether there are a weight and a bias; default true.
    #[serde(default = "crate::defaults::yes")]
    pub elementwise_affine: bool,
    /// Whether there is a bias, if there is a weight; default true.
    #[serde(default = "crate::defaults::yes")]
    pub bias: bool,
}

impl LayerNormConfig {
    /// With weight and bias and an eps of 1e-5.
    pub fn new(normalized_shape: impl Into<Vec<usize>>) -> Self {
        Self {
            normalized_shape: normalized_shape.into(),
            eps: 1e-5,
            elementwise_affine: true,
            bias: true,
        }
    }
}

/// Normalises each sample by itself.
#[derive(Debug, Clone)]
#[doc(alias = "LayerNormalization")]
pub struct LayerNorm {
    config: LayerNormConfig,
    weight: Option<Tensor>,
    bias: Option<Tensor>,
}

impl LayerNorm {
    /// Makes or finds the parameters under `vb`.
    ///
    /// # Errors
    /// When the shape is empty, `eps` is negative, or the store behind `vb` holds these names with
    /// other shapes.
    pub fn new(config: &LayerNormConfig, vb: VarBuilder<'_>) -> Result<Self> {
        let shape = &config.normalized_shape;
        if shape.iter().product::<usize>() == 0
            || shape.is_empty()
            || config.eps.is_nan()
            || config.eps < 0.0
        {
            bail!(
                "layer norm: expected a shape of at least 1 number and an eps of 0 or more, got \
                 {config:?}"
            );
        }
        let parameter = |there: bool, name: &str, start: f64| {
            let make = || vb.get_with_hints(shape.as_slice(), name, Init::Const(start));
            there.then(make).transpose()
        };
        let affine = config.elementwise_affine;
        Ok(Self {
            weight: parameter(affine, "weight", 1.0)?,
            bias: parameter(affine && config.bias, "bias", 0.0)?,
            config: config.clone(),
        })
    }

    /// The options.
    pub fn config(&self) -> &LayerNormConfig {
        &self.config
    }
}

impl Module for LayerNorm {
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let shape = &self.config.normalized_shape;
        if !x.dims().ends_with(shape) {
            bail!(
                "layer norm: expected an input that ends in {shape:?}, got {:?}",
                x.shape()
            );
        }
        let eps = self.config.eps;
        if shape.len() == 1 {
            return ops::layer_norm(x, self.weight.as_ref(), self.bias.as_ref(), eps);
        }
        let flat = |tensor: &Option<Tensor>| tensor.as_ref().map(Tensor::flatten_all).transpose();
        let (weight, bias) = (flat(&self.weight)?, flat(&self.bias)?);
        let rows = x.flatten_from(x.rank() - shape.len())?;
        ops::layer_norm(&rows, weight.as_ref(), bias.as_ref(), eps)?.reshape(x.shape())
    }
}
