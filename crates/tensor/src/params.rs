//! [`ParamStore`]: the parameters and buffers of a model, ordered by name.
//!
//! It stands behind a candle `VarBuilder`, so every constructor that takes one, ours, candle's
//! or yours, puts its parameters here under PyTorch's names. Compared with candle's `VarMap`:
//! names are ordered, parameters are kept apart from buffers (running statistics), new values
//! are drawn from hash(seed, name), parts can be frozen, and loading checks everything before
//! it changes anything.
//!
//! ```
//! use mapsto_tensor::{DType, Device, ParamStore};
//! let store = ParamStore::new(DType::F32, &Device::Cpu).with_seed(42);
//! let fc = candle_nn::linear(3, 2, store.root().pp("fc"))?;
//! assert_eq!(store.names(), ["fc.bias", "fc.weight"]);
//! # Ok::<(), mapsto_tensor::Error>(())
//! ```

use std::collections::{BTreeMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use candle_core::{DType, Device, Result, Shape, Tensor, Var, bail};
use candle_nn::{Init, VarBuilder, var_builder::SimpleBackend};

use crate::checkpoint::{CheckpointError, LoadReport, StateDict};
use crate::init::{Initializer, sample_candle};
use crate::kernel::storage_address;
use crate::rng::Generator;

/// What an entry of a store is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ParamKind {
    /// Learned by gradients.
    Parameter,
    /// Part of the state but not learned, such as running statistics.
    Buffer,
}

/// Last parts of the names that batch and spectral normalisation give their buffers.
const BUFFERS: [&str; 5] = [
    "running_mean",
    "running_var",
    "num_batches_tracked",
    "weight_u",
    "weight_v",
];

#[derive(Debug)]
struct Inner {
    entries: BTreeMap<String, (Var, ParamKind)>,
    frozen: Vec<String>,
    seed: u64,
    dtype: DType,
    device: Device,
}

impl Inner {
    fn is_frozen(&self, name: &str) -> bool {
        self.frozen.iter().any(|prefix| name.starts_with(prefix))
    }

    /// What a layer gets: tracked only if it trains. Buffers always are, which lets their layer
    /// change them.
    fn hand_out(&self, name: &str, dtype: DType, device: &Device) -> Result<Tensor> {
        let (var, kind) = &self.entries[name];
        let tensor = if self.is_frozen(name) && *kind == ParamKind::Parameter {
            var.as_detached_tensor()
        } else {
            var.as_tensor().clone()
        };
        tensor.to_device(device)?.to_dtype(dtype)
    }
}

/// Named parameters and buffers; clones share them.
#[derive(Debug, Clone)]
#[doc(alias = "VarMap")]
pub struct ParamStore(Arc<Mutex<Inner>>);

impl ParamStore {
    /// An empty store whose new parameters have this dtype, on this device, drawn with seed 0.
    pub fn new(dtype: DType, device: &Device) -> Self {
        Self(Arc::new(Mutex::new(Inner {
            entries: BTreeMap::new(),
            frozen: vec![],
            seed: 0,
            dtype,
            device: device.clone(),
        })))
    }

    /// Sets the seed from which new parameters are drawn.
    #[must_use]
    pub fn with_seed(self, seed: u64) -> Self {
        self.lock().seed = seed;
        self
    }

