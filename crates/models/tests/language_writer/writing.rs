//! What a language model writes and answers.

use mapsto_models::Error;
use mapsto_tensor::Tensor;

use super::*;

#[test]
fn the_seed_decides_the_text() {
    let (_folder, writer) = writer();
    let write = |seed| text(&writer, "the", &Sampling::default(), seed);
    assert_eq!(write(1), write(1));
    assert_ne!(write(1), write(2));
    let words: Vec<String> = write(1).split_whitespace().map(str::to_owned).collect();
    assert!(words.len() > 20, "{words:?}");
    let known = |word: &String| WORDS[1..].contains(&word.as_str());
    assert!(words.iter().all(known), "{words:?}");
    assert!(
        write(1).starts_with([' ', '\n']),
        "a word goes on after a space"
    );
    assert!(!write(1).contains("<eos>") && write(1).contains('\n'));
    for line in write(1).lines() {
        assert_eq!(line.trim_end(), line);
        assert!(!line.contains("  "), "{line:?}");
    }
}

#[test]
fn without_temperature_the_most_probable_follows() {
    let (_folder, writer) = writer();
    let bold = Sampling {
        temperature: 0.0,
        ..Sampling::default()
    };
    let written = text(&writer, "the cat", &bold, 1);
    assert_eq!(text(&writer, "the cat", &bold, 2), written);
    // One token at a time, each after the whole text before: the states carry all of it.
    let mut prompt = "the cat".to_owned();
    for _ in 0..8 {
        let piece = match writer.next(&prompt, 1).unwrap().remove(0).0 {
            // A prompt's own last line end is no token.
            end if end == "<eos>" => break,
            word => format!(" {word}"),
        };
        prompt += &piece;
    }
    assert!(
        format!("the cat{written}").starts_with(&prompt),
        "{prompt:?} {written:?}"
    );
    assert!(prompt.len() > "the cat".len());
    // So does a draw from one token.
    let one = Sampling {
        top_k: 1,
        ..Sampling::default()
    };
    assert_eq!(text(&writer, "the cat", &one, 3), written);
}

#[test]
fn pieces_make_the_text_and_false_ends_it() {
    let (_folder, writer) = writer();
    let mut pieces = vec![];
    let mut keep = |piece: &str| {
        pieces.push(piece.to_owned());
        true
    };
    let sampling = Sampling::default();
    let whole = writer.generate("the", &sampling, 20, 5, &mut keep).unwrap();
    assert_eq!((pieces.len(), pieces.concat()), (20, whole));
    let mut left = 3;
    let stop = |_: &str| {
        left -= 1;
        left > 0
    };
    let cut = writer.generate("the", &sampling, 20, 5, stop).unwrap();
    assert_eq!(cut, pieces[..3].concat());
    assert_eq!(
        writer.generate("the", &sampling, 0, 5, |_| true).unwrap(),
        ""
    );
}

#[test]
fn answers_are_probabilities_in_falling_order() {
    let (_folder, writer) = writer();
    let answers = writer.next("the dog\nthe", 10).unwrap();
    assert_eq!(answers.len(), WORDS.len(), "no more than there are");
    assert!(answers.is_sorted_by(|a, b| a.1 >= b.1), "{answers:?}");
    let sum: f32 = answers.iter().map(|(_, p)| p).sum();
    assert!((sum - 1.0).abs() < 1e-5, "{sum}");
    assert_eq!(writer.next("the dog\nthe", 2).unwrap(), answers[..2]);
    assert_ne!(
        writer.next("the dog the", 10).unwrap(),
        answers,
        "a line end is read"
    );
}

#[test]
fn nothing_before_is_the_start_of_a_line() {
    let (_folder, writer) = writer();
    let start = writer.next("", 10).unwrap();
    assert_eq!(writer.next(" \t", 10).unwrap(), start);
    // As after a line end: the only token before is that one.
    let model = writer.model();
    let end = writer.description.vocab.id("<eos>").unwrap();
    let end = Tensor::new(&[[end]], &Device::Cpu).unwrap();
    let hidden = model.hidden(&end, None, false).unwrap().dropped;
    let best = model.log_probabilities(&hidden).unwrap().flatten_all();
    let best = best.unwrap().max(0).unwrap().to_scalar::<f32>().unwrap();
    assert!((start[0].1 - best.exp()).abs() < 1e-6);
    let written = text(
        &writer,
        "",
        &Sampling {
            top_k: 3,
            ..Sampling::default()
        },
        1,
    );
    assert!(!written.starts_with(' '), "{written:?}");
    assert!(!text(&writer, "the\n", &Sampling::default(), 1).starts_with(' '));
}

#[test]
fn unknown_words_are_named() {
    let (_folder, writer) = writer();
    let (ids, unknown) = writer.read("the dog sees\nthe cat").unwrap();
    assert_eq!((ids.len(), unknown.len()), (6, 0));
    for error in [
        writer.read("the zebra").unwrap_err(),
        writer.next("the zebra", 1).unwrap_err(),
        writer
            .generate("the zebra", &Sampling::default(), 3, 1, |_| true)
            .unwrap_err(),
    ] {
        assert!(matches!(&error, Error::Data(_)), "{error:?}");
        assert!(error.to_string().contains("`zebra`"), "{error}");
    }
    let folder = tempfile::tempdir().unwrap();
    let path = checkpoint(folder.path(), &WORDS, Unit::Word, Some("<unk>"));
    let writer = load(&path);
    let (ids, unknown) = writer.read("zebra the gnu").unwrap();
    let unk = writer.description.vocab.unk().unwrap();
    assert_eq!((ids[0], ids[2], ids.len()), (unk, unk, 3));
    assert_eq!(unknown, ["zebra", "gnu"]);
    assert_eq!(
        writer.next("the zebra", 3).unwrap(),
        writer.next("the gnu", 3).unwrap()
    );
}

#[test]
fn characters_are_written_as_they_are() {
    let folder = tempfile::tempdir().unwrap();
    let writer = load(&checkpoint(
        folder.path(),
        &CHARS,
        Unit::Char,
        Some("\u{fffd}"),
    ));
    let written = text(&writer, "é a\n", &Sampling::default(), 1);
    assert_eq!(written.chars().count(), 60);
    assert!(
        written.contains('é') && written.contains(' '),
        "{written:?}"
    );
    let (ids, unknown) = writer.read("aé\n?").unwrap();
    assert_eq!((ids.len(), unknown), (4, vec!["?".to_owned()]));
    assert_eq!(writer.next("", 2).unwrap(), writer.next("\n", 2).unwrap());
    // A text whose lines never end has nothing to begin with.
    let writer = load(&checkpoint(folder.path(), &CHARS[2..], Unit::Char, None));
    let error = writer.next("", 1).unwrap_err().to_string();
    assert!(error.contains("give a prompt"), "{error}");
}

#[test]
fn long_prompts_and_options_out_of_range() {
    let (_folder, writer) = writer();
    let long = "the dog sees the cat\n".repeat(500);
    assert_eq!(writer.next(&long, 3).unwrap().len(), 3);
    let sampling = Sampling {
        temperature: -1.0,
        ..Sampling::default()
    };
    let error = writer
        .generate("the", &sampling, 3, 1, |_| panic!("written"))
        .unwrap_err();
    assert!(
        matches!(&error, Error::Config(text) if text.contains("temperature")),
        "{error:?}"
    );
}
