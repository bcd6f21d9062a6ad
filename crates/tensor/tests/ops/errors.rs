//! Wrong arguments are errors that name the values.

use mapsto_tensor::ops::{
    AvgPool2dParams, Conv2dParams, PadMode, Pool2dParams, Targets, avg_pool2d, conv2d,
    cross_entropy_rows, linear, linear_cross_entropy, log_softmax, max_pool2d, pad2d, softmax,
};
use mapsto_tensor::testing::wave;
use mapsto_tensor::{Result, Tensor};

/// Asserts that `result` is an error whose text holds all `words`.
fn names(result: Result<Tensor>, words: &[&str]) {
    let message = result.expect_err(&format!("{words:?}")).to_string();
    for word in words {
        assert!(message.contains(word), "no {word} in: {message}");
    }
}

fn zeros(shape: &[usize]) -> Tensor {
    wave(shape.to_vec(), 0.0)
}

#[test]
fn convolution() {
    let conv = |x: &[usize], w: &[usize], params| conv2d(&zeros(x), &zeros(w), None, &params);
    let plain = Conv2dParams::default();
    names(
        conv(&[2, 3, 5], &[4, 3, 2, 2], plain),
        &["[2, 3, 5]", "(N, C, H, W)"],
    );
    names(conv(&[2, 3, 5, 5], &[4, 3, 2], plain), &["[4, 3, 2]"]);
    names(
        conv(&[2, 3, 5, 5], &[4, 2, 2, 2], plain),
        &["3 input", "4 output", "2 channels"],
    );
    for groups in [0, 2, 3] {
        let params = Conv2dParams { groups, ..plain };
        names(
            conv(&[2, 4, 5, 5], &[4, 1, 2, 2], params),
            &[&format!("{groups} groups")],
        );
    }
    // Four output channels in three groups.
    let params = Conv2dParams { groups: 3, ..plain };
    names(
        conv(&[2, 3, 5, 5], &[4, 1, 2, 2], params),
        &["4 output", "3 groups"],
    );
    names(
        conv(&[2, 3, 5, 5], &[4, 3, 6, 2], plain),
        &["kernel of 6", "input of 5"],
    );
    let params = Conv2dParams {
        dilation: (1, 5),
        ..plain
    };
    names(
        conv(&[2, 3, 5, 5], &[4, 3, 2, 2], params),
        &["dilation 5", "input of 5"],
    );
    let params = Conv2dParams {
        stride: (0, 1),
        ..plain
    };
    names(
        conv(&[2, 3, 5, 5], &[4, 3, 2, 2], params),
        &["at least 1", "2, 0, 1"],
    );
    names(conv(&[2, 0, 5, 5], &[4, 0, 2, 2], plain), &["0 input"]);
    names(conv(&[2, 3, 5, 5], &[0, 3, 2, 2], plain), &["0 output"]);
    let params = Conv2dParams {
        padding: (2, 2),
        ..plain
    };
    names(conv(&[2, 3, 0, 5], &[4, 3, 2, 2], params), &["input of 0"]);
    let bias = conv2d(
        &zeros(&[2, 3, 5, 5]),
        &zeros(&[4, 3, 2, 2]),
        Some(&zeros(&[3])),
        &plain,
    );
    names(bias, &["4 elements", "[3]"]);
}

