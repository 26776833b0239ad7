//! The ways in which writers of JSON differ.

use std::fmt::{self, Write};

use super::node::Node;

/// Space between tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Spacing {
    /// `{"a":1,"b":2}`
    Compact,
    /// `{"a": 1, "b": 2}`, as Python writes.
    Spaced,
    /// On lines, indented by this text.
    Pretty(&'static str),
    /// An array's elements on lines of their own, each compact: SendGrid writes so, with CRLF.
    ElementLines(&'static str),
}

/// What is escaped in strings beyond what must be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Escapes {
    /// `\/`, as PHP writes.
    slash: bool,
    /// `\u00e9`: non-ASCII, in lower case digits (or upper).
    unicode: Option<Digits>,
    /// `\u003c` for `<`, `>` and `&`, as Go writes.
    html: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Digits {
    Lower,
    Upper,
}

/// One writer's way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Style {
    spacing: Spacing,
    sorted: bool,
    escapes: Escapes,
    end: &'static str,
}

const PLAIN: Escapes = Escapes { slash: false, unicode: None, html: false };

impl Style {
    /// Each way of spacing alone, and PHP's, Python's and Go's defaults.
    pub fn usual() -> Vec<Self> {
        let spacings = [
            Spacing::Compact,
            Spacing::Spaced,
            Spacing::Pretty("  "),
            Spacing::Pretty("    "),
            Spacing::Pretty("\t"),
            Spacing::ElementLines("\r\n"),
            Spacing::ElementLines("\n"),
        ];
        let style = |spacing, escapes| {
            let end = if let Spacing::ElementLines(end) = spacing { end } else { "" };
            Self { spacing, sorted: false, escapes, end }
        };
        let lower = Some(Digits::Lower);
        let mut all: Vec<_> = spacings.map(|spacing| style(spacing, PLAIN)).into();
        all.push(style(Spacing::Compact, Escapes { unicode: lower, ..PLAIN }));
        all.push(style(Spacing::Compact, Escapes { slash: true, ..PLAIN }));
        all.push(style(Spacing::Compact, Escapes { slash: true, unicode: lower, ..PLAIN }));
        all.push(style(Spacing::Compact, Escapes { html: true, ..PLAIN }));
        all.push(style(Spacing::Spaced, Escapes { unicode: lower, ..PLAIN }));
        all.extend(all.clone().into_iter().map(|style| Self { sorted: true, ..style }));
        all
    }

    /// Every combination, the usual ones first.
    pub fn all() -> Vec<Self> {
        let usual = Self::usual();
        let mut all = usual.clone();
        for spacing in usual[..7].iter().map(|style| style.spacing) {
            for sorted in [false, true] {
                for unicode in [None, Some(Digits::Lower), Some(Digits::Upper)] {
                    for (slash, html) in [(false, false), (true, false), (false, true)] {
                        for end in ["", "\n", "\r\n"] {
                            let style = Self { spacing, sorted, escapes: Escapes { slash, unicode, html }, end };
                            if !usual.contains(&style) {
                                all.push(style);
                            }
                        }
                    }
                }
            }
        }
        all
    }

    pub fn write(&self, node: &Node) -> String {
        let mut text = String::new();
        if self.sorted {
            self.value(&node.sorted(), 0, &mut text)
        } else {
            self.value(node, 0, &mut text)
        }
        text + self.end
    }

    fn value(&self, node: &Node, depth: usize, out: &mut String) {
        match node {
            Node::Raw(text) => out.push_str(text),
            Node::Text(text) => self.text(text, out),
            Node::Array(elements) => {
                self.list("[]", elements, depth, out, |element, out| self.value(element, depth + 1, out));
            }
            Node::Object(members) => self.list("{}", members, depth, out, |(key, value), out| {
                self.text(key, out);
                out.push_str(if matches!(self.spacing, Spacing::Spaced | Spacing::Pretty(_)) { ": " } else { ":" });
                self.value(value, depth + 1, out);
            }),
        }
    }

    fn list<T>(
        &self,
        brackets: &str,
        items: &[T],
        depth: usize,
        out: &mut String,
        mut item: impl FnMut(&T, &mut String),
    ) {
        let (open, close) = brackets.split_at(1);
        out.push_str(open);
        let line = |depth: usize, out: &mut String| {
            if let Spacing::Pretty(indent) = self.spacing {
                out.push('\n');
                out.push_str(&indent.repeat(depth));
            }
        };
        for (index, element) in items.iter().enumerate() {
            if index > 0 {
                out.push_str(match self.spacing {
                    Spacing::Spaced => ", ",
                    _ => ",",
                });
                if let (Spacing::ElementLines(end), 0, "[") = (self.spacing, depth, open) {
                    out.push_str(end);
                }
            }
            line(depth + 1, out);
            item(element, out);
        }
        if !items.is_empty() {
            line(depth, out);
        }
        out.push_str(close);
    }

