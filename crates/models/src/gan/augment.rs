//! [`Augment`]: the same random changes to real and made pictures, through which gradients flow.
//!
//! A discriminator that has seen a few thousand pictures too often knows them by heart. Where it
//! sees every picture, real or made, shifted, in another light or with a part missing, it cannot,
//! and because the generator's gradient goes through the changes, none of them shows in what it
//! makes.
//!
//! **Reference:** Shengyu Zhao et al., "Differentiable augmentation for data-efficient GAN
//! training", 2020.

use mapsto_tensor::{Device, Result, Tensor, bail, rng};
use rand::Rng;
use serde::{Deserialize, Serialize};

/// Which changes are made.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Augment {
    /// Shifts by up to an eighth of the sides; black comes in.
    pub translation: bool,
    /// Brightness plus up to half of white or black; contrast times 0.5 to 1.5 and, in colour,
    /// saturation times up to 2.
    pub colour: bool,
    /// A square of half the sides becomes grey.
    pub cutout: bool,
}

impl Augment {
    /// From names such as `translation,cutout`; an empty text for none.
    pub fn parse(text: &str) -> Option<Self> {
        let mut augment = Self::default();
        for name in text
            .split(',')
            .map(str::trim)
            .filter(|name| !name.is_empty())
        {
            match name {
                "translation" => augment.translation = true,
                "colour" | "color" => augment.colour = true,
                "cutout" => augment.cutout = true,
                _ => return None,
            }
        }
        Some(augment)
    }

    /// Changes pictures `(N, C, H, W)` with values in `[-1, 1]`, each in its own way, drawn from
    /// this thread's generator.
    ///
    /// # Errors
    /// When `x` has not four dimensions.
    pub fn apply(&self, x: &Tensor) -> Result<Tensor> {
        if x.rank() != 4 {
            bail!(
                "augmentation expects pictures (N, C, H, W), got {:?}",
                x.shape()
            );
        }
        let mut x = x.clone();
        if self.colour {
            x = colour(&x)?;
        }
        if self.translation {
            x = translated(&x)?;
        }
        if self.cutout {
            x = cut_out(&x)?;
        }
        Ok(x)
    }
}

/// A number a picture, between two, in a shape that broadcasts.
fn draws(x: &Tensor, low: f64, high: f64) -> Result<Tensor> {
    let mut stream = rng::next_stream();
    let n = x.dim(0)?;
    let values: Vec<f64> = (0..n)
        .map(|_| low + (high - low) * stream.random::<f64>())
        .collect();
    Tensor::from_vec(values, (n, 1, 1, 1), &Device::Cpu)?
        .to_dtype(x.dtype())?
        .to_device(x.device())
}

fn colour(x: &Tensor) -> Result<Tensor> {
    let mut x = x.broadcast_add(&draws(x, -0.5, 0.5)?)?;
    if x.dim(1)? > 1 {
        let grey = x.mean_keepdim(1)?;
        let apart = x.broadcast_sub(&grey)?;
        x = apart
            .broadcast_mul(&draws(&x, 0.0, 2.0)?)?
            .broadcast_add(&grey)?;
    }
    let mean = x.mean_keepdim((1, 2, 3))?;
    let apart = x.broadcast_sub(&mean)?;
    apart
        .broadcast_mul(&draws(&x, 0.5, 1.5)?)?
        .broadcast_add(&mean)
}

/// Shifts along both axes by matrices: `rows x columns` with one 1 a line.
fn translated(x: &Tensor) -> Result<Tensor> {
    let (n, _, h, w) = x.dims4()?;
    let mut stream = rng::next_stream();
    let mut shifts = |side: usize| {
        let most = (side / 8).max(1) as i64;
        let mut matrices = vec![0f32; n * side * side];
        for matrix in matrices.chunks_exact_mut(side * side) {
            let shift = stream.random_range(-most..=most);
            for (to, row) in matrix.chunks_exact_mut(side).enumerate() {
                if let Ok(from) = usize::try_from(to as i64 - shift)
                    && let Some(place) = row.get_mut(from)
                {
                    *place = 1.0;
                }
            }
        }
        Tensor::from_vec(matrices, (n, 1, side, side), &Device::Cpu)?
            .to_dtype(x.dtype())?
            .to_device(x.device())
    };
    let (rows, columns) = (shifts(h)?, shifts(w)?.transpose(2, 3)?);
    // Black is -1, so that it comes in where nothing does.
    let moved = rows.broadcast_matmul(&(x + 1.0)?.broadcast_matmul(&columns)?)?;
    moved - 1.0
}

