//! A bucket of an S3-compatible storage: files go in, and out again.
//!
//! The operator names the storage, so it may be in a private network or on this machine; link-local addresses, where
//! clouds keep the credentials of their machines, are never visited, whatever a name resolves to. Requests are signed
//! (Signature Version 4) with the sum of the file, so that what arrives is what was sent. Redirects are not followed.

use std::fmt;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use facts::UnixMillis;
use sha2::{Digest as _, Sha256};
use tokio::fs::File;
use tokio::io::{AsyncReadExt as _, AsyncSeekExt as _};
use url::{Host, Url};

use crate::recordings::FileBody;

mod parts;
mod sign;

use sign::{Request, Signer, encoded, query};

/// Behind the name of a file that has a copy.
pub const STORED: &str = ".stored";
/// In place of that, once the copy is to go.
pub const UNSTORED: &str = ".unstored";

/// A file is about to be removed: so is its copy, if there is one.
///
/// # Errors
/// The mark beside the file could not be changed.
pub fn forget(path: &Path) -> io::Result<()> {
    match std::fs::rename(beside(path, STORED), beside(path, UNSTORED)) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// The path of a mark beside a file.
#[must_use]
pub fn beside(path: &Path, ending: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(ending);
    PathBuf::from(name)
}

/// Where the bucket is and who may use it.
#[derive(Clone, PartialEq, Eq)]
pub struct BucketConfig {
    /// `https://host` or `https://host:port`, without a path: the bucket's name is put behind it (path style). Plain
    /// `http` on this machine.
    pub endpoint: String,
    /// Plain `http` anywhere.
    pub insecure: bool,
    /// The bucket.
    pub bucket: String,
    /// The region that is signed for; storages without any take `us-east-1`.
    pub region: String,
    /// Put before the name of each file, e.g. `tandem/`.
    pub prefix: String,
    /// The public half of the credentials.
    pub access_key: String,
    /// The secret half.
    pub secret_key: String,
}

impl fmt::Debug for BucketConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let place = [&self.endpoint, &self.bucket, &self.region, &self.prefix];
        f.debug_tuple("BucketConfig").field(&place).finish()
    }
}

/// Why nothing was stored or removed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BucketError {
    /// The endpoint is none, or leads where nobody may go.
    Endpoint,
    /// The endpoint is not HTTPS, not on this machine, and nobody said that it may be so.
    Plain,
    /// The file is not there any more.
    Gone,
    /// The file could not be read, or is larger than a storage takes.
    File(String),
    /// The storage refused: its status, and the code that its answer names.
    Refused(u16, String),
    /// It could not be asked.
    Failed(String),
}

impl fmt::Display for BucketError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            BucketError::Endpoint => f.write_str("not an endpoint that may be visited"),
            BucketError::Plain => f.write_str(
                "recordings would cross the network in the clear: use https, or recording.s3_insecure",
            ),
            BucketError::Gone => f.write_str("the file is gone"),
            BucketError::File(why) => write!(f, "the file: {why}"),
            BucketError::Refused(status, code) => write!(f, "refused with {status} {code}"),
            BucketError::Failed(why) => f.write_str(why),
        }
    }
}

impl std::error::Error for BucketError {}

/// A client of one bucket.
#[derive(Clone, Debug)]
pub struct Bucket {
    config: BucketConfig,
    endpoint: Url,
    /// Host and port as the Host header has them.
    host: String,
    client: reqwest::Client,
}

/// Octets of a file at most (S3: 5 TB).
const OCTETS_MAX: u64 = 5_000_000_000_000;
/// Octets of an answer that are looked at.
const ANSWER_MAX: usize = 4_096;
/// Time for a connection.
const CONNECT: Duration = Duration::from_secs(10);
/// Time for a request, beside that for the octets themselves.
const TOTAL: Duration = Duration::from_secs(60);
/// Slowest line on which a file is sent, octets a second.
const SLOWEST: u64 = 32_000;

