//! With a tape, gradients are those that candle finds without one.

#![allow(clippy::unwrap_used, reason = "helpers of tests are tests too")]

use mapsto_tensor::backward::{by, record};
use mapsto_tensor::ops::{Unary, cat, linear, reshape, split, unary};
use mapsto_tensor::testing::wave;
use mapsto_tensor::{Gradients, Result, Tensor, Var};

fn vars(shapes: &[&[usize]]) -> Vec<(String, Var)> {
    let var = |(i, shape): (usize, &&[usize])| {
        let value = wave(*shape, i as f64);
        (i.to_string(), Var::from_tensor(&value).unwrap())
    };
    shapes.iter().enumerate().map(var).collect()
}

/// Every gradient of `vars` is there in both, is not 0, and is the same.
fn same(vars: &[(String, Var)], plain: &Gradients, taped: &Gradients) {
    for (name, _) in vars {
        let values = |grads: &Gradients| -> Vec<f64> {
            grads
                .get(name)
                .unwrap()
                .flatten_all()
                .unwrap()
                .to_vec1()
                .unwrap()
        };
        let (plain, taped) = (values(plain), values(taped));
        assert!(plain.iter().any(|g| g.abs() > 1e-3), "{name} has none");
        for (a, b) in plain.iter().zip(&taped) {
            assert!((a - b).abs() <= 1e-12 * (1.0 + a.abs()), "{name}: {a}, {b}");
        }
    }
}

/// The gradients of a loss are the same with and without a tape.
fn agree(vars: &[(String, Var)], loss: impl Fn() -> Result<Tensor>) {
    let grads = || by(&loss()?, vars.to_vec());
    same(vars, &grads().unwrap(), &record(grads).unwrap());
}

fn relu(x: &Tensor) -> Result<Tensor> {
    unary(x, Unary::Relu)
}

#[test]
fn candles_ops_may_stand_between_ours() {
    let vars = vars(&[&[3, 4], &[5, 4], &[5, 5], &[5]]);
    let [x, a, b, c] = [0, 1, 2, 3].map(|i| vars[i].1.as_tensor());
    agree(&vars, || {
        let first = relu(&linear(x, a, None)?)?;
        // candle's in the middle, a weight of both, and a way around an op.
        let middle = (first.sqr()?.broadcast_mul(c)? + &first)?;
        let second = linear(&middle, b, Some(c))?;
        (second + middle)?.sqr()?.mean_all()
    });
}

#[test]
fn tensors_are_joined_and_cut_along_any_dimension() {
    let vars = vars(&[&[3, 4], &[3, 2], &[5, 7]]);
    let [x, y, weight] = [0, 1, 2].map(|i| vars[i].1.as_tensor());
    for dim in [0, 1] {
        agree(&vars, || {
            // A part that is used twice, one for candle's op too, and one that nothing uses.
            let parts = split(weight, 1, &[4, 2, 1])?;
            let (first, second) = (linear(x, &parts[0], None)?, linear(y, &parts[1], None)?);
            let again = linear(&relu(x)?, &parts[0], None)?;
            let joined = cat(&[&first, &relu(&second)?, &again], dim)?;
            let half = joined.dim(dim)? / 3;
            let halves = split(&relu(&joined)?, dim, &[half, 2 * half])?;
            let other = reshape(&halves[1], halves[1].elem_count())?;
            let sum = (relu(&halves[0])?.sqr()?.sum_all()? + relu(&other)?.sum_all()?)?;
            // One part alone, which candle made.
            let alone = relu(&cat(&[&parts[1].sqr()?], dim)?)?;
            // All of a tensor, beside nothing of it.
            let made = x.sqr()?;
            let whole = split(&made, dim, &[0, made.dim(dim)?])?;
            sum + alone.sum_all()? + relu(&whole[1])?.sum_all()?
        });
    }
    assert!(split(x, 1, &[1, 2]).is_err());
}

#[test]
fn one_result_may_be_used_several_times_and_ones_own_twice() {
    let vars = vars(&[&[3, 4], &[4, 4]]);
    let [x, a] = [0, 1].map(|i| vars[i].1.as_tensor());
    agree(&vars, || {
        let once = linear(x, a, None)?;
        let twice = linear(&relu(&once)?, a, None)?;
        let shaped = reshape(&once, (2, 6))?;
        // The shaped one goes into an op of ours, and into one of candle's.
        let sums = [unary(&shaped, Unary::Tanh)?, shaped.sqr()?];
        sums[0].sum_all()? + sums[1].mean_all()? + twice.sqr()?.sum_all()?
    });
}

#[test]
fn a_loss_may_itself_be_on_the_tape() {
    let vars = vars(&[&[1, 4], &[1, 4]]);
    let [x, a] = [0, 1].map(|i| vars[i].1.as_tensor());
    agree(&vars, || linear(x, a, None));
    agree(&vars, || reshape(&linear(x, a, None)?, ()));
}

#[test]
fn two_losses_share_a_tape() {
    let vars = vars(&[&[2, 3], &[3, 3], &[1, 3]]);
    let [x, makes, judges] = [0, 1, 2].map(|i| vars[i].1.as_tensor());
    let game = || -> Result<_> {
        let made = relu(&linear(x, makes, None)?)?;
        let of_judge = linear(&made.detach(), judges, None)?.sqr()?.mean_all()?;
        let of_judge = by(&of_judge, vars[2..].to_vec())?;
        let of_maker = linear(&made, &judges.detach(), None)?.mean_all()?;
        Ok((of_judge, by(&of_maker, vars[..2].to_vec())?))
    };
    let (plain, taped) = (game().unwrap(), record(game).unwrap());
    same(&vars[2..], &plain.0, &taped.0);
    same(&vars[..2], &plain.1, &taped.1);
}

#[test]
fn two_losses_share_ops() {
    let vars = vars(&[&[2, 3], &[3, 3]]);
    let [x, a] = [0, 1].map(|i| vars[i].1.as_tensor());
    let twice = || -> Result<_> {
        let y = relu(&linear(x, a, None)?)?;
        let first = by(&y.sum_all()?, vars.clone())?;
        Ok([first, by(&y.sqr()?.sum_all()?, vars.clone())?])
    };
    for (plain, taped) in twice().unwrap().iter().zip(&record(twice).unwrap()) {
        same(&vars, plain, taped);
    }
}

#[test]
fn behind_a_step_ops_are_candles_again() {
    let vars = vars(&[&[2, 3], &[3, 3]]);
    let [x, a] = [0, 1].map(|i| vars[i].1.as_tensor());
    let is_candles = || {
        let y = linear(x, a, None).unwrap();
        !y.is_variable() && y.sum_all().unwrap().backward().unwrap().get(a).is_some()
    };
    record(|| {
        assert!(!is_candles());
        record(|| assert!(!is_candles()));
        assert!(!is_candles());
    });
    assert!(is_candles());
    assert!(std::panic::catch_unwind(|| record(|| panic!("on purpose"))).is_err());
    assert!(is_candles());
}

#[test]
fn what_no_loss_reaches_is_missing_with_a_tape_too() {
    let vars = vars(&[&[2, 3], &[3, 3], &[1]]);
    let [x, a] = [0, 1].map(|i| vars[i].1.as_tensor());
    let grads = record(|| by(&linear(x, a, None)?.sum_all()?, vars.clone())).unwrap();
    assert_eq!(grads.missing(), ["2"]);
}
