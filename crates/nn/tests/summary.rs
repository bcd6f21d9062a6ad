//! `summary`: parameters and multiply-adds of networks computed by hand.

#![allow(clippy::unwrap_used, reason = "helpers of tests are tests too")]

use mapsto_nn::{
    Activation, AvgPool2d, Conv2d, Conv2dConfig, Dropout, Flatten, Sequential, Summary, conv2d,
    linear, summary,
};
use mapsto_tensor::{DType, Device, Module, ParamStore, Result, Tensor, rng};
use serde_json::json;

fn store(dtype: DType) -> ParamStore {
    ParamStore::new(dtype, &Device::Cpu)
}

/// LeCun's network of 1998 with a plain last layer: 61,706 parameters.
fn lenet5(store: &ParamStore) -> Result<Sequential> {
    Sequential::new(store.root())
        .layer(|vb| conv2d(1, 6, 5, vb))?
        .add(Activation::Tanh)
        .add(AvgPool2d::new(2))
        .layer(|vb| conv2d(6, 16, 5, vb))?
        .add(Activation::Tanh)
        .add(AvgPool2d::new(2))
        .add(Flatten)
        .layer(|vb| linear(400, 120, vb))?
        .add(Activation::Tanh)
        .layer(|vb| linear(120, 84, vb))?
        .add(Activation::Tanh)
        .layer(|vb| linear(84, 10, vb))
}

#[test]
fn a_known_network_has_the_known_counts() {
    let store = store(DType::F32);
    let summary = summary(&lenet5(&store).unwrap(), &store, &[1, 32, 32]).unwrap();
    assert_eq!(summary.trainable, 61_706);
    assert_eq!((summary.frozen, summary.buffers), (0, 0));
    assert_eq!(summary.bytes, 4 * 61_706);
    let by_layer: Vec<(usize, u64)> = summary
        .layers
        .iter()
        .map(|row| (row.parameters, row.multiply_adds))
        .filter(|&counts| counts != (0, 0))
        .collect();
    let expected = [
        (6 * 25 + 6, 28 * 28 * 6 * 25),
        (16 * 6 * 25 + 16, 10 * 10 * 16 * 6 * 25),
        (400 * 120 + 120, 400 * 120),
        (120 * 84 + 84, 120 * 84),
        (84 * 10 + 10, 84 * 10),
    ];
    assert_eq!(by_layer, expected);
    assert_eq!(summary.multiply_adds, 416_520);
    let outputs: Vec<&[usize]> = summary.layers.iter().map(|row| &*row.output).collect();
    assert_eq!(outputs[0], [1, 6, 28, 28]);
    assert_eq!(outputs[5], [1, 16, 5, 5]);
    assert_eq!(outputs[6], [1, 400]);
    assert_eq!(outputs[11], [1, 10]);
}

#[test]
fn groups_and_strides_cost_less() {
    let store = store(DType::F32);
    let config = Conv2dConfig {
        stride: (2, 2),
        groups: 4,
        bias: false,
        ..Conv2dConfig::new(8, 12, 3)
    };
    let model = Sequential::new(store.root())
        .layer(|vb| Conv2d::new(&config, vb))
        .unwrap();
    let summary = summary(&model, &store, &[8, 9, 7]).unwrap();
    assert_eq!(summary.trainable, 12 * 2 * 9);
    assert_eq!(summary.multiply_adds, 4 * 3 * 12 * 2 * 9);
}

#[test]
fn frozen_parameters_and_buffers_count_apart() {
    let store = store(DType::F64);
    let model = Sequential::new(store.root().pp("net"))
        .layer(|vb| linear(5, 4, vb))
        .unwrap()
        .layer(|vb| candle_nn::batch_norm(4, 1e-5, vb))
        .unwrap()
        .layer(|vb| linear(4, 3, vb))
        .unwrap();
    // Not of the model, although it is in the store.
    linear(50, 50, store.root().pp("other")).unwrap();
    store.freeze("net.0.");
    let before = store.names();
    let summary = summary(&model, &store, &[5]).unwrap();
    assert_eq!(summary.frozen, 5 * 4 + 4);
    assert_eq!(summary.buffers, 4 + 4);
    assert_eq!(summary.trainable, 4 + 4 + 4 * 3 + 3);
    assert_eq!(summary.bytes, 8 * (24 + 8 + 23));
    let rows: Vec<usize> = summary.layers.iter().map(|row| row.parameters).collect();
    assert_eq!(rows, [24, 8, 15]);
    assert_eq!(store.names(), before);
}

