//! One connection through the proxy.

use std::{
    io,
    net::SocketAddr,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{
        TcpStream,
        tcp::{ReadHalf, WriteHalf},
    },
    sync::{mpsc, watch},
    time::{Instant, sleep_until, timeout},
};

use super::{Counts, Direction, Mode, reached};

/// Chunks under way in one direction, each of 16 KB at the most.
const UNDER_WAY: usize = 256;
const CHUNK: usize = 16 * 1024;
/// How long a peer gets to say farewell after the proxy has.
const FAREWELL: Duration = Duration::from_secs(1);

/// How a connection ends.
enum End {
    Fin,
    Rst,
}

/// Carries bytes both ways until a peer or the mode ends the connection.
pub(super) async fn carry(
    mut client: TcpStream,
    address: SocketAddr,
    mut modes: watch::Receiver<Mode>,
    counts: Arc<Counts>,
) {
    let began = Instant::now();
    let Ok(mut server) = TcpStream::connect(address).await else {
        // As if the client had reached the server itself, which is gone.
        client.set_zero_linger().ok();
        return;
    };
    client.set_nodelay(true).unwrap();
    server.set_nodelay(true).unwrap();
    let (client_in, client_out) = client.split();
    let (server_in, server_out) = server.split();
    let requests = pump(client_in, server_out, Direction::Requests, modes.clone(), &counts);
    let answers = pump(server_in, client_out, Direction::Answers, modes.clone(), &counts);
    let both = async { tokio::try_join!(requests, answers) };
    let end = tokio::select! {
        // First, so that nothing passes in a mode that lets nothing live.
        biased;
        end = broken(&mut modes, began) => {
            counts.broken.fetch_add(1, Ordering::Relaxed);
            end
        }
        // A peer's reset is the other one's too.
        done = both => if done.is_ok() { End::Fin } else { End::Rst },
    };
    match end {
        End::Fin => {
            tokio::join!(hang_up(client), hang_up(server));
        }
        End::Rst => {
            client.set_zero_linger().ok();
            server.set_zero_linger().ok();
        }
    }
}

/// Waits for a mode that ends connections of this one's age.
async fn broken(modes: &mut watch::Receiver<Mode>, began: Instant) -> End {
    loop {
        let mode = *modes.borrow_and_update();
        let cut = match mode {
            Mode::Reset | Mode::Refuse => return End::Rst,
            Mode::Cut(age) => Some(began + age),
            _ => None,
        };
        tokio::select! {
            biased;
            () = async { sleep_until(cut.expect("it is one")).await }, if cut.is_some() => return End::Fin,
            // A proxy that is gone aborts this.
            _ = modes.changed() => {}
        }
    }
}

/// Says FIN. What still comes is read, since a socket that is closed over unread bytes says RST instead.
async fn hang_up(mut stream: TcpStream) {
    stream.shutdown().await.ok();
    timeout(FAREWELL, tokio::io::copy(&mut stream, &mut tokio::io::sink())).await.ok();
}

/// Waits while everything is held back; returns the mode that it goes on in.
async fn flowing(modes: &mut watch::Receiver<Mode>) -> Mode {
    reached(modes, |mode| mode != Mode::Stall).await
}

/// Carries one direction to its end.
async fn pump(
    mut from: ReadHalf<'_>,
    mut to: WriteHalf<'_>,
    direction: Direction,
    mut modes: watch::Receiver<Mode>,
    counts: &Counts,
) -> io::Result<()> {
    let (sender, mut under_way) = mpsc::channel::<(Instant, Vec<u8>)>(UNDER_WAY);
    let mut writing = modes.clone();
    let read = async move {
        let mut buffer = vec![0; CHUNK];
        let mut lost = false;
        let mut due = Instant::now();
        loop {
            let count = from.read(&mut buffer).await?;
            let mode = flowing(&mut modes).await;
            lost |= mode == Mode::Vanish(direction);
            if lost {
                counts.vanished.fetch_add(count as u64, Ordering::Relaxed);
                if count == 0 {
                    return Ok(true);
                }
                continue;
            }
            if count == 0 {
                return Ok(false);
            }
            let now = Instant::now();
            due = match mode {
                // In order, and one chunk after another through a narrow wire.
                Mode::Slow { latency, bytes_per_second } => due.max(now + latency) + wire_time(count, bytes_per_second),
                _ => now,
            };
            if sender.send((due, buffer[..count].to_vec())).await.is_err() {
                return Err(io::ErrorKind::BrokenPipe.into());
            }
        }
    };
    let write = async {
        while let Some((due, bytes)) = under_way.recv().await {
            // What a slow wire held back is not slow any more once the wire is not.
            while due > Instant::now() && matches!(*writing.borrow_and_update(), Mode::Slow { .. }) {
                tokio::select! {
                    () = sleep_until(due) => {}
                    _ = writing.changed() => {}
                }
            }
            flowing(&mut writing).await;
            to.write_all(&bytes).await?;
        }
        io::Result::Ok(())
    };
    let (lost, ()) = tokio::try_join!(read, write)?;
    if !lost {
        flowing(&mut writing).await;
        to.shutdown().await?;
    }
    Ok(())
}

/// How long bytes take to get onto the wire.
fn wire_time(count: usize, bytes_per_second: Option<u32>) -> Duration {
    bytes_per_second.map_or(Duration::ZERO, |rate| Duration::from_secs_f64(count as f64 / f64::from(rate)))
}
