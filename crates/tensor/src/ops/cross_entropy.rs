//! Cross-entropy of a softmax against target distributions, one loss a row, in one op.
//!
//! `loss_i = -sum over c of q_ic log softmax(x_i)_c`, and its gradient
//! `g_i (softmax(x_i)_c sum(q_i) - q_ic)`. With a class target `t`, weights `w` and smoothing
//! `e` over `C` classes, `q_ic = w_c ((1 - e) [c = t] + e / C)`; an ignored row has `q = 0`.
//! Two numbers a row are kept from the forward pass; the softmax is computed where the gradient
//! goes and never stored.
//!
//! **Shape:** `logits (N, C)` → `(N)`. Targets are constants: they get no gradient.

use std::sync::{Mutex, PoisonError};

use candle_core::backend::BackendStorage;
use candle_core::{
    CpuStorage, CustomOp1, D, Device, Layout, Result, Shape, Tensor, WithDType, bail,
};
use rayon::prelude::*;

use super::softmax::{self, max_and_log_sum, rows_a_task};
use super::{constant, linear};
use crate::kernel::{Float, dispatch, has_kernel, slice, sum, wide, with_slice};
use crate::math::exp;
use crate::tape;

/// What the rows should be.
#[derive(Debug, Clone)]
pub enum Targets {
    /// A class a row; `None` is ignored.
    Classes {
        /// The classes.
        labels: Vec<Option<u32>>,
        /// Weight of each class; all 1 if absent.
        weights: Option<Vec<f64>>,
        /// Share of the target spread evenly over all classes, in `[0, 1]`.
        smoothing: f64,
    },
    /// A distribution a row, row by row, already weighted.
    Distributions(Vec<f64>),
}

impl Targets {
    pub(super) fn check(&self, rows: usize, classes: usize) -> Result<()> {
        if classes == 0 && rows > 0 {
            bail!("cross entropy: {rows} rows of 0 classes; expected at least one class");
        }
        match self {
            Self::Distributions(values) if values.len() != rows * classes => bail!(
                "cross entropy: {} target probabilities for {rows} rows of {classes} classes",
                values.len()
            ),
            Self::Distributions(_) => Ok(()),
            Self::Classes {
                labels,
                weights,
                smoothing,
            } => {
                if labels.len() != rows {
                    bail!("cross entropy: {} targets for {rows} rows", labels.len());
                }
                let beyond = |l: &Option<u32>| l.is_some_and(|l| l as usize >= classes);
                if let Some(row) = labels.iter().position(beyond) {
                    bail!(
                        "cross entropy: target {} in row {row} is not one of the {classes} \
                         classes 0..={}; check the labels or the size of the last layer",
                        labels[row].unwrap_or_default(),
                        classes.saturating_sub(1)
                    );
                }
                if weights.as_ref().is_some_and(|w| w.len() != classes) {
                    bail!("cross entropy: expected a weight for each of {classes} classes");
                }
                if !(0.0..=1.0).contains(smoothing) {
                    bail!("cross entropy: label smoothing must lie in [0, 1], got {smoothing}");
                }
                Ok(())
            }
        }
    }

    /// Writes the target distribution of one row.
    fn fill(&self, row: usize, q: &mut [f64]) {
        match self {
            Self::Distributions(values) => q.copy_from_slice(&values[row * q.len()..][..q.len()]),
            Self::Classes {
                labels,
                weights,
                smoothing,
            } => {
                let Some(label) = labels[row] else {
                    return q.fill(0.0);
                };
                q.fill(smoothing / q.len() as f64);
                q[label as usize] += 1.0 - smoothing;
                if let Some(weights) = weights {
                    q.iter_mut().zip(weights).for_each(|(q, w)| *q *= w);
                }
            }
        }
    }

    /// The class of a row whose classes all have weight 1, the common case, and the smoothing.
    fn plain(&self, row: usize) -> Option<(usize, f64)> {
        match self {
            Self::Classes {
                labels,
                weights: None,
                smoothing,
            } => Some((labels[row]? as usize, *smoothing)),
            _ => None,
        }
    }
}

/// The loss of each row of `logits (N, C)`.
///
/// # Errors
/// When shapes differ, or a class lies beyond `C`, naming the row.
pub fn cross_entropy_rows(logits: &Tensor, targets: Targets) -> Result<Tensor> {
    let (rows, classes) = logits.dims2()?;
    targets.check(rows, classes)?;
    if has_kernel(logits) {
        let op = CrossEntropy {
            rows: Rows::new(targets, classes),
            normalizers: Mutex::new(None),
        };
        return tape::apply1(&logits.contiguous()?, op);
    }
    composed(logits, &targets)
}

/// The same out of candle ops.
pub(super) fn composed(logits: &Tensor, targets: &Targets) -> Result<Tensor> {
    let (rows, classes) = logits.dims2()?;
    let mut q = vec![0.0; rows * classes];
    q.chunks_exact_mut(classes.max(1))
        .enumerate()
        .for_each(|(row, q)| targets.fill(row, q));
    let q = constant(q, (rows, classes), logits)?;
    (softmax::composed(logits, true)? * q)?
        .sum(D::Minus1)?
        .neg()
}

/// What softmax makes of one logit, given its row's maximum and logarithm of the sum.
#[inline(always)]
fn probability<T: Float>(x: T, (max, log_sum): (T, T)) -> T {
    exp(x - max - log_sum)
}

/// The rows of a batch against their targets.
pub(super) struct Rows {
    targets: Targets,
    classes: usize,
}

