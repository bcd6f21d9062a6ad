//! Learning pairs of files, of tables and of numbers, and measuring what was learned.

use std::fs;

use crate::common::mapsto;
use crate::{pairs, train, trained, write_pairs};

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
fn the_embedded_numbers_need_no_file() {
    let folder = tempfile::tempdir().unwrap();
    let few = ["train_samples=200", "valid_samples=20", "test_samples=30"];
    let few: Vec<String> = few.iter().map(|text| format!("data.{text}")).collect();
    for language in ["french", "german", "chinese"] {
        let mut more = vec!["--epochs", "1", "--target-language", language];
        more.extend(few.iter().flat_map(|setting| ["-o", setting]));
        let report = train(folder.path(), language, &more).json();
        let test = &report["metrics"]["test"];
        assert!(test["exact_match"].is_f64(), "{test}");
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
