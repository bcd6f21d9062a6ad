//! Progress for people: a bar on a terminal, or one plain line an epoch.

use std::io::Write;
use std::time::Instant;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::callback::{Callback, Context, Logs};
use crate::error::{Error, Result};

/// Shows rate, figures and time left.
pub struct Progress {
    name: &'static str,
    output: Output,
    bar: Option<ProgressBar>,
    epoch: Option<(usize, Instant, usize)>,
    started: Instant,
}

enum Output {
    Bar,
    Lines(Box<dyn Write + Send>),
}

impl std::fmt::Debug for Progress {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Progress")
            .field("epoch", &self.epoch)
            .finish_non_exhaustive()
    }
}

impl Progress {
    /// A bar on standard error, redrawn in place, and a line when an epoch is done.
    pub fn bar() -> Self {
        Self::to(Output::Bar)
    }

    /// One line an epoch to `writer`.
    pub fn lines(writer: impl Write + Send + 'static) -> Self {
        Self::to(Output::Lines(Box::new(writer)))
    }

    /// Tells it apart from another one in the same trainer; default `progress`.
    #[must_use]
    pub fn named(mut self, name: &'static str) -> Self {
        self.name = name;
        self
    }

    fn to(output: Output) -> Self {
        Self {
            name: "progress",
            output,
            bar: None,
            epoch: None,
            started: Instant::now(),
        }
    }

    fn line(&mut self, text: &str) -> Result<()> {
        match &mut self.output {
            Output::Bar => {
                if let Some(bar) = &self.bar {
                    bar.println(text);
                }
                Ok(())
            }
            Output::Lines(writer) => {
                let written = writeln!(writer, "{text}").and_then(|()| writer.flush());
                written.map_err(Error::io("write", "the progress output"))
            }
        }
    }
}

/// `loss 0.1234, accuracy 0.9876`, training before validation.
fn figures(logs: &Logs) -> String {
    let one = |(name, value): (&String, &f64)| {
        let name = name
            .strip_prefix("train.")
            .map_or_else(|| name.replacen('.', "_", 1), str::to_owned);
        format!("{name} {value:.4}")
    };
    logs.iter().map(one).collect::<Vec<_>>().join(", ")
}

impl Callback for Progress {
    fn name(&self) -> &'static str {
        self.name
    }

    fn on_fit_start(&mut self, context: &mut Context<'_>) -> Result<()> {
        self.started = Instant::now();
        self.epoch = Some((context.position.epoch, Instant::now(), 0));
        if matches!(self.output, Output::Bar) {
            let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
            let template = "{prefix} [{bar:24}] {pos}/{len} {msg} | {eta} left";
            if let Ok(style) = ProgressStyle::with_template(template) {
                bar.set_style(style.progress_chars("=> "));
            }
            self.bar = Some(bar);
        }
        Ok(())
    }

    fn on_batch_end(&mut self, context: &mut Context<'_>) -> Result<()> {
        let Some(bar) = &self.bar else { return Ok(()) };
        if let Some(batches) = context.batches {
            // The bar runs over all epochs, so that the time left is that of the training.
            bar.set_length((batches * context.epochs) as u64);
            bar.set_position((context.position.epoch * batches + context.position.batch) as u64);
        }
        let rate = context.samples as f64 / self.started.elapsed().as_secs_f64();
        bar.set_prefix(format!(
            "epoch {}/{}",
            context.position.epoch + 1,
            context.epochs
        ));
        bar.set_message(format!("{rate:.0} samples/s, {}", figures(context.logs)));
        Ok(())
    }

    fn on_epoch_end(&mut self, context: &mut Context<'_>) -> Result<()> {
        let (_, since, before) = self.epoch.unwrap_or((0, self.started, 0));
        let seconds = since.elapsed().as_secs_f64();
        // The rate is that of the training alone, the time also that of the validation.
        let trained = context.history.epochs.last();
        let trained = trained.map_or(seconds, |record| record.seconds);
        let rate = (context.samples - before) as f64 / trained;
        let text = format!(
            "epoch {}/{}: {}, {rate:.0} samples/s, {seconds:.1} s",
            context.position.epoch,
            context.epochs,
            figures(context.logs)
        );
        self.epoch = Some((context.position.epoch, Instant::now(), context.samples));
        self.line(&text)
    }

    fn on_fit_end(&mut self, _: &mut Context<'_>) -> Result<()> {
        if let Some(bar) = self.bar.take() {
            bar.finish_and_clear();
        }
        Ok(())
    }
}
