//! [`Sequential`]: layers one after another.
//!
//! `f(x) = f_n(... f_2(f_1(x)))`
//!
//! **Shape:** that of the first layer's input → that of the last layer's output.
//!
//! **Parameters:** those of the children, each under its number or name: `0.weight`, `2.bias`.
//!
//! Children are numbered as in PyTorch, those without parameters too. A child may be a layer
//! of ours or of candle, a closure, or another `Sequential`.
//!
//! ```
//! use mapsto_nn::{Activation, Sequential, linear};
//! use mapsto_tensor::{DType, Device, ModuleT, ParamStore, Tensor};
//! let store = ParamStore::new(DType::F32, &Device::Cpu);
//! let model = Sequential::new(store.root())
//!     .layer(|vb| linear(4, 8, vb))?
//!     .add(Activation::Relu)
//!     .layer(|vb| linear(8, 2, vb))?;
//! let y = model.forward_t(&Tensor::zeros((5, 4), DType::F32, &Device::Cpu)?, false)?;
//! assert_eq!(y.dims(), [5, 2]);
//! assert_eq!(store.names(), ["0.bias", "0.weight", "2.bias", "2.weight"]);
//! # Ok::<(), mapsto_tensor::Error>(())
//! ```

use std::any::{Any, type_name};
use std::fmt;
use std::sync::Arc;

use mapsto_tensor::{ModuleT, Result, Tensor, VarBuilder, bail};

use crate::{Activation, fused};

/// What a child has to be; every `ModuleT + Send + Sync + 'static` is one.
trait Layer: ModuleT + Any + Send + Sync {
    fn as_any(&self) -> &dyn Any;
}

impl<M: ModuleT + Any + Send + Sync> Layer for M {
    fn as_any(&self) -> &dyn Any {
        self
    }
}

/// One layer of a [`Sequential`], with its name.
#[derive(Clone)]
pub struct Child {
    name: String,
    kind: String,
    layer: Arc<dyn Layer>,
}

impl Child {
    fn new<M: ModuleT + Send + Sync + 'static>(name: String, layer: M) -> Self {
        let kind = match (&layer as &dyn Any).downcast_ref::<Activation>() {
            Some(activation) => format!("{activation:?}"),
            None => short_type_name(type_name::<M>()),
        };
        let layer = Arc::new(layer);
        Self { name, kind, layer }
    }

    /// Its number or name within the `Sequential`.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The layer's type without its path, for an [`Activation`] its variant.
    pub fn kind(&self) -> &str {
        &self.kind
    }

    /// The layer itself, if it is a `T`.
    pub fn downcast_ref<T: 'static>(&self) -> Option<&T> {
        (*self.layer).as_any().downcast_ref()
    }
}

impl fmt::Debug for Child {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.name, self.kind)
    }
}

impl ModuleT for Child {
    fn forward_t(&self, x: &Tensor, train: bool) -> Result<Tensor> {
        self.layer.forward_t(x, train).map_err(|error| {
            error.context(format!(
                "layer {} ({}), input {:?}",
                self.name,
                self.kind,
                x.shape()
            ))
        })
    }
}

/// `a::b::Name<c::D>` becomes `Name<D>`, a closure becomes `closure`.
fn short_type_name(full: &str) -> String {
    if full.ends_with("{{closure}}") {
        return "closure".to_owned();
    }
    let mut short = String::new();
    for part in full.split_inclusive(['<', '>', ',', ' ', '(', ')', '&']) {
        short.push_str(part.rsplit("::").next().unwrap_or(part));
    }
    short
}

/// Layers one after another; clones share their parameters.
#[derive(Clone)]
pub struct Sequential {
    vb: VarBuilder<'static>,
    children: Vec<Child>,
}

impl Sequential {
    /// An empty one, whose children get their parameters under `vb`.
    pub fn new(vb: VarBuilder<'static>) -> Self {
        Self {
            vb,
            children: vec![],
        }
    }

    /// Appends a layer without parameters, or a closure `|x: &Tensor| ..`.
    #[must_use]
    #[allow(
        clippy::should_implement_trait,
        reason = "the name that Keras and candle use"
    )]
    pub fn add<M: ModuleT + Send + Sync + 'static>(self, layer: M) -> Self {
        let name = self.next_name();
        self.add_named(name, layer)
    }

    /// Appends a layer without parameters under a name.
    #[must_use]
    #[doc(alias = "add_module")]
    pub fn add_named<M: ModuleT + Send + Sync + 'static>(
        mut self,
        name: impl Into<String>,
        layer: M,
    ) -> Self {
        self.children.push(Child::new(name.into(), layer));
        self
    }

    /// Appends a layer with parameters, built under its number.
    ///
    /// # Errors
    /// When building it fails, saying which layer it was.
    pub fn layer<M: ModuleT + Send + Sync + 'static>(
        self,
        build: impl FnOnce(VarBuilder<'static>) -> Result<M>,
    ) -> Result<Self> {
        let name = self.next_name();
        self.named(name, build)
    }

    /// Appends a layer with parameters, built under a name.
    ///
    /// # Errors
    /// When the name is taken, empty or holds a dot, or building the layer fails.
    pub fn named<M: ModuleT + Send + Sync + 'static>(
        self,
        name: impl Into<String>,
        build: impl FnOnce(VarBuilder<'static>) -> Result<M>,
    ) -> Result<Self> {
        let name = name.into();
        if name.is_empty() || name.contains('.') || self.child(&name).is_some() {
            bail!("a child's name must be new, not empty and without a dot, got \"{name}\"");
        }
        let layer = build(self.vb.pp(&name)).map_err(|error| {
            let kind = short_type_name(type_name::<M>());
            error.context(format!("building layer {name} ({kind})"))
        })?;
        Ok(self.add_named(name, layer))
    }

    /// The number of children.
    pub fn len(&self) -> usize {
        self.children.len()
    }

    /// Whether there are no children.
    pub fn is_empty(&self) -> bool {
        self.children.is_empty()
    }

    /// The children's names, in order.
    pub fn names(&self) -> Vec<&str> {
        self.children.iter().map(Child::name).collect()
    }

    /// The children, in order.
    pub fn children(&self) -> &[Child] {
        &self.children
    }

    /// The child at a position.
    pub fn get(&self, index: usize) -> Option<&Child> {
        self.children.get(index)
    }

    /// The first child of this name.
    pub fn child(&self, name: &str) -> Option<&Child> {
        self.children.iter().find(|child| child.name == name)
    }

    /// The path of its parameters in the store, empty at the root.
    pub fn prefix(&self) -> String {
        self.vb.prefix()
    }

    fn next_name(&self) -> String {
        self.children.len().to_string()
    }
}

impl fmt::Debug for Sequential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Sequential ")?;
        f.debug_list().entries(&self.children).finish()
    }
}

impl ModuleT for Sequential {
    fn forward_t(&self, x: &Tensor, train: bool) -> Result<Tensor> {
        let (mut x, mut rest) = (x.clone(), &self.children[..]);
        while let [child, others @ ..] = rest {
            (x, rest) = match fused::forward(rest, &x, train) {
                Some((y, count)) => (y, &rest[count..]),
                None => (child.forward_t(&x, train)?, others),
            };
        }
        Ok(x)
    }
}
