//! The kernel against the composition of candle ops, PyTorch, and finite differences.

use candle_core::{DType, Device, Result, Tensor};

use super::*;
use crate::ops::composed_tests::assert_same;
use crate::rng;
use crate::testing::{Golden, assert_close, check_gradients, wave};

/// Two heads; five queries of which the last may see all seven places.
fn inputs() -> [Tensor; 3] {
    [
        wave((3, 5, 6), 0.1),
        wave((3, 7, 6), 0.2),
        wave((3, 7, 8), 0.3),
    ]
}

fn masks() -> Vec<AttentionMask> {
    let lengths = Some(vec![7, 1, 4]);
    let added = wave((3, 1, 5, 7), 0.4);
    vec![
        AttentionMask::default(),
        AttentionMask {
            lengths: lengths.clone(),
            ..AttentionMask::default()
        },
        AttentionMask {
            causal: true,
            ..AttentionMask::default()
        },
        AttentionMask {
            lengths,
            causal: true,
            added: Some(added),
        },
    ]
}

/// Those by which some queries see nothing at all.
fn masks_of_all() -> Vec<AttentionMask> {
    let row = Tensor::full(f64::NEG_INFINITY, (3, 1, 1, 7), &Device::Cpu).unwrap();
    let rest = wave((3, 1, 4, 7), 0.4);
    vec![
        AttentionMask {
            lengths: Some(vec![7, 0, 4]),
            ..AttentionMask::default()
        },
        AttentionMask {
            lengths: Some(vec![7, 3, 4]),
            added: Some(Tensor::cat(&[row, rest], 2).unwrap()),
            ..AttentionMask::default()
        },
    ]
}

/// What is seen and the weights, one after the other.
fn both((y, weights): (Tensor, Option<Tensor>)) -> Result<Tensor> {
    match weights {
        None => y.flatten_all(),
        Some(weights) => Tensor::cat(&[y.flatten_all()?, weights.flatten_all()?], 0),
    }
}

fn options(weights: bool, dropout: f64) -> AttentionOptions {
    AttentionOptions {
        weights,
        dropout,
        ..AttentionOptions::new(2)
    }
}

#[test]
fn kernel_and_composition_agree() {
    for mask in masks().into_iter().chain(masks_of_all()) {
        for (weights, dropout) in [(false, 0.0), (true, 0.0), (true, 0.4), (false, 1.0)] {
            let options = options(weights, dropout);
            let apart = |t: &[Tensor], kernel: bool| {
                rng::manual_seed(3);
                let inputs = AttentionInputs::Apart(&t[0], &t[1], &t[2]);
                both(if kernel {
                    multi_head_attention(inputs, &mask, &options)?
                } else {
                    composed(inputs, &mask, &options, &sizes(inputs, &options)?)?
                })
            };
            let name = format!("{mask:?} {options:?}");
            assert_same(&name, &inputs(), |t| apart(t, true), |t| apart(t, false));
        }
    }
}

#[test]
fn what_sees_nothing_is_nothing_in_half_precision_too() {
    let half = |t: &Tensor| t.to_dtype(DType::F16).unwrap();
    for mask in masks_of_all() {
        let run = |t: [Tensor; 3]| {
            let inputs = AttentionInputs::Apart(&t[0], &t[1], &t[2]);
            both(multi_head_attention(inputs, &mask, &options(true, 0.0)).unwrap()).unwrap()
        };
        let (seen, expected) = (run(inputs().each_ref().map(half)), run(inputs()));
        assert_eq!(seen.dtype(), DType::F16);
        assert_close("attention in f16", &seen, &expected, 1e-2, 2e-2);
    }
}

#[test]
fn gradients_are_right() {
    for mask in masks() {
        check_gradients(&inputs(), |t| {
            rng::manual_seed(3);
            let inputs = AttentionInputs::Apart(&t[0], &t[1], &t[2]);
            both(multi_head_attention(inputs, &mask, &options(true, 0.3))?)
        });
    }
}

