#![doc = include_str!("../README.md")]

mod cell;
pub mod cnn;
mod error;
pub mod gan;
mod kind;
pub mod lstm;
mod recipe;
mod sampling;
pub mod seq2seq;
mod zoo;

pub use cell::Cell;
pub use error::{Error, Result};
pub(crate) use kind::described;
pub use kind::kind_of;
pub use recipe::{
    Measured, OptimSettings, Options, Recipe, Report, Schedule, Settings, TrainSettings,
};
pub use sampling::Sampling;
pub use zoo::{Entry, ZOO};
