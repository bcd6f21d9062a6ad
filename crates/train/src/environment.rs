//! [`Environment`]: the machine and program that a run was made with.

use serde::{Deserialize, Serialize};

/// Stored as `env.json` in a run folder.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Environment {
    /// Name and version of the program.
    pub program: String,
    /// Operating system and processor family.
    pub platform: String,
    /// Processor model, where the system tells it.
    pub processor: String,
    /// Threads used for kernels.
    pub threads: usize,
    /// Device of the tensors.
    pub device: String,
    /// Arguments of the command.
    pub command: Vec<String>,
}

impl Environment {
    /// Describes this process.
    pub fn here(program: &str, device: &str) -> Self {
        let model = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        let model = model
            .lines()
            .find_map(|line| line.strip_prefix("model name"));
        let processor = model.map(|m| m.trim_start_matches([' ', '\t', ':']).to_owned());
        Self {
            program: program.to_owned(),
            platform: format!("{} {}", std::env::consts::OS, std::env::consts::ARCH),
            processor: processor.unwrap_or_else(|| "unknown".to_owned()),
            threads: mapsto_tensor::threads::count(),
            device: device.to_owned(),
            command: std::env::args().collect(),
        }
    }
}
