//! A TCP proxy in front of the store that can refuse, ignore or reset connections.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{copy, sink};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Handle;
use tokio::sync::watch;

/// What happens to new connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mode {
    Open,
    Deaf,
    Closed,
}

#[derive(Debug, Clone, Copy)]
struct Orders {
    mode: Mode,
    cuts: u32,
}

/// The proxy. It ends with the runtime that it was started on.
pub(super) struct Proxy {
    pub(super) address: SocketAddr,
    orders: watch::Sender<Orders>,
}

impl Proxy {
    /// Starts a proxy that forwards to `store`.
    pub(super) fn start(runtime: &Handle, store: SocketAddr) -> Self {
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).expect("a free port");
        let address = listener.local_addr().expect("a bound port");
        let (orders, received) = watch::channel(Orders { mode: Mode::Open, cuts: 0 });
        runtime.spawn(receive(listener, address, store, received));
        Self { address, orders }
    }

    /// Forwards connections again.
    pub(super) fn open(&self) {
        self.orders.send_modify(|orders| orders.mode = Mode::Open);
    }

    /// Resets connections and refuses new ones.
    pub(super) fn close(&self) {
        self.orders.send_modify(|orders| orders.mode = Mode::Closed);
        self.cut();
    }

    /// Resets connections. New ones are accepted and get no response.
    pub(super) fn go_deaf(&self) {
        self.orders.send_modify(|orders| orders.mode = Mode::Deaf);
        self.cut();
    }

    /// Resets every connection.
    pub(super) fn cut(&self) {
        self.orders.send_modify(|orders| orders.cuts += 1);
    }
}

async fn receive(
    listener: TcpListener,
    address: SocketAddr,
    store: SocketAddr,
    mut orders: watch::Receiver<Orders>,
) {
    let mut listener = Some(listener);
    loop {
        let mode = orders.borrow_and_update().mode;
        if mode == Mode::Closed {
            listener = None;
        } else if listener.is_none() {
            listener = TcpListener::bind(address).await.ok();
        }
        let accepted = async {
            match &listener {
                Some(listener) => listener.accept().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            Ok((client, _)) = accepted => drop(tokio::spawn(carry(client, store, mode, orders.clone()))),
            changed = orders.changed() => if changed.is_err() { return },
            // Another process may have the port for a moment.
            () = tokio::time::sleep(Duration::from_millis(20)), if listener.is_none() && mode != Mode::Closed => {}
        }
    }
}

/// Forwards bytes both ways until either side ends or the connection is reset. The store's side ends first, so that the
/// store never sees a client reconnect before the old connection has ended.
async fn carry(mut client: TcpStream, store: SocketAddr, mode: Mode, mut orders: watch::Receiver<Orders>) {
    let cuts = orders.borrow_and_update().cuts;
    let cut = async { drop(orders.wait_for(|orders| orders.cuts != cuts).await) };
    let is_reset = if mode == Mode::Deaf {
        let mut nowhere = sink();
        tokio::select! {
            () = cut => true,
            _ = copy(&mut client, &mut nowhere) => false,
        }
    } else {
        let Ok(mut store) = TcpStream::connect(store).await else { return };
        // Small responses should not wait for acknowledgements. Without the option the test is only slower.
        let _ = (client.set_nodelay(true), store.set_nodelay(true));
        let (mut from_client, mut to_client) = client.split();
        let (mut from_store, mut to_store) = store.split();
        tokio::select! {
            () = cut => true,
            _ = copy(&mut from_client, &mut to_store) => false,
            _ = copy(&mut from_store, &mut to_client) => false,
        }
    };
    if is_reset {
        tokio::time::sleep(Duration::from_millis(10)).await;
        // Closing without lingering sends a reset.
        let _ = client.set_zero_linger();
    }
}
