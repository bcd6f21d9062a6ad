//! Searches against all targets that there are.

use mapsto_models::Cell;
use mapsto_models::seq2seq::{
    AttentionKind, BeamConfig, Found, Seq2Seq, beam_search, greedy_search,
};
use mapsto_tensor::Tensor;

use super::{KINDS, config, model, tokens};

const SOURCES: [&[u32]; 3] = [&[4, 2, 6, 3], &[5, 1, 0, 0], &[3, 3, 6, 0]];
const LENGTHS: [usize; 3] = [4, 2, 3];

/// Words 4 and 5 and two that are no words; 3 ends a target.
fn settings(size: usize, length_penalty: f64) -> BeamConfig {
    BeamConfig {
        size,
        length_penalty,
        max_len: 3,
        ..BeamConfig::default()
    }
}

/// `log p` of a target and its end (if it is shorter than the longest) after a source.
fn log_p(model: &Seq2Seq, source: &[u32], target: &[u32]) -> f64 {
    let encoded = model
        .encode(&tokens(&[source]), &[source.len()], false)
        .unwrap();
    let lookback = model.lookback(&encoded).unwrap();
    let mut words = vec![2];
    words.extend(target);
    let steps = words.len();
    let input = Tensor::from_vec(words, (steps, 1), &mapsto_tensor::Device::Cpu).unwrap();
    let walk = model
        .walk(&input, &lookback, &encoded.states, false)
        .unwrap();
    let log_p = model.log_probabilities(&walk.features).unwrap();
    let log_p = log_p.to_vec2::<f64>().unwrap();
    let next = target.iter().copied().chain([3]);
    next.zip(&log_p).map(|(word, row)| row[word as usize]).sum()
}

/// All targets of at most three words, none of them the end.
fn targets() -> Vec<Vec<u32>> {
    let mut all = vec![vec![]];
    let mut longest = vec![vec![]];
    for _ in 0..3 {
        let longer = |target: &Vec<u32>| {
            let target = target.clone();
            [0, 1, 2, 4, 5].map(move |word| [target.clone(), vec![word]].concat())
        };
        longest = longest.iter().flat_map(longer).collect();
        all.extend(longest.clone());
    }
    all
}

fn search(model: &Seq2Seq, rows: &[usize], settings: &BeamConfig) -> Vec<Vec<Found>> {
    let sources: Vec<&[u32]> = rows.iter().map(|&row| SOURCES[row]).collect();
    let lengths: Vec<usize> = rows.iter().map(|&row| LENGTHS[row]).collect();
    beam_search(model, (&tokens(&sources), &lengths), settings).unwrap()
}

#[test]
fn a_wide_beam_finds_the_best_there_is() {
    for attention in KINDS {
        let (_, model) = model(&config(attention, Cell::Lstm));
        for penalty in [0.0, 1.0] {
            let found = search(
                &model,
                &[0, 1, 2],
                &BeamConfig {
                    best: 3,
                    ..settings(200, penalty)
                },
            );
            for (row, found) in found.iter().enumerate() {
                let source = &SOURCES[row][..LENGTHS[row]];
                let score = |target: &Vec<u32>| {
                    let lp = ((6 + target.len()) as f64 / 6.0).powf(penalty);
                    log_p(&model, source, target) / lp
                };
                let mut all: Vec<(f64, Vec<u32>)> =
                    targets().into_iter().map(|t| (score(&t), t)).collect();
                all.sort_by(|a, b| b.0.total_cmp(&a.0));
                for (found, (score, target)) in found.iter().zip(&all) {
                    assert_eq!(&found.words, target, "{attention:?} {penalty}");
                    assert!(
                        (found.score - score).abs() < 1e-5,
                        "{} {score}",
                        found.score
                    );
                }
            }
        }
    }
}

