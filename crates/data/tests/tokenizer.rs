//! Tokenizers: text comes back, training is the same every time, damage is refused.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "helpers of tests are tests too"
)]

use std::path::PathBuf;
use std::process::Command;

use mapsto_data::{Error, Part, Tokenizer, TokenizerConfig, TokenizerKind, grammar, sentiment};

const KINDS: [TokenizerKind; 4] = [
    TokenizerKind::Bpe,
    TokenizerKind::WordPiece,
    TokenizerKind::Unigram,
    TokenizerKind::Word,
];

fn config(kind: TokenizerKind, vocab_size: usize) -> TokenizerConfig {
    TokenizerConfig {
        kind,
        vocab_size,
        ..TokenizerConfig::default()
    }
}

/// Text of many words of equal count and of rare characters of many scripts.
fn lines() -> Vec<String> {
    let mut lines: Vec<String> = grammar::text(Part::Train, 300, 1)
        .unwrap()
        .lines()
        .map(str::to_owned)
        .collect();
    lines.extend(sentiment::texts(Part::Train, 300, 1).unwrap().map(|s| s.0));
    lines.extend(
        [
            "naïve café, déjà vu – l'été à Kraków!",
            "我喜欢这部电影。今天天气很好。",
            "東京は今日も雨です",
            "Очень хороший фильм 👍🏽 🎬🍿",
            "ß ø å ñ ž ț ő ğ ı α β γ ж щ ъ א ב ג",
        ]
        .map(str::to_owned),
    );
    lines
}

fn trained(kind: TokenizerKind) -> Tokenizer {
    Tokenizer::train(lines(), &config(kind, 700)).unwrap()
}

#[test]
fn special_tokens_come_first_and_numbers_have_no_gap() {
    for kind in KINDS {
        let tokenizer = trained(kind);
        let specials = ["<pad>", "<unk>", "<bos>", "<eos>"];
        for (number, special) in (0..).zip(specials) {
            assert_eq!(tokenizer.id(special), Some(number));
            assert_eq!(tokenizer.token(number).unwrap(), special);
        }
        let len = u32::try_from(tokenizer.len()).unwrap();
        let least = if kind == TokenizerKind::Word {
            150
        } else {
            300
        };
        assert!((least..=700).contains(&len), "{kind:?}: {len}");
        for id in 0..len {
            assert_eq!(tokenizer.id(&tokenizer.token(id).unwrap()), Some(id));
        }
        assert_eq!(tokenizer.token(len), None);
        let error = tokenizer.decode(&[3, 5, len]).unwrap_err();
        assert!(matches!(error, Error::UnknownId { place: 2, id, .. } if id == len));
        // What the text spells out is the token, and no text comes of it.
        let ids = tokenizer.encode("<eos>").unwrap();
        assert_eq!(ids, [Tokenizer::EOS]);
        assert_eq!(tokenizer.decode(&ids).unwrap(), "");
    }
}

#[test]
fn text_comes_back() {
    for kind in [TokenizerKind::Bpe, TokenizerKind::Unigram] {
        let tokenizer = trained(kind);
        for line in lines() {
            let ids = tokenizer.encode(&line).unwrap();
            assert!(!ids.contains(&Tokenizer::UNK));
            assert_eq!(tokenizer.decode(&ids).unwrap(), line, "{kind:?}");
        }
    }
    let bpe = trained(TokenizerKind::Bpe);
    // Bytes spell what was never seen; two spaces stay two.
    for text in ["", "ქართული 🦀  x", " space before", "line\nline\t"] {
        let ids = bpe.encode(text).unwrap();
        assert!(!ids.contains(&Tokenizer::UNK));
        assert_eq!(bpe.decode(&ids).unwrap(), text);
    }
    let pieces = trained(TokenizerKind::WordPiece);
    let text = "the film is wonderful , 今天 café 👍🏽";
    let ids = pieces.encode(text).unwrap();
    assert_eq!(pieces.decode(&ids).unwrap(), text);
    let signs = pieces.encode("wonderful,café").unwrap();
    assert_eq!(pieces.decode(&signs).unwrap(), "wonderful , café");
    for kind in [TokenizerKind::WordPiece, TokenizerKind::Unigram] {
        let tokenizer = trained(kind);
        assert!(tokenizer.encode("").unwrap().is_empty(), "{kind:?}");
        assert_eq!(tokenizer.decode(&[]).unwrap(), "");
        let unknown = tokenizer.encode("the 🦀").unwrap();
        assert_eq!(unknown.last(), Some(&Tokenizer::UNK), "{kind:?}");
    }
}

