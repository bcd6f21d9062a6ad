//! The parameters of one layer in one direction, or of one cell.

use mapsto_tensor::ops::{Recurrence, RecurrentWeights};
use mapsto_tensor::{Result, VarBuilder, init::Initializer};

use super::config::CellConfig;

/// Makes or finds `weight_ih` and so on, each name with `suffix`, uniform within
/// `1 / sqrt(hidden_size)`.
pub(super) fn weights(
    kind: Recurrence,
    config: &CellConfig,
    suffix: &str,
    vb: &VarBuilder<'_>,
) -> Result<RecurrentWeights> {
    let init = Initializer::torch_default(config.hidden_size);
    let rows = kind.gates() * config.hidden_size;
    let matrix = |name: &str, columns: usize| {
        vb.get_with_hints((rows, columns), &format!("{name}{suffix}"), init)
    };
    let bias = |name: &str| vb.get_with_hints(rows, &format!("{name}{suffix}"), init);
    let weight_ih = matrix("weight_ih", config.input_size)?;
    let weight_hh = matrix("weight_hh", config.hidden_size)?;
    let biases = if config.bias {
        Some((bias("bias_ih")?, bias("bias_hh")?))
    } else {
        None
    };
    Ok(RecurrentWeights {
        weight_ih,
        weight_hh,
        biases,
    })
}
