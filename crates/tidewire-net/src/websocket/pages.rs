//! A few pages beside MQTT: the files of one folder, kept in memory, so that no worker ever waits for a disk.

use percent_encoding::percent_decode_str;
use std::collections::HashMap;
use std::fmt;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Folders below the folder; a link that leads back into itself ends here.
const DEPTH_MAX: usize = 16;
/// Bytes that an answer brings up for sending at once.
const PIECE_BYTES: usize = 16 * 1024;
/// What stands for a folder.
const INDEX: &str = "index.html";

/// The files of a folder, by the paths that browsers ask for.
#[derive(Debug, Default)]
pub struct StaticPages {
    pages: HashMap<Box<str>, Page>,
}

#[derive(Debug)]
pub(super) struct Page {
    pub(super) content_type: Box<str>,
    pub(super) bytes: Arc<[u8]>,
}

/// What is left of a page to be sent.
pub(super) struct Body {
    bytes: Arc<[u8]>,
    at: usize,
}

/// Why a folder cannot be served.
#[derive(Debug)]
pub enum PagesError {
    /// A file or folder cannot be read.
    Unreadable {
        /// Which.
        path: PathBuf,
        /// The operating system's error.
        error: io::Error,
    },
    /// The files have more bytes than are kept in memory.
    TooLarge {
        /// The folder.
        folder: PathBuf,
        /// What is allowed.
        max_bytes: u64,
    },
}

impl StaticPages {
    /// Reads all files below `folder`, but those whose names begin with a dot. They may have `max_bytes` together.
    ///
    /// # Errors
    /// [`PagesError`].
    pub fn load(folder: &Path, max_bytes: u64) -> Result<Self, PagesError> {
        let mut pages = Self::default();
        let mut left = max_bytes;
        match pages.add_folder(folder, "/", &mut left, 0)? {
            Room::Enough => Ok(pages),
            Room::Exceeded => Err(PagesError::TooLarge {
                folder: folder.to_owned(),
                max_bytes,
            }),
        }
    }

    /// Number of files.
    #[must_use]
    pub fn len(&self) -> usize {
        self.pages.len()
    }

    /// Whether there is no file.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.pages.is_empty()
    }

    /// The page for the path of a request, without its query.
    pub(super) fn find(&self, path: &str) -> Option<&Page> {
        let decoded = percent_decode_str(path).decode_utf8().ok()?;
        if let Some(page) = self.pages.get(&*decoded) {
            return Some(page);
        }
        let index = format!("{}/{INDEX}", decoded.trim_end_matches('/'));
        self.pages.get(&*index)
    }

    fn add_folder(
        &mut self,
        folder: &Path,
        prefix: &str,
        left: &mut u64,
        depth: usize,
    ) -> Result<Room, PagesError> {
        let unreadable = |error| PagesError::Unreadable {
            path: folder.to_owned(),
            error,
        };
        for entry in fs::read_dir(folder).map_err(unreadable)? {
            let path = entry.map_err(unreadable)?.path();
            let Some(name) = path.file_name().and_then(|name| name.to_str()) else {
                continue;
            };
            if name.starts_with('.') {
                continue;
            }
            let room = if path.is_dir() {
                if depth == DEPTH_MAX {
                    continue;
                }
                self.add_folder(&path, &format!("{prefix}{name}/"), left, depth + 1)?
            } else {
                self.add_file(&path, format!("{prefix}{name}"), left)?
            };
            if room == Room::Exceeded {
                return Ok(room);
            }
        }
        Ok(Room::Enough)
    }

    fn add_file(&mut self, file: &Path, name: String, left: &mut u64) -> Result<Room, PagesError> {
        let unreadable = |error| PagesError::Unreadable {
            path: file.to_owned(),
            error,
        };
        // Asked first: a file that is too large is not read.
        let length = fs::metadata(file).map_err(unreadable)?.len();
        let Some(rest) = left.checked_sub(length) else {
            return Ok(Room::Exceeded);
        };
        *left = rest;
        let bytes = fs::read(file).map_err(unreadable)?.into();
        let kind = mime_guess::from_path(file).first_or_octet_stream();
        let content_type = match kind.type_() {
            mime_guess::mime::TEXT => format!("{kind}; charset=utf-8").into(),
            _ => kind.essence_str().into(),
        };
        let page = Page {
            content_type,
            bytes,
        };
        self.pages.insert(name.into(), page);
        Ok(Room::Enough)
    }
}