    /// The builder at the root of the name tree.
    #[doc(alias = "var_builder")]
    pub fn root(&self) -> VarBuilder<'static> {
        VarBuilder::from_backend(Box::new(self.clone()), self.dtype(), self.device())
    }

    /// The dtype of new parameters.
    pub fn dtype(&self) -> DType {
        self.lock().dtype
    }

    /// The device that holds the parameters.
    pub fn device(&self) -> Device {
        self.lock().device.clone()
    }

    /// All names, in order.
    pub fn names(&self) -> Vec<String> {
        self.lock().entries.keys().cloned().collect()
    }

    /// The entry called `name`.
    pub fn get(&self, name: &str) -> Option<Var> {
        self.lock().entries.get(name).map(|(var, _)| var.clone())
    }

    /// Name, variable, kind and whether it is frozen, of every entry in name order.
    pub fn entries(&self) -> Vec<(String, Var, ParamKind, bool)> {
        let inner = self.lock();
        inner
            .entries
            .iter()
            .map(|(name, (var, kind))| (name.clone(), var.clone(), *kind, inner.is_frozen(name)))
            .collect()
    }

    /// The parameters that training changes, in name order: no buffers, nothing frozen.
    #[doc(alias = "parameters")]
    pub fn trainable(&self) -> Vec<(String, Var)> {
        self.entries()
            .into_iter()
            .filter(|(_, _, kind, frozen)| *kind == ParamKind::Parameter && !frozen)
            .map(|(name, var, _, _)| (name, var))
            .collect()
    }

    /// Keeps every parameter whose name starts with `prefix` out of training.
    ///
    /// Layers built afterwards get them without gradient tracking, which saves the work too.
    #[doc(alias = "requires_grad_")]
    pub fn freeze(&self, prefix: &str) {
        self.lock().frozen.push(prefix.to_owned());
    }

    /// Takes back [`freeze`](Self::freeze) of the same prefix.
    pub fn unfreeze(&self, prefix: &str) {
        self.lock().frozen.retain(|frozen| frozen != prefix);
    }

    /// Adds a tensor as a parameter or buffer, for models that bring their own values.
    ///
    /// # Errors
    /// When the name is taken.
    pub fn insert(&self, name: &str, value: &Tensor, kind: ParamKind) -> Result<Var> {
        let mut inner = self.lock();
        if inner.entries.contains_key(name) {
            bail!("the store already holds \"{name}\"");
        }
        let var = Var::from_tensor(&value.detach())?;
        inner.entries.insert(name.to_owned(), (var.clone(), kind));
        Ok(var)
    }

    /// Draws the parameter `name` anew with another initialiser, from hash(seed, name).
    ///
    /// # Errors
    /// When there is no such parameter or the initialiser does not suit its shape.
    pub fn init(&self, name: &str, initializer: &Initializer) -> Result<()> {
        let Some(var) = self.get(name) else {
            bail!(
                "the store holds no \"{name}\"; it holds {}",
                self.names().join(", ")
            );
        };
        let mut stream = Generator::for_name(self.lock().seed, name);
        let values = initializer.sample(var.dims(), &mut stream)?;
        var.set(&Tensor::from_vec(values, var.shape(), var.device())?.to_dtype(var.dtype())?)
    }

    /// All entries as detached tensors. They share memory with the store: copy them
    /// ([`Tensor::copy`]) to keep values across a training step.
    pub fn state_dict(&self) -> StateDict {
        self.lock()
            .entries
            .iter()
            .map(|(name, (var, _))| (name.clone(), var.as_detached_tensor()))
            .collect()
    }

    /// Compares names and shapes with those of a state dict.
    pub fn compare(&self, tensors: &StateDict) -> LoadReport {
        let inner = self.lock();
        let mut report = LoadReport::default();
        for (name, (var, _)) in &inner.entries {
            match tensors.get(name) {
                None => report.missing.push(name.clone()),
                Some(tensor) if tensor.shape() != var.shape() => {
                    let shapes = (name.clone(), var.shape().clone(), tensor.shape().clone());
                    report.mismatched.push(shapes);
                }
                Some(_) => {}
            }
        }
        let unexpected = tensors
            .keys()
            .filter(|name| !inner.entries.contains_key(*name));
        report.unexpected = unexpected.cloned().collect();
        report
    }

    /// Takes over all values of a state dict, cast to the store's dtype; with `strict`, names
    /// must agree exactly, otherwise what agrees is taken and the report says the rest.
    ///
    /// # Errors
    /// [`CheckpointError::Mismatch`] when shapes differ, or names in strict mode; nothing has
    /// changed then.
    pub fn load_state_dict(
        &self,
        tensors: &StateDict,
        strict: bool,
    ) -> std::result::Result<LoadReport, CheckpointError> {
        let report = self.compare(tensors);
        if !report.mismatched.is_empty() || strict && !report.is_exact() {
            return Err(CheckpointError::Mismatch(report));
        }
        let inner = self.lock();
        let own: HashSet<usize> = inner
            .entries
            .values()
            .map(|(var, _)| storage_address(var))
            .collect();
        let values = inner
            .entries
            .iter()
            .filter_map(|(name, (var, _))| tensors.get(name).map(|tensor| (var, tensor)))
            .map(|(var, tensor)| {
                let value = tensor.to_device(var.device())?.to_dtype(var.dtype())?;
                // A value of this store's own must not change before it has been read.
                let shared = own.contains(&storage_address(&value));
                Ok((var, if shared { value.copy()? } else { value }))
            })
            .collect::<Result<Vec<_>>>()?;
        for (var, value) in values {
            var.set(&value)?;
        }
        Ok(report)
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        // Every change below is a single insertion, so a panic elsewhere leaves no half state.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl SimpleBackend for ParamStore {
    fn get(
        &self,
        shape: Shape,
        name: &str,
        init: Init,
        dtype: DType,
        device: &Device,
    ) -> Result<Tensor> {
        let mut inner = self.lock();
        if !inner.entries.contains_key(name) {
            let mut stream = Generator::for_name(inner.seed, name);
            let values = sample_candle(&init, shape.dims(), &mut stream)?;
            let tensor = Tensor::from_vec(values, &shape, &Device::Cpu)?;
            let var = Var::from_tensor(&tensor.to_dtype(inner.dtype)?.to_device(&inner.device)?)?;
            let is_buffer = name
                .rsplit('.')
                .next()
                .is_some_and(|last| BUFFERS.contains(&last));
            let kind = if is_buffer {
                ParamKind::Buffer
            } else {
                ParamKind::Parameter
            };
            inner.entries.insert(name.to_owned(), (var, kind));
        }
        let (var, _) = &inner.entries[name];
        if var.shape() != &shape {
            bail!(
                "\"{name}\" is {:?} in the store, but {shape:?} was asked for",
                var.shape()
            );
        }
        inner.hand_out(name, dtype, device)
    }

    fn get_unchecked(&self, name: &str, dtype: DType, device: &Device) -> Result<Tensor> {
        let inner = self.lock();
        if !inner.entries.contains_key(name) {
            bail!("the store holds no \"{name}\", and without a shape it cannot be made");
        }
        inner.hand_out(name, dtype, device)
    }

    fn contains_tensor(&self, name: &str) -> bool {
        self.lock().entries.contains_key(name)
    }
}
