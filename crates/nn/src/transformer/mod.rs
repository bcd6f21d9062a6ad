//! Layers of a Transformer, and stacks of them.

mod decoder_layer;
mod encoder_layer;
mod feedforward;
mod stack;

pub use decoder_layer::{DecoderStep, TransformerDecoderLayer};
pub use encoder_layer::TransformerEncoderLayer;
pub use stack::{TransformerDecoder, TransformerEncoder};

use mapsto_tensor::{Module, Result, Tensor, VarBuilder, ops};
use serde::{Deserialize, Serialize};

use crate::{Activation, LayerNorm, LayerNormConfig, MultiheadAttention, MultiheadAttentionConfig};

/// The options of a [`TransformerEncoderLayer`] or [`TransformerDecoderLayer`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TransformerLayerConfig {
    /// Size of every place, a multiple of the number of heads.
    pub d_model: usize,
    /// Number of heads.
    pub nhead: usize,
    /// Units between the two maps; default 2048.
    #[serde(default = "crate::defaults::dim_feedforward")]
    pub dim_feedforward: usize,
    /// Dropout of attention weights, of those units, and of what each part adds, in `[0, 1]`; default
    /// 0.1.
    #[serde(default = "crate::defaults::tenth")]
    pub dropout: f64,
    /// Between the two maps; default ReLU.
    #[serde(default = "crate::defaults::relu")]
    pub activation: Activation,
    /// Of the normalisations; default 1e-5.
    #[serde(default = "crate::defaults::eps")]
    pub layer_norm_eps: f64,
    /// Whether each part normalises what it reads, instead of the sum of that and what it adds;
    /// default false.
    #[serde(default)]
    pub norm_first: bool,
    /// Whether maps and normalisations have biases; default true.
    #[serde(default = "crate::defaults::yes")]
    pub bias: bool,
}

impl TransformerLayerConfig {
    /// With PyTorch's defaults.
    pub fn new(d_model: usize, nhead: usize) -> Self {
        Self {
            d_model,
            nhead,
            dim_feedforward: 2048,
            dropout: 0.1,
            activation: Activation::Relu,
            layer_norm_eps: 1e-5,
            norm_first: false,
            bias: true,
        }
    }

    fn attention(&self, vb: &VarBuilder<'_>) -> Result<MultiheadAttention> {
        let config = MultiheadAttentionConfig {
            dropout: self.dropout,
            bias: self.bias,
            ..MultiheadAttentionConfig::new(self.d_model, self.nhead)
        };
        MultiheadAttention::new(&config, vb)
    }

    fn norm(&self, vb: VarBuilder<'_>) -> Result<LayerNorm> {
        let config = LayerNormConfig {
            eps: self.layer_norm_eps,
            bias: self.bias,
            ..LayerNormConfig::new([self.d_model])
        };
        LayerNorm::new(&config, vb)
    }
}

/// A part of a layer with the way around it: `norm(x + drop(part(x)))`, or `x + drop(part(norm(x)))`.
#[derive(Debug, Clone)]
struct Around {
    norm: LayerNorm,
    first: bool,
    dropout: f64,
}

impl Around {
    fn new(config: &TransformerLayerConfig, vb: VarBuilder<'_>) -> Result<Self> {
        Ok(Self {
            norm: config.norm(vb)?,
            first: config.norm_first,
            dropout: config.dropout,
        })
    }

    fn run(
        &self,
        x: &Tensor,
        train: bool,
        part: impl FnOnce(&Tensor) -> Result<Tensor>,
    ) -> Result<Tensor> {
        let part = |x: &Tensor| {
            let y = part(x)?;
            ops::dropout(&y, if train { self.dropout } else { 0.0 })
        };
        if self.first {
            return x + part(&self.norm.forward(x)?)?;
        }
        self.norm.forward(&(x + part(x)?)?)
    }
}
