//! [`random_split`] deals a data set out to several, [`stratified_split`] class by class.
//!
//! **Differences from PyTorch:** takes a seed in the place of a generator; `stratified_split`
//! is scikit-learn's `train_test_split(stratify=labels)`.
//!
//! ```
//! use mapsto_data::{Dataset, Samples, random_split};
//! use std::sync::Arc;
//! let set = Arc::new(Samples((0..100).collect::<Vec<u32>>()));
//! let parts = random_split(Arc::clone(&set), &[0.9, 0.1], 42)?;
//! assert_eq!((parts[0].len(), parts[1].len()), (90, 10));
//! let parts = random_split(set, &[70, 20, 10], 42)?;
//! assert_eq!(parts[1].len(), 20);
//! # Ok::<(), mapsto_data::Error>(())
//! ```

use std::sync::Arc;

use mapsto_tensor::rng::Generator;

use crate::order;
use crate::{Dataset, Error, Result, Subset};

/// How large the parts of a split are: made from a slice of `f64` or of `usize`.
#[derive(Debug, Clone, PartialEq)]
pub enum Lengths {
    /// Shares of the whole, which add up to 1.
    Fractions(Vec<f64>),
    /// Numbers of samples, which add up to the whole.
    Counts(Vec<usize>),
}

impl From<&[f64]> for Lengths {
    fn from(fractions: &[f64]) -> Self {
        Self::Fractions(fractions.to_vec())
    }
}

impl From<&[usize]> for Lengths {
    fn from(counts: &[usize]) -> Self {
        Self::Counts(counts.to_vec())
    }
}

impl<const N: usize> From<&[f64; N]> for Lengths {
    fn from(fractions: &[f64; N]) -> Self {
        Self::Fractions(fractions.to_vec())
    }
}

impl<const N: usize> From<&[usize; N]> for Lengths {
    fn from(counts: &[usize; N]) -> Self {
        Self::Counts(counts.to_vec())
    }
}

/// Deals the samples out at random to parts of the given lengths.
///
/// Fractions are rounded down, and what is left over goes one by one to the first parts, as in
/// PyTorch.
pub fn random_split<D: Dataset>(
    dataset: Arc<D>,
    lengths: impl Into<Lengths>,
    seed: u64,
) -> Result<Vec<Subset<D>>> {
    let len = dataset.len();
    let counts = match lengths.into() {
        Lengths::Counts(counts) => counts,
        Lengths::Fractions(fractions) => {
            check_fractions(&fractions)?;
            floor_counts(&fractions, len)
        }
    };
    if counts.iter().sum::<usize>() != len {
        return Err(Error::Config(format!(
            "the split's lengths {counts:?} add up to {}, but the data set has {len} samples: \
             make them add up to it, or give fractions",
            counts.iter().sum::<usize>()
        )));
    }
    let mut indices: Vec<usize> = (0..len).collect();
    let mut rng = Generator::for_name(seed, "random_split");
    order::shuffle(&mut indices, &mut rng);
    let mut rest = indices.as_slice();
    let part = |count| {
        let (head, tail) = rest.split_at(count);
        rest = tail;
        Subset::new(Arc::clone(&dataset), head.to_vec())
    };
    counts.into_iter().map(part).collect()
}

/// Deals the samples out so that each class (`labels[i]` of sample `i`) is shared out alike.
///
/// In each class a part's size differs from its exact share by less than one sample. The
/// parts keep the order of the data set.
pub fn stratified_split<D: Dataset>(
    dataset: Arc<D>,
    labels: &[u32],
    fractions: &[f64],
    seed: u64,
) -> Result<Vec<Subset<D>>> {
    check_fractions(fractions)?;
    if labels.len() != dataset.len() {
        return Err(Error::Config(format!(
            "there are {} labels for a data set of {} samples: give one for each",
            labels.len(),
            dataset.len()
        )));
    }
    let mut classes = std::collections::BTreeMap::<u32, Vec<usize>>::new();
    for (index, &label) in labels.iter().enumerate() {
        classes.entry(label).or_default().push(index);
    }
    let mut parts = vec![Vec::new(); fractions.len()];
    let mut rng = Generator::for_name(seed, "stratified_split");
    for mut members in classes.into_values() {
        order::shuffle(&mut members, &mut rng);
        let bounds = bounds(fractions, members.len());
        for (part, bound) in parts.iter_mut().zip(bounds.windows(2)) {
            part.extend_from_slice(&members[bound[0]..bound[1]]);
        }
    }
    let subset = |mut indices: Vec<usize>| {
        indices.sort_unstable();
        Subset::new(Arc::clone(&dataset), indices)
    };
    parts.into_iter().map(subset).collect()
}

