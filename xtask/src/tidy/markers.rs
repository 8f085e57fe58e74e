//! Nothing is left for later inside the code.

use super::{Check, Finding};
use crate::rust_source::{Form, RustFile};

pub(crate) const CHECK: Check = Check {
    name: "markers",
    why: "unfinished work is an issue or is finished now; a marker in the code is found by nobody",
    run: |tree| Ok(tree.rust.iter().flat_map(of_file).collect()),
};

/// Split so that this file does not hold the words itself.
const WORDS: [&str; 4] = [
    concat!("TO", "DO"),
    concat!("FIX", "ME"),
    concat!("XX", "X"),
    concat!("HA", "CK"),
];
const MACROS: [&str; 2] = [concat!("to", "do"), concat!("un", "implemented")];

fn of_file(file: &RustFile) -> Vec<Finding> {
    let macros = file
        .names
        .iter()
        .filter(|name| name.form == Form::Macro && MACROS.contains(&name.path.as_str()));
    let mut findings: Vec<Finding> = macros
        .map(|name| Finding::at(&file.path, name.line, format!("{}! is left", name.path)))
        .collect();
    for (index, line) in file.lines.iter().enumerate() {
        let Some((_, comment)) = &line.comment else {
            continue;
        };
        let mut words = comment.split(|c: char| !c.is_alphanumeric() && c != '_');
        if let Some(word) = words.find(|word| WORDS.contains(word)) {
            findings.push(Finding::at(
                &file.path,
                index + 1,
                format!("{word} is left"),
            ));
        }
    }
    findings
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
    fn markers_in_comments_and_macros_are_told() {
        let [first, second] = MACROS;
        assert_eq!(
            lines(&format!(
                "fn f() {{ {first}!() }}\nfn g() {{ {second}!(\"x\") }}\n"
            )),
            [1, 2]
        );
        for word in WORDS {
            assert_eq!(lines(&format!("// {word}: later\n")), [1]);
            assert_eq!(lines(&format!("/// See {word}(me).\nfn f() {{}}\n")), [1]);
        }
    }

    #[test]
    fn the_same_letters_in_strings_and_names_are_not_markers() {
        let [word, ..] = WORDS;
        assert_eq!(
            lines(&format!(
                "const A: &str = \"{word}\";\n// {word}S\nfn {word}() {{}}\n"
            ))
            .len(),
            0
        );
    }
}
