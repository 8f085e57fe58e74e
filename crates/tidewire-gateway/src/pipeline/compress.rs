//! Compression of payloads.

use std::io::{self, Read as _, Write as _};

/// How payloads are compressed.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub enum Compression {
    /// Not at all.
    #[default]
    None,
    /// zlib's format (RFC 1950); the topic ends in `_gz`.
    Deflate,
    /// Zstandard (RFC 8878); the topic ends in `_zst`.
    Zstd,
}

impl Compression {
    /// What the topic of compressed payloads ends in.
    #[must_use]
    pub const fn suffix(self) -> &'static str {
        match self {
            Self::None => "",
            Self::Deflate => "_gz",
            Self::Zstd => "_zst",
        }
    }

    /// Compresses.
    ///
    /// # Errors
    /// None of these fails in memory; the error is what their interface says.
    pub fn compress(self, bytes: Vec<u8>) -> io::Result<Vec<u8>> {
        match self {
            Self::None => Ok(bytes),
            Self::Deflate => {
                let into = Vec::with_capacity(bytes.len() / 4);
                let mut encoder =
                    flate2::write::ZlibEncoder::new(into, flate2::Compression::fast());
                encoder.write_all(&bytes)?;
                encoder.finish()
            }
            Self::Zstd => zstd::bulk::compress(&bytes, 1),
        }
    }

    /// The other way round, for at most `max_bytes`.
    ///
    /// # Errors
    /// The bytes are none that [`Compression::compress`] makes, or more than that.
    pub fn expand(self, bytes: &[u8], max_bytes: usize) -> io::Result<Vec<u8>> {
        match self {
            Self::None => Ok(bytes.to_vec()),
            Self::Deflate => {
                let mut expanded = Vec::new();
                let limit = max_bytes as u64 + 1;
                flate2::read::ZlibDecoder::new(bytes)
                    .take(limit)
                    .read_to_end(&mut expanded)?;
                if expanded.len() > max_bytes {
                    return Err(io::ErrorKind::FileTooLarge.into());
                }
                Ok(expanded)
            }
            Self::Zstd => zstd::bulk::decompress(bytes, max_bytes),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_expanded_is_what_was_compressed() {
        let text = b"[\"pump\",\"pressure\",21.5]".repeat(100);
        for way in [Compression::None, Compression::Deflate, Compression::Zstd] {
            let small = way.compress(text.clone()).expect("compressed");
            assert_eq!(way.expand(&small, text.len()).expect("expanded"), text);
            assert_eq!(way == Compression::None, small.len() == text.len());
            if way != Compression::None {
                assert!(way.expand(&small, text.len() - 1).is_err());
            }
        }
    }
}
