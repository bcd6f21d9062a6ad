//! Dropout: how many elements go, what the others become, and where the mask comes from.

use mapsto_tensor::ops::dropout;
use mapsto_tensor::{DType, Device, Tensor, Var, rng};

fn dropped(seed: u64, p: f64, dtype: DType) -> Vec<f64> {
    rng::manual_seed(seed);
    // More than one task takes, so that the seams between tasks are in it.
    let ones = Tensor::ones(100_003, dtype, &Device::Cpu).unwrap();
    let y = dropout(&ones, p).unwrap().to_dtype(DType::F64).unwrap();
    y.to_vec1().unwrap()
}

#[test]
fn the_share_of_zeros_is_p_and_the_rest_is_scaled() {
    for p in [0.1, 0.3, 0.5, 0.9] {
        let y = dropped(1, p, DType::F64);
        let zeros = y.iter().filter(|&&y| y == 0.0).count() as f64;
        let (count, sigma) = (y.len() as f64, (p * (1.0 - p) / y.len() as f64).sqrt());
        assert!(
            (zeros / count - p).abs() < 5.0 * sigma,
            "{zeros} zeros at p = {p}"
        );
        let scale = 1.0 / (1.0 - p);
        assert!(y.iter().all(|&y| y == 0.0 || y == scale), "p = {p}");
    }
}

#[test]
fn neighbours_drop_independently_also_across_tasks() {
    let y = dropped(2, 0.5, DType::F32);
    let halves = |distance: usize| {
        let same = y
            .windows(distance + 1)
            .filter(|w| w[0] == w[distance])
            .count();
        same as f64 / (y.len() - distance) as f64
    };
    // A task that started its stream anew would repeat the one before.
    for distance in [1, 2, 1 << 12, 1 << 13, 1 << 14, 1 << 15] {
        assert!((halves(distance) - 0.5).abs() < 0.01, "distance {distance}");
    }
}

#[test]
fn the_mask_is_a_function_of_the_generator_alone() {
    assert_eq!(dropped(3, 0.5, DType::F32), dropped(3, 0.5, DType::F32));
    assert_eq!(dropped(3, 0.5, DType::F32), dropped(3, 0.5, DType::F64));
    assert_eq!(dropped(3, 0.5, DType::F32), dropped(3, 0.5, DType::F16));
    assert_ne!(dropped(3, 0.5, DType::F32), dropped(4, 0.5, DType::F32));
    rng::manual_seed(3);
    let ones = Tensor::ones(1000, DType::F32, &Device::Cpu).unwrap();
    let draw = || dropout(&ones, 0.5).unwrap().to_vec1::<f32>().unwrap();
    assert_ne!(draw(), draw());
    assert_eq!(rng::generator().counter, 2);
}

#[test]
fn the_gradient_goes_through_the_same_mask() {
    rng::manual_seed(6);
    let x = Var::ones(1000, DType::F64, &Device::Cpu).unwrap();
    let y = dropout(&x, 0.4).unwrap();
    let grads = y.sum_all().unwrap().backward().unwrap();
    let grad: Vec<f64> = grads.get(&x).unwrap().to_vec1().unwrap();
    assert_eq!(grad, y.to_vec1::<f64>().unwrap());
}

#[test]
fn the_ends_of_the_range() {
    let x = Tensor::new(&[1.5, -2.0], &Device::Cpu).unwrap();
    rng::manual_seed(7);
    assert_eq!(
        dropout(&x, 0.0).unwrap().to_vec1::<f64>().unwrap(),
        [1.5, -2.0]
    );
    assert_eq!(rng::generator().counter, 0, "nothing is drawn for nothing");
    assert!(dropped(8, 1.0, DType::F32).iter().all(|&y| y == 0.0));
    for p in [-0.1, 1.1, f64::NAN, f64::INFINITY] {
        let message = dropout(&x, p).unwrap_err().to_string();
        assert!(
            message.contains("[0, 1]") && message.contains(&p.to_string()),
            "{message}"
        );
    }
}
