//! Which steps of a sequence a row of the batch takes, and in which direction.

use candle_core::{Result, bail};

/// The direction of a walk over time and where each sequence of the batch ends.
///
/// Beyond its end a sequence takes no step: its state stands still and its output is 0. In
/// reverse, it starts at its own end.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Order {
    /// From the last step to the first.
    pub reverse: bool,
    /// Steps of each sequence; none if all take every step.
    pub lengths: Option<Vec<usize>>,
}

/// Refuses lengths, if there are any, that do not fit a batch of sequences of so many places.
pub(super) fn check_lengths(
    name: &str,
    lengths: Option<&[usize]>,
    places: usize,
    batch: usize,
) -> Result<()> {
    let Some(lengths) = lengths else {
        return Ok(());
    };
    if lengths.len() != batch {
        bail!(
            "{name}: {} lengths for a batch of {batch} sequences",
            lengths.len()
        );
    }
    match lengths.iter().find(|&&n| n == 0 || n > places) {
        Some(length) => bail!("{name}: a length must lie in 1..={places}, got {length}"),
        None => Ok(()),
    }
}

impl Order {
    /// The steps in the order in which they are taken.
    pub(super) fn walk(&self, steps: usize) -> impl DoubleEndedIterator<Item = usize> + use<> {
        let reverse = self.reverse;
        (0..steps).map(move |i| if reverse { steps - 1 - i } else { i })
    }

    /// Whether a row of the batch takes a step.
    pub(super) fn takes(&self, row: usize, step: usize) -> bool {
        self.lengths
            .as_ref()
            .is_none_or(|lengths| step < lengths[row])
    }

    /// The step that a row takes first.
    pub(super) fn first(&self, row: usize, steps: usize) -> usize {
        match &self.lengths {
            _ if !self.reverse => 0,
            Some(lengths) => lengths[row] - 1,
            None => steps - 1,
        }
    }
}
