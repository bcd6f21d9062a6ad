//! [`ConvTranspose2d`]: transposed two-dimensional convolution, which makes pictures larger.
//!
//! `y[n, o, i s + u d - p, j s + v d - p] += w[c, o, u, v] x[n, c, i, j]`, summed over all `c`,
//! `i`, `j`, `u` and `v`, plus `b[o]`: the input gradient of a convolution, as a layer.
//!
//! **Shape:** `(N, C, H, W)` or `(C, H, W)` → the same with `out_channels` and
//! `H' = (H - 1) s - 2p + d (k - 1) + output_padding + 1`, so too for `W'`.
//!
//! **Parameters:** `weight (in, out / groups, kh, kw)`, `bias (out)`; both start uniform within
//! `1 / sqrt(out / groups * kh * kw)`.
//!
//! As in PyTorch, except that there is no `output_size` in the call.
//!
//! ```
//! use mapsto_nn::{ConvTranspose2d, ConvTranspose2dConfig};
//! use mapsto_tensor::{DType, Device, Module, ParamStore, Tensor};
//! let store = ParamStore::new(DType::F32, &Device::Cpu);
//! let doubling = ConvTranspose2dConfig {
//!     stride: (2, 2),
//!     padding: (1, 1),
//!     ..ConvTranspose2dConfig::new(8, 1, 4)
//! };
//! let layer = ConvTranspose2d::new(&doubling, store.root())?;
//! let y = layer.forward(&Tensor::zeros((2, 8, 14, 14), DType::F32, &Device::Cpu)?)?;
//! assert_eq!(y.dims(), [2, 1, 28, 28]);
//! # Ok::<(), mapsto_tensor::Error>(())
//! ```
//!
//! **References:** Matthew Zeiler et al., "Deconvolutional networks", 2010; Alec Radford, Luke
//! Metz, Soumith Chintala, "Unsupervised representation learning with deep convolutional
//! generative adversarial networks", 2016.

use mapsto_tensor::init::Initializer;
use mapsto_tensor::ops::{self, Conv2dParams, ConvTranspose2dParams};
use mapsto_tensor::{Module, Result, Tensor, VarBuilder, bail};
use serde::{Deserialize, Serialize};

use crate::Size2;
use crate::dim::with_batch;

/// The options of a [`ConvTranspose2d`]; pairs are (height, width), in pixels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ConvTranspose2dConfig {
    /// Channels of the input.
    pub in_channels: usize,
    /// Channels of the output.
    #[serde(alias = "filters")]
    pub out_channels: usize,
    /// Size of the kernel, at least 1.
    pub kernel_size: (usize, usize),
    /// Output pixels from one kernel to the next, at least 1; default 1.
    #[serde(default = "crate::defaults::ones")]
    pub stride: (usize, usize),
    /// Rows and columns taken off each side of the output; default 0.
    #[serde(default)]
    pub padding: (usize, usize),
    /// Rows added at the bottom and columns at the right, less than the stride or the dilation;
    /// default 0.
    #[serde(default)]
    pub output_padding: (usize, usize),
    /// Distance between the kernel's cells, at least 1; default 1.
    #[serde(default = "crate::defaults::ones")]
    pub dilation: (usize, usize),
    /// Blocks of channels apart; divides both channel numbers; default 1.
    #[serde(default = "crate::defaults::one")]
    pub groups: usize,
    /// Whether a bias is added; default true.
    #[serde(default = "crate::defaults::yes")]
    pub bias: bool,
}

impl ConvTranspose2dConfig {
    /// PyTorch's defaults for the rest: stride 1, no padding, one group, a bias.
    pub fn new(in_channels: usize, out_channels: usize, kernel_size: impl Into<Size2>) -> Self {
        Self {
            in_channels,
            out_channels,
            kernel_size: kernel_size.into().into(),
            stride: (1, 1),
            padding: (0, 0),
            output_padding: (0, 0),
            dilation: (1, 1),
            groups: 1,
            bias: true,
        }
    }

    fn validate(&self) -> Result<()> {
        for (name, (height, width)) in [
            ("kernel_size", self.kernel_size),
            ("stride", self.stride),
            ("dilation", self.dilation),
        ] {
            if height == 0 || width == 0 {
                bail!("conv transpose 2d: {name} must be at least 1, got ({height}, {width})");
            }
        }
        let (input, out, groups) = (self.in_channels, self.out_channels, self.groups);
        if groups == 0 || input % groups != 0 || out % groups != 0 {
            bail!(
                "conv transpose 2d: {input} input and {out} output channels do not divide by \
                 {groups} groups"
            );
        }
        Ok(())
    }
}

/// Transposed two-dimensional convolution.
#[derive(Debug, Clone)]
#[doc(alias = "Deconvolution")]
#[doc(alias = "Conv2DTranspose")]
pub struct ConvTranspose2d {
    pub(crate) weight: Tensor,
    bias: Option<Tensor>,
    config: ConvTranspose2dConfig,
}

impl ConvTranspose2d {
    /// Makes or finds the parameters under `vb`.
    ///
    /// # Errors
    /// When an option is out of range, or the store behind `vb` holds these names with other
    /// shapes.
    pub fn new(config: &ConvTranspose2dConfig, vb: VarBuilder<'_>) -> Result<Self> {
        config.validate()?;
        let (kh, kw) = config.kernel_size;
        let group_out = config.out_channels / config.groups;
        let init = Initializer::torch_default(group_out * kh * kw);
        let weight = vb.get_with_hints((config.in_channels, group_out, kh, kw), "weight", init)?;
        let bias = config
            .bias
            .then(|| vb.get_with_hints(config.out_channels, "bias", init))
            .transpose()?;
        Ok(Self {
            weight,
            bias,
            config: *config,
        })
    }

    /// The kernels, `(in, out / groups, kh, kw)`.
    pub fn weight(&self) -> &Tensor {
        &self.weight
    }

    /// The bias, `(out)`.
    pub fn bias(&self) -> Option<&Tensor> {
        self.bias.as_ref()
    }

    /// The options.
    pub fn config(&self) -> &ConvTranspose2dConfig {
        &self.config
    }
}

impl Module for ConvTranspose2d {
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let config = &self.config;
        let params = ConvTranspose2dParams {
            conv: Conv2dParams {
                stride: config.stride,
                padding: config.padding,
                dilation: config.dilation,
                groups: config.groups,
            },
            output_padding: config.output_padding,
        };
        with_batch(x, "conv transpose 2d", |x| {
            ops::conv_transpose2d(x, &self.weight, self.bias.as_ref(), &params)
        })
    }
}
