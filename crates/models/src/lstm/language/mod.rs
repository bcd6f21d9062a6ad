//! Language models: which word or character comes next.
//!
//! [`LanguageModelConfig`] describes the network, [`NextToken`] is its task, [`Recipe`] trains it,
//! and [`Writer`] measures texts and writes them.

mod network;
mod pipeline;
mod presets;
mod recipe;
mod settings;
mod task;

pub use crate::sampling::Sampling;
pub use network::{Hidden, LanguageDropout, LanguageModel, LanguageModelConfig};
pub use pipeline::{Description, Writer};
pub use presets::PRESETS;
pub use recipe::Recipe;
pub use settings::{DataSettings, ModelSettings, Settings};
pub use task::{Carried, NextToken, Window};
