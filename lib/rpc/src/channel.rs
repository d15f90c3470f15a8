//! The only branch on the mode: a channel over an in-memory duplex, or over TCP.

use std::time::Duration;

use hyper_util::rt::TokioIo;
use tokio::io::DuplexStream;
use tokio::sync::mpsc;
use tokio_stream::wrappers::UnboundedReceiverStream;
use tonic::transport::{Endpoint, Uri};

/// A connection to a service, shared by all who call it.
pub type Channel = tonic::transport::Channel;

/// Bytes in flight in one direction of an in-memory connection.
const DUPLEX_BYTES: usize = 256 * 1024;
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
const KEEP_ALIVE: Duration = Duration::from_secs(20);

/// An address is not one.
#[derive(Debug, thiserror::Error)]
#[error("{address:?} is not the address of a service: write http://HOST:PORT")]
pub struct ChannelError {
    address: String,
}

/// A channel to a service at `address` (`http://host:port`). It connects when first used, and again when lost.
pub fn connect(address: &str) -> Result<Channel, ChannelError> {
    let endpoint = Endpoint::from_shared(address.to_owned())
        .map_err(|_| ChannelError { address: address.to_owned() })?;
    Ok(endpoint
        .connect_timeout(CONNECT_TIMEOUT)
        .http2_keep_alive_interval(KEEP_ALIVE)
        .keep_alive_while_idle(true)
        .tcp_nodelay(true)
        .connect_lazy())
}

/// A listener in memory: what one process uses instead of a port.
pub struct InMemory {
    incoming: mpsc::UnboundedReceiver<Result<DuplexStream, std::io::Error>>,
    connect: mpsc::UnboundedSender<Result<DuplexStream, std::io::Error>>,
}

impl Default for InMemory {
    fn default() -> Self {
        let (connect, incoming) = mpsc::unbounded_channel();
        Self { incoming, connect }
    }
}

impl InMemory {
    /// A channel to whoever serves this listener. One connection is kept, as over TCP.
    pub fn channel(&self) -> Channel {
        let connect = self.connect.clone();
        Endpoint::from_static("http://in-memory").connect_with_connector_lazy(tower::service_fn(
            move |_: Uri| {
                let connect = connect.clone();
                async move {
                    let (ours, theirs) = tokio::io::duplex(DUPLEX_BYTES);
                    connect.send(Ok(theirs)).map_err(|_| {
                        std::io::Error::new(std::io::ErrorKind::ConnectionRefused, "the service has stopped")
                    })?;
                    Ok::<_, std::io::Error>(TokioIo::new(ours))
                }
            },
        ))
    }

    /// The connections to serve.
    pub fn incoming(self) -> UnboundedReceiverStream<Result<DuplexStream, std::io::Error>> {
        UnboundedReceiverStream::new(self.incoming)
    }
}
