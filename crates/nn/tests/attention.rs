//! Attention: by hand, by finite differences, beyond the ends, and what does not fit.

#![allow(clippy::unwrap_used, reason = "helpers of tests are tests too")]

use mapsto_nn::{Attention, AttentionDecoder, AttentionDecoderConfig, Score};
use mapsto_tensor::ops::{Look, Recurrence};
use mapsto_tensor::testing::{assert_close, check_gradients, wave};
use mapsto_tensor::{DType, Device, ParamStore, Result, Tensor, VarBuilder};

fn store() -> ParamStore {
    ParamStore::new(DType::F64, &Device::Cpu)
}

fn of(tensors: &[(&str, &Tensor)]) -> VarBuilder<'static> {
    let named = tensors
        .iter()
        .map(|(name, x)| ((*name).to_owned(), (*x).clone()));
    VarBuilder::from_tensors(named.collect(), DType::F64, &Device::Cpu)
}

fn mix(layer: &Attention, queries: &Tensor, memory: &Tensor) -> Result<Tensor> {
    let (contexts, weights) = layer.forward(queries, memory, Some(&[3, 2]))?;
    Tensor::cat(&[contexts.flatten_all()?, weights.flatten_all()?], 0)
}

#[test]
fn a_dot_product_by_hand() {
    let layer = Attention::new(Score::Dot, 2, 2, store().root()).unwrap();
    let queries = Tensor::new(&[[[1f64, 0.0], [0.0, 2.0]]], &Device::Cpu).unwrap();
    let memory = Tensor::new(&[[[1f64, 0.0], [0.0, 1.0]]], &Device::Cpu).unwrap();
    let (contexts, weights) = layer.forward(&queries, &memory, None).unwrap();
    let (e, e2) = (1f64.exp(), 2f64.exp());
    let expected = [[[e, 1.0], [1.0, e2]]];
    let sums = [e + 1.0, e2 + 1.0];
    let share = |row: usize, place: usize| expected[0][row][place] / sums[row];
    let expected = Tensor::new(
        &[[[share(0, 0), share(0, 1)], [share(1, 0), share(1, 1)]]],
        &Device::Cpu,
    );
    let expected = expected.unwrap();
    assert_close("weights", &weights, &expected, 1e-12, 1e-12);
    // The memory is the identity, so the mix is the weights.
    assert_close("contexts", &contexts, &expected, 1e-12, 1e-12);
}

#[test]
fn every_score_has_right_gradients() {
    let (queries, memory) = (wave((2, 3, 4), 0.3), wave((2, 3, 4), 0.7));
    check_gradients(&[queries.clone(), memory.clone()], |t| {
        mix(
            &Attention::new(Score::Dot, 4, 4, store().root())?,
            &t[0],
            &t[1],
        )
    });
    let memory = wave((2, 3, 5), 0.7);
    check_gradients(&[queries.clone(), memory.clone(), wave((4, 5), 0.2)], |t| {
        let weights = of(&[("weight", &t[2])]);
        mix(
            &Attention::new(Score::General, 4, 5, weights)?,
            &t[0],
            &t[1],
        )
    });
    let inputs = [queries, memory, wave((3, 9), 0.2), wave((1, 3), 0.9)];
    check_gradients(&inputs, |t| {
        let weights = of(&[("weight", &t[2]), ("energy.weight", &t[3])]);
        mix(
            &Attention::new(Score::Concat(3), 4, 5, weights)?,
            &t[0],
            &t[1],
        )
    });
}

/// `W [h; m]` is what a layer over both side by side would give.
#[test]
fn concat_is_a_layer_over_query_and_place() {
    let (weight, energy) = (wave((3, 9), 0.2), wave((1, 3), 0.9));
    let vb = of(&[("weight", &weight), ("energy.weight", &energy)]);
    let layer = Attention::new(Score::Concat(3), 4, 5, vb).unwrap();
    let (queries, memory) = (wave((1, 1, 4), 0.3), wave((1, 2, 5), 0.7));
    let (_, weights) = layer.forward(&queries, &memory, None).unwrap();
    let score = |place: usize| {
        let of_place = memory.get(0).unwrap().get(place).unwrap();
        let both = Tensor::cat(&[queries.flatten_all().unwrap(), of_place], 0).unwrap();
        let hidden = weight.matmul(&both.unsqueeze(1).unwrap()).unwrap();
        let score = energy.matmul(&hidden.tanh().unwrap()).unwrap();
        score.flatten_all().unwrap().to_vec1::<f64>().unwrap()[0].exp()
    };
    let (a, b) = (score(0), score(1));
    let expected = Tensor::new(&[[[a / (a + b), b / (a + b)]]], &Device::Cpu).unwrap();
    assert_close("weights", &weights, &expected, 1e-12, 1e-12);
}

