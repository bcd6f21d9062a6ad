//! What the tests of training share: a small network with dropout, shuffled batches that are a
//! function of (seed, epoch), and callbacks and metrics that follow a script.

#![allow(
    dead_code,
    clippy::unwrap_used,
    reason = "each test file uses a part; helpers of tests are tests too"
)]

use std::convert::Infallible;
use std::hash::{DefaultHasher, Hasher};
use std::path::Path;

use candle_nn::Linear;
use mapsto_optim::Sgd;
use mapsto_tensor::rng::Generator;
use mapsto_tensor::{DType, Device, Module, ParamKind, ParamStore, Result, Tensor, Var, ops};
use mapsto_train::{
    Callback, Context, Error, Metric, Objective, Output, Position, Snapshot, weights_sha256,
};
use rand::seq::SliceRandom;
use serde_json::{Value, json};

pub(crate) type Batch = (Tensor, Tensor);
type Loaded = std::result::Result<Batch, Infallible>;

pub(crate) const SAMPLES: usize = 50;
pub(crate) const BATCHES: usize = 7;
pub(crate) const CLASSES: usize = 3;

/// Two layers of candle's, with dropout between them.
#[derive(Debug)]
pub(crate) struct Net {
    fc1: Linear,
    fc2: Linear,
    dropout: f64,
}

pub(crate) fn net(seed: u64, dropout: f64) -> (ParamStore, Net) {
    let store = ParamStore::new(DType::F32, &Device::Cpu).with_seed(seed);
    let net = Net {
        fc1: candle_nn::linear(4, 8, store.root().pp("fc1")).unwrap(),
        fc2: candle_nn::linear(8, CLASSES, store.root().pp("fc2")).unwrap(),
        dropout,
    };
    (store, net)
}

impl Net {
    pub(crate) fn forward(&self, x: &Tensor, train: bool) -> Result<Tensor> {
        let hidden = self.fc1.forward(x)?.relu()?;
        let hidden = if train {
            ops::dropout(&hidden, self.dropout)?
        } else {
            hidden
        };
        self.fc2.forward(&hidden)
    }
}

impl Objective<Batch> for Net {
    fn compute_loss(&self, (x, y): &Batch, train: bool) -> Result<Output> {
        let predictions = self.forward(x, train)?;
        Ok(Output {
            loss: candle_nn::loss::cross_entropy(&predictions, y)?,
            predictions,
            targets: y.clone(),
        })
    }
}

/// The samples of these numbers: points around the centre of their class.
pub(crate) fn samples(indices: &[usize]) -> Batch {
    let rows = indices.iter().flat_map(|&index| {
        (0..4).map(move |column| {
            let noise = ((index * 4 + column) as f32 * 12.9).sin() * 0.5;
            noise + if index % CLASSES == column { 2.0 } else { 0.0 }
        })
    });
    let labels: Vec<u32> = indices.iter().map(|i| (i % CLASSES) as u32).collect();
    let x = Tensor::from_iter(rows, &Device::Cpu).unwrap();
    let x = x.reshape((indices.len(), 4)).unwrap();
    (x, Tensor::new(labels, &Device::Cpu).unwrap())
}

/// Batches of 8, the last of 2, in an order of their own in each epoch.
pub(crate) fn shuffled(seed: u64, epoch: usize) -> impl Iterator<Item = Loaded> {
    let mut indices: Vec<usize> = (0..SAMPLES).collect();
    indices.shuffle(&mut Generator::keyed(seed, &[epoch as u64]));
    let batches: Vec<Batch> = indices.chunks(8).map(samples).collect();
    batches.into_iter().map(Ok)
}

/// Further samples, in order.
pub(crate) fn held_out() -> impl Iterator<Item = Loaded> {
    let indices: Vec<usize> = (SAMPLES..SAMPLES + 20).collect();
    let batches: Vec<Batch> = indices.chunks(8).map(samples).collect();
    batches.into_iter().map(Ok)
}

/// A store with one number `w`, for objectives written as closures.
pub(crate) fn one_number(value: f64) -> (ParamStore, Var) {
    let store = ParamStore::new(DType::F64, &Device::Cpu);
    let value = Tensor::new(value, &Device::Cpu).unwrap();
    let w = store.insert("w", &value, ParamKind::Parameter).unwrap();
    (store, w)
}

