//! Every op as a function of one picture batch `(N, 3, 6, 5)`, for checks that all must pass.

use mapsto_tensor::ops::{
    AvgPool2dParams, Conv2dParams, PadMode, Pool2dParams, Targets, Unary, avg_pool2d, conv2d,
    cross_entropy_rows, dropout, linear, linear_cross_entropy, log_softmax, max_pool2d, pad2d,
    softmax, unary,
};
use mapsto_tensor::testing::wave;
use mapsto_tensor::{Result, Tensor, rng};

pub(crate) type Op = fn(&Tensor) -> Result<Tensor>;

pub(crate) const OPS: [(&str, Op); 14] = [
    ("conv2d", |x| conv(x, 3, (2, 1), (1, 1))),
    ("conv2d of one pixel", |x| conv(x, 1, (1, 1), (0, 0))),
    ("max_pool2d", |x| max_pool2d(x, &Pool2dParams::new(2))),
    ("max_pool2d, overlapping", |x| max_pool2d(x, &OVERLAPPING)),
    ("avg_pool2d", |x| {
        let window = OVERLAPPING;
        avg_pool2d(
            x,
            &AvgPool2dParams {
                window,
                ..AvgPool2dParams::new(1)
            },
        )
    }),
    ("relu", |x| unary(x, Unary::Relu)),
    ("gelu", |x| unary(x, Unary::Gelu)),
    ("softmax", |x| softmax(x, 1)),
    ("log_softmax", |x| log_softmax(x, 3)),
    ("cross_entropy_rows", entropy),
    ("linear_cross_entropy", |x| {
        linear_cross_entropy(x, &like(x, &[5, 5]), Some(&like(x, &[5])), labels(x)?)
    }),
    ("linear", |x| {
        linear(x, &like(x, &[4, 5]), Some(&like(x, &[4])))
    }),
    ("pad2d", |x| pad2d(x, (1, 2), (0, 3), PadMode::Reflect)),
    ("dropout", |x| {
        rng::manual_seed(5);
        dropout(x, 0.4)
    }),
];

const OVERLAPPING: Pool2dParams = Pool2dParams {
    kernel: (3, 2),
    stride: (2, 1),
    padding: (1, 1),
    ceil_mode: true,
};

fn like(x: &Tensor, shape: &[usize]) -> Tensor {
    wave(shape.to_vec(), 0.6).to_dtype(x.dtype()).unwrap()
}

fn conv(
    x: &Tensor,
    kernel: usize,
    stride: (usize, usize),
    padding: (usize, usize),
) -> Result<Tensor> {
    let params = Conv2dParams {
        stride,
        padding,
        ..Default::default()
    };
    conv2d(
        x,
        &like(x, &[4, 3, kernel, kernel]),
        Some(&like(x, &[4])),
        &params,
    )
}

fn labels(x: &Tensor) -> Result<Targets> {
    let rows = x.elem_count() as u32 / x.dim(3)? as u32;
    let labels = (0..rows).map(|i| (i % 4 != 3).then_some(i % 5));
    Ok(Targets::Classes {
        labels: labels.collect(),
        weights: Some(vec![1.0, 2.0, 0.5, 1.0, 3.0]),
        smoothing: 0.1,
    })
}

fn entropy(x: &Tensor) -> Result<Tensor> {
    cross_entropy_rows(&x.flatten(0, 2)?, labels(x)?)
}
