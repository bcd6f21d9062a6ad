//! [`CrossEntropyLoss`]: how unlikely a softmax finds the right classes, in nats.
//!
//! With logits `x`, class weights `w`, smoothing `e` and `C` classes:
//!
//! - class targets `t`: `l = -sum over c of w_c ((1 - e) [c = t] + e / C) ln softmax(x)_c`, and
//!   the mean is `sum of l / sum of w_t` over the targets that are not ignored;
//! - probability targets `q`: `l = -sum over c of w_c ((1 - e) q_c + e / C) ln softmax(x)_c`,
//!   and the mean is that of all `l`.
//!
//! **Shape:** input `(C)`, `(N, C)` or `(N, C, d1, ...)`; target as classes (`u8`, `u32`, `i64`)
//! `()`, `(N)` or `(N, d1, ...)`, or as floats of the input's shape → one number, or the shape of
//! class targets without reduction.
//!
//! **Parameters:** none.
//!
//! As in PyTorch: the mean over no target at all is NaN.
//!
//! ```
//! use mapsto_nn::{CrossEntropyLoss, cross_entropy};
//! use mapsto_tensor::{Device, Tensor};
//! let logits = Tensor::new(&[[0f64, 0.0], [3.0, 1.0]], &Device::Cpu)?;
//! let loss = CrossEntropyLoss { ignore_index: 1, ..CrossEntropyLoss::default() };
//! let loss = loss.forward(&logits, &Tensor::new(&[0u32, 1], &Device::Cpu)?)?;
//! assert_eq!(loss.to_scalar::<f64>()?, std::f64::consts::LN_2);
//! # Ok::<(), mapsto_tensor::Error>(())
//! ```
//!
//! **References:** John Bridle, "Probabilistic interpretation of feedforward classification
//! network outputs", 1990; Christian Szegedy et al., "Rethinking the Inception architecture for
//! computer vision", 2016 (label smoothing).

use mapsto_tensor::ops::{self, Targets};
use mapsto_tensor::{DType, Device, Result, Tensor, bail};

use super::{Reduction, check_shapes};

/// Cross-entropy of a softmax.
#[derive(Debug, Clone)]
#[doc(alias = "SparseCategoricalCrossentropy")]
#[doc(alias = "CategoricalCrossentropy")]
pub struct CrossEntropyLoss {
    /// Weight of each class, `(C)`; default all 1.
    pub weight: Option<Tensor>,
    /// A class target that counts for nothing; default -100.
    pub ignore_index: i64,
    /// What becomes of the single losses; default their mean.
    pub reduction: Reduction,
    /// Share of each target that is spread evenly over all classes, in `[0, 1]`; default 0.
    pub label_smoothing: f64,
}

impl Default for CrossEntropyLoss {
    fn default() -> Self {
        Self {
            weight: None,
            ignore_index: -100,
            reduction: Reduction::Mean,
            label_smoothing: 0.0,
        }
    }
}

/// The mean loss of `logits` against class or probability targets.
///
/// # Errors
/// When shapes do not fit or a class lies beyond the last, naming it.
#[doc(alias = "sparse_categorical_crossentropy")]
pub fn cross_entropy(logits: &Tensor, targets: &Tensor) -> Result<Tensor> {
    CrossEntropyLoss::default().forward(logits, targets)
}

impl CrossEntropyLoss {
    /// The loss of logits `input` against `target`. The input gets gradients, and so do
    /// probability targets.
    ///
    /// # Errors
    /// When shapes do not fit, a class lies beyond the last or a number is out of range.
    pub fn forward(&self, input: &Tensor, target: &Tensor) -> Result<Tensor> {
        // Classes stand behind the batch, or first where there is none.
        let dim = usize::from(input.rank() > 1);
        let Some(&classes) = input.dims().get(dim) else {
            bail!("cross_entropy: expected an input (C), (N, C) or (N, C, ...), got one number");
        };
        if !(0.0..=1.0).contains(&self.label_smoothing) {
            bail!(
                "cross_entropy: label smoothing must lie in [0, 1], got {}",
                self.label_smoothing
            );
        }
        if let Some(weight) = self.weight.as_ref().filter(|w| w.dims() != [classes]) {
            bail!(
                "cross_entropy: expected a weight for each of {classes} classes, got {:?}",
                weight.shape()
            );
        }
        if target.dtype().is_float() {
            self.probabilities(input, target, dim, classes)
        } else {
            self.classes(input, target, dim, classes)
        }
    }

