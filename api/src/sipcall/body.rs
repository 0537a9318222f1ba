//! Bodies of requests, of which some may be long: lists of numbers, sounds. What everybody may send is read as it comes. Whoever
//! sends more has to have shown who he is by then, in the query or at the beginning of the body; then as much is read as the service wants, if
//! there is room for it. So nobody else makes the switch hold more than a little.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::body::Body;
use axum::http::{HeaderMap, header};
use bytes::{Bytes, BytesMut};
use dialect::sipcall::voice::OCTETS_MAX;
use dialect::sipcall::{Fault, Login, Params, Rules, Service, Stop};
use facts::MerchantId;
use http_body_util::BodyExt as _;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;

use super::form::{self, File};
use super::{asker, auth};
use crate::counters::count;
use crate::state::ApiState;

/// What stands around a sound in a form.
const AROUND: usize = 64 * 1024;
/// A request with a sound, at most.
const SOUND_MAX: usize = OCTETS_MAX + AROUND;
/// A request with a list of numbers, at most: a list of 4 MiB, escaped.
const LIST_MAX: usize = 8 * 1024 * 1024;
/// A long request whose sender shows who he is only at its end.
const LATE_MAX: usize = 4 * 1024 * 1024;
/// Of these so many at once, whoever sends them.
const LATE: usize = 4;
/// MiB of all other long requests at once, and of those of one merchant.
const ROOM: u32 = 96;
const ROOM_OF_ONE: u32 = 32;
const MIB: usize = 1024 * 1024;

/// Room for long requests.
#[derive(Debug)]
pub(crate) struct Room {
    all: Arc<Semaphore>,
    late: Arc<Semaphore>,
    of: Shares,
    decoder: tokio::sync::Mutex<()>,
    /// Merchants of whom a sound is decoded or waits for it.
    in_line: Mutex<BTreeSet<MerchantId>>,
}

impl Default for Room {
    fn default() -> Self {
        Room {
            all: Arc::new(Semaphore::new(ROOM as usize)),
            late: Arc::new(Semaphore::new(LATE)),
            of: Arc::default(),
            decoder: tokio::sync::Mutex::default(),
            in_line: Mutex::default(),
        }
    }
}

/// MiB of each merchant.
type Shares = Arc<Mutex<BTreeMap<MerchantId, u32>>>;

/// Room that a request has; dropped, it is given back.
pub(crate) struct Held {
    _permit: OwnedSemaphorePermit,
    of: Option<(Shares, MerchantId, u32)>,
}

impl Drop for Held {
    fn drop(&mut self) {
        let Some((of, merchant, mib)) = self.of.take() else { return };
        let mut of = lock(&of);
        if let Some(has) = of.get_mut(&merchant) {
            *has = has.saturating_sub(mib);
            if *has == 0 {
                of.remove(&merchant);
            }
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The place of a merchant in the line of those who have sounds decoded; dropped, he may come again.
struct Place<'a>(&'a Room, MerchantId);

impl Drop for Place<'_> {
    fn drop(&mut self) {
        lock(&self.0.in_line).remove(&self.1);
    }
}

impl Room {
    /// Does what decodes a sound of a merchant: one sound at a time, so that calls go on, and one of each merchant in the line, so that
    /// whoever sends many keeps nobody else waiting. `None`: he has one there.
    pub(super) async fn decode<T>(
        &self,
        merchant: MerchantId,
        work: impl Future<Output = T>,
    ) -> Option<T> {
        let first = lock(&self.in_line).insert(merchant);
        // Made only by whoever has it: it gives the place up where it is dropped.
        let _place = first.then(|| Place(self, merchant))?;
        let _turn = self.decoder.lock().await;
        Some(work.await)
    }

    /// Room for so many octets of a merchant; `None` when there is none.
    pub(crate) fn take(&self, merchant: MerchantId, octets: usize) -> Option<Held> {
        let mib = u32::try_from(octets.div_ceil(MIB)).ok()?;
        let mut of = lock(&self.of);
        let has = of.get(&merchant).copied().unwrap_or_default();
        if has + mib > ROOM_OF_ONE {
            return None;
        }
        let permit = Arc::clone(&self.all).try_acquire_many_owned(mib).ok()?;
        of.insert(merchant, has + mib);
        let of = Some((Arc::clone(&self.of), merchant, mib));
        Some(Held { _permit: permit, of })
    }

