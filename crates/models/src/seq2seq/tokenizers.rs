//! [`Tokenizers`]: the pieces that both sides of a translation are cut into.

use mapsto_data::{Pairs, Tokenizer, TokenizerConfig};
use serde_json::Value;

use crate::error::{Error, Result};

/// The tokenizers of source and target, which may be one.
#[derive(Debug, Clone)]
pub struct Tokenizers {
    /// Of the texts to translate.
    pub source: Tokenizer,
    /// Of their translations.
    pub target: Tokenizer,
    joint: bool,
}

impl Tokenizers {
    /// Learns the pieces of pairs: of both sides together if `joint`, else of each alone, with as
    /// many pieces each.
    ///
    /// # Errors
    /// When there is no text, or the vocabulary is too small for the characters in it.
    pub fn train(pairs: &Pairs, joint: bool, config: &TokenizerConfig) -> Result<Self> {
        let sources = || pairs.0.iter().map(|(source, _)| source);
        let targets = || pairs.0.iter().map(|(_, target)| target);
        if joint {
            let both = sources().zip(targets());
            let both = both.flat_map(|(source, target)| [source, target]);
            return Ok(Self::one(Tokenizer::train(both, config)?));
        }
        Ok(Self {
            source: Tokenizer::train(sources(), config)?,
            target: Tokenizer::train(targets(), config)?,
            joint,
        })
    }

    fn one(tokenizer: Tokenizer) -> Self {
        Self {
            source: tokenizer.clone(),
            target: tokenizer,
            joint: true,
        }
    }

    /// Whether both sides have one tokenizer.
    pub fn is_joint(&self) -> bool {
        self.joint
    }

    /// Number of pieces of source and target.
    pub fn sizes(&self) -> [usize; 2] {
        [self.source.len(), self.target.len()]
    }

    /// Each as the contents of a `tokenizer.json`: one if they are one.
    ///
    /// # Errors
    /// When one cannot be written as JSON.
    pub fn to_json(&self) -> Result<Vec<String>> {
        let all = if self.joint {
            vec![&self.source]
        } else {
            vec![&self.source, &self.target]
        };
        let json = all.into_iter().map(Tokenizer::to_json);
        Ok(json.collect::<Result<_, _>>()?)
    }

    /// For a checkpoint to carry.
    pub(super) fn to_values(&self) -> Result<Vec<Value>> {
        let damaged = |error| Error::Config(format!("the tokenizer: {error}"));
        let json = self.to_json()?;
        json.iter()
            .map(|json| serde_json::from_str(json).map_err(damaged))
            .collect()
    }

    /// From what [`to_values`](Self::to_values) gave.
    pub(super) fn from_values(values: &[Value]) -> Result<Self> {
        let read = |value: &Value| Tokenizer::from_json(&value.to_string());
        match values {
            [one] => Ok(Self::one(read(one)?)),
            [source, target] => Ok(Self {
                source: read(source)?,
                target: read(target)?,
                joint: false,
            }),
            _ => Err(Error::Config(format!(
                "expected one tokenizer or two, got {}",
                values.len()
            ))),
        }
    }
}
