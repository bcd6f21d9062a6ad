//! Whole networks against PyTorch: outputs, losses, gradients, and parameters after a step.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "helpers of tests are tests too"
)]

use mapsto_models::Cell;
use mapsto_models::cnn::{Classify, CnnConfig, cnn};
use mapsto_models::lstm::language::{
    LanguageDropout, LanguageModel, LanguageModelConfig, NextToken, Window,
};
use mapsto_nn::{BceWithLogitsLoss, Reduction, Sequential, linear};
use mapsto_optim::{Adam, IntoOptimizer, Sgd};
use mapsto_tensor::testing::{Golden, assert_close};
use mapsto_tensor::{
    D, DType, Device, Gradients, Module, ParamKind, ParamStore, StateDict, Tensor, backward, ops,
};
use mapsto_train::{Callback, Objective, Output};

fn golden(name: &str) -> Golden {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden");
    Golden::open(format!("{folder}/{name}.safetensors"))
}

/// The preset for the case's input, with these parameters.
fn network(case: &Golden, preset: &str, params: &StateDict) -> (ParamStore, Classify<Sequential>) {
    let [_, _, height, width] = case.tensor("input").dims().try_into().unwrap();
    let config = CnnConfig::preset(preset, height, width, 10).unwrap();
    let store = ParamStore::new(case.dtype(), &Device::Cpu);
    let model = cnn(&config, store.root()).unwrap();
    store.load_state_dict(params, true).unwrap();
    (store, Classify::new(model))
}

fn run(task: &Classify<Sequential>, case: &Golden, input: Tensor) -> Output {
    task.compute_loss(&(input, case.tensor("target")), true)
        .unwrap()
}

/// Compares every tensor of the file whose name starts with `prefix`, and returns how many.
/// Of the largest matrix some files hold the first row alone.
fn check_named<'a>(
    case: &Golden,
    prefix: &str,
    ours: impl Fn(&str) -> Option<&'a Tensor>,
) -> usize {
    let expected = case.with_prefix(prefix);
    for name in expected.keys() {
        let stored = format!("{prefix}{name}");
        match name.strip_suffix("_first_row") {
            Some(whole) => case.check(&stored, &ours(whole).expect(whole).get(0).unwrap()),
            None => case.check(&stored, ours(name).expect(name)),
        }
    }
    expected.len()
}

fn step(store: &ParamStore, gradients: &mut Gradients) {
    let mut adam = Adam::default().into_optimizer(store).unwrap();
    adam.step(gradients).unwrap();
}

#[test]
fn mission_network_and_an_adam_step() {
    let case = golden("keras_cnn_adam_step");
    let (store, task) = network(&case, "mission", &case.with_prefix("param."));
    let output = run(&task, &case, case.tensor("input"));
    case.check("output", &output.predictions);
    case.check("loss", &output.loss);
    let mut gradients = backward(&output.loss, &store).unwrap();
    gradients.audit().unwrap();
    assert_eq!(check_named(&case, "grad.param.", |n| gradients.get(n)), 5);
    step(&store, &mut gradients);
    let after = store.state_dict();
    // All of them, since the largest matrix is whole here.
    assert_eq!(check_named(&case, "param_after.", |n| after.get(n)), 6);
    let output = run(&task, &case, case.tensor("input"));
    case.check("loss_after", &output.loss);
}

/// Parameter `j`: `p[i] = sin(0.9 i + j + 1) 1.5 / sqrt(fan)`, fan the elements of `p[0]`, 10
/// for biases.
fn formula_parameters() -> StateDict {
    let shapes: [(&str, &[usize]); 6] = [
        ("conv.weight", &[32, 1, 3, 3]),
        ("conv.bias", &[32]),
        ("fc1.weight", &[128, 5408]),
        ("fc1.bias", &[128]),
        ("fc2.weight", &[10, 128]),
        ("fc2.bias", &[10]),
    ];
    let value = |(j, (name, shape)): (usize, (&str, &[usize]))| {
        let fan = if shape.len() == 1 {
            10
        } else {
            shape[1..].iter().product()
        };
        let scale = 1.5 / (fan as f64).sqrt();
        let values = (0..shape.iter().product::<usize>())
            .map(|i| (0.9 * i as f64 + j as f64 + 1.0).sin() * scale);
        let tensor = Tensor::from_iter(values, &Device::Cpu).and_then(|t| t.reshape(shape));
        (name.to_owned(), tensor.unwrap())
    };
    shapes.into_iter().enumerate().map(value).collect()
}

#[test]
fn mission_network_at_full_size() {
    let case = golden("keras_cnn_28x28_formula");
    let (store, task) = network(&case, "mission", &formula_parameters());
    let before = run(&task, &case, case.tensor("input"));
    case.check("output", &before.predictions);
    let mut gradients = backward(&before.loss, &store).unwrap();
    assert_eq!(check_named(&case, "grad.param.", |n| gradients.get(n)), 6);
    step(&store, &mut gradients);
    let after = store.state_dict();
    assert_eq!(check_named(&case, "param_after.", |n| after.get(n)), 6);
    let last = run(&task, &case, case.tensor("input"));
    let losses = Tensor::stack(&[before.loss, last.loss], 0).unwrap();
    case.check("losses", &losses);
}

#[test]
fn lenet5() {
    let case = golden("lenet5");
    let (store, task) = network(&case, "lenet5", &case.with_prefix("param."));
    let input = store.insert("input", &case.tensor("input"), ParamKind::Parameter);
    let output = run(&task, &case, input.unwrap().as_tensor().clone());
    case.check("output", &output.predictions);
    case.check("loss", &output.loss);
    let gradients = backward(&output.loss, &store).unwrap();
    gradients.audit().unwrap();
    assert_eq!(check_named(&case, "grad.param.", |n| gradients.get(n)), 7);
    case.check("grad.input", gradients.get("input").unwrap());
}

