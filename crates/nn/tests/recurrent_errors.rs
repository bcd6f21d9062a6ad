//! Bad options, inputs, states and lengths of recurrent layers and cells.
#![allow(clippy::unwrap_used, reason = "helpers of tests are tests too")]

use std::fmt::Debug;

use mapsto_nn::{
    CellConfig, Gru, GruCell, Lstm, LstmCell, LstmState, Nonlinearity, RecurrentConfig, Rnn,
    RnnCell,
};
use mapsto_tensor::testing::wave;
use mapsto_tensor::{DType, Device, ParamStore, Result, Tensor, VarBuilder};

fn root() -> VarBuilder<'static> {
    ParamStore::new(DType::F64, &Device::Cpu).root()
}

#[track_caller]
fn assert_says<T: Debug>(result: Result<T>, parts: &[&str]) {
    let message = result.unwrap_err().to_string();
    for part in parts {
        assert!(message.contains(part), "\"{part}\" is not in: {message}");
    }
}

#[test]
fn options() {
    let good = RecurrentConfig::new(2, 3);
    let no_units = RecurrentConfig {
        hidden_size: 0,
        ..good
    };
    assert_says(
        Lstm::new(&no_units, root()),
        &["lstm: hidden_size", "got 0 and 1"],
    );
    let no_layers = RecurrentConfig {
        num_layers: 0,
        ..good
    };
    let tanh = Nonlinearity::Tanh;
    assert_says(
        Rnn::new(&no_layers, tanh, root()),
        &["rnn:", "num_layers", "3 and 0"],
    );
    for dropout in [-0.1, 1.5, f64::NAN] {
        let config = RecurrentConfig { dropout, ..good };
        let got = format!("got {dropout}");
        assert_says(
            Gru::new(&config, root()),
            &["gru: the dropout", "[0, 1]", &got],
        );
    }
    let no_units = CellConfig::new(2, 0);
    assert_says(
        GruCell::new(&no_units, root()),
        &["gru cell: hidden_size", "got 0"],
    );
}

#[test]
fn inputs() {
    let config = RecurrentConfig::new(2, 3);
    let time_first = Gru::new(&config, root()).unwrap();
    let config = RecurrentConfig {
        batch_first: true,
        ..config
    };
    let batch_first = Gru::new(&config, root()).unwrap();
    let run = |layer: &Gru, x: &Tensor| layer.forward(x, None, None, false);
    let flat = wave(2, 0.1);
    assert_says(
        run(&time_first, &flat),
        &["gru:", "(L, N, input_size)", "[2]"],
    );
    assert_says(
        run(&batch_first, &flat),
        &["gru:", "(N, L, input_size)", "[2]"],
    );
    let wide = run(&time_first, &wave((5, 4, 3), 0.1));
    assert_says(wide, &["gru: input_size is 2", "[5, 4, 3]"]);
    let empty = Tensor::zeros((0, 4, 2), DType::F64, &Device::Cpu).unwrap();
    assert_says(run(&time_first, &empty), &["gru:", "at least one step"]);
    let cell = RnnCell::new(&CellConfig::new(2, 3), Nonlinearity::Relu, root()).unwrap();
    for x in [wave((5, 3), 0.1), wave((1, 5, 2), 0.1)] {
        let got = format!("{:?}", x.shape());
        assert_says(
            cell.forward(&x, None),
            &["rnn cell:", "(N, 2) or (2)", &got],
        );
    }
    let number = Tensor::new(1f64, &Device::Cpu).unwrap();
    assert_says(cell.forward(&number, None), &["rnn cell:", "(N, 2) or (2)"]);
}

#[test]
fn states() {
    let config = RecurrentConfig {
        num_layers: 2,
        ..RecurrentConfig::new(2, 3)
    };
    let layer = Lstm::new(&config, root()).unwrap();
    let good = wave((2, 4, 3), 0.1);
    for wrong in [
        wave((1, 4, 3), 0.1),
        wave((4, 2, 3), 0.1),
        wave((2, 3), 0.1),
    ] {
        let got = format!("got {:?}", wrong.shape());
        let (h, c) = (good.clone(), wrong);
        let state = LstmState { h, c };
        let result = layer.forward(&wave((5, 4, 2), 0.1), Some(&state), None, false);
        assert_says(result, &["lstm: expected a state [2, 4, 3]", &got]);
    }
    let (h, c) = (good.clone(), good);
    let single = layer.forward(&wave((5, 2), 0.1), Some(&LstmState { h, c }), None, false);
    assert_says(single, &["lstm: expected a state [2, 3]", "[2, 4, 3]"]);
    let cell = LstmCell::new(&CellConfig::new(2, 3), root()).unwrap();
    let (h, c) = (wave((4, 3), 0.1), wave((1, 3), 0.1));
    let result = cell.forward(&wave((4, 2), 0.1), Some(&LstmState { h, c }));
    assert_says(result, &["lstm cell: expected a state [4, 3]", "[1, 3]"]);
}

#[test]
fn lengths() {
    let config = RecurrentConfig {
        batch_first: true,
        ..RecurrentConfig::new(2, 3)
    };
    let layer = Lstm::new(&config, root()).unwrap();
    let run = |lengths: &[usize]| layer.forward(&wave((2, 5, 2), 0.1), None, Some(lengths), false);
    assert_says(run(&[5, 0]), &["lstm: a length", "1..=5", "got 0"]);
    assert_says(run(&[6, 5]), &["lstm: a length", "1..=5", "got 6"]);
    assert_says(run(&[5]), &["lstm: 1 lengths for a batch of 2"]);
    assert!(run(&[5, 1]).is_ok());
}

#[test]
fn configs_as_text() {
    let config: RecurrentConfig =
        serde_json::from_str(r#"{"input_size": 2, "hidden_size": 3}"#).unwrap();
    assert_eq!(config, RecurrentConfig::new(2, 3));
    let misspelt = r#"{"input_size": 2, "hidden_size": 3, "layers": 2}"#;
    let error = serde_json::from_str::<RecurrentConfig>(misspelt).unwrap_err();
    assert!(error.to_string().contains("layers"), "{error}");
    let cell: CellConfig = serde_json::from_str(r#"{"input_size": 2, "hidden_size": 3}"#).unwrap();
    assert_eq!(cell, CellConfig::new(2, 3));
    let misspelt = r#"{"input_size": 2, "hidden_size": 3, "biased": true}"#;
    let error = serde_json::from_str::<CellConfig>(misspelt).unwrap_err();
    assert!(error.to_string().contains("biased"), "{error}");
}
