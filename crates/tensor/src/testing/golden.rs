//! Files of reference values: tensors of one case and, in their metadata, how they were made.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};

use candle_core::{DType, Device, Result, Tensor};
use safetensors::SafeTensors;
use serde_json::Value;

use super::assert_close;

/// One case of reference values.
#[derive(Debug)]
pub struct Golden {
    /// The file's name without its ending.
    pub name: String,
    tensors: BTreeMap<String, Tensor>,
    metadata: HashMap<String, String>,
}

/// All `.safetensors` files of a folder in name order; panics if there are none.
pub fn goldens(folder: impl AsRef<Path>) -> Vec<Golden> {
    let folder = folder.as_ref();
    let entries = std::fs::read_dir(folder)
        .unwrap_or_else(|error| panic!("cannot list {}: {error}", folder.display()));
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.expect("entry").path()).collect();
    paths.retain(|path| path.extension().is_some_and(|e| e == "safetensors"));
    paths.sort();
    assert!(!paths.is_empty(), "no golden files in {}", folder.display());
    paths.iter().map(Golden::open).collect()
}

impl Golden {
    /// Reads one file.
    pub fn open(path: impl AsRef<Path>) -> Self {
        let path = path.as_ref();
        let bytes = std::fs::read(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        let (_, header) = SafeTensors::read_metadata(&bytes).expect("a safetensors file");
        let tensors = candle_core::safetensors::load_buffer(&bytes, &Device::Cpu);
        Self {
            name: path
                .file_stem()
                .unwrap_or_default()
                .to_string_lossy()
                .into_owned(),
            tensors: tensors.expect("tensors").into_iter().collect(),
            metadata: header.metadata().clone().unwrap_or_default(),
        }
    }

    /// A metadata entry, empty if absent.
    pub fn meta(&self, key: &str) -> &str {
        self.metadata.get(key).map_or("", String::as_str)
    }

    /// A constructor argument of the PyTorch module, `Null` if absent.
    pub fn arg(&self, key: &str) -> Value {
        let args: Value = serde_json::from_str(self.meta("args")).unwrap_or_default();
        args.get(key).cloned().unwrap_or_default()
    }

    /// Whether the file holds a tensor of this name.
    pub fn has(&self, name: &str) -> bool {
        self.tensors.contains_key(name)
    }

    /// The tensor of this name, in the file's dtype.
    pub fn tensor(&self, name: &str) -> Tensor {
        let tensor = self.tensors.get(name);
        tensor
            .unwrap_or_else(|| panic!("{}: no tensor {name}", self.name))
            .clone()
    }

    /// The tensors whose names start with `prefix`, without it.
    pub fn with_prefix(&self, prefix: &str) -> BTreeMap<String, Tensor> {
        let stripped = |(name, tensor): (&String, &Tensor)| {
            Some((name.strip_prefix(prefix)?.to_owned(), tensor.clone()))
        };
        self.tensors.iter().filter_map(stripped).collect()
    }

    /// The float dtype of the case.
    pub fn dtype(&self) -> DType {
        if self.meta("dtype").contains("32") {
            DType::F32
        } else {
            DType::F64
        }
    }

    /// The tolerances that the file states.
    pub fn tolerance(&self) -> (f64, f64) {
        let number = |key: &str| {
            self.meta(key)
                .parse()
                .unwrap_or_else(|_| panic!("{}: no {key}", self.name))
        };
        (number("rtol"), number("atol"))
    }

    /// Panics unless `actual` equals the stored tensor `name` within the file's tolerance.
    pub fn check(&self, name: &str, actual: &Tensor) {
        let (rtol, atol) = self.tolerance();
        assert_close(
            &format!("{} {name}", self.name),
            actual,
            &self.tensor(name),
            rtol,
            atol,
        );
    }

    /// Checks output and gradients of a module of one output: `forward` gets the tensors under
    /// the names in `inputs` as tracked variables, and each gradient `grad.NAME` in the file
    /// is compared.
    pub fn check_module(&self, inputs: &[&str], forward: impl Fn(&[Tensor]) -> Result<Tensor>) {
        let tracked = |name: &&str| {
            candle_core::Var::from_tensor(&self.tensor(name))
                .expect("copy")
                .as_tensor()
                .clone()
        };
        let tensors: Vec<Tensor> = inputs.iter().map(tracked).collect();
        let output = forward(&tensors).unwrap_or_else(|e| panic!("{}: {e}", self.name));
        self.check("output", &output);
        if !self.has("grad_output") {
            return;
        }
        let loss = (&output * self.tensor("grad_output")).and_then(|y| y.sum_all());
        let grads = loss.and_then(|loss| loss.backward()).expect("backward");
        for (name, tensor) in inputs.iter().zip(&tensors) {
            let expected = format!("grad.{name}");
            if self.has(&expected) {
                let grad = grads.get(tensor);
                let grad = grad.unwrap_or_else(|| panic!("{}: {name} got no gradient", self.name));
                self.check(&expected, grad);
            }
        }
    }
}
