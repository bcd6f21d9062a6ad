//! [`Recipe`]: trains a translator, as its settings say.
//!
//! After each epoch the validation part is translated by the greedy search. The best epoch, and the
//! end by `train.patience`, go by BLEU; by the loss where references are too short for it.

use mapsto_data::{
    BucketSampler, DataLoader, PairCollate, Pairs, ParallelText, ParallelTextConfig, Samples,
    Tokenizer, TokenizerConfig,
};
use mapsto_nn::Summary;
use mapsto_tensor::{DType, Device, ParamStore, parse_device};
use mapsto_train::{
    BleuConfig, Direction, Environment, Error as TrainError, Monitor, RunFolder, Scores, Trainer,
    corpus_bleu,
};
use serde_json::{Value, json};

use super::PAD;
use super::network::{Seq2Seq, Seq2SeqConfig};
use super::pipeline::{Description, Translation, Translator, translate};
use super::search::BeamConfig;
use super::settings::{DataSettings, Settings};
use super::task::Translate;
use crate::error::{Error, Result};
use crate::recipe::{Options, Passes, Report, Settings as _, fit, optimizer, watched};

/// Translations that are shown after each epoch.
const SHOWN: usize = 3;

type Loader = DataLoader<Samples<(Vec<u32>, Vec<u32>)>, PairCollate>;

/// Trains a [`Seq2SeqConfig`].
#[derive(Debug)]
pub struct Recipe {
    settings: Settings,
    texts: ParallelText,
    train: Loader,
    validation: Held,
    test: Held,
    tokenizer: Tokenizer,
    description: Description,
    store: ParamStore,
    model: Seq2Seq,
}

/// Pairs to judge by: as batches, and as texts.
#[derive(Debug)]
struct Held {
    batches: Loader,
    sources: Vec<String>,
    references: Vec<String>,
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
        let tokenizer = tokenizer(&train, &settings)?;
        let search = search(&settings);
        let info = texts.info();
        let description = Description {
            kind: Self::NAME.to_owned(),
            config: network(&settings, tokenizer.len()),
            search,
            tokenizer: serde_json::from_str(&tokenizer.to_json()?)
                .map_err(|error| Error::Config(format!("the tokenizer: {error}")))?,
            data: info.name.clone(),
            languages: [info.source_language.clone(), info.target_language.clone()],
        };
        let store = ParamStore::new(DType::F32, &device).with_seed(settings.train.seed);
        let model = Seq2Seq::new(&description.config, &store.root())?;
        let (batch, seed) = (settings.train.batch_size, settings.train.seed);
        let held = |pairs: &Pairs| Held::new(pairs, &tokenizer, batch, &device);
        Ok(Self {
            train: loader(&train, &tokenizer, batch, Some(seed), &device)?,
            validation: held(&validation)?,
            test: held(&test)?,
            texts,
            tokenizer,
            description,
            store,
            model,
            settings,
        })
    }

    fn summary(&self) -> Result<Summary> {
        Ok(self.model.summary(&self.store)?)
    }

    fn record(&self, run: &RunFolder, program: &str) -> Result<()> {
        let environment = Environment::here(program, &self.settings.train.device);
        run.write_json("env.json", &environment)?;
        run.write_json("data.json", self.texts.info())?;
        run.write_text("tokenizer.json", &self.tokenizer.to_json()?)?;
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
            train: |epoch| self.train.epoch(epoch),
            validation: Some(|trainer: &Trainer<Translate>| {
                let scores = trainer.validate(self.validation.batches.epoch(0))?;
                self.judge(&self.validation, &greedy, scores)
                    .map_err(into_train)
            }),
            test: |trainer: &Trainer<Translate>| {
                let search = &self.description.search;
                let scores = trainer.evaluate(self.test.batches.epoch(0))?;
                let quick = self.judge(&self.test, &greedy, scores.clone())?;
                if search.size == 1 {
                    return Ok(quick);
                }
                let mut scores = self.judge(&self.test, search, scores)?;
                let greedy = ("greedy_bleu".to_owned(), quick["bleu"]);
                scores.values.extend([greedy]);
                Ok(scores)
            },
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

    /// Adds BLEU and exact matches, and shows some translations.
    fn judge(&self, held: &Held, search: &BeamConfig, scores: Scores) -> Result<Scores> {
        let found = translate(&self.model, &self.tokenizer, &held.sources, search)?;
        judge(held, &best(found), scores)
    }
}

