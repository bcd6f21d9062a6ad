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
        self.walk(within, |start, cell| {
            let line = &mut columns[start..][..self.output.1];
            match cell {
                None => line.fill(T::zero()),
                Some(cell) => {
                    line[..cell.from].fill(T::zero());
                    line[cell.to..].fill(T::zero());
                    let line = &mut line[cell.from..cell.to];
                    if self.stride.1 == 1 {
                        line.copy_from_slice(&image[cell.first..][..line.len()]);
                    } else {
                        let source = image[cell.first..].iter().step_by(self.stride.1);
                        line.iter_mut()
                            .zip(source)
                            .for_each(|(to, &from)| *to = from);
                    }
                }
            }
        });
    }

    /// Adds the columns back to the places in `image` that they came from.
    pub(super) fn scatter_add<T: Float>(&self, columns: &[T], within: Within, image: &mut [T]) {
        self.walk(within, |start, cell| {
            let Some(cell) = cell else { return };
            let line = &columns[start..][cell.from..cell.to];
            if self.stride.1 == 1 {
                let target = &mut image[cell.first..][..line.len()];
                target
                    .iter_mut()
                    .zip(line)
                    .for_each(|(to, &from)| *to += from);
            } else {
                let target = image[cell.first..].iter_mut().step_by(self.stride.1);
                target.zip(line).for_each(|(to, &from)| *to += from);
            }
        });
    }

    /// Visits each line of outputs of each row of the column matrix: where it starts there, and
    /// the part of it that lies inside the image.
    #[inline(always)]
    fn walk(&self, within: Within, mut visit: impl FnMut(usize, Option<Cell>)) {
        let ((height, width), (oh, ow)) = (self.input, self.output);
        let mut row = within.first;
        for channel in 0..self.channels {
            for ky in 0..self.kernel.0 {
                for kx in 0..self.kernel.1 {
                    let dx = kx * self.dilation.1;
                    // Outputs ox with 0 <= ox * stride + dx - padding < width.
                    let from = self
                        .padding
                        .1
                        .saturating_sub(dx)
                        .div_ceil(self.stride.1)
                        .min(ow);
                    let room = (width + self.padding.1).saturating_sub(dx);
                    let to = room.div_ceil(self.stride.1).clamp(from, ow);
                    let mut start = row;
                    row += within.width;
                    for oy in 0..oh {
                        let y = oy * self.stride.0 + ky * self.dilation.0;
                        let inside =
                            y >= self.padding.0 && y - self.padding.0 < height && from < to;
                        let cell = inside.then(|| Cell {
                            from,
                            to,
                            first: (channel * height + y - self.padding.0) * width
                                + from * self.stride.1
                                + dx
                                - self.padding.1,
                        });
                        visit(start, cell);
                        start += ow;
                    }
                }
            }
        }
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

/// Outputs `from..to` of a line read the image from `first` on.
struct Cell {
    from: usize,
    to: usize,
    first: usize,
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
