//! [`GanLoss`]: what discriminator and generator want, from the scores of real and made samples.
//!
//! With the scores `r` of real and `f` of made samples, and `s` softplus:
//!
//! | loss | discriminator | generator |
//! | --- | --- | --- |
//! | non-saturating | `s(-r) + s(f)` | `s(-f)` |
//! | least squares | `((r - 1)^2 + f^2) / 2` | `(f - 1)^2 / 2` |
//! | hinge | `max(0, 1 - r) + max(0, 1 + f)` | `-f` |
//! | Wasserstein | `f - r` | `-f` |
//!
//! each a mean over the batch. Smoothing takes a share from the target of real samples.
//!
//! **References:** Ian Goodfellow et al., "Generative adversarial nets", 2014; Xudong Mao et al.,
//! "Least squares generative adversarial networks", 2017; Jae Hyun Lim, Jong Chul Ye, "Geometric
//! GAN", 2017; Martin Arjovsky et al., "Wasserstein GAN", 2017; Tim Salimans et al., "Improved
//! techniques for training GANs", 2016 (smoothing).

use mapsto_tensor::ops::{Unary, relu, unary};
use mapsto_tensor::{Result, Tensor, bail};
use serde::{Deserialize, Serialize};

/// What both players want.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum GanLoss {
    /// Cross-entropy; the generator's without the saturating sign.
    NonSaturating,
    /// Squared distances to 1 and 0.
    LeastSquares,
    /// Margins of 1.
    Hinge,
    /// The difference of the means; needs a discriminator of bounded slope.
    Wasserstein,
}

impl GanLoss {
    /// The discriminator's loss; `smoothing` in `[0, 1)` counts for the first two.
    ///
    /// # Errors
    /// When candle fails to allocate.
    pub fn discriminator(self, real: &Tensor, made: &Tensor, smoothing: f64) -> Result<Tensor> {
        match self {
            Self::NonSaturating => {
                let of_real = softplus(&real.neg()?)?.mean_all()?;
                // -(1 - a) ln p - a ln (1 - p) = s(-r) + a r
                let of_real = (of_real + (real.mean_all()? * smoothing)?)?;
                of_real + softplus(made)?.mean_all()?
            }
            Self::LeastSquares => {
                let of_real = (real - (1.0 - smoothing))?.sqr()?.mean_all()?;
                (of_real + made.sqr()?.mean_all()?)? * 0.5
            }
            Self::Hinge => {
                let of_real = relu(&(1.0 - real)?)?.mean_all()?;
                of_real + relu(&(made + 1.0)?)?.mean_all()?
            }
            Self::Wasserstein => made.mean_all()? - real.mean_all()?,
        }
    }

    /// The generator's loss.
    ///
    /// # Errors
    /// When candle fails to allocate.
    pub fn generator(self, made: &Tensor) -> Result<Tensor> {
        match self {
            Self::NonSaturating => softplus(&made.neg()?)?.mean_all(),
            Self::LeastSquares => (made - 1.0)?.sqr()?.mean_all()? * 0.5,
            Self::Hinge | Self::Wasserstein => made.mean_all()?.neg(),
        }
    }
}

fn softplus(x: &Tensor) -> Result<Tensor> {
    unary(x, Unary::Softplus)
}

/// How far the discriminator's slope between pairs of a real and a made sample is above 1:
/// `mean max(0, |r - f| / |x - y| - 1)^2`. Where a score is of several samples, they are one point.
///
/// A bound of the slope is what a Wasserstein discriminator needs. The usual penalty takes the
/// slope from a gradient, and so needs the gradient of a gradient; between two samples it is a
/// quotient.
///
/// **Reference:** Henning Petzka et al., "On the regularization of Wasserstein GANs", 2018 (the
/// one-sided bound).
///
/// # Errors
/// When the batches differ in size, or there is no score.
pub fn slope_penalty(
    (real, made): (&Tensor, &Tensor),
    (real_scores, made_scores): (&Tensor, &Tensor),
) -> Result<Tensor> {
    // Packed samples lie one after another; some at the end may be left over.
    let count = real_scores.dim(0)?;
    let Some(together) = real.dim(0)?.checked_div(count) else {
        bail!("slope penalty: no score of {:?} samples", real.shape());
    };
    let points = |x: &Tensor| {
        x.detach()
            .narrow(0, 0, count * together)?
            .reshape((count, ()))
    };
    let away = (points(real)? - points(made)?)?;
    let away = away.sqr()?.sum(1)?.sqrt()?.maximum(1e-6)?;
    let slope = (real_scores - made_scores)?.abs()?.div(&away)?;
    relu(&(slope - 1.0)?)?.sqr()?.mean_all()
}