#[test]
fn frequent_words_become_one_token_and_rare_pairs_none() {
    let lines = ["banana banana banana", "kiwi"];
    let train = |min_frequency| {
        let config = TokenizerConfig {
            min_frequency,
            ..config(TokenizerKind::Bpe, 400)
        };
        Tokenizer::train(lines, &config).unwrap()
    };
    let count = |tokenizer: &Tokenizer, word| tokenizer.encode(word).unwrap().len();
    let tokenizer = train(2);
    assert_eq!(
        (count(&tokenizer, "banana"), count(&tokenizer, "kiwi")),
        (1, 4)
    );
    assert_eq!(count(&train(1), "kiwi"), 1);
    // The first of three has no space before it, so no piece with a space is there four times.
    assert_eq!(count(&train(4), " banana"), 1 + count(&train(4), "banana"));
    let words = trained(TokenizerKind::WordPiece);
    assert!(words.id("wonderful").is_some() && words.id("##a").is_some());
    let unigram = trained(TokenizerKind::Unigram);
    assert_eq!(
        unigram.encode("film").unwrap(),
        [unigram.id("▁film").unwrap()]
    );
}

#[test]
fn whole_words_are_the_commonest_and_unknown_ones_keep_their_text() {
    let config = TokenizerConfig {
        min_frequency: 2,
        ..config(TokenizerKind::Word, 9)
    };
    let lines = ["a dog, a cat, a dog", "(a bird) a bird", "rare"];
    let words = Tokenizer::train(lines, &config).unwrap();
    // The space in front of a sign; four a, two each of the others.
    let expected = ["▁", "▁a", ",", "▁bird", "▁dog"];
    for (id, word) in (4..).zip(expected) {
        assert_eq!(words.token(id).as_deref(), Some(word));
    }
    let text = "a Cat, a dog!Wow (a bird)";
    let ids = words.encode(text).unwrap();
    assert_eq!(ids, [5, 1, 6, 5, 8, 1, 1, 4, 1, 1, 7, 1]);
    let pieces = words.pieces(text).unwrap();
    let tokens: Vec<&str> = pieces.iter().map(|piece| &*piece.token).collect();
    let expected = [
        "▁a", "▁Cat", ",", "▁a", "▁dog", "!", "Wow", "▁", "(", "a", "▁bird", ")",
    ];
    assert_eq!(tokens, expected);
    assert!(pieces.iter().map(|piece| piece.id).eq(ids));
    let tokens = pieces.into_iter().map(|piece| piece.token).collect();
    assert_eq!(words.join(tokens).unwrap(), text);
}

#[test]
fn pieces_are_what_encoding_gives() {
    for kind in KINDS {
        let tokenizer = trained(kind);
        let text = "the naïve film, ﬁlm";
        let pieces = tokenizer.pieces(text).unwrap();
        let ids: Vec<u32> = pieces.iter().map(|piece| piece.id).collect();
        assert_eq!(ids, tokenizer.encode(text).unwrap());
        let join = |tokens| tokenizer.join(tokens).unwrap();
        let tokens = pieces.into_iter().map(|piece| piece.token);
        if kind != TokenizerKind::Word {
            assert_eq!(join(tokens.collect()), tokenizer.decode(&ids).unwrap());
        }
    }
}

#[test]
fn text_is_normalised() {
    for kind in KINDS {
        let plain = trained(kind);
        // NFKC: the ligature, the full-width letter, the mark apart from its letter.
        assert_eq!(
            plain.encode("ﬁlm Ｋ e\u{301}").unwrap(),
            plain.encode("film K é").unwrap()
        );
        assert_ne!(plain.encode("FILM").unwrap(), plain.encode("film").unwrap());
        let config = TokenizerConfig {
            lowercase: true,
            ..config(kind, 700)
        };
        let small = Tokenizer::train(lines(), &config).unwrap();
        assert_eq!(
            small.encode("FILM É").unwrap(),
            small.encode("film é").unwrap()
        );
        assert_eq!(
            small.decode(&small.encode("A FILM").unwrap()).unwrap(),
            "a film"
        );
    }
}

