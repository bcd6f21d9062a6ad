//! [`beam_search`]: a likely target, by a beam or greedily.
//!
//! A beam keeps the `size` likeliest beginnings of a target at each step. A finished one is scored
//! by `log p / lp + cp` with the penalties of length `lp = ((5 + length) / 6)^alpha` and of coverage
//! `cp = beta * sum over s of ln(min(1, sum over t of a_ts))`, where `a_ts` is the attention of the
//! target's word `t` (its end is one) to the source's word `s`. The search ends when no beginning
//! can become better than what is finished, or at `max_len` words.
//!
//! **Reference:** Yonghui Wu et al., "Google's neural machine translation system: bridging the gap
//! between human and machine translation", 2016 (both penalties).

use mapsto_tensor::{Result, Tensor, bail};
use serde::{Deserialize, Serialize};

use super::super::encoder_decoder::EncoderDecoder;
use super::Found;

/// How a beam search goes.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct BeamConfig {
    /// Beginnings that are kept, at least 1; default 5.
    pub size: usize,
    /// `alpha` of the length penalty, at least 0; default 1. With 0 short targets are preferred.
    pub length_penalty: f64,
    /// `beta` of the coverage penalty, at least 0; default 0. Above it targets are preferred that
    /// look at all of their source; for networks with attention alone.
    pub coverage_penalty: f64,
    /// Most words of a target, `<eos>` not counted; default 100.
    pub max_len: usize,
    /// The best targets that are given, at most `size`; default 1.
    pub best: usize,
    /// The number of the word that a target begins with.
    pub bos: u32,
    /// The number of the word that ends a target.
    pub eos: u32,
}

impl Default for BeamConfig {
    fn default() -> Self {
        Self {
            size: 5,
            length_penalty: 1.0,
            coverage_penalty: 0.0,
            max_len: 100,
            best: 1,
            bos: mapsto_data::Tokenizer::BOS,
            eos: mapsto_data::Tokenizer::EOS,
        }
    }
}

/// The likeliest word at each step, for each source `(N, S)`: a beam of one.
///
/// # Errors
/// As for [`beam_search`].
pub fn greedy_search(
    model: &dyn EncoderDecoder,
    source: (&Tensor, &[usize]),
    config: &BeamConfig,
) -> Result<Vec<Found>> {
    let config = BeamConfig {
        size: 1,
        best: 1,
        ..*config
    };
    let found = beam_search(model, source, &config)?;
    Ok(found.into_iter().flatten().collect())
}

/// The best targets of each source `(N, S)`, the best first.
///
/// # Errors
/// When a setting is out of range, or the sources do not fit the model.
pub fn beam_search(
    model: &dyn EncoderDecoder,
    source: (&Tensor, &[usize]),
    config: &BeamConfig,
) -> Result<Vec<Vec<Found>>> {
    config.check()?;
    let count = source.1.len();
    let mut searches: Vec<Search> = (0..count).map(|_| Search::new(config)).collect();
    let mut state = model.read(source.0, source.1)?;
    for _ in 0..=config.max_len {
        let words: Vec<u32> = searches.iter().flat_map(Search::last_words).collect();
        if words.is_empty() {
            break;
        }
        let next = model.write(&words, &state)?;
        if config.coverage_penalty > 0.0 && next.attention.is_empty() {
            bail!("a coverage penalty needs a network with attention, and this one has none");
        }
        let (mut first, mut kept) = (0, vec![]);
        for search in &mut searches {
            let here = search.beginnings.len();
            let looked = next.attention.get(first..first + here).unwrap_or_default();
            let from = search.step(&next.log_probabilities[first..][..here], looked);
            kept.extend(from.into_iter().map(|place| (first + place) as u32));
            first += here;
        }
        // Not every device can keep nothing.
        if kept.is_empty() {
            break;
        }
        state = next.state.keep(&kept)?;
    }
    Ok(searches.into_iter().map(Search::best).collect())
}

impl BeamConfig {
    fn check(&self) -> Result<()> {
        if self.size == 0 || self.best == 0 || self.best > self.size || self.max_len == 0 {
            bail!(
                "beam search: expected a size and a length of at least 1 and at most `size` \
                 results, got {self:?}"
            );
        }
        for (what, penalty) in [
            ("length", self.length_penalty),
            ("coverage", self.coverage_penalty),
        ] {
            if !(penalty >= 0.0 && penalty.is_finite()) {
                bail!("beam search: the {what} penalty must be 0 or more, got {penalty}");
            }
        }
        Ok(())
    }
}

/// The search for one source.
struct Search {
    config: BeamConfig,
    beginnings: Vec<Beginning>,
    finished: Vec<Found>,
}

