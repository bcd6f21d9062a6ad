//! [`Conv1d`]: one-dimensional convolution.
//!
//! `y[n, o, i] = b[o] + sum over c, u of w[o, c, u] x[n, c, i s + u d - p]`
//!
//! **Shape:** `(N, C, L)` or `(C, L)` → the same with `out_channels` and
//! `L' = floor((L + 2p - d (k - 1) - 1) / s) + 1`.
//!
//! **Parameters:** `weight (out, in / groups, k)`, `bias (out)`; both start uniform within
//! `1 / sqrt(in / groups * k)`.
//!
//! As in PyTorch. It runs as a convolution of pictures of height 1. Padding "same" with an even
//! kernel puts the extra cell right.
//!
//! ```
//! use mapsto_nn::{Conv1d, Conv1dConfig, Padding1d};
//! use mapsto_tensor::{DType, Device, Module, ParamStore, Tensor};
//! let store = ParamStore::new(DType::F32, &Device::Cpu);
//! let config = Conv1dConfig { padding: Padding1d::Same, ..Conv1dConfig::new(4, 8, 3) };
//! let layer = Conv1d::new(&config, store.root())?;
//! let y = layer.forward(&Tensor::zeros((2, 4, 50), DType::F32, &Device::Cpu)?)?;
//! assert_eq!(y.dims(), [2, 8, 50]);
//! # Ok::<(), mapsto_tensor::Error>(())
//! ```
//!
//! **References:** Alex Waibel et al., "Phoneme recognition using time-delay neural networks",
//! 1989.

use mapsto_tensor::ops::PadMode;
use mapsto_tensor::{Module, Result, Tensor, VarBuilder, bail, init::Initializer};
use serde::{Deserialize, Serialize};

use crate::{Conv2d, Conv2dConfig, Padding};

/// How much is put before and after the input of a [`Conv1d`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Padding1d {
    /// So many cells on both sides.
    Explicit(usize),
    /// As much as keeps the length; needs stride 1.
    Same,
    /// Nothing.
    Valid,
}

/// The options of a [`Conv1d`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Conv1dConfig {
    /// Channels of the input.
    pub in_channels: usize,
    /// Channels of the output, the filters.
    #[serde(alias = "filters")]
    pub out_channels: usize,
    /// Size of the kernel, at least 1.
    pub kernel_size: usize,
    /// Step of the kernel, at least 1; default 1.
    #[serde(default = "crate::defaults::one")]
    pub stride: usize,
    /// What is put around the input; default nothing.
    #[serde(default = "no_padding")]
    pub padding: Padding1d,
    /// Distance between the kernel's cells, at least 1; default 1, a kernel without gaps.
    #[serde(default = "crate::defaults::one")]
    pub dilation: usize,
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

fn no_padding() -> Padding1d {
    Padding1d::Explicit(0)
}

impl Conv1dConfig {
    /// PyTorch's defaults for the rest: stride 1, no padding, one group, a bias.
    pub const fn new(in_channels: usize, out_channels: usize, kernel_size: usize) -> Self {
        Self {
            in_channels,
            out_channels,
            kernel_size,
            stride: 1,
            padding: Padding1d::Explicit(0),
            dilation: 1,
            groups: 1,
            bias: true,
            padding_mode: PadMode::Zeros,
        }
    }

    /// The same over pictures of height 1.
    fn flat(&self) -> Conv2dConfig {
        Conv2dConfig {
            in_channels: self.in_channels,
            out_channels: self.out_channels,
            kernel_size: (1, self.kernel_size),
            stride: (1, self.stride),
            padding: match self.padding {
                Padding1d::Explicit(cells) => Padding::Explicit(0, cells),
                Padding1d::Same => Padding::Same,
                Padding1d::Valid => Padding::Valid,
            },
            dilation: (1, self.dilation),
            groups: self.groups,
            bias: self.bias,
            padding_mode: self.padding_mode,
        }
    }
}

/// One-dimensional convolution.
#[derive(Debug, Clone)]
#[doc(alias = "Convolution1D")]
pub struct Conv1d {
    pub(crate) weight: Tensor,
    bias: Option<Tensor>,
    config: Conv1dConfig,
}

impl Conv1d {
    /// Makes or finds the parameters under `vb`.
    ///
    /// # Errors
    /// When an option is out of range, or the store behind `vb` holds these names with other
    /// shapes.
    pub fn new(config: &Conv1dConfig, vb: VarBuilder<'_>) -> Result<Self> {
        config.flat().validate("conv1d")?;
        let group_in = config.in_channels / config.groups;
        let init = Initializer::torch_default(group_in * config.kernel_size);
        let shape = (config.out_channels, group_in, config.kernel_size);
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

    /// The kernels, `(out, in / groups, k)`.
    pub fn weight(&self) -> &Tensor {
        &self.weight
    }

    /// The bias, `(out)`.
    pub fn bias(&self) -> Option<&Tensor> {
        self.bias.as_ref()
    }

    /// The options.
    pub fn config(&self) -> &Conv1dConfig {
        &self.config
    }
}

impl Module for Conv1d {
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let rank = x.rank();
        if rank != 2 && rank != 3 {
            bail!(
                "conv1d: expected an input (N, C, L) or (C, L), got {:?}",
                x.shape()
            );
        }
        let weight = self.weight.unsqueeze(2)?;
        let flat = Conv2d::from_parts(weight, self.bias.clone(), self.config.flat());
        let y = flat.forward(&x.unsqueeze(rank - 1)?)?;
        y.squeeze(rank - 1)
    }
}
