//! An echo over TLS on tokio and rustls, one thread: `rust-tls KEY CERTIFICATE`.
//!
//! The cryptography is that of ring, which needs nothing but a C compiler to be built.

use std::env;
use std::error::Error;
use std::process;
use std::sync::Arc;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};

/// Room to accept in, for benches that connect hundreds at once.
const BACKLOG: u32 = 4096;
/// A record's bytes: rustls gives no more at once.
const BUFFER_BYTES: usize = 16 * 1024;

fn acceptor(key: &str, certificate: &str) -> Result<TlsAcceptor, Box<dyn Error>> {
    let chain: Result<Vec<_>, _> = CertificateDer::pem_file_iter(certificate)?.collect();
    let mut config = ServerConfig::builder()
        .with_no_client_auth()
        .with_single_cert(chain?, PrivateKeyDer::from_pem_file(key)?)?;
    // Sessions go on by tickets, as OpenSSL's do; without a ticketer the server would keep each.
    config.ticketer = tokio_rustls::rustls::crypto::ring::Ticketer::new()?;
    Ok(TlsAcceptor::from(Arc::new(config)))
}

/// Sends back what a read brought.
async fn echo(acceptor: TlsAcceptor, stream: TcpStream) -> Result<(), Box<dyn Error>> {
    let mut stream = acceptor.accept(stream).await?;
    let mut buffer = vec![0; BUFFER_BYTES];
    loop {
        let count = stream.read(&mut buffer).await?;
        if count == 0 {
            return Ok(stream.shutdown().await?);
        }
        stream.write_all(&buffer[..count]).await?;
        stream.flush().await?; // write_all leaves encrypted bytes behind where the socket is full
    }
}

async fn serve(key: &str, certificate: &str) -> Result<(), Box<dyn Error>> {
    let acceptor = acceptor(key, certificate)?;
    let socket = TcpSocket::new_v4()?;
    socket.set_reuseaddr(true)?;
    socket.bind(([127, 0, 0, 1], 0).into())?;
    let listener = socket.listen(BACKLOG)?;
    println!("listening {}", listener.local_addr()?.port());
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        let acceptor = acceptor.clone();
        tokio::spawn(async move {
            let _ = echo(acceptor, stream).await;
        });
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let words: Vec<String> = env::args().collect();
    let [_, key, certificate] = words.as_slice() else {
        eprintln!("rust-tls KEY CERTIFICATE");
        process::exit(2);
    };
    if let Err(error) = serve(key, certificate).await {
        eprintln!("rust-tls: {error}");
        process::exit(1);
    }
}
