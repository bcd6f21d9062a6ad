//! Range checks of hyperparameters, and their messages.

use mapsto_tensor::{Result, bail};

/// `value` must be finite and at least 0.
pub(crate) fn non_negative(field: &str, value: f64) -> Result<()> {
    check(field, value, value >= 0.0 && value.is_finite(), "[0, inf)")
}

/// `value` must be finite and above 0.
pub(crate) fn positive(field: &str, value: f64) -> Result<()> {
    check(field, value, value > 0.0 && value.is_finite(), "(0, inf)")
}

/// `value` must lie in [0, 1), where a moving average forgets.
pub(crate) fn decay(field: &str, value: f64) -> Result<()> {
    check(field, value, (0.0..1.0).contains(&value), "[0, 1)")
}

/// `value` must lie in [0, 1].
pub(crate) fn fraction(field: &str, value: f64) -> Result<()> {
    check(field, value, (0.0..=1.0).contains(&value), "[0, 1]")
}

fn check(field: &str, value: f64, holds: bool, range: &str) -> Result<()> {
    if !holds {
        bail!("{field} must lie in {range}, got {value}");
    }
    Ok(())
}
