//! Batch normalisation: each channel over the batch and all places.
//!
//! `y = (x - m) / sqrt(v + eps) * w + b`, with the mean `m` and the (biased) variance `v` of each
//! channel: those of the batch, which the gradient then flows through, or given ones.
//!
//! ReLU, plain or leaky, may follow in the same op: what it takes is then not stored but found again.
//!
//! **Shape:** `(N, C, ...)` → the same; `m`, `v`, `w` and `b` `(C)`.
//!
//! **Reference:** Sergey Ioffe, Christian Szegedy, "Batch normalization: accelerating deep network
//! training by reducing internal covariate shift", 2015.

use candle_core::backend::BackendStorage;
use candle_core::{CpuStorage, CustomOp3, Layout, Result, Shape, Tensor, WithDType, bail};

use super::activation::leaky;
use super::batch_norm_kernel::{Affine, Sizes, backward, forward, moments};
use super::constant;
use crate::handover;
use crate::kernel::{dispatch, has_kernel, slice, with_slice};
use crate::tape;

/// What [`batch_norm`] gives.
#[derive(Debug, Clone)]
pub struct BatchNormalized {
    /// The normalised input.
    pub y: Tensor,
    /// The mean of each channel that was used, `(C)`; no gradient flows through it.
    pub mean: Tensor,
    /// The biased variance of each channel that was used, `(C)`; no gradient flows through it.
    pub variance: Tensor,
}

/// Normalises each channel of `x` by `given` mean and variance, or by its own where none are
/// given, then scales and shifts it by `weight` and `bias`; none for 1 and 0.
///
/// # Errors
/// When a shape does not fit, `eps` is negative or no number, or there is but one value a channel
/// to take a variance of.
pub fn batch_norm(
    x: &Tensor,
    weight: Option<&Tensor>,
    bias: Option<&Tensor>,
    given: Option<(&Tensor, &Tensor)>,
    eps: f64,
) -> Result<BatchNormalized> {
    batch_norm_then(x, weight, bias, given, eps, 1.0)
}

/// [`batch_norm`], after which negative values are multiplied by `slope`: 0 for ReLU. The same values
/// and gradients as of the ops one after another, with less memory and time.
///
/// # Errors
/// As [`batch_norm`], and when `slope` is no finite number.
pub fn batch_norm_then(
    x: &Tensor,
    weight: Option<&Tensor>,
    bias: Option<&Tensor>,
    given: Option<(&Tensor, &Tensor)>,
    eps: f64,
    slope: f64,
) -> Result<BatchNormalized> {
    let sizes = Sizes::new(x.dims())?;
    if !(eps >= 0.0 && eps.is_finite()) {
        bail!("batch norm: expected an eps of 0 or more, got {eps}");
    }
    if !slope.is_finite() {
        bail!("batch norm: expected a slope to follow that is a number, got {slope}");
    }
    let channels = sizes.channels;
    for (what, tensor) in [
        ("weight", weight),
        ("bias", bias),
        ("mean", given.map(|given| given.0)),
        ("variance", given.map(|given| given.1)),
    ] {
        if let Some(tensor) = tensor.filter(|tensor| tensor.dims() != [channels]) {
            bail!(
                "batch norm: expected a {what} of shape [{channels}] for an input {:?}, got {:?}",
                x.shape(),
                tensor.shape()
            );
        }
    }
    if given.is_none() && sizes.count() < 2 {
        bail!(
            "batch norm: an input {:?} has one value a channel, which has no variance; give more \
             samples, or evaluate with running statistics",
            x.shape()
        );
    }
    if !has_kernel(x) {
        let mut normalized = composed(x, weight, bias, given, eps)?;
        normalized.y = leaky(&normalized.y, slope)?;
        return Ok(normalized);
    }
    let x = x.contiguous()?;
    let (mean, variance) = match given {
        // Copies: running statistics may change before the backward pass.
        Some((mean, variance)) => (mean.detach().copy()?, variance.detach().copy()?),
        None => dispatch!(x.dtype(), "batch norm", T => {
            let (mean, variance) = with_slice::<T, _>(&x, |x| Ok(moments(&sizes, x)))?;
            let tensor = |data| Tensor::from_vec(data, channels, x.device());
            (tensor(mean)?, tensor(variance)?)
        }),
    };
    let filled = |tensor: Option<&Tensor>, value: f64| match tensor {
        Some(tensor) => tensor.contiguous(),
        None => constant(vec![value; channels], channels, &x),
    };
    let op = BatchNorm {
        mean: mean.clone(),
        variance: variance.clone(),
        eps,
        slope,
        through: given.is_none(),
    };
    let y = tape::apply3(&x, &filled(weight, 1.0)?, &filled(bias, 0.0)?, op)?;
    Ok(BatchNormalized { y, mean, variance })
}

