//! Trains the kinds, the same way every time.

use std::collections::{BTreeMap, BTreeSet};

use tokenizers::decoders::wordpiece::WordPiece as WordPieceDecoder;
use tokenizers::models::bpe::{BPE, BpeTrainer};
use tokenizers::models::unigram::{Unigram, UnigramTrainer};
use tokenizers::models::wordlevel::WordLevel;
use tokenizers::models::wordpiece::WordPiece;
use tokenizers::normalizers::{Lowercase, NFKC, Sequence};
use tokenizers::pre_tokenizers::bert::BertPreTokenizer;
use tokenizers::pre_tokenizers::byte_level::ByteLevel;
use tokenizers::pre_tokenizers::metaspace::{Metaspace, PrependScheme};
use tokenizers::pre_tokenizers::punctuation::Punctuation;
use tokenizers::pre_tokenizers::sequence::Sequence as Cuts;
use tokenizers::{
    AddedToken, DecoderWrapper, ModelWrapper, NormalizedString, Normalizer, NormalizerWrapper,
    OffsetReferential, OffsetType, PreTokenizedString, PreTokenizer, PreTokenizerWrapper,
    SplitDelimiterBehavior, Tokenizer,
};

use super::{SPECIALS, TokenizerConfig, TokenizerKind, failed};
use crate::{Error, Result};

/// What stands before a piece that goes on with a word.
const PREFIX: &str = "##";

/// What stands for a space, at the start of a word, in Unigram and Word.
pub(super) const SPACE: char = '▁';

/// How often each word is there, in the order of the words.
type Counts = BTreeMap<String, u64>;

pub(super) fn train<T: AsRef<str>>(
    lines: impl IntoIterator<Item = T>,
    config: &TokenizerConfig,
) -> Result<Tokenizer> {
    let normalizer = normalizer(config.lowercase);
    let (cut, join) = cut_and_join(config.kind);
    let counts = count(lines, &normalizer, &cut)?;
    let model: ModelWrapper = match config.kind {
        TokenizerKind::Bpe => bpe(&counts, config)?.into(),
        TokenizerKind::WordPiece => word_piece(&counts, config)?.into(),
        TokenizerKind::Unigram => unigram(counts, config)?.into(),
        TokenizerKind::Word => words(counts, config)?.into(),
    };
    let mut tokenizer = Tokenizer::new(model);
    tokenizer
        .with_normalizer(Some(normalizer))
        .map_err(failed)?;
    tokenizer.with_pre_tokenizer(Some(cut));
    tokenizer.with_decoder(Some(join));
    tokenizer.add_special_tokens(specials()).map_err(failed)?;
    Ok(tokenizer)
}

fn specials() -> Vec<AddedToken> {
    SPECIALS.map(|token| AddedToken::from(token, true)).to_vec()
}

fn normalizer(lowercase: bool) -> NormalizerWrapper {
    let mut steps: Vec<NormalizerWrapper> = vec![NFKC.into()];
    if lowercase {
        steps.push(Lowercase.into());
    }
    Sequence::new(steps).into()
}

/// What cuts a text into words, and what makes text of tokens.
fn cut_and_join(kind: TokenizerKind) -> (PreTokenizerWrapper, DecoderWrapper) {
    match kind {
        TokenizerKind::Bpe => {
            let bytes = ByteLevel::new(false, true, true);
            (bytes.into(), bytes.into())
        }
        TokenizerKind::WordPiece => {
            let join = WordPieceDecoder::new(PREFIX.to_owned(), false);
            (BertPreTokenizer.into(), join.into())
        }
        TokenizerKind::Unigram => {
            let spaces = Metaspace::new(SPACE, PrependScheme::Always, true);
            (spaces.clone().into(), spaces.into())
        }
        TokenizerKind::Word => {
            let spaces = Metaspace::new(SPACE, PrependScheme::Always, true);
            let signs = Punctuation::new(SplitDelimiterBehavior::Isolated);
            let cut = Cuts::new(vec![spaces.clone().into(), signs.into()]);
            (cut.into(), spaces.into())
        }
    }
}

