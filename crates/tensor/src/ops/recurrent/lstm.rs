//! Long short-term memory.
//!
//! `i, f, o = sigmoid(..)`, `g = tanh(..)`, `c' = f c + i g`, `h' = o tanh(c')`, each gate of
//! `x W_ih^T + h W_hh^T` and the biases.
//!
//! **Reference:** Sepp Hochreiter, Jürgen Schmidhuber, "Long short-term memory", 1997; Felix
//! Gers, Jürgen Schmidhuber, Fred Cummins, "Learning to forget", 2000 (the forget gate).

use candle_core::{D, Result, Tensor};

use super::cell::{Cell, Step, StepBack};
use crate::kernel::Float;
use crate::ops::activation::{Unary, sigmoid};

#[derive(Debug, Clone, Copy)]
pub(super) struct Lstm;

impl Cell for Lstm {
    const NAME: &'static str = "lstm";
    const GATES: usize = 4;
    const STATES: usize = 2;
    /// `i, f, g, o`, `c` before the step, `tanh(c')`.
    const KEPT: usize = 6;
    const PRODUCT_APART: bool = false;

    #[inline(always)]
    fn step<T: Float>(self, row: Step<'_, T>) {
        let units = row.h.len();
        for j in 0..units {
            let gate = |g: usize| row.x[g * units + j] + row.product[g * units + j];
            let (i, f) = (sigmoid(gate(0)), sigmoid(gate(1)));
            let (g, o) = (gate(2).tanh(), sigmoid(gate(3)));
            let before = row.c[j];
            let c = f * before + i * g;
            let squashed = c.tanh();
            (row.c[j], row.h[j]) = (c, o * squashed);
            for (k, value) in [i, f, g, o, before, squashed].into_iter().enumerate() {
                row.kept[k * units + j] = value;
            }
        }
    }

    #[inline(always)]
    fn step_back<T: Float>(self, row: StepBack<'_, T>) {
        let units = row.dh.len();
        let one = T::one();
        for j in 0..units {
            let [i, f, g, o, before, squashed] =
                std::array::from_fn(|k: usize| row.kept[k * units + j]);
            let dh = row.dh[j] + row.dy[j];
            let dc = row.dc[j] + dh * o * (one - squashed * squashed);
            (row.dh[j], row.dc[j]) = (T::zero(), dc * f);
            let gates = [
                dc * g * i * (one - i),
                dc * before * f * (one - f),
                dc * i * (one - g * g),
                dh * squashed * o * (one - o),
            ];
            for (k, value) in gates.into_iter().enumerate() {
                row.dproduct[k * units + j] = value;
            }
        }
    }

    fn composed(self, x: &Tensor, product: &Tensor, states: &[Tensor]) -> Result<Vec<Tensor>> {
        let gates = (x + product)?.chunk(Self::GATES, D::Minus1)?;
        let apply = |gate: usize, function: Unary| function.composed(&gates[gate]);
        let (i, f) = (apply(0, Unary::Sigmoid)?, apply(1, Unary::Sigmoid)?);
        let (g, o) = (apply(2, Unary::Tanh)?, apply(3, Unary::Sigmoid)?);
        let c = ((f * &states[1])? + (i * g)?)?;
        Ok(vec![(o * c.tanh()?)?, c])
    }
}
