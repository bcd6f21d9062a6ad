//! The same checks for every layer; a new layer is one more row of the table.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "helpers of tests are tests too"
)]

use std::fmt::Debug;

use mapsto_nn::{
    Activation, AvgPool2d, CellConfig, Conv1d, Conv1dConfig, Conv2d, Conv2dConfig, ConvTranspose2d,
    ConvTranspose2dConfig, Dropout, Embedding, EmbeddingConfig, Flatten, Gru, GruCell, Linear,
    LinearConfig, Lstm, LstmCell, MaxPool2d, Nonlinearity, Padding, Padding1d, RecurrentConfig,
    RecurrentLayer, Rnn, RnnCell, Sequential, Upsample, conv2d, linear,
};
use mapsto_tensor::ops::{Order, Recurrence};
use mapsto_tensor::testing::{assert_close, wave};
use mapsto_tensor::{
    Checkpoint, DType, Device, ModuleT, ParamKind, ParamStore, Result, Tensor, VarBuilder,
    backward, rng,
};

/// What is expected of a layer.
struct Row {
    name: &'static str,
    input: &'static [usize],
    output: &'static [usize],
    parameters: &'static [(&'static str, &'static [usize])],
    /// Whether training draws random numbers.
    random: bool,
}

impl Row {
    const fn new(
        name: &'static str,
        input: &'static [usize],
        output: &'static [usize],
        parameters: &'static [(&'static str, &'static [usize])],
    ) -> Self {
        Self {
            name,
            input,
            output,
            parameters,
            random: false,
        }
    }

    fn random(self) -> Self {
        Self {
            random: true,
            ..self
        }
    }

    fn input(&self, dtype: DType) -> Tensor {
        wave(self.input, 0.3).to_dtype(dtype).unwrap()
    }
}

