//! The order of a run.

use std::collections::{BTreeMap, BTreeSet};

use sluice::simulate::{Plan, Shape};

use crate::{plan_of, shape};

fn order(plan: &Plan) -> Vec<u32> {
    (0..plan.requests()).map(|request| plan.callback_of(request)).collect()
}

fn sorted(mut order: Vec<u32>) -> Vec<u32> {
    order.sort_unstable();
    order
}

#[test]
fn every_callback_is_sent_and_the_number_is_exact() {
    for callbacks in [1, 2, 3, 10, 999, 1000] {
        let plan = plan_of(&[], shape(callbacks, 1));
        assert_eq!(sorted(order(&plan)), (0..callbacks).collect::<Vec<_>>());
    }
}

#[test]
fn the_share_of_repeats_is_the_one_asked_for() {
    for duplicates in [0.1, 0.5, 0.65, 0.9] {
        let plan = plan_of(&["twilio"], Shape { duplicates, ..shape(2000, 1) });
        let repeats = plan.requests() - 2000;
        let share = repeats as f64 / plan.requests() as f64;
        assert!((share - duplicates).abs() < 0.001, "{share} instead of {duplicates}");
        let distinct: BTreeSet<u32> = order(&plan).into_iter().collect();
        assert_eq!(distinct.len(), 2000);
    }
}

#[test]
fn shuffling_changes_the_order_and_nothing_else() {
    let straight = plan_of(&[], Shape { duplicates: 0.3, ..shape(2000, 9) });
    let shuffled = plan_of(&[], Shape { duplicates: 0.3, shuffle: true, ..shape(2000, 9) });
    let again = plan_of(&[], Shape { duplicates: 0.3, shuffle: true, ..shape(2000, 9) });
    assert_ne!(order(&straight), order(&shuffled));
    assert_eq!(order(&shuffled), order(&again));
    assert_eq!(sorted(order(&straight)), sorted(order(&shuffled)));
}

/// Messages of which a callback is first sent after a later one.
fn turned_around(plan: &Plan) -> usize {
    let mut first_sent = BTreeMap::new();
    for (place, callback) in order(plan).into_iter().enumerate() {
        first_sent.entry(callback).or_insert(place);
    }
    let stories = (0..plan.stories())
        .filter(|&story| !plan.callbacks_of(story).map(|callback| first_sent[&callback]).is_sorted());
    stories.count()
}

#[test]
fn a_message_keeps_its_order_unless_shuffled() {
    assert_eq!(turned_around(&plan_of(&[], Shape { duplicates: 0.5, ..shape(3000, 2) })), 0);
    let shuffled = plan_of(&[], Shape { shuffle: true, ..shape(3000, 2) });
    assert!(turned_around(&shuffled) > shuffled.stories() as usize / 3);
}

#[test]
fn messages_take_turns() {
    let plan = plan_of(&["twilio"], shape(3000, 2));
    let order = order(&plan);
    let neighbours = order.windows(2).filter(|pair| pair[1] == pair[0] + 1).count();
    assert!(neighbours < order.len() / 3, "{neighbours} callbacks follow their own predecessor");
}
