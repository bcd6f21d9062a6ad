//! Reads a file that may be packed by gzip, which is told by its first two bytes and not by the
//! name.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;

use flate2::bufread::MultiGzDecoder;

use crate::{Error, Result};

const GZIP: [u8; 2] = [0x1f, 0x8b];

/// A file that is read from front to back and unpacked on the way.
pub(crate) struct Packed<'a> {
    path: &'a Path,
    gzip: bool,
    source: Box<dyn Read>,
    offset: u64,
}

impl<'a> Packed<'a> {
    pub(crate) fn open(path: &'a Path) -> Result<Self> {
        let failed = |error| Error::io(path, error);
        let mut file = BufReader::new(File::open(path).map_err(failed)?);
        let gzip = file.fill_buf().map_err(failed)?.starts_with(&GZIP);
        let source: Box<dyn Read> = if gzip {
            Box::new(MultiGzDecoder::new(file))
        } else {
            Box::new(file)
        };
        Ok(Self {
            path,
            gzip,
            source,
            offset: 0,
        })
    }

    /// Number of unpacked bytes so far.
    pub(crate) fn offset(&self) -> u64 {
        self.offset
    }

    pub(crate) fn path(&self) -> &'a Path {
        self.path
    }

    /// The next `len` bytes, fewer at the end of the file. Memory grows with what is there, not
    /// with `len`.
    pub(crate) fn take(&mut self, len: u64) -> Result<Vec<u8>> {
        let mut bytes = Vec::new();
        let read = (&mut self.source).take(len).read_to_end(&mut bytes);
        self.offset += bytes.len() as u64;
        match read {
            Ok(_) => Ok(bytes),
            Err(error) => Err(self.failed(error)),
        }
    }

    /// Reads to the end and says how many bytes there were.
    pub(crate) fn skip_rest(&mut self) -> Result<u64> {
        let rest = io::copy(&mut self.source, &mut io::sink());
        rest.map_err(|error| self.failed(error))
    }

    fn failed(&self, error: io::Error) -> Error {
        let offset = self.offset;
        let what = match error.kind() {
            _ if !self.gzip => return Error::io(self.path, error),
            io::ErrorKind::UnexpectedEof => {
                format!("truncated: it ends after {offset} unpacked bytes")
            }
            _ => format!("damaged after {offset} unpacked bytes: {error}"),
        };
        let what = format!("the gzip stream is {what}: fetch the file again");
        Error::format(self.path, what)
    }
}
