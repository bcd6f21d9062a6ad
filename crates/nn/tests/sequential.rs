//! `Sequential`: numbers and names as in PyTorch, any layer inside, errors that name the layer.

#![allow(clippy::unwrap_used, reason = "helpers of tests are tests too")]

use mapsto_nn::{Activation, Conv2d, Dropout, Flatten, MaxPool2d, Sequential, conv2d, linear};
use mapsto_tensor::testing::{assert_close, wave};
use mapsto_tensor::{DType, Device, Module, ModuleT, ParamKind, ParamStore, Result, Tensor};

fn store() -> ParamStore {
    ParamStore::new(DType::F64, &Device::Cpu).with_seed(3)
}

#[test]
fn children_are_numbered_as_in_pytorch() {
    let store = store();
    let model = Sequential::new(store.root().pp("features"))
        .layer(|vb| conv2d(1, 2, 3, vb))
        .unwrap()
        .add(Activation::Relu)
        .add(MaxPool2d::new(2))
        .named("head", |vb| conv2d(2, 3, 1, vb))
        .unwrap()
        .add(Flatten)
        .layer(|vb| linear(12, 2, vb))
        .unwrap();
    assert_eq!(model.names(), ["0", "1", "2", "head", "4", "5"]);
    let expected = [
        "features.0.bias",
        "features.0.weight",
        "features.5.bias",
        "features.5.weight",
        "features.head.bias",
        "features.head.weight",
    ];
    assert_eq!(store.names(), expected);
    assert_eq!((model.len(), model.prefix().as_str()), (6, "features"));
}

#[test]
fn children_are_found_by_place_name_and_type() {
    let model = Sequential::new(store().root())
        .named("conv", |vb| conv2d(1, 2, 3, vb))
        .unwrap()
        .add(Activation::LeakyRelu(0.1))
        .add_named("drop", Dropout::new(0.5).unwrap());
    let kinds: Vec<&str> = model.children().iter().map(|child| child.kind()).collect();
    assert_eq!(kinds, ["Conv2d", "LeakyRelu(0.1)", "Dropout"]);
    let conv: &Conv2d = model.child("conv").unwrap().downcast_ref().unwrap();
    assert_eq!(conv.config().out_channels, 2);
    let drop = model.get(2).unwrap();
    assert_eq!(drop.name(), "drop");
    assert_eq!(drop.downcast_ref::<Dropout>().unwrap().p(), 0.5);
    assert!(drop.downcast_ref::<Conv2d>().is_none());
    assert!(model.child("2").is_none() && model.get(3).is_none());
    assert_eq!(
        format!("{model:?}"),
        "Sequential [conv: Conv2d, 1: LeakyRelu(0.1), drop: Dropout]"
    );
}

#[test]
fn output_is_that_of_the_layers_one_after_another() {
    let store = store();
    let model = Sequential::new(store.root())
        .layer(|vb| linear(3, 4, vb))
        .unwrap()
        .add(Activation::Tanh)
        .layer(|vb| linear(4, 2, vb))
        .unwrap();
    let x = wave((5, 3), 0.2);
    let (first, last) = (
        linear(3, 4, store.root().pp("0")),
        linear(4, 2, store.root().pp("2")),
    );
    let hidden = first.unwrap().forward(&x).unwrap().tanh().unwrap();
    let expected = last.unwrap().forward(&hidden).unwrap();
    assert_close(
        "sequential",
        &model.forward_t(&x, false).unwrap(),
        &expected,
        1e-12,
        1e-15,
    );
}

#[test]
fn an_empty_one_is_the_identity() {
    let model = Sequential::new(store().root());
    let x = wave((2, 3), 0.2);
    assert!(model.is_empty());
    assert_close("empty", &model.forward_t(&x, true).unwrap(), &x, 0.0, 0.0);
}

#[test]
fn layers_of_candle_and_closures_fit_in() {
    let store = store();
    let model = Sequential::new(store.root())
        .layer(|vb| candle_nn::linear(3, 4, vb))
        .unwrap()
        .layer(|vb| candle_nn::batch_norm(4, 1e-5, vb))
        .unwrap()
        .add(candle_nn::Activation::Relu)
        .add(|x: &Tensor| x * 2.0)
        .add(candle_nn::Dropout::new(0.5));
    let kinds: Vec<&str> = model.children().iter().map(|child| child.kind()).collect();
    assert_eq!(
        kinds,
        ["Linear", "BatchNorm", "Activation", "closure", "Dropout"]
    );
    let expected = [
        "0.bias",
        "0.weight",
        "1.bias",
        "1.running_mean",
        "1.running_var",
        "1.weight",
    ];
    assert_eq!(store.names(), expected);
    let x = wave((6, 3), 0.2);
    let first = candle_nn::linear(3, 4, store.root().pp("0")).unwrap();
    // A new batch norm changes nothing but for its epsilon.
    let scale = 2.0 / (1.0f64 + 1e-5).sqrt();
    let expected = (first.forward(&x).unwrap().relu().unwrap() * scale).unwrap();
    assert_close(
        "mixed",
        &model.forward_t(&x, false).unwrap(),
        &expected,
        1e-12,
        1e-15,
    );
}

