//! Elementwise activations with PyTorch's values and derivatives, at kinks and extremes too.
//!
//! One mechanism for all: a value `f(x)` and a derivative `f'(x)`, run over parallel chunks.

use candle_core::backend::BackendStorage;
use candle_core::{CpuStorage, CustomOp1, Layout, Result, Shape, Tensor, WithDType};

use crate::kernel::{Float, dispatch, has_kernel, map, slice, with_slice, zip};
use crate::math::{exp, sigmoid, tanh};
use crate::tape;

/// Elementwise functions; `s(x) = 1 / (1 + exp(-x))`.
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub enum Unary {
    /// `max(x, 0)`, derivative 0 at 0.
    Relu,
    /// `min(max(x, 0), 6)`.
    Relu6,
    /// `x` if positive, else slope times `x`.
    LeakyRelu(f64),
    /// `x` if positive, else `alpha (exp(x) - 1)`.
    Elu(f64),
    /// Elu with the constants that keep mean 0 and variance 1.
    Selu,
    /// `x` if positive, else `alpha (exp(x / alpha) - 1)`.
    Celu(f64),
    /// `x P(Z <= x)` for a standard normal `Z`.
    Gelu,
    /// The tanh approximation of Gelu.
    GeluTanh,
    /// `x s(x)`.
    Silu,
    /// `x tanh(ln(1 + exp(x)))`.
    Mish,
    /// `ln(1 + exp(x))`.
    Softplus,
    /// `x / (1 + |x|)`.
    Softsign,
    /// `s(x)`.
    Sigmoid,
    /// `ln s(x)`.
    LogSigmoid,
    /// `tanh(x)`.
    Tanh,
    /// `min(max(x + 3, 0), 6) / 6`.
    Hardsigmoid,
    /// `x min(max(x + 3, 0), 6) / 6`.
    Hardswish,
    /// `x` kept within two bounds.
    Hardtanh(f64, f64),
}

/// Applies `function` to every element.
///
/// # Errors
/// When candle fails to allocate or launch.
pub fn unary(x: &Tensor, function: Unary) -> Result<Tensor> {
    if has_kernel(x) {
        tape::apply1(&x.contiguous()?, function)
    } else {
        function.composed(x)
    }
}

const SELU_ALPHA: f64 = 1.673_263_242_354_377_2;
const SELU_SCALE: f64 = 1.050_700_987_355_480_5;
/// `sqrt(2 / pi)`.
const GELU_TANH: f64 = 0.797_884_560_802_865_4;
const GELU_CUBIC: f64 = 0.044_715;

/// A constant in the element type.
#[inline(always)]
fn c<T: Float>(value: f64) -> T {
    <T as WithDType>::from_f64(value)
}

fn elu<T: Float>(x: T, alpha: f64) -> T {
    if x > T::zero() {
        x
    } else {
        x.exp_m1() * c(alpha)
    }
}

fn elu_slope<T: Float>(x: T, alpha: f64) -> T {
    if x > T::zero() {
        T::one()
    } else {
        exp(x) * c(alpha)
    }
}

fn softplus<T: Float>(x: T) -> T {
    let positive = if x <= T::zero() { T::zero() } else { x };
    positive + (-x.abs()).exp().ln_1p()
}

/// `P(Z <= x)`.
fn normal_cdf<T: Float>(x: T) -> T {
    let x = WithDType::to_f64(x);
    c(0.5 * libm::erfc(-x * std::f64::consts::FRAC_1_SQRT_2))
}

impl Unary {
    #[inline(always)]
    fn value<T: Float>(self, x: T) -> T {
        let (zero, one) = (T::zero(), T::one());
        match self {
            Self::Relu => relu(x),
            Self::Relu6 => clamp(x, zero, c(6.0)),
            Self::LeakyRelu(slope) => {
                if x > zero {
                    x
                } else {
                    x * c(slope)
                }
            }
            Self::Elu(alpha) => elu(x, alpha),
            Self::Selu => c::<T>(SELU_SCALE) * elu(x, SELU_ALPHA),
            Self::Celu(alpha) => {
                if x > zero {
                    x
                } else {
                    (x / c(alpha)).exp_m1() * c(alpha)
                }
            }
            Self::Gelu => x * normal_cdf(x),
            Self::GeluTanh => c::<T>(0.5) * x * (one + tanh(gelu_inner(x))),
            Self::Silu => x * sigmoid(x),
            Self::Mish => x * tanh(softplus(x)),
            Self::Softplus => softplus(x),
            Self::Softsign => x / (one + x.abs()),
            Self::Sigmoid => sigmoid(x),
            Self::LogSigmoid => -softplus(-x),
            Self::Tanh => tanh(x),
            Self::Hardsigmoid => clamp(x + c(3.0), zero, c(6.0)) / c(6.0),
            Self::Hardswish => x * (clamp(x + c(3.0), zero, c(6.0)) / c(6.0)),
            Self::Hardtanh(low, high) => clamp(x, c(low), c(high)),
        }
    }

