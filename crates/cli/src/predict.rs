//! `mapsto predict`.

use std::io::BufRead;
use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context, Result};
use mapsto_data::Picture;
use mapsto_models::cnn::CnnPipeline;
use mapsto_models::kind_of;
use mapsto_models::lstm::language::Writer;
use mapsto_tensor::parse_device;
use serde_json::{Value, json};

use crate::args::PredictArgs;
use crate::evaluate::checkpoint;
use crate::exit::{DATA, Usage};
use crate::{print, print_json};

/// What a model says about one input: possible answers with probabilities, the best first.
type Answers = Vec<(String, f32)>;

/// A loaded model that answers.
enum Model {
    Pictures(CnnPipeline),
    Language(Writer),
}

pub(crate) fn run(args: &PredictArgs, json: bool) -> Result<ExitCode> {
    let model = load(args)?;
    let mut predictions: Vec<Value> = vec![];
    let mut failed = false;
    for input in inputs(args, &model)? {
        // One bad input does not keep the others from an answer.
        let answers = match ask(&model, &input, args.top.max(1)) {
            Ok(answers) => answers,
            Err(error) => {
                failed = true;
                eprintln!("error: {error:#}");
                predictions.push(json!({(key(&model)): input, "error": format!("{error:#}")}));
                continue;
            }
        };
        if json {
            predictions.push(entry(&model, &input, &answers));
        } else {
            print(&line(&input, &answers))?;
        }
    }
    if json {
        print_json(&json!({"run": args.run, "predictions": predictions}))?;
    }
    Ok(if failed {
        ExitCode::from(DATA)
    } else {
        ExitCode::SUCCESS
    })
}

fn load(args: &PredictArgs) -> Result<Model> {
    let path = checkpoint(&args.run)?;
    let device = parse_device(&args.device)?;
    Ok(match kind_of(&path)?.as_str() {
        "lm" => Model::Language(Writer::load(path, &device)?),
        // Its loader says what the other kinds are.
        _ => Model::Pictures(CnnPipeline::load(path, &device)?),
    })
}

/// The inputs given, or the lines of standard input.
fn inputs(args: &PredictArgs, model: &Model) -> Result<Vec<String>> {
    if !args.inputs.is_empty() {
        return Ok(args.inputs.clone());
    }
    if matches!(model, Model::Pictures(_)) {
        return Err(Usage("give at least one picture file".to_owned()).into());
    }
    let lines = std::io::stdin().lock().lines();
    let lines: std::io::Result<Vec<String>> = lines.collect();
    lines.context("standard input")
}

fn ask(model: &Model, input: &str, count: usize) -> Result<Answers> {
    let mut answers = match model {
        Model::Pictures(pipeline) => {
            // An error of reading names the file already.
            let picture = Picture::load(Path::new(input))?;
            let answers = pipeline.predict(&picture);
            answers.with_context(|| input.to_owned())?
        }
        Model::Language(writer) => {
            let (_, unknown) = writer.read(input)?;
            if !unknown.is_empty() {
                eprintln!(
                    "the model does not know these words: {}",
                    unknown.join(", ")
                );
            }
            writer.next(input, count)?
        }
    };
    answers.truncate(count);
    Ok(answers)
}

fn key(model: &Model) -> &'static str {
    match model {
        Model::Pictures(_) => "file",
        Model::Language(_) => "text",
    }
}

fn line(input: &str, answers: &Answers) -> String {
    let one = |(name, p): &(String, f32)| format!("{name} {p:.4}");
    let shown: Vec<String> = answers.iter().map(one).collect();
    format!("{input}: {}\n", shown.join(", "))
}

fn entry(model: &Model, input: &str, answers: &Answers) -> Value {
    let one = |(name, p): &(String, f32)| json!({"class": name, "probability": p});
    let (best, p) = &answers[0];
    json!({
        (key(model)): input, "class": best, "probability": p,
        "classes": answers.iter().map(one).collect::<Vec<_>>(),
    })
}
