//! `mapsto eval`.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Result;
use mapsto_data::{Part, Split};
use mapsto_models::cnn::{self, CnnPipeline};
use mapsto_models::gan::{self, GanPipeline};
use mapsto_models::lstm::language::{self, Writer};
use mapsto_models::lstm::sentiment::{self, SentimentPipeline};
use mapsto_models::seq2seq::{self, Translator};
use mapsto_models::{Settings, kind_of};
use mapsto_tensor::parse_device;
use mapsto_train::{RunFolder, Scores};
use serde_json::json;

use crate::args::{EvalArgs, SettingArgs};
use crate::exit::{GateMissed, Usage};
use crate::suggest::hint;
use crate::{config, print, print_json};

/// The checkpoint file that a run folder or a file stands for.
pub(crate) fn checkpoint(run: &Path) -> Result<PathBuf> {
    if run.is_file() {
        return Ok(run.to_owned());
    }
    let folder = RunFolder::open(run)?;
    Ok(if folder.best().exists() {
        folder.best()
    } else {
        folder.last()
    })
}

pub(crate) fn run(args: &EvalArgs, json: bool) -> Result<ExitCode> {
    let gates = gates(&args.min)?;
    let path = checkpoint(&args.run)?;
    let (source, scores) = measure(args, &path)?;
    for (name, _) in &gates {
        if !scores.values.contains_key(name) {
            let hint = hint(name, scores.values.keys().map(String::as_str));
            return Err(Usage(format!("--min {name}: no such figure: {hint}")).into());
        }
    }
    if json {
        print_json(&json!({
            "run": args.run, "checkpoint": path, "data": source,
            "samples": scores.samples, "metrics": {&args.split: scores.values},
            "details": scores.details,
        }))?;
    } else {
        let mut text = format!(
            "{} on {} ({} samples)\n",
            path.display(),
            source,
            scores.samples
        );
        for (name, value) in &scores.values {
            text += &format!("{}.{name} {value:.4}\n", args.split);
        }
        print(&text)?;
    }
    for (name, least) in gates {
        let value = scores[&name];
        if value.is_nan() || value < least {
            return Err(GateMissed(format!("{name} is {value}, below the gate of {least}")).into());
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// The name of the data, and what was measured on them.
fn measure(args: &EvalArgs, path: &Path) -> Result<(String, Scores)> {
    Ok(match kind_of(path)?.as_str() {
        "gan" => {
            let (Some(run), "test") = (run_of(&args.run), args.split.as_str()) else {
                let text = "a gan is measured on its test pictures, with the judge of its run: give \
                            the run folder, and no --split";
                return Err(Usage(text.to_owned()).into());
            };
            let (settings, _): (gan::Settings, _) = settings(args)?;
            let model = GanPipeline::load(path, &parse_device(&settings.train.device)?)?;
            let scores = model.evaluate(&settings, &RunFolder::open(&run)?)?;
            (settings.data.source, scores)
        }
        "lm" => {
            let (settings, foreign): (language::Settings, _) = settings(args)?;
            let model = Writer::load(path, &parse_device(&settings.train.device)?)?;
            let scores = model.evaluate(&settings, part(args), foreign)?;
            (settings.data.source, scores)
        }
        "sentiment" => {
            let (settings, foreign): (sentiment::Settings, _) = settings(args)?;
            let model = SentimentPipeline::load(path, &parse_device(&settings.train.device)?)?;
            let scores = model.evaluate(&settings, part(args), foreign)?;
            (settings.data.source, scores)
        }
        "translate" => {
            if run_of(&args.run).is_none() {
                let text =
                    "a translator is measured by the settings of its run: give the run folder";
                return Err(Usage(text.to_owned()).into());
            }
            let (settings, foreign): (seq2seq::Settings, _) = settings(args)?;
            if args.split == "valid" {
                let text = "--split valid: measure translations of train or test";
                return Err(Usage(text.to_owned()).into());
            }
            let model = Translator::load(path, &parse_device(&settings.train.device)?)?;
            let scores = model.evaluate(&settings, args.split == "train", foreign)?;
            (settings.data.source, scores)
        }
        // Its loader says what the other kinds are.
        _ => {
            let (settings, _): (cnn::Settings, _) = settings(args)?;
            let split = match args.split.as_str() {
                "train" => Split::Train,
                "test" => Split::Test,
                other => {
                    let text = format!("--split {other}: sets of pictures have train and test");
                    return Err(Usage(text).into());
                }
            };
            let model = CnnPipeline::load(path, &parse_device(&settings.train.device)?)?;
            let scores = model.evaluate(&settings, split)?;
            (settings.data.source, scores)
        }
    })
}

fn part(args: &EvalArgs) -> Part {
    match args.split.as_str() {
        "train" => Part::Train,
        "valid" => Part::Valid,
        _ => Part::Test,
    }
}

/// The run folder that is given, or that a checkpoint lies in.
fn run_of(given: &Path) -> Option<PathBuf> {
    if given.is_dir() {
        return Some(given.to_owned());
    }
    let file = given.canonicalize().ok()?;
    let run = file.parent()?.parent()?;
    run.join("config.toml").is_file().then(|| run.to_owned())
}

/// Those of the run, with what the arguments change, and whether that is the data.
fn settings<S: Settings>(args: &EvalArgs) -> Result<(S, bool)> {
    let stored: S = match run_of(&args.run) {
        Some(run) => config::of_run(&run)?,
        None if args.data.is_some() => S::preset(S::PRESETS[0])?,
        None => {
            let file = args.run.display();
            let text = format!("{file} lies in no run folder: say what to measure on by --data");
            return Err(Usage(text).into());
        }
    };
    let own = stored.source().to_owned();
    let changes = SettingArgs {
        data: args.data.clone(),
        device: args.device.clone(),
        texts: args.texts.clone(),
        ..SettingArgs::default()
    };
    let mut settings: S = config::resolve_onto(&changes, &stored)?;
    // The run's own are stored as a full path.
    let named = std::fs::canonicalize(settings.source());
    let foreign = settings.source() != own && named.map_or(true, |path| path != Path::new(&own));
    if foreign {
        // The encoding of the run's own texts says nothing about others.
        let base = config::with(&stored, "data.encoding", "utf8")?;
        settings = config::resolve_onto(&changes, &base)?;
    }
    Ok((settings, foreign))
}

fn gates(texts: &[String]) -> Result<Vec<(String, f64)>> {
    let gate = |text: &String| {
        let (name, value) = text.split_once('=')?;
        Some((name.to_owned(), value.parse().ok()?))
    };
    let usage = |text: &String| {
        Usage(format!(
            "--min {text}: expected NAME=VALUE, such as accuracy=0.98"
        ))
    };
    texts
        .iter()
        .map(|text| gate(text).ok_or_else(|| usage(text).into()))
        .collect()
}
