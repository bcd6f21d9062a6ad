//! In-place updates of several tensors at once.
#![allow(clippy::unwrap_used)]

use mapsto_tensor::testing::wave;
use mapsto_tensor::{DType, Device, Float, Result, Tensor, Var, update};

fn values(tensor: &Tensor) -> Vec<f64> {
    tensor
        .flatten_all()
        .unwrap()
        .to_dtype(DType::F64)
        .unwrap()
        .to_vec1()
        .unwrap()
}

/// Momentum: three slices that belong together, element by element.
fn step<T: Float>(parameter: &Tensor, state: &Tensor, grad: &Tensor) -> Result<()> {
    let half = T::one() / (T::one() + T::one());
    update::in_place::<T>(&[parameter, state], grad, |tensors, grad| {
        let (parameters, states) = tensors.split_at_mut(1);
        for ((p, s), &g) in parameters[0].iter_mut().zip(&mut *states[0]).zip(grad) {
            *s = half * *s + g;
            *p -= *s;
        }
    })
}

#[test]
fn all_elements_of_all_tensors_move_together() {
    // One chunk, its end, just beyond, and several with a rest.
    for count in [1, 16 * 1024, 16 * 1024 + 1, 70_001] {
        let (p, s, g) = (wave(count, 0.1), wave(count, 0.2), wave(count, 0.3));
        let (parameter, state) = (Var::from_tensor(&p).unwrap(), Var::from_tensor(&s).unwrap());
        step::<f64>(&parameter, &state, &g).unwrap();
        let expected_s = ((s * 0.5).unwrap() + &g).unwrap();
        let expected_p = (p - &expected_s).unwrap();
        assert_eq!(values(&state), values(&expected_s), "{count} elements");
        assert_eq!(values(&parameter), values(&expected_p), "{count} elements");
    }
}

#[test]
fn f32_works_the_same() {
    let var = |phase| Var::from_tensor(&wave((2, 3), phase).to_dtype(DType::F32).unwrap()).unwrap();
    let (parameter, state) = (var(0.1), var(0.2));
    let (before_p, before_s) = (values(&parameter), values(&state));
    let grad = wave((2, 3), 0.3).to_dtype(DType::F32).unwrap();
    step::<f32>(&parameter, &state, &grad).unwrap();
    for (i, g) in values(&grad).into_iter().enumerate() {
        let moved = 0.5 * before_s[i] + g;
        assert!((values(&state)[i] - moved).abs() < 1e-6);
        assert!((values(&parameter)[i] - (before_p[i] - moved)).abs() < 1e-6);
    }
}

#[test]
fn a_strided_gradient_is_read_in_row_order() {
    let parameter = Var::zeros((3, 2), DType::F64, &Device::Cpu).unwrap();
    let state = Var::zeros((3, 2), DType::F64, &Device::Cpu).unwrap();
    let grad = Tensor::new(&[[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]], &Device::Cpu).unwrap();
    step::<f64>(&parameter, &state, &grad.t().unwrap()).unwrap();
    assert_eq!(values(&state), [1.0, 4.0, 2.0, 5.0, 3.0, 6.0]);
}

#[test]
fn a_piece_changes_and_the_rest_stays() {
    let whole = Var::zeros(5, DType::F64, &Device::Cpu).unwrap();
    let grad = Tensor::new(&[1.0, 2.0], &Device::Cpu).unwrap();
    let piece = whole.narrow(0, 2, 2).unwrap();
    update::in_place::<f64>(&[&piece], &grad, |tensors, grad| {
        tensors[0].copy_from_slice(grad);
    })
    .unwrap();
    assert_eq!(values(&whole), [0.0, 0.0, 1.0, 2.0, 0.0]);
}

#[test]
fn what_does_not_fit_is_an_error_that_says_why() {
    let var = |dtype| Var::zeros((2, 3), dtype, &Device::Cpu).unwrap();
    let (p, s) = (var(DType::F64), var(DType::F64));
    let grad = wave((2, 3), 0.1);
    let says = |result: Result<()>, words: &[&str]| {
        let message = result.unwrap_err().to_string();
        for word in words {
            assert!(message.contains(word), "no {word} in: {message}");
        }
    };
    says(
        step::<f64>(&p, &s, &wave((3, 2), 0.1)),
        &["[2, 3]", "[3, 2]"],
    );
    let turned = Var::zeros((3, 2), DType::F64, &Device::Cpu).unwrap();
    says(
        step::<f64>(&p, &turned.t().unwrap(), &grad),
        &["contiguous"],
    );
    says(
        step::<f64>(&p, &var(DType::F32), &grad),
        &["different dtypes"],
    );
    says(step::<f32>(&p, &s, &grad), &["F64"]);
    says(step::<f64>(&p, &var(DType::U32), &grad), &["f32 or f64"]);
    says(step::<f64>(&p, &p, &grad), &["share"]);
    says(step::<f64>(&p, &s, &p), &["share"]);
    says(step::<f64>(&p, &s.detach(), &s), &["share"]);
    assert_eq!(
        (values(&p), values(&s)),
        (vec![0.0; 6], vec![0.0; 6]),
        "nothing has changed"
    );
}

#[test]
fn only_the_float_types_with_kernels_are_supported() {
    for (dtype, expected) in [
        (DType::F32, true),
        (DType::F64, true),
        (DType::F16, false),
        (DType::BF16, false),
        (DType::U32, false),
    ] {
        let tensor = Tensor::zeros(1, dtype, &Device::Cpu).unwrap();
        assert_eq!(update::is_supported(&tensor), expected, "{dtype:?}");
    }
}
