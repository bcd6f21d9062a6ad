//! [`Recipe`]: trains a translator, as its settings say.
//!
//! After each epoch the validation part is translated by the greedy search. The best epoch, and the
//! end by `train.patience`, go by BLEU; by the loss where references are too short for it. Some of
//! the translations are written into the log; those of the test part into `translations.txt`, with
//! `references.txt` beside it.

use std::io::Write;
use std::sync::Arc;

use mapsto_data::{Pairs, ParallelText, Samples, TokenizerConfig};
use mapsto_nn::Summary;
use mapsto_tensor::{DType, ParamStore, parse_device};
use mapsto_train::{
    Direction, Environment, Error as TrainError, Monitor, RunFolder, Scores, Trainer,
};
use serde_json::{Value, json};

use super::config::NetworkConfig;
use super::encoder_decoder::EncoderDecoder;
use super::network::Seq2SeqConfig;
use super::pairs::{Held, Loader, loader, parts, read};
use super::pipeline::{Description, Translator, translate};
use super::search::BeamConfig;
use super::settings::{Architecture, Settings};
use super::task::{Lesson, Translate};
use super::tokenizers::Tokenizers;
use super::transformer::TransformerConfig;
use crate::error::{Error, Result};
use crate::recipe::{Options, Passes, Report, Settings as _, fit, optimizer, watched};

/// Trains a [`NetworkConfig`].
#[derive(Debug)]
pub struct Recipe {
    settings: Settings,
    texts: ParallelText,
    train: Loader,
    validation: Held,
    test: Held,
    tokenizers: Tokenizers,
    description: Description,
    store: ParamStore,
    model: Arc<dyn EncoderDecoder>,
}

impl crate::recipe::Recipe for Recipe {
    type Settings = Settings;

    const NAME: &'static str = "translate";

    fn new(settings: Settings) -> Result<Self> {
        settings.validate()?;
        let device = parse_device(&settings.train.device)?;
        let mut texts = read(&settings.data, settings.train.seed)?;
        texts.clean(&settings.filter)?;
        let [train, validation, test] = parts(&texts, &settings)?;
        let config = TokenizerConfig {
            kind: settings.data.tokenizer,
            vocab_size: settings.data.vocab_size,
            min_frequency: settings.data.min_frequency,
            lowercase: settings.filter.lowercase,
        };
        let tokenizers = Tokenizers::train(&train, settings.data.joint, &config)?;
        let search = search(&settings);
        let info = texts.info();
        let description = Description {
            kind: Self::NAME.to_owned(),
            config: network(&settings, &tokenizers),
            search,
            tokenizers: tokenizers.to_values()?,
            data: info.name.clone(),
            languages: [info.source_language.clone(), info.target_language.clone()],
        };
        if search.coverage_penalty > 0.0 && !description.config.has_attention() {
            return Err(Error::Config(
                "search.coverage_penalty: a network without attention does not say where it \
                 looks; set it to 0, or give model.attention"
                    .to_owned(),
            ));
        }
        let store = ParamStore::new(DType::F32, &device).with_seed(settings.train.seed);
        let model = description.config.build(&store.root())?;
        let (batch, seed) = (settings.train.batch_size, settings.train.seed);
        let held = |pairs: &Pairs| Held::new(pairs, &tokenizers, &settings, &device);
        Ok(Self {
            train: loader(&train, &tokenizers, batch, Some(seed), &device)?,
            validation: held(&validation)?,
            test: held(&test)?,
            texts,
            tokenizers,
            description,
            store,
            model,
            settings,
        })
    }

    fn summary(&self) -> Result<Summary> {
        Ok(self.model.summary(&self.store)?)
    }

    fn data(&self) -> Value {
        json!(self.texts.info())
    }

    fn record(&self, run: &RunFolder, program: &str) -> Result<()> {
        let environment = Environment::here(program, &self.settings.train.device);
        run.write_json("env.json", &environment)?;
        run.write_json("data.json", &self.data())?;
        let names: &[&str] = if self.tokenizers.is_joint() {
            &["tokenizer.json"]
        } else {
            &["source.tokenizer.json", "target.tokenizer.json"]
        };
        for (name, json) in names.iter().zip(self.tokenizers.to_json()?) {
            run.write_text(name, &json)?;
        }
        Ok(run.write_text("summary.txt", &format!("{}\n", self.summary()?))?)
    }

    fn train(self, run: &RunFolder, resume: bool, options: Options) -> Result<Report> {
        let trainer = self.trainer(run, options)?;
        // The quick search after each epoch, that of the settings at the end.
        let greedy = BeamConfig {
            size: 1,
            ..self.description.search
        };
        let passes = Passes {
            train: |epoch| {
                let own_words = self.own_words(epoch);
                let lesson = move |pair| Lesson { pair, own_words };
                self.train.epoch(epoch).map(move |batch| batch.map(lesson))
            },
            validation: Some(|trainer: &Trainer<Translate>| {
                let scores = trainer.validate(self.validation.batches.epoch(0))?;
                let judged = self.judge(&self.validation, &greedy, scores);
                let (scores, written) = judged.map_err(into_train)?;
                self.show(run, &written).map_err(into_train)?;
                Ok(scores)
            }),
            test: Some(|trainer: &Trainer<Translate>| {
                let search = &self.description.search;
                let scores = trainer.evaluate(self.test.batches.epoch(0))?;
                let (mut quick, mut written) = self.judge(&self.test, &greedy, scores.clone())?;
                if search.size > 1 {
                    let greedy = quick["bleu"];
                    (quick, written) = self.judge(&self.test, search, scores)?;
                    quick.values.insert("greedy_bleu".to_owned(), greedy);
                }
                run.write_text("translations.txt", &lines(&written))?;
                run.write_text("references.txt", &lines(&self.test.references))?;
                Ok(quick)
            }),
        };
        let settings = &self.settings.train;
        fit(trainer, &self.store, run, resume, settings, passes)
    }
}

