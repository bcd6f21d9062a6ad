//! Encoder and decoder: a sequence in, another out.
//!
//! Networks are [`EncoderDecoder`]s: [`Seq2Seq`], recurrent, and [`TransformerTranslator`].
//! [`beam_search`] and [`sample`] write targets with any of them, [`Translate`] is their task,
//! [`Recipe`] trains them, and a [`Translator`] is one with all it needs from text to text.

mod config;
mod decoder;
mod encoder;
mod encoder_decoder;
mod network;
mod pairs;
mod pipeline;
mod recipe;
mod search;
mod settings;
mod task;
mod tokenizers;
mod transformer;

pub use config::NetworkConfig;
pub use decoder::{Lookback, Walk};
pub use encoder::{Encoded, Encoder};
pub use encoder_decoder::{EncoderDecoder, Next, State};
pub use network::{AttentionKind, Seq2Seq, Seq2SeqConfig};
pub use pipeline::{Description, Translation, Translator};
pub use recipe::Recipe;
pub use search::{BeamConfig, Found, SampleConfig, Search, beam_search, greedy_search, sample};
pub use settings::{Architecture, DataSettings, ModelSettings, PRESETS, SearchSettings, Settings};
pub use task::{Lesson, Translate};
pub use tokenizers::Tokenizers;
pub use transformer::{TransformerConfig, TransformerTranslator};

/// The number of the token that fills short sequences up.
pub const PAD: u32 = 0;
