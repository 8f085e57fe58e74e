//! Splits a Rust file into code and comments by line, which the syntax tree does not keep.

/// What sort of comment a line carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CommentKind {
    /// `// ...`
    Plain,
    /// `/// ...` or `//! ...`
    Doc,
    /// A line inside `/* ... */`.
    Block,
}

/// One line of a file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Line {
    /// The code with string contents left out.
    pub code: String,
    /// The comment's text without its marker.
    pub comment: Option<(CommentKind, String)>,
}

enum State {
    Code,
    LineComment,
    BlockComment { depth: usize },
    Text,
    RawText { hashes: usize },
}

/// Splits `text`; assumes that it is a Rust file that parses.
pub(super) fn lines(text: &str) -> Vec<Line> {
    let chars: Vec<char> = text.chars().collect();
    let mut lexer = Lexer {
        chars: &chars,
        at: 0,
        line: Line::default(),
        done: Vec::new(),
    };
    lexer.run();
    lexer.done
}

struct Lexer<'text> {
    chars: &'text [char],
    at: usize,
    line: Line,
    done: Vec<Line>,
}

impl Lexer<'_> {
    fn run(&mut self) {
        let mut state = State::Code;
        while let Some(&now) = self.chars.get(self.at) {
            if now == '\n' {
                self.done.push(std::mem::take(&mut self.line));
                self.at += 1;
                if matches!(state, State::LineComment) {
                    state = State::Code;
                }
                continue;
            }
            state = match state {
                State::Code => self.code(now),
                State::LineComment => self.comment(now, State::LineComment),
                State::BlockComment { depth } => self.block(now, depth),
                State::Text => self.text(now),
                State::RawText { hashes } => self.raw_text(now, hashes),
            };
        }
        if self.line != Line::default() {
            self.done.push(std::mem::take(&mut self.line));
        }
    }

    fn code(&mut self, now: char) -> State {
        if self.sees("//") {
            return self.open_line_comment();
        }
        if self.sees("/*") {
            self.at += 2;
            self.line.comment = Some((CommentKind::Block, String::new()));
            return State::BlockComment { depth: 1 };
        }
        if let Some(hashes) = self.raw_text_opens(now) {
            self.at += hashes + 2;
            self.line.code.push('"');
            return State::RawText { hashes };
        }
        match now {
            '\'' => self.quote(),
            _ => self.keep(1),
        }
        if now == '"' { State::Text } else { State::Code }
    }

    fn open_line_comment(&mut self) -> State {
        let marker: String = self.chars[self.at..]
            .iter()
            .take_while(|c| **c == '/' || **c == '!')
            .take(3)
            .collect();
        let kind = if marker.len() == 3 {
            CommentKind::Doc
        } else {
            CommentKind::Plain
        };
        self.at += marker.len();
        self.line.comment = Some((kind, String::new()));
        State::LineComment
    }

    /// A character literal is skipped, a lifetime is kept.
    fn quote(&mut self) {
        let escaped = self.peek(1) == Some('\\');
        if !escaped && self.peek(2) != Some('\'') {
            return self.keep(1);
        }
        // The character behind a backslash may itself be a quote.
        let mut end = self.at + if escaped { 3 } else { 2 };
        while self
            .chars
            .get(end)
            .is_some_and(|c| *c != '\'' && *c != '\n')
        {
            end += 1;
        }
        self.line.code.push_str("' '");
        self.at = end + 1;
    }

    /// Hash count of a raw string that starts here (`r"`, `r#"`; `b` or `c` before it was kept as code).
    fn raw_text_opens(&self, now: char) -> Option<usize> {
        if now != 'r' || !self.starts_a_word() {
            return None;
        }
        let hashes = self.chars[self.at + 1..]
            .iter()
            .take_while(|c| **c == '#')
            .count();
        (self.peek(1 + hashes) == Some('"')).then_some(hashes)
    }

    fn starts_a_word(&self) -> bool {
        let is_word = |c: char| c.is_alphanumeric() || c == '_';
        let before = |back: usize| self.at.checked_sub(back).map(|index| self.chars[index]);
        match before(1) {
            Some('b' | 'c') => !before(2).is_some_and(is_word),
            other => !other.is_some_and(is_word),
        }
    }

    fn text(&mut self, now: char) -> State {
        match now {
            // A backslash before a line break leaves the break to the main loop.
            '\\' => self.at += if self.peek(1) == Some('\n') { 1 } else { 2 },
            '"' => {
                self.keep(1);
                return State::Code;
            }
            _ => self.at += 1,
        }
        State::Text
    }

    fn raw_text(&mut self, now: char, hashes: usize) -> State {
        let closes = now == '"' && (1..=hashes).all(|offset| self.peek(offset) == Some('#'));
        if closes {
            self.line.code.push('"');
            self.at += 1 + hashes;
            return State::Code;
        }
        self.at += 1;
        State::RawText { hashes }
    }

    fn block(&mut self, now: char, depth: usize) -> State {
        if self.sees("*/") {
            self.at += 2;
            return if depth == 1 {
                State::Code
            } else {
                State::BlockComment { depth: depth - 1 }
            };
        }
        if self.sees("/*") {
            self.at += 2;
            return State::BlockComment { depth: depth + 1 };
        }
        self.comment(now, State::BlockComment { depth })
    }

    fn comment(&mut self, now: char, stay: State) -> State {
        let (_, text) = self
            .line
            .comment
            .get_or_insert((CommentKind::Block, String::new()));
        text.push(now);
        self.at += 1;
        stay
    }

    fn keep(&mut self, count: usize) {
        self.line.code.extend(&self.chars[self.at..self.at + count]);
        self.at += count;
    }

    fn peek(&self, offset: usize) -> Option<char> {
        self.chars.get(self.at + offset).copied()
    }

    fn sees(&self, what: &str) -> bool {
        what.chars()
            .enumerate()
            .all(|(offset, c)| self.peek(offset) == Some(c))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn code(text: &str) -> Vec<String> {
        lines(text).into_iter().map(|line| line.code).collect()
    }

    fn comments(text: &str) -> Vec<Option<(CommentKind, String)>> {
        lines(text).into_iter().map(|line| line.comment).collect()
    }

    #[test]
    fn strings_hide_what_looks_like_a_comment() {
        assert_eq!(code("let a = \"// no\"; // yes"), ["let a = \"\"; "]);
        assert_eq!(code("let a = r#\"// \" no\"#; b()"), ["let a = \"\"; b()"]);
        assert_eq!(code("let a = br\"\\\"; b()"), ["let a = b\"\"; b()"]);
        assert_eq!(code("let a = \"x\\\\\"; b()"), ["let a = \"\"; b()"]);
    }

    #[test]
    fn quotes_in_characters_do_not_open_strings() {
        assert_eq!(
            code("f('\"', '\\'', '\\u{41}') // c"),
            ["f(' ', ' ', ' ') "]
        );
        assert_eq!(code("fn f<'a>(x: &'a str) {}"), ["fn f<'a>(x: &'a str) {}"]);
    }

    #[test]
    fn strings_and_blocks_run_over_lines() {
        assert_eq!(code("a(\"x\ny\");\nb();"), ["a(\"", "\");", "b();"]);
        assert_eq!(code("a(\"x\\\n  y\");"), ["a(\"", "\");"]);
        let expected = ["a ", "", " b"];
        assert_eq!(code("a /* x\n/* y */ z\n*/ b"), expected);
    }

    #[test]
    fn comments_know_their_kind() {
        let found = comments("/// doc\n// plain\n//! front\ncode();\n/* block\nmore */");
        let kinds: Vec<Option<CommentKind>> = found
            .iter()
            .map(|c| c.as_ref().map(|(kind, _)| *kind))
            .collect();
        use CommentKind::{Block, Doc, Plain};
        assert_eq!(
            kinds,
            [
                Some(Doc),
                Some(Plain),
                Some(Doc),
                None,
                Some(Block),
                Some(Block)
            ]
        );
        assert_eq!(found[1], Some((Plain, " plain".to_owned())));
    }
}
