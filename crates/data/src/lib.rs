#![doc = include_str!("../README.md")]

pub mod digits;
pub mod grammar;
pub mod numbers;
pub mod sentiment;

mod alignment_map;
mod atomic;
mod bptt;
mod bucket;
mod contact_sheet;
mod corpus;
mod dataset;
mod encoding;
mod epoch;
mod error;
mod fit;
mod idx;
mod image_collate;
mod images;
mod labelled_text;
mod loader;
mod order;
mod packed;
mod pad_collate;
mod pair_collate;
mod pair_filter;
mod parallel;
mod parts;
mod picture;
mod sampler;
mod sets;
mod split;
mod table;
mod tokenizer;
mod vocab;
mod words;

pub use alignment_map::alignment_map;
pub use bptt::{Bptt, Windows};
pub use bucket::BucketSampler;
pub use contact_sheet::contact_sheet;
pub use corpus::{Corpus, CorpusConfig, CorpusInfo, EOS, Part, Section, SectionInfo, Unit};
pub use dataset::{Concat, Dataset, Map, Samples, Subset};
pub use encoding::Encoding;
pub use epoch::Epoch;
pub use error::{Error, Result};
pub use fit::fit_digit;
pub use idx::Idx;
pub use image_collate::ImageCollate;
pub use images::ImageSet;
pub use labelled_text::{Labelled, LabelledText, LabelledTextConfig, LabelledTextInfo};
pub use loader::{Collate, DataLoader};
pub use pad_collate::{PadCollate, Padded};
pub use pair_collate::{PaddedPair, PairCollate};
pub use pair_filter::{Dropped, PairFilter};
pub use parallel::{Pairs, ParallelText, ParallelTextConfig, ParallelTextInfo};
pub use picture::Picture;
pub use sampler::{
    RandomSampler, Sampler, SequentialSampler, SubsetRandomSampler, WeightedRandomSampler,
};
pub use sets::{FileInfo, SetInfo, Split, describe, digits, open};
pub use split::{Fold, Lengths, k_fold, random_split, stratified_split};
pub use tokenizer::{Piece, Tokenizer, TokenizerConfig, TokenizerKind};
pub use vocab::{Vocab, VocabConfig};
pub use words::words;