impl Bucket {
    /// A client; nothing is asked yet.
    ///
    /// # Errors
    /// [`BucketError::Endpoint`]; [`BucketError::Plain`]; [`BucketError::Failed`] when the TLS library cannot be set up.
    pub fn new(config: BucketConfig) -> Result<Bucket, BucketError> {
        let endpoint = Url::parse(&config.endpoint).map_err(|_| BucketError::Endpoint)?;
        let plain = endpoint.path() == "/" && endpoint.query().is_none();
        let open = matches!(endpoint.scheme(), "http" | "https") && endpoint.username().is_empty();
        let host = match endpoint.host() {
            Some(Host::Ipv4(ip)) if may_visit(ip.into()) => ip.to_string(),
            Some(Host::Ipv6(ip)) if may_visit(ip.into()) => format!("[{ip}]"),
            Some(Host::Domain(name)) => name.to_owned(),
            _ => return Err(BucketError::Endpoint),
        };
        if !plain || !open || !named(&config.bucket) {
            return Err(BucketError::Endpoint);
        }
        if endpoint.scheme() == "http" && !config.insecure && !is_here(&endpoint) {
            return Err(BucketError::Plain);
        }
        let host = endpoint.port().map_or(host.clone(), |port| format!("{host}:{port}"));
        let client = reqwest::Client::builder()
            .dns_resolver(std::sync::Arc::new(Resolver))
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .referer(false)
            .connect_timeout(CONNECT)
            .user_agent(concat!("Tandem/", env!("CARGO_PKG_VERSION")))
            .build()
            .map_err(|error| BucketError::Failed(error.to_string()))?;
        Ok(Bucket { config, endpoint, host, client })
    }

    /// Stores a file under this name, a large one in parts. Stored before, it is stored again: the last one wins.
    ///
    /// # Errors
    /// [`BucketError`].
    pub async fn put(
        &self,
        name: &str,
        path: &Path,
        clock: fn() -> UnixMillis,
    ) -> Result<(), BucketError> {
        let mut file = File::open(path).await.map_err(|error| unread(&error))?;
        let length = file.metadata().await.map_err(|error| unread(&error))?.len();
        if length > OCTETS_MAX {
            return Err(BucketError::File(format!("{length} octets are too many")));
        }
        if length > parts::ONE_MAX {
            return parts::Upload { bucket: self, name, clock }.put(path, length).await;
        }
        let (length, sum) = sum(&mut file).await.map_err(|error| unread(&error))?;
        let body = reqwest::Body::wrap(FileBody::new(file, length));
        let time = TOTAL + Duration::from_secs(length / SLOWEST);
        let asked = Asked { method: "PUT", name, query: &[], sum: &sum, now: clock() };
        let request = self.request(&asked)?.timeout(time);
        let request = request.header("content-length", length).body(body);
        self.answer(request, ANSWER_MAX).await.map(drop)
    }

    /// Removes a file; one that is not there is removed.
    ///
    /// # Errors
    /// [`BucketError`].
    pub async fn delete(&self, name: &str, now: UnixMillis) -> Result<(), BucketError> {
        let sum = hex::encode(Sha256::digest([]));
        let asked = Asked { method: "DELETE", name, query: &[], sum: &sum, now };
        let request = self.request(&asked)?.timeout(TOTAL);
        match self.answer(request, ANSWER_MAX).await {
            Err(BucketError::Refused(404, code)) if code != "NoSuchBucket" => Ok(()),
            done => done.map(drop),
        }
    }

    fn request(&self, asked: &Asked<'_>) -> Result<reqwest::RequestBuilder, BucketError> {
        let BucketConfig { access_key, secret_key, region, bucket, prefix, .. } = &self.config;
        let prefix = if asked.name.is_empty() { "" } else { prefix };
        let path = encoded(&format!("/{bucket}/{prefix}{}", asked.name));
        let path = if asked.name.is_empty() { path.trim_end_matches('/') } else { &path };
        let (stamp, sum, query) = (stamp(asked.now), asked.sum, query(asked.query));
        let headers =
            [("host", self.host.as_str()), ("x-amz-content-sha256", sum), ("x-amz-date", &stamp)];
        let signer = Signer { access_key, secret_key, region };
        let request = Request {
            method: asked.method,
            path,
            query: &query,
            headers: &headers,
            payload_sha256: sum,
            stamp: &stamp,
        };
        let authorization = signer.authorization(&request);
        let mut url = self.endpoint.clone();
        url.set_path(path);
        url.set_query(Some(query.as_str()).filter(|query| !query.is_empty()));
        if url.path() != path || url.query().unwrap_or_default() != query {
            // What the URL standard writes otherwise was not signed.
            return Err(BucketError::Endpoint);
        }
        let method = reqwest::Method::from_bytes(asked.method.as_bytes());
        let method = method.map_err(|error| BucketError::Failed(error.to_string()))?;
        Ok(self
            .client
            .request(method, url)
            .header("x-amz-content-sha256", sum)
            .header("x-amz-date", stamp.as_str())
            .header("authorization", authorization))
    }
}

/// What is asked of the storage.
struct Asked<'a> {
    method: &'a str,
    /// Of the file; empty: the bucket itself is asked.
    name: &'a str,
    /// By name, in their order.
    query: &'a [(&'a str, &'a str)],
    /// SHA-256 of the body.
    sum: &'a str,
    now: UnixMillis,
}