/// The loss `w x`, averaged over the batch: its gradient is the mean of `x`.
pub(crate) fn product(w: &Var) -> impl Fn(&Tensor, bool) -> Result<Output> + use<> {
    let w = w.clone();
    move |x, _train| {
        let predictions = x.broadcast_mul(&w)?;
        Ok(Output {
            loss: predictions.mean_all()?,
            predictions,
            targets: x.clone(),
        })
    }
}

/// Batches of `product`, the same in each epoch.
pub(crate) fn numbers(
    batches: &[&[f64]],
) -> impl Fn(usize) -> std::vec::IntoIter<std::result::Result<Tensor, Infallible>> + use<> {
    let batches: Vec<Tensor> = batches
        .iter()
        .map(|batch| Tensor::new(*batch, &Device::Cpu).unwrap())
        .collect();
    move |_epoch| {
        batches
            .iter()
            .cloned()
            .map(Ok)
            .collect::<Vec<_>>()
            .into_iter()
    }
}

/// Plain gradient descent.
pub(crate) fn sgd(lr: f64) -> Sgd {
    Sgd {
        lr,
        ..Sgd::default()
    }
}

pub(crate) fn sha(store: &ParamStore) -> String {
    weights_sha256(&store.state_dict()).unwrap()
}

/// A fingerprint of a snapshot's file: equal for equal states.
pub(crate) fn fingerprint(snapshot: &Snapshot) -> u64 {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("snapshot");
    snapshot.save(&path).unwrap();
    let mut hasher = DefaultHasher::new();
    hasher.write(&std::fs::read(path).unwrap());
    hasher.finish()
}

/// Ends `fit` after a step, or after an epoch.
#[derive(Debug)]
pub(crate) enum StopAfter {
    Step(u64),
    Epoch(usize),
}

impl Callback for StopAfter {
    fn name(&self) -> &'static str {
        "stop_after"
    }

    fn on_batch_end(&mut self, context: &mut Context<'_>) -> mapsto_train::Result<()> {
        if matches!(self, Self::Step(step) if context.position.step == *step) {
            context.stop("step");
        }
        Ok(())
    }

    fn on_epoch_end(&mut self, context: &mut Context<'_>) -> mapsto_train::Result<()> {
        if matches!(self, Self::Epoch(epoch) if context.position.epoch == *epoch) {
            context.stop("epoch");
        }
        Ok(())
    }
}

/// Ends `fit` with an error, as a kill would: when the step is reached, or a snapshot is taken.
#[derive(Debug)]
pub(crate) enum Die {
    AtStep(u64),
    AtSnapshot,
}

fn killed<T>() -> mapsto_train::Result<T> {
    Err(Error::Run {
        path: "here".into(),
        reason: "killed".to_owned(),
    })
}

impl Callback for Die {
    fn name(&self) -> &'static str {
        "die"
    }

    fn on_loss(&mut self, _loss: f64, position: Position) -> mapsto_train::Result<()> {
        match self {
            Self::AtStep(step) if position.step == *step => killed(),
            _ => Ok(()),
        }
    }

    fn on_snapshot(&mut self, _: &Snapshot) -> mapsto_train::Result<()> {
        match self {
            Self::AtSnapshot => killed(),
            Self::AtStep(_) => Ok(()),
        }
    }
}

/// A figure whose value in each epoch is given beforehand.
#[derive(Debug, Clone)]
pub(crate) struct Scripted {
    pub(crate) values: Vec<f64>,
    pub(crate) epoch: usize,
}

pub(crate) fn scripted(values: &[f64]) -> Scripted {
    Scripted {
        values: values.to_vec(),
        epoch: 0,
    }
}

impl Metric for Scripted {
    fn name(&self) -> String {
        "scripted".to_owned()
    }

    fn update(&mut self, _: &Output) -> Result<()> {
        Ok(())
    }

    fn value(&self) -> f64 {
        self.values[self.epoch]
    }

    fn reset(&mut self) {
        self.epoch = (self.epoch + 1).min(self.values.len() - 1);
    }

    fn state(&self) -> Value {
        json!(self.epoch)
    }

    fn load_state(&mut self, state: &Value) -> serde_json::Result<()> {
        self.epoch = serde_json::from_value(state.clone())?;
        Ok(())
    }

    fn clone_box(&self) -> Box<dyn Metric> {
        Box::new(self.clone())
    }
}

/// The weights that a checkpoint file holds, as a fingerprint.
pub(crate) fn sha_of_file(path: &Path) -> String {
    weights_sha256(&Snapshot::load(path).unwrap().weights()).unwrap()
}
