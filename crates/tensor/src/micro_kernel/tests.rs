//! The kernel with each kind of registers that there is, not only the widest of this processor.

use super::*;
use crate::kernel::Float;
use crate::testing::values;

/// Calls `check::<T, _>(simd)` for each float type and each kind of registers that this processor has.
macro_rules! with_every_width {
    ($check:ident) => {
        $check::<f32, _>(pulp::Scalar);
        $check::<f64, _>(pulp::Scalar);
        #[cfg(target_arch = "x86_64")]
        {
            if let Some(avx2) = pulp::x86::V3::try_new() {
                $check::<f32, _>(avx2);
                $check::<f64, _>(avx2);
            }
            if let Some(avx512) = pulp::x86::V4::try_new() {
                $check::<f32, _>(avx512);
                $check::<f64, _>(avx512);
            }
        }
    };
}

pub(crate) use with_every_width;

/// Tiles of all heights, panels of all widths, and more depth than is multiplied at a time.
fn check<T: Float + Lanes<S>, S: Simd>(simd: S)
where
    for<'a> Product<'a, T>: WithSimd<Output = ()>,
{
    let of = |count, at| -> Vec<T> { values(count, at).into_iter().map(T::from_f64).collect() };
    for registers in 1..=registers::<S>() {
        let width = registers * lanes::<T, S>();
        for (height, depth) in (1..=9).map(|height| (height, 7)).chain([(13, 1), (2, 700)]) {
            let (left, panel) = (of(height * depth, 0.7), of(depth * width, 1.3));
            let mut out = vec![T::from_f64(1.0); height * width];
            simd.vectorize(Product {
                out: &mut out,
                left: Left::Rows(&left, depth),
                panel: &panel,
                registers,
                more: true,
            });
            for (i, &value) in out.iter().enumerate() {
                let (row, col) = (i / width, i % width);
                let wide = |value: T| candle_core::WithDType::to_f64(value);
                let terms =
                    (0..depth).map(|k| wide(left[row * depth + k]) * wide(panel[k * width + col]));
                let far = (wide(value) - 1.0 - terms.sum::<f64>()).abs();
                assert!(far < 1e-4, "{height} {depth} {registers}: {far}");
            }
        }
    }
}

#[test]
fn products_are_right_with_registers_of_any_width() {
    with_every_width!(check);
}
