//! Where and when a language model drops.

use mapsto_models::lstm::language::{LanguageDropout, LanguageModel, LanguageModelConfig};
use mapsto_tensor::{DType, Device, ParamStore, Tensor, VarBuilder, rng};

use super::{VOCAB, everywhere, model, small, tokens, values};

/// `dropped / raw` of each step, a mask a row.
fn masks(variational: bool) -> Vec<Vec<f64>> {
    let dropout = LanguageDropout {
        variational,
        output: 0.5,
        ..LanguageDropout::default()
    };
    let (_, model) = model(&LanguageModelConfig { dropout, ..small() });
    rng::manual_seed(1);
    let hidden = model.hidden(&tokens(6, 5, 0), None, true).unwrap();
    let factors = (&hidden.dropped / &hidden.raw).unwrap();
    factors.flatten(1, 2).unwrap().to_vec2().unwrap()
}

#[test]
fn variational_dropout_has_one_mask_for_all_steps() {
    for variational in [false, true] {
        let masks = masks(variational);
        let dropped = masks
            .iter()
            .flatten()
            .filter(|&&factor| factor == 0.0)
            .count();
        assert!((30..90).contains(&dropped), "{dropped} of 120");
        let scaled = |factor: &f64| *factor == 0.0 || (factor - 2.0).abs() < 1e-12;
        assert!(masks.iter().flatten().all(scaled));
        let zeros = |mask: &Vec<f64>| mask.iter().map(|f| *f == 0.0).collect::<Vec<_>>();
        let same = masks.iter().all(|mask| zeros(mask) == zeros(&masks[0]));
        assert_eq!(same, variational);
    }
}

/// What one layer gives in training for every word of the vocabulary, twice in one step.
fn of_words_given_twice(dropout: LanguageDropout) -> [Vec<Vec<f64>>; 2] {
    let (_, model) = model(&LanguageModelConfig {
        dropout,
        layers: 1,
        ..small()
    });
    let twice: Vec<u32> = (0..2 * VOCAB as u32).map(|i| i % VOCAB as u32).collect();
    let twice = Tensor::from_vec(twice, (1, 2 * VOCAB), &Device::Cpu).unwrap();
    rng::manual_seed(2);
    let hidden = model.hidden(&twice, None, true).unwrap().raw;
    let outputs: Vec<Vec<f64>> = hidden.squeeze(0).unwrap().to_vec2().unwrap();
    [outputs[..VOCAB].to_vec(), outputs[VOCAB..].to_vec()]
}

#[test]
fn word_dropout_takes_whole_words() {
    let [mut different, again] = of_words_given_twice(LanguageDropout {
        words: 0.5,
        ..LanguageDropout::default()
    });
    assert_eq!(different, again, "a word is dropped wherever it stands");
    different.sort_by(|a, b| a[0].total_cmp(&b[0]));
    different.dedup();
    assert!((3..VOCAB).contains(&different.len()), "{}", different.len());
}

#[test]
fn input_dropout_takes_features_where_they_stand() {
    for variational in [false, true] {
        let [first, again] = of_words_given_twice(LanguageDropout {
            variational,
            input: 0.5,
            ..LanguageDropout::default()
        });
        assert_ne!(first, again);
    }
}

/// The network without dropout and with zeros for these parameters.
fn without(store: &ParamStore, config: &LanguageModelConfig, names: &[&str]) -> LanguageModel {
    let mut params = store.state_dict();
    for &name in names {
        let zeros = params[name].zeros_like().unwrap();
        params.insert(name.to_owned(), zeros);
    }
    let vb = VarBuilder::from_tensors(params.into_iter().collect(), DType::F64, &Device::Cpu);
    LanguageModel::new(config, &vb).unwrap()
}

/// Where all is dropped, the network is one without the weights that would meet it.
#[test]
fn each_dropout_acts_in_its_place_and_in_training_alone() {
    let none = LanguageDropout::default();
    let with = |words: f64, input: f64, hidden: f64, weight: f64| LanguageDropout {
        words,
        input,
        hidden,
        weight,
        ..none
    };
    let both: &[&str] = &["rnn.weight_hh_l0", "rnn.weight_hh_l1"];
    let cases: [(LanguageDropout, &[&str]); 4] = [
        (with(1.0, 0.0, 0.0, 0.0), &["encoder.weight"]),
        (with(0.0, 1.0, 0.0, 0.0), &["rnn.weight_ih_l0"]),
        (with(0.0, 0.0, 1.0, 0.0), &["rnn.weight_ih_l1"]),
        (with(0.0, 0.0, 0.0, 1.0), both),
    ];
    let (store, plain) = model(&small());
    let window = tokens(6, 5, 0);
    let outputs = |model: &LanguageModel, train: bool| {
        let hidden = model.hidden(&window, None, train).unwrap();
        assert_eq!(values(&hidden.dropped), values(&hidden.raw));
        values(&hidden.raw)
    };
    let whole = outputs(&plain, false);
    assert_eq!(outputs(&plain, true), whole);
    for variational in [false, true] {
        for (dropout, names) in cases {
            let dropout = LanguageDropout {
                variational,
                ..dropout
            };
            let dropping = LanguageModelConfig { dropout, ..small() };
            let dropping = LanguageModel::new(&dropping, &store.root()).unwrap();
            assert_eq!(outputs(&dropping, false), whole, "{dropout:?}");
            let expected = outputs(&without(&store, &small(), names), false);
            let trained = outputs(&dropping, true);
            let mut pairs = trained.iter().zip(&expected);
            assert!(pairs.all(|(a, b)| (a - b).abs() < 1e-12), "{dropout:?}");
            assert_ne!(expected, whole, "{dropout:?}");
        }
    }
}

#[test]
fn output_dropout_comes_behind_the_last_layer_and_hidden_dropout_before() {
    for variational in [false, true] {
        for layers in [1, 2] {
            let config = LanguageModelConfig { layers, ..small() };
            let (store, plain) = model(&config);
            let window = tokens(6, 5, 0);
            let whole = values(&plain.hidden(&window, None, false).unwrap().raw);
            let run = |dropout: LanguageDropout, train: bool| {
                let config = LanguageModelConfig {
                    dropout,
                    ..config.clone()
                };
                let model = LanguageModel::new(&config, &store.root()).unwrap();
                let hidden = model.hidden(&window, None, train).unwrap();
                (values(&hidden.raw), values(&hidden.dropped))
            };
            let output = LanguageDropout {
                variational,
                output: 1.0,
                ..LanguageDropout::default()
            };
            let nothing = vec![0.0; whole.len()];
            assert_eq!(run(output, true), (whole.clone(), nothing));
            assert_eq!(run(output, false), (whole.clone(), whole.clone()));
            let hidden = LanguageDropout {
                variational,
                hidden: 1.0,
                ..LanguageDropout::default()
            };
            // With a single layer there is nothing between layers.
            let (raw, dropped) = run(hidden, true);
            assert_eq!(raw == whole, layers == 1);
            assert_eq!(raw, dropped);
        }
    }
}

#[test]
fn evaluation_does_not_draw() {
    let (_, model) = model(&LanguageModelConfig {
        dropout: everywhere(true),
        ..small()
    });
    rng::manual_seed(1);
    let run = || values(&model.hidden(&tokens(4, 2, 0), None, false).unwrap().dropped);
    assert_eq!(run(), run());
    assert_eq!(rng::generator().counter, 0);
}
