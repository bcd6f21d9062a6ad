//! Values worked out by hand or by the definition.

use mapsto_tensor::ops::{
    AvgPool2dParams, Conv2dParams, PadMode, Pool2dParams, Targets, avg_pool2d, conv2d,
    cross_entropy_rows, linear, max_pool2d, pad2d,
};
use mapsto_tensor::testing::wave;
use mapsto_tensor::{Device, Tensor};

fn flat(x: &Tensor) -> Vec<f64> {
    x.flatten_all().unwrap().to_vec1().unwrap()
}

/// Numbers from 1 on.
fn count_up(shape: (usize, usize, usize, usize)) -> Tensor {
    let end = shape.0 * shape.1 * shape.2 * shape.3;
    let values = Tensor::arange(1.0, end as f64 + 1.0, &Device::Cpu).unwrap();
    values.reshape(shape).unwrap()
}

#[test]
fn convolution_is_what_the_definition_says() {
    for (groups, kernel, params) in [
        (1, (3, 2), Conv2dParams::default()),
        (
            2,
            (2, 3),
            Conv2dParams {
                stride: (2, 3),
                padding: (1, 2),
                dilation: (2, 1),
                groups: 2,
            },
        ),
        (
            4,
            (3, 3),
            Conv2dParams {
                stride: (1, 2),
                padding: (0, 1),
                dilation: (1, 2),
                groups: 4,
            },
        ),
    ] {
        let (x, w) = (
            wave((2, 4, 6, 7), 0.1),
            wave((8, 4 / groups, kernel.0, kernel.1), 0.2),
        );
        let b = wave(8, 0.3);
        let y = conv2d(&x, &w, Some(&b), &params).unwrap();
        let (_, out, oh, ow) = y.dims4().unwrap();
        let (xs, ws, bs, ys) = (flat(&x), flat(&w), flat(&b), flat(&y));
        for (at, y) in ys.into_iter().enumerate() {
            let (j, i, o, image) = (
                at % ow,
                at / ow % oh,
                at / ow / oh % out,
                at / ow / oh / out,
            );
            let mut sum = bs[o];
            for c in 0..4 / groups {
                for (u, v) in (0..kernel.0).flat_map(|u| (0..kernel.1).map(move |v| (u, v))) {
                    let row = (i * params.stride.0 + u * params.dilation.0)
                        .wrapping_sub(params.padding.0);
                    let col = (j * params.stride.1 + v * params.dilation.1)
                        .wrapping_sub(params.padding.1);
                    if row < 6 && col < 7 {
                        let channel = o / (8 / groups) * (4 / groups) + c;
                        let weight = ((o * (4 / groups) + c) * kernel.0 + u) * kernel.1 + v;
                        sum += ws[weight] * xs[((image * 4 + channel) * 6 + row) * 7 + col];
                    }
                }
            }
            assert!((y - sum).abs() < 1e-12, "{params:?}, element {at}");
        }
    }
}

#[test]
fn max_pooling_by_hand() {
    let x = count_up((1, 2, 3, 3));
    let y = max_pool2d(&x, &Pool2dParams::new(2)).unwrap();
    assert_eq!(flat(&y), [5.0, 14.0]);
    let hanging = Pool2dParams {
        ceil_mode: true,
        ..Pool2dParams::new(2)
    };
    assert_eq!(
        flat(&max_pool2d(&x, &hanging).unwrap()),
        [5.0, 6.0, 8.0, 9.0, 14.0, 15.0, 17.0, 18.0]
    );
    let negative = (x * -1.0).unwrap();
    let padded = Pool2dParams {
        padding: (1, 1),
        ..Pool2dParams::new(2)
    };
    let y = max_pool2d(&negative, &padded).unwrap();
    assert_eq!(
        flat(&y)[..4],
        [-1.0, -2.0, -4.0, -5.0],
        "padding is no zero"
    );
}

#[test]
fn average_pooling_divides_by_the_right_number_of_cells() {
    let x = Tensor::ones((1, 1, 4, 4), mapsto_tensor::DType::F64, &Device::Cpu).unwrap();
    let window = Pool2dParams {
        kernel: (3, 3),
        stride: (2, 2),
        padding: (1, 1),
        ceil_mode: true,
    };
    let average = |count_include_pad, divisor_override| {
        let params = AvgPool2dParams {
            window,
            count_include_pad,
            divisor_override,
        };
        flat(&avg_pool2d(&x, &params).unwrap())
    };
    // Windows cover rows -1..2, 1..4 and 3..6, of which row 5 lies beyond the padding.
    let cells = [2.0, 3.0, 1.0];
    let padded = [3.0, 3.0, 2.0];
    let each =
        |f: &dyn Fn(usize, usize) -> f64| -> Vec<f64> { (0..9).map(|i| f(i / 3, i % 3)).collect() };
    assert_eq!(average(false, None), [1.0; 9]);
    assert_eq!(
        average(false, Some(2)),
        each(&|i, j| cells[i] * cells[j] / 2.0)
    );
    let shares = average(true, None);
    let expected = each(&|i, j| cells[i] * cells[j] / (padded[i] * padded[j]));
    assert!(
        shares
            .iter()
            .zip(&expected)
            .all(|(a, b)| (a - b).abs() < 1e-15),
        "{shares:?}"
    );
}

