//! [`summary`]: what a model consists of, what it computes and what it costs.
//!
//! One forward pass of zeros, not training, measures each layer's output and multiply-adds
//! (those of matrix ops: linear and convolution); the parameters are counted in the store.
//!
//! ```
//! use mapsto_nn::{Activation, Sequential, linear, summary};
//! use mapsto_tensor::{DType, Device, ParamStore};
//! let store = ParamStore::new(DType::F32, &Device::Cpu);
//! let model = Sequential::new(store.root())
//!     .layer(|vb| linear(4, 2, vb))?
//!     .add(Activation::Relu);
//! let summary = summary(&model, &store, &[4])?;
//! assert_eq!((summary.trainable, summary.multiply_adds), (4 * 2 + 2, 4 * 2));
//! # Ok::<(), mapsto_tensor::Error>(())
//! ```

use std::fmt;

use mapsto_tensor::{ModuleT, ParamKind, ParamStore, Result, Tensor, macs};
use serde::Serialize;

use crate::Sequential;

/// One layer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SummaryRow {
    /// The child's number or name.
    pub name: String,
    /// Its type, for an activation the variant.
    pub kind: String,
    /// Shape of the output, the batch included.
    pub output: Vec<usize>,
    /// Elements of all its parameters, trainable or frozen.
    pub parameters: usize,
    /// Multiply-adds of its matrix ops.
    pub multiply_adds: u64,
}

/// A part of a model that is no [`Sequential`]: the first piece of its parameters' names, its
/// kind, and what computes its output.
pub type SummaryPart<'a> = (&'a str, &'a str, &'a dyn Fn() -> Result<Tensor>);

/// The layers of a model and their sums.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Summary {
    /// One a layer, in order.
    pub layers: Vec<SummaryRow>,
    /// Elements that training changes.
    pub trainable: usize,
    /// Elements of frozen parameters.
    pub frozen: usize,
    /// Elements of buffers, such as running statistics.
    pub buffers: usize,
    /// Multiply-adds of the matrix ops for the input.
    pub multiply_adds: u64,
    /// Memory of parameters and buffers.
    pub bytes: usize,
}

/// Summarises `model`, whose parameters are in `store`, for one sample of shape `input_dims`
/// (without the batch) in the store's dtype. Nothing is changed.
///
/// # Errors
/// When the forward pass fails, naming the layer.
pub fn summary(model: &Sequential, store: &ParamStore, input_dims: &[usize]) -> Result<Summary> {
    let dims = [&[1], input_dims].concat();
    Summary::of(
        model,
        store,
        &Tensor::zeros(dims, store.dtype(), &store.device())?,
    )
}

impl Summary {
    /// Summarises `model` for this input, for models that take no floats or no batch.
    ///
    /// # Errors
    /// When the forward pass fails, naming the layer.
    pub fn of(model: &Sequential, store: &ParamStore, input: &Tensor) -> Result<Self> {
        let mut total = Self::default();
        let prefix = match model.prefix() {
            root if root.is_empty() => root,
            path => path + ".",
        };
        let mut x = input.detach();
        for child in model.children() {
            let names = format!("{prefix}{}.", child.name());
            x = total.add(store, &names, (child.name(), child.kind()), || {
                child.forward_t(&x, false)
            })?;
        }
        Ok(total)
    }

    /// Summarises a model that is no [`Sequential`], part by part.
    ///
    /// # Errors
    /// When a part fails.
    pub fn of_parts(store: &ParamStore, parts: &[SummaryPart<'_>]) -> Result<Self> {
        let mut total = Self::default();
        for (name, kind, forward) in parts {
            total.add(store, &format!("{name}."), (name, kind), forward)?;
        }
        Ok(total)
    }

    /// The same with every layer's name under `prefix`.
    #[must_use]
    pub fn under(mut self, prefix: &str) -> Self {
        for row in &mut self.layers {
            row.name = format!("{prefix}.{}", row.name);
        }
        self
    }

    /// Several models, or parts of one, as one table.
    pub fn joined(parts: impl IntoIterator<Item = Self>) -> Self {
        parts.into_iter().fold(Self::default(), |mut all, part| {
            all.layers.extend(part.layers);
            all.trainable += part.trainable;
            all.frozen += part.frozen;
            all.buffers += part.buffers;
            all.multiply_adds += part.multiply_adds;
            all.bytes += part.bytes;
            all
        })
    }

    /// Adds the row of one part and returns its output.
    fn add(
        &mut self,
        store: &ParamStore,
        prefix: &str,
        (name, kind): (&str, &str),
        forward: impl FnOnce() -> Result<Tensor>,
    ) -> Result<Tensor> {
        let (output, multiply_adds) = macs::count(forward);
        // Detached, so that no graph grows along the way.
        let output = output?.detach();
        let parameters = self.add_entries(store, prefix);
        self.multiply_adds += multiply_adds;
        self.layers.push(SummaryRow {
            name: name.to_owned(),
            kind: kind.to_owned(),
            output: output.dims().to_vec(),
            parameters,
            multiply_adds,
        });
        Ok(output)
    }

    /// Adds what the store holds under `prefix` and returns the number of parameters.
    fn add_entries(&mut self, store: &ParamStore, prefix: &str) -> usize {
        let mut parameters = 0;
        for (name, var, kind, frozen) in store.entries() {
            if !name.starts_with(prefix) {
                continue;
            }
            let count = var.elem_count();
            self.bytes += count * var.dtype().size_in_bytes();
            match kind {
                ParamKind::Buffer => self.buffers += count,
                ParamKind::Parameter if frozen => self.frozen += count,
                ParamKind::Parameter => self.trainable += count,
            }
            if kind == ParamKind::Parameter {
                parameters += count;
            }
        }
        parameters
    }
}

/// `1234567` becomes `1,234,567`.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let head = ["name", "type", "output", "parameters", "multiply-adds"].map(str::to_owned);
        let rows = self.layers.iter().map(|row| {
            let dims: Vec<String> = row.output.iter().map(usize::to_string).collect();
            [
                row.name.clone(),
                row.kind.clone(),
                dims.join(" x "),
                grouped(row.parameters as u64),
                grouped(row.multiply_adds),
            ]
        });
        let table: Vec<[String; 5]> = std::iter::once(head).chain(rows).collect();
        let width = |column: usize| {
            let lengths = table.iter().map(|row| row[column].chars().count());
            lengths.max().unwrap_or(0)
        };
        let [a, b, c, d, e] = [0, 1, 2, 3, 4].map(width);
        for row in &table {
            let [name, kind, output, parameters, macs] = row;
            writeln!(
                f,
                "{name:<a$}  {kind:<b$}  {output:<c$}  {parameters:>d$}  {macs:>e$}"
            )?;
        }
        writeln!(f, "{}", "-".repeat(a + b + c + d + e + 8))?;
        write!(
            f,
            "parameters: {} trainable, {} frozen; buffers: {}; {} bytes\nmultiply-adds: {}",
            grouped(self.trainable as u64),
            grouped(self.frozen as u64),
            grouped(self.buffers as u64),
            grouped(self.bytes as u64),
            grouped(self.multiply_adds),
        )
    }
}
