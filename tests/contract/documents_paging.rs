//! Pages: together they hold what one big page would hold, whatever is written in between.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use sluice::documents::{Comparison, Container, Documents, DocumentsError, Operation, Page, Query};

use crate::adapters::{Store, on_every_store};

const LEDGER: Container = Container::Ledger;

on_every_store!(
    pages_are_full_until_the_last_one,
    a_page_that_ends_with_the_results_has_no_continuation,
    a_page_holds_a_hundred_documents_unless_told_otherwise,
    documents_written_between_pages_neither_repeat_nor_hide_others,
    the_same_holds_for_sorted_pages,
    real_numbers_sort_and_page_without_loss,
    a_continuation_of_another_query_is_refused,
    a_continuation_survives_another_page_size,
    a_page_ends_early_where_its_bodies_are_large,
    partition_after_partition_is_found,
    count_ignores_pages,
);

async fn put(store: &dyn Documents, id: &str, body: &Value) {
    store.commit(LEDGER, "p", vec![Operation::upsert(id, body)]).await.unwrap();
}

async fn next(store: &dyn Documents, query: &mut Query) -> Page {
    let page = store.query(LEDGER, query).await.unwrap();
    query.continuation.clone_from(&page.continuation);
    page
}

fn ids(page: &Page) -> Vec<&str> {
    page.documents.iter().map(|document| document.id.as_str()).collect()
}

async fn pages_are_full_until_the_last_one(world: &dyn Store) {
    let store = world.documents();
    for n in 0..7 {
        put(&*store, &format!("{n}"), &json!({})).await;
    }
    let mut query = Query::all().page_size(3);
    assert_eq!(ids(&next(&*store, &mut query).await), ["0", "1", "2"]);
    assert_eq!(ids(&next(&*store, &mut query).await), ["3", "4", "5"]);
    let last = next(&*store, &mut query).await;
    assert_eq!(ids(&last), ["6"]);
    assert_eq!(last.continuation, None);
}

async fn a_page_that_ends_with_the_results_has_no_continuation(world: &dyn Store) {
    let store = world.documents();
    assert_eq!(store.query(LEDGER, &Query::all()).await.unwrap(), Page::default());
    for n in 0..6 {
        put(&*store, &format!("{n}"), &json!({})).await;
    }
    let mut query = Query::all().page_size(3);
    let mut found = 0;
    for _ in 0..3 {
        let page = next(&*store, &mut query).await;
        found += page.documents.len();
        if page.continuation.is_none() {
            break;
        }
    }
    assert_eq!((found, query.continuation), (6, None));
}

async fn a_page_holds_a_hundred_documents_unless_told_otherwise(world: &dyn Store) {
    let store = world.documents();
    for batch in 0..2 {
        let create = |n| Operation::create(format!("{batch}{n:02}"), &json!({}));
        store.commit(LEDGER, "p", (0..60).map(create).collect()).await.unwrap();
    }
    let page = store.query(LEDGER, &Query::all()).await.unwrap();
    assert_eq!(page.documents.len(), 100);
    assert!(page.continuation.is_some());
}

/// Follows pages while documents before, on and after the reader's place come, change and go.
async fn page_through_changes(store: &dyn Documents, mut query: Query) {
    let body = |n: usize| json!({"n": n});
    for n in 0..30 {
        put(store, &format!("stays {n:02}"), &body(n)).await;
        put(store, &format!("stays {n:02} goes"), &body(n)).await;
    }
    let mut seen = Vec::new();
    for turn in 0.. {
        let page = next(store, &mut query).await;
        seen.extend(page.documents.iter().map(|document| document.id.clone()));
        if page.continuation.is_none() {
            break;
        }
        let last = &page.documents[page.documents.len() - 1];
        // The place itself may vanish, and so may what lies on either side of it.
        let gone = [format!("stays {:02} goes", turn % 30), format!("stays {:02} goes", 29 - turn % 30)];
        let mut operations: Vec<_> = BTreeSet::from(gone).into_iter().map(Operation::delete).collect();
        if last.id.ends_with("goes") && !operations.iter().any(|operation| operation.id == last.id) {
            operations.push(Operation::delete(&last.id));
        }
        operations.push(Operation::upsert(format!("a new one {turn:02}"), &body(0)));
        operations.push(Operation::upsert(format!("z new one {turn:02}"), &body(99)));
        store.commit(LEDGER, "p", operations).await.unwrap();
        assert!(turn < 200, "the pages never end");
    }
    let unique: BTreeSet<_> = seen.iter().collect();
    assert_eq!(unique.len(), seen.len(), "a document came twice");
    for n in 0..30 {
        assert!(seen.contains(&format!("stays {n:02}")), "stays {n:02} is missing");
    }
}

async fn documents_written_between_pages_neither_repeat_nor_hide_others(world: &dyn Store) {
    page_through_changes(&*world.documents(), Query::partition("p").page_size(4)).await;
}

async fn the_same_holds_for_sorted_pages(world: &dyn Store) {
    page_through_changes(&*world.documents(), Query::partition("p").order_by("n").page_size(3)).await;
}

