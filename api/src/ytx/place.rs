//! `callDailBack` and `callOutCode`: from a checked request to a command for the switch.

use std::sync::Arc;

use axum::http::HeaderMap;
use billing::rows::{Callback, YtxApp};
use dialect::ytx::{self, Action, Code, FID_CODE, FID_TWO_WAY, PushMode, RING_DEFAULT};
use facts::recording::Record;
use facts::scenario::{self, Fault, Scenario, Step};
use facts::settings::Snapshot;
use facts::sound::{Clip, Say, Spoken};
use facts::{
    CallCommand, Dialect, Number, Party, Purpose, Push, PushKind, Refusal, RequestKey, SubAccountId,
};

use super::{Asker, ours, push_context, rate};
use crate::settings::{Dialled, View, dialled};
use crate::state::ApiState;

/// Longest `Idempotency-Key`.
const KEY_MAX: usize = 64;
/// The announcement before a code.
const CODE_IS: &str = "code-is";

pub(super) async fn dail_back(
    state: &ApiState,
    view: &View,
    asker: &Asker,
    action: &Action,
    headers: &HeaderMap,
) -> Result<String, Code> {
    let asked = action.dail_back(state.0.config.ytx_strict_credit)?;
    let key = key(asker, format!("{}\n{}", asked.src, asked.dst), headers)?;
    let (a, sub_account) = rung(state, view, asker, &asked.src).await?;
    let b = number(dialled(&state.0.store, view, &asked.dst).await.map_err(ours)?)?;
    let a_shown = shown(&asker.app, view, asked.src_shown.as_deref())?;
    let b_shown = shown(&asker.app, view, asked.dst_shown.as_deref())?;
    rate(state, asker)?;
    let command = CallCommand {
        dialect: Dialect::Ytx,
        merchant: asker.merchant.id,
        sub_account,
        app: asker.app.appid.clone(),
        a: Party { number: a, as_sent: asked.src, shown: a_shown, ring: asked.src_ring },
        b: Some(Party { number: b, as_sent: asked.dst, shown: b_shown, ring: asked.dst_ring }),
        scenario: None,
        conference: None,
        purpose: Default::default(),
        max_talk: asked.credit,
        record: asker.app.record,
        key,
        pushes: pushes(&asker.app, &[PushKind::State, PushKind::Record]),
        custom: asked.custom,
    };
    match state.place(command).await {
        Ok(placed) => Ok(ytx::success(&ytx::request_id(placed.call, FID_TWO_WAY))),
        Err(refusal) => Err(refused(refusal)),
    }
}

/// Rings somebody and says a code.
pub(super) async fn code_out(
    state: &ApiState,
    view: &View,
    asker: &Asker,
    action: &Action,
    headers: &HeaderMap,
) -> Result<String, Code> {
    let asked = action.code_out()?;
    // Nothing is kept of the code: a repeat is told by the rest, and says the first one.
    let same = format!("{}\n{}", asked.dst, asked.times);
    let key = key(asker, same, headers)?;
    let (number, sub_account) = told(state, view, asker, &asked.dst).await?;
    let shown = shown(&asker.app, view, asked.shown.as_deref())?;
    rate(state, asker)?;
    let scenario = said(asker, asked.code, asked.times).map_err(|fault| {
        tracing::error!(%fault, "system 001: a code makes no scenario");
        Code::Internal
    })?;
    let command = CallCommand {
        dialect: Dialect::Ytx,
        merchant: asker.merchant.id,
        sub_account,
        app: asker.app.appid.clone(),
        a: Party { number, as_sent: asked.dst, shown, ring: RING_DEFAULT },
        b: None,
        scenario: Some(Arc::new(scenario)),
        conference: None,
        purpose: Purpose::Code,
        max_talk: None,
        record: Record::No,
        key,
        pushes: pushes(&asker.app, &[PushKind::Record]),
        custom: asked.custom,
    };
    match state.place(command).await {
        Ok(placed) => Ok(ytx::success(&ytx::request_id(placed.call, FID_CODE))),
        Err(refusal) => Err(refused(refusal)),
    }
}

/// The code behind what is said before it, so often, in the app's language.
fn said(asker: &Asker, code: String, times: u8) -> Result<Scenario, Fault> {
    let language = asker.app.language.clone();
    let language = language.unwrap_or_else(|| asker.merchant.language.clone());
    let parts = vec![Spoken::Prompt(CODE_IS.to_owned()), Spoken::Spelled(code)];
    let clip = Clip::Say(Say { language, parts });
    Scenario::new(vec![Step::Say(scenario::Say::only(vec![clip], times))])
}

