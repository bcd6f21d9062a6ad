//! The pairs of a recipe: where they come from, their parts, their batches, and how translations of
//! them are judged.

use mapsto_data::{
    BucketSampler, DataLoader, PairCollate, Pairs, ParallelText, ParallelTextConfig, Samples,
    Tokenizer,
};
use mapsto_tensor::Device;
use mapsto_train::{BleuConfig, BleuTokenizer, Scores, corpus_bleu};
use serde_json::{Value, json};

use super::PAD;
use super::pipeline::Translation;
use super::settings::{DataSettings, Settings};
use super::tokenizers::Tokenizers;
use crate::error::{Error, Result};

/// Translations that are shown after each epoch and in the result.
const SHOWN: usize = 3;

pub(super) type Loader = DataLoader<Samples<(Vec<u32>, Vec<u32>)>, PairCollate>;

/// Pairs to judge by: as batches, and as texts.
#[derive(Debug)]
pub(super) struct Held {
    pub(super) batches: Loader,
    pub(super) sources: Vec<String>,
    pub(super) references: Vec<String>,
    bleu: BleuConfig,
}

pub(super) fn read(data: &DataSettings, seed: u64) -> Result<ParallelText> {
    if data.source == "numbers" {
        return Ok(ParallelText::numbers(
            data.language()?,
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
pub(super) fn parts(texts: &ParallelText, settings: &Settings) -> Result<[Pairs; 3]> {
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

pub(super) fn loader(
    pairs: &Pairs,
    tokenizers: &Tokenizers,
    batch_size: usize,
    shuffle: Option<u64>,
    device: &Device,
) -> Result<Loader> {
    let (sources, targets): (Vec<&String>, Vec<&String>) = pairs
        .0
        .iter()
        .map(|(source, target)| (source, target))
        .unzip();
    let sources = tokenizers.source.encode_batch(&sources)?;
    let pairs: Vec<_> = sources
        .into_iter()
        .zip(tokenizers.target.encode_batch(&targets)?)
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
    /// Whether the references are of less than six tokens in the mean: too few runs of four of them
    /// for BLEU to tell one epoch from another.
    pub(super) fn is_short(&self) -> bool {
        let tokens = |text: &String| match self.bleu.tokenize {
            BleuTokenizer::Char => text.chars().filter(|c| !c.is_whitespace()).count(),
            _ => text.split_whitespace().count(),
        };
        let total: usize = self.references.iter().map(tokens).sum();
        total < 6 * self.references.len()
    }

    pub(super) fn new(
        pairs: &Pairs,
        tokenizers: &Tokenizers,
        settings: &Settings,
        device: &Device,
    ) -> Result<Self> {
        let (sources, references): (Vec<String>, Vec<String>) = pairs.0.iter().cloned().unzip();
        let tokenize = if has_no_spaces(&references) {
            BleuTokenizer::Char
        } else {
            BleuTokenizer::V13a
        };
        Ok(Self {
            batches: loader(pairs, tokenizers, settings.train.batch_size, None, device)?,
            sources,
            references,
            bleu: BleuConfig {
                tokenize,
                lowercase: settings.filter.lowercase,
            },
        })
    }

    /// Scores of the best translations of each source, with BLEU and exact matches; as details the
    /// signature and the first translations. And the translations.
    pub(super) fn judge(
        &self,
        found: Vec<Vec<Translation>>,
        mut scores: Scores,
    ) -> Result<(Scores, Vec<String>)> {
        let best = found.into_iter();
        let best = best.map(|best| best.into_iter().next().unwrap_or_default().text);
        let written: Vec<String> = best.collect();
        let bleu = corpus_bleu(&written, &self.references, &self.bleu)?;
        let pairs = written.iter().zip(&self.references);
        let exact = pairs.filter(|(written, reference)| written == reference);
        let share = exact.count() as f64 / written.len() as f64;
        scores.values.insert("bleu".to_owned(), bleu.score);
        scores.values.insert("exact_match".to_owned(), share);
        let shown: Vec<Value> = self
            .shown(&written)
            .map(|(source, reference, written)| {
                json!({"source": source, "reference": reference, "translation": written})
            })
            .collect();
        scores.details.insert("bleu".to_owned(), json!(bleu));
        scores
            .details
            .insert("translations".to_owned(), json!(shown));
        scores.samples = written.len();
        Ok((scores, written))
    }

    /// The first sources with their references and translations.
    pub(super) fn shown<'a>(
        &'a self,
        written: &'a [String],
    ) -> impl Iterator<Item = (&'a String, &'a String, &'a String)> {
        let pairs = self.sources.iter().zip(&self.references).zip(written);
        pairs
            .take(SHOWN)
            .map(|((source, reference), written)| (source, reference, written))
    }
}

/// Whether most letters are of a script that is written without spaces between words: Chinese and
/// Japanese, Thai, Lao, Burmese and Khmer.
fn has_no_spaces(texts: &[String]) -> bool {
    let is_of_such = |c: char| {
        matches!(u32::from(c), 0xe00..=0xeff | 0x1000..=0x109f | 0x1780..=0x17ff | 0x3040..=0x30ff
            | 0x3400..=0x4dbf | 0x4e00..=0x9fff | 0xf900..=0xfaff | 0x20000..=0x3ffff)
    };
    let letters = || {
        texts
            .iter()
            .flat_map(|text| text.chars())
            .filter(|c| c.is_alphabetic())
    };
    2 * letters().filter(|&c| is_of_such(c)).count() > letters().count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scripts_without_spaces_are_told_by_their_letters() {
        let is = |text: &str| has_no_spaces(&[text.to_owned()]);
        for text in ["九十七", "あさ、コーヒー", "สวัสดี", "我看九台 TV"]
        {
            assert!(is(text), "{text}");
        }
        for text in [
            "siebenundneunzig",
            "아침에 커피",
            "صباح",
            "1 2 3",
            "",
            "a 九 b",
        ] {
            assert!(!is(text), "{text}");
        }
    }
}
