//! The list of zoo entries.

/// What the zoo says about one entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Entry {
    /// Name of its recipe.
    pub name: &'static str,
    /// One sentence.
    pub task: &'static str,
    /// Names of its presets, the default first.
    pub presets: &'static [&'static str],
    /// Data that works at once.
    pub data: &'static str,
}

/// All entries.
pub const ZOO: &[Entry] = &[
    Entry {
        name: "cnn",
        task: "say what a small picture shows: one of some classes, with probabilities",
        presets: &crate::cnn::PRESETS,
        data: "embedded digits, or a folder of IDX files such as MNIST and Fashion-MNIST",
    },
    Entry {
        name: "gan",
        task: "make pictures that look like those of a set, of a class that is asked for, or points \
               of a plane",
        presets: &crate::gan::PRESETS,
        data: "embedded digits, a folder of IDX files, any folder of pictures; or points: ring, grid",
    },
    Entry {
        name: "lm",
        task: "say which word or character comes next in a text, and write on",
        presets: &crate::lstm::language::PRESETS,
        data: "an embedded language of known entropy, or a text file or folder such as the Penn \
               Treebank",
    },
    Entry {
        name: "sentiment",
        task: "say the class of a text, such as positive or negative, and the words that mattered",
        presets: &crate::lstm::sentiment::PRESETS,
        data: "embedded opinions, a table (.csv, .tsv, .jsonl), or a folder of texts by class",
    },
    Entry {
        name: "translate",
        task: "write a sentence in another language, with where it looked for each piece",
        presets: &crate::seq2seq::PRESETS,
        data: "embedded numbers and dates in words, two files, a table, or a folder such as Multi30k",
    },
];
