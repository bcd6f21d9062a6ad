//! [`backward`]: gradients by name, in name order, detached, and audited.
//!
//! candle's `Tensor::backward` returns gradients by tensor id, for constants as well as for
//! variables, still attached to the graph, and it overflows the stack on deep graphs. Here
//! they come by parameter name, only for what training changes, free of the graph. A parameter
//! whose gradient was cut off somewhere (candle's fused norms do that without an error) is
//! found by [`Gradients::audit`].
//!
//! ```
//! use mapsto_tensor::{DType, Device, ParamStore, ParamKind, Tensor, backward};
//! let store = ParamStore::new(DType::F32, &Device::Cpu);
//! let w = store.insert("w", &Tensor::new(3f32, &Device::Cpu)?, ParamKind::Parameter)?;
//! let gradients = backward(&w.sqr()?, &store)?;
//! gradients.audit()?;
//! assert_eq!(gradients.get("w").unwrap().to_scalar::<f32>()?, 6.0);
//! # Ok::<(), mapsto_tensor::Error>(())
//! ```

use std::collections::BTreeMap;

use candle_core::{DType, Device, Result, Tensor, Var, bail};

use crate::handover;
use crate::kernel::{self, dispatch, has_kernel, with_slice};
use crate::params::ParamStore;
pub use crate::tape::record;
use crate::tape::{self, Unwinding};
use crate::threads::on_deep_stack;

/// What the audit found wrong with the gradients of a step.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum AuditError {
    /// Trainable parameters that the loss does not depend on, as far as candle recorded.
    #[error(
        "no gradient reached {}: the loss does not depend on them, or an op on the way has no \
         backward pass (candle's fused norms and softmax_last_dim have none); freeze what \
         should not learn",
        .0.join(", ")
    )]
    Missing(Vec<String>),
    /// Parameters with an infinite or undefined gradient.
    #[error(
        "the gradient of {} is not finite; lower the learning rate, clip the gradients, or \
         check the inputs",
        .0.join(", ")
    )]
    NonFinite(Vec<String>),
}

impl From<AuditError> for candle_core::Error {
    fn from(error: AuditError) -> Self {
        Self::wrap(error)
    }
}

/// Gradients by parameter name, in name order.
#[derive(Debug, Clone, Default)]
pub struct Gradients {
    by_name: BTreeMap<String, Tensor>,
    missing: Vec<String>,
}

impl Gradients {
    /// The gradient of the parameter called `name`.
    pub fn get(&self, name: &str) -> Option<&Tensor> {
        self.by_name.get(name)
    }

    /// Names and gradients, in name order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Tensor)> {
        self.by_name
            .iter()
            .map(|(name, grad)| (name.as_str(), grad))
    }

    /// Trainable parameters that got no gradient.
    pub fn missing(&self) -> &[String] {
        &self.missing
    }

    /// Replaces every gradient by `f` of it.
    ///
    /// # Errors
    /// The first error of `f`.
    pub fn map(&mut self, f: impl Fn(&Tensor) -> Result<Tensor>) -> Result<()> {
        for grad in self.by_name.values_mut() {
            *grad = f(grad)?.detach();
        }
        Ok(())
    }

    /// Multiplies every gradient by `factor`.
    ///
    /// # Errors
    /// When the memory for the results cannot be had.
    pub fn scale(&mut self, factor: f64) -> Result<()> {
        self.map(|grad| {
            if !has_kernel(grad) {
                return grad * factor;
            }
            dispatch!(grad.dtype(), "scale", T => {
                let factor = <T as candle_core::WithDType>::from_f64(factor);
                let scaled = with_slice::<T, _>(grad, |grad| Ok(kernel::map(grad, |g| g * factor)))?;
                Tensor::from_vec(scaled, grad.shape(), grad.device())
            })
        })
    }

    /// Adds the gradients of another batch, for accumulation over several.
    ///
    /// # Errors
    /// When the shapes under one name differ.
    pub fn accumulate(&mut self, other: &Self) -> Result<()> {
        for (name, grad) in &other.by_name {
            let sum = match self.by_name.get(name) {
                Some(present) => (present + grad)?,
                None => grad.clone(),
            };
            self.by_name.insert(name.clone(), sum.detach());
        }
        self.missing
            .retain(|name| !other.by_name.contains_key(name));
        Ok(())
    }

    /// Checks that every trainable parameter got a gradient and that all are finite.
    ///
    /// # Errors
    /// [`AuditError`], naming the parameters.
    pub fn audit(&self) -> Result<()> {
        if !self.missing.is_empty() {
            return Err(AuditError::Missing(self.missing.clone()).into());
        }
        let mut bad = vec![];
        for (name, grad) in &self.by_name {
            if !is_finite(grad)? {
                bad.push(name.clone());
            }
        }
        if bad.is_empty() {
            Ok(())
        } else {
            Err(AuditError::NonFinite(bad).into())
        }
    }
}

impl FromIterator<(String, Tensor)> for Gradients {
    fn from_iter<I: IntoIterator<Item = (String, Tensor)>>(gradients: I) -> Self {
        let by_name = gradients
            .into_iter()
            .map(|(name, grad)| (name, grad.detach()))
            .collect();
        Self {
            by_name,
            missing: vec![],
        }
    }
}

fn is_finite(grad: &Tensor) -> Result<bool> {
    if has_kernel(grad) {
        return dispatch!(grad.dtype(), "audit", T => with_slice::<T, _>(grad, |values| {
            Ok(values.iter().all(|v| num_traits::Float::is_finite(*v)))
        }));
    }
    // NaN and infinities survive a sum of absolute values; that of many numbers in half precision
    // would be infinite itself.
    let wide = match grad.dtype() {
        DType::F64 => grad.clone(),
        _ => grad.to_dtype(DType::F32)?,
    };
    let total = wide.abs()?.sum_all()?.to_device(&Device::Cpu)?;
    Ok(total.to_dtype(DType::F64)?.to_scalar::<f64>()?.is_finite())
}

/// The gradients of `loss`, a single number, by the trainable parameters of `store`.
///
/// # Errors
/// When `loss` has more than one element, or an op in the graph has no backward pass.
pub fn backward(loss: &Tensor, store: &ParamStore) -> Result<Gradients> {
    by(loss, store.trainable())
}

/// The gradients of `loss` by some parameters only, where several models share a graph.
///
/// # Errors
/// As for [`backward`].
pub fn by(loss: &Tensor, params: Vec<(String, Var)>) -> Result<Gradients> {
    if loss.elem_count() != 1 {
        bail!(
            "backward starts from a single number, but the loss has shape {:?}; take its mean \
             or sum first",
            loss.shape()
        );
    }
    let pass = Unwinding::new(tape::take(), &params);
    let walked = on_deep_stack(|| handover::collect(|| pass.from(loss)));
    tape::put_back(pass.into_tape());
    let ((), mut handed) = walked??;
    let mut result = Gradients::default();
    for (name, var) in params {
        match handed.remove(&var.id()) {
            Some(grad) => {
                result.by_name.insert(name, grad.detach());
            }
            None => result.missing.push(name),
        }
    }
    Ok(result)
}
