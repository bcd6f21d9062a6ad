//! What the example programs share: `STEPS` makes them short, `TARGET` makes them judge themselves.

/// The number in the environment variable `STEPS`, or else `full`.
///
/// # Errors
/// When `STEPS` is set to something else than a count of at least 1.
pub fn steps(full: usize) -> anyhow::Result<usize> {
    let Ok(text) = std::env::var("STEPS") else {
        return Ok(full);
    };
    match text.parse() {
        Ok(steps) if steps > 0 => Ok(steps),
        _ => anyhow::bail!("STEPS must be a whole number from 1 on, got \"{text}\""),
    }
}

/// Fails if the environment variable `TARGET` is set and `value` does not reach it.
///
/// # Errors
/// When it does not, or `TARGET` is no number.
pub fn check(name: &str, value: f64) -> anyhow::Result<()> {
    let Ok(text) = std::env::var("TARGET") else {
        return Ok(());
    };
    match text.parse::<f64>() {
        Ok(target) if value >= target => Ok(()),
        // NaN too.
        Ok(target) => anyhow::bail!("{name} is {value}, below the target of {target}"),
        Err(_) => anyhow::bail!("TARGET must be a number, got \"{text}\""),
    }
}

/// The program in the README of the workspace.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
struct Readme;
