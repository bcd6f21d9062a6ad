//! The command line.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

/// Deep learning for Rust: learn a mapping from x to y from examples.
///
/// Start with `mapsto train cnn`: it trains on digits that the program draws itself, so it
/// needs no data and no network. It prints the run folder; `mapsto predict RUN picture.png`
/// asks the trained model, `mapsto eval RUN --data FOLDER` measures it on other data.
#[derive(Debug, Parser)]
#[command(name = "mapsto", version, arg_required_else_help = true, after_help = EXIT_CODES)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
    /// Print the result as one JSON object on standard output.
    #[arg(long, global = true)]
    pub(crate) json: bool,
}

const EXIT_CODES: &str = "Exit codes: 0 ok, 1 run failed, 2 usage or settings, 3 data missing or \
damaged, 4 diverged, 5 checkpoint does not fit, 6 gate missed (eval --min), 7 no such device, \
130 interrupted.";

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Train a model.
    #[command(after_help = TRAIN_HELP)]
    Train(Box<TrainArgs>),
    /// Measure a trained model.
    Eval(EvalArgs),
    /// Ask a trained model: about picture files, texts, or what comes next.
    Predict(PredictArgs),
    /// Let a trained model write a text, or make pictures.
    Generate(GenerateArgs),
    /// Translate texts, or the lines of a file or of standard input.
    Translate(TranslateArgs),
    /// Show the layers of a recipe's network, or of a run's.
    Summary(Box<SummaryArgs>),
    /// List the model zoo.
    Models(ModelsArgs),
    /// List, check and show data.
    Data(DataArgs),
    /// Print a completion script for a shell.
    Completions {
        /// The shell.
        shell: clap_complete::Shell,
    },
}

const TRAIN_HELP: &str = "\
Examples:
  mapsto train cnn                                    embedded digits, about a minute
  mapsto train cnn --data mnist-folder --epochs 5     a folder of IDX files
  mapsto train cnn --preset dropout -o optim.lr=5e-4  another network, another setting
  mapsto train lm                                     the embedded language
  mapsto train lm --preset ptb-small --data FOLDER    train, valid and test texts
  mapsto train sentiment --data films.csv             a table of texts and labels
  mapsto train cnn --resume                           go on with the newest unfinished run
  mapsto train cnn --resume runs/cnn-...              go on with this one, to the same bits

Settings come from, later ones winning: defaults, --config FILE, the environment
(MAPSTO_TRAIN_EPOCHS=3), -o key=value, flags. --print-config shows what results; the run
stores it as config.toml, so `--config runs/X/config.toml` repeats it.";

/// Settings of a recipe.
#[derive(Debug, Args, Default, PartialEq)]
pub(crate) struct SettingArgs {
    /// Settings to start from; `mapsto models` lists those of each recipe.
    #[arg(long)]
    pub(crate) preset: Option<String>,
    /// The data: embedded ones by name, or a file or folder; `mapsto models` says which.
    #[arg(long, value_name = "SOURCE")]
    pub(crate) data: Option<String>,
    /// Passes over the training set.
    #[arg(long)]
    pub(crate) epochs: Option<usize>,
    /// Samples a step.
    #[arg(long)]
    pub(crate) batch_size: Option<usize>,
    /// Learning rate.
    #[arg(long, allow_negative_numbers = true)]
    pub(crate) lr: Option<f64>,
    /// Optimizer: adam, adamw or sgd.
    #[arg(long)]
    pub(crate) optimizer: Option<String>,
    /// Momentum of sgd.
    #[arg(long, allow_negative_numbers = true)]
    pub(crate) momentum: Option<f64>,
    /// Weight decay.
    #[arg(long, allow_negative_numbers = true)]
    pub(crate) weight_decay: Option<f64>,
    /// Largest norm of the gradients; 0 for no limit.
    #[arg(long, allow_negative_numbers = true)]
    pub(crate) clip_norm: Option<f64>,
    /// Fixes initialisation, order, dropout and embedded data.
    #[arg(long)]
    pub(crate) seed: Option<u64>,
    /// cpu, cuda, cuda:N, metal, metal:N or auto.
    #[arg(long)]
    pub(crate) device: Option<String>,
    /// Threads that load data ahead.
    #[arg(long)]
    pub(crate) workers: Option<usize>,
    /// Threads that compute; 0 for one a processor. The result does not depend on it.
    #[arg(long)]
    pub(crate) threads: Option<usize>,
    /// Share of the training set held out for validation.
    #[arg(long, allow_negative_numbers = true)]
    pub(crate) val_fraction: Option<f64>,
    /// What a language model's tokens are: word or char.
    #[arg(long)]
    pub(crate) unit: Option<String>,
    #[command(flatten)]
    pub(crate) texts: TextArgs,
    /// Steps of a language model's window.
    #[arg(long, value_name = "STEPS")]
    pub(crate) seq_len: Option<usize>,
    /// End after this many epochs without a better validation loss; of texts to classify accuracy, of
    /// translations BLEU.
    #[arg(long)]
    pub(crate) patience: Option<usize>,
    /// Write a checkpoint every so many steps, besides one an epoch.
    #[arg(long, value_name = "STEPS")]
    pub(crate) save_every: Option<u64>,
    /// Train on at most this many batches an epoch.
    #[arg(long, value_name = "N")]
    pub(crate) limit_batches: Option<usize>,
    /// A TOML file of settings.
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// One setting by its key, such as `-o optim.lr=1e-4`; may be repeated.
    #[arg(short = 'o', value_name = "KEY=VALUE")]
    pub(crate) overrides: Vec<String>,
}

