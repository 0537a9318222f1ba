//! `GET /recordings/{file}`: finished recordings, at names nobody can guess, with single ranges.
//!
//! There is no list and no login: knowing the name is the permission. A name is checked character by
//! character before it comes near the file system, and what it leads to must lie below the folder. Sealed ones are opened
//! on the way, where there is a key file.

use std::io::SeekFrom;
use std::path::{Path as FilePath, PathBuf};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{Path, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::Response;
use axum::routing::get;
use bytes::BytesMut;
use facts::media::RecordingFormat;
use hyper::body::Frame;
use tokio::fs::File;
use tokio::io::{AsyncRead, AsyncSeekExt as _, ReadBuf};

use crate::door::{answer, closing};
use crate::state::ApiState;

mod sealed;

/// Bytes read from a file at a time.
const CHUNK: usize = 64 * 1024;
/// Folders above a file at most.
const DEPTH_MAX: usize = 8;
/// Longest name.
const NAME_MAX: usize = 512;

pub(crate) fn routes() -> Router<ApiState> {
    Router::new().route("/recordings/{*file}", get(download))
}

async fn download(
    State(state): State<ApiState>,
    Path(name): Path<String>,
    headers: HeaderMap,
) -> Response {
    file(&state, &name, &headers).await
}

/// A finished recording, or the part of it that is asked for.
pub(crate) async fn file(state: &ApiState, name: &str, headers: &HeaderMap) -> Response {
    let missing =
        || answer(StatusCode::NOT_FOUND, "text/plain; charset=utf-8", "no such recording\n");
    let Some(path) = below(&state.0.config.recordings, name) else { return missing() };
    let Some((mut file, length)) = open(&state.0.config.recordings, path).await else {
        return missing();
    };
    let unreadable = |error: &dyn std::fmt::Display| {
        tracing::warn!(%error, "a recording could not be read");
        answer(StatusCode::INTERNAL_SERVER_ERROR, "text/plain; charset=utf-8", "unreadable\n")
    };
    let (source, length) = match sealed::begins(&mut file).await {
        Err(error) => return unreadable(&error),
        Ok(false) => (Source::Plain(file), length),
        Ok(true) => match sealed::open(file, state.0.config.recording_keys.clone()).await {
            Ok((reader, length)) => (Source::Sealed(Box::new(reader)), length),
            Err(error) => return unreadable(&error),
        },
    };
    let range = headers.get(header::RANGE).and_then(|value| value.to_str().ok());
    let range = match range.map_or(Range::Whole, |text| Range::read(text, length)) {
        Range::Impossible => {
            let mut response = closing(StatusCode::RANGE_NOT_SATISFIABLE, "no such range");
            insert(&mut response, header::CONTENT_RANGE, &format!("bytes */{length}"));
            return response;
        }
        range => range,
    };
    let kind = kind(name).unwrap_or("application/octet-stream");
    serve((source, kind), length, range).await.unwrap_or_else(|error| unreadable(&error))
}

/// Is there a finished recording of this name?
pub(crate) async fn is_there(state: &ApiState, name: &str) -> bool {
    match below(&state.0.config.recordings, name) {
        Some(path) => open(&state.0.config.recordings, path).await.is_some(),
        None => false,
    }
}

/// Where the octets come from.
enum Source {
    Plain(File),
    Sealed(Box<sealed::Sealed>),
}

/// Removes a finished recording, and its copy; one that is not there is removed.
pub(crate) async fn remove(state: &ApiState, name: &str) -> std::io::Result<()> {
    let Some(path) = below(&state.0.config.recordings, name) else { return Ok(()) };
    crate::bucket::forget(&path)?;
    match tokio::fs::remove_file(path).await {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// The path of a name, if it is a name that recordings have: parts of letters, digits, `-`, `_` and `.`,
/// none starting with a dot, ending as recordings do.
fn below(root: &FilePath, name: &str) -> Option<PathBuf> {
    let allowed = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.');
    let part_is_good =
        |part: &str| !part.is_empty() && !part.starts_with('.') && part.bytes().all(allowed);
    let parts: Vec<&str> = name.split('/').collect();
    let good = name.len() <= NAME_MAX
        && parts.len() <= DEPTH_MAX
        && parts.iter().all(|part| part_is_good(part))
        && kind(name).is_some();
    good.then(|| parts.iter().fold(root.to_path_buf(), |path, part| path.join(part)))
}

/// The media type of a recording by its name (RFC 3003, RFC 7845 §9; WAV has none that is registered, and this one is what
/// everybody says).
fn kind(name: &str) -> Option<&'static str> {
    RecordingFormat::of_name(name).map(|format| match format {
        RecordingFormat::Mp3 => "audio/mpeg",
        RecordingFormat::Wav => "audio/wav",
        RecordingFormat::Opus => "audio/ogg",
    })
}

/// Opens a plain file that really lies below the folder, links followed.
async fn open(root: &FilePath, path: PathBuf) -> Option<(File, u64)> {
    let root = tokio::fs::canonicalize(root).await.ok()?;
    let real = tokio::fs::canonicalize(path).await.ok()?;
    if !real.starts_with(&root) {
        return None;
    }
    let file = File::open(real).await.ok()?;
    let meta = file.metadata().await.ok()?;
    meta.is_file().then_some((file, meta.len()))
}

/// What part of a file is wanted (RFC 9110 §14.2). More than one range is answered with the whole file,
/// which §14.2 allows.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Range {
    Whole,
    Part { first: u64, last: u64 },
    Impossible,
}

impl Range {
    fn read(text: &str, length: u64) -> Range {
        let Some(spec) = text.trim().strip_prefix("bytes=") else { return Range::Whole };
        let Some((first, last)) = spec.split_once('-') else { return Range::Whole };
        let number = |text: &str| text.trim().parse::<u64>().ok();
        match (first.trim(), last.trim()) {
            (_, last) if last.contains(',') => Range::Whole,
            ("", last) => match number(last) {
                None => Range::Whole,
                Some(0) => Range::Impossible,
                Some(_) if length == 0 => Range::Impossible,
                Some(tail) => Range::Part { first: length.saturating_sub(tail), last: length - 1 },
            },
            (first, last) => match (number(first), number(last)) {
                (None, _) => Range::Whole,
                (Some(first), _) if first >= length => Range::Impossible,
                (Some(first), None) if last.is_empty() => Range::Part { first, last: length - 1 },
                (Some(first), Some(last)) if first <= last => {
                    Range::Part { first, last: last.min(length - 1) }
                }
                _ => Range::Whole,
            },
        }
    }
}

async fn serve(
    (source, kind): (Source, &'static str),
    length: u64,
    range: Range,
) -> std::io::Result<Response> {
    let (status, first, count) = match range {
        Range::Part { first, last } => (StatusCode::PARTIAL_CONTENT, first, last - first + 1),
        Range::Whole | Range::Impossible => (StatusCode::OK, 0, length),
    };
    let body = match source {
        Source::Plain(mut file) => {
            file.seek(SeekFrom::Start(first)).await?;
            Body::new(FileBody::new(file, count))
        }
        Source::Sealed(reader) => Body::new(sealed::body(*reader, first, count)),
    };
    let mut response = answer(status, kind, body);
    if status == StatusCode::PARTIAL_CONTENT {
        let range = format!("bytes {first}-{}/{length}", first + count - 1);
        insert(&mut response, header::CONTENT_RANGE, &range);
    }
    insert(&mut response, header::CONTENT_LENGTH, &count.to_string());
    insert(&mut response, header::ACCEPT_RANGES, "bytes");
    insert(&mut response, header::CACHE_CONTROL, "private, max-age=86400");
    Ok(response)
}

fn insert(response: &mut Response, name: header::HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        response.headers_mut().insert(name, value);
    }
}

/// The rest of a file as a body, a chunk at a time.
pub(crate) struct FileBody {
    file: File,
    left: u64,
    buffer: BytesMut,
}

impl FileBody {
    /// So many octets from where the file is.
    pub(crate) fn new(file: File, left: u64) -> FileBody {
        FileBody { file, left, buffer: BytesMut::new() }
    }
}

impl hyper::body::Body for FileBody {
    type Data = Bytes;
    type Error = std::io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, std::io::Error>>> {
        if self.left == 0 {
            return Poll::Ready(None);
        }
        let this = &mut *self;
        let want = usize::try_from(this.left).unwrap_or(CHUNK).min(CHUNK);
        this.buffer.resize(want, 0);
        let mut buffer = ReadBuf::new(&mut this.buffer);
        if let Err(error) = ready!(Pin::new(&mut this.file).poll_read(cx, &mut buffer)) {
            return Poll::Ready(Some(Err(error)));
        }
        let read = buffer.filled().len();
        if read == 0 {
            // Shorter than it was when opened: the announced length cannot be kept.
            let gone = std::io::Error::from(std::io::ErrorKind::UnexpectedEof);
            return Poll::Ready(Some(Err(gone)));
        }
        this.left -= read as u64;
        Poll::Ready(Some(Ok(Frame::data(this.buffer.split_to(read).freeze()))))
    }

    fn size_hint(&self) -> hyper::body::SizeHint {
        hyper::body::SizeHint::with_exact(self.left)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_could_leave_the_folder_are_no_names() {
        let root = FilePath::new("/r");
        for good in ["a.mp3", "2026/11/21/0123456789abcdef.mp3", "x-y_z.1.mp3"] {
            assert!(below(root, good).is_some(), "{good}");
        }
        for bad in [
            "",
            ".mp3",
            "..mp3/x.mp3",
            "../x.mp3",
            "a/../x.mp3",
            "a//x.mp3",
            "/etc/x.mp3",
            "a\\x.mp3",
            "a%2f.mp3",
            "x.ogg",
            "x.mp3/",
            "./x.mp3",
            "a\0.mp3",
            "ä.mp3",
            "a b.mp3",
            "C:/x.mp3",
        ] {
            assert!(below(root, bad).is_none(), "{bad}");
        }
    }

    #[test]
    fn the_media_type_is_that_of_the_name() {
        assert_eq!(kind("ab/1_x.mp3"), Some("audio/mpeg"));
        assert_eq!(kind("ab/1_x.wav"), Some("audio/wav"));
        assert_eq!(kind("ab/1_x.opus"), Some("audio/ogg"));
        assert!(["mp3", "x.", "x.mp3.part", "x.MP3"].into_iter().all(|name| kind(name).is_none()));
    }

    #[test]
    fn rfc9110_14_2_single_ranges() {
        let part = |first, last| Range::Part { first, last };
        for (text, range) in [
            ("bytes=0-", part(0, 99)),
            ("bytes=0-0", part(0, 0)),
            ("bytes=90-200", part(90, 99)),
            ("bytes=-10", part(90, 99)),
            ("bytes=-1000", part(0, 99)),
            ("bytes=100-", Range::Impossible),
            ("bytes=-0", Range::Impossible),
            ("bytes=5-4", Range::Whole),
            ("bytes=0-1,5-6", Range::Whole),
            ("lines=0-1", Range::Whole),
            ("bytes=x", Range::Whole),
        ] {
            assert_eq!(Range::read(text, 100), range, "{text}");
        }
        assert_eq!(Range::read("bytes=0-", 0), Range::Impossible);
    }
}