#[derive(Clone)]
struct Beginning {
    words: Vec<u32>,
    log_probability: f64,
    attention: Vec<Vec<f32>>,
}

impl Search {
    fn new(config: &BeamConfig) -> Self {
        let empty = Beginning {
            words: vec![],
            log_probability: 0.0,
            attention: vec![],
        };
        Self {
            config: *config,
            beginnings: vec![empty],
            finished: vec![],
        }
    }

    fn last_words(&self) -> impl Iterator<Item = u32> {
        let beginnings = self.beginnings.iter();
        beginnings.map(|b| b.words.last().copied().unwrap_or(self.config.bos))
    }

    fn penalty(&self, words: usize) -> f64 {
        // The end counts as a word.
        ((6 + words) as f64 / 6.0).powf(self.config.length_penalty)
    }

    /// Goes on by a word, given `log p` of each beginning's next; gives the beginning that each of
    /// the new ones came from.
    fn step(&mut self, log_p: &[Vec<f32>], attention: &[Vec<f32>]) -> Vec<usize> {
        let size = self.config.size;
        let mut candidates = vec![];
        for (place, (beginning, log_p)) in self.beginnings.iter().zip(log_p).enumerate() {
            let next = if beginning.words.len() == self.config.max_len {
                vec![self.config.eos as usize]
            } else {
                // No more than these after one beginning can be among the best.
                largest(log_p, size + 1)
            };
            for word in next {
                let total = beginning.log_probability + f64::from(log_p[word]);
                candidates.push((total, place, word as u32));
            }
        }
        // Of equal ones the earlier, so that a search does not depend on the order of a sort.
        candidates.sort_by(|a, b| b.0.total_cmp(&a.0).then((a.1, a.2).cmp(&(b.1, b.2))));
        let before = std::mem::take(&mut self.beginnings);
        let mut from = vec![];
        for (rank, (total, place, word)) in candidates.into_iter().enumerate() {
            if from.len() == size {
                break;
            }
            let is_end = word == self.config.eos;
            if is_end && rank >= size {
                continue;
            }
            let mut next = before[place].clone();
            next.log_probability = total;
            next.attention.extend(attention.get(place).cloned());
            if is_end {
                self.finish(next);
                continue;
            }
            next.words.push(word);
            self.beginnings.push(next);
            from.push(place);
        }
        if self.is_over() {
            self.beginnings.clear();
            from.clear();
        }
        from
    }

    fn finish(&mut self, whole: Beginning) {
        let score = whole.log_probability / self.penalty(whole.words.len())
            + self.config.coverage_penalty * uncovered(&whole.attention);
        self.finished.push(Found {
            words: whole.words,
            log_probability: whole.log_probability,
            score,
            attention: whole.attention,
        });
        self.finished.sort_by(|a, b| b.score.total_cmp(&a.score));
        self.finished.truncate(self.config.size);
    }

    /// Whether the results are there and no beginning can become better than the last of them.
    fn is_over(&self) -> bool {
        let Some(worst) = self.finished.get(self.config.best - 1) else {
            return false;
        };
        if self.config.size == 1 {
            return true;
        }
        // Each further word makes `log p` smaller and the penalty larger, up to that of the longest;
        // what is not covered can only cost.
        let longest = self.penalty(self.config.max_len);
        let hope = self.beginnings.iter().map(|b| b.log_probability / longest);
        hope.fold(f64::NEG_INFINITY, f64::max) <= worst.score
    }

    fn best(mut self) -> Vec<Found> {
        self.finished.truncate(self.config.best);
        self.finished
    }
}

/// `sum over s of ln(min(1, sum over t of a_ts))`, where what was never looked at counts as little,
/// not as nothing, whose logarithm is no number to compare with.
fn uncovered(attention: &[Vec<f32>]) -> f64 {
    let places = attention.first().map_or(0, Vec::len);
    let looked = |place| {
        attention
            .iter()
            .map(|row| f64::from(row[place]))
            .sum::<f64>()
    };
    let looked = (0..places).map(looked);
    looked.map(|sum| sum.clamp(1e-9, 1.0).ln()).sum()
}

/// The places of the `count` largest values, NaN left out, the earlier of equal ones first.
pub(in crate::seq2seq) fn largest(values: &[f32], count: usize) -> Vec<usize> {
    let mut best: Vec<usize> = vec![];
    for (place, value) in values.iter().enumerate().filter(|(_, v)| !v.is_nan()) {
        if best.len() == count && best.last().is_some_and(|&last| *value <= values[last]) {
            continue;
        }
        let at = best.partition_point(|&other| values[other] >= *value);
        best.insert(at, place);
        best.truncate(count);
    }
    best
}
