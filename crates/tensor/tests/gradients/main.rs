//! The gradient of every op against central differences in `f64`.
#![allow(clippy::unwrap_used)]

mod activation;
mod conv;
mod dense;
mod loss;
mod pool;
mod recurrent;
