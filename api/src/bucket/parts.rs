//! Large files go in parts (S3: multipart upload), so that a line that breaks costs a part and not hours; none is held in
//! memory.
//!
//! ```text
//!  what an earlier try left is dropped ─► begin ─► each part, three times at most ─► complete
//!                                           └──────────── fails ────────────────────► abort
//! ```
//!
//! A process that dies in between leaves what it had sent: the next try of the same file drops that first.

use std::io::SeekFrom;
use std::path::Path;
use std::time::Duration;

use facts::UnixMillis;
use sha2::{Digest as _, Sha256};
use tokio::fs::File;
use tokio::io::{AsyncReadExt as _, AsyncSeekExt as _};

use super::{Asked, Bucket, BucketError, SLOWEST, TOTAL, code, failed, unread};
use crate::recordings::FileBody;

/// Octets up to which a file goes in one request.
pub(super) const ONE_MAX: u64 = 16 << 20;
/// Octets of a part at least (S3: 5 MiB at least).
const PART: u64 = 8 << 20;
/// Parts of a file at most (S3).
const PARTS_MAX: u64 = 10_000;
/// Times that a part is sent at most.
const TRIES: u32 = 3;
/// Between two of them, times how many there were.
const PAUSE: Duration = Duration::from_millis(500);
/// Uploads of one name that were begun and not ended, and are dropped at one time at most.
const STALE_MAX: usize = 16;
/// Octets of an answer that names such uploads.
const LIST_MAX: usize = 64 * 1024;

/// A file on its way in parts.
pub(super) struct Upload<'a> {
    pub(super) bucket: &'a Bucket,
    pub(super) name: &'a str,
    /// Signatures are good for a quarter of an hour, an upload may take longer.
    pub(super) clock: fn() -> UnixMillis,
}

impl Upload<'_> {
    pub(super) async fn put(&self, path: &Path, length: u64) -> Result<(), BucketError> {
        self.drop_stale().await;
        let id = self.begin().await?;
        let done = match self.parts(&id, path, length).await {
            Ok(parts) => self.complete(&id, &parts).await,
            Err(error) => Err(error),
        };
        if done.is_err() && self.ask("DELETE", &id_of(&id), Vec::new()).await.is_err() {
            tracing::debug!("an upload in parts that failed could not be taken back");
        }
        done
    }

    async fn begin(&self) -> Result<String, BucketError> {
        let answer = self.ask("POST", &[("uploads", "")], Vec::new()).await?;
        let id = between(&answer.text, "<UploadId>", "</UploadId>");
        // It goes into a request line, by per cent.
        let id = id.filter(|id| !id.is_empty() && id.len() <= 1_024);
        id.map(unescaped).ok_or_else(|| BucketError::Failed("it names no upload".into()))
    }

    /// Sends all parts; what the storage calls them.
    async fn parts(&self, id: &str, path: &Path, length: u64) -> Result<Vec<String>, BucketError> {
        let part = PART.max(length.div_ceil(PARTS_MAX));
        let mut tags = Vec::new();
        let mut from = 0;
        while from < length {
            let count = part.min(length - from);
            let mut tries = 1;
            let tag = loop {
                match self.part((id, tags.len() + 1), path, (from, count)).await {
                    Err(BucketError::Failed(_) | BucketError::Refused(500..=599, _))
                        if tries < TRIES =>
                    {
                        tokio::time::sleep(PAUSE * tries).await;
                        tries += 1;
                    }
                    sent => break sent?,
                }
            };
            tags.push(tag);
            from += count;
        }
        Ok(tags)
    }

    async fn part(
        &self,
        (id, number): (&str, usize),
        path: &Path,
        (from, count): (u64, u64),
    ) -> Result<String, BucketError> {
        let mut file = File::open(path).await.map_err(|error| unread(&error))?;
        let sum = sum(&mut file, from, count).await.map_err(|error| unread(&error))?;
        file.seek(SeekFrom::Start(from)).await.map_err(|error| unread(&error))?;
        let number = number.to_string();
        let asked = Asked {
            method: "PUT",
            name: self.name,
            query: &[("partNumber", &number), ("uploadId", id)],
            sum: &sum,
            now: (self.clock)(),
        };
        let time = TOTAL + Duration::from_secs(count / SLOWEST);
        let request = self.bucket.request(&asked)?.timeout(time);
        let body = reqwest::Body::wrap(FileBody::new(file, count));
        let request = request.header("content-length", count).body(body);
        let answer = self.bucket.answer(request, LIST_MAX).await?;
        answer.tag.ok_or_else(|| BucketError::Failed("it names no part".into()))
    }

    async fn complete(&self, id: &str, tags: &[String]) -> Result<(), BucketError> {
        let mut list = String::from("<CompleteMultipartUpload>");
        for (n, tag) in tags.iter().enumerate() {
            let (number, tag) = (n + 1, escaped(tag));
            list += &format!("<Part><PartNumber>{number}</PartNumber><ETag>{tag}</ETag></Part>");
        }
        list += "</CompleteMultipartUpload>";
        let answer = self.ask("POST", &id_of(id), list.into_bytes()).await?;
        // It may be 200 and a failure for all that.
        if answer.text.contains("<CompleteMultipartUploadRes") {
            return Ok(());
        }
        Err(BucketError::Refused(200, code(&answer.text)))
    }

    /// What an earlier try of this name began costs room until somebody drops it. A storage that does not say is left
    /// alone: most have a rule for it.
    async fn drop_stale(&self) {
        let key = format!("{}{}", self.bucket.config.prefix, self.name);
        let asked = Asked {
            method: "GET",
            name: "",
            query: &[("prefix", &key), ("uploads", "")],
            sum: &hex::encode(Sha256::digest([])),
            now: (self.clock)(),
        };
        let Ok(request) = self.bucket.request(&asked) else { return };
        let Ok(answer) = self.bucket.answer(request.timeout(TOTAL), LIST_MAX).await else { return };
        for upload in answer.text.split("<Upload>").skip(1).take(STALE_MAX) {
            let same = between(upload, "<Key>", "</Key>").map(unescaped) == Some(key.clone());
            let id = between(upload, "<UploadId>", "</UploadId>").filter(|_| same);
            if let Some(id) = id.map(unescaped) {
                let _ = self.ask("DELETE", &id_of(&id), Vec::new()).await;
            }
        }
    }

    async fn ask(
        &self,
        method: &str,
        query: &[(&str, &str)],
        body: Vec<u8>,
    ) -> Result<Answer, BucketError> {
        let sum = hex::encode(Sha256::digest(&body));
        let asked = Asked { method, name: self.name, query, sum: &sum, now: (self.clock)() };
        let request = self.bucket.request(&asked)?.timeout(TOTAL);
        let request = request.header("content-length", body.len()).body(body);
        self.bucket.answer(request, LIST_MAX).await
    }
}

