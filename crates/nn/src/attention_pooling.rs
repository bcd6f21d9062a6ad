//! [`AttentionPooling`]: from the vectors of a sequence to one, by weights that are learned.
//!
//! `u_t = tanh(W h_t + b)`, `a = softmax over t of v . u_t`, `y = sum over t of a_t h_t`; what lies
//! beyond a sequence's end has weight 0.
//!
//! **Shape:** `(N, L, H)` → `(N, H)`, and the weights `(N, L)`.
//!
//! **Parameters:** `weight (A, H)`, `bias (A)`, `context (A)`; `weight` and `bias` start as in
//! [`Linear`](crate::Linear), `context` uniform within `1 / sqrt(A)`.
//!
//! PyTorch has no such layer.
//!
//! ```
//! use mapsto_nn::AttentionPooling;
//! use mapsto_tensor::{DType, Device, ParamStore, Tensor};
//! let store = ParamStore::new(DType::F32, &Device::Cpu);
//! let layer = AttentionPooling::new(8, 4, store.root())?;
//! let x = Tensor::ones((2, 5, 8), DType::F32, &Device::Cpu)?;
//! let (y, weights) = layer.forward(&x, Some(&[5, 2]))?;
//! assert_eq!(y.dims(), [2, 8]);
//! assert_eq!(weights.get(1)?.to_vec1::<f32>()?, [0.5, 0.5, 0.0, 0.0, 0.0]);
//! # Ok::<(), mapsto_tensor::Error>(())
//! ```
//!
//! **Reference:** Zichao Yang et al., "Hierarchical attention networks for document
//! classification", 2016.

use mapsto_tensor::ops::{self, Unary};
use mapsto_tensor::{D, Result, Tensor, VarBuilder, bail, init::Initializer};

/// Pools a sequence by learned weights.
#[derive(Debug, Clone)]
pub struct AttentionPooling {
    weight: Tensor,
    bias: Tensor,
    context: Tensor,
}

impl AttentionPooling {
    /// Makes or finds the parameters under `vb`; `hidden` is the size of a vector, `attention`
    /// that of `u`.
    ///
    /// # Errors
    /// When a size is 0, or the store behind `vb` holds these names with other shapes.
    pub fn new(hidden: usize, attention: usize, vb: VarBuilder<'_>) -> Result<Self> {
        if hidden == 0 || attention == 0 {
            bail!("attention pooling: sizes must be at least 1, got {hidden} and {attention}");
        }
        let init = Initializer::torch_default(hidden);
        let of_context = Initializer::torch_default(attention);
        Ok(Self {
            weight: vb.get_with_hints((attention, hidden), "weight", init)?,
            bias: vb.get_with_hints(attention, "bias", init)?,
            context: vb.get_with_hints(attention, "context", of_context)?,
        })
    }

    /// The pooled vectors and the weights; `lengths` are those of the sequences, all if none are
    /// given.
    ///
    /// # Errors
    /// When shapes or lengths do not fit.
    pub fn forward(&self, x: &Tensor, lengths: Option<&[usize]>) -> Result<(Tensor, Tensor)> {
        let (batch, steps, _) = x.dims3()?;
        let u = ops::unary(
            &ops::linear(x, &self.weight, Some(&self.bias))?,
            Unary::Tanh,
        )?;
        let scores = ops::linear(&u, &self.context.unsqueeze(0)?, None)?.squeeze(D::Minus1)?;
        let scores = match lengths {
            None => scores,
            Some(lengths) => (scores + beyond(lengths, batch, steps, x)?)?,
        };
        let weights = ops::softmax(&scores, D::Minus1)?;
        let pooled = weights.unsqueeze(1)?.matmul(&x.contiguous()?)?.squeeze(1)?;
        Ok((pooled, weights))
    }
}

/// 0 within each sequence, minus infinity beyond its end.
pub(crate) fn beyond(
    lengths: &[usize],
    batch: usize,
    steps: usize,
    like: &Tensor,
) -> Result<Tensor> {
    if lengths.len() != batch {
        bail!(
            "attention: {} lengths for a batch of {batch} sequences",
            lengths.len()
        );
    }
    if let Some(length) = lengths.iter().find(|&&n| n == 0 || n > steps) {
        bail!("attention: a length must lie in 1..={steps}, got {length}");
    }
    let of_row = |&length: &usize| {
        (0..steps).map(move |step| {
            if step < length {
                0.0
            } else {
                f32::NEG_INFINITY
            }
        })
    };
    let mask: Vec<f32> = lengths.iter().flat_map(of_row).collect();
    Tensor::from_vec(mask, (batch, steps), like.device())?.to_dtype(like.dtype())
}