#[test]
fn inputs_side_by_side_are_the_same() {
    let mask = AttentionMask {
        lengths: Some(vec![5, 2, 3]),
        causal: true,
        added: None,
    };
    let x = [0.1, 0.2, 0.3].map(|phase| wave((3, 5, 6), phase));
    let run = |t: &[Tensor], form: usize| {
        rng::manual_seed(4);
        let (kv, all) = (Tensor::cat(&t[1..], 2)?, Tensor::cat(t, 2)?);
        let inputs = match form {
            0 => AttentionInputs::Apart(&t[0], &t[1], &t[2]),
            1 => AttentionInputs::Pair(&t[0], &kv),
            _ => AttentionInputs::Packed(&all),
        };
        both(multi_head_attention(inputs, &mask, &options(false, 0.2))?)
    };
    for form in [1, 2] {
        assert_same("side by side", &x, |t| run(t, 0), |t| run(t, form));
    }
}

#[test]
fn one_query_at_a_time_sees_what_it_saw_among_all() {
    let [q, k, v] = [0.1, 0.2, 0.3].map(|phase| wave((3, 5, 6), phase));
    let causal = AttentionMask {
        causal: true,
        ..AttentionMask::default()
    };
    let run = |q: &Tensor, k: &Tensor, v: &Tensor| {
        let inputs = AttentionInputs::Apart(q, k, v);
        multi_head_attention(inputs, &causal, &AttentionOptions::new(2))
            .unwrap()
            .0
    };
    let all = run(&q, &k, &v);
    for step in 0..5 {
        let [k, v] = [&k, &v].map(|x| x.narrow(1, 0, step + 1).unwrap());
        let one = run(&q.narrow(1, step, 1).unwrap(), &k, &v);
        assert_close(
            "a query",
            &one,
            &all.narrow(1, step, 1).unwrap(),
            1e-12,
            1e-12,
        );
    }
}

#[test]
fn what_is_masked_has_no_weight_and_may_be_anything() {
    let [q, k, v] = inputs();
    let mask = AttentionMask {
        lengths: Some(vec![7, 0, 4]),
        ..AttentionMask::default()
    };
    let run = |k: &Tensor, v: &Tensor| {
        let inputs = AttentionInputs::Apart(&q, k, v);
        multi_head_attention(inputs, &mask, &options(true, 0.0)).unwrap()
    };
    let (y, weights) = run(&k, &v);
    let weights = weights.unwrap().to_vec3_of_heads();
    for (row, length) in [7, 0, 4].into_iter().enumerate() {
        for query in &weights[row] {
            let expected = if length == 0 { 0.0 } else { 1.0 };
            assert!((query.iter().sum::<f64>() - expected).abs() < 1e-12);
            assert!(query[length..].iter().all(|&weight| weight == 0.0));
        }
    }
    let values = y
        .get(1)
        .unwrap()
        .flatten_all()
        .unwrap()
        .to_vec1::<f64>()
        .unwrap();
    assert!(values.iter().all(|&value| value == 0.0));
    // A masked score that overflows stays masked.
    let huge = Tensor::cat(
        &[
            k.narrow(1, 0, 4).unwrap(),
            (k.narrow(1, 4, 3).unwrap() * 1e300).unwrap(),
        ],
        1,
    );
    let (again, _) = run(&huge.unwrap(), &v);
    assert_close(
        "the third",
        &again.get(2).unwrap(),
        &y.get(2).unwrap(),
        0.0,
        0.0,
    );
    let nowhere = Tensor::full(f64::NEG_INFINITY, (1, 1, 1, 7), &Device::Cpu).unwrap();
    let mask = AttentionMask {
        added: Some(nowhere),
        ..AttentionMask::default()
    };
    let inputs = AttentionInputs::Apart(&q, &k, &v);
    let (y, _) = multi_head_attention(inputs, &mask, &AttentionOptions::new(2)).unwrap();
    assert_eq!(
        y.abs()
            .unwrap()
            .sum_all()
            .unwrap()
            .to_scalar::<f64>()
            .unwrap(),
        0.0
    );
}

trait Heads {
    fn to_vec3_of_heads(&self) -> Vec<Vec<Vec<f64>>>;
}

