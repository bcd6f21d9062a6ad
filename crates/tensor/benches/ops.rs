//! Ops forward and backward, at sizes of usual networks.
//!
//! | op | size |
//! | --- | --- |
//! | `conv2d` | 64 pictures of 64 x 28 x 28, 64 kernels of 3 x 3 |
//! | `max_pool2d` | the same pictures, windows of 2 x 2 |
//! | `linear` | 1024 rows, from 1024 to 1024 |
//! | `cross_entropy` | 700 rows of 10,000 classes |
#![allow(
    clippy::unwrap_used,
    reason = "a benchmark that fails has nothing to measure"
)]

use criterion::Criterion;
use mapsto_tensor::ops::{self, Conv2dParams, Pool2dParams, Targets};
use mapsto_tensor::testing::wave;
use mapsto_tensor::{DType, Result, Shape, Tensor, Var, threads};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() {
    threads::run(0, || {
        let mut criterion = Criterion::default().sample_size(20).configure_from_args();
        conv2d(&mut criterion);
        max_pool2d(&mut criterion);
        linear(&mut criterion);
        cross_entropy(&mut criterion);
        criterion.final_summary();
    });
}

/// A tracked `f32` tensor.
fn variable(shape: impl Into<Shape>, phase: f64) -> Var {
    Var::from_tensor(&wave(shape, phase).to_dtype(DType::F32).unwrap()).unwrap()
}

/// Measures `op`, and `op` with the gradients of all its tracked inputs. The gradient that comes
/// in from above is 1 everywhere, as candle's `backward` has it; ours starts from a single number,
/// and the sum that gives it would be measured too.
fn measure(criterion: &mut Criterion, name: &str, op: impl Fn() -> Result<Tensor>) {
    let mut group = criterion.benchmark_group(name);
    group.bench_function("forward", |b| b.iter(|| op().unwrap()));
    group.bench_function("forward_backward", |b| {
        b.iter(|| op().unwrap().backward().unwrap());
    });
    group.finish();
}

fn conv2d(criterion: &mut Criterion) {
    let x = variable((64, 64, 28, 28), 0.1);
    let weight = variable((64, 64, 3, 3), 0.2);
    let bias = variable(64, 0.3);
    let params = Conv2dParams {
        padding: (1, 1),
        ..Conv2dParams::default()
    };
    measure(criterion, "conv2d", || {
        ops::conv2d(&x, &weight, Some(&bias), &params)
    });
}

fn max_pool2d(criterion: &mut Criterion) {
    let x = variable((64, 64, 28, 28), 0.4);
    measure(criterion, "max_pool2d", || {
        ops::max_pool2d(&x, &Pool2dParams::new(2))
    });
}

fn linear(criterion: &mut Criterion) {
    let x = variable((1024, 1024), 0.5);
    let weight = variable((1024, 1024), 0.6);
    let bias = variable(1024, 0.7);
    measure(criterion, "linear", || {
        ops::linear(&x, &weight, Some(&bias))
    });
}

fn cross_entropy(criterion: &mut Criterion) {
    const ROWS: usize = 700;
    const CLASSES: usize = 10_000;
    let logits = variable((ROWS, CLASSES), 0.8);
    let label = |row: usize| Some((row * 7919 % CLASSES) as u32);
    let targets = Targets::Classes {
        labels: (0..ROWS).map(label).collect(),
        weights: None,
        smoothing: 0.0,
    };
    measure(criterion, "cross_entropy", || {
        ops::cross_entropy_rows(&logits, targets.clone())?.mean_all()
    });
}
