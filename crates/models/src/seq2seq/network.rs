//! [`Seq2Seq`]: reads a sequence and writes another.
//!
//! `p(y_t | y_1 .. y_{t-1}, x)`, from an [`Encoder`] and a decoder that begins where it ended and
//! may look back at it. Trained with the right words as input to the decoder (teacher forcing), or
//! with some of its own in their place.
//!
//! **Shape:** source `(N, S)` and target `(N, T)` in u32, padded with [`PAD`](super::PAD); the target
//! begins with `<bos>` and ends with `<eos>`.
//!
//! **Parameters:** `encoder.*` and `decoder.*`; with `shared` both have the embedding
//! `encoder.embedding.weight`.
//!
//! **References:** Ilya Sutskever, Oriol Vinyals, Quoc Le, "Sequence to sequence learning with
//! neural networks", 2014; Dzmitry Bahdanau, Kyunghyun Cho, Yoshua Bengio, "Neural machine
//! translation by jointly learning to align and translate", 2015; Minh-Thang Luong, Hieu Pham,
//! Christopher Manning, "Effective approaches to attention-based neural machine translation", 2015.

use mapsto_nn::{Embedding, EmbeddingConfig, Summary, SummaryPart};
use mapsto_tensor::{DType, Device, Init, ParamStore, Result, Tensor, VarBuilder, bail};
use serde::{Deserialize, Serialize};

use super::PAD;
use super::decoder::{Decoder, Lookback, Walk};
use super::encoder::{Encoded, Encoder};
use super::encoder_decoder::{EncoderDecoder, Next, State};
use crate::cell::Cell;

/// How the decoder looks back at the source.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum AttentionKind {
    /// Not at all: it gets the state that the source ended in.
    None,
    /// Before each step, by a layer over state and place (Bahdanau).
    #[default]
    Additive,
    /// After each step, by the dot product (Luong).
    Dot,
    /// By the dot product with a linear map between.
    General,
    /// By a layer over both.
    Concat,
}

/// An encoder and a decoder.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Seq2SeqConfig {
    /// Words of the source.
    pub source_vocab: usize,
    /// Words of the target.
    pub target_vocab: usize,
    /// Whether source and target have one embedding; their vocabularies are then one.
    pub shared: bool,
    /// Size of the embeddings.
    pub embedding: usize,
    /// The kind of recurrent cell.
    pub cell: Cell,
    /// Units of the encoder in each direction.
    pub encoder_hidden: usize,
    /// Units of the decoder.
    pub hidden: usize,
    /// How the decoder looks back.
    pub attention: AttentionKind,
    /// Whether additive attention knows where it has looked before.
    pub coverage: bool,
    /// Whether additive attention looks back after each step, with the word it has read, and what it
    /// finds enters the next; else it looks before.
    #[serde(default)]
    pub input_feeding: bool,
    /// Units of additive and concat attention.
    pub attention_size: usize,
    /// Whether a layer of the embedding's size lies before the softmax.
    pub readout: bool,
    /// Whether the softmax uses the target embedding's weights; needs a readout.
    pub tied: bool,
    /// Dropout of embeddings and of the readout, in `[0, 1]`.
    pub dropout: f64,
}

impl Seq2SeqConfig {
    /// Features of what the decoder sees of the source.
    pub(super) fn context(&self) -> usize {
        match self.attention {
            AttentionKind::None => self.hidden,
            _ => 2 * self.encoder_hidden,
        }
    }

    fn check(&self) -> Result<()> {
        let sizes = [
            self.source_vocab,
            self.target_vocab,
            self.embedding,
            self.encoder_hidden,
            self.hidden,
        ];
        if sizes.contains(&0) || self.cell == Cell::Rnn {
            bail!("a translator needs sizes of at least 1 and a gru or an lstm, got {self:?}");
        }
        let additive = self.attention == AttentionKind::Additive;
        if (self.coverage || self.input_feeding) && !additive {
            bail!(
                "coverage and input feeding are of additive attention, not of {:?}: set \
                 model.coverage=false and model.input_feeding=false",
                self.attention
            );
        }
        if self.shared && self.source_vocab != self.target_vocab {
            bail!(
                "a shared embedding needs one vocabulary, got {} and {} words",
                self.source_vocab,
                self.target_vocab
            );
        }
        Ok(())
    }
}

/// An encoder and a decoder.
#[derive(Debug, Clone)]
pub struct Seq2Seq {
    config: Seq2SeqConfig,
    encoder: Encoder,
    decoder: Decoder,
}

impl Seq2Seq {
    /// Makes or finds the parameters under `vb`.
    ///
    /// # Errors
    /// When a size is 0, a probability is not in `[0, 1]`, or shapes do not fit what is there.
    pub fn new(config: &Seq2SeqConfig, vb: &VarBuilder<'static>) -> Result<Self> {
        config.check()?;
        let (encoder, decoder) = (vb.pp("encoder"), vb.pp("decoder"));
        let source = embedding(config.source_vocab, config.embedding, &encoder)?;
        let target = if config.shared {
            source.clone()
        } else {
            embedding(config.target_vocab, config.embedding, &decoder)?
        };
        Ok(Self {
            config: config.clone(),
            encoder: Encoder::new(config, source, &encoder)?,
            decoder: Decoder::new(config, target, &decoder)?,
        })
    }

