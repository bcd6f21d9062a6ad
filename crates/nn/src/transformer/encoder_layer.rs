//! [`TransformerEncoderLayer`]: each place looks at all places, then goes through two maps by itself.
//!
//! `x = norm1(x + drop(attention(x)))`, `x = norm2(x + drop(W_2 drop(f(W_1 x + b_1)) + b_2))`; with
//! `norm_first`, `x = x + drop(attention(norm1(x)))` and likewise.
//!
//! **Shape:** `(N, T, E)` → the same.
//!
//! **Parameters:** `self_attn.*` ([`MultiheadAttention`]), `linear1.*`, `linear2.*`, `norm1.*`,
//! `norm2.*`.
//!
//! As in PyTorch with `batch_first`.
//!
//! ```
//! use mapsto_nn::{AttentionMask, TransformerEncoderLayer, TransformerLayerConfig};
//! use mapsto_tensor::{DType, Device, ParamStore, Tensor};
//! let store = ParamStore::new(DType::F32, &Device::Cpu);
//! let config = TransformerLayerConfig { dim_feedforward: 32, ..TransformerLayerConfig::new(8, 2) };
//! let layer = TransformerEncoderLayer::new(&config, &store.root())?;
//! let x = Tensor::ones((2, 5, 8), DType::F32, &Device::Cpu)?;
//! assert_eq!(layer.forward(&x, &AttentionMask::default(), false)?.dims(), [2, 5, 8]);
//! # Ok::<(), mapsto_tensor::Error>(())
//! ```
//!
//! **Reference:** Ashish Vaswani et al., "Attention is all you need", 2017; Ruibin Xiong et al., "On
//! layer normalization in the Transformer architecture", 2020 (`norm_first`).

use mapsto_tensor::ops::AttentionMask;
use mapsto_tensor::{Result, Tensor, VarBuilder};

use super::feedforward::Feedforward;
use super::{Around, TransformerLayerConfig};
use crate::MultiheadAttention;

/// A layer of a Transformer's encoder.
#[derive(Debug, Clone)]
pub struct TransformerEncoderLayer {
    attention: MultiheadAttention,
    feedforward: Feedforward,
    around: [Around; 2],
}

impl TransformerEncoderLayer {
    /// Makes or finds the parameters under `vb`.
    ///
    /// # Errors
    /// When a size or probability is out of range, or the store behind `vb` holds these names with
    /// other shapes.
    pub fn new(config: &TransformerLayerConfig, vb: &VarBuilder<'_>) -> Result<Self> {
        Ok(Self {
            attention: config.attention(&vb.pp("self_attn"))?,
            feedforward: Feedforward::new(config, vb)?,
            around: [
                Around::new(config, vb.pp("norm1"))?,
                Around::new(config, vb.pp("norm2"))?,
            ],
        })
    }

    /// Goes over `x (N, T, E)`.
    ///
    /// # Errors
    /// When shapes or lengths do not fit.
    pub fn forward(&self, x: &Tensor, mask: &AttentionMask, train: bool) -> Result<Tensor> {
        let [attention, feedforward] = &self.around;
        let x = attention.run(x, train, |x| self.attention.attend_itself(x, mask, train))?;
        feedforward.run(&x, train, |x| self.feedforward.forward(x, train))
    }
}
