//! Attention pooling: by hand, by finite differences, against candle's ops, and at its limits.
#![allow(clippy::unwrap_used, reason = "helpers of tests are tests too")]

use std::collections::HashMap;

use mapsto_nn::AttentionPooling;
use mapsto_tensor::testing::{assert_close, check_gradients, wave};
use mapsto_tensor::{DType, Device, ParamStore, Result, Tensor, VarBuilder};

const HIDDEN: usize = 3;
const ATTENTION: usize = 4;
const LENGTHS: [usize; 3] = [5, 1, 3];

/// A batch of three sequences of up to five vectors, weight, bias and context.
fn inputs() -> [Tensor; 4] {
    [
        wave((3, 5, HIDDEN), 0.1),
        wave((ATTENTION, HIDDEN), 0.2),
        wave(ATTENTION, 0.3),
        wave(ATTENTION, 0.4),
    ]
}

/// The layer with weight, bias and context of these values.
fn layer(weight: &Tensor, bias: &Tensor, context: &Tensor) -> Result<AttentionPooling> {
    let named = [("weight", weight), ("bias", bias), ("context", context)];
    let tensors: HashMap<String, Tensor> = named
        .into_iter()
        .map(|(name, tensor)| (name.to_owned(), tensor.clone()))
        .collect();
    let (attention, hidden) = weight.dims2()?;
    let vb = VarBuilder::from_tensors(tensors, weight.dtype(), &Device::Cpu);
    AttentionPooling::new(hidden, attention, vb)
}

fn tensor<const N: usize>(values: [f64; N]) -> Tensor {
    Tensor::new(&values, &Device::Cpu).unwrap()
}

#[test]
fn by_hand() {
    // With tanh(ln 2) = 0.6 the scores of the three vectors are ln 3, 0 and ln 3.
    let (ln2, ln3) = (2f64.ln(), 3f64.ln());
    let weight = tensor([1.0, 0.0]).reshape((1, 2)).unwrap();
    let layer = layer(&weight, &tensor([ln2]), &tensor([ln3 / 0.6])).unwrap();
    let one = tensor([0.0, 5.0, -ln2, 7.0, 0.0, 9.0]);
    let x = Tensor::stack(&[&one, &one], 0).unwrap();
    let x = x.reshape((2, 3, 2)).unwrap();
    let (y, weights) = layer.forward(&x, Some(&[3, 2])).unwrap();
    let expected = tensor([3.0 / 7.0, 1.0 / 7.0, 3.0 / 7.0, 0.75, 0.25, 0.0]);
    let expected = expected.reshape((2, 3)).unwrap();
    assert_close("weights", &weights, &expected, 1e-12, 0.0);
    let expected = tensor([-ln2 / 7.0, 7.0, -ln2 / 4.0, 5.5]);
    let expected = expected.reshape((2, 2)).unwrap();
    assert_close("pooled", &y, &expected, 1e-12, 0.0);
}

#[test]
fn gradients() {
    for lengths in [None, Some(&LENGTHS[..])] {
        check_gradients(&inputs(), |t| {
            let (y, weights) = layer(&t[1], &t[2], &t[3])?.forward(&t[0], lengths)?;
            Tensor::cat(&[y, weights], 1)
        });
    }
}

/// One sequence without padding, in candle's own ops.
fn composed(x: &Tensor, [weight, bias, context]: [&Tensor; 3]) -> Result<Tensor> {
    let u = x.matmul(&weight.t()?)?.broadcast_add(bias)?.tanh()?;
    let scores = u.matmul(&context.unsqueeze(1)?)?;
    let weights = candle_nn::ops::softmax(&scores, 0)?;
    x.broadcast_mul(&weights)?.sum(0)
}

#[test]
fn the_same_as_composed_of_candle_ops() {
    let [x, weight, bias, context] = inputs();
    let layer = layer(&weight, &bias, &context).unwrap();
    let (padded, _) = layer.forward(&x, Some(&LENGTHS)).unwrap();
    let (whole, _) = layer.forward(&x, None).unwrap();
    for (row, length) in LENGTHS.into_iter().enumerate() {
        let sequence = x.get(row).unwrap();
        let check = |name: &str, y: &Tensor, length: usize| {
            let sequence = sequence.narrow(0, 0, length).unwrap();
            let expected = composed(&sequence, [&weight, &bias, &context]).unwrap();
            assert_close(name, &y.get(row).unwrap(), &expected, 1e-12, 1e-14);
        };
        check("padded", &padded, length);
        check("whole", &whole, 5);
    }
}

