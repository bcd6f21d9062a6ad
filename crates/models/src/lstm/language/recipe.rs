//! [`Recipe`]: trains a language model on a text, as its settings say.

use mapsto_data::{
    Bptt, Corpus, CorpusConfig, EOS, Part, Section, Unit, Vocab, VocabConfig, grammar,
};
use mapsto_nn::Summary;
use mapsto_tensor::{DType, Device, ParamStore, init::Initializer, parse_device};
use mapsto_train::{
    Averaging, Direction, Environment, Monitor, Perplexity, RunFolder, Scores, Trainer,
};
use serde_json::{Value, json};

use super::network::{LanguageModel, LanguageModelConfig};
use super::pipeline::{Description, Writer};
use super::settings::{DataSettings, ModelSettings, Settings};
use super::task::{NextToken, Window};
use crate::error::{Error, Result};
use crate::recipe::{Options, Passes, Report, Settings as _, fit, optimizer, watched};

/// The source that is no file but an embedded language.
const GRAMMAR: &str = "grammar";

/// Trains a [`LanguageModelConfig`].
#[derive(Debug)]
pub struct Recipe {
    settings: Settings,
    corpus: Corpus,
    train: Bptt,
    validation: Option<Bptt>,
    test: Option<Bptt>,
    description: Description,
    store: ParamStore,
    model: LanguageModel,
}

impl crate::recipe::Recipe for Recipe {
    type Settings = Settings;

    const NAME: &'static str = "lm";

    fn new(settings: Settings) -> Result<Self> {
        settings.validate()?;
        let device = parse_device(&settings.train.device)?;
        let corpus = read(&settings.data, settings.train.seed)?;
        check_parts(&corpus, &settings)?;
        let vocab = vocabulary(&corpus, &settings.data)?;
        let config = network(&settings, vocab.len());
        let store = ParamStore::new(DType::F32, &device).with_seed(settings.train.seed);
        let model = LanguageModel::new(&config, &store.root())?;
        spread(&store, &settings.model)?;
        let (batch, steps) = (settings.train.batch_size, settings.data.seq_len);
        let train = windows(corpus.train(), &vocab, batch, steps, &device)?;
        // Few streams, so that little of the text is cut off; one for the figure that counts.
        let held_out = |part: Option<&Section>, batch: usize| {
            part.map(|part| windows(part, &vocab, batch, steps, &device))
                .transpose()
        };
        let few = |part: Option<&Section>| part.map_or(1, |part| streams(part, batch));
        let validation = held_out(corpus.valid(), few(corpus.valid()))?;
        let test = held_out(corpus.test(), 1)?;
        let description = Description {
            kind: Self::NAME.to_owned(),
            config,
            vocab,
            unit: settings.data.unit,
            data: corpus.info().name.clone(),
        };
        Ok(Self {
            settings,
            corpus,
            train,
            validation,
            test,
            description,
            store,
            model,
        })
    }

    fn summary(&self) -> Result<Summary> {
        Ok(self.model.summary(&self.store)?)
    }

    fn data(&self) -> Value {
        json!(self.corpus.info())
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
            train: |epoch| batches(&self.train, epoch),
            validation: self
                .validation
                .as_ref()
                .map(|text| |trainer: &Trainer<_>| trainer.validate(batches(text, 0))),
            test: self
                .test
                .as_ref()
                .map(|text| |trainer: &Trainer<NextToken>| self.test(trainer, text)),
        };
        let settings = &self.settings.train;
        fit(trainer, &self.store, run, resume, settings, passes)
    }
}

impl Recipe {
    fn trainer(&self, run: &RunFolder, options: Options) -> Result<Trainer<NextToken>> {
        let (train, model) = (&self.settings.train, &self.settings.model);
        let task = NextToken::new(self.model.clone());
        let task = task.activation_regularisation(model.alpha, model.beta);
        let steps = train.steps(self.train.len());
        let optimizer = optimizer(&self.settings.optim, &self.store, train.epochs, steps)?;
        let carried = task.carried();
        let trainer = Trainer::new(&self.store, task, optimizer)?
            .metric(Perplexity::default())
            .describe(json!(self.description))
            .callback(carried);
        let trainer = match (model.average, &self.validation) {
            (0, _) | (_, None) => trainer,
            (patience, Some(_)) => trainer.callback(Averaging::new("val.loss", patience)),
        };
        let monitor = Monitor::new("val.loss", Direction::Lower);
        let monitor = self.validation.is_some().then_some(monitor);
        watched(trainer, run, train, monitor, options)
    }