#[test]
fn nothing_beyond_an_end_is_seen() {
    for score in [Score::Dot, Score::General, Score::Concat(3)] {
        let layer = Attention::new(score, 4, 4, store().root()).unwrap();
        let (queries, memory) = (wave((2, 3, 4), 0.3), wave((2, 5, 4), 0.7));
        let (contexts, weights) = layer.forward(&queries, &memory, Some(&[5, 2])).unwrap();
        let beyond = weights.get(1).unwrap().narrow(1, 2, 3).unwrap();
        assert_eq!(
            beyond.flatten_all().unwrap().to_vec1::<f64>().unwrap(),
            [0.0; 9]
        );
        let short = memory.narrow(0, 1, 1).unwrap().narrow(1, 0, 2).unwrap();
        let alone = layer
            .forward(&queries.narrow(0, 1, 1).unwrap(), &short, None)
            .unwrap()
            .0;
        assert_close(
            "alone",
            &contexts.narrow(0, 1, 1).unwrap(),
            &alone,
            1e-12,
            1e-12,
        );
    }
}

#[test]
fn what_does_not_fit_is_named() {
    for (score, sizes, what) in [
        (Score::Dot, (4, 5), "got 4 and 5"),
        (Score::General, (0, 5), "at least 1"),
        (Score::Concat(0), (4, 5), "at least 1"),
    ] {
        let error = Attention::new(score, sizes.0, sizes.1, store().root()).unwrap_err();
        assert!(error.to_string().contains(what), "{error}");
    }
    let layer = Attention::new(Score::General, 4, 5, store().root()).unwrap();
    let error = |queries: &Tensor, memory: &Tensor, lengths: Option<&[usize]>| {
        layer
            .forward(queries, memory, lengths)
            .unwrap_err()
            .to_string()
    };
    let (queries, memory) = (wave((2, 3, 4), 0.3), wave((2, 3, 5), 0.7));
    assert!(error(&memory, &memory, None).contains("(2, T, 4)"));
    assert!(error(&queries, &queries, None).contains("(2, S, 5)"));
    assert!(error(&queries, &memory, Some(&[3])).contains("1 lengths"));
    assert!(error(&queries, &memory, Some(&[4, 1])).contains("1..=3"));
}

fn sizes() -> AttentionDecoderConfig {
    AttentionDecoderConfig {
        kind: Recurrence::Gru,
        input_size: 2,
        context_size: 5,
        hidden_size: 3,
        attention_size: 4,
        coverage: false,
        look: Look::Before,
    }
}

#[test]
fn a_decoder_has_pytorchs_names_and_shapes() {
    let store = store();
    AttentionDecoder::new(&sizes(), &store.root()).unwrap();
    let shapes: Vec<(String, Vec<usize>)> = store
        .state_dict()
        .into_iter()
        .map(|(name, x)| (name, x.dims().to_vec()))
        .collect();
    let expected: [(&str, &[usize]); 7] = [
        ("attention.energy.weight", &[1, 4]),
        ("attention.key.weight", &[4, 5]),
        ("attention.query.weight", &[4, 3]),
        ("rnn.bias_hh_l0", &[9]),
        ("rnn.bias_ih_l0", &[9]),
        ("rnn.weight_hh_l0", &[9, 3]),
        ("rnn.weight_ih_l0", &[9, 7]),
    ];
    let mut shapes = shapes;
    shapes.sort();
    let expected = expected.map(|(name, shape)| (name.to_owned(), shape.to_vec()));
    assert_eq!(shapes, expected);
}

#[test]
fn a_decoder_without_a_size_is_refused() {
    for config in [
        AttentionDecoderConfig {
            attention_size: 0,
            ..sizes()
        },
        AttentionDecoderConfig {
            hidden_size: 0,
            ..sizes()
        },
        AttentionDecoderConfig {
            context_size: 0,
            ..sizes()
        },
    ] {
        let error = AttentionDecoder::new(&config, &store().root()).unwrap_err();
        assert!(error.to_string().contains("at least 1"), "{error}");
    }
}

#[test]
fn coverage_is_one_more_weight() {
    let store = store();
    let config = AttentionDecoderConfig {
        coverage: true,
        ..sizes()
    };
    AttentionDecoder::new(&config, &store.root()).unwrap();
    assert_eq!(
        store.state_dict()["attention.coverage.weight"].dims(),
        [4, 1]
    );
}