    /// The same for somebody who has not said who he is.
    fn take_late(&self) -> Option<Held> {
        let permit = Arc::clone(&self.late).try_acquire_owned().ok()?;
        Some(Held { _permit: permit, of: None })
    }
}

/// A request that has come whole.
pub(super) struct Came {
    pub(super) params: Params,
    pub(super) file: Option<File>,
    /// Its room, as long as it is held.
    pub(super) held: Option<Held>,
}

/// What of a request had come when it was given up: it may say whose it is.
pub(super) struct Unread {
    pub(super) params: Params,
    pub(super) stop: Stop,
}

impl Unread {
    /// Nothing was looked at.
    pub(super) fn at_all(stop: impl Into<Stop>) -> Unread {
        Unread { params: Params::default(), stop: stop.into() }
    }
}

/// Reads a request: the query, then the body.
pub(super) async fn read(
    state: &ApiState,
    (headers, query): (&HeaderMap, &[u8]),
    body: Body,
    ip: IpAddr,
) -> Result<Came, Unread> {
    let mut params = Params::default();
    params.form(query);
    match whole(state, headers, (&mut params, body), ip).await {
        Ok((file, held)) => Ok(Came { params, file, held }),
        Err(stop) => Err(Unread { params, stop }),
    }
}

/// Takes what a body says; of one that is too long, what its beginning says.
async fn whole(
    state: &ApiState,
    headers: &HeaderMap,
    (params, body): (&mut Params, Body),
    ip: IpAddr,
) -> Result<(Option<File>, Option<Held>), Stop> {
    let config = &state.0.config;
    let announced = headers.get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok());
    let announced: usize = announced.and_then(|value| value.parse().ok()).unwrap_or_default();
    let mut reader = Reader::new(body, config.body_timeout);
    let too_large = || {
        count(&state.0.counters.oversize);
        Stop::from(Fault::TooLarge)
    };
    let read = reader.read_to(config.body_limit).await;
    if let Ok(true) = read {
        return Ok((form::read(params, &reader.octets.freeze()).await, None));
    }
    let query = params.clone();
    form::beginning(params, &reader.octets.clone().freeze()).await;
    read?;
    if announced > SOUND_MAX.max(config.body_limit) {
        return Err(too_large());
    }
    let (most, room) = allowed(state, params, announced, ip).await?;
    if announced > most || !reader.read_to(most).await? {
        return Err(too_large());
    }
    // The whole of it is read anew: what a beginning says, the rest may take back.
    *params = query;
    Ok((form::read(params, &reader.octets.freeze()).await, Some(room)))
}

/// How much more of a request is read, and the room for it.
async fn allowed(
    state: &ApiState,
    seen: &Params,
    announced: usize,
    ip: IpAddr,
) -> Result<(usize, Held), Stop> {
    let room = &state.0.room;
    let none = || {
        count(&state.0.counters.rate_limited);
        Stop::from(Fault::TooFrequent)
    };
    let view = state.0.settings.current(&state.0.store).await.map_err(super::ours)?;
    let key = (seen.get("appid").is_some() && seen.get("accesskey").is_some())
        .then(|| Login::read(Rules(seen)))
        .transpose()?;
    let known = match key {
        _ if seen.get("token").is_some() => {
            Some(asker(state, &view, seen).await?.ok_or(Fault::Token)?)
        }
        Some(login) => Some(auth::asker(state, &view, &login, ip).await?.ok_or(Fault::AppId)?),
        None => None,
    };
    let Some(known) = known else {
        return room.take_late().map(|held| (LATE_MAX, held)).ok_or_else(none);
    };
    known.authorized()?;
    known.from(ip)?;
    let most = match Service::of(seen) {
        Some(Ok(Service::VoiceUpload)) => SOUND_MAX,
        _ => LIST_MAX,
    };
    // What is not announced may be as long as it may be.
    let octets = if announced == 0 { most } else { announced.min(most) };
    room.take(known.merchant.id, octets).map(|held| (most, held)).ok_or_else(none)
}

/// A body that is read up to somewhere, and on from there.
struct Reader {
    body: Body,
    octets: BytesMut,
    until: Instant,
}

impl Reader {
    fn new(body: Body, patience: Duration) -> Reader {
        Reader { body, octets: BytesMut::new(), until: Instant::now() + patience }
    }

    /// Reads until it is over (true) or longer than this.
    async fn read_to(&mut self, most: usize) -> Result<bool, Fault> {
        while self.octets.len() <= most {
            match tokio::time::timeout_at(self.until, self.body.frame()).await {
                Ok(None) => return Ok(true),
                Ok(Some(Ok(frame))) => {
                    let data: Option<Bytes> = frame.into_data().ok();
                    self.octets.extend_from_slice(&data.unwrap_or_default());
                }
                Ok(Some(Err(_))) | Err(_) => return Err(Fault::BrokeOff),
            }
        }
        Ok(false)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_merchant_has_a_part_of_the_room_and_gives_it_back() {
        let room = Room::default();
        let take = |merchant| room.take(MerchantId(merchant), SOUND_MAX);
        let held: Vec<Held> = std::iter::from_fn(|| take(1)).collect();
        assert_eq!(held.len(), 2, "11 MiB each");
        let others: Vec<Held> = (2..).map_while(take).collect();
        assert_eq!(others.len(), 6, "96 MiB are for all");
        drop(held);
        assert!(take(1).is_some());
        assert_eq!(lock(&room.of).get(&MerchantId(1)), None);
        let late: Vec<Held> = std::iter::from_fn(|| room.take_late()).collect();
        assert_eq!(late.len(), LATE);
    }
}
