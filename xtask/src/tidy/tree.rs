//! What the checks look at: the project's text files, its Rust files parsed, and cargo's metadata.

use std::fs;
use std::path::Path;

use anyhow::Result;
use serde_json::Value;

use super::{Check, Finding};
use crate::rust_source::{self, RustFile, Unparsed};
use crate::workspace;

/// The tree under check.
pub(crate) struct Tree {
    /// Every text file but Rust: path below the root and text.
    pub texts: Vec<(String, String)>,
    /// Every Rust file that parses.
    pub rust: Vec<RustFile>,
    /// Every file's path, text or not.
    pub paths: Vec<String>,
    /// `cargo metadata` of the whole dependency graph.
    pub metadata: Value,
    unparsed: Vec<Unparsed>,
}

pub(crate) const PARSES: Check = Check {
    name: "parses",
    why: "the other checks can only see what parses as Rust of the edition",
    run: |tree| {
        Ok(tree
            .unparsed
            .iter()
            .map(|file| Finding::at(&file.path, file.line, &file.why))
            .collect())
    },
};

impl Tree {
    /// Reads the tree below `root`; files that are not UTF-8 are known by path only.
    pub(crate) fn read(root: &Path) -> Result<Self> {
        let paths = workspace::files(root)?;
        let read = |path: &String| Some((path.clone(), fs::read_to_string(root.join(path)).ok()?));
        let sources = paths.iter().filter_map(read).collect();
        let metadata = workspace::metadata(root)?;
        Ok(Self::assemble(sources, paths, metadata))
    }

    /// A tree of the given `(path, text)` files, for the checks' own tests.
    #[cfg(test)]
    pub(crate) fn of(files: &[(&str, &str)]) -> Self {
        let sources: Vec<(String, String)> = files
            .iter()
            .map(|(path, text)| ((*path).to_owned(), (*text).to_owned()))
            .collect();
        let paths = files.iter().map(|(path, _)| (*path).to_owned()).collect();
        Self::assemble(sources, paths, Value::Null)
    }

    /// A tree without files, with the given metadata, for the checks' own tests.
    #[cfg(test)]
    pub(crate) fn of_metadata(metadata: Value) -> Self {
        Self::assemble(Vec::new(), Vec::new(), metadata)
    }

    fn assemble(sources: Vec<(String, String)>, paths: Vec<String>, metadata: Value) -> Self {
        let (rust, texts) = sources
            .into_iter()
            .partition(|(path, _)| path.ends_with(".rs"));
        let (rust, unparsed) = rust_source::read_all(rust);
        Self {
            texts,
            rust,
            paths,
            metadata,
            unparsed,
        }
    }

    /// Text of the file at `path`, if the tree has it.
    pub(crate) fn text(&self, path: &str) -> Option<&str> {
        let text = self
            .texts
            .iter()
            .find(|(name, _)| name == path)
            .map(|(_, text)| text.as_str());
        text.or_else(|| {
            self.rust
                .iter()
                .find(|file| file.path == path)
                .map(|file| file.text.as_str())
        })
    }

    /// Every text file with its path, Rust or not.
    pub(crate) fn all_texts(&self) -> impl Iterator<Item = (&str, &str)> {
        let others = self
            .texts
            .iter()
            .map(|(path, text)| (path.as_str(), text.as_str()));
        others.chain(
            self.rust
                .iter()
                .map(|file| (file.path.as_str(), file.text.as_str())),
        )
    }

    /// The workspace's own packages below `crates/`.
    pub(crate) fn crates(&self) -> Vec<&Value> {
        let members: Vec<&Value> = array(&self.metadata["workspace_members"]);
        let is_ours = |package: &&Value| {
            let manifest = package["manifest_path"].as_str().unwrap_or_default();
            members.contains(&&package["id"]) && manifest.contains("/crates/")
        };
        array(&self.metadata["packages"])
            .into_iter()
            .filter(is_ours)
            .collect()
    }
}

/// The elements of a JSON array; none if `value` is no array.
pub(crate) fn array(value: &Value) -> Vec<&Value> {
    value
        .as_array()
        .map(|elements| elements.iter().collect())
        .unwrap_or_default()
}

/// A string of JSON; empty if `value` is no string.
pub(crate) fn string(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}
