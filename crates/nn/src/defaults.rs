//! Values of options that are left out of a configuration file: PyTorch's.

pub(crate) fn yes() -> bool {
    true
}

pub(crate) fn one() -> usize {
    1
}

pub(crate) fn ones() -> (usize, usize) {
    (1, 1)
}

/// Added to variances.
pub(crate) fn eps() -> f64 {
    1e-5
}