/// The bounds are part of the check.
fn conform<M>(row: Row, build: impl Fn(VarBuilder<'static>) -> Result<M>)
where
    M: ModuleT + Clone + Debug + Send + Sync + 'static,
{
    let on = |dtype, seed| {
        let store = ParamStore::new(dtype, &Device::Cpu).with_seed(seed);
        let layer = build(store.root()).unwrap();
        (store, layer)
    };
    let (store, layer) = on(DType::F64, 1);
    shapes(&row, &store, &layer);
    clones_agree(&row, &layer);
    train_flag(&row, &layer);
    save_and_load(&row, &store, &layer, on(DType::F64, 2));
    dtypes_agree(&row, &layer, &on(DType::F32, 1).1);
    gradients_arrive(&row, &store, &layer);
}

fn shapes(row: &Row, store: &ParamStore, layer: &impl ModuleT) {
    let output = layer.forward_t(&row.input(DType::F64), false).unwrap();
    assert_eq!(output.dims(), row.output, "{}", row.name);
    let entries = store.entries();
    let found: Vec<(&str, &[usize])> = entries
        .iter()
        .map(|(name, var, _, _)| (name.as_str(), var.dims()))
        .collect();
    assert_eq!(found, row.parameters, "{}", row.name);
    let is_parameter = |(_, _, kind, _): &(_, _, ParamKind, _)| *kind == ParamKind::Parameter;
    assert!(entries.iter().all(is_parameter), "{}", row.name);
}

fn bits(tensor: &Tensor) -> Vec<u64> {
    let values: Vec<f64> = tensor.flatten_all().unwrap().to_vec1().unwrap();
    values.into_iter().map(f64::to_bits).collect()
}

fn run(layer: &impl ModuleT, row: &Row, train: bool) -> Vec<u64> {
    bits(&layer.forward_t(&row.input(DType::F64), train).unwrap())
}

fn clones_agree<M: ModuleT + Clone + Debug>(row: &Row, layer: &M) {
    let clone = layer.clone();
    assert_eq!(format!("{clone:?}"), format!("{layer:?}"));
    assert_eq!(
        run(&clone, row, false),
        run(layer, row, false),
        "{}",
        row.name
    );
}

fn train_flag(row: &Row, layer: &impl ModuleT) {
    rng::manual_seed(7);
    let evaluated = run(layer, row, false);
    assert_eq!(run(layer, row, false), evaluated, "{}", row.name);
    assert_eq!(
        rng::generator().counter,
        0,
        "{} draws in evaluation",
        row.name
    );
    let trained = run(layer, row, true);
    assert_eq!(trained != evaluated, row.random, "{}", row.name);
    assert_eq!(run(layer, row, true) != trained, row.random, "{}", row.name);
    rng::manual_seed(7);
    assert_eq!(run(layer, row, true), trained, "{}: same seed", row.name);
}

fn save_and_load<M: ModuleT>(row: &Row, from: &ParamStore, saved: &M, to: (ParamStore, M)) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("layer.safetensors");
    let checkpoint = Checkpoint {
        tensors: from.state_dict(),
        ..Checkpoint::default()
    };
    checkpoint.save(&path).unwrap();
    let (store, other) = to;
    let has_parameters = !row.parameters.is_empty();
    let expected = run(saved, row, false);
    let name = row.name;
    assert_eq!(
        run(&other, row, false) != expected,
        has_parameters,
        "{name}"
    );
    let tensors = Checkpoint::load(&path).unwrap().tensors;
    store.load_state_dict(&tensors, true).unwrap();
    assert_eq!(run(&other, row, false), expected, "{name} after loading");
}

fn dtypes_agree(row: &Row, double: &impl ModuleT, single: &impl ModuleT) {
    let expected = double.forward_t(&row.input(DType::F64), false).unwrap();
    let actual = single.forward_t(&row.input(DType::F32), false).unwrap();
    assert_eq!(actual.dtype(), DType::F32, "{}", row.name);
    assert_close(row.name, &actual, &expected, 1e-5, 1e-6);
}

fn gradients_arrive(row: &Row, store: &ParamStore, layer: &impl ModuleT) {
    // The input counts as one more parameter: a layer must not cut what lies before it.
    let input = store.insert("input", &row.input(DType::F64), ParamKind::Parameter);
    let output = layer.forward_t(input.unwrap().as_tensor(), true).unwrap();
    let loss = (output * wave(row.output, 0.5)).unwrap().sum_all().unwrap();
    let gradients = backward(&loss, store).unwrap();
    gradients.audit().unwrap();
    assert_eq!(gradients.iter().count(), row.parameters.len() + 1);
    for (name, grad) in gradients.iter() {
        let largest = grad.abs().unwrap().max_all().unwrap();
        assert!(
            largest.to_scalar::<f64>().unwrap() > 0.0,
            "{}: the gradient of {name} is 0",
            row.name
        );
    }
}

#[test]
fn linear_layers() {
    conform(
        Row::new(
            "linear",
            &[5, 4],
            &[5, 3],
            &[("bias", &[3]), ("weight", &[3, 4])],
        ),
        |vb| linear(4, 3, vb),
    );
    let config = LinearConfig {
        bias: false,
        ..LinearConfig::new(4, 3)
    };
    conform(
        Row::new(
            "linear, no bias",
            &[2, 5, 4],
            &[2, 5, 3],
            &[("weight", &[3, 4])],
        ),
        |vb| Linear::new(&config, vb),
    );
}

#[test]
fn convolutions() {
    conform(
        Row::new(
            "conv2d",
            &[2, 3, 7, 8],
            &[2, 4, 5, 6],
            &[("bias", &[4]), ("weight", &[4, 3, 3, 3])],
        ),
        |vb| conv2d(3, 4, 3, vb),
    );
    let grouped = Conv2dConfig {
        stride: (2, 1),
        padding: Padding::Explicit(1, 2),
        dilation: (1, 2),
        groups: 2,
        bias: false,
        ..Conv2dConfig::new(4, 6, (3, 2))
    };
    conform(
        Row::new(
            "conv2d, grouped",
            &[2, 4, 7, 5],
            &[2, 6, 4, 7],
            &[("weight", &[6, 2, 3, 2])],
        ),
        |vb| Conv2d::new(&grouped, vb),
    );
    let same = Conv2dConfig {
        padding: Padding::Same,
        ..Conv2dConfig::new(1, 2, (2, 5))
    };
    conform(
        Row::new(
            "conv2d, same",
            &[1, 6, 9],
            &[2, 6, 9],
            &[("bias", &[2]), ("weight", &[2, 1, 2, 5])],
        ),
        |vb| Conv2d::new(&same, vb),
    );
}

#[test]
fn transposed_convolutions() {
    let doubling = ConvTranspose2dConfig {
        stride: (2, 2),
        padding: (1, 1),
        ..ConvTranspose2dConfig::new(3, 4, 4)
    };
    let parameters: &[(&str, &[usize])] = &[("bias", &[4]), ("weight", &[3, 4, 4, 4])];
    let row = Row::new(
        "conv transpose 2d",
        &[2, 3, 5, 4],
        &[2, 4, 10, 8],
        parameters,
    );
    conform(row, |vb| ConvTranspose2d::new(&doubling, vb));
    let grouped = ConvTranspose2dConfig {
        output_padding: (0, 1),
        groups: 2,
        bias: false,
        dilation: (1, 2),
        ..ConvTranspose2dConfig::new(4, 2, (2, 3))
    };
    let row = Row::new(
        "grouped",
        &[4, 5, 3],
        &[2, 6, 8],
        &[("weight", &[4, 1, 2, 3])],
    );
    conform(row, |vb| ConvTranspose2d::new(&grouped, vb));
}

#[test]
fn layers_without_parameters() {
    conform(
        Row::new("max_pool2d", &[2, 3, 7, 6], &[2, 3, 3, 3], &[]),
        |_| Ok(MaxPool2d::new(2)),
    );
    let overlapping = MaxPool2d::new((3, 2)).stride((2, 1)).padding(1);
    conform(
        Row::new("max_pool2d, padded", &[2, 3, 7, 5], &[2, 3, 4, 6], &[]),
        |_| Ok(overlapping),
    );
    conform(Row::new("avg_pool2d", &[3, 7, 6], &[3, 3, 3], &[]), |_| {
        Ok(AvgPool2d::new(2))
    });
    let overhanging = AvgPool2d::new((3, 2)).ceil_mode(true);
    conform(
        Row::new("avg_pool2d, ceil", &[2, 3, 7, 5], &[2, 3, 3, 3], &[]),
        |_| Ok(overhanging),
    );
    conform(Row::new("flatten", &[2, 3, 4, 5], &[2, 60], &[]), |_| {
        Ok(Flatten)
    });
    conform(
        Row::new("flatten, some", &[2, 3, 4, 5], &[2, 12, 5], &[]),
        |_| Ok(Flatten::dims(1, -2)),
    );
    conform(
        Row::new("upsample, nearest", &[2, 3, 4, 5], &[2, 3, 8, 10], &[]),
        |_| Upsample::nearest(2.0),
    );
    conform(Row::new("upsample", &[3, 4, 5], &[3, 7, 3], &[]), |_| {
        Upsample::to_size((7, 3))
    });
    let dropout = Row::new("dropout", &[20, 5], &[20, 5], &[]).random();
    conform(dropout, |_| Dropout::new(0.3));
}

#[test]
fn activations() {
    let names = [
        "identity",
        "relu",
        "relu6",
        "leaky_relu",
        "elu",
        "selu",
        "celu",
        "gelu",
        "gelu_tanh",
        "silu",
        "mish",
        "softplus",
        "softsign",
        "sigmoid",
        "log_sigmoid",
        "tanh",
        "hardsigmoid",
        "hardswish",
        "hardtanh",
        "softmax",
        "log_softmax",
    ];
    // The message lists all there are, so that none is left out here.
    let error = "none".parse::<Activation>().unwrap_err().to_string();
    let known = format!("known are {}", names.join(", "));
    assert!(error.contains(&known), "{error}");
    for name in names {
        let activation: Activation = name.parse().unwrap();
        let row = Row::new(name, &[3, 2, 5], &[3, 2, 5], &[]);
        conform(row, |_| Ok(activation));
    }
}

#[test]
fn recurrent_layers() {
    let deep = RecurrentConfig {
        num_layers: 2,
        batch_first: true,
        dropout: 0.5,
        bidirectional: true,
        bias: false,
        ..RecurrentConfig::new(3, 4)
    };
    let row = Row::new(
        "lstm",
        &[2, 5, 3],
        &[2, 5, 8],
        &[
            ("weight_hh_l0", &[16, 4]),
            ("weight_hh_l0_reverse", &[16, 4]),
            ("weight_hh_l1", &[16, 4]),
            ("weight_hh_l1_reverse", &[16, 4]),
            ("weight_ih_l0", &[16, 3]),
            ("weight_ih_l0_reverse", &[16, 3]),
            ("weight_ih_l1", &[16, 8]),
            ("weight_ih_l1_reverse", &[16, 8]),
        ],
    );
    conform(row.random(), |vb| Lstm::new(&deep, vb));
    let parameters: &[(&str, &[usize])] = &[
        ("bias_hh_l0", &[12]),
        ("bias_ih_l0", &[12]),
        ("weight_hh_l0", &[12, 4]),
        ("weight_ih_l0", &[12, 3]),
    ];
    let plain = RecurrentConfig::new(3, 4);
    conform(Row::new("gru", &[5, 2, 3], &[5, 2, 4], parameters), |vb| {
        Gru::new(&plain, vb)
    });
    conform(
        Row::new("gru of one sequence", &[5, 3], &[5, 4], parameters),
        |vb| Gru::new(&plain, vb),
    );
    let row = Row::new(
        "rnn",
        &[5, 2, 3],
        &[5, 2, 4],
        &[
            ("bias_hh_l0", &[4]),
            ("bias_ih_l0", &[4]),
            ("weight_hh_l0", &[4, 4]),
            ("weight_ih_l0", &[4, 3]),
        ],
    );
    conform(row, |vb| Rnn::new(&plain, Nonlinearity::Tanh, vb));
}

#[test]
fn convolutions_of_sequences() {
    let config = Conv1dConfig {
        groups: 2,
        padding: Padding1d::Explicit(2),
        ..Conv1dConfig::new(4, 6, 3)
    };
    let row = Row::new(
        "conv1d",
        &[2, 4, 7],
        &[2, 6, 9],
        &[("bias", &[6]), ("weight", &[6, 2, 3])],
    );
    conform(row, |vb| Conv1d::new(&config, vb));
    let row = Row::new(
        "conv1d, no batch",
        &[4, 7],
        &[6, 9],
        &[("bias", &[6]), ("weight", &[6, 2, 3])],
    );
    conform(row, |vb| Conv1d::new(&config, vb));
}

/// Three words added to the input, since the checks are about inputs of floats.
#[derive(Debug, Clone)]
struct ThreeWords(Embedding);

impl ModuleT for ThreeWords {
    fn forward_t(&self, x: &Tensor, train: bool) -> Result<Tensor> {
        let ids = Tensor::new(&[3u32, 0, 3], &Device::Cpu)?;
        x.broadcast_add(&self.0.forward_t(&ids, train)?)
    }
}

#[test]
fn embedding() {
    let config = EmbeddingConfig {
        padding_idx: Some(0),
        ..EmbeddingConfig::new(5, 4)
    };
    let row = Row::new("embedding", &[2, 3, 4], &[2, 3, 4], &[("weight", &[5, 4])]);
    conform(row, |vb| Ok(ThreeWords(Embedding::new(&config, vb)?)));
}

/// One layer of a stack, its states begun with zeros.
#[derive(Debug, Clone)]
struct FromZeros(RecurrentLayer);

impl ModuleT for FromZeros {
    fn forward_t(&self, x: &Tensor, train: bool) -> Result<Tensor> {
        let zeros = self.0.zeros(x)?;
        Ok(self.0.forward(x, &zeros, &Order::default(), train)?.0)
    }
}

#[test]
fn one_layer_of_a_stack() {
    let row = Row::new(
        "recurrent layer",
        &[5, 2, 3],
        &[5, 2, 4],
        &[
            ("bias_hh_l2", &[12]),
            ("bias_ih_l2", &[12]),
            ("weight_hh_l2", &[12, 4]),
            ("weight_ih_l2", &[12, 3]),
        ],
    );
    conform(row.random(), |vb| {
        let layer = RecurrentLayer::new(Recurrence::Gru, &CellConfig::new(3, 4), "_l2", &vb)?;
        Ok(FromZeros(layer.weight_dropout(0.4)?))
    });
}

/// A cell's first two steps as a layer: from zeros, the weight of the state has no gradient.
#[derive(Debug, Clone)]
struct TwoSteps<C>(C, fn(&C, &Tensor) -> Result<Tensor>);

impl<C> ModuleT for TwoSteps<C> {
    fn forward_t(&self, x: &Tensor, _: bool) -> Result<Tensor> {
        (self.1)(&self.0, x)
    }
}

#[test]
fn recurrent_cells() {
    let plain = CellConfig::new(3, 4);
    let row = Row::new(
        "lstm cell",
        &[5, 3],
        &[5, 4],
        &[
            ("bias_hh", &[16]),
            ("bias_ih", &[16]),
            ("weight_hh", &[16, 4]),
            ("weight_ih", &[16, 3]),
        ],
    );
    conform(row, |vb| {
        let two: fn(&LstmCell, &Tensor) -> Result<Tensor> = |cell, x| {
            let first = cell.forward(x, None)?;
            Ok(cell.forward(x, Some(&first))?.h)
        };
        Ok(TwoSteps(LstmCell::new(&plain, vb)?, two))
    });
    let row = Row::new(
        "gru cell",
        &[3],
        &[4],
        &[
            ("bias_hh", &[12]),
            ("bias_ih", &[12]),
            ("weight_hh", &[12, 4]),
            ("weight_ih", &[12, 3]),
        ],
    );
    conform(row, |vb| {
        let two: fn(&GruCell, &Tensor) -> Result<Tensor> =
            |cell, x| cell.forward(x, Some(&cell.forward(x, None)?));
        Ok(TwoSteps(GruCell::new(&plain, vb)?, two))
    });
    let without = CellConfig {
        bias: false,
        ..plain
    };
    let row = Row::new(
        "rnn cell, no bias",
        &[5, 3],
        &[5, 4],
        &[("weight_hh", &[4, 4]), ("weight_ih", &[4, 3])],
    );
    conform(row, |vb| {
        let two: fn(&RnnCell, &Tensor) -> Result<Tensor> =
            |cell, x| cell.forward(x, Some(&cell.forward(x, None)?));
        Ok(TwoSteps(
            RnnCell::new(&without, Nonlinearity::Tanh, vb)?,
            two,
        ))
    });
}

#[test]
fn sequences() {
    let row = Row::new(
        "sequential",
        &[2, 1, 6, 7],
        &[2, 3],
        &[
            ("0.bias", &[2]),
            ("0.weight", &[2, 1, 3, 3]),
            ("head.bias", &[3]),
            ("head.weight", &[3, 12]),
        ],
    );
    conform(row.random(), |vb| {
        Sequential::new(vb)
            .layer(|vb| conv2d(1, 2, 3, vb))?
            .add(Activation::Tanh)
            .add(AvgPool2d::new((2, 1)))
            .add(MaxPool2d::new((1, 1)).stride((1, 2)))
            .add(Flatten)
            .add(Dropout::new(0.5)?)
            .named("head", |vb| linear(12, 3, vb))
    });
}