/// The same out of candle ops.
pub(super) fn composed(
    x: &Tensor,
    weight: Option<&Tensor>,
    bias: Option<&Tensor>,
    given: Option<(&Tensor, &Tensor)>,
    eps: f64,
) -> Result<BatchNormalized> {
    let channels = x.dim(1)?;
    let mut as_channels = vec![1; x.rank()];
    as_channels[1] = channels;
    let spread = |tensor: &Tensor| tensor.reshape(as_channels.as_slice());
    let rows = x.transpose(0, 1)?.contiguous()?.flatten_from(1)?;
    let (mean, variance) = match given {
        Some((mean, variance)) => (mean.detach(), variance.detach()),
        None => {
            let mean = rows.mean_keepdim(1)?;
            let variance = rows.broadcast_sub(&mean)?.sqr()?.mean(1)?;
            (mean.squeeze(1)?, variance)
        }
    };
    let scale = (&variance + eps)?.sqrt()?;
    let mut y = x
        .broadcast_sub(&spread(&mean)?)?
        .broadcast_div(&spread(&scale)?)?;
    if let Some(weight) = weight {
        y = y.broadcast_mul(&spread(weight)?)?;
    }
    if let Some(bias) = bias {
        y = y.broadcast_add(&spread(bias)?)?;
    }
    let (mean, variance) = (mean.detach(), variance.detach());
    Ok(BatchNormalized { y, mean, variance })
}

struct BatchNorm {
    mean: Tensor,
    variance: Tensor,
    eps: f64,
    slope: f64,
    /// Whether mean and variance are the input's own.
    through: bool,
}

