//! Queries: which documents match, and in what order.

use serde_json::{Value, json};
use sluice::documents::{
    Comparison::{self, Equal, Greater, GreaterOrEqual, Less, LessOrEqual},
    Container, Documents, DocumentsError, Operation, Query, query_all,
};

use crate::adapters::{Store, on_every_store};

const LEDGER: Container = Container::Ledger;

on_every_store!(
    a_partition_is_all_that_a_partition_query_sees,
    an_id_prefix_matches_as_bytes_do,
    numbers_compare_as_numbers,
    texts_compare_by_their_bytes,
    booleans_equal_booleans_only,
    a_filter_never_matches_another_type_or_a_missing_field,
    all_filters_must_match,
    results_come_by_partition_and_id_unless_told_otherwise,
    order_by_sorts_and_leaves_out_what_lacks_the_field,
    the_sweeps_queries_find_what_is_due,
    malformed_queries_are_refused,
    a_query_sees_every_commit_that_was_answered,
);

async fn put(store: &dyn Documents, partition: &str, id: &str, body: Value) {
    store.commit(LEDGER, partition, vec![Operation::create(id, &body)]).await.unwrap();
}

async fn find(store: &dyn Documents, query: Query) -> Vec<String> {
    let count = store.count(LEDGER, &query).await.unwrap();
    let found: Vec<_> = query_all(store, LEDGER, query).await.unwrap().into_iter().map(|found| found.id).collect();
    assert_eq!(count, found.len() as u64, "count and query agree");
    found
}

async fn a_partition_is_all_that_a_partition_query_sees(world: &dyn Store) {
    let store = world.documents();
    for (partition, id) in [("p", "1"), ("p", "2"), ("p2", "3"), ("o'p", "4"), ("", "5"), ("日本", "6")] {
        put(&*store, partition, id, json!({})).await;
    }
    assert_eq!(find(&*store, Query::partition("p")).await, ["1", "2"]);
    assert_eq!(find(&*store, Query::partition("o'p")).await, ["4"]);
    assert_eq!(find(&*store, Query::partition("日本")).await, ["6"]);
    assert_eq!(find(&*store, Query::partition("nobody")).await, [""; 0]);
    assert_eq!(find(&*store, Query::all()).await.len(), 6);
}

async fn an_id_prefix_matches_as_bytes_do(world: &dyn Store) {
    let store = world.documents();
    let ids = [
        "o",
        "out",
        "out:1",
        "out:'; --",
        "out;",
        "Out:1",
        "évt:1",
        "évt:2",
        "êvt",
        "a\u{d7ff}z",
        "a\u{e000}",
        "\u{10ffff}x",
        "%",
        "_out:",
    ];
    for id in ids {
        put(&*store, "p", id, json!({})).await;
    }
    for prefix in ["", "o", "out", "out:", "out:'", "'", "%", "_", "é", "évt:", "a\u{d7ff}", "\u{10ffff}", "\"", "OUT"]
    {
        let mut expected: Vec<_> = ids.iter().filter(|id| id.starts_with(prefix)).copied().collect();
        expected.sort();
        assert_eq!(find(&*store, Query::partition("p").id_prefix(prefix)).await, expected, "{prefix:?}");
        assert_eq!(find(&*store, Query::all().id_prefix(prefix)).await, expected, "{prefix:?}");
    }
}

/// Stores one document a value and checks every comparison of them all.
async fn compare_all<T: PartialOrd + Copy>(store: &dyn Documents, values: &[T], as_json: impl Fn(T) -> Value) {
    for (n, value) in values.iter().enumerate() {
        put(store, "p", &format!("{n:02}"), json!({"field": as_json(*value)})).await;
    }
    type Holds<T> = fn(&T, &T) -> bool;
    let holds: [(Comparison, Holds<T>); 5] =
        [(Equal, T::eq), (Less, T::lt), (LessOrEqual, T::le), (Greater, T::gt), (GreaterOrEqual, T::ge)];
    for right in values {
        for (comparison, holds) in holds {
            let expected = values.iter().enumerate().filter(|(_, left)| holds(left, right));
            let expected: Vec<_> = expected.map(|(n, _)| format!("{n:02}")).collect();
            let right = as_json(*right);
            let found = find(store, Query::all().filter("field", comparison, right.clone())).await;
            assert_eq!(found, expected, "{comparison:?} {right}");
        }
    }
}

