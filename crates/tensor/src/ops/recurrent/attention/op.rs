//! The op of the whole walk; see [`pack`](super::pack) for its inputs.

use std::sync::{Mutex, PoisonError};

use candle_core::backend::BackendStorage;
use candle_core::{CpuStorage, CustomOp3, Layout, Result, Shape, Tensor, bail};

use super::super::cell::Cell;
use super::kernel::{Rest, Sizes, forward};
use super::kernel_back::{Grads, Known, backward};
use crate::handover;
use crate::kernel::{Float, dispatch, slice, with_slice};

pub(super) struct Decoder<C> {
    pub(super) cell: C,
    pub(super) sizes: Sizes,
    pub(super) lengths: Vec<usize>,
    /// Whether a backward pass may follow.
    pub(super) keep: bool,
    /// What the cell keeps, and the queries.
    pub(super) kept: Mutex<Option<(Tensor, Tensor)>>,
}

const NAME: &str = "attention_decoder";

impl<C: Cell> CustomOp3 for Decoder<C> {
    fn name(&self) -> &'static str {
        NAME
    }

    fn cpu_fwd(
        &self,
        gates: &CpuStorage,
        gates_layout: &Layout,
        memory: &CpuStorage,
        memory_layout: &Layout,
        rest: &CpuStorage,
        rest_layout: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        dispatch!(gates.dtype(), NAME, T => {
            let rest = Rest::new(slice::<T>(rest, rest_layout)?, &self.sizes);
            let memory = slice::<T>(memory, memory_layout)?;
            let inputs = (slice::<T>(gates, gates_layout)?, memory, rest);
            let (y, kept, queries) =
                forward(self.cell, &self.sizes, &self.lengths, inputs, self.keep);
            if self.keep {
                let kept = (flat(kept)?, flat(queries)?);
                *self.kept.lock().unwrap_or_else(PoisonError::into_inner) = Some(kept);
            }
            let shape = y.len().into();
            Ok((<T as candle_core::WithDType>::to_cpu_storage_owned(y), shape))
        })
    }

    fn bwd(
        &self,
        gates: &Tensor,
        memory: &Tensor,
        rest: &Tensor,
        y: &Tensor,
        grad: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>, Option<Tensor>)> {
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let Some((kept, queries)) = kept.as_ref() else {
            bail!("{NAME}: the forward pass kept nothing to go back with");
        };
        dispatch!(gates.dtype(), NAME, T => {
            let grads = with_slice::<T, _>(memory, |memory| with_slice::<T, _>(rest, |rest| {
                with_slice::<T, _>(kept, |kept| with_slice::<T, _>(queries, |queries| {
                    with_slice::<T, _>(y, |y| with_slice::<T, _>(grad, |grad| {
                        let rest = Rest::new(rest, &self.sizes);
                        let known = Known { memory, rest, y, kept, queries };
                        Ok(backward(self.cell, &self.sizes, &self.lengths, known, grad))
                    }))
                }))
            }))?;
            let Grads { dgates, dmemory, drest } = grads;
            Ok((
                handover::made(gates, dgates)?,
                handover::made(memory, dmemory)?,
                handover::made(rest, drest)?,
            ))
        })
    }
}

fn flat<T: Float>(values: Vec<T>) -> Result<Tensor> {
    let count = values.len();
    Tensor::from_vec(values, count, &candle_core::Device::Cpu)
}
