//! Max and average pooling.

use mapsto_tensor::ops::{AvgPool2dParams, Pool2dParams, avg_pool2d, max_pool2d};
use mapsto_tensor::testing::{check_gradients, wave};

type Pair = (usize, usize);

/// Windows with and without hanging over the edge.
fn windows(kernel: Pair, stride: Pair, padding: Pair) -> [Pool2dParams; 2] {
    [false, true].map(|ceil_mode| Pool2dParams {
        kernel,
        stride,
        padding,
        ceil_mode,
    })
}

/// Side by side, overlapping, apart, padded; on pictures that they do not divide.
fn cases() -> Vec<([usize; 4], Pool2dParams)> {
    [
        ([2, 2, 4, 6], (2, 2), (2, 2), (0, 0)),
        ([2, 2, 5, 7], (2, 2), (2, 2), (0, 0)),
        ([2, 1, 6, 7], (3, 3), (1, 1), (0, 0)),
        ([2, 2, 7, 8], (3, 2), (2, 1), (1, 1)),
        ([1, 2, 7, 8], (2, 3), (3, 4), (0, 0)),
        ([1, 2, 6, 5], (2, 3), (3, 2), (1, 1)),
        ([1, 1, 5, 5], (3, 3), (2, 2), (1, 0)),
        ([2, 1, 3, 4], (3, 4), (3, 4), (0, 0)),
    ]
    .into_iter()
    .flat_map(|(shape, kernel, stride, padding)| {
        windows(kernel, stride, padding).map(|params| (shape, params))
    })
    .collect()
}

#[test]
fn max_pooling() {
    for (shape, params) in cases() {
        check_gradients(&[wave(shape.to_vec(), 0.3)], |t| max_pool2d(&t[0], &params));
    }
}

#[test]
fn average_pooling_with_every_divisor() {
    for (shape, window) in cases() {
        for (count_include_pad, divisor_override) in [
            (true, None),
            (false, None),
            (true, Some(3)),
            (false, Some(7)),
        ] {
            let params = AvgPool2dParams {
                window,
                count_include_pad,
                divisor_override,
            };
            check_gradients(&[wave(shape.to_vec(), 0.3)], |t| avg_pool2d(&t[0], &params));
        }
    }
}
