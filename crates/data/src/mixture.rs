//! [`Mixture`]: points about centres on a plane, the usual test of whether a generator drops modes.
//!
//! The centres are known, so it can be counted how many of them a generator finds, and how many of
//! its points lie where real ones do. A point is good if it lies within three deviations of its
//! nearest centre (98.9 of 100 real points do); a centre is found if it gets at least a fifth of
//! its share of the points, good ones.
//!
//! ```
//! use mapsto_data::Mixture;
//! let ring = Mixture::ring();
//! let points = ring.draw(42, 0, 1000);
//! let counted = ring.count(&points);
//! assert_eq!(counted.modes, 8);
//! assert!(counted.quality > 0.97);
//! ```
//!
//! **Reference:** Akash Srivastava et al., "VEEGAN: reducing mode collapse in GANs using implicit
//! variational learning", 2017 (both mixtures, and what counts as good).

use mapsto_tensor::rng::Generator;
use rand::Rng;

/// Points of a plane, normally distributed about one of several centres, each as likely.
#[derive(Debug, Clone, PartialEq)]
pub struct Mixture {
    centres: Vec<[f64; 2]>,
    deviation: f64,
}

/// What [`Mixture::count`] found.
#[derive(Debug, Clone, PartialEq)]
pub struct Counted {
    /// Centres that got at least a fifth of their share of the points, good ones.
    pub modes: usize,
    /// Share of the points that are good.
    pub quality: f64,
    /// Good points of each centre.
    pub of_centre: Vec<usize>,
}

/// Deviations from its centre within which a point is good.
const GOOD: f64 = 3.0;

/// Part of its fair share of points with which a centre is found.
const FOUND: f64 = 0.2;

impl Mixture {
    /// Eight centres on a circle of radius 1, deviation 0.02.
    pub fn ring() -> Self {
        let centre = |i: usize| {
            let angle = std::f64::consts::TAU * i as f64 / 8.0;
            [angle.cos(), angle.sin()]
        };
        Self {
            centres: (0..8).map(centre).collect(),
            deviation: 0.02,
        }
    }

    /// Twenty-five centres on a grid from -1 to 1, deviation 0.025.
    pub fn grid() -> Self {
        let place = |i: usize| i as f64 / 2.0 - 1.0;
        Self {
            centres: (0..25).map(|i| [place(i % 5), place(i / 5)]).collect(),
            deviation: 0.025,
        }
    }

    /// The centres.
    pub fn centres(&self) -> &[[f64; 2]] {
        &self.centres
    }

    /// The deviation of each coordinate of a point from its centre's.
    pub fn deviation(&self) -> f64 {
        self.deviation
    }

    /// `n` points, a function of seed and batch number alone.
    pub fn draw(&self, seed: u64, batch: u64, n: usize) -> Vec<[f32; 2]> {
        let mut stream = Generator::keyed(seed, &[batch]);
        let point = |_| {
            let centre = self.centres[stream.random_range(0..self.centres.len())];
            // Box and Muller's pair of normal numbers.
            let radius = (-2.0 * (1.0 - stream.random::<f64>()).ln()).sqrt() * self.deviation;
            let angle = std::f64::consts::TAU * stream.random::<f64>();
            [
                (centre[0] + radius * angle.cos()) as f32,
                (centre[1] + radius * angle.sin()) as f32,
            ]
        };
        (0..n).map(point).collect()
    }

    /// How many centres `points` find, and how many of them are good.
    pub fn count(&self, points: &[[f32; 2]]) -> Counted {
        let mut of_centre = vec![0; self.centres.len()];
        for point in points {
            let away = |centre: &[f64; 2]| {
                (f64::from(point[0]) - centre[0]).hypot(f64::from(point[1]) - centre[1])
            };
            let nearest = self.centres.iter().map(away).enumerate();
            let nearest = nearest.min_by(|a, b| a.1.total_cmp(&b.1));
            if let Some((centre, away)) = nearest
                && away <= GOOD * self.deviation
            {
                of_centre[centre] += 1;
            }
        }
        let share = points.len() as f64 / self.centres.len() as f64;
        let is_found = |&&good: &&usize| good as f64 >= FOUND * share && good > 0;
        Counted {
            modes: of_centre.iter().filter(is_found).count(),
            quality: of_centre.iter().sum::<usize>() as f64 / points.len().max(1) as f64,
            of_centre,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn real_points_find_all_centres_and_are_nearly_all_good() {
        for (mixture, centres) in [(Mixture::ring(), 8), (Mixture::grid(), 25)] {
            let points = mixture.draw(1, 0, 10_000);
            let counted = mixture.count(&points);
            assert_eq!(counted.modes, centres);
            // 1 - exp(-9 / 2)
            assert!((counted.quality - 0.9889).abs() < 0.004, "{counted:?}");
            assert_eq!(mixture.draw(1, 0, 10_000), points);
            assert_ne!(mixture.draw(1, 1, 10_000), points);
        }
    }

    #[test]
    fn dropped_and_rare_centres_are_not_found() {
        let ring = Mixture::ring();
        let at = |i: usize| [ring.centres()[i][0] as f32, ring.centres()[i][1] as f32];
        // 800 points: a fifth of a centre's share is 20.
        let mut points = vec![at(0); 761];
        points.extend(vec![at(1); 20]);
        points.extend(vec![at(2); 19]);
        let counted = ring.count(&points);
        assert_eq!((counted.modes, counted.quality), (2, 1.0));
        assert_eq!(counted.of_centre[..4], [761, 20, 19, 0]);
        let off = [[0.0, 0.0], [f32::NAN, 0.0], [1.061, 0.0], [1.059, 0.0]];
        assert_eq!(ring.count(&off).quality, 0.25);
        assert_eq!(ring.count(&[]).modes, 0);
    }
}
