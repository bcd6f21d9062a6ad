//! Recurrent networks for text: a language model, and classifiers of texts.

pub mod language;
pub mod sentiment;