    /// What it was made of.
    pub fn config(&self) -> &Seq2SeqConfig {
        &self.config
    }

    /// Reads sources `(N, S)` of these lengths.
    ///
    /// # Errors
    /// When a token is not in the vocabulary, or a length does not fit.
    pub fn encode(&self, source: &Tensor, lengths: &[usize], train: bool) -> Result<Encoded> {
        self.encoder.forward(source, lengths, train)
    }

    /// What the decoder looks back at.
    ///
    /// # Errors
    /// When an op fails.
    pub fn lookback(&self, source: &Encoded) -> Result<Lookback> {
        self.decoder.lookback(source)
    }

    /// Steps of the decoder over words `(T, N)` from `states`.
    ///
    /// # Errors
    /// When a token is not in the vocabulary, or shapes do not fit.
    pub fn walk(
        &self,
        words: &Tensor,
        lookback: &Lookback,
        states: &Tensor,
        train: bool,
    ) -> Result<Walk> {
        self.decoder.walk(words, lookback, states, train)
    }
}

impl EncoderDecoder for Seq2Seq {
    fn device(&self) -> Device {
        self.softmax().0.device().clone()
    }

    fn summary(&self, store: &ParamStore) -> Result<Summary> {
        let words = Tensor::zeros((1, 10), DType::U32, &store.device())?;
        let encoded = self.encode(&words, &[10], false)?;
        let lookback = self.lookback(&encoded)?;
        let words = words.t()?.contiguous()?;
        let walk = self.walk(&words, &lookback, &encoded.states, false)?;
        let parts: [SummaryPart<'_>; 2] = [
            ("encoder", "Encoder", &|| Ok(encoded.memory.clone())),
            ("decoder", "Decoder", &|| {
                self.log_probabilities(&walk.features)
            }),
        ];
        Summary::of_parts(store, &parts)
    }

    fn read(&self, source: &Tensor, lengths: &[usize]) -> Result<State> {
        let encoded = self.encode(source, lengths, false)?;
        let mut past = vec![encoded.states.transpose(0, 1)?];
        let memory = self.lookback(&encoded)?.tensors();
        let (rows, places) = source.dims2()?;
        let mut begin = |wanted: bool, width: usize| -> Result<()> {
            if wanted {
                let like = &memory[0];
                past.push(Tensor::zeros((rows, width), like.dtype(), like.device())?);
            }
            Ok(())
        };
        begin(self.config.coverage, places)?;
        begin(self.config.input_feeding, self.config.context())?;
        Ok(State::new(memory.into(), lengths, past))
    }

    fn write(&self, words: &[u32], state: &State) -> Result<Next> {
        let mut before = state.past.iter().cloned();
        let Some(states) = before.next() else {
            bail!("this is a state of another network");
        };
        let seen = self.config.coverage.then(|| before.next()).flatten();
        let found = self.config.input_feeding.then(|| before.next()).flatten();
        let lookback = Lookback::from_tensors(&state.memory, (seen.clone(), found))?;
        let words = Tensor::new(words, &Device::Cpu)?.to_device(states.device())?;
        let states = states.transpose(0, 1)?.contiguous()?;
        let walk = self.walk(&words.unsqueeze(0)?, &lookback, &states, false)?;
        let attention = walk.attention.map(|all| all.get(0)).transpose()?;
        let mut past = vec![walk.states.transpose(0, 1)?];
        if let (Some(seen), Some(looked)) = (seen, &attention) {
            past.push((seen + looked)?);
        }
        if self.config.input_feeding {
            past.push(walk.found);
        }
        let after = state.after(past);
        Next::new(self, &walk.features, attention.as_ref(), after)
    }

    fn features(&self, source: (&Tensor, &[usize]), given: &Tensor, train: bool) -> Result<Tensor> {
        let encoded = self.encode(source.0, source.1, train)?;
        let lookback = self.lookback(&encoded)?;
        let words = given.t()?.contiguous()?;
        Ok(self
            .walk(&words, &lookback, &encoded.states, train)?
            .features)
    }

    fn softmax(&self) -> (&Tensor, &Tensor) {
        self.decoder.softmax()
    }
}

/// Normal with deviation `1 / sqrt(size)`, so that tied weights give logits of about 1; padding 0.
pub(super) fn embedding(words: usize, size: usize, vb: &VarBuilder<'static>) -> Result<Embedding> {
    let table = EmbeddingConfig {
        padding_idx: Some(PAD),
        ..EmbeddingConfig::new(words, size)
    };
    let names = vb.pp("embedding");
    if !names.contains_tensor("weight") {
        let init = Init::Randn {
            mean: 0.0,
            stdev: (size as f64).powf(-0.5),
        };
        let weight = names.get_with_hints((words, size), "weight", init)?;
        weight.slice_set(
            &Tensor::zeros((1, size), weight.dtype(), weight.device())?,
            0,
            0,
        )?;
    }
    Embedding::new(&table, names)
}
