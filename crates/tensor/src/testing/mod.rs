//! Tools for tests: finite-difference gradient checks and golden files (feature `testing`).
//!
//! They panic with a message on failure, as tests do.
#![allow(clippy::panic, clippy::expect_used, clippy::unwrap_used)]

mod golden;
mod gradcheck;

pub use golden::{Golden, goldens};
pub use gradcheck::{check_gradients, wave};

use candle_core::{DType, Tensor};

/// The sines of 0, `step`, and so on.
#[cfg(test)]
pub(crate) fn values(count: usize, step: f64) -> Vec<f64> {
    (0..count).map(|i| (i as f64 * step).sin()).collect()
}

/// Panics unless `|a - b| <= atol + rtol |b|` everywhere, and infinities and NaN agree in kind.
pub fn assert_close(name: &str, actual: &Tensor, expected: &Tensor, rtol: f64, atol: f64) {
    assert_eq!(actual.dims(), expected.dims(), "{name}: shapes differ");
    let flat = |tensor: &Tensor| -> Vec<f64> {
        let tensor = tensor
            .to_dtype(DType::F64)
            .and_then(|t| t.flatten_all()?.to_vec1());
        tensor.expect("a tensor of numbers")
    };
    for (i, (a, b)) in flat(actual).into_iter().zip(flat(expected)).enumerate() {
        let same = a == b || a.is_nan() && b.is_nan();
        assert!(
            same || (a - b).abs() <= atol + rtol * b.abs(),
            "{name}: element {i} is {a}, expected {b} (shape {:?})",
            actual.dims()
        );
    }
}
