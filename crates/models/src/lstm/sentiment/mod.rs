//! Classifiers of texts: sentiment, or any other classes.
//!
//! [`TextClassifierConfig`] describes the network, a bidirectional LSTM with attention pooling or
//! the convolutional network of Kim; [`Recipe`] trains it, and [`SentimentPipeline`] says the
//! class of a text, how probable it is, and which words mattered.

mod network;
mod pipeline;
mod recipe;
mod settings;
mod task;

pub use network::{Encoder, TextClassifier, TextClassifierConfig};
pub use pipeline::{Answer, Description, SentimentPipeline};
pub use recipe::Recipe;
pub use settings::{DataSettings, ModelSettings, PRESETS, Settings};
pub use task::ClassifyText;