impl Recipe {
    fn trainer(&self, run: &RunFolder, options: Options) -> Result<Trainer<Translate>> {
        let train = &self.settings.train;
        let steps = train.steps(self.train.len());
        let optimizer = optimizer(&self.settings.optim, &self.store, train.epochs, steps)?;
        let task = Translate::new(self.model.clone(), self.settings.model.smoothing);
        let trainer = Trainer::new(&self.store, task, optimizer)?.describe(json!(self.description));
        let monitor = if self.validation.is_short() {
            Monitor::new("val.loss", Direction::Lower)
        } else {
            Monitor::new("val.bleu", Direction::Higher)
        };
        let monitor = Some(monitor);
        watched(trainer, run, train, monitor, options)
    }

    /// Adds BLEU and exact matches of translations, which come with them.
    fn judge(
        &self,
        held: &Held,
        search: &BeamConfig,
        scores: Scores,
    ) -> Result<(Scores, Vec<String>)> {
        let search = (*search).into();
        let found = translate(&*self.model, &self.tokenizers, &held.sources, &search)?;
        held.judge(found, scores)
    }

    /// Some translations of the validation part, into the log.
    fn show(&self, run: &RunFolder, written: &[String]) -> Result<()> {
        let lines = self.validation.shown(written);
        let lines = lines.map(|(source, reference, written)| {
            format!("  {source}\n    -> {written}\n     = {reference}\n")
        });
        let lines: String = lines.collect();
        let written = run.log()?.write_all(lines.as_bytes());
        Ok(written.map_err(|error| TrainError::Io {
            action: "write",
            path: run.file("log.txt"),
            error,
        })?)
    }

    /// The share of the words in front that are the network's own, in an epoch from 0 on.
    fn own_words(&self, epoch: usize) -> f64 {
        let last = self.settings.train.epochs.saturating_sub(1).max(1);
        (1.0 - self.settings.model.teacher_forcing) * epoch.min(last) as f64 / last as f64
    }
}

impl Translator {
    /// Measures the translations of the test part (or with `train` the first two thousand pairs
    /// it learned from) of the pairs that `settings` name. If `foreign`, they are not the pairs that
    /// it learned from, and those without a test part are measured whole.
    ///
    /// # Errors
    /// When the pairs cannot be read, or a setting of the search is out of range.
    pub fn evaluate(&self, settings: &Settings, train: bool, foreign: bool) -> Result<Scores> {
        let mut texts = read(&settings.data, settings.train.seed)?;
        let pairs = if foreign && !train && texts.test().is_none() {
            texts.clean(&settings.filter.of_form())?;
            texts.train().clone()
        } else {
            texts.clean(&settings.filter)?;
            let [learned, _, test] = parts(&texts, settings)?;
            if train {
                Samples(learned.0.into_iter().take(2000).collect())
            } else {
                test
            }
        };
        let device = self.store.device();
        let held = Held::new(&pairs, self.tokenizers(), settings, &device)?;
        let task = Translate::new(self.model().clone(), 0.0);
        let scores = mapsto_train::evaluate(&task, vec![], held.batches.epoch(0))?;
        let found = self.translate_batch(&held.sources, &search(settings).into())?;
        Ok(held.judge(found, scores)?.0)
    }
}

/// One text a line, whatever line ends are in it.
fn lines(texts: &[String]) -> String {
    let one = |text: &String| text.split(['\n', '\r']).collect::<Vec<_>>().join(" ") + "\n";
    texts.iter().map(one).collect()
}

fn into_train(error: Error) -> TrainError {
    match error {
        Error::Train(error) => error,
        other => TrainError::Batch {
            epoch: None,
            batch: 0,
            error: other.into(),
        },
    }
}

fn network(settings: &Settings, tokenizers: &Tokenizers) -> NetworkConfig {
    let model = &settings.model;
    let [source_vocab, target_vocab] = tokenizers.sizes();
    let shared = tokenizers.is_joint();
    match model.architecture {
        Architecture::Recurrent => NetworkConfig::Recurrent(Seq2SeqConfig {
            source_vocab,
            target_vocab,
            shared,
            embedding: model.embedding,
            cell: model.cell,
            encoder_hidden: model.encoder_hidden,
            hidden: model.hidden,
            attention: model.attention,
            coverage: model.coverage,
            input_feeding: model.input_feeding,
            attention_size: model.attention_size,
            readout: true,
            tied: true,
            dropout: model.dropout,
        }),
        Architecture::Transformer => NetworkConfig::Transformer(TransformerConfig {
            source_vocab,
            target_vocab,
            shared,
            size: model.embedding,
            heads: model.heads,
            layers: model.layers,
            hidden: model.hidden,
            dropout: model.dropout,
        }),
    }
}

fn search(settings: &Settings) -> BeamConfig {
    let search = &settings.search;
    BeamConfig {
        size: search.beam,
        length_penalty: search.length_penalty,
        coverage_penalty: search.coverage_penalty,
        max_len: search.max_len,
        ..BeamConfig::default()
    }
}
