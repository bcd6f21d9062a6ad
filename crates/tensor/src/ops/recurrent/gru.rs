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

use super::cell::{Cell, Step, StepBack};
use crate::kernel::Float;
use crate::ops::activation::{Unary, sigmoid};

#[derive(Debug, Clone, Copy)]
pub(super) struct Gru;

impl Cell for Gru {
    const NAME: &'static str = "gru";
    const GATES: usize = 3;
    const STATES: usize = 1;
    /// `r, z, n`, the product in `n`, `h` before the step.
    const KEPT: usize = 5;
    const PRODUCT_APART: bool = true;

    #[inline(always)]
    fn step<T: Float>(self, row: Step<'_, T>) {
        let units = row.h.len();
        for j in 0..units {
            let gate = |g: usize| row.x[g * units + j] + row.product[g * units + j];
            let (r, z) = (sigmoid(gate(0)), sigmoid(gate(1)));
            let product = row.product[2 * units + j];
            let n = (row.x[2 * units + j] + r * product).tanh();
            let before = row.h[j];
            row.h[j] = (T::one() - z) * n + z * before;
            for (k, value) in [r, z, n, product, before].into_iter().enumerate() {
                row.kept[k * units + j] = value;
            }
        }
    }

    #[inline(always)]
    fn step_back<T: Float>(self, row: StepBack<'_, T>) {
        let units = row.dh.len();
        let one = T::one();
        for j in 0..units {
            let [r, z, n, product, before] =
                std::array::from_fn(|k: usize| row.kept[k * units + j]);
            let dh = row.dh[j] + row.dy[j];
            let dn = dh * (one - z) * (one - n * n);
            row.dh[j] = dh * z;
            row.dlast[j] = dn;
            let gates = [
                dn * product * r * (one - r),
                dh * (before - n) * z * (one - z),
                dn * r,
            ];
            for (k, value) in gates.into_iter().enumerate() {
                row.dproduct[k * units + j] = value;
            }
        }
    }

    fn composed(self, x: &Tensor, product: &Tensor, states: &[Tensor]) -> Result<Vec<Tensor>> {
        let (x, product) = (x.chunk(3, D::Minus1)?, product.chunk(3, D::Minus1)?);
        let gate = |i: usize| Unary::Sigmoid.composed(&(&x[i] + &product[i])?);
        let (r, z) = (gate(0)?, gate(1)?);
        let n = (&x[2] + (r * &product[2])?)?.tanh()?;
        Ok(vec![(&n + (z * (&states[0] - &n)?)?)?])
    }
}
