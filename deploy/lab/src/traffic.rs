//! The demonstration's traffic: a server for HTTP and for throughput, and a client for each.
//!
//! They stand for an application on a machine without Ringway: ordinary sockets, and names from the
//! system's resolver. The server handles one connection at a time and trusts every client, so it is
//! useless outside a laboratory.

use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::net::{Ipv6Addr, Shutdown, TcpListener, TcpStream, ToSocketAddrs as _};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};

/// Port on which the server answers HTTP.
const HTTP: u16 = 8080;
/// Port on which the server reads to the end and answers with the number of bytes; iperf3's port,
/// because the laboratory's policy allows it.
const SINK: u16 = 5201;

/// Limit for establishing a connection, and for each read and write on it.
const TIMEOUT: Duration = Duration::from_secs(5);
/// Size of one write, large enough for segmentation offload.
const CHUNK: usize = 256 * 1024;

/// Serves as `name` until the process is killed. Prints "serving" as soon as both ports listen.
pub(crate) fn serve(name: &str) -> Result<()> {
    let http = listen(HTTP)?;
    let sink = listen(SINK)?;
    println!("serving");
    io::stdout().flush()?;

    // A client that fails ends only its own connection, so errors are dropped.
    thread::spawn(move || {
        for stream in sink.incoming().flatten() {
            _ = count_bytes(stream);
        }
    });
    for stream in http.incoming().flatten() {
        _ = answer_http(stream, name);
    }
    Ok(())
}

fn listen(port: u16) -> Result<TcpListener> {
    TcpListener::bind((Ipv6Addr::UNSPECIFIED, port))
        .with_context(|| format!("cannot listen on port {port}"))
}

/// Answers one request with a line that contains the server's name and the client's address.
fn answer_http(mut stream: TcpStream, name: &str) -> io::Result<()> {
    stream.set_read_timeout(Some(TIMEOUT))?;
    // The head ends with an empty line. Its content does not matter.
    let mut head = BufReader::new(&stream).take(8192).lines();
    while head
        .next()
        .transpose()?
        .is_some_and(|line| !line.is_empty())
    {}

    // An IPv4 client of an IPv6 socket has a mapped address (RFC 4291, 2.5.5.2).
    let client = stream.peer_addr()?.ip().to_canonical();
    let body = format!("{name} answers {client}\n");
    let length = body.len();
    write!(
        stream,
        "HTTP/1.1 200 OK\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}"
    )
}

/// Reads to the end and answers with the number of bytes, and the longest pause in milliseconds.
fn count_bytes(mut stream: TcpStream) -> io::Result<()> {
    stream.set_read_timeout(Some(TIMEOUT))?;
    let mut buffer = vec![0; CHUNK];
    let mut total: u64 = 0;
    let mut longest = Duration::ZERO;
    let mut last = Instant::now();

    loop {
        let count = stream.read(&mut buffer)?;
        longest = longest.max(last.elapsed());
        last = Instant::now();
        match count {
            0 => return writeln!(stream, "{total} {}", longest.as_millis()),
            count => total += count as u64,
        }
    }
}

/// Gets `/` from the HTTP server on `host`; returns the body.
pub(crate) fn fetch(host: &str) -> Result<String> {
    let mut stream = connect(host, HTTP)?;
    write!(
        stream,
        "GET / HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n"
    )?;
    // The server closes the connection at the end of the body.
    let mut reply = String::new();
    stream.read_to_string(&mut reply)?;

    let (head, body) = reply
        .split_once("\r\n\r\n")
        .context("the answer is not HTTP")?;
    ensure!(head.starts_with("HTTP/1.1 200 "), "the answer was {head:?}");
    Ok(body.to_string())
}

/// Sends to `host` for `duration`. Prints "half" after half of it, and at the end the throughput at
/// the receiver in bits per second, with the longest pause there in milliseconds.
pub(crate) fn send(host: &str, duration: Duration) -> Result<()> {
    let mut stream = connect(host, SINK)?;
    let chunk = vec![0x5a; CHUNK];
    let start = Instant::now();
    let mut is_over_half = false;

    while start.elapsed() < duration {
        stream.write_all(&chunk)?;
        if !is_over_half && start.elapsed() > duration / 2 {
            is_over_half = true;
            println!("half");
            io::stdout().flush()?;
        }
    }

    // The receiver answers after its last byte: this measures what arrived, not what the kernel
    // accepted from us.
    stream.shutdown(Shutdown::Write)?;
    let mut reply = String::new();
    stream.read_to_string(&mut reply)?;
    let (bytes, longest) = counted(&reply).with_context(|| format!("{host} answered {reply:?}"))?;
    let rate = bytes as f64 * 8.0 / start.elapsed().as_secs_f64();
    println!("{rate:.0} {longest}");
    Ok(())
}

/// The server's two figures.
fn counted(reply: &str) -> Option<(u64, u64)> {
    let (bytes, longest) = reply.trim().split_once(' ')?;
    Some((bytes.parse().ok()?, longest.parse().ok()?))
}

/// Connects to the first address of `host` that accepts.
fn connect(host: &str, port: u16) -> Result<TcpStream> {
    let addresses = (host, port)
        .to_socket_addrs()
        .with_context(|| format!("cannot resolve {host}"))?;

    // Like other clients, tries the next address if one does not answer.
    let mut last_error = None;
    for address in addresses {
        match TcpStream::connect_timeout(&address, TIMEOUT) {
            Ok(stream) => {
                stream.set_read_timeout(Some(TIMEOUT))?;
                stream.set_write_timeout(Some(TIMEOUT))?;
                return Ok(stream);
            }
            Err(error) => {
                let error = anyhow::Error::new(error);
                last_error = Some(error.context(format!("cannot connect to {address}")));
            }
        }
    }

    match last_error {
        Some(error) => Err(error),
        None => bail!("{host} has no address"),
    }
}
