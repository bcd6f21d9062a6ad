//! [`BatchNorm1d`] and [`BatchNorm2d`]: each channel to mean 0 and deviation 1 over the batch.
//!
//! `y = (x - mean) / sqrt(variance + eps) * w + b`. In training mean and (biased) variance are
//! those of the batch, and running ones follow them by
//! `running = (1 - momentum) running + momentum batch`, with the unbiased variance; evaluation
//! uses the running ones.
//!
//! **Shape:** `BatchNorm1d` `(N, C)` or `(N, C, L)`, `BatchNorm2d` `(N, C, H, W)` → the same.
//!
//! **Parameters:** `weight (C)` and `bias (C)`, which start at 1 and 0; buffers
//! `running_mean (C)`, `running_var (C)` and `num_batches_tracked`, which start at 0, 1 and 0.
//!
//! As in PyTorch. Freezing the parameters does not stop the running statistics; a batch of one
//! value a channel is an error in training.
//!
//! ```
//! use mapsto_nn::{BatchNorm2d, BatchNormConfig};
//! use mapsto_tensor::{DType, Device, ModuleT, ParamStore, Tensor};
//! let store = ParamStore::new(DType::F64, &Device::Cpu);
//! let layer = BatchNorm2d::new(&BatchNormConfig::new(1), store.root())?;
//! let x = Tensor::new(&[[[[1.0, 3.0]]], [[[5.0, 7.0]]]], &Device::Cpu)?;
//! assert!(layer.forward_t(&x, true)?.sum_all()?.to_scalar::<f64>()?.abs() < 1e-12);
//! assert_eq!(store.get("running_mean").unwrap().to_vec1::<f64>()?, [0.4]);
//! # Ok::<(), mapsto_tensor::Error>(())
//! ```
//!
//! **Reference:** Sergey Ioffe, Christian Szegedy, "Batch normalization: accelerating deep network
//! training by reducing internal covariate shift", 2015.

use mapsto_tensor::{Init, ModuleT, Result, Tensor, VarBuilder, bail, ops};
use serde::{Deserialize, Serialize};

use crate::buffer::set;

/// The options of [`BatchNorm1d`] and [`BatchNorm2d`].
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BatchNormConfig {
    /// Channels of the input.
    pub num_features: usize,
    /// Added to the variance, 0 or more; default 1e-5.
    #[serde(default = "crate::defaults::eps")]
    pub eps: f64,
    /// Share of the batch in the running statistics, in `[0, 1]`; none for the mean of all
    /// batches; default 0.1. Keras counts the other share.
    #[serde(default = "momentum")]
    pub momentum: Option<f64>,
    /// Whether there are a weight and a bias; default true.
    #[doc(alias = "scale")]
    #[serde(default = "crate::defaults::yes")]
    pub affine: bool,
    /// Whether there is a bias, if there is a weight; default true.
    #[doc(alias = "center")]
    #[serde(default = "crate::defaults::yes")]
    pub bias: bool,
    /// Whether there are running statistics; default true. Without them evaluation uses those of
    /// the batch too.
    #[serde(default = "crate::defaults::yes")]
    pub track_running_stats: bool,
}

fn momentum() -> Option<f64> {
    Some(0.1)
}

impl BatchNormConfig {
    /// PyTorch's defaults for the rest.
    pub const fn new(num_features: usize) -> Self {
        Self {
            num_features,
            eps: 1e-5,
            momentum: Some(0.1),
            affine: true,
            bias: true,
            track_running_stats: true,
        }
    }
}

/// What both layers are, but for the shapes that they take.
#[derive(Debug, Clone)]
struct BatchNorm {
    config: BatchNormConfig,
    weight: Option<Tensor>,
    bias: Option<Tensor>,
    running: Option<Running>,
}

/// Running statistics, changed in place.
#[derive(Debug, Clone)]
struct Running {
    mean: Tensor,
    variance: Tensor,
    batches: Tensor,
}

impl BatchNorm {
    fn new(config: &BatchNormConfig, vb: &VarBuilder<'_>) -> Result<Self> {
        let momentum = config.momentum.unwrap_or(0.0);
        let eps = config.eps;
        let in_range = eps >= 0.0 && eps.is_finite() && (0.0..=1.0).contains(&momentum);
        if config.num_features == 0 || !in_range {
            bail!(
                "batch norm: expected at least 1 channel, an eps of 0 or more and a momentum in \
                 [0, 1], got {config:?}"
            );
        }
        let get =
            |name: &str, start| vb.get_with_hints(config.num_features, name, Init::Const(start));
        let parameter = |there: bool, name, start| there.then(|| get(name, start)).transpose();
        let running = || {
            Ok::<_, mapsto_tensor::Error>(Running {
                mean: get("running_mean", 0.0)?,
                variance: get("running_var", 1.0)?,
                batches: vb.get_with_hints((), "num_batches_tracked", Init::Const(0.0))?,
            })
        };
        Ok(Self {
            config: *config,
            weight: parameter(config.affine, "weight", 1.0)?,
            bias: parameter(config.affine && config.bias, "bias", 0.0)?,
            running: config.track_running_stats.then(running).transpose()?,
        })
    }

