//! A layer of the discriminator with or without spectral normalisation.

use mapsto_nn::{SpectralNorm, Weighted};
use mapsto_tensor::{ModuleT, Result, Tensor, VarBuilder};

use super::config::Norm;

/// A layer with or without spectral normalisation.
#[derive(Debug, Clone)]
pub(super) enum Normed<L> {
    Plain(L),
    Spectral(SpectralNorm<L>),
}

/// The layer that `build` makes under `vb`, normalised if that is asked for.
pub(super) fn normed<L: Weighted>(
    norm: Norm,
    vb: VarBuilder<'static>,
    build: impl FnOnce(VarBuilder<'static>) -> Result<L>,
) -> Result<Normed<L>> {
    Ok(match norm {
        Norm::Spectral => Normed::Spectral(SpectralNorm::new(vb, build)?),
        Norm::None | Norm::Batch => Normed::Plain(build(vb)?),
    })
}

impl<L: Weighted> ModuleT for Normed<L> {
    fn forward_t(&self, x: &Tensor, train: bool) -> Result<Tensor> {
        match self {
            Self::Plain(layer) => layer.forward_t(x, train),
            Self::Spectral(layer) => layer.forward_t(x, train),
        }
    }
}
