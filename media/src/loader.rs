//! Sounds that have to be had before they are heard: read from files and decoded, or put together of words, on a
//! thread of their own, which may wait for the disk, and given to the worker whose leg is to hear them.

use std::path::{Component, Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::JoinHandle;

use crossbeam_channel::{Receiver, Sender, TrySendError, bounded};
use facts::media::Codec;
use facts::sound::{Say, Unplayable};
use facts::{LegId, MerchantId};
use seal::Keys;

use crate::sound::{Library, What};
use crate::worker::{Bell, Order};
use crate::{prompt, recorder};

/// Sounds that wait to be read at most; beyond it a leg hears nothing and is told so.
const WAITING_MAX: usize = 256;

/// A worker, for whoever has something for it.
#[derive(Clone, Debug)]
pub(crate) struct Door {
    pub(crate) orders: Sender<Order>,
    pub(crate) bell: Arc<Bell>,
    /// Orders that it could not take because its queue was full.
    pub(crate) lost: Arc<AtomicU64>,
}

/// A sound that is not there yet.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Wish {
    /// A message: path below the recordings folder.
    File(String),
    /// Words.
    Say(Say),
    /// What lies behind an address.
    Url(String),
    /// The same, for a leg that does not hear it yet, and who pays for its call.
    Ahead(String, MerchantId),
}

/// What became of a wish.
pub(crate) type Had = Result<Arc<prompt::Sound>, Unplayable>;

/// A sound that somebody waits for.
#[derive(Debug)]
pub(crate) struct Wanted {
    pub(crate) leg: LegId,
    pub(crate) wish: Wish,
    /// What the leg is sent.
    pub(crate) codec: Codec,
    pub(crate) to: Door,
}

/// What the thread is asked for.
#[derive(Debug)]
enum Job {
    Load(Wanted),
    /// A tone or an announcement in a coding that it was not wanted in before.
    Make(What, Codec),
}

/// The handle of the thread. Dropped, it ends it.
#[derive(Debug)]
pub(crate) struct Loader {
    jobs: Option<Sender<Job>>,
    thread: Option<JoinHandle<()>>,
}

impl Loader {
    /// Starts the thread.
    ///
    /// # Errors
    /// When the system refuses one.
    pub(crate) fn start(
        (folder, keys): (PathBuf, Option<Arc<Keys>>),
        library: Arc<Library>,
    ) -> std::io::Result<Loader> {
        let (jobs, wanted) = bounded(WAITING_MAX);
        let thread = std::thread::Builder::new().name("sounds".into());
        let thread = thread.spawn(move || run((&folder, keys.as_deref()), &library, &wanted))?;
        Ok(Loader { jobs: Some(jobs), thread: Some(thread) })
    }

    /// Asks for a sound; false when too many wait already.
    pub(crate) fn ask(&self, wanted: Wanted) -> bool {
        self.queue(Job::Load(wanted))
    }

    /// Asks for a sound of ours in a coding; whoever waits for it looks again. False as with
    /// [`Loader::ask`].
    pub(crate) fn make(&self, what: What, codec: Codec) -> bool {
        self.queue(Job::Make(what, codec))
    }

    fn queue(&self, job: Job) -> bool {
        let Some(jobs) = &self.jobs else { return false };
        match jobs.try_send(job) {
            Ok(()) => true,
            Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) => false,
        }
    }
}

impl Drop for Loader {
    fn drop(&mut self) {
        self.jobs = None;
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the thread that reads sounds panicked");
        }
    }
}

fn run((folder, keys): (&Path, Option<&Keys>), library: &Library, jobs: &Receiver<Job>) {
    for job in jobs {
        let wanted = match job {
            Job::Load(wanted) => wanted,
            Job::Make(what, codec) => {
                library.make(&what, codec);
                continue;
            }
        };
        let sound = had((folder, keys), library, wanted.leg, &wanted.wish);
        hand_over(wanted, sound);
    }
}

/// Gives what became of a wish to the worker whose leg waits for it.
pub(crate) fn hand_over(wanted: Wanted, sound: Had) {
    let Wanted { leg, wish, codec, to } = wanted;
    if let Ok(sound) = &sound {
        // The worker finds it ready.
        let _ = sound.frames(codec);
    }
    match to.orders.try_send(Order::Loaded { leg, wish, sound }) {
        Ok(()) => to.bell.ring(),
        // A worker without room is stuck.
        Err(TrySendError::Full(_)) => {
            tracing::warn!(%leg, "a sound is lost: its worker takes nothing");
            to.lost.fetch_add(1, Ordering::Relaxed);
        }
        // One that is gone needs nothing.
        Err(TrySendError::Disconnected(_)) => {}
    }
}

fn had((folder, keys): (&Path, Option<&Keys>), library: &Library, leg: LegId, wish: &Wish) -> Had {
    match wish {
        Wish::File(file) => match load(folder, file, keys) {
            Ok(samples) => Ok(Arc::new(prompt::Sound::once(&samples))),
            Err(error) => {
                tracing::warn!(%leg, %error, "a message cannot be played");
                Err(match error {
                    prompt::PromptError::Unreadable(_) => Unplayable::Missing,
                    _ => Unplayable::NotASound,
                })
            }
        },
        // What is said may be a code that nobody else may know: the error tells of no digit.
        Wish::Say(say) => match library.say(say) {
            Ok(octets) => Ok(Arc::new(prompt::Sound::of_alaw(&octets))),
            Err(error) => {
                tracing::warn!(%leg, %error, "words cannot be said");
                Err(match error {
                    prompt::Unsaid::Missing(_) | prompt::Unsaid::Language(..) => {
                        Unplayable::Missing
                    }
                    prompt::Unsaid::Unsayable(_) | prompt::Unsaid::TooLong => Unplayable::Unsayable,
                })
            }
        },
        // The thread that visits them has them.
        Wish::Url(_) | Wish::Ahead(..) => Err(Unplayable::Refused),
    }
}

/// The samples of a file below the folder.
fn load(folder: &Path, file: &str, keys: Option<&Keys>) -> Result<Vec<i16>, prompt::PromptError> {
    let below = Path::new(file).components().all(|part| matches!(part, Component::Normal(_)));
    if file.is_empty() || !below {
        return Err(prompt::PromptError::Unreadable("not a path below the folder".to_owned()));
    }
    let path = folder.join(file);
    match recorder::whole(&path, keys, prompt::decode::MAX_BYTES as u64) {
        Ok(Some(bytes)) => prompt::decode::message(&bytes),
        Ok(None) => prompt::message(&path),
        Err(error) => Err(prompt::PromptError::Unreadable(error.to_string())),
    }
}

#[cfg(test)]
mod tests {
    use facts::{CallId, LegNo};

    use super::*;

    #[test]
    fn a_sound_that_its_worker_has_no_room_for_is_counted() {
        let (orders, taken) = bounded(1);
        let bell = Arc::new(Bell::new().unwrap());
        let to = Door { orders, bell, lost: Arc::default() };
        let hand = || {
            let leg = LegId { call: CallId(1), no: LegNo(0) };
            let wish = Wish::Url("http://a.example/".to_owned());
            let wanted = Wanted { leg, wish, codec: Codec::Pcma, to: to.clone() };
            hand_over(wanted, Err(Unplayable::Busy));
            to.lost.load(Ordering::Relaxed)
        };
        assert_eq!([hand(), hand(), hand()], [0, 1, 2]);
        assert!(taken.try_recv().is_ok());
        assert_eq!(hand(), 2);
        drop(taken);
        assert_eq!(hand(), 2, "a worker that is gone loses nothing");
    }
}
