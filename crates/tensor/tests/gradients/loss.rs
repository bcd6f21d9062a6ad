//! Softmax, its logarithm, and cross-entropy.

use mapsto_tensor::D;
use mapsto_tensor::ops::{Targets, cross_entropy_rows, log_softmax, softmax};
use mapsto_tensor::testing::{check_gradients, wave};

#[test]
fn softmax_over_every_dimension() {
    for shape in [vec![6], vec![3, 4], vec![2, 3, 4]] {
        let x = wave(shape.clone(), 0.2);
        for dim in 0..shape.len() {
            check_gradients(std::slice::from_ref(&x), |t| softmax(&t[0], dim));
            check_gradients(std::slice::from_ref(&x), |t| log_softmax(&t[0], dim));
        }
        check_gradients(&[x], |t| softmax(&t[0], D::Minus1));
    }
}

fn classes(weights: Option<&[f64]>, smoothing: f64) -> Targets {
    Targets::Classes {
        labels: vec![Some(1), None, Some(0), Some(3), Some(3)],
        weights: weights.map(<[f64]>::to_vec),
        smoothing,
    }
}

#[test]
fn cross_entropy_of_every_kind_of_target() {
    let weights = [0.5, 2.0, 0.0, 1.5];
    // Neither normalised nor positive everywhere: the gradient has to hold all the same.
    let soft = wave((5, 4), 0.8).flatten_all().unwrap();
    for targets in [
        classes(None, 0.0),
        classes(Some(&weights), 0.0),
        classes(None, 0.2),
        classes(Some(&weights), 0.2),
        classes(None, 1.0),
        Targets::Distributions(soft.to_vec1().unwrap()),
    ] {
        check_gradients(&[wave((5, 4), 0.1)], |t| {
            cross_entropy_rows(&t[0], targets.clone())
        });
    }
}
