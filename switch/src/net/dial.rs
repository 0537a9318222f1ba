//! Connections to where the operator's file says, of programs other than SIP.

use std::io;
use std::time::Duration;

use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use super::Tls;

/// How long connecting may take, and a handshake.
const CONNECT_MAX: Duration = Duration::from_secs(10);

/// A stream of bytes, in TLS or not.
pub(crate) trait Octets: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Octets for T {}

pub(crate) type Stream = Box<dyn Octets>;

/// Connects. With `tls` the far end must show a certificate for `host` by whom [`Tls`] believes.
///
/// # Errors
/// When nobody is there, it takes too long, or the certificate is somebody else's.
pub(crate) async fn dial(host: &str, port: u16, tls: Option<&Tls>) -> io::Result<Stream> {
    let stream = within(TcpStream::connect((host, port))).await?;
    let _ = stream.set_nodelay(true);
    let Some(tls) = tls else { return Ok(Box::new(stream)) };
    let name = ServerName::try_from(host.to_owned()).map_err(io::Error::other)?;
    let connector = TlsConnector::from(tls.plain());
    Ok(Box::new(within(connector.connect(name, stream)).await?))
}

async fn within<T>(done: impl Future<Output = io::Result<T>>) -> io::Result<T> {
    timeout(CONNECT_MAX, done).await.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
}
