//! A Rust file as the checks see it: lines split into code and comment, the syntax tree, and which
//! lines are test code.

mod lexed;
mod names;
mod test_code;

pub(crate) use lexed::{CommentKind, Line};
pub(crate) use names::{Form, Name};

use std::collections::BTreeSet;

/// One Rust file of the project.
pub(crate) struct RustFile {
    /// Path below the repository's root.
    pub path: String,
    /// The whole text.
    pub text: String,
    /// The text by line, strings blanked in the code part.
    pub lines: Vec<Line>,
    /// Every path, macro call and method call, also those inside macros.
    pub names: Vec<Name>,
    /// The syntax tree.
    pub syntax: syn::File,
    /// By line (the first has index 0): whether it is test code.
    test_lines: Vec<bool>,
}

/// A file that does not parse: where and why.
pub(crate) struct Unparsed {
    pub path: String,
    pub line: usize,
    pub why: String,
}

impl RustFile {
    /// Whether line `number` (the first is 1) is test code.
    pub(crate) fn is_test(&self, number: usize) -> bool {
        number
            .checked_sub(1)
            .and_then(|index| self.test_lines.get(index))
            .copied()
            .unwrap_or(false)
    }

    /// Number of lines that are not test code.
    pub(crate) fn production_lines(&self) -> usize {
        self.test_lines.iter().filter(|is_test| !**is_test).count()
    }
}

/// Reads all `(path, text)` pairs; whether a file is test code can be decided by another one
/// (`#[cfg(test)] mod tests;`), so they are read together.
pub(crate) fn read_all(sources: Vec<(String, String)>) -> (Vec<RustFile>, Vec<Unparsed>) {
    let mut files = Vec::new();
    let mut unparsed = Vec::new();
    for (path, text) in sources {
        match read_one(path, text) {
            Ok(file) => files.push(file),
            Err(error) => unparsed.push(error),
        }
    }
    let outlined: BTreeSet<String> = files
        .iter()
        .flat_map(test_code::outlined_test_modules)
        .collect();
    for file in &mut files {
        if test_code::is_test_path(&file.path) || test_code::is_outlined(&file.path, &outlined) {
            file.test_lines.fill(true);
        }
    }
    (files, unparsed)
}

fn read_one(path: String, text: String) -> Result<RustFile, Unparsed> {
    let fail = |error: &syn::Error| Unparsed {
        path: path.clone(),
        line: error.span().start().line,
        why: error.to_string(),
    };
    let syntax = syn::parse_file(&text).map_err(|error| fail(&error))?;
    let tokens = syn::parse_str(&text).map_err(|error| fail(&error))?;
    let lines = lexed::lines(&text);
    let test_lines = test_code::test_lines(&syntax, &lines);
    Ok(RustFile {
        names: names::names(tokens),
        path,
        text,
        lines,
        syntax,
        test_lines,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(sources: &[(&str, &str)]) -> Vec<RustFile> {
        let owned = sources
            .iter()
            .map(|(path, text)| ((*path).to_owned(), (*text).to_owned()));
        let (files, unparsed) = read_all(owned.collect());
        assert!(unparsed.is_empty());
        files
    }

    #[test]
    fn outlined_test_module_is_test_code_in_its_own_file() {
        let files = read(&[
            (
                "crates/a/src/lib.rs",
                "#[cfg(test)]\nmod proof;\nmod real;\n",
            ),
            ("crates/a/src/proof.rs", "mod inner;\nfn f() {}\n"),
            ("crates/a/src/proof/inner.rs", "fn f() {}\n"),
            ("crates/a/src/real.rs", "fn f() {}\n"),
            ("crates/a/tests/x.rs", "fn f() {}\n"),
        ]);
        let production: Vec<usize> = files.iter().map(RustFile::production_lines).collect();
        assert_eq!(production, [1, 0, 0, 1, 0]);
    }

    #[test]
    fn file_that_does_not_parse_is_told_with_its_line() {
        let (files, unparsed) = read_all(vec![("a.rs".to_owned(), "fn f() {}\nfn (\n".to_owned())]);
        assert!(files.is_empty());
        assert_eq!(unparsed.len(), 1);
        assert_eq!(
            (unparsed[0].path.as_str(), unparsed[0].line > 1),
            ("a.rs", true)
        );
    }
}
