//! Sealed recordings, opened as they are sent.

use std::io::{self, BufReader, SeekFrom};
use std::path::PathBuf;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use axum::body::Bytes;
use hyper::body::Frame;
use seal::{Keys, OpenError, Reader};
use tokio::fs::File;
use tokio::io::{AsyncReadExt as _, AsyncSeekExt as _};
use tokio::sync::mpsc;

/// A sealed recording that opens.
pub(super) type Sealed = Reader<BufReader<std::fs::File>>;

/// Pieces, 16 KiB each, that wait for a slow receiver.
const AHEAD: usize = 4;

/// Whether a file is sealed, by its first octets.
pub(super) async fn begins(file: &mut File) -> io::Result<bool> {
    let mut magic = Vec::new();
    file.take(seal::MAGIC.len() as u64).read_to_end(&mut magic).await?;
    file.seek(SeekFrom::Start(0)).await?;
    Ok(seal::is_sealed(&magic))
}

/// Opens it, and tells how long what is in it is.
pub(super) async fn open(file: File, keys: Option<PathBuf>) -> Result<(Sealed, u64), OpenError> {
    let file = BufReader::new(file.into_std().await);
    let opened = tokio::task::spawn_blocking(move || {
        let Some(path) = keys else { return Err(OpenError::NoKey(seal::key_of(file)?)) };
        let keys = Keys::parse(&std::fs::read_to_string(path)?).map_err(io::Error::other)?;
        let reader = Reader::open(&keys, file)?;
        let length = reader.length();
        Ok((reader, length))
    });
    opened.await.map_err(io::Error::other)?
}

/// So many octets from there on, opened on a thread that may wait for the disk.
pub(super) fn body(mut reader: Sealed, first: u64, count: u64) -> SealedBody {
    let (send, pieces) = mpsc::channel(AHEAD);
    tokio::task::spawn_blocking(move || {
        let mut left = count;
        let mut step = |from: u64| -> Result<Bytes, OpenError> {
            reader.skip(from)?;
            Ok(reader.read()?.into())
        };
        let mut piece = step(first);
        while left > 0 {
            piece = piece.and_then(|piece| match piece.len() {
                0 => Err(OpenError::Broken),
                _ => Ok(piece),
            });
            let given = piece.map_err(io::Error::other).map(|mut piece| {
                piece.truncate(usize::try_from(left).unwrap_or(piece.len()));
                left -= piece.len() as u64;
                piece
            });
            let over = given.is_err();
            // Whoever asked has gone.
            if send.blocking_send(given).is_err() || over {
                return;
            }
            piece = if left > 0 { step(0) } else { Ok(Bytes::new()) };
        }
    });
    SealedBody { pieces, left: count }
}

/// What a thread opens, as a body.
pub(super) struct SealedBody {
    pieces: mpsc::Receiver<io::Result<Bytes>>,
    left: u64,
}

impl hyper::body::Body for SealedBody {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        if self.left == 0 {
            return Poll::Ready(None);
        }
        Poll::Ready(Some(match ready!(self.pieces.poll_recv(cx)) {
            Some(Ok(piece)) => {
                self.left = self.left.saturating_sub(piece.len() as u64);
                Ok(Frame::data(piece))
            }
            Some(Err(error)) => {
                tracing::warn!(%error, "a sealed recording could not be read to its end");
                Err(error)
            }
            None => Err(io::ErrorKind::UnexpectedEof.into()),
        }))
    }

    fn size_hint(&self) -> hyper::body::SizeHint {
        hyper::body::SizeHint::with_exact(self.left)
    }
}
