//! The op, with one, two or three inputs.

use std::sync::{Arc, Mutex, PoisonError};

use candle_core::backend::BackendStorage;
use candle_core::{
    CpuStorage, CustomOp1, CustomOp2, CustomOp3, Layout, Result, Shape, Tensor, WithDType, bail,
};
use rayon::prelude::*;

use super::kernel::{Grads, Mask, Part, Sizes, look, look_back};
use crate::handover;
use crate::kernel::{Float, dispatch, slice, with_slice};

pub(super) struct Attention {
    pub(super) sizes: Sizes,
    pub(super) scale: f64,
    pub(super) lengths: Option<Vec<usize>>,
    pub(super) causal: bool,
    /// `(N, H, T, S)`.
    pub(super) added: Option<Tensor>,
    pub(super) drop: Option<Vec<bool>>,
    /// Of the weights, in the mean.
    pub(super) kept_share: f64,
    /// Whether the weights are given behind the outputs.
    pub(super) give: bool,
    /// Those of the forward pass.
    pub(super) weights: Arc<Mutex<Option<Tensor>>>,
}

const NAME: &str = "attention";

/// Queries, keys and values of a batch inside the inputs: the data, where in a row they begin, and
/// the width of a row.
type Parts<'a, T> = [(&'a [T], usize, usize); 3];

impl Attention {
    fn parts<'a, T>(&self, inputs: &[&'a [T]]) -> Parts<'a, T> {
        let (key, value) = (
            self.sizes.heads * self.sizes.key,
            self.sizes.heads * self.sizes.value,
        );
        match *inputs {
            [all] => [0, key, 2 * key].map(|from| (all, from, 3 * key)),
            [q, kv] => [(q, 0, key), (kv, 0, 2 * key), (kv, key, 2 * key)],
            [q, k, v] => [(q, 0, key), (k, 0, key), (v, 0, value)],
            _ => [(&[], 0, 0); 3],
        }
    }

    /// Those of a row of the batch.
    fn of_row<'a, T>(&self, parts: &Parts<'a, T>, row: usize) -> [Part<'a, T>; 3] {
        let rows = [self.sizes.queries, self.sizes.places, self.sizes.places];
        let part = |((data, from, stride), rows): ((&'a [T], usize, usize), usize)| {
            let end = (row + 1) * rows * stride;
            let data = &data[(row * rows * stride + from).min(end)..end];
            Part { data, stride }
        };
        [
            part((parts[0], rows[0])),
            part((parts[1], rows[1])),
            part((parts[2], rows[2])),
        ]
    }

    fn mask<'a, T: Float>(&'a self, row: usize, added: Option<&'a [T]>) -> Mask<'a, T> {
        let count = self.sizes.weights();
        let grown = if self.kept_share > 0.0 {
            1.0 / self.kept_share
        } else {
            0.0
        };
        let drop = self.drop.as_ref().map(|keep| {
            let keep = &keep[row * count..][..count];
            (keep, <T as WithDType>::from_f64(grown))
        });
        Mask {
            length: self
                .lengths
                .as_ref()
                .map_or(self.sizes.places, |all| all[row]),
            causal: self.causal,
            added: added.map(|added| &added[row * count..][..count]),
            drop,
        }
    }

    fn with_added<T: Float, R>(&self, run: impl FnOnce(Option<&[T]>) -> Result<R>) -> Result<R> {
        match &self.added {
            Some(added) => with_slice::<T, _>(added, |added| run(Some(added))),
            None => run(None),
        }
    }

    fn forward<T: Float>(&self, inputs: &[&[T]]) -> Result<(CpuStorage, Shape)> {
        let sizes = &self.sizes;
        let (parts, scale) = (self.parts(inputs), <T as WithDType>::from_f64(self.scale));
        let mut out = vec![T::zero(); sizes.outputs()];
        let mut weights = vec![T::zero(); sizes.batch * sizes.weights()];
        let width = (sizes.queries * sizes.heads * sizes.value).max(1);
        self.with_added(|added| {
            out.par_chunks_mut(width)
                .zip(weights.par_chunks_mut(sizes.weights().max(1)))
                .enumerate()
                .for_each_init(
                    || vec![T::zero(); sizes.scratch()],
                    |scratch, (row, (out, weights))| {
                        let parts = self.of_row(&parts, row);
                        let mask = self.mask(row, added);
                        look(sizes, parts, scale, mask, (weights, out), scratch);
                    },
                );
            Ok(())
        })?;
        let rows = (sizes.batch, sizes.queries, sizes.heads * sizes.value);
        let shape = if self.give {
            out.extend_from_slice(&weights);
            out.len().into()
        } else {
            rows.into()
        };
        let count = weights.len();
        let kept = Tensor::from_vec(weights, count, &candle_core::Device::Cpu)?;
        *self.weights.lock().unwrap_or_else(PoisonError::into_inner) = Some(kept);
        Ok((T::to_cpu_storage_owned(out), shape))
    }

    /// Gradients of queries, keys and values, each by itself.
    fn backward<T: Float>(&self, inputs: &[&[T]], grad: &[T]) -> Result<[Vec<T>; 3]> {
        let sizes = &self.sizes;
        let weights = self.weights.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(weights) = weights.as_ref() else {
            bail!("{NAME}: the forward pass kept nothing to go back with");
        };
        let (parts, scale) = (self.parts(inputs), <T as WithDType>::from_f64(self.scale));
        let (dout, dweights) = grad.split_at(sizes.outputs());
        let [key, value] = [sizes.key, sizes.value].map(|width| sizes.heads * width);
        let widths = [
            sizes.queries * key,
            sizes.places * key,
            sizes.places * value,
        ];
        let [mut dq, mut dk, mut dv] = widths.map(|width| vec![T::zero(); sizes.batch * width]);
        let [q_width, k_width, v_width] = widths.map(|width| width.max(1));
        with_slice::<T, _>(weights, |weights| {
            self.with_added(|added| {
                dq.par_chunks_mut(q_width)
                    .zip(dk.par_chunks_mut(k_width).zip(dv.par_chunks_mut(v_width)))
                    .enumerate()
                    .for_each_init(
                        || vec![T::zero(); sizes.scratch()],
                        |scratch, (row, (dq, (dk, dv)))| {
                            let count = sizes.weights();
                            let all = sizes.queries * value;
                            let known = (
                                &weights[row * count..][..count],
                                scale,
                                self.mask(row, added),
                            );
                            let grads = Grads {
                                seen: Part {
                                    data: &dout[row * all..][..all],
                                    stride: value,
                                },
                                weights: self.give.then(|| &dweights[row * count..][..count]),
                            };
                            let parts = self.of_row(&parts, row);
                            look_back(sizes, parts, known, grads, [dq, dk, dv], scratch);
                        },
                    );
                Ok(())
            })
        })?;
        Ok([dq, dk, dv])
    }
}

