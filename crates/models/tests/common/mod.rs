//! What the tests of recipes share: runs that end in the middle.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use mapsto_models::Options;
use mapsto_train::{Callback, Context, Error, Result};

/// Ends a run once a step is done: by the interrupt of the recipe, as Ctrl-C does, or by an error
/// that nothing reacts to, as a kill would.
#[derive(Debug)]
struct EndAfter {
    step: u64,
    interrupt: Option<Arc<AtomicBool>>,
}

impl Callback for EndAfter {
    fn name(&self) -> &'static str {
        "end_after"
    }

    fn on_batch_end(&mut self, context: &mut Context<'_>) -> Result<()> {
        if context.position.step < self.step {
            return Ok(());
        }
        match &self.interrupt {
            Some(flag) => flag.store(true, Ordering::Relaxed),
            None => {
                let (path, reason) = ("here".into(), "killed".to_owned());
                return Err(Error::Run { path, reason });
            }
        }
        Ok(())
    }

    /// Where there is no such step: too late to end anything but the test.
    fn on_fit_end(&mut self, context: &mut Context<'_>) -> Result<()> {
        if let Some(flag) = &self.interrupt
            && context.position.step < self.step
        {
            flag.store(true, Ordering::Relaxed);
        }
        Ok(())
    }
}

/// Options of a run that ends after `step`, `interrupted` or killed.
pub(crate) fn ending(step: u64, interrupted: bool) -> Options {
    let options = Options::default();
    let interrupt = interrupted.then(|| Arc::clone(&options.interrupt));
    Options {
        callbacks: vec![Box::new(EndAfter { step, interrupt })],
        ..options
    }
}
