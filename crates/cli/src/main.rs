//! The `mapsto` command: trains, evaluates and asks models.
//!
//! Results go to standard output, progress and logs to standard error.
// The one crate whose work is to print.
#![allow(clippy::print_stdout, clippy::print_stderr)]

mod args;
mod config;
mod data;
mod evaluate;
mod exit;
mod generate;
mod inspect;
mod predict;
mod recipes;
mod suggest;
mod train;
mod translate;

use std::io::Write;
use std::process::ExitCode;

use anyhow::Result;
use args::{Cli, Command};
use clap::{CommandFactory, Parser};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Program name and version, as stored in run folders.
const PROGRAM: &str = concat!("mapsto ", env!("CARGO_PKG_VERSION"));

fn main() -> ExitCode {
    let cli = Cli::parse();
    // The pool comes first, because everything runs inside it.
    let threads = match config::threads(&cli.command) {
        Ok(threads) => threads,
        Err(error) => return exit::report(&error),
    };
    match mapsto_tensor::threads::run(threads, || run(&cli)) {
        Ok(code) => code,
        Err(error) => exit::report(&error),
    }
}

fn run(cli: &Cli) -> Result<ExitCode> {
    let json = cli.json;
    match &cli.command {
        Command::Train(args) => train::run(args, json),
        Command::Eval(args) => evaluate::run(args, json),
        Command::Predict(args) => predict::run(args, json),
        Command::Generate(args) => generate::run(args, json).map(|()| ExitCode::SUCCESS),
        Command::Translate(args) => translate::run(args, json),
        Command::Summary(args) => inspect::summary(args, json).map(|()| ExitCode::SUCCESS),
        Command::Models(args) => inspect::models(args, json).map(|()| ExitCode::SUCCESS),
        Command::Data(args) => data::run(args, json).map(|()| ExitCode::SUCCESS),
        Command::Completions { shell } => {
            let mut script = vec![];
            clap_complete::generate(*shell, &mut Cli::command(), "mapsto", &mut script);
            print(&String::from_utf8_lossy(&script)).map(|()| ExitCode::SUCCESS)
        }
    }
}

/// Writes a result to standard output. A reader that went away (`| head`) is no failure.
fn print(text: &str) -> Result<()> {
    let mut out = std::io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => Err(error.into()),
        _ => Ok(()),
    }
}

/// Writes a result as one line of JSON.
fn print_json(value: &impl serde::Serialize) -> Result<()> {
    print(&(serde_json::to_string(value)? + "\n"))
}
