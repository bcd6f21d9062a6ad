//! `mapsto predict`.

use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context, Result};
use mapsto_data::Picture;
use mapsto_models::cnn::CnnPipeline;
use mapsto_tensor::parse_device;
use serde_json::{Value, json};

use crate::args::PredictArgs;
use crate::evaluate::checkpoint;
use crate::exit::DATA;
use crate::{print, print_json};

pub(crate) fn run(args: &PredictArgs, json: bool) -> Result<ExitCode> {
    let pipeline = CnnPipeline::load(checkpoint(&args.run)?, &parse_device(&args.device)?)?;
    let mut answers: Vec<Value> = vec![];
    let mut text = String::new();
    let mut failed = false;
    for file in &args.files {
        // One bad file does not keep the others from an answer.
        let classes = match ask(&pipeline, file) {
            Ok(classes) => classes,
            Err(error) => {
                failed = true;
                eprintln!("error: {error:#}");
                answers.push(json!({"file": file, "error": format!("{error:#}")}));
                continue;
            }
        };
        let top = &classes[..args.top.clamp(1, classes.len())];
        let shown = top
            .iter()
            .map(|(name, p)| format!("{name} {p:.4}"))
            .collect::<Vec<_>>();
        text += &format!("{}: {}\n", file.display(), shown.join(", "));
        let entry = |(name, p): &(String, f32)| json!({"class": name, "probability": p});
        answers.push(json!({
            "file": file, "class": top[0].0, "probability": top[0].1,
            "classes": top.iter().map(entry).collect::<Vec<_>>(),
        }));
    }
    if json {
        print_json(&json!({"run": args.run, "predictions": answers}))?;
    } else {
        print(&text)?;
    }
    Ok(if failed {
        ExitCode::from(DATA)
    } else {
        ExitCode::SUCCESS
    })
}

fn ask(pipeline: &CnnPipeline, file: &Path) -> Result<Vec<(String, f32)>> {
    // An error of reading names the file already.
    let picture = Picture::load(file)?;
    let answer = pipeline.predict(&picture);
    answer.with_context(|| file.display().to_string())
}
