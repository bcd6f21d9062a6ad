//! What all CPU kernels share: the float types, contiguous views, loops, and fixed-order sums.
//!
//! Bits must not depend on the number of threads. Loops whose elements are independent may be
//! cut anywhere; sums are cut into parts that depend on shapes only and added up in order.

use std::mem::MaybeUninit;
use std::ops::Range;

use candle_core::{CpuStorage, DType, Layout, Result, Storage, Tensor, WithDType, bail};
use rayon::prelude::*;

use crate::gemm::Blocked;
pub(crate) use crate::gemm::{Mat, Spread, gemm, product};
use crate::math::Parts;
use crate::micro_kernel::Panelled;
use crate::room::Kept;
pub(crate) use crate::room::Room;
use crate::turn::Turned;

/// The element types with CPU kernels of our own: `f32` and `f64`.
pub trait Float:
    WithDType
    + num_traits::Float
    + Default
    + std::iter::Sum
    + Parts
    + Kept
    + Panelled
    + Blocked
    + Turned
{
}

impl Float for f32 {}
impl Float for f64 {}

/// Elements that one task of an elementwise loop takes.
pub(crate) const CHUNK: usize = 16 * 1024;

/// Whether our own kernels take this tensor; otherwise the op composes candle's.
pub(crate) fn has_kernel(tensor: &Tensor) -> bool {
    tensor.device().is_cpu() && matches!(tensor.dtype(), DType::F32 | DType::F64)
}

/// Calls `$body` with the float type of a dtype for which [`has_kernel`] holds.
macro_rules! dispatch {
    ($dtype:expr, $name:expr, $T:ident => $body:expr) => {
        match $dtype {
            candle_core::DType::F32 => {
                type $T = f32;
                $body
            }
            candle_core::DType::F64 => {
                type $T = f64;
                $body
            }
            other => candle_core::bail!("{}: no CPU kernel for dtype {other:?}", $name),
        }
    };
}
pub(crate) use dispatch;

/// Runs loops compiled for the widest instructions that this processor has.
///
/// They are plain loops that the compiler vectorises; it neither fuses nor reorders their float
/// operations, so the bits are those of any other processor. What `loops` calls must be inlined.
#[inline(always)]
pub(crate) fn wide<R>(loops: impl FnOnce() -> R) -> R {
    pulp::Arch::new().dispatch(loops)
}

/// The elements of a contiguous CPU storage.
pub(crate) fn slice<'a, T: WithDType>(storage: &'a CpuStorage, layout: &Layout) -> Result<&'a [T]> {
    let data = T::cpu_storage_as_slice(storage)?;
    match layout.contiguous_offsets() {
        Some((start, end)) => Ok(&data[start..end]),
        None => bail!(
            "kernel called with a strided tensor of shape {:?}",
            layout.shape()
        ),
    }
}

/// Runs `read` on the elements of a CPU tensor, row by row.
pub(crate) fn with_slice<T: WithDType, R>(
    tensor: &Tensor,
    read: impl FnOnce(&[T]) -> Result<R>,
) -> Result<R> {
    let tensor = tensor.contiguous()?;
    let (storage, layout) = tensor.storage_and_layout();
    match &*storage {
        Storage::Cpu(storage) => read(slice(storage, layout)?),
        _ => bail!(
            "kernel called with a tensor on {:?}",
            tensor.device().location()
        ),
    }
}

/// Where a tensor's storage lies in memory: the same for tensors that share it.
pub(crate) fn storage_address(tensor: &Tensor) -> usize {
    let (storage, _) = tensor.storage_and_layout();
    std::ptr::from_ref(&*storage).addr()
}

/// Sum of a slice in a fixed order that vectorises.
#[inline(always)]
pub(crate) fn sum<T: Float>(values: &[T]) -> T {
    const LANES: usize = 16;
    let mut lanes = [T::zero(); LANES];
    let mut blocks = values.chunks_exact(LANES);
    for block in &mut blocks {
        for (lane, &value) in lanes.iter_mut().zip(block) {
            *lane += value;
        }
    }
    let rest: T = blocks.remainder().iter().copied().sum();
    lanes.iter().copied().sum::<T>() + rest
}

