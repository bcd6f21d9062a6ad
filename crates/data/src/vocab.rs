//! [`Vocab`]: the tokens that a model knows, words or characters, each with its number.
//!
//! Special tokens come first, in the order padding, unknown, begin, end, if they are wanted at
//! all. The others follow by falling count, those of equal count in alphabetical order, so the
//! numbers depend on the text alone. As JSON a vocabulary goes into a checkpoint's metadata; what
//! is read back is checked.
//!
//! ```
//! use mapsto_data::{Vocab, VocabConfig};
//! let config = VocabConfig { unk: Some("<unk>".to_owned()), ..VocabConfig::default() };
//! let vocab = Vocab::build("the cat and the dog".split(' '), &config)?;
//! assert_eq!(vocab.tokens(), ["<unk>", "the", "and", "cat", "dog"]);
//! let ids = vocab.encode("the dog barks".split(' '))?;
//! assert_eq!(ids, [1, 4, 0]);
//! assert_eq!(vocab.decode(&ids)?, ["the", "dog", "<unk>"]);
//! # Ok::<(), mapsto_data::Error>(())
//! ```

use std::collections::{BTreeMap, HashMap};

use serde::{Deserialize, Serialize};

use crate::{Error, Result};

/// Which tokens of a text a [`Vocab`] takes in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct VocabConfig {
    /// Tokens that are rarer are left out; default 1, which leaves out none.
    pub min_count: usize,
    /// Most tokens, special ones included; default without limit.
    pub max_size: Option<usize>,
    /// What short sequences are filled up with, `<pad>` by custom; default none.
    pub pad: Option<String>,
    /// What takes the place of an unknown token, `<unk>` by custom; default none, which makes
    /// an unknown token an error.
    pub unk: Option<String>,
    /// What a sequence begins with, `<bos>` by custom; default none.
    pub bos: Option<String>,
    /// What a sequence ends with, `<eos>` by custom; default none.
    pub eos: Option<String>,
}

impl Default for VocabConfig {
    fn default() -> Self {
        Self {
            min_count: 1,
            max_size: None,
            pad: None,
            unk: None,
            bos: None,
            eos: None,
        }
    }
}

/// The tokens that a model knows, each with its number.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Stored", into = "Stored")]
pub struct Vocab {
    stored: Stored,
    ids: HashMap<String, u32>,
}

/// A vocabulary as it is written down.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Stored {
    tokens: Vec<String>,
    pad: Option<u32>,
    unk: Option<u32>,
    bos: Option<u32>,
    eos: Option<u32>,
}

impl Vocab {
    /// Counts `tokens` and takes in those that `config` asks for.
    ///
    /// # Errors
    ///
    /// As for [`from_counts`](Self::from_counts).
    pub fn build<T: AsRef<str>>(
        tokens: impl IntoIterator<Item = T>,
        config: &VocabConfig,
    ) -> Result<Self> {
        let mut counts = HashMap::<String, usize>::new();
        for token in tokens {
            // Most tokens are there already and need no copy.
            match counts.get_mut(token.as_ref()) {
                Some(count) => *count += 1,
                None => drop(counts.insert(token.as_ref().to_owned(), 1)),
            }
        }
        Self::from_counts(counts, config)
    }

    /// Takes in the tokens of `counts` that `config` asks for; counts of one token add up.
    ///
    /// # Errors
    ///
    /// Where `max_size` leaves no place beside the special tokens, no token is there `min_count`
    /// times, a token is empty, or two special tokens are the same.
    pub fn from_counts(
        counts: impl IntoIterator<Item = (String, usize)>,
        config: &VocabConfig,
    ) -> Result<Self> {
        let mut summed = BTreeMap::<String, usize>::new();
        for (token, count) in counts {
            *summed.entry(token).or_default() += count;
        }
        let specials = [&config.pad, &config.unk, &config.bos, &config.eos];
        let mut tokens: Vec<String> = specials.into_iter().flatten().cloned().collect();
        for special in &tokens {
            summed.remove(special);
        }
        let mut next = 0;
        let ids = specials.map(|special| {
            special.as_ref().map(|_| {
                next += 1;
                next - 1
            })
        });
        let limit = config.max_size.unwrap_or(usize::MAX);
        if tokens.len() >= limit {
            return Err(Error::Config(format!(
                "the vocabulary may have {limit} tokens, but {} of them are special: raise \
                 max_size",
                tokens.len()
            )));
        }
        let mut found: Vec<(String, usize)> = summed.into_iter().collect();
        found.retain(|&(_, count)| count >= config.min_count);
        // Stable, so tokens of equal count keep the alphabetical order of the map.
        found.sort_by_key(|&(_, count)| std::cmp::Reverse(count));
        found.truncate(limit - tokens.len());
        if found.is_empty() {
            return Err(Error::Config(format!(
                "no token is there {} times or more: give more text, or lower min_count",
                config.min_count
            )));
        }
        tokens.extend(found.into_iter().map(|(token, _)| token));
        let [pad, unk, bos, eos] = ids;
        Self::try_from(Stored {
            tokens,
            pad,
            unk,
            bos,
            eos,
        })
    }