async fn numbers_compare_as_numbers(world: &dyn Store) {
    let values = [-10.5, -1.0, 0.0, 0.1, 1.0, 2.0, 9.0, 10.0, 10.5, 1e15, 1e300];
    // As integers where they are: what is read from a body may be either.
    let as_json =
        |number: f64| if number.fract() == 0.0 && number.abs() < 1e9 { json!(number as i64) } else { json!(number) };
    compare_all(&*world.documents(), &values, as_json).await;
    let store = world.documents();
    put(&*store, "q", "real", json!({"field": 2.0})).await;
    assert_eq!(find(&*store, Query::partition("q").filter("field", Equal, 2)).await, ["real"]);
}

async fn texts_compare_by_their_bytes(world: &dyn Store) {
    let values = ["", "10", "2", "2026-03-01T12:00:00.000Z", "A", "Z", "a", "a b", "it's", "z", "é", "日", "\u{1f4e8}"];
    compare_all(&*world.documents(), &values, |text| json!(text)).await;
}

async fn booleans_equal_booleans_only(world: &dyn Store) {
    let store = world.documents();
    for (id, value) in [("false", json!(false)), ("true", json!(true)), ("0", json!(0)), ("1", json!(1))] {
        put(&*store, "p", id, json!({"field": value})).await;
    }
    for (value, id) in [(json!(false), "false"), (json!(true), "true"), (json!(0), "0"), (json!(1), "1")] {
        assert_eq!(find(&*store, Query::all().filter("field", Equal, value)).await, [id]);
    }
}

async fn a_filter_never_matches_another_type_or_a_missing_field(world: &dyn Store) {
    let store = world.documents();
    let others = [
        ("missing", json!({"other": 5})),
        ("null", json!({"field": null})),
        ("list", json!({"field": [5]})),
        ("object", json!({"field": {"field": 5}})),
        ("boolean", json!({"field": true})),
    ];
    for (id, body) in others {
        put(&*store, "p", id, body).await;
    }
    put(&*store, "p", "number", json!({"field": 5})).await;
    put(&*store, "p", "text", json!({"field": "5"})).await;

    for comparison in [Equal, Less, LessOrEqual, Greater, GreaterOrEqual] {
        for (value, own) in [(json!(5), "number"), (json!("5"), "text")] {
            let found = find(&*store, Query::all().filter("field", comparison, value)).await;
            let expected = if matches!(comparison, Less | Greater) { vec![] } else { vec![own] };
            assert_eq!(found, expected, "{comparison:?}");
        }
        for value in [json!(-1e300), json!(1e300), json!(""), json!("\u{10ffff}"), json!("[5]"), json!("{\"field\":5}")]
        {
            let found = find(&*store, Query::all().filter("field", comparison, value.clone())).await;
            let own = if value.is_number() { "number" } else { "text" };
            assert!(found.iter().all(|id| id == own), "{comparison:?} {value}: {found:?}");
        }
    }
}

async fn all_filters_must_match(world: &dyn Store) {
    let store = world.documents();
    for n in 0..10 {
        put(&*store, "p", &format!("{n}"), json!({"n": n, "even": n % 2 == 0})).await;
    }
    let query = Query::partition("p").filter("n", GreaterOrEqual, 3).filter("n", Less, 8).filter("even", Equal, true);
    assert_eq!(find(&*store, query).await, ["4", "6"]);
}

async fn results_come_by_partition_and_id_unless_told_otherwise(world: &dyn Store) {
    let store = world.documents();
    for (partition, id) in [("b", "1"), ("a", "2"), ("a", "10"), ("B", "3"), ("é", "0")] {
        put(&*store, partition, id, json!({})).await;
    }
    assert_eq!(find(&*store, Query::all()).await, ["3", "10", "2", "1", "0"]);
}

