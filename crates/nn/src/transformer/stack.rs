//! [`TransformerEncoder`] and [`TransformerDecoder`]: layers one after the other.
//!
//! **Shape:** as of one layer.
//!
//! **Parameters:** `layers.0.*` and so on; `norm.*` if a normalisation follows the last.
//!
//! As in PyTorch, but each layer begins with weights of its own; there all begin as copies of one.
//!
//! ```
//! use mapsto_nn::{AttentionMask, TransformerEncoder, TransformerLayerConfig};
//! use mapsto_tensor::{DType, Device, ParamStore, Tensor};
//! let store = ParamStore::new(DType::F32, &Device::Cpu);
//! let config = TransformerLayerConfig { dim_feedforward: 32, ..TransformerLayerConfig::new(8, 2) };
//! let encoder = TransformerEncoder::new(&config, 3, true, &store.root())?;
//! let x = Tensor::ones((2, 5, 8), DType::F32, &Device::Cpu)?;
//! assert_eq!(encoder.forward(&x, &AttentionMask::default(), false)?.dims(), [2, 5, 8]);
//! # Ok::<(), mapsto_tensor::Error>(())
//! ```
//!
//! **Reference:** Ashish Vaswani et al., "Attention is all you need", 2017.

use mapsto_tensor::ops::AttentionMask;
use mapsto_tensor::{Module, Result, Tensor, VarBuilder};

use super::{TransformerDecoderLayer, TransformerEncoderLayer, TransformerLayerConfig};
use crate::LayerNorm;

/// The encoder of a Transformer.
#[derive(Debug, Clone)]
pub struct TransformerEncoder {
    layers: Vec<TransformerEncoderLayer>,
    norm: Option<LayerNorm>,
}

/// The decoder of a Transformer.
#[derive(Debug, Clone)]
pub struct TransformerDecoder {
    layers: Vec<TransformerDecoderLayer>,
    norm: Option<LayerNorm>,
}

impl TransformerEncoder {
    /// `count` layers, and a normalisation behind the last if `norm`.
    ///
    /// # Errors
    /// As for a layer.
    pub fn new(
        config: &TransformerLayerConfig,
        count: usize,
        norm: bool,
        vb: &VarBuilder<'_>,
    ) -> Result<Self> {
        let layer = |i: usize| TransformerEncoderLayer::new(config, &vb.pp("layers").pp(i));
        Ok(Self {
            layers: (0..count).map(layer).collect::<Result<_>>()?,
            norm: norm.then(|| config.norm(vb.pp("norm"))).transpose()?,
        })
    }

    /// Goes over `x (N, T, E)`.
    ///
    /// # Errors
    /// When shapes or lengths do not fit.
    pub fn forward(&self, x: &Tensor, mask: &AttentionMask, train: bool) -> Result<Tensor> {
        let step = |x: Tensor, layer: &TransformerEncoderLayer| layer.forward(&x, mask, train);
        normalised(self.layers.iter().try_fold(x.clone(), step)?, &self.norm)
    }
}

impl TransformerDecoder {
    /// `count` layers, and a normalisation behind the last if `norm`.
    ///
    /// # Errors
    /// As for a layer.
    pub fn new(
        config: &TransformerLayerConfig,
        count: usize,
        norm: bool,
        vb: &VarBuilder<'_>,
    ) -> Result<Self> {
        let layer = |i: usize| TransformerDecoderLayer::new(config, &vb.pp("layers").pp(i));
        Ok(Self {
            layers: (0..count).map(layer).collect::<Result<_>>()?,
            norm: norm.then(|| config.norm(vb.pp("norm"))).transpose()?,
        })
    }

    /// Goes over `x (N, T, E)` with a memory `(N, S, E)`.
    ///
    /// # Errors
    /// When shapes or lengths do not fit.
    pub fn forward(
        &self,
        x: &Tensor,
        memory: &Tensor,
        mask: &AttentionMask,
        memory_mask: &AttentionMask,
        train: bool,
    ) -> Result<Tensor> {
        let step = |x: Tensor, layer: &TransformerDecoderLayer| {
            layer.forward(&x, memory, mask, memory_mask, train)
        };
        normalised(self.layers.iter().try_fold(x.clone(), step)?, &self.norm)
    }

    /// The layers, for going on place by place.
    pub fn layers(&self) -> &[TransformerDecoderLayer] {
        &self.layers
    }

    /// What follows the last layer.
    ///
    /// # Errors
    /// When the shape does not fit.
    pub fn finish(&self, x: Tensor) -> Result<Tensor> {
        normalised(x, &self.norm)
    }
}

fn normalised(x: Tensor, norm: &Option<LayerNorm>) -> Result<Tensor> {
    match norm {
        Some(norm) => norm.forward(&x),
        None => Ok(x),
    }
}
