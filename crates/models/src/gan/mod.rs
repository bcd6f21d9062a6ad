//! Generative adversarial networks: pictures, and points of a plane, made of noise.
//!
//! A generator makes samples; a discriminator tells them from real ones; each learns from the
//! other. `config` says what both consist of, `generator` and `discriminator` build them, `task` is
//! the game with its losses (`loss`) and changes to pictures (`augment`), `judge` and `measure` say
//! how good samples are, `material` is what is learned from (`pictures`, `points`), `pipeline`
//! makes samples, `settings` and `recipe` are the reference run.
//!
//! ```no_run
//! use mapsto_data::contact_sheet;
//! use mapsto_models::gan::GanPipeline;
//! use mapsto_tensor::Device;
//! let gan = GanPipeline::load("runs/gan/checkpoints/best.safetensors", &Device::Cpu)?;
//! let sevens = gan.pictures(64, Some(gan.class("7")?), 42)?;
//! contact_sheet(&sevens, 8)?.save_png("sevens.png")?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod augment;
mod config;
mod discriminator;
mod figures;
mod generator;
mod judge;
mod loss;
mod material;
mod measure;
mod normed;
mod pictures;
mod pipeline;
mod points;
mod recipe;
mod residual;
mod settings;
mod task;

pub use augment::Augment;
pub use config::{Architecture, Condition, GanConfig, Norm, Shape};
pub use discriminator::Discriminator;
pub use generator::Generator;
pub use loss::{GanLoss, slope_penalty};
pub use pipeline::{Description, GanPipeline};
pub use recipe::Recipe;
pub use settings::{DataSettings, DuelSettings, MeasureSettings, ModelSettings, PRESETS, Settings};
pub use task::{GanTask, Rules};
