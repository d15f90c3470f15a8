//! What tests share.

pub mod localstack;
pub mod opensearch;
pub mod postgres;
pub mod redis;
pub mod toxiproxy;

/// A port that nobody listens on now.
fn free_port() -> u16 {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    listener.local_addr().expect("an address").port()
}
