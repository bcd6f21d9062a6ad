//! The Transformer: gradients, padding, every parameter, options.

use std::collections::BTreeMap;

use mapsto_models::seq2seq::{EncoderDecoder, TransformerConfig, TransformerTranslator};
use mapsto_tensor::testing::{assert_close, check_gradients};
use mapsto_tensor::{DType, Device, ParamStore, Tensor, VarBuilder, backward, rng};

use super::{tokens, transformed, transformer};

fn batch() -> (Tensor, Vec<usize>, Tensor) {
    let source = tokens(&[&[4, 2, 6, 3], &[5, 1, 0, 0]]);
    let target = tokens(&[&[2, 4, 5, 1, 3], &[2, 5, 3, 0, 0]]);
    (source, vec![4, 2], target)
}

#[test]
fn gradients_are_right() {
    let (source, lengths, target) = batch();
    let config = transformer(false);
    let (store, _) = transformed(&config);
    let params: BTreeMap<String, Tensor> = store.state_dict().into_iter().collect();
    let (names, tensors): (Vec<_>, Vec<_>) = params.into_iter().unzip();
    // Without the embeddings, whose padding has no gradient though the loss has one.
    let is_free = |&i: &usize| !names[i].ends_with("embedding.weight");
    let free: Vec<usize> = (0..names.len()).filter(is_free).collect();
    let inputs: Vec<Tensor> = free.iter().map(|&i| tensors[i].clone()).collect();
    check_gradients(&inputs, |inputs| {
        let mut all = tensors.clone();
        for (&i, input) in free.iter().zip(inputs) {
            all[i] = input.clone();
        }
        let named = names.iter().cloned().zip(all).collect();
        let vb = VarBuilder::from_tensors(named, DType::F64, &Device::Cpu);
        let model = TransformerTranslator::new(&config, &vb)?;
        model.loss((&source, &lengths), &target, 0.1, true)
    });
}

#[test]
fn padding_changes_nothing() {
    let (source, lengths, target) = batch();
    let (_, model) = transformed(&transformer(true));
    let together = model.loss((&source, &lengths), &target, 0.1, true).unwrap();
    let mut total = Tensor::zeros((), DType::F64, &Device::Cpu).unwrap();
    for (row, words) in [(0, 4), (1, 2)] {
        let source = source.narrow(0, row, 1).unwrap().narrow(1, 0, lengths[row]);
        let target = target.narrow(0, row, 1).unwrap().narrow(1, 0, words + 1);
        let source = (&source.unwrap(), &lengths[row..=row]);
        let loss = model.loss(source, &target.unwrap(), 0.1, true).unwrap();
        total = (total + (loss * words as f64).unwrap()).unwrap();
    }
    let mean = (total / 6.0).unwrap();
    assert_close("the mean", &together, &mean, 1e-12, 1e-12);
}

#[test]
fn places_are_told_apart() {
    let (_, model) = transformed(&transformer(false));
    let target = tokens(&[&[2, 4, 3]]);
    let loss = |words: &[u32]| {
        let loss = model.loss((&tokens(&[words]), &[3]), &target, 0.0, false);
        loss.unwrap().to_scalar::<f64>().unwrap()
    };
    assert!((loss(&[4, 5, 6]) - loss(&[6, 5, 4])).abs() > 1e-3);
}

#[test]
fn every_parameter_learns() {
    let (source, lengths, target) = batch();
    for shared in [false, true] {
        let (store, model) = transformed(&transformer(shared));
        let loss = model.loss((&source, &lengths), &target, 0.0, true).unwrap();
        backward(&loss, &store).unwrap().audit().unwrap();
        let names = store.names();
        let has = |name: &str| names.iter().any(|n| n == name);
        assert_eq!(has("decoder.embedding.weight"), !shared);
        assert!(has("decoder.layers.1.multihead_attn.in_proj_weight"));
    }
}

#[test]
fn dropout_is_of_training_alone() {
    let (source, lengths, target) = batch();
    let config = TransformerConfig {
        dropout: 0.5,
        ..transformer(false)
    };
    let (_, model) = transformed(&config);
    let loss = |train| {
        let loss = model.loss((&source, &lengths), &target, 0.0, train);
        loss.unwrap().to_scalar::<f64>().unwrap()
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
    let base = transformer(false);
    for (config, what) in [
        (
            TransformerConfig {
                layers: 0,
                ..base.clone()
            },
            "at least 1",
        ),
        (
            TransformerConfig {
                heads: 4,
                ..base.clone()
            },
            "a multiple of the number of heads",
        ),
        (
            TransformerConfig {
                shared: true,
                ..base.clone()
            },
            "7 and 6 words",
        ),
    ] {
        let store = ParamStore::new(DType::F64, &Device::Cpu);
        let error = TransformerTranslator::new(&config, &store.root()).unwrap_err();
        assert!(error.to_string().contains(what), "{what}: {error}");
    }
}
