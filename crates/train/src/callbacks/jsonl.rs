//! Figures as JSON lines: `{"step", "epoch", "split", "name", "value", "time"}`.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::PathBuf;
use std::time::{SystemTime, UNIX_EPOCH};

use mapsto_tensor::checkpoint::write_atomic;
use serde_json::{Value, json};

use crate::callback::{Callback, Context, Logs};
use crate::error::{Error, Result};
use crate::snapshot::Position;

/// Appends figures to a file: running ones every some steps, all of them after an epoch.
///
/// A resumed run first removes the lines of steps that it is going to repeat.
#[derive(Debug)]
pub struct JsonlLog {
    path: PathBuf,
    every_steps: u64,
    file: Option<File>,
}

impl JsonlLog {
    /// Writes to `path`, running figures every 50 steps.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self {
            path: path.into(),
            every_steps: 50,
            file: None,
        }
    }

    fn write(&mut self, position: Position, epoch: usize, logs: &Logs) -> Result<()> {
        let time = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default()
            .as_secs_f64();
        let mut text = String::new();
        for (name, value) in logs {
            let (split, name) = name.split_once('.').unwrap_or(("", name));
            let line = json!({
                "step": position.step, "epoch": epoch, "split": split,
                "name": name, "value": value, "time": time,
            });
            text += &format!("{line}\n");
        }
        match &mut self.file {
            Some(file) => file
                .write_all(text.as_bytes())
                .map_err(Error::io("write", &self.path)),
            None => Ok(()),
        }
    }

    /// The lines up to `step` of what is there already.
    fn kept(&self, step: u64) -> String {
        let old = std::fs::read_to_string(&self.path).unwrap_or_default();
        let is_kept = |line: &&str| {
            let value: Option<Value> = serde_json::from_str(line).ok();
            value
                .and_then(|v| v["step"].as_u64())
                .is_some_and(|s| s <= step)
        };
        old.lines()
            .filter(is_kept)
            .map(|line| format!("{line}\n"))
            .collect()
    }
}

impl Callback for JsonlLog {
    fn name(&self) -> &'static str {
        "jsonl_log"
    }

    fn on_fit_start(&mut self, context: &mut Context<'_>) -> Result<()> {
        let kept = if context.position.step == 0 {
            String::new()
        } else {
            self.kept(context.position.step)
        };
        write_atomic(&self.path, kept.as_bytes()).map_err(Error::io("write", &self.path))?;
        let file = OpenOptions::new().append(true).open(&self.path);
        self.file = Some(file.map_err(Error::io("open", &self.path))?);
        Ok(())
    }

    fn on_batch_end(&mut self, context: &mut Context<'_>) -> Result<()> {
        if context.position.step % self.every_steps != 0 {
            return Ok(());
        }
        self.write(context.position, context.position.epoch, context.logs)
    }

    fn on_epoch_end(&mut self, context: &mut Context<'_>) -> Result<()> {
        self.write(context.position, context.position.epoch - 1, context.logs)
    }
}
