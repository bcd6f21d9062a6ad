//! Metrics of classification: scikit-learn's numbers, ties, undefined scores, states, errors.

#![allow(clippy::unwrap_used, reason = "helpers of tests are tests too")]

use mapsto_tensor::{Device, Tensor};
use mapsto_train::{Accuracy, ConfusionMatrix, Metric, Output, TopK};
use serde_json::{Value, json};

fn golden(name: &str) -> Value {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/metrics");
    let text = std::fs::read_to_string(format!("{folder}/{name}.json")).unwrap();
    serde_json::from_str(&text).unwrap()
}

fn list<T: serde::de::DeserializeOwned>(value: &Value) -> T {
    serde_json::from_value(value.clone()).unwrap()
}

fn output(scores: &[Vec<f64>], targets: &[i64]) -> Output {
    let predictions = Tensor::new(scores.to_vec(), &Device::Cpu).unwrap();
    Output {
        loss: predictions.mean_all().unwrap(),
        predictions,
        targets: Tensor::new(targets, &Device::Cpu).unwrap(),
    }
}

/// Scores whose largest is the prediction's.
fn one_hot(predictions: &[usize], classes: usize) -> Vec<Vec<f64>> {
    let row = |&p: &usize| (0..classes).map(|c| f64::from(c == p)).collect();
    predictions.iter().map(row).collect()
}

fn assert_near(case: &str, actual: f64, expected: &Value) {
    let expected = expected.as_f64().unwrap();
    assert!(
        (actual - expected).abs() <= 1e-12 + 1e-9 * expected.abs(),
        "{case}: {actual} instead of {expected}"
    );
}

#[test]
fn classification_figures_are_scikit_learns() {
    let cases = golden("classification");
    for case in cases["cases"].as_array().unwrap() {
        let name = case["name"].as_str().unwrap();
        let classes: usize = list(&case["num_classes"]);
        let targets: Vec<i64> = list(&case["y_true"]);
        let scores = one_hot(&list::<Vec<usize>>(&case["y_pred"]), classes);
        let (mut accuracy, mut matrix) = (Accuracy::default(), ConfusionMatrix::new(classes));
        // Two batches of different sizes: figures are over samples, not over batches.
        let cut = targets.len() * 2 / 3;
        let (first, rest) = targets.split_at(cut);
        for output in [output(&scores[..cut], first), output(&scores[cut..], rest)] {
            accuracy.update(&output).unwrap();
            matrix.update(&output).unwrap();
        }
        assert_near(name, accuracy.value(), &case["accuracy"]);
        assert_near(name, matrix.value(), &case["macro"]["f1"]);
        let details = matrix.details().unwrap();
        assert_eq!(
            details["confusion_matrix"], case["confusion_matrix"],
            "{name}"
        );
        for class in 0..classes {
            let (precision, recall, f1) = matrix.scores(class);
            let figures = [("precision", precision), ("recall", recall), ("f1", f1)];
            for (figure, value) in figures {
                let what = format!("{name}: {figure} of class {class}");
                assert_near(&what, value, &case["per_class"][figure][class]);
                assert_eq!(details["classes"][class][figure], json!(value), "{what}");
            }
        }
    }
}

#[test]
fn top_k_is_scikit_learns() {
    let cases = golden("topk");
    for case in cases["cases"].as_array().unwrap() {
        let output = output(
            &list::<Vec<Vec<f64>>>(&case["scores"]),
            &list::<Vec<i64>>(&case["y_true"]),
        );
        for k in 1..=3 {
            let mut top = TopK::new(k);
            top.update(&output).unwrap();
            assert_eq!(top.name(), format!("top{k}_accuracy"));
            assert_near(&top.name(), top.value(), &case[format!("top{k}")]);
        }
        let mut all = TopK::new(5);
        all.update(&output).unwrap();
        assert_eq!(all.value(), 1.0);
    }
}

fn value_of(mut metric: impl Metric, output: &Output) -> f64 {
    metric.update(output).unwrap();
    metric.value()
}

#[test]
fn ties_go_to_the_smaller_class() {
    let scores = vec![vec![1.0, 2.0, 2.0, 2.0]; 4];
    let output = output(&scores, &[0, 1, 2, 3]);
    assert_eq!(value_of(Accuracy::default(), &output), 0.25);
    assert_eq!(value_of(TopK::new(1), &output), 0.25);
    assert_eq!(value_of(TopK::new(2), &output), 0.5);
    assert_eq!(value_of(TopK::new(3), &output), 0.75);
    let mut matrix = ConfusionMatrix::new(4);
    matrix.update(&output).unwrap();
    assert_eq!((0..4).map(|t| matrix.count(t, 1)).sum::<u64>(), 4);
}

