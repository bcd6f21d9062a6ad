//! PyTorch's initialisers (`torch.nn.init`), drawn from a seeded stream.
//!
//! With fan-in `f` and fan-out `o` of a weight `(out, in, *kernel)`, where
//! `f = in * prod(kernel)` and `o = out * prod(kernel)`:
//!
//! | initialiser | distribution |
//! | --- | --- |
//! | Xavier uniform, normal | `U(-b, b)`, `b = gain sqrt(6 / (f + o))`; `N(0, gain^2 2 / (f + o))` |
//! | Kaiming uniform, normal | `U(-b, b)`, `b = gain sqrt(3 / fan)`; `N(0, gain^2 / fan)` |
//! | orthogonal | `gain Q`, with `Q` of a Gaussian matrix's QR decomposition, signs fixed |
//! | truncated normal | `N(mean, std^2)` conditioned on `[low, high]` |
//!
//! ```
//! use mapsto_tensor::{init::Initializer, rng::Generator};
//! let mut stream = Generator::for_name(42, "fc.weight");
//! let weight = Initializer::xavier_uniform().sample(&[3, 4], &mut stream)?;
//! let bound = (6.0_f64 / 7.0).sqrt();
//! assert!(weight.iter().all(|w| w.abs() <= bound));
//! # Ok::<(), mapsto_tensor::Error>(())
//! ```
//!
//! **References:** Xavier Glorot, Yoshua Bengio, "Understanding the difficulty of training deep
//! feedforward neural networks", 2010; Kaiming He et al., "Delving deep into rectifiers", 2015;
//! Andrew Saxe, James McClelland, Surya Ganguli, "Exact solutions to the nonlinear dynamics of
//! learning in deep linear neural networks", 2013.

use candle_core::{Result, bail};
use candle_nn::init::{FanInOut, Init, NonLinearity, NormalOrUniform};
use rand::Rng;
use rand_distr::{Distribution, StandardNormal};
use serde::{Deserialize, Serialize};

use crate::rng::Stream;

/// Which number of connections Kaiming initialisation keeps the variance over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Fan {
    /// Inputs of a unit: keeps the variance of the forward pass.
    #[default]
    FanIn,
    /// Outputs of a unit: keeps the variance of the backward pass.
    FanOut,
}

/// The non-linearity that follows, for its gain.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Nonlinearity {
    /// Gain 1.
    Linear,
    /// Gain 1.
    Sigmoid,
    /// Gain 5/3.
    Tanh,
    /// Gain `sqrt(2)`.
    #[default]
    Relu,
    /// Gain `sqrt(2 / (1 + slope^2))`, with the negative slope.
    LeakyRelu(f64),
    /// Gain 3/4.
    Selu,
}

impl Nonlinearity {
    /// The factor on the standard deviation, PyTorch's `calculate_gain`.
    #[doc(alias = "calculate_gain")]
    pub fn gain(self) -> f64 {
        match self {
            Self::Linear | Self::Sigmoid => 1.0,
            Self::Tanh => 5.0 / 3.0,
            Self::Relu => 2.0_f64.sqrt(),
            Self::LeakyRelu(slope) => (2.0 / (1.0 + slope * slope)).sqrt(),
            Self::Selu => 0.75,
        }
    }
}

/// How the elements of a new parameter are drawn.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
#[non_exhaustive]
pub enum Initializer {
    /// Every element the same.
    Constant(f64),
    /// The identity matrix (2 dimensions only).
    Eye,
    /// Uniform on `[low, high)`.
    #[allow(missing_docs)]
    Uniform { low: f64, high: f64 },
    /// Gaussian.
    #[allow(missing_docs)]
    Normal { mean: f64, std: f64 },
    /// Gaussian conditioned on `[low, high]`.
    #[allow(missing_docs)]
    TruncNormal {
        mean: f64,
        std: f64,
        low: f64,
        high: f64,
    },
    /// Glorot and Bengio's, uniform.
    #[allow(missing_docs)]
    XavierUniform { gain: f64 },
    /// Glorot and Bengio's, Gaussian.
    #[allow(missing_docs)]
    XavierNormal { gain: f64 },
    /// He's, uniform.
    #[allow(missing_docs)]
    KaimingUniform {
        fan: Fan,
        nonlinearity: Nonlinearity,
    },
    /// He's, Gaussian.
    #[allow(missing_docs)]
    KaimingNormal {
        fan: Fan,
        nonlinearity: Nonlinearity,
    },
    /// A random orthogonal matrix; more than 2 dimensions are flattened to `(out, rest)`.
    #[allow(missing_docs)]
    Orthogonal { gain: f64 },
}

