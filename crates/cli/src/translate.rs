//! `mapsto translate`.

use std::io::BufRead;

use anyhow::{Context, Result};
use mapsto_models::seq2seq::{BeamConfig, Translation, Translator};
use mapsto_tensor::parse_device;
use serde_json::json;

use crate::args::TranslateArgs;
use crate::evaluate::checkpoint;
use crate::{print, print_json};

/// Lines that are translated together.
const AT_ONCE: usize = 256;

pub(crate) fn run(args: &TranslateArgs, json: bool) -> Result<()> {
    let translator = Translator::load(checkpoint(&args.run)?, &parse_device(&args.device)?)?;
    let stored = translator.description.search;
    let search = BeamConfig {
        size: args.beam.unwrap_or(stored.size).max(args.n_best),
        length_penalty: args.length_penalty.unwrap_or(stored.length_penalty),
        best: args.n_best,
        ..stored
    };
    if !args.texts.is_empty() {
        return answer(&translator, &args.texts, &search, json);
    }
    let reader: Box<dyn BufRead> = match &args.file {
        None => Box::new(std::io::stdin().lock()),
        Some(path) => {
            let file = std::fs::File::open(path).map_err(|error| mapsto_data::Error::Io {
                path: path.clone(),
                error,
            })?;
            Box::new(std::io::BufReader::new(file))
        }
    };
    let name = args
        .file
        .as_ref()
        .map_or("standard input".to_owned(), |path| {
            path.display().to_string()
        });
    let mut lines = reader.lines().enumerate();
    loop {
        let mut texts = vec![];
        for (number, line) in lines.by_ref().take(AT_ONCE) {
            let what = || format!("{name}, line {}: not UTF-8 text", number + 1);
            texts.push(line.with_context(what)?);
        }
        if texts.is_empty() {
            return Ok(());
        }
        answer(&translator, &texts, &search, json)?;
    }
}

/// A line for each text in their order, or for each of its translations if several are asked for.
fn answer(
    translator: &Translator,
    texts: &[String],
    search: &BeamConfig,
    json: bool,
) -> Result<()> {
    let found = translator.translate_batch(texts, search)?;
    for (text, best) in texts.iter().zip(&found) {
        if json {
            print_json(&json!({"source": text, "translations": best}))?;
            continue;
        }
        let lines: String = best.iter().map(|one| line(one, search)).collect();
        print(&lines)?;
    }
    Ok(())
}

fn line(translation: &Translation, search: &BeamConfig) -> String {
    if search.best == 1 {
        return format!("{}\n", translation.text);
    }
    format!("{:.4}\t{}\n", translation.score, translation.text)
}
