//! Strided and offset inputs give what contiguous ones give, and `f32` what `f64` gives.

use mapsto_tensor::testing::{assert_close, wave};
use mapsto_tensor::{DType, Tensor, Var, ops};

use crate::cases::{OPS, Op};

/// Output, and gradient by the variable, of `op(view(variable))` under fixed weights.
fn run(op: Op, value: &Tensor, view: impl Fn(&Tensor) -> Tensor) -> (Tensor, Tensor) {
    let var = Var::from_tensor(value).unwrap();
    let y = op(&view(&var)).unwrap();
    let weights = wave(y.shape(), 0.9).to_dtype(y.dtype()).unwrap();
    let loss = (&y * weights).unwrap().sum_all().unwrap();
    let grads = loss.backward().unwrap();
    (y, grads.get(&var).unwrap().clone())
}

#[test]
fn transposed_inputs_give_the_same_bits() {
    let x = wave((2, 3, 6, 5), 0.2);
    for (name, op) in OPS {
        let (y, grad) = run(op, &x, Tensor::clone);
        for (a, b) in [(2, 3), (0, 1), (1, 3)] {
            let swapped = x.transpose(a, b).unwrap().contiguous().unwrap();
            let (strided_y, strided_grad) = run(op, &swapped, |t| t.transpose(a, b).unwrap());
            assert_close(name, &strided_y, &y, 0.0, 0.0);
            let strided_grad = strided_grad.transpose(a, b).unwrap();
            assert_close(name, &strided_grad, &grad, 0.0, 0.0);
        }
    }
}

#[test]
fn a_piece_of_a_larger_tensor_gives_the_same_bits() {
    let x = wave((2, 3, 6, 5), 0.2);
    let other = wave((1, 3, 6, 5), 0.7);
    let larger = Tensor::cat(&[&other, &x, &other], 0).unwrap();
    for (name, op) in OPS {
        let (y, grad) = run(op, &x, Tensor::clone);
        let (piece_y, piece_grad) = run(op, &larger, |t| t.narrow(0, 1, 2).unwrap());
        assert_close(name, &piece_y, &y, 0.0, 0.0);
        assert_close(name, &piece_grad.narrow(0, 1, 2).unwrap(), &grad, 0.0, 0.0);
        let outside = piece_grad.narrow(0, 3, 1).unwrap();
        assert_close(name, &outside, &other.zeros_like().unwrap(), 0.0, 0.0);
    }
}

#[test]
fn a_strided_gradient_gives_the_same_bits() {
    let x = wave((2, 3, 6, 5), 0.2);
    for (name, op) in OPS {
        let grad_through = |flip: bool| {
            let var = Var::from_tensor(&x).unwrap();
            let y = op(&var).unwrap();
            let last = y.rank() - 1;
            let turn = |t: &Tensor| t.transpose(0, last).unwrap();
            let weights = wave(y.shape(), 0.9);
            let weighted = if flip {
                turn(&y) * turn(&weights)
            } else {
                &y * &weights
            };
            let grads = weighted.unwrap().sum_all().unwrap().backward().unwrap();
            grads.get(&var).unwrap().clone()
        };
        assert_close(name, &grad_through(true), &grad_through(false), 0.0, 0.0);
    }
}

#[test]
fn strided_weights_give_the_same_bits() {
    let (x, w) = (wave((2, 3, 6, 5), 0.2), wave((4, 3, 2, 3), 0.3));
    let params = ops::Conv2dParams::default();
    let turned = w.transpose(2, 3).unwrap().contiguous().unwrap();
    let y = ops::conv2d(&x, &w, None, &params).unwrap();
    let from_turned = ops::conv2d(&x, &turned.transpose(2, 3).unwrap(), None, &params).unwrap();
    assert_close("conv2d", &from_turned, &y, 0.0, 0.0);

    let w = wave((4, 5), 0.4);
    let turned = w.t().unwrap().contiguous().unwrap().t().unwrap();
    let y = ops::linear(&x, &w, None).unwrap();
    let from_turned = ops::linear(&x, &turned, None).unwrap();
    assert_close("linear", &from_turned, &y, 0.0, 0.0);
}

#[test]
fn f32_equals_f64() {
    let x = wave((2, 3, 6, 5), 0.2);
    for (name, op) in OPS {
        let (y, grad) = run(op, &x, Tensor::clone);
        let (y32, grad32) = run(op, &x.to_dtype(DType::F32).unwrap(), Tensor::clone);
        assert_eq!(y32.dtype(), DType::F32, "{name}");
        assert_close(name, &y32, &y, 1e-5, 1e-5);
        assert_close(name, &grad32, &grad, 1e-5, 1e-5);
    }
}
