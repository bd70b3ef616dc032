//! A scripted HTTP server on a loopback port, for responses that no correct server sends.
//!
//! Each request takes the next act of the script, in the order in which the requests start. All requests are kept for
//! the test. Dropping the server closes its port and all its connections.

use std::collections::VecDeque;
use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread::{self, JoinHandle};

/// What the server does with one request.
#[derive(Debug, Clone)]
pub(crate) enum Act {
    /// These bytes are sent; the connection stays open for the next request.
    Respond(Vec<u8>),
    /// These bytes are sent, then the connection is closed.
    Cut(Vec<u8>),
    /// These bytes are sent, then nothing until the client closes the connection.
    Hang(Vec<u8>),
    /// The connection is reset after the request's first line.
    Reset,
}

/// Writes a response with its Content-Length, which `headers` must not have.
pub(crate) fn response(status: u16, headers: &[(&str, &str)], body: impl AsRef<[u8]>) -> Vec<u8> {
    let body = body.as_ref();
    let mut text = format!("HTTP/1.1 {status} Scripted\r\n");
    for (name, value) in headers {
        text += &format!("{name}: {value}\r\n");
    }
    text += &format!("Content-Length: {}\r\n\r\n", body.len());
    [text.as_bytes(), body].concat()
}

/// A request as it arrived.
#[derive(Debug, Clone, Default)]
pub(crate) struct Request {
    /// The number of its connection, from 0.
    pub(crate) connection: usize,
    /// `GET`, `PUT`.
    pub(crate) method: String,
    /// The path with its query.
    pub(crate) path: String,
    /// The headers, names in lower case. Empty for a request that was reset.
    pub(crate) headers: Vec<(String, String)>,
    /// The body. Empty for a request that was reset.
    pub(crate) body: String,
    /// The same, if it is not text.
    pub(crate) bytes: Vec<u8>,
}

impl Request {
    /// The value of a header, its name in lower case.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(found, _)| found == name).map(|(_, value)| value.as_str())
    }
}

#[derive(Default)]
struct State {
    script: VecDeque<Act>,
    seen: Vec<Request>,
    /// A second handle of every connection, by which a drop ends the thread that serves it.
    /// `None` once it was reset.
    connections: Vec<Option<TcpStream>>,
    stopping: bool,
}

type Shared = Arc<Mutex<State>>;

/// The running server.
pub(crate) struct HttpServer {
    address: SocketAddr,
    state: Shared,
    accepting: Option<JoinHandle<()>>,
}

impl HttpServer {
    /// Starts a server with this script.
    pub(crate) fn start(script: impl IntoIterator<Item = Act>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a loopback port");
        let address = listener.local_addr().expect("the port's address");
        let state: Shared =
            Arc::new(Mutex::new(State { script: script.into_iter().collect(), ..State::default() }));
        let shared = Arc::clone(&state);
        let accepting = Some(thread::spawn(move || accept(&listener, &shared)));
        Self { address, state, accepting }
    }

    /// The server's address, without a trailing slash.
    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The requests so far, in the order in which they started.
    pub(crate) fn seen(&self) -> Vec<Request> {
        lock(&self.state).seen.clone()
    }

    /// How many connections were made so far.
    pub(crate) fn connections(&self) -> usize {
        lock(&self.state).connections.len()
    }
}

impl Drop for HttpServer {
    fn drop(&mut self) {
        lock(&self.state).stopping = true;
        // Accepting blocks until the next connection.
        let woken = TcpStream::connect(self.address);
        if let (Ok(_), Some(accepting)) = (woken, self.accepting.take()) {
            let _ = accepting.join();
        }
    }
}

fn lock(state: &Shared) -> MutexGuard<'_, State> {
    state.lock().expect("no thread of the server panicked")
}

fn accept(listener: &TcpListener, state: &Shared) {
    let mut threads = Vec::new();
    for stream in listener.incoming() {
        let Ok(stream) = stream else { break };
        let mut locked = lock(state);
        if locked.stopping {
            break;
        }
        let connection = locked.connections.len();
        locked.connections.push(Some(stream.try_clone().expect("a second handle of a socket")));
        drop(locked);
        let state = Arc::clone(state);
        // A connection that breaks is the other side's to notice.
        threads.push(thread::spawn(move || drop(serve(stream, connection, &state))));
    }
    for stream in lock(state).connections.iter().flatten() {
        let _ = stream.shutdown(Shutdown::Both);
    }
    for thread in threads {
        let _ = thread.join();
    }
}

/// Serves one connection to its end.
fn serve(mut stream: TcpStream, connection: usize, state: &Shared) -> io::Result<()> {
    loop {
        let line = until(&mut stream, b"\r\n")?;
        let (method, path) = line.split_once(' ').unwrap_or_default();
        let path = path.trim_end().trim_end_matches(" HTTP/1.1");
        let mut request =
            Request { connection, method: method.to_owned(), path: path.to_owned(), ..Request::default() };
        let act = lock(state).script.pop_front();
        if let Some(Act::Reset) = act {
            reset(stream, request, state);
            return Ok(());
        }
        read_rest(&mut stream, &mut request)?;
        lock(state).seen.push(request);
        match act {
            Some(Act::Respond(bytes)) => stream.write_all(&bytes)?,
            Some(Act::Cut(bytes)) => {
                stream.write_all(&bytes)?;
                return stream.shutdown(Shutdown::Both);
            }
            Some(Act::Hang(bytes)) => {
                stream.write_all(&bytes)?;
                return io::copy(&mut stream, &mut io::sink()).map(drop);
            }
            Some(Act::Reset) | None => stream.write_all(&response(599, &[], "the script is at its end"))?,
        }
    }
}

/// Resets a connection: the system sends a reset when the last handle of a socket with unread bytes is closed. The
/// headers of this request are unread.
fn reset(stream: TcpStream, request: Request, state: &Shared) {
    let mut locked = lock(state);
    locked.connections[request.connection] = None;
    locked.seen.push(request);
    drop(stream);
}

/// Reads headers and body.
fn read_rest(stream: &mut TcpStream, request: &mut Request) -> io::Result<()> {
    loop {
        let line = until(stream, b"\r\n")?;
        let Some((name, value)) = line.trim_end().split_once(':') else { break };
        request.headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
    }
    let length = request.header("content-length").and_then(|length| length.parse().ok()).unwrap_or(0);
    let mut body = vec![0; length];
    stream.read_exact(&mut body)?;
    request.body = String::from_utf8_lossy(&body).into_owned();
    request.bytes = body;
    Ok(())
}

/// Reads up to and with `end`, byte by byte, so that nothing beyond is taken from the socket.
fn until(stream: &mut TcpStream, end: &[u8]) -> io::Result<String> {
    let mut bytes = Vec::new();
    let mut byte = [0];
    while !bytes.ends_with(end) {
        stream.read_exact(&mut byte)?;
        bytes.push(byte[0]);
    }
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}
