//! The kernel with each kind of registers that there is, not only the widest of this processor.

use candle_core::WithDType;

use super::*;
use crate::kernel::Float;
use crate::micro_kernel::tests::with_every_width;
use crate::testing::values;

/// Last tiles of all heights and panels of all widths, kept as sums and written where they end.
fn check<T: Float + Lanes<S>, S: Simd>(simd: S)
where
    for<'a> Block<'a, T>: WithSimd<Output = ()>,
{
    let of = |count, at| -> Vec<T> { values(count, at).into_iter().map(T::from_f64).collect() };
    let (tall, most) = tallest::<S>();
    let depth = 6;
    for (height, registers) in (1..=2 * tall).flat_map(|h| (1..=most).map(move |r| (h, r))) {
        let width = registers * lanes::<T, S>();
        let (left, panel) = (of(height * depth, 0.7), of(depth * width, 1.3));
        let mut sums = vec![T::from_f64(1.0); height * width];
        // A row of the result is one narrower, with a gap behind it.
        let mut result = vec![T::from_f64(2.0); height * width];
        for cols in [None, Some(width - 1), Some(width)] {
            let end = cols.map(|cols| {
                // SAFETY: `height` rows of up to `width` elements, that nobody else uses meanwhile.
                #[allow(unsafe_code)]
                unsafe {
                    End::new(result.as_mut_ptr(), width, cols, true)
                }
            });
            simd.vectorize(Block {
                sums: &mut sums,
                fresh: cols.is_none(),
                left: &left,
                panel: &panel,
                depth,
                end,
                ahead: [Ahead::NONE; 2],
            });
        }
        for (i, (&sum, &value)) in sums.iter().zip(&result).enumerate() {
            let (row, col) = (i / width, i % width);
            // In tiles, column by column.
            let first = row / tall * tall;
            let rows = tall.min(height - first);
            let product: f64 = (0..depth)
                .map(|k| {
                    let place = first * depth + k * rows + row - first;
                    WithDType::to_f64(left[place]) * WithDType::to_f64(panel[k * width + col])
                })
                .sum();
            // The product once in the sums, and twice in what each end adds.
            let ends = if col + 1 < width { 4.0 } else { 2.0 };
            let far = (WithDType::to_f64(sum) - product).abs();
            assert!(far < 1e-5, "{height} {registers}: sums {far}");
            let far = (WithDType::to_f64(value) - 2.0 - ends * product).abs();
            assert!(far < 1e-4, "{height} {registers}: {far}");
        }
    }
}

#[test]
fn blocks_are_right_with_registers_of_any_width() {
    with_every_width!(check);
}
