//! A convolution with ReLU and max pooling in one op against the three ops one after another:
//! the same bits, in value and in every gradient, ties and NaN included.
#![allow(clippy::unwrap_used, reason = "helpers of tests are tests too")]

use mapsto_tensor::ops::{
    Conv2dParams, Pool2dParams, Then, Unary, conv2d, conv2d_then, max_pool2d, relu, unary,
};
use mapsto_tensor::testing::{check_gradients, wave};
use mapsto_tensor::{DType, Device, Result, Tensor, Var};

const OVERLAPPING: Pool2dParams = Pool2dParams {
    kernel: (3, 2),
    stride: (2, 1),
    padding: (1, 1),
    ceil_mode: true,
};

fn all() -> Vec<Then> {
    let pools = [None, Some(Pool2dParams::new(2)), Some(OVERLAPPING)];
    let of = |slope| pools.map(|max_pool| Then { slope, max_pool });
    let leaky = [0.2, 1.5].map(|slope| Then {
        slope,
        max_pool: None,
    });
    [&of(1.0)[..], &of(0.0), &leaky].concat()
}

fn one_by_one(planes: &Tensor, then: &Then) -> Result<Tensor> {
    let planes = match then.slope {
        1.0 => planes.clone(),
        0.0 => relu(planes)?,
        slope => unary(planes, Unary::LeakyRelu(slope))?,
    };
    match &then.max_pool {
        Some(pool) => max_pool2d(&planes, pool),
        None => Ok(planes),
    }
}

/// Output and gradients as bits.
fn run(inputs: &[Tensor], f: impl Fn(&[Tensor]) -> Result<Tensor>) -> Vec<Vec<u32>> {
    let vars: Vec<Var> = inputs
        .iter()
        .map(|x| Var::from_tensor(x).unwrap())
        .collect();
    let tensors: Vec<Tensor> = vars.iter().map(|var| var.as_tensor().clone()).collect();
    let y = f(&tensors).unwrap();
    let weights = wave(y.shape(), 0.7).to_dtype(DType::F32).unwrap();
    let loss = (&y * weights).unwrap().sum_all().unwrap();
    let grads = loss.backward().unwrap();
    let mut all = vec![y];
    all.extend(tensors.iter().map(|x| grads.get(x).unwrap().clone()));
    let bits = |t: &Tensor| {
        let values: Vec<f32> = t.flatten_all().unwrap().to_vec1().unwrap();
        values.into_iter().map(f32::to_bits).collect()
    };
    all.iter().map(bits).collect()
}

fn same(inputs: &[Tensor], params: Conv2dParams) {
    for then in all() {
        let apart = run(inputs, |t| {
            one_by_one(&conv2d(&t[0], &t[1], t.get(2), &params)?, &then)
        });
        let together = run(inputs, |t| {
            conv2d_then(&t[0], &t[1], t.get(2), &params, &then)
        });
        assert_eq!(together, apart, "{then:?}, {params:?}");
    }
}

fn f32s(shape: &[usize], phase: f64) -> Tensor {
    wave(shape.to_vec(), phase).to_dtype(DType::F32).unwrap()
}

#[test]
fn the_bits_of_the_ops_one_by_one() {
    let grouped = Conv2dParams {
        stride: (1, 2),
        padding: (2, 1),
        groups: 2,
        ..Default::default()
    };
    for (params, batch) in [(Conv2dParams::default(), 1), (grouped, 3), (grouped, 70)] {
        let inputs = [
            f32s(&[batch, 4, 9, 8], 0.1),
            f32s(&[6, 4 / params.groups, 3, 2], 0.2),
            f32s(&[6], 0.3),
        ];
        same(&inputs, params);
        same(&inputs[..2], params);
    }
    // One pixel: the picture is its own column matrix.
    let inputs = [
        f32s(&[2, 3, 5, 6], 0.4),
        f32s(&[2, 3, 1, 1], 0.5),
        f32s(&[2], 0.6),
    ];
    same(&inputs, Conv2dParams::default());
}

#[test]
fn ties_go_to_the_first_and_what_is_not_above_0_passes_nothing() {
    // Small whole numbers: most windows tie, and many are 0 throughout.
    let values = (0..2 * 2 * 8 * 8).map(|i| ((i * 7 + i / 5) % 3) as f32 - 1.0);
    let x = Tensor::from_vec(values.collect::<Vec<_>>(), (2, 2, 8, 8), &Device::Cpu).unwrap();
    let weight = Tensor::new(&[1f32, 0.0, -1.0, 1.0], &Device::Cpu).unwrap();
    let weight = weight.reshape((2, 2, 1, 1)).unwrap();
    // A bias that rounding swallows in part: different sums become ties.
    let bias = Tensor::new(&[1e7f32, -1.0], &Device::Cpu).unwrap();
    same(&[x.clone(), weight.clone(), bias], Conv2dParams::default());
    same(&[x, weight], Conv2dParams::default());
}

#[test]
fn nan_stays() {
    let mut values = vec![1f32; 16];
    values[5] = f32::NAN;
    let x = Tensor::from_vec(values, (1, 1, 4, 4), &Device::Cpu).unwrap();
    let weight = Tensor::ones((1, 1, 1, 1), DType::F32, &Device::Cpu).unwrap();
    for then in all() {
        let y = conv2d_then(&x, &weight, None, &Conv2dParams::default(), &then).unwrap();
        let y: Vec<f32> = y.flatten_all().unwrap().to_vec1().unwrap();
        assert!(y.iter().any(|y| y.is_nan()), "{then:?}");
    }
}

#[test]
fn finite_differences() {
    for then in all() {
        let inputs = [
            wave((2, 2, 7, 6), 0.1),
            wave((3, 2, 3, 2), 0.2),
            wave(3, 0.3),
        ];
        check_gradients(&inputs, |t| {
            conv2d_then(&t[0], &t[1], Some(&t[2]), &Conv2dParams::default(), &then)
        });
    }
}

#[test]
fn a_pool_does_not_follow_another_slope() {
    let (x, weight) = (f32s(&[1, 1, 4, 4], 0.1), f32s(&[1, 1, 3, 3], 0.2));
    let refused = |slope, max_pool| {
        let then = Then { slope, max_pool };
        let y = conv2d_then(&x, &weight, None, &Conv2dParams::default(), &then);
        let error = y.unwrap_err().to_string();
        assert!(
            error.contains("a slope of 0 or more, and of 0 or 1 before a pool"),
            "{error}"
        );
    };
    refused(0.2, Some(Pool2dParams::new(2)));
    refused(-0.2, None);
    refused(f64::NAN, None);
}

#[test]
fn a_window_that_does_not_fit_is_an_error() {
    let (x, weight) = (f32s(&[1, 1, 4, 4], 0.1), f32s(&[1, 1, 3, 3], 0.2));
    let then = Then {
        slope: 0.0,
        max_pool: Some(Pool2dParams::new(3)),
    };
    let error = conv2d_then(&x, &weight, None, &Conv2dParams::default(), &then).unwrap_err();
    assert!(error.to_string().contains("window of 3"), "{error}");
}
