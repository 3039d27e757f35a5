//! Proxy in front of the emulated AWS services. Adds TLS, and measures the time of each call behind the proxy.

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

/// Running proxy. Clones share the proxy.
#[derive(Clone)]
pub(crate) struct TlsProxy {
    address: SocketAddr,
    shared: Arc<Shared>,
}

struct Shared {
    upstream: String,
    client: Client<HttpConnector, Full<Bytes>>,
    tls: Option<TlsAcceptor>,
    upstream_time: Mutex<Duration>,
}

impl TlsProxy {
    /// Start a proxy for the server at `upstream`. With TLS if `certificate` is a directory with `server.pem` and
    /// `server.key`.
    pub(crate) async fn open(upstream: &str, certificate: Option<&Path>) -> io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let client = Client::builder(TokioExecutor::new()).build(HttpConnector::new());
        let tls = certificate.map(acceptor).transpose()?;
        let shared = Shared { upstream: upstream.to_owned(), client, tls, upstream_time: Mutex::default() };
        let proxy = Self { address, shared: Arc::new(shared) };
        tokio::spawn(serve(listener, Arc::clone(&proxy.shared)));
        Ok(proxy)
    }

    /// Endpoint URL for AWS clients.
    pub(crate) fn url(&self) -> String {
        let scheme = if self.shared.tls.is_some() { "https" } else { "http" };
        format!("{scheme}://{}", self.address)
    }

    /// Total time of the calls since the previous reading. The functions make one call at a time.
    pub(crate) fn take_upstream_time(&self) -> Duration {
        std::mem::take(&mut *self.shared.upstream_time.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

fn acceptor(certificate: &Path) -> io::Result<TlsAcceptor> {
    let chain = CertificateDer::from_pem_file(certificate.join("server.pem")).map_err(io::Error::other)?;
    let key = PrivateKeyDer::from_pem_file(certificate.join("server.key")).map_err(io::Error::other)?;
    let configuration = ServerConfig::builder().with_no_client_auth().with_single_cert(vec![chain], key);
    Ok(TlsAcceptor::from(Arc::new(configuration.map_err(io::Error::other)?)))
}

async fn serve(listener: TcpListener, shared: Arc<Shared>) {
    while let Ok((stream, _)) = listener.accept().await {
        let _ = stream.set_nodelay(true);
        let shared = Arc::clone(&shared);
        tokio::spawn(async move {
            match &shared.tls {
                None => shared.serve_connection(stream).await,
                Some(tls) => {
                    if let Ok(stream) = tls.accept(stream).await {
                        shared.serve_connection(stream).await;
                    }
                }
            }
        });
    }
}

impl Shared {
    async fn serve_connection(&self, stream: impl AsyncRead + AsyncWrite + Unpin) {
        let service = service_fn(|request| self.forward(request));
        // Fails only if the function ended.
        let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
    }

    /// Forward a request. Keeps the `Host` header because it is part of the signature.
    async fn forward(&self, request: Request<Incoming>) -> io::Result<Response<Full<Bytes>>> {
        let (mut parts, body) = request.into_parts();
        let body = body.collect().await.map_err(io::Error::other)?.to_bytes();
        let started = Instant::now();
        let path = parts.uri.path_and_query().map_or("/", http::uri::PathAndQuery::as_str);
        parts.uri = format!("{}{path}", self.upstream).parse::<Uri>().map_err(io::Error::other)?;
        let response = self.client.request(Request::from_parts(parts, Full::new(body))).await;
        let (head, body) = response.map_err(io::Error::other)?.into_parts();
        let body = body.collect().await.map_err(io::Error::other)?.to_bytes();
        *self.upstream_time.lock().unwrap_or_else(PoisonError::into_inner) += started.elapsed();
        Ok(Response::from_parts(head, Full::new(body)))
    }
}
