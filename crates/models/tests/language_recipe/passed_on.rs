//! That the settings reach what they are about.

use std::sync::{Arc, Mutex};

use mapsto_models::lstm::language::{LanguageModelConfig, Settings, Writer};
use mapsto_models::{Cell, Options};
use mapsto_tensor::Device;
use mapsto_train::{Callback, Context, Snapshot};
use serde_json::Value;

use super::{settings, train, train_with};

/// A run of two steps.
fn short() -> Settings {
    let mut settings = settings();
    (settings.train.epochs, settings.train.limit_batches) = (1, 2);
    settings
}

/// The farthest from 0 in each parameter before the first step.
#[derive(Debug, Default)]
struct Start(Arc<Mutex<Vec<(String, f32)>>>);

impl Callback for Start {
    fn name(&self) -> &'static str {
        "start"
    }

    fn on_fit_start(&mut self, context: &mut Context<'_>) -> mapsto_train::Result<()> {
        let mut found = self.0.lock().unwrap();
        for (name, tensor) in context.store.state_dict() {
            let values: Vec<f32> = tensor.flatten_all().unwrap().to_vec1().unwrap();
            let farthest = values.iter().fold(0.0, |most: f32, x| most.max(x.abs()));
            found.push((name, farthest));
        }
        Ok(())
    }
}

#[test]
fn parameters_start_within_the_bound_of_the_settings() {
    let started = |init: f64| {
        let mut settings = short();
        settings.model.init = init;
        let start = Start::default();
        let found = Arc::clone(&start.0);
        let options = Options {
            callbacks: vec![Box::new(start)],
            ..Options::default()
        };
        train_with(&settings, options);
        std::mem::take(&mut *found.lock().unwrap())
    };
    let bounded = started(0.05);
    // Embedding, two matrices and two biases, softmax.
    assert_eq!(bounded.len(), 1 + 4 + 2);
    for (name, farthest) in bounded {
        assert!((0.03..0.05001).contains(&farthest), "{name}: {farthest}");
    }
    let plain = started(0.0).into_iter();
    let (_, embedding) = plain.max_by(|a, b| a.1.total_cmp(&b.1)).unwrap();
    assert!(embedding > 1.0, "{embedding}");
}

#[test]
fn the_network_is_that_of_the_settings() {
    let mut settings = short();
    let model = &mut settings.model;
    (model.cell, model.layers) = (Cell::Gru, 2);
    (model.embedding, model.hidden) = (12, 20);
    (model.tied, model.mixture) = (true, 3);
    settings.dropout = toml::from_str(
        "variational = true\nwords = 0.1\ninput = 0.2\nhidden = 0.3\noutput = 0.4\nweight = 0.5",
    )
    .unwrap();
    let (_folder, run, _) = train(&settings);
    let writer = Writer::load(run.best(), &Device::Cpu).unwrap();
    let expected = LanguageModelConfig {
        vocab: writer.description.vocab.len(),
        cell: Cell::Gru,
        embedding: 12,
        hidden: 20,
        layers: 2,
        tied: true,
        mixture: 3,
        dropout: settings.dropout,
    };
    assert_eq!(writer.description.config, expected);
}

#[test]
fn the_regularisation_is_that_of_the_settings() {
    let weights = |steps: usize, alpha: f64, beta: f64| {
        let mut settings = short();
        settings.data.seq_len = steps;
        (settings.model.alpha, settings.model.beta) = (alpha, beta);
        let (_folder, _, report) = train(&settings);
        report.weights_sha256
    };
    let plain = weights(1, 0.0, 0.0);
    assert_ne!(weights(1, 2.0, 0.0), plain);
    // In windows of a single step nothing changes from step to step.
    assert_eq!(weights(1, 0.0, 2.0), plain);
    assert_ne!(weights(10, 0.0, 2.0), weights(10, 0.0, 0.0));
}

#[test]
fn the_average_is_that_of_the_settings() {
    let averaging = |patience: usize| {
        let mut settings = short();
        settings.model.average = patience;
        let (_folder, run, _) = train(&settings);
        let last = Snapshot::load(&run.last()).unwrap();
        let mut callbacks: Value = last.training("callbacks").unwrap();
        callbacks["averaging"].take()
    };
    assert_eq!(averaging(0), Value::Null);
    // The loss of the one epoch, by which it goes.
    assert_eq!(averaging(1)["values"].as_array().unwrap().len(), 1);
}
