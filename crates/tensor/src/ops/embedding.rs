//! Rows of a weight by number: `y[.., d] = weight[ids[..], d]`.
//!
//! The gradient of a row is the sum over the places that took it, in their order, so its bits do
//! not depend on the number of threads. Rows that nothing took are not even written.
//!
//! **Shape:** `weight (V, D)`, `ids (*)` → `(*, D)`, with any number of dimensions, none
//! included.

use candle_core::backend::BackendStorage;
use candle_core::{CpuStorage, CustomOp1, DType, Layout, Result, Shape, Tensor, WithDType, bail};
use rayon::prelude::*;

use crate::handover;
use crate::kernel::{CHUNK, Float, add_rows, dispatch, has_kernel, slice, with_slice, zeros};
use crate::tape;

/// The rows of `weight (V, D)` that `ids` (`u8`, `u32` or `i64`) name, `(*, D)`.
///
/// The row `padding_idx` is read like any other, and gets no gradient. The numbers are checked
/// on the CPU, so those on another device are copied there once.
///
/// # Errors
/// When `weight` has not two dimensions, `ids` are not whole numbers, or one of them or
/// `padding_idx` is not one of the `V` rows, naming it and its place.
pub fn embedding(weight: &Tensor, ids: &Tensor, padding_idx: Option<u32>) -> Result<Tensor> {
    let (rows, width) = weight.dims2()?;
    if let Some(padding) = padding_idx.filter(|&id| id as usize >= rows) {
        bail!("embedding: padding_idx {padding} is not one of the {rows} rows of the weight");
    }
    let taken = checked(ids, rows)?;
    let y = if has_kernel(weight) {
        let op = Embedding {
            ids: taken,
            padding: padding_idx,
        };
        tape::apply1(&weight.contiguous()?, op)?
    } else {
        composed(weight, &taken, padding_idx)?
    };
    tape::reshape(&y, [ids.dims(), &[width]].concat())
}

/// The numbers in order, all of them rows.
fn checked(ids: &Tensor, rows: usize) -> Result<Vec<u32>> {
    if !matches!(ids.dtype(), DType::U8 | DType::U32 | DType::I64) {
        bail!(
            "embedding: expected ids in u8, u32 or i64, got {:?} of shape {:?}",
            ids.dtype(),
            ids.shape()
        );
    }
    let flat: Vec<i64> = ids.flatten_all()?.to_dtype(DType::I64)?.to_vec1()?;
    let row = |&id: &i64| u32::try_from(id).ok().filter(|&id| (id as usize) < rows);
    let taken: Vec<u32> = flat.iter().map_while(row).collect();
    if let Some(id) = flat.get(taken.len()) {
        bail!(
            "embedding: id {id} at {:?} of ids {:?} is not one of the {rows} rows 0..={}; check \
             the vocabulary or the size of the embedding",
            place(taken.len(), ids.dims()),
            ids.shape(),
            rows.saturating_sub(1)
        );
    }
    Ok(taken)
}

/// The index in every dimension of the element at `flat`.
fn place(mut flat: usize, dims: &[usize]) -> Vec<usize> {
    let mut place = dims.to_vec();
    for (index, &dim) in place.iter_mut().zip(dims).rev() {
        *index = flat % dim;
        flat /= dim;
    }
    place
}

/// The same out of candle ops, on numbers in one dimension.
pub(super) fn composed(weight: &Tensor, ids: &[u32], padding: Option<u32>) -> Result<Tensor> {
    let device = weight.device();
    let count = ids.len();
    let taken = weight.index_select(&Tensor::from_slice(ids, count, device)?, 0)?;
    let Some(padding) = padding else {
        return Ok(taken);
    };
    let padded: Vec<u8> = ids.iter().map(|&id| u8::from(id == padding)).collect();
    let padded = Tensor::from_vec(padded, (count, 1), device)?;
    padded
        .broadcast_as(taken.shape())?
        .where_cond(&taken.detach(), &taken)
}

struct Embedding {
    ids: Vec<u32>,
    padding: Option<u32>,
}

/// Places grouped by the row that they took: those of row `r` are
/// `places[starts[r]..starts[r + 1]]`, in order.
struct Places {
    starts: Vec<usize>,
    places: Vec<u32>,
}

impl Embedding {
    fn places(&self, rows: usize) -> Places {
        let counted = || self.ids.iter().filter(|&&id| Some(id) != self.padding);
        let mut starts = vec![0; rows + 1];
        counted().for_each(|&id| starts[id as usize + 1] += 1);
        for row in 0..rows {
            starts[row + 1] += starts[row];
        }
        let mut next = starts.clone();
        let mut places = vec![0; starts[rows]];
        for (place, &id) in self.ids.iter().enumerate() {
            if Some(id) != self.padding {
                places[next[id as usize]] = place as u32;
                next[id as usize] += 1;
            }
        }
        Places { starts, places }
    }

    fn forward<T: Float>(&self, weight: &[T], width: usize) -> Vec<T> {
        let mut y = vec![T::default(); self.ids.len() * width];
        y.par_chunks_mut(width.max(1))
            .zip(&self.ids)
            .with_min_len(rows_a_task(width))
            .for_each(|(y, &id)| y.copy_from_slice(&weight[id as usize * width..][..width]));
        y
    }

    fn backward<T: Float>(&self, grad: &[T], rows: usize, width: usize) -> Vec<T> {
        let Places { starts, places } = self.places(rows);
        let mut dweight = zeros(rows * width);
        dweight
            .par_chunks_mut(width.max(1))
            .zip(starts.par_windows(2))
            .with_min_len(rows_a_task(width))
            .for_each(|(dweight, bounds)| {
                for &place in &places[bounds[0]..bounds[1]] {
                    add_rows(dweight, &grad[place as usize * width..][..width]);
                }
            });
        dweight
    }
}

/// Rows that one task takes.
fn rows_a_task(width: usize) -> usize {
    (CHUNK / width.max(1)).max(1)
}

impl CustomOp1 for Embedding {
    fn name(&self) -> &'static str {
        "embedding"
    }

    fn cpu_fwd(&self, weight: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let (_, width) = layout.shape().dims2()?;
        dispatch!(weight.dtype(), "embedding", T => {
            let y = self.forward(slice::<T>(weight, layout)?, width);
            Ok((T::to_cpu_storage_owned(y), (self.ids.len(), width).into()))
        })
    }

    fn bwd(&self, weight: &Tensor, _y: &Tensor, grad: &Tensor) -> Result<Option<Tensor>> {
        let (rows, width) = weight.dims2()?;
        dispatch!(weight.dtype(), "embedding", T => {
            let dweight = with_slice::<T, _>(grad, |grad| Ok(self.backward(grad, rows, width)))?;
            let dweight = Tensor::from_vec(dweight, (rows, width), weight.device())?;
            handover::gradient(weight, dweight)
        })
    }
}
