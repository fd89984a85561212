//! Something between us and a server: it counts connections, and cuts them.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use tokio::{
    io::copy_bidirectional,
    net::{TcpListener, TcpStream},
    sync::watch,
};

pub struct Relay {
    pub address: SocketAddr,
    connections: Arc<AtomicUsize>,
    cut: watch::Sender<()>,
}

impl Relay {
    /// Listens on an address of loopback and hands everything on to a port of 127.0.0.1.
    pub async fn start(host: &str, port: u16) -> Relay {
        let listener = TcpListener::bind((host, 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let connections = Arc::new(AtomicUsize::new(0));
        let (cut, cuts) = watch::channel(());
        let count = connections.clone();
        tokio::spawn(async move {
            while let Ok((mut from, _)) = listener.accept().await {
                count.fetch_add(1, Ordering::SeqCst);
                let mut cuts = cuts.clone();
                cuts.mark_unchanged();
                tokio::spawn(async move {
                    let mut to = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
                    tokio::select! {
                        _ = copy_bidirectional(&mut from, &mut to) => {}
                        _ = cuts.changed() => {}
                    }
                });
            }
        });
        Relay { address, connections, cut }
    }

    pub fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }

    /// Ends all connections that there are.
    pub fn cut(&self) {
        self.cut.send(()).unwrap();
    }
}
