//! The bare baseline: reads the body, answers 200. What remains between this and `sluice` is the price of its promises.
//!
//! `PORT` (default 7072) and `THREADS` (default 1: a current-thread runtime) come from the environment.

use axum::{Router, body::Bytes, http::StatusCode, routing::any, serve::ListenerExt};

async fn accept(_body: Bytes) -> StatusCode {
    StatusCode::OK
}

fn number(name: &str, default: u16) -> u16 {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

async fn serve(port: u16) -> std::io::Result<()> {
    let app = Router::new().fallback(any(accept));
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", port)).await?;
    println!("listening on {}", listener.local_addr()?);
    let listener = listener.tap_io(|stream| {
        // Nagle's algorithm would add stalls that no deployed server has.
        let _ = stream.set_nodelay(true);
    });
    axum::serve(listener, app).await
}

fn main() -> std::io::Result<()> {
    let runtime = match number("THREADS", 1) {
        0 | 1 => tokio::runtime::Builder::new_current_thread().enable_all().build()?,
        threads => tokio::runtime::Builder::new_multi_thread().worker_threads(threads.into()).enable_all().build()?,
    };
    runtime.block_on(serve(number("PORT", 7072)))
}
