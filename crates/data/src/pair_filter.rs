//! [`PairFilter`]: drops pairs of sentences that teach a translator little, and brings texts into
//! one form.
//!
//! Lengths are in words by Unicode's rule for boundaries, signs not counted, so that a Chinese
//! character is a word. A pair is dropped for the first reason of these: a side is too short, one
//! is too long, the sides differ too much in length, the pair is there already.
//!
//! ```
//! use mapsto_data::{Dataset, PairFilter, ParallelText, ParallelTextConfig};
//! let folder = tempfile::tempdir().unwrap();
//! let path = folder.path().join("a.tsv");
//! std::fs::write(&path, "a ﬁsh\tein Fisch\na ﬁsh\tein Fisch\n?\t!\n").unwrap();
//! let mut set = ParallelText::open(&path, &ParallelTextConfig::default())?;
//! let dropped = set.clean(&PairFilter::default())?;
//! assert_eq!((dropped.short, dropped.duplicates, set.train().len()), (1, 1, 1));
//! assert_eq!(set.train().0[0].0, "a fish");
//! # Ok::<(), mapsto_data::Error>(())
//! ```
//!
//! **Reference:** the script `clean-corpus-n` of Koehn et al., "Moses: Open Source Toolkit for
//! Statistical Machine Translation", 2007, for lengths and ratio; Unicode Standard Annexes 15
//! and 29.

use std::collections::HashSet;

use serde::{Deserialize, Serialize};
use tokenizers::normalizers::NFKC;
use tokenizers::{NormalizedString, Normalizer};
use unicode_segmentation::UnicodeSegmentation;

use crate::tokenizer::failed;
use crate::{Error, Result};

/// Which pairs a train part keeps, and the form of all texts.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct PairFilter {
    /// Fewest words of each side; default 1, which drops sides of signs alone.
    pub min_len: usize,
    /// Most words of each side; default 100.
    pub max_len: usize,
    /// The longer side has at most this many times the words of the shorter, 1 or more; default
    /// 9, Moses's. German numbers are single words, so lower ones drop most of them.
    pub max_ratio: f64,
    /// Whether a pair that is there already is dropped; default yes.
    pub drop_duplicates: bool,
    /// Whether texts are brought into Unicode's form NFKC; default yes, as
    /// [`Tokenizer`](crate::Tokenizer) does it anyway and gives back text in that form.
    pub nfkc: bool,
    /// Whether capital letters become small; default no.
    pub lowercase: bool,
}

/// How many pairs were dropped, by the reason.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Dropped {
    /// A side had less than `min_len` words.
    pub short: usize,
    /// A side had more than `max_len` words.
    pub long: usize,
    /// The sides differed by more than `max_ratio`.
    pub ratio: usize,
    /// The pair was there already.
    pub duplicates: usize,
}

impl Dropped {
    /// The sum over all reasons.
    pub fn total(&self) -> usize {
        self.short + self.long + self.ratio + self.duplicates
    }
}

impl Default for PairFilter {
    fn default() -> Self {
        Self {
            min_len: 1,
            max_len: 100,
            max_ratio: 9.0,
            drop_duplicates: true,
            nfkc: true,
            lowercase: false,
        }
    }
}

impl PairFilter {
    /// The filter that brings texts into the same form and drops no pair.
    #[must_use]
    pub fn of_form(&self) -> Self {
        Self {
            min_len: 0,
            max_len: usize::MAX,
            max_ratio: f64::INFINITY,
            drop_duplicates: false,
            ..self.clone()
        }
    }

    /// Brings texts into the form that is asked for.
    pub(crate) fn normalise(&self, pairs: &mut [(String, String)]) -> Result<()> {
        for text in pairs
            .iter_mut()
            .flat_map(|(source, target)| [source, target])
        {
            if self.nfkc {
                let mut normalised = NormalizedString::from(text.as_str());
                NFKC.normalize(&mut normalised).map_err(failed)?;
                *text = normalised.get().trim().to_owned();
            }
            if self.lowercase {
                *text = text.to_lowercase();
            }
        }
        Ok(())
    }

    /// Drops pairs and says how many.
    pub(crate) fn filter(&self, pairs: &mut Vec<(String, String)>) -> Result<Dropped> {
        self.check()?;
        let mut dropped = Dropped::default();
        let mut seen = HashSet::new();
        pairs.retain(|pair| {
            let reason = self.reason(pair, &mut dropped);
            if reason.is_none() && self.drop_duplicates && !seen.insert(pair.clone()) {
                dropped.duplicates += 1;
                return false;
            }
            reason.map(|count| *count += 1).is_none()
        });
        if pairs.is_empty() {
            return Err(Error::Config(format!(
                "the filter leaves no pair to learn from: {dropped:?}: loosen its settings"
            )));
        }
        Ok(dropped)
    }

    /// The count of the reason for which a pair is dropped by its lengths.
    fn reason<'a>(
        &self,
        (source, target): &(String, String),
        dropped: &'a mut Dropped,
    ) -> Option<&'a mut usize> {
        let [source, target] = [source, target].map(|text| text.unicode_words().count());
        let (short, long) = (source.min(target), source.max(target));
        if short < self.min_len {
            Some(&mut dropped.short)
        } else if long > self.max_len {
            Some(&mut dropped.long)
        } else if long as f64 > self.max_ratio * short as f64 {
            Some(&mut dropped.ratio)
        } else {
            None
        }
    }

    fn check(&self) -> Result<()> {
        let (min, max) = (self.min_len, self.max_len);
        let what = if min > max {
            format!("min_len is {min} and max_len {max}: give a max_len of {min} or more")
        } else if self.max_ratio.is_nan() || self.max_ratio < 1.0 {
            format!("max_ratio is {}: give 1 or more", self.max_ratio)
        } else {
            return Ok(());
        };
        Err(Error::Config(what))
    }
}
