//! The translator on the command line: files, lines, searches, and what is refused.
#![allow(clippy::unwrap_used, reason = "helpers of tests are tests too")]

mod common;

use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::process::Stdio;
use std::sync::OnceLock;

use common::{Outcome, command, mapsto};
use serde_json::Value;
use tempfile::TempDir;

const SMALL: [&str; 7] = [
    "model.embedding=24",
    "model.encoder_hidden=24",
    "model.hidden=32",
    "model.attention_size=16",
    "optim.lr=0.01",
    "data.held_out=0.1",
    "search.max_len=20",
];

fn train(folder: &Path, name: &str, more: &[&str]) -> Outcome {
    let mut arguments = vec!["train", "translate", "--json", "--name", name];
    arguments.extend(SMALL.iter().flat_map(|setting| ["-o", setting]));
    arguments.extend(more);
    mapsto(folder, &arguments)
}

/// Colours and things; in the other language the colour comes last.
fn pairs() -> Vec<(String, String)> {
    let colours = [
        ("red", "rouge"),
        ("green", "verte"),
        ("grey", "grise"),
        ("rare", "rare"),
    ];
    let things = [
        ("car", "voiture"),
        ("door", "porte"),
        ("table", "table"),
        ("key", "clé"),
    ];
    let articles = [("the", "la"), ("a", "une"), ("this", "cette"), ("my", "ma")];
    let mut pairs = vec![];
    for (i, (article, l_article)) in articles.iter().enumerate() {
        for (j, (colour, l_colour)) in colours.iter().enumerate() {
            for (k, (thing, l_thing)) in things.iter().enumerate() {
                let pair = (
                    format!("now I can see {article} {colour} {thing} ."),
                    format!("je vois maintenant {l_article} {l_thing} {l_colour} ."),
                );
                // Not in the order of the words, since the last are held out.
                pairs.push(((7 * i + 11 * j + 29 * k) % 64, pair));
            }
        }
    }
    pairs.sort();
    pairs.into_iter().map(|(_, pair)| pair).collect()
}

fn write_pairs(folder: &Path) {
    let side = |of: fn(&(String, String)) -> &String| {
        let lines: Vec<&str> = pairs()
            .leak()
            .iter()
            .map(|pair| of(pair).as_str())
            .collect();
        lines.join("\n")
    };
    fs::write(folder.join("a.en"), side(|pair| &pair.0)).unwrap();
    fs::write(folder.join("a.fr"), side(|pair| &pair.1)).unwrap();
}

/// A folder with a run `runs/a` that knows the pairs, and its report.
fn trained() -> &'static (TempDir, Value) {
    static TRAINED: OnceLock<(TempDir, Value)> = OnceLock::new();
    TRAINED.get_or_init(|| {
        let folder = tempfile::tempdir().unwrap();
        write_pairs(folder.path());
        let files = [
            "--src",
            "a.en",
            "--tgt",
            "a.fr",
            "--epochs",
            "60",
            "--batch-size",
            "8",
        ];
        let report = train(folder.path(), "a", &files).json();
        (folder, report)
    })
}

