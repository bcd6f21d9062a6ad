//! What candle 0.11.1 does that this workspace steps around, as listed in `CANDLE.md`. A test
//! here fails when candle mends its quirk: then the detour may go, and the row with it.
#![allow(clippy::unwrap_used)]

use std::collections::HashMap;

use candle_nn::{Module, VarBuilder, VarMap};
use mapsto_tensor::ops::{Conv2dParams, conv2d};
use mapsto_tensor::testing::{assert_close, wave};
use mapsto_tensor::{DType, Device, ParamStore, Result, Tensor, Var};

/// The gradient of the sum of `f` by its argument; `None` if it was cut.
fn gradient(x: &Tensor, f: impl Fn(&Tensor) -> Result<Tensor>) -> Result<Option<Tensor>> {
    let var = Var::from_tensor(x)?;
    let grads = f(&var)?.sum_all()?.backward()?;
    Ok(grads.get(&var).cloned())
}

fn flat(x: &Tensor) -> Vec<f64> {
    x.flatten_all().unwrap().to_vec1().unwrap()
}

fn gradient_values(x: &Tensor, f: impl Fn(&Tensor) -> Result<Tensor>) -> Vec<f64> {
    flat(&gradient(x, f).unwrap().unwrap())
}

fn picture<const N: usize>(values: [f64; N], height: usize) -> Tensor {
    let x = Tensor::new(&values, &Device::Cpu).unwrap();
    x.reshape((1, 1, height, N / height)).unwrap()
}

#[test]
fn relu_has_slope_one_at_zero() {
    let zero = Tensor::new(&[0.0], &Device::Cpu).unwrap();
    assert_eq!(gradient_values(&zero, Tensor::relu), [1.0]);
}

#[test]
fn gelu_slopes_have_constants_of_six_digits() {
    let x = Tensor::new(&[1.0], &Device::Cpu).unwrap();
    let by_differences = |f: &dyn Fn(&Tensor) -> Result<Tensor>| {
        let at = |x: f64| flat(&f(&Tensor::new(&[x], &Device::Cpu).unwrap()).unwrap())[0];
        (at(1.0 + 1e-5) - at(1.0 - 1e-5)) / 2e-5
    };
    for f in [Tensor::gelu, Tensor::gelu_erf] {
        let error = (gradient_values(&x, f)[0] - by_differences(&f)).abs();
        assert!((1e-9..1e-5).contains(&error), "{error}");
    }
}

#[test]
fn mish_has_an_undefined_slope_where_its_exponential_overflows() {
    let x = Tensor::new(&[1000.0], &Device::Cpu).unwrap();
    assert!(gradient_values(&x, candle_nn::ops::mish)[0].is_nan());
}

#[test]
fn max_pooling_scales_its_gradient_by_the_window() {
    let distinct = picture([1.0, 2.0, 3.0, 4.0], 2);
    assert_eq!(
        gradient_values(&distinct, |x| x.max_pool2d(2)),
        [0.0, 0.0, 0.0, 0.25]
    );
    let ties = picture([1.0; 4], 2);
    assert_eq!(gradient_values(&ties, |x| x.max_pool2d(2)), [1.0; 4]);
}

#[test]
fn pooling_with_a_remainder_has_wrong_gradients() {
    let x = picture(std::array::from_fn::<f64, 25, _>(|i| i as f64), 5);
    // No window reaches the last row and column.
    let expected: Vec<f64> = (0..25)
        .map(|i| if i % 5 < 4 && i < 20 { 0.25 } else { 0.0 })
        .collect();
    assert_ne!(gradient_values(&x, |x| x.avg_pool2d(2)), expected);
    // Falling numbers: the first cell of each window is the largest.
    let falling = (x * -1.0).unwrap();
    let got = gradient_values(&falling, |x| x.max_pool2d(2));
    let reached: Vec<usize> = (0..25).filter(|&i| got[i] != 0.0).collect();
    assert_ne!(reached, [0, 2, 10, 12]);
}

#[test]
fn overlapping_pooling_has_no_gradient() {
    let x = wave((1, 1, 5, 5), 0.1);
    for error in [
        gradient(&x, |x| x.max_pool2d_with_stride(3, 2)).unwrap_err(),
        gradient(&x, |x| x.avg_pool2d_with_stride(3, 2)).unwrap_err(),
    ] {
        assert!(
            error.to_string().contains("backward not supported"),
            "{error}"
        );
    }
}

#[test]
fn a_strided_convolution_fails_where_the_axes_leave_different_remainders() {
    let w = wave((2, 1, 3, 3), 0.2);
    let strided = |x: &Tensor| x.conv2d(&w, 0, 2, 1, 1);
    assert!(gradient(&wave((1, 1, 7, 7), 0.1), strided).is_ok());
    gradient(&wave((1, 1, 7, 8), 0.1), strided).unwrap_err();
}