/// How texts are found in files.
#[derive(Debug, Clone, Args, Default, PartialEq)]
pub(crate) struct TextArgs {
    /// How text files are read: utf8, latin1 or windows-1252.
    #[arg(long)]
    pub(crate) encoding: Option<String>,
    /// The column of a table that holds the texts.
    #[arg(long, value_name = "NAME")]
    pub(crate) text_column: Option<String>,
    /// The column of a table that holds the labels.
    #[arg(long, value_name = "NAME")]
    pub(crate) label_column: Option<String>,
    /// The file to translate from, a sentence a line.
    #[arg(long, value_name = "FILE", conflicts_with = "data", requires = "tgt")]
    pub(crate) src: Option<String>,
    /// The file of translations, a line for each of --src.
    #[arg(long, value_name = "FILE", requires = "src")]
    pub(crate) tgt: Option<String>,
    /// What a folder's files to translate end in, such as de; or a table's column.
    #[arg(long, value_name = "NAME")]
    pub(crate) source_language: Option<String>,
    /// What a folder's files of translations end in; or a table's column; of `numbers` french (the
    /// default), german or chinese.
    #[arg(long, value_name = "NAME")]
    pub(crate) target_language: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct TrainArgs {
    /// What to train; `mapsto models` lists it.
    pub(crate) recipe: String,
    #[command(flatten)]
    pub(crate) settings: SettingArgs,
    /// Folder for run folders.
    #[arg(long, default_value = "runs")]
    pub(crate) out: PathBuf,
    /// Name of the run folder, instead of recipe, time and number.
    #[arg(long, conflicts_with = "resume")]
    pub(crate) name: Option<String>,
    /// Go on with a run; without a value, the newest unfinished one.
    #[arg(long, value_name = "RUN")]
    pub(crate) resume: Option<Option<PathBuf>>,
    /// Print the settings and stop.
    #[arg(long)]
    pub(crate) print_config: bool,
    /// How to show progress.
    #[arg(long, value_enum, default_value_t = ProgressKind::Auto)]
    pub(crate) progress: ProgressKind,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum ProgressKind {
    /// A bar on a terminal, plain lines elsewhere.
    Auto,
    /// A bar.
    Bar,
    /// One line an epoch.
    Plain,
    /// Nothing.
    None,
}

#[derive(Debug, Args)]
pub(crate) struct EvalArgs {
    /// A run folder or a checkpoint file in it; one from elsewhere needs --data.
    pub(crate) run: PathBuf,
    /// Data to measure on, instead of the run's own; what has no parts is measured whole.
    #[arg(long, value_name = "SOURCE")]
    pub(crate) data: Option<String>,
    #[command(flatten)]
    pub(crate) texts: TextArgs,
    /// Which part of the data: train, valid or test.
    #[arg(long, default_value = "test", value_parser = ["train", "valid", "test"])]
    pub(crate) split: String,
    /// Exit with code 6 unless a figure reaches a value, such as `--min accuracy=0.98`.
    #[arg(long, value_name = "NAME=VALUE")]
    pub(crate) min: Vec<String>,
    /// cpu, cuda, cuda:N, metal, metal:N or auto.
    #[arg(long)]
    pub(crate) device: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct PredictArgs {
    /// A run folder or a checkpoint file.
    pub(crate) run: PathBuf,
    /// For pictures: PNG or JPEG files of any size, in grey or colour, light on dark or dark on
    /// light. For texts: the texts themselves. Without any, texts are read from standard input,
    /// one a line.
    #[arg(value_name = "INPUT")]
    pub(crate) inputs: Vec<String>,
    /// How many answers to show for each.
    #[arg(long, default_value_t = 3)]
    pub(crate) top: usize,
    /// cpu, cuda, cuda:N, metal, metal:N or auto.
    #[arg(long, default_value = "cpu")]
    pub(crate) device: String,
}

#[derive(Debug, Args)]
pub(crate) struct GenerateArgs {
    /// A run folder or a checkpoint file.
    pub(crate) run: PathBuf,
    /// Of texts: the text to go on from; default none.
    #[arg(long)]
    pub(crate) prompt: Option<String>,
    /// How many tokens to write, or pictures to make; default 100 or 64.
    #[arg(short)]
    pub(crate) n: Option<usize>,
    /// Of texts: below 1 bolder, above 1 wilder, 0 always the most probable token; default 1.
    #[arg(long, allow_negative_numbers = true)]
    pub(crate) temperature: Option<f64>,
    /// Of texts: draw from this many of the most probable tokens; default 0, all of them.
    #[arg(long)]
    pub(crate) top_k: Option<usize>,
    /// Of texts: draw from the most probable tokens that reach this probability together; default 1.
    #[arg(long, allow_negative_numbers = true)]
    pub(crate) top_p: Option<f64>,
    /// Of pictures: the class to make, by name or number; default all in turn.
    #[arg(long)]
    pub(crate) class: Option<String>,
    /// Of pictures: the sheet to write; default samples.png.
    #[arg(long, value_name = "FILE.png")]
    pub(crate) out: Option<PathBuf>,
    /// Of pictures: rows of steps from one to another in place of single ones.
    #[arg(long, conflicts_with = "class")]
    pub(crate) interpolate: bool,
    /// The same seed makes the same.
    #[arg(long, default_value_t = 42)]
    pub(crate) seed: u64,
    /// cpu, cuda, cuda:N, metal, metal:N or auto.
    #[arg(long, default_value = "cpu")]
    pub(crate) device: String,
}

#[derive(Debug, Args)]
pub(crate) struct TranslateArgs {
    /// A run folder or a checkpoint file.
    pub(crate) run: PathBuf,
    /// The texts; without any, the lines of a file or of standard input.
    pub(crate) texts: Vec<String>,
    /// A file with a text a line.
    #[arg(long, value_name = "FILE", conflicts_with = "texts")]
    pub(crate) file: Option<PathBuf>,
    /// Beginnings that the search keeps; 1 for the quickest; default that of the run.
    #[arg(long, value_name = "SIZE")]
    pub(crate) beam: Option<usize>,
    /// Above 0 the search prefers longer translations; default that of the run.
    #[arg(long, value_name = "ALPHA", allow_negative_numbers = true)]
    pub(crate) length_penalty: Option<f64>,
    /// Above 0 the search prefers translations that look at all of their source; default that of
    /// the run.
    #[arg(long, value_name = "BETA", allow_negative_numbers = true)]
    pub(crate) coverage_penalty: Option<f64>,
    /// Translations of each text, each with its score.
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub(crate) n_best: usize,
    /// Draw the translations instead of searching for the likeliest.
    #[arg(long, conflicts_with_all = ["beam", "length_penalty", "coverage_penalty"])]
    pub(crate) sample: bool,
    /// Of draws: below 1 bolder, above 1 wilder.
    #[arg(
        long,
        default_value_t = 1.0,
        allow_negative_numbers = true,
        requires = "sample"
    )]
    pub(crate) temperature: f64,
    /// Draw from this many of the most probable pieces; 0 for all.
    #[arg(long, default_value_t = 0, requires = "sample")]
    pub(crate) top_k: usize,
    /// Draw from the most probable pieces that reach this probability together.
    #[arg(
        long,
        default_value_t = 1.0,
        allow_negative_numbers = true,
        requires = "sample"
    )]
    pub(crate) top_p: f64,
    /// The same seed draws the same translations.
    #[arg(long, default_value_t = 42, requires = "sample")]
    pub(crate) seed: u64,
    /// Draw where each word of the best translation looked, as a PNG; of the n-th text, from the
    /// second on, with .n before the ending.
    #[arg(long, value_name = "FILE.png")]
    pub(crate) attention: Option<PathBuf>,
    /// cpu, cuda, cuda:N, metal, metal:N or auto.
    #[arg(long, default_value = "cpu")]
    pub(crate) device: String,
}

