//! `mapsto generate`.

use std::path::{Path, PathBuf};

use anyhow::{Result, anyhow};
use mapsto_data::contact_sheet;
use mapsto_models::gan::GanPipeline;
use mapsto_models::kind_of;
use mapsto_models::lstm::language::{Sampling, Writer};
use mapsto_tensor::parse_device;
use serde_json::json;

use crate::args::GenerateArgs;
use crate::evaluate::checkpoint;
use crate::exit::Usage;
use crate::{print, print_json};

/// Tokens, and pictures, that are made without `-n`.
const TOKENS: usize = 100;
const PICTURES: usize = 64;

/// How much larger than life pictures are shown.
const ENLARGED: usize = 2;

pub(crate) fn run(args: &GenerateArgs, json: bool) -> Result<()> {
    let path = checkpoint(&args.run)?;
    let of_texts = [
        ("--prompt", args.prompt.is_some()),
        ("--temperature", args.temperature.is_some()),
        ("--top-k", args.top_k.is_some()),
        ("--top-p", args.top_p.is_some()),
    ];
    let of_pictures = [
        ("--class", args.class.is_some()),
        ("--out", args.out.is_some()),
        ("--interpolate", args.interpolate),
    ];
    if kind_of(&path)? == "gan" {
        refuse(&of_texts, "makes no texts")?;
        make(args, &path, json)
    } else {
        refuse(&of_pictures, "makes no pictures")?;
        write(args, &path, json)
    }
}

/// Fails if one of these flags was given.
fn refuse(flags: &[(&str, bool)], why: &str) -> Result<()> {
    match flags.iter().find(|(_, given)| *given) {
        Some((flag, _)) => Err(Usage(format!("{flag}: the model {why}")).into()),
        None => Ok(()),
    }
}

fn write(args: &GenerateArgs, path: &Path, json: bool) -> Result<()> {
    let sampling = Sampling {
        temperature: args.temperature.unwrap_or(1.0),
        top_k: args.top_k.unwrap_or(0),
        top_p: args.top_p.unwrap_or(1.0),
    };
    sampling.validate()?;
    let prompt = args.prompt.as_deref().unwrap_or_default();
    let writer = Writer::load(path, &parse_device(&args.device)?)?;
    let (_, unknown) = writer.read(prompt)?;
    if !unknown.is_empty() {
        eprintln!(
            "the model does not know these words of the prompt: {}",
            unknown.join(", ")
        );
    }
    let mut failure = None;
    let mut stream = |piece: &str| match if json { Ok(()) } else { print(piece) } {
        Ok(()) => true,
        Err(error) => {
            failure = Some(error);
            false
        }
    };
    stream(prompt);
    let n = args.n.unwrap_or(TOKENS);
    let text = writer.generate(prompt, &sampling, n, args.seed, &mut stream)?;
    match failure {
        Some(error) => Err(error),
        None if json => print_json(&json!({
            "run": args.run, "prompt": prompt, "text": text, "seed": args.seed,
        })),
        None => print("\n"),
    }
}

fn make(args: &GenerateArgs, path: &Path, json: bool) -> Result<()> {
    let gan = GanPipeline::load(path, &parse_device(&args.device)?)?;
    let n = args.n.unwrap_or(PICTURES);
    let class = args
        .class
        .as_deref()
        .map(|name| gan.class(name))
        .transpose()?;
    if !gan.description.config.makes_pictures() {
        refuse(
            &[("--out", args.out.is_some())],
            "makes points and no pictures",
        )?;
        refuse(
            &[("--interpolate", args.interpolate)],
            "makes points and no pictures",
        )?;
        let points = gan.sample(n, class, args.seed)?.to_vec2::<f32>()?;
        if json {
            return print_json(&json!({"run": args.run, "points": points, "seed": args.seed}));
        }
        let line = |point: &Vec<f32>| {
            let numbers: Vec<String> = point.iter().map(f32::to_string).collect();
            numbers.join(" ") + "\n"
        };
        return print(&points.iter().map(line).collect::<String>());
    }
    if n == 0 {
        return Err(Usage("-n must be at least 1, got 0".to_owned()).into());
    }
    // Classes in turn stand one below the other.
    let columns = match (class, gan.description.config.classes) {
        (None, classes) if gan.is_conditional() => classes,
        _ => (n as f64).sqrt().ceil() as usize,
    };
    let pictures = if args.interpolate {
        gan.interpolate(n.div_ceil(columns), columns, args.seed)?
    } else {
        gan.pictures(n, class, args.seed)?
    };
    let out = args
        .out
        .clone()
        .unwrap_or_else(|| PathBuf::from("samples.png"));
    let sheet = contact_sheet(&pictures, columns)?.enlarge(ENLARGED)?;
    // A file that cannot be written is no damaged data, which have an exit code of their own.
    sheet.save_png(&out).map_err(|error| anyhow!("{error}"))?;
    if json {
        return print_json(&json!({
            "run": args.run, "file": out, "pictures": pictures.len(), "class": args.class,
            "seed": args.seed,
        }));
    }
    print(&format!(
        "{} pictures in {}\n",
        pictures.len(),
        out.display()
    ))
}
