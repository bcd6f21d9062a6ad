//! Layers that `Sequential` runs as one op give what they give one by one.
#![allow(clippy::unwrap_used, reason = "helpers of tests are tests too")]

use mapsto_nn::{
    Activation, AvgPool2d, BatchNorm1d, BatchNorm2d, BatchNormConfig, Flatten, MaxPool2d,
    Sequential, conv2d, linear,
};
use mapsto_tensor::testing::wave;
use mapsto_tensor::{DType, Device, ModuleT, ParamStore, Result, Tensor, backward};

fn network(store: &ParamStore) -> Sequential {
    Sequential::new(store.root())
        .layer(|vb| conv2d(2, 4, 3, vb))
        .unwrap()
        .add(Activation::Relu)
        .add(MaxPool2d::new(2).stride(1))
        .layer(|vb| conv2d(4, 3, 2, vb))
        .unwrap()
        .add(MaxPool2d::new(2))
        .add(Activation::Relu)
        .layer(|vb| conv2d(3, 3, 1, vb))
        .unwrap()
        .add(Activation::Relu)
        .add(Activation::Tanh)
        .layer(|vb| conv2d(3, 3, 1, vb))
        .unwrap()
        .add(AvgPool2d::new(2))
        .add(Flatten)
        .layer(|vb| linear(3 * 2 * 2, 2, vb))
        .unwrap()
}

/// Batch norms and leaky ReLUs, of slopes that can and that cannot be taken in.
fn normalised(store: &ParamStore) -> Sequential {
    Sequential::new(store.root())
        .layer(|vb| conv2d(2, 4, 3, vb))
        .unwrap()
        .add(Activation::LeakyRelu(0.2))
        .add(MaxPool2d::new(2))
        .layer(|vb| BatchNorm2d::new(&BatchNormConfig::new(4), vb))
        .unwrap()
        .add(Activation::LeakyRelu(0.1))
        .layer(|vb| conv2d(4, 3, 2, vb))
        .unwrap()
        .add(Activation::LeakyRelu(-0.5))
        .layer(|vb| BatchNorm2d::new(&BatchNormConfig::new(3), vb))
        .unwrap()
        .add(Activation::LeakyRelu(1.5))
        .layer(|vb| BatchNorm2d::new(&BatchNormConfig::new(3), vb))
        .unwrap()
        .add(Activation::Relu)
        .add(Flatten)
        .layer(|vb| BatchNorm1d::new(&BatchNormConfig::new(3 * 4 * 4), vb))
        .unwrap()
        .add(Activation::Relu)
        .layer(|vb| linear(3 * 4 * 4, 2, vb))
        .unwrap()
}

fn one_by_one(model: &Sequential, x: &Tensor) -> Result<Tensor> {
    let mut x = x.clone();
    for child in model.children() {
        x = child.forward_t(&x, true)?;
    }
    Ok(x)
}

/// The output, and the gradient of every parameter.
fn run(store: &ParamStore, y: &Tensor) -> (Vec<f64>, Vec<Vec<f64>>) {
    let loss = (y * wave(y.shape(), 0.2)).unwrap().sum_all().unwrap();
    let gradients = backward(&loss, store).unwrap();
    gradients.audit().unwrap();
    let values = |t: &Tensor| t.flatten_all().unwrap().to_vec1::<f64>().unwrap();
    let of_store: Vec<_> = gradients.iter().map(|(_, g)| values(g)).collect();
    (values(y), of_store)
}

#[test]
fn the_bits_of_the_layers_one_by_one() {
    let store = ParamStore::new(DType::F64, &Device::Cpu).with_seed(3);
    let model = network(&store);
    let x = wave((3, 2, 13, 12), 0.4);
    let together = run(&store, &model.forward_t(&x, true).unwrap());
    assert_eq!(together, run(&store, &one_by_one(&model, &x).unwrap()));
    assert_eq!(together.1.len(), 10);
    // A single picture without a batch.
    let single = wave((2, 13, 12), 0.1);
    let head = Sequential::new(store.root())
        .layer(|vb| conv2d(2, 4, 3, vb))
        .unwrap()
        .add(MaxPool2d::new(2));
    assert_eq!(head.forward_t(&single, false).unwrap().dims(), [4, 5, 5]);
}

#[test]
fn batch_norms_train_alike_and_move_their_statistics_alike() {
    let trained = |by: fn(&Sequential, &Tensor) -> Result<Tensor>| {
        let store = ParamStore::new(DType::F64, &Device::Cpu).with_seed(3);
        let model = normalised(&store);
        let made = run(&store, &by(&model, &wave((4, 2, 12, 12), 0.4)).unwrap());
        let statistics = ["3.running_mean", "7.running_var", "12.running_mean"];
        let statistics = statistics.map(|name| store.get(name).unwrap().to_vec1::<f64>().unwrap());
        let evaluated = model.forward_t(&wave((2, 2, 12, 12), 0.9), false).unwrap();
        (made, statistics, evaluated.to_vec2::<f64>().unwrap())
    };
    let together = trained(|model, x| model.forward_t(x, true));
    assert_eq!(together, trained(one_by_one));
    assert_eq!(together.0.1.len(), 14);
}

#[test]
fn an_error_names_the_layer_at_fault() {
    let store = ParamStore::new(DType::F32, &Device::Cpu);
    let model = Sequential::new(store.root())
        .layer(|vb| conv2d(1, 2, 3, vb))
        .unwrap()
        .add(Activation::Relu)
        .add(MaxPool2d::new(5));
    let error = |x: Tensor| model.forward_t(&x, true).unwrap_err().to_string();
    let zeros = |shape: &[usize]| Tensor::zeros(shape, DType::F32, &Device::Cpu).unwrap();
    assert!(error(zeros(&[1, 1, 6, 6])).contains("layer 2 (MaxPool2d)"));
    assert!(error(zeros(&[1, 2, 9, 9])).contains("layer 0 (Conv2d)"));
}