#[test]
fn batches_are_as_single_texts() {
    let tokenizer = trained(TokenizerKind::Bpe);
    let lines = lines();
    let single: Vec<Vec<u32>> = lines
        .iter()
        .map(|line| tokenizer.encode(line).unwrap())
        .collect();
    assert_eq!(tokenizer.encode_batch(&lines).unwrap(), single);
}

#[test]
fn training_is_the_same_in_every_process() {
    const FOLDER: &str = "MAPSTO_TEST_TOKENIZER_FOLDER";
    let json = |kind| trained(kind).to_json().unwrap();
    if let Some(folder) = std::env::var_os(FOLDER) {
        for kind in KINDS {
            std::fs::write(PathBuf::from(&folder).join(format!("{kind:?}")), json(kind)).unwrap();
        }
        return;
    }
    let here = KINDS.map(json);
    for threads in ["1", "2", "3"] {
        let folder = tempfile::tempdir().unwrap();
        let status = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "training_is_the_same_in_every_process"])
            .env(FOLDER, folder.path())
            .env("RAYON_NUM_THREADS", threads)
            .output()
            .unwrap();
        assert!(status.status.success());
        for (kind, here) in KINDS.into_iter().zip(&here) {
            let there = std::fs::read_to_string(folder.path().join(format!("{kind:?}"))).unwrap();
            assert!(there == *here, "{kind:?} with {threads} threads");
        }
    }
    let reversed: Vec<String> = lines().into_iter().rev().collect();
    for (kind, here) in KINDS.into_iter().zip(&here) {
        let other = Tokenizer::train(&reversed, &config(kind, 700)).unwrap();
        assert!(other.to_json().unwrap() == *here, "{kind:?}");
    }
}

#[test]
fn files_come_back_and_damage_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tokenizer.json");
    for kind in KINDS {
        let tokenizer = trained(kind);
        tokenizer.save(&path).unwrap();
        let loaded = Tokenizer::load(&path).unwrap();
        let json = tokenizer.to_json().unwrap();
        assert_eq!(loaded.to_json().unwrap(), json);
        let text = "although the café is dull , 今天天气 <unk>";
        assert_eq!(
            loaded.encode(text).unwrap(),
            tokenizer.encode(text).unwrap()
        );
        std::fs::write(&path, &json[..json.len() / 2]).unwrap();
        let error = Tokenizer::load(&path).unwrap_err();
        assert!(matches!(error, Error::Format { .. }));
        let error = error.to_string();
        assert!(
            error.contains("tokenizer.json") && error.contains("damaged"),
            "{error}"
        );
        let moved = json.replace("<bos>", "<cls>");
        let error = Tokenizer::from_json(&moved).unwrap_err().to_string();
        assert!(error.contains("`<bos>` is missing"), "{error}");
    }
    let gone = Tokenizer::load(folder.path().join("no.json")).unwrap_err();
    assert!(matches!(gone, Error::NotFound { .. }));
    std::fs::write(&path, b"\xff\xfe").unwrap();
    assert!(matches!(Tokenizer::load(&path), Err(Error::Format { .. })));
    assert!(matches!(
        Tokenizer::from_json("{}"),
        Err(Error::Tokenizer(_))
    ));
}

#[test]
fn what_cannot_be_trained_is_refused() {
    for kind in KINDS {
        for empty in [&[][..], &["", "  ", "<pad> <eos>"]] {
            let error = Tokenizer::train(empty, &config(kind, 700)).unwrap_err();
            assert!(matches!(error, Error::Tokenizer(_)));
            assert!(error.to_string().contains("there is no text"), "{error}");
        }
        let too_small = match kind {
            TokenizerKind::Word => [0, 4, 5],
            _ => [0, 5, 8],
        };
        for size in too_small {
            let error = Tokenizer::train(["abcdef abc"], &config(kind, size)).unwrap_err();
            let error = error.to_string();
            assert!(error.contains(&format!("vocab_size is {size}")), "{error}");
        }
    }
    // The least that is accepted: 256 bytes; a to c at the start and b to c inside; ▁ and a to c
    // and one more; ▁ and one word.
    for (kind, least) in KINDS.into_iter().zip([260, 9, 9, 6]) {
        let train = |size| Tokenizer::train(["abc abc"], &config(kind, size));
        assert!(train(least).unwrap().len() <= least, "{kind:?}");
        assert!(train(least - 1).is_err(), "{kind:?}");
    }
}
