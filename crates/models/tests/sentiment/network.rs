//! The networks: gradients, texts that share a batch, padding, sizes.

use std::collections::HashMap;

use mapsto_data::{Collate, PadCollate, Padded};
use mapsto_models::lstm::sentiment::{ClassifyText, Encoder, TextClassifier, TextClassifierConfig};
use mapsto_tensor::testing::{assert_close, check_gradients, wave};
use mapsto_tensor::{DType, Device, ParamStore, Tensor, VarBuilder, backward, rng};
use mapsto_train::Objective;

const TABLE: &str = "embedding.weight";
const VOCAB: usize = 7;
const SIZE: usize = 3;

fn encoders() -> [Encoder; 2] {
    let lstm = Encoder::Lstm {
        hidden: 2,
        layers: 2,
    };
    let cnn = Encoder::Cnn {
        kernels: vec![2, 4],
        filters: 3,
    };
    [lstm, cnn]
}

fn config(encoder: Encoder) -> TextClassifierConfig {
    TextClassifierConfig {
        vocab: VOCAB,
        embedding: SIZE,
        encoder,
        classes: 3,
        input_dropout: 0.25,
        dropout: 0.25,
    }
}

fn store() -> ParamStore {
    ParamStore::new(DType::F64, &Device::Cpu).with_seed(3)
}

/// A text of one word, one shorter than the widest kernel, and longer ones.
fn texts() -> Vec<Vec<u32>> {
    vec![
        vec![3],
        vec![5, 1, 2],
        vec![4, 6, 1, 2, 3, 6],
        vec![2, 1, 5, 4],
    ]
}

fn padded(texts: Vec<Vec<u32>>) -> Padded {
    PadCollate::new(0).collate(texts).unwrap()
}

fn labels() -> Tensor {
    Tensor::new(&[2u32, 0, 1, 2], &Device::Cpu).unwrap()
}

#[test]
fn gradients_of_the_loss() {
    let batch = (padded(texts()), labels());
    for encoder in encoders() {
        let config = config(encoder);
        let store = store();
        TextClassifier::new(&config, &store.root()).unwrap();
        let entries = store.entries().into_iter();
        let rest = entries.filter(|(name, ..)| name != TABLE);
        let (names, mut values): (Vec<String>, Vec<Tensor>) = rest
            .map(|(name, var, ..)| (name, var.as_tensor().detach()))
            .unzip();
        // All rows but that of padding, which is to get no gradient.
        values.push(wave((VOCAB - 1, SIZE), 0.4));
        let nothing = Tensor::zeros((1, SIZE), DType::F64, &Device::Cpu).unwrap();
        for train in [false, true] {
            check_gradients(&values, |t| {
                let (rows, rest) = t.split_last().unwrap();
                let named = names.iter().cloned().zip(rest.iter().cloned());
                let mut tensors: HashMap<String, Tensor> = named.collect();
                tensors.insert(TABLE.to_owned(), Tensor::cat(&[&nothing, rows], 0)?);
                let vb = VarBuilder::from_tensors(tensors, DType::F64, &Device::Cpu);
                let task = ClassifyText(TextClassifier::new(&config, &vb)?);
                // The same dropout every time.
                rng::manual_seed(5);
                Ok(task.compute_loss(&batch, train)?.loss)
            });
        }
    }
}

#[test]
fn a_text_does_not_depend_on_its_batch() {
    for encoder in encoders() {
        let store = store();
        let name = format!("{encoder:?}");
        let model = TextClassifier::new(&config(encoder), &store.root()).unwrap();
        // A bias alone, as in a window of padding, is then larger than what words give.
        for (of_filters, var) in store.trainable() {
            if of_filters.starts_with("conv") && of_filters.ends_with("bias") {
                let high = wave(var.dims(), 0.2).affine(0.1, 1.0).unwrap();
                var.set(&high).unwrap();
            }
        }
        let together = model.forward(&padded(texts()), false).unwrap();
        let further = PadCollate::new(0).min_len(13).collate(texts()).unwrap();
        let further = model.forward(&further, false).unwrap();
        assert_close(&name, &further, &together, 1e-12, 1e-14);
        for (row, text) in texts().into_iter().enumerate() {
            let alone = model.forward(&padded(vec![text]), false).unwrap();
            let of_batch = together.narrow(0, row, 1).unwrap();
            assert_close(&name, &alone, &of_batch, 1e-12, 1e-14);
        }
        let rows: Vec<Vec<f64>> = together.to_vec2().unwrap();
        assert!(rows.windows(2).all(|pair| pair[0] != pair[1]), "{rows:?}");
    }
}

