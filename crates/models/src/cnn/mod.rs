//! Picture classification by convolutional networks.
//!
//! [`network`](self::CnnConfig) builds it, [`Classify`] is its task, [`CnnPipeline`] answers
//! for picture files, [`Recipe`] trains it.

mod network;
mod pipeline;
mod recipe;
mod settings;
mod task;

pub use network::{CnnConfig, Layer, PRESETS, cnn};
pub use pipeline::{CnnPipeline, Description};
pub use recipe::Recipe;
pub use settings::{DataSettings, ModelSettings, Settings};
pub use task::Classify;