#[cfg(test)]
mod tests {
    use super::*;
    use mapsto_tensor::Device;
    use mapsto_tensor::testing::{check_gradients, wave};

    const ALL: [GanLoss; 4] = [
        GanLoss::NonSaturating,
        GanLoss::LeastSquares,
        GanLoss::Hinge,
        GanLoss::Wasserstein,
    ];

    fn tensor(values: &[f64]) -> Tensor {
        Tensor::new(values, &Device::Cpu).unwrap()
    }

    #[test]
    fn values_are_those_of_the_formulas() {
        let (real, made) = (tensor(&[2.0, 0.5]), tensor(&[-1.0, 0.0]));
        let s = |x: f64| (1.0 + x.exp()).ln();
        let expected = [
            (
                (s(-2.0) + s(-0.5) + s(-1.0) + s(0.0)) / 2.0,
                (s(1.0) + s(0.0)) / 2.0,
            ),
            ((1.0 + 0.25 + 1.0 + 0.0) / 4.0, (4.0 + 1.0) / 4.0),
            ((0.0 + 0.5 + 0.0 + 1.0) / 2.0, 0.5),
            (-0.5 - 1.25, 0.5),
        ];
        for (loss, (discriminator, generator)) in ALL.into_iter().zip(expected) {
            let of_d = loss.discriminator(&real, &made, 0.0).unwrap();
            let of_g = loss.generator(&made).unwrap();
            let off = |loss: Tensor, value: f64| (loss.to_scalar::<f64>().unwrap() - value).abs();
            assert!(off(of_d, discriminator) < 1e-12, "{loss:?}");
            assert!(off(of_g, generator) < 1e-12, "{loss:?}");
        }
        // A target of 0.9 for real samples.
        let smoothed = GanLoss::NonSaturating
            .discriminator(&real, &made, 0.1)
            .unwrap();
        let of_real = |r: f64| 0.9 * s(-r) + 0.1 * s(r);
        let expected = (of_real(2.0) + of_real(0.5) + s(-1.0) + s(0.0)) / 2.0;
        assert!((smoothed.to_scalar::<f64>().unwrap() - expected).abs() < 1e-12);
        let smoothed = GanLoss::LeastSquares
            .discriminator(&real, &made, 0.1)
            .unwrap();
        let expected = (1.1f64.powi(2) + 0.4f64.powi(2) + 1.0) / 4.0;
        assert!((smoothed.to_scalar::<f64>().unwrap() - expected).abs() < 1e-12);
    }

    #[test]
    fn gradients_are_right() {
        let scores = [wave(5, 0.1), wave(5, 0.7)];
        for loss in ALL {
            check_gradients(&scores, |t| loss.discriminator(&t[0], &t[1], 0.2));
            check_gradients(&scores[..1], |t| loss.generator(&t[0]));
        }
        let samples = (
            (wave((5, 2), 0.2) * 0.1).unwrap(),
            (wave((5, 2), 0.9) * 0.1).unwrap(),
        );
        check_gradients(&scores, |t| {
            slope_penalty((&samples.0, &samples.1), (&t[0], &t[1]))
        });
    }

    #[test]
    fn slopes_up_to_one_are_free() {
        let (real, made) = (tensor(&[0.0, 0.0]), tensor(&[3.0, 4.0]));
        let points = |x: &Tensor| x.reshape((1, 2)).unwrap();
        let penalty = |score: f64| {
            let scores = (tensor(&[score]), tensor(&[0.0]));
            slope_penalty((&points(&real), &points(&made)), (&scores.0, &scores.1))
                .unwrap()
                .to_scalar::<f64>()
                .unwrap()
        };
        assert_eq!(penalty(5.0), 0.0);
        assert!((penalty(-15.0) - 4.0).abs() < 1e-12);
    }

    /// Two points of the plane with one score are a point of four dimensions.
    #[test]
    fn packed_samples_are_one_point() {
        let (real, made) = (wave((4, 2), 0.2), wave((4, 2), 0.9));
        let scores = (tensor(&[8.0, -9.0]), tensor(&[0.5, 0.0]));
        let penalty = |real: &Tensor, made: &Tensor| {
            let penalty = slope_penalty((real, made), (&scores.0, &scores.1)).unwrap();
            penalty.to_scalar::<f64>().unwrap()
        };
        let joined = |x: &Tensor| x.reshape((2, 4)).unwrap();
        let packed = penalty(&real, &made);
        assert!(packed > 0.0);
        assert_eq!(packed, penalty(&joined(&real), &joined(&made)));
        // One more is left over, as in packs.
        let more = |x: &Tensor| Tensor::cat(&[x, &x.narrow(0, 0, 1).unwrap()], 0).unwrap();
        assert_eq!(penalty(&more(&real), &more(&made)), packed);
    }
}