fn count<T: AsRef<str>>(
    lines: impl IntoIterator<Item = T>,
    normalizer: &NormalizerWrapper,
    cut: &PreTokenizerWrapper,
) -> Result<Counts> {
    let mut counts = Counts::new();
    for line in lines {
        // A special token is no word to learn.
        let text = |text: String, special| text.replace(special, " ");
        let line = SPECIALS.into_iter().fold(line.as_ref().to_owned(), text);
        let mut line = NormalizedString::from(line);
        normalizer.normalize(&mut line).map_err(failed)?;
        let mut line = PreTokenizedString::from(line);
        cut.pre_tokenize(&mut line).map_err(failed)?;
        for (word, ..) in line.get_splits(OffsetReferential::Original, OffsetType::Byte) {
            if word.chars().any(|c| c != SPACE && c != 'Ġ') {
                *counts.entry(word.to_owned()).or_default() += 1;
            }
        }
    }
    if counts.is_empty() {
        let hint = "give some thousand lines or more";
        return Err(Error::Tokenizer(format!("there is no text: {hint}")));
    }
    Ok(counts)
}

/// An error where the tokens that must be there leave no place for another.
fn check_size(config: &TokenizerConfig, needed: usize) -> Result<()> {
    let size = config.vocab_size;
    let can_be_equal = matches!(config.kind, TokenizerKind::Bpe | TokenizerKind::WordPiece);
    if size > needed || (size == needed && can_be_equal) {
        return Ok(());
    }
    Err(Error::Tokenizer(format!(
        "vocab_size is {size}, but the special tokens and the characters of the text take \
         {needed}: raise it above that"
    )))
}

fn bpe(counts: &Counts, config: &TokenizerConfig) -> Result<BPE> {
    let bytes = ByteLevel::alphabet();
    check_size(config, SPECIALS.len() + bytes.len())?;
    let trainer = BpeTrainer::builder()
        .vocab_size(config.vocab_size)
        .min_frequency(config.min_frequency)
        .special_tokens(specials())
        .initial_alphabet(bytes.into_iter().collect())
        .show_progress(false)
        .build();
    join_pairs(&trainer, counts)
}

fn word_piece(counts: &Counts, config: &TokenizerConfig) -> Result<WordPiece> {
    let all: BTreeSet<char> = counts.keys().flat_map(|word| word.chars()).collect();
    let inside = counts.keys().flat_map(|word| word.chars().skip(1));
    let inside: BTreeSet<char> = inside.collect();
    check_size(config, SPECIALS.len() + all.len() + inside.len())?;
    // The trainer numbers these pieces in an order of chance unless they have numbers before.
    let inside = inside
        .iter()
        .map(|c| AddedToken::from(format!("{PREFIX}{c}"), false));
    let trainer = BpeTrainer::builder()
        .vocab_size(config.vocab_size)
        .min_frequency(config.min_frequency)
        .special_tokens(specials().into_iter().chain(inside).collect())
        .continuing_subword_prefix(PREFIX.to_owned())
        .show_progress(false)
        .build();
    let mut pieces = join_pairs(&trainer, counts)?;
    pieces.unk_token = Some(SPECIALS[1].to_owned());
    Ok(WordPiece::from_bpe(&pieces))
}

fn join_pairs(trainer: &BpeTrainer, counts: &Counts) -> Result<BPE> {
    let counts = counts.iter();
    let counts = counts.map(|(word, &count)| (word.as_str().into(), count));
    let mut model = BPE::default();
    trainer
        .do_train(&counts.collect(), &mut model)
        .map_err(failed)?;
    Ok(model)
}

