//! Scaled dot-product attention of several heads.
//!
//! For each head, `p = softmax(s q k^T + mask)` over the places of the memory, `y = p v`, with the
//! scale `s = 1 / sqrt(E)`. The heads lie side by side in the columns of queries, keys and values,
//! as a projection makes them, so nothing is moved; what is masked has weight 0 exactly, and a query
//! that may look nowhere gets 0.
//!
//! **Shape:** queries `(N, T, H E)`, keys `(N, S, H E)`, values `(N, S, H F)` → `(N, T, H F)` and
//! weights `(N, H, T, S)`.
//!
//! **Difference from PyTorch:** `causal` counts from the end, so that the queries are the last `T`
//! of the `S` places, as they are when the keys of earlier ones are kept; PyTorch counts from the
//! beginning, which is the same for `T = S`. A query that may look nowhere gives NaN there.
//!
//! **Reference:** Ashish Vaswani et al., "Attention is all you need", 2017.

mod kernel;
mod op;
#[cfg(test)]
mod tests;

use std::sync::{Arc, Mutex};

use candle_core::{D, Result, Tensor, bail};

use self::kernel::Sizes;
use self::op::Attention;
use super::{constant, dropout, softmax};
use crate::kernel::has_kernel;
use crate::macs;
use crate::tape;

/// Queries, keys and values, as projections make them.
#[derive(Debug, Clone, Copy)]
pub enum AttentionInputs<'a> {
    /// All three side by side, `(N, T, 3 D)`: attention of a sequence to itself.
    Packed(&'a Tensor),
    /// Queries `(N, T, D)`; keys and values side by side, `(N, S, 2 D)`.
    Pair(&'a Tensor, &'a Tensor),
    /// Each alone.
    Apart(&'a Tensor, &'a Tensor, &'a Tensor),
}

/// Where queries may not look.
#[derive(Debug, Clone, Default)]
pub struct AttentionMask {
    /// Places of each memory; none if all have `S`.
    pub lengths: Option<Vec<usize>>,
    /// Whether a query sees no place behind its own, the queries being the last `T` of `S` places.
    pub causal: bool,
    /// A constant that is added to the scores, of a shape that `(N, H, T, S)` can be made of;
    /// minus infinity masks.
    pub added: Option<Tensor>,
}

/// How attention goes.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct AttentionOptions {
    /// How many heads.
    pub heads: usize,
    /// Factor on the scores; none for `1 / sqrt(E)`.
    pub scale: Option<f64>,
    /// Probability with which a weight is dropped, in `[0, 1]`.
    pub dropout: f64,
    /// Whether the weights are given, before dropout and with their gradient.
    pub weights: bool,
}

impl AttentionOptions {
    /// With the usual scale, no dropout, and without the weights.
    pub const fn new(heads: usize) -> Self {
        Self {
            heads,
            scale: None,
            dropout: 0.0,
            weights: false,
        }
    }
}

/// Lets queries look at a memory; gives what they see, and the weights if they are asked for.
///
/// # Errors
/// When shapes or lengths do not fit, naming them, or the dropout is not in `[0, 1]`.
#[doc(alias = "scaled_dot_product_attention")]
pub fn multi_head_attention(
    inputs: AttentionInputs<'_>,
    mask: &AttentionMask,
    options: &AttentionOptions,
) -> Result<(Tensor, Option<Tensor>)> {
    let sizes = sizes(inputs, options)?;
    check(mask, &sizes)?;
    if !(0.0..=1.0).contains(&options.dropout) {
        bail!(
            "attention: the dropout must lie in [0, 1], got {}",
            options.dropout
        );
    }
    let like = inputs.first();
    macs::add(sizes.macs());
    if !has_kernel(like) {
        return composed(inputs, mask, options, &sizes);
    }
    let count = sizes.batch * sizes.heads * sizes.queries * sizes.places;
    let full = (sizes.batch, sizes.heads, sizes.queries, sizes.places);
    let added = mask.added.as_ref().map(|added| {
        let added = added.to_dtype(like.dtype())?.broadcast_as(full)?;
        added.contiguous()
    });
    let op = Attention {
        sizes,
        scale: options.scale(&sizes),
        lengths: mask.lengths.clone(),
        causal: mask.causal,
        added: added.transpose()?,
        drop: (options.dropout > 0.0).then(|| dropout::mask(count, options.dropout)),
        kept_share: 1.0 - options.dropout,
        give: options.weights,
        weights: Arc::new(Mutex::new(None)),
    };
    let y = match inputs {
        AttentionInputs::Packed(all) => tape::apply1(&all.contiguous()?, op)?,
        AttentionInputs::Pair(q, kv) => tape::apply2(&q.contiguous()?, &kv.contiguous()?, op)?,
        AttentionInputs::Apart(q, k, v) => {
            tape::apply3(&q.contiguous()?, &k.contiguous()?, &v.contiguous()?, op)?
        }
    };
    if !options.weights {
        return Ok((y, None));
    }
    let out = sizes.outputs();
    let shape = (sizes.batch, sizes.queries, sizes.heads * sizes.value);
    let weights = y.narrow(0, out, count)?.reshape(full)?;
    Ok((y.narrow(0, 0, out)?.reshape(shape)?, Some(weights)))
}

impl AttentionOptions {
    fn scale(&self, sizes: &Sizes) -> f64 {
        self.scale.unwrap_or((sizes.key as f64).powf(-0.5))
    }
}