    #[inline(always)]
    fn derivative<T: Float>(self, x: T) -> T {
        let (zero, one) = (T::zero(), T::one());
        let inside = |low: T, high: T| if x > low && x < high { one } else { zero };
        match self {
            Self::Relu => {
                if x <= zero {
                    zero
                } else {
                    one
                }
            }
            Self::Relu6 => inside(zero, c(6.0)),
            Self::LeakyRelu(slope) => {
                if x > zero {
                    one
                } else {
                    c(slope)
                }
            }
            Self::Elu(alpha) => elu_slope(x, alpha),
            Self::Selu => c::<T>(SELU_SCALE) * elu_slope(x, SELU_ALPHA),
            Self::Celu(alpha) => {
                if x > zero {
                    one
                } else {
                    exp(x / c(alpha))
                }
            }
            Self::Gelu => {
                let density = c::<T>(0.398_942_280_401_432_7) * exp(x * x * c(-0.5));
                normal_cdf(x) + x * density
            }
            Self::GeluTanh => {
                let t = tanh(gelu_inner(x));
                let slope = c::<T>(GELU_TANH) * (one + c::<T>(3.0 * GELU_CUBIC) * x * x);
                c::<T>(0.5) * (one + t + x * (one - t * t) * slope)
            }
            Self::Silu => {
                let s = sigmoid(x);
                s * (one + x * (one - s))
            }
            Self::Mish => {
                let t = tanh(softplus(x));
                t + x * sigmoid(x) * (one - t * t)
            }
            Self::Softplus => sigmoid(x),
            Self::Softsign => (one + x.abs()).powi(-2),
            Self::Sigmoid => {
                let s = sigmoid(x);
                s * (one - s)
            }
            Self::LogSigmoid => sigmoid(-x),
            Self::Tanh => {
                let t = tanh(x);
                one - t * t
            }
            Self::Hardsigmoid => inside(c(-3.0), c(3.0)) / c(6.0),
            Self::Hardswish => {
                if x <= c(-3.0) {
                    zero
                } else if x < c(3.0) {
                    x / c(3.0) + c(0.5)
                } else {
                    one
                }
            }
            Self::Hardtanh(low, high) => inside(c(low), c(high)),
        }
    }

    /// The same out of candle ops; at kinks the derivative may be that of the other side.
    pub(super) fn composed(self, x: &Tensor) -> Result<Tensor> {
        // NaN stays NaN.
        let positive = |x: &Tensor| x.le(0.0)?.where_cond(&x.zeros_like()?, x);
        let softplus = |x: &Tensor| {
            let p = positive(x)?;
            let minus_abs = (x - (&p * 2.0)?)?;
            p + (minus_abs.exp()? + 1.0)?.log()?
        };
        let band = |x: &Tensor, low: f64, high: f64| {
            (positive(&(x - low)?)? - positive(&(x - high)?)?)? + low
        };
        // `x` if positive, else `alpha (exp(x / beta) - 1)`.
        let exponential = |x: &Tensor, alpha: f64, beta: f64| {
            let p = positive(x)?;
            &p + ((((x - &p)? / beta)?.exp()? - 1.0)? * alpha)?
        };
        match self {
            Self::Relu => positive(x),
            Self::Relu6 => band(x, 0.0, 6.0),
            Self::LeakyRelu(slope) => {
                let p = positive(x)?;
                &p + ((x - &p)? * slope)?
            }
            Self::Elu(alpha) => exponential(x, alpha, 1.0),
            Self::Selu => exponential(x, SELU_ALPHA, 1.0)? * SELU_SCALE,
            Self::Celu(alpha) => exponential(x, alpha, alpha),
            // candle's own two have derivatives with constants of six digits.
            Self::Gelu => {
                let twice_cdf = ((x * std::f64::consts::FRAC_1_SQRT_2)?.erf()? + 1.0)?;
                (x * 0.5)? * twice_cdf
            }
            Self::GeluTanh => {
                let cubic = ((x.sqr()? * GELU_CUBIC)? + 1.0)?;
                let inner = (x * cubic)? * GELU_TANH;
                (x * 0.5)? * (inner?.tanh()? + 1.0)?
            }
            Self::Silu => x.silu(),
            Self::Mish => x * softplus(x)?.tanh()?,
            Self::Softplus => softplus(x),
            Self::Softsign => {
                let p = positive(x)?;
                x / (((p * 2.0)? - x)? + 1.0)?
            }
            Self::Sigmoid => candle_nn::ops::sigmoid(x),
            Self::LogSigmoid => softplus(&x.neg()?)?.neg(),
            Self::Tanh => x.tanh(),
            Self::Hardsigmoid => band(&(x + 3.0)?, 0.0, 6.0)? / 6.0,
            Self::Hardswish => x * (band(&(x + 3.0)?, 0.0, 6.0)? / 6.0)?,
            Self::Hardtanh(low, high) => band(x, low, high),
        }
    }
}

