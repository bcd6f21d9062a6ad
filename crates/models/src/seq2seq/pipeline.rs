//! [`Translator`]: text in, text out.

use std::path::Path;

use mapsto_data::{Collate, PadCollate, Tokenizer};
use mapsto_tensor::{Checkpoint, DType, Device, ParamStore};
use mapsto_train::Snapshot;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::PAD;
use super::network::{Seq2Seq, Seq2SeqConfig};
use super::search::{BeamConfig, Found, beam_search};
use crate::error::{Error, Result};

/// Texts that go through the network together, at most.
const AT_ONCE: usize = 64;

/// What a checkpoint of this entry says about itself.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Description {
    /// Always `translate`.
    pub kind: String,
    /// The network.
    pub config: Seq2SeqConfig,
    /// How its translations were searched.
    pub search: BeamConfig,
    /// The pieces of words of both languages, as `tokenizer.json`.
    pub tokenizer: Value,
    /// Name of the pairs it learned from.
    pub data: String,
    /// From which language to which, where that is known.
    pub languages: [Option<String>; 2],
}

/// A translation.
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
    fn read(model: &Value, path: &Path) -> Result<(Self, Tokenizer)> {
        let incompatible = |reason: String| Error::Incompatible {
            path: path.to_owned(),
            reason,
        };
        let kind = crate::kind(model, path)?;
        if kind != "translate" {
            let reason = format!("holds a model of kind {kind}, not translate");
            return Err(incompatible(reason));
        }
        let description: Self = serde_json::from_value(model.clone())
            .map_err(|error| incompatible(format!("is no checkpoint of a translator: {error}")))?;
        let tokenizer = Tokenizer::from_json(&description.tokenizer.to_string())
            .map_err(|error| incompatible(format!("holds a damaged tokenizer: {error}")))?;
        let (pieces, config) = (tokenizer.len(), &description.config);
        if [config.source_vocab, config.target_vocab] != [pieces; 2] {
            return Err(incompatible(format!(
                "has a tokenizer of {pieces} pieces for a model of {} and {}",
                config.source_vocab, config.target_vocab
            )));
        }
        Ok((description, tokenizer))
    }
}

/// A trained translator with all it needs.
#[derive(Debug)]
pub struct Translator {
    /// What the checkpoint says about itself.
    pub description: Description,
    /// The parameters.
    pub store: ParamStore,
    model: Seq2Seq,
    tokenizer: Tokenizer,
}

impl Translator {
    /// Loads a checkpoint, `best` or `last`.
    ///
    /// # Errors
    /// When the file is missing, damaged, of another kind, or does not fit its own description.
    pub fn load(path: impl AsRef<Path>, device: &Device) -> Result<Self> {
        let path = path.as_ref();
        let Checkpoint { tensors, metadata } = Snapshot::load(path)?.without_training();
        let (description, tokenizer) = Description::read(&metadata["model"], path)?;
        let store = ParamStore::new(DType::F32, device);
        let model = Seq2Seq::new(&description.config, &store.root())?;
        store.load_state_dict(&tensors, true)?;
        Ok(Self {
            description,
            store,
            model,
            tokenizer,
        })
    }

    /// The network.
    pub fn model(&self) -> &Seq2Seq {
        &self.model
    }

    /// The best translation of a text.
    ///
    /// # Errors
    /// When an op fails.
    pub fn translate(&self, text: &str) -> Result<Translation> {
        let mut all = self.translate_batch(&[text], &self.description.search)?;
        all.pop()
            .and_then(|mut best| (!best.is_empty()).then(|| best.remove(0)))
            .ok_or_else(|| Error::Config("the search found no translation".to_owned()))
    }

    /// The `search.best` best translations of each text, in the order of the texts. A text without
    /// a word has an empty one.
    ///
    /// # Errors
    /// When a setting is out of range, or an op fails.
    pub fn translate_batch<T: AsRef<str>>(
        &self,
        texts: &[T],
        search: &BeamConfig,
    ) -> Result<Vec<Vec<Translation>>> {
        translate(&self.model, &self.tokenizer, texts, search)
    }
}

/// As [`Translator::translate_batch`], of a model in training too.
pub(super) fn translate<T: AsRef<str>>(
    model: &Seq2Seq,
    tokenizer: &Tokenizer,
    texts: &[T],
    search: &BeamConfig,
) -> Result<Vec<Vec<Translation>>> {
    let ids = |text: &T| tokenizer.encode(text.as_ref().trim());
    let sources = texts.iter().map(ids).collect::<Result<Vec<_>, _>>()?;
    // Texts of about the same length together, so that little is padding.
    let mut order: Vec<usize> = (0..sources.len())
        .filter(|&i| !sources[i].is_empty())
        .collect();
    order.sort_by_key(|&place| sources[place].len());
    let mut found = vec![vec![Translation::default()]; sources.len()];
    let collate = PadCollate::new(PAD).device(&model.device());
    for places in order.chunks(AT_ONCE) {
        let together = places.iter().map(|&place| sources[place].clone()).collect();
        let batch = collate.collate(together)?;
        let all = beam_search(model, (&batch.ids, &batch.lengths), search)?;
        for (&place, best) in places.iter().zip(all) {
            let best = best.into_iter();
            let written = best.map(|found| Translation::new(&sources[place], found, tokenizer));
            found[place] = written.collect::<Result<_>>()?;
        }
    }
    Ok(found)
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
    fn new(source: &[u32], found: Found, tokenizer: &Tokenizer) -> Result<Self> {
        let pieces = |ids: &[u32]| -> Result<Vec<String>> {
            let piece = |&id: &u32| Ok(tokenizer.decode(&[id])?.trim().to_owned());
            ids.iter().map(piece).collect()
        };
        let mut alignment = found.attention;
        alignment.truncate(found.words.len());
        for row in &mut alignment {
            row.truncate(source.len());
        }
        Ok(Self {
            text: tokenizer.decode(&found.words)?.trim().to_owned(),
            score: found.score,
            source_pieces: pieces(source)?,
            target_pieces: pieces(&found.words)?,
            alignment,
        })
    }
}