impl AttentionInputs<'_> {
    fn first(&self) -> &Tensor {
        match self {
            Self::Packed(x) | Self::Pair(x, _) | Self::Apart(x, ..) => x,
        }
    }

    /// Queries, keys and values.
    fn apart(&self) -> Result<[Tensor; 3]> {
        let part = |x: &Tensor, part: usize, of: usize| {
            let width = x.dim(D::Minus1)? / of;
            x.narrow(D::Minus1, part * width, width)
        };
        Ok(match self {
            Self::Packed(x) => [part(x, 0, 3)?, part(x, 1, 3)?, part(x, 2, 3)?],
            Self::Pair(q, kv) => [(*q).clone(), part(kv, 0, 2)?, part(kv, 1, 2)?],
            Self::Apart(q, k, v) => [*q, *k, *v].map(Tensor::clone),
        })
    }
}

fn sizes(inputs: AttentionInputs<'_>, options: &AttentionOptions) -> Result<Sizes> {
    let parts = |x: &Tensor, of: usize| -> Result<(usize, usize, usize)> {
        match *x.dims() {
            [batch, places, width] if width % of == 0 => Ok((batch, places, width / of)),
            _ => bail!(
                "attention: expected an input (N, T, D) with D a multiple of {of}, got {:?}",
                x.shape()
            ),
        }
    };
    let (q, k, v) = match inputs {
        AttentionInputs::Packed(x) => (parts(x, 3)?, parts(x, 3)?, parts(x, 3)?),
        AttentionInputs::Pair(q, kv) => (parts(q, 1)?, parts(kv, 2)?, parts(kv, 2)?),
        AttentionInputs::Apart(q, k, v) => (parts(q, 1)?, parts(k, 1)?, parts(v, 1)?),
    };
    let heads = options.heads;
    if heads == 0 || q.2 == 0 || q.2 % heads != 0 || v.2 % heads != 0 {
        bail!(
            "attention: expected at least 1 head and a width that is a multiple of it, got {heads} \
             heads for queries of {} and values of {}",
            q.2,
            v.2
        );
    }
    if (q.0, q.2) != (k.0, k.2) || (k.0, k.1) != (v.0, v.1) {
        bail!(
            "attention: expected queries (N, T, D), keys (N, S, D) and values (N, S, F), got {q:?}, \
             {k:?} and {v:?}"
        );
    }
    Ok(Sizes {
        batch: q.0,
        heads,
        queries: q.1,
        places: k.1,
        key: q.2 / heads,
        value: v.2 / heads,
    })
}

fn check(mask: &AttentionMask, sizes: &Sizes) -> Result<()> {
    if let Some(lengths) = &mask.lengths {
        if lengths.len() != sizes.batch {
            bail!(
                "attention: {} lengths for a batch of {} memories",
                lengths.len(),
                sizes.batch
            );
        }
        if let Some(length) = lengths.iter().find(|&&length| length > sizes.places) {
            bail!(
                "attention: a length must be at most {}, got {length}",
                sizes.places
            );
        }
    }
    if mask.causal && sizes.queries > sizes.places {
        bail!(
            "attention: {} queries are no last ones of {} places",
            sizes.queries,
            sizes.places
        );
    }
    Ok(())
}

/// The same out of candle ops.
fn composed(
    inputs: AttentionInputs<'_>,
    mask: &AttentionMask,
    options: &AttentionOptions,
    sizes: &Sizes,
) -> Result<(Tensor, Option<Tensor>)> {
    let heads = |x: &Tensor| {
        let (batch, places, width) = x.dims3()?;
        x.reshape((batch, places, sizes.heads, width / sizes.heads))?
            .transpose(1, 2)?
            .contiguous()
    };
    let [q, k, v] = inputs.apart()?;
    let (q, k, v) = (heads(&q)?, heads(&k)?, heads(&v)?);
    let scores = q.matmul(&k.transpose(2, 3)?.contiguous()?)?;
    let mut scores = (scores * options.scale(sizes))?;
    if let Some(added) = &mask.added {
        scores = scores.broadcast_add(&added.to_dtype(q.dtype())?)?;
    }
    let shape = (sizes.batch, 1, sizes.queries, sizes.places);
    let open = constant(open(mask, sizes), shape, &q)?.broadcast_as(scores.shape())?;
    let closed = constant(vec![f64::NEG_INFINITY], 1, &q)?.broadcast_as(scores.shape())?;
    let scores = open.ne(0.0)?.where_cond(&scores, &closed)?;
    // A row of masked places alone is made even, and then nothing.
    let seeing = scores
        .detach()
        .max_keepdim(D::Minus1)?
        .ne(f64::NEG_INFINITY)?;
    let rows = seeing.broadcast_as(scores.shape())?;
    let scores = rows.where_cond(&scores, &scores.zeros_like()?)?;
    let weights = softmax(&scores, D::Minus1)?.broadcast_mul(&seeing.to_dtype(q.dtype())?)?;
    let y = dropout(&weights, options.dropout)?.matmul(&v)?;
    let y = y.transpose(1, 2)?.contiguous()?.flatten_from(2)?;
    Ok((y, options.weights.then_some(weights)))
}

/// 1 for each place that lengths and causality leave open, else 0, `(N, T, S)`.
fn open(mask: &AttentionMask, sizes: &Sizes) -> Vec<f64> {
    let mut open = vec![];
    for row in 0..sizes.batch {
        let length = mask.lengths.as_ref().map_or(sizes.places, |all| all[row]);
        for query in 0..sizes.queries {
            let limit = sizes.limit(query, length, mask.causal);
            open.extend((0..sizes.places).map(|place| f64::from(u8::from(place < limit))));
        }
    }
    open
}
