//! A bad network between a client and a stack: it cuts connections at random bytes and is as slow as one likes.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicI64, AtomicU16, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};

/// Numbers that are the same for the same seed (SplitMix64).
#[derive(Clone, Debug)]
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// From 0 to `limit`, which is not reached.
    pub(crate) fn below(&mut self, limit: u64) -> u64 {
        self.next() % limit
    }
}

const CHUNK: usize = 64 * 1024;

/// A port that leads to another one on this machine.
#[derive(Clone, Debug)]
pub(crate) struct Proxy(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    address: SocketAddr,
    backend: AtomicU16,
    random: Mutex<Random>,
    cuts_left: AtomicUsize,
    /// A connection that is to be cut is cut before this many bytes have gone either way.
    cut_within: u64,
    bytes_up: AtomicU64,
    /// Waited after each 64 KiB.
    pause: Duration,
    /// What answers say and what they come to say: ports of five digits, so that no length changes.
    rewritten: Mutex<Vec<(String, String)>>,
    /// How long signed URLs are good, and when those that were signed at each moment were first seen.
    url_life: Mutex<Option<Duration>>,
    seen: Mutex<HashMap<String, Instant>>,
}

impl Proxy {
    pub(crate) async fn start(backend: u16, cuts: usize, cut_within: u64, pause: Duration, seed: u64) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let proxy = Self(Arc::new(Inner {
            address: listener.local_addr().unwrap(),
            backend: AtomicU16::new(backend),
            random: Mutex::new(Random(seed)),
            cuts_left: AtomicUsize::new(cuts),
            cut_within,
            bytes_up: AtomicU64::new(0),
            pause,
            rewritten: Mutex::default(),
            url_life: Mutex::default(),
            seen: Mutex::default(),
        }));
        let accepting = proxy.clone();
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                tokio::spawn(accepting.clone().pass(client));
            }
        });
        proxy
    }

    /// Where a client finds it.
    pub(crate) fn address(&self) -> String {
        self.0.address.to_string()
    }

    /// Leads elsewhere from now on.
    pub(crate) fn lead_to(&self, port: u16) {
        self.0.backend.store(port, Ordering::SeqCst);
    }

    /// Lets answers name another address.
    pub(crate) fn rewrite(&self, from: &str, to: &str) {
        assert_eq!(from.len(), to.len(), "{from} {to}");
        self.0.rewritten.lock().unwrap().push((from.to_owned(), to.to_owned()));
    }

    /// So long after signed URLs were first used, over a second, they say that they were signed for one. S3 refuses them.
    pub(crate) fn age_urls_after(&self, life: Duration) {
        *self.0.url_life.lock().unwrap() = Some(life);
    }

    fn aged(&self, head: String) -> String {
        let Some(life) = *self.0.url_life.lock().unwrap() else { return head };
        let Some((_, rest)) = head.split_once("X-Amz-Date=") else { return head };
        let signed_at = rest[..16].to_owned();
        let first = *self.0.seen.lock().unwrap().entry(signed_at).or_insert_with(Instant::now);
        if first.elapsed() < life { head } else { head.replace("X-Amz-Expires=3600", "X-Amz-Expires=0001") }
    }

    pub(crate) fn cuts_left(&self) -> usize {
        self.0.cuts_left.load(Ordering::SeqCst)
    }

    /// What clients sent through it.
    pub(crate) fn bytes_up(&self) -> u64 {
        self.0.bytes_up.load(Ordering::SeqCst)
    }

    async fn pass(self, client: TcpStream) {
        let backend = self.0.backend.load(Ordering::SeqCst);
        let Ok(server) = TcpStream::connect(("127.0.0.1", backend)).await else { return };
        let random = self.0.random.lock().unwrap().below(self.0.cut_within);
        let left = AtomicI64::new(if self.cuts_left() > 0 { i64::try_from(random).unwrap() } else { i64::MAX });
        let (from_client, to_client) = client.into_split();
        let (from_server, to_server) = server.into_split();
        tokio::select! {
            _ = self.up(from_client, to_server, &left, backend) => {}
            _ = self.down(from_server, to_client, &left) => {}
        }
        if left.load(Ordering::SeqCst) < 0 {
            let cut = |cuts: usize| cuts.checked_sub(1);
            let _ = self.0.cuts_left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, cut);
        }
    }

    /// Requests, with the `Host` that was signed.
    async fn up(
        &self,
        mut from: OwnedReadHalf,
        mut to: OwnedWriteHalf,
        left: &AtomicI64,
        backend: u16,
    ) -> std::io::Result<()> {
        let mut buffer = Vec::new();
        loop {
            let end = loop {
                if let Some(end) = buffer.windows(4).position(|window| window == b"\r\n\r\n") {
                    break end + 4;
                }
                if from.read_buf(&mut buffer).await? == 0 {
                    return Ok(());
                }
            };
            let head =
                String::from_utf8_lossy(&buffer[..end]).replace(&self.address(), &format!("127.0.0.1:{backend}"));
            let length = head
                .lines()
                .find_map(|line| line.to_ascii_lowercase().strip_prefix("content-length:")?.trim().parse().ok());
            let mut body: usize = length.unwrap_or(0);
            let head = self.aged(head);
            buffer.drain(..end);
            self.write(&mut to, head.as_bytes(), left).await?;
            while body > 0 {
                if buffer.is_empty() {
                    buffer.resize(body.min(CHUNK), 0);
                    let read = from.read(&mut buffer).await?;
                    buffer.truncate(read);
                    if read == 0 {
                        return Ok(());
                    }
                }
                let some = body.min(buffer.len());
                self.write(&mut to, &buffer[..some], left).await?;
                self.0.bytes_up.fetch_add(some as u64, Ordering::SeqCst);
                buffer.drain(..some);
                body -= some;
                tokio::time::sleep(self.0.pause).await;
            }
        }
    }

    /// Answers, with other addresses in them.
    async fn down(&self, mut from: OwnedReadHalf, mut to: OwnedWriteHalf, left: &AtomicI64) -> std::io::Result<()> {
        let rewritten = self.0.rewritten.lock().unwrap().clone();
        let mut buffer = Vec::new();
        while from.read_buf(&mut buffer).await? > 0 {
            for (is, becomes) in &rewritten {
                let is = is.as_bytes();
                let found = (0..buffer.len()).filter(|at| buffer[*at..].starts_with(is)).collect::<Vec<_>>();
                for at in found {
                    buffer[at..at + is.len()].copy_from_slice(becomes.as_bytes());
                }
            }
            // An address may go on in what comes next; nothing ends in the middle of one.
            let longest = rewritten.iter().map(|(is, _)| is.len()).max().unwrap_or(0);
            let is_begun = |kept: &usize| {
                rewritten.iter().any(|(is, _)| is.as_bytes().starts_with(&buffer[buffer.len() - kept..]))
            };
            let kept = (1..longest.min(buffer.len())).rev().find(is_begun).unwrap_or(0);
            let rest = buffer.split_off(buffer.len() - kept);
            self.write(&mut to, &buffer, left).await?;
            buffer = rest;
        }
        Ok(())
    }

    /// Ends at the byte that the connection is cut at.
    async fn write(&self, to: &mut OwnedWriteHalf, bytes: &[u8], left: &AtomicI64) -> std::io::Result<()> {
        let length = i64::try_from(bytes.len()).unwrap();
        let before = left.fetch_sub(length, Ordering::SeqCst);
        if before < length {
            to.write_all(&bytes[..usize::try_from(before.max(0)).unwrap()]).await?;
            return Err(std::io::ErrorKind::ConnectionAborted.into());
        }
        to.write_all(bytes).await
    }
}
