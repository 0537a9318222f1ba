//! `callDailBack`: from a checked request to a command for the switch.

use axum::http::HeaderMap;
use billing::rows::{Callback, YtxApp};
use dialect::ytx::{self, Action, Code, DailBack, FID_TWO_WAY, PushMode};
use facts::settings::Snapshot;
use facts::{CallCommand, Dialect, Number, Party, Push, PushKind, Refusal, RequestKey};

use super::{Asker, ours, push_context, rate};
use crate::settings::{Dialled, View, dialled};
use crate::state::ApiState;

/// Longest `Idempotency-Key`.
const KEY_MAX: usize = 64;

pub(super) async fn dail_back(
    state: &ApiState,
    view: &View,
    asker: &Asker,
    action: &Action,
    headers: &HeaderMap,
) -> Result<String, Code> {
    let asked = action.dail_back(state.0.config.ytx_strict_credit)?;
    let key = key(asker, &asked, headers)?;
    let store = &state.0.store;
    let a = dialled(store, view, &asked.src).await.map_err(ours)?;
    if a.is_foreign_to(asker.merchant.id) {
        return Err(Code::NumberInvalid);
    }
    let sub_account = match &a {
        Dialled::Extension(extension) => extension.sub_account,
        Dialled::Public(_) | Dialled::Invalid => None,
    };
    let a = number(a)?;
    let b = number(dialled(store, view, &asked.dst).await.map_err(ours)?)?;
    let a_shown = shown(&asker.app, view, asked.src_shown.as_deref())?;
    let b_shown = shown(&asker.app, view, asked.dst_shown.as_deref())?;
    rate(state, asker)?;
    let command = CallCommand {
        dialect: Dialect::Ytx,
        merchant: asker.merchant.id,
        sub_account,
        app: asker.app.appid.clone(),
        a: Party { number: a, as_sent: asked.src, shown: a_shown, ring: asked.src_ring },
        b: Party { number: b, as_sent: asked.dst, shown: b_shown, ring: asked.dst_ring },
        max_talk: asked.credit,
        record: asker.app.record,
        key,
        pushes: pushes(&asker.app),
        custom: asked.custom,
    };
    match state.place(command).await {
        Ok(placed) => Ok(ytx::success(&ytx::request_id(placed.call, FID_TWO_WAY))),
        Err(refusal) => Err(refused(refusal)),
    }
}

/// The system has no idempotent requests of its own; the usual header is honoured.
fn key(asker: &Asker, asked: &DailBack, headers: &HeaderMap) -> Result<Option<RequestKey>, Code> {
    let Some(value) = headers.get("idempotency-key") else { return Ok(None) };
    let value = value.to_str().map_err(|_| Code::BadValue)?.trim();
    if value.is_empty() || value.len() > KEY_MAX {
        return Err(Code::BadValue);
    }
    Ok(Some(RequestKey {
        dialect: Dialect::Ytx,
        key: format!("{}:{value}", asker.app.appid),
        fingerprint: format!("{}\n{}", asked.src, asked.dst),
    }))
}

fn number(dialled: Dialled) -> Result<Number, Code> {
    match dialled {
        Dialled::Invalid => Err(Code::BadPhone),
        other => other.number().ok_or(Code::NumberInvalid),
    }
}

/// A number to show must be in the app's pool; the pool's first is shown when none is asked for.
fn shown(app: &YtxApp, snapshot: &Snapshot, asked: Option<&str>) -> Result<Option<Number>, Code> {
    let Some(asked) = asked else {
        return Ok(app.callers.first().map(|digits| Number::public(digits.clone())));
    };
    let parsed = snapshot.plan.parse(asked).map_err(|_| Code::BadPhone)?;
    let in_pool = app.callers.iter().any(|digits| digits == parsed.digits());
    if in_pool { Ok(Some(parsed)) } else { Err(Code::BadValue) }
}

fn pushes(app: &YtxApp) -> Vec<Push> {
    let (base, mode) = match &app.callback {
        Callback::Off => return Vec::new(),
        Callback::Suffix { url } => (url, PushMode::Suffix),
        Callback::Plain { url } => (url, PushMode::Plain),
        Callback::Two { cdr, state: Some(state) } => (cdr, PushMode::Two(state)),
        Callback::Two { cdr, state: None } => (cdr, PushMode::RecordsOnly),
    };
    let context = serde_json::to_string(&push_context(app)).unwrap_or_default();
    [PushKind::State, PushKind::Record]
        .into_iter()
        .filter_map(|kind| {
            let endpoint = ytx::endpoint(base, &mode, kind)?;
            Some(Push { kind, dialect: Dialect::Ytx, endpoint, context: context.clone() })
        })
        .collect()
}

fn refused(refusal: Refusal) -> Code {
    match refusal {
        Refusal::UnknownMerchant => Code::NoAccount,
        Refusal::Disabled => Code::AccountDisabled,
        Refusal::NoBalance => Code::NoBalance,
        Refusal::NoPrice
        | Refusal::NoRoute
        | Refusal::BadCaller
        | Refusal::SameNumber
        | Refusal::Blocked => Code::NumberInvalid,
        Refusal::TooManyCalls => Code::TooFrequent,
        Refusal::KeyConflict => Code::BadValue,
        Refusal::Busy | Refusal::Internal => Code::Internal,
    }
}