#[test]
fn the_train_flag_reaches_nested_children() {
    let store = store();
    let inner = |vb| -> Result<Sequential> {
        Ok(Sequential::new(vb)
            .layer(|vb| linear(3, 3, vb))?
            .add(Dropout::new(1.0)?))
    };
    let model = Sequential::new(store.root())
        .named("block", inner)
        .unwrap()
        .add(|x: &Tensor| x + 1.0);
    assert_eq!(store.names(), ["block.0.bias", "block.0.weight"]);
    let x = wave((2, 3), 0.2);
    let ones = Tensor::ones((2, 3), DType::F64, &Device::Cpu).unwrap();
    assert_close(
        "train",
        &model.forward_t(&x, true).unwrap(),
        &ones,
        0.0,
        0.0,
    );
    let evaluated = model.forward_t(&x, false).unwrap().sub(&ones).unwrap();
    assert!(
        evaluated
            .abs()
            .unwrap()
            .min_all()
            .unwrap()
            .to_scalar::<f64>()
            .unwrap()
            > 0.0
    );
}

#[test]
fn a_clone_shares_the_parameters() {
    let store = store();
    let model = Sequential::new(store.root())
        .layer(|vb| linear(3, 2, vb))
        .unwrap();
    let clone = model.clone();
    let zero = Tensor::zeros((2, 3), DType::F64, &Device::Cpu).unwrap();
    store.get("0.weight").unwrap().set(&zero).unwrap();
    let bias = store.get("0.bias").unwrap();
    let y = clone.forward_t(&wave((1, 3), 0.4), false).unwrap();
    assert_close("clone", &y.squeeze(0).unwrap(), bias.as_tensor(), 0.0, 0.0);
}

#[test]
fn a_wrong_shape_names_every_layer_on_the_way() {
    let model = Sequential::new(store().root())
        .add(Activation::Relu)
        .named("block", |vb| {
            Sequential::new(vb).named("fc", |vb| linear(4, 2, vb))
        })
        .unwrap();
    let error = model
        .forward_t(&wave((5, 3), 0.1), false)
        .unwrap_err()
        .to_string();
    for part in [
        "layer block (Sequential), input [5, 3]",
        "layer fc (Linear), input [5, 3]",
        "the input's last dimension is 3",
        "takes 4",
    ] {
        assert!(error.contains(part), "{part} is not in {error}");
    }
}

#[test]
fn a_layer_that_cannot_be_built_is_named() {
    let store = store();
    let model = Sequential::new(store.root()).add(Activation::Relu);
    let error = model
        .layer(|vb| conv2d(1, 2, 0, vb))
        .unwrap_err()
        .to_string();
    assert!(error.contains("building layer 1 (Conv2d)"), "{error}");
    assert!(error.contains("kernel_size must be at least 1"), "{error}");
    let taken = wave((9, 9), 0.1);
    store
        .insert("fc.weight", &taken, ParamKind::Parameter)
        .unwrap();
    let model = Sequential::new(store.root());
    let error = model
        .named("fc", |vb| linear(4, 2, vb))
        .unwrap_err()
        .to_string();
    assert!(error.contains("building layer fc (Linear)"), "{error}");
    assert!(
        error.contains("[9, 9]") && error.contains("[2, 4]"),
        "{error}"
    );
}

#[test]
fn names_are_unique_and_plain() {
    let vb = store().root();
    let model = Sequential::new(vb)
        .named("a", |vb| linear(3, 3, vb))
        .unwrap();
    for name in ["a", "", "b.c"] {
        let error = model
            .clone()
            .named(name, |vb| linear(3, 3, vb))
            .unwrap_err();
        let expected = format!("got \"{name}\"");
        assert!(error.to_string().contains(&expected), "{error}");
    }
    // A number counts as taken too.
    let model = model.add_named("2", Activation::Relu);
    let error = model.layer(|vb| linear(3, 3, vb)).unwrap_err();
    assert!(error.to_string().contains("got \"2\""), "{error}");
}
