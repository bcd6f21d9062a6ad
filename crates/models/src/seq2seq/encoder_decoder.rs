//! [`EncoderDecoder`]: what every network can do that reads a sequence and writes another.
//!
//! A search reads its sources once, which gives a [`State`], and then writes a word a row at each
//! step; between two steps it may drop rows and go on from one several times
//! ([`State::keep`]). What the network has made of the sources is kept apart from what it has
//! written, so that none of it is picked anew while the rows belong to the same sources.

use std::fmt::Debug;

use mapsto_nn::Summary;
use mapsto_tensor::ops::{self, Targets};
use mapsto_tensor::{D, DType, Device, ParamStore, Result, Tensor, bail};

use super::PAD;

/// A network that reads a sequence and writes another.
pub trait EncoderDecoder: Debug + Send + Sync {
    /// Where its parameters are.
    fn device(&self) -> Device;

    /// The table of its parts, for one pair of ten words; its parameters are in `store`.
    ///
    /// # Errors
    /// When the network cannot run.
    fn summary(&self, store: &ParamStore) -> Result<Summary>;

    /// Reads sources `(N, S)` in u32, of these lengths, and stands before the first word of each
    /// target: a row a source.
    ///
    /// # Errors
    /// When a token is not in the vocabulary, or a length does not fit.
    fn read(&self, source: &Tensor, lengths: &[usize]) -> Result<State>;

    /// Writes a word in each row, and says what may follow. Nothing is dropped out, and no gradient
    /// is kept.
    ///
    /// # Errors
    /// When a word is not in the vocabulary, or their number is not that of the rows.
    fn write(&self, words: &[u32], state: &State) -> Result<Next>;

    /// What the softmax sees of each of the words `given (N, T)`, after the sources `(N, S)` of
    /// these lengths and the words before it: `(T N, width)`, all rows of the first step first.
    ///
    /// # Errors
    /// When a token is not in the vocabulary, or shapes do not fit.
    fn features(&self, source: (&Tensor, &[usize]), given: &Tensor, train: bool) -> Result<Tensor>;

    /// Weight `(V, width)` and bias `(V)` of the softmax.
    fn softmax(&self) -> (&Tensor, &Tensor);

    /// The mean loss of the words of targets `(N, T)` after their first, given those before and the
    /// sources; `smoothing` is the share of each word that is spread over all. Padding does not
    /// count.
    ///
    /// # Errors
    /// When a token is not in the vocabulary, shapes do not fit, or there is no word.
    fn loss(
        &self,
        source: (&Tensor, &[usize]),
        target: &Tensor,
        smoothing: f64,
        train: bool,
    ) -> Result<Tensor> {
        let given = target.narrow(1, 0, target.dim(1)?.saturating_sub(1))?;
        self.loss_given(source, &given, target, smoothing, train)
    }

    /// The same with other words `given (N, T - 1)` in front of those of the targets, such as some
    /// of the network's own.
    ///
    /// # Errors
    /// As for [`loss`](Self::loss).
    fn loss_given(
        &self,
        source: (&Tensor, &[usize]),
        given: &Tensor,
        target: &Tensor,
        smoothing: f64,
        train: bool,
    ) -> Result<Tensor> {
        let steps = target.dim(1)?;
        if steps < 2 {
            bail!("a target needs <bos> and a word after it, got {steps} words");
        }
        let labels = target.narrow(1, 1, steps - 1)?.t()?.flatten_all()?;
        let labels: Vec<Option<u32>> = labels
            .to_vec1::<u32>()?
            .into_iter()
            .map(|word| (word != PAD).then_some(word))
            .collect();
        let count = labels.iter().flatten().count();
        if count == 0 {
            bail!("there is no word in the targets: all are padding");
        }
        let targets = Targets::Classes {
            labels,
            weights: None,
            smoothing,
        };
        let features = self.features(source, given, train)?;
        let (weight, bias) = self.softmax();
        let losses = ops::linear_cross_entropy(&features, weight, Some(bias), targets)?;
        losses.sum_all()? / count as f64
    }

