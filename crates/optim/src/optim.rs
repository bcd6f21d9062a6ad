//! [`Optim`]: a [`Rule`] over named parameters, with groups, a schedule, clipping and a state.
//!
//! Updates run in place: on the CPU in `f32` and `f64` a step allocates no tensor, unless
//! gradients are clipped by value or one of them is a parameter's own memory. Elements are
//! independent of each other, so the bits do not depend on the number of threads.
//!
//! Differences from PyTorch: a group is chosen by name, the schedule is a function of the step
//! and part of the optimizer, and so is clipping.
//!
//! ```
//! use mapsto_optim::{AdamW, Optim, Optimizer};
//! use mapsto_tensor::{DType, Device, ParamStore};
//! let store = ParamStore::new(DType::F32, &Device::Cpu);
//! store.root().pp("fc").get((2, 3), "weight")?;
//! store.root().pp("fc").get(2, "bias")?;
//! let no_decay = AdamW { weight_decay: 0.0, ..AdamW::default() };
//! let optimizer = Optim::new(AdamW::default(), store.trainable())?
//!     .group(|name| name.ends_with(".bias"), no_decay)?
//!     .schedule(|step| 1.0 / (1.0 + step as f64 / 1000.0))
//!     .clip_grad_norm(1.0)?;
//! assert_eq!(optimizer.lr(), 1e-3);
//! # Ok::<(), mapsto_tensor::Error>(())
//! ```

use std::collections::HashSet;
use std::fmt;

use mapsto_tensor::{DType, Float, Gradients, Result, StateDict, Tensor, Var, bail, update};

use crate::clip::{clip_grad_value, norm_and_coefficient};
use crate::hyper;
use crate::optimizer::Optimizer;
use crate::rule::{At, Rule};
use crate::state::{self, Entry};

/// An update rule at work on named parameters.
#[derive(Debug)]
#[doc(alias = "param_groups")]
pub struct Optim<R: Rule> {
    /// The rule of the parameters in no group, then those of the groups.
    rules: Vec<R>,
    /// In name order.
    entries: Vec<Entry>,
    schedule: Schedule,
    max_norm: Option<f64>,
    max_value: Option<f64>,
    steps: u64,
    grad_norm: Option<f64>,
}

impl<R: Rule> Optim<R> {
    /// The rule for these parameters, with all state zero.
    ///
    /// # Errors
    /// When a hyperparameter is out of range, or there is no parameter, two of one name, or one
    /// that holds no floats.
    pub fn new(rule: R, params: Vec<(String, Var)>) -> Result<Self> {
        rule.validate()?;
        if params.is_empty() {
            bail!("there is no parameter to optimize; is everything frozen?");
        }
        let mut entries = params
            .into_iter()
            .map(|(name, var)| {
                let mut entry = Entry::new(name, var)?;
                entry.assign(0, rule.slots())?;
                Ok(entry)
            })
            .collect::<Result<Vec<_>>>()?;
        entries.sort_by(|a, b| a.name.cmp(&b.name));
        if let Some(twice) = entries.windows(2).find(|two| two[0].name == two[1].name) {
            bail!("two parameters are called \"{}\"", twice[0].name);
        }
        Ok(Self {
            rules: vec![rule],
            entries,
            schedule: Schedule(None),
            max_norm: None,
            max_value: None,
            steps: 0,
            grad_norm: None,
        })
    }

    /// Gives the parameters whose names `select` accepts another rule, such as one with its own
    /// learning rate or weight decay. Where groups overlap, the last one counts.
    ///
    /// # Errors
    /// When a hyperparameter is out of range, no name is selected, or steps have been done.
    pub fn group(mut self, select: impl Fn(&str) -> bool, rule: R) -> Result<Self> {
        rule.validate()?;
        if self.steps > 0 {
            bail!(
                "a group must be made before the first step, not after {}",
                self.steps
            );
        }
        let group = self.rules.len();
        let mut is_empty = true;
        for entry in self.entries.iter_mut().filter(|e| select(&e.name)) {
            entry.assign(group, rule.slots())?;
            is_empty = false;
        }
        if is_empty {
            let names: Vec<&str> = self.entries.iter().map(|e| e.name.as_str()).collect();
            bail!("a group selects none of {}", names.join(", "));
        }
        self.rules.push(rule);
        Ok(self)
    }

    /// Multiplies every learning rate by `factor(step)`, where `step` counts from 0. A function
    /// of the step has no state, so a resumed run continues it.
    #[must_use]
    #[doc(alias = "LambdaLR")]
    pub fn schedule(mut self, factor: impl Fn(u64) -> f64 + Send + Sync + 'static) -> Self {
        self.schedule = Schedule(Some(Box::new(factor)));
        self
    }

    /// Has every step clip the gradients it is given to this total norm, as
    /// [`clip_grad_norm`](crate::clip_grad_norm()) does, after any clipping by value. They are
    /// scaled as the update reads them, and stay what they are.
    ///
    /// # Errors
    /// When `max` is not above 0.
    pub fn clip_grad_norm(mut self, max: f64) -> Result<Self> {
        hyper::positive("clip_grad_norm: max", max)?;
        self.max_norm = Some(max);
        Ok(self)
    }

    /// Has every step limit each element of the gradients it is given to `[-max, max]`.
    ///
    /// # Errors
    /// When `max` is not above 0.
    pub fn clip_grad_value(mut self, max: f64) -> Result<Self> {
        hyper::positive("clip_grad_value: max", max)?;
        self.max_value = Some(max);
        Ok(self)
    }
}

