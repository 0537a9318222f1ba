//! `biz_callback`: from a checked request to a command for the switch.

use std::time::Duration;

use billing::rows::{self, CallEntry, Merchant};
use dialect::callni::{Answer, Callback, Code, HexCase, NotifyContext, Verified};
use facts::ports::FetchError;
use facts::{
    CallCommand, Dialect, Number, Party, Push, PushKind, Refusal, RequestKey, SubAccountId,
};

use super::ours;
use crate::settings::{Dialled, dialled};
use crate::state::ApiState;

/// How long looking up the host of a `returnurl` may hold a request up.
const LOOKUP_PATIENCE: Duration = Duration::from_millis(500);

pub(super) async fn callback(
    state: &ApiState,
    merchant: &Merchant,
    asked: &Verified,
) -> Result<Answer, Code> {
    let callback = asked.callback()?;
    let fingerprint = fingerprint(&callback);
    let store = &state.0.store;
    let earlier = store.call_by_key(merchant.id, Dialect::Callni, &callback.callbackid).await;
    if let Some(entry) = earlier.map_err(ours)? {
        return repeated(&entry, &callback, &fingerprint);
    }
    let snapshot = state.0.settings.current(store).await.map_err(ours)?;
    let a = dialled(store, &snapshot, &callback.callback_num).await.map_err(ours)?;
    let (a, sub_account) = first_leg(merchant, a)?;
    let b = dialled(store, &snapshot, &callback.destination_num).await.map_err(ours)?;
    let b = b.number().ok_or(Code::DestinationNumInvalid)?;
    match state.0.guard.check(&callback.returnurl, LOOKUP_PATIENCE).await {
        Ok(()) => {}
        Err(FetchError::BadUrl | FetchError::Refused) => return Err(Code::ReturnurlInvalid),
        Err(_) => return Err(Code::SystemError),
    }
    let ring = state.0.config.ring;
    let command = command(merchant, asked, &callback, (a, sub_account), b, fingerprint, ring);
    match state.place(command).await {
        Ok(placed) => Ok(accepted(&callback.callbackid, placed.duplicate)),
        Err(refusal) => Err(refused(refusal)),
    }
}

fn accepted(callbackid: &str, duplicate: bool) -> Answer {
    let answer = Answer::success().with("callbackid", callbackid);
    if duplicate { answer.with("duplicate", "1") } else { answer }
}

fn repeated(entry: &CallEntry, callback: &Callback, fingerprint: &str) -> Result<Answer, Code> {
    let same = entry.command.key.as_ref().is_some_and(|key| key.fingerprint == fingerprint);
    if same { Ok(accepted(&callback.callbackid, true)) } else { Err(Code::CallbackidConflict) }
}

/// Both numbers as sent: what must be equal for it to be the same request.
fn fingerprint(callback: &Callback) -> String {
    format!("{}\n{}", callback.callback_num, callback.destination_num)
}

/// Leg A must be the merchant's own internal number, or a public one if the merchant may ring those first.
fn first_leg(merchant: &Merchant, a: Dialled) -> Result<(Number, Option<SubAccountId>), Code> {
    if a.is_foreign_to(merchant.id) {
        return Err(Code::CallbackNumInvalid);
    }
    match a {
        Dialled::Extension(extension) if !extension.enabled => Err(Code::SubaccountDisabled),
        Dialled::Extension(extension) => {
            Ok((Number::Internal(extension.number), extension.sub_account))
        }
        Dialled::Public(number @ Number::E164(_)) if merchant.pstn_caller => Ok((number, None)),
        Dialled::Public(_) | Dialled::Invalid => Err(Code::CallbackNumInvalid),
    }
}

fn command(
    merchant: &Merchant,
    asked: &Verified,
    callback: &Callback,
    (a, sub_account): (Number, Option<SubAccountId>),
    b: Number,
    fingerprint: String,
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
        b: party(b, &callback.destination_num),
        max_talk: None,
        record: merchant.record,
        key: Some(RequestKey {
            dialect: Dialect::Callni,
            key: callback.callbackid.clone(),
            fingerprint,
        }),
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
        Refusal::NoPrice | Refusal::NoRoute => Code::DestinationNumInvalid,
        Refusal::BadCaller => Code::CallbackNumInvalid,
        Refusal::TooManyCalls => Code::TooManyCalls,
        Refusal::KeyConflict => Code::CallbackidConflict,
        Refusal::Blocked => Code::NumberBlocked,
        // Draining, overloaded or at fault: the same request may be sent again.
        Refusal::Busy | Refusal::Internal => Code::SystemError,
    }
}
