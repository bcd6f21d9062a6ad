//! `mapsto translate`.

use std::io::BufRead;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use mapsto_data::alignment_map;
use mapsto_models::Sampling;
use mapsto_models::seq2seq::{BeamConfig, SampleConfig, Search, Translation, Translator};
use mapsto_tensor::parse_device;
use serde_json::json;

use crate::args::TranslateArgs;
use crate::evaluate::checkpoint;
use crate::exit::Usage;
use crate::{print, print_json};

/// Lines that are translated together.
const AT_ONCE: usize = 256;

/// How answers are made and shown.
struct Answers<'a> {
    translator: Translator,
    search: Search,
    several: bool,
    json: bool,
    picture: Option<&'a Path>,
    /// Texts that were answered.
    count: usize,
}

pub(crate) fn run(args: &TranslateArgs, json: bool) -> Result<()> {
    let translator = Translator::load(checkpoint(&args.run)?, &parse_device(&args.device)?)?;
    let mut answers = Answers {
        search: search(args, &translator.description.search)?,
        several: args.n_best > 1,
        json,
        picture: picture(args, &translator)?,
        count: 0,
        translator,
    };
    if !args.texts.is_empty() {
        return answers.to(&args.texts);
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
        answers.to(&texts)?;
    }
}

fn search(args: &TranslateArgs, stored: &BeamConfig) -> Result<Search> {
    if args.sample {
        let sampling = Sampling {
            temperature: args.temperature,
            top_k: args.top_k,
            top_p: args.top_p,
        };
        sampling.validate()?;
        return Ok(Search::Sample(SampleConfig {
            sampling,
            count: args.n_best,
            seed: args.seed,
            max_len: stored.max_len,
            ..SampleConfig::default()
        }));
    }
    Ok(Search::Beam(BeamConfig {
        size: args.beam.unwrap_or(stored.size).max(args.n_best),
        length_penalty: args.length_penalty.unwrap_or(stored.length_penalty),
        coverage_penalty: args.coverage_penalty.unwrap_or(stored.coverage_penalty),
        best: args.n_best,
        ..*stored
    }))
}

fn picture<'a>(args: &'a TranslateArgs, translator: &Translator) -> Result<Option<&'a Path>> {
    let Some(path) = &args.attention else {
        return Ok(None);
    };
    let png = path
        .extension()
        .is_some_and(|ending| ending.eq_ignore_ascii_case("png"));
    if !png {
        let text = format!("--attention {}: the name must end in .png", path.display());
        return Err(Usage(text).into());
    }
    if !translator.description.config.has_attention() {
        let text = "--attention: this network has no attention to draw; train one with \
                    -o model.attention=additive, for instance";
        return Err(Usage(text.to_owned()).into());
    }
    Ok(Some(path))
}

/// The picture of a text, counted from 0.
fn numbered(path: &Path, place: usize) -> PathBuf {
    if place == 0 {
        return path.to_owned();
    }
    path.with_extension(format!("{}.png", place + 1))
}

impl Answers<'_> {
    /// A line for each text in their order, or for each of its translations if several are asked
    /// for.
    fn to(&mut self, texts: &[String]) -> Result<()> {
        let search = match &self.search {
            // Each text has draws of its own, also in the next lines.
            Search::Sample(config) => Search::Sample(SampleConfig {
                seed: config.seed.wrapping_add(self.count as u64),
                ..*config
            }),
            beam => beam.clone(),
        };
        let found = self.translator.translate_batch(texts, &search)?;
        for (text, best) in texts.iter().zip(&found) {
            self.draw(best)?;
            self.count += 1;
            if self.json {
                print_json(&json!({"source": text, "translations": best}))?;
                continue;
            }
            let lines: String = best.iter().map(|one| self.line(one)).collect();
            print(&lines)?;
        }
        Ok(())
    }

    fn line(&self, translation: &Translation) -> String {
        if self.several {
            return format!("{:.4}\t{}\n", translation.score, translation.text);
        }
        format!("{}\n", translation.text)
    }

    /// An empty text or translation has nothing to draw.
    fn draw(&self, best: &[Translation]) -> Result<()> {
        let (Some(path), Some(best)) = (self.picture, best.first()) else {
            return Ok(());
        };
        if best.alignment.is_empty() || best.source_pieces.is_empty() {
            return Ok(());
        }
        // Shares are rounded, so a little above 1 can come of a sum.
        let clamp = |row: &Vec<f32>| row.iter().map(|share| share.clamp(0.0, 1.0)).collect();
        let weights: Vec<Vec<f32>> = best.alignment.iter().map(clamp).collect();
        let map = alignment_map(&best.source_pieces, &best.target_pieces, &weights)?;
        Ok(map.save_png(numbered(path, self.count))?)
    }
}
