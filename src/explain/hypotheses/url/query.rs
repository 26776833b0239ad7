//! Queries that were lost, put in order or escaped anew.

use super::super::form::{rewritten, swap_hex_case};

/// Every order is tried up to this many parameters.
const MOST_PERMUTED: usize = 4;

type Variant = (&'static str, Option<String>, &'static str);

/// Other queries that this may have been.
pub(super) fn variants(query: Option<&str>) -> Vec<Variant> {
    let Some(query) = query else { return vec![("url.query_lost", Some(String::new()), "with a bare ? at its end")] };
    const ENCODING: &str = "url.query_encoding";
    let mut all: Vec<Variant> = vec![("url.query_added", None, "without the query, which something here adds")];
    let mut add = |code, text: String, what| all.push((code, Some(text), what));
    add(ENCODING, query.replace('+', "%20"), "with %20 in the query where + was captured");
    add(ENCODING, query.replace("%20", "+"), "with + in the query where %20 was captured");
    add(ENCODING, query.replace("%27", "'"), "with an apostrophe in the query where %27 was captured");
    add(ENCODING, query.replace('\'', "%27"), "with %27 in the query where an apostrophe was captured");
    add(ENCODING, swap_hex_case(query), "with the other letter case in the query's escapes");
    add(ENCODING, plain(query), "with fewer escapes in the query");
    for text in rewritten(query) {
        add(ENCODING, text, "with another way of escaping in the query");
    }
    let pairs: Vec<_> = query.split('&').collect();
    for order in orders(&pairs) {
        add("url.query_order", order.join("&"), "with the query's parameters in another order");
    }
    for index in 0..pairs.len().min(12) {
        let mut fewer = pairs.clone();
        let added = fewer.remove(index);
        let code = if added.is_empty() { ENCODING } else { "url.query_added" };
        add(code, fewer.join("&"), "without one of the query's parameters, which something here adds");
    }
    all
}

/// Characters that may stand in a URL as they are, unescaped.
pub(super) fn plain(text: &str) -> String {
    const HARMLESS: [(&str, &str); 11] = [
        ("%27", "'"),
        ("%3A", ":"),
        ("%3a", ":"),
        ("%2F", "/"),
        ("%2f", "/"),
        ("%40", "@"),
        ("%2C", ","),
        ("%2c", ","),
        ("%7E", "~"),
        ("%28", "("),
        ("%29", ")"),
    ];
    HARMLESS.iter().fold(text.to_owned(), |text, (escaped, plain)| text.replace(escaped, plain))
}

fn orders<'a>(pairs: &[&'a str]) -> Vec<Vec<&'a str>> {
    if pairs.len() > MOST_PERMUTED {
        let mut sorted = pairs.to_vec();
        sorted.sort_unstable();
        let reversed = pairs.iter().rev().copied().collect();
        return vec![sorted, reversed];
    }
    match pairs {
        [] => vec![Vec::new()],
        _ => (0..pairs.len())
            .flat_map(|index| {
                let mut others = pairs.to_vec();
                let first = others.remove(index);
                orders(&others).into_iter().map(move |rest| [vec![first], rest].concat())
            })
            .collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_order_of_few_parameters_is_tried() {
        let texts: Vec<_> = variants(Some("c=3&a=1&b=2")).into_iter().filter_map(|(_, text, _)| text).collect();
        for order in ["a=1&b=2&c=3", "b=2&c=3&a=1", "c=3&b=2&a=1"] {
            assert!(texts.iter().any(|text| text == order), "{order}");
        }
        assert_eq!(orders(&["a", "b", "c", "d"]).len(), 24);
        assert_eq!(orders(&["e", "d", "c", "b", "a"]).len(), 2);
    }
}
