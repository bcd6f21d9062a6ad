//! `exp`, `tanh` and the logistic function without branches or calls, so that loops of them
//! vectorise (those of the standard library take one number at a time).
//!
//! `exp(x) = 2^n exp(r)` with `n` the whole number next to `x / ln 2` and `|r| <= ln(2) / 2`;
//! `exp(r)` is its Taylor series, and `2^n` goes straight into the exponent's bits. Products and
//! sums are kept apart: a fused one is a slow call where the processor has none.
//!
//! Errors in units in the last place, as the tests measure: `exp` at most 1, `sigmoid` and
//! `tanh` at most 3; in `f64`, 1.5 and 4. Tiny numbers are included, and NaN stays NaN. Results
//! of `exp` below the smallest normal number are 0.
//!
//! **Reference:** William Cody, William Waite, "Software manual for the elementary functions",
//! 1980 (`ln 2` in two parts).

use crate::kernel::Float;

/// What the functions need to know of a float type; only `f32` and `f64` have it.
pub trait Parts: Sized + Copy {
    /// `1 / ln 2`.
    const PER_LN_2: Self;
    /// The leading bits of `ln 2`, so few that a product with any `n` is exact.
    const LN_2_HIGH: Self;
    /// The rest of `ln 2`.
    const LN_2_LOW: Self;
    /// Added to a number, leaves its whole part in the lowest bits.
    const ROUND: Self;
    /// The exponential of anything below is no normal number.
    const LOWEST: Self;
    /// The exponential of anything above is infinite.
    const HIGHEST: Self;
    /// Beyond this, `tanh` rounds to 1.
    const SATURATED: Self;

    /// `(exp(r) - 1 - r) / r^2` for `|r| <= ln(2) / 2`.
    fn tail(self) -> Self;

    /// All bits, or none.
    type Mask: Copy + Send + Sync;

    /// Eight masks of all bits, then eight of none.
    const MASKS: [Self::Mask; 16];

    /// This number if the mask has all bits, 0 if none.
    fn masked(self, mask: Self::Mask) -> Self;

    /// This number times `2^n`, where `shifted = n + ROUND`.
    fn times_power(self, shifted: Self) -> Self;
}

macro_rules! parts {
    ($T:ty, $Bits:ty, mantissa $mantissa:literal, terms $terms:literal, $($constants:tt)*) => {
        impl Parts for $T {
            $($constants)*
            const ROUND: Self = 1.5 * (1_u64 << $mantissa) as Self;

            #[inline(always)]
            fn tail(self) -> Self {
                const FACTORS: [$T; $terms] = {
                    let (mut factors, mut factorial, mut k) = ([0.0; $terms], 1.0, 0);
                    while k < $terms {
                        factorial *= (k + 2) as $T;
                        factors[k] = 1.0 / factorial;
                        k += 1;
                    }
                    factors
                };
                let [lower @ .., highest] = FACTORS;
                lower.iter().rev().fold(highest, |sum, factor| sum * self + factor)
            }

            type Mask = $Bits;

            const MASKS: [$Bits; 16] = {
                let (mut masks, mut i) = ([0; 16], 0);
                while i < 8 {
                    masks[i] = <$Bits>::MAX;
                    i += 1;
                }
                masks
            };

            #[inline(always)]
            fn masked(self, mask: $Bits) -> Self {
                Self::from_bits(self.to_bits() & mask)
            }

            #[inline(always)]
            fn times_power(self, shifted: Self) -> Self {
                let power = shifted.to_bits() << $mantissa;
                Self::from_bits(self.to_bits().wrapping_add(power))
            }
        }
    };
}

parts! { f32, u32, mantissa 23, terms 6,
    const PER_LN_2: Self = std::f32::consts::LOG2_E;
    const LN_2_HIGH: Self = 22_713.0 / 32_768.0;
    const LN_2_LOW: Self = 1.428_606_8e-6;
    const LOWEST: Self = -87.336_54;
    const HIGHEST: Self = 88.722_83;
    const SATURATED: Self = 10.0;
}

