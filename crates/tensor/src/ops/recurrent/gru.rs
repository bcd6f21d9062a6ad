//! The gated recurrent unit.
//!
//! `r, z = sigmoid(..)` of `x W_ih^T + h W_hh^T` and both biases,
//! `n = tanh(x W_in^T + b_in + r (h W_hn^T + b_hn))`, `h' = (1 - z) n + z h`.
//!
//! As in PyTorch, `r` acts on the product with the state; in the paper it acts on the state.
//!
//! **Reference:** Kyunghyun Cho et al., "Learning phrase representations using RNN
//! encoder-decoder for statistical machine translation", 2014.

use candle_core::{D, Result, Tensor};

use super::cell::{Cell, Step, StepBack, blocks, blocks_mut, each};
use crate::kernel::Float;
use crate::math::{sigmoid, tanh};
use crate::ops::activation::Unary;

#[derive(Debug, Clone, Copy)]
pub(super) struct Gru;

impl Cell for Gru {
    const NAME: &'static str = "gru";
    const GATES: usize = 3;
    const STATES: usize = 1;
    /// `r, z, n`, the last product, `h` before the step.
    const KEPT: usize = 5;
    const PRODUCT_APART: bool = true;

    #[inline(always)]
    fn step<T: Float>(self, row: Step<'_, T>) {
        let (one, units) = (T::one(), row.h.len());
        let x: [&[T]; Self::GATES] = blocks(row.x, units);
        let product: [&[T]; Self::GATES] = blocks(row.product, units);
        let [r, z, n, last, before] = blocks_mut(row.kept, units);
        each(r, [x[0], product[0]], |_, [x, p]| sigmoid(x + p));
        each(z, [x[1], product[1]], |_, [x, p]| sigmoid(x + p));
        last.copy_from_slice(product[2]);
        each(n, [x[2], r, last], |_, [x, r, p]| tanh(x + r * p));
        before.copy_from_slice(row.h);
        each(row.h, [z, n], |h, [z, n]| (one - z) * n + z * h);
    }

    #[inline(always)]
    fn step_back<T: Float>(self, row: StepBack<'_, T>) {
        let (one, units) = (T::one(), row.dh.len());
        let [r, z, n, last, before] = blocks(row.kept, units);
        let [dr, dz, dlast_product] = blocks_mut(row.dproduct, units);
        let (dh, dn) = (row.dh, row.dlast);
        each(dh, [row.dy], |dh, [dy]| dh + dy);
        each(dn, [dh, z, n], |_, [dh, z, n]| {
            dh * (one - z) * (one - n * n)
        });
        each(dr, [dn, last, r], |_, [dn, p, r]| dn * p * r * (one - r));
        each(dz, [dh, before, n, z], |_, [dh, before, n, z]| {
            dh * (before - n) * z * (one - z)
        });
        each(dlast_product, [dn, r], |_, [dn, r]| dn * r);
        each(dh, [z], |dh, [z]| dh * z);
    }

    fn composed(self, x: &Tensor, product: &Tensor, states: &[Tensor]) -> Result<Vec<Tensor>> {
        let (x, product) = (x.chunk(3, D::Minus1)?, product.chunk(3, D::Minus1)?);
        let gate = |i: usize| Unary::Sigmoid.composed(&(&x[i] + &product[i])?);
        let (r, z) = (gate(0)?, gate(1)?);
        let n = (&x[2] + (r * &product[2])?)?.tanh()?;
        Ok(vec![(&n + (z * (&states[0] - &n)?)?)?])
    }
}
