//! Buffers: tensors that belong to a layer's state and that training changes, but not by gradients.

use mapsto_tensor::{Result, Tensor, Var, bail};

/// Changes a buffer in place.
///
/// # Errors
/// When it is no variable: one that came from a file, or was cast on its way.
pub(crate) fn set(buffer: &Tensor, value: &Tensor) -> Result<()> {
    if !buffer.is_variable() {
        bail!(
            "a buffer cannot be changed where it lies: build layers that train over a ParamStore, in \
             its own dtype"
        );
    }
    Var::from_tensor(buffer)?.set(value)
}
