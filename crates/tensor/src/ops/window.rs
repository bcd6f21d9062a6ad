//! Sliding windows over pictures: their parameters, output sizes, and padding.

use candle_core::{Result, Tensor, bail};
use serde::{Deserialize, Serialize};

/// Windows of a pooling layer; pairs are (height, width), in pixels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pool2dParams {
    /// Size of a window.
    pub kernel: (usize, usize),
    /// Step from one window to the next.
    pub stride: (usize, usize),
    /// Rows and columns added on each side; at most half the kernel.
    pub padding: (usize, usize),
    /// Whether a last window may hang over the bottom and right edge.
    pub ceil_mode: bool,
}

impl Pool2dParams {
    /// Square windows side by side, without padding.
    pub const fn new(kernel: usize) -> Self {
        Self {
            kernel: (kernel, kernel),
            stride: (kernel, kernel),
            padding: (0, 0),
            ceil_mode: false,
        }
    }

    /// Height and width of the output for a picture of this size.
    ///
    /// # Errors
    /// When a parameter is out of range or the picture is smaller than a window.
    pub fn output_size(&self, height: usize, width: usize) -> Result<(usize, usize)> {
        Ok((
            self.output_dim(height, self.kernel.0, self.stride.0, self.padding.0)?,
            self.output_dim(width, self.kernel.1, self.stride.1, self.padding.1)?,
        ))
    }

    fn output_dim(&self, size: usize, kernel: usize, stride: usize, pad: usize) -> Result<usize> {
        if kernel == 0 || stride == 0 || pad > kernel / 2 {
            bail!(
                "pooling needs kernel and stride of at least 1 and padding of at most half the \
                 kernel, got kernel {kernel}, stride {stride}, padding {pad}"
            );
        }
        let room = (size + 2 * pad).checked_sub(kernel);
        let Some(room) = room.filter(|_| size > 0) else {
            bail!("pooling window of {kernel} does not fit an input of {size} padded by {pad}");
        };
        if !self.ceil_mode {
            return Ok(room / stride + 1);
        }
        let count = room.div_ceil(stride) + 1;
        // PyTorch drops a window that would start in the right padding.
        let starts_outside = (count - 1) * stride >= size + pad;
        Ok(count - usize::from(starts_outside))
    }
}

/// One axis of a window walk: which input cells window `index` covers.
#[derive(Clone, Copy)]
pub(super) struct Span {
    pub(super) start: usize,
    pub(super) end: usize,
    /// Cells counting padding, but none beyond it.
    pub(super) padded: usize,
}

/// The spans of all windows along one axis.
pub(super) fn spans(
    size: usize,
    out: usize,
    kernel: usize,
    stride: usize,
    pad: usize,
) -> Vec<Span> {
    (0..out)
        .map(|index| {
            let from = index * stride;
            let to = (from + kernel).min(size + 2 * pad);
            Span {
                start: from.max(pad) - pad,
                end: to.saturating_sub(pad).min(size),
                padded: to - from,
            }
        })
        .collect()
}

/// What [`pad2d`] puts around a picture.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PadMode {
    /// Zeros.
    #[default]
    Zeros,
    /// The picture mirrored at its edge, the edge itself once.
    Reflect,
    /// The edge repeated.
    Replicate,
    /// The opposite side.
    Circular,
}

/// Pads `(N, C, H, W)` by `(top, bottom)` rows and `(left, right)` columns.
///
/// # Errors
/// When the padding is larger than the mode allows: reflect needs it smaller than the picture,
/// circular at most as large.
pub fn pad2d(
    x: &Tensor,
    rows: (usize, usize),
    columns: (usize, usize),
    mode: PadMode,
) -> Result<Tensor> {
    let x = pad_dim(x, 2, rows, mode)?;
    pad_dim(&x, 3, columns, mode)
}

fn pad_dim(
    x: &Tensor,
    dim: usize,
    (before, after): (usize, usize),
    mode: PadMode,
) -> Result<Tensor> {
    if before == 0 && after == 0 {
        return Ok(x.clone());
    }
    let size = x.dim(dim)?;
    let largest = before.max(after);
    let too_large = match mode {
        PadMode::Zeros => return x.pad_with_zeros(dim, before, after),
        PadMode::Reflect => largest >= size,
        PadMode::Circular => largest > size,
        PadMode::Replicate => size == 0,
    };
    if too_large {
        bail!("{mode:?} padding of {largest} is too large for a side of {size}");
    }
    let (before, after, size) = (before as i64, after as i64, size as i64);
    let indices: Vec<u32> = (-before..size + after)
        .map(|i| match mode {
            PadMode::Reflect if i < 0 => -i,
            PadMode::Reflect if i >= size => 2 * (size - 1) - i,
            PadMode::Circular => i.rem_euclid(size),
            _ => i.clamp(0, size - 1),
        })
        .map(|i| i as u32)
        .collect();
    let count = indices.len();
    x.contiguous()?
        .index_select(&Tensor::from_vec(indices, count, x.device())?, dim)
}
