//! A connection on its socket: reads, writes, watches the time, and has the work done.

use std::{io, time::Duration};

use bytes::BytesMut;
use fe2o3_amqp_types::definitions::ConnectionError;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{
        TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    sync::watch,
    time::{Instant, sleep_until, timeout},
};

use super::{
    condition,
    connection::{Connection, IDLE_TIMEOUT},
    jobs::Jobs,
    work::Workshop,
};

/// How long a client may take to open the connection.
const HANDSHAKE: Duration = Duration::from_secs(10);
/// How long a connection's work may go on after its end, and how long the client may take for the last words.
const FAREWELL: Duration = Duration::from_secs(2);
/// Bytes that the client has not read beyond which nothing more is read from it.
pub(super) const MOST_UNWRITTEN: usize = 1024 * 1024;
/// How much is read at once.
const READ: usize = 64 * 1024;

/// Serves one client until it leaves, breaks the protocol, falls silent, or `stop` is true.
///
/// # Errors
/// The socket failed.
pub(super) async fn drive(stream: TcpStream, workshop: Workshop, stop: watch::Receiver<bool>) -> io::Result<()> {
    let (mut reader, mut writer) = stream.into_split();
    let mut connection = Connection::new(workshop.broker.clone());
    let mut jobs = Jobs::new(workshop);
    let served = serve(&mut reader, &mut writer, &mut connection, &mut jobs, stop).await;
    connection.end_sessions();
    jobs.stop_receiving();
    let rest = async {
        // What was received for this client goes back to the others.
        jobs.start(connection.out());
        while let Some(done) = jobs.next().await {
            connection.done(done);
            jobs.start(connection.out());
        }
    };
    // What does not end in time comes back when its lock runs out.
    let _ = timeout(FAREWELL, rest).await;
    // Only now: a client that has read the answer to its close finds what it settled settled, over any connection.
    let farewell = async {
        if served.is_ok() {
            writer.write_all(&connection.out().bytes).await?;
            writer.shutdown().await?;
        }
        // A socket closed with unread bytes resets, and the client might lose the reason why.
        tokio::io::copy(&mut reader, &mut tokio::io::sink()).await.map(|_| ())
    };
    let _ = timeout(FAREWELL, farewell).await;
    served
}

async fn serve(
    reader: &mut OwnedReadHalf,
    writer: &mut OwnedWriteHalf,
    connection: &mut Connection,
    jobs: &mut Jobs,
    mut stop: watch::Receiver<bool>,
) -> io::Result<()> {
    let mut arrived = BytesMut::new();
    let began = Instant::now();
    let (mut heard, mut spoken) = (began, began);
    loop {
        connection.read(&mut arrived, |out| jobs.are_many(out));
        if connection.out().bytes.len() < MOST_UNWRITTEN {
            connection.receive();
        }
        jobs.start(connection.out());
        if connection.is_closed() {
            return Ok(());
        }
        let busy = jobs.are_many(connection.out());
        let silence = if connection.is_open() { heard + 2 * IDLE_TIMEOUT } else { began + HANDSHAKE };
        let beat = connection.heartbeat().map_or(silence, |every| spoken + every);
        let unwritten = !connection.out().bytes.is_empty();
        arrived.reserve(READ);
        tokio::select! {
            // The client sends, and there is room for what it sends.
            read = reader.read_buf(&mut arrived), if !busy => {
                if read? == 0 {
                    return Ok(());
                }
                heard = Instant::now();
            }
            // The client takes what was written.
            written = writer.write_buf(&mut connection.out().bytes), if unwritten => {
                written?;
                spoken = Instant::now();
            }
            // The broker has answered.
            Some(done) = jobs.next() => {
                connection.done(done);
                // Answers that are ready together leave together.
                while let Some(done) = jobs.next_ready() {
                    connection.done(done);
                }
            }
            // The client hears nothing for too long, or is not heard for too long.
            () = sleep_until(silence.min(beat)) => {
                if Instant::now() >= silence {
                    let gone = "Nothing was heard for too long.";
                    connection.close(Some(condition::error(ConnectionError::ConnectionForced, gone)));
                } else if !unwritten {
                    connection.beat();
                }
                spoken = Instant::now();
            }
            // The program stops, or is gone.
            _ = stop.wait_for(|stop| *stop) => {
                let stopped = "The endpoint is being shut down.";
                connection.close(Some(condition::error(ConnectionError::ConnectionForced, stopped)));
            }
        }
    }
}