impl Initializer {
    /// Xavier uniform with gain 1.
    #[doc(alias = "glorot_uniform")]
    pub const fn xavier_uniform() -> Self {
        Self::XavierUniform { gain: 1.0 }
    }

    /// What PyTorch gives weights and biases of linear and convolution layers: uniform within
    /// `1 / sqrt(fan_in)`.
    pub fn torch_default(fan_in: usize) -> Init {
        // PyTorch leaves a bias without inputs at zero.
        let bound = if fan_in == 0 {
            0.0
        } else {
            1.0 / (fan_in as f64).sqrt()
        };
        Init::Uniform {
            lo: -bound,
            up: bound,
        }
    }

    /// Draws the elements of a parameter of shape `dims`, row by row.
    ///
    /// # Errors
    /// When the shape does not suit the initialiser (Xavier, Kaiming and orthogonal need two
    /// dimensions, the identity exactly two), or the range is empty or not finite.
    pub fn sample(&self, dims: &[usize], stream: &mut Stream) -> Result<Vec<f64>> {
        let count = dims.iter().product();
        Ok(match *self {
            Self::Constant(value) => vec![value; count],
            Self::Eye => eye(dims)?,
            Self::Uniform { low, high } => uniform(low, high, count, stream)?,
            Self::Normal { mean, std } => normal(mean, std, count, stream)?,
            Self::TruncNormal {
                mean,
                std,
                low,
                high,
            } => trunc_normal(mean, std, low, high, count, stream)?,
            Self::XavierUniform { gain } => {
                let bound = gain * (6.0 / fan_sum(dims)?).sqrt();
                uniform(-bound, bound, count, stream)?
            }
            Self::XavierNormal { gain } => {
                normal(0.0, gain * (2.0 / fan_sum(dims)?).sqrt(), count, stream)?
            }
            Self::KaimingUniform { fan, nonlinearity } => {
                let bound = nonlinearity.gain() * (3.0 / chosen_fan(dims, fan)?).sqrt();
                uniform(-bound, bound, count, stream)?
            }
            Self::KaimingNormal { fan, nonlinearity } => {
                let std = nonlinearity.gain() / chosen_fan(dims, fan)?.sqrt();
                normal(0.0, std, count, stream)?
            }
            Self::Orthogonal { gain } => orthogonal(dims, gain, stream)?,
        })
    }
}

/// candle's description of an initialiser, sampled as candle documents it.
pub(crate) fn sample_candle(init: &Init, dims: &[usize], stream: &mut Stream) -> Result<Vec<f64>> {
    let count = dims.iter().product();
    match *init {
        Init::Const(value) => Ok(vec![value; count]),
        Init::Randn { mean, stdev } => normal(mean, stdev, count, stream),
        Init::Uniform { lo, up } => uniform(lo, up, count, stream),
        Init::Kaiming {
            dist,
            fan,
            non_linearity,
        } => {
            let fan = match fan {
                FanInOut::FanIn => FanInOut::FanIn.for_shape(&dims.into()),
                FanInOut::FanOut => FanInOut::FanOut.for_shape(&dims.into()),
            };
            let gain = match non_linearity {
                NonLinearity::ExplicitGain(gain) => gain,
                other => other.gain(),
            };
            let std = gain / (fan as f64).sqrt();
            match dist {
                NormalOrUniform::Normal => normal(0.0, std, count, stream),
                NormalOrUniform::Uniform => {
                    let bound = 3.0_f64.sqrt() * std;
                    uniform(-bound, bound, count, stream)
                }
            }
        }
    }
}

fn fans(dims: &[usize]) -> Result<(f64, f64)> {
    let [out, input, kernel @ ..] = dims else {
        bail!("fan-in and fan-out need a shape (out, in, ...), got {dims:?}");
    };
    let field: usize = kernel.iter().product();
    Ok(((input * field) as f64, (out * field) as f64))
}

fn fan_sum(dims: &[usize]) -> Result<f64> {
    fans(dims).map(|(fan_in, fan_out)| fan_in + fan_out)
}