#[test]
fn pooling() {
    let x = zeros(&[1, 1, 4, 5]);
    let plain = Pool2dParams::new(2);
    let large = Pool2dParams {
        kernel: (2, 6),
        ..plain
    };
    names(max_pool2d(&x, &large), &["window of 6", "input of 5"]);
    let padded = Pool2dParams {
        padding: (2, 0),
        ..plain
    };
    names(max_pool2d(&x, &padded), &["kernel 2", "padding 2"]);
    let still = Pool2dParams {
        stride: (1, 0),
        ..plain
    };
    names(max_pool2d(&x, &still), &["stride 0"]);
    names(max_pool2d(&zeros(&[3, 4, 5]), &plain), &["3"]);
    let padded = Pool2dParams {
        padding: (1, 1),
        ..plain
    };
    names(max_pool2d(&zeros(&[1, 1, 0, 5]), &padded), &["input of 0"]);
    let average = |window, divisor_override| {
        let params = AvgPool2dParams {
            window,
            divisor_override,
            count_include_pad: true,
        };
        avg_pool2d(&x, &params)
    };
    names(average(large, None), &["window of 6", "input of 5"]);
    names(average(plain, Some(0)), &["divisor_override", "0"]);
}

#[test]
fn linear_maps() {
    let (w, b) = (zeros(&[4, 3]), zeros(&[5]));
    names(
        linear(&zeros(&[2, 5]), &w, None),
        &["5", "[2, 5]", "[4, 3]"],
    );
    names(
        linear(&zeros(&[2, 3]), &w, Some(&b)),
        &["4 elements", "[5]"],
    );
    names(linear(&zeros(&[]), &w, None), &["single number"]);
    names(linear(&zeros(&[2, 3]), &zeros(&[3]), None), &["[3]"]);
}

#[test]
fn softmax_over_a_dimension_that_is_not_there() {
    names(softmax(&zeros(&[2, 3]), 2), &["softmax", "2"]);
    names(log_softmax(&zeros(&[2, 3]), 5), &["log_softmax", "5"]);
    names(softmax(&zeros(&[]), mapsto_tensor::D::Minus1), &["softmax"]);
}

#[test]
fn cross_entropy() {
    let x = zeros(&[2, 3]);
    let classes = |labels: [u32; 2], weights, smoothing| {
        let labels = labels.map(Some).to_vec();
        cross_entropy_rows(
            &x,
            Targets::Classes {
                labels,
                weights,
                smoothing,
            },
        )
    };
    names(
        classes([0, 3], None, 0.0),
        &["target 3", "row 1", "3 classes", "0..=2"],
    );
    names(
        classes([0, 1], Some(vec![1.0; 4]), 0.0),
        &["weight", "3 classes"],
    );
    names(classes([0, 1], None, 1.5), &["[0, 1]", "1.5"]);
    names(classes([0, 1], None, f64::NAN), &["[0, 1]", "NaN"]);
    let labels = vec![Some(0); 3];
    let targets = Targets::Classes {
        labels,
        weights: None,
        smoothing: 0.0,
    };
    names(cross_entropy_rows(&x, targets), &["3 targets", "2 rows"]);
    let targets = Targets::Distributions(vec![0.5; 4]);
    names(
        cross_entropy_rows(&x, targets),
        &["4 target", "2 rows", "3 classes"],
    );
    let targets = Targets::Classes {
        labels: vec![None; 2],
        weights: None,
        smoothing: 0.0,
    };
    names(
        linear_cross_entropy(&x, &zeros(&[0, 3]), None, targets),
        &["2 rows of 0 classes"],
    );
}

#[test]
fn padding() {
    let x = zeros(&[1, 1, 3, 4]);
    names(
        pad2d(&x, (3, 0), (0, 0), PadMode::Reflect),
        &["Reflect", "of 3", "side of 3"],
    );
    names(
        pad2d(&x, (0, 0), (0, 5), PadMode::Circular),
        &["Circular", "of 5", "side of 4"],
    );
    let none = zeros(&[1, 1, 0, 4]);
    names(
        pad2d(&none, (1, 0), (0, 0), PadMode::Replicate),
        &["Replicate", "side of 0"],
    );
}

#[test]
fn mixed_dtypes() {
    let (x, w) = (zeros(&[2, 3]), zeros(&[4, 3]));
    let w = w.to_dtype(mapsto_tensor::DType::F32).unwrap();
    names(linear(&x, &w, None), &["F64", "F32"]);
}
