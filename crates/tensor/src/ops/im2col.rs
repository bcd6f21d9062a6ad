//! Patches of a picture as the columns of a matrix, and back: what turns convolution into gemm.
//!
//! For one image `(C, H, W)` and a `kh x kw` kernel, `columns` is `(C kh kw, H' W')`.
//!
//! **Reference:** Kumar Chellapilla, Sidd Puri, Patrice Simard, "High performance convolutional
//! neural networks for document processing", 2006.

use crate::kernel::Float;

/// Sizes of a convolution over one group of one image.
#[derive(Clone, Copy)]
pub(super) struct Patches {
    pub(super) channels: usize,
    pub(super) input: (usize, usize),
    pub(super) output: (usize, usize),
    pub(super) kernel: (usize, usize),
    pub(super) stride: (usize, usize),
    pub(super) padding: (usize, usize),
    pub(super) dilation: (usize, usize),
}

impl Patches {
    /// Rows of the column matrix.
    pub(super) fn depth(&self) -> usize {
        self.channels * self.kernel.0 * self.kernel.1
    }

    /// Columns of the column matrix.
    pub(super) fn places(&self) -> usize {
        self.output.0 * self.output.1
    }

    /// Whether the image is its own column matrix.
    pub(super) fn is_identity(&self) -> bool {
        self.kernel == (1, 1) && self.stride == (1, 1) && self.padding == (0, 0)
    }

    /// Writes the columns of `image` into a matrix, zeros where a patch hangs over the edge.
    pub(super) fn gather<T: Float>(&self, image: &[T], columns: &mut [T], within: Within) {
        let (ow, stride) = (self.output.1, self.stride.1);
        self.walk(within, |start, row, oy| {
            let line = &mut columns[start..][..ow];
            let Some(first) = self.first(row, oy) else {
                line.fill(T::zero());
                return;
            };
            // Loops of a few elements each, which calls would take longer for.
            line[..row.from].iter_mut().for_each(|to| *to = T::zero());
            line[row.to..].iter_mut().for_each(|to| *to = T::zero());
            let line = &mut line[row.from..row.to];
            if stride == 1 {
                line.copy_from_slice(&image[first..][..line.len()]);
                return;
            }
            let mut at = first;
            for to in line {
                *to = image[at];
                at += stride;
            }
        });
    }

    /// Adds the columns back to the places in `image` that they came from.
    pub(super) fn scatter_add<T: Float>(&self, columns: &[T], within: Within, image: &mut [T]) {
        let stride = self.stride.1;
        self.walk(within, |start, row, oy| {
            let Some(first) = self.first(row, oy) else {
                return;
            };
            let line = &columns[start..][row.from..row.to];
            if stride == 1 {
                let target = &mut image[first..][..line.len()];
                target
                    .iter_mut()
                    .zip(line)
                    .for_each(|(to, &from)| *to += from);
                return;
            }
            let mut at = first;
            for &from in line {
                image[at] += from;
                at += stride;
            }
        });
    }

    /// Visits each line of outputs of each row of the column matrix: where it starts there, the row,
    /// and the number of the line.
    #[inline(always)]
    fn walk(&self, within: Within, mut visit: impl FnMut(usize, &Row, usize)) {
        let (oh, ow) = self.output;
        let mut start = within.first;
        for channel in 0..self.channels {
            for ky in 0..self.kernel.0 {
                for kx in 0..self.kernel.1 {
                    let row = self.row(channel, ky, kx);
                    for oy in 0..oh {
                        visit(start + oy * ow, &row, oy);
                    }
                    start += within.width;
                }
            }
        }
    }

    /// What the lines of a row have in common.
    #[inline(always)]
    fn row(&self, channel: usize, ky: usize, kx: usize) -> Row {
        let (ow, dx) = (self.output.1, kx * self.dilation.1);
        let ((_, padding), (_, stride)) = (self.padding, self.stride);
        // Outputs ox with 0 <= ox * stride + dx - padding < width.
        let from = padding.saturating_sub(dx).div_ceil(stride).min(ow);
        let room = (self.input.1 + padding).saturating_sub(dx);
        Row {
            channel,
            dy: ky * self.dilation.0,
            dx: from * stride + dx,
            from,
            to: room.div_ceil(stride).clamp(from, ow),
        }
    }

    /// Where the first output of a line that is inside the image reads it, if any is.
    #[inline(always)]
    fn first(&self, row: &Row, oy: usize) -> Option<usize> {
        let (height, width) = self.input;
        let y = (oy * self.stride.0 + row.dy).checked_sub(self.padding.0)?;
        let inside = y < height && row.from < row.to;
        inside.then(|| (row.channel * height + y) * width + row.dx - self.padding.1)
    }
}

/// Where the columns of an image stand in a matrix that holds those of several.
#[derive(Clone, Copy)]
pub(super) struct Within {
    /// Columns of the matrix.
    pub(super) width: usize,
    /// The image's first.
    pub(super) first: usize,
}

/// A row of the column matrix: one cell of the kernel over one channel.
struct Row {
    channel: usize,
    /// Rows from an output's own place to the cell.
    dy: usize,
    /// Columns from the padded edge to what the first output inside reads.
    dx: usize,
    /// Outputs of a line that are inside the image.
    from: usize,
    to: usize,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_hold_what_the_definition_says() {
        for (stride, padding, dilation) in [
            ((1, 1), (0, 0), (1, 1)),
            ((2, 3), (1, 2), (1, 2)),
            ((1, 2), (2, 0), (2, 1)),
        ] {
            let (h, w, kernel) = (6, 7, (3, 2));
            let out = |size: usize, p: usize, d: usize, k: usize, s: usize| {
                (size + 2 * p - d * (k - 1) - 1) / s + 1
            };
            let output = (
                out(h, padding.0, dilation.0, kernel.0, stride.0),
                out(w, padding.1, dilation.1, kernel.1, stride.1),
            );
            let patches = Patches {
                channels: 2,
                input: (h, w),
                output,
                kernel,
                stride,
                padding,
                dilation,
            };
            let image: Vec<f64> = (0..2 * h * w).map(|i| i as f64 + 1.0).collect();
            let mut columns = vec![f64::NAN; patches.depth() * patches.places()];
            let within = Within {
                width: patches.places(),
                first: 0,
            };
            patches.gather(&image, &mut columns, within);
            let mut back = vec![0.0; image.len()];
            let mut expected_back = vec![0.0; image.len()];
            patches.scatter_add(&columns, within, &mut back);
            let mut at = 0;
            for c in 0..2 {
                for ky in 0..kernel.0 {
                    for kx in 0..kernel.1 {
                        for oy in 0..output.0 {
                            for ox in 0..output.1 {
                                let y = (oy * stride.0 + ky * dilation.0).wrapping_sub(padding.0);
                                let x = (ox * stride.1 + kx * dilation.1).wrapping_sub(padding.1);
                                let inside = y < h && x < w;
                                let value = if inside {
                                    image[(c * h + y) * w + x]
                                } else {
                                    0.0
                                };
                                assert_eq!(columns[at], value);
                                if inside {
                                    expected_back[(c * h + y) * w + x] += value;
                                }
                                at += 1;
                            }
                        }
                    }
                }
            }
            assert_eq!(back, expected_back);
        }
    }
}
