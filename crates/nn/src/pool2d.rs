//! [`MaxPool2d`] and [`AvgPool2d`]: the largest value or the mean of each window.
//!
//! `y[i, j] = max (or mean) over u < kh, v < kw of x[i s + u - p, j s + v - p]`
//!
//! **Shape:** `(N, C, H, W)` or `(C, H, W)` → the same with
//! `H' = floor((H + 2p - k) / s) + 1`, `ceil` instead of `floor` with `ceil_mode`, so too `W'`.
//!
//! **Parameters:** none.
//!
//! As in PyTorch: the stride is the kernel's size unless set, the gradient of a maximum goes
//! to the first cell that holds it, and a mean divides by the window's size with its padding
//! unless told otherwise. There is no dilation and no `return_indices`.
//!
//! ```
//! use mapsto_nn::{AvgPool2d, MaxPool2d};
//! use mapsto_tensor::{Device, Module, Tensor};
//! let x = Tensor::new(&[[[1f32, 2.0, 3.0], [4.0, 5.0, 6.0]]], &Device::Cpu)?;
//! let largest = MaxPool2d::new(2).stride(1).forward(&x)?;
//! assert_eq!(largest.to_vec3::<f32>()?, [[[5.0, 6.0]]]);
//! let mean = AvgPool2d::new((1, 3)).forward(&x)?;
//! assert_eq!(mean.to_vec3::<f32>()?, [[[2.0], [5.0]]]);
//! # Ok::<(), mapsto_tensor::Error>(())
//! ```
//!
//! **References:** Dominik Scherer, Andreas Müller, Sven Behnke, "Evaluation of pooling
//! operations in convolutional architectures for object recognition", 2010.

use mapsto_tensor::ops::{self, AvgPool2dParams, Pool2dParams};
use mapsto_tensor::{Module, Result, Tensor};
use serde::{Deserialize, Serialize};

use crate::Size2;
use crate::dim::with_batch;

fn windows(kernel: Size2) -> Pool2dParams {
    Pool2dParams {
        kernel: kernel.into(),
        stride: kernel.into(),
        padding: (0, 0),
        ceil_mode: false,
    }
}

/// The largest value of each window.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[doc(alias = "MaxPooling2D")]
pub struct MaxPool2d {
    window: Pool2dParams,
}

impl MaxPool2d {
    /// Windows of this size side by side, without padding.
    pub fn new(kernel: impl Into<Size2>) -> Self {
        Self {
            window: windows(kernel.into()),
        }
    }

    /// The step from one window to the next, instead of the kernel's size.
    #[must_use]
    pub fn stride(mut self, stride: impl Into<Size2>) -> Self {
        self.window.stride = stride.into().into();
        self
    }

    /// Rows and columns, smaller than any number, on each side; at most half the kernel.
    #[must_use]
    pub fn padding(mut self, padding: impl Into<Size2>) -> Self {
        self.window.padding = padding.into().into();
        self
    }

    /// Whether a last window may hang over the bottom and right edge.
    #[must_use]
    pub fn ceil_mode(mut self, ceil_mode: bool) -> Self {
        self.window.ceil_mode = ceil_mode;
        self
    }
}

impl MaxPool2d {
    pub(crate) fn window(&self) -> &Pool2dParams {
        &self.window
    }
}

impl Module for MaxPool2d {
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        with_batch(x, "max_pool2d", |x| ops::max_pool2d(x, &self.window))
    }
}

/// The mean of each window.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[doc(alias = "AveragePooling2D")]
pub struct AvgPool2d {
    params: AvgPool2dParams,
}

impl AvgPool2d {
    /// Windows of this size side by side, without padding.
    pub fn new(kernel: impl Into<Size2>) -> Self {
        Self {
            params: AvgPool2dParams {
                window: windows(kernel.into()),
                count_include_pad: true,
                divisor_override: None,
            },
        }
    }

    /// The step from one window to the next, instead of the kernel's size.
    #[must_use]
    pub fn stride(mut self, stride: impl Into<Size2>) -> Self {
        self.params.window.stride = stride.into().into();
        self
    }

    /// Rows and columns of zeros on each side; at most half the kernel.
    #[must_use]
    pub fn padding(mut self, padding: impl Into<Size2>) -> Self {
        self.params.window.padding = padding.into().into();
        self
    }

    /// Whether a last window may hang over the bottom and right edge.
    #[must_use]
    pub fn ceil_mode(mut self, ceil_mode: bool) -> Self {
        self.params.window.ceil_mode = ceil_mode;
        self
    }

    /// Whether padding counts in the divisor; it does unless turned off.
    #[must_use]
    pub fn count_include_pad(mut self, count: bool) -> Self {
        self.params.count_include_pad = count;
        self
    }

    /// Divides every sum by this, at least 1, instead of by the window's size.
    #[must_use]
    pub fn divisor_override(mut self, divisor: usize) -> Self {
        self.params.divisor_override = Some(divisor);
        self
    }
}

impl Module for AvgPool2d {
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        with_batch(x, "avg_pool2d", |x| ops::avg_pool2d(x, &self.params))
    }
}
