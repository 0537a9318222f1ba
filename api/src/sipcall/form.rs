//! Forms of parts (`multipart/form-data`, RFC 7578), which PHP clients send: a body that has come whole, taken apart.

use bytes::Bytes;
use dialect::sipcall::{Params, boundary};
use dialect::text::decode;

/// Parts of one form that we look at.
const PARTS_MAX: usize = 256;

/// Takes all that a body says; a form that breaks off has what stands before that. Files are passed over.
pub(super) async fn read(params: &mut Params, body: &Bytes) {
    let Some(boundary) = boundary(body) else { return params.body(body) };
    let mut parts = multer::Multipart::with_reader(body.as_ref(), boundary);
    for _ in 0..PARTS_MAX {
        let Ok(Some(part)) = parts.next_field().await else { break };
        let field = part.name().unwrap_or_default().to_owned();
        let file = part.file_name().is_some();
        let Ok(content) = part.bytes().await else { break };
        if !file {
            params.set(&field, decode(&content));
        }
    }
}
