//! Every kind of network: gradients, padding, options.

use std::collections::BTreeMap;

use mapsto_models::Cell;
use mapsto_models::seq2seq::{AttentionKind, EncoderDecoder, Seq2Seq, Seq2SeqConfig};
use mapsto_tensor::testing::{assert_close, check_gradients};
use mapsto_tensor::{DType, Device, ParamStore, Tensor, VarBuilder, backward, rng};

use super::{KINDS, config, model, tokens};

fn batch() -> (Tensor, Vec<usize>, Tensor) {
    let source = tokens(&[&[4, 2, 6, 3], &[5, 1, 0, 0]]);
    let target = tokens(&[&[2, 4, 5, 1, 3], &[2, 5, 3, 0, 0]]);
    (source, vec![4, 2], target)
}

/// A model whose parameters are `tensors`, in the order of their names.
fn with(config: &Seq2SeqConfig, names: &[String], tensors: &[Tensor]) -> Seq2Seq {
    let named: std::collections::HashMap<String, Tensor> =
        names.iter().cloned().zip(tensors.iter().cloned()).collect();
    let vb = VarBuilder::from_tensors(named, DType::F64, &Device::Cpu);
    Seq2Seq::new(config, &vb).unwrap()
}

#[test]
fn gradients_are_right_for_every_kind() {
    let (source, lengths, target) = batch();
    for attention in KINDS {
        for cell in [Cell::Gru, Cell::Lstm] {
            for readout in [false, true] {
                let config = Seq2SeqConfig {
                    readout,
                    tied: readout,
                    coverage: readout && attention == AttentionKind::Additive,
                    input_feeding: cell == Cell::Gru && attention == AttentionKind::Additive,
                    ..config(attention, cell)
                };
                let (store, _) = model(&config);
                let params: BTreeMap<String, Tensor> = store.state_dict().into_iter().collect();
                let (names, tensors): (Vec<_>, Vec<_>) = params.into_iter().unzip();
                // Without the embeddings, whose padding has no gradient though the loss has one.
                let is_table = |name: &String| name.ends_with("embedding.weight");
                let free: Vec<usize> = (0..names.len()).filter(|&i| !is_table(&names[i])).collect();
                let inputs: Vec<Tensor> = free.iter().map(|&i| tensors[i].clone()).collect();
                check_gradients(&inputs, |inputs| {
                    let mut all = tensors.clone();
                    for (&i, input) in free.iter().zip(inputs) {
                        all[i] = input.clone();
                    }
                    let model = with(&config, &names, &all);
                    model.loss((&source, &lengths), &target, 0.1, true)
                });
            }
        }
    }
}

#[test]
fn padding_changes_nothing() {
    let (source, lengths, target) = batch();
    for attention in KINDS {
        let (_, model) = model(&config(attention, Cell::Gru));
        let together = model.loss((&source, &lengths), &target, 0.1, true).unwrap();
        let mut total = Tensor::zeros((), DType::F64, &Device::Cpu).unwrap();
        for (row, words) in [(0, 4), (1, 2)] {
            let source = source.narrow(0, row, 1).unwrap();
            let source = source.narrow(1, 0, lengths[row]).unwrap();
            let target = target.narrow(0, row, 1).unwrap();
            let target = target.narrow(1, 0, words + 1).unwrap();
            let loss = model
                .loss((&source, &lengths[row..=row]), &target, 0.1, true)
                .unwrap();
            total = (total + (loss * words as f64).unwrap()).unwrap();
        }
        let mean = (total / 6.0).unwrap();
        assert_close(&format!("{attention:?}"), &together, &mean, 1e-12, 1e-12);
    }
}

#[test]
fn every_parameter_learns() {
    let (source, lengths, target) = batch();
    for attention in KINDS {
        for (shared, tied) in [(false, false), (true, true)] {
            let config = Seq2SeqConfig {
                source_vocab: 7,
                target_vocab: 7,
                shared,
                readout: tied,
                tied,
                ..config(attention, Cell::Lstm)
            };
            let (store, model) = model(&config);
            let loss = model.loss((&source, &lengths), &target, 0.0, true).unwrap();
            backward(&loss, &store).unwrap().audit().unwrap();
            let names = store.names();
            let has = |name: &str| names.iter().any(|n| n == name);
            assert_eq!(has("decoder.embedding.weight"), !shared);
            assert_eq!(has("decoder.out.weight"), !tied);
            assert!(has("encoder.embedding.weight"));
        }
    }
}

#[test]
fn dropout_is_of_training_alone() {
    let (source, lengths, target) = batch();
    let config = Seq2SeqConfig {
        dropout: 0.5,
        readout: true,
        ..config(AttentionKind::Additive, Cell::Gru)
    };
    let (_, model) = model(&config);
    let loss = |train| {
        let loss = model
            .loss((&source, &lengths), &target, 0.0, train)
            .unwrap();
        loss.to_scalar::<f64>().unwrap()
    };
    rng::manual_seed(1);
    let (first, second) = (loss(true), loss(true));
    assert!((first - second).abs() > 1e-6, "{first} {second}");
    assert_eq!(loss(false), loss(false));
    rng::manual_seed(1);
    assert_eq!(loss(true), first);
}

#[test]
fn what_does_not_fit_is_named() {
    let store = || ParamStore::new(DType::F64, &Device::Cpu);
    let base = config(AttentionKind::Additive, Cell::Gru);
    for (config, what) in [
        (
            Seq2SeqConfig {
                hidden: 0,
                ..base.clone()
            },
            "at least 1",
        ),
        (
            Seq2SeqConfig {
                cell: Cell::Rnn,
                ..base.clone()
            },
            "a gru or an lstm",
        ),
        (
            Seq2SeqConfig {
                shared: true,
                ..base.clone()
            },
            "7 and 6 words",
        ),
        (
            Seq2SeqConfig {
                tied: true,
                ..base.clone()
            },
            "a readout",
        ),
        (
            Seq2SeqConfig {
                coverage: true,
                attention: AttentionKind::General,
                ..base.clone()
            },
            "of additive attention",
        ),
        (
            Seq2SeqConfig {
                input_feeding: true,
                attention: AttentionKind::None,
                ..base.clone()
            },
            "model.input_feeding=false",
        ),
        (
            Seq2SeqConfig {
                attention: AttentionKind::Dot,
                encoder_hidden: 3,
                ..base.clone()
            },
            "got 4 and 6",
        ),
    ] {
        let error = Seq2Seq::new(&config, &store().root()).unwrap_err();
        assert!(error.to_string().contains(what), "{what}: {error}");
    }
    let (_, model) = model(&base);
    let (source, lengths, target) = batch();
    let short = target.narrow(1, 0, 1).unwrap();
    let error = model
        .loss((&source, &lengths), &short, 0.0, true)
        .unwrap_err();
    assert!(error.to_string().contains("a word after it"), "{error}");
    let nothing = tokens(&[&[2, 0], &[2, 0]]);
    let error = model
        .loss((&source, &lengths), &nothing, 0.0, true)
        .unwrap_err();
    assert!(error.to_string().contains("all are padding"), "{error}");
}
