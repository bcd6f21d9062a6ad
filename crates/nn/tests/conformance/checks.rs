//! What is checked of every layer of the table, from a row of what is expected.

use std::fmt::Debug;

use mapsto_tensor::testing::{assert_close, wave};
use mapsto_tensor::{
    Checkpoint, DType, Device, ModuleT, ParamKind, ParamStore, Result, Tensor, VarBuilder,
    backward, rng,
};

/// What is expected of a layer.
pub(crate) struct Row {
    name: &'static str,
    input: &'static [usize],
    output: &'static [usize],
    parameters: &'static [(&'static str, &'static [usize])],
    /// Whether training draws random numbers.
    random: bool,
}

impl Row {
    pub(crate) const fn new(
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

    pub(crate) fn random(self) -> Self {
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
pub(crate) fn conform<M>(row: Row, build: impl Fn(VarBuilder<'static>) -> Result<M>)
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
