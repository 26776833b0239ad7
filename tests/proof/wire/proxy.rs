//! The proxy does what it says, seen from both sides of a plain connection.

use std::{
    io::ErrorKind,
    net::{Ipv4Addr, SocketAddr},
    time::Duration,
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::mpsc,
    time::{Instant, sleep, timeout},
};

use super::Work;
use crate::support::chaos_proxy::{ChaosProxy, Direction, Mode};

/// A name, and what is done under it.
type Named = (&'static str, fn() -> Work);

/// Every trial of the proxy itself.
pub const TRIALS: &[Named] = &[
    ("a_cut_ends_connections_in_order_on_both_sides", || Box::pin(cut())),
    ("a_reset_breaks_connections_and_new_ones_too", || Box::pin(reset())),
    ("a_stall_forwards_nothing_and_loses_nothing", || Box::pin(stall())),
    ("what_vanishes_in_one_direction_never_comes_back_on_that_connection", || Box::pin(vanish())),
    ("a_slow_wire_delays_every_byte_and_loses_none", || Box::pin(slow())),
    ("who_is_refused_gets_no_connection_and_the_port_is_kept", || Box::pin(refuse())),
];

/// Long enough for the loopback on a busy machine.
const PATIENCE: Duration = Duration::from_secs(10);
/// Long enough to say that nothing comes.
const SILENCE: Duration = Duration::from_millis(300);

/// What the server met.
#[derive(Debug, PartialEq, Eq)]
enum Met {
    Bytes(Vec<u8>),
    Fin,
    Broken(ErrorKind),
}

/// A server that sends back what it gets, behind the proxy.
struct World {
    proxy: ChaosProxy,
    met: mpsc::UnboundedReceiver<Met>,
}

impl World {
    async fn start() -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let proxy = ChaosProxy::start(listener.local_addr().unwrap());
        let (meet, met) = mpsc::unbounded_channel();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(echo(stream, meet.clone()));
            }
        });
        Self { proxy, met }
    }

    async fn connect(&self) -> TcpStream {
        connect(self.proxy.address).await
    }

    async fn met(&mut self) -> Met {
        timeout(PATIENCE, self.met.recv()).await.expect("the server meets something").unwrap()
    }

    /// A connection on which a word went both ways.
    async fn connected(&mut self) -> TcpStream {
        let mut stream = self.connect().await;
        stream.write_all(b"hello").await.unwrap();
        assert_eq!(answer(&mut stream).await, b"hello");
        assert_eq!(self.met().await, Met::Bytes(b"hello".into()));
        stream
    }
}

async fn connect(address: SocketAddr) -> TcpStream {
    timeout(PATIENCE, TcpStream::connect(address)).await.unwrap().unwrap()
}

async fn echo(mut stream: TcpStream, meet: mpsc::UnboundedSender<Met>) {
    let mut buffer = vec![0; 1 << 16];
    loop {
        match stream.read(&mut buffer).await {
            Ok(0) => return drop(meet.send(Met::Fin)),
            Ok(count) => {
                meet.send(Met::Bytes(buffer[..count].to_vec())).ok();
                stream.write_all(&buffer[..count]).await.ok();
            }
            Err(error) => return drop(meet.send(Met::Broken(error.kind()))),
        }
    }
}

async fn answer(stream: &mut TcpStream) -> Vec<u8> {
    let mut buffer = [0; 64];
    let count = timeout(PATIENCE, stream.read(&mut buffer)).await.expect("an answer comes").unwrap();
    buffer[..count].to_vec()
}

/// How a connection breaks.
async fn breaks(stream: &mut TcpStream) -> ErrorKind {
    timeout(PATIENCE, stream.read(&mut [0; 64])).await.expect("it ends").expect_err("it breaks").kind()
}

async fn is_silent(stream: &mut TcpStream) {
    let read = timeout(SILENCE, stream.read(&mut [0; 64])).await;
    assert!(read.is_err(), "something came: {read:?}");
}

async fn cut() {
    let mut world = World::start().await;
    let mut stream = world.connected().await;
    world.proxy.set(Mode::Cut(Duration::ZERO));
    assert_eq!(answer(&mut stream).await, b"", "the client reads an end");
    assert_eq!(world.met().await, Met::Fin);
    assert_eq!(answer(&mut world.connect().await).await, b"", "so does one that comes now");
    world.proxy.set(Mode::Pass);
    let mut stream = world.connect().await;
    stream.write_all(b"again").await.unwrap();
    assert_eq!(answer(&mut stream).await, b"again");

    world.proxy.set(Mode::Cut(Duration::from_millis(400)));
    let (mut stream, began) = (world.connect().await, Instant::now());
    stream.write_all(b"for a while").await.unwrap();
    assert_eq!(answer(&mut stream).await, b"for a while", "a young connection lives");
    assert_eq!(answer(&mut stream).await, b"");
    assert!(began.elapsed() >= Duration::from_millis(350), "{:?}", began.elapsed());
}