#[inline(always)]
pub(super) fn relu<T: Float>(x: T) -> T {
    // NaN stays NaN.
    if x <= T::zero() { T::zero() } else { x }
}

/// ReLU with a slope below 0: 0 for the plain one, 1 for none.
pub(super) fn leaky(x: &Tensor, slope: f64) -> Result<Tensor> {
    if slope == 1.0 {
        Ok(x.clone())
    } else if slope == 0.0 {
        unary(x, Unary::Relu)
    } else {
        unary(x, Unary::LeakyRelu(slope))
    }
}

/// [`leaky`] of a number. NaN stays NaN.
#[inline(always)]
pub(super) fn leak<T: Float>(x: T, slope: T) -> T {
    // A product with 0 would make NaN of an infinite number.
    let below = if slope == T::zero() { slope } else { x * slope };
    if x <= T::zero() { below } else { x }
}

/// The gradient in front of [`leak`], which was of `x` or made `x`.
#[inline(always)]
pub(super) fn leak_back<T: Float>(x: T, grad: T, slope: T) -> T {
    let below = if slope == T::zero() {
        slope
    } else {
        grad * slope
    };
    if x > T::zero() { grad } else { below }
}

#[inline(always)]
fn clamp<T: Float>(x: T, low: T, high: T) -> T {
    if x < low {
        low
    } else if x > high {
        high
    } else {
        x
    }
}

#[inline(always)]
fn gelu_inner<T: Float>(x: T) -> T {
    c::<T>(GELU_TANH) * (x + c::<T>(GELU_CUBIC) * x * x * x)
}

/// Runs a loop whose `$body` is compiled for the one function `$f`, if it vectorises then.
macro_rules! outside_the_loop {
    ($function:expr, $run:ident($($data:ident),*), $f:ident, |$($x:ident),*| $body:expr) => {
        outside_the_loop!(
            $function, $run($($data),*), $f, ($($x),*), $body,
            Relu, Relu6, LeakyRelu(slope), Sigmoid, Tanh, Silu, GeluTanh, Softsign, Hardsigmoid,
            Hardswish, Hardtanh(low, high)
        )
    };
    (
        $function:expr, $run:ident $data:tt, $f:ident, $xs:tt, $body:expr,
        $($fast:ident $(($($value:ident),*))?),*
    ) => {
        match $function {
            // Inside the loop, where the compiler sees which one it is.
            $(Unary::$fast $(($($value),*))? => outside_the_loop!(
                @ $run $data, $f = Unary::$fast $(($($value),*))?, $xs, $body
            ),)*
            other => outside_the_loop!(@ $run $data, $f = other, $xs, $body),
        }
    };
    (@ $run:ident($($data:ident),*), $f:ident = $is:expr, ($($x:ident),*), $body:expr) => {
        $run(
            $($data,)*
            #[inline(always)]
            move |$($x),*| {
                let $f = $is;
                $body
            },
        )
    };
}

impl CustomOp1 for Unary {
    fn name(&self) -> &'static str {
        "activation"
    }

    fn cpu_fwd(&self, x: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let function = *self;
        dispatch!(x.dtype(), "activation", T => {
            let x = slice::<T>(x, layout)?;
            let y = outside_the_loop!(function, map(x), f, |x| f.value(x));
            Ok((T::to_cpu_storage_owned(y), layout.shape().clone()))
        })
    }

    fn bwd(&self, x: &Tensor, _y: &Tensor, grad: &Tensor) -> Result<Option<Tensor>> {
        let function = *self;
        dispatch!(x.dtype(), "activation", T => {
            let dx = with_slice::<T, _>(x, |x| with_slice::<T, _>(grad, |grad| {
                Ok(match function {
                    // A product with 0 would make NaN of an infinite gradient.
                    Self::Relu => zip(x, grad, |x, g| if x <= T::default() { T::default() } else { g }),
                    _ => outside_the_loop!(function, zip(x, grad), f, |x, g| g * f.derivative(x)),
                })
            }))?;
            Ok(Some(Tensor::from_vec(dx, x.shape(), x.device())?))
        })
    }
}
