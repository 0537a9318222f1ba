//! The streams under one key, by SSRC.

use super::Failure;
use super::window::Window;

/// Streams under one key at most: far ends that start a new one with every hold are left room for a long
/// call. More are refused, not forgotten: of a forgotten one everything could be played again.
pub const STREAMS_MAX: usize = 64;

/// What is known of one stream.
#[derive(Clone, Copy, Debug)]
pub(super) struct Stream {
    ssrc: u32,
    /// Of the 48-bit indices of SRTP.
    pub(super) rtp: Window,
    /// Of the 31-bit indices of SRTCP.
    pub(super) rtcp: Window,
}

/// All streams under one key.
#[derive(Clone, Debug, Default)]
pub(super) struct Streams(Vec<Stream>);

impl Streams {
    /// What is known of a stream: nothing of one that was never heard.
    ///
    /// # Errors
    ///
    /// [`Failure::TooManyStreams`] if there is no room for another.
    pub(super) fn find(&self, ssrc: u32) -> Result<Stream, Failure> {
        match self.0.iter().find(|stream| stream.ssrc == ssrc) {
            Some(stream) => Ok(*stream),
            None if self.0.len() < STREAMS_MAX => {
                Ok(Stream { ssrc, rtp: Window::default(), rtcp: Window::default() })
            }
            None => Err(Failure::TooManyStreams),
        }
    }

    /// What is known of a stream from now on.
    pub(super) fn keep(&mut self, stream: Stream) {
        match self.0.iter_mut().find(|known| known.ssrc == stream.ssrc) {
            Some(known) => *known = stream,
            None => self.0.push(stream),
        }
    }
}