    fn test(&self, trainer: &Trainer<NextToken>, text: &Bptt) -> Result<Scores> {
        let mut scores = trainer.evaluate(batches(text, 0))?;
        // What a perfect model reaches that tells all tokens apart.
        let known = |part: &Section| {
            let mut tokens = part.tokens();
            tokens.all(|token| self.description.vocab.id(token).is_some())
        };
        let all_known = known(self.corpus.train()) && self.corpus.test().is_none_or(known);
        if self.settings.data.source == GRAMMAR && all_known {
            let exact = grammar::perplexity(self.settings.data.unit);
            scores.values.insert("exact_perplexity".to_owned(), exact);
        }
        Ok(scores)
    }
}

impl Writer {
    /// Measures the model on a part of the text that `settings` name. If `foreign`, the text is
    /// not the one it learned from: a single file is measured whole, and the share of tokens that the
    /// model does not know stands beside the perplexity.
    ///
    /// # Errors
    /// When the text cannot be read, has no such part, or has tokens that the model does not
    /// know and takes no other for.
    pub fn evaluate(&self, settings: &Settings, part: Part, foreign: bool) -> Result<Scores> {
        let data = DataSettings {
            unit: self.description.unit,
            ..settings.data.clone()
        };
        let whole = if foreign && data.source != GRAMMAR {
            Corpus::whole(&data.source, &corpus_config(&data))?
        } else {
            None
        };
        let section = match whole {
            Some(whole) => whole,
            None => {
                let corpus = read(&data, settings.train.seed)?;
                let section = match part {
                    Part::Train => Some(corpus.train()),
                    Part::Valid => corpus.valid(),
                    Part::Test => corpus.test(),
                };
                let none = || Error::Config(format!("{} has no part of this name", data.source));
                section.ok_or_else(none)?.clone()
            }
        };
        let vocab = &self.description.vocab;
        // Line ends are in every text.
        let tokens = || {
            section
                .tokens()
                .filter(|token| ![EOS, "\n"].contains(token))
        };
        let all = tokens().count();
        let unknown = tokens().filter(|token| vocab.id(token).is_none()).count();
        if unknown == all {
            return Err(Error::Config(format!(
                "the model knows none of the {all} tokens of {}: measure it on a text like the one it \
                 learned from",
                data.source
            )));
        }
        let text = windows(&section, vocab, 1, data.seq_len, &self.device())?;
        let task = NextToken::new(self.model().clone());
        let metrics: Vec<Box<dyn mapsto_train::Metric>> = vec![Box::new(Perplexity::default())];
        let mut scores = mapsto_train::evaluate(&task, metrics, batches(&text, 0))?;
        if foreign {
            // Unknown tokens all count as one, which is easily guessed where they are many.
            let share = unknown as f64 / all as f64;
            scores.values.insert("unknown_tokens".to_owned(), share);
        }
        Ok(scores)
    }
}

fn read(data: &DataSettings, seed: u64) -> Result<Corpus> {
    if data.source == GRAMMAR {
        let held_out = (data.train_sentences / 10).max(1);
        let train = data.train_sentences;
        return Ok(Corpus::grammar(train, held_out, held_out, data.unit, seed)?);
    }
    Ok(Corpus::open(&data.source, &corpus_config(data))?)
}

fn corpus_config(data: &DataSettings) -> CorpusConfig {
    CorpusConfig {
        unit: data.unit,
        encoding: data.encoding,
    }
}

/// Refuses to measure a text on what was learned from it, and to wait for figures that never come.
fn check_parts(corpus: &Corpus, settings: &Settings) -> Result<()> {
    let name = &corpus.info().name;
    let what = match (corpus.valid(), corpus.test()) {
        (None, None) => {
            "nothing to measure by: add a valid and a test part, or give the text as a \
                         single file, which is cut"
        }
        (None, _) if settings.train.patience > 0 || settings.model.average > 0 => {
            "no valid part, by which train.patience and model.average go: add one, or set both to 0"
        }
        _ => return Ok(()),
    };
    Err(Error::Config(format!("{name} has {what}")))
}

