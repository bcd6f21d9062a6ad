//! [`record`]: our own ops on a tape of ours, instead of in candle's graph.
//!
//! candle adds the gradient of every input of every op to a new tensor of zeros: two more tensors
//! of its size and three passes over them, in one thread. While [`record`] runs, what our ops make
//! is a variable to candle, whose graph begins anew behind it, and the op stands on the tape.
//! [`crate::backward()`] walks candle's graph as far as such variables, and from there the tape, from
//! its end: there a gradient is added up only if there are two. Elsewhere, for instance in candle's
//! own `Tensor::backward`, our ops are candle's like any other.

use std::cell::RefCell;
use std::collections::HashSet;

use candle_core::op::BackpropOp;
use candle_core::{
    CpuStorage, CustomOp1, CustomOp2, CustomOp3, Layout, Result, Shape, Storage, Tensor, TensorId,
    Var, bail,
};

use crate::handover;

thread_local! {
    static TAPE: RefCell<Option<Vec<Entry>>> = const { RefCell::new(None) };
}

/// An op, what it took, and what it made.
pub(crate) struct Entry {
    op: Recorded,
    made: Tensor,
}

enum Recorded {
    One(Box<dyn CustomOp1 + Send + Sync>, Tensor),
    Two(Box<dyn CustomOp2 + Send + Sync>, [Tensor; 2]),
    Three(Box<dyn CustomOp3 + Send + Sync>, [Tensor; 3]),
    /// The same elements in another shape.
    Reshape(Tensor),
    /// Tensors side by side along a dimension.
    Cat(Vec<Tensor>, usize),
    /// A tensor, and all its parts along a dimension.
    Split(Tensor, usize, Vec<Tensor>),
}

impl Entry {
    /// What the op made, where that is no variable.
    fn moved(&self) -> &[Tensor] {
        match &self.op {
            Recorded::Reshape(_) | Recorded::Cat(..) => std::slice::from_ref(&self.made),
            Recorded::Split(_, _, parts) => parts,
            _ => &[],
        }
    }

    /// The gradient of what the op made, if there is one.
    fn grad(&self) -> Result<Option<Tensor>> {
        let Recorded::Split(_, dim, parts) = &self.op else {
            return Ok(handover::take(self.made.id()));
        };
        let grads: Vec<_> = parts.iter().map(|part| handover::take(part.id())).collect();
        if grads.iter().all(Option::is_none) {
            return Ok(None);
        }
        let grads = parts.iter().zip(grads);
        let grads = grads.map(|(part, grad)| grad.map_or_else(|| part.zeros_like(), Ok));
        Tensor::cat(&grads.collect::<Result<Vec<_>>>()?, *dim).map(Some)
    }
}

/// Runs a training step with a tape: a forward pass and [`crate::backward()`] of its loss.
///
/// Several losses may share what came before them. The tape ends with `step`; inside, candle's own
/// `Tensor::backward` would go no further than what our ops made, and is not to be used.
pub fn record<R>(step: impl FnOnce() -> R) -> R {
    struct Outer(Option<Vec<Entry>>);
    impl Drop for Outer {
        fn drop(&mut self) {
            TAPE.set(self.0.take());
        }
    }
    let _outer = Outer(TAPE.replace(Some(vec![])));
    step()
}

/// Whether the op of these inputs goes on the tape.
fn records(inputs: &[&Tensor]) -> bool {
    TAPE.with_borrow(Option::is_some)
        && inputs.iter().all(|input| input.device().is_cpu())
        && inputs.iter().any(|input| input.track_op())
}

fn push(op: Recorded, made: &Tensor) {
    let made = made.clone();
    TAPE.with_borrow_mut(|tape| {
        if let Some(tape) = tape {
            tape.push(Entry { op, made });
        }
    });
}

/// What an op made, as a variable.
fn variable((storage, shape): (CpuStorage, Shape)) -> Tensor {
    Tensor::from_storage(Storage::Cpu(storage), shape, BackpropOp::none(), true)
}

/// Runs `f` on the elements of tensors on the CPU.
fn with_storages<const N: usize, R>(
    inputs: [&Tensor; N],
    f: impl FnOnce([(&CpuStorage, &Layout); N]) -> Result<R>,
) -> Result<R> {
    let guards = inputs.map(Tensor::storage_and_layout);
    let mut storages = Vec::with_capacity(N);
    for (storage, layout) in &guards {
        match &**storage {
            Storage::Cpu(storage) => storages.push((storage, *layout)),
            _ => bail!("a tensor that is not on the CPU was to go on the tape"),
        }
    }
    match storages.try_into() {
        Ok(storages) => f(storages),
        Err(_) => bail!("a tensor went missing"),
    }
}