/// `total[j] += rows[i][j]` over all rows, each column in row order.
pub(crate) fn add_rows<T: Float>(total: &mut [T], rows: &[T]) {
    wide(
        #[inline(always)]
        || {
            for row in rows.chunks_exact(total.len()) {
                for (sum, &value) in total.iter_mut().zip(row) {
                    *sum += value;
                }
            }
        },
    );
}

/// Elements that short pieces are taken by: shorter blocks for their ends would take most of the time.
pub(crate) const BLOCK: usize = 8;

/// Copies `count` elements; and up to the end of a block beyond, if both are that long.
#[inline(always)]
pub(crate) fn copy<T: Copy>(to: &mut [T], from: &[T], count: usize) {
    let whole = count.next_multiple_of(BLOCK);
    if to.len() >= whole && from.len() >= whole {
        let from = from[..whole].as_chunks::<BLOCK>().0;
        let to = to[..whole].as_chunks_mut::<BLOCK>().0;
        to.iter_mut().zip(from).for_each(|(to, from)| *to = *from);
    } else {
        to[..count].copy_from_slice(&from[..count]);
    }
}

/// `f` of every element, in parallel.
pub(crate) fn map<T: Float>(x: &[T], f: impl Fn(T) -> T + Copy + Sync) -> Vec<T> {
    written(x.len(), CHUNK, |out, range| {
        wide(
            #[inline(always)]
            || {
                for (out, &x) in out.iter_mut().zip(&x[range]) {
                    out.write(f(x));
                }
            },
        );
    })
}

/// `f` of every pair of elements, in parallel.
pub(crate) fn zip<T: Float>(a: &[T], b: &[T], f: impl Fn(T, T) -> T + Copy + Sync) -> Vec<T> {
    written(a.len(), CHUNK, |out, range| {
        wide(
            #[inline(always)]
            || {
                let pairs = a[range.clone()].iter().zip(&b[range]);
                for (out, (&a, &b)) in out.iter_mut().zip(pairs) {
                    out.write(f(a, b));
                }
            },
        );
    })
}

/// `len` zeros, written in parallel.
pub(crate) fn zeros<T: Float>(len: usize) -> Vec<T> {
    written(len, CHUNK, |out, _| {
        out.iter_mut().for_each(|out| {
            out.write(T::zero());
        });
    })
}

/// `len` elements, `chunk` by `chunk` in parallel: `write` gets places and their range, and writes
/// them all. They are not cleared before, which would take as long as a simple `write`.
pub(crate) fn written<T: Send>(
    len: usize,
    chunk: usize,
    write: impl Fn(&mut [MaybeUninit<T>], Range<usize>) + Sync,
) -> Vec<T> {
    let mut out = Vec::with_capacity(len);
    let places = &mut out.spare_capacity_mut()[..len];
    let write = |(index, places): (usize, &mut [MaybeUninit<T>])| {
        let first = index * chunk;
        let range = first..first + places.len();
        write(places, range);
    };
    if len <= chunk {
        write((0, places));
    } else {
        places.par_chunks_mut(chunk).enumerate().for_each(write);
    }
    // SAFETY: the chunks cover `len` places. The callers, all in this crate, walk over all places
    // and write each, or panic while they read what they write.
    #[allow(unsafe_code)]
    unsafe {
        out.set_len(len);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_take_every_element_once() {
        let values: Vec<f64> = (1..=103).map(f64::from).collect();
        assert_eq!(sum(&values), 103.0 * 104.0 / 2.0);
        let mut total = [1.0, 2.0];
        add_rows(&mut total, &[10.0, 20.0, 100.0, 200.0]);
        assert_eq!(total, [111.0, 222.0]);
    }
}
