//! Convolution and padding.

use mapsto_tensor::ops::{Conv2dParams, PadMode, conv2d, pad2d};
use mapsto_tensor::testing::{check_gradients, wave};

/// Checks input, weight and bias gradients, and those of the call without bias.
fn check(x: [usize; 4], weight: [usize; 4], params: Conv2dParams) {
    let inputs = [
        wave(x.to_vec(), 0.1),
        wave(weight.to_vec(), 0.2),
        wave(weight[0], 0.3),
    ];
    check_gradients(&inputs, |t| conv2d(&t[0], &t[1], Some(&t[2]), &params));
    check_gradients(&inputs[..2], |t| conv2d(&t[0], &t[1], None, &params));
}

fn strided(h: usize, w: usize) -> Conv2dParams {
    Conv2dParams {
        stride: (h, w),
        ..Default::default()
    }
}

#[test]
fn square_and_other_kernels_on_pictures_of_odd_sizes() {
    check([2, 2, 5, 5], [3, 2, 3, 3], Conv2dParams::default());
    check([2, 2, 5, 7], [3, 2, 2, 3], Conv2dParams::default());
    check([1, 1, 3, 1], [1, 1, 3, 1], Conv2dParams::default());
}

#[test]
fn a_kernel_of_one_pixel() {
    check([2, 3, 3, 4], [4, 3, 1, 1], Conv2dParams::default());
    check([2, 3, 5, 4], [4, 3, 1, 1], strided(2, 3));
}

#[test]
fn strides_that_do_not_divide_the_picture() {
    check([2, 1, 7, 8], [2, 1, 3, 3], strided(2, 2));
    check([2, 2, 7, 8], [2, 2, 2, 3], strided(3, 2));
    check([1, 1, 6, 9], [2, 1, 2, 2], strided(4, 3));
}

#[test]
fn padding_by_axis() {
    let params = Conv2dParams {
        padding: (2, 1),
        ..Default::default()
    };
    check([2, 2, 4, 5], [2, 2, 3, 3], params);
    // More padding than kernel: some windows see nothing of the picture.
    let params = Conv2dParams {
        padding: (3, 4),
        stride: (2, 2),
        ..Default::default()
    };
    check([1, 1, 3, 4], [2, 1, 2, 3], params);
}

#[test]
fn dilation_by_axis() {
    let params = Conv2dParams {
        dilation: (2, 3),
        padding: (1, 2),
        stride: (1, 2),
        groups: 1,
    };
    check([2, 2, 7, 8], [2, 2, 3, 2], params);
}

#[test]
fn groups_and_depthwise() {
    let params = |groups| Conv2dParams {
        groups,
        padding: (1, 0),
        stride: (1, 2),
        ..Default::default()
    };
    check([2, 4, 4, 5], [6, 2, 3, 2], params(2));
    check([2, 3, 4, 5], [3, 1, 3, 3], params(3));
    check([2, 3, 4, 5], [6, 1, 2, 2], params(3));
    check(
        [2, 4, 3, 3],
        [4, 2, 1, 1],
        Conv2dParams {
            groups: 2,
            ..Default::default()
        },
    );
}

#[test]
fn a_single_picture_and_more_pictures_than_parts() {
    check([1, 2, 5, 6], [3, 2, 3, 3], strided(2, 1));
    // At most 32 parts: some hold two pictures, and the last one fewer.
    check([35, 1, 3, 3], [2, 1, 2, 2], Conv2dParams::default());
}

#[test]
fn padding_in_every_mode() {
    for mode in [
        PadMode::Zeros,
        PadMode::Reflect,
        PadMode::Replicate,
        PadMode::Circular,
    ] {
        for (rows, columns) in [((1, 2), (3, 0)), ((0, 0), (2, 2)), ((2, 0), (0, 1))] {
            check_gradients(&[wave((2, 2, 3, 4), 0.4)], |t| {
                pad2d(&t[0], rows, columns, mode)
            });
        }
    }
}
