//! [`sample`]: targets drawn word by word, each as often as the network believes in it.

use mapsto_tensor::rng::{Generator, Stream};
use mapsto_tensor::{Result, Tensor, bail};
use rand::Rng;
use serde::{Deserialize, Serialize};

use super::super::encoder_decoder::EncoderDecoder;
use super::Found;
use crate::sampling::Sampling;

/// How targets are drawn.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SampleConfig {
    /// How each word is drawn.
    pub sampling: Sampling,
    /// Targets of each source, at least 1; default 1.
    pub count: usize,
    /// Fixes the draws, together with the number of the source; default 0.
    pub seed: u64,
    /// Most words of a target, `<eos>` not counted; default 100.
    pub max_len: usize,
    /// The number of the word that a target begins with.
    pub bos: u32,
    /// The number of the word that ends a target.
    pub eos: u32,
}

impl Default for SampleConfig {
    fn default() -> Self {
        Self {
            sampling: Sampling::default(),
            count: 1,
            seed: 0,
            max_len: 100,
            bos: mapsto_data::Tokenizer::BOS,
            eos: mapsto_data::Tokenizer::EOS,
        }
    }
}

/// A target that is being drawn.
struct Draw {
    found: Found,
    random: Stream,
    /// Its row in the state; none once it has ended.
    last: Option<u32>,
}

/// Targets of each source `(N, S)`, in the order drawn. A source with the same number in `numbers`
/// and the same seed has the same draws, whatever stands beside it.
///
/// # Errors
/// When a setting is out of range, or the sources do not fit the model.
pub fn sample(
    model: &dyn EncoderDecoder,
    source: (&Tensor, &[usize]),
    numbers: &[usize],
    config: &SampleConfig,
) -> Result<Vec<Vec<Found>>> {
    config
        .sampling
        .validate()
        .map_err(mapsto_tensor::Error::wrap)?;
    if config.count == 0 || config.max_len == 0 || numbers.len() != source.1.len() {
        bail!(
            "sample: expected a count and a length of at least 1 and a number for each of {} \
             sources, got {config:?} and {} numbers",
            source.1.len(),
            numbers.len()
        );
    }
    let mut draws: Vec<Draw> = numbers
        .iter()
        .flat_map(|&number| (0..config.count).map(move |draw| Draw::new(number, draw, config)))
        .collect();
    let each = |row: u32| std::iter::repeat_n(row, config.count);
    let rows: Vec<u32> = (0..numbers.len() as u32).flat_map(each).collect();
    let mut state = model.read(source.0, source.1)?.keep(&rows)?;
    for step in 0..=config.max_len {
        let words: Vec<u32> = draws.iter().filter_map(|draw| draw.last).collect();
        if words.is_empty() {
            break;
        }
        let next = model.write(&words, &state)?;
        let mut kept = vec![];
        let open = draws.iter_mut().filter(|draw| draw.last.is_some());
        for (row, draw) in open.enumerate() {
            let attention = next.attention.get(row);
            draw.go_on(&next.log_probabilities[row], attention, step, config);
            kept.extend(draw.last.map(|_| row as u32));
        }
        // Not every device can keep nothing.
        if kept.is_empty() {
            break;
        }
        state = next.state.keep(&kept)?;
    }
    let mut found = draws.into_iter().map(|draw| draw.found);
    let of_one = |_| found.by_ref().take(config.count).collect();
    Ok(numbers.iter().map(of_one).collect())
}

impl Draw {
    fn new(number: usize, draw: usize, config: &SampleConfig) -> Self {
        Self {
            found: Found {
                words: vec![],
                log_probability: 0.0,
                score: 0.0,
                attention: vec![],
            },
            random: Generator::keyed(config.seed, &[number as u64, draw as u64]),
            last: Some(config.bos),
        }
    }

    fn go_on(
        &mut self,
        log_p: &[f32],
        attention: Option<&Vec<f32>>,
        step: usize,
        config: &SampleConfig,
    ) {
        let word = if step == config.max_len {
            config.eos
        } else {
            config.sampling.pick(log_p, self.random.random()) as u32
        };
        let found = &mut self.found;
        found.log_probability += f64::from(log_p[word as usize]);
        found.score = found.log_probability;
        found.attention.extend(attention.cloned());
        self.last = (word != config.eos).then_some(word);
        found.words.extend(self.last);
    }
}