impl Rows {
    pub(super) fn new(targets: Targets, classes: usize) -> Self {
        Self { targets, classes }
    }

    /// The loss of each row `(N)`, and its maximum and logarithm of the sum `(N, 2)`.
    pub(super) fn losses<T: Float>(&self, logits: &[T]) -> (Vec<T>, Vec<T>) {
        self.losses_of(logits.par_chunks(self.classes.max(1)))
    }

    /// The same after `bias` is added to each row, while the row is in a cache.
    pub(super) fn losses_with_bias<T: Float>(
        &self,
        logits: &mut [T],
        bias: &[T],
    ) -> (Vec<T>, Vec<T>) {
        let rows = logits.par_chunks_mut(self.classes.max(1));
        self.losses_of(rows.map(|row| {
            linear::add_bias(row, bias);
            &*row
        }))
    }

    fn losses_of<'a, T: Float>(
        &self,
        rows: impl IndexedParallelIterator<Item = &'a [T]>,
    ) -> (Vec<T>, Vec<T>) {
        let count = rows.len();
        let (mut loss, mut kept) = (vec![T::default(); count], vec![T::default(); count * 2]);
        loss.par_iter_mut()
            .zip(kept.par_chunks_mut(2))
            .zip(rows)
            .enumerate()
            .with_min_len(rows_a_task(self.classes))
            .for_each(|(row, ((loss, kept), x))| *loss = self.loss(row, x, kept));
        (loss, kept)
    }

    /// Turns logits into their gradients, given those of the losses.
    pub(super) fn gradients<T: Float>(&self, logits: &mut [T], kept: &[T], grad: &[T]) {
        logits
            .par_chunks_mut(self.classes.max(1))
            .zip(kept.par_chunks(2).zip(grad.par_iter()))
            .enumerate()
            .with_min_len(rows_a_task(self.classes))
            .for_each(|(row, (x, (kept, &g)))| self.gradient(row, g, kept, x));
    }

    fn loss<T: Float>(&self, row: usize, x: &[T], kept: &mut [T]) -> T {
        let (max, log_sum) = wide(
            #[inline(always)]
            || max_and_log_sum(x),
        );
        kept.copy_from_slice(&[max, log_sum]);
        if let Some((label, smoothing)) = self.targets.plain(row) {
            let of_label = x[label] - max;
            if smoothing == 0.0 {
                return log_sum - of_label;
            }
            let total = wide(
                #[inline(always)]
                || sum(x),
            );
            let [e, classes] = [smoothing, x.len() as f64].map(T::from_f64);
            return log_sum - (T::one() - e) * of_label - e * (total / classes - max);
        }
        let mut q = vec![0.0; x.len()];
        self.targets.fill(row, &mut q);
        let log_p = |x: T| WithDType::to_f64(x - max - log_sum);
        // 0 log 0 counts as 0.
        let terms = q.iter().zip(x).filter(|(q, _)| **q != 0.0);
        T::from_f64(-terms.map(|(q, &x)| q * log_p(x)).sum::<f64>())
    }

    fn gradient<T: Float>(&self, row: usize, g: T, kept: &[T], x: &mut [T]) {
        let kept = (kept[0], kept[1]);
        if let Some((label, smoothing)) = self.targets.plain(row) {
            let spread = T::from_f64(smoothing / x.len() as f64);
            let rest = T::from_f64(1.0 - smoothing);
            let of_label = g * (probability(x[label], kept) - spread - rest);
            wide(
                #[inline(always)]
                || {
                    x.iter_mut()
                        .for_each(|x| *x = g * (probability(*x, kept) - spread));
                },
            );
            x[label] = of_label;
            return;
        }
        let mut q = vec![0.0; x.len()];
        self.targets.fill(row, &mut q);
        let total = T::from_f64(q.iter().sum());
        wide(
            #[inline(always)]
            || {
                for (x, &q) in x.iter_mut().zip(&q) {
                    *x = g * (probability(*x, kept) * total - T::from_f64(q));
                }
            },
        );
    }
}

struct CrossEntropy {
    rows: Rows,
    /// Maximum and logarithm of the sum of each row `(N, 2)`, kept for the backward pass.
    normalizers: Mutex<Option<Tensor>>,
}

impl CustomOp1 for CrossEntropy {
    fn name(&self) -> &'static str {
        "cross_entropy"
    }

    fn cpu_fwd(&self, x: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let (rows, _) = layout.shape().dims2()?;
        dispatch!(x.dtype(), "cross_entropy", T => {
            let (loss, kept) = self.rows.losses(slice::<T>(x, layout)?);
            let kept = Tensor::from_vec(kept, (rows, 2), &Device::Cpu)?;
            *self.normalizers.lock().unwrap_or_else(PoisonError::into_inner) = Some(kept);
            Ok((T::to_cpu_storage_owned(loss), rows.into()))
        })
    }

    fn bwd(&self, x: &Tensor, _loss: &Tensor, grad: &Tensor) -> Result<Option<Tensor>> {
        let kept = self
            .normalizers
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let Some(kept) = kept.as_ref() else {
            bail!("cross_entropy: backward before forward");
        };
        dispatch!(x.dtype(), "cross_entropy", T => {
            let mut dx = with_slice::<T, _>(x, |x| Ok(x.to_vec()))?;
            with_slice::<T, _>(kept, |kept| with_slice::<T, _>(grad, |grad| {
                self.rows.gradients(&mut dx, kept, grad);
                Ok(())
            }))?;
            Ok(Some(Tensor::from_vec(dx, x.shape(), x.device())?))
        })
    }
}