/// Rows of each part next to each other.
fn side_by_side<T: Float>(parts: &[&[T]], width: usize) -> Vec<T> {
    let mut all = vec![T::zero(); parts.iter().map(|part| part.len()).sum()];
    let rows = all.par_chunks_mut((parts.len() * width).max(1)).enumerate();
    rows.with_min_len(64).for_each(|(row, all)| {
        for (to, part) in all.chunks_exact_mut(width).zip(parts) {
            to.copy_from_slice(&part[row * width..][..width]);
        }
    });
    all
}

impl CustomOp1 for Attention {
    fn name(&self) -> &'static str {
        NAME
    }

    fn cpu_fwd(&self, x: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        dispatch!(x.dtype(), NAME, T => self.forward::<T>(&[slice(x, layout)?]))
    }

    fn bwd(&self, x: &Tensor, _y: &Tensor, grad: &Tensor) -> Result<Option<Tensor>> {
        let width = self.sizes.heads * self.sizes.key;
        dispatch!(x.dtype(), NAME, T => {
            let [q, k, v] = with_slice::<T, _>(x, |x| with_slice::<T, _>(grad, |grad| {
                self.backward(&[x], grad)
            }))?;
            handover::made(x, side_by_side(&[&q, &k, &v], width))
        })
    }
}

impl CustomOp2 for Attention {
    fn name(&self) -> &'static str {
        NAME
    }

    fn cpu_fwd(
        &self,
        q: &CpuStorage,
        q_layout: &Layout,
        kv: &CpuStorage,
        kv_layout: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        dispatch!(q.dtype(), NAME, T => {
            self.forward::<T>(&[slice(q, q_layout)?, slice(kv, kv_layout)?])
        })
    }

    fn bwd(
        &self,
        q: &Tensor,
        kv: &Tensor,
        _y: &Tensor,
        grad: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>)> {
        let width = self.sizes.heads * self.sizes.key;
        dispatch!(q.dtype(), NAME, T => {
            let [dq, dk, dv] = with_slice::<T, _>(q, |q| with_slice::<T, _>(kv, |kv| {
                with_slice::<T, _>(grad, |grad| self.backward(&[q, kv], grad))
            }))?;
            Ok((handover::made(q, dq)?, handover::made(kv, side_by_side(&[&dk, &dv], width))?))
        })
    }
}

impl CustomOp3 for Attention {
    fn name(&self) -> &'static str {
        NAME
    }

    fn cpu_fwd(
        &self,
        q: &CpuStorage,
        q_layout: &Layout,
        k: &CpuStorage,
        k_layout: &Layout,
        v: &CpuStorage,
        v_layout: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        dispatch!(q.dtype(), NAME, T => {
            self.forward::<T>(&[slice(q, q_layout)?, slice(k, k_layout)?, slice(v, v_layout)?])
        })
    }

    fn bwd(
        &self,
        q: &Tensor,
        k: &Tensor,
        v: &Tensor,
        _y: &Tensor,
        grad: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>, Option<Tensor>)> {
        dispatch!(q.dtype(), NAME, T => {
            let [dq, dk, dv] = with_slice::<T, _>(q, |q| with_slice::<T, _>(k, |k| {
                with_slice::<T, _>(v, |v| with_slice::<T, _>(grad, |grad| {
                    self.backward(&[q, k, v], grad)
                }))
            }))?;
            Ok((handover::made(q, dq)?, handover::made(k, dk)?, handover::made(v, dv)?))
        })
    }
}
