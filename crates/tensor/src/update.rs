//! In-place updates of several tensors at once: what an optimizer step is made of.
//!
//! candle's in-place ops change one tensor a call; an update rule changes a parameter and its
//! state together. [`in_place`] borrows the storage of all of them and hands their elements to
//! a closure in parallel chunks. Elements are independent of each other, so the bits do not
//! depend on the number of threads. CPU, `f32` and `f64`.
//!
//! ```
//! use mapsto_tensor::{Device, Tensor, Var, update};
//! let w = Var::new(&[1f64, 2.0], &Device::Cpu)?;
//! let g = Tensor::new(&[10f64, 20.0], &Device::Cpu)?;
//! update::in_place::<f64>(&[w.as_tensor()], &g, |tensors, grad| {
//!     for (w, g) in tensors[0].iter_mut().zip(grad) {
//!         *w -= 0.1 * g;
//!     }
//! })?;
//! assert_eq!(w.to_vec1::<f64>()?, [0.0, 0.0]);
//! # Ok::<(), mapsto_tensor::Error>(())
//! ```

use std::cell::RefCell;

use candle_core::{CpuStorage, InplaceOp1, Layout, Result, Tensor, bail};
use rayon::prelude::*;

use crate::kernel::{CHUNK, Float, has_kernel, storage_address, wide, with_slice};

/// Whether [`in_place`] takes this tensor: on the CPU, `f32` or `f64`.
pub fn is_supported(tensor: &Tensor) -> bool {
    has_kernel(tensor)
}

/// Runs `update(chunks, gradient chunk)` over all elements; chunk `i` belongs to `tensors[i]`.
///
/// # Errors
/// When shapes, dtypes or devices differ, a tensor is strided, or two share memory.
pub fn in_place<T: Float>(
    tensors: &[&Tensor],
    grad: &Tensor,
    update: impl Fn(&mut [&mut [T]], &[T]) + Sync,
) -> Result<()> {
    let mut addresses = vec![storage_address(grad)];
    for tensor in tensors {
        let address = storage_address(tensor);
        if addresses.contains(&address) {
            // Borrowing the same storage again would wait for itself for ever.
            bail!("an in-place update got two tensors that share their memory");
        }
        addresses.push(address);
        if tensor.shape() != grad.shape() {
            bail!(
                "update of a {:?} tensor by a {:?} gradient",
                tensor.shape(),
                grad.shape()
            );
        }
    }
    with_slice::<T, _>(grad, |grad| {
        borrow_all(tensors, vec![], &|mut slices| {
            apply(&mut slices, grad, &update);
        })
    })
}

fn apply<T: Float>(
    slices: &mut [&mut [T]],
    grad: &[T],
    update: &(impl Fn(&mut [&mut [T]], &[T]) + Sync),
) {
    if grad.len() <= CHUNK {
        return wide(
            #[inline(always)]
            || update(slices, grad),
        );
    }
    let mut tasks: Vec<(Vec<&mut [T]>, &[T])> = grad.chunks(CHUNK).map(|g| (vec![], g)).collect();
    for slice in slices {
        for (task, chunk) in tasks.iter_mut().zip(slice.chunks_mut(CHUNK)) {
            task.0.push(chunk);
        }
    }
    tasks.into_par_iter().for_each(|(mut chunks, grad)| {
        wide(
            #[inline(always)]
            || update(&mut chunks, grad),
        )
    });
}

type Continue<'f, T> = &'f dyn for<'a> Fn(Vec<&'a mut [T]>);

/// Borrows the first tensor inside candle's in-place op, and the others inside that.
fn borrow_all<T: Float>(
    tensors: &[&Tensor],
    borrowed: Vec<&mut [T]>,
    then: Continue<'_, T>,
) -> Result<()> {
    match tensors {
        [] => {
            then(borrowed);
            Ok(())
        }
        [first, rest @ ..] => first.inplace_op1(&Borrow {
            rest,
            borrowed: RefCell::new(borrowed),
            then,
        }),
    }
}

struct Borrow<'f, 'a, T> {
    rest: &'f [&'f Tensor],
    borrowed: RefCell<Vec<&'a mut [T]>>,
    then: Continue<'f, T>,
}

impl<T: Float> InplaceOp1 for Borrow<'_, '_, T> {
    fn name(&self) -> &'static str {
        "update"
    }

    fn cpu_fwd(&self, storage: &mut CpuStorage, layout: &Layout) -> Result<()> {
        let Some((start, end)) = layout.contiguous_offsets() else {
            bail!("an in-place update needs a contiguous tensor");
        };
        let mut taken = self.borrowed.borrow_mut();
        let mut borrowed: Vec<&mut [T]> = taken.iter_mut().map(|slice| &mut **slice).collect();
        borrowed.push(&mut elements::<T>(storage)?[start..end]);
        borrow_all(self.rest, borrowed, self.then)
    }
}

fn elements<T: Float>(storage: &mut CpuStorage) -> Result<&mut [T]> {
    let any: &mut dyn std::any::Any = match storage {
        CpuStorage::F32(data) => data,
        CpuStorage::F64(data) => data,
        _ => bail!("an in-place update takes f32 or f64 tensors only"),
    };
    match any.downcast_mut::<Vec<T>>() {
        Some(data) => Ok(data),
        None => bail!("an in-place update got tensors of different dtypes"),
    }
}
