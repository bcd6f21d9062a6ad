//! [`Optimizer`]: what a training loop needs of an optimizer, whatever its rule.
//!
//! ```
//! use mapsto_optim::{Adam, IntoOptimizer};
//! use mapsto_tensor::{DType, Device, ParamKind, ParamStore, Tensor, backward};
//! let store = ParamStore::new(DType::F64, &Device::Cpu);
//! let w = store.insert("w", &Tensor::new(3f64, &Device::Cpu)?, ParamKind::Parameter)?;
//! let mut optimizer = Adam { lr: 0.1, ..Adam::default() }.into_optimizer(&store)?;
//! for _ in 0..200 {
//!     optimizer.step(&mut backward(&w.sqr()?, &store)?)?;
//! }
//! assert!(w.to_scalar::<f64>()?.abs() < 1e-2);
//! # Ok::<(), mapsto_tensor::Error>(())
//! ```

use std::fmt::Debug;

use mapsto_tensor::{Gradients, ParamStore, Result, StateDict};

use crate::optim::Optim;
use crate::rule::Rule;

/// Changes parameters by their gradients, and keeps what it needs to remember under names.
pub trait Optimizer: Send + Debug {
    /// One update of every parameter that has a gradient. Clipping by value, if asked for,
    /// changes `grads`; nothing else does.
    ///
    /// # Errors
    /// When a gradient does not fit its parameter, the schedule or the norm is not finite. No
    /// parameter has changed then.
    fn step(&mut self, grads: &mut Gradients) -> Result<()>;

    /// Learning rate of the next step, of the parameters in no group.
    fn lr(&self) -> f64;

    /// Number of steps done.
    fn steps(&self) -> u64;

    /// Total norm of the gradients of the last step before clipping, when clipping by norm.
    fn grad_norm(&self) -> Option<f64>;

    /// A copy of the state: `<param>.<slot>` as in PyTorch (`fc.weight.exp_avg`), and `step`. A
    /// parameter that had no gradient in some steps adds its own count, `<param>.step`.
    ///
    /// # Errors
    /// When a tensor cannot be copied.
    fn state_dict(&self) -> Result<StateDict>;

    /// Takes over a copy of a state; names and shapes must agree exactly.
    ///
    /// # Errors
    /// When something is missing, unexpected or of another shape; nothing has changed then.
    fn load_state_dict(&mut self, state: &StateDict) -> Result<()>;
}

/// What a training loop accepts as its optimizer: a rule, which then updates everything that
/// the store trains, or an optimizer built before.
pub trait IntoOptimizer {
    /// The optimizer for this store.
    ///
    /// # Errors
    /// When a hyperparameter is out of range or the store holds nothing to train.
    fn into_optimizer(self, store: &ParamStore) -> Result<Box<dyn Optimizer>>;
}

impl<R: Rule> IntoOptimizer for R {
    fn into_optimizer(self, store: &ParamStore) -> Result<Box<dyn Optimizer>> {
        Ok(Box::new(Optim::new(self, store.trainable())?))
    }
}

/// Keeps the parameters it was built with.
impl<R: Rule> IntoOptimizer for Optim<R> {
    fn into_optimizer(self, _: &ParamStore) -> Result<Box<dyn Optimizer>> {
        Ok(Box::new(self))
    }
}

/// Keeps the parameters it was built with.
impl IntoOptimizer for Box<dyn Optimizer> {
    fn into_optimizer(self, _: &ParamStore) -> Result<Box<dyn Optimizer>> {
        Ok(self)
    }
}