impl Translator {
    /// Measures the translations of the test part (or with `train` the first two thousand pairs
    /// it learned from) of the pairs that `settings` name.
    ///
    /// # Errors
    /// When the pairs cannot be read, or a setting of the search is out of range.
    pub fn evaluate(&self, settings: &Settings, train: bool) -> Result<Scores> {
        let mut texts = read(&settings.data, settings.train.seed)?;
        texts.clean(&settings.filter)?;
        let [learned, _, test] = parts(&texts, settings)?;
        let pairs = if train {
            Samples(learned.0.into_iter().take(2000).collect())
        } else {
            test
        };
        let tokenizer = Tokenizer::from_json(&self.description.tokenizer.to_string())?;
        let device = self.store.device();
        let held = Held::new(&pairs, &tokenizer, settings.train.batch_size, &device)?;
        let task = Translate::new(self.model().clone(), 0.0);
        let scores = mapsto_train::evaluate(&task, vec![], held.batches.epoch(0))?;
        let found = self.translate_batch(&held.sources, &search(settings))?;
        judge(&held, &best(found), scores)
    }
}

/// Scores with BLEU and exact matches; as details the signature and the first translations.
fn judge(held: &Held, written: &[String], mut scores: Scores) -> Result<Scores> {
    let bleu = corpus_bleu(written, &held.references, &BleuConfig::default())?;
    let pairs = written.iter().zip(&held.references);
    let exact = pairs
        .filter(|(written, reference)| written == reference)
        .count();
    let share = exact as f64 / written.len() as f64;
    scores.values.insert("bleu".to_owned(), bleu.score);
    scores.values.insert("exact_match".to_owned(), share);
    let shown = held
        .sources
        .iter()
        .zip(&held.references)
        .zip(written)
        .take(SHOWN);
    let shown: Vec<Value> = shown
        .map(|((source, reference), written)| {
            json!({"source": source, "reference": reference, "translation": written})
        })
        .collect();
    scores.details.insert("bleu".to_owned(), json!(bleu));
    scores
        .details
        .insert("translations".to_owned(), json!(shown));
    scores.samples = written.len();
    Ok(scores)
}