    /// Number of tokens.
    pub fn len(&self) -> usize {
        self.stored.tokens.len()
    }

    /// Whether there is no token; never so, since none is made or read without one.
    pub fn is_empty(&self) -> bool {
        self.stored.tokens.is_empty()
    }

    /// The tokens in the order of their numbers.
    pub fn tokens(&self) -> &[String] {
        &self.stored.tokens
    }

    /// The number of a token that is in the vocabulary.
    pub fn id(&self, token: &str) -> Option<u32> {
        self.ids.get(token).copied()
    }

    /// The token of a number.
    pub fn token(&self, id: u32) -> Option<&str> {
        let token = self.stored.tokens.get(usize::try_from(id).ok()?);
        token.map(String::as_str)
    }

    /// The number of the padding token.
    pub fn pad(&self) -> Option<u32> {
        self.stored.pad
    }

    /// The number of the token that stands for unknown ones.
    pub fn unk(&self) -> Option<u32> {
        self.stored.unk
    }

    /// The number of the token that a sequence begins with.
    pub fn bos(&self) -> Option<u32> {
        self.stored.bos
    }

    /// The number of the token that a sequence ends with.
    pub fn eos(&self) -> Option<u32> {
        self.stored.eos
    }

    /// The numbers of `tokens`; nothing is added at the ends.
    ///
    /// An unknown token becomes the unknown one, or an error where there is none.
    ///
    /// # Errors
    ///
    /// Where a token is not in the vocabulary, which has none for unknown ones.
    pub fn encode<T: AsRef<str>>(&self, tokens: impl IntoIterator<Item = T>) -> Result<Vec<u32>> {
        let number = |(place, token): (usize, T)| {
            let token = token.as_ref();
            let id = self.id(token).or(self.stored.unk);
            id.ok_or_else(|| Error::UnknownToken {
                token: token.to_owned(),
                place,
            })
        };
        tokens.into_iter().enumerate().map(number).collect()
    }

    /// The tokens of the numbers `ids`.
    ///
    /// # Errors
    ///
    /// Where a number is that of no token.
    pub fn decode(&self, ids: &[u32]) -> Result<Vec<&str>> {
        let token = |(place, &id)| {
            let len = self.len();
            self.token(id).ok_or(Error::UnknownId { id, place, len })
        };
        ids.iter().enumerate().map(token).collect()
    }
}

impl From<Vocab> for Stored {
    fn from(vocab: Vocab) -> Self {
        vocab.stored
    }
}

impl TryFrom<Stored> for Vocab {
    type Error = Error;

