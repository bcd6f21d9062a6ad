//! `mapsto eval`.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Result;
use mapsto_data::Split;
use mapsto_models::cnn::{CnnPipeline, Settings};
use mapsto_tensor::parse_device;
use mapsto_train::RunFolder;
use serde_json::json;

use crate::args::EvalArgs;
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
    let mut settings = if args.run.is_dir() {
        config::of_run(&args.run)?
    } else {
        Settings::default()
    };
    if let Some(source) = &args.data {
        settings.data.source.clone_from(source);
    }
    if let Some(device) = &args.device {
        settings.train.device.clone_from(device);
    }
    let pipeline = CnnPipeline::load(&path, &parse_device(&settings.train.device)?)?;
    let split = if args.split == "train" {
        Split::Train
    } else {
        Split::Test
    };
    let scores = pipeline.evaluate(&settings, split)?;
    for (name, _) in &gates {
        if !scores.values.contains_key(name) {
            let hint = hint(name, scores.values.keys().map(String::as_str));
            return Err(Usage(format!("--min {name}: no such figure: {hint}")).into());
        }
    }
    if json {
        print_json(&json!({
            "run": args.run, "checkpoint": path, "data": settings.data.source,
            "samples": scores.samples, "metrics": {&args.split: scores.values},
            "details": scores.details,
        }))?;
    } else {
        let mut text = format!(
            "{} on {} ({} samples)\n",
            path.display(),
            settings.data.source,
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
