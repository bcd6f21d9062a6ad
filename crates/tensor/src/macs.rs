//! Counts the multiply-adds of the ops that run inside a closure.
//!
//! Our matrix ops (linear, convolution and its transpose, recurrent layers, the decoder with
//! attention, multi-head attention) report theirs while a count is open on this thread; elementwise
//! work and candle's own ops are not counted.
//!
//! ```
//! use mapsto_tensor::{Device, DType, Tensor, macs, ops};
//! let x = Tensor::zeros((5, 3), DType::F32, &Device::Cpu)?;
//! let w = Tensor::zeros((2, 3), DType::F32, &Device::Cpu)?;
//! let (_, count) = macs::count(|| ops::linear(&x, &w, None));
//! assert_eq!(count, 5 * 3 * 2);
//! # Ok::<(), mapsto_tensor::Error>(())
//! ```

use std::cell::Cell;

thread_local! {
    static COUNT: Cell<Option<u64>> = const { Cell::new(None) };
}

/// Runs `work` and returns its value with the multiply-adds it did on this thread.
pub fn count<R>(work: impl FnOnce() -> R) -> (R, u64) {
    let outer = COUNT.replace(Some(0));
    let value = work();
    let counted = COUNT.replace(outer.map(|o| o + COUNT.get().unwrap_or(0)));
    (value, counted.unwrap_or(0))
}

/// Adds to the open count, if any.
pub(crate) fn add(macs: usize) {
    if let Some(count) = COUNT.get() {
        COUNT.set(Some(count + macs as u64));
    }
}
