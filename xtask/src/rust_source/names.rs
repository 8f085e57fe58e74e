//! Every path, macro call and method call of a file, read from its tokens so that those inside macro
//! calls are seen too, and with `use a::{b, c::d}` written out as `a::b` and `a::c::d`.

use proc_macro2::{Delimiter, TokenStream, TokenTree};

/// How a name is used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    /// `a::b::c` or a plain identifier.
    Path,
    /// `name!(...)`
    Macro,
    /// `.name(...)`
    Method,
}

/// One use of a name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Name {
    /// Line number, the first is 1.
    pub line: usize,
    pub form: Form,
    /// Segments joined by `::`.
    pub path: String,
}

/// All names in `tokens`, in order.
pub(super) fn names(tokens: TokenStream) -> Vec<Name> {
    let mut found = Vec::new();
    walk(tokens, "", &mut found);
    found
}

fn walk(tokens: TokenStream, prefix: &str, found: &mut Vec<Name>) {
    let tokens: Vec<TokenTree> = tokens.into_iter().collect();
    let mut at = 0;
    while at < tokens.len() {
        at = match &tokens[at] {
            TokenTree::Ident(_) => walk_path(&tokens, at, prefix, found),
            TokenTree::Group(group) => {
                walk(group.stream(), "", found);
                at + 1
            }
            _ => at + 1,
        };
    }
}

/// Reads the path that starts at `start`; returns the index behind it.
fn walk_path(tokens: &[TokenTree], start: usize, prefix: &str, found: &mut Vec<Name>) -> usize {
    let line = tokens[start].span().start().line;
    let mut path = format!("{prefix}{}", tokens[start]);
    let mut at = start + 1;
    while is_path_separator(tokens, at) {
        match tokens.get(at + 2) {
            Some(TokenTree::Ident(segment)) => {
                path = format!("{path}::{segment}");
                at += 3;
            }
            Some(TokenTree::Group(group)) if group.delimiter() == Delimiter::Brace => {
                walk(group.stream(), &format!("{path}::"), found);
                return at + 3;
            }
            _ => break,
        }
    }
    let form = form(tokens, start, at);
    found.push(Name { line, form, path });
    at
}

fn form(tokens: &[TokenTree], start: usize, end: usize) -> Form {
    let is_group = |at: usize| matches!(tokens.get(at), Some(TokenTree::Group(_)));
    if is_punct(tokens, end, '!') && is_group(end + 1) {
        return Form::Macro;
    }
    let after_dot = start
        .checked_sub(1)
        .is_some_and(|before| is_punct(tokens, before, '.'));
    if after_dot && end == start + 1 {
        Form::Method
    } else {
        Form::Path
    }
}

fn is_path_separator(tokens: &[TokenTree], at: usize) -> bool {
    is_punct(tokens, at, ':') && is_punct(tokens, at + 1, ':')
}

fn is_punct(tokens: &[TokenTree], at: usize, wanted: char) -> bool {
    matches!(tokens.get(at), Some(TokenTree::Punct(punct)) if punct.as_char() == wanted)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(text: &str, form: Form) -> Vec<String> {
        let tokens = text.parse().expect("tokens");
        names(tokens)
            .into_iter()
            .filter(|name| name.form == form)
            .map(|name| name.path)
            .collect()
    }

    #[test]
    fn grouped_imports_are_written_out() {
        let paths = found("use std::{fs, net::{TcpStream, UdpSocket}};", Form::Path);
        assert_eq!(
            paths,
            [
                "use",
                "std::fs",
                "std::net::TcpStream",
                "std::net::UdpSocket"
            ]
        );
    }

    #[test]
    fn names_inside_macros_are_seen() {
        assert_eq!(
            found("assert!(std::time::Instant::now() > x);", Form::Macro),
            ["assert"]
        );
        let paths = found("assert!(std::time::Instant::now() > x);", Form::Path);
        assert_eq!(paths, ["std::time::Instant::now", "x"]);
    }

    #[test]
    fn methods_and_macros_are_told_apart_from_paths() {
        assert_eq!(
            found("a.unwrap(); b != c; unwrap(d)", Form::Method),
            ["unwrap"]
        );
        assert_eq!(found("if a != (b) { panic!() }", Form::Macro), ["panic"]);
    }
}
