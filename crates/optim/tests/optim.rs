//! What `Optim` adds to a rule: groups, schedule, clipping, and checks before any change.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "helpers of tests are tests too"
)]

mod common;

use common::{Params, all_bits, every_rule, gradients, params, tensor};
use mapsto_optim::{Adam, AdamW, IntoOptimizer, Optim, Optimizer, Rule, Sgd, clip_grad_value};
use mapsto_tensor::{DType, Device, Gradients, ParamStore, Result, Tensor, Var};

fn plain(lr: f64) -> Sgd {
    Sgd {
        lr,
        ..Sgd::default()
    }
}

fn scalar(name: &str, value: f64) -> (String, Var) {
    (name.to_owned(), Var::new(value, &Device::Cpu).unwrap())
}

fn ones(params: &Params) -> Gradients {
    let ones = |(name, var): &(String, Var)| (name.clone(), var.ones_like().unwrap());
    params.iter().map(ones).collect()
}

fn values(params: &Params) -> Vec<f64> {
    let value = |(_, var): &(String, Var)| var.to_scalar::<f64>().unwrap();
    params.iter().map(value).collect()
}

fn message<T>(result: Result<T>) -> String {
    result.err().expect("an error").to_string()
}

#[test]
fn the_last_group_that_selects_a_parameter_counts() {
    let params = vec![scalar("a", 0.0), scalar("a.b", 0.0), scalar("c", 0.0)];
    let mut optimizer = Optim::new(plain(1.0), params.clone())
        .unwrap()
        .group(|name| name.starts_with('a'), plain(2.0))
        .unwrap()
        .group(|name| name.ends_with('b'), plain(4.0))
        .unwrap();
    optimizer.step(&mut ones(&params)).unwrap();
    assert_eq!(values(&params), [-2.0, -4.0, -1.0]);
    assert_eq!(optimizer.lr(), 1.0);
}

#[test]
fn a_group_of_another_rule_kind_has_its_own_state() {
    let params = vec![scalar("a", 0.0), scalar("b", 0.0)];
    let momentum = Sgd {
        momentum: 0.5,
        ..plain(1.0)
    };
    let optimizer = Optim::new(plain(1.0), params)
        .unwrap()
        .group(|name| name == "b", momentum)
        .unwrap();
    let names: Vec<String> = optimizer.state_dict().unwrap().into_keys().collect();
    assert_eq!(names, ["b.momentum_buffer", "step"]);
}

#[test]
fn groups_are_checked() {
    let params = vec![scalar("fc.bias", 0.0), scalar("fc.weight", 0.0)];
    let optimizer = || Optim::new(plain(1.0), params.clone()).unwrap();
    let error = message(optimizer().group(|name| name == "fc.scale", plain(1.0)));
    assert!(
        error.contains("selects none of fc.bias, fc.weight"),
        "{error}"
    );
    let error = message(optimizer().group(|_| true, plain(-1.0)));
    assert!(
        error.contains("Sgd: lr must lie in [0, inf), got -1"),
        "{error}"
    );
    let mut late = optimizer();
    late.step(&mut ones(&params)).unwrap();
    let error = message(late.group(|_| true, plain(1.0)));
    assert!(
        error.contains("before the first step, not after 1"),
        "{error}"
    );
}

#[test]
fn the_parameters_are_checked() {
    let error = message(Optim::new(plain(1.0), vec![]));
    assert!(error.contains("no parameter to optimize"), "{error}");
    let twice = vec![scalar("a", 0.0), scalar("b", 0.0), scalar("a", 1.0)];
    let error = message(Optim::new(plain(1.0), twice));
    assert!(error.contains("two parameters are called \"a\""), "{error}");
    let whole = vec![("n".to_owned(), Var::new(1u32, &Device::Cpu).unwrap())];
    let error = message(Optim::new(plain(1.0), whole));
    assert!(error.contains("\"n\" has dtype U32"), "{error}");
    let store = ParamStore::new(DType::F32, &Device::Cpu);
    store.root().get(2, "w").unwrap();
    store.freeze("w");
    let error = message(plain(1.0).into_optimizer(&store));
    assert!(error.contains("no parameter to optimize"), "{error}");
}

