//! `App.Sip_Cdr.GetBill`: records, and which of them were fetched.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use billing::BillsAsked;
use bytes::Bytes;
use dialect::sipcall::{Answer, Code, GetBill, Stop};
use facts::CallRecord;
use hyper::body::{Body, Frame, SizeHint};

use super::{Asker, ours};
use crate::state::ApiState;

/// Records that are read for one answer, at most, where the books cannot tell which are wanted.
const SCAN_MAX: usize = 20_000;

/// The answer, and the rows that it tells.
pub(super) async fn bills(
    state: &ApiState,
    asker: &Asker,
    asked: &GetBill,
) -> Result<(Answer, Vec<i64>), Stop> {
    let window = asked.window();
    let look = BillsAsked {
        company: asker.company.companycode.clone(),
        // The last second counts.
        span: (asked.from, asked.until + Duration::from_secs(1)),
        fetched: asked.fetched,
        purposes: asked.purposes(),
        texts: asked.texts().into_iter().map(str::to_owned).collect(),
    };
    let store = &state.0.store;
    let (total, found) = if asked.is_of_none() {
        (0, Vec::new())
    } else if asked.is_told_by_the_books() {
        let page = (window.start, asked.per_page);
        store.bills_page(&look, page).await.map_err(ours)?
    } else {
        read(state, &look, asked).await?
    };
    let (rows, bills): (Vec<i64>, Vec<CallRecord>) = found.into_iter().unzip();
    Ok((asked.answer(total, &bills), rows))
}

/// Reads the records of which only they themselves tell whether they are wanted: how many are, and those of the page.
async fn read(
    state: &ApiState,
    look: &BillsAsked,
    asked: &GetBill,
) -> Result<(u64, Vec<(i64, CallRecord)>), Stop> {
    let (window, mut total, mut page) = (asked.window(), 0_u64, Vec::new());
    let (mut after, mut scanned) = (0, 0);
    loop {
        let found = state.0.store.bills(look, after).await.map_err(ours)?;
        let Some((last, _)) = found.last() else { return Ok((total, page)) };
        after = *last;
        scanned += found.len();
        if scanned > SCAN_MAX {
            return Err(Code::Failed.into());
        }
        for (row, record) in found {
            if !asked.wants(&record) {
                continue;
            }
            if window.contains(&total) {
                page.push((row, record));
            }
            total += 1;
        }
    }
}

/// A body that says when it was taken by whoever writes it to the client. It is one piece, and nobody asks for a
/// second one whose length is known (RFC 9110 §8.6).
pub(super) struct Told {
    data: Option<Bytes>,
    then: Option<Box<dyn FnOnce() + Send>>,
}

impl Told {
    pub(super) fn new(data: String, then: impl FnOnce() + Send + 'static) -> Told {
        Told { data: Some(data.into()), then: Some(Box::new(then)) }
    }
}

impl Body for Told {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        let Some(data) = self.data.take() else { return Poll::Ready(None) };
        if let Some(then) = self.then.take() {
            then();
        }
        Poll::Ready(Some(Ok(Frame::data(data))))
    }

    fn is_end_stream(&self) -> bool {
        self.data.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.data.as_ref().map_or(0, |data| data.len() as u64))
    }
}
