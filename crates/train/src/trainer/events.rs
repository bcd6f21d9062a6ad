//! What callbacks are told, and what is done with what they ask for.

use std::sync::atomic::Ordering;

use super::{Optimizers, Trainer};
use crate::callback::{Context, Logs, StopReason};
use crate::error::Result;

/// The events that callbacks see.
#[derive(Clone, Copy)]
pub(super) enum Event {
    FitStart,
    Batch,
    Epoch,
    FitEnd,
}

impl<O, S: Optimizers> Trainer<O, S> {
    /// Tells all callbacks, then does what they asked for.
    pub(super) fn emit(
        &mut self,
        event: Event,
        epochs: usize,
        batches: Option<usize>,
        logs: &Logs,
    ) -> Result<()> {
        let averaged = match event {
            Event::Epoch => self.averaged(),
            _ => None,
        };
        let mut context = Context {
            position: self.position,
            epochs,
            batches,
            samples: self.samples,
            logs,
            lr: rate(&self.step),
            store: &self.store,
            averaged: averaged.as_ref(),
            history: &self.history,
            stop: None,
            restore: None,
            snapshot: false,
        };
        for callback in &mut self.callbacks {
            match event {
                Event::FitStart => callback.on_fit_start(&mut context)?,
                Event::Batch => callback.on_batch_end(&mut context)?,
                Event::Epoch => callback.on_epoch_end(&mut context)?,
                Event::FitEnd => callback.on_fit_end(&mut context)?,
            }
        }
        let Context {
            mut stop,
            restore,
            mut snapshot,
            ..
        } = context;
        if matches!(event, Event::Batch | Event::Epoch) && self.interrupt.load(Ordering::Relaxed) {
            stop = Some(StopReason::Interrupted);
            snapshot = true;
        }
        if let Some(weights) = restore {
            self.store.load_state_dict(&weights, true)?;
        }
        if snapshot {
            let snapshot = self.snapshot()?;
            for callback in &mut self.callbacks {
                callback.on_snapshot(&snapshot)?;
            }
        }
        if self.stop.is_none() {
            self.stop = stop;
        }
        Ok(())
    }
}

/// The learning rate of the next step, of the first optimizer.
fn rate(step: &impl Optimizers) -> f64 {
    let optimizers = step.optimizers();
    optimizers
        .first()
        .map_or(0.0, |(_, optimizer)| optimizer.lr())
}
