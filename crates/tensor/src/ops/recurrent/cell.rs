//! What a kind of cell says about itself; the walk over time is the same for all.

use candle_core::{Result, Tensor};

use crate::kernel::Float;

/// One kind of recurrent cell. Blocks of a weight's rows are its gates, in PyTorch's order.
pub(super) trait Cell: Copy + Send + Sync + 'static {
    const NAME: &'static str;
    /// Blocks of rows in the weights.
    const GATES: usize;
    /// Tensors that make up the state, the output first.
    const STATES: usize;
    /// Numbers of each unit and step that the backward pass needs.
    const KEPT: usize;
    /// Whether the product of state and weight is more than one more summand beside the input:
    /// then it has a bias of its own, and in the last gate a gradient of its own.
    const PRODUCT_APART: bool;

    /// Takes one step for one row of the batch.
    fn step<T: Float>(self, row: Step<'_, T>);

    /// Takes one step back for one row of the batch.
    fn step_back<T: Float>(self, row: StepBack<'_, T>);

    /// One step for the whole batch out of candle ops: from the input's and the state's part of
    /// the gates `(B, GATES * H)` and the states to the next states.
    fn composed(self, x: &Tensor, product: &Tensor, states: &[Tensor]) -> Result<Vec<Tensor>>;
}

/// One row of the batch at one step: `H` units, and gates in blocks of `H`.
pub(super) struct Step<'a, T> {
    /// The input's part of the gates.
    pub(super) x: &'a [T],
    /// The state's part of the gates.
    pub(super) product: &'a [T],
    /// The output state, to be replaced.
    pub(super) h: &'a mut [T],
    /// The second state, to be replaced, if the cell has one.
    pub(super) c: &'a mut [T],
    /// What [`StepBack`] gets to see, in blocks of `H`.
    pub(super) kept: &'a mut [T],
}

/// The same on the way back, of one row or of all of them, one after another.
pub(super) struct StepBack<'a, T> {
    pub(super) kept: &'a [T],
    /// Gradient of this step's output.
    pub(super) dy: &'a [T],
    /// Gradient of the state after the step; becomes that of the state before it, without what
    /// goes through the product.
    pub(super) dh: &'a mut [T],
    /// The same of the second state, complete.
    pub(super) dc: &'a mut [T],
    /// Gradient of the product.
    pub(super) dproduct: &'a mut [T],
    /// Gradient of the input's part of the last gate, if it is not that of the product.
    pub(super) dlast: &'a mut [T],
}

/// The first `N` blocks of `units` elements.
#[inline(always)]
pub(super) fn blocks<T, const N: usize>(values: &[T], units: usize) -> [&[T]; N] {
    std::array::from_fn(|block| &values[block * units..][..units])
}

/// The same of a slice of `N` blocks, to be written.
#[inline(always)]
pub(super) fn blocks_mut<T, const N: usize>(values: &mut [T], units: usize) -> [&mut [T]; N] {
    let mut blocks = values.chunks_exact_mut(units);
    std::array::from_fn(|_| blocks.next().unwrap_or_default())
}

/// Replaces every unit by `f(unit, the same unit of each input)`.
///
/// One loop for each quantity of a cell: the compiler vectorises loops over few slices only,
/// because it has to check that they do not overlap.
#[inline(always)]
pub(super) fn each<T: Float, const N: usize>(
    units: &mut [T],
    inputs: [&[T]; N],
    f: impl Fn(T, [T; N]) -> T,
) {
    let inputs = inputs.map(|input| &input[..units.len()]);
    for (j, unit) in units.iter_mut().enumerate() {
        *unit = f(*unit, std::array::from_fn(|i| inputs[i][j]));
    }
}
