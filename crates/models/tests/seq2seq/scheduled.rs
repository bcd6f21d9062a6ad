//! Training with some of the network's own words in front.

use mapsto_data::PaddedPair;
use mapsto_models::seq2seq::{EncoderDecoder, Lesson, Translate};
use mapsto_tensor::{Tensor, rng};
use mapsto_train::Objective;

use super::{LENGTHS, SOURCES, log_p, models, tokens};

const TARGETS: [&[u32]; 3] = [&[2, 4, 5, 1, 3], &[2, 5, 3, 0, 0], &[2, 1, 1, 3, 0]];

fn pair() -> PaddedPair {
    PaddedPair {
        source: tokens(&SOURCES),
        source_lengths: LENGTHS.to_vec(),
        target: tokens(&TARGETS),
        target_lengths: vec![5, 3, 4],
    }
}

fn loss(task: &Translate, own_words: f64, train: bool) -> f64 {
    let pair = pair();
    let output = task
        .compute_loss(&Lesson { pair, own_words }, train)
        .unwrap();
    output.loss.to_scalar().unwrap()
}

/// The mean loss when each word comes after the network's own.
fn of_own(model: &dyn EncoderDecoder) -> f64 {
    let mut total = 0.0;
    for (row, target) in TARGETS.iter().enumerate() {
        let source = &SOURCES[row][..LENGTHS[row]];
        let words: Vec<u32> = target.iter().copied().filter(|&word| word != 0).collect();
        let mut own = vec![];
        for &word in &words[1..] {
            let rows = log_p(model, source, &own);
            let last = rows.last().unwrap();
            total -= last[word as usize];
            let best = (0..6).max_by(|&a, &b| last[a].total_cmp(&last[b])).unwrap();
            own.push(best as u32);
        }
    }
    total / 9.0
}

#[test]
fn all_or_none_of_the_words_are_its_own() {
    for (name, model) in models() {
        let task = Translate::new(model.clone(), 0.0);
        let forced = task.compute_loss(&pair(), true).unwrap().loss;
        let forced: f64 = forced.to_scalar().unwrap();
        assert_eq!(loss(&task, 0.0, true), forced, "{name}");
        let own = of_own(&*model);
        assert!((own - forced).abs() > 1e-3, "{name}: nothing to tell apart");
        assert!((loss(&task, 1.0, true) - own).abs() < 1e-9, "{name}");
        // Outside training the words are the right ones.
        assert_eq!(loss(&task, 1.0, false), forced, "{name}");
    }
}

#[test]
fn the_seed_decides_which() {
    let (_, model) = models().swap_remove(3);
    let task = Translate::new(model.clone(), 0.1);
    let draw = |seed| {
        rng::manual_seed(seed);
        loss(&task, 0.5, true)
    };
    assert_eq!(draw(1), draw(1));
    let several: Vec<f64> = (0..8).map(draw).collect();
    assert!(
        several.iter().any(|loss| *loss != several[0]),
        "{several:?}"
    );
}

#[test]
fn no_gradient_goes_through_the_choice() {
    let (_, model) = models().swap_remove(2);
    let given = tokens(&[&[2, 4], &[2, 5], &[2, 1]]);
    let target = tokens(&[&[2, 4, 5], &[2, 5, 3], &[2, 1, 1]]);
    let source = tokens(&SOURCES);
    let all = |given: &Tensor| {
        let loss = model.loss_given((&source, &LENGTHS), given, &target, 0.0, true);
        loss.unwrap().to_scalar::<f64>().unwrap()
    };
    let right = model.loss((&source, &LENGTHS), &target, 0.0, true).unwrap();
    assert_eq!(all(&given), right.to_scalar::<f64>().unwrap());
    assert_ne!(all(&tokens(&[&[2, 1], &[2, 5], &[2, 1]])), all(&given));
}
