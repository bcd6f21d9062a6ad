//! [`TextClassifier`]: from words to a class, by recurrence or by convolution.
//!
//! `lstm`: embedding, bidirectional LSTM, attention pooling, softmax. `cnn`: embedding,
//! convolutions over 3, 4 and 5 words, ReLU, the maximum over the text, softmax (Kim's CNN-rand).
//! What a text gives does not depend on the texts that it shares a batch with.
//!
//! **Shape:** tokens `(N, L)` in u32 with their lengths → logits `(N, classes)`.
//!
//! **Parameters:** `embedding.weight`; `lstm.weight_ih_l0`, ..., `attention.weight`, `.bias`,
//! `.context`; or `conv3.weight`, `conv3.bias`, ...; `fc.weight`, `fc.bias`.
//!
//! **References:** Yoon Kim, "Convolutional neural networks for sentence classification", 2014;
//! Peng Zhou et al., "Attention-based bidirectional long short-term memory networks for relation
//! classification", 2016.

use mapsto_data::Padded;
use mapsto_nn::{
    AttentionPooling, Conv1d, Conv1dConfig, Dropout, Embedding, EmbeddingConfig, Linear, Lstm,
    RecurrentConfig, Summary, SummaryPart, linear,
};
use mapsto_tensor::ops::{self, Pool2dParams};
use mapsto_tensor::{
    DType, Module, ModuleT, ParamStore, Result, Tensor, VarBuilder, bail, init::Initializer,
};
use serde::{Deserialize, Serialize};

/// The token that stands for nothing.
pub(super) const PAD: u32 = 0;

/// The part between embedding and softmax.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase", deny_unknown_fields)]
pub enum Encoder {
    /// Bidirectional LSTM layers with attention pooling.
    #[allow(missing_docs)]
    Lstm { hidden: usize, layers: usize },
    /// Convolutions over so many words each, and the maximum over the text.
    #[allow(missing_docs)]
    Cnn { kernels: Vec<usize>, filters: usize },
}

/// A classifier of texts.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TextClassifierConfig {
    /// Size of the vocabulary; token 0 is padding.
    pub vocab: usize,
    /// Size of a word's vector.
    pub embedding: usize,
    /// The part between embedding and softmax.
    pub encoder: Encoder,
    /// Number of classes, at least 2.
    pub classes: usize,
    /// Dropout of the embedded words.
    pub input_dropout: f64,
    /// Dropout before the softmax.
    pub dropout: f64,
}

#[derive(Debug, Clone)]
enum Layers {
    Lstm(Lstm, AttentionPooling),
    Cnn(Vec<Conv1d>, usize),
}

/// Embedding, encoder and softmax.
#[derive(Debug, Clone)]
pub struct TextClassifier {
    embedding: Embedding,
    layers: Layers,
    fc: Linear,
    input_dropout: Dropout,
    dropout: Dropout,
}

impl TextClassifier {
    /// Makes or finds the parameters under `vb`.
    ///
    /// # Errors
    /// When a size is 0, a probability is not in `[0, 1]`, or shapes do not fit what is there.
    pub fn new(config: &TextClassifierConfig, vb: &VarBuilder<'static>) -> Result<Self> {
        if config.classes < 2 || config.vocab < 2 || config.embedding == 0 {
            bail!("a classifier of texts needs 2 classes, 2 words and a size, got {config:?}");
        }
        let table = EmbeddingConfig {
            padding_idx: Some(PAD),
            ..EmbeddingConfig::new(config.vocab, config.embedding)
        };
        let (layers, width) = match &config.encoder {
            Encoder::Lstm { hidden, layers } => {
                lstm(config.embedding, *hidden, *layers, config.dropout, vb)?
            }
            Encoder::Cnn { kernels, filters } => cnn(config.embedding, kernels, *filters, vb)?,
        };
        Ok(Self {
            embedding: Embedding::new(&table, vb.pp("embedding"))?,
            layers,
            fc: linear(width, config.classes, vb.pp("fc"))?,
            input_dropout: Dropout::new(config.input_dropout)?,
            dropout: Dropout::new(config.dropout)?,
        })
    }

    /// The logits of each text.
    ///
    /// # Errors
    /// When a token is not in the vocabulary, or a length does not fit.
    pub fn forward(&self, texts: &Padded, train: bool) -> Result<Tensor> {
        let pooled = self.pooled(texts, train)?;
        self.fc.forward(&self.dropout.forward_t(&pooled, train)?)
    }

    /// One vector a text.
    fn pooled(&self, texts: &Padded, train: bool) -> Result<Tensor> {
        check(texts)?;
        match &self.layers {
            Layers::Lstm(lstm, attention) => {
                let x = self.embed(&texts.ids, train)?;
                let (y, _) = lstm.forward(&x, None, Some(&texts.lengths), train)?;
                Ok(attention.forward(&y, Some(&texts.lengths))?.0)
            }
            Layers::Cnn(convs, widest) => {
                // Room for a window to begin at every word.
                let ids = texts.ids.pad_with_zeros(1, 0, widest - 1)?;
                let x = self.embed(&ids, train)?.transpose(1, 2)?.contiguous()?;
                let pooled = convs.iter().map(|conv| peaks(conv, &x, &texts.lengths));
                Tensor::cat(&pooled.collect::<Result<Vec<_>>>()?, 1)
            }
        }
    }

