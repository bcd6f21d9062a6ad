//! [`Conv2d`]: two-dimensional convolution.
//!
//! `y[n, o, i, j] = b[o] + sum over c, u, v of w[o, c, u, v] x[n, c, i s + u d - p, j s + v d - p]`
//!
//! **Shape:** `(N, C, H, W)` or `(C, H, W)` → the same with `out_channels` and
//! `H' = floor((H + 2p - d (k - 1) - 1) / s) + 1`, so too for `W'`.
//!
//! **Parameters:** `weight (out, in / groups, kh, kw)`, `bias (out)`; both start uniform within
//! `1 / sqrt(in / groups * kh * kw)`.
//!
//! As in PyTorch, except that [`Padding::Explicit`] and the other pairs are always (height,
//! width). Padding "same" with an even kernel puts the extra cell right and at the bottom.
//!
//! ```
//! use mapsto_nn::{Conv2d, Conv2dConfig, Padding};
//! use mapsto_tensor::{DType, Device, Module, ParamStore, Tensor};
//! let store = ParamStore::new(DType::F32, &Device::Cpu);
//! let config = Conv2dConfig { padding: Padding::Same, ..Conv2dConfig::new(1, 8, 3) };
//! let layer = Conv2d::new(&config, store.root())?;
//! let y = layer.forward(&Tensor::zeros((2, 1, 28, 28), DType::F32, &Device::Cpu)?)?;
//! assert_eq!(y.dims(), [2, 8, 28, 28]);
//! # Ok::<(), mapsto_tensor::Error>(())
//! ```
//!
//! **References:** Yann LeCun et al., "Backpropagation applied to handwritten zip code
//! recognition", 1989; Fisher Yu, Vladlen Koltun, "Multi-scale context aggregation by dilated
//! convolutions", 2016.

use mapsto_tensor::ops::{self, Conv2dParams, PadMode, Then};
use mapsto_tensor::{Module, Result, Tensor, VarBuilder, bail, init::Initializer};
use serde::{Deserialize, Serialize};

use crate::Size2;
use crate::dim::with_batch;

/// How much is put around the input.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Padding {
    /// Rows above and below, columns left and right.
    Explicit(usize, usize),
    /// As much as keeps height and width; needs stride 1.
    Same,
    /// Nothing.
    Valid,
}

/// The options of a [`Conv2d`]; pairs are (height, width), in pixels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Conv2dConfig {
    /// Channels of the input.
    pub in_channels: usize,
    /// Channels of the output, the filters.
    #[serde(alias = "filters")]
    pub out_channels: usize,
    /// Size of the kernel, at least 1.
    pub kernel_size: (usize, usize),
    /// Step of the kernel, at least 1; default 1.
    #[serde(default = "crate::defaults::ones")]
    pub stride: (usize, usize),
    /// What is put around the input; default nothing.
    #[serde(default = "no_padding")]
    pub padding: Padding,
    /// Distance between the kernel's cells, at least 1; default 1, a kernel without gaps.
    #[serde(default = "crate::defaults::ones")]
    pub dilation: (usize, usize),
    /// Blocks of channels convolved apart; divides both channel numbers; default 1.
    #[serde(default = "crate::defaults::one")]
    pub groups: usize,
    /// Whether a bias is added; default true.
    #[serde(default = "crate::defaults::yes")]
    pub bias: bool,
    /// What the padding consists of; default zeros.
    #[serde(default)]
    pub padding_mode: PadMode,
}

fn no_padding() -> Padding {
    Padding::Explicit(0, 0)
}

impl Conv2dConfig {
    /// PyTorch's defaults for the rest: stride 1, no padding, one group, a bias.
    pub fn new(in_channels: usize, out_channels: usize, kernel_size: impl Into<Size2>) -> Self {
        Self {
            in_channels,
            out_channels,
            kernel_size: kernel_size.into().into(),
            stride: (1, 1),
            padding: no_padding(),
            dilation: (1, 1),
            groups: 1,
            bias: true,
            padding_mode: PadMode::Zeros,
        }
    }

