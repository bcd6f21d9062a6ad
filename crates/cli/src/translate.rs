//! `mapsto translate`.

use std::io::{BufRead, BufReader, ErrorKind, Read};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Result;
use mapsto_data::alignment_map;
use mapsto_models::Sampling;
use mapsto_models::seq2seq::{BeamConfig, SampleConfig, Search, Translation, Translator};
use mapsto_tensor::parse_device;
use serde_json::json;

use crate::args::TranslateArgs;
use crate::evaluate::checkpoint;
use crate::exit::{DATA, Usage};
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
    /// Whether a picture could not be made.
    failed: bool,
}

pub(crate) fn run(args: &TranslateArgs, json: bool) -> Result<ExitCode> {
    let translator = Translator::load(checkpoint(&args.run)?, &parse_device(&args.device)?)?;
    let mut answers = Answers {
        search: search(args, &translator.description.search)?,
        several: args.n_best > 1,
        json,
        picture: picture(args, &translator)?,
        count: 0,
        failed: false,
        translator,
    };
    if args.texts.is_empty() {
        answers.lines_of(args.file.as_deref())?;
    } else {
        answers.answer(&args.texts)?;
    }
    Ok(if answers.failed {
        ExitCode::from(DATA)
    } else {
        ExitCode::SUCCESS
    })
}

/// The lines that are there, one at least unless there are no more; and what is wrong with the next.
fn lines(
    reader: &mut BufReader<Box<dyn Read>>,
    first: bool,
) -> (Vec<String>, Option<std::io::Error>) {
    let mut lines: Vec<String> = vec![];
    while lines.len() < AT_ONCE {
        let mut line = String::new();
        match reader.read_line(&mut line) {
            Ok(0) => break,
            Ok(_) => {}
            Err(error) => return (lines, Some(error)),
        }
        // Some programs put this mark before a text.
        let text = line
            .strip_prefix('\u{feff}')
            .filter(|_| first && lines.is_empty());
        lines.push(
            text.unwrap_or(&line)
                .trim_end_matches(['\n', '\r'])
                .to_owned(),
        );
        // Whoever types a line waits for its answer.
        if reader.buffer().is_empty() {
            break;
        }
    }
    (lines, None)
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
    /// The same for the lines of a file, or of standard input.
    fn lines_of(&mut self, file: Option<&Path>) -> Result<()> {
        let failed = |path: &Path, error| mapsto_data::Error::Io {
            path: path.to_owned(),
            error,
        };
        let input: Box<dyn Read> = match file {
            None => Box::new(std::io::stdin()),
            Some(path) => Box::new(std::fs::File::open(path).map_err(|error| failed(path, error))?),
        };
        let name = file.unwrap_or(Path::new("standard input"));
        let mut reader = BufReader::new(input);
        loop {
            let (texts, error) = lines(&mut reader, self.count == 0);
            let is_end = texts.is_empty();
            self.answer(&texts)?;
            match error {
                Some(error) if error.kind() == ErrorKind::InvalidData => {
                    let what = format!("line {} is not UTF-8 text: convert it", self.count + 1);
                    let path = name.to_owned();
                    return Err(mapsto_data::Error::Format { path, what }.into());
                }
                Some(error) => return Err(failed(name, error).into()),
                None if is_end => return Ok(()),
                None => {}
            }
        }
    }

    /// A line for each text in their order, or for each of its translations if several are asked
    /// for.
    fn answer(&mut self, texts: &[String]) -> Result<()> {
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
            if self.json {
                print_json(&json!({"source": text, "translations": best}))?;
            } else {
                let lines: String = best.iter().map(|one| self.line(one)).collect();
                print(&lines)?;
            }
            // A picture that cannot be made does not keep the others from an answer.
            if let Err(error) = self.draw(best) {
                self.failed = true;
                eprintln!("error: text {}: {error:#}", self.count + 1);
            }
            self.count += 1;
        }
        Ok(())
    }

    /// One line, whatever line ends are in it.
    fn line(&self, translation: &Translation) -> String {
        let text = translation.text.replace(['\n', '\r'], " ");
        if self.several {
            return format!("{:.4}\t{text}\n", translation.score);
        }
        format!("{text}\n")
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
