//! [`Decoder`]: writes the target, each word after what it has written and seen.
//!
//! With additive attention the layer looks back before each step, or with input feeding after it
//! ([`AttentionDecoder`](mapsto_nn::AttentionDecoder)); with the others it walks first and looks back
//! after each step ([`Attention`](mapsto_nn::Attention)); with none it gets the state that the
//! source ended in with each word. What the softmax sees is `[s; c; e]` of state, context and word, or with a readout
//! `tanh(W [s; c; e] + b)`.
//!
//! **Shape:** words `(T, N)` in u32 → what the softmax sees, `(T N, width)`.
//!
//! **Parameters:** `embedding.weight`, `rnn.*`, `attention.*`, `pre.*` of a readout, `out.weight (V,
//! width)` unless it is the embedding's, `out.bias`.

use mapsto_nn::{
    Attention, AttentionDecoder, AttentionDecoderConfig, CellConfig, Embedding, Linear,
    RecurrentLayer, Score, linear,
};
use mapsto_tensor::ops::{self, AttentionMemory, Look, Order, Unary};
use mapsto_tensor::{Module, Result, Tensor, VarBuilder, bail, init::Initializer};

use super::encoder::Encoded;
use super::encoder_decoder::Memory;
use super::network::{AttentionKind, Seq2SeqConfig};

/// The writer of the target.
#[derive(Debug, Clone)]
pub(super) struct Decoder {
    embedding: Embedding,
    layer: Layer,
    pre: Option<Linear>,
    weight: Tensor,
    bias: Tensor,
    dropout: f64,
}

#[derive(Debug, Clone)]
enum Layer {
    Additive(AttentionDecoder),
    After(RecurrentLayer, Attention),
    None(RecurrentLayer),
}

/// What a decoder looks back at, made once for a source.
#[derive(Debug, Clone)]
pub struct Lookback {
    memory: AttentionMemory,
    /// The state that the source ended in, for a decoder without attention.
    summary: Tensor,
}

/// What steps of a decoder gave.
#[derive(Debug, Clone)]
pub struct Walk {
    /// What the softmax sees, `(T N, width)`.
    pub features: Tensor,
    /// Where each step looked, `(T, N, S)`; none without attention.
    pub attention: Option<Tensor>,
    /// What the last step found, `(N, C)`.
    pub found: Tensor,
    /// The states after the last step, `(Z, N, H)`.
    pub states: Tensor,
}

impl Lookback {
    /// As a search keeps it.
    pub(super) fn tensors(&self) -> [Tensor; 3] {
        let AttentionMemory { values, keys, .. } = &self.memory;
        [values.clone(), keys.clone(), self.summary.clone()]
    }

    /// From what [`tensors`](Self::tensors) gave, how much each place was looked at, and what was
    /// found last.
    pub(super) fn from_tensors(
        memory: &Memory,
        (seen, found): (Option<Tensor>, Option<Tensor>),
    ) -> Result<Self> {
        let [values, keys, summary] = &memory.tensors[..] else {
            bail!("this is a memory of another network");
        };
        let memory = AttentionMemory {
            values: values.clone(),
            keys: keys.clone(),
            lengths: Some(memory.lengths.clone()),
            seen,
            found,
        };
        Ok(Self {
            memory,
            summary: summary.clone(),
        })
    }
}

impl Decoder {
    /// Makes or finds the parameters under `vb`; the embedding may be shared.
    pub(super) fn new(
        config: &Seq2SeqConfig,
        embedding: Embedding,
        vb: &VarBuilder<'static>,
    ) -> Result<Self> {
        let context = config.context();
        let layer = layer(config, vb)?;
        let wide = config.hidden + context + config.embedding;
        let (pre, width) = if config.readout {
            let pre = linear(wide, config.embedding, vb.pp("pre"))?;
            (Some(pre), config.embedding)
        } else {
            (None, wide)
        };
        if config.tied && width != config.embedding {
            bail!("tied weights need a readout: the softmax sees {width} numbers without one");
        }
        let (out, init) = (vb.pp("out"), Initializer::torch_default(width));
        Ok(Self {
            weight: if config.tied {
                embedding.weight().clone()
            } else {
                out.get_with_hints((config.target_vocab, width), "weight", init)?
            },
            bias: out.get_with_hints(config.target_vocab, "bias", init)?,
            embedding,
            layer,
            pre,
            dropout: config.dropout,
        })
    }

