//! The affine map and dropout.

use mapsto_tensor::ops::{dropout, linear};
use mapsto_tensor::rng;
use mapsto_tensor::testing::{check_gradients, wave};

#[test]
fn linear_on_one_two_and_three_dimensions() {
    for shape in [vec![5], vec![3, 5], vec![2, 3, 5], vec![40, 5]] {
        let inputs = [wave(shape, 0.1), wave((4, 5), 0.2), wave(4, 0.3)];
        check_gradients(&inputs, |t| linear(&t[0], &t[1], Some(&t[2])));
        check_gradients(&inputs[..2], |t| linear(&t[0], &t[1], None));
    }
}

#[test]
fn dropout_under_a_fixed_mask() {
    for p in [0.0, 0.2, 0.7, 1.0] {
        check_gradients(&[wave((5, 6), 0.1)], |t| {
            rng::manual_seed(11);
            dropout(&t[0], p)
        });
    }
}
