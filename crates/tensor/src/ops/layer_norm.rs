//! Layer normalisation of the last dimension.
//!
//! `y = (x - m) / sqrt(v + eps) * w + b`, with the mean `m` and the (biased) variance `v` of each
//! row.
//!
//! **Reference:** Jimmy Ba, Jamie Kiros, Geoffrey Hinton, "Layer normalization", 2016.

use candle_core::backend::BackendStorage;
use candle_core::{CpuStorage, CustomOp3, D, Layout, Result, Shape, Tensor, WithDType, bail};
use rayon::prelude::*;

use super::constant;
use crate::handover;
use crate::kernel::{CHUNK, Float, add_rows, dispatch, has_kernel, slice, sum, wide, with_slice};
use crate::tape;

/// Normalises each row of the last dimension, then scales and shifts it by `weight` and `bias`,
/// each as wide as a row; none for 1 and 0.
///
/// # Errors
/// When a shape does not fit, or `eps` is negative or no number.
pub fn layer_norm(
    x: &Tensor,
    weight: Option<&Tensor>,
    bias: Option<&Tensor>,
    eps: f64,
) -> Result<Tensor> {
    let width = x.dims().last().copied().unwrap_or(0);
    if width == 0 || !(eps >= 0.0 && eps.is_finite()) {
        bail!(
            "layer norm: expected rows of at least 1 number and an eps of 0 or more, got {:?} and \
             {eps}",
            x.shape()
        );
    }
    for (what, tensor) in [("weight", weight), ("bias", bias)] {
        if let Some(tensor) = tensor.filter(|tensor| tensor.dims() != [width]) {
            bail!(
                "layer norm: expected a {what} of shape [{width}] for an input {:?}, got {:?}",
                x.shape(),
                tensor.shape()
            );
        }
    }
    if !has_kernel(x) {
        return composed(x, weight, bias, eps);
    }
    let filled = |tensor: Option<&Tensor>, value: f64| match tensor {
        Some(tensor) => tensor.contiguous(),
        None => constant(vec![value; width], width, x),
    };
    let (weight, bias) = (filled(weight, 1.0)?, filled(bias, 0.0)?);
    tape::apply3(&x.contiguous()?, &weight, &bias, LayerNorm { eps, width })
}

/// The same out of candle ops.
pub(super) fn composed(
    x: &Tensor,
    weight: Option<&Tensor>,
    bias: Option<&Tensor>,
    eps: f64,
) -> Result<Tensor> {
    let centred = x.broadcast_sub(&x.mean_keepdim(D::Minus1)?)?;
    let variance = centred.sqr()?.mean_keepdim(D::Minus1)?;
    let mut y = centred.broadcast_div(&(variance + eps)?.sqrt()?)?;
    if let Some(weight) = weight {
        y = y.broadcast_mul(weight)?;
    }
    match bias {
        Some(bias) => y.broadcast_add(bias),
        None => Ok(y),
    }
}

struct LayerNorm {
    eps: f64,
    width: usize,
}

/// Mean, and 1 over the deviation; `scratch` is as wide as the row.
#[inline(always)]
fn moments<T: Float>(x: &[T], eps: T, scratch: &mut [T]) -> (T, T) {
    let count = T::from_f64(x.len() as f64);
    let mean = sum(x) / count;
    for (square, &x) in scratch.iter_mut().zip(x) {
        *square = (x - mean) * (x - mean);
    }
    (mean, T::one() / (sum(scratch) / count + eps).sqrt())
}

/// Rows that one task takes. It depends on the width only, since sums are cut there.
fn rows_a_task(width: usize) -> usize {
    (CHUNK / width).max(1)
}

impl LayerNorm {
    fn forward<T: Float>(&self, x: &[T], weight: &[T], bias: &[T], y: &mut [T]) {
        let eps = T::from_f64(self.eps);
        let part = rows_a_task(self.width) * self.width;
        y.par_chunks_mut(part)
            .zip(x.par_chunks(part))
            .for_each(|(y, x)| {
                wide(
                    #[inline(always)]
                    || {
                        let rows = y.chunks_exact_mut(self.width);
                        for (y, x) in rows.zip(x.chunks_exact(self.width)) {
                            let (mean, scale) = moments(x, eps, y);
                            for ((y, &x), (&w, &b)) in
                                y.iter_mut().zip(x).zip(weight.iter().zip(bias))
                            {
                                *y = (x - mean) * scale * w + b;
                            }
                        }
                    },
                );
            });
    }

    /// The gradient of `x`, and those of weight and bias one after the other.
    fn backward<T: Float>(&self, x: &[T], weight: &[T], grad: &[T]) -> (Vec<T>, Vec<T>) {
        let (width, eps) = (self.width, T::from_f64(self.eps));
        let part = rows_a_task(width) * width;
        let mut dx = vec![T::zero(); x.len()];
        let sums: Vec<Vec<T>> = dx
            .par_chunks_mut(part)
            .zip(x.par_chunks(part).zip(grad.par_chunks(part)))
            .map(|(dx, (x, grad))| {
                let mut sums = vec![T::zero(); 2 * width];
                let mut scratch = vec![T::zero(); width];
                wide(
                    #[inline(always)]
                    || {
                        let rows = x.chunks_exact(width).zip(grad.chunks_exact(width));
                        for (dx, (x, grad)) in dx.chunks_exact_mut(width).zip(rows) {
                            row_back(x, weight, grad, eps, dx, (&mut sums, &mut scratch));
                        }
                    },
                );
                sums
            })
            .collect();
        let mut total = vec![T::zero(); 2 * width];
        sums.iter().for_each(|sums| add_rows(&mut total, sums));
        (dx, total)
    }
}