#[test]
fn greedy_takes_the_likeliest_word_each_time() {
    for attention in KINDS {
        let (_, model) = model(&config(attention, Cell::Gru));
        let source = (tokens(&SOURCES), LENGTHS);
        let found = greedy_search(&model, (&source.0, &source.1), &settings(5, 1.0)).unwrap();
        for (row, found) in found.iter().enumerate() {
            let mut target: Vec<u32> = vec![];
            while target.len() < 3 {
                let of_word = |word: u32| {
                    let longer = [target.clone(), vec![word]].concat();
                    // The end after it cancels in no comparison, so it is taken off.
                    prefix(&model, &SOURCES[row][..LENGTHS[row]], &longer)
                };
                let best = (0..6)
                    .max_by(|&a, &b| of_word(a).total_cmp(&of_word(b)))
                    .unwrap();
                if best == 3 {
                    break;
                }
                target.push(best);
            }
            assert_eq!(found.words, target, "{attention:?}");
        }
    }
}

/// `log p` of a beginning.
fn prefix(model: &Seq2Seq, source: &[u32], words: &[u32]) -> f64 {
    let (last, before) = words.split_last().unwrap();
    let whole = log_p(model, source, before);
    let end = log_p_of_last(model, source, before, 3);
    whole - end + log_p_of_last(model, source, before, *last)
}

/// `log p` of a word after a beginning.
fn log_p_of_last(model: &Seq2Seq, source: &[u32], before: &[u32], word: u32) -> f64 {
    let encoded = model
        .encode(&tokens(&[source]), &[source.len()], false)
        .unwrap();
    let lookback = model.lookback(&encoded).unwrap();
    let words = [&[2], before].concat();
    let steps = words.len();
    let input = Tensor::from_vec(words, (steps, 1), &mapsto_tensor::Device::Cpu).unwrap();
    let walk = model
        .walk(&input, &lookback, &encoded.states, false)
        .unwrap();
    let log_p = model.log_probabilities(&walk.features).unwrap();
    log_p.to_vec2::<f64>().unwrap()[steps - 1][word as usize]
}

#[test]
fn a_source_is_read_alike_alone_and_in_company() {
    for attention in KINDS {
        let (_, model) = model(&config(attention, Cell::Gru));
        let settings = settings(4, 0.6);
        let together = search(&model, &[0, 1, 2], &settings);
        for (row, together) in together.iter().enumerate() {
            let alone = &search(&model, &[row], &settings)[0];
            assert_eq!(alone[0].words, together[0].words);
            assert!((alone[0].score - together[0].score).abs() < 1e-6);
        }
    }
}

#[test]
fn attention_has_a_row_for_each_word_and_the_end() {
    let (_, model) = model(&config(AttentionKind::Additive, Cell::Gru));
    let settings = BeamConfig {
        max_len: 6,
        ..settings(3, 1.0)
    };
    for (row, found) in search(&model, &[0, 1, 2], &settings).iter().enumerate() {
        let found = &found[0];
        assert_eq!(found.attention.len(), (found.words.len() + 1).min(7));
        for looked in &found.attention {
            assert!((looked.iter().sum::<f32>() - 1.0).abs() < 1e-5);
            assert!(looked[LENGTHS[row]..].iter().all(|&weight| weight == 0.0));
        }
    }
}

#[test]
fn settings_out_of_range_are_refused() {
    let (_, model) = model(&config(AttentionKind::Additive, Cell::Gru));
    for (settings, what) in [
        (settings(0, 1.0), "a size"),
        (
            BeamConfig {
                best: 3,
                ..settings(2, 1.0)
            },
            "at most `size`",
        ),
        (
            BeamConfig {
                max_len: 0,
                ..settings(2, 1.0)
            },
            "a length",
        ),
        (settings(2, -1.0), "penalty must be 0 or more"),
        (settings(2, f64::NAN), "penalty must be 0 or more"),
    ] {
        let source = (tokens(&SOURCES), LENGTHS);
        let error = beam_search(&model, (&source.0, &source.1), &settings).unwrap_err();
        assert!(error.to_string().contains(what), "{error}");
    }
}
