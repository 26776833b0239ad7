//! Writes distinct, signed SMS status callbacks for `wrk` and `post.lua`: 4 bytes of length (little endian), then the
//! raw HTTP/1.1 request, one after another.
//!
//! ```text
//! cargo run --release --example requests -- FILE [N=100000] [HOST=127.0.0.1:7071] [CONFIG=sluice.toml] [SEED=1]
//! taskset -c 1 wrk -t1 -c64 -d10 -s bench/post.lua http://127.0.0.1:7071 -- FILE
//! ```

use std::{
    fs::File,
    io::{self, BufWriter, Write},
    path::Path,
};

use anyhow::Context;
use sluice::{
    clock::{Clock, SystemClock},
    config::Config,
    simulate::{Cast, Plan, Shape, SignedRequest},
};

/// Status callbacks are somewhat more than half of what Twilio sends here.
const CALLBACKS_PER_STATUS: u32 = 3;

fn main() -> anyhow::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let argument = |index: usize, default| arguments.get(index).map_or(default, String::as_str);
    let file = arguments.first().filter(|name| !name.starts_with('-'));
    let file = file.context("usage: requests FILE [N] [HOST] [CONFIG] [SEED]")?;
    let count: usize = argument(1, "100000").parse().context("the number of requests")?;
    let host = argument(2, "127.0.0.1:7071");
    let config = Config::load(Path::new(argument(3, "sluice.toml")))?;
    let seed = argument(4, "1").parse().context("the seed")?;

    let cast = Cast::new(&config, &["twilio".to_owned()], &|name| std::env::var(name).ok())?;
    let now = SystemClock.now();
    let callbacks = u32::try_from(count)?.saturating_mul(CALLBACKS_PER_STATUS);
    let plan = Plan::new(cast.generators, Shape { callbacks, duplicates: 0.0, shuffle: false, seed, started: now });
    let requests = (0..plan.requests())
        .map(|request| plan.build(plan.callback_of(request), now))
        .filter(|request| request.path.ends_with("/sms/status"));

    let mut out = BufWriter::new(File::create(file)?);
    let (mut written, mut bytes) = (0, 0);
    for request in requests.take(count) {
        bytes += write(&mut out, host, &request)?;
        written += 1;
    }
    out.flush()?;
    anyhow::ensure!(written == count, "the plan had only {written} status callbacks");
    println!("{written} requests of {} bytes on average in {file}", bytes / written.max(1));
    Ok(())
}

/// What a front end adds on the way: a deployed app reads these too, so a benchmark should.
const FORWARDED: &str = "max-forwards: 10\r\n\
    x-forwarded-for: 203.0.113.17:48212\r\n\
    x-forwarded-proto: https\r\n\
    x-forwarded-tlsversion: 1.3\r\n\
    client-ip: 203.0.113.17:48212\r\n\
    x-arr-log-id: 7c1f0a6e-6a5d-4a51-9a36-0e1c5a1f2b44\r\n\
    disguised-host: callbacks.example.com\r\n\
    x-site-deployment-id: callbacks-ingest\r\n\
    was-default-hostname: callbacks.example.com\r\n";

/// One request; returns its length.
fn write(out: &mut impl Write, host: &str, request: &SignedRequest) -> io::Result<usize> {
    let mut raw = format!("POST {} HTTP/1.1\r\nhost: {host}\r\n", request.path).into_bytes();
    for (name, value) in &request.headers {
        raw.extend_from_slice(name.as_str().as_bytes());
        raw.extend_from_slice(b": ");
        raw.extend_from_slice(value.as_bytes());
        raw.extend_from_slice(b"\r\n");
    }
    raw.extend_from_slice(FORWARDED.as_bytes());
    write!(raw, "content-length: {}\r\n\r\n", request.body.len())?;
    raw.extend_from_slice(&request.body);
    let length = u32::try_from(raw.len()).expect("a callback is far below 4 GB");
    out.write_all(&length.to_le_bytes())?;
    out.write_all(&raw)?;
    Ok(raw.len())
}