#[test]
fn the_schedule_is_a_function_of_the_step_also_after_a_load() {
    let scheduled = |params: &Params| {
        Optim::new(plain(1.0), params.clone())
            .unwrap()
            .group(|name| name == "b", plain(10.0))
            .unwrap()
            .schedule(|step| [1.0, 0.5, 0.25, 0.0][step as usize])
    };
    let first = vec![scalar("a", 0.0), scalar("b", 0.0)];
    let mut optimizer = scheduled(&first);
    assert_eq!(optimizer.lr(), 1.0);
    optimizer.step(&mut ones(&first)).unwrap();
    assert_eq!(values(&first), [-1.0, -10.0]);
    assert_eq!(optimizer.lr(), 0.5);
    optimizer.step(&mut ones(&first)).unwrap();
    assert_eq!(values(&first), [-1.5, -15.0]);

    let second = vec![scalar("a", 0.0), scalar("b", 0.0)];
    let mut resumed = scheduled(&second);
    resumed
        .load_state_dict(&optimizer.state_dict().unwrap())
        .unwrap();
    assert_eq!(resumed.lr(), 0.25);
    resumed.step(&mut ones(&second)).unwrap();
    resumed.step(&mut ones(&second)).unwrap();
    assert_eq!(values(&second), [-0.25, -2.5]);
}

#[test]
fn an_undefined_schedule_changes_nothing() {
    for factor in [f64::NAN, f64::INFINITY, -0.5] {
        let params = vec![scalar("a", 3.0)];
        let mut optimizer = Optim::new(plain(1.0), params.clone())
            .unwrap()
            .schedule(move |step| if step == 1 { factor } else { 1.0 });
        optimizer.step(&mut ones(&params)).unwrap();
        let error = message(optimizer.step(&mut ones(&params)));
        assert!(
            error.contains("factor at step 1 must lie in [0, inf)"),
            "{error}"
        );
        assert_eq!((values(&params), optimizer.steps()), (vec![2.0], 1));
    }
}

#[test]
fn gradients_are_clipped_by_value_then_by_norm() {
    let params = vec![scalar("a", 0.0), scalar("b", 0.0)];
    let mut optimizer = Optim::new(plain(1.0), params.clone())
        .unwrap()
        .clip_grad_norm(0.5)
        .unwrap()
        .clip_grad_value(3.0)
        .unwrap();
    assert_eq!(optimizer.grad_norm(), None);
    let constant = |value: f64| Tensor::new(value, &Device::Cpu).unwrap();
    let mut grads = Gradients::from_iter([
        ("a".to_owned(), constant(100.0)),
        ("b".to_owned(), constant(-4.0)),
    ]);
    optimizer.step(&mut grads).unwrap();
    // By value both become 3 in size; the other order would keep their ratio of 25.
    let norm = 18f64.sqrt();
    assert_eq!(optimizer.grad_norm(), Some(norm));
    let expected = 3.0 * (0.5 / (norm + 1e-6));
    assert_eq!(values(&params), [-expected, expected]);
    for max in [0.0, -1.0, f64::NAN, f64::INFINITY] {
        let optimizer = || Optim::new(plain(1.0), params.clone()).unwrap();
        let error = message(optimizer().clip_grad_norm(max));
        assert!(error.contains("max must lie in (0, inf)"), "{error}");
        let error = message(optimizer().clip_grad_value(max));
        assert!(error.contains("max must lie in (0, inf)"), "{error}");
    }
}

#[test]
fn a_norm_that_is_not_finite_changes_nothing() {
    for bad in [f64::NAN, f64::INFINITY] {
        let params = vec![scalar("a", 1.0), scalar("b", 1.0)];
        let mut optimizer = Optim::new(plain(1.0), params.clone())
            .unwrap()
            .clip_grad_norm(1.0)
            .unwrap();
        let mut grads = ones(&params);
        grads
            .accumulate(&Gradients::from_iter([(
                "b".to_owned(),
                Tensor::new(bad, &Device::Cpu).unwrap(),
            )]))
            .unwrap();
        let error = message(optimizer.step(&mut grads));
        assert!(error.contains("because of b;"), "{error}");
        assert_eq!(values(&params), [1.0, 1.0]);
        assert_eq!(optimizer.steps(), 0);
    }
}

