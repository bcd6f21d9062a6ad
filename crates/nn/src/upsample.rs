//! [`Upsample`]: pictures made larger, by the nearest pixel or bilinear between the four around.
//!
//! A new pixel `i` of an axis lies at `i / f` of the old one (nearest, rounded down), at
//! `(i + 1/2) / f - 1/2` (bilinear, at least 0), or, with the corners aligned, at
//! `i (H - 1) / (H' - 1)`.
//!
//! **Shape:** `(N, C, H, W)` or `(C, H, W)` → the same with `H' = floor(f H)`, so too for `W'`, or
//! with the size that was asked for.
//!
//! **Parameters:** none.
//!
//! As PyTorch's modes `nearest` (not `nearest-exact`) and `bilinear`.
//!
//! ```
//! use mapsto_nn::Upsample;
//! use mapsto_tensor::{Device, Module, Tensor};
//! let x = Tensor::new(&[[[1f32, 2.0]]], &Device::Cpu)?;
//! let y = Upsample::nearest(2.0)?.forward(&x)?;
//! assert_eq!(y.to_vec3::<f32>()?, [[[1.0, 1.0, 2.0, 2.0], [1.0, 1.0, 2.0, 2.0]]]);
//! # Ok::<(), mapsto_tensor::Error>(())
//! ```

use mapsto_tensor::ops::{self, UpsampleMode};
use mapsto_tensor::{Module, Result, Tensor, bail};
use serde::{Deserialize, Serialize};

use crate::Size2;
use crate::dim::with_batch;

/// How large the picture becomes; pairs are (height, width).
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum UpsampleTo {
    /// This many times as large, each above 0.
    Scale(f64, f64),
    /// This large, in pixels.
    Size(usize, usize),
}

/// Makes pictures larger.
#[derive(Debug, Clone, Copy, PartialEq)]
#[doc(alias = "UpSampling2D")]
#[doc(alias = "interpolate")]
pub struct Upsample {
    to: UpsampleTo,
    mode: UpsampleMode,
}

impl Upsample {
    /// To a scale or size, in this mode.
    ///
    /// # Errors
    /// When a scale is not above 0 or a size is 0.
    pub fn new(to: UpsampleTo, mode: UpsampleMode) -> Result<Self> {
        let in_range = match to {
            UpsampleTo::Scale(a, b) => [a, b].iter().all(|s| *s > 0.0 && s.is_finite()),
            UpsampleTo::Size(height, width) => height > 0 && width > 0,
        };
        if !in_range {
            bail!("upsample: expected a scale above 0 or a size of at least 1, got {to:?}");
        }
        Ok(Self { to, mode })
    }

    /// `scale` times as high and wide, each pixel repeated.
    ///
    /// # Errors
    /// When the scale is not above 0.
    pub fn nearest(scale: f64) -> Result<Self> {
        Self::new(UpsampleTo::Scale(scale, scale), UpsampleMode::Nearest)
    }

    /// `scale` times as high and wide, bilinear, the corners not aligned.
    ///
    /// # Errors
    /// When the scale is not above 0.
    pub fn bilinear(scale: f64) -> Result<Self> {
        let mode = UpsampleMode::Bilinear {
            align_corners: false,
        };
        Self::new(UpsampleTo::Scale(scale, scale), mode)
    }

    /// To a size, bilinear, the corners not aligned.
    ///
    /// # Errors
    /// When the size is 0.
    pub fn to_size(size: impl Into<Size2>) -> Result<Self> {
        let Size2 { height, width } = size.into();
        let mode = UpsampleMode::Bilinear {
            align_corners: false,
        };
        Self::new(UpsampleTo::Size(height, width), mode)
    }
}

impl Module for Upsample {
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        with_batch(x, "upsample", |x| {
            let (_, _, h, w) = x.dims4()?;
            match self.to {
                UpsampleTo::Size(height, width) => {
                    ops::upsample2d(x, (height, width), None, self.mode)
                }
                UpsampleTo::Scale(rows, columns) => {
                    let scaled = |side: usize, scale: f64| (side as f64 * scale).floor() as usize;
                    let size = (scaled(h, rows), scaled(w, columns));
                    ops::upsample2d(x, size, Some((1.0 / rows, 1.0 / columns)), self.mode)
                }
            }
        })
    }
}
