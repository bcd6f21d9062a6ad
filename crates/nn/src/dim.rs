//! Dimensions as PyTorch numbers them, and inputs without a batch.

use mapsto_tensor::{Result, Tensor, bail};

/// The dimension that `dim` means in a tensor of `rank` dimensions; -1 is the last.
pub(crate) fn resolve(dim: i64, rank: usize, op: &str) -> Result<usize> {
    let count = rank as i64;
    if dim < -count || dim >= count {
        bail!("{op}: there is no dimension {dim} in an input of {rank} dimensions");
    }
    Ok(dim.rem_euclid(count) as usize)
}

/// Runs `f`, which takes `(N, C, H, W)`, on that or on a single `(C, H, W)`.
pub(crate) fn with_batch(
    x: &Tensor,
    layer: &str,
    f: impl FnOnce(&Tensor) -> Result<Tensor>,
) -> Result<Tensor> {
    match x.rank() {
        4 => f(x),
        3 => f(&x.unsqueeze(0)?)?.squeeze(0),
        _ => bail!(
            "{layer}: expected an input (N, C, H, W) or (C, H, W), got {:?}",
            x.shape()
        ),
    }
}
