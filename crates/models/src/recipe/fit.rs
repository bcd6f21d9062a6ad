//! [`fit`]: the run of a trainer in its folder, the same for every recipe.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Instant;

use mapsto_tensor::ParamStore;
use mapsto_train::{
    BestCheckpoint, BoxError, EarlyStopping, EpochRecord, Error as TrainError, JsonlLog,
    LastCheckpoint, Monitor, Optimizers, Progress, RunFolder, Scores, Snapshot, Step, StopReason,
    TerminateOnNan, Trainer, weights_sha256,
};

use super::{Measured, Options, Report, TrainSettings};
use crate::error::{Error, Result};

/// Gives a trainer the callbacks of every recipe: log, figures, checkpoints, early stopping by
/// `monitor` where there is a validation set, and those of `options`.
pub(crate) fn watched<O, S: Optimizers>(
    mut trainer: Trainer<O, S>,
    run: &RunFolder,
    settings: &TrainSettings,
    monitor: Option<Monitor>,
    options: Options,
) -> Result<Trainer<O, S>> {
    trainer = trainer
        .seed(settings.seed)
        .interrupt(options.interrupt)
        .callback(TerminateOnNan)
        .callback(Progress::lines(run.log()?).named("log"))
        .callback(JsonlLog::new(run.file("metrics.jsonl")))
        .callback(LastCheckpoint::new(run.last()).every_steps(settings.save_every))
        .callback(match &monitor {
            Some(monitor) => BestCheckpoint::new(run.best(), monitor.clone()),
            None => BestCheckpoint::newest(run.best()),
        });
    if let Some(monitor) = monitor
        && settings.patience > 0
    {
        trainer = trainer.callback(EarlyStopping::new(monitor, settings.patience));
    }
    for callback in options.callbacks {
        trainer = trainer.boxed_callback(callback);
    }
    Ok(trainer)
}

/// The data of a run as passes over batches.
pub(crate) struct Passes<T, V, S> {
    /// The batches of an epoch.
    pub(crate) train: T,
    /// Measures the model after each epoch, if there is a validation set.
    pub(crate) validation: Option<V>,
    /// Measures the finished model, if there is anything that it did not learn from or choose by.
    pub(crate) test: Option<S>,
}

/// Trains, going on from the last checkpoint if `resume`, tests the best weights, and writes
/// figures and result into the folder.
pub(crate) fn fit<O, S, B, I, E>(
    mut trainer: Trainer<O, S>,
    store: &ParamStore,
    run: &RunFolder,
    resume: bool,
    settings: &TrainSettings,
    passes: Passes<
        impl Fn(usize) -> I,
        impl Fn(&Trainer<O, S>) -> Result<Scores, TrainError>,
        impl FnOnce(&Trainer<O, S>) -> Result<Scores>,
    >,
) -> Result<Report>
where
    S: Step<O, B>,
    I: Iterator<Item = Result<B, E>>,
    E: Into<BoxError>,
{
    let started = Instant::now();
    // A run that was killed before its first checkpoint starts again.
    if resume && run.last().exists() {
        let snapshot = Snapshot::load(&run.last())?;
        trainer
            .resume(&snapshot)
            .map_err(|error| naming(error, &run.last()))?;
        run.remove_result()?;
    }
    let limit = match settings.limit_batches {
        0 => usize::MAX,
        limit => limit,
    };
    let batches = |epoch| (passes.train)(epoch).take(limit);
    let history = match &passes.validation {
        Some(validation) => trainer.fit_scored(settings.epochs, batches, validation)?,
        None => trainer.fit(settings.epochs, batches)?,
    };
    let training_seconds = started.elapsed().as_secs_f64();
    run.write_text("metrics.csv", &history.to_csv())?;
    let mut stopped = trainer
        .stop_reason()
        .cloned()
        .unwrap_or(StopReason::Completed);
    let mut metrics = history.epochs.last().map(by_split).unwrap_or_default();
    let mut details = BTreeMap::new();
    if stopped != StopReason::Interrupted {
        let best = Snapshot::load(&run.best())?;
        store.load_state_dict(&best.weights(), true)?;
    }
    if let Some(test) = passes.test
        && stopped != StopReason::Interrupted
    {
        match test(&trainer) {
            Ok(scores) => {
                metrics.insert("test".to_owned(), scores.values);
                details = scores.details;
            }
            Err(Error::Train(TrainError::Interrupted)) => stopped = StopReason::Interrupted,
            Err(error) => return Err(error),
        }
    }
    let report = Report {
        run: run.path().display().to_string(),
        metrics,
        details,
        epochs: trainer.position().epoch,
        steps: trainer.position().step,
        seconds: started.elapsed().as_secs_f64(),
        samples_per_second: trainer.samples() as f64 / training_seconds,
        stopped,
        weights_sha256: weights_sha256(&store.state_dict())?,
    };
    if report.stopped != StopReason::Interrupted {
        run.write_json("result.json", &report)?;
    }
    Ok(report)
}

/// `val.loss` becomes `loss` of `val`.
fn by_split(record: &EpochRecord) -> BTreeMap<String, Measured> {
    let mut metrics: BTreeMap<String, Measured> = BTreeMap::new();
    for (name, &value) in &record.logs {
        let (split, name) = name.split_once('.').unwrap_or(("train", name));
        let of_split = metrics.entry(split.to_owned()).or_default();
        of_split.insert(name.to_owned(), value);
    }
    metrics
}

fn naming(error: TrainError, path: &Path) -> TrainError {
    match error {
        TrainError::NotResumable { reason, .. } => TrainError::NotResumable {
            path: path.display().to_string(),
            reason,
        },
        other => other,
    }
}
