//! [`TransformerDecoderLayer`]: each place looks at its sequence, then at a memory, then goes through
//! two maps by itself.
//!
//! `x = norm1(x + drop(attention(x, x)))`, `x = norm2(x + drop(attention(x, memory)))`, `x = norm3(x +
//! drop(W_2 drop(f(W_1 x + b_1)) + b_2))`; with `norm_first` as in the encoder.
//!
//! **Shape:** `(N, T, E)` and a memory `(N, S, E)` → `(N, T, E)`.
//!
//! **Parameters:** `self_attn.*`, `multihead_attn.*` ([`MultiheadAttention`]), `linear1.*`,
//! `linear2.*`, `norm1.*`, `norm2.*`, `norm3.*`.
//!
//! As in PyTorch with `batch_first`; beside it [`step`](TransformerDecoderLayer::step) goes on from
//! places that were seen before, without going over them again.
//!
//! ```
//! use mapsto_nn::{AttentionMask, TransformerDecoderLayer, TransformerLayerConfig};
//! use mapsto_tensor::{DType, Device, ParamStore, Tensor};
//! let store = ParamStore::new(DType::F32, &Device::Cpu);
//! let config = TransformerLayerConfig { dim_feedforward: 32, ..TransformerLayerConfig::new(8, 2) };
//! let layer = TransformerDecoderLayer::new(&config, &store.root())?;
//! let x = Tensor::ones((2, 5, 8), DType::F32, &Device::Cpu)?;
//! let memory = Tensor::ones((2, 7, 8), DType::F32, &Device::Cpu)?;
//! let causal = AttentionMask { causal: true, ..AttentionMask::default() };
//! let y = layer.forward(&x, &memory, &causal, &AttentionMask::default(), false)?;
//! assert_eq!(y.dims(), [2, 5, 8]);
//! # Ok::<(), mapsto_tensor::Error>(())
//! ```
//!
//! **Reference:** Ashish Vaswani et al., "Attention is all you need", 2017.

use mapsto_tensor::ops::AttentionMask;
use mapsto_tensor::{Result, Tensor, VarBuilder};

use super::feedforward::Feedforward;
use super::{Around, TransformerLayerConfig};
use crate::{KeyValue, MultiheadAttention};

/// A layer of a Transformer's decoder.
#[derive(Debug, Clone)]
pub struct TransformerDecoderLayer {
    itself: MultiheadAttention,
    memory: MultiheadAttention,
    feedforward: Feedforward,
    around: [Around; 3],
}

/// What a step of a layer gave.
#[derive(Debug, Clone)]
pub struct DecoderStep {
    /// The new places, `(N, T, E)`.
    pub output: Tensor,
    /// Where they looked in the memory, `(N, T, S)`, the mean over the heads.
    pub attention: Option<Tensor>,
    /// Keys and values of all places so far.
    pub past: KeyValue,
}

impl TransformerDecoderLayer {
    /// Makes or finds the parameters under `vb`.
    ///
    /// # Errors
    /// When a size or probability is out of range, or the store behind `vb` holds these names with
    /// other shapes.
    pub fn new(config: &TransformerLayerConfig, vb: &VarBuilder<'_>) -> Result<Self> {
        Ok(Self {
            itself: config.attention(&vb.pp("self_attn"))?,
            memory: config.attention(&vb.pp("multihead_attn"))?,
            feedforward: Feedforward::new(config, vb)?,
            around: [
                Around::new(config, vb.pp("norm1"))?,
                Around::new(config, vb.pp("norm2"))?,
                Around::new(config, vb.pp("norm3"))?,
            ],
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
        let memory = self.keys_values(memory)?;
        let [first, second, third] = &self.around;
        let x = first.run(x, train, |x| self.itself.attend_itself(x, mask, train))?;
        let x = second.run(&x, train, |x| {
            let seen = self.memory.attend(x, &memory, memory_mask, train, false)?;
            Ok(seen.0)
        })?;
        third.run(&x, train, |x| self.feedforward.forward(x, train))
    }

    /// Keys and values of a memory `(N, S, E)`, for [`step`](Self::step).
    ///
    /// # Errors
    /// When shapes do not fit.
    pub fn keys_values(&self, memory: &Tensor) -> Result<KeyValue> {
        self.memory.keys_values(memory)
    }

    /// Goes on over the places `x (N, T, E)` behind those of `past`, seeing all up to its own.
    ///
    /// # Errors
    /// When shapes or lengths do not fit.
    pub fn step(
        &self,
        x: &Tensor,
        past: Option<&KeyValue>,
        memory: &KeyValue,
        memory_mask: &AttentionMask,
    ) -> Result<DecoderStep> {
        let [first, second, third] = &self.around;
        let (mut all, mut attention) = (None, None);
        let causal = AttentionMask {
            causal: true,
            ..AttentionMask::default()
        };
        let x = first.run(x, false, |x| {
            let new = self.itself.keys_values(x)?;
            let places = match past {
                Some(past) => past.append(&new)?,
                None => new,
            };
            let seen = self.itself.attend(x, &places, &causal, false, false)?;
            all = Some(places);
            Ok(seen.0)
        })?;
        let x = second.run(&x, false, |x| {
            let (seen, weights) = self.memory.attend(x, memory, memory_mask, false, true)?;
            attention = weights;
            Ok(seen)
        })?;
        let output = third.run(&x, false, |x| self.feedforward.forward(x, false))?;
        match all {
            Some(past) => Ok(DecoderStep {
                output,
                attention,
                past,
            }),
            None => mapsto_tensor::bail!("decoder layer: the first part did not run"),
        }
    }
}
