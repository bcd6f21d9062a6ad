//! A whole sequence as one op: what depends on the input alone is computed before, so a step is
//! one small product and one pass over the gates, and the weight's gradient is one large product
//! after the walk back.

use std::sync::{Mutex, PoisonError};

use candle_core::backend::BackendStorage;
use candle_core::{CpuStorage, CustomOp3, Layout, Result, Shape, Tensor, bail};

use super::cell::Cell;
use super::kernel::{Sizes, forward};
use super::kernel_back::{Grads, backward};
use super::order::Order;
use crate::handover;
use crate::kernel::{dispatch, slice, with_slice};

/// The op. Its inputs are the input's part of the gates `(T, B, GATES * H)`, the weight
/// `(GATES * H, H)`, and the states `(STATES * B, H)` with, if the product has a bias, its gates
/// below them. Its output `(T + STATES, B, H)` are the outputs, then the last states.
pub(super) struct Sequence<C> {
    pub(super) cell: C,
    pub(super) order: Order,
    /// Whether a backward pass may follow.
    pub(super) keep: bool,
    pub(super) kept: Mutex<Option<Tensor>>,
}

impl<C: Cell> Sequence<C> {
    fn sizes(x: &[usize], rest: &[usize]) -> Sizes {
        Sizes {
            steps: x[0],
            batch: x[1],
            hidden: rest[1],
        }
    }

    fn gradients(
        &self,
        [x, weight, rest]: [&Tensor; 3],
        y: &Tensor,
        grad: &Tensor,
    ) -> Result<[Option<Tensor>; 3]> {
        let sizes = Self::sizes(x.dims(), rest.dims());
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(kept) = kept.as_ref() else {
            bail!("{}: the forward pass kept nothing to go back with", C::NAME);
        };
        let learned = weight.track_op();
        dispatch!(x.dtype(), C::NAME, T => {
            let grads = with_slice::<T, _>(weight, |weight| with_slice::<T, _>(rest, |rest| {
                with_slice::<T, _>(y, |y| with_slice::<T, _>(grad, |grad| {
                    with_slice::<T, _>(kept, |kept| {
                        let known = (weight, rest, y, kept);
                        Ok(backward(self.cell, &sizes, &self.order, known, grad, learned))
                    })
                }))
            }))?;
            let Grads { dx, dweight, drest } = grads;
            Ok([
                handover::made(x, dx)?,
                handover::made(weight, dweight)?,
                handover::made(rest, drest)?,
            ])
        })
    }
}

impl<C: Cell> CustomOp3 for Sequence<C> {
    fn name(&self) -> &'static str {
        C::NAME
    }

    fn cpu_fwd(
        &self,
        x: &CpuStorage,
        x_layout: &Layout,
        weight: &CpuStorage,
        weight_layout: &Layout,
        rest: &CpuStorage,
        rest_layout: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let sizes = Self::sizes(x_layout.dims(), rest_layout.dims());
        let shape = (sizes.steps + C::STATES, sizes.batch, sizes.hidden).into();
        dispatch!(x.dtype(), C::NAME, T => {
            let (x, weight) = (slice::<T>(x, x_layout)?, slice::<T>(weight, weight_layout)?);
            let inputs = (x, weight, slice::<T>(rest, rest_layout)?);
            let (y, kept) = forward(self.cell, &sizes, &self.order, inputs, self.keep);
            if self.keep {
                let count = kept.len();
                let kept = Tensor::from_vec(kept, count, &candle_core::Device::Cpu)?;
                *self.kept.lock().unwrap_or_else(PoisonError::into_inner) = Some(kept);
            }
            Ok((<T as candle_core::WithDType>::to_cpu_storage_owned(y), shape))
        })
    }

    fn bwd(
        &self,
        x: &Tensor,
        weight: &Tensor,
        rest: &Tensor,
        y: &Tensor,
        grad: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>, Option<Tensor>)> {
        let [dx, dweight, drest] = self.gradients([x, weight, rest], y, grad)?;
        Ok((dx, dweight, drest))
    }
}
