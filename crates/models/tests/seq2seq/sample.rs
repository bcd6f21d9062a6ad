//! Draws against the probabilities of all targets that there are.

use std::collections::HashMap;

use mapsto_models::Sampling;
use mapsto_models::seq2seq::{BeamConfig, SampleConfig, greedy_search, sample};

use super::{LENGTHS, SOURCES, log_p_of, models, targets, tokens};

fn settings(count: usize) -> SampleConfig {
    SampleConfig {
        count,
        max_len: 3,
        ..SampleConfig::default()
    }
}

#[test]
fn targets_come_as_often_as_they_are_probable() {
    const DRAWS: usize = 20_000;
    let (_, model) = models().swap_remove(2);
    let source = &SOURCES[0][..LENGTHS[0]];
    let input = (tokens(&[source]), [LENGTHS[0]]);
    let drawn = sample(&*model, (&input.0, &input.1), &[0], &settings(DRAWS)).unwrap();
    let mut counts: HashMap<Vec<u32>, usize> = HashMap::new();
    for found in &drawn[0] {
        *counts.entry(found.words.clone()).or_default() += 1;
    }
    // Shorter ones only: those of three words are ended by force.
    let mut checked = 0;
    for target in targets().into_iter().filter(|target| target.len() < 3) {
        let p = log_p_of(&*model, source, &target).exp();
        if p > 0.01 {
            let share = counts.get(&target).copied().unwrap_or(0) as f64 / DRAWS as f64;
            let deviation = (p * (1.0 - p) / DRAWS as f64).sqrt();
            assert!(
                (share - p).abs() < 4.5 * deviation,
                "{target:?}: {share} {p}"
            );
            checked += 1;
        }
    }
    assert!(checked >= 5, "{checked}");
}

#[test]
fn a_draw_is_of_its_source_and_seed_alone() {
    for (name, model) in models() {
        let source = (tokens(&SOURCES), LENGTHS);
        let settings = settings(4);
        let together = sample(&*model, (&source.0, &source.1), &[7, 8, 9], &settings).unwrap();
        for (row, together) in together.iter().enumerate() {
            let alone = (tokens(&[&SOURCES[row][..LENGTHS[row]]]), [LENGTHS[row]]);
            let alone = sample(&*model, (&alone.0, &alone.1), &[7 + row], &settings).unwrap();
            for (alone, together) in alone[0].iter().zip(together) {
                assert_eq!(alone.words, together.words, "{name}");
                let source = &SOURCES[row][..LENGTHS[row]];
                let expected = log_p_of(&*model, source, &alone.words);
                assert!((alone.log_probability - expected).abs() < 1e-5, "{name}");
            }
        }
        let other = SampleConfig {
            seed: 1,
            ..settings
        };
        let other = sample(&*model, (&source.0, &source.1), &[7, 8, 9], &other).unwrap();
        assert_ne!(other, together);
        // The same text twice has draws of its own each time.
        let twice = (tokens(&[SOURCES[0]; 2]), [LENGTHS[0]; 2]);
        let twice = sample(&*model, (&twice.0, &twice.1), &[7, 8], &settings).unwrap();
        assert_eq!(twice[0], together[0], "{name}");
        assert_ne!(twice[0], twice[1], "{name}");
    }
}

#[test]
fn without_temperature_it_is_the_greedy_search() {
    for (name, model) in models() {
        let source = (tokens(&SOURCES), LENGTHS);
        let beam = BeamConfig {
            max_len: 3,
            ..BeamConfig::default()
        };
        let greedy = greedy_search(&*model, (&source.0, &source.1), &beam).unwrap();
        let bold = SampleConfig {
            sampling: Sampling {
                temperature: 0.0,
                ..Sampling::default()
            },
            ..settings(1)
        };
        let drawn = sample(&*model, (&source.0, &source.1), &[0, 1, 2], &bold).unwrap();
        for (greedy, drawn) in greedy.iter().zip(drawn) {
            assert_eq!(greedy.words, drawn[0].words, "{name}");
            assert_eq!(greedy.attention, drawn[0].attention, "{name}");
        }
    }
}

#[test]
fn settings_out_of_range_are_refused() {
    let (_, model) = models().swap_remove(0);
    let wild = SampleConfig {
        sampling: Sampling {
            top_p: 1.5,
            ..Sampling::default()
        },
        ..settings(1)
    };
    let endless = SampleConfig {
        max_len: 0,
        ..settings(1)
    };
    for (settings, numbers, what) in [
        (settings(0), 3, "a count"),
        (endless, 3, "a length"),
        (settings(1), 2, "2 numbers"),
        (wild, 3, "top-p"),
    ] {
        let source = (tokens(&SOURCES), LENGTHS);
        let numbers: Vec<usize> = (0..numbers).collect();
        let error = sample(&*model, (&source.0, &source.1), &numbers, &settings).unwrap_err();
        assert!(error.to_string().contains(what), "{error}");
    }
}