/// The system has no idempotent requests of its own; the usual header is honoured. `same`: what must be equal for
/// a request to be a repeat.
pub(super) fn key(
    asker: &Asker,
    same: String,
    headers: &HeaderMap,
) -> Result<Option<RequestKey>, Code> {
    let Some(value) = headers.get("idempotency-key") else { return Ok(None) };
    let value = value.to_str().map_err(|_| Code::BadValue)?.trim();
    if value.is_empty() || value.len() > KEY_MAX {
        return Err(Code::BadValue);
    }
    Ok(Some(RequestKey {
        dialect: Dialect::Ytx,
        key: format!("{}:{value}", asker.app.appid),
        fingerprint: same,
    }))
}

/// Who is rung first, and the sub-account that an extension belongs to; nobody else's extension.
pub(super) async fn rung(
    state: &ApiState,
    view: &View,
    asker: &Asker,
    written: &str,
) -> Result<(Number, Option<SubAccountId>), Code> {
    let dialled = dialled(&state.0.store, view, written).await.map_err(ours)?;
    if dialled.is_foreign_to(asker.merchant.id) {
        return Err(Code::NumberInvalid);
    }
    let sub_account = dialled.sub_account();
    Ok((number(dialled)?, sub_account))
}

/// Who is rung by a machine that says something: nobody under a short code, as emergency numbers are among them.
pub(super) async fn told(
    state: &ApiState,
    view: &View,
    asker: &Asker,
    written: &str,
) -> Result<(Number, Option<SubAccountId>), Code> {
    let (number, sub_account) = rung(state, view, asker, written).await?;
    if matches!(number, Number::Short(_)) { Err(Code::BadPhone) } else { Ok((number, sub_account)) }
}

pub(super) fn number(dialled: Dialled) -> Result<Number, Code> {
    match dialled {
        Dialled::Invalid => Err(Code::BadPhone),
        other => other.number().ok_or(Code::NumberInvalid),
    }
}

/// A number to show must be in the app's pool; the pool's first is shown when none is asked for.
pub(super) fn shown(
    app: &YtxApp,
    snapshot: &Snapshot,
    asked: Option<&str>,
) -> Result<Option<Number>, Code> {
    let Some(asked) = asked else {
        return Ok(app.callers.first().map(|digits| Number::public(digits.clone())));
    };
    let parsed = snapshot.plan.parse(asked).map_err(|_| Code::BadPhone)?;
    let in_pool = app.callers.iter().any(|digits| digits == parsed.digits());
    if in_pool { Ok(Some(parsed)) } else { Err(Code::BadValue) }
}

pub(super) fn pushes(app: &YtxApp, kinds: &[PushKind]) -> Vec<Push> {
    let (base, mode) = match &app.callback {
        Callback::Off => return Vec::new(),
        Callback::Suffix { url } => (url, PushMode::Suffix),
        Callback::Plain { url } => (url, PushMode::Plain),
        Callback::Two { cdr, state: Some(state) } => (cdr, PushMode::Two(state)),
        Callback::Two { cdr, state: None } => (cdr, PushMode::RecordsOnly),
    };
    let context = serde_json::to_string(&push_context(app)).unwrap_or_default();
    kinds
        .iter()
        .filter_map(|kind| {
            let kind = *kind;
            let endpoint = ytx::endpoint(base, &mode, kind)?;
            Some(Push { kind, dialect: Dialect::Ytx, endpoint, context: context.clone() })
        })
        .collect()
}

pub(super) fn refused(refusal: Refusal) -> Code {
    match refusal {
        Refusal::UnknownMerchant => Code::NoAccount,
        Refusal::Disabled => Code::AccountDisabled,
        Refusal::NoBalance => Code::NoBalance,
        Refusal::NoPrice
        | Refusal::NoRoute
        | Refusal::BadCaller
        | Refusal::SameNumber
        | Refusal::Blocked
        | Refusal::OutsideHours => Code::NumberInvalid,
        Refusal::TooManyCalls | Refusal::TooOften => Code::TooFrequent,
        Refusal::KeyConflict => Code::BadValue,
        Refusal::Busy | Refusal::Internal => Code::Internal,
    }
}
