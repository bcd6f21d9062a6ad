//! [`TransformerTranslator`]: reads a sequence and writes another, all of it by attention.
//!
//! Embeddings times `sqrt(size)` and waves of places go through the layers of an encoder; the
//! decoder's see the words before their own and what the encoder made of the source. Each part
//! normalises what it reads, and a normalisation follows the last layer. The softmax has the
//! target embedding's weights.
//!
//! **Shape:** source `(N, S)` and target `(N, T)` in u32, padded with [`PAD`](super::PAD); the target
//! begins with `<bos>` and ends with `<eos>`.
//!
//! **Parameters:** `encoder.embedding.weight`, `decoder.embedding.weight` unless it is shared,
//! `encoder.*` and `decoder.*` as of PyTorch's stacks, `decoder.out.bias`.
//!
//! **References:** Ashish Vaswani et al., "Attention is all you need", 2017; Ruibin Xiong et al., "On
//! layer normalization in the Transformer architecture", 2020; Ofir Press, Lior Wolf, "Using the
//! output embedding to improve language models", 2017.

use mapsto_nn::{
    AttentionMask, Embedding, KeyValue, SinusoidalPositions, Summary, SummaryPart,
    TransformerDecoder, TransformerEncoder, TransformerLayerConfig,
};
use mapsto_tensor::{
    DType, Device, Init, Module, ParamStore, Result, Tensor, VarBuilder, bail, ops,
};
use serde::{Deserialize, Serialize};

use super::encoder_decoder::{EncoderDecoder, Next, State};
use super::network::embedding;

/// The sizes of a [`TransformerTranslator`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TransformerConfig {
    /// Words of the source.
    pub source_vocab: usize,
    /// Words of the target.
    pub target_vocab: usize,
    /// Whether source and target have one embedding; their vocabularies are then one.
    pub shared: bool,
    /// Size of every place, a multiple of the number of heads.
    pub size: usize,
    /// Number of heads.
    pub heads: usize,
    /// Layers of the encoder, and of the decoder.
    pub layers: usize,
    /// Units between the two maps of each layer.
    pub hidden: usize,
    /// Dropout of everything, in `[0, 1]`.
    pub dropout: f64,
}

/// Encoder and decoder of a Transformer.
#[derive(Debug, Clone)]
pub struct TransformerTranslator {
    config: TransformerConfig,
    source: Embedding,
    target: Embedding,
    encoder: TransformerEncoder,
    decoder: TransformerDecoder,
    bias: Tensor,
}

impl TransformerTranslator {
    /// Makes or finds the parameters under `vb`.
    ///
    /// # Errors
    /// When a size or probability is out of range, or shapes do not fit what is there.
    pub fn new(config: &TransformerConfig, vb: &VarBuilder<'static>) -> Result<Self> {
        let (source_vocab, target_vocab) = (config.source_vocab, config.target_vocab);
        if [source_vocab, target_vocab, config.layers, config.hidden].contains(&0) {
            bail!("a translator needs sizes of at least 1, got {config:?}");
        }
        if config.shared && source_vocab != target_vocab {
            bail!(
                "a shared embedding needs one vocabulary, got {source_vocab} and {target_vocab} \
                 words"
            );
        }
        let layer = TransformerLayerConfig {
            dim_feedforward: config.hidden,
            dropout: config.dropout,
            norm_first: true,
            ..TransformerLayerConfig::new(config.size, config.heads)
        };
        let (encoder, decoder) = (vb.pp("encoder"), vb.pp("decoder"));
        let source = embedding(source_vocab, config.size, &encoder)?;
        let target = if config.shared {
            source.clone()
        } else {
            embedding(target_vocab, config.size, &decoder)?
        };
        let bias = decoder.pp("out");
        Ok(Self {
            source,
            target,
            encoder: TransformerEncoder::new(&layer, config.layers, true, &encoder)?,
            decoder: TransformerDecoder::new(&layer, config.layers, true, &decoder)?,
            bias: bias.get_with_hints(target_vocab, "bias", Init::Const(0.0))?,
            config: config.clone(),
        })
    }

