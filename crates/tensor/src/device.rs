//! Device names as people write them: `cpu`, `cuda`, `cuda:1`, `metal`, `metal:1`, `auto`.
//!
//! ```
//! use mapsto_tensor::parse_device;
//! assert!(parse_device("cpu")?.is_cpu());
//! assert!(parse_device("gpu").is_err());
//! # Ok::<(), mapsto_tensor::DeviceError>(())
//! ```

use candle_core::Device;

/// Why a device could not be had.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DeviceError {
    /// The text names no device.
    #[error("unknown device \"{0}\": expected cpu, cuda, cuda:N, metal, metal:N or auto")]
    Unknown(String),
    /// The device was named correctly but cannot be opened.
    #[error(
        "device \"{name}\" is not available: {reason}; use --device cpu, or build with the feature \
         of that device"
    )]
    Unavailable {
        /// The device as written.
        name: String,
        /// What candle said.
        reason: String,
    },
}

/// Opens the device that `name` stands for; `auto` is the first GPU, or else the CPU.
///
/// # Errors
/// [`DeviceError::Unknown`] when the text is none of the forms above, and
/// [`DeviceError::Unavailable`] when this build or this machine lacks the device.
pub fn parse_device(name: &str) -> Result<Device, DeviceError> {
    let (kind, index) = name.split_once(':').unwrap_or((name, "0"));
    let index: usize = index
        .parse()
        .map_err(|_| DeviceError::Unknown(name.to_owned()))?;
    let opened = match kind {
        "cpu" if name == "cpu" => return Ok(Device::Cpu),
        "auto" if name == "auto" => {
            return Ok(Device::new_cuda(0)
                .or_else(|_| Device::new_metal(0))
                .unwrap_or(Device::Cpu));
        }
        "cuda" => Device::new_cuda(index),
        "metal" => Device::new_metal(index),
        _ => return Err(DeviceError::Unknown(name.to_owned())),
    };
    opened.map_err(|error| DeviceError::Unavailable {
        name: name.to_owned(),
        reason: error
            .to_string()
            .lines()
            .next()
            .unwrap_or_default()
            .to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_checked() {
        for bad in ["", "gpu", "cuda:x", "cpu:1", "cuda:-1", "auto:0"] {
            assert!(
                matches!(parse_device(bad), Err(DeviceError::Unknown(_))),
                "{bad}"
            );
        }
        assert!(parse_device("auto").is_ok());
    }

    #[cfg(not(feature = "cuda"))]
    #[test]
    fn a_missing_gpu_is_named() {
        let message = parse_device("cuda:0").unwrap_err().to_string();
        assert!(
            message.contains("cuda:0") && message.contains("--device cpu"),
            "{message}"
        );
    }
}
