//! Dropout: each element is zeroed with probability `p`, the others grow by `1 / (1 - p)`.
//!
//! The mask comes from the next stream of this thread's generator ([`crate::rng`]), element by
//! element, so it does not depend on the number of threads.
//!
//! **Reference:** Nitish Srivastava et al., "Dropout: a simple way to prevent neural networks
//! from overfitting", 2014.

use candle_core::backend::BackendStorage;
use candle_core::{CpuStorage, CustomOp1, Layout, Result, Shape, Tensor, bail};
use rand::RngCore;

use super::constant;
use crate::kernel::{CHUNK, Float, dispatch, has_kernel, slice, with_slice, written, zip};
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
    if !has_kernel(x) {
        return composed(x, p);
    }
    let factors = dispatch!(x.dtype(), "dropout", T => {
        Tensor::from_vec(factors::<T>(x.elem_count(), p), x.shape(), x.device())?
    });
    tape::apply1(&x.contiguous()?, Dropout { factors })
}

/// The same out of candle ops.
pub(super) fn composed(x: &Tensor, p: f64) -> Result<Tensor> {
    x * constant(factors(x.elem_count(), p), x.shape(), x)?
}

/// 0 for the elements that go, `1 / (1 - p)` for those that stay.
fn factors<T: Float>(count: usize, p: f64) -> Vec<T> {
    drawn(count, p, [T::zero(), T::from_f64(1.0 / (1.0 - p))])
}

/// Which elements stay.
pub(super) fn mask(count: usize, p: f64) -> Vec<bool> {
    drawn(count, p, [false, true])
}

/// The first value for the elements that go, the second for those that stay. Element `i` takes word
/// `i` of the stream, whoever draws it.
fn drawn<V: Copy + Send + Sync>(count: usize, p: f64, [goes, stays]: [V; 2]) -> Vec<V> {
    let stream = rng::next_stream();
    let threshold = (p * f64::from(u32::MAX)).round() as u32;
    written(count, CHUNK, |values, range| {
        let mut stream = stream.clone();
        stream.set_word_pos(range.start as u128);
        for value in values {
            let keep = stream.next_u32() >= threshold && threshold < u32::MAX;
            value.write(if keep { stays } else { goes });
        }
    })
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
            Ok((<T as candle_core::WithDType>::to_cpu_storage_owned(y), layout.shape().clone()))
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
