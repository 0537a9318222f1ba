//! The recording threads and the closing thread.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender};
use facts::id::CallId;
use facts::media::{MediaEvent, RecordingForm};
use seal::Keys;

use super::job::Job;
use super::{Events, MAX_PACKETS, MAX_RECORDINGS, Order, POLL, Packet, Shared};

/// A recording of a thread: under way, or failed and waiting for its stop.
enum Taped {
    Running(Box<Job>),
    Failed,
}

/// A recording on its way to the closing thread.
pub(super) struct Ended {
    call: CallId,
    /// The job and the instant at which it ends; `None` when it failed before.
    job: Option<(Box<Job>, Instant)>,
}

/// One recording thread.
pub(super) struct Worker {
    folder: PathBuf,
    keys: Option<Arc<Keys>>,
    orders: Receiver<Order>,
    packets: Receiver<Packet>,
    closing: Sender<Ended>,
    taped: BTreeMap<CallId, Taped>,
    stops: Vec<(CallId, Instant)>,
}

impl Worker {
    pub(super) fn new(
        (folder, keys): (PathBuf, Option<Arc<Keys>>),
        orders: Receiver<Order>,
        packets: Receiver<Packet>,
        closing: Sender<Ended>,
    ) -> Worker {
        let (taped, stops) = (BTreeMap::new(), Vec::new());
        Worker { folder, keys, orders, packets, closing, taped, stops }
    }

    /// Until the recorder is dropped; then every recording is ended.
    pub(super) fn run(mut self) {
        let mut next = Instant::now() + POLL;
        loop {
            match self.orders.recv_deadline(next) {
                Ok(order) => self.take_order(order),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => break,
            }
            if Instant::now() >= next {
                self.turn();
                next = Instant::now() + POLL;
            }
        }
        let end = Instant::now();
        self.stops.extend(self.taped.keys().map(|call| (*call, end)));
        self.turn();
    }

    /// Takes the packets that wait, ends what was stopped, codes and writes what became final.
    fn turn(&mut self) {
        let now = Instant::now();
        self.take_packets();
        for (call, at) in std::mem::take(&mut self.stops) {
            self.end(call, at);
        }
        for (call, taped) in &mut self.taped {
            if let Taped::Running(job) = taped
                && let Err(error) = job.turn(now)
            {
                tracing::warn!(%call, %error, "recording failed");
                *taped = Taped::Failed;
            }
        }
    }

    fn take_order(&mut self, order: Order) {
        match order {
            Order::Start { call, file, form, at } => self.begin(call, (&file, form), at),
            Order::Pause { call, paused, at } => {
                if let Some(Taped::Running(job)) = self.taped.get_mut(&call) {
                    job.pause(paused, at);
                }
            }
            Order::Stop { call, at } => self.stops.push((call, at)),
        }
    }

    fn begin(&mut self, call: CallId, (file, form): (&str, RecordingForm), at: Instant) {
        if self.taped.contains_key(&call) {
            tracing::error!(%call, "already being recorded");
            return;
        }
        let taped = if self.taped.len() >= MAX_RECORDINGS {
            tracing::warn!(%call, "recording refused: too many");
            Taped::Failed
        } else {
            match Job::start(&self.folder, file, form, at, self.keys.as_ref()) {
                Ok(job) => Taped::Running(Box::new(job)),
                Err(error) => {
                    tracing::warn!(%call, %error, "recording could not start");
                    Taped::Failed
                }
            }
        };
        self.taped.insert(call, taped);
    }

    fn take_packets(&mut self) {
        // A bound: what arrives meanwhile waits for the next turn.
        for _ in 0..MAX_PACKETS {
            let Ok(packet) = self.packets.try_recv() else { return };
            if !self.taped.contains_key(&packet.call) {
                // Its start may still lie in the queue of orders: it was given before the packet.
                self.take_waiting_orders();
            }
            if let Some(taped) = self.taped.get_mut(&packet.call)
                && let Taped::Running(job) = taped
                && let Err(error) = job.put(&packet)
            {
                tracing::warn!(call = %packet.call, %error, "recording failed");
                *taped = Taped::Failed;
            }
        }
    }

    fn take_waiting_orders(&mut self) {
        while let Ok(order) = self.orders.try_recv() {
            self.take_order(order);
        }
    }

    fn end(&mut self, call: CallId, at: Instant) {
        let job = match self.taped.remove(&call) {
            None => return,
            Some(Taped::Failed) => None,
            Some(Taped::Running(job)) => Some((job, at)),
        };
        if self.closing.send(Ended { call, job }).is_err() {
            tracing::error!(%call, "the closing thread is gone");
        }
    }
}

/// The thread that closes files.
pub(super) struct Closer {
    ended: Receiver<Ended>,
    events: Events,
    shared: Arc<Shared>,
}

impl Closer {
    pub(super) fn new(ended: Receiver<Ended>, events: Events, shared: Arc<Shared>) -> Closer {
        Closer { ended, events, shared }
    }

    /// Until the last recording thread is gone.
    pub(super) fn run(self) {
        while let Ok(Ended { call, job }) = self.ended.recv() {
            let event = self.close(call, job);
            self.shared.recordings.fetch_sub(1, Ordering::Relaxed);
            (self.events)(event);
        }
    }

    fn close(&self, call: CallId, job: Option<(Box<Job>, Instant)>) -> MediaEvent {
        match job.map(|(job, at)| job.finish(at)) {
            Some(Ok(file)) => {
                self.shared.recorded.fetch_add(1, Ordering::Relaxed);
                // Not its name: who knows that can fetch it.
                tracing::info!(%call, bytes = file.bytes, "recorded");
                return MediaEvent::Recorded { call, file };
            }
            Some(Err(error)) => tracing::warn!(%call, %error, "recording failed at its end"),
            None => {}
        }
        self.shared.failed.fetch_add(1, Ordering::Relaxed);
        MediaEvent::RecordingFailed { call }
    }
}