async fn reset() {
    let mut world = World::start().await;
    let mut stream = world.connected().await;
    world.proxy.set(Mode::Reset);
    assert_eq!(breaks(&mut stream).await, ErrorKind::ConnectionReset);
    assert_eq!(world.met().await, Met::Broken(ErrorKind::ConnectionReset));
    // The reset may be there before the connection is.
    let broken = match TcpStream::connect(world.proxy.address).await {
        Ok(mut stream) => breaks(&mut stream).await,
        Err(error) => error.kind(),
    };
    assert_eq!(broken, ErrorKind::ConnectionReset);
    assert_eq!(world.proxy.counts.broken(), 2);
}

async fn stall() {
    let mut world = World::start().await;
    let mut old = world.connected().await;
    world.proxy.set(Mode::Stall);
    old.write_all(b"held back").await.unwrap();
    let mut new = world.connect().await;
    new.write_all(b"this too").await.unwrap();
    is_silent(&mut old).await;
    is_silent(&mut new).await;
    assert!(world.met.try_recv().is_err(), "the server got nothing");
    world.proxy.set(Mode::Pass);
    assert_eq!(answer(&mut old).await, b"held back");
    assert_eq!(answer(&mut new).await, b"this too");
}

async fn vanish() {
    let mut world = World::start().await;
    let mut stream = world.connected().await;
    world.proxy.set(Mode::Vanish(Direction::Answers));
    stream.write_all(b"do it").await.unwrap();
    assert_eq!(world.met().await, Met::Bytes(b"do it".into()), "the request has its effect");
    is_silent(&mut stream).await;
    assert_eq!(world.proxy.counts.vanished(), 5);
    world.proxy.set(Mode::Pass);
    stream.write_all(b"more").await.unwrap();
    assert_eq!(world.met().await, Met::Bytes(b"more".into()));
    is_silent(&mut stream).await;

    let mut stream = world.connected().await;
    world.proxy.set(Mode::Vanish(Direction::Requests));
    stream.write_all(b"lost").await.unwrap();
    stream.shutdown().await.unwrap();
    is_silent(&mut stream).await;
    world.proxy.set(Mode::Pass);
    is_silent(&mut stream).await;
    assert!(world.met.try_recv().is_err(), "neither the bytes nor the end have arrived");
}

async fn slow() {
    const BYTES: usize = 60_000;
    let mut world = World::start().await;
    let mut stream = world.connected().await;
    world.proxy.set(Mode::Slow { latency: Duration::from_millis(100), bytes_per_second: Some(200_000) });
    let sent: Vec<u8> = (0..BYTES).map(|n| n as u8).collect();
    let began = Instant::now();
    let (mut from, mut to) = stream.split();
    let mut got = vec![0; BYTES];
    let (written, read) = tokio::join!(to.write_all(&sent), timeout(PATIENCE, from.read_exact(&mut got)));
    written.unwrap();
    read.expect("everything arrives").unwrap();
    assert_eq!(got, sent);
    // 100 ms each way, and 300 ms for what the wire takes.
    assert!(began.elapsed() >= Duration::from_millis(480), "{:?}", began.elapsed());

    // Many at once are not later than one: the delay is a distance, no queue.
    world.proxy.set(Mode::Slow { latency: Duration::from_millis(100), bytes_per_second: None });
    let began = Instant::now();
    for _ in 0..20 {
        stream.write_all(b"x").await.unwrap();
        sleep(Duration::from_millis(2)).await;
    }
    timeout(PATIENCE, stream.read_exact(&mut got[..20])).await.expect("everything arrives").unwrap();
    let took = began.elapsed();
    assert!(took >= Duration::from_millis(200) && took < Duration::from_millis(1_500), "{took:?}");

    // What a narrow wire held back comes once it is wide again.
    world.proxy.set(Mode::Slow { latency: Duration::ZERO, bytes_per_second: Some(100) });
    stream.write_all(&sent[..20_000]).await.unwrap();
    is_silent(&mut stream).await;
    world.proxy.set(Mode::Pass);
    timeout(PATIENCE, stream.read_exact(&mut got[..20_000])).await.expect("everything arrives").unwrap();
    assert_eq!(got[..20_000], sent[..20_000]);
}

async fn refuse() {
    let mut world = World::start().await;
    let mut stream = world.connected().await;
    world.proxy.set(Mode::Refuse);
    assert_eq!(breaks(&mut stream).await, ErrorKind::ConnectionReset);
    // The listener closes a moment later than the connections break.
    let began = Instant::now();
    let refused = loop {
        match TcpStream::connect(world.proxy.address).await {
            Ok(mut accepted) => assert_eq!(breaks(&mut accepted).await, ErrorKind::ConnectionReset),
            Err(error) if error.kind() == ErrorKind::ConnectionReset => {}
            Err(error) => break error,
        }
        assert!(began.elapsed() < PATIENCE, "connections are still accepted");
    };
    assert_eq!(refused.kind(), ErrorKind::ConnectionRefused);
    let taken = tokio::net::TcpListener::bind(world.proxy.address).await;
    assert!(taken.is_err(), "nobody else gets the port meanwhile");
    world.proxy.set(Mode::Pass);
    let began = Instant::now();
    while TcpStream::connect(world.proxy.address).await.is_err() {
        assert!(began.elapsed() < PATIENCE, "nobody listens again");
        sleep(Duration::from_millis(1)).await;
    }
    while world.met.try_recv().is_ok() {}
    let mut stream = world.connect().await;
    stream.write_all(b"again").await.unwrap();
    assert_eq!(answer(&mut stream).await, b"again");
}