/// The code that an answer names: `<Code>AccessDenied</Code>`; letters and digits alone.
fn code(answer: &str) -> String {
    let code = answer.split_once("<Code>").and_then(|(_, rest)| rest.split_once("</Code>"));
    let word = code.map(|(code, _)| code).filter(|code| code.len() <= 64).unwrap_or_default();
    word.chars().filter(char::is_ascii_alphanumeric).collect()
}

/// On this machine, whatever a name server says.
fn is_here(endpoint: &Url) -> bool {
    match endpoint.host() {
        Some(Host::Ipv4(ip)) => ip.is_loopback(),
        Some(Host::Ipv6(ip)) => ip.is_loopback(),
        Some(Host::Domain(_)) | None => false,
    }
}

/// Names of buckets as S3 has them.
fn named(bucket: &str) -> bool {
    let fits = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'-' | b'.');
    (3..=63).contains(&bucket.len()) && bucket.bytes().all(fits) && !bucket.contains("..")
}

/// Anywhere an operator may have a storage: not where clouds keep the credentials of their machines, and not where nobody
/// is.
fn may_visit(ip: IpAddr) -> bool {
    let ip = match ip.to_canonical() {
        IpAddr::V6(v6) => translated(v6).map_or(IpAddr::V6(v6), IpAddr::V4),
        v4 => v4,
    };
    let special = match ip {
        IpAddr::V4(v4) => {
            v4.is_link_local()
                || v4.is_broadcast()
                || v4.octets() == [100, 100, 100, 200]
                || v4.octets() == [168, 63, 129, 16]
        }
        IpAddr::V6(v6) => {
            v6.is_unicast_link_local() || v6.segments() == [0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254]
        }
    };
    !special && !ip.is_multicast() && !ip.is_unspecified()
}

/// The IPv4 address that a translator (RFC 6052 §2.1, RFC 8215) or a tunnel (6to4, RFC 3056 §2) makes of this one.
fn translated(ip: Ipv6Addr) -> Option<Ipv4Addr> {
    let value = u128::from(ip);
    let (well_known, local) = (0x0064_ff9b_u128 << 96, 0x0064_ff9b_0001_u128 << 80);
    if value >> 32 == well_known >> 32 || value >> 80 == local >> 80 {
        return Some(Ipv4Addr::from(value as u32));
    }
    (value >> 112 == 0x2002).then(|| Ipv4Addr::from((value >> 80) as u32))
}

struct Resolver;

impl reqwest::dns::Resolve for Resolver {
    fn resolve(&self, name: reqwest::dns::Name) -> reqwest::dns::Resolving {
        Box::pin(async move {
            let found = tokio::net::lookup_host((name.as_str(), 0)).await?;
            let found: Vec<SocketAddr> = found.collect();
            if found.iter().any(|address| !may_visit(address.ip())) {
                return Err(Box::from("the name leads where nobody may go"));
            }
            Ok(Box::new(found.into_iter()) as reqwest::dns::Addrs)
        })
    }
}

/// `20260102T030405Z` (ISO 8601, basic, UTC).
fn stamp(now: UnixMillis) -> String {
    let (days, second) = (now.0.div_euclid(86_400_000), now.0.rem_euclid(86_400_000) / 1_000);
    // Days since 0000-03-01 in eras of 400 years, whose days are always as many.
    let days = days + 719_468;
    let (era, day) = (days.div_euclid(146_097), days.rem_euclid(146_097));
    let year = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let day = day - (153 * month + 2) / 5 + 1;
    let (year, month) = if month < 10 { (year, month + 3) } else { (year + 1, month - 9) };
    let year = year + era * 400;
    let (hour, minute, second) = (second / 3_600, second / 60 % 60, second % 60);
    format!("{year:04}{month:02}{day:02}T{hour:02}{minute:02}{second:02}Z")
}

/// Length and SHA-256 of a file, which is at its beginning again afterwards.
async fn sum(file: &mut File) -> io::Result<(u64, String)> {
    let (mut sum, mut length, mut step) = (Sha256::new(), 0, vec![0; 64 * 1024]);
    loop {
        let count = file.read(&mut step).await?;
        if count == 0 {
            break;
        }
        sum.update(&step[..count]);
        length += count as u64;
    }
    file.rewind().await?;
    Ok((length, hex::encode(sum.finalize())))
}

fn unread(error: &io::Error) -> BucketError {
    match error.kind() {
        io::ErrorKind::NotFound => BucketError::Gone,
        _ => BucketError::File(error.to_string()),
    }
}

/// The last word of a failure, without the URL.
fn failed(error: &reqwest::Error) -> BucketError {
    let mut source: &(dyn std::error::Error + 'static) = error;
    while let Some(inner) = source.source() {
        source = inner;
    }
    let word = if error.is_timeout() { "no answer in time".to_owned() } else { source.to_string() };
    BucketError::Failed(word)
}

#[cfg(test)]
mod tests;
