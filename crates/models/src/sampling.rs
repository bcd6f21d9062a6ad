//! [`Sampling`]: how the next token is drawn.
//!
//! Probabilities are raised to `1 / temperature`; then only the `top_k` most probable tokens stay,
//! and of them the fewest whose probabilities reach `top_p` together (nucleus sampling).
//!
//! **Reference:** Ari Holtzman et al., "The curious case of neural text degeneration", 2020.

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

/// How the next token is drawn.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Sampling {
    /// Below 1 bolder, above 1 wilder, 0 always the most probable token; default 1.
    pub temperature: f64,
    /// How many tokens stay; 0, the default, for all.
    pub top_k: usize,
    /// The probability that those that stay reach together, in `(0, 1]`; default 1.
    pub top_p: f64,
}

impl Default for Sampling {
    fn default() -> Self {
        Self {
            temperature: 1.0,
            top_k: 0,
            top_p: 1.0,
        }
    }
}

impl Sampling {
    /// Checks the ranges.
    ///
    /// # Errors
    /// [`Error::Config`], naming the option and its range.
    pub fn validate(&self) -> Result<()> {
        if !(self.temperature >= 0.0 && self.temperature.is_finite()) {
            let text = format!("temperature must be 0 or more, got {}", self.temperature);
            return Err(Error::Config(text));
        }
        if !(self.top_p > 0.0 && self.top_p <= 1.0) {
            let text = format!("top-p must be above 0 and at most 1, got {}", self.top_p);
            return Err(Error::Config(text));
        }
        Ok(())
    }

    /// The token that `chance`, uniform on `[0, 1)`, picks.
    pub fn pick(&self, log_probabilities: &[f32], chance: f64) -> usize {
        let mut order: Vec<usize> = (0..log_probabilities.len()).collect();
        order.sort_by(|&a, &b| log_probabilities[b].total_cmp(&log_probabilities[a]));
        let Some(&best) = order.first() else { return 0 };
        if self.temperature == 0.0 {
            return best;
        }
        if self.top_k > 0 {
            order.truncate(self.top_k);
        }
        let top = f64::from(log_probabilities[best]);
        let weight =
            |&id: &usize| ((f64::from(log_probabilities[id]) - top) / self.temperature).exp();
        let mut weights: Vec<f64> = order.iter().map(weight).collect();
        let total: f64 = weights.iter().sum();
        let mut reached = 0.0;
        let enough = weights.iter().position(|weight| {
            reached += weight / total;
            reached >= self.top_p
        });
        weights.truncate(enough.map_or(weights.len(), |last| last + 1));
        let mut left = chance * weights.iter().sum::<f64>();
        let picked = weights.iter().position(|weight| {
            left -= weight;
            left < 0.0
        });
        picked.map_or(best, |place| order[place])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const P: [f32; 4] = [0.1, 0.5, 0.25, 0.15];

    fn picks(sampling: Sampling) -> Vec<usize> {
        let log_p = P.map(f32::ln);
        let chances = (0..1000).map(|i| f64::from(i) / 1000.0);
        let mut counts = vec![0; 4];
        chances.for_each(|chance| counts[sampling.pick(&log_p, chance)] += 1);
        counts
    }

    fn near(counts: &[usize], expected: [usize; 4]) {
        for (count, expected) in counts.iter().zip(expected) {
            assert!(count.abs_diff(expected) <= 2, "{counts:?}");
        }
    }

    #[test]
    fn tokens_come_as_often_as_they_are_probable() {
        near(&picks(Sampling::default()), [100, 500, 250, 150]);
        let temperature = Sampling {
            temperature: 0.5,
            ..Sampling::default()
        };
        // Squares: 0.01, 0.25, 0.0625, 0.0225 of 0.345.
        near(&picks(temperature), [29, 725, 181, 65]);
    }

    #[test]
    fn limits_leave_the_most_probable() {
        let sampling = Sampling::default();
        near(
            &picks(Sampling {
                top_k: 2,
                ..sampling
            }),
            [0, 667, 333, 0],
        );
        near(
            &picks(Sampling {
                top_p: 0.6,
                ..sampling
            }),
            [0, 667, 333, 0],
        );
        near(
            &picks(Sampling {
                top_p: 0.4,
                ..sampling
            }),
            [0, 1000, 0, 0],
        );
        near(
            &picks(Sampling {
                temperature: 0.0,
                ..sampling
            }),
            [0, 1000, 0, 0],
        );
    }

    #[test]
    fn options_out_of_range_are_named() {
        for (sampling, name) in [
            (
                Sampling {
                    temperature: -1.0,
                    ..Sampling::default()
                },
                "temperature",
            ),
            (
                Sampling {
                    temperature: f64::NAN,
                    ..Sampling::default()
                },
                "temperature",
            ),
            (
                Sampling {
                    top_p: 0.0,
                    ..Sampling::default()
                },
                "top-p",
            ),
            (
                Sampling {
                    top_p: 1.5,
                    ..Sampling::default()
                },
                "top-p",
            ),
        ] {
            let error = sampling.validate().unwrap_err().to_string();
            assert!(error.contains(name), "{error}");
        }
        assert!(Sampling::default().validate().is_ok());
    }
}
