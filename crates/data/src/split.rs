//! [`random_split`] deals a data set out to several, [`stratified_split`] class by class, and
//! [`k_fold`] makes each sample a test sample once.
//!
//! **Differences from PyTorch:** takes a seed in the place of a generator; `stratified_split`
//! is scikit-learn's `train_test_split(stratify=labels)`, `k_fold` its `StratifiedKFold`.
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

use std::collections::BTreeMap;
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
///
/// # Errors
///
/// Where counts do not add up to the size of the set, or fractions, each from 0 to 1, not to 1.
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
///
/// # Errors
///
/// Where the fractions, each from 0 to 1, do not add up to 1, or there is not one label for each
/// sample.
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
    let mut parts = vec![Vec::new(); fractions.len()];
    let mut rng = Generator::for_name(seed, "stratified_split");
    for mut members in by_class(labels) {
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

/// A division of samples into those to learn from and those to judge by, by their numbers.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Fold {
    /// Samples to learn from, in rising order.
    pub train: Vec<usize>,
    /// Samples to judge by, in rising order.
    pub test: Vec<usize>,
}

/// Cross-validation: `k` folds, each sample in the test part of one of them.
///
/// Each class (`labels[i]` of sample `i`) is dealt out alike: the test parts differ by one
/// sample at most, and so do their numbers of samples of each class. The folds depend on the
/// labels, `k` and `seed` only.
///
/// # Errors
///
/// Where `k` is below 2, or a class has fewer samples than there are folds.
#[doc(alias = "StratifiedKFold")]
pub fn k_fold(labels: &[u32], k: usize, seed: u64) -> Result<Vec<Fold>> {
    let classes = by_class(labels);
    let smallest = classes.iter().min_by_key(|members| members.len());
    let smallest = smallest.map_or(0, Vec::len);
    if k < 2 || k > smallest {
        let mend = if smallest < 2 {
            "give that class more, or leave it out".to_owned()
        } else {
            format!("give from 2 to {smallest} folds")
        };
        return Err(Error::Config(format!(
            "{k} folds cannot be made, for the smallest class has {smallest} samples: {mend}"
        )));
    }
    let mut rng = Generator::for_name(seed, "k_fold");
    let mut fold_of = vec![0; labels.len()];
    // Going on where the last class ended keeps the folds of one size.
    let mut folds = (0..k).cycle();
    for mut members in classes {
        order::shuffle(&mut members, &mut rng);
        for (index, fold) in members.into_iter().zip(&mut folds) {
            fold_of[index] = fold;
        }
    }
    let fold = |fold| {
        let (test, train) = (0..labels.len()).partition(|&index| fold_of[index] == fold);
        Fold { train, test }
    };
    Ok((0..k).map(fold).collect())
}

/// The numbers of the samples of each class, in the order of the classes.
fn by_class(labels: &[u32]) -> Vec<Vec<usize>> {
    let mut classes = BTreeMap::<u32, Vec<usize>>::new();
    for (index, &label) in labels.iter().enumerate() {
        classes.entry(label).or_default().push(index);
    }
    classes.into_values().collect()
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

    #[test]
    fn folds_test_each_sample_once_and_each_class_alike() {
        let labels: Vec<u32> = (0..103).map(|i| [0, 0, 1, 0, 2][i % 5]).collect();
        let folds = k_fold(&labels, 10, 3).unwrap();
        let mut tested: Vec<usize> = folds.iter().flat_map(|f| f.test.clone()).collect();
        tested.sort_unstable();
        assert!(tested.into_iter().eq(0..103));
        for Fold { train, test } in &folds {
            assert!((10..=11).contains(&test.len()));
            let mut all = [train.as_slice(), test].concat();
            assert!(train.is_sorted() && test.is_sorted());
            all.sort_unstable();
            assert!(all.into_iter().eq(0..103));
            let count = |class| test.iter().filter(|&&i| labels[i] == class).count();
            // Of 62, 21 and 20.
            assert!((6..=7).contains(&count(0)) && (2..=3).contains(&count(1)));
            assert_eq!(count(2), 2);
        }
        assert_eq!(folds, k_fold(&labels, 10, 3).unwrap());
        assert_ne!(folds, k_fold(&labels, 10, 4).unwrap());
        for (k, text) in [(1, "2 to 20"), (21, "2 to 20")] {
            let error = k_fold(&labels, k, 0).unwrap_err().to_string();
            assert!(error.contains(text), "{error}");
        }
    }
}
