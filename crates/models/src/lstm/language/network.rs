//! [`LanguageModel`]: embedding, recurrent layers, and a softmax over the vocabulary.
//!
//! `e_t = E[w_t]`, `h_t = layers(e_t, h_{t-1})`, `p(w_{t+1}) = softmax(W h_t + b)`; with tied
//! weights `W = E`. A mixture of `K` softmaxes is `p = sum_k pi_k softmax(W z_k + b)` with
//! `z_k = tanh(P_k h)` and `pi = softmax(Q h)`.
//!
//! **Shape:** tokens `(T, N)` in u32, time first → outputs of the last layer `(T, N, H)`; states
//! one `(S, N, H)` a layer.
//!
//! **Parameters:** those of PyTorch's word language model: `encoder.weight (V, E)`,
//! `rnn.weight_ih_l0`, ..., `decoder.weight (V, H)` and `decoder.bias (V)`; tied, there is no
//! `decoder.weight`. A mixture adds `latent.weight (K E, H)`, `latent.bias` and `prior.weight
//! (K, H)`; its `decoder.weight` is `(V, E)`, if it is not tied.
//!
//! Dropout is plain (each element anew, Zaremba) or variational (one mask for all steps, Gal), here of
//! inputs and outputs of layers and not of recurrent states, as in Merity's locked dropout; `words` drops whole words from the embedding, `weight` entries of the recurrent weights.
//!
//! **References:** Wojciech Zaremba, Ilya Sutskever, Oriol Vinyals, "Recurrent neural network
//! regularization", 2014; Ofir Press, Lior Wolf, "Using the output embedding to improve language
//! models", 2017; Yarin Gal, Zoubin Ghahramani, "A theoretically grounded application of dropout
//! in recurrent neural networks", 2016; Stephen Merity et al., "Regularizing and optimizing LSTM
//! language models", 2018; Zhilin Yang et al., "Breaking the softmax bottleneck", 2018.

use mapsto_nn::{
    CellConfig, Embedding, EmbeddingConfig, Linear, LinearConfig, RecurrentLayer, Summary,
    SummaryPart,
};
use mapsto_tensor::ops::{self, Order, Targets};
use mapsto_tensor::{
    D, DType, Module, ParamStore, Result, Tensor, VarBuilder, bail, init::Initializer,
};
use serde::{Deserialize, Serialize};

use crate::cell::Cell;

/// Where and how a language model drops, each a probability in `[0, 1]`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LanguageDropout {
    /// One mask for all steps, instead of each element anew; default false.
    pub variational: bool,
    /// Of whole words in the embedding.
    pub words: f64,
    /// Of the input of the first layer.
    pub input: f64,
    /// Between layers.
    pub hidden: f64,
    /// Of the output of the last layer.
    pub output: f64,
    /// Of entries of the recurrent weights.
    pub weight: f64,
}

/// A language model.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LanguageModelConfig {
    /// Size of the vocabulary, at least 2.
    pub vocab: usize,
    /// The kind of recurrent cell.
    pub cell: Cell,
    /// `E`, size of the embedding, at least 1.
    pub embedding: usize,
    /// `H`, units of each layer, at least 1; the last one has `E` if weights are tied and there is no
    /// mixture.
    pub hidden: usize,
    /// Number of layers, at least 1.
    pub layers: usize,
    /// Whether the softmax uses the embedding's weights.
    pub tied: bool,
    /// Softmaxes in the mixture, at least 1; 1 for the plain softmax.
    pub mixture: usize,
    /// Dropout.
    pub dropout: LanguageDropout,
}

/// Embedding, recurrent layers and softmax.
#[derive(Debug, Clone)]
pub struct LanguageModel {
    config: LanguageModelConfig,
    encoder: Embedding,
    layers: Vec<RecurrentLayer>,
    decoder: Tensor,
    bias: Tensor,
    mixture: Option<(Linear, Linear)>,
}

/// What a pass over a window gave.
#[derive(Debug)]
pub struct Hidden {
    /// Outputs of the last layer, `(T, N, H)`.
    pub raw: Tensor,
    /// The same after dropout.
    pub dropped: Tensor,
    /// The last states, one `(S, N, H)` a layer.
    pub states: Vec<Tensor>,
}

impl LanguageModelConfig {
    fn check(&self) -> Result<()> {
        let sizes = [self.vocab / 2, self.embedding, self.hidden, self.layers];
        if sizes.contains(&0) || self.mixture == 0 {
            bail!(
                "a language model needs a vocabulary of at least 2 and sizes of at least 1, got \
                 {self:?}"
            );
        }
        let dropout = &self.dropout;
        for (name, p) in [
            ("words", dropout.words),
            ("input", dropout.input),
            ("hidden", dropout.hidden),
            ("output", dropout.output),
            ("weight", dropout.weight),
        ] {
            if !(0.0..=1.0).contains(&p) {
                bail!("dropout.{name} of a language model must lie in [0, 1], got {p}");
            }
        }
        Ok(())
    }

