//! [`Objective`]: from a batch to a loss. Everything a [`crate::Trainer`] knows about a task.

use mapsto_tensor::{Result, Tensor};

/// What a batch gave: the loss, and what metrics look at.
#[derive(Debug, Clone)]
pub struct Output {
    /// A single number, the mean over the batch.
    pub loss: Tensor,
    /// What the model says, one row a sample: `(N, ...)`, for classes the logits `(N, C)`.
    pub predictions: Tensor,
    /// What it should say: `(N, ...)`, for classes the labels `(N)`.
    pub targets: Tensor,
}

impl Output {
    /// Number of samples in the batch.
    pub fn samples(&self) -> usize {
        self.targets.dims().first().copied().unwrap_or(1)
    }
}

/// Computes the loss of a batch of type `B`; closures `|batch, train| ...` are objectives.
///
/// ```
/// use mapsto_train::{Objective, Output};
/// use mapsto_tensor::{Device, Result, Tensor};
/// let task = |batch: &Tensor, _train: bool| -> Result<Output> {
///     let loss = batch.sqr()?.mean_all()?;
///     Ok(Output { loss, predictions: batch.clone(), targets: batch.clone() })
/// };
/// let output = task.compute_loss(&Tensor::new(&[1f32, 3.0], &Device::Cpu)?, true)?;
/// assert_eq!(output.loss.to_scalar::<f32>()?, 5.0);
/// # Ok::<(), mapsto_tensor::Error>(())
/// ```
pub trait Objective<B> {
    /// The loss of `batch`; `train` switches dropout and the like on.
    ///
    /// # Errors
    /// Whatever the model's ops return.
    fn compute_loss(&self, batch: &B, train: bool) -> Result<Output>;
}

impl<B, F: Fn(&B, bool) -> Result<Output>> Objective<B> for F {
    fn compute_loss(&self, batch: &B, train: bool) -> Result<Output> {
        self(batch, train)
    }
}
