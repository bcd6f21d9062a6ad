//! [`Rule`]: the textbook formula of an optimizer, one tensor at a time.
//!
//! A rule knows neither names nor groups, clipping, schedules or files; [`Optim`](crate::Optim)
//! adds those to any rule. The struct of its hyperparameters is the rule. To add one, write the
//! formula twice: over slices, for `f32` and `f64` on the CPU, and out of candle ops, for every
//! other device and dtype.
//!
//! ```
//! use mapsto_optim::{At, Optim, Optimizer, Rule};
//! use mapsto_tensor::{Device, Float, Gradients, Result, Tensor, Var};
//!
//! /// Moves every element by `lr` against the sign of its gradient.
//! #[derive(Debug, Clone)]
//! struct SignSgd;
//!
//! impl Rule for SignSgd {
//!     fn lr(&self) -> f64 { 0.5 }
//!     fn validate(&self) -> Result<()> { Ok(()) }
//!     fn slots(&self) -> Vec<&'static str> { vec![] }
//!     fn update<T: Float>(&self, at: &At, param: &mut [T], grad: &[T], _: &mut [&mut [T]]) {
//!         let lr = T::from_f64(at.lr);
//!         for (p, g) in param.iter_mut().zip(grad) {
//!             *p -= lr * g.signum();
//!         }
//!     }
//!     fn update_tensors(&self, at: &At, param: &Tensor, grad: &Tensor, _: &[Tensor])
//!         -> Result<(Tensor, Vec<Tensor>)> {
//!         Ok(((param - (grad.sign()? * at.lr)?)?, vec![]))
//!     }
//! }
//!
//! let w = Var::new(&[1f32, 2.0], &Device::Cpu)?;
//! let mut optimizer = Optim::new(SignSgd, vec![("w".into(), w.clone())])?;
//! let grad = Tensor::new(&[30f32, -0.1], &Device::Cpu)?;
//! optimizer.step(&mut Gradients::from_iter([("w".into(), grad)]))?;
//! assert_eq!(w.to_vec1::<f32>()?, [0.5, 2.5]);
//! # Ok::<(), mapsto_tensor::Error>(())
//! ```

use std::fmt::Debug;

use mapsto_tensor::{Float, Result, Tensor};

/// Where an update happens.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct At {
    /// Learning rate of this step: the rule's, times the factor of the schedule.
    pub lr: f64,
    /// How many updates this parameter has had, this one included: 1 in the first.
    pub step: u64,
}

/// An update rule: its hyperparameters and its formula.
pub trait Rule: Debug + Clone + Send + Sync + 'static {
    /// Learning rate before any schedule.
    fn lr(&self) -> f64;

    /// Checks the hyperparameters.
    ///
    /// # Errors
    /// When a value is out of its range; the message names the field, the value and the range.
    fn validate(&self) -> Result<()>;

    /// PyTorch's names of the state tensors, each shaped like its parameter and zero at first.
    fn slots(&self) -> Vec<&'static str>;

    /// Updates some elements of a parameter and of its state, which come in the order of
    /// [`slots`](Self::slots). Called for chunks of a tensor in any order, so elements must not
    /// depend on each other. Marked `#[inline(always)]`, its loops are compiled for the widest
    /// instructions that the processor has.
    fn update<T: Float>(&self, at: &At, param: &mut [T], grad: &[T], state: &mut [&mut [T]]);

    /// The same update out of candle ops: the new parameter and the new state.
    ///
    /// # Errors
    /// When an op fails, such as on a dtype that the device lacks.
    fn update_tensors(
        &self,
        at: &At,
        param: &Tensor,
        grad: &Tensor,
        state: &[Tensor],
    ) -> Result<(Tensor, Vec<Tensor>)>;
}
