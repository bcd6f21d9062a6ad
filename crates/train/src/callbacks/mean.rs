//! A mean of parameters that follows them step by step.

use mapsto_tensor::{DType, Float, ParamStore, Result, StateDict, Tensor, update};

/// `mean += (parameter - mean) * share` of every trainable parameter whose name `select` takes;
/// those that have no mean yet begin with their value.
pub(super) fn follow(
    mean: &mut StateDict,
    store: &ParamStore,
    select: impl Fn(&str) -> bool,
    share: f64,
) -> Result<()> {
    for (name, parameter) in store.trainable() {
        if !select(&name) {
            continue;
        }
        let parameter = parameter.as_detached_tensor();
        match mean.get_mut(&name) {
            None => drop(mean.insert(name, parameter.copy()?)),
            Some(mean) => {
                if let Some(new) = moved(mean, &parameter, share)? {
                    *mean = new;
                }
            }
        }
    }
    Ok(())
}

/// In place where there is a kernel, else as a new tensor.
fn moved(mean: &Tensor, parameter: &Tensor, share: f64) -> Result<Option<Tensor>> {
    fn in_place<T: Float>(mean: &Tensor, parameter: &Tensor, share: f64) -> Result<()> {
        let share = T::from_f64(share);
        update::in_place(
            &[mean],
            parameter,
            #[inline(always)]
            |chunks: &mut [&mut [T]], parameter: &[T]| {
                for (mean, &p) in chunks[0].iter_mut().zip(parameter) {
                    *mean += (p - *mean) * share;
                }
            },
        )
    }
    match parameter.dtype() {
        DType::F32 if update::is_supported(parameter) => in_place::<f32>(mean, parameter, share)?,
        DType::F64 if update::is_supported(parameter) => in_place::<f64>(mean, parameter, share)?,
        _ => return Ok(Some((mean + ((parameter - mean)? * share)?)?)),
    }
    Ok(None)
}