#[test]
fn a_convolution_has_no_bf16() {
    let half = |t: Tensor| t.to_dtype(DType::BF16).unwrap();
    let (x, w) = (half(wave((1, 2, 4, 4), 0.1)), half(wave((2, 2, 3, 3), 0.2)));
    x.conv2d(&w, 0, 1, 1, 1).unwrap_err();
    let y = conv2d(&x, &w, None, &Conv2dParams::default()).unwrap();
    assert_eq!(y.dtype(), DType::BF16);
}

#[test]
fn the_weight_gradient_of_conv1d_is_wrong() {
    let (x, w) = (wave((2, 2, 6), 0.1), wave((3, 2, 3), 0.2));
    let weights = wave((2, 3, 4), 0.3);
    let got = gradient(&w, |w| x.conv1d(w, 0, 1, 1, 1)? * &weights).unwrap();
    let expected = gradient(&w, |w| {
        let y = conv2d(
            &x.unsqueeze(2)?,
            &w.unsqueeze(2)?,
            None,
            &Conv2dParams::default(),
        )?;
        y.squeeze(2)? * &weights
    });
    let expected = expected.unwrap().unwrap();
    let error = (got.unwrap() - expected)
        .unwrap()
        .abs()
        .unwrap()
        .max_all()
        .unwrap();
    assert!(error.to_scalar::<f64>().unwrap() > 0.01);
}

#[test]
fn fused_softmax_and_norms_cut_the_gradient() {
    let x = wave((2, 4), 0.1).to_dtype(DType::F32).unwrap();
    let store = ParamStore::new(DType::F32, &Device::Cpu);
    let layer = candle_nn::layer_norm(4, 1e-5, store.root().pp("layer")).unwrap();
    let rms = candle_nn::rms_norm(4, 1e-5, store.root().pp("rms")).unwrap();
    assert!(
        gradient(&x, candle_nn::ops::softmax_last_dim)
            .unwrap()
            .is_none()
    );
    assert!(gradient(&x, |x| layer.forward(x)).unwrap().is_none());
    assert!(gradient(&x, |x| rms.forward(x)).unwrap().is_none());
    // Their own weights get none either.
    let grads = layer
        .forward(&x)
        .unwrap()
        .sum_all()
        .unwrap()
        .backward()
        .unwrap();
    assert!(grads.get(&store.get("layer.weight").unwrap()).is_none());
}

#[test]
fn binary_cross_entropy_of_a_large_logit_is_infinite() {
    let tensor = |value: f32| Tensor::new(&[value], &Device::Cpu).unwrap();
    let loss = candle_nn::loss::binary_cross_entropy_with_logit(&tensor(20.0), &tensor(0.0));
    assert_eq!(loss.unwrap().to_scalar::<f32>().unwrap(), f32::INFINITY);
}

#[test]
fn the_cpu_generator_cannot_be_seeded() {
    assert!(Device::Cpu.set_seed(1).is_err());
}

#[test]
fn a_linear_layer_draws_from_a_wider_range_than_pytorchs() {
    let store = ParamStore::new(DType::F64, &Device::Cpu);
    let layer = candle_nn::linear(100, 50, store.root()).unwrap();
    let variance = layer.weight().sqr().unwrap().mean_all().unwrap();
    let pytorchs = 1.0 / (3.0 * 100.0);
    let ratio = variance.to_scalar::<f64>().unwrap() / pytorchs;
    assert!((ratio - 6.0).abs() < 0.5, "{ratio}");
}

#[test]
fn leaf_gradients_hang_on_the_graph_and_constants_get_gradients_too() {
    let w = Var::new(&[1.0, 2.0], &Device::Cpu).unwrap();
    let constant = Tensor::new(&[3.0, 4.0], &Device::Cpu).unwrap();
    let y = (w.sqr().unwrap() * &constant).unwrap();
    let grads = y.sum_all().unwrap().backward().unwrap();
    assert!(grads.get(&w).unwrap().track_op());
    assert!(grads.get(&constant).is_some());
}

#[test]
fn a_var_map_ignores_what_a_file_has_too_much() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("w.safetensors");
    let seven = Tensor::new(&[7f32], &Device::Cpu).unwrap();
    let names = ["w", "unknown"];
    let tensors: HashMap<_, _> = names.map(|name| (name, seven.clone())).into();
    candle_core::safetensors::save(&tensors, &path).unwrap();
    let mut map = VarMap::new();
    let vb = VarBuilder::from_varmap(&map, DType::F32, &Device::Cpu);
    let w = vb.get_with_hints(1, "w", candle_nn::init::ZERO).unwrap();
    map.load(&path).unwrap();
    assert_close("w", &w, &seven, 0.0, 0.0);
}

#[test]
fn a_variable_refuses_its_own_memory() {
    let w = Var::new(&[1.0, 2.0], &Device::Cpu).unwrap();
    assert!(w.set(&w.as_detached_tensor()).is_err());
}
