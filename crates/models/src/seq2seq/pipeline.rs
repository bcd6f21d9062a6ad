//! [`Translator`]: text in, text out.

use std::path::Path;
use std::sync::Arc;

use mapsto_data::{Collate, PadCollate, Piece, Tokenizer};
use mapsto_tensor::{Checkpoint, DType, Device, ParamStore};
use mapsto_train::Snapshot;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::PAD;
use super::config::NetworkConfig;
use super::encoder_decoder::EncoderDecoder;
use super::search::{BeamConfig, Found, Search};
use super::tokenizers::Tokenizers;
use crate::error::{Error, Result};

/// Texts that go through the network together, at most.
const AT_ONCE: usize = 64;

/// Pieces of sources that do, padding included, at most: a long text would make all of its batch as
/// long.
const PIECES: usize = 100 * AT_ONCE;

/// What a checkpoint of this entry says about itself.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Description {
    /// Always `translate`.
    pub kind: String,
    /// The network.
    pub config: NetworkConfig,
    /// How its translations were searched.
    pub search: BeamConfig,
    /// The pieces of words, as `tokenizer.json`: of both languages together, or of each.
    pub tokenizers: Vec<Value>,
    /// Name of the pairs it learned from.
    pub data: String,
    /// From which language to which, where that is known.
    pub languages: [Option<String>; 2],
}

/// A translation. An unknown word in it is replaced by the one of the source that the network looked
/// at most when it wrote it, if it looks back at all.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Translation {
    /// The text.
    pub text: String,
    /// `log p` over the length penalty; of several translations the largest is the best.
    pub score: f64,
    /// The pieces that the source was cut into.
    pub source_pieces: Vec<String>,
    /// Those of the translation.
    pub target_pieces: Vec<String>,
    /// Where each piece of the translation looked: a row for each, with a share for each piece of
    /// the source; none without attention.
    pub alignment: Vec<Vec<f32>>,
}

impl Description {
    fn read(model: &Value, path: &Path) -> Result<(Self, Tokenizers)> {
        let incompatible = |reason: String| Error::Incompatible {
            path: path.to_owned(),
            reason,
        };
        let description: Self = crate::described(model, path, "translate")?;
        let tokenizers = Tokenizers::from_values(&description.tokenizers)
            .map_err(|error| incompatible(format!("holds a damaged tokenizer: {error}")))?;
        let (pieces, words) = (tokenizers.sizes(), description.config.vocabularies());
        if pieces != words {
            return Err(incompatible(format!(
                "has tokenizers of {pieces:?} pieces for a model of {words:?}"
            )));
        }
        Ok((description, tokenizers))
    }
}

/// A trained translator with all it needs.
#[derive(Debug)]
pub struct Translator {
    /// What the checkpoint says about itself.
    pub description: Description,
    /// The parameters.
    pub store: ParamStore,
    model: Arc<dyn EncoderDecoder>,
    tokenizers: Tokenizers,
}

impl Translator {
    /// Loads a checkpoint, `best` or `last`.
    ///
    /// # Errors
    /// When the file is missing, damaged, of another kind, or does not fit its own description.
    pub fn load(path: impl AsRef<Path>, device: &Device) -> Result<Self> {
        let path = path.as_ref();
        let Checkpoint { tensors, metadata } = Snapshot::load(path)?.without_training();
        let (description, tokenizers) = Description::read(&metadata["model"], path)?;
        let store = ParamStore::new(DType::F32, device);
        let model = description.config.build(&store.root())?;
        store.load_state_dict(&tensors, true)?;
        Ok(Self {
            description,
            store,
            model,
            tokenizers,
        })
    }

    /// The network.
    pub fn model(&self) -> &Arc<dyn EncoderDecoder> {
        &self.model
    }

    /// The pieces of both languages.
    pub fn tokenizers(&self) -> &Tokenizers {
        &self.tokenizers
    }

    /// The best translation of a text.
    ///
    /// # Errors
    /// When an op fails.
    pub fn translate(&self, text: &str) -> Result<Translation> {
        let mut all = self.translate_batch(&[text], &self.description.search.into())?;
        all.pop()
            .and_then(|mut best| (!best.is_empty()).then(|| best.remove(0)))
            .ok_or_else(|| Error::Config("the search found no translation".to_owned()))
    }

    /// The best translations of each text, in the order of the texts, as many as `search` asks for:
    /// a [`BeamConfig`] or [`SampleConfig`](super::SampleConfig) as [`Search`]. A text without a word
    /// has an empty one.
    ///
    /// # Errors
    /// When a setting is out of range, or an op fails.
    pub fn translate_batch<T: AsRef<str>>(
        &self,
        texts: &[T],
        search: &Search,
    ) -> Result<Vec<Vec<Translation>>> {
        translate(&*self.model, &self.tokenizers, texts, search)
    }
}

