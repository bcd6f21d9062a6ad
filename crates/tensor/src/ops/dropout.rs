//! Dropout: each element is zeroed with probability `p`, the others grow by `1 / (1 - p)`.
//!
//! The mask comes from the next stream of this thread's generator ([`crate::rng`]), element by
//! element, so it does not depend on the number of threads.
//!
//! **Reference:** Nitish Srivastava et al., "Dropout: a simple way to prevent neural networks
//! from overfitting", 2014.

use candle_core::backend::BackendStorage;
use candle_core::{CpuStorage, CustomOp1, Layout, Result, Shape, Tensor, WithDType, bail};
use rand::RngCore;
use rayon::prelude::*;

use super::constant;
use crate::kernel::{CHUNK, dispatch, has_kernel, slice, with_slice, zip};
use crate::rng;
use crate::tape;

/// Drops elements of `x` with probability `p` in `[0, 1]`.
///
/// # Errors
/// When `p` is not in `[0, 1]`.
pub fn dropout(x: &Tensor, p: f64) -> Result<Tensor> {
    if !(0.0..=1.0).contains(&p) {
        bail!("dropout: the probability must lie in [0, 1], got {p}");
    }
    if p == 0.0 {
        return Ok(x.clone());
    }
    let keep = mask(x.elem_count(), p);
    let scale = if p < 1.0 { 1.0 / (1.0 - p) } else { 0.0 };
    if has_kernel(x) {
        let factors = dispatch!(x.dtype(), "dropout", T => {
            let scale = <T as WithDType>::from_f64(scale);
            let factors: Vec<T> = keep.iter().map(|&keep| if keep { scale } else { T::default() }).collect();
            Tensor::from_vec(factors, x.shape(), x.device())?
        });
        return tape::apply1(&x.contiguous()?, Dropout { factors });
    }
    composed(x, &keep, scale)
}

/// The same out of candle ops.
pub(super) fn composed(x: &Tensor, keep: &[bool], scale: f64) -> Result<Tensor> {
    let factors = keep.iter().map(|&keep| if keep { scale } else { 0.0 });
    x * constant(factors.collect(), x.shape(), x)?
}

/// Which elements stay. Element `i` takes word `i` of the stream, whoever draws it.
pub(super) fn mask(count: usize, p: f64) -> Vec<bool> {
    let stream = rng::next_stream();
    let threshold = (p * f64::from(u32::MAX)).round() as u32;
    let mut keep = vec![false; count];
    keep.par_chunks_mut(CHUNK)
        .enumerate()
        .for_each(|(chunk, keep)| {
            let mut stream = stream.clone();
            stream.set_word_pos((chunk * CHUNK) as u128);
            keep.iter_mut()
                .for_each(|keep| *keep = stream.next_u32() >= threshold && threshold < u32::MAX);
        });
    keep
}

struct Dropout {
    /// 0 or the scale for each element.
    factors: Tensor,
}

impl CustomOp1 for Dropout {
    fn name(&self) -> &'static str {
        "dropout"
    }

    fn cpu_fwd(&self, x: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        dispatch!(x.dtype(), "dropout", T => {
            let x = slice::<T>(x, layout)?;
            let y = with_slice::<T, _>(&self.factors, |factors| Ok(zip(x, factors, |x, f| x * f)))?;
            Ok((T::to_cpu_storage_owned(y), layout.shape().clone()))
        })
    }

    fn bwd(&self, x: &Tensor, _y: &Tensor, grad: &Tensor) -> Result<Option<Tensor>> {
        dispatch!(x.dtype(), "dropout", T => {
            let dx = with_slice::<T, _>(grad, |grad| {
                with_slice::<T, _>(&self.factors, |factors| Ok(zip(grad, factors, |g, f| g * f)))
            })?;
            Ok(Some(Tensor::from_vec(dx, x.shape(), x.device())?))
        })
    }
}
