//! Values of options that are left out of a configuration file: PyTorch's.

use crate::Activation;

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

/// Units inside a layer of a Transformer.
pub(crate) fn dim_feedforward() -> usize {
    2048
}

pub(crate) fn tenth() -> f64 {
    0.1
}

pub(crate) fn relu() -> Activation {
    Activation::Relu
}
