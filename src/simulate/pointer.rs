//! Puts values at JSON Pointers: the inverse of reading a payload by a mapping.

use serde_json::{Map, Value};

/// Puts a value where an RFC 6901 pointer leads, making the objects on the way. A number as a segment makes an array,
/// as the vendors' payloads have it.
///
/// # Errors
/// Another value is in the way: no payload satisfies both pointers.
pub(super) fn place(root: &mut Value, pointer: &str, value: Value) -> Result<(), String> {
    let mut here = root;
    if !pointer.is_empty() && !pointer.starts_with('/') {
        return Err(format!("`{pointer}` is not a JSON Pointer"));
    }
    for segment in pointer.split('/').skip(1) {
        let name = segment.replace("~1", "/").replace("~0", "~");
        let index = name.parse::<usize>().ok().filter(|index| *index < 100 && index.to_string() == name);
        if here.is_null() {
            *here = if index.is_some() { Value::Array(Vec::new()) } else { Value::Object(Map::new()) };
        }
        here = match (here, index) {
            (Value::Array(items), Some(index)) => {
                while items.len() <= index {
                    items.push(Value::Null);
                }
                &mut items[index]
            }
            (Value::Object(members), _) => members.entry(name).or_insert(Value::Null),
            _ => return Err(format!("`{pointer}` leads through a value that is no object")),
        };
    }
    if !here.is_null() {
        return Err(format!("`{pointer}` is the place of two values"));
    }
    *here = value;
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_placed_is_found_again() {
        let mut body = Value::Null;
        for pointer in ["/data/email_id", "/data/to/0", "/type", "/a~1b/m~0n", "/data/to/2/x"] {
            place(&mut body, pointer, json!(pointer)).unwrap();
        }
        for pointer in ["/data/email_id", "/data/to/0", "/type", "/a~1b/m~0n", "/data/to/2/x"] {
            assert_eq!(body.pointer(pointer), Some(&json!(pointer)));
        }
        let mut whole = Value::Null;
        place(&mut whole, "", json!([1])).unwrap();
        assert_eq!(whole, json!([1]));
    }

    #[test]
    fn pointers_that_exclude_each_other_are_refused() {
        let mut body = Value::Null;
        place(&mut body, "/data", json!("text")).unwrap();
        assert!(place(&mut body, "/data/id", json!(1)).is_err());
        assert!(place(&mut body, "/data", json!(1)).is_err());
        assert!(place(&mut body, "data", json!(1)).is_err());
    }
}
