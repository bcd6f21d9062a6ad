//! Lines of a file or of standard input, and what is wrong with some.

use std::fs;

use crate::common::mapsto;
use crate::{pairs, trained, translate};

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