    /// `log p` of each word, `(rows, V)`, of what the softmax sees.
    ///
    /// # Errors
    /// When shapes do not fit.
    fn log_probabilities(&self, features: &Tensor) -> Result<Tensor> {
        let (weight, bias) = self.softmax();
        ops::log_softmax(&ops::linear(features, weight, Some(bias))?, D::Minus1)
    }
}

/// What a step gave.
#[derive(Debug, Clone)]
pub struct Next {
    /// `log p` of each word of the vocabulary, a row each.
    pub log_probabilities: Vec<Vec<f32>>,
    /// Where each row looked at its source, a share for each of its places; empty for a network
    /// without attention.
    pub attention: Vec<Vec<f32>>,
    /// Behind the words.
    pub state: State,
}

impl Next {
    /// What a step's features and attention `(N, S)` say.
    pub(super) fn new(
        model: &dyn EncoderDecoder,
        features: &Tensor,
        attention: Option<&Tensor>,
        state: State,
    ) -> Result<Self> {
        let rows = |x: &Tensor| x.to_dtype(DType::F32)?.to_vec2::<f32>();
        let mut attention = attention.map(rows).transpose()?.unwrap_or_default();
        for (row, &length) in attention.iter_mut().zip(&state.memory.lengths) {
            row.truncate(length);
        }
        Ok(Self {
            log_probabilities: rows(&model.log_probabilities(&features.detach())?)?,
            attention,
            state,
        })
    }
}

/// Where a network stands in its targets.
#[derive(Debug, Clone)]
pub struct State {
    /// What it looks back at, a row a source.
    all: Memory,
    /// The same, a row a target.
    pub(super) memory: Memory,
    /// The source that each row belongs to.
    sources: Vec<u32>,
    /// What depends on the words written, each with a row a target in its first dimension.
    pub(super) past: Vec<Tensor>,
}

/// What a network has made of its sources.
#[derive(Debug, Clone)]
pub(super) struct Memory {
    /// Each with a row a source in its first dimension.
    pub(super) tensors: Vec<Tensor>,
    /// Places of each source.
    pub(super) lengths: Vec<usize>,
}

impl State {
    /// Before the first word.
    pub(super) fn new(tensors: Vec<Tensor>, lengths: &[usize], past: Vec<Tensor>) -> Self {
        let detached = |all: Vec<Tensor>| all.iter().map(Tensor::detach).collect();
        let memory = Memory {
            tensors: detached(tensors),
            lengths: lengths.to_vec(),
        };
        Self {
            all: memory.clone(),
            memory,
            sources: (0..lengths.len() as u32).collect(),
            past: detached(past),
        }
    }

    /// The same place with another past.
    pub(super) fn after(&self, past: Vec<Tensor>) -> Self {
        Self {
            past: past.iter().map(Tensor::detach).collect(),
            ..self.clone()
        }
    }

    /// The source that each row belongs to, by its number.
    pub fn sources(&self) -> &[u32] {
        &self.sources
    }

    /// The rows with these numbers, in this order; some may come twice.
    ///
    /// # Errors
    /// When there is no such row.
    pub fn keep(&self, rows: &[u32]) -> Result<Self> {
        let take = |tensors: &[Tensor], rows: &[u32]| -> Result<Vec<Tensor>> {
            let Some(first) = tensors.first() else {
                return Ok(vec![]);
            };
            let places = Tensor::new(rows, &Device::Cpu)?.to_device(first.device())?;
            let all = tensors.iter();
            all.map(|tensor| tensor.contiguous()?.index_select(&places, 0))
                .collect()
        };
        let mut sources = vec![];
        for &row in rows {
            match self.sources.get(row as usize) {
                Some(&source) => sources.push(source),
                None => bail!("there are {} rows, no {row}", self.sources.len()),
            }
        }
        let memory = if sources == self.sources {
            self.memory.clone()
        } else {
            let lengths = sources.iter().map(|&s| self.all.lengths[s as usize]);
            Memory {
                tensors: take(&self.all.tensors, &sources)?,
                lengths: lengths.collect(),
            }
        };
        Ok(Self {
            all: self.all.clone(),
            memory,
            sources,
            past: take(&self.past, rows)?,
        })
    }
}