impl Heads for Tensor {
    /// `(N, H, T, S)` as `(N, H T, S)`.
    fn to_vec3_of_heads(&self) -> Vec<Vec<Vec<f64>>> {
        self.flatten(1, 2).unwrap().to_vec3().unwrap()
    }
}

#[test]
fn values_and_gradients_are_pytorchs() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/attention");
    for name in ["sdpa", "sdpa_causal"] {
        let case = Golden::open(format!("{folder}/{name}.safetensors"));
        let mask = AttentionMask {
            causal: name == "sdpa_causal",
            ..AttentionMask::default()
        };
        case.check_module(&["input.0", "input.1", "input.2"], |t| {
            let heads = t[0].dim(1)?;
            let flat = |x: &Tensor| x.transpose(1, 2)?.contiguous()?.flatten_from(2);
            let [q, k, v] = [flat(&t[0])?, flat(&t[1])?, flat(&t[2])?];
            let inputs = AttentionInputs::Apart(&q, &k, &v);
            let (y, _) = multi_head_attention(inputs, &mask, &AttentionOptions::new(heads))?;
            let (batch, queries, _) = y.dims3()?;
            y.reshape((batch, queries, heads, ()))?.transpose(1, 2)
        });
    }
}

#[test]
fn bits_do_not_depend_on_the_threads() {
    let x = wave((9, 20, 36), 0.1).to_dtype(DType::F32).unwrap();
    let run = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(threads)
            .build()
            .unwrap();
        pool.install(|| {
            rng::manual_seed(1);
            let x = candle_core::Var::from_tensor(&x).unwrap();
            let options = AttentionOptions {
                dropout: 0.2,
                ..AttentionOptions::new(3)
            };
            let inputs = AttentionInputs::Packed(x.as_tensor());
            let (y, _) = multi_head_attention(inputs, &AttentionMask::default(), &options).unwrap();
            let grads = y.sqr().unwrap().sum_all().unwrap().backward().unwrap();
            let grad = grads.get(x.as_tensor()).unwrap().flatten_all().unwrap();
            let bits = |x: Tensor| x.flatten_all().unwrap().to_vec1::<f32>().unwrap();
            (bits(y), bits(grad))
        })
    };
    assert_eq!(run(1), run(2));
    assert_eq!(run(1), run(3));
}

#[test]
fn what_does_not_fit_is_named() {
    let [q, k, v] = inputs();
    let apart = AttentionInputs::Apart(&q, &k, &v);
    let (short, other) = (v.narrow(1, 0, 6).unwrap(), wave((3, 7, 9), 0.1));
    let plain = AttentionMask::default;
    for (inputs, mask, heads, what) in [
        (apart, plain(), 4, "4 heads"),
        (apart, plain(), 0, "at least 1 head"),
        (
            AttentionInputs::Apart(&q, &k, &short),
            plain(),
            2,
            "(N, S, F)",
        ),
        (
            AttentionInputs::Apart(&q, &other, &v),
            plain(),
            3,
            "3 heads",
        ),
        (
            AttentionInputs::Pair(&q, &other),
            plain(),
            2,
            "a multiple of 2",
        ),
        (
            apart,
            AttentionMask {
                lengths: Some(vec![1]),
                ..plain()
            },
            2,
            "1 lengths",
        ),
        (
            apart,
            AttentionMask {
                lengths: Some(vec![1, 8, 1]),
                ..plain()
            },
            2,
            "at most 7",
        ),
        (
            AttentionInputs::Apart(&k, &q, &wave((3, 5, 8), 0.1)),
            AttentionMask {
                causal: true,
                ..plain()
            },
            2,
            "7 queries",
        ),
    ] {
        let error = multi_head_attention(inputs, &mask, &AttentionOptions::new(heads)).unwrap_err();
        assert!(error.to_string().contains(what), "{what}: {error}");
    }
    let error = multi_head_attention(apart, &plain(), &options(false, 1.5)).unwrap_err();
    assert!(error.to_string().contains("in [0, 1]"), "{error}");
}
