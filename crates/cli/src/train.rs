//! `mapsto train`.

use std::io::IsTerminal;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::Result;
use mapsto_models::{Options, Recipe, Report, Settings};
use mapsto_train::{Callback, Context, Progress, RunFolder, StopReason};

use crate::args::{ProgressKind, TrainArgs};
use crate::exit::{INTERRUPTED, Usage};
use crate::recipes::by_recipe;
use crate::{PROGRAM, config, print, print_json};

/// Free too, unless what is done depends on it.
const EPOCHS: &str = "train.epochs";

/// Settings that may change when a run goes on: they do not touch the bits of what is done.
const FREE_ON_RESUME: [&str; 4] = [EPOCHS, "train.save_every", "train.threads", "data.workers"];

pub(crate) fn run(args: &TrainArgs, json: bool) -> Result<ExitCode> {
    by_recipe!(&args.recipe, R => run_recipe::<R>(args, json))
}

fn run_recipe<R: Recipe>(args: &TrainArgs, json: bool) -> Result<ExitCode> {
    let resumed = match &args.resume {
        None => None,
        Some(Some(path)) => Some(RunFolder::resume(path)?),
        Some(None) => Some(RunFolder::resume(&newest_unfinished(args)?)?),
    };
    let settings: R::Settings = settings(args, resumed.as_ref())?;
    if args.print_config {
        print(&config::to_text(&settings)?)?;
        return Ok(ExitCode::SUCCESS);
    }
    let recipe = R::new(settings.clone())?;
    let resume = resumed.is_some();
    let text = config::to_text(&settings)?;
    let mut callbacks = callbacks(args.progress);
    let run = match resumed {
        Some(run) => {
            recipe.check_data(&run)?;
            callbacks.push(Box::new(Changed {
                run: run.path().to_owned(),
                settings: text,
            }));
            run
        }
        None => {
            let name = args.name.as_deref();
            RunFolder::create::<anyhow::Error>(&args.out, &args.recipe, name, |run| {
                recipe.record(run, PROGRAM)?;
                Ok(run.write_text("config.toml", &text)?)
            })?
        }
    };
    eprintln!("run {}", run.path().display());
    let report = recipe.train(
        &run,
        resume,
        Options {
            callbacks,
            interrupt: interrupt()?,
        },
    )?;
    show(&args.recipe, &report, json)?;
    if report.stopped == StopReason::Interrupted {
        let folder = run.path().display();
        eprintln!(
            "interrupted; go on with: mapsto train {} --resume {folder}",
            args.recipe
        );
        return Ok(ExitCode::from(INTERRUPTED));
    }
    Ok(ExitCode::SUCCESS)
}

/// Stores the settings of a run that goes on, once its checkpoint has been taken over.
#[derive(Debug)]
struct Changed {
    run: PathBuf,
    settings: String,
}

impl Callback for Changed {
    fn name(&self) -> &'static str {
        "changed_settings"
    }

    fn on_fit_start(&mut self, _: &mut Context<'_>) -> Result<(), mapsto_train::Error> {
        RunFolder::open(&self.run)?.write_text("config.toml", &self.settings)
    }
}

/// The run that `--resume` without a value means.
pub(crate) fn newest_unfinished(args: &TrainArgs) -> Result<PathBuf> {
    let newest = RunFolder::newest_unfinished(&args.out, &args.recipe);
    newest.ok_or_else(|| {
        Usage(format!(
            "no unfinished run in {}; name one: --resume RUN",
            args.out.display()
        ))
        .into()
    })
}

fn settings<S: Settings>(args: &TrainArgs, resumed: Option<&RunFolder>) -> Result<S> {
    let Some(run) = resumed else {
        return Ok(with_whole_paths(config::resolve(&args.settings)?));
    };
    let stored: S = config::of_run(run.path())?;
    let settings = with_whole_paths(config::resolve_onto(&args.settings, &stored)?);
    let changed = config::difference(&stored, &settings)?;
    let mut free = FREE_ON_RESUME.to_vec();
    if config::depends_on_epochs(&stored)? {
        free.retain(|&key| key != EPOCHS);
    }
    let is_fixed = |key: &String| !free.contains(&key.as_str());
    let fixed: Vec<String> = changed.into_iter().filter(is_fixed).collect();
    if !fixed.is_empty() {
        let free = free.join(", ");
        let fixed = fixed.join(", ");
        return Err(Usage(format!(
            "a resumed run keeps its settings; {fixed} cannot change (only {free} can): start a new run"
        ))
        .into());
    }
    Ok(settings)
}

/// A run can then be resumed from anywhere.
fn with_whole_paths<S: Settings>(mut settings: S) -> S {
    for name in settings.paths_mut() {
        if let Ok(path) = std::fs::canonicalize(&*name)
            && !S::EMBEDDED.contains(&name.as_str())
        {
            *name = path.display().to_string();
        }
    }
    settings
}

fn callbacks(kind: ProgressKind) -> Vec<Box<dyn Callback>> {
    match kind {
        ProgressKind::None => vec![],
        ProgressKind::Plain => vec![Box::new(Progress::lines(std::io::stderr()))],
        ProgressKind::Auto if !std::io::stderr().is_terminal() => callbacks(ProgressKind::Plain),
        ProgressKind::Auto | ProgressKind::Bar => vec![Box::new(Progress::bar())],
    }
}

/// A flag that the first Ctrl-C sets; the second ends the program at once.
fn interrupt() -> Result<Arc<AtomicBool>> {
    let flag = Arc::new(AtomicBool::new(false));
    let set = Arc::clone(&flag);
    ctrlc::set_handler(move || {
        if set.swap(true, Ordering::Relaxed) {
            std::process::exit(i32::from(INTERRUPTED));
        }
        eprintln!("\nstopping after this step; once more to stop at once");
    })?;
    Ok(flag)
}

fn show(recipe: &str, report: &Report, json: bool) -> Result<()> {
    if json {
        return print_json(report);
    }
    let mut text = String::new();
    for (split, figures) in &report.metrics {
        let figures: Vec<String> = figures
            .iter()
            .map(|(name, value)| format!("{name} {value:.4}"))
            .collect();
        text += &format!("{split}: {}\n", figures.join(", "));
    }
    if let StopReason::Stopped(reason) = &report.stopped {
        text += &format!("stopped: {reason}\n");
    }
    text += &format!(
        "{} epochs, {} steps, {:.1} s, {:.0} samples/s\n",
        report.epochs, report.steps, report.seconds, report.samples_per_second
    );
    text += &format!(
        "run: {}\nnext: mapsto {}\n",
        report.run,
        next(recipe, &report.run)
    );
    print(&text)
}

/// What to do with a trained model.
fn next(recipe: &str, run: &str) -> String {
    match recipe {
        "lm" | "gan" => format!("generate {run}"),
        "translate" => format!("translate {run} \"a text\""),
        "sentiment" => format!("predict {run} \"a text\""),
        _ => format!("predict {run} picture.png"),
    }
}