impl CustomOp3 for BatchNorm {
    fn name(&self) -> &'static str {
        "batch norm"
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
        let sizes = Sizes::new(x_layout.dims())?;
        dispatch!(x.dtype(), "batch norm", T => {
            let (weight, bias) = (slice::<T>(weight, weight_layout)?, slice(bias, bias_layout)?);
            let x = slice(x, x_layout)?;
            let y = with_slice::<T, _>(&self.mean, |mean| {
                with_slice::<T, _>(&self.variance, |variance| {
                    let affine = Affine::new((mean, variance), (weight, bias), self.eps, self.slope);
                    Ok(forward(&sizes, &affine, x))
                })
            })?;
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
        let sizes = Sizes::new(x.dims())?;
        dispatch!(x.dtype(), "batch norm", T => {
            let affine = with_slice::<T, _>(&self.mean, |mean| {
                with_slice(&self.variance, |variance| with_slice(weight, |weight| {
                    with_slice(bias, |bias| {
                        Ok(Affine::new((mean, variance), (weight, bias), self.eps, self.slope))
                    })
                }))
            })?;
            let (dx, dweight, dbias) = with_slice::<T, _>(x, |x| with_slice::<T, _>(grad, |grad| {
                Ok(backward(&sizes, &affine, x, grad, self.through))
            }))?;
            Ok((
                handover::made(x, dx)?,
                handover::made(weight, dweight)?,
                handover::made(bias, dbias)?,
            ))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::composed_tests::assert_same;
    use crate::testing::{check_gradients, wave};

    fn shapes() -> [Vec<usize>; 4] {
        [
            vec![5, 19],
            vec![4, 3, 7],
            vec![3, 2, 5, 7],
            vec![2, 1, 3, 2],
        ]
    }

    fn inputs(shape: &[usize]) -> [Tensor; 3] {
        let channels = shape[1];
        [
            wave(shape.to_vec(), 0.1),
            wave(channels, 0.2),
            wave(channels, 0.3),
        ]
    }

    fn given(channels: usize) -> (Tensor, Tensor) {
        let variance = (wave(channels, 0.5).sqr().unwrap() + 0.3).unwrap();
        (wave(channels, 0.4), variance)
    }

    #[test]
    fn kernel_and_composition_agree() {
        for shape in shapes() {
            let (mean, variance) = given(shape[1]);
            for given in [None, Some((&mean, &variance))] {
                for count in 1..=3 {
                    assert_same(
                        &format!("batch norm of {shape:?}"),
                        &inputs(&shape)[..count],
                        |t| Ok(batch_norm(&t[0], t.get(1), t.get(2), given, 1e-5)?.y),
                        |t| Ok(composed(&t[0], t.get(1), t.get(2), given, 1e-5)?.y),
                    );
                }
            }
        }
    }

    #[test]
    fn what_follows_in_one_op_is_the_same_as_after_it() {
        for shape in shapes() {
            let (mean, variance) = given(shape[1]);
            for given in [None, Some((&mean, &variance))] {
                for slope in [0.0, 0.2] {
                    let [x, w, b] = inputs(&shape);
                    let following = |t: &[Tensor]| {
                        batch_norm_then(&t[0], Some(&t[1]), Some(&t[2]), given, 1e-3, slope)
                    };
                    assert_same(
                        &format!("batch norm of {shape:?} with slope {slope}"),
                        &[x.clone(), w.clone(), b.clone()],
                        |t| Ok(following(t)?.y),
                        |t| {
                            let y = batch_norm(&t[0], Some(&t[1]), Some(&t[2]), given, 1e-3)?.y;
                            leaky(&y, slope)
                        },
                    );
                    check_gradients(&[x, w, b], |t| Ok(following(t)?.y));
                }
            }
        }
    }

    #[test]
    fn gradients_are_right() {
        for shape in shapes() {
            let (mean, variance) = given(shape[1]);
            for given in [None, Some((&mean, &variance))] {
                check_gradients(&inputs(&shape), |t| {
                    Ok(batch_norm(&t[0], Some(&t[1]), Some(&t[2]), given, 1e-3)?.y)
                });
            }
        }
    }

    #[test]
    fn moments_are_those_of_each_channel() {
        let x = wave((3, 2, 4), 0.1);
        let ours = batch_norm(&x, None, None, None, 1e-5).unwrap();
        let rows: Vec<Vec<f64>> = x
            .transpose(0, 1)
            .and_then(|x| x.contiguous()?.flatten_from(1)?.to_vec2())
            .unwrap();
        for (channel, row) in rows.iter().enumerate() {
            let mean = row.iter().sum::<f64>() / 12.0;
            let variance = row.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / 12.0;
            let of = |tensor: &Tensor| tensor.to_vec1::<f64>().unwrap()[channel];
            assert!((of(&ours.mean) - mean).abs() < 1e-12);
            assert!((of(&ours.variance) - variance).abs() < 1e-12);
        }
    }

    #[test]
    fn bits_do_not_depend_on_the_threads() {
        for shape in [vec![64, 700], vec![30, 33, 9, 9]] {
            let run = |threads: usize| {
                let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build();
                pool.unwrap().install(|| {
                    let [x, w, b] = inputs(&shape).map(|x| {
                        let x = x.to_dtype(candle_core::DType::F32).unwrap();
                        candle_core::Var::from_tensor(&x).unwrap()
                    });
                    let y = batch_norm(&x, Some(&w), Some(&b), None, 1e-5).unwrap().y;
                    let grads = y.powf(3.0).unwrap().sum_all().unwrap().backward().unwrap();
                    let bits = |x: &Tensor| x.flatten_all().unwrap().to_vec1::<f32>().unwrap();
                    [&y, grads.get(&x).unwrap(), grads.get(&w).unwrap()].map(bits)
                })
            };
            assert_eq!(run(1), run(2));
            assert_eq!(run(1), run(3));
        }
    }

    #[test]
    fn what_does_not_fit_is_named() {
        let [x, w, b] = inputs(&[4, 3, 5]);
        let refused = |x: &Tensor, weight: &Tensor, eps: f64, what: &str| {
            let error = batch_norm(x, Some(weight), Some(&b), None, eps).unwrap_err();
            assert!(error.to_string().contains(what), "{error}");
        };
        refused(&x, &wave(4, 0.1), 1e-5, "a weight of shape [3]");
        refused(&x, &w, -1.0, "an eps of 0 or more");
        refused(&x, &w, f64::NAN, "an eps of 0 or more");
        refused(&wave(3, 0.1), &w, 1e-5, "(N, C, ...)");
        refused(&wave((1, 3), 0.1), &w, 1e-5, "has no variance");
    }
}
