//! [`MultiheadAttention`]: queries look at a memory, in several ways at once.
//!
//! `q = W_q x + b_q`, `k = W_k m + b_k`, `v = W_v m + b_v`, each cut into heads; for each head `softmax(q
//! k^T / sqrt(E / H)) v`; and of all heads side by side `W_o [..] + b_o`.
//!
//! **Shape:** queries `(N, T, E)`, memory `(N, S, E)` → `(N, T, E)`, and weights `(N, T, S)` as the mean
//! over the heads.
//!
//! **Parameters:** `in_proj_weight (3 E, E)` of queries, keys and values (Xavier uniform),
//! `in_proj_bias (3 E)` at 0, `out_proj.weight (E, E)`, `out_proj.bias (E)` at 0.
//!
//! As in PyTorch with `batch_first`, for keys and values of the queries' size. Masks are lengths,
//! causality, or a tensor that is added; a query that may look nowhere gets 0, not NaN.
//!
//! ```
//! use mapsto_nn::{AttentionMask, MultiheadAttention, MultiheadAttentionConfig};
//! use mapsto_tensor::{DType, Device, ParamStore, Tensor};
//! let store = ParamStore::new(DType::F32, &Device::Cpu);
//! let layer = MultiheadAttention::new(&MultiheadAttentionConfig::new(8, 2), &store.root())?;
//! let x = Tensor::ones((2, 5, 8), DType::F32, &Device::Cpu)?;
//! let mask = AttentionMask { lengths: Some(vec![5, 2]), ..AttentionMask::default() };
//! let (y, weights) = layer.forward(&x, &x, &x, &mask, false)?;
//! assert_eq!((y.dims(), weights.dims()), (&[2, 5, 8][..], &[2, 5, 5][..]));
//! assert_eq!(weights.get(1)?.get(0)?.to_vec1::<f32>()?, [0.5, 0.5, 0.0, 0.0, 0.0]);
//! # Ok::<(), mapsto_tensor::Error>(())
//! ```
//!
//! **Reference:** Ashish Vaswani et al., "Attention is all you need", 2017.

use mapsto_tensor::ops::{
    self, AttentionInputs, AttentionMask, AttentionOptions, multi_head_attention,
};
use mapsto_tensor::{Init, Module, Result, Tensor, VarBuilder, bail};
use serde::{Deserialize, Serialize};

use crate::{Linear, LinearConfig};

/// The options of a [`MultiheadAttention`].
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MultiheadAttentionConfig {
    /// `E`, a multiple of the number of heads.
    pub embed_dim: usize,
    /// Number of heads.
    pub num_heads: usize,
    /// Probability with which a weight is dropped while training; default 0.
    #[serde(default)]
    pub dropout: f64,
    /// Whether the maps have biases; default true.
    #[serde(default = "crate::defaults::yes")]
    pub bias: bool,
}

impl MultiheadAttentionConfig {
    /// With biases and without dropout.
    pub const fn new(embed_dim: usize, num_heads: usize) -> Self {
        Self {
            embed_dim,
            num_heads,
            dropout: 0.0,
            bias: true,
        }
    }
}

/// Attention of several heads.
#[derive(Debug, Clone)]
#[doc(alias = "MultiHeadAttention")]
pub struct MultiheadAttention {
    config: MultiheadAttentionConfig,
    weight: Tensor,
    bias: Option<Tensor>,
    out: Linear,
}

/// Keys and values of a memory, made once for many queries.
#[derive(Debug, Clone)]
pub struct KeyValue(Tensor);

impl KeyValue {
    /// Side by side, `(N, S, 2 E)`.
    pub fn as_tensor(&self) -> &Tensor {
        &self.0
    }

    /// From what [`as_tensor`](Self::as_tensor) gave.
    pub fn from_tensor(tensor: Tensor) -> Self {
        Self(tensor)
    }

    /// Places behind those of `self`.
    ///
    /// # Errors
    /// When shapes do not fit.
    pub fn append(&self, behind: &Self) -> Result<Self> {
        Ok(Self(Tensor::cat(&[&self.0, &behind.0], 1)?))
    }
}

