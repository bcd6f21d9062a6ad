//! [`Flatten`]: joins dimensions to one.
//!
//! `y[n, (c H + h) W + w] = x[n, c, h, w]`
//!
//! **Shape:** `(N, *)` → `(N, product of *)`; [`Flatten::dims`] chooses other dimensions.
//!
//! **Parameters:** none.
//!
//! As in PyTorch: the first dimension, the batch, stays.
//!
//! ```
//! use mapsto_nn::Flatten;
//! use mapsto_tensor::{DType, Device, Module, Tensor};
//! let x = Tensor::zeros((2, 3, 4, 5), DType::F32, &Device::Cpu)?;
//! assert_eq!(Flatten.forward(&x)?.dims(), [2, 60]);
//! assert_eq!(Flatten::dims(0, -2).forward(&x)?.dims(), [24, 5]);
//! # Ok::<(), mapsto_tensor::Error>(())
//! ```

use mapsto_tensor::{Module, Result, Tensor, bail, ops};
use serde::{Deserialize, Serialize};

use crate::dim::resolve;

/// Joins all dimensions but the first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Flatten;

impl Flatten {
    /// Joins the dimensions from `start` to `end`, both included; negative ones count from
    /// the end.
    pub const fn dims(start: i64, end: i64) -> FlattenDims {
        FlattenDims { start, end }
    }
}

impl Module for Flatten {
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        Self::dims(1, -1).forward(x)
    }
}

/// Joins a range of dimensions; see [`Flatten::dims`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FlattenDims {
    /// The first dimension joined.
    pub start: i64,
    /// The last dimension joined.
    pub end: i64,
}

impl Module for FlattenDims {
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let start = resolve(self.start, x.rank(), "flatten")?;
        let end = resolve(self.end, x.rank(), "flatten")?;
        if start > end {
            bail!("flatten: dimension {start} comes after {end}");
        }
        let dims = x.dims();
        let joined: usize = dims[start..=end].iter().product();
        ops::reshape(x, [&dims[..start], &[joined], &dims[end + 1..]].concat())
    }
}
