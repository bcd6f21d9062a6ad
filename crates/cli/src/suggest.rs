//! "Did you mean": the known word nearest to an unknown one.

/// A hint that names the nearest of `known`, or lists them all.
pub(crate) fn hint<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> String {
    let known: Vec<&str> = known.into_iter().collect();
    let nearest = known
        .iter()
        .map(|candidate| (strsim::jaro_winkler(word, candidate), candidate))
        .max_by(|a, b| a.0.total_cmp(&b.0));
    match nearest {
        Some((score, candidate)) if score > 0.8 => format!("did you mean \"{candidate}\"?"),
        _ => format!("known are {}", known.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::hint;

    #[test]
    fn near_words_are_suggested_and_far_ones_list_all() {
        assert_eq!(
            hint("train.epoch", ["train.epochs", "optim.lr"]),
            "did you mean \"train.epochs\"?"
        );
        assert_eq!(hint("zzz", ["abc", "def"]), "known are abc, def");
    }
}
