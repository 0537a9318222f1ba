//! Forms of parts (`multipart/form-data`, RFC 7578), which PHP clients send: a body that has come whole, taken apart, or the
//! beginning of one.

use bytes::Bytes;
use dialect::sipcall::{Params, boundary};
use dialect::text::decode;

/// Parts of one form that we look at.
const PARTS_MAX: usize = 256;
/// As much of a body is read where it has come.
const HERE: usize = 64 * 1024;
/// The part that is taken as a file.
const FILE: &str = "file";

/// A file that was sent.
pub(super) struct File {
    /// As its sender calls it.
    pub(super) name: String,
    pub(super) octets: Bytes,
}

/// Takes all that a body says; a form that breaks off has what stands before that. The file of the part `file`; other files are
/// passed over.
pub(super) async fn read(params: &mut Params, body: &Bytes) -> Option<File> {
    match boundary(body) {
        Some(boundary) => parts(params, body, boundary).await,
        None => {
            let (mut read, octets) = (params.clone(), body.clone());
            let read = apart(body.len(), move || {
                read.body(&octets);
                read
            });
            if let Some(read) = read.await {
                *params = read;
            }
            None
        }
    }
}

/// Does what takes the longer the more octets there are: here, or on a thread of its own where that is more than some
/// milliseconds. `None`: the process ends.
pub(super) async fn apart<T: Send + 'static>(
    octets: usize,
    work: impl FnOnce() -> T + Send + 'static,
) -> Option<T> {
    if octets <= HERE { Some(work()) } else { tokio::task::spawn_blocking(work).await.ok() }
}

/// Takes what the beginning of a body says, whose rest has not come.
pub(super) async fn beginning(params: &mut Params, body: &Bytes) {
    match boundary(body) {
        Some(boundary) => drop(parts(params, body, boundary).await),
        None => params.beginning(body),
    }
}

async fn parts(params: &mut Params, body: &Bytes, boundary: String) -> Option<File> {
    let mut parts = multer::Multipart::with_reader(body.as_ref(), boundary);
    let mut sent = None;
    for _ in 0..PARTS_MAX {
        let Ok(Some(part)) = parts.next_field().await else { break };
        let field = part.name().unwrap_or_default().to_owned();
        let file = part.file_name().map(str::to_owned);
        let Ok(content) = part.bytes().await else { break };
        match file {
            None => params.set(&field, decode(&content)),
            Some(name) if field == FILE => sent = Some(File { name, octets: content }),
            Some(_) => {}
        }
    }
    sent
}
