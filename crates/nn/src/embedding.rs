//! [`Embedding`]: a vector for each of a fixed number of words.
//!
//! `y[.., d] = weight[ids[..], d]`
//!
//! **Shape:** `ids (*)` of whole numbers below `num_embeddings`, as `u8`, `u32` or `i64` →
//! `(*, embedding_dim)`, with any number of dimensions, none included.
//!
//! **Parameters:** `weight (num_embeddings, embedding_dim)`; starts normal with mean 0 and
//! deviation 1, the row of `padding_idx` at 0.
//!
//! As in PyTorch. The row of `padding_idx` gets no gradient, so it stays as it is.
//!
//! ```
//! use mapsto_nn::{Embedding, EmbeddingConfig};
//! use mapsto_tensor::{DType, Device, Module, ParamStore, Tensor};
//! let store = ParamStore::new(DType::F32, &Device::Cpu);
//! let config = EmbeddingConfig { padding_idx: Some(0), ..EmbeddingConfig::new(100, 8) };
//! let layer = Embedding::new(&config, store.root())?;
//! let y = layer.forward(&Tensor::new(&[[5u32, 7, 0]], &Device::Cpu)?)?;
//! assert_eq!(y.dims(), [1, 3, 8]);
//! assert_eq!(y.get(0)?.get(2)?.to_vec1::<f32>()?, [0.0; 8]);
//! # Ok::<(), mapsto_tensor::Error>(())
//! ```
//!
//! **References:** Yoshua Bengio, Réjean Ducharme, Pascal Vincent, Christian Jauvin, "A neural
//! probabilistic language model", 2003.

use mapsto_tensor::{Init, Module, Result, Tensor, VarBuilder, bail, ops};
use serde::{Deserialize, Serialize};

/// The sizes of an [`Embedding`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EmbeddingConfig {
    /// Number of words.
    pub num_embeddings: usize,
    /// Size of a word's vector.
    pub embedding_dim: usize,
    /// The word that stands for nothing: starts at 0 and does not learn; default none.
    #[serde(default)]
    pub padding_idx: Option<u32>,
}

impl EmbeddingConfig {
    /// Without padding.
    pub const fn new(num_embeddings: usize, embedding_dim: usize) -> Self {
        Self {
            num_embeddings,
            embedding_dim,
            padding_idx: None,
        }
    }
}

/// A vector for each of a fixed number of words.
#[derive(Debug, Clone)]
pub struct Embedding {
    pub(crate) weight: Tensor,
    padding_idx: Option<u32>,
}

impl Embedding {
    /// Makes or finds the weight under `vb`; what is found stays as it is, its padding row too.
    ///
    /// # Errors
    /// When `padding_idx` is not one of the words, or the store behind `vb` holds the name with
    /// another shape.
    pub fn new(config: &EmbeddingConfig, vb: VarBuilder<'_>) -> Result<Self> {
        let (words, dim) = (config.num_embeddings, config.embedding_dim);
        if let Some(padding) = config.padding_idx.filter(|&id| id as usize >= words) {
            bail!("embedding: padding_idx {padding} is not one of the {words} words");
        }
        let found = vb.contains_tensor("weight");
        let normal = Init::Randn {
            mean: 0.0,
            stdev: 1.0,
        };
        let weight = vb.get_with_hints((words, dim), "weight", normal)?;
        if let Some(padding) = config.padding_idx.filter(|_| !found) {
            let zeros = Tensor::zeros((1, dim), weight.dtype(), weight.device())?;
            weight.slice_set(&zeros, 0, padding as usize)?;
        }
        Ok(Self {
            weight,
            padding_idx: config.padding_idx,
        })
    }

    /// The vectors, `(num_embeddings, embedding_dim)`.
    pub fn weight(&self) -> &Tensor {
        &self.weight
    }

    /// The word without a gradient.
    pub fn padding_idx(&self) -> Option<u32> {
        self.padding_idx
    }
}

impl Module for Embedding {
    fn forward(&self, ids: &Tensor) -> Result<Tensor> {
        ops::embedding(&self.weight, ids, self.padding_idx)
    }
}
