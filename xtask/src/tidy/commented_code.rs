//! Code in comments is a second version that nobody compiles.

use super::{Check, Finding};
use crate::rust_source::{CommentKind, RustFile};

pub(crate) const CHECK: Check = Check {
    name: "commented-code",
    why: "code that is commented out rots; the history keeps it",
    run: |tree| Ok(tree.rust.iter().flat_map(of_file).collect()),
};

fn of_file(file: &RustFile) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (first, run) in plain_comment_runs(file) {
        if let Some(offset) = code_in(&run) {
            findings.push(Finding::at(
                &file.path,
                first + offset,
                "this comment is code",
            ));
        }
    }
    findings
}

/// Runs of neighbouring `//` lines that hold nothing else: first line's number and the texts.
fn plain_comment_runs(file: &RustFile) -> Vec<(usize, Vec<&str>)> {
    let mut runs: Vec<(usize, Vec<&str>)> = Vec::new();
    for (index, line) in file.lines.iter().enumerate() {
        let Some((CommentKind::Plain, text)) = &line.comment else {
            continue;
        };
        if !line.code.trim().is_empty() {
            continue;
        }
        match runs.last_mut() {
            Some((first, run)) if *first + run.len() == index + 1 => run.push(text),
            _ => runs.push((index + 1, vec![text])),
        }
    }
    runs
}

/// Index of the line in `run` that is code, or begins lines that are together.
fn code_in(run: &[&str]) -> Option<usize> {
    if let Some(offset) = run.iter().position(|line| is_statement(line.trim())) {
        return Some(offset);
    }
    let text = run.join("\n");
    let has_block = text.contains('{') && text.contains('}');
    let is_items = || syn::parse_str::<syn::File>(&text).is_ok_and(|file| !file.items.is_empty());
    let is_block = || {
        syn::parse_str::<syn::Block>(&format!("{{{text}}}"))
            .is_ok_and(|block| !block.stmts.is_empty())
    };
    (has_block && (is_items() || is_block())).then_some(0)
}

/// A whole statement on one line. Prose seldom parses, and then has none of the signs of code.
fn is_statement(line: &str) -> bool {
    let looks_like_code =
        line.contains(['(', '=']) || line.contains("::") || line.starts_with("use ");
    let parses = || syn::parse_str::<syn::Block>(&format!("{{{line}}}")).is_ok();
    line.ends_with(';') && looks_like_code && parses()
}

#[cfg(test)]
mod tests {
    use super::super::tree::Tree;
    use super::*;

    fn lines(text: &str) -> Vec<usize> {
        let tree = Tree::of(&[("crates/a/src/a.rs", text)]);
        tree.rust
            .iter()
            .flat_map(of_file)
            .map(|finding| finding.line)
            .collect()
    }

    #[test]
    fn statements_and_items_in_comments_are_told() {
        assert_eq!(lines("// the old way:\n// let a = b(c);\nfn f() {}\n"), [2]);
        assert_eq!(lines("// use std::fmt;\n"), [1]);
        assert_eq!(lines("// fn g() {\n//     h()\n// }\n"), [1]);
        assert_eq!(lines("// if a {\n//     b()\n// }\n"), [1]);
    }

    #[test]
    fn prose_is_left_alone() {
        for prose in [
            "// The peer is gone; nothing is sent (it would fail);\n",
            "// A set {a, b} of names; see `f(x);` for more;\n",
            "// done;\n",
            "// [5.0 id] a connects { b receives }\n",
            "/// ```\n/// let a = b(c);\n/// ```\nfn f() {}\n",
        ] {
            assert_eq!(lines(prose).len(), 0, "{prose}");
        }
    }
}