    /// The table of its parts, for one text of ten words; its parameters are in `store`.
    ///
    /// # Errors
    /// When the network cannot run.
    pub fn summary(&self, store: &ParamStore) -> Result<Summary> {
        let texts = Padded {
            ids: Tensor::zeros((1, 10), DType::U32, &store.device())?,
            lengths: vec![10],
        };
        let embedded = self.embed(&texts.ids, false)?;
        let embedding: SummaryPart<'_> = ("embedding", "Embedding", &|| Ok(embedded.clone()));
        let pooled = self.pooled(&texts, false)?;
        let fc: SummaryPart<'_> = ("fc", "Linear", &|| self.fc.forward(&pooled));
        match &self.layers {
            Layers::Lstm(lstm, attention) => {
                let y = lstm.forward_t(&embedded, false)?;
                let parts: [SummaryPart<'_>; 4] = [
                    embedding,
                    ("lstm", "Lstm", &|| lstm.forward_t(&embedded, false)),
                    ("attention", "AttentionPooling", &|| {
                        Ok(attention.forward(&y, None)?.0)
                    }),
                    fc,
                ];
                Summary::of_parts(store, &parts)
            }
            Layers::Cnn(convs, _) => {
                let x = embedded.transpose(1, 2)?.contiguous()?;
                let width = |conv: &Conv1d| format!("conv{}", conv.config().kernel_size);
                let names: Vec<String> = convs.iter().map(width).collect();
                let runs: Vec<_> = convs.iter().map(|conv| || conv.forward(&x)).collect();
                let mut parts = vec![embedding];
                for (name, run) in names.iter().zip(&runs) {
                    parts.push((name, "Conv1d", run));
                }
                parts.push(fc);
                Summary::of_parts(store, &parts)
            }
        }
    }

    fn embed(&self, ids: &Tensor, train: bool) -> Result<Tensor> {
        let x = self.embedding.forward(ids)?;
        self.input_dropout.forward_t(&x, train)
    }
}

fn check(texts: &Padded) -> Result<()> {
    let (batch, steps) = texts.ids.dims2()?;
    let fit = |&length: &usize| (1..=steps).contains(&length);
    if texts.lengths.len() != batch || !texts.lengths.iter().all(fit) {
        bail!(
            "a batch of {batch} texts needs as many lengths in 1..={steps}, got {:?}",
            texts.lengths
        );
    }
    Ok(())
}

fn lstm(
    input: usize,
    hidden: usize,
    layers: usize,
    dropout: f64,
    vb: &VarBuilder<'static>,
) -> Result<(Layers, usize)> {
    let config = RecurrentConfig {
        num_layers: layers,
        batch_first: true,
        bidirectional: true,
        dropout,
        ..RecurrentConfig::new(input, hidden)
    };
    let lstm = Lstm::new(&config, vb.pp("lstm"))?;
    let width = 2 * hidden;
    let attention = AttentionPooling::new(width, hidden, vb.pp("attention"))?;
    Ok((Layers::Lstm(lstm, attention), width))
}

fn cnn(
    input: usize,
    kernels: &[usize],
    filters: usize,
    vb: &VarBuilder<'static>,
) -> Result<(Layers, usize)> {
    let Some(&widest) = kernels.iter().max() else {
        bail!("a convolutional classifier of texts needs at least one kernel");
    };
    let conv = |&kernel: &usize| {
        let config = Conv1dConfig::new(input, filters, kernel);
        Conv1d::new(&config, vb.pp(format!("conv{kernel}")))
    };
    let convs: Vec<Conv1d> = kernels.iter().map(conv).collect::<Result<_>>()?;
    Ok((Layers::Cnn(convs, widest), kernels.len() * filters))
}

/// The maximum of each filter over the windows that begin within the text: `(N, F)`.
fn peaks(conv: &Conv1d, x: &Tensor, lengths: &[usize]) -> Result<Tensor> {
    let y = ops::relu(&conv.forward(x)?)?;
    let (batch, filters, windows) = y.dims3()?;
    // After ReLU a window with 0 never wins over one within the text.
    let of_text = |&length: &usize| (0..windows).map(move |i| f32::from(i < length));
    let within: Vec<f32> = lengths.iter().flat_map(of_text).collect();
    let within = Tensor::from_vec(within, (batch, 1, windows), x.device())?;
    let y = y.broadcast_mul(&within.to_dtype(x.dtype())?)?;
    let params = Pool2dParams {
        kernel: (1, windows),
        stride: (1, windows),
        ..Pool2dParams::new(1)
    };
    ops::max_pool2d(&y.unsqueeze(2)?, &params)?.reshape((batch, filters))
}

/// Draws the vectors of all words anew, uniform within `bound`; that of padding is 0, and so is that of
/// unknown words, the next, where none is there to learn it from.
pub(super) fn start(store: &ParamStore, bound: f64, learns_unknown: bool) -> Result<()> {
    let (name, uniform) = (
        "embedding.weight",
        Initializer::Uniform {
            low: -bound,
            high: bound,
        },
    );
    store.init(name, &uniform)?;
    let Some(table) = store.get(name) else {
        return Ok(());
    };
    let zeros = if learns_unknown { 1 } else { 2 };
    let rest = table.narrow(0, zeros, table.dim(0)? - zeros)?;
    let nothing = table.narrow(0, 0, zeros)?.zeros_like()?;
    table.set(&Tensor::cat(&[&nothing, &rest], 0)?)
}
