//! Layers that run as one op where they follow each other: a convolution with ReLU, max pooling,
//! or both after it. Values and gradients are those of the layers one by one; the planes between
//! them are never stored.

use mapsto_tensor::Tensor;
use mapsto_tensor::ops::Then;

use crate::sequential::Child;
use crate::{Activation, Conv2d, MaxPool2d};

/// The output of the first child together with those after it that it can take in, and how
/// many they are, itself included. Nothing if it cannot take in any, or fails: one by one, the
/// layer that is at fault then says so itself.
pub(crate) fn forward(children: &[Child], x: &Tensor) -> Option<(Tensor, usize)> {
    let [first, rest @ ..] = children else {
        return None;
    };
    let conv: &Conv2d = first.downcast_ref()?;
    let mut then = Then::default();
    let mut count = 1;
    for child in rest {
        if child.downcast_ref() == Some(&Activation::Relu) && count == 1 {
            then.relu = true;
        } else if let Some(pool) = child.downcast_ref::<MaxPool2d>() {
            then.max_pool = Some(*pool.window());
            count += 1;
            break;
        } else {
            break;
        }
        count += 1;
    }
    if count == 1 {
        return None;
    }
    Some((conv.forward_then(x, &then).ok()?, count))
}
