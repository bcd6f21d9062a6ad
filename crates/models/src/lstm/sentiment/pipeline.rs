//! [`SentimentPipeline`]: a text in; its class, how probable it is, and the words that mattered out.

use std::path::Path;

use mapsto_data::{Collate, PadCollate, Vocab, words};
use mapsto_tensor::{Checkpoint, D, DType, Device, ParamStore, ops};
use mapsto_train::Snapshot;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::network::{PAD, TextClassifier, TextClassifierConfig};
use crate::error::{Error, Result};

/// Texts that go through the network together.
const AT_ONCE: usize = 50;

/// What a checkpoint of this entry says about itself.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Description {
    /// Always `sentiment`.
    pub kind: String,
    /// The network.
    pub config: TextClassifierConfig,
    /// What its tokens mean.
    pub vocab: Vocab,
    /// Names of the classes, in order.
    pub classes: Vec<String>,
    /// Words of a text that are read.
    pub max_len: usize,
    /// Name of the texts it learned from.
    pub data: String,
}

/// What the model says about a text.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Answer {
    /// The classes with their probabilities, most probable first.
    pub classes: Vec<(String, f32)>,
    /// The words in their order, each with what the probability of the first class loses when
    /// the word is taken for an unknown one: above 0 speaks for the class, below 0 against it.
    pub words: Vec<(String, f32)>,
    /// Words that the model does not know.
    pub unknown: Vec<String>,
    /// Words at the end that were not read, because the model reads no more of a text.
    pub unread: usize,
}

impl Description {
    /// Reads it from the value stored in a checkpoint.
    fn read(model: &Value, path: &Path) -> Result<Self> {
        let incompatible = |reason: String| Error::Incompatible {
            path: path.to_owned(),
            reason,
        };
        let description: Self = crate::described(model, path, "sentiment")?;
        let (config, words) = (&description.config, description.vocab.len());
        if words != config.vocab || description.classes.len() != config.classes {
            return Err(incompatible(format!(
                "names {words} words and {} classes for a model of {} and {}",
                description.classes.len(),
                config.vocab,
                config.classes
            )));
        }
        Ok(description)
    }

    /// The tokens of texts in words. One without a word counts as one unknown word.
    pub(super) fn ids(&self, texts: &[(Vec<String>, u32)]) -> Result<Vec<(Vec<u32>, u32)>> {
        let encode = |(words, label): &(Vec<String>, u32)| {
            let mut ids = self.vocab.encode(words)?;
            if ids.is_empty() {
                ids.extend(self.vocab.unk());
            }
            Ok((ids, *label))
        };
        texts.iter().map(encode).collect()
    }
}

/// A trained classifier with all it needs to answer.
#[derive(Debug)]
pub struct SentimentPipeline {
    /// What the checkpoint says about itself.
    pub description: Description,
    /// The parameters.
    pub store: ParamStore,
    model: TextClassifier,
}

impl SentimentPipeline {
    /// Loads a checkpoint, `best` or `last`.
    ///
    /// # Errors
    /// When the file is missing, damaged, of another kind, or does not fit its own description.
    pub fn load(path: impl AsRef<Path>, device: &Device) -> Result<Self> {
        let path = path.as_ref();
        let Checkpoint { tensors, metadata } = Snapshot::load(path)?.without_training();
        let description = Description::read(&metadata["model"], path)?;
        let store = ParamStore::new(DType::F32, device);
        let model = TextClassifier::new(&description.config, &store.root())?;
        store.load_state_dict(&tensors, true)?;
        Ok(Self {
            description,
            store,
            model,
        })
    }

    /// The network.
    pub fn model(&self) -> &TextClassifier {
        &self.model
    }

    /// The classes of a text, and its words with their shares in the answer.
    ///
    /// # Errors
    /// When the text has no word, or none that the model knows.
    ///
    /// **Reference:** Jiwei Li, Will Monroe, Dan Jurafsky, "Understanding neural networks through
    /// representation erasure", 2016.
    pub fn predict(&self, text: &str) -> Result<Answer> {
        let (vocab, mut words) = (&self.description.vocab, words(text));
        let unread = words.len().saturating_sub(self.description.max_len);
        words.truncate(self.description.max_len);
        let unknown: Vec<String> = words
            .iter()
            .filter(|word| vocab.id(word).is_none())
            .cloned()
            .collect();
        if unknown.len() == words.len() {
            return Err(Error::Config(if words.is_empty() {
                "the text has no word: give a sentence".to_owned()
            } else {
                format!(
                    "the model knows none of the words {}: give a text like those it learned from",
                    words.join(", ")
                )
            }));
        }
        let ids = vocab.encode(&words)?;
        // The whole text, and the text without each of its words.
        let mut texts = vec![ids; words.len() + 1];
        for (place, ids) in texts[1..].iter_mut().enumerate() {
            ids[place] = vocab.unk().unwrap_or(PAD);
        }
        let mut without = self.probabilities(&texts)?;
        let whole = without.remove(0);
        let mut order: Vec<usize> = (0..whole.len()).collect();
        order.sort_by(|&a, &b| whole[b].total_cmp(&whole[a]));
        let best = order[0];
        let shares = without.iter().map(|p| whole[best] - p[best]);
        let named = |class: usize| (self.description.classes[class].clone(), whole[class]);
        Ok(Answer {
            classes: order.into_iter().map(named).collect(),
            words: words.iter().cloned().zip(shares).collect(),
            unknown,
            unread,
        })
    }

    fn probabilities(&self, texts: &[Vec<u32>]) -> Result<Vec<Vec<f32>>> {
        let collate = PadCollate::new(PAD).device(&self.store.device());
        let mut probabilities = vec![];
        // A long text comes with one more for each word: not all of them in memory at once.
        for texts in texts.chunks(AT_ONCE) {
            let texts = collate.collate(texts.to_vec())?;
            let logits = self.model.forward(&texts, false)?;
            probabilities.extend(ops::softmax(&logits, D::Minus1)?.to_vec2()?);
        }
        Ok(probabilities)
    }
}