fn unigram(counts: Counts, config: &TokenizerConfig) -> Result<Unigram> {
    let chars: BTreeSet<char> = counts.keys().flat_map(|word| word.chars()).collect();
    check_size(config, SPECIALS.len() + chars.len())?;
    let mut trainer = UnigramTrainer::default();
    trainer.show_progress = false;
    trainer.vocab_size = u32::try_from(config.vocab_size).unwrap_or(u32::MAX);
    trainer.special_tokens = specials();
    trainer.unk_token = Some(SPECIALS[1].to_owned());
    let words = counts.into_iter();
    let words = words.flat_map(|(word, count)| twice(word, count, config.min_frequency));
    let words = words.collect();
    // Sums of several threads depend on their number and on which ends first.
    let single = rayon::ThreadPoolBuilder::new().num_threads(1).build();
    let single = single.map_err(|error| Error::Tokenizer(error.to_string()))?;
    let mut model = Unigram::default();
    single
        .install(|| trainer.do_train(words, &mut model))
        .map_err(failed)?;
    in_order(&model)
}

/// A word with its count, and once more with a space behind it if it may become a piece as a
/// whole: the trainer takes for pieces only what it finds with different characters behind it,
/// so in a text whose signs stand apart it would miss the words themselves.
fn twice(word: String, count: u64, min_frequency: u64) -> Vec<(String, u32)> {
    let count = u32::try_from(count).unwrap_or(u32::MAX);
    if count < 2 || u64::from(count) < min_frequency {
        return vec![(word, count)];
    }
    let again = format!("{word}{SPACE}");
    vec![(word, count - 1), (again, 1)]
}

/// Puts in order what the trainer leaves to chance: which of the characters that it had dropped
/// gets which of their scores, and the order of pieces of equal score.
fn in_order(model: &Unigram) -> Result<Unigram> {
    let mut vocab: Vec<(String, f64)> = model.iter().cloned().collect();
    let mut pieces = vocab.split_off(SPECIALS.len().min(vocab.len()));
    pieces.sort_by(|a, b| b.1.total_cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
    // The dropped characters come back at the lowest score and in steps of 0.0001 above it.
    let lowest = pieces.last().map_or(0.0, |piece| piece.1);
    let is_char = |piece: &(String, f64)| piece.0.chars().nth(1).is_none();
    let mut returned = Vec::new();
    let mut step = 0.0;
    while lowest.is_finite() {
        let found = |piece: &(String, f64)| is_char(piece) && piece.1 == lowest + step;
        let before = returned.len();
        returned.extend((0..pieces.len()).filter(|&at| found(&pieces[at])));
        if returned.len() == before {
            break;
        }
        step += 0.0001;
    }
    let scores: Vec<f64> = returned.iter().map(|&at| pieces[at].1).collect();
    let mut names: Vec<String> = returned.iter().map(|&at| pieces[at].0.clone()).collect();
    names.sort_unstable();
    for ((at, name), score) in returned.into_iter().zip(names).zip(scores) {
        pieces[at] = (name, score);
    }
    pieces.sort_by(|a, b| b.1.total_cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
    // What [`twice`] brought in: no text holds a space but at the start of a word.
    pieces.retain(|(piece, _)| !piece.chars().skip(1).any(|c| c == SPACE));
    vocab.extend(pieces);
    Unigram::from(vocab, Some(1), false).map_err(failed)
}

/// The space in front of a sign, and the commonest words, the earlier in order of those as common.
fn words(counts: Counts, config: &TokenizerConfig) -> Result<WordLevel> {
    let first = SPECIALS
        .map(str::to_owned)
        .into_iter()
        .chain([SPACE.to_string()]);
    let first: Vec<String> = first.collect();
    check_size(config, first.len())?;
    let common = |(_, count): &(String, u64)| *count >= config.min_frequency;
    let mut words: Vec<(String, u64)> = counts.into_iter().filter(common).collect();
    words.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
    words.truncate(config.vocab_size - first.len());
    let all = first
        .into_iter()
        .chain(words.into_iter().map(|(word, _)| word));
    WordLevel::builder()
        .vocab(all.zip(0..).collect())
        .unk_token(SPECIALS[1].to_owned())
        .build()
        .map_err(failed)
}
