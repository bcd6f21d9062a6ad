//! [`SpectralNorm`]: a layer whose weight is divided by its largest singular value.
//!
//! `w = w_orig / s` with `s = u^T W v`, `W` the weight as a matrix with a row an output. In
//! training each forward pass makes one step of the power iteration first, `v = W^T u / |W^T u|`
//! and `u = W v / |W v|`, which follows the weight as it learns. `u` and `v` are constants to the
//! gradient. The layer then never stretches a change of its input (of one patch, for
//! convolutions) to more than its length, which keeps a discriminator from being too sure.
//!
//! **Shape:** as the layer's.
//!
//! **Parameters:** the layer's, with `weight_orig` in place of `weight`; buffers `weight_u` (one
//! number an output) and `weight_v`, which start on the unit sphere.
//!
//! As PyTorch's `torch.nn.utils.spectral_norm`, under the same names.
//!
//! ```
//! use mapsto_nn::{SpectralNorm, linear};
//! use mapsto_tensor::{DType, Device, ModuleT, ParamStore, Tensor};
//! let store = ParamStore::new(DType::F64, &Device::Cpu);
//! let layer = SpectralNorm::new(store.root(), |vb| linear(3, 2, vb))?;
//! let x = Tensor::new(&[[1.0, 0.0, 0.0]], &Device::Cpu)?;
//! for _ in 0..50 {
//!     layer.forward_t(&x, true)?;
//! }
//! assert_eq!(store.names(), ["bias", "weight_orig", "weight_u", "weight_v"]);
//! # Ok::<(), mapsto_tensor::Error>(())
//! ```
//!
//! **Reference:** Takeru Miyato et al., "Spectral normalization for generative adversarial
//! networks", 2018.

use mapsto_tensor::{Init, ModuleT, Result, Tensor, VarBuilder, bail};

use crate::buffer::set;
use crate::{Conv1d, Conv2d, ConvTranspose2d, Embedding, Linear};

/// Smallest length that a vector is divided by.
const EPS: f64 = 1e-12;

/// Layers with one weight, which another may take the place of.
pub trait Weighted: ModuleT + Clone {
    /// The dimension of the weight that counts the outputs.
    const OUTPUTS: usize = 0;

    /// The weight.
    fn weight(&self) -> &Tensor;

    /// The weight, to change it.
    fn weight_mut(&mut self) -> &mut Tensor;
}

macro_rules! weighted {
    ($($Layer:ident $outputs:literal),*) => {
        $(impl Weighted for $Layer {
            const OUTPUTS: usize = $outputs;

            fn weight(&self) -> &Tensor {
                &self.weight
            }

            fn weight_mut(&mut self) -> &mut Tensor {
                &mut self.weight
            }
        })*
    };
}

weighted!(Linear 0, Conv1d 0, Conv2d 0, ConvTranspose2d 1, Embedding 0);

/// A layer whose weight is divided by its largest singular value.
#[derive(Debug, Clone)]
pub struct SpectralNorm<L> {
    layer: L,
    u: Tensor,
    v: Tensor,
}

impl<L: Weighted> SpectralNorm<L> {
    /// The layer that `build` makes under `vb`, with its `weight` called `weight_orig`.
    ///
    /// # Errors
    /// When building fails, or the store behind `vb` holds these names with other shapes.
    pub fn new(
        vb: VarBuilder<'static>,
        build: impl FnOnce(VarBuilder<'static>) -> Result<L>,
    ) -> Result<Self> {
        // Names inside a renamed builder are whole paths, so it must begin at the root.
        let own = vb.pp("weight");
        let (from, to) = (own.prefix(), own.prefix() + "_orig");
        let renamed = vb.root().rename_f(move |name: &str| {
            if name == from {
                to.clone()
            } else {
                name.to_owned()
            }
        });
        let prefix = vb.prefix();
        let layer = build(if prefix.is_empty() {
            renamed
        } else {
            renamed.set_prefix(prefix)
        })?;
        let (outputs, others) = as_matrix::<L>(layer.weight())?.dims2()?;
        let unit = |size: usize, name: &str| {
            let is_new = !vb.contains_tensor(name);
            let normal = Init::Randn {
                mean: 0.0,
                stdev: 1.0,
            };
            let vector = vb.get_with_hints(size, name, normal)?;
            if is_new {
                set(&vector, &normalized(&vector.detach())?)?;
            }
            Ok::<_, mapsto_tensor::Error>(vector)
        };
        Ok(Self {
            u: unit(outputs, "weight_u")?,
            v: unit(others, "weight_v")?,
            layer,
        })
    }

    /// The layer with the weight that `forward_t` uses; undefined where all of the weight is 0.
    ///
    /// # Errors
    /// When an op fails.
    pub fn normalized(&self, train: bool) -> Result<L> {
        let weight = self.layer.weight();
        let matrix = as_matrix::<L>(weight)?;
        if train {
            let fixed = matrix.detach();
            let v = normalized(&product(&fixed.t()?, &self.u.detach())?)?;
            let u = normalized(&product(&fixed, &v)?)?;
            set(&self.v, &v)?;
            set(&self.u, &u)?;
        }
        // Copies, since the next forward pass changes the vectors before this one's backward.
        let (u, v) = (self.u.detach().copy()?, self.v.detach().copy()?);
        let sigma = (product(&matrix, &v)? * u)?.sum_all()?;
        let mut layer = self.layer.clone();
        *layer.weight_mut() = weight.broadcast_div(&sigma)?;
        Ok(layer)
    }
}

impl<L: Weighted> ModuleT for SpectralNorm<L> {
    fn forward_t(&self, x: &Tensor, train: bool) -> Result<Tensor> {
        self.normalized(train)?.forward_t(x, train)
    }
}

/// `(outputs, all others)`.
fn as_matrix<L: Weighted>(weight: &Tensor) -> Result<Tensor> {
    if weight.rank() < 2 {
        bail!(
            "spectral norm: expected a weight of at least 2 dimensions, got {:?}",
            weight.shape()
        );
    }
    weight
        .transpose(0, L::OUTPUTS)?
        .contiguous()?
        .flatten_from(1)
}

fn product(matrix: &Tensor, vector: &Tensor) -> Result<Tensor> {
    matrix.matmul(&vector.unsqueeze(1)?)?.squeeze(1)
}

fn normalized(vector: &Tensor) -> Result<Tensor> {
    let length = vector.sqr()?.sum_all()?.sqrt()?;
    vector.broadcast_div(&length.maximum(EPS)?)
}
