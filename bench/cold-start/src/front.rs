//! The door to the emulated AWS: with TLS, as AWS has it, and a watch that notes how long each call took behind it.

use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{Request, Response, Uri};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};

/// The door, as long as the program runs.
#[derive(Clone)]
pub(crate) struct Front {
    address: SocketAddr,
    door: Arc<Door>,
}

struct Door {
    behind: String,
    client: Client<HttpConnector, Full<Bytes>>,
    tls: Option<TlsAcceptor>,
    spent: Mutex<Duration>,
}

impl Front {
    /// Opens a door to the server at `behind`; with TLS where there is a directory with `server.pem` and `server.key`.
    pub(crate) async fn open(behind: &str, certificate: Option<&Path>) -> io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let client = Client::builder(TokioExecutor::new()).build(HttpConnector::new());
        let tls = certificate.map(acceptor).transpose()?;
        let door = Door { behind: behind.to_owned(), client, tls, spent: Mutex::default() };
        let front = Self { address, door: Arc::new(door) };
        tokio::spawn(serve(listener, Arc::clone(&front.door)));
        Ok(front)
    }

    /// What an AWS client takes as its endpoint.
    pub(crate) fn url(&self) -> String {
        let scheme = if self.door.tls.is_some() { "https" } else { "http" };
        format!("{scheme}://{}", self.address)
    }

    /// How long the calls took since the last time this was asked. Our functions call one after the other.
    pub(crate) fn take_spent(&self) -> Duration {
        std::mem::take(&mut *self.door.spent.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

fn acceptor(certificate: &Path) -> io::Result<TlsAcceptor> {
    let chain = CertificateDer::from_pem_file(certificate.join("server.pem")).map_err(io::Error::other)?;
    let key = PrivateKeyDer::from_pem_file(certificate.join("server.key")).map_err(io::Error::other)?;
    let configuration = ServerConfig::builder().with_no_client_auth().with_single_cert(vec![chain], key);
    Ok(TlsAcceptor::from(Arc::new(configuration.map_err(io::Error::other)?)))
}

async fn serve(listener: TcpListener, door: Arc<Door>) {
    while let Ok((stream, _)) = listener.accept().await {
        let _ = stream.set_nodelay(true);
        let door = Arc::clone(&door);
        tokio::spawn(async move {
            match &door.tls {
                None => door.attend(stream).await,
                Some(tls) => {
                    if let Ok(stream) = tls.accept(stream).await {
                        door.attend(stream).await;
                    }
                }
            }
        });
    }
}

impl Door {
    async fn attend(&self, stream: impl AsyncRead + AsyncWrite + Unpin) {
        let pass = service_fn(|request| self.pass(request));
        // An error here is a function that ended.
        let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), pass).await;
    }

    /// `Host` stays what the client sent: it is signed.
    async fn pass(&self, request: Request<Incoming>) -> io::Result<Response<Full<Bytes>>> {
        let (mut parts, body) = request.into_parts();
        let body = body.collect().await.map_err(io::Error::other)?.to_bytes();
        let began = Instant::now();
        let path = parts.uri.path_and_query().map_or("/", http::uri::PathAndQuery::as_str);
        parts.uri = format!("{}{path}", self.behind).parse::<Uri>().map_err(io::Error::other)?;
        let answer = self.client.request(Request::from_parts(parts, Full::new(body))).await;
        let (head, body) = answer.map_err(io::Error::other)?.into_parts();
        let body = body.collect().await.map_err(io::Error::other)?.to_bytes();
        *self.spent.lock().unwrap_or_else(PoisonError::into_inner) += began.elapsed();
        Ok(Response::from_parts(head, Full::new(body)))
    }
}
