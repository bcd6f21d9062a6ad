//! [`Tokenizer`]: cuts text into pieces of words that it has learnt, and joins them again.
//!
//! | kind | how it is trained | what it makes of unknown characters | text that comes back |
//! | --- | --- | --- | --- |
//! | [`Bpe`](TokenizerKind::Bpe) | joins the commonest pair of pieces, from bytes on | nothing is unknown | the normalised text |
//! | [`WordPiece`](TokenizerKind::WordPiece) | as BPE, from characters on; words are cut at signs first | the word becomes `<unk>` | words and signs with a space between |
//! | [`Word`](TokenizerKind::Word) | takes the commonest words and signs as they are | `<unk>` | the normalised text, without a space in front, where no word is unknown |
//! | [`Unigram`](TokenizerKind::Unigram) | drops the pieces that the text's likelihood misses least | `<unk>` | the normalised text, without a space in front, where no character is unknown |
//!
//! Text is normalised first: Unicode's NFKC, and small letters if asked for. The tokens `<pad>`,
//! `<unk>`, `<bos>` and `<eos>` have the numbers 0 to 3; where a text spells one of them out, it
//! is that token. Encoding adds none at the ends, and decoding leaves all of them out.
//!
//! Training depends on the lines and the settings only: the words are counted in sorted order,
//! and what a library does in an order of chance is put in order. The file is Hugging Face's
//! `tokenizer.json`.
//!
//! ```
//! use mapsto_data::{Tokenizer, TokenizerConfig};
//! let config = TokenizerConfig { vocab_size: 300, ..TokenizerConfig::default() };
//! let tokenizer = Tokenizer::train(["the cat and the dog", "the cats and dogs"], &config)?;
//! let ids = tokenizer.encode("the dogs and a zebra")?;
//! assert_eq!(tokenizer.decode(&ids)?, "the dogs and a zebra");
//! assert_eq!(ids.first().copied(), tokenizer.id("the"));
//! # Ok::<(), mapsto_data::Error>(())
//! ```
//!
//! **References:** Sennrich et al., "Neural Machine Translation of Rare Words with Subword
//! Units", 2016, arXiv:1508.07909; Wu et al., "Google's Neural Machine Translation System",
//! 2016, arXiv:1609.08144; Kudo, "Subword Regularization", 2018, arXiv:1804.10959.

mod train;

use std::fmt;
use std::io::Write;
use std::path::Path;

use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use tokenizers::Decoder;

use crate::{Error, Result, atomic};

/// The special tokens in the order of their numbers.
const SPECIALS: [&str; 4] = ["<pad>", "<unk>", "<bos>", "<eos>"];

/// How a [`Tokenizer`] finds its pieces.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TokenizerKind {
    /// Byte-pair encoding over bytes; the default.
    #[default]
    Bpe,
    /// The pieces inside a word begin with `##`.
    WordPiece,
    /// A language model of single pieces; a space is written `▁`.
    Unigram,
    /// Whole words and signs, the commonest; a space is written `▁`.
    Word,
}

/// How a [`Tokenizer`] is trained.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TokenizerConfig {
    /// How the pieces are found; default [`TokenizerKind::Bpe`].
    pub kind: TokenizerKind,
    /// Most tokens, special ones included; default 8,000. Little text gives fewer. BPE needs 260
    /// or more, the others a few more than there are characters.
    pub vocab_size: usize,
    /// A pair of pieces that is rarer is not joined; default 2. For Unigram: a word that is rarer
    /// is no piece as a whole. For Word: a rarer word is unknown.
    pub min_frequency: u64,
    /// Whether capital letters become small; default no.
    pub lowercase: bool,
}

impl Default for TokenizerConfig {
    fn default() -> Self {
        Self {
            kind: TokenizerKind::default(),
            vocab_size: 8000,
            min_frequency: 2,
            lowercase: false,
        }
    }
}

/// A piece of a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Piece {
    /// Its number.
    pub id: u32,
    /// As written in the file; of an unknown one what the text has there, written as one that is
    /// known would be.
    pub token: String,
}

/// Cuts text into pieces of words, each with its number.
#[derive(Clone)]
pub struct Tokenizer {
    inner: tokenizers::Tokenizer,
}

impl Tokenizer {
    /// The number of `<pad>`, which fills short sequences up.
    pub const PAD: u32 = 0;
    /// The number of `<unk>`, which stands for what is unknown.
    pub const UNK: u32 = 1;
    /// The number of `<bos>`, which a sequence begins with.
    pub const BOS: u32 = 2;
    /// The number of `<eos>`, which a sequence ends with.
    pub const EOS: u32 = 3;

    /// Learns the pieces from lines of text.
    ///
    /// # Errors
    ///
    /// Where there is no text, or `vocab_size` is too small for the characters in it.
    pub fn train<T: AsRef<str>>(
        lines: impl IntoIterator<Item = T>,
        config: &TokenizerConfig,
    ) -> Result<Self> {
        let inner = train::train(lines, config)?;
        Ok(Self { inner })
    }

    /// Reads a `tokenizer.json`.
    ///
    /// # Errors
    ///
    /// Where the file cannot be read, or as in [`Tokenizer::from_json`].
    pub fn load(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let json = std::fs::read_to_string(path).map_err(|error| match error.kind() {
            std::io::ErrorKind::InvalidData => Error::format(path, "this is not UTF-8 text"),
            _ => Error::io(path, error),
        })?;
        Self::from_json(&json).map_err(|error| Error::format(path, error.to_string()))
    }

