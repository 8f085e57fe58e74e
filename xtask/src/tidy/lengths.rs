//! Files and functions stay short enough to be read at once.

use std::fmt::Write as _;

use syn::spanned::Spanned as _;
use syn::visit::{self, Visit};

use super::tree::Tree;
use super::{Check, Finding};
use crate::rust_source::RustFile;

pub(crate) const CHECK: Check = Check {
    name: "lengths",
    why: "a file whose name no longer says all that it does, or a function that does not fit a screen, wants splitting",
    run: |tree| Ok(tree.rust.iter().flat_map(of_file).collect()),
};

/// Lines of a file without its test code.
const FILE_LINES_MAX: usize = 600;
/// From here a file is listed by `--lengths`.
const FILE_LINES_NEAR: usize = 400;
/// Lines from `fn` to the closing brace.
const FUNCTION_LINES_MAX: usize = 80;

/// One line for each file that comes near the limit, longest first.
pub(crate) fn near_limit(tree: &Tree) -> String {
    let mut near: Vec<(usize, &str)> = tree
        .rust
        .iter()
        .map(|file| (file.production_lines(), file.path.as_str()))
        .collect();
    near.retain(|(lines, _)| *lines > FILE_LINES_NEAR);
    near.sort_unstable_by(|a, b| b.cmp(a));
    near.iter().fold(String::new(), |mut text, (lines, path)| {
        let _ = writeln!(
            text,
            "near the limit: {path} has {lines} lines of {FILE_LINES_MAX}"
        );
        text
    })
}

fn of_file(file: &RustFile) -> Vec<Finding> {
    let mut findings = Vec::new();
    let lines = file.production_lines();
    if lines > FILE_LINES_MAX {
        let says = format!("{lines} lines without tests; at most {FILE_LINES_MAX}");
        findings.push(Finding::of_file(&file.path, says));
    }
    let mut functions = Functions { found: Vec::new() };
    functions.visit_file(&file.syntax);
    for Function { name, first, last } in functions.found {
        let lines = last + 1 - first;
        if lines > FUNCTION_LINES_MAX && !file.is_test(first) {
            findings.push(Finding::at(
                &file.path,
                first,
                format!("fn {name} has {lines} lines; at most {FUNCTION_LINES_MAX}"),
            ));
        }
    }
    findings
}

struct Function {
    name: String,
    first: usize,
    last: usize,
}

struct Functions {
    found: Vec<Function>,
}

impl Functions {
    fn add(&mut self, signature: &syn::Signature, body: &syn::Block) {
        let first = signature.span().start().line;
        let last = body.span().end().line;
        self.found.push(Function {
            name: signature.ident.to_string(),
            first,
            last,
        });
    }
}

impl<'tree> Visit<'tree> for Functions {
    fn visit_item_fn(&mut self, function: &'tree syn::ItemFn) {
        self.add(&function.sig, &function.block);
        visit::visit_item_fn(self, function);
    }

    fn visit_impl_item_fn(&mut self, function: &'tree syn::ImplItemFn) {
        self.add(&function.sig, &function.block);
        visit::visit_impl_item_fn(self, function);
    }

    fn visit_trait_item_fn(&mut self, function: &'tree syn::TraitItemFn) {
        if let Some(body) = &function.default {
            self.add(&function.sig, body);
        }
        visit::visit_trait_item_fn(self, function);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn findings(text: &str) -> Vec<String> {
        let tree = Tree::of(&[("crates/a/src/a.rs", text)]);
        tree.rust
            .iter()
            .flat_map(of_file)
            .map(|finding| finding.says)
            .collect()
    }

    fn function(lines: usize) -> String {
        format!("fn f() {{\n{}}}\n", "    g();\n".repeat(lines - 2))
    }

    #[test]
    fn function_of_81_lines_is_told_and_one_of_80_is_not() {
        assert_eq!(findings(&function(81)), ["fn f has 81 lines; at most 80"]);
        assert_eq!(findings(&function(80)), Vec::<String>::new());
        assert_eq!(
            findings(&format!("#[test]\n{}", function(81))),
            Vec::<String>::new()
        );
        assert_eq!(
            findings(&format!("impl A {{\n{}}}\n", function(90))).len(),
            1
        );
    }

    #[test]
    fn file_of_601_lines_is_told_and_its_tests_do_not_count() {
        assert_eq!(
            findings(&"// x\n".repeat(601)),
            ["601 lines without tests; at most 600"]
        );
        let tests = format!("#[cfg(test)]\nmod tests {{\n{}}}\n", "// x\n".repeat(50));
        assert_eq!(
            findings(&format!("{}{tests}", "// x\n".repeat(599) + "\n")),
            Vec::<String>::new()
        );
    }

    #[test]
    fn files_near_the_limit_are_listed() {
        let long = "// x\n".repeat(401);
        let tree = Tree::of(&[
            ("crates/a/src/a.rs", &long),
            ("crates/a/src/b.rs", "// x\n"),
        ]);
        assert_eq!(
            near_limit(&tree),
            "near the limit: crates/a/src/a.rs has 401 lines of 600\n"
        );
    }
}
