//! [`Attention`]: for each query, a mix of a memory by weights that compare it with each place.
//!
//! `e_s = score(h, m_s)`, `a = softmax over s of e`, `c = sum over s of a_s m_s`; what lies beyond
//! the end of a memory has weight 0. The score is
//!
//! - dot: `h . m`, for which both have the same size;
//! - general: `h . W m`;
//! - concat: `v . tanh(W [h; m])`.
//!
//! **Shape:** queries `(N, T, H)`, memory `(N, S, C)` → contexts `(N, T, C)` and weights `(N, T, S)`.
//!
//! **Parameters:** dot none; general `weight (H, C)`; concat `weight (A, H + C)` and `energy.weight
//! (1, A)`; all as of PyTorch's `Linear` without bias.
//!
//! PyTorch has no such layer.
//!
//! ```
//! use mapsto_nn::{Attention, Score};
//! use mapsto_tensor::{DType, Device, ParamStore, Tensor};
//! let store = ParamStore::new(DType::F32, &Device::Cpu);
//! let layer = Attention::new(Score::General, 8, 6, store.root())?;
//! let queries = Tensor::ones((2, 9, 8), DType::F32, &Device::Cpu)?;
//! let memory = Tensor::ones((2, 5, 6), DType::F32, &Device::Cpu)?;
//! let (contexts, weights) = layer.forward(&queries, &memory, Some(&[5, 2]))?;
//! assert_eq!(contexts.dims(), [2, 9, 6]);
//! assert_eq!(weights.get(1)?.get(0)?.to_vec1::<f32>()?, [0.5, 0.5, 0.0, 0.0, 0.0]);
//! # Ok::<(), mapsto_tensor::Error>(())
//! ```
//!
//! **Reference:** Minh-Thang Luong, Hieu Pham, Christopher Manning, "Effective approaches to
//! attention-based neural machine translation", 2015.

use mapsto_tensor::ops::{self, Unary};
use mapsto_tensor::{D, Result, Tensor, VarBuilder, bail, init::Initializer};

use crate::attention_pooling::beyond;

/// How a query is compared with a place of the memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Score {
    /// The dot product.
    Dot,
    /// The dot product with a linear map between.
    General,
    /// A layer with this many units over both.
    Concat(usize),
}

/// Mixes a memory for each query.
#[derive(Debug, Clone)]
#[doc(alias = "LuongAttention")]
#[doc(alias = "GlobalAttention")]
pub struct Attention {
    score: Weights,
    query_size: usize,
    memory_size: usize,
}

#[derive(Debug, Clone)]
enum Weights {
    Dot,
    General(Tensor),
    Concat(Tensor, Tensor),
}

impl Attention {
    /// Makes or finds the parameters under `vb`; queries have `query_size` numbers, places
    /// `memory_size`.
    ///
    /// # Errors
    /// When a size is 0, those of a dot product differ, or the store behind `vb` holds these names
    /// with other shapes.
    pub fn new(
        score: Score,
        query_size: usize,
        memory_size: usize,
        vb: VarBuilder<'_>,
    ) -> Result<Self> {
        if query_size == 0 || memory_size == 0 || score == Score::Concat(0) {
            bail!(
                "attention: sizes must be at least 1, got {query_size}, {memory_size}, {score:?}"
            );
        }
        let matrix = |rows: usize, columns: usize, name: &str| {
            vb.get_with_hints((rows, columns), name, Initializer::torch_default(columns))
        };
        let score = match score {
            Score::Dot if query_size != memory_size => bail!(
                "attention: a dot product needs queries and memory of one size, got {query_size} \
                 and {memory_size}; take the general score"
            ),
            Score::Dot => Weights::Dot,
            Score::General => Weights::General(matrix(query_size, memory_size, "weight")?),
            Score::Concat(units) => Weights::Concat(
                matrix(units, query_size + memory_size, "weight")?,
                matrix(1, units, "energy.weight")?,
            ),
        };
        Ok(Self {
            score,
            query_size,
            memory_size,
        })
    }

    /// The mixes and the weights; `lengths` are the places of each memory, all if none are given.
    ///
    /// # Errors
    /// When shapes or lengths do not fit.
    pub fn forward(
        &self,
        queries: &Tensor,
        memory: &Tensor,
        lengths: Option<&[usize]>,
    ) -> Result<(Tensor, Tensor)> {
        let (batch, places, width) = memory.dims3()?;
        let (rows, _, size) = queries.dims3()?;
        if (rows, size, width) != (batch, self.query_size, self.memory_size) {
            bail!(
                "attention: expected queries ({batch}, T, {}) and a memory ({batch}, S, {}), got \
                 {:?} and {:?}",
                self.query_size,
                self.memory_size,
                queries.shape(),
                memory.shape()
            );
        }
        let mut scores = self.scores(queries, memory)?;
        if let Some(lengths) = lengths {
            let mask = beyond(lengths, batch, places, memory)?;
            scores = scores.broadcast_add(&mask.unsqueeze(1)?)?;
        }
        let weights = ops::softmax(&scores, D::Minus1)?;
        Ok((weights.matmul(&memory.contiguous()?)?, weights))
    }

    /// `(N, T, S)`.
    fn scores(&self, queries: &Tensor, memory: &Tensor) -> Result<Tensor> {
        let dot = |queries: &Tensor, keys: &Tensor| {
            queries
                .contiguous()?
                .matmul(&keys.transpose(1, 2)?.contiguous()?)
        };
        match &self.score {
            Weights::Dot => dot(queries, memory),
            // Of `h W` a search has one row a step, of `W m` all places of the memory.
            Weights::General(weight) => dot(&ops::linear(queries, &weight.t()?, None)?, memory),
            Weights::Concat(weight, energy) => {
                let part = |x: &Tensor, from: usize, size: usize| {
                    ops::linear(x, &weight.narrow(1, from, size)?, None)
                };
                let asked = part(queries, 0, self.query_size)?.unsqueeze(2)?;
                let keys = part(memory, self.query_size, self.memory_size)?.unsqueeze(1)?;
                let compared = ops::unary(&asked.broadcast_add(&keys)?, Unary::Tanh)?;
                ops::linear(&compared, energy, None)?.squeeze(D::Minus1)
            }
        }
    }
}
