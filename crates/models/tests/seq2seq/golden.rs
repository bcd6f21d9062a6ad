//! The whole model against PyTorch's: its state dict loads with no map.

use mapsto_models::Cell;
use mapsto_models::seq2seq::{AttentionKind, EncoderDecoder, Seq2Seq, Seq2SeqConfig};
use mapsto_tensor::testing::Golden;
use mapsto_tensor::{DType, Device, ParamStore, Tensor, backward, ops};

fn case() -> Golden {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden");
    Golden::open(format!("{folder}/seq2seq_bahdanau.safetensors"))
}

fn model(case: &Golden) -> (ParamStore, Seq2Seq) {
    let config = Seq2SeqConfig {
        source_vocab: 13,
        target_vocab: 11,
        shared: false,
        embedding: 6,
        cell: Cell::Gru,
        encoder_hidden: 5,
        hidden: 7,
        attention: AttentionKind::Additive,
        coverage: false,
        input_feeding: false,
        attention_size: 4,
        readout: false,
        tied: false,
        dropout: 0.0,
    };
    let store = ParamStore::new(case.dtype(), &Device::Cpu);
    let model = Seq2Seq::new(&config, &store.root()).unwrap();
    store
        .load_state_dict(&case.with_prefix("param."), true)
        .unwrap();
    (store, model)
}

fn ids(case: &Golden, name: &str) -> Tensor {
    case.tensor(name).to_dtype(DType::U32).unwrap()
}

fn lengths(case: &Golden) -> Vec<usize> {
    let lengths = case.tensor("src_lengths").to_vec1::<i64>().unwrap();
    lengths.into_iter().map(|n| n as usize).collect()
}

#[test]
fn outputs_and_attention_are_pytorchs() {
    let case = case();
    let (_, model) = model(&case);
    let (source, target, lengths) = (ids(&case, "src"), ids(&case, "tgt"), lengths(&case));
    let encoded = model.encode(&source, &lengths, true).unwrap();
    let lookback = model.lookback(&encoded).unwrap();
    let steps = target.dim(1).unwrap() - 1;
    let words = target.narrow(1, 0, steps).unwrap().t().unwrap();
    let walk = model
        .walk(
            &words.contiguous().unwrap(),
            &lookback,
            &encoded.states,
            true,
        )
        .unwrap();
    let (weight, bias) = model.softmax();
    let logits = ops::linear(&walk.features, weight, Some(bias)).unwrap();
    let rows = source.dim(0).unwrap();
    let logits = logits.reshape((steps, rows, ())).unwrap();
    case.check("output", &logits.transpose(0, 1).unwrap());
    let attention = walk.attention.unwrap().transpose(0, 1).unwrap();
    case.check("attention", &attention);
}

#[test]
fn loss_and_gradients_are_pytorchs() {
    let case = case();
    let (store, model) = model(&case);
    let (source, target, lengths) = (ids(&case, "src"), ids(&case, "tgt"), lengths(&case));
    let loss = model.loss((&source, &lengths), &target, 0.0, true).unwrap();
    case.check("loss", &loss);
    let gradients = backward(&loss, &store).unwrap();
    gradients.audit().unwrap();
    let expected = case.with_prefix("grad.param.");
    assert_eq!(expected.len(), store.names().len());
    for name in expected.keys() {
        let stored = format!("grad.param.{name}");
        case.check(&stored, gradients.get(name).expect(name));
    }
}
