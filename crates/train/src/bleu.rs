//! [`corpus_bleu`]: how much translations resemble references, as sacreBLEU counts it.
//!
//! `BLEU = BP exp(1/4 sum over n = 1..4 of ln p_n)` in percent: `p_n` is the share of the
//! translations' runs of `n` tokens that are in their references, each counted at most as often
//! as there, and `BP = min(1, exp(1 - r / c))` for `c` tokens of translations and `r` of
//! references. Where no run of a length is right, `p_n = 1 / (2^k total_n)` for the k-th such
//! length. All counts are summed over the corpus before the shares are taken.
//!
//! Scores are comparable only with the same [signature](BleuConfig::signature).
//!
//! ```
//! use mapsto_train::{BleuConfig, corpus_bleu};
//! let bleu = corpus_bleu(&["A cat sat down."], &["A cat sat up."], &BleuConfig::default())?;
//! assert_eq!(bleu.counts, [4, 2, 1, 0]);
//! assert!((bleu.score - 42.73).abs() < 0.01);
//! # Ok::<(), mapsto_tensor::Error>(())
//! ```
//!
//! **References:** Kishore Papineni et al., "BLEU: a method for automatic evaluation of machine
//! translation", 2002; Matt Post, "A call for clarity in reporting BLEU scores", 2018.

mod tokenize;

use std::collections::HashMap;

use mapsto_tensor::{Result, bail};
use serde::{Deserialize, Serialize};

/// The longest runs of tokens that are counted.
const ORDER: usize = 4;

/// The release of sacreBLEU whose scores these are.
const VERSION: &str = "2.6.0";

/// How text is cut into tokens.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum BleuTokenizer {
    /// `13a`, that of the WMT's `mteval-v13a`: signs are tokens of their own, but for those
    /// inside numbers.
    #[default]
    #[serde(rename = "13a")]
    V13a,
    /// `char`: each character that is no white space; for languages without spaces.
    #[serde(rename = "char")]
    Char,
    /// `none`: the text is cut at white space only.
    #[serde(rename = "none")]
    None,
}

/// What is counted as the same token.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct BleuConfig {
    /// How text is cut into tokens; default [`BleuTokenizer::V13a`].
    pub tokenize: BleuTokenizer,
    /// Whether capital letters count as small ones; default no.
    pub lowercase: bool,
}

impl BleuConfig {
    /// What sacreBLEU calls a score made like this, such as
    /// `nrefs:1|case:mixed|eff:no|tok:13a|smooth:exp|version:2.6.0`.
    pub fn signature(&self) -> String {
        self.signature_of("no")
    }

    fn signature_of(&self, effective: &str) -> String {
        let case = if self.lowercase { "lc" } else { "mixed" };
        let tokenize = match self.tokenize {
            BleuTokenizer::V13a => "13a",
            BleuTokenizer::Char => "char",
            BleuTokenizer::None => "none",
        };
        format!("nrefs:1|case:{case}|eff:{effective}|tok:{tokenize}|smooth:exp|version:{VERSION}")
    }

    fn tokens(&self, text: &str) -> Vec<String> {
        // Not the white space in front, as sacreBLEU does.
        let text = text.trim_end();
        if self.lowercase {
            tokenize::tokens(&text.to_lowercase(), self.tokenize)
        } else {
            tokenize::tokens(text, self.tokenize)
        }
    }
}

/// A score and what it was made of.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Bleu {
    /// In percent.
    pub score: f64,
    /// `p_1` to `p_4` in percent.
    pub precisions: [f64; ORDER],
    /// Runs of each length that are right.
    pub counts: [usize; ORDER],
    /// Runs of each length in the translations.
    pub totals: [usize; ORDER],
    /// `BP`, the factor for short translations.
    pub brevity_penalty: f64,
    /// Tokens of the translations.
    pub hypothesis_len: usize,
    /// Tokens of the references.
    pub reference_len: usize,
    /// What sacreBLEU calls a score made like this.
    pub signature: String,
}

/// The BLEU of translations against one reference each.
///
/// # Errors
/// When there is no translation, or not one for each reference.
pub fn corpus_bleu<H: AsRef<str>, R: AsRef<str>>(
    hypotheses: &[H],
    references: &[R],
    config: &BleuConfig,
) -> Result<Bleu> {
    if hypotheses.len() != references.len() || hypotheses.is_empty() {
        bail!(
            "BLEU: {} translations for {} references; give one for each, in the same order",
            hypotheses.len(),
            references.len()
        );
    }
    let mut counted = Counted::default();
    for (hypothesis, reference) in hypotheses.iter().zip(references) {
        counted.add(hypothesis.as_ref(), reference.as_ref(), config);
    }
    Ok(counted.bleu(false, config))
}

/// The BLEU of a single translation: lengths of which it has no run do not count.
pub fn sentence_bleu(hypothesis: &str, reference: &str, config: &BleuConfig) -> Bleu {
    let mut counted = Counted::default();
    counted.add(hypothesis, reference, config);
    counted.bleu(true, config)
}

#[derive(Default)]
struct Counted {
    counts: [usize; ORDER],
    totals: [usize; ORDER],
    hypothesis_len: usize,
    reference_len: usize,
}

impl Counted {
    fn add(&mut self, hypothesis: &str, reference: &str, config: &BleuConfig) {
        let (hypothesis, reference) = (config.tokens(hypothesis), config.tokens(reference));
        self.hypothesis_len += hypothesis.len();
        self.reference_len += reference.len();
        for n in 1..=ORDER {
            let known = runs(&reference, n);
            for (run, count) in runs(&hypothesis, n) {
                self.counts[n - 1] += count.min(known.get(run).copied().unwrap_or(0));
                self.totals[n - 1] += count;
            }
        }
    }

    fn bleu(&self, effective: bool, config: &BleuConfig) -> Bleu {
        let (precisions, order) = self.precisions(effective);
        let brevity_penalty = match (self.hypothesis_len, self.reference_len) {
            (0, _) => 0.0,
            (c, r) if c < r => (1.0 - r as f64 / c as f64).exp(),
            _ => 1.0,
        };
        // A length without any run, in a corpus of very short sentences, makes the mean 0.
        let mean = precisions[..order].iter().map(|p| p.ln()).sum::<f64>() / order as f64;
        let none = self.counts == [0; ORDER];
        Bleu {
            score: if none {
                0.0
            } else {
                brevity_penalty * mean.exp()
            },
            precisions,
            counts: self.counts,
            totals: self.totals,
            brevity_penalty,
            hypothesis_len: self.hypothesis_len,
            reference_len: self.reference_len,
            signature: config.signature_of(if effective { "yes" } else { "no" }),
        }
    }

    /// Shares in percent, and the lengths that count.
    fn precisions(&self, effective: bool) -> ([f64; ORDER], usize) {
        let (mut precisions, mut order) = ([0.0; ORDER], ORDER);
        let mut halved = 1.0;
        for (n, precision) in precisions.iter_mut().enumerate() {
            let (count, total) = (self.counts[n] as f64, self.totals[n] as f64);
            if total == 0.0 {
                break;
            }
            if effective {
                order = n + 1;
            }
            *precision = if count == 0.0 {
                halved *= 2.0;
                100.0 / (halved * total)
            } else {
                100.0 * count / total
            };
        }
        (precisions, order)
    }
}

/// How often each run of `n` tokens is there.
fn runs(tokens: &[String], n: usize) -> HashMap<&[String], usize> {
    let mut runs = HashMap::new();
    for run in tokens.windows(n) {
        *runs.entry(run).or_default() += 1;
    }
    runs
}
