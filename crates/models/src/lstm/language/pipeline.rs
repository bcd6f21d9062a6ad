//! [`Writer`]: a trained language model that measures text and writes it.

use std::path::Path;

use mapsto_data::{EOS, Section, Unit, Vocab};
use mapsto_tensor::rng::Generator;
use mapsto_tensor::{Checkpoint, DType, Device, ParamStore, Tensor};
use mapsto_train::Snapshot;
use rand::Rng;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::network::{LanguageModel, LanguageModelConfig};
use crate::error::{Error, Result};
use crate::sampling::Sampling;

/// What a checkpoint of this entry says about itself.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Description {
    /// Always `lm`.
    pub kind: String,
    /// The network.
    pub config: LanguageModelConfig,
    /// What its tokens mean.
    pub vocab: Vocab,
    /// Words or characters.
    pub unit: Unit,
    /// Name of the text it learned.
    pub data: String,
}

impl Description {
    /// Reads it from the value stored in a checkpoint.
    fn read(model: &Value, path: &Path) -> Result<Self> {
        let incompatible = |reason: String| Error::Incompatible {
            path: path.to_owned(),
            reason,
        };
        let description: Self = crate::described(model, path, "lm")?;
        let (tokens, size) = (description.vocab.len(), description.config.vocab);
        if tokens != size {
            let reason = format!("has a vocabulary of {tokens} tokens for a model of {size}");
            return Err(incompatible(reason));
        }
        Ok(description)
    }
}

/// A trained language model with all it needs to read and write.
#[derive(Debug)]
pub struct Writer {
    /// What the checkpoint says about itself.
    pub description: Description,
    /// The parameters.
    pub store: ParamStore,
    model: LanguageModel,
}

impl Writer {
    /// Loads a checkpoint, `best` or `last`.
    ///
    /// # Errors
    /// When the file is missing, damaged, of another kind, or does not fit its own description.
    pub fn load(path: impl AsRef<Path>, device: &Device) -> Result<Self> {
        let path = path.as_ref();
        let Checkpoint { tensors, metadata } = Snapshot::load(path)?.without_training();
        let description = Description::read(&metadata["model"], path)?;
        let store = ParamStore::new(DType::F32, device);
        let model = LanguageModel::new(&description.config, &store.root())?;
        store.load_state_dict(&tensors, true)?;
        Ok(Self {
            description,
            store,
            model,
        })
    }

    /// The network.
    pub fn model(&self) -> &LanguageModel {
        &self.model
    }

    pub(super) fn device(&self) -> Device {
        self.store.device()
    }

    /// The tokens of a text, and those of them that the vocabulary has only as unknown. The end of
    /// the last line is one only if the text ends in it.
    ///
    /// # Errors
    /// When the vocabulary has no token for unknown ones and the text has one, naming it.
    pub fn read(&self, text: &str) -> Result<(Vec<u32>, Vec<String>)> {
        let vocab = &self.description.vocab;
        let section = Section::new(text.to_owned(), self.description.unit);
        let mut tokens: Vec<&str> = section.tokens().collect();
        // A prompt goes on, so its last line has no end, unless it says so.
        let goes_on = self.description.unit == Unit::Word && !text.ends_with('\n');
        if goes_on && tokens.last() == Some(&EOS) {
            tokens.pop();
        }
        let unknown = tokens.iter().filter(|token| vocab.id(token).is_none());
        let unknown = unknown.map(|&token| token.to_owned()).collect();
        Ok((vocab.encode(&tokens)?, unknown))
    }

    /// The tokens most probable after `prompt`, with their probabilities.
    ///
    /// # Errors
    /// As [`read`](Self::read).
    pub fn next(&self, prompt: &str, count: usize) -> Result<Vec<(String, f32)>> {
        let (tokens, _) = self.read(prompt)?;
        let (log_p, _) = self.step(&self.started(tokens)?, None)?;
        let mut order: Vec<usize> = (0..log_p.len()).collect();
        order.sort_by(|&a, &b| log_p[b].total_cmp(&log_p[a]));
        let named = |id: usize| (self.token(id).to_owned(), log_p[id].exp());
        Ok(order.into_iter().take(count).map(named).collect())
    }

    /// Goes on from `prompt` by `count` tokens, handing each piece of text to `write` as soon as
    /// it is there; `write` ends it by giving false. Returns the whole text that was written.
    ///
    /// # Errors
    /// When an option is out of range, or as [`read`](Self::read).
    pub fn generate(
        &self,
        prompt: &str,
        sampling: &Sampling,
        count: usize,
        seed: u64,
        mut write: impl FnMut(&str) -> bool,
    ) -> Result<String> {
        sampling.validate()?;
        let (tokens, _) = self.read(prompt)?;
        let (mut tokens, mut states) = (self.started(tokens)?, None);
        let (mut text, mut random) = (String::new(), Generator::keyed(seed, &[]));
        let mut joins = prompt.is_empty() || prompt.ends_with(char::is_whitespace);
        for _ in 0..count {
            let (log_p, after) = self.step(&tokens, states.as_deref())?;
            let id = sampling.pick(&log_p, random.random());
            let piece = self.piece(id, &mut joins);
            text += &piece;
            if !write(&piece) {
                break;
            }
            (tokens, states) = (vec![id as u32], Some(after));
        }
        Ok(text)
    }

    /// A walk needs a token to start from: the end of the line before.
    fn started(&self, tokens: Vec<u32>) -> Result<Vec<u32>> {
        if !tokens.is_empty() {
            return Ok(tokens);
        }
        let vocab = &self.description.vocab;
        let end = match self.description.unit {
            Unit::Word => EOS,
            Unit::Char => "\n",
        };
        let start = vocab.id(end).ok_or_else(|| {
            Error::Config("this model cannot begin by itself: give a prompt".to_owned())
        })?;
        Ok(vec![start])
    }

    /// `log p` of every token after `tokens`, and the states there.
    fn step(&self, tokens: &[u32], states: Option<&[Tensor]>) -> Result<(Vec<f32>, Vec<Tensor>)> {
        let ids = Tensor::from_slice(tokens, (tokens.len(), 1), &self.device())?;
        let hidden = self.model.hidden(&ids, states, false)?;
        let last = hidden.dropped.narrow(0, tokens.len() - 1, 1)?;
        let log_p = self.model.log_probabilities(&last)?.flatten_all()?;
        let states = hidden.states.iter().map(Tensor::detach).collect();
        Ok((log_p.to_vec1()?, states))
    }

    fn token(&self, id: usize) -> &str {
        let id = u32::try_from(id).unwrap_or(u32::MAX);
        self.description.vocab.token(id).unwrap_or_default()
    }

    /// A token as it is written: words with spaces between them, the end of a line as one.
    fn piece(&self, id: usize, at_start: &mut bool) -> String {
        let token = self.token(id);
        if self.description.unit == Unit::Char {
            return token.to_owned();
        }
        if token == EOS {
            *at_start = true;
            return "\n".to_owned();
        }
        let space = if std::mem::take(at_start) { "" } else { " " };
        format!("{space}{token}")
    }
}
