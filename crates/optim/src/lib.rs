#![doc = include_str!("../README.md")]

mod adam;
mod adamw;
mod clip;
mod hyper;
mod optim;
mod optimizer;
mod rule;
mod sgd;
mod state;

pub use adam::Adam;
pub use adamw::AdamW;
pub use clip::{clip_grad_norm, clip_grad_value};
pub use optim::Optim;
pub use optimizer::{IntoOptimizer, Optimizer};
pub use rule::{At, Rule};
pub use sgd::Sgd;