/// Not of the zoo, but made of the same layers: a variational autoencoder.
#[test]
fn autoencoder() {
    let case = golden("vae_mlp");
    let store = ParamStore::new(case.dtype(), &Device::Cpu);
    let layer = |name: &str, input, out| linear(input, out, store.root().pp(name)).unwrap();
    let [enc, dec1, dec2] = [("enc", 12, 8), ("dec1", 3, 8), ("dec2", 8, 12)]
        .map(|(name, input, out)| layer(name, input, out));
    let (mean, spread) = (layer("mu", 8, 3), layer("logvar", 8, 3));
    store
        .load_state_dict(&case.with_prefix("param."), true)
        .unwrap();
    let x = case.tensor("input");
    let forward = || {
        let hidden = enc.forward(&x)?.relu()?;
        let (mu, logvar) = (mean.forward(&hidden)?, spread.forward(&hidden)?);
        let z = (&mu + (case.tensor("epsilon") * (&logvar / 2.0)?.exp()?)?)?;
        let logits = dec2.forward(&dec1.forward(&z)?.relu()?)?;
        let bce = BceWithLogitsLoss {
            reduction: Reduction::Sum,
            ..BceWithLogitsLoss::default()
        };
        let reconstruction = bce.forward(&logits, &x)?;
        let terms = (((&logvar + 1.0)? - mu.sqr()?)? - logvar.exp()?)?;
        let divergence = (terms.sum_all()? * -0.5)?;
        Ok::<_, mapsto_tensor::Error>((mu, logvar, logits, reconstruction, divergence))
    };
    let (mu, logvar, logits, reconstruction, divergence) = forward().unwrap();
    case.check("output.mu", &mu);
    case.check("output.logvar", &logvar);
    case.check("output.logits", &logits);
    case.check("reconstruction", &reconstruction);
    case.check("kl", &divergence);
    let loss = ((reconstruction + divergence).unwrap() / 4.0).unwrap();
    case.check("loss", &loss);
    let gradients = backward(&loss, &store).unwrap();
    gradients.audit().unwrap();
    assert_eq!(check_named(&case, "grad.param.", |n| gradients.get(n)), 10);
}

/// Our name of a parameter of the reference.
fn renamed(name: &str) -> String {
    name.replace("embedding.", "encoder.")
        .replace("out.", "decoder.")
}

/// Window `number` of the case, time first.
fn golden_window(case: &Golden, number: usize) -> Window {
    let tokens = case.tensor("tokens").to_dtype(DType::U32).unwrap();
    let cut = |from| tokens.narrow(1, from, 5).unwrap().t().unwrap();
    let cut = |from| cut(from).contiguous().unwrap();
    let start = (number - 1) * 5;
    Window {
        inputs: cut(start),
        targets: cut(start + 1),
        first: number == 1,
    }
}

/// Compares what a window left behind with the file: log-probabilities, states.
fn check_window(case: &Golden, at: &str, model: &LanguageModel, window: &Window, task: &NextToken) {
    let before = task.carried().tensors();
    let before: Option<Vec<Tensor>> = (!window.first).then(|| before.into_values().collect());
    let hidden = model
        .hidden(&window.inputs, before.as_deref(), true)
        .unwrap();
    let ours = model.log_probabilities(&hidden.dropped).unwrap();
    let logits = case.tensor(&format!("{at}output")).transpose(0, 1).unwrap();
    let logits = logits.contiguous().unwrap().flatten(0, 1).unwrap();
    let expected = ops::log_softmax(&logits, D::Minus1).unwrap();
    let (rtol, atol) = case.tolerance();
    assert_close("log-probabilities", &ours, &expected, rtol, atol);
    let state = |i| hidden.states[0].narrow(0, i, 1).unwrap();
    case.check(&format!("{at}h"), &state(0));
    case.check(&format!("{at}c"), &state(1));
}

#[test]
fn two_windows_of_pytorch() {
    let case = golden("lstm_lm_two_windows");
    let config = LanguageModelConfig {
        vocab: 17,
        embedding: 5,
        hidden: 6,
        cell: Cell::Lstm,
        layers: 1,
        tied: false,
        mixture: 1,
        dropout: LanguageDropout::default(),
    };
    let store = ParamStore::new(case.dtype(), &Device::Cpu);
    let model = LanguageModel::new(&config, &store.root()).unwrap();
    let params: StateDict = case
        .with_prefix("param.")
        .into_iter()
        .map(|(name, tensor)| (renamed(&name), tensor))
        .collect();
    assert!(store.load_state_dict(&params, true).unwrap().is_exact());
    let task = NextToken::new(model.clone());
    let rule = Sgd {
        lr: 0.5,
        ..Sgd::default()
    };
    let mut sgd = rule.into_optimizer(&store).unwrap();
    for number in [1, 2] {
        let (at, window) = (format!("window{number}."), golden_window(&case, number));
        check_window(&case, &at, &model, &window, &task);
        let output = task.compute_loss(&window, true).unwrap();
        case.check(&format!("{at}loss"), &output.loss);
        let mut gradients = backward(&output.loss, &store).unwrap();
        gradients.audit().unwrap();
        let names = case.with_prefix(&format!("{at}grad.param."));
        assert_eq!(names.len(), 7);
        for name in names.keys() {
            let ours = gradients.get(&renamed(name)).unwrap();
            case.check(&format!("{at}grad.param.{name}"), ours);
        }
        sgd.step(&mut gradients).unwrap();
        let after = store.state_dict();
        for name in names.keys() {
            case.check(&format!("{at}param_after.{name}"), &after[&renamed(name)]);
        }
    }
}