#[test]
fn padding_gets_no_gradient() {
    let batch = (padded(texts()), labels());
    for encoder in encoders() {
        let store = store();
        let model = TextClassifier::new(&config(encoder), &store.root()).unwrap();
        let loss = ClassifyText(model).compute_loss(&batch, false).unwrap();
        let grads = backward(&loss.loss, &store).unwrap();
        let grad: Vec<Vec<f64>> = grads.get(TABLE).unwrap().to_vec2().unwrap();
        assert_eq!(grad[0], [0.0; SIZE]);
        for (word, row) in grad.iter().enumerate().skip(1) {
            assert!(row.iter().any(|&g| g != 0.0), "word {word} got none");
        }
        let table = store.get(TABLE).unwrap();
        let padding: Vec<f64> = table.get(0).unwrap().to_vec1().unwrap();
        assert_eq!(padding, [0.0; SIZE]);
    }
}

#[test]
fn names_shapes_and_summary() {
    let expected: [&[(&str, usize)]; 2] = [
        &[
            ("embedding", VOCAB * SIZE),
            // Of each direction: 4 gates of 2 units by their inputs, states and two biases.
            ("lstm", 2 * (8 * (SIZE + 2 + 2) + 8 * (4 + 2 + 2))),
            ("attention", 2 * 4 + 2 + 2),
            ("fc", 3 * 4 + 3),
        ],
        &[
            ("embedding", VOCAB * SIZE),
            ("conv2", 3 * SIZE * 2 + 3),
            ("conv4", 3 * SIZE * 4 + 3),
            ("fc", 3 * 6 + 3),
        ],
    ];
    for (encoder, expected) in encoders().into_iter().zip(expected) {
        let store = store();
        let model = TextClassifier::new(&config(encoder), &store.root()).unwrap();
        let summary = model.summary(&store).unwrap();
        let rows = summary.layers.iter();
        let rows: Vec<(&str, usize)> = rows.map(|row| (&*row.name, row.parameters)).collect();
        assert_eq!(rows, expected);
        let all: usize = expected.iter().map(|row| row.1).sum();
        assert_eq!(summary.trainable, all);
        assert_eq!(summary.layers.last().unwrap().output, [1, 3]);
    }
}

#[test]
fn networks_and_tokens_that_do_not_fit() {
    let [lstm, cnn] = encoders();
    let good = config(lstm.clone());
    let no_kernels = Encoder::Cnn {
        kernels: vec![],
        filters: 3,
    };
    let no_units = Encoder::Lstm {
        hidden: 0,
        layers: 1,
    };
    let change = |change: &dyn Fn(&mut TextClassifierConfig)| {
        let mut config = good.clone();
        change(&mut config);
        let error = TextClassifier::new(&config, &store().root());
        error.map(drop).unwrap_err().to_string()
    };
    for (text, words) in [
        (change(&|c| c.classes = 1), "2 classes"),
        (change(&|c| c.vocab = 1), "2 words"),
        (change(&|c| c.embedding = 0), "a size"),
        (change(&|c| c.encoder = no_kernels.clone()), "one kernel"),
        (change(&|c| c.encoder = no_units.clone()), "0"),
        (change(&|c| c.dropout = 1.5), "1.5"),
        (change(&|c| c.input_dropout = -0.5), "-0.5"),
    ] {
        assert!(text.contains(words), "no \"{words}\" in {text}");
    }
    for encoder in [lstm, cnn] {
        let store = store();
        let model = TextClassifier::new(&config(encoder), &store.root()).unwrap();
        let unknown = padded(vec![vec![1, VOCAB as u32]]);
        assert!(model.forward(&unknown, false).is_err());
        for lengths in [vec![2], vec![2, 3], vec![2, 0]] {
            let mut wrong = padded(vec![vec![1, 2], vec![3, 4]]);
            wrong.lengths = lengths;
            let text = model.forward(&wrong, false).unwrap_err().to_string();
            assert!(text.contains("2 texts") && text.contains("1..=2"), "{text}");
        }
    }
}
