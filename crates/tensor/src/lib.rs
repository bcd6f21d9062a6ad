//! Differentiable tensor ops, seeded randomness, parameter stores and checkpoints on candle.

pub mod rng;

pub use candle_core::{
    D, DType, Device, Error, IndexOp, Module, ModuleT, Result, Shape, Tensor, Var,
};
pub use candle_nn::VarBuilder;
