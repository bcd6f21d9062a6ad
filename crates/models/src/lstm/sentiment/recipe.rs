//! [`Recipe`]: trains a classifier of texts, as its settings say.

use std::sync::Arc;

use mapsto_data::{
    BucketSampler, DataLoader, Labelled, LabelledText, LabelledTextConfig, PadCollate, Part,
    Samples, Vocab, VocabConfig, stratified_split, words,
};
use mapsto_nn::Summary;
use mapsto_tensor::{DType, Device, ParamStore, parse_device};
use mapsto_train::{
    Accuracy, ConfusionMatrix, Direction, Environment, Metric, Monitor, RunFolder, Scores, Trainer,
};
use serde_json::{Value, json};

use super::network::{PAD, TextClassifier, TextClassifierConfig};
use super::pipeline::{Description, SentimentPipeline};
use super::settings::{DataSettings, Settings};
use super::task::ClassifyText;
use crate::error::{Error, Result};
use crate::recipe::{Options, Passes, Report, Settings as _, fit, optimizer, watched};

/// The words of a text, and its label.
type Text = (Vec<String>, u32);

type Loader = DataLoader<Samples<(Vec<u32>, u32)>, PadCollate>;

/// Trains a [`TextClassifierConfig`].
#[derive(Debug)]
pub struct Recipe {
    settings: Settings,
    texts: LabelledText,
    train: Loader,
    validation: Option<Loader>,
    test: Loader,
    description: Description,
    store: ParamStore,
    model: TextClassifier,
}

impl crate::recipe::Recipe for Recipe {
    type Settings = Settings;

    const NAME: &'static str = "sentiment";

