//! Initial values: PyTorch's distributions, from the seed and the name alone.

#![allow(clippy::unwrap_used, reason = "helpers of tests are tests too")]

use mapsto_nn::{
    CellConfig, Conv1d, Conv1dConfig, Conv2d, Conv2dConfig, Embedding, EmbeddingConfig, GruCell,
    Lstm, RecurrentConfig, Sequential, conv2d, linear,
};
use mapsto_tensor::{DType, Device, ParamKind, ParamStore, Tensor, VarBuilder};

fn values(store: &ParamStore, name: &str) -> Vec<f64> {
    let var = store.get(name).unwrap();
    var.flatten_all().unwrap().to_vec1().unwrap()
}

/// Uniform in `[-bound, bound]`, as far as so many draws tell.
fn assert_uniform(name: &str, values: &[f64], bound: f64) {
    let count = values.len() as f64;
    let (mean, squares) = values
        .iter()
        .fold((0.0, 0.0), |(a, b), v| (a + v / count, b + v * v / count));
    let largest = values.iter().fold(0.0, |a: f64, v| a.max(v.abs()));
    assert!(largest <= bound, "{name}: {largest} is beyond {bound}");
    assert!(largest > 0.9 * bound, "{name}: {largest} of {bound}");
    // Four standard errors of the mean and of the mean square.
    let error = 4.0 / count.sqrt();
    assert!(
        mean.abs() < error * bound / 3f64.sqrt(),
        "{name}: mean {mean}"
    );
    let off = squares / (bound * bound) - 1.0 / 3.0;
    assert!(
        off.abs() < error * (4f64 / 45.0).sqrt(),
        "{name}: {squares}"
    );
}

fn check(fan_in: usize, build: impl Fn(VarBuilder<'static>)) {
    let store = ParamStore::new(DType::F64, &Device::Cpu).with_seed(11);
    build(store.root());
    let bound = 1.0 / (fan_in as f64).sqrt();
    for name in ["weight", "bias"] {
        assert_uniform(name, &values(&store, name), bound);
    }
}

#[test]
fn layers_start_as_in_pytorch() {
    check(50, |vb| drop(linear(50, 40, vb).unwrap()));
    check(3 * 25, |vb| drop(conv2d(3, 64, 5, vb).unwrap()));
    let wide = Conv1dConfig::new(6, 64, 5);
    check(6 * 5, |vb| drop(Conv1d::new(&wide, vb).unwrap()));
    let grouped = Conv2dConfig {
        groups: 4,
        ..Conv2dConfig::new(8, 64, (3, 2))
    };
    check(2 * 6, |vb| drop(Conv2d::new(&grouped, vb).unwrap()));
}

#[test]
fn recurrent_layers_start_within_the_root_of_their_units() {
    let store = ParamStore::new(DType::F64, &Device::Cpu).with_seed(11);
    let config = RecurrentConfig {
        num_layers: 2,
        bidirectional: true,
        ..RecurrentConfig::new(3, 50)
    };
    Lstm::new(&config, store.root()).unwrap();
    GruCell::new(&CellConfig::new(3, 50), store.root()).unwrap();
    let names = store.names();
    assert_eq!(names.len(), 4 * 4 + 4);
    for name in names {
        assert_uniform(&name, &values(&store, &name), 1.0 / 50f64.sqrt());
    }
}

#[test]
fn embeddings_start_normal_but_for_the_padding() {
    let store = ParamStore::new(DType::F64, &Device::Cpu).with_seed(11);
    let config = EmbeddingConfig {
        padding_idx: Some(2),
        ..EmbeddingConfig::new(40, 50)
    };
    Embedding::new(&config, store.root()).unwrap();
    let weight = values(&store, "weight");
    let (padding, rest): (Vec<f64>, Vec<f64>) = {
        let rows = weight.chunks(50).enumerate();
        let (padding, rest): (Vec<_>, Vec<_>) = rows.partition(|&(row, _)| row == 2);
        let values = |rows: Vec<(usize, &[f64])>| rows.iter().flat_map(|r| r.1.to_vec()).collect();
        (values(padding), values(rest))
    };
    assert_eq!(padding, [0.0; 50]);
    let count = rest.len() as f64;
    let mean = rest.iter().sum::<f64>() / count;
    let squares = rest.iter().map(|v| v * v).sum::<f64>() / count;
    // Four standard errors; those of squares of normal numbers have deviation sqrt(2).
    assert!(mean.abs() < 4.0 / count.sqrt(), "mean {mean}");
    assert!(
        (squares - 1.0).abs() < 4.0 * (2.0 / count).sqrt(),
        "{squares}"
    );
    let largest = rest.iter().fold(0.0, |a: f64, v| a.max(v.abs()));
    assert!(largest > 2.5, "{largest}: not normal");
}

#[test]
fn a_padding_row_that_is_there_stays() {
    let store = ParamStore::new(DType::F64, &Device::Cpu);
    let ones = Tensor::ones((3, 2), DType::F64, &Device::Cpu).unwrap();
    store.insert("weight", &ones, ParamKind::Parameter).unwrap();
    let config = EmbeddingConfig {
        padding_idx: Some(1),
        ..EmbeddingConfig::new(3, 2)
    };
    Embedding::new(&config, store.root()).unwrap();
    assert_eq!(values(&store, "weight"), [1.0; 6]);
}

#[test]
fn values_depend_on_seed_and_name_alone() {
    let build = |seed, first: usize| {
        let store = ParamStore::new(DType::F64, &Device::Cpu).with_seed(seed);
        Sequential::new(store.root())
            .named("first", |vb| linear(3, first, vb))
            .and_then(|model| model.named("last", |vb| linear(4, 2, vb)))
            .unwrap();
        (values(&store, "last.weight"), values(&store, "last.bias"))
    };
    assert_eq!(build(1, 4), build(1, 400));
    assert_ne!(build(1, 4), build(2, 4));
}