    /// Checks the options of `layer`, which stands in the errors.
    pub(crate) fn validate(&self, layer: &str) -> Result<()> {
        let pairs = [
            ("kernel_size", self.kernel_size),
            ("stride", self.stride),
            ("dilation", self.dilation),
        ];
        for (name, pair) in pairs {
            if pair.0 == 0 || pair.1 == 0 {
                bail!("{layer}: {name} must be at least 1, got {pair:?}");
            }
        }
        let (input, out, groups) = (self.in_channels, self.out_channels, self.groups);
        if groups == 0 || input % groups != 0 || out % groups != 0 {
            bail!(
                "{layer}: {input} input and {out} output channels do not divide by {groups} groups"
            );
        }
        if self.padding == Padding::Same && self.stride != (1, 1) {
            bail!(
                "{layer}: padding \"same\" needs stride 1, got {:?}",
                self.stride
            );
        }
        Ok(())
    }

    /// Cells before and after, along height and along width.
    fn margins(&self) -> [(usize, usize); 2] {
        let same = |kernel: usize, dilation: usize| {
            let total = dilation * (kernel - 1);
            (total / 2, total - total / 2)
        };
        match self.padding {
            Padding::Explicit(rows, columns) => [(rows, rows), (columns, columns)],
            Padding::Valid => [(0, 0), (0, 0)],
            Padding::Same => [
                same(self.kernel_size.0, self.dilation.0),
                same(self.kernel_size.1, self.dilation.1),
            ],
        }
    }
}

/// Two-dimensional convolution.
#[derive(Debug, Clone)]
#[doc(alias = "Convolution2D")]
pub struct Conv2d {
    pub(crate) weight: Tensor,
    bias: Option<Tensor>,
    config: Conv2dConfig,
}

/// A [`Conv2d`] with a square kernel, stride 1, no padding and a bias.
///
/// # Errors
/// When the kernel is 0, or the store behind `vb` holds these names with other shapes.
pub fn conv2d(
    in_channels: usize,
    out_channels: usize,
    kernel: usize,
    vb: VarBuilder<'_>,
) -> Result<Conv2d> {
    Conv2d::new(&Conv2dConfig::new(in_channels, out_channels, kernel), vb)
}

impl Conv2d {
    /// Makes or finds the parameters under `vb`.
    ///
    /// # Errors
    /// When an option is out of range, or the store behind `vb` holds these names with other
    /// shapes.
    pub fn new(config: &Conv2dConfig, vb: VarBuilder<'_>) -> Result<Self> {
        config.validate("conv2d")?;
        let (kh, kw) = config.kernel_size;
        let group_in = config.in_channels / config.groups;
        let init = Initializer::torch_default(group_in * kh * kw);
        let shape = (config.out_channels, group_in, kh, kw);
        let weight = vb.get_with_hints(shape, "weight", init)?;
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

    /// The kernels, `(out, in / groups, kh, kw)`.
    pub fn weight(&self) -> &Tensor {
        &self.weight
    }

    /// The bias, `(out)`.
    pub fn bias(&self) -> Option<&Tensor> {
        self.bias.as_ref()
    }

    /// The options.
    pub fn config(&self) -> &Conv2dConfig {
        &self.config
    }
}

impl Conv2d {
    /// With a weight that another layer keeps.
    pub(crate) fn from_parts(weight: Tensor, bias: Option<Tensor>, config: Conv2dConfig) -> Self {
        Self {
            weight,
            bias,
            config,
        }
    }

    /// The convolution and what follows it, in one op.
    pub(crate) fn forward_then(&self, x: &Tensor, then: &Then) -> Result<Tensor> {
        let config = &self.config;
        let [rows, columns] = config.margins();
        let even = rows.0 == rows.1 && columns.0 == columns.1;
        // The op pads with zeros itself, the same on both sides; the rest is padded before.
        let inside = config.padding_mode == PadMode::Zeros && even;
        let params = Conv2dParams {
            stride: config.stride,
            padding: if inside { (rows.0, columns.0) } else { (0, 0) },
            dilation: config.dilation,
            groups: config.groups,
        };
        with_batch(x, "conv2d", |x| {
            let padded = if inside {
                x.clone()
            } else {
                ops::pad2d(x, rows, columns, config.padding_mode)?
            };
            ops::conv2d_then(&padded, &self.weight, self.bias.as_ref(), &params, then)
        })
    }
}

impl Module for Conv2d {
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        self.forward_then(x, &Then::default())
    }
}
