//! The laboratory's own traffic: a server that answers HTTP and swallows bytes, and a client for each.
//!
//! They stand for an application on a machine that knows nothing of Ringway: ordinary sockets, names from the
//! system's resolver. The server serves one connection at a time and trusts whoever asks: no use elsewhere.

use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::net::{Ipv6Addr, TcpListener, TcpStream, ToSocketAddrs as _};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};

/// Where the server answers HTTP.
pub const HTTP: u16 = 8080;
/// Where it swallows bytes and then says how many they were (iperf3's port).
pub const SINK: u16 = 5201;

/// How long a connection may take, and each read or write on it.
const PATIENCE: Duration = Duration::from_secs(5);
/// One write: large enough for segmentation offload.
const CHUNK: usize = 256 * 1024;

/// Serves until it is killed, under the name `name`. Says "serving" on stdout as soon as it listens.
pub fn serve(name: &str) -> Result<()> {
    let listen = |port| {
        TcpListener::bind((Ipv6Addr::UNSPECIFIED, port)).with_context(|| format!("port {port}"))
    };
    let (http, sink) = (listen(HTTP)?, listen(SINK)?);
    println!("serving");
    io::stdout().flush()?;
    std::thread::spawn(move || {
        sink.incoming()
            .flatten()
            .for_each(|stream| drop(swallow(stream)))
    });
    http.incoming()
        .flatten()
        .for_each(|stream| drop(answer(stream, name)));
    Ok(())
}

/// Answers one GET with a line that says who answers and who asked.
fn answer(mut stream: TcpStream, name: &str) -> io::Result<()> {
    stream.set_read_timeout(Some(PATIENCE))?;
    let mut head = BufReader::new(&stream).take(8192).lines();
    while head
        .next()
        .transpose()?
        .is_some_and(|line| !line.is_empty())
    {}
    let body = format!(
        "{name} answers {}\n",
        stream.peer_addr()?.ip().to_canonical()
    );
    let length = body.len();
    write!(
        stream,
        "HTTP/1.1 200 OK\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}"
    )
}

/// Reads to the end and answers with the number of bytes.
fn swallow(mut stream: TcpStream) -> io::Result<()> {
    stream.set_read_timeout(Some(PATIENCE))?;
    let mut buffer = vec![0; CHUNK];
    let mut total: u64 = 0;
    loop {
        match stream.read(&mut buffer)? {
            0 => return writeln!(stream, "{total}"),
            count => total += count as u64,
        }
    }
}

/// The body that the server on `host` answers.
pub fn fetch(host: &str) -> Result<String> {
    let mut stream = connect(host, HTTP)?;
    write!(
        stream,
        "GET / HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n"
    )?;
    let mut reply = String::new();
    stream.read_to_string(&mut reply)?;
    let (head, body) = reply
        .split_once("\r\n\r\n")
        .context("the answer is no HTTP")?;
    ensure!(head.starts_with("HTTP/1.1 200 "), "the answer was {head:?}");
    Ok(body.to_string())
}

/// Sends to `host` for `time`; returns the bits per second that arrived.
pub fn send(host: &str, time: Duration) -> Result<f64> {
    let mut stream = connect(host, SINK)?;
    let chunk = vec![0x5a; CHUNK];
    let start = Instant::now();
    while start.elapsed() < time {
        stream.write_all(&chunk)?;
    }
    stream.shutdown(std::net::Shutdown::Write)?;
    let mut arrived = String::new();
    stream.read_to_string(&mut arrived)?;
    let bytes: u64 = arrived
        .trim()
        .parse()
        .with_context(|| format!("{host} answered {arrived:?}"))?;
    Ok(bytes as f64 * 8.0 / start.elapsed().as_secs_f64())
}

fn connect(host: &str, port: u16) -> Result<TcpStream> {
    let addresses = (host, port)
        .to_socket_addrs()
        .with_context(|| format!("cannot resolve {host}"))?;
    let mut last = None;
    for address in addresses {
        match TcpStream::connect_timeout(&address, PATIENCE) {
            Ok(stream) => {
                stream.set_read_timeout(Some(PATIENCE))?;
                stream.set_write_timeout(Some(PATIENCE))?;
                return Ok(stream);
            }
            Err(error) => {
                last =
                    Some(anyhow::Error::new(error).context(format!("cannot connect to {address}")))
            }
        }
    }
    match last {
        Some(error) => Err(error),
        None => bail!("{host} has no address"),
    }
}
