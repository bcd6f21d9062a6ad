//! Long short-term memory.
//!
//! `i, f, o = sigmoid(..)`, `g = tanh(..)`, `c' = f c + i g`, `h' = o tanh(c')`, each gate of
//! `x W_ih^T + h W_hh^T` and the biases.
//!
//! **Reference:** Sepp Hochreiter, Jürgen Schmidhuber, "Long short-term memory", 1997; Felix
//! Gers, Jürgen Schmidhuber, Fred Cummins, "Learning to forget", 2000 (the forget gate).

use candle_core::{D, Result, Tensor};

use super::cell::{Cell, Step, StepBack, blocks, blocks_mut, each};
use crate::kernel::Float;
use crate::math::{sigmoid, tanh};
use crate::ops::activation::Unary;

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
        let x: [&[T]; Self::GATES] = blocks(row.x, units);
        let product: [&[T]; Self::GATES] = blocks(row.product, units);
        let [i, f, g, o, before, squashed] = blocks_mut(row.kept, units);
        each(i, [x[0], product[0]], |_, [x, p]| sigmoid(x + p));
        each(f, [x[1], product[1]], |_, [x, p]| sigmoid(x + p));
        each(g, [x[2], product[2]], |_, [x, p]| tanh(x + p));
        each(o, [x[3], product[3]], |_, [x, p]| sigmoid(x + p));
        before.copy_from_slice(row.c);
        each(row.c, [i, f, g], |c, [i, f, g]| f * c + i * g);
        each(squashed, [row.c], |_, [c]| tanh(c));
        each(row.h, [o, squashed], |_, [o, squashed]| o * squashed);
    }

    #[inline(always)]
    fn step_back<T: Float>(self, row: StepBack<'_, T>) {
        let (one, units) = (T::one(), row.dh.len());
        let [i, f, g, o, before, squashed] = blocks(row.kept, units);
        let [di, df, dg, d_o] = blocks_mut(row.dproduct, units);
        let (dh, dc) = (row.dh, row.dc);
        each(dh, [row.dy], |dh, [dy]| dh + dy);
        each(dc, [dh, o, squashed], |dc, [dh, o, squashed]| {
            dc + dh * o * (one - squashed * squashed)
        });
        each(di, [dc, g, i], |_, [dc, g, i]| dc * g * i * (one - i));
        each(df, [dc, before, f], |_, [dc, before, f]| {
            dc * before * f * (one - f)
        });
        each(dg, [dc, i, g], |_, [dc, i, g]| dc * i * (one - g * g));
        each(d_o, [dh, squashed, o], |_, [dh, squashed, o]| {
            dh * squashed * o * (one - o)
        });
        each(dc, [f], |dc, [f]| dc * f);
        dh.fill(T::zero());
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
