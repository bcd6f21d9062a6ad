//! What is told of a translation: scores, alignments, pictures, draws.

use crate::common::mapsto;
use crate::{pairs, trained, translate};

#[test]
fn several_translations_come_with_scores_and_alignments() {
    let pair = &pairs()[5];
    let outcome = translate(b"", &[&pair.0, "--n-best", "3"]);
    let scored: Vec<(f64, &str)> = outcome
        .stdout
        .lines()
        .map(|line| {
            let (score, text) = line.split_once('\t').unwrap();
            (score.parse().unwrap(), text)
        })
        .collect();
    assert_eq!(scored.len(), 3);
    assert_eq!(scored[0].1, pair.1);
    assert!(
        scored.windows(2).all(|two| two[0].0 >= two[1].0),
        "{scored:?}"
    );
    let best = mapsto(
        trained().0.path(),
        &["translate", "runs/a", &pair.0, "--json"],
    )
    .json();
    let best = &best["translations"][0];
    assert_eq!(best["text"], pair.1);
    let rows = best["alignment"].as_array().unwrap();
    assert_eq!(rows.len(), best["target_pieces"].as_array().unwrap().len());
    for row in rows {
        let row: Vec<f64> = serde_json::from_value(row.clone()).unwrap();
        assert_eq!(row.len(), best["source_pieces"].as_array().unwrap().len());
        assert!((row.iter().sum::<f64>() - 1.0).abs() < 1e-3);
    }
}

#[test]
fn attention_is_drawn() {
    let folder = trained().0.path();
    let pairs = pairs();
    let lines = format!("{}\n\n{}", pairs[2].0, pairs[5].0);
    let outcome = translate(lines.as_bytes(), &["--attention", "map.png"]);
    assert_eq!(outcome.code, Some(0), "{}", outcome.stderr);
    let texts: Vec<&str> = outcome.stdout.lines().collect();
    assert_eq!(texts, [&*pairs[2].1, "", &*pairs[5].1]);
    assert!(!folder.join("map.2.png").exists(), "nothing to draw");
    for (name, pair) in [("map.png", &pairs[2]), ("map.3.png", &pairs[5])] {
        let map = mapsto_data::Picture::load(folder.join(name)).unwrap();
        let best = ["translate", "runs/a", &pair.0, "--json"];
        let best = mapsto(folder, &best).json()["translations"][0].clone();
        let strings =
            |name: &str| -> Vec<String> { serde_json::from_value(best[name].clone()).unwrap() };
        let weights: Vec<Vec<f32>> = serde_json::from_value(best["alignment"].clone()).unwrap();
        let expected = mapsto_data::alignment_map(
            &strings("source_pieces"),
            &strings("target_pieces"),
            &weights,
        );
        let expected = expected.unwrap();
        assert_eq!(
            (map.width(), map.height()),
            (expected.width(), expected.height())
        );
        let pixels = map.pixels().iter().zip(expected.pixels());
        let off = pixels.map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        assert!(off < 0.01, "{off}");
    }
    // One that cannot be drawn does not keep the others from an answer.
    let long = "the red car ".repeat(200);
    let lines = format!("{}\n{long}\n{}", pairs[2].0, pairs[5].0);
    let outcome = translate(lines.as_bytes(), &["--attention", "long.png"]);
    assert_eq!(outcome.code, Some(3), "{}", outcome.stderr);
    assert!(outcome.stderr.contains("text 2: "), "{}", outcome.stderr);
    let texts: Vec<&str> = outcome.stdout.lines().collect();
    assert_eq!((texts.len(), texts[2]), (3, &*pairs[5].1));
    assert!(folder.join("long.3.png").exists() && !folder.join("long.2.png").exists());
    for (name, what) in [("map.jpg", ".png"), ("gone/map.png", "gone/map.png")] {
        let outcome = translate(b"", &[&pairs[2].0, "--attention", name]);
        assert_ne!(outcome.code, Some(0));
        assert!(outcome.stderr.contains(what), "{}", outcome.stderr);
    }
}

#[test]
fn translations_are_drawn_by_the_seed() {
    let pair = &pairs()[5];
    let draw = |more: &[&str]| {
        let all = [
            &[&*pair.0, "--sample", "--n-best", "8", "--temperature", "3"],
            more,
        ]
        .concat();
        let outcome = translate(b"", &all);
        assert_eq!(outcome.code, Some(0), "{}", outcome.stderr);
        assert_eq!(outcome.stdout.lines().count(), 8);
        outcome.stdout
    };
    assert_eq!(draw(&[]), draw(&["--seed", "42"]));
    assert_ne!(draw(&[]), draw(&["--seed", "43"]));
    let bold = translate(b"", &[&pair.0, "--sample", "--temperature", "0"]);
    assert_eq!(bold.stdout, format!("{}\n", pair.1));
    for (more, what) in [
        (&["--temperature", "2"][..], "--sample"),
        (&["--sample", "--beam", "3"], "--beam"),
        (&["--sample", "--top-p", "2"], "top-p"),
    ] {
        let outcome = translate(b"", &[&[&*pair.0], more].concat());
        assert_ne!(outcome.code, Some(0));
        assert!(outcome.stderr.contains(what), "{}", outcome.stderr);
    }
}
