//! `mapsto predict`.

use std::process::ExitCode;

use anyhow::Result;
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
        let answer = Picture::load(file)
            .map_err(Into::into)
            .and_then(|picture| pipeline.predict(&picture));
        // One bad file does not keep the others from an answer.
        let classes = match answer {
            Ok(classes) => classes,
            Err(error) => {
                failed = true;
                eprintln!("error: {}: {error}", file.display());
                answers.push(json!({"file": file, "error": error.to_string()}));
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