    /// What it was made of.
    pub fn config(&self) -> &TransformerConfig {
        &self.config
    }

    /// What the encoder makes of sources `(N, S)` of these lengths, `(N, S, size)`.
    ///
    /// # Errors
    /// When a token is not in the vocabulary, or a length does not fit.
    pub fn encode(&self, source: &Tensor, lengths: &[usize], train: bool) -> Result<Tensor> {
        let x = self.embed(&self.source, source, 0, train)?;
        self.encoder.forward(&x, &within(lengths), train)
    }

    fn embed(&self, words: &Embedding, x: &Tensor, first: usize, train: bool) -> Result<Tensor> {
        let x = (words.forward(x)? * (self.config.size as f64).sqrt())?;
        let x = SinusoidalPositions.forward(&x, first)?;
        ops::dropout(&x, if train { self.config.dropout } else { 0.0 })
    }
}

/// Nothing beyond the end of a source is looked at.
fn within(lengths: &[usize]) -> AttentionMask {
    AttentionMask {
        lengths: Some(lengths.to_vec()),
        ..AttentionMask::default()
    }
}

impl EncoderDecoder for TransformerTranslator {
    fn device(&self) -> Device {
        self.bias.device().clone()
    }

    fn summary(&self, store: &ParamStore) -> Result<Summary> {
        let words = Tensor::zeros((1, 10), DType::U32, &store.device())?;
        let memory = self.encode(&words, &[10], false)?;
        let features = self.features((&words, &[10]), &words, false)?;
        let parts: [SummaryPart<'_>; 2] = [
            ("encoder", "TransformerEncoder", &|| Ok(memory.clone())),
            ("decoder", "TransformerDecoder", &|| {
                self.log_probabilities(&features)
            }),
        ];
        Summary::of_parts(store, &parts)
    }

    fn read(&self, source: &Tensor, lengths: &[usize]) -> Result<State> {
        let memory = self.encode(source, lengths, false)?;
        let layers = self.decoder.layers().iter();
        let all = layers.map(|layer| Ok(layer.keys_values(&memory)?.as_tensor().clone()));
        Ok(State::new(all.collect::<Result<_>>()?, lengths, vec![]))
    }

    fn write(&self, words: &[u32], state: &State) -> Result<Next> {
        let layers = self.decoder.layers();
        if state.memory.tensors.len() != layers.len() {
            bail!("this is a state of another network");
        }
        let first = state.past.first().map_or(Ok(0), |past| past.dim(1))?;
        let words = Tensor::new(words, &Device::Cpu)?.to_device(&self.device())?;
        let mut x = self.embed(&self.target, &words.unsqueeze(1)?, first, false)?;
        let (mask, mut past, mut looked) = (within(&state.memory.lengths), vec![], vec![]);
        for (place, (layer, memory)) in layers.iter().zip(&state.memory.tensors).enumerate() {
            let before = state.past.get(place).cloned().map(KeyValue::from_tensor);
            let memory = KeyValue::from_tensor(memory.clone());
            let step = layer.step(&x, before.as_ref(), &memory, &mask)?;
            x = step.output;
            past.push(step.past.as_tensor().clone());
            looked.extend(step.attention);
        }
        let features = self.decoder.finish(x)?.squeeze(1)?;
        let attention = Tensor::stack(&looked, 0)?.mean(0)?.squeeze(1)?;
        Next::new(self, &features, Some(&attention), state.after(past))
    }

    fn features(&self, source: (&Tensor, &[usize]), given: &Tensor, train: bool) -> Result<Tensor> {
        let memory = self.encode(source.0, source.1, train)?;
        let x = self.embed(&self.target, given, 0, train)?;
        let causal = AttentionMask {
            causal: true,
            ..AttentionMask::default()
        };
        let mask = within(source.1);
        let y = self.decoder.forward(&x, &memory, &causal, &mask, train)?;
        y.transpose(0, 1)?.contiguous()?.flatten(0, 1)
    }

    fn softmax(&self) -> (&Tensor, &Tensor) {
        (self.target.weight(), &self.bias)
    }
}
