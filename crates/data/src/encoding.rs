//! [`Encoding`]: how the bytes of a text file stand for characters.
//!
//! **Reference:** WHATWG, "Encoding", index windows-1252.

use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::packed::Packed;
use crate::{Error, Result};

/// How the bytes of a text file stand for characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum Encoding {
    /// UTF-8, with or without a byte order mark; the default.
    #[default]
    #[serde(rename = "utf8", alias = "utf-8")]
    Utf8,
    /// ISO 8859-1: each byte is the character of the same number.
    #[serde(rename = "latin1", alias = "latin-1", alias = "iso-8859-1")]
    Latin1,
    /// Latin-1 with typographic quotes, dashes and the like at 0x80 to 0x9f.
    #[serde(rename = "windows-1252", alias = "cp1252")]
    Windows1252,
}

impl Encoding {
    /// Reads a whole file, plain or gzip, as text with the line end `\n`.
    pub(crate) fn read(self, path: &Path) -> Result<String> {
        let bytes = Packed::open(path)?.take(u64::MAX)?;
        if bytes.starts_with(b"\xff\xfe") || bytes.starts_with(b"\xfe\xff") {
            let what = "the file begins as UTF-16 does, which is not read: convert it to UTF-8";
            return Err(Error::format(path, what));
        }
        let text = match self {
            Self::Utf8 => utf8(path, bytes)?,
            Self::Latin1 => bytes.into_iter().map(char::from).collect(),
            Self::Windows1252 => bytes.into_iter().map(windows_1252).collect(),
        };
        if !text.contains('\r') {
            return Ok(text);
        }
        let text = text.replace("\r\n", "\n");
        // The line end of old programs, which is none beside others.
        Ok(if text.contains('\n') {
            text
        } else {
            text.replace('\r', "\n")
        })
    }
}

fn utf8(path: &Path, bytes: Vec<u8>) -> Result<String> {
    let text = String::from_utf8(bytes).map_err(|error| {
        let (offset, bytes) = (error.utf8_error().valid_up_to(), error.as_bytes());
        let line = 1 + bytes[..offset].iter().filter(|&&b| b == b'\n').count();
        let byte = bytes.get(offset).copied().unwrap_or_default();
        Error::format(
            path,
            format!(
                "byte {offset} (line {line}): {byte:#04x} is not UTF-8: set encoding \
                 (--encoding) to the file's own (windows-1252 or latin1), or convert it to UTF-8"
            ),
        )
    })?;
    Ok(match text.strip_prefix('\u{feff}') {
        Some(rest) => rest.to_owned(),
        None => text,
    })
}

fn windows_1252(byte: u8) -> char {
    // Five bytes have no character of their own and keep their number, as in browsers.
    const FROM_0X80: [char; 32] = [
        '€', '\u{81}', '‚', 'ƒ', '„', '…', '†', '‡', 'ˆ', '‰', 'Š', '‹', 'Œ', '\u{8d}', 'Ž',
        '\u{8f}', '\u{90}', '‘', '’', '“', '”', '•', '–', '—', '˜', '™', 'š', '›', 'œ', '\u{9d}',
        'ž', 'Ÿ',
    ];
    let special = byte.checked_sub(0x80).map(usize::from);
    let special = special.and_then(|at| FROM_0X80.get(at).copied());
    special.unwrap_or(char::from(byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(bytes: &[u8], encoding: Encoding) -> Result<String> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("text");
        std::fs::write(&path, bytes).unwrap();
        encoding.read(&path)
    }

    #[test]
    fn each_encoding_reads_its_own() {
        let text = |bytes: &[u8], encoding| read(bytes, encoding).unwrap();
        assert_eq!(text("naïve – ☕".as_bytes(), Encoding::Utf8), "naïve – ☕");
        assert_eq!(text(b"\xef\xbb\xbfa\r\nb\n", Encoding::Utf8), "a\nb\n");
        assert_eq!(text(b"a\rb\r", Encoding::Utf8), "a\nb\n");
        assert_eq!(text(b"a\rb\r\nc\n", Encoding::Utf8), "a\rb\nc\n");
        assert_eq!(text(b"na\xefve\x97\xa9", Encoding::Latin1), "naïve\u{97}©");
        let windows = text(
            b"\x80\x85\x92\x93\x97\x99\x9f\xa9\xff~",
            Encoding::Windows1252,
        );
        assert_eq!(windows, "€…’“—™Ÿ©ÿ~");
    }

    #[test]
    fn what_is_not_utf8_is_named_with_byte_and_line() {
        let error = read(b"one\ntwo\nna\xefve\n", Encoding::Utf8).unwrap_err();
        assert!(matches!(error, Error::Format { .. }));
        let text = error.to_string();
        assert!(
            text.contains("text: byte 10 (line 3): 0xef is not UTF-8"),
            "{text}"
        );
        assert!(text.contains("set encoding"), "{text}");
    }

    #[test]
    fn utf16_is_refused_whatever_the_encoding() {
        for encoding in [Encoding::Utf8, Encoding::Latin1, Encoding::Windows1252] {
            for bytes in [b"\xff\xfeT\0h\0", b"\xfe\xff\0T\0h"] {
                let text = read(bytes, encoding).unwrap_err().to_string();
                assert!(
                    text.contains("UTF-16") && text.contains("convert"),
                    "{text}"
                );
            }
        }
    }
}