/// As [`Translator::translate_batch`], of a model in training too.
pub(super) fn translate<T: AsRef<str>>(
    model: &dyn EncoderDecoder,
    tokenizers: &Tokenizers,
    texts: &[T],
    search: &Search,
) -> Result<Vec<Vec<Translation>>> {
    let pieces = |text: &T| tokenizers.source.pieces(text.as_ref().trim());
    let sources = texts.iter().map(pieces).collect::<Result<Vec<_>, _>>()?;
    // Texts of about the same length together, so that little is padding.
    let mut order: Vec<usize> = (0..sources.len())
        .filter(|&i| !sources[i].is_empty())
        .collect();
    order.sort_by_key(|&place| sources[place].len());
    let collate = PadCollate::new(PAD).device(&model.device());
    let together = |places: &[usize]| -> Result<Vec<_>> {
        let ids = |&place: &usize| sources[place].iter().map(|piece| piece.id).collect();
        let ids: Vec<Vec<u32>> = places.iter().map(ids).collect();
        let batch = collate.collate(ids)?;
        let all = search.find(model, (&batch.ids, &batch.lengths), places)?;
        let written = places.iter().zip(all).map(|(&place, best)| {
            let written = best.into_iter();
            let written = written
                .map(|found| Translation::new(&sources[place], found, &tokenizers.target))
                .collect::<Result<Vec<_>>>()?;
            Ok((place, written))
        });
        written.collect()
    };
    let batches = batches(&order, |place| sources[place].len());
    // Much of a search is bookkeeping in one thread, so several go on side by side; a GPU is kept
    // busy by one.
    let batches = if model.device().is_cpu() {
        let batches = batches.into_par_iter().map(together);
        batches.collect::<Result<Vec<_>>>()?
    } else {
        let batches = batches.into_iter().map(together);
        batches.collect::<Result<Vec<_>>>()?
    };
    let mut found = vec![vec![Translation::default()]; sources.len()];
    for (place, written) in batches.into_iter().flatten() {
        found[place] = written;
    }
    Ok(found)
}

/// Cuts places, in the order of their lengths, into those that go through the network together.
fn batches(order: &[usize], length: impl Fn(usize) -> usize) -> Vec<&[usize]> {
    let (mut batches, mut rest) = (vec![], order);
    while !rest.is_empty() {
        let fits = |&count: &usize| count * length(rest[count - 1]) <= PIECES;
        let most = rest.len().min(AT_ONCE);
        let count = (1..=most).take_while(fits).last().unwrap_or(1);
        let (batch, others) = rest.split_at(count);
        batches.push(batch);
        rest = others;
    }
    batches
}

impl Default for Translation {
    fn default() -> Self {
        Self {
            text: String::new(),
            score: 0.0,
            source_pieces: vec![],
            target_pieces: vec![],
            alignment: vec![],
        }
    }
}

impl Translation {
    fn new(source: &[Piece], found: Found, tokenizer: &Tokenizer) -> Result<Self> {
        let mut alignment = found.attention;
        alignment.truncate(found.words.len());
        let mut tokens = vec![];
        for (place, &id) in found.words.iter().enumerate() {
            let looked = alignment.get(place).filter(|_| id == Tokenizer::UNK);
            let copied = looked.and_then(|looked| source.get(place_of_most(looked)?));
            tokens.push(match copied {
                Some(piece) => piece.token.clone(),
                None => tokenizer.token(id).unwrap_or_default(),
            });
        }
        let shown = |token: String| Ok(tokenizer.join(vec![token])?.trim().to_owned());
        let silent = [Tokenizer::PAD, Tokenizer::BOS];
        let written = found.words.iter().zip(tokens.clone());
        let written = written.filter_map(|(id, token)| (!silent.contains(id)).then_some(token));
        let source_tokens = source.iter().map(|piece| piece.token.clone());
        Ok(Self {
            score: found.score,
            source_pieces: source_tokens.map(shown).collect::<Result<_>>()?,
            target_pieces: tokens.into_iter().map(shown).collect::<Result<_>>()?,
            text: tokenizer.join(written.collect())?.trim().to_owned(),
            alignment,
        })
    }
}

/// The first of the places with the largest share.
fn place_of_most(looked: &[f32]) -> Option<usize> {
    let most = looked.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    looked.iter().position(|&share| share == most)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_text_is_alone() {
        let lengths = [&[1; 70][..], &[150; 50], &[PIECES + 1, PIECES + 2]].concat();
        let order: Vec<usize> = (0..lengths.len()).collect();
        let batches = batches(&order, |place| lengths[place]);
        let sizes: Vec<usize> = batches.iter().map(|batch| batch.len()).collect();
        // 42 texts of 150 pieces are just below the limit.
        assert_eq!(sizes, [64, 42, 14, 1, 1]);
        assert_eq!(batches.concat(), order);
    }

    #[test]
    fn unknown_words_are_copied_from_where_the_network_looked() {
        let config = mapsto_data::TokenizerConfig {
            kind: mapsto_data::TokenizerKind::Word,
            min_frequency: 1,
            ..mapsto_data::TokenizerConfig::default()
        };
        let words = Tokenizer::train(["a big dog ."], &config).unwrap();
        let source = words.pieces("ein Hund (Rex).").unwrap();
        let id = |word| words.id(word).unwrap();
        let found = Found {
            words: vec![
                id("▁a"),
                Tokenizer::UNK,
                Tokenizer::PAD,
                Tokenizer::UNK,
                id("."),
            ],
            log_probability: -1.0,
            score: -1.0,
            attention: vec![
                vec![1.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0],
                vec![0.2, 0.5, 0.0, 0.3, 0.0, 0.0, 0.0],
                vec![1.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0],
                vec![0.1, 0.2, 0.0, 0.2, 0.5, 0.0, 0.0],
                vec![0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0],
                vec![0.0; 7],
            ],
        };
        let seen = Translation::new(&source, found.clone(), &words).unwrap();
        assert_eq!(seen.text, "a HundRex.");
        assert_eq!(seen.source_pieces[1..5], ["Hund", "", "(", "Rex"]);
        assert_eq!(seen.target_pieces[1], "Hund");
        assert_eq!(seen.alignment.len(), 5);
        // A network that does not look back cannot tell.
        let blind = Found {
            attention: vec![],
            ..found
        };
        let blind = Translation::new(&source, blind, &words).unwrap();
        assert_eq!(blind.text, "a<unk><unk>.");
    }
}
