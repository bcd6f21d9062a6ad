//! `mapsto predict`.

use std::io::Read;
use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use mapsto_data::Picture;
use mapsto_models::cnn::CnnPipeline;
use mapsto_models::kind_of;
use mapsto_models::lstm::language::Writer;
use mapsto_models::lstm::sentiment::SentimentPipeline;
use mapsto_tensor::parse_device;
use serde_json::{Value, json};

use crate::args::PredictArgs;
use crate::evaluate::checkpoint;
use crate::exit::{DATA, Usage};
use crate::{print, print_json};

/// What a model says about one input.
#[derive(Default)]
struct Answer {
    /// Possible answers with probabilities, the best first.
    classes: Vec<(String, f32)>,
    /// The words of a text, each with what the best answer owes to it.
    words: Vec<(String, f32)>,
    /// Words that the model does not know.
    unknown: Vec<String>,
    /// Words at the end of a text that were not read.
    unread: usize,
}

/// One input, as text.
struct Input {
    text: String,
    /// The line of standard input that is no UTF-8.
    damaged: Option<usize>,
}

/// A loaded model that answers.
enum Model {
    Pictures(CnnPipeline),
    Language(Writer),
    Texts(SentimentPipeline),
}

pub(crate) fn run(args: &PredictArgs, json: bool) -> Result<ExitCode> {
    let model = load(args)?;
    let mut predictions: Vec<Value> = vec![];
    let mut failed = false;
    for input in inputs(args, &model)? {
        // One bad input does not keep the others from an answer.
        let answer = match ask(&model, &input, args.top.max(1)) {
            Ok(answer) => answer,
            Err(error) => {
                failed = true;
                eprintln!("error: {error:#}");
                predictions.push(json!({(key(&model)): input.text, "error": format!("{error:#}")}));
                continue;
            }
        };
        if json {
            predictions.push(entry(&model, &input.text, &answer));
        } else {
            print(&line(&input.text, &answer))?;
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
        "sentiment" => Model::Texts(SentimentPipeline::load(path, &device)?),
        // Its loader says what the other kinds are.
        _ => Model::Pictures(CnnPipeline::load(path, &device)?),
    })
}

/// The inputs given, or the lines of standard input.
fn inputs(args: &PredictArgs, model: &Model) -> Result<Vec<Input>> {
    if !args.inputs.is_empty() {
        let given = args.inputs.iter().cloned();
        return Ok(given
            .map(|text| Input {
                text,
                damaged: None,
            })
            .collect());
    }
    if matches!(model, Model::Pictures(_)) {
        return Err(Usage("give at least one picture file".to_owned()).into());
    }
    let mut bytes = vec![];
    let read = std::io::stdin().lock().read_to_end(&mut bytes);
    read.context("standard input")?;
    // Some programs put this mark before a text.
    let text = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&bytes);
    let line = |(number, line): (usize, &[u8])| {
        let line = line.strip_suffix(b"\n").unwrap_or(line);
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        let damaged = std::str::from_utf8(line).is_err();
        Input {
            text: String::from_utf8_lossy(line).into_owned(),
            damaged: damaged.then_some(number),
        }
    };
    let lines = text.split_inclusive(|&byte| byte == b'\n');
    Ok((1..).zip(lines).map(line).collect())
}

fn ask(model: &Model, input: &Input, count: usize) -> Result<Answer> {
    if let Some(line) = input.damaged {
        bail!("standard input, line {line}, is not UTF-8: convert it to UTF-8");
    }
    let input = input.text.as_str();
    let mut answer = match model {
        Model::Pictures(pipeline) => {
            // An error of reading names the file already.
            let picture = Picture::load(Path::new(input))?;
            let classes = pipeline.predict(&picture);
            Answer {
                classes: classes.with_context(|| input.to_owned())?,
                ..Answer::default()
            }
        }
        Model::Language(writer) => Answer {
            classes: writer.next(input, count)?,
            unknown: writer.read(input)?.1,
            ..Answer::default()
        },
        Model::Texts(pipeline) => {
            let answer = pipeline.predict(input);
            let answer = answer.with_context(|| format!("\"{input}\""))?;
            Answer {
                classes: answer.classes,
                words: answer.words,
                unknown: answer.unknown,
                unread: answer.unread,
            }
        }
    };
    if answer.unread > 0 {
        let (read, unread) = (answer.words.len(), answer.unread);
        eprintln!("the model reads {read} words of a text; the {unread} after them were not read");
    }
    if !answer.unknown.is_empty() {
        let unknown = answer.unknown.join(", ");
        eprintln!("the model does not know these words: {unknown}");
    }
    answer.classes.truncate(count);
    Ok(answer)
}

fn key(model: &Model) -> &'static str {
    match model {
        Model::Pictures(_) => "file",
        Model::Language(_) | Model::Texts(_) => "text",
    }
}

fn line(input: &str, answer: &Answer) -> String {
    let one = |(name, p): &(String, f32)| format!("{name} {p:.4}");
    let shown: Vec<String> = answer.classes.iter().map(one).collect();
    let mut text = format!("{input}: {}", shown.join(", "));
    let mut words: Vec<&(String, f32)> = answer.words.iter().collect();
    words.sort_by(|a, b| b.1.abs().total_cmp(&a.1.abs()));
    let most: Vec<String> = words
        .iter()
        .take(5)
        .map(|(word, share)| format!("{word} {share:+.4}"))
        .collect();
    if !most.is_empty() {
        text += &format!(" (what mattered: {})", most.join(", "));
    }
    text + "\n"
}

fn entry(model: &Model, input: &str, answer: &Answer) -> Value {
    let one = |(name, p): &(String, f32)| json!({"class": name, "probability": p});
    let word = |(word, share): &(String, f32)| json!({"word": word, "share": share});
    let (best, p) = &answer.classes[0];
    let mut entry = json!({
        (key(model)): input, "class": best, "probability": p,
        "classes": answer.classes.iter().map(one).collect::<Vec<_>>(),
    });
    if !answer.words.is_empty() {
        entry["words"] = answer.words.iter().map(word).collect();
    }
    if !answer.unknown.is_empty() {
        entry["unknown"] = json!(answer.unknown);
    }
    if answer.unread > 0 {
        entry["unread"] = json!(answer.unread);
    }
    entry
}
