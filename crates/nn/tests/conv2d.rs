//! Where padding goes and what it consists of, worked out by hand.

#![allow(clippy::unwrap_used, reason = "helpers of tests are tests too")]

use mapsto_nn::{Conv2d, Conv2dConfig, PadMode, Padding};
use mapsto_tensor::{DType, Device, Module, ParamStore, Tensor};

/// Sums windows of `x`: a kernel of ones.
fn sums(config: Conv2dConfig, x: [[f64; 3]; 2]) -> Vec<Vec<f64>> {
    let store = ParamStore::new(DType::F64, &Device::Cpu);
    let config = Conv2dConfig {
        bias: false,
        ..config
    };
    let layer = Conv2d::new(&config, store.root()).unwrap();
    let weight = store.get("weight").unwrap();
    weight.set(&weight.ones_like().unwrap()).unwrap();
    let x = Tensor::new(&[x], &Device::Cpu).unwrap();
    layer
        .forward(&x)
        .unwrap()
        .squeeze(0)
        .unwrap()
        .to_vec2()
        .unwrap()
}

const X: [[f64; 3]; 2] = [[1.0, 2.0, 4.0], [8.0, 16.0, 32.0]];

#[test]
fn same_with_an_even_kernel_pads_right_and_below() {
    let same = Conv2dConfig {
        padding: Padding::Same,
        ..Conv2dConfig::new(1, 1, 2)
    };
    assert_eq!(sums(same, X), [[27.0, 54.0, 36.0], [24.0, 48.0, 32.0]]);
    let wide = Conv2dConfig {
        padding: Padding::Same,
        ..Conv2dConfig::new(1, 1, (1, 4))
    };
    assert_eq!(sums(wide, X), [[7.0, 7.0, 6.0], [56.0, 56.0, 48.0]]);
}

#[test]
fn same_counts_the_gaps_of_a_dilated_kernel() {
    let dilated = Conv2dConfig {
        padding: Padding::Same,
        dilation: (1, 2),
        ..Conv2dConfig::new(1, 1, (1, 2))
    };
    assert_eq!(sums(dilated, X), [[2.0, 5.0, 2.0], [16.0, 40.0, 16.0]]);
}

#[test]
fn explicit_padding_is_rows_then_columns() {
    let rows = Conv2dConfig {
        padding: Padding::Explicit(1, 0),
        ..Conv2dConfig::new(1, 1, (2, 3))
    };
    assert_eq!(sums(rows, X), [[7.0], [63.0], [56.0]]);
    let columns = Conv2dConfig {
        padding: Padding::Explicit(0, 1),
        ..Conv2dConfig::new(1, 1, (2, 3))
    };
    assert_eq!(sums(columns, X), [[27.0, 63.0, 54.0]]);
}

#[test]
fn padding_modes_fill_as_they_say() {
    let around = |padding_mode| Conv2dConfig {
        padding: Padding::Explicit(0, 1),
        padding_mode,
        ..Conv2dConfig::new(1, 1, (1, 3))
    };
    let first = |mode| sums(around(mode), X)[0].clone();
    assert_eq!(first(PadMode::Zeros), [3.0, 7.0, 6.0]);
    assert_eq!(first(PadMode::Reflect), [5.0, 7.0, 8.0]);
    assert_eq!(first(PadMode::Replicate), [4.0, 7.0, 10.0]);
    assert_eq!(first(PadMode::Circular), [7.0, 7.0, 7.0]);
}
