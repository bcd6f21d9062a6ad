//! How near a set of made samples is to a set of real ones, from features of both.
//!
//! [`frechet_distance`] compares the normal distributions that have the features' means and
//! covariances: `|m - m'|^2 + tr(C + C' - 2 (C C')^(1/2))`. With the features of Inception it is
//! called FID; with those of another network it is not comparable to any other network's.
//! [`precision_recall`] asks for the single samples: a made one is good if it lies within the
//! distance of a real one to its k-th neighbour among the real ones, and a real one is covered if
//! it lies so near a made one.
//!
//! **Shape:** features `(N, D)`, one row a sample; the two sets may differ in `N`.
//!
//! ```
//! use mapsto_tensor::{Device, Tensor};
//! use mapsto_train::{frechet_distance, precision_recall};
//! let real = Tensor::new(&[[0f64, 0.0], [2.0, 0.0], [0.0, 2.0], [2.0, 2.0]], &Device::Cpu)?;
//! let moved = (&real + 3.0)?;
//! assert!((frechet_distance(&real, &moved)? - 18.0).abs() < 1e-9);
//! let near = precision_recall(&real, &real, 1)?;
//! assert_eq!((near.precision, near.recall), (1.0, 1.0));
//! # Ok::<(), mapsto_tensor::Error>(())
//! ```
//!
//! **References:** David Dowson, Basil Landau, "The Fréchet distance between multivariate normal
//! distributions", 1982; Martin Heusel et al., "GANs trained by a two time-scale update rule
//! converge to a local Nash equilibrium", 2017; Tuomas Kynkäänniemi et al., "Improved precision and
//! recall metric for assessing generative models", 2019.

use mapsto_tensor::{DType, Device, Result, Tensor, bail};
use nalgebra::{DMatrix, DVector, SymmetricEigen};

/// The Fréchet distance between the normal distributions of two sets of features; 0 for equal
/// ones, in squared units of the features.
///
/// # Errors
/// When a set has fewer than 2 rows, the widths differ, or a feature is not finite.
#[doc(alias = "FID")]
pub fn frechet_distance(a: &Tensor, b: &Tensor) -> Result<f64> {
    check(a, b, 2)?;
    let ((mean_a, cov_a), (mean_b, cov_b)) = (moments(a)?, moments(b)?);
    // The eigenvalues of C C' are those of R C' R with the symmetric root R of C.
    let root = symmetric_root(cov_a.clone());
    let product = &root * &cov_b * &root;
    let product = (&product + product.transpose()) * 0.5;
    let cross = SymmetricEigen::new(product).eigenvalues;
    let cross: f64 = cross.iter().map(|value| value.max(0.0).sqrt()).sum();
    let apart = (mean_a - mean_b).norm_squared();
    Ok(apart + cov_a.trace() + cov_b.trace() - 2.0 * cross)
}

/// What [`precision_recall`] gives, both in `[0, 1]`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct PrecisionRecall {
    /// Share of the made samples that lie among the real ones: quality.
    pub precision: f64,
    /// Share of the real samples that lie among the made ones: coverage.
    pub recall: f64,
}

/// Precision and recall of `made` against `real`, by balls to the `k`-th neighbour; 3 is usual.
///
/// Takes time and memory for all pairs, in blocks.
///
/// # Errors
/// When a set has no more than `k` rows, the widths differ, or a feature is not finite.
pub fn precision_recall(real: &Tensor, made: &Tensor, k: usize) -> Result<PrecisionRecall> {
    check(real, made, k + 1)?;
    if k == 0 {
        bail!("precision and recall: expected a neighbour number of at least 1, got 0");
    }
    let covered = |points: &Tensor, by: &Tensor| {
        let radii = distances(by, by, |row| {
            // The nearest is the point itself.
            let mut row = row.to_vec();
            *row.select_nth_unstable_by(k, f64::total_cmp).1
        })?;
        let inside = distances(points, by, |row| {
            let hit = row.iter().zip(&radii).any(|(away, radius)| away <= radius);
            f64::from(u8::from(hit))
        })?;
        Ok::<_, mapsto_tensor::Error>(inside.iter().sum::<f64>() / inside.len() as f64)
    };
    Ok(PrecisionRecall {
        precision: covered(made, real)?,
        recall: covered(real, made)?,
    })
}

fn check(a: &Tensor, b: &Tensor, least: usize) -> Result<()> {
    let ((rows_a, width_a), (rows_b, width_b)) = (a.dims2()?, b.dims2()?);
    if rows_a.min(rows_b) < least || width_a != width_b || width_a == 0 {
        bail!(
            "expected two sets of features (N, D) of at least {least} rows and one width, got {:?} \
             and {:?}",
            a.shape(),
            b.shape()
        );
    }
    for features in [a, b] {
        let largest = on_cpu(features)?.abs()?.sum_all()?;
        if !largest.to_scalar::<f64>()?.is_finite() {
            bail!("a feature is not finite: look for infinite or undefined samples");
        }
    }
    Ok(())
}

/// Mean, and covariance with the divisor `N - 1`.
fn moments(features: &Tensor) -> Result<(DVector<f64>, DMatrix<f64>)> {
    let features = on_cpu(features)?;
    let (rows, width) = features.dims2()?;
    let mean = features.mean_keepdim(0)?;
    let centred = features.broadcast_sub(&mean)?;
    let covariance = (centred.t()?.matmul(&centred)? / (rows - 1) as f64)?;
    Ok((
        DVector::from_vec(mean.flatten_all()?.to_vec1()?),
        // Symmetric, so rows or columns first makes no difference.
        DMatrix::from_vec(width, width, covariance.flatten_all()?.to_vec1()?),
    ))
}

