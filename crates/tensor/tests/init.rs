//! The initialisers against PyTorch's bounds, moments and gains.
#![allow(clippy::unwrap_used)]

use mapsto_tensor::init::{Fan, Initializer, Nonlinearity};
use mapsto_tensor::rng::Generator;
use mapsto_tensor::{DType, Device, ParamStore};
use serde_json::Value;

fn golden(name: &str) -> Value {
    let path = format!(
        "{}/tests/golden/init/{name}.json",
        env!("CARGO_MANIFEST_DIR")
    );
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

fn dims(value: &Value) -> Vec<usize> {
    let sizes = value.as_array().unwrap().iter();
    sizes.map(|n| n.as_u64().unwrap() as usize).collect()
}

/// About 20,000 elements of independent draws.
fn draw(initializer: Initializer, dims: &[usize]) -> Vec<f64> {
    let one: usize = dims.iter().product();
    let draws = 0..20_000_u64.div_ceil(one as u64);
    let sample = |i| {
        initializer
            .sample(dims, &mut Generator::keyed(1, &[i]))
            .unwrap()
    };
    draws.flat_map(sample).collect()
}

fn moments(values: &[f64]) -> (f64, f64) {
    let count = values.len() as f64;
    let mean = values.iter().sum::<f64>() / count;
    let variance = values.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / count;
    (mean, variance.sqrt())
}

/// Five standard errors of mean and deviation, and the bound, nearly reached.
fn check(name: &str, values: &[f64], expect: &Value) {
    let number = |key: &str| expect[key].as_f64();
    let (mean, std) = moments(values);
    let (expected, count) = (number("std").unwrap(), values.len() as f64);
    let is_uniform = expect["distribution"] == "uniform";
    let spread = if is_uniform { 0.2 } else { 0.5 };
    let offset = (mean - number("mean").unwrap()).abs();
    assert!(
        offset <= 5.0 * expected / count.sqrt(),
        "{name}: mean {mean}"
    );
    let error = (std - expected).abs();
    assert!(
        error <= 5.0 * expected * (spread / count).sqrt(),
        "{name}: std {std}"
    );
    if let Some(bound) = number("bound") {
        let largest = values.iter().fold(0.0, |a: f64, v| a.max(v.abs()));
        // In f32 the bound itself may round up by a little.
        assert!(
            largest <= bound * (1.0 + 1e-7),
            "{name}: {largest} beyond {bound}"
        );
        assert!(
            largest > bound * (1.0 - 20.0 / count),
            "{name}: {largest} of {bound}"
        );
    }
}

#[test]
fn xavier_and_kaiming() {
    let file = golden("xavier_kaiming");
    for case in file["cases"].as_array().unwrap() {
        let args = &case["args"];
        let fan = if args["mode"] == "fan_out" {
            Fan::FanOut
        } else {
            Fan::FanIn
        };
        let nonlinearity = match args["a"].as_f64() {
            Some(slope) if args["nonlinearity"] == "leaky_relu" => Nonlinearity::LeakyRelu(slope),
            _ => Nonlinearity::Relu,
        };
        let gain = args["gain"].as_f64().unwrap_or(f64::NAN);
        let initializer = match case["function"].as_str().unwrap() {
            "xavier_uniform_" => Initializer::XavierUniform { gain },
            "xavier_normal_" => Initializer::XavierNormal { gain },
            "kaiming_uniform_" => Initializer::KaimingUniform { fan, nonlinearity },
            "kaiming_normal_" => Initializer::KaimingNormal { fan, nonlinearity },
            other => panic!("unknown case {other}"),
        };
        let values = draw(initializer, &dims(&case["shape"]));
        check(&format!("{initializer:?}"), &values, &case["expect"]);
    }
}

#[test]
fn gains() {
    let file = golden("gains");
    for (name, nonlinearity) in [
        ("linear", Nonlinearity::Linear),
        ("conv2d", Nonlinearity::Linear),
        ("sigmoid", Nonlinearity::Sigmoid),
        ("tanh", Nonlinearity::Tanh),
        ("relu", Nonlinearity::Relu),
        ("leaky_relu", Nonlinearity::LeakyRelu(0.01)),
        ("selu", Nonlinearity::Selu),
    ] {
        let expected = file["gains"][name].as_f64().unwrap();
        assert!((nonlinearity.gain() - expected).abs() < 1e-15, "{name}");
    }
}

#[test]
fn what_pytorch_gives_linear_and_convolution_layers() {
    let file = golden("layer_defaults");
    let mut seen = 0;
    for case in file["cases"].as_array().unwrap() {
        let module = case["module"].as_str().unwrap();
        if !["Linear", "Conv1d", "Conv2d"].contains(&module) {
            continue;
        }
        let fan_in = dims(&case["parameters"]["weight"]["shape"])[1..]
            .iter()
            .product();
        for (name, parameter) in case["parameters"].as_object().unwrap() {
            let values: Vec<f64> = (0..50)
                .flat_map(|seed| {
                    let store = ParamStore::new(DType::F32, &Device::Cpu).with_seed(seed);
                    let init = Initializer::torch_default(fan_in);
                    let shape = dims(&parameter["shape"]);
                    let tensor = store.root().get_with_hints(shape, name, init).unwrap();
                    let tensor = tensor.flatten_all().unwrap().to_dtype(DType::F64).unwrap();
                    tensor.to_vec1::<f64>().unwrap()
                })
                .collect();
            check(&format!("{module} {name}"), &values, parameter);
            seen += 1;
        }
    }
    assert_eq!(seen, 6);
}

#[test]
fn a_bias_without_inputs_is_zero() {
    let store = ParamStore::new(DType::F64, &Device::Cpu);
    let init = Initializer::torch_default(0);
    let bias = store.root().get_with_hints(3, "bias", init).unwrap();
    assert_eq!(bias.to_vec1::<f64>().unwrap(), [0.0; 3]);
}

#[test]
fn uniform_normal_constant_and_identity() {
    let file = golden("simple");
    let case = |function: &str| {
        let cases = file["cases"].as_array().unwrap();
        cases
            .iter()
            .find(|case| case["function"] == function)
            .unwrap()
    };
    let number = |value: &Value| value.as_f64().unwrap();

    let uniform = case("uniform_");
    let (low, high) = (number(&uniform["args"]["a"]), number(&uniform["args"]["b"]));
    let values = draw(Initializer::Uniform { low, high }, &[100]);
    assert!(values.iter().all(|v| (low..high).contains(v)));
    check("uniform", &values, &uniform["expect"]);

    let normal = case("normal_");
    let (mean, std) = (
        number(&normal["args"]["mean"]),
        number(&normal["args"]["std"]),
    );
    check(
        "normal",
        &draw(Initializer::Normal { mean, std }, &[100]),
        &normal["expect"],
    );

    let value = number(&case("constant_")["args"]["val"]);
    assert!(
        draw(Initializer::Constant(value), &[7])
            .iter()
            .all(|&v| v == value)
    );

    let shape = dims(&case("eye_")["shape"]);
    let eye = Initializer::Eye
        .sample(&shape, &mut Generator::keyed(1, &[]))
        .unwrap();
    let expected: Vec<f64> = (0..15).map(|i| f64::from(i / 5 == i % 5)).collect();
    assert_eq!((shape, eye), (vec![3, 5], expected));
}

#[test]
fn truncated_normal() {
    for case in golden("trunc_normal")["cases"].as_array().unwrap() {
        let (args, expect) = (&case["args"], &case["expect"]);
        let number = |value: &Value| value.as_f64().unwrap();
        let (low, high, std) = (number(&args["a"]), number(&args["b"]), number(&args["std"]));
        let mean = number(&args["mean"]);
        let mut values = draw(
            Initializer::TruncNormal {
                mean,
                std,
                low,
                high,
            },
            &[400],
        );
        check("truncated normal", &values, expect);
        values.sort_by(f64::total_cmp);
        assert!(values[0] >= number(&expect["min"]));
        assert!(values[values.len() - 1] <= number(&expect["max"]));
        for (share, expected) in [0.1, 0.5, 0.9]
            .iter()
            .zip(expect["quantile_10_50_90"].as_array().unwrap())
        {
            let quantile = values[(share * values.len() as f64) as usize];
            assert!(
                (quantile - number(expected)).abs() < 0.06 * std,
                "{share}: {quantile}"
            );
        }
    }
}

#[test]
fn orthogonal_matrices() {
    for case in golden("orthogonal")["cases"].as_array().unwrap() {
        let gain = case["args"]["gain"].as_f64().unwrap();
        let shape = dims(&case["shape"]);
        let (rows, cols) = (shape[0], shape[1..].iter().product::<usize>());
        let initializer = Initializer::Orthogonal { gain };
        let w = initializer
            .sample(&shape, &mut Generator::keyed(4, &[]))
            .unwrap();
        // Products of the shorter side's vectors.
        let count = rows.min(cols);
        let vector = |i: usize| -> Vec<f64> {
            if rows <= cols {
                w[i * cols..(i + 1) * cols].to_vec()
            } else {
                (0..rows).map(|r| w[r * cols + i]).collect()
            }
        };
        for (i, j) in (0..count).flat_map(|i| (0..count).map(move |j| (i, j))) {
            let dot: f64 = vector(i).iter().zip(vector(j)).map(|(a, b)| a * b).sum();
            let expected = if i == j { gain * gain } else { 0.0 };
            assert!(
                (dot - expected).abs() < 1e-12,
                "{shape:?}: {i} times {j} is {dot}"
            );
        }
    }
    let conv = Initializer::Orthogonal { gain: 1.0 };
    let w = conv
        .sample(&[2, 3, 2, 2], &mut Generator::keyed(4, &[]))
        .unwrap();
    let dot: f64 = w[..12].iter().zip(&w[12..]).map(|(a, b)| a * b).sum();
    assert!(dot.abs() < 1e-14);
}

#[test]
fn unsuitable_shapes_and_ranges_are_errors_that_name_them() {
    let (mean, std) = (0.0, 1.0);
    for (initializer, shape, words) in [
        (Initializer::xavier_uniform(), vec![3], "[3]"),
        (Initializer::Orthogonal { gain: 1.0 }, vec![3], "[3]"),
        (Initializer::Orthogonal { gain: 1.0 }, vec![], "[]"),
        (Initializer::Eye, vec![2, 2, 2], "[2, 2, 2]"),
        (
            Initializer::Uniform {
                low: 1.0,
                high: 0.5,
            },
            vec![2],
            "[1, 0.5)",
        ),
        (
            Initializer::Uniform {
                low: 0.0,
                high: f64::INFINITY,
            },
            vec![2],
            "inf",
        ),
        (Initializer::Normal { mean, std: -1.0 }, vec![2], "-1"),
        (
            Initializer::Normal {
                mean,
                std: f64::NAN,
            },
            vec![2],
            "NaN",
        ),
        (
            Initializer::TruncNormal {
                mean,
                std,
                low: 2.0,
                high: 1.0,
            },
            vec![2],
            "[2, 1]",
        ),
        (
            Initializer::TruncNormal {
                mean,
                std,
                low: 90.0,
                high: 91.0,
            },
            vec![2],
            "no mass",
        ),
    ] {
        let error = initializer
            .sample(&shape, &mut Generator::keyed(1, &[]))
            .unwrap_err();
        assert!(error.to_string().contains(words), "{error}");
    }
}