    /// Weight and bias of the softmax.
    pub(super) fn softmax(&self) -> (&Tensor, &Tensor) {
        (&self.weight, &self.bias)
    }

    pub(super) fn lookback(&self, source: &Encoded) -> Result<Lookback> {
        let lengths = Some(source.lengths.clone());
        let values = source.memory.contiguous()?;
        let memory = match &self.layer {
            Layer::Additive(layer) => layer.memory(&values, lengths)?,
            _ => AttentionMemory {
                keys: values.clone(),
                values,
                lengths,
                seen: None,
                found: None,
            },
        };
        Ok(Lookback {
            memory,
            summary: source.states.get(0)?,
        })
    }

    /// Steps over words `(T, N)` from `states`.
    pub(super) fn walk(
        &self,
        words: &Tensor,
        lookback: &Lookback,
        states: &Tensor,
        train: bool,
    ) -> Result<Walk> {
        let drop = |x: Tensor| {
            if train {
                ops::dropout(&x, self.dropout)
            } else {
                Ok(x)
            }
        };
        let x = drop(self.embedding.forward(words)?)?;
        let memory = &lookback.memory;
        let order = Order::default();
        let (outputs, contexts, attention, states) = match &self.layer {
            Layer::Additive(layer) => {
                let all = layer.forward(&x, memory, states)?;
                (all.outputs, all.contexts, Some(all.attention), all.states)
            }
            Layer::After(layer, attention) => {
                let (y, states) = layer.forward(&x, states, &order, train)?;
                let (contexts, weights) = attention.forward(
                    &y.transpose(0, 1)?,
                    &memory.values,
                    memory.lengths.as_deref(),
                )?;
                let [contexts, weights] = [contexts, weights].map(|x| x.transpose(0, 1));
                (y, contexts?, Some(weights?), states)
            }
            Layer::None(layer) => {
                let (steps, batch, _) = x.dims3()?;
                let hidden = lookback.summary.dim(1)?;
                let summary = lookback
                    .summary
                    .unsqueeze(0)?
                    .broadcast_as((steps, batch, hidden))?;
                let x = ops::cat(&[&x, &summary], 2)?;
                let (y, states) = layer.forward(&x, states, &order, train)?;
                (y, summary, None, states)
            }
        };
        let all = ops::cat(&[&outputs, &contexts, &x], 2)?;
        let (steps, batch, width) = all.dims3()?;
        let found = contexts.get(steps - 1)?;
        let all = ops::reshape(&all, (steps * batch, width))?;
        let features = match &self.pre {
            None => all,
            Some(pre) => drop(ops::unary(&pre.forward(&drop(all)?)?, Unary::Tanh)?)?,
        };
        Ok(Walk {
            features,
            attention,
            found,
            states,
        })
    }
}

fn layer(config: &Seq2SeqConfig, vb: &VarBuilder<'static>) -> Result<Layer> {
    let (kind, context, hidden) = (config.cell.recurrence(), config.context(), config.hidden);
    let recurrent = |input: usize| {
        RecurrentLayer::new(kind, &CellConfig::new(input, hidden), "_l0", &vb.pp("rnn"))
    };
    let score = match config.attention {
        AttentionKind::None => return Ok(Layer::None(recurrent(config.embedding + hidden)?)),
        AttentionKind::Additive => {
            let sizes = AttentionDecoderConfig {
                kind,
                input_size: config.embedding,
                context_size: context,
                hidden_size: hidden,
                attention_size: config.attention_size,
                coverage: config.coverage,
                look: if config.input_feeding {
                    Look::After
                } else {
                    Look::Before
                },
            };
            return Ok(Layer::Additive(AttentionDecoder::new(&sizes, vb)?));
        }
        AttentionKind::Dot => Score::Dot,
        AttentionKind::General => Score::General,
        AttentionKind::Concat => Score::Concat(config.attention_size),
    };
    let attention = Attention::new(score, hidden, context, vb.pp("attention"))?;
    Ok(Layer::After(recurrent(config.embedding)?, attention))
}