/// In `f64`, which not every device has.
fn on_cpu(features: &Tensor) -> Result<Tensor> {
    features.to_device(&Device::Cpu)?.to_dtype(DType::F64)
}

fn symmetric_root(matrix: DMatrix<f64>) -> DMatrix<f64> {
    let SymmetricEigen {
        eigenvectors,
        eigenvalues,
    } = SymmetricEigen::new(matrix);
    let roots = DMatrix::from_diagonal(&eigenvalues.map(|value| value.max(0.0).sqrt()));
    &eigenvectors * roots * eigenvectors.transpose()
}

/// Rows whose distances to all others are held at a time.
const BLOCK: usize = 500;

/// `of(row)` for each row of squared distances from a point to all of `others`.
fn distances(points: &Tensor, others: &Tensor, of: impl Fn(&[f64]) -> f64) -> Result<Vec<f64>> {
    let (points, others) = (on_cpu(points)?, on_cpu(others)?);
    let squares = others.sqr()?.sum(1)?;
    let turned = others.t()?;
    let mut found = vec![];
    for start in (0..points.dim(0)?).step_by(BLOCK) {
        let block = points.narrow(0, start, BLOCK.min(points.dim(0)? - start))?;
        let own = block.sqr()?.sum_keepdim(1)?;
        let products = (block.matmul(&turned)? * 2.0)?;
        let away = own.broadcast_add(&squares)?.sub(&products)?;
        // Rounding can leave a distance of 0 on either side of it.
        let rows = away.maximum(0.0)?.to_vec2::<f64>()?;
        found.extend(rows.iter().map(|row| of(row)));
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;
    use mapsto_tensor::Device;

    fn tensor<const N: usize>(rows: &[[f64; N]]) -> Tensor {
        let values = rows.as_flattened().to_vec();
        Tensor::from_vec(values, (rows.len(), N), &Device::Cpu).unwrap()
    }

    fn waves(rows: usize, width: usize, step: f64) -> Tensor {
        let values: Vec<f64> = (0..rows * width).map(|i| (i as f64 * step).sin()).collect();
        Tensor::from_vec(values, (rows, width), &Device::Cpu).unwrap()
    }

    #[test]
    fn distances_of_normal_distributions_have_the_known_values() {
        // Deviations 1 and 3 about the same mean in one dimension: (1 - 3)^2.
        let a = tensor(&[[-1.0], [0.0], [1.0]]);
        let b = tensor(&[[-3.0], [0.0], [3.0]]);
        assert!((frechet_distance(&a, &b).unwrap() - 4.0).abs() < 1e-12);
        // Turned axes: the covariances do not commute. The value is from numpy: the roots of the
        // eigenvalues of C C'.
        let (x, y) = (waves(40, 3, 0.7), waves(50, 3, 1.9));
        let mixed = x.matmul(&tensor(&[
            [1.0, 0.5, 0.0],
            [0.0, 2.0, 0.3],
            [0.2, 0.0, 0.7],
        ]));
        let mixed = mixed.unwrap();
        let there = frechet_distance(&mixed, &y).unwrap();
        // Few directions differ, and the roots of the others' eigenvalues are all rounding.
        assert!((there - frechet_distance(&y, &mixed).unwrap()).abs() < 1e-6);
        assert!((there - MIXED).abs() < 1e-6, "{there}");
        assert!(frechet_distance(&y, &y).unwrap().abs() < 1e-6);
    }

    const MIXED: f64 = 2.692_267_625_165_994_3;

    #[test]
    fn precision_falls_with_samples_outside_and_recall_with_parts_left_out() {
        // Two clusters of points one apart, far from each other.
        let cluster = |at: f64| [[at], [at + 1.0], [at + 2.0], [at + 3.0]];
        let real = tensor(&[cluster(0.0), cluster(100.0)].concat());
        let of = |made: &Tensor| precision_recall(&real, made, 1).unwrap();
        assert_eq!(
            of(&real),
            PrecisionRecall {
                precision: 1.0,
                recall: 1.0
            }
        );
        // One cluster only.
        let half = of(&tensor(&cluster(0.0)));
        assert_eq!((half.precision, half.recall), (1.0, 0.5));
        // One cluster, and as many points nowhere, so near each other that they cover nothing.
        let noise = of(&tensor(&[cluster(0.0), cluster(50.0)].concat()));
        assert_eq!((noise.precision, noise.recall), (0.5, 0.5));
    }

    #[test]
    fn what_cannot_be_measured_is_said() {
        let (a, b) = (waves(4, 2, 0.3), waves(4, 3, 0.3));
        assert!(frechet_distance(&a, &b).is_err());
        assert!(frechet_distance(&a, &waves(1, 2, 0.3)).is_err());
        assert!(precision_recall(&a, &a, 4).is_err());
        assert!(precision_recall(&a, &a, 0).is_err());
        let broken = tensor(&[[f64::NAN, 0.0], [1.0, 2.0], [3.0, 4.0]]);
        let error = frechet_distance(&a, &broken).unwrap_err();
        assert!(error.to_string().contains("not finite"), "{error}");
    }
}
