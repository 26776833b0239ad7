//! How much passes through one link.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use hdrhistogram::Histogram;
use sluice::{azure::service_bus::ServiceBusClientOptions, bus::Message};

use crate::world::{TOPIC, World, at_a_distance, client_with, message};

const CONCURRENT: usize = 64;
/// As far away as a namespace in the same region, behind a busy gateway: about 5 ms there and back, since the timer that
/// holds the bytes up goes by whole milliseconds, and late.
const ONE_WAY: Duration = Duration::from_millis(2);

/// Publishes from 64 tasks over one link and prints what came of it; returns messages per second.
async fn publish(count: usize, one_way: Option<Duration>) -> f64 {
    let world = World::start().await;
    let distance = one_way.map(|one_way| at_a_distance(world.address, one_way));
    let address = distance.as_ref().map_or(world.address, |proxy| proxy.address);
    let sender = client_with(address, ServiceBusClientOptions::default()).create_sender(TOPIC);
    sender.send_message(message("first")).await.unwrap();
    let mut alone = Histogram::<u64>::new(3).unwrap();
    for n in 0..20 {
        let sent = Instant::now();
        sender.send_message(message(&format!("alone {n}"))).await.unwrap();
        alone.record(sent.elapsed().as_micros() as u64).unwrap();
    }
    let next = Arc::new(AtomicUsize::new(0));
    let started = Instant::now();
    let publishers = (0..CONCURRENT).map(|_| {
        let (sender, next) = (sender.clone(), Arc::clone(&next));
        tokio::spawn(async move {
            let mut latencies = Histogram::<u64>::new(3).unwrap();
            loop {
                let n = next.fetch_add(1, Ordering::Relaxed);
                if n >= count {
                    return latencies;
                }
                let sent = Instant::now();
                let large = Message { body: vec![b'x'; 1024].into(), ..message(&n.to_string()) };
                sender.send_message(large).await.unwrap();
                latencies.record(sent.elapsed().as_micros() as u64).unwrap();
            }
        })
    });
    let mut latencies = Histogram::<u64>::new(3).unwrap();
    for publisher in publishers.collect::<Vec<_>>() {
        latencies.add(publisher.await.unwrap()).unwrap();
    }
    let rate = count as f64 / started.elapsed().as_secs_f64();
    println!(
        "{CONCURRENT} concurrent publishes of 1 KB over one link, where one alone takes {:.1} ms: {rate:.0}/s, p50 {:.1} ms, \
         p99 {:.1} ms, max {:.1} ms, {count} answered",
        alone.value_at_quantile(0.5) as f64 / 1000.0,
        latencies.value_at_quantile(0.5) as f64 / 1000.0,
        latencies.value_at_quantile(0.99) as f64 / 1000.0,
        latencies.max() as f64 / 1000.0,
    );
    rate
}

/// A link that waited for each answer before the next message would reach 200/s.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn distance_does_not_slow_a_link_down() {
    let rate = publish(5_000, Some(ONE_WAY)).await;
    assert!(rate > 400.0, "{rate:.0}/s");
}

/// Prints the figures that count, and proves that none of 200,000 publishes hangs:
/// `cargo test --release --test service_bus load:: -- --ignored --nocapture`
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "takes a minute, and means something only in a release build on an idle machine"]
async fn none_of_200_000_publishes_hangs_and_5_000_a_second_pass() {
    publish(200_000, None).await;
    let rate = publish(200_000, Some(ONE_WAY)).await;
    assert!(rate >= 5_000.0, "{rate:.0}/s");
}
