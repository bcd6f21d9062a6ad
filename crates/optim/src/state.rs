//! The state of an [`Optim`](crate::Optim): one [`Entry`] a parameter, saved and loaded by name.

use mapsto_tensor::{DType, Device, Result, StateDict, Tensor, Var, bail};

/// Key of the number of steps, and last part of the key of a parameter's own count.
const STEP: &str = "step";

/// One parameter and what its rule remembers of it.
#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) name: String,
    pub(crate) var: Var,
    /// Which of the optimizer's rules updates it.
    pub(crate) group: usize,
    /// Updates so far; fewer than the optimizer's steps if it had no gradient in some.
    pub(crate) updates: u64,
    pub(crate) slots: Vec<&'static str>,
    pub(crate) state: Vec<Tensor>,
}

impl Entry {
    pub(crate) fn new(name: String, var: Var) -> Result<Self> {
        if !var.dtype().is_float() {
            bail!(
                "\"{name}\" has dtype {:?}; only floats can be trained",
                var.dtype()
            );
        }
        Ok(Self {
            name,
            var,
            group: 0,
            updates: 0,
            slots: vec![],
            state: vec![],
        })
    }

    /// Puts the parameter under a rule with these slots, all zero.
    pub(crate) fn assign(&mut self, group: usize, slots: Vec<&'static str>) -> Result<()> {
        self.group = group;
        self.state = slots
            .iter()
            .map(|_| self.var.zeros_like().map(|zeros| zeros.detach()))
            .collect::<Result<_>>()?;
        self.slots = slots;
        Ok(())
    }

    fn key(&self, slot: &str) -> String {
        format!("{}.{slot}", self.name)
    }
}

/// A copy of everything.
pub(crate) fn save(entries: &[Entry], steps: u64) -> Result<StateDict> {
    let mut dict = StateDict::from([(STEP.to_owned(), count_tensor(steps)?)]);
    for entry in entries {
        for (slot, tensor) in entry.slots.iter().zip(&entry.state) {
            dict.insert(entry.key(slot), tensor.copy()?);
        }
        if entry.updates != steps {
            dict.insert(entry.key(STEP), count_tensor(entry.updates)?);
        }
    }
    Ok(dict)
}

/// Takes over a copy and returns the number of steps; checks everything before the first change.
pub(crate) fn load(entries: &mut [Entry], dict: &StateDict) -> Result<u64> {
    check_names_and_shapes(entries, dict)?;
    let steps = match dict.get(STEP) {
        Some(count) => read_count(STEP, count)?,
        None => bail!("the optimizer state has no \"{STEP}\""),
    };
    let mut loaded = vec![];
    for entry in entries.iter() {
        let own = entry.key(STEP);
        let updates = match dict.get(&own) {
            Some(count) => read_count(&own, count)?,
            None => steps,
        };
        let mut state = vec![];
        for (slot, current) in entry.slots.iter().zip(&entry.state) {
            let tensor = match dict.get(&entry.key(slot)) {
                Some(tensor) => tensor
                    .to_device(current.device())?
                    .to_dtype(current.dtype())?,
                None => bail!("the optimizer state has no \"{}\"", entry.key(slot)),
            };
            state.push(tensor.force_contiguous()?.detach());
        }
        loaded.push((updates, state));
    }
    for (entry, (updates, state)) in entries.iter_mut().zip(loaded) {
        entry.updates = updates;
        entry.state = state;
    }
    Ok(steps)
}

fn check_names_and_shapes(entries: &[Entry], dict: &StateDict) -> Result<()> {
    let mut wrong = vec![];
    let mut known = vec![STEP.to_owned()];
    if !dict.contains_key(STEP) {
        wrong.push(format!("missing {STEP}"));
    }
    for entry in entries {
        known.push(entry.key(STEP));
        for slot in &entry.slots {
            let key = entry.key(slot);
            match dict.get(&key) {
                None => wrong.push(format!("missing {key}")),
                Some(tensor) if tensor.shape() != entry.var.shape() => wrong.push(format!(
                    "{key} is {:?} instead of {:?}",
                    tensor.dims(),
                    entry.var.dims()
                )),
                Some(_) => {}
            }
            known.push(key);
        }
    }
    known.sort_unstable();
    let unexpected = dict.keys().filter(|key| known.binary_search(key).is_err());
    wrong.extend(unexpected.map(|key| format!("unexpected {key}")));
    if !wrong.is_empty() {
        bail!(
            "the optimizer state does not fit: {}; it must come from the same rule and the same \
             trainable parameters",
            wrong.join(", ")
        );
    }
    Ok(())
}

fn count_tensor(count: u64) -> Result<Tensor> {
    Tensor::new(count as i64, &Device::Cpu)
}

fn read_count(key: &str, tensor: &Tensor) -> Result<u64> {
    if tensor.rank() != 0 {
        bail!(
            "{key} must be a single number, got shape {:?}",
            tensor.dims()
        );
    }
    let count = tensor.to_dtype(DType::I64)?.to_scalar::<i64>()?;
    match u64::try_from(count) {
        Ok(count) => Ok(count),
        Err(_) => bail!("{key} must be at least 0, got {count}"),
    }
}
