#![doc = include_str!("../README.md")]

pub mod cnn;
mod error;
mod zoo;

pub use error::{Error, Result};
pub use zoo::{Entry, ZOO};
