//! Layers that run as one op where they follow each other: a convolution with ReLU, max pooling, or
//! both after it, or leaky ReLU; batch normalisation with ReLU, plain or leaky. Values and gradients are those of
//! the layers one by one; what is between them is never stored.

use mapsto_tensor::Tensor;
use mapsto_tensor::ops::Then;

use crate::sequential::Child;
use crate::{Activation, BatchNorm1d, BatchNorm2d, Conv2d, MaxPool2d};

/// The output of the first child together with those after it that it can take in, and how
/// many they are, itself included. Nothing if it cannot take in any, or fails: one by one, the
/// layer that is at fault then says so itself.
pub(crate) fn forward(children: &[Child], x: &Tensor, train: bool) -> Option<(Tensor, usize)> {
    let [first, rest @ ..] = children else {
        return None;
    };
    let slope = rest.first().and_then(slope);
    if let Some(conv) = first.downcast_ref::<Conv2d>() {
        let after = if slope.is_some() { &rest[1..] } else { rest };
        // Rounding after a slope can make ties of what was none, so only ReLU may be put off.
        let pools = slope.is_none_or(|slope| slope == 0.0);
        let pool = after.first().filter(|_| pools);
        let pool = pool.and_then(|child| child.downcast_ref());
        let count = 1 + usize::from(slope.is_some()) + usize::from(pool.is_some());
        let then = Then {
            slope: slope.unwrap_or(1.0),
            max_pool: pool.map(|pool: &MaxPool2d| *pool.window()),
        };
        return (count > 1).then(|| Some((conv.forward_then(x, &then).ok()?, count)))?;
    }
    let slope = slope?;
    let y = if let Some(norm) = first.downcast_ref::<BatchNorm2d>() {
        norm.forward_then(x, train, slope)
    } else {
        first
            .downcast_ref::<BatchNorm1d>()?
            .forward_then(x, train, slope)
    };
    Some((y.ok()?, 2))
}

/// What a child multiplies negative numbers by, if it does nothing else.
fn slope(child: &Child) -> Option<f64> {
    match child.downcast_ref()? {
        Activation::Relu => Some(0.0),
        Activation::LeakyRelu(slope) if (0.0..=1.0).contains(slope) => Some(*slope),
        _ => None,
    }
}
