//! Searches against all targets that there are.

use mapsto_models::Cell;
use mapsto_models::seq2seq::{
    AttentionKind, BeamConfig, EncoderDecoder, Found, beam_search, greedy_search,
};

use super::{LENGTHS, SOURCES, config, log_p, log_p_of, model, models, targets, tokens};

/// Words 4 and 5 and two that are no words; 3 ends a target.
fn settings(size: usize, length_penalty: f64) -> BeamConfig {
    BeamConfig {
        size,
        length_penalty,
        max_len: 3,
        ..BeamConfig::default()
    }
}

fn search(model: &dyn EncoderDecoder, rows: &[usize], settings: &BeamConfig) -> Vec<Vec<Found>> {
    let sources: Vec<&[u32]> = rows.iter().map(|&row| SOURCES[row]).collect();
    let lengths: Vec<usize> = rows.iter().map(|&row| LENGTHS[row]).collect();
    beam_search(model, (&tokens(&sources), &lengths), settings).unwrap()
}

/// How much of a source a target and its end look at, written one word at a time.
fn covered(model: &dyn EncoderDecoder, source: &[u32], target: &[u32]) -> Vec<f64> {
    let mut state = model.read(&tokens(&[source]), &[source.len()]).unwrap();
    let mut sums = vec![0.0; source.len()];
    for word in [&[2], target].concat() {
        let next = model.write(&[word], &state).unwrap();
        for (sum, &share) in sums.iter_mut().zip(&next.attention[0]) {
            *sum += f64::from(share);
        }
        state = next.state;
    }
    sums
}

#[test]
fn a_wide_beam_finds_the_best_there_is() {
    for (name, model) in models() {
        for (length, coverage) in [(0.0, 0.0), (1.0, 0.0), (0.7, 2.0)] {
            if coverage > 0.0 && name.starts_with("None") {
                continue;
            }
            let settings = BeamConfig {
                best: 3,
                coverage_penalty: coverage,
                ..settings(200, length)
            };
            let found = search(&*model, &[0, 1, 2], &settings);
            for (row, found) in found.iter().enumerate() {
                let source = &SOURCES[row][..LENGTHS[row]];
                let score = |target: &Vec<u32>| {
                    let lp = ((6 + target.len()) as f64 / 6.0).powf(length);
                    let mut score = log_p_of(&*model, source, target) / lp;
                    if coverage > 0.0 {
                        let sums = covered(&*model, source, target);
                        score += sums.iter().map(|s| coverage * s.min(1.0).ln()).sum::<f64>();
                    }
                    score
                };
                let mut all: Vec<(f64, Vec<u32>)> =
                    targets().into_iter().map(|t| (score(&t), t)).collect();
                all.sort_by(|a, b| b.0.total_cmp(&a.0));
                for (found, (score, target)) in found.iter().zip(&all) {
                    assert_eq!(&found.words, target, "{name} {length} {coverage}");
                    let difference = (found.score - score).abs();
                    assert!(difference < 1e-5, "{name}: {} {score}", found.score);
                }
            }
        }
    }
}

#[test]
fn greedy_takes_the_likeliest_word_each_time() {
    for (name, model) in models() {
        let source = (tokens(&SOURCES), LENGTHS);
        let found = greedy_search(&*model, (&source.0, &source.1), &settings(5, 1.0)).unwrap();
        for (row, found) in found.iter().enumerate() {
            let mut target: Vec<u32> = vec![];
            while target.len() < 3 {
                let rows = log_p(&*model, &SOURCES[row][..LENGTHS[row]], &target);
                let last = rows.last().unwrap();
                let best = (0..6).max_by(|&a, &b| last[a].total_cmp(&last[b])).unwrap();
                if best == 3 {
                    break;
                }
                target.push(best as u32);
            }
            assert_eq!(found.words, target, "{name}");
        }
    }
}

#[test]
fn a_source_is_read_alike_alone_and_in_company() {
    for (name, model) in models() {
        let settings = settings(4, 0.6);
        let together = search(&*model, &[0, 1, 2], &settings);
        for (row, together) in together.iter().enumerate() {
            let alone = &search(&*model, &[row], &settings)[0];
            assert_eq!(alone[0].words, together[0].words, "{name}");
            assert!((alone[0].score - together[0].score).abs() < 1e-6, "{name}");
        }
    }
}

#[test]
fn attention_has_a_row_for_each_word_and_the_end() {
    for (name, model) in models() {
        let settings = BeamConfig {
            max_len: 6,
            ..settings(3, 1.0)
        };
        for (row, found) in search(&*model, &[0, 1, 2], &settings).iter().enumerate() {
            let found = &found[0];
            if name.starts_with("None") {
                assert!(found.attention.is_empty());
                continue;
            }
            assert_eq!(found.attention.len(), (found.words.len() + 1).min(7));
            for looked in &found.attention {
                assert!((looked.iter().sum::<f32>() - 1.0).abs() < 1e-5, "{name}");
                assert_eq!(looked.len(), LENGTHS[row]);
            }
        }
    }
}

#[test]
fn settings_out_of_range_are_refused() {
    let (_, additive) = model(&config(AttentionKind::Additive, Cell::Gru));
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
        (settings(2, -1.0), "length penalty must be 0 or more"),
        (settings(2, f64::NAN), "length penalty must be 0 or more"),
        (
            BeamConfig {
                coverage_penalty: -0.1,
                ..settings(2, 1.0)
            },
            "coverage penalty must be 0 or more",
        ),
    ] {
        let source = (tokens(&SOURCES), LENGTHS);
        let error = beam_search(&additive, (&source.0, &source.1), &settings).unwrap_err();
        assert!(error.to_string().contains(what), "{error}");
    }
    let (_, blind) = model(&config(AttentionKind::None, Cell::Gru));
    let settings = BeamConfig {
        coverage_penalty: 0.1,
        ..settings(2, 1.0)
    };
    let source = (tokens(&SOURCES), LENGTHS);
    let error = beam_search(&blind, (&source.0, &source.1), &settings).unwrap_err();
    assert!(
        error.to_string().contains("needs a network with attention"),
        "{error}"
    );
}
