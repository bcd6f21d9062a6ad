//! [`RunFolder`]: everything about one training run in one place.
//!
//! ```text
//! runs/cnn-20260102-030405-1a2b/
//!   run.json   config.toml   env.json   data.json   summary.txt   log.txt
//!   metrics.jsonl   metrics.csv   result.json
//!   checkpoints/last.safetensors   checkpoints/best.safetensors
//!   LOCK
//! ```
//!
//! `run.json` holds the recipe. Files are replaced atomically. `LOCK` is held by the training process; the system releases
//! it however the process ends, so a killed run can be resumed at once.

use std::ffi::OsStr;
use std::fs::{File, OpenOptions};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use mapsto_tensor::checkpoint::{remove_leftovers, write_atomic};
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

/// A folder of a run, held by this process if it trains.
#[derive(Debug)]
pub struct RunFolder {
    path: PathBuf,
    _lock: Option<File>,
}

/// What `run.json` says.
#[derive(Debug, Serialize, Deserialize)]
struct About {
    recipe: String,
}

const ABOUT: &str = "run.json";

impl RunFolder {
    /// Makes a new folder under `root`, called `name` or `<recipe>-<UTC time>-<id>`, with what
    /// `prepare` writes into it. It appears whole or not at all.
    ///
    /// # Errors
    /// When the name is no plain folder name, the folder exists already or cannot be made, and
    /// whatever `prepare` returns.
    pub fn create<E: From<Error>>(
        root: &Path,
        recipe: &str,
        name: Option<&str>,
        prepare: impl FnOnce(&Self) -> Result<(), E>,
    ) -> Result<Self, E> {
        let name = name.map_or_else(|| automatic_name(recipe), str::to_owned);
        let path = root.join(&name);
        if path.file_name() != Some(OsStr::new(&name)) {
            let reason = "a run's name is the name of a folder, not a path".to_owned();
            return Err(Error::Run { path, reason }.into());
        }
        if path.exists() {
            let reason = "this run exists already; choose another --name, or go on with it by \
                          --resume"
                .to_owned();
            return Err(Error::Run { path, reason }.into());
        }
        std::fs::create_dir_all(root).map_err(Error::io("make the folder", root))?;
        let hidden = root.join(format!(".{name}-{}", std::process::id()));
        let made = Self::prepared(&hidden, &path, recipe, prepare);
        if made.is_err() {
            // The first error is the one to report.
            let _ = std::fs::remove_dir_all(&hidden);
        }
        made
    }

    fn prepared<E: From<Error>>(
        hidden: &Path,
        path: &Path,
        recipe: &str,
        prepare: impl FnOnce(&Self) -> Result<(), E>,
    ) -> Result<Self, E> {
        for folder in [hidden.to_owned(), hidden.join("checkpoints")] {
            std::fs::create_dir(&folder).map_err(Error::io("make the folder", folder))?;
        }
        let mut run = Self {
            path: hidden.to_owned(),
            _lock: Some(lock(hidden)?),
        };
        let recipe = recipe.to_owned();
        run.write_json(ABOUT, &About { recipe })?;
        prepare(&run)?;
        std::fs::rename(hidden, path).map_err(Error::io("make the folder", path))?;
        run.path = path.to_owned();
        Ok(run)
    }

    /// Takes over an existing folder to go on training in it, and removes what a killed process
    /// left half-written.
    ///
    /// # Errors
    /// When it is no run folder, or another process trains in it.
    pub fn resume(path: &Path) -> Result<Self> {
        let mut run = Self::open(path)?;
        run._lock = Some(lock(path)?);
        for folder in [path.to_owned(), path.join("checkpoints")] {
            remove_leftovers(&folder).map_err(Error::io("clean", folder))?;
        }
        Ok(run)
    }