fn translate(input: &[u8], more: &[&str]) -> Outcome {
    let arguments = [&["translate", "runs/a"], more].concat();
    let mut child = command(trained().0.path(), &arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(input).unwrap();
    let output = child.wait_with_output().unwrap();
    Outcome {
        code: output.status.code(),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}

#[test]
fn two_files_are_learned_and_measured() {
    let (folder, report) = trained();
    let test = &report["metrics"]["test"];
    assert!(test["exact_match"].as_f64().unwrap() >= 0.5, "{test}");
    assert!(test["bleu"].as_f64().unwrap() >= 50.0, "{test}");
    let signature = report["details"]["bleu"]["signature"].as_str().unwrap();
    assert!(signature.contains("tok:13a"), "{signature}");
    let shown = &report["details"]["translations"][0];
    assert!(shown["source"].is_string() && shown["translation"].is_string());
    let text = |name: &str| fs::read_to_string(folder.path().join("runs/a").join(name)).unwrap();
    let written = text("translations.txt");
    assert_eq!(written.lines().count(), 6);
    assert_eq!(written.lines().next().unwrap(), shown["translation"]);
    // Three translations after each of sixty epochs.
    assert_eq!(text("log.txt").matches("    -> ").count(), 180);
    let evaluated = mapsto(folder.path(), &["eval", "runs/a", "--json"]).json();
    assert_eq!(evaluated["metrics"]["test"], *test);
    assert_eq!(evaluated["samples"], 6);
    let checkpoint = ["eval", "runs/a/checkpoints/best.safetensors", "--json"];
    let of_file = mapsto(folder.path(), &checkpoint).json();
    assert_eq!(
        of_file["metrics"], evaluated["metrics"],
        "by the settings of its run"
    );
    // Other pairs are measured whole: two files, with one pair twice, or a table.
    let pairs = pairs();
    let side = |of: fn(&(String, String)) -> &String| {
        let lines = pairs[..8]
            .iter()
            .chain([&pairs[0]])
            .map(|pair| of(pair).as_str());
        lines.collect::<Vec<_>>().join("\n")
    };
    let at = folder.path();
    fs::write(at.join("b.en"), side(|pair| &pair.0)).unwrap();
    fs::write(at.join("b.fr"), side(|pair| &pair.1)).unwrap();
    let table: String = pairs[..9]
        .iter()
        .map(|(en, fr)| format!("{en}\t{fr}\n"))
        .collect();
    fs::write(at.join("b.tsv"), table).unwrap();
    for more in [
        &["--src", "b.en", "--tgt", "b.fr"][..],
        &["--data", "b.tsv"],
    ] {
        let other = [&["eval", "runs/a", "--json"], more].concat();
        let other = mapsto(at, &other).json();
        assert_eq!(other["samples"], 9, "{more:?}");
        let exact = other["metrics"]["test"]["exact_match"].as_f64().unwrap();
        assert!(exact >= 0.8, "{more:?} {exact}");
    }
    let layers = mapsto(at, &["summary", "runs/a", "--json"]).json();
    assert!(layers["trainable"].as_u64().unwrap() > 1000);
    let learned = [
        "eval",
        "runs/a",
        "--split",
        "train",
        "--min",
        "exact_match=0.9",
    ];
    let learned = mapsto(folder.path(), &learned);
    assert_eq!(learned.code, Some(0), "{}", learned.stdout);
}

#[test]
fn lines_keep_their_order_and_their_number() {
    let pairs = pairs();
    // The last line has no end.
    let lines = [
        &*pairs[0].0,
        "",
        "  ",
        &*pairs[9].0,
        "🚗 שלום",
        &*pairs[20].0,
    ]
    .join("\n");
    let outcome = translate(lines.as_bytes(), &[]);
    assert_eq!(outcome.code, Some(0), "{}", outcome.stderr);
    let lines: Vec<&str> = outcome.stdout.lines().collect();
    assert_eq!(lines.len(), 6, "{lines:?}");
    assert_eq!([lines[0], lines[1], lines[2]], [&*pairs[0].1, "", ""]);
    assert_eq!([lines[3], lines[5]], [&*pairs[9].1, &*pairs[20].1]);
    let file = trained().0.path().join("lines.txt");
    let marked = format!("\u{feff}{}\r\n{}\n", pairs[3].0, pairs[4].0);
    fs::write(&file, marked).unwrap();
    let outcome = translate(b"", &["--file", "lines.txt"]);
    assert_eq!(outcome.stdout, format!("{}\n{}\n", pairs[3].1, pairs[4].1));
    let outcome = translate(b"", &[]);
    assert_eq!((outcome.code, &*outcome.stdout), (Some(0), ""));
}

#[test]
fn a_very_long_line_is_answered() {
    let long = "the red car ".repeat(1700);
    let outcome = translate(long.as_bytes(), &[]);
    assert_eq!(outcome.code, Some(0), "{}", outcome.stderr);
    assert_eq!(outcome.stdout.lines().count(), 1);
}

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
fn a_network_without_attention_has_none_to_draw() {
    let folder = tempfile::tempdir().unwrap();
    let few = ["train_samples=100", "valid_samples=20", "test_samples=20"];
    let few: Vec<String> = few.iter().map(|text| format!("data.{text}")).collect();
    let mut more = vec!["--epochs", "1", "-o", "model.attention=none"];
    more.extend(few.iter().flat_map(|setting| ["-o", setting]));
    let report = train(folder.path(), "blind", &more);
    assert_eq!(report.code, Some(0), "{}", report.stderr);
    for option in [
        &["--attention", "map.png"][..],
        &["--coverage-penalty", "0.2"],
    ] {
        let all = [&["translate", "runs/blind", "one"], option].concat();
        let outcome = mapsto(folder.path(), &all);
        assert_ne!(outcome.code, Some(0));
        assert!(outcome.stderr.contains("attention"), "{}", outcome.stderr);
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

#[test]
fn the_embedded_numbers_need_no_file() {
    let folder = tempfile::tempdir().unwrap();
    let few = ["train_samples=200", "valid_samples=20", "test_samples=30"];
    let few: Vec<String> = few.iter().map(|text| format!("data.{text}")).collect();
    for language in ["french", "german", "chinese"] {
        let mut more = vec!["--epochs", "1", "--target-language", language];
        more.extend(few.iter().flat_map(|setting| ["-o", setting]));
        let report = train(folder.path(), language, &more).json();
        let exact = report["metrics"]["test"]["exact_match"].as_f64().unwrap();
        assert!((0.0..=1.0).contains(&exact));
        assert_eq!(report["steps"], 4);
        // Chinese has no spaces that BLEU's usual tokens could be cut at.
        let tokens = if language == "chinese" {
            "tok:char"
        } else {
            "tok:13a"
        };
        let signature = report["details"]["bleu"]["signature"].as_str().unwrap();
        assert!(signature.contains(tokens), "{signature}");
    }
}

#[test]
fn what_cannot_be_used_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    write_pairs(at);
    fs::write(at.join("short.fr"), "la voiture\nla porte\n").unwrap();
    fs::write(at.join("gap.fr"), "la porte\n\n".repeat(32)).unwrap();
    fs::write(at.join("latin.fr"), [&b"\xe9t\xe9\n"[..]; 64].concat()).unwrap();
    for (more, code, what) in [
        (&["--src", "a.en", "--tgt", "short.fr"][..], 3, "64"),
        (&["--src", "a.en", "--tgt", "gap.fr"], 3, "line 2"),
        (&["--src", "a.en", "--tgt", "latin.fr"], 3, "UTF-8"),
        (&["--src", "a.en", "--tgt", "gone.fr"], 3, "gone.fr"),
        (&["--src", "a.en"], 2, "--tgt"),
        (&["--target-language", "klingon"], 3, "french"),
        (
            &["--src", "a.en", "--tgt", "a.fr", "-o", "data.held_out=0"],
            2,
            "data.held_out",
        ),
        (&["-o", "search.beam=0"], 2, "search.beam"),
        (
            &[
                "-o",
                "model.attention=none",
                "-o",
                "search.coverage_penalty=0.2",
            ],
            2,
            "search.coverage_penalty",
        ),
    ] {
        let outcome = train(at, "b", more);
        assert_eq!(outcome.code, Some(code), "{more:?}: {}", outcome.stderr);
        assert!(outcome.stderr.contains(what), "{what}: {}", outcome.stderr);
        assert!(!at.join("runs/b").exists(), "{more:?}");
    }
}

#[test]
fn other_models_and_damaged_lines_are_refused() {
    let folder = trained().0.path();
    let outcome = mapsto(folder, &["predict", "runs/a", "x.png"]);
    assert_eq!(outcome.code, Some(5), "{}", outcome.stderr);
    assert!(outcome.stderr.contains("translate"), "{}", outcome.stderr);
    let good = &pairs()[0];
    let damaged = [good.0.as_bytes(), b"\n\xff\xfe\n"].concat();
    let outcome = translate(&damaged, &[]);
    assert_eq!(outcome.code, Some(3), "{}", outcome.stderr);
    assert!(outcome.stderr.contains("line 2"), "{}", outcome.stderr);
    assert_eq!(
        outcome.stdout,
        format!("{}\n", good.1),
        "what came before is answered"
    );
    let outcome = mapsto(folder, &["translate", "runs/a", "--file", "runs"]);
    assert_eq!(outcome.code, Some(3), "{}", outcome.stderr);
    assert!(!outcome.stderr.contains("UTF-8"), "{}", outcome.stderr);
    let outcome = mapsto(folder, &["translate", "runs/a", "--file", "gone.txt"]);
    assert_eq!(outcome.code, Some(3), "{}", outcome.stderr);
    assert!(outcome.stderr.contains("gone.txt"), "{}", outcome.stderr);
    let beam = mapsto(folder, &["translate", "runs/a", "the car", "--beam", "0"]);
    assert_eq!(
        beam.code,
        Some(0),
        "a beam of 0 keeps the asked-for best: {}",
        beam.stderr
    );
}
