//! A way to the store that can be closed, left without answers, or torn.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{copy, sink};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Handle;
use tokio::sync::watch;

/// What becomes of who comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    Open,
    Deaf,
    Closed,
}

#[derive(Debug, Clone, Copy)]
struct Orders {
    way: Way,
    cuts: u32,
}

/// The way. It ends with the runtime that it was started on.
pub(super) struct Proxy {
    pub(super) address: SocketAddr,
    orders: watch::Sender<Orders>,
}

impl Proxy {
    /// Leads to `store`.
    pub(super) fn start(runtime: &Handle, store: SocketAddr) -> Self {
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).expect("a free port");
        let address = listener.local_addr().expect("a bound port");
        let (orders, received) = watch::channel(Orders { way: Way::Open, cuts: 0 });
        runtime.spawn(receive(listener, address, store, received));
        Self { address, orders }
    }

    /// All is well again.
    pub(super) fn open(&self) {
        self.orders.send_modify(|orders| orders.way = Way::Open);
    }

    /// Connections are cut off, and new ones are refused.
    pub(super) fn close(&self) {
        self.orders.send_modify(|orders| orders.way = Way::Closed);
        self.cut();
    }

    /// Connections are cut off; new ones are taken, and nothing is ever said on them.
    pub(super) fn go_deaf(&self) {
        self.orders.send_modify(|orders| orders.way = Way::Deaf);
        self.cut();
    }

    /// Every connection is reset, wherever it is.
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
        let way = orders.borrow_and_update().way;
        if way == Way::Closed {
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
            Ok((client, _)) = accepted => drop(tokio::spawn(carry(client, store, way, orders.clone()))),
            changed = orders.changed() => if changed.is_err() { return },
            // The port may be somebody else's for a moment.
            () = tokio::time::sleep(Duration::from_millis(20)), if listener.is_none() && way != Way::Closed => {}
        }
    }
}

/// Carries bytes both ways until either side ends or the connection is cut. The store's side ends first, so that it
/// never sees a client come back before it has left.
async fn carry(mut client: TcpStream, store: SocketAddr, way: Way, mut orders: watch::Receiver<Orders>) {
    let cuts = orders.borrow_and_update().cuts;
    let cut = async { drop(orders.wait_for(|orders| orders.cuts != cuts).await) };
    let torn = if way == Way::Deaf {
        let mut nowhere = sink();
        tokio::select! {
            () = cut => true,
            _ = copy(&mut client, &mut nowhere) => false,
        }
    } else {
        let Ok(mut store) = TcpStream::connect(store).await else { return };
        // Small answers must not wait for acknowledgements; where it cannot be had they do.
        let _ = (client.set_nodelay(true), store.set_nodelay(true));
        let (mut from_client, mut to_client) = client.split();
        let (mut from_store, mut to_store) = store.split();
        tokio::select! {
            () = cut => true,
            _ = copy(&mut from_client, &mut to_store) => false,
            _ = copy(&mut from_store, &mut to_client) => false,
        }
    };
    if torn {
        tokio::time::sleep(Duration::from_millis(10)).await;
        // Closing with nothing lingering sends a reset instead of an orderly end.
        let _ = client.set_zero_linger();
    }
}
