#![doc = include_str!("../README.md")]

pub mod backward;
pub mod checkpoint;
mod device;
mod gemm;
mod handover;
pub mod init;
mod kernel;
pub mod macs;
mod math;
mod micro_kernel;
pub mod ops;
mod panels;
mod params;
pub mod rng;
mod room;
mod tape;
#[cfg(feature = "testing")]
pub mod testing;
pub mod threads;
mod turn;
pub mod update;

pub use backward::{Gradients, backward};
pub use candle_core::{
    D, DType, Device, Error, IndexOp, Module, ModuleT, Result, Shape, Tensor, Var, bail,
};
pub use candle_nn::{Init, VarBuilder, var_builder::SimpleBackend};
pub use checkpoint::{Checkpoint, CheckpointError, LoadReport, StateDict};
pub use device::{DeviceError, parse_device};
pub use kernel::Float;
pub use params::{ParamKind, ParamStore};