impl<R: Rule> Optimizer for Optim<R> {
    fn step(&mut self, grads: &mut Gradients) -> Result<()> {
        check(&self.entries, grads)?;
        let factor = self.schedule.factor(self.steps);
        hyper::non_negative(
            &format!("the schedule's factor at step {}", self.steps),
            factor,
        )?;
        if let Some(max) = self.max_value {
            clip_grad_value(grads, max)?;
        }
        let mut scale = 1.0;
        if let Some(max) = self.max_norm {
            let (norm, coefficient) = norm_and_coefficient(grads, max)?;
            (self.grad_norm, scale) = (Some(norm), coefficient);
        }
        let grads = apart_from_parameters(&self.entries, grads)?;
        for (entry, grad) in self.entries.iter_mut().zip(grads) {
            if let Some(grad) = grad {
                let rule = &self.rules[entry.group];
                let at = At {
                    lr: rule.lr() * factor,
                    step: entry.updates + 1,
                };
                apply(rule, &at, entry, &grad, scale)?;
                entry.updates += 1;
            }
        }
        self.steps += 1;
        Ok(())
    }

    fn lr(&self) -> f64 {
        self.rules[0].lr() * self.schedule.factor(self.steps)
    }

    fn steps(&self) -> u64 {
        self.steps
    }

    fn grad_norm(&self) -> Option<f64> {
        self.grad_norm
    }

    fn state_dict(&self) -> Result<StateDict> {
        state::save(&self.entries, self.steps)
    }

    fn load_state_dict(&mut self, state: &StateDict) -> Result<()> {
        self.steps = state::load(&mut self.entries, state)?;
        Ok(())
    }
}

/// A factor on the learning rates as a function of the step; without one, 1.
struct Schedule(Option<Box<dyn Fn(u64) -> f64 + Send + Sync>>);

impl Schedule {
    fn factor(&self, step: u64) -> f64 {
        self.0.as_ref().map_or(1.0, |factor| factor(step))
    }
}

impl fmt::Debug for Schedule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_some() {
            "Fn(step)"
        } else {
            "constant"
        })
    }
}

fn check(entries: &[Entry], grads: &Gradients) -> Result<()> {
    for Entry { name, var, .. } in entries {
        let Some(grad) = grads.get(name) else {
            continue;
        };
        if grad.shape() != var.shape() || grad.dtype() != var.dtype() {
            bail!(
                "\"{name}\" is {:?} {:?}, but its gradient is {:?} {:?}",
                var.dtype(),
                var.dims(),
                grad.dtype(),
                grad.dims()
            );
        }
    }
    Ok(())
}

/// Updates an entry by `scale` times its gradient.
fn apply<R: Rule>(rule: &R, at: &At, entry: &mut Entry, grad: &Tensor, scale: f64) -> Result<()> {
    match entry.var.dtype() {
        DType::F32 if update::is_supported(&entry.var) => {
            in_place::<f32, R>(rule, at, entry, grad, scale)
        }
        DType::F64 if update::is_supported(&entry.var) => {
            in_place::<f64, R>(rule, at, entry, grad, scale)
        }
        _ => {
            let param = entry.var.as_detached_tensor();
            let scaled = (scale != 1.0).then(|| grad * scale).transpose()?;
            let grad = scaled.as_ref().unwrap_or(grad);
            let (param, state) = rule.update_tensors(at, &param, grad, &entry.state)?;
            entry.var.set(&param)?;
            entry.state = state;
            Ok(())
        }
    }
}

fn in_place<T: Float, R: Rule>(
    rule: &R,
    at: &At,
    entry: &Entry,
    grad: &Tensor,
    scale: f64,
) -> Result<()> {
    let tensors: Vec<&Tensor> = std::iter::once(entry.var.as_tensor())
        .chain(&entry.state)
        .collect();
    let factor = T::from_f64(scale);
    update::in_place(
        &tensors,
        grad,
        #[inline(always)]
        |chunks: &mut [&mut [T]], grad: &[T]| {
            let Some((param, state)) = chunks.split_first_mut() else {
                return;
            };
            if scale == 1.0 {
                rule.update(at, param, grad, state);
            } else {
                // A chunk stays in the cache; a scaled copy of the whole gradient would not.
                let scaled: Vec<T> = grad.iter().map(|&g| g * factor).collect();
                rule.update(at, param, &scaled, state);
            }
        },
    )
}

/// The gradient of each entry, copied where it is the memory of a parameter: such as the
/// gradient of `|p|^2 / 2`, which is `p`, or of `p q` by `p`, which is `q`. The updates of a
/// step would change it, or write what they read.
fn apart_from_parameters(entries: &[Entry], grads: &Gradients) -> Result<Vec<Option<Tensor>>> {
    let parameters: HashSet<usize> = entries.iter().map(|entry| memory(&entry.var)).collect();
    let apart = |entry: &Entry| {
        let grad = grads.get(&entry.name)?;
        Some(if parameters.contains(&memory(grad)) {
            grad.copy()
        } else {
            Ok(grad.clone())
        })
    };
    entries
        .iter()
        .map(|entry| apart(entry).transpose())
        .collect()
}

/// The address that tells a tensor's storage from others.
fn memory(tensor: &Tensor) -> usize {
    (&raw const *tensor.storage_and_layout().0) as usize
}