    /// Opens a folder for reading.
    ///
    /// # Errors
    /// When it is no run folder.
    pub fn open(path: &Path) -> Result<Self> {
        if !path.join("config.toml").is_file() {
            return Err(Error::Run {
                path: path.to_owned(),
                reason: "no run folder (it has no config.toml); give the folder that train printed"
                    .to_owned(),
            });
        }
        Ok(Self {
            path: path.to_owned(),
            _lock: None,
        })
    }

    /// The newest run of `recipe` under `root`, whatever its name, that has no result yet. The
    /// newest is the one whose `config.toml` was written last.
    pub fn newest_unfinished(root: &Path, recipe: &str) -> Option<PathBuf> {
        let is_open = |path: &PathBuf| {
            recipe_of(path).is_some_and(|of| of == recipe)
                && path.join("config.toml").is_file()
                && !path.join("result.json").exists()
        };
        let folders = std::fs::read_dir(root)
            .ok()?
            .flatten()
            .map(|entry| entry.path());
        let changed = |path: &PathBuf| {
            path.join("config.toml")
                .metadata()
                .and_then(|m| m.modified())
                .unwrap_or(SystemTime::UNIX_EPOCH)
        };
        folders.filter(is_open).max_by_key(changed)
    }

    /// Takes `result.json` back, if there is one, because the run goes on.
    ///
    /// # Errors
    /// When it cannot be removed.
    pub fn remove_result(&self) -> Result<()> {
        let path = self.file("result.json");
        match std::fs::remove_file(&path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                Err(Error::io("remove", path)(error))
            }
            _ => Ok(()),
        }
    }

    /// The folder.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// A file in the folder.
    pub fn file(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// The checkpoint to resume from.
    pub fn last(&self) -> PathBuf {
        self.path.join("checkpoints").join("last.safetensors")
    }

    /// The checkpoint of the best epoch.
    pub fn best(&self) -> PathBuf {
        self.path.join("checkpoints").join("best.safetensors")
    }

    /// `log.txt`, to write at its end.
    ///
    /// # Errors
    /// When it cannot be opened.
    pub fn log(&self) -> Result<File> {
        let path = self.file("log.txt");
        let file = OpenOptions::new().create(true).append(true).open(&path);
        file.map_err(Error::io("open", path))
    }

    /// Replaces a text file.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn write_text(&self, name: &str, text: &str) -> Result<()> {
        let path = self.file(name);
        write_atomic(&path, text.as_bytes()).map_err(Error::io("write", path))
    }

    /// Replaces a JSON file.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn write_json(&self, name: &str, value: &impl Serialize) -> Result<()> {
        let text = serde_json::to_string_pretty(value).map_err(std::io::Error::other);
        let text = text.map_err(Error::io("write", self.file(name)))?;
        self.write_text(name, &(text + "\n"))
    }
}

fn recipe_of(path: &Path) -> Option<String> {
    let text = std::fs::read_to_string(path.join(ABOUT)).ok()?;
    let about: About = serde_json::from_str(&text).ok()?;
    Some(about.recipe)
}

fn lock(path: &Path) -> Result<File> {
    let path = path.join("LOCK");
    let file = OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .open(&path);
    let file = file.map_err(Error::io("make", &path))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(std::fs::TryLockError::WouldBlock) => Err(Error::Run {
            path,
            reason: "another process is training in this run; wait for it or stop it".to_owned(),
        }),
        Err(std::fs::TryLockError::Error(error)) => Err(Error::Io {
            action: "lock",
            path,
            error,
        }),
    }
}

fn automatic_name(recipe: &str) -> String {
    let now = SystemTime::now();
    let digits = |text: String| text.replace(['-', ':'], "").replace('T', "-");
    let time = digits(humantime::format_rfc3339_seconds(now).to_string());
    let nanos = now
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap_or_default()
        .subsec_nanos();
    let id = (nanos ^ std::process::id().rotate_left(8)) & 0xffff;
    format!("{recipe}-{}-{id:04x}", time.trim_end_matches('Z'))
}