#[test]
fn a_nested_model_is_one_row() {
    let store = store(DType::F32);
    let model = Sequential::new(store.root())
        .named("body", |vb| {
            Sequential::new(vb)
                .layer(|vb| linear(3, 4, vb))?
                .add(Activation::Relu)
                .layer(|vb| linear(4, 5, vb))
        })
        .unwrap()
        .add(Dropout::new(0.5).unwrap());
    rng::manual_seed(1);
    let summary = summary(&model, &store, &[3]).unwrap();
    assert_eq!(rng::generator().counter, 0, "a summary does not train");
    let (body, dropout) = (&summary.layers[0], &summary.layers[1]);
    assert_eq!(
        (body.name.as_str(), body.kind.as_str()),
        ("body", "Sequential")
    );
    assert_eq!((body.parameters, body.multiply_adds), (16 + 25, 12 + 20));
    assert_eq!((dropout.parameters, dropout.multiply_adds), (0, 0));
    assert_eq!(summary.trainable, 41);
}

#[test]
fn the_input_may_be_given() {
    let store = store(DType::F32);
    let model = Sequential::new(store.root())
        .layer(|vb| linear(3, 2, vb))
        .unwrap();
    let batch = Tensor::zeros((7, 3), DType::F32, &Device::Cpu).unwrap();
    let summary = Summary::of(&model, &store, &batch).unwrap();
    assert_eq!(summary.layers[0].output, [7, 2]);
    assert_eq!(summary.multiply_adds, 7 * 6);
}

#[test]
fn json_holds_every_figure() {
    let store = store(DType::F32);
    let model = Sequential::new(store.root())
        .layer(|vb| linear(3, 2, vb))
        .unwrap()
        .add(Activation::Softmax(-1));
    let summary = summary(&model, &store, &[3]).unwrap();
    let expected = json!({
        "layers": [
            {"name": "0", "kind": "Linear", "output": [1, 2], "parameters": 8, "multiply_adds": 6},
            {
                "name": "1", "kind": "Softmax(-1)", "output": [1, 2], "parameters": 0,
                "multiply_adds": 0
            },
        ],
        "trainable": 8,
        "frozen": 0,
        "buffers": 0,
        "multiply_adds": 6,
        "bytes": 32,
    });
    assert_eq!(serde_json::to_value(&summary).unwrap(), expected);
}

#[test]
fn large_numbers_are_grouped_in_the_table() {
    let store = store(DType::F32);
    let model = Sequential::new(store.root())
        .named("wide", |vb| linear(999, 1001, vb))
        .unwrap();
    let table = "\
name  type    output    parameters  multiply-adds
wide  Linear  1 x 1001   1,001,000        999,999
-------------------------------------------------
parameters: 1,001,000 trainable, 0 frozen; buffers: 0; 4,004,000 bytes
multiply-adds: 999,999";
    assert_eq!(summary(&model, &store, &[999]).unwrap().to_string(), table);
}

#[test]
fn an_input_that_does_not_fit_names_the_layer() {
    let store = store(DType::F32);
    let model = lenet5(&store).unwrap();
    let error = summary(&model, &store, &[1, 28, 28])
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("layer 7 (Linear), input [1, 256]"),
        "{error}"
    );
}

#[test]
fn a_model_of_parts_counts_each_by_its_name() {
    let store = store(DType::F32);
    let first = linear(3, 4, store.root().pp("first")).unwrap();
    let second = linear(4, 5, store.root().pp("second")).unwrap();
    // Not a part, although its name begins like one.
    linear(9, 9, store.root().pp("first_of_another")).unwrap();
    store.freeze("second.");
    let x = Tensor::zeros((2, 3), DType::F32, &Device::Cpu).unwrap();
    let hidden = first.forward(&x).unwrap();
    let parts: [mapsto_nn::SummaryPart<'_>; 3] = [
        ("first", "Linear", &|| first.forward(&x)),
        ("nothing", "Identity", &|| Ok(hidden.clone())),
        ("second", "Linear", &|| second.forward(&hidden)),
    ];
    let summary = Summary::of_parts(&store, &parts).unwrap();
    assert_eq!((summary.trainable, summary.frozen), (16, 25));
    assert_eq!(summary.bytes, 4 * (16 + 25));
    assert_eq!(summary.multiply_adds, 2 * (12 + 20));
    let rows: Vec<(&str, &str, &[usize], usize, u64)> = summary
        .layers
        .iter()
        .map(|row| {
            let (name, kind) = (row.name.as_str(), row.kind.as_str());
            (name, kind, &*row.output, row.parameters, row.multiply_adds)
        })
        .collect();
    let expected: [(&str, &str, &[usize], usize, u64); 3] = [
        ("first", "Linear", &[2, 4], 16, 24),
        ("nothing", "Identity", &[2, 4], 0, 0),
        ("second", "Linear", &[2, 5], 25, 40),
    ];
    assert_eq!(rows, expected);
    let none: (&str, &str, &dyn Fn() -> Result<Tensor>) =
        ("second", "Linear", &|| second.forward(&x));
    assert!(
        Summary::of_parts(&store, &[none]).is_err(),
        "3 features for 4"
    );
}
