//! The simple recurrent cell: `h' = f(x W_ih^T + b_ih + h W_hh^T + b_hh)`.
//!
//! **Reference:** Jeffrey Elman, "Finding structure in time", 1990.

use candle_core::{Result, Tensor};
use serde::{Deserialize, Serialize};

use super::cell::{Cell, Step, StepBack, each};
use crate::kernel::Float;
use crate::math::tanh;
use crate::ops::activation::{Unary, relu};

/// The function of a simple recurrent cell.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Nonlinearity {
    /// Hyperbolic tangent.
    #[default]
    Tanh,
    /// `max(x, 0)`.
    Relu,
}

#[derive(Debug, Clone, Copy)]
pub(super) struct Rnn(pub(super) Nonlinearity);

impl Cell for Rnn {
    const NAME: &'static str = "rnn";
    const GATES: usize = 1;
    const STATES: usize = 1;
    /// `h'`.
    const KEPT: usize = 1;
    const PRODUCT_APART: bool = false;

    #[inline(always)]
    fn step<T: Float>(self, row: Step<'_, T>) {
        let inputs = [row.x, row.product];
        match self.0 {
            Nonlinearity::Tanh => each(row.h, inputs, |_, [x, p]| tanh(x + p)),
            Nonlinearity::Relu => each(row.h, inputs, |_, [x, p]| relu(x + p)),
        }
        row.kept.copy_from_slice(row.h);
    }

    #[inline(always)]
    fn step_back<T: Float>(self, row: StepBack<'_, T>) {
        let inputs = [&*row.dh, row.dy, row.kept];
        match self.0 {
            Nonlinearity::Tanh => each(row.dproduct, inputs, |_, [dh, dy, h]| {
                (dh + dy) * (T::one() - h * h)
            }),
            Nonlinearity::Relu => each(row.dproduct, inputs, |_, [dh, dy, h]| {
                if h <= T::zero() { T::zero() } else { dh + dy }
            }),
        }
        row.dh.fill(T::zero());
    }

    fn composed(self, x: &Tensor, product: &Tensor, _: &[Tensor]) -> Result<Vec<Tensor>> {
        let function = match self.0 {
            Nonlinearity::Tanh => Unary::Tanh,
            Nonlinearity::Relu => Unary::Relu,
        };
        Ok(vec![function.composed(&(x + product)?)?])
    }
}
