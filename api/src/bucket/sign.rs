//! AWS Signature Version 4 of one request, in its headers. Pure: the time is an argument.
//!
//! As "Authenticating Requests: Using the Authorization Header" of the Amazon S3 API reference has it.

use std::fmt::Write as _;

use hmac::{Hmac, Mac as _};
use sha2::{Digest as _, Sha256};

/// Who signs, and for where.
#[derive(Clone, Copy, Debug)]
pub(super) struct Signer<'a> {
    pub(super) access_key: &'a str,
    pub(super) secret_key: &'a str,
    pub(super) region: &'a str,
}

/// A request to be signed.
#[derive(Clone, Copy, Debug)]
pub(super) struct Request<'a> {
    pub(super) method: &'a str,
    /// As it stands in the request line; see [`encoded`].
    pub(super) path: &'a str,
    /// As it stands there, by name in their order; see [`query`].
    pub(super) query: &'a str,
    /// Headers that are signed, by lower-case names in their order; `host`, `x-amz-content-sha256` and `x-amz-date` are
    /// among them.
    pub(super) headers: &'a [(&'a str, &'a str)],
    /// Of the body, 64 digits of base 16.
    pub(super) payload_sha256: &'a str,
    /// `20260102T030405Z`.
    pub(super) stamp: &'a str,
}

impl Signer<'_> {
    /// The Authorization header.
    pub(super) fn authorization(&self, request: &Request<'_>) -> String {
        let day = request.stamp.get(..8).unwrap_or_default();
        let scope = format!("{day}/{}/s3/aws4_request", self.region);
        let mut canonical = format!("{}\n{}\n{}\n", request.method, request.path, request.query);
        for (name, value) in request.headers {
            let _ = writeln!(canonical, "{name}:{}", value.trim());
        }
        let names: Vec<&str> = request.headers.iter().map(|(name, _)| *name).collect();
        let names = names.join(";");
        let _ = write!(canonical, "\n{names}\n{}", request.payload_sha256);
        let digest = hex::encode(Sha256::digest(canonical));
        let to_sign = format!("AWS4-HMAC-SHA256\n{}\n{scope}\n{digest}", request.stamp);
        let mut key = mac(format!("AWS4{}", self.secret_key).as_bytes(), day);
        for part in [self.region, "s3", "aws4_request"] {
            key = mac(&key, part);
        }
        let signature = hex::encode(mac(&key, &to_sign));
        format!(
            "AWS4-HMAC-SHA256 Credential={}/{scope},SignedHeaders={names},Signature={signature}",
            self.access_key
        )
    }
}

/// A path as S3 wants it: all but letters, digits and `-._~/` in per cent, once.
pub(super) fn encoded(path: &str) -> String {
    let mut out = String::with_capacity(path.len());
    for b in path.bytes() {
        if b.is_ascii_alphanumeric() || b"-._~/".contains(&b) {
            out.push(char::from(b));
        } else {
            let _ = write!(out, "%{b:02X}");
        }
    }
    out
}

/// A query as S3 wants it: names and values in per cent, `/` too, and `=` also behind a name without a value.
pub(super) fn query(pairs: &[(&str, &str)]) -> String {
    let part = |text: &str| encoded(text).replace('/', "%2F");
    let pairs = pairs.iter().map(|(name, value)| format!("{}={}", part(name), part(value)));
    pairs.collect::<Vec<_>>().join("&")
}

fn mac(key: &[u8], text: &str) -> Vec<u8> {
    // HMAC takes keys of any length.
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(key) else { return Vec::new() };
    mac.update(text.as_bytes());
    mac.finalize().into_bytes().to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;

    const SIGNER: Signer<'_> = Signer {
        access_key: "AKIAIOSFODNN7EXAMPLE",
        secret_key: "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
        region: "us-east-1",
    };
    const EMPTY: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

    #[test]
    fn the_examples_of_the_s3_reference_have_their_signatures() {
        let get = Request {
            method: "GET",
            path: "/test.txt",
            query: "",
            headers: &[
                ("host", "examplebucket.s3.amazonaws.com"),
                ("range", "bytes=0-9"),
                ("x-amz-content-sha256", EMPTY),
                ("x-amz-date", "20130524T000000Z"),
            ],
            payload_sha256: EMPTY,
            stamp: "20130524T000000Z",
        };
        assert_eq!(
            SIGNER.authorization(&get),
            "AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request,\
             SignedHeaders=host;range;x-amz-content-sha256;x-amz-date,\
             Signature=f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41"
        );
        let sum = hex::encode(Sha256::digest("Welcome to Amazon S3."));
        let path = encoded("/test$file.text");
        let put = Request {
            method: "PUT",
            path: &path,
            query: "",
            headers: &[
                ("date", "Fri, 24 May 2013 00:00:00 GMT"),
                ("host", "examplebucket.s3.amazonaws.com"),
                ("x-amz-content-sha256", &sum),
                ("x-amz-date", "20130524T000000Z"),
                ("x-amz-storage-class", "REDUCED_REDUNDANCY"),
            ],
            payload_sha256: &sum,
            stamp: "20130524T000000Z",
        };
        let signed = SIGNER.authorization(&put);
        assert!(
            signed.ends_with(
                "Signature=98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd"
            ),
            "{signed}"
        );
    }

    #[test]
    fn paths_are_written_in_per_cent_once() {
        assert_eq!(encoded("/b/a-1_x.mp3"), "/b/a-1_x.mp3");
        assert_eq!(encoded("/ä b+c=%"), "/%C3%A4%20b%2Bc%3D%25");
    }
}