fn id_of(id: &str) -> [(&'static str, &str); 1] {
    [("uploadId", id)]
}

/// What a storage said to a request that it carried out.
#[derive(Debug)]
pub(super) struct Answer {
    /// What it calls what it got (ETag), as it stands there.
    pub(super) tag: Option<String>,
    /// The beginning of what it said.
    pub(super) text: String,
}

impl Bucket {
    /// Sends a request; `most` octets of what comes back are kept.
    pub(super) async fn answer(
        &self,
        request: reqwest::RequestBuilder,
        most: usize,
    ) -> Result<Answer, BucketError> {
        let mut response = request.send().await.map_err(|error| failed(&error))?;
        let status = response.status();
        let tag = response.headers().get(reqwest::header::ETAG);
        let tag = tag.and_then(|tag| tag.to_str().ok()).map(str::to_owned);
        let mut said = Vec::new();
        while said.len() < most {
            match response.chunk().await {
                Ok(Some(chunk)) => said.extend_from_slice(&chunk),
                Ok(None) => break,
                Err(error) => return Err(failed(&error)),
            }
        }
        let text = String::from_utf8_lossy(&said).into_owned();
        if status.is_success() {
            return Ok(Answer { tag, text });
        }
        Err(BucketError::Refused(status.as_u16(), code(&text)))
    }
}

/// SHA-256 of a piece of a file.
async fn sum(file: &mut File, from: u64, count: u64) -> std::io::Result<String> {
    file.seek(SeekFrom::Start(from)).await?;
    let (mut sum, mut left, mut step) = (Sha256::new(), count, vec![0; 64 * 1024]);
    while left > 0 {
        let want = usize::try_from(left).unwrap_or(step.len()).min(step.len());
        let count = file.read(&mut step[..want]).await?;
        if count == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
        sum.update(&step[..count]);
        left -= count as u64;
    }
    Ok(hex::encode(sum.finalize()))
}

fn between<'a>(text: &'a str, from: &str, to: &str) -> Option<&'a str> {
    text.split_once(from)?.1.split_once(to).map(|(inner, _)| inner)
}

fn unescaped(text: &str) -> String {
    let plain = text.replace("&quot;", "\"").replace("&lt;", "<").replace("&gt;", ">");
    plain.replace("&#34;", "\"").replace("&apos;", "'").replace("&amp;", "&")
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}