fn cut_out(x: &Tensor) -> Result<Tensor> {
    let (n, _, h, w) = x.dims4()?;
    let mut stream = rng::next_stream();
    let mut keep = vec![1f32; n * h * w];
    for picture in keep.chunks_exact_mut(h * w) {
        let (y, x) = (stream.random_range(0..h), stream.random_range(0..w));
        for (row, line) in picture.chunks_exact_mut(w).enumerate() {
            for (column, keep) in line.iter_mut().enumerate() {
                if row.abs_diff(y) * 4 < h && column.abs_diff(x) * 4 < w {
                    *keep = 0.0;
                }
            }
        }
    }
    let keep = Tensor::from_vec(keep, (n, 1, h, w), &Device::Cpu)?;
    x.broadcast_mul(&keep.to_dtype(x.dtype())?.to_device(x.device())?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use mapsto_tensor::DType;
    use mapsto_tensor::testing::{check_gradients, wave};

    fn number(x: &Tensor) -> f64 {
        x.to_dtype(DType::F64).unwrap().to_scalar().unwrap()
    }

    fn pictures(channels: usize) -> Tensor {
        (wave((2, channels, 8, 8), 0.3) * 0.9).unwrap()
    }

    #[test]
    fn names_are_read() {
        assert_eq!(Augment::parse(""), Some(Augment::default()));
        let all = Augment {
            translation: true,
            colour: true,
            cutout: true,
        };
        assert_eq!(Augment::parse("cutout, colour,translation"), Some(all));
        assert_eq!(Augment::parse("flip"), None);
    }

    #[test]
    fn gradients_flow_through_all_of_them() {
        for channels in [1, 3] {
            for names in ["translation", "colour", "cutout"] {
                let augment = Augment::parse(names).unwrap();
                check_gradients(&[pictures(channels)], |t| {
                    rng::manual_seed(3);
                    augment.apply(&t[0])
                });
            }
        }
    }

    #[test]
    fn translation_moves_rows_and_columns_and_lets_black_in() {
        rng::manual_seed(1);
        let x = Tensor::ones((40, 1, 8, 8), DType::F64, &Device::Cpu).unwrap();
        let moved = translated(&x).unwrap();
        let mut kinds = std::collections::BTreeSet::new();
        for i in 0..40 {
            let picture = moved
                .get(i)
                .unwrap()
                .squeeze(0)
                .unwrap()
                .to_vec2::<f64>()
                .unwrap();
            assert!(picture.iter().flatten().all(|v| v.abs() == 1.0));
            let black = picture.iter().flatten().filter(|v| **v < 0.0).count();
            kinds.insert((black, picture[0][3] < 0.0, picture[3][0] < 0.0));
        }
        // Nothing, a row, a column, or both, on either side.
        assert!(kinds.len() >= 6, "{kinds:?}");
        let counts: Vec<usize> = kinds.iter().map(|kind| kind.0).collect();
        assert!(
            counts.iter().all(|count| [0, 8, 15].contains(count)),
            "{counts:?}"
        );
    }

    #[test]
    fn cutout_leaves_most_and_colour_changes_means() {
        rng::manual_seed(2);
        let x = Tensor::ones((20, 1, 8, 8), DType::F64, &Device::Cpu).unwrap();
        let cut = number(&cut_out(&x).unwrap().mean_all().unwrap());
        assert!((0.75..0.95).contains(&cut), "{cut}");
        let means = colour(&x).unwrap().mean((1, 2, 3)).unwrap();
        let means = means.to_vec1::<f64>().unwrap();
        assert!(means.iter().all(|m| (0.5..=1.5).contains(m)));
        assert!(means.windows(2).all(|pair| pair[0] != pair[1]));
    }
}
