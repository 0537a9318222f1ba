//! `biz_callback`: from a checked request to a command for the switch.

use std::time::Duration;

use billing::rows::{self, Merchant};
use dialect::callni::{Answer, Callback, Code, HexCase, NotifyContext, Verified};
use facts::ports::FetchError;
use facts::{
    CallCommand, Dialect, Number, Party, Push, PushKind, Refusal, RequestKey, SubAccountId,
};

use super::ours;
use crate::settings::{Dialled, View, dialled};
use crate::state::ApiState;

/// How long looking up the host of a `returnurl` may hold a request up.
const LOOKUP_PATIENCE: Duration = Duration::from_millis(500);

/// What cannot even be asked of the switch may have been placed before, as what it refuses ([`ApiState::place`]).
pub(super) async fn callback(
    state: &ApiState,
    view: &View,
    merchant: &Merchant,
    asked: &Verified,
) -> Result<Answer, Code> {
    let callback = asked.callback()?;
    let key = request_key(&callback);
    let placed = match command(state, view, merchant, asked, &callback, &key).await {
        Ok(command) => state.place(command).await.map_err(refused)?,
        Err(Code::SystemError) => return Err(Code::SystemError),
        Err(code) => state.earlier(merchant.id, &key).await.map_err(refused)?.ok_or(code)?,
    };
    Ok(accepted(&callback.callbackid, placed.duplicate))
}

/// What the switch is asked for.
async fn command(
    state: &ApiState,
    view: &View,
    merchant: &Merchant,
    asked: &Verified,
    callback: &Callback,
    key: &RequestKey,
) -> Result<CallCommand, Code> {
    let store = &state.0.store;
    let a = dialled(store, view, &callback.callback_num).await.map_err(ours)?;
    let a = first_leg(merchant, a)?;
    let b = dialled(store, view, &callback.destination_num).await.map_err(ours)?;
    let b = b.number().ok_or(Code::DestinationNumInvalid)?;
    match state.0.guard.check(&callback.returnurl, LOOKUP_PATIENCE).await {
        Ok(()) => {}
        Err(FetchError::BadUrl | FetchError::Refused) => return Err(Code::ReturnurlInvalid),
        Err(_) => return Err(Code::SystemError),
    }
    let ring = state.0.config.ring;
    Ok(written(merchant, asked, callback, a, b, key.clone(), ring))
}

fn accepted(callbackid: &str, duplicate: bool) -> Answer {
    let answer = Answer::success().with("callbackid", callbackid);
    if duplicate { answer.with("duplicate", "1") } else { answer }
}

/// Both numbers as sent: what must be equal for it to be the same request.
fn request_key(callback: &Callback) -> RequestKey {
    RequestKey {
        dialect: Dialect::Callni,
        key: callback.callbackid.clone(),
        fingerprint: format!("{}\n{}", callback.callback_num, callback.destination_num),
    }
}

/// Leg A must be the merchant's own internal number, or a public one if the merchant may ring those first.
fn first_leg(merchant: &Merchant, a: Dialled) -> Result<(Number, Option<SubAccountId>), Code> {
    if a.is_foreign_to(merchant.id) {
        return Err(Code::CallbackNumInvalid);
    }
    match a {
        Dialled::Extension(extension) if !extension.enabled => Err(Code::SubaccountDisabled),
        Dialled::Extension(extension) => {
            Ok((Number::Internal(extension.number.clone()), extension.sub_account))
        }
        Dialled::Public(number @ Number::E164(_)) if merchant.pstn_caller => Ok((number, None)),
        Dialled::Public(_) | Dialled::Invalid => Err(Code::CallbackNumInvalid),
    }
}

fn written(
    merchant: &Merchant,
    asked: &Verified,
    callback: &Callback,
    (a, sub_account): (Number, Option<SubAccountId>),
    b: Number,
    key: RequestKey,
    ring: Duration,
) -> CallCommand {
    let upper = match merchant.hex_case {
        rows::HexCase::Mirror => asked.case == HexCase::Upper,
        rows::HexCase::Lower => false,
        rows::HexCase::Upper => true,
    };
    let context = NotifyContext {
        callbackid: callback.callbackid.clone(),
        data: callback.data.clone(),
        upper,
    };
    let party = |number: Number, as_sent: &str| Party {
        number,
        as_sent: as_sent.to_owned(),
        shown: None,
        ring,
    };
    CallCommand {
        dialect: Dialect::Callni,
        merchant: merchant.id,
        sub_account,
        app: String::new(),
        a: party(a, &callback.callback_num),
        b: Some(party(b, &callback.destination_num)),
        scenario: None,
        conference: None,
        purpose: Default::default(),
        max_talk: None,
        record: merchant.record,
        key: Some(key),
        pushes: vec![Push {
            kind: PushKind::Record,
            dialect: Dialect::Callni,
            endpoint: callback.returnurl.clone(),
            context: serde_json::to_string(&context).unwrap_or_default(),
        }],
        custom: callback.data.clone().unwrap_or_default(),
    }
}

fn refused(refusal: Refusal) -> Code {
    match refusal {
        Refusal::UnknownMerchant => Code::MerchantNotFound,
        Refusal::Disabled => Code::MerchantDisabled,
        Refusal::NoBalance => Code::BalanceNotEnough,
        Refusal::NoPrice | Refusal::NoRoute | Refusal::SameNumber => Code::DestinationNumInvalid,
        Refusal::BadCaller => Code::CallbackNumInvalid,
        Refusal::TooManyCalls => Code::TooManyCalls,
        Refusal::KeyConflict => Code::CallbackidConflict,
        Refusal::Blocked | Refusal::OutsideHours | Refusal::TooOften => Code::NumberBlocked,
        // Draining, overloaded or at fault: the same request may be sent again.
        Refusal::Busy | Refusal::Internal => Code::SystemError,
    }
}