    /// Features going into each layer, and out of the last.
    fn widths(&self) -> Vec<usize> {
        let inner = std::iter::repeat_n(self.hidden, self.layers - 1);
        let last = if self.tied && self.mixture == 1 {
            self.embedding
        } else {
            self.hidden
        };
        std::iter::once(self.embedding)
            .chain(inner)
            .chain([last])
            .collect()
    }
}

impl LanguageModel {
    /// Makes or finds the parameters under `vb`.
    ///
    /// # Errors
    /// When a size is 0, a probability is not in `[0, 1]`, or shapes do not fit what is there.
    pub fn new(config: &LanguageModelConfig, vb: &VarBuilder<'static>) -> Result<Self> {
        config.check()?;
        let table = EmbeddingConfig::new(config.vocab, config.embedding);
        let encoder = Embedding::new(&table, vb.pp("encoder"))?;
        let widths = config.widths();
        let mut layers = vec![];
        for (layer, sizes) in widths.windows(2).enumerate() {
            let (cell, suffix) = (CellConfig::new(sizes[0], sizes[1]), format!("_l{layer}"));
            let kind = config.cell.recurrence();
            let layer = RecurrentLayer::new(kind, &cell, &suffix, &vb.pp("rnn"))?;
            layers.push(layer.weight_dropout(config.dropout.weight)?);
        }
        let last = widths[config.layers];
        let width = if config.mixture > 1 {
            config.embedding
        } else {
            last
        };
        let init = Initializer::torch_default(width);
        let names = vb.pp("decoder");
        let decoder = if config.tied {
            encoder.weight().clone()
        } else {
            names.get_with_hints((config.vocab, width), "weight", init)?
        };
        let bias = names.get_with_hints(config.vocab, "bias", init)?;
        let mixture = match config.mixture {
            1 => None,
            count => Some(mixture(count, last, width, vb)?),
        };
        Ok(Self {
            config: config.clone(),
            encoder,
            layers,
            decoder,
            bias,
            mixture,
        })
    }

    /// What it was made of.
    pub fn config(&self) -> &LanguageModelConfig {
        &self.config
    }

    /// Walks over a window of tokens `(T, N)` from states, or from zeros.
    ///
    /// # Errors
    /// When a token is not in the vocabulary, or shapes do not fit.
    pub fn hidden(
        &self,
        tokens: &Tensor,
        states: Option<&[Tensor]>,
        train: bool,
    ) -> Result<Hidden> {
        self.walk(&self.embed(tokens, train)?, states, train)
    }

    /// The recurrent layers over an embedded window `(T, N, E)`.
    fn walk(&self, embedded: &Tensor, states: Option<&[Tensor]>, train: bool) -> Result<Hidden> {
        let dropout = &self.config.dropout;
        let layers = self.layers.len();
        if let Some(states) = states.filter(|states| states.len() != layers) {
            bail!(
                "expected a state for each of {layers} layers, got {}",
                states.len()
            );
        }
        let mut x = self.drop(embedded, dropout.input, train)?;
        let mut last = vec![];
        let mut raw = x.clone();
        for (index, layer) in self.layers.iter().enumerate() {
            let zeros;
            let start = match states {
                Some(states) => &states[index],
                None => {
                    zeros = layer.zeros(&x)?;
                    &zeros
                }
            };
            let (y, end) = layer.forward(&x, start, &Order::default(), train)?;
            last.push(end);
            let is_last = index + 1 == self.layers.len();
            x = self.drop(
                &y,
                if is_last {
                    dropout.output
                } else {
                    dropout.hidden
                },
                train,
            )?;
            raw = y;
        }
        Ok(Hidden {
            raw,
            dropped: x,
            states: last,
        })
    }

    /// `-log p` of the target of each step, from outputs `(T, N, H)` and targets `(T, N)`:
    /// `(T N)`.
    ///
    /// # Errors
    /// When shapes do not fit, or a target is not in the vocabulary.
    pub fn surprise(&self, hidden: &Tensor, targets: &Tensor) -> Result<Tensor> {
        let labels: Vec<u32> = targets.flatten_all()?.to_vec1()?;
        let count = self.config.mixture;
        let repeated = labels
            .into_iter()
            .flat_map(|l| std::iter::repeat_n(Some(l), count));
        let targets = Targets::Classes {
            labels: repeated.collect(),
            weights: None,
            smoothing: 0.0,
        };
        let (last, prior) = self.before_softmax(hidden)?;
        let bias = Some(&self.bias);
        let surprise = ops::linear_cross_entropy(&last, &self.decoder, bias, targets)?;
        match prior {
            None => Ok(surprise),
            Some(prior) => {
                let joint = (prior - surprise.reshape(((), count))?)?;
                log_sum_exp(&joint)?.neg()
            }
        }
    }