    fn classes(&self, input: &Tensor, target: &Tensor, dim: usize, c: usize) -> Result<Tensor> {
        let mut expected = input.dims().to_vec();
        expected.remove(dim);
        if target.dims() != expected {
            bail!(
                "cross_entropy: an input {:?} needs class targets {expected:?}, got {:?}",
                input.shape(),
                target.shape()
            );
        }
        let targets = target.to_dtype(DType::I64)?.flatten_all()?.to_vec1()?;
        let labels = self.labels(&targets, c)?;
        let weights = self.weight.as_ref().map(to_f64).transpose()?;
        let counted = labels.iter().flatten();
        // A label beyond the last class has no weight here; the op names it.
        let divisor = match &weights {
            Some(weights) => counted
                .filter_map(|&label| weights.get(label as usize))
                .sum(),
            None => counted.count() as f64,
        };
        let rows = rows(input, dim, c)?;
        let smoothing = self.label_smoothing;
        let targets = Targets::Classes {
            labels,
            weights,
            smoothing,
        };
        let losses = ops::cross_entropy_rows(&rows, targets)?.reshape(expected)?;
        self.reduction.apply(&losses, divisor)
    }

    /// The labels of the targets that count.
    fn labels(&self, targets: &[i64], classes: usize) -> Result<Vec<Option<u32>>> {
        let label = |(place, &target): (usize, &i64)| {
            if target == self.ignore_index {
                return Ok(None);
            }
            match u32::try_from(target) {
                Ok(label) => Ok(Some(label)),
                Err(_) => bail!(
                    "cross_entropy: target {target} at place {place} is not one of the {classes} \
                     classes, nor the ignored {}",
                    self.ignore_index
                ),
            }
        };
        targets.iter().enumerate().map(label).collect()
    }

    /// Composed of ops that have gradients, so that the targets get theirs, as in distillation.
    fn probabilities(
        &self,
        input: &Tensor,
        target: &Tensor,
        dim: usize,
        classes: usize,
    ) -> Result<Tensor> {
        check_shapes("cross_entropy", input, target)?;
        let (e, target) = (self.label_smoothing, target.to_dtype(input.dtype())?);
        let target = match e {
            0.0 => target,
            _ => target.affine(1.0 - e, e / classes as f64)?,
        };
        let target = match &self.weight {
            Some(weight) => {
                let mut shape = vec![1; input.rank()];
                shape[dim] = classes;
                let weight = weight.to_dtype(input.dtype())?.reshape(shape)?;
                target.broadcast_mul(&weight)?
            }
            None => target,
        };
        let losses = (ops::log_softmax(input, dim)? * target)?.sum(dim)?.neg()?;
        let count = losses.elem_count() as f64;
        self.reduction.apply(&losses, count)
    }
}

/// One row of logits for each target: `(N, C, d1, ...)` becomes `(N d1 ..., C)`.
fn rows(input: &Tensor, dim: usize, classes: usize) -> Result<Tensor> {
    let count = input.elem_count() / classes.max(1);
    if input.rank() <= 2 {
        return input.reshape((count, classes));
    }
    let places = input.flatten_from(dim + 1)?;
    places.transpose(1, 2)?.reshape((count, classes))
}

/// By way of the CPU, since some devices have no `f64`.
fn to_f64(weight: &Tensor) -> Result<Vec<f64>> {
    weight
        .to_device(&Device::Cpu)?
        .to_dtype(DType::F64)?
        .to_vec1()
}