/// The first translation of each text.
fn best(found: Vec<Vec<Translation>>) -> Vec<String> {
    let first = |best: Vec<Translation>| best.into_iter().next().unwrap_or_default().text;
    found.into_iter().map(first).collect()
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

fn read(data: &DataSettings, seed: u64) -> Result<ParallelText> {
    if data.source == "numbers" {
        return Ok(ParallelText::numbers(
            data.target_language.parse()?,
            data.kind,
            data.train_samples,
            data.valid_samples,
            data.test_samples,
            seed,
        )?);
    }
    let named = |name: &String| (!name.is_empty()).then(|| name.clone());
    let config = ParallelTextConfig {
        source_language: named(&data.source_language),
        target_language: named(&data.target_language),
        source_column: named(&data.source_language),
        target_column: named(&data.target_language),
        test: named(&data.test),
        encoding: data.encoding,
    };
    if data.target.is_empty() {
        return Ok(ParallelText::open(&data.source, &config)?);
    }
    Ok(ParallelText::from_files(
        &data.source,
        &data.target,
        &config,
    )?)
}

/// The parts train, valid and test: the source's own, or shares of the train part.
fn parts(texts: &ParallelText, settings: &Settings) -> Result<[Pairs; 3]> {
    let mut train = texts.train().0.clone();
    let count = (train.len() as f64 * settings.data.held_out) as usize;
    let mut held = |own: Option<&Pairs>| -> Result<Pairs> {
        if let Some(own) = own {
            return Ok(own.clone());
        }
        if count == 0 || count >= train.len() {
            return Err(Error::Config(format!(
                "data.held_out {} of {} pairs is none: give more pairs, a larger share, or files \
                 for validation and test",
                settings.data.held_out,
                train.len()
            )));
        }
        Ok(Samples(train.split_off(train.len() - count)))
    };
    let (test, valid) = (held(texts.test())?, held(texts.valid())?);
    Ok([Samples(train), valid, test])
}

fn tokenizer(train: &Pairs, settings: &Settings) -> Result<Tokenizer> {
    let config = TokenizerConfig {
        vocab_size: settings.data.vocab_size,
        min_frequency: settings.data.min_frequency,
        lowercase: settings.filter.lowercase,
        ..TokenizerConfig::default()
    };
    let lines = train.0.iter().flat_map(|(source, target)| [source, target]);
    Ok(Tokenizer::train(lines, &config)?)
}

fn network(settings: &Settings, pieces: usize) -> Seq2SeqConfig {
    let model = &settings.model;
    Seq2SeqConfig {
        source_vocab: pieces,
        target_vocab: pieces,
        shared: true,
        embedding: model.embedding,
        cell: model.cell,
        encoder_hidden: model.encoder_hidden,
        hidden: model.hidden,
        attention: model.attention,
        attention_size: model.attention_size,
        readout: true,
        tied: true,
        dropout: model.dropout,
    }
}

fn search(settings: &Settings) -> BeamConfig {
    let search = &settings.search;
    BeamConfig {
        size: search.beam,
        length_penalty: search.length_penalty,
        max_len: search.max_len,
        ..BeamConfig::default()
    }
}

fn loader(
    pairs: &Pairs,
    tokenizer: &Tokenizer,
    batch_size: usize,
    shuffle: Option<u64>,
    device: &Device,
) -> Result<Loader> {
    let (sources, targets): (Vec<&String>, Vec<&String>) = pairs
        .0
        .iter()
        .map(|(source, target)| (source, target))
        .unzip();
    let sources = tokenizer.encode_batch(&sources)?;
    let pairs: Vec<_> = sources
        .into_iter()
        .zip(tokenizer.encode_batch(&targets)?)
        .collect();
    let longest = pairs
        .iter()
        .map(|(source, _)| source.len())
        .max()
        .unwrap_or(0);
    let lengths: Vec<usize> = pairs
        .iter()
        .map(|(source, target)| target.len() * (longest + 1) + source.len())
        .collect();
    let collate = PairCollate::new(PAD, Tokenizer::BOS, Tokenizer::EOS).device(device);
    let loader = DataLoader::new(Samples(pairs), collate).batch_size(batch_size)?;
    let Some(seed) = shuffle else {
        return Ok(loader);
    };
    let sampler = BucketSampler::new(lengths, batch_size, seed)?;
    Ok(loader.sampler(sampler).seed(seed))
}

impl Held {
    /// Whether the references are of less than six words in the mean: too few runs of four words
    /// for BLEU to tell one epoch from another.
    fn is_short(&self) -> bool {
        let words = |text: &String| text.split_whitespace().count();
        let total: usize = self.references.iter().map(words).sum();
        total < 6 * self.references.len()
    }

    fn new(pairs: &Pairs, tokenizer: &Tokenizer, batch: usize, device: &Device) -> Result<Self> {
        let (sources, references) = pairs.0.iter().cloned().unzip();
        Ok(Self {
            batches: loader(pairs, tokenizer, batch, None, device)?,
            sources,
            references,
        })
    }
}
