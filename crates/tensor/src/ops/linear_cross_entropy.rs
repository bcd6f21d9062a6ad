//! Cross-entropy of the softmax of an affine map, in one op: the last layer of a classifier of
//! many classes, and its loss.
//!
//! `loss_i = -sum over c of q_ic log softmax(x_i W^T + b)_c`, as [`linear`](super::linear) and
//! [`cross_entropy_rows`](super::cross_entropy_rows) one after the other, to the same bits. The
//! logits of a language model are its largest tensor: here they are kept once and turn into
//! their gradient where they lie, instead of being copied three times.
//!
//! **Shape:** `x (*, in)`, `weight (C, in)`, `bias (C)` → `(N)`, a loss a row of `x`. Targets are
//! constants: they get no gradient.

use std::sync::{Mutex, PoisonError};

use candle_core::backend::BackendStorage;
use candle_core::{CpuStorage, CustomOp2, CustomOp3, Device, Layout, Result, Shape, Tensor};

use super::cross_entropy::{self, Rows, Targets};
use super::linear;
use crate::kernel::{Float, dispatch, has_kernel, slice, with_slice};
use crate::tape;

/// The loss of each row of `x W^T + b`.
///
/// # Errors
/// When shapes differ, or a class lies beyond `C`, naming the row.
pub fn linear_cross_entropy(
    x: &Tensor,
    weight: &Tensor,
    bias: Option<&Tensor>,
    targets: Targets,
) -> Result<Tensor> {
    let (rows, classes, input) = linear::check("linear_cross_entropy", x, weight, bias)?;
    targets.check(rows, classes)?;
    let x = tape::reshape(x, (rows, input))?;
    if !has_kernel(&x) {
        return cross_entropy::composed(&linear::composed(&x, weight, bias)?, &targets);
    }
    let op = LinearCrossEntropy {
        rows: Rows::new(targets, classes),
        kept: Mutex::new(None),
    };
    let (x, weight) = (x.contiguous()?, weight.contiguous()?);
    match bias {
        Some(bias) => tape::apply3(&x, &weight, &bias.contiguous()?, op),
        None => tape::apply2(&x, &weight, op),
    }
}

/// What the backward pass needs: the logits, and two numbers a row.
type Kept = (CpuStorage, CpuStorage);

struct LinearCrossEntropy {
    rows: Rows,
    kept: Mutex<Option<Kept>>,
}

type Part<'a> = (&'a CpuStorage, &'a Layout);

impl LinearCrossEntropy {
    /// The logits, the losses, and what the backward pass needs of each row.
    fn run<T: Float>(
        &self,
        [x, weight]: [&[T]; 2],
        bias: Option<&[T]>,
        sizes: (usize, usize, usize),
    ) -> (Vec<T>, Vec<T>, Vec<T>) {
        let mut logits = linear::forward(x, weight, None, sizes);
        let (loss, kept) = match bias {
            Some(bias) => self.rows.losses_with_bias(&mut logits, bias),
            None => self.rows.losses(&logits),
        };
        (logits, loss, kept)
    }

    fn forward(
        &self,
        (x, x_layout): Part<'_>,
        (weight, weight_layout): Part<'_>,
        bias: Option<Part<'_>>,
    ) -> Result<(CpuStorage, Shape)> {
        let ((rows, input), classes) = (x_layout.shape().dims2()?, weight_layout.dims()[0]);
        dispatch!(x.dtype(), "linear_cross_entropy", T => {
            let bias = bias.map(|(bias, layout)| slice::<T>(bias, layout)).transpose()?;
            let factors = [slice::<T>(x, x_layout)?, slice::<T>(weight, weight_layout)?];
            let (logits, loss, kept) = self.run(factors, bias, (rows, classes, input));
            *self.kept.lock().unwrap_or_else(PoisonError::into_inner) =
                Some((owned(logits), owned(kept)));
            Ok((owned(loss), rows.into()))
        })
    }

    /// The gradient of the logits, which takes their place.
    fn gradient(
        &self,
        x: &Tensor,
        weight: &Tensor,
        bias: Option<&Tensor>,
        grad: &Tensor,
    ) -> Result<Tensor> {
        let (shape, input) = ((x.dim(0)?, weight.dim(0)?), x.dim(1)?);
        let kept = self
            .kept
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        dispatch!(x.dtype(), "linear_cross_entropy", T => {
            let (mut logits, kept) = match kept {
                Some((logits, kept)) => (vector::<T>(logits)?, vector::<T>(kept)?),
                // A second backward pass: the first took what was kept.
                None => {
                    let run = |bias: Option<&[T]>| {
                        with_slice::<T, _>(x, |x| with_slice::<T, _>(weight, |weight| {
                            Ok(self.run([x, weight], bias, (shape.0, shape.1, input)))
                        }))
                    };
                    let (logits, _, kept) = match bias {
                        Some(bias) => with_slice::<T, _>(bias, |bias| run(Some(bias)))?,
                        None => run(None)?,
                    };
                    (logits, kept)
                }
            };
            with_slice::<T, _>(grad, |grad| {
                self.rows.gradients(&mut logits, &kept, grad);
                Ok(())
            })?;
            Tensor::from_vec(logits, shape, &Device::Cpu)
        })
    }
}

fn owned<T: Float>(values: Vec<T>) -> CpuStorage {
    T::to_cpu_storage_owned(values)
}

fn vector<T: Float>(storage: CpuStorage) -> Result<Vec<T>> {
    T::cpu_storage_data(storage)
}

impl CustomOp2 for LinearCrossEntropy {
    fn name(&self) -> &'static str {
        "linear_cross_entropy"
    }

    fn cpu_fwd(
        &self,
        x: &CpuStorage,
        x_layout: &Layout,
        weight: &CpuStorage,
        weight_layout: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        self.forward((x, x_layout), (weight, weight_layout), None)
    }

    fn bwd(
        &self,
        x: &Tensor,
        weight: &Tensor,
        _loss: &Tensor,
        grad: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>)> {
        linear::backward(x, weight, &self.gradient(x, weight, None, grad)?)
    }
}

impl CustomOp3 for LinearCrossEntropy {
    fn name(&self) -> &'static str {
        "linear_cross_entropy with bias"
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
        let bias = Some((bias, bias_layout));
        self.forward((x, x_layout), (weight, weight_layout), bias)
    }

    fn bwd(
        &self,
        x: &Tensor,
        weight: &Tensor,
        bias: &Tensor,
        _loss: &Tensor,
        grad: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>, Option<Tensor>)> {
        let grad = self.gradient(x, weight, Some(bias), grad)?;
        let (dx, dw) = linear::backward(x, weight, &grad)?;
        Ok((dx, dw, linear::bias_gradient(bias, &grad)?))
    }
}
