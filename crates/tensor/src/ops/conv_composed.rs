//! Convolution and windows out of candle ops alone, for devices without a kernel of ours.
//!
//! Every kernel offset is one strided slice of the padded picture (two index selections, whose
//! gradients candle has right); stacked, they are the columns of a matrix product. candle's
//! own convolution is not used: its backward pass fails when height and width leave different
//! remainders.

use candle_core::{Result, Tensor};

use super::conv::Conv2dParams;
use super::window::Pool2dParams;

/// Where the offsets of one axis read: start, dilation, stride and number of outputs.
struct Axis {
    kernel: usize,
    dilation: usize,
    stride: usize,
    out: usize,
}

impl Axis {
    fn indices(&self, offset: usize, like: &Tensor) -> Result<Tensor> {
        let first = offset * self.dilation;
        let indices: Vec<u32> = (0..self.out)
            .map(|o| (first + o * self.stride) as u32)
            .collect();
        Tensor::from_vec(indices, self.out, like.device())
    }

    /// Cells that the windows reach over.
    fn reach(&self) -> usize {
        (self.out - 1) * self.stride + (self.kernel - 1) * self.dilation + 1
    }
}

/// `(N, C, kernel cells, outputs)`: the cells of every window of a padded picture.
fn unfold(padded: &Tensor, rows: &Axis, cols: &Axis) -> Result<Tensor> {
    let (n, c, _, _) = padded.dims4()?;
    let mut cells = Vec::with_capacity(rows.kernel * cols.kernel);
    for y in 0..rows.kernel {
        let lines = padded.index_select(&rows.indices(y, padded)?, 2)?;
        for x in 0..cols.kernel {
            let cell = lines.index_select(&cols.indices(x, padded)?, 3)?;
            cells.push(cell.reshape((n, c, rows.out * cols.out))?);
        }
    }
    Tensor::stack(&cells, 2)
}

/// `x` padded by `value`, at least as far as the windows reach.
fn pad(x: &Tensor, dim: usize, padding: usize, axis: &Axis, value: f64) -> Result<Tensor> {
    let after = axis.reach().saturating_sub(x.dim(dim)? + padding);
    let filler = |size: usize| {
        let mut dims = x.dims().to_vec();
        dims[dim] = size;
        Tensor::full(value as f32, dims, x.device())?.to_dtype(x.dtype())
    };
    let mut parts = vec![x.clone()];
    if padding > 0 {
        parts.insert(0, filler(padding)?);
    }
    if after > 0 {
        parts.push(filler(after)?);
    }
    Tensor::cat(&parts, dim)
}

/// `(N, C, kernel cells, outputs)` for pooling, the padding filled with `value`.
pub(super) fn windows(
    x: &Tensor,
    params: &Pool2dParams,
    (oh, ow): (usize, usize),
    value: f64,
) -> Result<Tensor> {
    let rows = Axis {
        kernel: params.kernel.0,
        dilation: 1,
        stride: params.stride.0,
        out: oh,
    };
    let cols = Axis {
        kernel: params.kernel.1,
        dilation: 1,
        stride: params.stride.1,
        out: ow,
    };
    let padded = pad(x, 2, params.padding.0, &rows, value)?;
    unfold(
        &pad(&padded, 3, params.padding.1, &cols, value)?,
        &rows,
        &cols,
    )
}

/// Convolution as unfolding and one matrix product a group.
pub(super) fn conv2d(
    x: &Tensor,
    weight: &Tensor,
    bias: Option<&Tensor>,
    params: &Conv2dParams,
) -> Result<Tensor> {
    let (n, c, h, w) = x.dims4()?;
    let (out, group_in, kh, kw) = weight.dims4()?;
    let (oh, ow) = params.output_size((h, w), (kh, kw))?;
    let axis = |kernel, dilation, stride, out| Axis {
        kernel,
        dilation,
        stride,
        out,
    };
    let rows = axis(kh, params.dilation.0, params.stride.0, oh);
    let cols = axis(kw, params.dilation.1, params.stride.1, ow);
    let padded = pad(x, 2, params.padding.0, &rows, 0.0)?;
    let cells = unfold(
        &pad(&padded, 3, params.padding.1, &cols, 0.0)?,
        &rows,
        &cols,
    )?;
    let groups = params.groups;
    let columns = cells.reshape((n, groups, c / groups * kh * kw, oh * ow))?;
    let kernels = weight.reshape((1, groups, out / groups, group_in * kh * kw))?;
    let y = kernels
        .broadcast_matmul(&columns)?
        .reshape((n, out, oh, ow))?;
    match bias {
        Some(bias) => y.broadcast_add(&bias.reshape((1, out, 1, 1))?),
        None => Ok(y),
    }
}
