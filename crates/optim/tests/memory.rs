//! How updates reach memory: gradients that share it, large tensors, threads, other dtypes.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "helpers of tests are tests too"
)]

mod common;

use common::{Params, adam, all_bits, bits, every_rule, gradients, tensor};
use mapsto_optim::{Optim, Optimizer, Sgd, clip_grad_norm};
use mapsto_tensor::{DType, Gradients, Tensor, Var};

/// Gradients that are the parameters' own memory give what copies of them give: `own` swaps
/// them, as the gradients of a product are.
#[test]
fn gradients_may_share_memory_with_parameters() {
    for dtype in [DType::F32, DType::F64, DType::BF16] {
        for (rule, build, _) in every_rule() {
            for order in [[0, 1], [1, 0]] {
                let run = |copy: bool| {
                    let var = |seed| Var::from_tensor(&tensor(&[4], seed, dtype)).unwrap();
                    let params = vec![("a".to_owned(), var(1)), ("b".to_owned(), var(2))];
                    let mut optimizer = build(&params);
                    for _ in 0..3 {
                        let grad = |i: usize| {
                            let grad = params[order[i]].1.as_detached_tensor();
                            if copy { grad.copy().unwrap() } else { grad }
                        };
                        let mut grads: Gradients =
                            (0..2).map(|i| (params[i].0.clone(), grad(i))).collect();
                        optimizer.step(&mut grads).unwrap();
                    }
                    all_bits(&params)
                };
                assert_eq!(run(false), run(true), "{rule} {dtype:?} {order:?}");
            }
        }
    }
}

/// Larger than a chunk of the parallel loops, and no multiple of one.
const LARGE: usize = 50_001;

#[test]
fn large_tensors_are_updated_as_their_elements_would_be_alone() {
    for (rule, build, _) in every_rule() {
        let whole = vec![(
            "w".to_owned(),
            Var::from_tensor(&tensor(&[LARGE], 1, DType::F32)).unwrap(),
        )];
        // The same elements as many small parameters, which never meet the parallel loop.
        let part = |i: usize| i * 5_000..((i + 1) * 5_000).min(LARGE);
        let slice = |tensor: &Tensor, i: usize| {
            let range = part(i);
            tensor
                .narrow(0, range.start, range.len())
                .unwrap()
                .copy()
                .unwrap()
        };
        let parts: Params = (0..11)
            .map(|i| {
                (
                    format!("{i}"),
                    Var::from_tensor(&slice(&whole[0].1, i)).unwrap(),
                )
            })
            .collect();
        let (mut of_whole, mut of_parts) = (build(&whole), build(&parts));
        for step in 0..3 {
            let grad = tensor(&[LARGE], 5 + step, DType::F32);
            let mut grads = (0..11).map(|i| (format!("{i}"), slice(&grad, i))).collect();
            of_parts.step(&mut grads).unwrap();
            let mut grads = Gradients::from_iter([("w".to_owned(), grad)]);
            of_whole.step(&mut grads).unwrap();
        }
        let joined: Vec<u64> = all_bits(&parts).concat();
        assert_eq!(all_bits(&whole)[0], joined, "{rule}");
    }
}

#[test]
fn clipping_inside_a_step_is_clipping_before_it() {
    for dtype in [DType::F32, DType::F64, DType::BF16] {
        for max in [0.5, 1e9] {
            let run = |inside: bool| {
                let var = Var::from_tensor(&tensor(&[LARGE], 1, dtype)).unwrap();
                let params = vec![("w".to_owned(), var)];
                let momentum = Sgd {
                    momentum: 0.9,
                    ..Sgd::default()
                };
                let mut optimizer = Optim::new(momentum, params.clone()).unwrap();
                if inside {
                    optimizer = optimizer.clip_grad_norm(max).unwrap();
                }
                for step in 0..3 {
                    let mut grads = gradients(&params, step, &[]);
                    if !inside {
                        clip_grad_norm(&mut grads, max).unwrap();
                    }
                    let before = grads.get("w").unwrap().clone();
                    optimizer.step(&mut grads).unwrap();
                    let after = grads.get("w").unwrap();
                    assert_eq!(
                        bits(after),
                        bits(&before),
                        "the gradients stay what they are"
                    );
                }
                all_bits(&params)
            };
            assert_eq!(run(true), run(false), "{dtype:?} {max}");
        }
    }
}

#[test]
fn the_same_bits_at_any_number_of_threads() {
    let run = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads);
        pool.build().unwrap().install(|| {
            let var = Var::from_tensor(&tensor(&[LARGE], 1, DType::F32)).unwrap();
            let params = vec![("w".to_owned(), var)];
            let mut optimizer = Optim::new(adam(0.1, true), params.clone())
                .unwrap()
                .clip_grad_norm(1.0)
                .unwrap();
            for step in 0..3 {
                optimizer.step(&mut gradients(&params, step, &[])).unwrap();
            }
            (all_bits(&params), optimizer.grad_norm().map(f64::to_bits))
        })
    };
    let one = run(1);
    assert_eq!(run(2), one);
    assert_eq!(run(3), one);
}

#[test]
fn other_dtypes_are_updated_by_ops() {
    for dtype in [DType::BF16, DType::F16] {
        let params = vec![(
            "w".to_owned(),
            Var::from_tensor(&tensor(&[1], 0, dtype).ones_like().unwrap()).unwrap(),
        )];
        let momentum = Sgd {
            lr: 0.25,
            momentum: 0.5,
            ..Sgd::default()
        };
        let mut optimizer = Optim::new(momentum, params.clone()).unwrap();
        for _ in 0..2 {
            let one = params[0].1.ones_like().unwrap();
            let mut grads = Gradients::from_iter([("w".to_owned(), one)]);
            optimizer.step(&mut grads).unwrap();
        }
        // 1 - 1/4 - 1/4 * 3/2, all exact in half precision.
        let w = params[0].1.to_dtype(DType::F64).unwrap();
        assert_eq!(w.to_vec1::<f64>().unwrap(), [0.375]);
        let state = optimizer.state_dict().unwrap();
        assert_eq!(state["w.momentum_buffer"].dtype(), dtype);
    }
}