async fn real_numbers_sort_and_page_without_loss(world: &dyn Store) {
    let store = world.documents();
    // Sums of tenths have neighbours that differ in the last bit.
    let mut numbers: Vec<f64> = (1..=60).map(|n| f64::from(n) * 0.1 + 0.2).collect();
    numbers.extend((1..=60).map(|n| (f64::from(n) + 2.0) / 10.0));
    numbers.extend((1..=60).map(|n| 1.0 / f64::from(n) * 1e-7));
    for (n, number) in numbers.iter().enumerate() {
        put(&*store, &format!("{n:03}"), &json!({"n": number})).await;
    }
    let mut query = Query::all().order_by("n").page_size(1);
    let mut found = Vec::new();
    loop {
        let page = next(&*store, &mut query).await;
        found.extend(ids(&page).into_iter().map(str::to_owned));
        if page.continuation.is_none() {
            break;
        }
        assert!(found.len() <= numbers.len(), "a document came twice");
    }
    assert_eq!(found.iter().collect::<BTreeSet<_>>().len(), numbers.len());
}

async fn a_continuation_of_another_query_is_refused(world: &dyn Store) {
    let store = world.documents();
    for n in 0..4 {
        put(&*store, &format!("a{n}"), &json!({"n": n, "m": n})).await;
    }
    let queries = [
        Query::all(),
        Query::partition("p"),
        Query::all().after_partition("o"),
        Query::all().id_prefix("a"),
        Query::all().filter("n", Comparison::GreaterOrEqual, 0),
        Query::all().filter("n", Comparison::GreaterOrEqual, -1),
        Query::all().filter("m", Comparison::GreaterOrEqual, 0),
        Query::all().order_by("n"),
        Query::all().order_by("m"),
    ];
    for from in &queries {
        let continuation = store.query(LEDGER, &from.clone().page_size(2)).await.unwrap().continuation;
        assert!(continuation.is_some());
        for to in &queries {
            let query = Query { continuation: continuation.clone(), ..to.clone() };
            match store.query(LEDGER, &query).await {
                Ok(page) => assert!(from == to && ids(&page) == ["a2", "a3"], "{from:?} continued as {to:?}"),
                Err(DocumentsError::Refused(_)) => assert_ne!(from, to),
                Err(error) => panic!("{error:?}"),
            }
        }
        let query = Query { continuation, ..from.clone() };
        let error = store.query(Container::Parked, &query).await.unwrap_err();
        assert!(matches!(error, DocumentsError::Refused(_)), "another container: {error:?}");
    }
}

async fn a_continuation_survives_another_page_size(world: &dyn Store) {
    let store = world.documents();
    for n in 0..9 {
        put(&*store, &format!("{n}"), &json!({})).await;
    }
    let mut query = Query::all().page_size(2);
    next(&*store, &mut query).await;
    query.page_size = 5;
    assert_eq!(ids(&next(&*store, &mut query).await), ["2", "3", "4", "5", "6"]);
}

async fn a_page_ends_early_where_its_bodies_are_large(world: &dyn Store) {
    let store = world.documents();
    for n in 0..7 {
        let length = if n == 4 { 5_000 } else { 400 };
        put(&*store, &format!("{n}"), &json!({"n": n, "text": "x".repeat(length)})).await;
    }
    for query in [Query::all(), Query::partition("p").order_by("n")] {
        let mut query = query.page_bytes(1_000);
        for expected in [&["0", "1", "2"][..], &["3", "4"], &["5", "6"]] {
            assert_eq!(ids(&next(&*store, &mut query).await), expected, "{query:?}");
        }
        assert_eq!(query.continuation, None);
    }
    let page = store.query(LEDGER, &Query::all().page_bytes(1)).await.unwrap();
    assert_eq!(ids(&page), ["0"], "one document at least");
}

async fn partition_after_partition_is_found(world: &dyn Store) {
    let store = world.documents();
    let partitions = ["bucket-0", "bucket-f", "partner:a", "partner:aa", "partner:é"];
    for partition in partitions {
        let write = (0..3).map(|n| Operation::create(format!("{n}"), &json!({"n": n}))).collect();
        store.commit(LEDGER, partition, write).await.unwrap();
    }
    let mut found = Vec::new();
    let mut query = Query::all().page_size(1);
    while let Some(document) = store.query(LEDGER, &query).await.unwrap().documents.pop() {
        found.push(document.partition.clone());
        query = query.after_partition(document.partition);
    }
    assert_eq!(found, partitions);
    let behind = Query::all().after_partition("partner:a").filter("n", Comparison::Equal, 2);
    assert_eq!(store.count(LEDGER, &behind).await.unwrap(), 2);
    assert_eq!(store.query(LEDGER, &behind.order_by("n")).await.unwrap().documents.len(), 2);
}

async fn count_ignores_pages(world: &dyn Store) {
    let store = world.documents();
    for n in 0..9 {
        put(&*store, &format!("{n}"), &json!({"n": n})).await;
    }
    let mut query = Query::all().filter("n", Comparison::Less, 7).order_by("n").page_size(2);
    next(&*store, &mut query).await;
    assert_eq!(store.count(LEDGER, &query).await.unwrap(), 7);
}
