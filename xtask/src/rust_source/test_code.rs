//! Which lines are test code: files under `tests/` and the like, `#[cfg(test)]` items, `#[test]` functions.

use std::collections::BTreeSet;

use syn::spanned::Spanned as _;
use syn::visit::{self, Visit};

use super::{Line, RustFile};

/// Folders whose files never ship.
const TEST_FOLDERS: [&str; 4] = ["tests", "benches", "examples", "fuzz"];

/// Whether the file at `path` is test code because of its folder or its inner `#![cfg(test)]`-like name.
pub(super) fn is_test_path(path: &str) -> bool {
    path.split('/').any(|folder| TEST_FOLDERS.contains(&folder))
}

/// Whether `path` belongs to one of the modules in `outlined` (each a path without `.rs`).
pub(super) fn is_outlined(path: &str, outlined: &BTreeSet<String>) -> bool {
    let stem = path.trim_end_matches(".rs");
    let parents = stem.match_indices('/').map(|(at, _)| &stem[..at]);
    parents
        .chain([stem])
        .any(|module| outlined.contains(module))
}

/// Modules that `file` declares under `#[cfg(test)]` and that lie in files of their own.
pub(super) fn outlined_test_modules(file: &RustFile) -> Vec<String> {
    let stem = file.path.trim_end_matches(".rs");
    let (folder, name) = stem.rsplit_once('/').unwrap_or(("", stem));
    let base = if matches!(name, "mod" | "lib" | "main") {
        folder
    } else {
        stem
    };
    let declared = file.syntax.items.iter().filter_map(|item| match item {
        syn::Item::Mod(module) if module.content.is_none() && is_for_tests(&module.attrs) => {
            Some(module)
        }
        _ => None,
    });
    declared
        .map(|module| format!("{base}/{}", module.ident))
        .collect()
}

/// By line: whether it belongs to test code inside `syntax`.
pub(super) fn test_lines(syntax: &syn::File, lines: &[Line]) -> Vec<bool> {
    let mut marked = vec![is_for_tests(&syntax.attrs); lines.len()];
    let mut items = TestItems { ranges: Vec::new() };
    items.visit_file(syntax);
    for (first, last) in items.ranges {
        let first = with_comments_above(lines, first);
        marked[first - 1..last.min(lines.len())].fill(true);
    }
    marked
}

/// Comments directly above an item belong to it, which its span does not say.
fn with_comments_above(lines: &[Line], first: usize) -> usize {
    let is_comment = |line: &Line| line.comment.is_some() && line.code.trim().is_empty();
    let above = lines[..first - 1]
        .iter()
        .rev()
        .take_while(|line| is_comment(line))
        .count();
    first - above
}

struct TestItems {
    ranges: Vec<(usize, usize)>,
}

impl TestItems {
    fn mark(&mut self, span: proc_macro2::Span) {
        self.ranges.push((span.start().line, span.end().line));
    }
}

impl<'tree> Visit<'tree> for TestItems {
    fn visit_item(&mut self, item: &'tree syn::Item) {
        if is_for_tests(attributes(item)) {
            return self.mark(item.span());
        }
        visit::visit_item(self, item);
    }

    fn visit_impl_item_fn(&mut self, function: &'tree syn::ImplItemFn) {
        if is_for_tests(&function.attrs) {
            return self.mark(function.span());
        }
        visit::visit_impl_item_fn(self, function);
    }
}

fn attributes(item: &syn::Item) -> &[syn::Attribute] {
    match item {
        syn::Item::Const(item) => &item.attrs,
        syn::Item::Enum(item) => &item.attrs,
        syn::Item::Fn(item) => &item.attrs,
        syn::Item::Impl(item) => &item.attrs,
        syn::Item::Macro(item) => &item.attrs,
        syn::Item::Mod(item) => &item.attrs,
        syn::Item::Static(item) => &item.attrs,
        syn::Item::Struct(item) => &item.attrs,
        syn::Item::Trait(item) => &item.attrs,
        syn::Item::Type(item) => &item.attrs,
        syn::Item::Use(item) => &item.attrs,
        _ => &[],
    }
}

fn is_for_tests(attributes: &[syn::Attribute]) -> bool {
    attributes.iter().any(|attribute| match &attribute.meta {
        syn::Meta::Path(path) => path
            .segments
            .last()
            .is_some_and(|last| last.ident == "test"),
        syn::Meta::List(list) if list.path.is_ident("cfg") => list
            .parse_args::<syn::Meta>()
            .is_ok_and(|condition| needs_test(&condition)),
        _ => false,
    })
}

/// Whether a `cfg` condition can hold in test builds only: `test`, or `all(..)` with `test` in it.
fn needs_test(condition: &syn::Meta) -> bool {
    match condition {
        syn::Meta::Path(path) => path.is_ident("test"),
        syn::Meta::List(list) if list.path.is_ident("all") => {
            type Conditions = syn::punctuated::Punctuated<syn::Meta, syn::Token![,]>;
            list.parse_args_with(Conditions::parse_terminated)
                .is_ok_and(|conditions| conditions.iter().any(needs_test))
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::super::lexed;
    use super::*;

    fn marked(text: &str) -> Vec<usize> {
        let syntax = syn::parse_file(text).expect("parses");
        let lines = lexed::lines(text);
        let marks = test_lines(&syntax, &lines);
        marks
            .iter()
            .enumerate()
            .filter(|(_, test)| **test)
            .map(|(index, _)| index + 1)
            .collect()
    }

    #[test]
    fn test_items_are_marked_with_the_comments_above_them() {
        let text = "fn a() {}\n\n// about b\n#[test]\nfn b() {\n}\n#[cfg(not(test))]\nfn c() {}\n";
        assert_eq!(marked(text), [3, 4, 5, 6]);
    }

    #[test]
    fn test_modules_and_functions_of_impls_are_marked() {
        let text = "impl A {\n #[cfg(test)]\n fn a() {}\n fn b() {}\n}\n#[cfg(all(test, unix))]\nmod t {\n}\n";
        assert_eq!(marked(text), [2, 3, 6, 7, 8]);
        assert_eq!(
            marked("#[cfg(any(test, feature = \"x\"))]\nfn shipped() {}\n").len(),
            0
        );
    }
}