#[derive(Debug, Args)]
pub(crate) struct SummaryArgs {
    /// A recipe, a run folder or a checkpoint file.
    pub(crate) what: String,
    #[command(flatten)]
    pub(crate) settings: SettingArgs,
}

#[derive(Debug, Args)]
pub(crate) struct ModelsArgs {
    #[command(subcommand)]
    pub(crate) command: Option<ModelsCommand>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum ModelsCommand {
    /// List all entries.
    List,
    /// Show one entry.
    Show {
        /// Its name.
        name: String,
    },
}

#[derive(Debug, Args)]
pub(crate) struct DataArgs {
    #[command(subcommand)]
    pub(crate) command: DataCommand,
}

#[derive(Debug, Subcommand)]
pub(crate) enum DataCommand {
    /// List the data that recipes understand.
    List,
    /// Read a source completely and print its files, hashes and class counts.
    Check {
        /// `digits` or a folder.
        source: String,
    },
    /// Write a sheet of pictures as PNG.
    Show {
        /// `digits` or a folder.
        source: String,
        /// How many pictures.
        #[arg(short, default_value_t = 64)]
        n: usize,
        /// Which part of the data: train or test.
        #[arg(long, default_value = "train", value_parser = ["train", "test"])]
        split: String,
        /// The file to write.
        #[arg(long, default_value = "sheet.png")]
        out: PathBuf,
        /// Seed of the embedded data.
        #[arg(long, default_value_t = 42)]
        seed: u64,
    },
}
