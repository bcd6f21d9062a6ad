//! Differentiable ops with CPU kernels of our own, forward and backward, for `f32` and `f64`.
//!
//! On other devices and dtypes each composes candle ops whose gradients are right. Ops are checked
//! against PyTorch's values and gradients, in the layers that are made of them, and by finite
//! differences; an op that joins several, against these.

mod activation;
mod attention;
mod avg_pool;
mod batch_norm;
mod batch_norm_kernel;
mod conv;
mod conv_composed;
mod conv_kernel;
mod conv_then;
mod conv_transpose;
mod conv_transpose_kernel;
mod cross_entropy;
mod dropout;
mod embedding;
mod im2col;
mod layer_norm;
mod linear;
mod linear_cross_entropy;
mod lookup_down;
mod lookup_up;
mod max_pool;
mod patch_product;
mod phases;
mod recurrent;

mod softmax;
mod upsample;
mod window;

#[cfg(test)]
mod composed_tests;

pub use crate::tape::{cat, reshape, split};
pub use activation::{Unary, unary};
pub use attention::{AttentionInputs, AttentionMask, AttentionOptions, multi_head_attention};
pub use avg_pool::{AvgPool2dParams, avg_pool2d};
pub use batch_norm::{BatchNormalized, batch_norm, batch_norm_then};
pub use conv::{Conv2dParams, conv2d, conv2d_then};
pub use conv_then::Then;
pub use conv_transpose::{ConvTranspose2dParams, conv_transpose2d};
pub use cross_entropy::{Targets, cross_entropy_rows};
pub use dropout::dropout;
pub use embedding::embedding;
pub use layer_norm::layer_norm;
pub use linear::linear;
pub use linear_cross_entropy::linear_cross_entropy;
pub use max_pool::max_pool2d;
pub use recurrent::{
    AttentionDecoderWeights, AttentionMemory, Decoded, Look, Nonlinearity, Order, Recurrence,
    RecurrentWeights, attention_decoder, recurrent,
};
pub use softmax::{log_softmax, softmax};
pub use upsample::{UpsampleMode, upsample2d};
pub use window::{PadMode, Pool2dParams, pad2d};

use candle_core::{Device, Result, Shape, Tensor};

/// A constant of the dtype and device of `like`, rounded once, from `f64`.
fn constant(values: Vec<f64>, shape: impl Into<Shape>, like: &Tensor) -> Result<Tensor> {
    // Not every device has f64, so the cast comes first.
    Tensor::from_vec(values, shape.into(), &Device::Cpu)?
        .to_dtype(like.dtype())?
        .to_device(like.device())
}

/// `max(x, 0)`, with derivative 0 at 0 as in PyTorch (candle's has 1 there).
///
/// # Errors
/// When candle fails to allocate or launch.
pub fn relu(x: &Tensor) -> Result<Tensor> {
    unary(x, Unary::Relu)
}