/// `x.apply_op1(op)`, on the tape if there is one.
pub(crate) fn apply1<C>(x: &Tensor, op: C) -> Result<Tensor>
where
    C: CustomOp1 + Send + Sync + 'static,
{
    if !records(&[x]) {
        return x.apply_op1(op);
    }
    let made = variable(with_storages([x], |[(x, l)]| op.cpu_fwd(x, l))?);
    push(Recorded::One(Box::new(op), x.clone()), &made);
    Ok(made)
}

/// `a.apply_op2(b, op)`, on the tape if there is one.
pub(crate) fn apply2<C>(a: &Tensor, b: &Tensor, op: C) -> Result<Tensor>
where
    C: CustomOp2 + Send + Sync + 'static,
{
    if !records(&[a, b]) {
        return a.apply_op2(b, op);
    }
    let made = with_storages([a, b], |[(a, la), (b, lb)]| op.cpu_fwd(a, la, b, lb))?;
    let made = variable(made);
    push(Recorded::Two(Box::new(op), [a.clone(), b.clone()]), &made);
    Ok(made)
}

/// `a.apply_op3(b, c, op)`, on the tape if there is one.
pub(crate) fn apply3<C>(a: &Tensor, b: &Tensor, c: &Tensor, op: C) -> Result<Tensor>
where
    C: CustomOp3 + Send + Sync + 'static,
{
    if !records(&[a, b, c]) {
        return a.apply_op3(b, c, op);
    }
    let made = with_storages([a, b, c], |[(a, la), (b, lb), (c, lc)]| {
        op.cpu_fwd(a, la, b, lb, c, lc)
    })?;
    let made = variable(made);
    let inputs = [a.clone(), b.clone(), c.clone()];
    push(Recorded::Three(Box::new(op), inputs), &made);
    Ok(made)
}

/// `x.reshape(shape)`, on the tape if there is one.
///
/// # Errors
/// When `shape` has another number of elements.
pub fn reshape(x: &Tensor, shape: impl Into<Shape>) -> Result<Tensor> {
    let made = x.reshape(shape.into())?;
    if records(&[x]) && x.is_contiguous() {
        push(Recorded::Reshape(x.clone()), &made);
    }
    Ok(made)
}

/// `Tensor::cat(parts, dim)`, on the tape if there is one.
///
/// # Errors
/// When the parts differ in another dimension than `dim`, or there are none.
pub fn cat(parts: &[&Tensor], dim: usize) -> Result<Tensor> {
    let made = Tensor::cat(parts, dim)?;
    // Of one part candle makes no other tensor.
    if parts.len() > 1 && records(parts) {
        let parts = parts.iter().map(|&part| part.clone()).collect();
        push(Recorded::Cat(parts, dim), &made);
    }
    Ok(made)
}

/// The parts of `x` of these sizes along `dim`, on the tape if there is one.
///
/// # Errors
/// When the sizes are not together that of `x`.
pub fn split(x: &Tensor, dim: usize, sizes: &[usize]) -> Result<Vec<Tensor>> {
    if sizes.iter().sum::<usize>() != x.dim(dim)? {
        bail!(
            "split: parts of {sizes:?} are not all of dimension {dim} of {:?}",
            x.shape()
        );
    }
    let mut first = 0;
    let parts = sizes.iter().map(|&size| {
        first += size;
        x.narrow(dim, first - size, size)?.contiguous()
    });
    let parts: Vec<_> = parts.collect::<Result<_>>()?;
    // A part that is all of `x` is no other tensor, and has its gradient without the tape.
    if let Some(made) = parts.first()
        && parts.iter().all(|part| part.id() != x.id())
        && records(&[x])
    {
        push(Recorded::Split(x.clone(), dim, parts.clone()), made);
    }
    Ok(parts)
}

/// Takes what is on the tape of this thread.
pub(crate) fn take() -> Vec<Entry> {
    TAPE.with_borrow_mut(|tape| tape.as_mut().map(std::mem::take).unwrap_or_default())
}

