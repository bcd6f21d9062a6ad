//! Encoder and decoder: a sequence in, another out.

mod decoder;
mod encoder;
mod network;
mod pipeline;
mod recipe;
mod search;
mod settings;
mod task;

pub use decoder::{Lookback, Walk};
pub use encoder::{Encoded, Encoder};
pub use network::{AttentionKind, Seq2Seq, Seq2SeqConfig};
pub use pipeline::{Description, Translation, Translator};
pub use recipe::Recipe;
pub use search::{BeamConfig, Found, beam_search, greedy_search};
pub use settings::{DataSettings, ModelSettings, PRESETS, SearchSettings, Settings};
pub use task::Translate;

/// The number of the token that fills short sequences up.
pub const PAD: u32 = 0;
