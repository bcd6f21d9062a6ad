//! Recurrent layers and cells.

mod attention_decoder;
mod config;
mod gru;
mod gru_cell;
mod layer;
mod lstm;
mod lstm_cell;
#[allow(clippy::module_inception, reason = "one layer a file, this one is Rnn")]
mod rnn;
mod rnn_cell;
mod single;
mod stack;
mod weights;

pub use attention_decoder::{AttentionDecoder, AttentionDecoderConfig};
pub use config::{CellConfig, RecurrentConfig};
pub use gru::Gru;
pub use gru_cell::GruCell;
pub use layer::RecurrentLayer;
pub use lstm::{Lstm, LstmState};
pub use lstm_cell::LstmCell;
pub use rnn::Rnn;
pub use rnn_cell::RnnCell;