    /// `log p` of every token after each output `(T, N, H)`: `(T N, V)`.
    ///
    /// # Errors
    /// When shapes do not fit.
    pub fn log_probabilities(&self, hidden: &Tensor) -> Result<Tensor> {
        let (last, prior) = self.before_softmax(hidden)?;
        let logits = ops::linear(&last, &self.decoder, Some(&self.bias))?;
        let log_p = ops::log_softmax(&logits, D::Minus1)?;
        let Some(prior) = prior else {
            return Ok(log_p);
        };
        let (rows, count) = prior.dims2()?;
        let log_p = log_p.reshape((rows, count, self.config.vocab))?;
        let joint = log_p.broadcast_add(&prior.unsqueeze(2)?)?;
        log_sum_exp(&joint.transpose(1, 2)?)
    }

    /// The table of its parts, for one token of one text; its parameters are in `store`.
    ///
    /// # Errors
    /// When the network cannot run.
    pub fn summary(&self, store: &ParamStore) -> Result<Summary> {
        let token = Tensor::zeros((1, 1), DType::U32, &store.device())?;
        let embedded = self.embed(&token, false)?;
        let output = Tensor::zeros((1, 1, self.last_width()), store.dtype(), &store.device())?;
        let (last, _) = self.before_softmax(&output)?;
        let encoder: SummaryPart<'_> = ("encoder", "Embedding", &|| self.embed(&token, false));
        let rnn: SummaryPart<'_> = ("rnn", "Recurrent", &|| {
            Ok(self.walk(&embedded, None, false)?.raw)
        });
        let decoder: SummaryPart<'_> = ("decoder", "Softmax", &|| {
            ops::linear(&last, &self.decoder, Some(&self.bias))
        });
        let Some((latent, prior)) = &self.mixture else {
            return Summary::of_parts(store, &[encoder, rnn, decoder]);
        };
        let latent: SummaryPart<'_> = ("latent", "Linear", &|| latent.forward(&output));
        let prior: SummaryPart<'_> = ("prior", "Linear", &|| prior.forward(&output));
        Summary::of_parts(store, &[encoder, rnn, latent, prior, decoder])
    }

    /// What the decoder takes, a row an output and softmax, and `log pi` of a mixture, a row an
    /// output.
    fn before_softmax(&self, hidden: &Tensor) -> Result<(Tensor, Option<Tensor>)> {
        let hidden = hidden.flatten(0, 1)?;
        let Some((latent, prior)) = &self.mixture else {
            return Ok((hidden, None));
        };
        let latent = ops::unary(&latent.forward(&hidden)?, ops::Unary::Tanh)?;
        let latent = latent.reshape(((), self.config.embedding))?;
        let prior = ops::log_softmax(&prior.forward(&hidden)?, D::Minus1)?;
        Ok((latent, Some(prior)))
    }

    fn last_width(&self) -> usize {
        self.config.widths()[self.config.layers]
    }

    fn embed(&self, tokens: &Tensor, train: bool) -> Result<Tensor> {
        let p = self.config.dropout.words;
        if !train || p == 0.0 {
            return self.encoder.forward(tokens);
        }
        let table = self.encoder.weight();
        let ones = Tensor::ones((self.config.vocab, 1), table.dtype(), table.device())?;
        let table = table.broadcast_mul(&ops::dropout(&ones, p)?)?;
        ops::embedding(&table, tokens, None)
    }

    /// Dropout of `x (T, N, F)`.
    fn drop(&self, x: &Tensor, p: f64, train: bool) -> Result<Tensor> {
        if !train || p == 0.0 {
            return Ok(x.clone());
        }
        if !self.config.dropout.variational {
            return ops::dropout(x, p);
        }
        let (_, batch, features) = x.dims3()?;
        let ones = Tensor::ones((1, batch, features), x.dtype(), x.device())?;
        x.broadcast_mul(&ops::dropout(&ones, p)?)
    }
}

fn mixture(
    count: usize,
    hidden: usize,
    width: usize,
    vb: &VarBuilder<'static>,
) -> Result<(Linear, Linear)> {
    let latent = LinearConfig::new(hidden, count * width);
    let prior = LinearConfig {
        bias: false,
        ..LinearConfig::new(hidden, count)
    };
    Ok((
        Linear::new(&latent, vb.pp("latent"))?,
        Linear::new(&prior, vb.pp("prior"))?,
    ))
}

/// Over the last dimension.
fn log_sum_exp(x: &Tensor) -> Result<Tensor> {
    let max = x.max_keepdim(D::Minus1)?.detach();
    let sum = x.broadcast_sub(&max)?.exp()?.sum(D::Minus1)?;
    sum.log()? + max.squeeze(D::Minus1)?
}