fn chosen_fan(dims: &[usize], fan: Fan) -> Result<f64> {
    let (fan_in, fan_out) = fans(dims)?;
    Ok(match fan {
        Fan::FanIn => fan_in,
        Fan::FanOut => fan_out,
    })
}

fn eye(dims: &[usize]) -> Result<Vec<f64>> {
    let &[rows, cols] = dims else {
        bail!("the identity initialiser needs 2 dimensions, got {dims:?}");
    };
    Ok((0..rows * cols)
        .map(|i| f64::from(u8::from(i / cols == i % cols)))
        .collect())
}

fn uniform(low: f64, high: f64, count: usize, stream: &mut Stream) -> Result<Vec<f64>> {
    if !(low <= high && low.is_finite() && high.is_finite()) {
        bail!("uniform initialiser needs finite low <= high, got [{low}, {high})");
    }
    Ok((0..count)
        .map(|_| low + (high - low) * stream.random::<f64>())
        .collect())
}

fn normal(mean: f64, std: f64, count: usize, stream: &mut Stream) -> Result<Vec<f64>> {
    if !(std >= 0.0 && std.is_finite() && mean.is_finite()) {
        bail!("normal initialiser needs a finite mean and std >= 0, got N({mean}, {std}^2)");
    }
    Ok((0..count)
        .map(|_| {
            let z: f64 = StandardNormal.sample(stream);
            mean + std * z
        })
        .collect())
}

/// Inverse transform on the part of the distribution that lies inside the bounds.
fn trunc_normal(
    mean: f64,
    std: f64,
    low: f64,
    high: f64,
    count: usize,
    stream: &mut Stream,
) -> Result<Vec<f64>> {
    if !(std > 0.0 && low < high) {
        bail!("truncated normal needs std > 0 and low < high, got std {std}, [{low}, {high}]");
    }
    let cdf = |x: f64| 0.5 * libm::erfc(-(x - mean) / (std * 2.0_f64.sqrt()));
    let (from, to) = (cdf(low), cdf(high));
    if to <= from {
        bail!("truncated normal: [{low}, {high}] holds no mass of N({mean}, {std}^2)");
    }
    let quantile = |p: f64| {
        // Bisection: exact to the last bit that matters, and drawn once for each parameter.
        let (mut a, mut b) = (low.max(mean - 40.0 * std), high.min(mean + 40.0 * std));
        for _ in 0..64 {
            let middle = 0.5 * (a + b);
            if cdf(middle) < p {
                a = middle
            } else {
                b = middle
            }
        }
        0.5 * (a + b)
    };
    Ok((0..count)
        .map(|_| quantile(from + (to - from) * stream.random::<f64>()))
        .collect())
}

/// Modified Gram-Schmidt on the shorter side, with the sign that makes `R`'s diagonal positive.
fn orthogonal(dims: &[usize], gain: f64, stream: &mut Stream) -> Result<Vec<f64>> {
    let [rows, rest @ ..] = dims else {
        bail!("the orthogonal initialiser needs at least 2 dimensions, got {dims:?}");
    };
    if rest.is_empty() {
        bail!("the orthogonal initialiser needs at least 2 dimensions, got {dims:?}");
    }
    let (rows, cols) = (*rows, rest.iter().product::<usize>());
    let (count, length) = (rows.min(cols), rows.max(cols));
    let mut basis: Vec<Vec<f64>> = Vec::with_capacity(count);
    while basis.len() < count {
        let mut vector = normal(0.0, 1.0, length, stream)?;
        // Twice is enough for orthogonality to rounding.
        for _ in 0..2 {
            for other in &basis {
                let dot: f64 = vector.iter().zip(other).map(|(a, b)| a * b).sum();
                vector
                    .iter_mut()
                    .zip(other)
                    .for_each(|(v, o)| *v -= dot * o);
            }
        }
        let norm = vector.iter().map(|v| v * v).sum::<f64>().sqrt();
        if norm > 1e-6 {
            vector.iter_mut().for_each(|v| *v /= norm);
            basis.push(vector);
        }
    }
    Ok((0..rows * cols)
        .map(|i| {
            let (row, col) = (i / cols, i % cols);
            gain * if rows <= cols {
                basis[row][col]
            } else {
                basis[col][row]
            }
        })
        .collect())
}