async fn order_by_sorts_and_leaves_out_what_lacks_the_field(world: &dyn Store) {
    let store = world.documents();
    let bodies = [
        ("p", "a", json!({"n": 10, "t": "b"})),
        ("p", "b", json!({"n": 9, "t": "a"})),
        ("p", "c", json!({"n": -1.5, "t": "é"})),
        ("o", "d", json!({"n": 9, "t": "Z"})),
        ("p", "e", json!({"t": "b"})),
    ];
    for (partition, id, body) in bodies {
        put(&*store, partition, id, body).await;
    }
    assert_eq!(find_sorted(&*store, Query::all().order_by("n")).await, ["c", "d", "b", "a"]);
    assert_eq!(find_sorted(&*store, Query::all().order_by("t")).await, ["d", "b", "a", "e", "c"]);
    let filtered = Query::partition("p").order_by("n").filter("n", Greater, 0);
    assert_eq!(find_sorted(&*store, filtered).await, ["b", "a"]);
}

/// In pages of every size: the order is the same.
async fn find_sorted(store: &dyn Documents, query: Query) -> Vec<String> {
    let whole: Vec<_> = query_all(store, LEDGER, query.clone()).await.unwrap();
    for size in 1..=whole.len() + 1 {
        assert_eq!(query_all(store, LEDGER, query.clone().page_size(size)).await.unwrap(), whole, "pages of {size}");
    }
    whole.into_iter().map(|found| found.id).collect()
}

async fn the_sweeps_queries_find_what_is_due(world: &dyn Store) {
    let store = world.documents();
    for (container, prefix, field) in [
        (Container::Retries, "", "due_at"),
        (Container::Spool, "", "due_at"),
        (Container::Ledger, "out:", "created_at"),
    ] {
        for n in 0..30 {
            let id = format!("{prefix}{:02}", 29 - n);
            let body = json!({field: format!("2026-03-01T00:00:{:02}.000Z", n / 2)});
            store.commit(container, &format!("bucket {}", n % 3), vec![Operation::create(id, &body)]).await.unwrap();
        }
        let odd = json!({field: 5});
        store.commit(container, "bucket 0", vec![Operation::create(format!("{prefix}odd"), &odd)]).await.unwrap();
        store
            .commit(container, "bucket 0", vec![Operation::create(format!("{prefix}none"), &json!({}))])
            .await
            .unwrap();
        let due =
            |until: &str| Query::all().id_prefix(prefix).filter(field, LessOrEqual, until).order_by(field).page_size(4);
        let found = query_all(&*store, container, due("2026-03-01T00:00:04.000Z")).await.unwrap();
        let times: Vec<_> = found.iter().map(|found| found.parse::<Value>().unwrap()[field].clone()).collect();
        assert_eq!(times.len(), 10, "{container:?}");
        assert!(times.is_sorted_by(|a, b| a.as_str() <= b.as_str()), "{times:?}");
        assert_eq!(store.count(container, &due("2026-03-01T00:00:04.000Z")).await.unwrap(), 10);
        assert_eq!(store.count(container, &due("2026-02")).await.unwrap(), 0);
    }
}

async fn malformed_queries_are_refused(world: &dyn Store) {
    let store = world.documents();
    put(&*store, "p", "a", json!({"field": 1})).await;
    let malformed = [
        Query::all().filter("", Equal, 1),
        Query::all().filter("a.b", Equal, 1),
        Query::all().filter("a') OR 1 --", Equal, 1),
        Query::all().filter("field", Equal, Value::Null),
        Query::all().filter("field", Equal, json!([1])),
        Query::all().order_by("a\"b"),
        Query { continuation: Some("nonsense".into()), ..Query::all() },
        Query { continuation: Some("[null,\"p\",\"a\"]".into()), ..Query::all().order_by("field") },
    ];
    for query in malformed {
        let error = store.query(LEDGER, &query).await.unwrap_err();
        assert!(matches!(error, DocumentsError::Refused(_)), "{query:?}: {error:?}");
    }
}

async fn a_query_sees_every_commit_that_was_answered(world: &dyn Store) {
    let store = world.documents();
    let writers = (0..8).map(|writer| {
        let store = store.clone();
        tokio::spawn(async move {
            let partition = format!("w{writer}");
            for n in 1..=25 {
                put(&*store, &partition, &format!("{n}"), json!({})).await;
                assert_eq!(store.count(LEDGER, &Query::partition(&*partition)).await.unwrap(), n);
                assert!(store.read(LEDGER, &partition, &format!("{n}")).await.unwrap().is_some());
            }
        })
    });
    for writer in writers.collect::<Vec<_>>() {
        writer.await.unwrap();
    }
}