    /// What follows multiplies negative numbers by `slope`.
    fn forward(&self, x: &Tensor, train: bool, slope: f64) -> Result<Tensor> {
        let BatchNormConfig {
            num_features, eps, ..
        } = self.config;
        if x.dim(1)? != num_features {
            bail!(
                "batch norm: expected an input of {num_features} channels, got {:?}",
                x.shape()
            );
        }
        let given = match &self.running {
            Some(running) if !train => Some((&running.mean, &running.variance)),
            _ => None,
        };
        let (weight, bias) = (self.weight.as_ref(), self.bias.as_ref());
        if x.elem_count() == 0 {
            return self.of_nothing(x, train);
        }
        let out = ops::batch_norm_then(x, weight, bias, given, eps, slope)?;
        if let Some(running) = self.running.as_ref().filter(|_| train) {
            let count = (x.elem_count() / num_features) as f64;
            let unbiased = (out.variance * (count / (count - 1.0)))?;
            running.follow(&out.mean, &unbiased, self.config.momentum)?;
        }
        Ok(out.y)
    }
}

impl BatchNorm {
    /// An empty batch counts, but moves nothing.
    fn of_nothing(&self, x: &Tensor, train: bool) -> Result<Tensor> {
        if let Some(running) = self.running.as_ref().filter(|_| train) {
            set(&running.batches, &(running.batches.detach() + 1.0)?)?;
        }
        let mut shape = vec![1; x.rank()];
        shape[1] = self.config.num_features;
        let mut y = x.clone();
        if let Some(weight) = &self.weight {
            y = y.broadcast_mul(&weight.reshape(shape.as_slice())?)?;
        }
        match &self.bias {
            Some(bias) => y.broadcast_add(&bias.reshape(shape.as_slice())?),
            None => Ok(y),
        }
    }
}

impl Running {
    fn follow(&self, mean: &Tensor, variance: &Tensor, momentum: Option<f64>) -> Result<()> {
        let batches = (self.batches.detach() + 1.0)?;
        set(&self.batches, &batches)?;
        for (running, batch) in [(&self.mean, mean), (&self.variance, variance)] {
            let before = running.detach();
            let step = (batch - &before)?;
            let step = match momentum {
                Some(share) => (step * share)?,
                None => step.broadcast_div(&batches)?,
            };
            set(running, &(before + step)?)?;
        }
        Ok(())
    }
}

macro_rules! layer {
    ($(#[$doc:meta])* $Name:ident, $label:literal, $ranks:pat, $shapes:literal) => {
        $(#[$doc])*
        #[derive(Debug, Clone)]
        #[doc(alias = "BatchNormalization")]
        pub struct $Name(BatchNorm);

        impl $Name {
            /// Makes or finds parameters and buffers under `vb`.
            ///
            /// # Errors
            /// When an option is out of range, or the store behind `vb` holds these names with
            /// other shapes.
            pub fn new(config: &BatchNormConfig, vb: VarBuilder<'_>) -> Result<Self> {
                Ok(Self(BatchNorm::new(config, &vb)?))
            }

            /// The options.
            pub fn config(&self) -> &BatchNormConfig {
                &self.0.config
            }

            /// The layer and a (leaky) ReLU of this slope after it, in one op.
            pub(crate) fn forward_then(&self, x: &Tensor, train: bool, slope: f64) -> Result<Tensor> {
                if !matches!(x.rank(), $ranks) {
                    bail!(
                        concat!($label, ": expected an input ", $shapes, ", got {:?}"),
                        x.shape()
                    );
                }
                self.0.forward(x, train, slope)
            }
        }

        impl ModuleT for $Name {
            fn forward_t(&self, x: &Tensor, train: bool) -> Result<Tensor> {
                self.forward_then(x, train, 1.0)
            }
        }
    };
}

layer! {
    /// Batch normalisation of `(N, C)` or `(N, C, L)`.
    BatchNorm1d, "batch norm 1d", 2 | 3, "(N, C) or (N, C, L)"
}

layer! {
    /// Batch normalisation of `(N, C, H, W)`.
    BatchNorm2d, "batch norm 2d", 4, "(N, C, H, W)"
}
