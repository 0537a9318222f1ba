//! `templateNoticeCall`: a template of the operator's file, filled with the values of a request and said to each number.

use std::sync::Arc;
use std::time::Duration;

use axum::http::HeaderMap;
use dialect::ytx::{self, Action, Code, FID_NOTICE, Notice, RING_DEFAULT};
use facts::media::Record;
use facts::scenario::{self, Collect, Next, Scenario, Step};
use facts::sound::Clip;
use facts::template::Template;
use facts::{CallCommand, Dialect, Party, Purpose, PushKind, RequestKey};

use super::place::{key, pushes, refused, shown, told};
use super::{Asker, ours, rate};
use crate::settings::View;
use crate::state::ApiState;

/// How long a key is waited for when all is said.
const WAIT: Duration = Duration::from_secs(5);

/// Rings everybody, or, when a number or a value is wrong, nobody.
pub(super) async fn notice(
    state: &ApiState,
    view: &View,
    asker: &Asker,
    action: &Action,
    headers: &HeaderMap,
) -> Result<String, Code> {
    let asked = action.notice()?;
    let commands = commands(state, view, asker, &asked, headers).await?;
    rate(state, asker)?;
    // All at once: one that the ledger thinks over keeps none of the others waiting.
    let placing: Vec<_> = commands
        .into_iter()
        .map(|command| {
            let state = state.clone();
            tokio::spawn(async move { state.place(command).await })
        })
        .collect();
    let mut calls = Vec::with_capacity(placing.len());
    for (dst, placed) in asked.dst.into_iter().zip(placing) {
        let outcome = match placed.await {
            Ok(Ok(placed)) => Ok(ytx::request_id(placed.call, FID_NOTICE)),
            Ok(Err(refusal)) => Err(refused(refusal)),
            Err(_) => Err(Code::Internal),
        };
        calls.push((dst, outcome));
    }
    if let [(_, outcome)] = &calls[..] {
        return outcome.clone().map(|id| ytx::success(&id));
    }
    let refusal = calls.iter().find_map(|(_, outcome)| outcome.as_ref().err().copied());
    ytx::notices_answer(&calls).ok_or(refusal.unwrap_or(Code::Internal))
}

/// A call for each number.
async fn commands(
    state: &ApiState,
    view: &View,
    asker: &Asker,
    asked: &Notice,
    headers: &HeaderMap,
) -> Result<Vec<CallCommand>, Code> {
    let mut callees = Vec::with_capacity(asked.dst.len());
    for dst in &asked.dst {
        callees.push(told(state, view, asker, dst).await?);
    }
    let shown = shown(&asker.app, view, asked.shown.as_deref())?;
    let scenario = Arc::new(scenario(state, view, asker, asked).await?);
    // What was said is nobody else's business: a repeat is told by the rest.
    let same = format!("{}\n{}\n{}", asked.dst.join("|"), asked.template, asked.times);
    let key = key(asker, same, headers)?;
    let several = asked.dst.len() > 1;
    let command = |(nth, (dst, (number, sub_account)))| {
        let key = key.clone().map(|key: RequestKey| match several {
            true => RequestKey { key: format!("{}:{nth}", key.key), ..key },
            false => key,
        });
        let as_sent = String::clone(dst);
        CallCommand {
            dialect: Dialect::Ytx,
            merchant: asker.merchant.id,
            sub_account,
            app: asker.app.appid.clone(),
            a: Party { number, as_sent, shown: shown.clone(), ring: RING_DEFAULT },
            b: None,
            scenario: Some(Arc::clone(&scenario)),
            conference: None,
            purpose: Purpose::Notice,
            max_talk: None,
            record: Record::No,
            key,
            pushes: pushes(&asker.app, &[PushKind::Record]),
            custom: asked.custom.clone(),
        }
    };
    Ok(asked.dst.iter().zip(callees).enumerate().map(command).collect())
}

/// The template with its values, so often; and keys, where they are wanted.
async fn scenario(
    state: &ApiState,
    view: &View,
    asker: &Asker,
    asked: &Notice,
) -> Result<Scenario, Code> {
    let store = &state.0.store;
    let found = view.template(store, asker.merchant.id, &asked.template).await.map_err(ours)?;
    let template: Arc<Template> = found.ok_or(Code::BadValue)?;
    let language = asker.app.language.as_ref().unwrap_or(&asker.merchant.language);
    let clip = template.say(language, &asked.values).map(Clip::Say).map_err(|why| {
        tracing::info!(template = asked.template, %why, "system 001: a notice cannot be said");
        Code::BadValue
    })?;
    state.0.calls.playable(&clip).map_err(|why| {
        tracing::info!(template = asked.template, why, "system 001: a notice cannot be said");
        Code::BadValue
    })?;
    let mut say = scenario::Say::only(vec![clip], asked.times);
    if asked.keys {
        say.collect = Some(Collect { max: template.keys, secret: false, next: Next::HangUp });
        say.wait = WAIT;
    }
    Scenario::new(vec![Step::Say(say)]).map_err(|fault| {
        tracing::error!(%fault, "system 001: a notice makes no scenario");
        Code::Internal
    })
}