    /// Writes a `tokenizer.json`; the file is whole or not there.
    ///
    /// # Errors
    ///
    /// Where the file cannot be written, or as in [`Tokenizer::to_json`].
    pub fn save(&self, path: impl AsRef<Path>) -> Result<()> {
        let json = self.to_json()?;
        atomic::write(path.as_ref(), |file| file.write_all(json.as_bytes()))
    }

    /// Reads what [`Tokenizer::to_json`] wrote.
    ///
    /// # Errors
    ///
    /// Where `json` is damaged, or the special tokens have not the numbers 0 to 3.
    pub fn from_json(json: &str) -> Result<Self> {
        let inner: tokenizers::Tokenizer = json.parse().map_err(|error| {
            let hint = "take a tokenizer.json that was saved whole";
            Error::Tokenizer(format!("the JSON is damaged: {error}: {hint}"))
        })?;
        for (number, special) in (0..).zip(SPECIALS) {
            let found = inner.token_to_id(special);
            if found != Some(number) {
                let found = found.map_or("is missing".to_owned(), |id| format!("has number {id}"));
                return Err(Error::Tokenizer(format!(
                    "`{special}` {found}, expected number {number}: train the tokenizer here"
                )));
            }
        }
        Ok(Self { inner })
    }

    /// The contents of a `tokenizer.json`, for a checkpoint to carry.
    ///
    /// # Errors
    ///
    /// Where a part of the tokenizer cannot be written as JSON.
    pub fn to_json(&self) -> Result<String> {
        self.inner.to_string(false).map_err(failed)
    }

    /// Number of tokens, the special ones included.
    pub fn len(&self) -> usize {
        self.inner.get_vocab_size(true)
    }

    /// Whether there is no token; never so, since the special ones are always there.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The number of a token, which is written as in the file.
    pub fn id(&self, token: &str) -> Option<u32> {
        self.inner.token_to_id(token)
    }

    /// The token of a number, written as in the file.
    pub fn token(&self, id: u32) -> Option<String> {
        self.inner.id_to_token(id)
    }

    /// The numbers of a text's tokens; none for an empty text.
    ///
    /// # Errors
    ///
    /// Where the text has what the tokenizer has no token for, not `<unk>` either; one that was
    /// trained here knows no such text.
    pub fn encode(&self, text: &str) -> Result<Vec<u32>> {
        let encoding = self.inner.encode_fast(text, false).map_err(failed)?;
        Ok(encoding.get_ids().to_vec())
    }

    /// The tokens of a text, with what stands for the unknown ones.
    ///
    /// # Errors
    ///
    /// As in [`Tokenizer::encode`].
    pub fn pieces(&self, text: &str) -> Result<Vec<Piece>> {
        let encoding = self.inner.encode(text, false).map_err(failed)?;
        let known = encoding.get_ids().iter().zip(encoding.get_tokens());
        let parts = encoding.get_offsets().iter();
        let parts = parts.map(|&(from, to)| text.get(from..to).unwrap_or_default());
        let pieces = known.zip(parts).enumerate();
        let piece = |(place, ((&id, token), part)): (usize, ((&u32, &String), &str))| Piece {
            id,
            token: match id {
                Self::UNK => written(place, part),
                _ => token.clone(),
            },
        };
        Ok(pieces.map(piece).collect())
    }

    /// The text of tokens that are written as in the file.
    ///
    /// # Errors
    ///
    /// Where the tokenizer's decoder refuses the tokens.
    pub fn join(&self, tokens: Vec<String>) -> Result<String> {
        match self.inner.get_decoder() {
            Some(decoder) => decoder.decode(tokens).map_err(failed),
            None => Ok(tokens.join(" ")),
        }
    }

    /// [`Tokenizer::encode`] of each text, on all processors.
    ///
    /// # Errors
    ///
    /// As in [`Tokenizer::encode`], of any text.
    pub fn encode_batch<T: AsRef<str> + Sync>(&self, texts: &[T]) -> Result<Vec<Vec<u32>>> {
        let texts = texts.par_iter();
        texts.map(|text| self.encode(text.as_ref())).collect()
    }

    /// The text of numbers; the special tokens are left out.
    ///
    /// # Errors
    ///
    /// Where a number is that of no token.
    pub fn decode(&self, ids: &[u32]) -> Result<String> {
        for (place, &id) in ids.iter().enumerate() {
            if self.token(id).is_none() {
                let len = self.len();
                return Err(Error::UnknownId { id, place, len });
            }
        }
        self.inner.decode(ids, true).map_err(failed)
    }
}

/// An unknown word with the mark of the space in front of it, which its part of the text begins
/// with; in front of the first there need be none.
fn written(place: usize, part: &str) -> String {
    let mark = (place == 0 || part.starts_with(char::is_whitespace)).then_some(train::SPACE);
    mark.into_iter().chain(part.trim().chars()).collect()
}

impl fmt::Debug for Tokenizer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut tokenizer = f.debug_struct("Tokenizer");
        tokenizer.field("len", &self.len()).finish_non_exhaustive()
    }
}

pub(crate) fn failed(error: tokenizers::Error) -> Error {
    Error::Tokenizer(error.to_string())
}