    fn text(&self, text: &str, out: &mut String) {
        let unicode = |unit: u16, out: &mut String| {
            let written = match self.escapes.unicode {
                Some(Digits::Upper) => write!(out, "\\u{unit:04X}"),
                _ => write!(out, "\\u{unit:04x}"),
            };
            written.expect("a string takes any text");
        };
        out.push('"');
        for character in text.chars() {
            match character {
                '"' => out.push_str("\\\""),
                '\\' => out.push_str("\\\\"),
                '\n' => out.push_str("\\n"),
                '\r' => out.push_str("\\r"),
                '\t' => out.push_str("\\t"),
                '\u{8}' => out.push_str("\\b"),
                '\u{c}' => out.push_str("\\f"),
                '/' if self.escapes.slash => out.push_str("\\/"),
                '<' | '>' | '&' if self.escapes.html => unicode(character as u16, out),
                '\0'..' ' => unicode(character as u16, out),
                _ if !character.is_ascii() && self.escapes.unicode.is_some() => {
                    character.encode_utf16(&mut [0; 2]).iter().for_each(|unit| unicode(*unit, out));
                }
                _ => out.push(character),
            }
        }
        out.push('"');
    }
}

impl fmt::Display for Style {
    /// To follow "the vendor signed it".
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.spacing {
            Spacing::Compact => formatter.write_str("in compact form, without spaces")?,
            Spacing::Spaced => formatter.write_str("with a space after each , and :")?,
            Spacing::Pretty("\t") => formatter.write_str("on lines, indented by tabs")?,
            Spacing::Pretty(indent) => write!(formatter, "on lines, indented by {} spaces", indent.len())?,
            Spacing::ElementLines(end) => {
                let end = if end == "\r\n" { "CRLF" } else { "LF" };
                write!(formatter, "with {end} between the elements of the array")?;
            }
        }
        let mut more = |here: bool, what: &str| if here { formatter.write_str(what) } else { Ok(()) };
        more(self.sorted, ", keys in alphabetical order")?;
        more(self.escapes.slash, ", / written as \\/")?;
        more(self.escapes.unicode == Some(Digits::Lower), ", non-ASCII written as \\uxxxx")?;
        more(self.escapes.unicode == Some(Digits::Upper), ", non-ASCII written as \\uXXXX in upper case")?;
        more(self.escapes.html, ", < > & written as \\u003c ...")?;
        more(self.end == "\n", ", with LF at its end")?;
        more(self.end == "\r\n", ", with CRLF at its end")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_usual_writers_are_among_the_ways() {
        let node = Node::parse(r#"{"b":[1,{}],"a":"é/<😀\u0001","c":[]}"#).unwrap();
        let all: Vec<_> = Style::all().iter().map(|style| style.write(&node)).collect();
        for expected in [
            // JavaScript, Python, PHP, Go (which sorts maps), Ruby's pretty form.
            "{\"b\":[1,{}],\"a\":\"é/<😀\\u0001\",\"c\":[]}",
            "{\"b\": [1, {}], \"a\": \"\\u00e9/<\\ud83d\\ude00\\u0001\", \"c\": []}",
            "{\"b\":[1,{}],\"a\":\"\\u00e9\\/<\\ud83d\\ude00\\u0001\",\"c\":[]}",
            "{\"a\":\"é/\\u003c😀\\u0001\",\"b\":[1,{}],\"c\":[]}\n",
            "{\n  \"b\": [\n    1,\n    {}\n  ],\n  \"a\": \"é/<😀\\u0001\",\n  \"c\": []\n}",
        ] {
            assert!(all.iter().any(|text| text == expected), "{expected}");
        }
    }

    #[test]
    fn sendgrids_own_way_is_one_of_them() {
        let node = Node::parse(r#"[{"a":[1,2]}, {"b":2}]"#).unwrap();
        let all: Vec<_> = Style::usual().iter().map(|style| style.write(&node)).collect();
        assert!(all.iter().any(|text| text == "[{\"a\":[1,2]},\r\n{\"b\":2}]\r\n"), "{all:?}");
    }

    #[test]
    fn no_way_is_tried_twice_and_each_can_be_told() {
        let all = Style::all();
        for (index, style) in all.iter().enumerate() {
            assert!(!all[..index].contains(style), "{style:?}");
        }
        let told: std::collections::BTreeSet<_> = all.iter().map(ToString::to_string).collect();
        assert_eq!(told.len(), all.len());
    }
}