    fn new(settings: Settings) -> Result<Self> {
        settings.validate()?;
        let device = parse_device(&settings.train.device)?;
        let texts = read(&settings.data, settings.train.seed)?;
        let [train, validation, test] = parts(&texts, &settings)?;
        let vocab = vocabulary(&train, settings.data.min_count)?;
        let description = Description {
            kind: Self::NAME.to_owned(),
            config: network(&settings, vocab.len(), texts.classes().len()),
            classes: texts.classes().to_vec(),
            max_len: settings.data.max_len,
            data: texts.info().name.clone(),
            vocab,
        };
        let store = ParamStore::new(DType::F32, &device).with_seed(settings.train.seed);
        let model = TextClassifier::new(&description.config, &store.root())?;
        let ids = description.ids(&train)?;
        let unknown = description.vocab.unk();
        let learned = ids
            .iter()
            .any(|(ids, _)| ids.iter().any(|&id| Some(id) == unknown));
        super::network::start(&store, settings.model.init, learned)?;
        let (batch, seed) = (settings.train.batch_size, settings.train.seed);
        let loader = |part: &[Text], order: Option<u64>| {
            loader(&description.ids(part)?, batch, order, &device)
        };
        Ok(Self {
            train: loader(&train, Some(seed))?,
            validation: if validation.is_empty() {
                None
            } else {
                Some(loader(&validation, None)?)
            },
            test: loader(&test, None)?,
            texts,
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
        Ok(run.write_text("summary.txt", &format!("{}\n", self.summary()?))?)
    }

    fn train(self, run: &RunFolder, resume: bool, options: Options) -> Result<Report> {
        let trainer = self.trainer(run, options)?;
        let passes = Passes {
            train: |epoch| self.train.epoch(epoch),
            validation: self
                .validation
                .as_ref()
                .map(|set| |trainer: &Trainer<_>| trainer.validate(set.epoch(0))),
            test: Some(|trainer: &Trainer<_>| Ok(trainer.evaluate(self.test.epoch(0))?)),
        };
        let settings = &self.settings.train;
        fit(trainer, &self.store, run, resume, settings, passes)
    }
}

impl Recipe {
    fn trainer(&self, run: &RunFolder, options: Options) -> Result<Trainer<ClassifyText>> {
        let train = &self.settings.train;
        let steps = train.steps(self.train.len());
        let optimizer = optimizer(&self.settings.optim, &self.store, train.epochs, steps)?;
        let task = ClassifyText(self.model.clone());
        let mut trainer =
            Trainer::new(&self.store, task, optimizer)?.describe(json!(self.description));
        for metric in metrics(self.description.classes.len()) {
            trainer = trainer.boxed_metric(metric);
        }
        let monitor = Monitor::new("val.accuracy", Direction::Higher);
        let monitor = self.validation.is_some().then_some(monitor);
        watched(trainer, run, train, monitor, options)
    }
}

impl SentimentPipeline {
    /// Measures the model on a part of the texts that `settings` name: `Train` is what it learned
    /// from, `Test` their test part, or fold. If `foreign`, they are not the texts that it learned
    /// from, and those without parts of their own are measured whole.
    ///
    /// # Errors
    /// When a setting is out of range, or the texts cannot be read, lack the part, or have a class
    /// that the model does not know.
    pub fn evaluate(&self, settings: &Settings, part: Part, foreign: bool) -> Result<Scores> {
        settings.validate()?;
        let texts = read(&settings.data, settings.train.seed)?;
        let known = &self.description.classes;
        let position = |class: &String| {
            let place = known.iter().position(|name| name == class);
            place.map(|place| place as u32).ok_or_else(|| {
                Error::Config(format!(
                    "the texts have the class \"{class}\", but the model knows {}; evaluate it on \
                     texts of its own classes",
                    known.join(", ")
                ))
            })
        };
        let labels: Vec<u32> = texts
            .classes()
            .iter()
            .map(position)
            .collect::<Result<_>>()?;
        let mut settings = settings.clone();
        // As much of a text as it learned to read.
        settings.data.max_len = self.description.max_len;
        let most = settings.data.max_len;
        let part = if foreign {
            let whole = texts.valid().is_none() && texts.test().is_none();
            let named = match part {
                _ if whole => Some(texts.train()),
                Part::Train => Some(texts.train()),
                Part::Valid => texts.valid(),
                Part::Test => texts.test(),
            };
            let source = &settings.data.source;
            let none = || Error::Config(format!("{source} has no part of this name"));
            in_words(named.ok_or_else(none)?, most)
        } else {
            let [train, valid, test] = parts(&texts, &settings)?;
            match part {
                Part::Train => train,
                Part::Valid => valid,
                Part::Test => test,
            }
        };
        let relabelled = part
            .into_iter()
            .map(|(words, l)| (words, labels[l as usize]));
        let part: Vec<Text> = relabelled.collect();
        let device = self.store.device();
        let batch = settings.train.batch_size;
        let loader = loader(&self.description.ids(&part)?, batch, None, &device)?;
        let task = ClassifyText(self.model().clone());
        Ok(mapsto_train::evaluate(
            &task,
            metrics(known.len()),
            loader.epoch(0),
        )?)
    }
}

fn metrics(classes: usize) -> Vec<Box<dyn Metric>> {
    vec![
        Box::new(Accuracy::default()),
        Box::new(ConfusionMatrix::new(classes)),
    ]
}

fn read(data: &DataSettings, seed: u64) -> Result<LabelledText> {
    if data.source == "sentiment" {
        let (train, test) = (data.train_samples, data.test_samples);
        return Ok(LabelledText::sentiment(train, test, seed)?);
    }
    let named = |column: &String| (!column.is_empty()).then(|| column.clone());
    let config = LabelledTextConfig {
        text_column: named(&data.text_column),
        label_column: named(&data.label_column),
        encoding: data.encoding,
    };
    Ok(LabelledText::open(&data.source, &config)?)
}

/// The parts train, valid and test: the source's own, or a fold and a share of the rest.
fn parts(texts: &LabelledText, settings: &Settings) -> Result<[Vec<Text>; 3]> {
    let (data, seed) = (&settings.data, settings.train.seed);
    let all = in_words(texts.train(), data.max_len);
    let (mut train, test) = match texts.test() {
        Some(_) if data.fold > 0 => {
            return Err(Error::Config(format!(
                "data.fold must be 0, got {}: {} has a test part of its own and is not cut into folds",
                data.fold, data.source
            )));
        }
        Some(test) => (all, in_words(test, data.max_len)),
        None => {
            let folds = texts.folds(data.folds, seed);
            let folds = folds.map_err(|error| Error::Config(format!("data.folds: {error}")))?;
            let fold = folds.into_iter().nth(data.fold).unwrap_or_default();
            let chosen = |places: Vec<usize>| places.into_iter().map(|i| all[i].clone()).collect();
            (chosen(fold.train), chosen(fold.test))
        }
    };
    let mut validation = texts.valid().map(|part| in_words(part, data.max_len));
    if validation.is_none() && data.val_fraction > 0.0 {
        let labels: Vec<u32> = train.iter().map(|text| text.1).collect();
        let shares = [1.0 - data.val_fraction, data.val_fraction];
        let split = stratified_split(Arc::new(Samples(train.clone())), &labels, &shares, seed)?;
        let chosen = |part: usize| {
            split[part]
                .indices()
                .iter()
                .map(|&i| train[i].clone())
                .collect()
        };
        let (rest, held_out): (Vec<Text>, Vec<Text>) = (chosen(0), chosen(1));
        if held_out.is_empty() {
            return Err(Error::Config(format!(
                "data.val_fraction, {}, of {} texts holds out none of any class: give more texts, raise \
                 it, or set it to 0",
                data.val_fraction,
                train.len()
            )));
        }
        (train, validation) = (rest, Some(held_out));
    }
    Ok([train, validation.unwrap_or_default(), test])
}

fn in_words(part: &Labelled, most: usize) -> Vec<Text> {
    let samples = part.texts().iter().zip(part.labels());
    samples
        .map(|(text, &label)| {
            let mut words = words(text);
            words.truncate(most);
            (words, label)
        })
        .collect()
}

fn vocabulary(train: &[Text], min_count: usize) -> Result<Vocab> {
    let config = VocabConfig {
        min_count,
        pad: Some("<pad>".to_owned()),
        unk: Some("<unk>".to_owned()),
        ..VocabConfig::default()
    };
    Ok(Vocab::build(
        train.iter().flat_map(|text| &text.0),
        &config,
    )?)
}

fn network(settings: &Settings, vocab: usize, classes: usize) -> TextClassifierConfig {
    let model = &settings.model;
    TextClassifierConfig {
        vocab,
        embedding: model.embedding,
        encoder: model.encoder(),
        classes,
        input_dropout: model.input_dropout,
        dropout: model.dropout,
    }
}

fn loader(
    part: &[(Vec<u32>, u32)],
    batch_size: usize,
    shuffled: Option<u64>,
    device: &Device,
) -> Result<Loader> {
    let lengths = part.iter().map(|(ids, _)| ids.len()).collect();
    let loader = DataLoader::new(Samples(part.to_vec()), PadCollate::new(PAD).device(device));
    let loader = loader.batch_size(batch_size)?;
    Ok(match shuffled {
        Some(seed) => loader.sampler(BucketSampler::new(lengths, batch_size, seed)?),
        None => loader,
    })
}
