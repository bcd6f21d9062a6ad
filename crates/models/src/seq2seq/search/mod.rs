//! [`Search`]: how a target is found.

mod beam;
mod sample;

use mapsto_tensor::{Result, Tensor};

use super::encoder_decoder::EncoderDecoder;

pub(super) use beam::largest;
pub use beam::{BeamConfig, beam_search, greedy_search};
pub use sample::{SampleConfig, sample};

/// A target that was found.
#[derive(Debug, Clone, PartialEq)]
pub struct Found {
    /// Its words, without `<bos>` and `<eos>`.
    pub words: Vec<u32>,
    /// `log p` of all words and the end.
    pub log_probability: f64,
    /// What it was chosen by: `log p` with penalties of length and coverage.
    pub score: f64,
    /// Where each word looked, a row a word (and one for the end); none without attention.
    pub attention: Vec<Vec<f32>>,
}

/// How a target is found.
#[derive(Debug, Clone, PartialEq)]
pub enum Search {
    /// The likeliest that a beam finds.
    Beam(BeamConfig),
    /// Drawn word by word.
    Sample(SampleConfig),
}

impl From<BeamConfig> for Search {
    fn from(config: BeamConfig) -> Self {
        Self::Beam(config)
    }
}

impl From<SampleConfig> for Search {
    fn from(config: SampleConfig) -> Self {
        Self::Sample(config)
    }
}

impl Search {
    /// The targets of each source `(N, S)`; `numbers` are the sources' own, which draws depend on
    /// beside the seed.
    pub(super) fn find(
        &self,
        model: &dyn EncoderDecoder,
        source: (&Tensor, &[usize]),
        numbers: &[usize],
    ) -> Result<Vec<Vec<Found>>> {
        match self {
            Self::Beam(config) => beam_search(model, source, config),
            Self::Sample(config) => sample(model, source, numbers, config),
        }
    }
}
