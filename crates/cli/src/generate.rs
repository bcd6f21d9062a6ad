//! `mapsto generate`.

use anyhow::Result;
use mapsto_models::lstm::language::{Sampling, Writer};
use mapsto_tensor::parse_device;
use serde_json::json;

use crate::args::GenerateArgs;
use crate::evaluate::checkpoint;
use crate::{print, print_json};

pub(crate) fn run(args: &GenerateArgs, json: bool) -> Result<()> {
    let sampling = Sampling {
        temperature: args.temperature,
        top_k: args.top_k,
        top_p: args.top_p,
    };
    sampling.validate()?;
    let writer = Writer::load(checkpoint(&args.run)?, &parse_device(&args.device)?)?;
    let (_, unknown) = writer.read(&args.prompt)?;
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
    stream(&args.prompt);
    let text = writer.generate(&args.prompt, &sampling, args.n, args.seed, &mut stream)?;
    match failure {
        Some(error) => Err(error),
        None if json => print_json(&json!({
            "run": args.run, "prompt": args.prompt, "text": text, "seed": args.seed,
        })),
        None => print("\n"),
    }
}
