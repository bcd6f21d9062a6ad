//! IDX files, the format of MNIST: plain or gzip, unsigned bytes, 1 to 4 dimensions.
//!
//! A file is two zero bytes, the element type (8, unsigned byte), the number of dimensions, each
//! dimension as a big-endian `u32`, and the elements. gzip is told by its first two bytes, not by
//! the name. Every field is checked, and the length must be exact.
//!
//! **Shape:** `dims` is `[N, H, W]` for pictures and `[N]` for labels; `data` is row-major.
//!
//! ```
//! use mapsto_data::Idx;
//! let folder = tempfile::tempdir().unwrap();
//! let path = folder.path().join("labels-idx1-ubyte.gz");
//! Idx { dims: vec![3], data: vec![7, 2, 1] }.write(&path)?;
//! assert_eq!(Idx::read(&path)?.data, [7, 2, 1]);
//! # Ok::<(), mapsto_data::Error>(())
//! ```
//!
//! **References:** LeCun, Cortes, Burges, "The MNIST database of handwritten digits", section
//! "File formats", 1998.

use std::io::Write;
use std::path::Path;

use flate2::Compression;
use flate2::write::GzEncoder;

use crate::packed::Packed;
use crate::{Error, Result, atomic};

const UNSIGNED_BYTE: u8 = 0x08;
const MAX_DIMS: usize = 4;

/// What an IDX file holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Idx {
    /// The size of each dimension, the slowest first.
    pub dims: Vec<usize>,
    /// The elements, row-major; as many as the product of `dims`.
    pub data: Vec<u8>,
}

impl Idx {
    /// Reads an IDX file, plain or gzip.
    ///
    /// # Errors
    ///
    /// Where the file is missing, cut off, damaged or too long, or holds anything but unsigned
    /// bytes.
    pub fn read(path: impl AsRef<Path>) -> Result<Self> {
        let mut reader = Reader::open(path.as_ref())?;
        let dims = reader.dims()?;
        let data = reader.data(&dims)?;
        Ok(Self { dims, data })
    }

    /// Reads the dimensions only.
    ///
    /// # Errors
    ///
    /// Where the file is missing, or its header is cut off, damaged or that of anything but
    /// unsigned bytes.
    pub fn read_dims(path: impl AsRef<Path>) -> Result<Vec<usize>> {
        Reader::open(path.as_ref())?.dims()
    }

    /// Writes an IDX file, as gzip where the name ends in `.gz`; it appears whole or not at all.
    ///
    /// # Errors
    ///
    /// Where `dims` does not fit `data`, or the file cannot be written.
    pub fn write(&self, path: impl AsRef<Path>) -> Result<()> {
        let path = path.as_ref();
        let header = self.header()?;
        let gzip = path.extension().is_some_and(|extension| extension == "gz");
        atomic::write(path, |file| {
            if !gzip {
                file.write_all(&header)?;
                return file.write_all(&self.data);
            }
            let mut encoder = GzEncoder::new(file, Compression::default());
            encoder.write_all(&header)?;
            encoder.write_all(&self.data)?;
            encoder.finish().map(drop)
        })
    }

    /// The bytes before the elements.
    pub(crate) fn header(&self) -> Result<Vec<u8>> {
        let (dims, len) = (&self.dims, self.data.len());
        let fields: Option<Vec<u32>> = dims.iter().map(|&dim| u32::try_from(dim).ok()).collect();
        match fields {
            Some(fields)
                if (1..=MAX_DIMS).contains(&dims.len())
                    && len > 0
                    && product(dims) == Some(len) =>
            {
                let mut header = vec![0, 0, UNSIGNED_BYTE, dims.len() as u8];
                header.extend(fields.into_iter().flat_map(u32::to_be_bytes));
                Ok(header)
            }
            _ => Err(Error::Config(format!(
                "{len} bytes of data do not make an IDX file of dimensions {dims:?}: give 1 to \
                 {MAX_DIMS} dimensions above 0 whose product is the number of bytes"
            ))),
        }
    }
}

fn product(dims: &[usize]) -> Option<usize> {
    let times = |product: usize, &dim: &usize| product.checked_mul(dim);
    dims.iter().try_fold(1, times)
}

/// Reads the fields of a file in order.
struct Reader<'a>(Packed<'a>);

impl<'a> Reader<'a> {
    fn open(path: &'a Path) -> Result<Self> {
        Packed::open(path).map(Self)
    }

    fn dims(&mut self) -> Result<Vec<usize>> {
        let [zero_0, zero_1, element, count] = self.field("the magic number")?;
        if [zero_0, zero_1] != [0, 0] {
            return Err(self.wrong(format!(
                "byte 0: expected two zero bytes, got {zero_0:#04x} {zero_1:#04x}: this is no \
                 IDX file"
            )));
        }
        if element != UNSIGNED_BYTE {
            return Err(self.wrong(format!(
                "byte 2 (element type): expected {UNSIGNED_BYTE:#04x} (unsigned byte), got \
                 {element:#04x} ({}): convert the file to unsigned bytes",
                element_name(element)
            )));
        }
        let count = usize::from(count);
        if !(1..=MAX_DIMS).contains(&count) {
            return Err(self.wrong(format!(
                "byte 3 (number of dimensions): expected 1 to {MAX_DIMS}, got {count}"
            )));
        }
        (0..count).map(|dim| self.dim(dim)).collect()
    }

    fn dim(&mut self, dim: usize) -> Result<usize> {
        let offset = self.0.offset();
        let size = u32::from_be_bytes(self.field(&format!("the size of dimension {dim}"))?);
        if size == 0 {
            return Err(self.wrong(format!(
                "byte {offset} (size of dimension {dim}): expected 1 or more, got 0"
            )));
        }
        usize::try_from(size).map_err(|_| self.too_large(&[]))
    }

    fn field(&mut self, name: &str) -> Result<[u8; 4]> {
        let offset = self.0.offset();
        let bytes = self.0.take(4)?;
        <[u8; 4]>::try_from(bytes.as_slice()).map_err(|_| {
            self.wrong(format!(
                "byte {offset}: the header is truncated: expected 4 bytes for {name}, got {}: \
                 fetch the file again",
                bytes.len()
            ))
        })
    }

    fn data(&mut self, dims: &[usize]) -> Result<Vec<u8>> {
        let offset = self.0.offset();
        let len = product(dims).ok_or_else(|| self.too_large(dims))?;
        let data = self.0.take(len as u64)?;
        if data.len() < len {
            return Err(self.wrong(format!(
                "byte {offset} (data): truncated: dimensions {dims:?} ask for {len} bytes, got \
                 {}: fetch the file again",
                data.len()
            )));
        }
        let trailing = self.0.skip_rest()?;
        if trailing > 0 {
            return Err(self.wrong(format!(
                "byte {}: dimensions {dims:?} ask for {len} bytes of data, got {}: {trailing} \
                 trailing bytes",
                self.0.offset(),
                len as u64 + trailing
            )));
        }
        Ok(data)
    }

    fn too_large(&self, dims: &[usize]) -> Error {
        self.wrong(format!(
            "byte 4: the product of the dimensions {dims:?} is larger than this machine can count"
        ))
    }

    fn wrong(&self, what: String) -> Error {
        Error::format(self.0.path(), what)
    }
}

fn element_name(element: u8) -> &'static str {
    match element {
        0x09 => "signed byte",
        0x0b => "16-bit integer",
        0x0c => "32-bit integer",
        0x0d => "32-bit float",
        0x0e => "64-bit float",
        _ => "no IDX element type",
    }
}
