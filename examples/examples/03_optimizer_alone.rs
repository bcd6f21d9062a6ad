//! One crate alone: `mapsto-optim` on two numbers, without a model or data.
//!
//! Adam looks for the minimum of Rosenbrock's function `(1 - x)^2 + 100 (y - x^2)^2`, which is
//! at (1, 1) in a long bent valley. `x` and `y` are groups with learning rates of their own, a
//! schedule makes all steps smaller, and half-way the state moves to a second optimizer, which
//! ends at the same bits. It prints
//!
//! ```text
//! state after 2000 steps: step, x.exp_avg, x.exp_avg_sq, y.exp_avg, y.exp_avg_sq
//! x 0.983155, y 0.966555: 3.7e-2 from the minimum
//! ```
//!
//! Time: below a second. `STEPS=2` sets the steps of each half; `TARGET=0.9` has the program fail
//! where 1 minus the distance is below it.
#![allow(clippy::print_stdout, reason = "an example prints its result")]

use anyhow::ensure;
use mapsto_examples::{check, steps};
use mapsto_optim::{Adam, Optim, Optimizer};
use mapsto_tensor::{Device, Gradients, Result, Tensor, Var};

/// The gradient of Rosenbrock's function, by hand.
fn gradient(x: f64, y: f64) -> Result<Gradients> {
    let valley = y - x * x;
    let by_x = Tensor::new(-2.0 * (1.0 - x) - 400.0 * x * valley, &Device::Cpu)?;
    let by_y = Tensor::new(200.0 * valley, &Device::Cpu)?;
    Ok(Gradients::from_iter([
        ("x".to_owned(), by_x),
        ("y".to_owned(), by_y),
    ]))
}

/// Both parameters and their optimizer.
struct Walk {
    x: Var,
    y: Var,
    optimizer: Optim<Adam>,
}

impl Walk {
    fn new(x: f64, y: f64) -> Result<Self> {
        let (x, y) = (Var::new(x, &Device::Cpu)?, Var::new(y, &Device::Cpu)?);
        let params = vec![("x".to_owned(), x.clone()), ("y".to_owned(), y.clone())];
        let adam = |lr: f64| Adam {
            lr,
            ..Adam::default()
        };
        let optimizer = Optim::new(adam(0.02), params)?
            .group(|name| name == "y", adam(0.04))?
            .schedule(|step| 0.5_f64.powf(step as f64 / 1000.0));
        Ok(Self { x, y, optimizer })
    }

    fn at(&self) -> Result<(f64, f64)> {
        Ok((self.x.to_scalar()?, self.y.to_scalar()?))
    }

    fn go(&mut self, steps: usize) -> Result<()> {
        for _ in 0..steps {
            let (x, y) = self.at()?;
            self.optimizer.step(&mut gradient(x, y)?)?;
        }
        Ok(())
    }
}

fn main() -> anyhow::Result<()> {
    let half = steps(2000)?;
    let mut whole = Walk::new(-1.2, 1.0)?;
    whole.go(half)?;
    let state = whole.optimizer.state_dict()?;
    println!(
        "state after {half} steps: {}",
        state.keys().cloned().collect::<Vec<_>>().join(", ")
    );

    let (x, y) = whole.at()?;
    let mut resumed = Walk::new(x, y)?;
    resumed.optimizer.load_state_dict(&state)?;

    whole.go(half)?;
    resumed.go(half)?;
    ensure!(whole.at()? == resumed.at()?, "the resumed walk differs");

    let (x, y) = whole.at()?;
    let distance = (x - 1.0).hypot(y - 1.0);
    println!("x {x:.6}, y {y:.6}: {distance:.1e} from the minimum");
    check("closeness", 1.0 - distance)
}