impl MultiheadAttention {
    /// Makes or finds the parameters under `vb`.
    ///
    /// # Errors
    /// When the size is no multiple of the number of heads, the dropout is not in `[0, 1]`, or the
    /// store behind `vb` holds these names with other shapes.
    pub fn new(config: &MultiheadAttentionConfig, vb: &VarBuilder<'_>) -> Result<Self> {
        let (size, heads) = (config.embed_dim, config.num_heads);
        if size == 0 || heads == 0 || !size.is_multiple_of(heads) {
            bail!(
                "multihead attention: the size must be a multiple of the number of heads, at least \
                 1, got {size} and {heads}"
            );
        }
        if !(0.0..=1.0).contains(&config.dropout) {
            bail!(
                "multihead attention: the dropout must lie in [0, 1], got {}",
                config.dropout
            );
        }
        let zeros = Init::Const(0.0);
        let out = vb.pp("out_proj");
        if config.bias && !out.contains_tensor("bias") {
            out.get_with_hints(size, "bias", zeros)?;
        }
        let out_config = LinearConfig {
            bias: config.bias,
            ..LinearConfig::new(size, size)
        };
        let bound = (6.0 / (4 * size) as f64).sqrt();
        let xavier = Init::Uniform {
            lo: -bound,
            up: bound,
        };
        let bias = || vb.get_with_hints(3 * size, "in_proj_bias", zeros);
        Ok(Self {
            config: *config,
            weight: vb.get_with_hints((3 * size, size), "in_proj_weight", xavier)?,
            bias: config.bias.then(bias).transpose()?,
            out: Linear::new(&out_config, out)?,
        })
    }

    /// The options.
    pub fn config(&self) -> &MultiheadAttentionConfig {
        &self.config
    }

    /// What queries `(N, T, E)` see of keys and values `(N, S, E)`, and the weights `(N, T, S)`.
    ///
    /// # Errors
    /// When shapes or lengths do not fit.
    pub fn forward(
        &self,
        query: &Tensor,
        key: &Tensor,
        value: &Tensor,
        mask: &AttentionMask,
        train: bool,
    ) -> Result<(Tensor, Tensor)> {
        let q = self.map(query, 0, 1)?;
        let (k, v) = (self.map(key, 1, 1)?, self.map(value, 2, 1)?);
        let inputs = AttentionInputs::Apart(&q, &k, &v);
        let (y, weights) = self.look(inputs, mask, train, true)?;
        match weights {
            Some(weights) => Ok((y, weights)),
            None => bail!("multihead attention: no weights were given"),
        }
    }

    /// What a sequence `(N, T, E)` sees of itself, by one product for queries, keys and values.
    ///
    /// # Errors
    /// When shapes or lengths do not fit.
    pub fn attend_itself(&self, x: &Tensor, mask: &AttentionMask, train: bool) -> Result<Tensor> {
        let all = self.map(x, 0, 3)?;
        let (y, _) = self.look(AttentionInputs::Packed(&all), mask, train, false)?;
        Ok(y)
    }

    /// Keys and values of a memory `(N, S, E)`, by one product.
    ///
    /// # Errors
    /// When shapes do not fit.
    pub fn keys_values(&self, memory: &Tensor) -> Result<KeyValue> {
        Ok(KeyValue(self.map(memory, 1, 2)?))
    }

    /// What queries `(N, T, E)` see of a memory; the weights too if they are asked for.
    ///
    /// # Errors
    /// When shapes or lengths do not fit.
    pub fn attend(
        &self,
        query: &Tensor,
        memory: &KeyValue,
        mask: &AttentionMask,
        train: bool,
        weights: bool,
    ) -> Result<(Tensor, Option<Tensor>)> {
        let q = self.map(query, 0, 1)?;
        self.look(AttentionInputs::Pair(&q, &memory.0), mask, train, weights)
    }

    /// The maps from number `first` on, of queries, keys and values.
    fn map(&self, x: &Tensor, first: usize, count: usize) -> Result<Tensor> {
        if count == 3 {
            return ops::linear(x, &self.weight, self.bias.as_ref());
        }
        let size = self.config.embed_dim;
        let part = |all: &Tensor| all.narrow(0, first * size, count * size);
        let bias = self.bias.as_ref().map(part).transpose()?;
        ops::linear(x, &part(&self.weight)?, bias.as_ref())
    }

    fn look(
        &self,
        inputs: AttentionInputs<'_>,
        mask: &AttentionMask,
        train: bool,
        weights: bool,
    ) -> Result<(Tensor, Option<Tensor>)> {
        let options = AttentionOptions {
            dropout: if train { self.config.dropout } else { 0.0 },
            weights,
            ..AttentionOptions::new(self.config.num_heads)
        };
        let (y, weights) = multi_head_attention(inputs, mask, &options)?;
        let weights = weights.map(|weights| weights.mean(1)).transpose()?;
        Ok((self.out.forward(&y)?, weights))
    }
}