#[test]
fn output_sizes_are_pytorchs() {
    let size = |kernel: usize, stride: usize, padding: usize, ceil_mode: bool, input: usize| {
        let params = Pool2dParams {
            kernel: (kernel, 1),
            stride: (stride, 1),
            padding: (padding, 0),
            ceil_mode,
        };
        params.output_size(input, 1).unwrap().0
    };
    assert_eq!(size(2, 2, 0, false, 7), 3);
    assert_eq!(size(2, 2, 0, true, 7), 4);
    assert_eq!(size(3, 2, 1, false, 7), 4);
    assert_eq!(size(3, 2, 1, true, 8), 5);
    // The last window would start in the padding on the right.
    assert_eq!(size(2, 2, 1, true, 5), 3);
    assert_eq!(size(2, 3, 1, true, 4), 2);
    assert_eq!(size(1, 3, 0, true, 3), 1);
    let conv = Conv2dParams {
        stride: (2, 2),
        padding: (1, 0),
        dilation: (1, 2),
        groups: 1,
    };
    assert_eq!(conv.output_size((7, 8), (3, 3)).unwrap(), (4, 2));
}

#[test]
fn padding_by_hand() {
    let x = Tensor::new(&[1.0, 2.0, 3.0], &Device::Cpu).unwrap();
    let x = x.reshape((1, 1, 1, 3)).unwrap();
    for (mode, expected) in [
        (PadMode::Zeros, [0.0, 0.0, 1.0, 2.0, 3.0, 0.0]),
        (PadMode::Reflect, [3.0, 2.0, 1.0, 2.0, 3.0, 2.0]),
        (PadMode::Replicate, [1.0, 1.0, 1.0, 2.0, 3.0, 3.0]),
        (PadMode::Circular, [2.0, 3.0, 1.0, 2.0, 3.0, 1.0]),
    ] {
        assert_eq!(
            flat(&pad2d(&x, (0, 0), (2, 1), mode).unwrap()),
            expected,
            "{mode:?}"
        );
        let standing = x.transpose(2, 3).unwrap();
        let padded = pad2d(&standing, (2, 1), (0, 0), mode).unwrap();
        assert_eq!(padded.dims(), [1, 1, 6, 1]);
        assert_eq!(flat(&padded), expected, "{mode:?}");
    }
}

#[test]
fn linear_by_hand() {
    let x = Tensor::new(&[[1.0, 2.0], [3.0, 4.0]], &Device::Cpu).unwrap();
    let w = Tensor::new(&[[1.0, 10.0], [2.0, 0.0], [0.0, 1.0]], &Device::Cpu).unwrap();
    let b = Tensor::new(&[100.0, 200.0, 300.0], &Device::Cpu).unwrap();
    let y = linear(&x, &w, Some(&b)).unwrap();
    assert_eq!(flat(&y), [121.0, 202.0, 302.0, 143.0, 206.0, 304.0]);
    let one = linear(&x.get(1).unwrap(), &w, None).unwrap();
    assert_eq!(one.dims(), [3]);
    assert_eq!(flat(&one), [43.0, 6.0, 4.0]);
}

#[test]
fn cross_entropy_by_hand() {
    // Probabilities 1/4 and 3/4.
    let x = Tensor::new(&[[0.0, 3.0_f64.ln()], [3.0_f64.ln(), 0.0]], &Device::Cpu).unwrap();
    let loss = |targets| flat(&cross_entropy_rows(&x, targets).unwrap());
    let close = |a: Vec<f64>, b: [f64; 2]| {
        assert!(
            a.iter().zip(b).all(|(a, b)| (a - b).abs() < 1e-14),
            "{a:?}, expected {b:?}"
        );
    };
    let classes = |weights, smoothing| Targets::Classes {
        labels: vec![Some(0), Some(0)],
        weights,
        smoothing,
    };
    let (few, many) = (4.0_f64.ln(), (4.0 / 3.0_f64).ln());
    close(loss(classes(None, 0.0)), [few, many]);
    close(
        loss(classes(Some(vec![2.0, 5.0]), 0.0)),
        [2.0 * few, 2.0 * many],
    );
    close(
        loss(classes(None, 0.5)),
        [0.75 * few + 0.25 * many, 0.75 * many + 0.25 * few],
    );
    close(
        loss(classes(Some(vec![2.0, 4.0]), 0.5)),
        [1.5 * few + many, 1.5 * many + few],
    );
    close(
        loss(Targets::Distributions(vec![0.0, 1.0, 0.5, 0.5])),
        [many, 0.5 * (few + many)],
    );
}
