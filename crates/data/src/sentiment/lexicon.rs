//! The words of the opinions. No adjective is part of a modifier or an opening.

pub(super) const NOUNS: &[&str] = &[
    "film",
    "movie",
    "plot",
    "story",
    "cast",
    "script",
    "ending",
    "dialogue",
    "acting",
    "music",
    "pacing",
    "humour",
    "direction",
    "premise",
];

/// Bad ones, good ones.
pub(super) const ADJECTIVES: [&[&str]; 2] = [
    &[
        "bad",
        "boring",
        "dull",
        "awful",
        "terrible",
        "clumsy",
        "tedious",
        "weak",
        "lifeless",
        "forgettable",
        "annoying",
        "silly",
        "predictable",
        "messy",
        "poor",
    ],
    &[
        "good",
        "wonderful",
        "brilliant",
        "charming",
        "moving",
        "clever",
        "funny",
        "gripping",
        "beautiful",
        "excellent",
        "delightful",
        "fresh",
        "superb",
        "inventive",
        "great",
    ],
];

/// Those that keep the meaning, those that turn it round. The first five of each may stand before
/// "a film" as well.
pub(super) const MODIFIERS: [&[&str]; 2] = [
    &["", "really", "truly", "quite", "simply", "very", "so"],
    &[
        "not",
        "never",
        "hardly",
        "by no means",
        "far from",
        "not very",
        "not at all",
    ],
];

/// Before a clause, without a meaning of their own.
pub(super) const OPENINGS: &[&str] = &["i think", "everyone says that", "it is true that"];

/// Before a clause, which they deny.
pub(super) const DENIALS: &[&str] = &[
    "nobody would say that",
    "it is not true that",
    "i do not think that",
];
