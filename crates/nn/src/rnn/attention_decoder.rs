//! [`AttentionDecoder`]: a recurrent layer that looks back at a memory before or after each step.
//!
//! `e_s = v . tanh(W_q h_{t-1} + W_k m_s)`, `a = softmax over s of e`, `c_t = sum over s of a_s m_s`,
//! and the cell steps from `h_{t-1}` on the input `[x_t; c_t]`; what lies beyond the end of a
//! memory is not looked at.
//!
//! A layer that looks after its steps ([`Look::After`], input feeding) asks with a state that has
//! read `x_t`, and hands what it finds to the next step: the cell steps on `[x_t; c_{t-1}]`, where
//! `c_0` is 0, and `e_s = v . tanh(W_q h_t + W_k m_s)` gives `c_t`.
//!
//! With coverage a layer knows where it has looked: `w p_s` is added inside the tanh, where `p_s` is
//! the sum of the `a_s` of the steps before.
//!
//! **Shape:** `x (T, N, in)`, memory `(N, S, C)`, states `(Z, N, hidden)` → outputs `(T, N, hidden)`,
//! contexts `(T, N, C)`, attention `(T, N, S)` and the last states; `Z` is 2 for an LSTM, else 1.
//!
//! **Parameters:** `attention.query.weight (A, hidden)`, `attention.key.weight (A, C)`,
//! `attention.energy.weight (1, A)`, with coverage `attention.coverage.weight (A, 1)`, as of PyTorch's `Linear` without bias; `rnn.weight_ih_l0 (G
//! hidden, in + C)`, `rnn.weight_hh_l0`, `rnn.bias_ih_l0`, `rnn.bias_hh_l0` as of its stacks.
//!
//! PyTorch has no such layer. All steps are one op, forward and back.
//!
//! ```
//! use mapsto_nn::{AttentionDecoder, AttentionDecoderConfig};
//! use mapsto_tensor::ops::{Look, Recurrence};
//! use mapsto_tensor::{DType, Device, ParamStore, Tensor};
//! let store = ParamStore::new(DType::F32, &Device::Cpu);
//! let config = AttentionDecoderConfig {
//!     kind: Recurrence::Gru,
//!     input_size: 3,
//!     context_size: 6,
//!     hidden_size: 8,
//!     attention_size: 5,
//!     coverage: false,
//!     look: Look::Before,
//! };
//! let layer = AttentionDecoder::new(&config, &store.root())?;
//! let source = Tensor::ones((2, 7, 6), DType::F32, &Device::Cpu)?;
//! let memory = layer.memory(&source, Some(vec![7, 4]))?;
//! let x = Tensor::ones((9, 2, 3), DType::F32, &Device::Cpu)?;
//! let states = Tensor::zeros((1, 2, 8), DType::F32, &Device::Cpu)?;
//! let decoded = layer.forward(&x, &memory, &states)?;
//! assert_eq!(decoded.outputs.dims(), [9, 2, 8]);
//! assert_eq!(decoded.attention.dims(), [9, 2, 7]);
//! # Ok::<(), mapsto_tensor::Error>(())
//! ```
//!
//! **Reference:** Dzmitry Bahdanau, Kyunghyun Cho, Yoshua Bengio, "Neural machine translation by
//! jointly learning to align and translate", 2015; Minh-Thang Luong, Hieu Pham, Christopher Manning,
//! "Effective approaches to attention-based neural machine translation", 2015 (input feeding); Zhaopeng Tu et al., "Modeling coverage for neural
//! machine translation", 2016.

use mapsto_tensor::ops::{
    self, AttentionDecoderWeights, AttentionMemory, Decoded, Look, Recurrence, attention_decoder,
};
use mapsto_tensor::{Result, Tensor, VarBuilder, bail, init::Initializer};

use super::config::CellConfig;
use super::weights::weights;

/// The sizes of an [`AttentionDecoder`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AttentionDecoderConfig {
    /// The kind of cell.
    pub kind: Recurrence,
    /// Features of the input.
    pub input_size: usize,
    /// Features of the memory.
    pub context_size: usize,
    /// Units.
    pub hidden_size: usize,
    /// Units of the comparison.
    pub attention_size: usize,
    /// Whether the comparison sees how much a place has been looked at before.
    pub coverage: bool,
    /// Whether it looks before or after each step.
    pub look: Look,
}

/// A recurrent layer with additive attention.
#[derive(Debug, Clone)]
#[doc(alias = "BahdanauAttention")]
#[doc(alias = "AdditiveAttention")]
pub struct AttentionDecoder {
    config: AttentionDecoderConfig,
    weights: AttentionDecoderWeights,
    key: Tensor,
}

impl AttentionDecoder {
    /// Makes or finds the parameters under `vb`.
    ///
    /// # Errors
    /// When a size is 0, or the store behind `vb` holds these names with other shapes.
    pub fn new(config: &AttentionDecoderConfig, vb: &VarBuilder<'_>) -> Result<Self> {
        let sizes = [
            config.input_size,
            config.context_size,
            config.hidden_size,
            config.attention_size,
        ];
        if sizes.contains(&0) {
            bail!("attention decoder: sizes must be at least 1, got {config:?}");
        }
        let linear = |name: &str, rows: usize, columns: usize| {
            let init = Initializer::torch_default(columns);
            let names = vb.pp("attention").pp(name);
            names.get_with_hints((rows, columns), "weight", init)
        };
        let input = config.input_size + config.context_size;
        let cell = CellConfig::new(input, config.hidden_size);
        Ok(Self {
            config: *config,
            key: linear("key", config.attention_size, config.context_size)?,
            weights: AttentionDecoderWeights {
                query: linear("query", config.attention_size, config.hidden_size)?,
                energy: linear("energy", 1, config.attention_size)?,
                coverage: match config.coverage {
                    true => Some(linear("coverage", config.attention_size, 1)?.t()?),
                    false => None,
                },
                look: config.look,
                cell: weights(config.kind, &cell, "_l0", &vb.pp("rnn"))?,
            },
        })
    }

    /// The sizes.
    pub fn config(&self) -> &AttentionDecoderConfig {
        &self.config
    }

    /// A memory `(N, S, C)` to look back at; `lengths` are the places of each sequence, all if
    /// none are given.
    ///
    /// # Errors
    /// When shapes do not fit.
    pub fn memory(&self, values: &Tensor, lengths: Option<Vec<usize>>) -> Result<AttentionMemory> {
        Ok(AttentionMemory {
            values: values.clone(),
            keys: ops::linear(values, &self.key, None)?,
            lengths,
            seen: None,
            found: None,
        })
    }

    /// Walks over the inputs `(T, N, in)` from `states`.
    ///
    /// # Errors
    /// When shapes or lengths do not fit, naming them.
    pub fn forward(
        &self,
        x: &Tensor,
        memory: &AttentionMemory,
        states: &Tensor,
    ) -> Result<Decoded> {
        attention_decoder(self.config.kind, x, memory, &self.weights, states)
    }
}