#[test]
fn padding_does_not_matter() {
    let [x, weight, bias, context] = inputs().map(|t| t.to_dtype(DType::F32).unwrap());
    let layer = layer(&weight, &bias, &context).unwrap();
    // Whatever stands there.
    let inside = LENGTHS.map(|length| (0..5).map(|i| f32::from(i < length)).collect());
    let inside: Vec<f32> = inside.into_iter().flat_map(|row: Vec<f32>| row).collect();
    let inside = Tensor::from_vec(inside, (3, 5, 1), &Device::Cpu).unwrap();
    let other = (x.broadcast_mul(&inside).unwrap()
        + inside
            .affine(-1e4, 1e4)
            .unwrap()
            .broadcast_as(x.dims())
            .unwrap())
    .unwrap();
    let (y, weights) = layer.forward(&x, Some(&LENGTHS)).unwrap();
    let (same, _) = layer.forward(&other, Some(&LENGTHS)).unwrap();
    assert_close("another padding", &same, &y, 1e-6, 1e-7);
    for (row, length) in LENGTHS.into_iter().enumerate() {
        let alone = x.narrow(0, row, 1).unwrap().narrow(1, 0, length).unwrap();
        let (alone, of_alone) = layer.forward(&alone, None).unwrap();
        assert_close("alone", &alone, &y.narrow(0, row, 1).unwrap(), 1e-6, 1e-7);
        let weights = weights.narrow(0, row, 1).unwrap();
        let within = weights.narrow(1, 0, length).unwrap();
        assert_close("weights", &of_alone, &within, 1e-6, 0.0);
        let weights: Vec<f32> = weights.squeeze(0).unwrap().to_vec1().unwrap();
        assert!(weights[length..].iter().all(|&w| w == 0.0), "{weights:?}");
    }
}

#[test]
fn initial_values_lie_within_their_bounds() {
    let store = ParamStore::new(DType::F32, &Device::Cpu).with_seed(1);
    AttentionPooling::new(100, 400, store.root()).unwrap();
    for (name, bound) in [("weight", 0.1), ("bias", 0.1), ("context", 0.05)] {
        let values = store.get(name).unwrap().as_tensor().abs().unwrap();
        let largest: f32 = values.max_all().unwrap().to_scalar().unwrap();
        assert!(
            largest <= bound && largest > 0.9 * bound,
            "{name}: {largest}"
        );
    }
}

#[test]
fn what_does_not_fit_is_refused() {
    let store = ParamStore::new(DType::F64, &Device::Cpu);
    for (hidden, attention) in [(0, 4), (4, 0)] {
        let error = AttentionPooling::new(hidden, attention, store.root()).unwrap_err();
        let text = error.to_string();
        assert!(text.contains("at least 1, got"), "{text}");
    }
    let [x, weight, bias, context] = inputs();
    let layer = layer(&weight, &bias, &context).unwrap();
    let cases: [(&[usize], &str); 4] = [
        (&[5, 1], "2 lengths for a batch of 3"),
        (&[5, 1, 3, 2], "4 lengths for a batch of 3"),
        (&[5, 0, 3], "1..=5, got 0"),
        (&[5, 1, 6], "1..=5, got 6"),
    ];
    for (lengths, words) in cases {
        let text = layer.forward(&x, Some(lengths)).unwrap_err().to_string();
        assert!(text.contains(words), "{lengths:?}: {text}");
    }
    assert!(layer.forward(&wave((3, 5, 2), 0.1), None).is_err());
    assert!(layer.forward(&wave((5, HIDDEN), 0.1), None).is_err());
    let built = AttentionPooling::new(HIDDEN, ATTENTION, store.root());
    assert!(built.is_ok());
    let other = AttentionPooling::new(HIDDEN + 1, ATTENTION, store.root());
    assert!(other.is_err(), "the parameters there have another shape");
}
