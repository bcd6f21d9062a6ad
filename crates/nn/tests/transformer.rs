//! Layers of Transformers beside what PyTorch tells: steps, dropout, initial values, errors.

#![allow(clippy::unwrap_used, reason = "helpers of tests are tests too")]

use mapsto_nn::{
    AttentionMask, LayerNorm, LayerNormConfig, MultiheadAttention, MultiheadAttentionConfig,
    SinusoidalPositions, TransformerDecoderLayer, TransformerEncoderLayer, TransformerLayerConfig,
};
use mapsto_tensor::testing::{assert_close, wave};
use mapsto_tensor::{DType, Device, Module, ParamStore, Tensor, rng};

fn store() -> ParamStore {
    ParamStore::new(DType::F64, &Device::Cpu).with_seed(5)
}

fn config() -> TransformerLayerConfig {
    TransformerLayerConfig {
        dim_feedforward: 10,
        dropout: 0.0,
        ..TransformerLayerConfig::new(6, 2)
    }
}

fn causal() -> AttentionMask {
    AttentionMask {
        causal: true,
        ..AttentionMask::default()
    }
}

#[test]
fn step_by_step_is_the_whole_at_once() {
    for norm_first in [false, true] {
        let config = TransformerLayerConfig {
            norm_first,
            ..config()
        };
        let layer = TransformerDecoderLayer::new(&config, &store().root()).unwrap();
        let (x, memory) = (wave((2, 5, 6), 0.1), wave((2, 4, 6), 0.2));
        let mask = AttentionMask {
            lengths: Some(vec![4, 2]),
            ..AttentionMask::default()
        };
        let whole = layer.forward(&x, &memory, &causal(), &mask, false).unwrap();
        let memory = layer.keys_values(&memory).unwrap();
        let (mut past, mut first) = (None, 0);
        for places in [1, 2, 1, 1] {
            let part = x.narrow(1, first, places).unwrap();
            let step = layer.step(&part, past.as_ref(), &memory, &mask).unwrap();
            let expected = whole.narrow(1, first, places).unwrap();
            assert_close("a step", &step.output, &expected, 1e-12, 1e-12);
            let looked = step
                .attention
                .unwrap()
                .get(1)
                .unwrap()
                .to_vec2::<f64>()
                .unwrap();
            assert!(looked.iter().all(|row| row[2..] == [0.0, 0.0]));
            past = Some(step.past);
            first += places;
        }
    }
}

#[test]
fn a_place_sees_none_behind_it() {
    let layer = TransformerEncoderLayer::new(&config(), &store().root()).unwrap();
    let x = wave((1, 5, 6), 0.1);
    let all = layer.forward(&x, &causal(), false).unwrap();
    let few = layer
        .forward(&x.narrow(1, 0, 3).unwrap(), &causal(), false)
        .unwrap();
    assert_close(
        "the first",
        &few,
        &all.narrow(1, 0, 3).unwrap(),
        1e-12,
        1e-12,
    );
    let open = layer.forward(&x, &AttentionMask::default(), false).unwrap();
    let off = (open - all).unwrap().abs().unwrap().max_all().unwrap();
    assert!(off.to_scalar::<f64>().unwrap() > 1e-3);
}

#[test]
fn dropout_is_of_training_alone() {
    let config = TransformerLayerConfig {
        dropout: 0.5,
        ..config()
    };
    let layer = TransformerEncoderLayer::new(&config, &store().root()).unwrap();
    let x = wave((2, 5, 6), 0.1);
    let run = |train| {
        let y = layer.forward(&x, &AttentionMask::default(), train).unwrap();
        y.flatten_all().unwrap().to_vec1::<f64>().unwrap()
    };
    rng::manual_seed(1);
    let (first, second) = (run(true), run(true));
    assert_ne!(first, second);
    assert_eq!(run(false), run(false));
    rng::manual_seed(1);
    assert_eq!(run(true), first);
}

#[test]
fn weights_begin_as_pytorchs() {
    let store = store();
    let config = MultiheadAttentionConfig::new(60, 4);
    MultiheadAttention::new(&config, &store.root()).unwrap();
    let all = store.state_dict();
    let largest = |name: &str| {
        let x = all[name].abs().unwrap().max_all().unwrap();
        x.to_scalar::<f64>().unwrap()
    };
    let (xavier, kaiming) = ((6.0_f64 / 240.0).sqrt(), (1.0_f64 / 60.0).sqrt());
    for (name, bound) in [("in_proj_weight", xavier), ("out_proj.weight", kaiming)] {
        let largest = largest(name);
        assert!(
            largest <= bound && largest > 0.98 * bound,
            "{name}: {largest} {bound}"
        );
    }
    assert_eq!(largest("in_proj_bias") + largest("out_proj.bias"), 0.0);
    let norm = LayerNorm::new(&LayerNormConfig::new([3]), store.root().pp("norm")).unwrap();
    let x = wave((2, 3), 0.1);
    let mean = norm.forward(&x).unwrap().mean(1).unwrap().abs().unwrap();
    assert!(mean.max_all().unwrap().to_scalar::<f64>().unwrap() < 1e-12);
}

#[test]
fn places_have_waves_of_their_own() {
    let x = Tensor::zeros((2, 7, 5), DType::F64, &Device::Cpu).unwrap();
    let all = SinusoidalPositions.forward(&x, 0).unwrap();
    let later = SinusoidalPositions
        .forward(&x.narrow(1, 0, 3).unwrap(), 4)
        .unwrap();
    assert_close("later", &later, &all.narrow(1, 4, 3).unwrap(), 0.0, 0.0);
    let row = all
        .get(1)
        .unwrap()
        .get(3)
        .unwrap()
        .to_vec1::<f64>()
        .unwrap();
    let slow = 3.0 / 10_000_f64.powf(0.4);
    let slower = 3.0 / 10_000_f64.powf(0.8);
    let expected = [3f64.sin(), 3f64.cos(), slow.sin(), slow.cos(), slower.sin()];
    for (row, expected) in row.iter().zip(expected) {
        assert!((row - expected).abs() < 1e-12);
    }
}

#[test]
fn what_does_not_fit_is_named() {
    let new = |config| {
        MultiheadAttention::new(&config, &store().root())
            .unwrap_err()
            .to_string()
    };
    let error = new(MultiheadAttentionConfig::new(6, 4));
    assert!(error.contains("got 6 and 4"), "{error}");
    let error = new(MultiheadAttentionConfig {
        dropout: 2.0,
        ..MultiheadAttentionConfig::new(6, 2)
    });
    assert!(error.contains("in [0, 1], got 2"), "{error}");
    for config in [
        LayerNormConfig::new([]),
        LayerNormConfig::new([3, 0]),
        LayerNormConfig {
            eps: f64::NAN,
            ..LayerNormConfig::new([3])
        },
    ] {
        let error = LayerNorm::new(&config, store().root())
            .unwrap_err()
            .to_string();
        assert!(error.contains("layer norm: expected"), "{error}");
    }
    let norm = LayerNorm::new(&LayerNormConfig::new([2, 3]), store().root()).unwrap();
    let error = norm.forward(&wave((2, 2), 0.1)).unwrap_err().to_string();
    assert!(error.contains("ends in [2, 3]"), "{error}");
    let layer = TransformerEncoderLayer::new(&config(), &store().root()).unwrap();
    let error = layer
        .forward(&wave((2, 3, 5), 0.1), &causal(), false)
        .unwrap_err();
    assert!(error.to_string().contains("linear"), "{error}");
}