/// Puts it back, in front of what came since.
pub(crate) fn put_back(before: Vec<Entry>) {
    TAPE.with_borrow_mut(|tape| {
        if let Some(tape) = tape {
            tape.splice(0..0, before);
        }
    });
}

/// A backward pass over candle's graphs and a tape between them.
pub(crate) struct Unwinding {
    tape: Vec<Entry>,
    /// What gradients are kept of: parameters, and all that is on the tape.
    wanted: HashSet<TensorId>,
    /// What is on the tape, but no variable.
    moved: HashSet<TensorId>,
}

impl Unwinding {
    pub(crate) fn new(tape: Vec<Entry>, params: &[(String, Var)]) -> Self {
        let on_tape = tape.iter().map(|entry| entry.made.id());
        let wanted = params.iter().map(|(_, var)| var.id());
        let moved = tape.iter().flat_map(Entry::moved);
        Self {
            wanted: wanted.chain(on_tape).collect(),
            moved: moved.map(Tensor::id).collect(),
            tape,
        }
    }

    /// Hands over the gradients of `loss`. To be called inside [`handover::collect`].
    pub(crate) fn from(&self, loss: &Tensor) -> Result<()> {
        if self.moved.contains(&loss.id()) {
            handover::add(loss.id(), loss.ones_like()?)?;
        } else {
            self.through_candle(loss)?;
        }
        for entry in self.tape.iter().rev() {
            let Some(grad) = entry.grad()? else {
                continue;
            };
            let made = &entry.made;
            match &entry.op {
                Recorded::One(op, x) => self.carry_on(x, op.bwd(x, made, &grad)?)?,
                Recorded::Two(op, [a, b]) => {
                    let (da, db) = op.bwd(a, b, made, &grad)?;
                    self.carry_on(a, da)?;
                    self.carry_on(b, db)?;
                }
                Recorded::Three(op, [a, b, c]) => {
                    let (da, db, dc) = op.bwd(a, b, c, made, &grad)?;
                    self.carry_on(a, da)?;
                    self.carry_on(b, db)?;
                    self.carry_on(c, dc)?;
                }
                Recorded::Reshape(x) => self.carry_on(x, Some(grad.reshape(x.shape())?))?,
                Recorded::Cat(parts, dim) => {
                    let mut first = 0;
                    for part in parts {
                        let size = part.dim(*dim)?;
                        let grad = grad.narrow(*dim, first, size)?.contiguous()?;
                        first += size;
                        self.carry_on(part, Some(grad))?;
                    }
                }
                Recorded::Split(x, ..) => self.carry_on(x, Some(grad))?,
            }
        }
        Ok(())
    }

    /// The tape, for further losses.
    pub(crate) fn into_tape(self) -> Vec<Entry> {
        self.tape
    }

    /// Hands on a gradient that no variable took: along the tape where `input` was moved there,
    /// and else through candle's graph behind it.
    fn carry_on(&self, input: &Tensor, grad: Option<Tensor>) -> Result<()> {
        match grad {
            Some(grad) if input.is_variable() || self.moved.contains(&input.id()) => {
                handover::add(input.id(), grad)
            }
            Some(grad) if input.track_op() => self.through_candle(&input.apply_op1(Begin(grad))?),
            _ => Ok(()),
        }
    }

    /// candle's backward pass from `loss` to its variables.
    fn through_candle(&self, loss: &Tensor) -> Result<()> {
        let grads = loss.backward()?;
        for &id in grads.get_ids().filter(|id| self.wanted.contains(id)) {
            if let Some(grad) = grads.get_id(id) {
                handover::add(id, grad.clone())?;
            }
        }
        Ok(())
    }
}

/// A number whose gradient by its input is a given one.
struct Begin(Tensor);

impl CustomOp1 for Begin {
    fn name(&self) -> &'static str {
        "begin"
    }

    fn cpu_fwd(&self, storage: &CpuStorage, _: &Layout) -> Result<(CpuStorage, Shape)> {
        let one = match storage {
            CpuStorage::F64(_) => CpuStorage::F64(vec![0.0]),
            _ => CpuStorage::F32(vec![0.0]),
        };
        Ok((one, Shape::from(())))
    }

    fn bwd(&self, _: &Tensor, _: &Tensor, _: &Tensor) -> Result<Option<Tensor>> {
        Ok(Some(self.0.clone()))
    }
}
