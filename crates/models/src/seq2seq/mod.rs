//! Encoder and decoder: a sequence in, another out.

mod decoder;
mod encoder;
mod network;
mod search;

pub use decoder::{Lookback, Walk};
pub use encoder::{Encoded, Encoder};
pub use network::{AttentionKind, Seq2Seq, Seq2SeqConfig};
pub use search::{BeamConfig, Found, beam_search, greedy_search};

/// The number of the token that fills short sequences up.
pub const PAD: u32 = 0;
