//! Values, subgradients, extremes, layouts and errors of the ops.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod cases;
mod counts;
mod dropout;
mod errors;
mod extremes;
mod kinks;
mod layouts;
mod values;
