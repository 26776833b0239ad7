//! JSON that keeps what a writer may have changed apart from what it may not: keys stay in their order, numbers stay
//! as they are written.

use std::fmt;

use serde::{
    Deserializer,
    de::{MapAccess, SeqAccess, Visitor},
};
use serde_json::value::RawValue;

/// Nesting beyond this is no callback.
const DEEPEST: usize = 64;

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Node {
    /// A number, `true`, `false` or `null`.
    Raw(String),
    Text(String),
    Array(Vec<Node>),
    Object(Vec<(String, Node)>),
}

impl Node {
    /// An array or an object; anything else is not worth writing anew.
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.trim_start_matches('\u{feff}').trim();
        text.starts_with(['{', '[']).then(|| Self::at_depth(text, 0)).flatten()
    }

    fn at_depth(text: &str, depth: usize) -> Option<Self> {
        if depth > DEEPEST {
            return None;
        }
        let mut json = serde_json::Deserializer::from_str(text);
        let node = match text.as_bytes().first()? {
            b'{' => {
                let members = json.deserialize_map(Members).ok()?;
                let node = |(key, value): (String, Box<RawValue>)| Some((key, Self::at_depth(value.get(), depth + 1)?));
                Node::Object(members.into_iter().map(node).collect::<Option<_>>()?)
            }
            b'[' => {
                let elements = json.deserialize_seq(Elements).ok()?;
                let node = |value: Box<RawValue>| Self::at_depth(value.get(), depth + 1);
                Node::Array(elements.into_iter().map(node).collect::<Option<_>>()?)
            }
            b'"' => return Some(Node::Text(serde_json::from_str(text).ok()?)),
            _ => return Some(Node::Raw(text.to_owned())),
        };
        json.end().ok()?;
        Some(node)
    }

    /// Keys in alphabetical order, at every level.
    pub fn sorted(&self) -> Self {
        match self {
            Node::Array(elements) => Node::Array(elements.iter().map(Node::sorted).collect()),
            Node::Object(members) => {
                let mut members: Vec<_> = members.iter().map(|(key, node)| (key.clone(), node.sorted())).collect();
                members.sort_by(|(left, _), (right, _)| left.cmp(right));
                Node::Object(members)
            }
            other => other.clone(),
        }
    }
}

/// An object's members in their order, which a map would lose.
struct Members;

impl<'de> Visitor<'de> for Members {
    type Value = Vec<(String, Box<RawValue>)>;

    fn expecting(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
        formatter.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut members = Vec::new();
        while let Some(member) = map.next_entry()? {
            members.push(member);
        }
        Ok(members)
    }
}

struct Elements;

impl<'de> Visitor<'de> for Elements {
    type Value = Vec<Box<RawValue>>;

    fn expecting(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
        formatter.write_str("an array")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
        let mut elements = Vec::new();
        while let Some(element) = seq.next_element()? {
            elements.push(element);
        }
        Ok(elements)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn order_and_numbers_stay() {
        let node = Node::parse(r#" {"b": 1.0, "a": [ 1e5, "x\u00e9\/" ], "b": null} "#).unwrap();
        let Node::Object(members) = &node else { panic!("{node:?}") };
        assert_eq!(members.iter().map(|(key, _)| key.as_str()).collect::<Vec<_>>(), ["b", "a", "b"]);
        assert_eq!(members[0].1, Node::Raw("1.0".into()));
        assert_eq!(members[1].1, Node::Array(vec![Node::Raw("1e5".into()), Node::Text("xé/".into())]));
        assert!(matches!(node.sorted(), Node::Object(members) if members[0].0 == "a"));
    }

    #[test]
    fn what_is_no_json_is_none() {
        for text in ["", "1", "\"x\"", "{", "[1,]", "{} {}", "a=b"] {
            assert_eq!(Node::parse(text), None, "{text}");
        }
        assert_eq!(Node::parse(&"[".repeat(100_000)), None);
        assert_eq!(Node::parse(&format!("{}{}", "[".repeat(100), "]".repeat(100))), None);
    }
}
