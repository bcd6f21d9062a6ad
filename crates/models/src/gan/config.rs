//! What a generator and a discriminator consist of.

use mapsto_tensor::{Result, bail};
use serde::{Deserialize, Serialize};

/// What the generator makes and the discriminator judges.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Shape {
    /// Points of a space of so many dimensions.
    Points(usize),
    /// Pictures with values in `[-1, 1]`.
    #[allow(missing_docs)]
    Pictures {
        channels: usize,
        height: usize,
        width: usize,
    },
}

/// The kind of both networks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Architecture {
    /// Dense layers, for points.
    Mlp,
    /// Transposed convolutions with a stride, and convolutions with one (Radford 2016).
    Dcgan,
    /// Residual blocks that resize (Miyato 2018).
    Residual,
}

/// How both networks are told the class.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Condition {
    /// They are not.
    None,
    /// A vector of the class joins the noise, and a plane of it the picture (Mirza 2014).
    Concat,
    /// A vector of the class joins the noise, and another is multiplied with the discriminator's
    /// features (Miyato 2018).
    Projection,
}

/// What keeps the discriminator's layers in bounds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Norm {
    /// Nothing.
    None,
    /// Batch normalisation.
    Batch,
    /// Spectral normalisation of every weight.
    Spectral,
}

/// Both networks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GanConfig {
    /// What is made.
    pub shape: Shape,
    /// The kind of both networks.
    pub architecture: Architecture,
    /// Numbers of noise that a sample is made of.
    pub latent: usize,
    /// Channels of the largest pictures inside, twice as many at each halving; units of dense
    /// layers.
    pub width: usize,
    /// Number of classes, 1 if there are none.
    pub classes: usize,
    /// How both networks are told the class.
    pub condition: Condition,
    /// What keeps the discriminator in bounds.
    pub norm: Norm,
    /// Samples that the discriminator judges together, so that it sees when they are all alike;
    /// for points (PacGAN, Lin 2018).
    pub pack: usize,
}

/// Sides of pictures that the networks take.
const SIDES: std::ops::RangeInclusive<usize> = 8..=128;

/// Halvings of a picture at most.
const HALVINGS: usize = 4;

impl GanConfig {
    /// Checks what a type cannot say.
    ///
    /// # Errors
    /// When sizes are 0, or do not fit each other or the architecture.
    pub fn validate(&self) -> Result<()> {
        let (latent, width, pack) = (self.latent, self.width, self.pack);
        if latent == 0 || width == 0 || pack == 0 || self.classes == 0 {
            bail!("gan: latent, width, pack and classes must be at least 1, got {self:?}");
        }
        if self.condition != Condition::None && self.classes < 2 {
            bail!(
                "gan: a condition needs at least 2 classes, got {}",
                self.classes
            );
        }
        match (self.shape, self.architecture) {
            (Shape::Points(dims), Architecture::Mlp) if dims > 0 => {
                if self.condition == Condition::Concat
                    || pack > 1 && self.condition != Condition::None
                {
                    bail!(
                        "gan: points are conditioned by projection, not by a plane, and only \
                         where they are judged one by one"
                    );
                }
                Ok(())
            }
            (
                Shape::Pictures {
                    channels,
                    height,
                    width,
                },
                Architecture::Dcgan | Architecture::Residual,
            ) => {
                let fits = |side: usize| SIDES.contains(&side) && side.is_multiple_of(4);
                if ![1, 3].contains(&channels) || !fits(height) || !fits(width) || pack > 1 {
                    bail!(
                        "gan: expected pictures of 1 or 3 channels with sides from 8 to 128 that \
                         are multiples of 4, judged one by one, got {channels} channels, \
                         {height}x{width}, pack {pack}"
                    );
                }
                Ok(())
            }
            (shape, architecture) => bail!("gan: {architecture:?} networks do not make {shape:?}"),
        }
    }

    /// How often a picture's sides are halved: down to 4 to 7 pixels, if they are even so long.
    pub(super) fn halvings(&self) -> usize {
        let Shape::Pictures { height, width, .. } = self.shape else {
            return 0;
        };
        let divides = |times: usize| {
            let by = 1 << times;
            [height, width]
                .iter()
                .all(|side| side % by == 0 && side / by >= 4)
        };
        (1..=HALVINGS).take_while(|&times| divides(times)).count()
    }

    /// Channels at a number of halvings.
    pub(super) fn channels_at(&self, halvings: usize) -> usize {
        self.width << halvings.saturating_sub(1)
    }

    /// Numbers that go into the generator.
    pub(super) fn inputs(&self) -> usize {
        match self.condition {
            Condition::None => self.latent,
            Condition::Concat | Condition::Projection => self.latent + self.classes,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pictures(height: usize, width: usize) -> GanConfig {
        GanConfig {
            shape: Shape::Pictures {
                channels: 1,
                height,
                width,
            },
            architecture: Architecture::Dcgan,
            latent: 8,
            width: 4,
            classes: 1,
            condition: Condition::None,
            norm: Norm::Batch,
            pack: 1,
        }
    }

    #[test]
    fn sides_are_halved_as_often_as_they_are_even() {
        let halvings = |height, width| pictures(height, width).halvings();
        assert_eq!(halvings(28, 28), 2);
        assert_eq!(halvings(32, 32), 3);
        assert_eq!(halvings(64, 64), 4);
        assert_eq!(halvings(128, 128), 4);
        assert_eq!(halvings(8, 32), 1);
        assert_eq!(halvings(48, 64), 3);
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        assert!(pictures(28, 28).validate().is_ok());
        let broken: [fn(&mut GanConfig); 8] = [
            |c| c.latent = 0,
            |c| c.width = 0,
            |c| c.pack = 2,
            |c| c.condition = Condition::Projection,
            |c| c.architecture = Architecture::Mlp,
            |c| c.shape = Shape::Points(2),
            |c| *c = pictures(30, 28),
            |c| *c = pictures(28, 256),
        ];
        for change in broken {
            let mut config = pictures(28, 28);
            change(&mut config);
            assert!(config.validate().is_err(), "{config:?}");
        }
    }
}