/// The tokens of the training part. Rare ones are unknown, and so is what the other parts hold
/// beyond them; then a token must come twice to be known, if any does, or nothing would tell what
/// unknown ones are like.
fn vocabulary(corpus: &Corpus, data: &DataSettings) -> Result<Vocab> {
    let unknown = match data.unit {
        Unit::Word => "<unk>",
        Unit::Char => "\u{fffd}",
    };
    let whole = VocabConfig::default();
    let known = Vocab::build(corpus.train().tokens(), &whole)?;
    let others = [corpus.valid(), corpus.test()];
    let all_known = others
        .into_iter()
        .flatten()
        .all(|part| part.tokens().all(|token| known.id(token).is_some()));
    if all_known && data.min_count <= 1 && data.max_vocab == 0 && known.id(unknown).is_none() {
        return Ok(known);
    }
    let build = |min_count| {
        let config = VocabConfig {
            min_count,
            max_size: (data.max_vocab > 0).then_some(data.max_vocab),
            unk: Some(unknown.to_owned()),
            ..whole.clone()
        };
        Vocab::build(corpus.train().tokens(), &config)
    };
    let learned = all_known || known.id(unknown).is_some();
    if !learned
        && data.min_count < 2
        && let Ok(vocab) = build(2)
    {
        return Ok(vocab);
    }
    Ok(build(data.min_count)?)
}

fn network(settings: &Settings, vocab: usize) -> LanguageModelConfig {
    let model = &settings.model;
    LanguageModelConfig {
        vocab,
        cell: model.cell,
        embedding: model.embedding,
        hidden: model.hidden,
        layers: model.layers,
        tied: model.tied,
        mixture: model.mixture,
        dropout: settings.dropout,
    }
}

/// Draws parameters anew, uniform within the bounds that are set.
fn spread(store: &ParamStore, model: &ModelSettings) -> Result<()> {
    let uniform = |bound: f64| Initializer::Uniform {
        low: -bound,
        high: bound,
    };
    if model.init > 0.0 {
        for name in store.names() {
            store.init(&name, &uniform(model.init))?;
        }
    }
    if model.init_embedding > 0.0 {
        store.init("encoder.weight", &uniform(model.init_embedding))?;
        store.init("decoder.bias", &Initializer::Constant(0.0))?;
    }
    Ok(())
}

fn windows(
    section: &Section,
    vocab: &Vocab,
    streams: usize,
    steps: usize,
    device: &Device,
) -> Result<Bptt> {
    let tokens = vocab.encode(section.tokens())?;
    Ok(Bptt::new(&tokens, streams, steps, device)?)
}

/// As many streams as in training, or fewer for a short text.
fn streams(section: &Section, most: usize) -> usize {
    (section.tokens().take(most * 20).count() / 20).clamp(1, most)
}

fn batches(text: &Bptt, epoch: usize) -> impl Iterator<Item = Result<Window>> {
    let number = text.epoch(epoch).enumerate();
    number.map(|(number, window)| {
        let (inputs, targets) = window?;
        let first = number == 0;
        Ok(Window {
            inputs,
            targets,
            first,
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_start_within_their_bounds() {
        let mut settings = Settings::default();
        (settings.model.init, settings.model.init_embedding) = (0.05, 0.0);
        let store = ParamStore::new(DType::F32, &Device::Cpu);
        LanguageModel::new(&network(&settings, 30), &store.root()).unwrap();
        let largest = |name: &str| {
            let values = store.get(name).unwrap().abs().unwrap();
            values.max_all().unwrap().to_scalar::<f32>().unwrap()
        };
        spread(&store, &settings.model).unwrap();
        for name in store.names() {
            assert!((0.03..=0.05).contains(&largest(&name)), "{name}");
        }
        settings.model.init_embedding = 0.5;
        spread(&store, &settings.model).unwrap();
        assert!((0.4..=0.5).contains(&largest("encoder.weight")));
        assert_eq!(largest("decoder.bias"), 0.0);
        assert!(largest("decoder.weight") <= 0.05);
    }
}
