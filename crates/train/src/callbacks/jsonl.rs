//! Figures as JSON lines: `{"step", "epoch", "split", "name", "value", "time"}`; a value that is
//! not finite is `null`.

use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Write};
use std::path::PathBuf;
use std::time::{SystemTime, UNIX_EPOCH};

use mapsto_tensor::StateDict;
use mapsto_tensor::checkpoint::write_atomic;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::callback::{Callback, Context, Logs};
use crate::error::{Error, Result};
use crate::snapshot::Position;

/// Appends figures to a file: running ones every some steps, all of them after an epoch.
///
/// A resumed run first removes the lines written after the snapshot it goes on from.
#[derive(Debug)]
pub struct JsonlLog {
    path: PathBuf,
    every_steps: u64,
    /// Lines written so far.
    lines: usize,
    file: Option<File>,
}

impl JsonlLog {
    /// Writes to `path`, running figures every 50 steps.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self {
            path: path.into(),
            every_steps: 50,
            lines: 0,
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
        if let Some(file) = &mut self.file {
            let written = file.write_all(text.as_bytes());
            written.map_err(Error::io("write", &self.path))?;
            self.lines += logs.len();
        }
        Ok(())
    }

    /// The first lines of what is there already, up to the number that the state knows; a line
    /// that a crash cut off is none.
    fn kept(&self) -> Result<Vec<u8>> {
        let old = match std::fs::read(&self.path) {
            Err(error) if error.kind() == ErrorKind::NotFound => vec![],
            other => other.map_err(Error::io("read", &self.path))?,
        };
        let lines = old.split_inclusive(|&byte| byte == b'\n');
        let whole = lines.filter(|line| line.ends_with(b"\n"));
        Ok(whole.take(self.lines).flatten().copied().collect())
    }
}

impl Callback for JsonlLog {
    fn name(&self) -> &'static str {
        "jsonl_log"
    }

    fn on_fit_start(&mut self, _: &mut Context<'_>) -> Result<()> {
        let kept = self.kept()?;
        self.lines = kept.iter().filter(|&&byte| byte == b'\n').count();
        write_atomic(&self.path, &kept).map_err(Error::io("write", &self.path))?;
        let file = OpenOptions::new().append(true).open(&self.path);
        self.file = Some(file.map_err(Error::io("open", &self.path))?);
        Ok(())
    }

    fn on_batch_end(&mut self, context: &mut Context<'_>) -> Result<()> {
        // The figures after the last batch are those of the epoch, which follow.
        let is_last = context.batches == Some(context.position.batch);
        if is_last || !context.position.step.is_multiple_of(self.every_steps) {
            return Ok(());
        }
        self.write(context.position, context.position.epoch, context.logs)
    }

    fn on_epoch_end(&mut self, context: &mut Context<'_>) -> Result<()> {
        self.write(context.position, context.position.epoch - 1, context.logs)
    }

    fn state(&self) -> Value {
        json!({"lines": self.lines})
    }

    fn load_state(&mut self, state: &Value, _: StateDict) -> serde_json::Result<()> {
        self.lines = usize::deserialize(&state["lines"])?;
        Ok(())
    }
}