#[test]
fn undefined_scores_are_no_free_hits() {
    // 0/0 is a negative NaN on some processors, so both signs are tried.
    for nan in [f64::NAN, -f64::NAN] {
        let all = output(&vec![vec![nan; 3]; 3], &[0, 1, 2]);
        assert_eq!(value_of(Accuracy::default(), &all), 1.0 / 3.0);
        assert_eq!(value_of(TopK::new(1), &all), 1.0 / 3.0);
        assert_eq!(value_of(TopK::new(2), &all), 2.0 / 3.0);
        for (target, share) in [(0, 0.0), (1, 1.0), (2, 0.0)] {
            let one = output(&[vec![5.0, nan, 1.0]], &[target]);
            assert_eq!(value_of(Accuracy::default(), &one), share);
            assert_eq!(value_of(TopK::new(1), &one), share);
        }
    }
}

fn all_metrics() -> Vec<Box<dyn Metric>> {
    vec![
        Box::new(Accuracy::default()),
        Box::new(TopK::new(2)),
        Box::new(ConfusionMatrix::new(3)),
    ]
}

fn halves() -> [Output; 2] {
    let scores = |seed: usize, count: usize| -> Vec<Vec<f64>> {
        let score = |i: usize| ((i + seed) as f64 * 7.3).sin();
        (0..count)
            .map(|row| (0..3).map(|c| score(3 * row + c)).collect())
            .collect()
    };
    [
        output(&scores(0, 5), &[0, 1, 2, 0, 1]),
        output(&scores(40, 3), &[2, 2, 0]),
    ]
}

#[test]
fn a_state_goes_on_in_mid_epoch() {
    let [first, second] = halves();
    for mut whole in all_metrics() {
        let mut resumed = whole.clone_box();
        assert!(
            whole.value().is_nan(),
            "{} before the first batch",
            whole.name()
        );
        whole.update(&first).unwrap();
        let text = whole.state().to_string();
        whole.update(&second).unwrap();
        // What the new metric has seen before does not count.
        resumed.update(&second).unwrap();
        resumed
            .load_state(&serde_json::from_str(&text).unwrap())
            .unwrap();
        assert_ne!(resumed.value(), whole.value(), "{}", whole.name());
        resumed.update(&second).unwrap();
        assert_eq!(resumed.value(), whole.value(), "{}", whole.name());
        assert_eq!(resumed.state(), whole.state());
        whole.reset();
        whole.update(&second).unwrap();
        let mut fresh = resumed.clone_box();
        fresh.reset();
        fresh.update(&second).unwrap();
        assert_eq!(whole.state(), fresh.state());
    }
}

#[test]
fn the_state_of_another_metric_is_refused() {
    let [first, _] = halves();
    for mut metric in all_metrics() {
        metric.update(&first).unwrap();
        let before = metric.state();
        let others = [
            json!(null),
            json!({"correct": 1}),
            TopK::new(1).state(),
            ConfusionMatrix::new(4).state(),
            json!({"classes": 3, "counts": [1]}),
        ];
        for other in others {
            let is_own = metric.name() == "accuracy" && other["samples"].is_u64();
            assert_eq!(
                metric.load_state(&other).is_ok(),
                is_own,
                "{} {other}",
                metric.name()
            );
            if is_own {
                metric.load_state(&before).unwrap();
            }
            assert_eq!(metric.state(), before);
        }
    }
}

#[test]
fn labels_and_rows_are_checked() {
    for metric in all_metrics() {
        let refused = |output: &Output| {
            let mut metric = metric.clone_box();
            let error = metric.update(output).unwrap_err().to_string();
            assert!(metric.value().is_nan(), "{} took it in", metric.name());
            error
        };
        for label in [3, -1, -100] {
            let error = refused(&output(&[vec![1.0, 2.0, 3.0], vec![0.0; 3]], &[0, label]));
            assert!(
                error.contains("is not one of 3 classes"),
                "{}: {error}",
                metric.name()
            );
        }
        let error = refused(&output(&vec![vec![0.0; 3]; 2], &[0]));
        assert!(
            error.contains("2 rows of predictions for 1 targets"),
            "{error}"
        );
    }
    let wide = output(&[vec![0.0, 0.0, 0.0, 1.0]], &[0]);
    let error = ConfusionMatrix::new(3)
        .update(&wide)
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("3 classes got target 0, prediction 3"),
        "{error}"
    );
}