parts! { f64, u64, mantissa 52, terms 12,
    const PER_LN_2: Self = std::f64::consts::LOG2_E;
    const LN_2_HIGH: Self = 762_123_384_786.0 / 1_099_511_627_776.0;
    const LN_2_LOW: Self = -1.723_944_452_561_483_5e-13;
    const LOWEST: Self = -708.396_418_532_264_1;
    const HIGHEST: Self = 709.782_712_893_384;
    const SATURATED: Self = 20.0;
}

/// `n + ROUND`, and `exp(r) - 1`.
#[inline(always)]
fn reduced<T: Float>(x: T) -> (T, T) {
    let shifted = x * T::PER_LN_2 + T::ROUND;
    let n = shifted - T::ROUND;
    let r = (x - n * T::LN_2_HIGH) - n * T::LN_2_LOW;
    (shifted, r + r * r * r.tail())
}

/// `e^x`.
#[inline(always)]
pub(crate) fn exp<T: Float>(x: T) -> T {
    let (shifted, less_one) = reduced(x);
    let mut y = (T::one() + less_one).times_power(shifted);
    y = if x < T::LOWEST { T::zero() } else { y };
    y = if x > T::HIGHEST { T::infinity() } else { y };
    if x.is_nan() { x } else { y }
}

/// `1 / (1 + e^-x)`.
#[inline(always)]
pub(crate) fn sigmoid<T: Float>(x: T) -> T {
    // The exponential of a negative number never overflows.
    let e = exp(-x.abs());
    let above = if x >= T::zero() { T::one() } else { e };
    above / (T::one() + e)
}

