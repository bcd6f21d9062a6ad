//! Answers: probabilities, the words that decide, words that are not known, texts of any length.

use mapsto_data::words;
use mapsto_models::Error;
use mapsto_models::lstm::sentiment::{Answer, SentimentPipeline};

use super::{settings, train, trained};

const TEXT: &str = "the plot is not very clever , but everyone says that the music is superb";

/// The word with the largest share.
fn decides(answer: &Answer) -> &(String, f32) {
    let most = |a: &&(String, f32), b: &&(String, f32)| a.1.abs().total_cmp(&b.1.abs());
    answer.words.iter().max_by(most).unwrap()
}

#[test]
fn answers_are_probabilities_in_falling_order() {
    let answer = trained().pipeline().predict(TEXT).unwrap();
    let sum: f32 = answer.classes.iter().map(|(_, p)| p).sum();
    assert!((sum - 1.0).abs() < 1e-6, "{sum}");
    assert!(answer.classes.is_sorted_by(|a, b| a.1 >= b.1), "{answer:?}");
    let mut names: Vec<&String> = answer.classes.iter().map(|(name, _)| name).collect();
    names.sort();
    assert_eq!(names, ["negative", "positive"]);
    assert!(answer.unknown.is_empty());
}

#[test]
fn every_word_has_its_place() {
    let text = "The PLOT isn't dull; it's (nearly) wonderful, wonderful!";
    let answer = trained().pipeline().predict(text).unwrap();
    let named: Vec<&str> = answer.words.iter().map(|(word, _)| &**word).collect();
    let expected = [
        "the",
        "plot",
        "is",
        "n't",
        "dull",
        ";",
        "it",
        "'s",
        "(",
        "nearly",
        ")",
        "wonderful",
        ",",
        "wonderful",
        "!",
    ];
    assert_eq!(named, expected);
    let unknown = ["n't", ";", "'s", "(", "nearly", ")", "!"];
    assert_eq!(answer.unknown, unknown);
    let shares = answer.words.iter();
    for (word, share) in shares.filter(|(word, _)| unknown.contains(&&**word)) {
        assert!(share.abs() < 1e-6, "{word}: {share}");
    }
}

/// The probability of a class.
fn probability(pipeline: &SentimentPipeline, text: &str, class: &str) -> f32 {
    let answer = pipeline.predict(text).unwrap();
    answer.classes.iter().find(|c| c.0 == class).unwrap().1
}

#[test]
fn a_share_is_what_the_answer_loses_without_the_word() {
    let pipeline = trained().pipeline();
    let answer = pipeline.predict(TEXT).unwrap();
    let (class, whole) = &answer.classes[0];
    for (place, (word, share)) in answer.words.iter().enumerate() {
        let mut words = words(TEXT);
        words[place] = "xyzzy".to_owned();
        let without = probability(&pipeline, &words.join(" "), class);
        let lost = whole - without;
        assert!((share - lost).abs() < 1e-5, "{word}: {share} {lost}");
    }
}

#[test]
fn the_words_that_decide_have_the_largest_shares() {
    let pipeline = trained().pipeline();
    let cases: [(&str, &str, &[&str]); 8] = [
        ("the film is wonderful", "positive", &["wonderful"]),
        ("the cast is quite charming", "positive", &["charming"]),
        ("the story is very dull", "negative", &["dull"]),
        ("the ending is really awful", "negative", &["awful"]),
        (
            "the plot is not wonderful",
            "negative",
            &["not", "wonderful"],
        ),
        (
            "it is hardly a good script",
            "negative",
            &["hardly", "good"],
        ),
        ("the acting is never dull", "positive", &["never", "dull"]),
        ("the pacing is not boring", "positive", &["not", "boring"]),
    ];
    let mut decided = 0;
    for (text, class, deciding) in cases {
        let answer = pipeline.predict(text).unwrap();
        let (best, p) = &answer.classes[0];
        assert!(best == class && *p > 0.8, "{text}: {answer:?}");
        let (word, share) = decides(&answer);
        // A text whose class the model guesses from what is left owes little to any word.
        if share.abs() > 0.1 {
            decided += 1;
            assert!(deciding.contains(&&**word), "{text}: {answer:?}");
        }
    }
    assert!(decided >= 5, "{decided}");
}

#[test]
fn texts_without_a_known_word_are_errors() {
    let pipeline = trained().pipeline();
    for text in ["", "  \t\n"] {
        let Err(Error::Config(message)) = pipeline.predict(text) else {
            panic!("{text:?} was answered");
        };
        assert!(message.contains("no word"), "{message}");
    }
    let Err(Error::Config(message)) = pipeline.predict("Der Himmel: 青い") else {
        panic!("unknown words were answered");
    };
    let known = message.contains("none of the words der, himmel, :, 青い");
    assert!(known, "{message}");
}

#[test]
fn a_text_longer_than_any_is_cut() {
    let pipeline = trained().pipeline();
    let long = "the film is not dull and ".repeat(5000 / 6);
    let mut answer = pipeline.predict(&long).unwrap();
    assert_eq!((answer.words.len(), answer.unread), (400, 4998 - 400));
    answer.unread = 0;
    let sum: f32 = answer.classes.iter().map(|(_, p)| p).sum();
    assert!((sum - 1.0).abs() < 1e-6, "{sum}");
    let cut = words(&long)[..400].join(" ");
    assert_eq!(pipeline.predict(&cut).unwrap(), answer);
}

#[test]
fn the_convolutional_network_answers_the_shortest_texts() {
    let small = settings(
        r#"
        model = { preset = "cnn", embedding = 8, hidden = 4 }
        data = { train_samples = 200, test_samples = 20 }
        train = { epochs = 1 }
        "#,
    );
    let pipeline = train(small).unwrap().pipeline();
    let answer = pipeline.predict("dull").unwrap();
    assert_eq!((answer.words.len(), answer.classes.len()), (1, 2));
}