fn check_fractions(fractions: &[f64]) -> Result<()> {
    let total: f64 = fractions.iter().sum();
    if fractions.iter().all(|f| (0.0..=1.0).contains(f)) && (total - 1.0).abs() < 1e-6 {
        return Ok(());
    }
    Err(Error::Config(format!(
        "the split's fractions {fractions:?} add up to {total}: give fractions of 0 to 1 that \
         add up to 1"
    )))
}

fn floor_counts(fractions: &[f64], len: usize) -> Vec<usize> {
    // Without the small step up, 0.29 of 100 would be 28.999.., hence 28.
    let count = |f: &f64| (f * len as f64 + 1e-6).floor() as usize;
    let mut counts: Vec<usize> = fractions.iter().map(count).collect();
    let left = len.saturating_sub(counts.iter().sum());
    let parts = counts.len();
    for part in 0..left {
        counts[part % parts] += 1;
    }
    counts
}

/// Where the parts of a class of `len` begin and end: the summed fractions, rounded.
fn bounds(fractions: &[f64], len: usize) -> Vec<usize> {
    let mut total = 0.0;
    let mut bounds = vec![0];
    for fraction in fractions {
        total += fraction;
        bounds.push(((total * len as f64).round() as usize).min(len));
    }
    // Fractions may miss 1 by a rounding error, but no sample may be lost to it.
    if let Some(last) = bounds.last_mut() {
        *last = len;
    }
    bounds
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Samples;

    fn numbers(len: usize) -> Arc<Samples<usize>> {
        Arc::new(Samples((0..len).collect()))
    }

    #[test]
    fn parts_are_disjoint_complete_and_seeded() {
        let split = |seed| random_split(numbers(103), &[0.5, 0.3, 0.2], seed).unwrap();
        let parts = split(1);
        let sizes: Vec<usize> = parts.iter().map(Dataset::len).collect();
        // 51.5, 30.9 and 20.6 rounded down leave two over.
        assert_eq!(sizes, [52, 31, 20]);
        let mut seen: Vec<usize> = parts.iter().flat_map(|p| p.indices().to_vec()).collect();
        assert_ne!(seen, (0..103).collect::<Vec<_>>());
        seen.sort_unstable();
        assert_eq!(seen, (0..103).collect::<Vec<_>>());
        assert_eq!(parts[0].indices(), split(1)[0].indices());
        assert_ne!(parts[0].indices(), split(2)[0].indices());
    }

    #[test]
    fn each_class_is_shared_out_alike() {
        // 70 of class 0, 20 of class 1, 10 of class 2, mixed.
        let labels: Vec<u32> = (0..100)
            .map(|i| [0, 0, 0, 0, 0, 0, 0, 1, 1, 2][i % 10])
            .collect();
        let parts = stratified_split(numbers(100), &labels, &[0.8, 0.2], 1).unwrap();
        let count = |part: &Subset<Samples<usize>>, class| {
            let of_class = |&&i: &&usize| labels[i] == class;
            part.indices().iter().filter(of_class).count()
        };
        assert_eq!([0, 1, 2].map(|c| count(&parts[0], c)), [56, 16, 8]);
        assert_eq!([0, 1, 2].map(|c| count(&parts[1], c)), [14, 4, 2]);
        assert!(parts[1].indices().is_sorted());
        assert!(stratified_split(numbers(3), &[0, 1], &[1.0], 1).is_err());
    }

    #[test]
    fn lengths_that_do_not_fit_are_refused() {
        let error = random_split(numbers(10), &[5, 6], 0).unwrap_err();
        assert!(error.to_string().contains("add up to 11"), "{error}");
        assert!(random_split(numbers(10), &[0.5, 0.6], 0).is_err());
        assert!(random_split(numbers(10), &[-0.5, 1.5], 0).is_err());
        assert_eq!(floor_counts(&[0.29, 0.71], 100), [29, 71]);
    }
}