#[test]
fn clipping_by_value_does_not_hide_nan() {
    for dtype in [DType::F32, DType::F64] {
        let grad = Tensor::new(&[f64::NAN, 9.0, f64::NEG_INFINITY], &Device::Cpu).unwrap();
        let grad = grad.to_dtype(dtype).unwrap();
        let mut grads = Gradients::from_iter([("a".to_owned(), grad)]);
        clip_grad_value(&mut grads, 2.0).unwrap();
        let clipped = grads.get("a").unwrap().to_dtype(DType::F64).unwrap();
        let clipped = clipped.to_vec1::<f64>().unwrap();
        assert!(clipped[0].is_nan(), "{clipped:?}");
        assert_eq!(clipped[1..], [2.0, -2.0]);
    }
}

#[test]
fn messages_name_field_value_and_range() {
    let adam = Adam::default;
    let adamw = AdamW::default;
    let sgd = Sgd::default;
    let cases = [
        (
            Adam {
                lr: f64::NAN,
                ..adam()
            }
            .validate(),
            "Adam: lr must lie in [0, inf), got NaN",
        ),
        (
            Adam {
                betas: (1.0, 0.9),
                ..adam()
            }
            .validate(),
            "Adam: betas.0 must lie in [0, 1), got 1",
        ),
        (
            Adam {
                betas: (0.9, -0.1),
                ..adam()
            }
            .validate(),
            "Adam: betas.1 must lie in [0, 1), got -0.1",
        ),
        (
            Adam {
                eps: -1e-8,
                ..adam()
            }
            .validate(),
            "Adam: eps must lie in [0, inf), got -0.00000001",
        ),
        (
            Adam {
                weight_decay: -1.0,
                ..adam()
            }
            .validate(),
            "Adam: weight_decay must lie in [0, inf), got -1",
        ),
        (
            AdamW {
                lr: f64::INFINITY,
                ..adamw()
            }
            .validate(),
            "AdamW: lr must lie in [0, inf), got inf",
        ),
        (
            AdamW {
                betas: (f64::NAN, 0.9),
                ..adamw()
            }
            .validate(),
            "AdamW: betas.0 must lie in [0, 1), got NaN",
        ),
        (
            Sgd { lr: -0.1, ..sgd() }.validate(),
            "Sgd: lr must lie in [0, inf), got -0.1",
        ),
        (
            Sgd {
                momentum: 1.0,
                ..sgd()
            }
            .validate(),
            "Sgd: momentum must lie in [0, 1), got 1",
        ),
        (
            Sgd {
                dampening: 1.5,
                ..sgd()
            }
            .validate(),
            "Sgd: dampening must lie in [0, 1], got 1.5",
        ),
        (
            Sgd {
                weight_decay: f64::NAN,
                ..sgd()
            }
            .validate(),
            "Sgd: weight_decay must lie in [0, inf), got NaN",
        ),
        (
            Sgd {
                nesterov: true,
                ..sgd()
            }
            .validate(),
            "Sgd: nesterov needs momentum in (0, 1)",
        ),
    ];
    for (result, expected) in cases {
        let error = message(result);
        assert!(error.contains(expected), "{error} instead of {expected}");
    }
    let error = message(Optim::new(plain(f64::NAN), vec![scalar("a", 0.0)]));
    assert!(error.contains("Sgd: lr"), "{error}");
}

#[test]
fn a_gradient_that_does_not_fit_changes_nothing() {
    for (rule, build, _) in every_rule() {
        for bad in [
            tensor(&[2, 3], 0, DType::F32),
            tensor(&[3, 2], 0, DType::F64),
        ] {
            let params = params(DType::F32);
            let mut optimizer = build(&params);
            let before = all_bits(&params);
            let mut grads: Gradients = gradients(&params, 0, &["weight"])
                .iter()
                .map(|(name, grad)| (name.to_owned(), grad.clone()))
                .chain([("weight".to_owned(), bad)])
                .collect();
            let error = message(optimizer.step(&mut grads));
            assert!(
                error.contains("\"weight\" is F32 [3, 2], but"),
                "{rule}: {error}"
            );
            assert_eq!(all_bits(&params), before, "{rule}");
            assert_eq!(optimizer.steps(), 0, "{rule}");
        }
    }
}
