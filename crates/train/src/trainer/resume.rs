//! The state of a [`Trainer`] as a [`Snapshot`], and back: all of it or nothing.

use mapsto_tensor::{Device, StateDict};
use serde_json::{Value, json};

use super::{Optimizers, Trainer};
use crate::error::{Error, Result};
use crate::history::History;
use crate::snapshot::{AVERAGED, Snapshot};

impl<O, S: Optimizers> Trainer<O, S> {
    /// The whole state, from which [`resume`](Self::resume) goes on.
    ///
    /// # Errors
    /// When a tensor cannot be copied.
    pub fn snapshot(&self) -> Result<Snapshot> {
        let mut snapshot = Snapshot::take(&self.store, &self.step.optimizers(), self.position)?;
        snapshot.insert("measure", self.measure.state());
        snapshot.insert("history", json!(self.history));
        let mut states = serde_json::Map::new();
        for callback in &self.callbacks {
            states.insert(callback.name().to_owned(), callback.state());
            let tensors = copied(callback.tensors(), &self.store.device())?;
            snapshot.insert_tensors(&format!("callback/{}", callback.name()), tensors);
        }
        if let Some(averaged) = self.averaged() {
            snapshot.insert_tensors(AVERAGED, copied(averaged, &self.store.device())?);
        }
        snapshot.insert("callbacks", Value::Object(states));
        snapshot.describe(&self.description);
        Ok(snapshot)
    }

    /// Takes over a snapshot of a trainer with the same parts; `fit` then goes on from there.
    ///
    /// # Errors
    /// When the snapshot belongs to another model, optimizer or set of callbacks; nothing has
    /// changed then.
    pub fn resume(&mut self, snapshot: &Snapshot) -> Result<()> {
        let history: History = snapshot.training("history")?;
        let mut measure = self.measure.fresh();
        measure
            .load_state(&snapshot.training("measure")?)
            .map_err(Error::not_resumable)?;
        let before: Vec<(Value, StateDict)> = self
            .callbacks
            .iter()
            .map(|callback| (callback.state(), callback.tensors()))
            .collect();
        let restored = self
            .resume_callbacks(snapshot)
            .and_then(|()| snapshot.restore(&self.store, &mut self.step.optimizers_mut()));
        if restored.is_err() {
            for (callback, (state, tensors)) in self.callbacks.iter_mut().zip(before) {
                // What a callback said about itself it takes back; the first error is reported.
                let _ = callback.load_state(&state, tensors);
            }
        }
        self.position = restored?;
        (self.measure, self.history) = (measure, history);
        Ok(())
    }

    fn resume_callbacks(&mut self, snapshot: &Snapshot) -> Result<()> {
        let states: Value = snapshot.training("callbacks")?;
        for callback in &mut self.callbacks {
            let name = callback.name();
            let Some(state) = states.get(name) else {
                // One that remembers nothing, such as another way to show progress, may join.
                if callback.state().is_null() {
                    continue;
                }
                return Err(Error::not_resumable(format!(
                    "the run was trained without the callback \"{name}\""
                )));
            };
            let tensors = snapshot.tensors_of(&format!("callback/{name}"));
            let tensors = copied(tensors, &self.store.device())?;
            callback
                .load_state(state, tensors)
                .map_err(|error| Error::not_resumable(format!("callback {name}: {error}")))?;
        }
        Ok(())
    }
}

/// A callback may go on changing its tensors in place, those of a snapshot stay; and a snapshot of a file
/// lies in the memory of the CPU.
fn copied(tensors: StateDict, device: &Device) -> Result<StateDict> {
    let copies = tensors
        .into_iter()
        .map(|(name, tensor)| Ok((name, tensor.copy()?.to_device(device)?)));
    copies.collect()
}
