//! [`NetworkConfig`]: the kinds of network that translate.

use std::sync::Arc;

use mapsto_tensor::{Result, VarBuilder};
use serde::{Deserialize, Serialize};

use super::encoder_decoder::EncoderDecoder;
use super::network::{AttentionKind, Seq2Seq, Seq2SeqConfig};
use super::transformer::{TransformerConfig, TransformerTranslator};

/// A network, as a checkpoint describes it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "architecture", rename_all = "lowercase")]
pub enum NetworkConfig {
    /// Recurrent encoder and decoder.
    Recurrent(Seq2SeqConfig),
    /// Encoder and decoder of a Transformer.
    Transformer(TransformerConfig),
}

impl NetworkConfig {
    /// Makes or finds the parameters under `vb`.
    ///
    /// # Errors
    /// When a size is out of range, or shapes do not fit what is there.
    pub fn build(&self, vb: &VarBuilder<'static>) -> Result<Arc<dyn EncoderDecoder>> {
        Ok(match self {
            Self::Recurrent(config) => Arc::new(Seq2Seq::new(config, vb)?),
            Self::Transformer(config) => Arc::new(TransformerTranslator::new(config, vb)?),
        })
    }

    /// Whether the decoder looks back at the source.
    pub fn has_attention(&self) -> bool {
        match self {
            Self::Recurrent(config) => config.attention != AttentionKind::None,
            Self::Transformer(_) => true,
        }
    }

    /// Words of source and target.
    pub fn vocabularies(&self) -> [usize; 2] {
        match self {
            Self::Recurrent(config) => [config.source_vocab, config.target_vocab],
            Self::Transformer(config) => [config.source_vocab, config.target_vocab],
        }
    }
}