/// The hyperbolic tangent.
#[inline(always)]
pub(crate) fn tanh<T: Float>(x: T) -> T {
    let size = x.abs();
    let size = if size > T::SATURATED {
        T::SATURATED
    } else {
        size
    };
    // With m = exp(-2|x|) - 1, which is exact near 0 too.
    let (shifted, less_one) = reduced(-(size + size));
    let power = T::one().times_power(shifted);
    let m = power * less_one + (power - T::one());
    (-m / (m + T::one() + T::one())).copysign(x)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How far `actual` is from `exact`, in units in the last place of an `f32`.
    fn ulps(actual: f32, exact: f64) -> f64 {
        let rounded = (exact as f32).abs().max(f32::MIN_POSITIVE);
        let unit = f64::from(rounded.next_up()) - f64::from(rounded);
        (f64::from(actual) - exact).abs() / unit
    }

    /// The same in an `f64`, against the standard library, which is off by less than one.
    fn ulps_double(actual: f64, exact: f64) -> f64 {
        let size = exact.abs().max(f64::MIN_POSITIVE);
        (actual - exact).abs() / (size.next_up() - size)
    }

    /// Every 97th positive `f32` up to `end`, and its negative.
    fn floats(end: f32) -> impl Iterator<Item = f32> {
        let positive = (0..=end.to_bits()).step_by(97).map(f32::from_bits);
        positive.flat_map(|x| [x, -x])
    }

    /// `f64` of every size up to `end`, and evenly between.
    fn doubles(end: f64) -> impl Iterator<Item = f64> {
        let sizes = (-1070..10)
            .flat_map(|k| (0..16).map(move |i| (1.0 + f64::from(i) / 16.0) * 2f64.powi(k)));
        let even = (0..400_000).map(move |i| end * f64::from(i) / 400_000.0);
        let positive = sizes.filter(move |&x| x <= end).chain(even);
        positive.flat_map(|x| [x, -x])
    }

    #[track_caller]
    fn assert_off_by(name: &str, errors: impl Iterator<Item = f64>, limit: f64) {
        let largest = errors.fold(0.0, |a: f64, b| if b <= a { a } else { b });
        assert!(largest <= limit, "{name} is off by {largest} units");
    }

    #[test]
    fn exp_is_off_by_less_than_a_unit() {
        let single = floats(f32::HIGHEST).filter(|&x| x >= f32::LOWEST);
        let errors = single.map(|x| ulps(exp(x), f64::from(x).exp()));
        assert_off_by("exp", errors, 1.0);
        let double = doubles(f64::HIGHEST).filter(|&x| x >= f64::LOWEST);
        let errors = double.map(|x| ulps_double(exp(x), x.exp()));
        assert_off_by("exp in f64", errors, 1.5);
    }

    #[test]
    fn tanh_is_off_by_few_units_near_zero_too() {
        let errors = floats(30.0).map(|x| ulps(tanh(x), f64::from(x).tanh()));
        assert_off_by("tanh", errors, 3.0);
        let errors = doubles(60.0).map(|x| ulps_double(tanh(x), x.tanh()));
        assert_off_by("tanh in f64", errors, 4.0);
    }

    #[test]
    fn sigmoid_is_off_by_few_units() {
        let exact = |x: f64| 1.0 / (1.0 + (-x).exp());
        let errors = floats(87.0).map(|x| ulps(sigmoid(x), exact(f64::from(x))));
        assert_off_by("sigmoid", errors, 3.0);
        let errors = doubles(700.0).map(|x| ulps_double(sigmoid(x), exact(x)));
        assert_off_by("sigmoid in f64", errors, 4.0);
    }

    fn special<T: Float + std::fmt::Debug>() {
        let (zero, one) = (T::zero(), T::one());
        let (infinity, nan) = (T::infinity(), T::nan());
        assert_eq!([exp(zero), exp(-zero)], [one, one]);
        assert_eq!([exp(infinity), exp(T::max_value())], [infinity; 2]);
        assert_eq!([exp(-infinity), exp(T::min_value())], [zero; 2]);
        assert_eq!([sigmoid(infinity), sigmoid(-infinity)], [one, zero]);
        assert_eq!(
            [sigmoid(T::max_value()), sigmoid(zero)],
            [one, one / (one + one)]
        );
        assert_eq!([tanh(infinity), tanh(-infinity)], [one, -one]);
        assert_eq!([tanh(T::max_value()), tanh(T::min_value())], [one, -one]);
        assert!(tanh(zero) == zero && tanh(zero).is_sign_positive());
        assert!(tanh(-zero) == zero && tanh(-zero).is_sign_negative());
        for function in [exp, sigmoid, tanh] {
            assert!(function(nan).is_nan() && function(-nan).is_nan());
        }
    }

    #[test]
    fn special_values() {
        special::<f32>();
        special::<f64>();
        // NaNs whose lowest bits would change the exponent.
        for bits in [0x7f80_0001, 0x7fff_ffff, 0xff80_0003_u32] {
            assert!(exp(f32::from_bits(bits)).is_nan());
            assert!(tanh(f32::from_bits(bits)).is_nan());
            assert!(sigmoid(f32::from_bits(bits)).is_nan());
        }
        let least = f32::from_bits(1);
        assert_eq!(tanh(least), least);
    }

    /// The bits of neighbours around `x`.
    fn around(x: f32) -> Vec<f32> {
        let (mut low, mut values) = (x, vec![]);
        (0..50).for_each(|_| low = low.next_down());
        for _ in 0..100 {
            values.push(low);
            low = low.next_up();
        }
        values
    }

    #[test]
    fn edges_are_where_they_belong_and_nothing_falls() {
        assert_eq!(exp(f32::LOWEST.next_down()), 0.0);
        assert!(exp(f32::LOWEST) >= f32::MIN_POSITIVE);
        assert_eq!(exp(f32::HIGHEST.next_up()), f32::INFINITY);
        assert!(exp(f32::HIGHEST) > 0.999 * f32::MAX && exp(f32::HIGHEST) <= f32::MAX);
        assert_eq!(exp(f64::LOWEST.next_down()), 0.0);
        assert!(exp(f64::LOWEST) >= f64::MIN_POSITIVE);
        assert_eq!(exp(f64::HIGHEST.next_up()), f64::INFINITY);
        assert!(exp(f64::HIGHEST) > 0.999 * f64::MAX && exp(f64::HIGHEST) <= f64::MAX);
        for edge in [f32::LOWEST, f32::HIGHEST, 1e-30] {
            assert!(around(edge).windows(2).all(|x| exp(x[0]) <= exp(x[1])));
        }
        for edge in [f32::SATURATED, -f32::SATURATED, 9.01] {
            assert!(around(edge).windows(2).all(|x| tanh(x[0]) <= tanh(x[1])));
        }
    }
}
