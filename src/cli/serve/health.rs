//! `attrsync serve --health`: asks a process on this machine whether it lives, for containers without a shell.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::cli::exit::Exit;
use crate::cli::failure::Failure;

const TIME_MAX: Duration = Duration::from_secs(3);

const ALIVE: &[u8] = b"HTTP/1.1 200 ";

/// Asks the process that listens at this address.
///
/// # Errors
/// It does not respond, or not as it should.
pub(super) async fn run(address: SocketAddr) -> Result<Exit, Failure> {
    let address = SocketAddr::new(on_this_machine(address.ip()), address.port());
    let head = timeout(TIME_MAX, ask(address)).await.unwrap_or_else(|elapsed| Err(elapsed.into()));
    match head {
        Ok(head) if head == ALIVE => Ok(Exit::Done),
        Ok(_) => Err(Failure::new(format!("what listens at {address} does not respond as attrsync does"))),
        Err(error) => Err(Failure::new(format!("attrsync does not respond at {address}: {error}"))),
    }
}

/// Returns the beginning of the response.
async fn ask(address: SocketAddr) -> std::io::Result<Vec<u8>> {
    let mut stream = TcpStream::connect(address).await?;
    stream.write_all(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").await?;
    let mut head = vec![0; ALIVE.len()];
    stream.read_exact(&mut head).await?;
    Ok(head)
}

/// Returns an address of this machine for one that stands for all of them.
const fn on_this_machine(ip: IpAddr) -> IpAddr {
    match ip {
        IpAddr::V4(Ipv4Addr::UNSPECIFIED) => IpAddr::V4(Ipv4Addr::LOCALHOST),
        IpAddr::V6(Ipv6Addr::UNSPECIFIED) => IpAddr::V6(Ipv6Addr::LOCALHOST),
        ip => ip,
    }
}