/// Whether files fit into the memory that they may take.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Room {
    Enough,
    Exceeded,
}

impl Body {
    pub(super) fn of(page: &Page) -> Self {
        Self {
            bytes: Arc::clone(&page.bytes),
            at: 0,
        }
    }

    pub(super) fn nothing() -> Self {
        Self {
            bytes: Arc::from([]),
            at: 0,
        }
    }

    /// Appends the next piece.
    pub(super) fn more(&mut self, wire: &mut Vec<u8>) {
        let rest = self.bytes.get(self.at..).unwrap_or_default();
        let piece = &rest[..rest.len().min(PIECE_BYTES)];
        wire.extend_from_slice(piece);
        self.at += piece.len();
    }
}

impl fmt::Display for PagesError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreadable { path, error } => write!(
                f,
                "{} cannot be read: {error}; the user who runs the broker must be allowed to",
                path.display()
            ),
            Self::TooLarge { folder, max_bytes } => write!(
                f,
                "the files in {} have more than {max_bytes} bytes, and all of them are kept in memory; raise ws_static_max_bytes, or leave \
                 large files to a web server",
                folder.display()
            ),
        }
    }
}

impl std::error::Error for PagesError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Unreadable { error, .. } => Some(error),
            Self::TooLarge { .. } => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{PagesError, StaticPages};

    #[test]
    fn files_are_found_by_their_paths_and_folders_by_their_index() {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| {
            let file = folder.path().join(name);
            std::fs::create_dir_all(file.parent().unwrap()).unwrap();
            std::fs::write(file, text).unwrap();
        };
        write("index.html", "front");
        write("sub/index.html", "sub");
        write("sub/a b.js", "code");
        write(".secret", "secret");
        write(".git/config", "secret");
        let pages = StaticPages::load(folder.path(), 100).unwrap();
        assert_eq!(pages.len(), 3);
        let text = |path: &str| {
            let page = pages.find(path)?;
            let text = String::from_utf8(page.bytes.to_vec()).unwrap();
            Some(format!("{} {text}", page.content_type))
        };
        let html = "text/html; charset=utf-8";
        for (path, found) in [
            ("/", format!("{html} front")),
            ("/index.html", format!("{html} front")),
            ("/sub", format!("{html} sub")),
            ("/sub/", format!("{html} sub")),
            (
                "/sub/a%20b.js",
                "text/javascript; charset=utf-8 code".to_owned(),
            ),
        ] {
            assert_eq!(text(path), Some(found), "{path}");
        }
        for path in [
            "/.secret",
            "/.git/config",
            "/sub/../.secret",
            "/%FF",
            "//",
            "",
            "/x",
        ] {
            let found = text(path);
            assert!(
                found.is_none() || found == Some(format!("{html} front")),
                "{path}"
            );
        }
        assert!(text("/%2e%2e/etc/passwd").is_none());
    }

    #[test]
    fn a_folder_that_is_missing_or_too_large_is_named() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("a"), [0; 10]).unwrap();
        assert!(StaticPages::load(folder.path(), 10).is_ok());
        let error = StaticPages::load(folder.path(), 9).unwrap_err();
        assert!(matches!(error, PagesError::TooLarge { max_bytes: 9, .. }));
        let error = StaticPages::load(&folder.path().join("none"), 9).unwrap_err();
        assert!(error.to_string().contains("none cannot be read"), "{error}");
    }
}