/// With `h = (x - m) s` and `u = grad w`: `dx = s (u - mean u - h mean(u h))`.
#[inline(always)]
fn row_back<T: Float>(
    x: &[T],
    weight: &[T],
    grad: &[T],
    eps: T,
    dx: &mut [T],
    (sums, scratch): (&mut [T], &mut [T]),
) {
    let count = T::from_f64(x.len() as f64);
    let (mean, scale) = moments(x, eps, scratch);
    let (dweight, dbias) = sums.split_at_mut(x.len());
    for ((dw, db), (&x, &g)) in dweight.iter_mut().zip(dbias).zip(x.iter().zip(grad)) {
        *dw += g * ((x - mean) * scale);
        *db += g;
    }
    for ((u, product), ((&x, &g), &w)) in dx
        .iter_mut()
        .zip(scratch.iter_mut())
        .zip(x.iter().zip(grad).zip(weight))
    {
        *u = g * w;
        *product = *u * ((x - mean) * scale);
    }
    let (mean_u, mean_product) = (sum(dx) / count, sum(scratch) / count);
    for (dx, &x) in dx.iter_mut().zip(x) {
        *dx = scale * (*dx - mean_u - (x - mean) * scale * mean_product);
    }
}

impl CustomOp3 for LayerNorm {
    fn name(&self) -> &'static str {
        "layer_norm"
    }

    fn cpu_fwd(
        &self,
        x: &CpuStorage,
        x_layout: &Layout,
        weight: &CpuStorage,
        weight_layout: &Layout,
        bias: &CpuStorage,
        bias_layout: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        dispatch!(x.dtype(), "layer_norm", T => {
            let x = slice::<T>(x, x_layout)?;
            let (weight, bias) = (slice(weight, weight_layout)?, slice(bias, bias_layout)?);
            let mut y = vec![T::default(); x.len()];
            self.forward(x, weight, bias, &mut y);
            Ok((T::to_cpu_storage_owned(y), x_layout.shape().clone()))
        })
    }

    fn bwd(
        &self,
        x: &Tensor,
        weight: &Tensor,
        bias: &Tensor,
        _y: &Tensor,
        grad: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>, Option<Tensor>)> {
        dispatch!(x.dtype(), "layer_norm", T => {
            let (dx, sums) = with_slice::<T, _>(x, |x| with_slice::<T, _>(weight, |weight| {
                with_slice::<T, _>(grad, |grad| Ok(self.backward(x, weight, grad)))
            }))?;
            let (dweight, dbias) = sums.split_at(self.width);
            Ok((
                handover::made(x, dx)?,
                handover::made(weight, dweight.to_vec())?,
                handover::made(bias, dbias.to_vec())?,
            ))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::composed_tests::assert_same;
    use crate::testing::{check_gradients, wave};

    fn inputs() -> [Tensor; 3] {
        [wave((4, 3, 19), 0.1), wave(19, 0.2), wave(19, 0.3)]
    }

    #[test]
    fn kernel_and_composition_agree() {
        for count in 1..=3 {
            assert_same(
                "layer norm",
                &inputs()[..count],
                |t| layer_norm(&t[0], t.get(1), t.get(2), 1e-5),
                |t| composed(&t[0], t.get(1), t.get(2), 1e-5),
            );
        }
    }

    #[test]
    fn gradients_are_right() {
        check_gradients(&inputs(), |t| {
            layer_norm(&t[0], Some(&t[1]), Some(&t[2]), 1e-3)
        });
        check_gradients(&inputs()[..1], |t| layer_norm(&t[0], None, None, 1e-5));
    }

    #[test]
    fn bits_do_not_depend_on_the_threads() {
        let run = |threads: usize| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build();
            pool.unwrap().install(|| {
                let variable = |x: Tensor| {
                    let x = x.to_dtype(candle_core::DType::F32).unwrap();
                    candle_core::Var::from_tensor(&x).unwrap()
                };
                let x = variable(wave((700, 65), 0.1));
                let [w, b] = [0.2, 0.3].map(|phase| variable(wave(65, phase)));
                let y = layer_norm(x.as_tensor(), Some(&w), Some(&b), 1e-5).unwrap();
                let grads = y.powf(3.0).unwrap().sum_all().unwrap().backward().unwrap();
                let bits = |x: &Tensor| x.flatten_all().unwrap().to_vec1::<f32>().unwrap();
                [&y, grads.get(&x).unwrap(), grads.get(&w).unwrap()].map(bits)
            })
        };
        assert_eq!(run(1), run(2));
        assert_eq!(run(1), run(3));
    }

    #[test]
    fn what_does_not_fit_is_named() {
        let [x, w, b] = inputs();
        let short = w.narrow(0, 0, 18).unwrap();
        for (weight, bias, eps, what) in [
            (&short, &b, 1e-5, "a weight of shape [19]"),
            (&w, &short, 1e-5, "a bias of shape [19]"),
            (&w, &b, -1.0, "an eps of 0 or more"),
            (&w, &b, f64::NAN, "an eps of 0 or more"),
        ] {
            let error = layer_norm(&x, Some(weight), Some(bias), eps).unwrap_err();
            assert!(error.to_string().contains(what), "{error}");
        }
    }
}
