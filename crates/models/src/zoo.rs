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
pub const ZOO: &[Entry] = &[Entry {
    name: "cnn",
    task: "say what a small picture shows: one of some classes, with probabilities",
    presets: &crate::cnn::PRESETS,
    data: "embedded digits, or a folder of IDX files such as MNIST and Fashion-MNIST",
}];