    fn try_from(stored: Stored) -> Result<Self> {
        let wrong = |what| Err(Error::Config(format!("the vocabulary is damaged: {what}")));
        let len = stored.tokens.len();
        if len == 0 || u32::try_from(len).is_err() {
            return wrong(format!("it has {len} tokens, expected 1 to {}", u32::MAX));
        }
        let mut ids = HashMap::with_capacity(len);
        for (id, token) in (0..).zip(&stored.tokens) {
            if token.is_empty() {
                return wrong(format!("token {id} is empty"));
            }
            if let Some(first) = ids.insert(token.clone(), id) {
                return wrong(format!("tokens {first} and {id} are both `{token}`"));
            }
        }
        let mut seen = Vec::new();
        let (pad, unk, bos, eos) = (stored.pad, stored.unk, stored.bos, stored.eos);
        let specials = [("pad", pad), ("unk", unk), ("bos", bos), ("eos", eos)];
        for (name, id) in specials {
            let Some(id) = id else { continue };
            if id as usize >= len {
                return wrong(format!("{name} is {id}, but there are {len} tokens"));
            }
            if let Some((first, _)) = seen.iter().find(|&&(_, other)| other == id) {
                return wrong(format!("{first} and {name} are both token {id}"));
            }
            seen.push((name, id));
        }
        Ok(Self { stored, ids })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(name: &str) -> Option<String> {
        Some(name.to_owned())
    }

    fn words(text: &str, config: &VocabConfig) -> Vocab {
        Vocab::build(text.split_whitespace(), config).unwrap()
    }

    #[test]
    fn order_is_by_count_and_then_by_alphabet() {
        let vocab = words("b d c a c b c é Z", &VocabConfig::default());
        assert_eq!(vocab.tokens(), ["c", "b", "Z", "a", "d", "é"]);
        assert_eq!(vocab, words("é Z c c c b b d a", &VocabConfig::default()));
        let counts = [("x", 1), ("y", 2), ("x", 2)].map(|(t, n)| (t.to_owned(), n));
        let vocab = Vocab::from_counts(counts, &VocabConfig::default()).unwrap();
        assert_eq!(vocab.tokens(), ["x", "y"]);
    }

    #[test]
    fn specials_come_first_and_once() {
        let config = VocabConfig {
            pad: named("<pad>"),
            unk: named("<unk>"),
            eos: named("<eos>"),
            ..VocabConfig::default()
        };
        let vocab = words("a <unk> <eos> b b <unk> <eos> <eos>", &config);
        assert_eq!(vocab.tokens(), ["<pad>", "<unk>", "<eos>", "b", "a"]);
        let ids = (vocab.pad(), vocab.unk(), vocab.bos(), vocab.eos());
        assert_eq!(ids, (Some(0), Some(1), None, Some(2)));
        let config = VocabConfig {
            bos: named("<eos>"),
            ..config
        };
        let error = Vocab::build(["a"], &config).unwrap_err().to_string();
        assert!(error.contains("both `<eos>`"), "{error}");
    }

    #[test]
    fn rare_tokens_and_those_beyond_the_size_are_left_out() {
        let text = "a a a b b c c d";
        let config = |min_count, max_size| VocabConfig {
            min_count,
            max_size,
            unk: named("?"),
            ..VocabConfig::default()
        };
        assert_eq!(words(text, &config(2, None)).tokens(), ["?", "a", "b", "c"]);
        assert_eq!(words(text, &config(1, Some(3))).tokens(), ["?", "a", "b"]);
        for (config, hint) in [
            (config(4, None), "min_count"),
            (config(1, Some(1)), "max_size"),
        ] {
            let error = Vocab::build(text.split(' '), &config).unwrap_err();
            assert!(error.to_string().contains(hint), "{error}");
        }
    }

    #[test]
    fn what_is_unknown_is_named_with_its_place() {
        let vocab = words("a b", &VocabConfig::default());
        let error = vocab.encode(["a", "b", "zebra"]).unwrap_err();
        assert!(matches!(&error, Error::UnknownToken { token, place: 2 } if token == "zebra"));
        assert!(error.to_string().contains("`zebra`"), "{error}");
        let error = vocab.decode(&[1, 2]).unwrap_err();
        assert!(matches!(
            error,
            Error::UnknownId {
                id: 2,
                place: 1,
                len: 2
            }
        ));
        assert_eq!(vocab.token(1), Some("b"));
        assert_eq!((vocab.token(2), vocab.id("c")), (None, None));
    }

    #[test]
    fn characters_are_tokens_like_words() {
        let text = "banana";
        let chars = text
            .char_indices()
            .map(|(at, c)| &text[at..at + c.len_utf8()]);
        let vocab = Vocab::build(chars.clone(), &VocabConfig::default()).unwrap();
        assert_eq!(vocab.tokens(), ["a", "n", "b"]);
        assert_eq!(vocab.encode(chars).unwrap(), [2, 0, 1, 0, 1, 0]);
    }

    #[test]
    fn json_comes_back_and_damage_is_refused() {
        let config = VocabConfig {
            unk: named("<unk>"),
            bos: named("<s>"),
            ..VocabConfig::default()
        };
        let vocab = words("a \" ü", &config);
        let json = serde_json::to_string(&vocab).unwrap();
        assert_eq!(serde_json::from_str::<Vocab>(&json).unwrap(), vocab);
        for (json, what) in [
            (r#"{"tokens":["a","b","a"]}"#, "tokens 0 and 2 are both `a`"),
            (r#"{"tokens":["a",""]}"#, "token 1 is empty"),
            (r#"{"tokens":[]}"#, "0 tokens"),
            (r#"{"tokens":["a"],"unk":1}"#, "unk is 1, but there are 1"),
            (
                r#"{"tokens":["a"],"unk":0,"eos":0}"#,
                "unk and eos are both token 0",
            ),
            (r#"{"tokens":["a"],"size":1}"#, "unknown field"),
        ] {
            let error = serde_json::from_str::<Vocab>(json).unwrap_err().to_string();
            assert!(error.contains(what), "{json}: {error}");
        }
    }
}
