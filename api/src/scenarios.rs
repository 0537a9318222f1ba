//! Scenarios as the engine has them: what answers numbers of merchants, and steps that ask a merchant's server how a call
//! goes on, with the question, signed as webhooks are, and what the answer means. No call waits for longer than its step
//! says: without an answer that can be carried out it goes on by itself.

use std::sync::Arc;

use billing::numbers::Entry;
use billing::rows::Merchant;
use dialect::rest::{
    HookAnswer, HookContext, JSON, KeptScenario, instant, parse, webhook_signature,
};
use facts::scenario::{Next, NumberScenario, Question, Told};
use facts::{CallCommand, Purpose};
use serde_json::json;

use crate::guard::Outgoing;
use crate::state::{ApiState, now};

/// Bytes of an answer at most.
const ANSWER_MAX: usize = 64 * 1024;

/// What answers a number. What another release has written and this one cannot carry out answers nobody.
#[must_use]
pub fn compiled(entry: Entry) -> NumberScenario {
    let Entry { number, merchant, scenario, .. } = entry;
    let scenario = Some(scenario).filter(|scenario| !scenario.is_empty()).and_then(|kept| {
        let compiled = KeptScenario::read(&kept).and_then(|kept| kept.compile());
        let told = compiled.inspect_err(|why| {
            tracing::warn!(merchant = merchant.0, why, "a number's scenario cannot be carried out");
        });
        told.ok().map(Arc::new)
    });
    NumberScenario { number, merchant, scenario }
}

/// Asks, and says how it goes on; `None` when there is no answer in time, or none that can be carried out.
pub async fn consult(state: &ApiState, question: Question) -> Option<Told> {
    let (call, turn) = (question.call, question.turn);
    match tokio::time::timeout(question.wait, told(state, &question)).await {
        Ok(Ok(told)) => Some(told),
        Ok(Err(why)) => {
            tracing::info!(%call, turn, why, "a scenario asked, and goes on by itself");
            None
        }
        Err(_) => {
            tracing::info!(%call, turn, "a scenario asked, and nothing came in time");
            None
        }
    }
}

async fn told(state: &ApiState, question: &Question) -> Result<Told, String> {
    let context: HookContext =
        serde_json::from_str(&question.context).map_err(|error| error.to_string())?;
    let store = &state.0.store;
    let failed = |error: billing::Error| error.to_string();
    let view = state.0.settings.current(store).await.map_err(failed)?;
    let merchant = view.merchant(store, question.merchant).await.map_err(failed)?;
    let merchant = merchant.ok_or("the merchant is gone")?;
    let webhook = store.webhook(question.merchant, context.webhook).await.map_err(failed)?;
    let webhook = webhook.ok_or("the webhook that signs is gone")?;
    let entry = store.call(question.call).await.map_err(failed)?;
    let command = entry.map(|entry| entry.command);
    let outgoing = written(question, &context, &webhook.secrets.at(now()), command.as_ref());
    let answer = state.0.guard.send(&outgoing, ANSWER_MAX).await;
    let answer = answer.map_err(|error| format!("{error:?}"))?;
    if !(200..300).contains(&answer.status) {
        return Err(format!("it answered {}", answer.status));
    }
    let answer: HookAnswer = parse(&answer.body).map_err(|problem| problem.detail)?;
    read(state, &view, &merchant, &context, answer).await
}

/// The question, as Standard Webhooks has it.
fn written(
    question: &Question,
    context: &HookContext,
    secrets: &[String],
    command: Option<&CallCommand>,
) -> Outgoing {
    let (at, call) = (now(), question.call);
    let id = format!("evt_{call}_step_{}", question.turn);
    let reference = command.map(|command| command.custom.as_str()).unwrap_or_default();
    let mut body = json!({
        "id": id, "type": "scenario.step", "timestamp": instant(at), "call": call.to_string(),
        "reference": reference, "data": { "step": context.step, "keys": question.keys },
    });
    // Whoever places a call knows whom he has rung; here he learns who has called which of his numbers.
    if let Some(command) = command.filter(|command| command.purpose == Purpose::Inbound) {
        body["data"]["from"] = command.a.as_sent.as_str().into();
        body["data"]["number"] = command.called_as_sent().into();
    }
    let body = body.to_string().into_bytes();
    let signature = webhook_signature(secrets, &id, at.seconds(), &body);
    let headers = vec![
        ("webhook-id", id),
        ("webhook-timestamp", at.seconds().to_string()),
        ("webhook-signature", signature),
        ("content-type", JSON.to_owned()),
    ];
    Outgoing {
        post: true,
        url: context.url.clone(),
        headers,
        body,
        more: Vec::new(),
        patience: None,
    }
}

/// What an answer means: exactly one thing.
async fn read(
    state: &ApiState,
    view: &crate::settings::View,
    merchant: &Arc<Merchant>,
    context: &HookContext,
    answer: HookAnswer,
) -> Result<Told, String> {
    match (answer.next, answer.scenario, answer.hangup) {
        (Some(name), None, false) => match context.places.get(&name) {
            Some(place) => Ok(Told::Next(place.map_or(Next::HangUp, Next::Step))),
            None => Err(format!("there is no step {name:?}")),
        },
        (None, Some(mut scenario), false) => {
            scenario.language.get_or_insert_with(|| context.language.clone());
            let mut wrong = Vec::new();
            let asked = (&scenario, context.confers);
            let compiled = crate::rest::compile(state, view, merchant, asked, &mut wrong).await;
            let compiled = compiled.map_err(|problem| problem.detail)?;
            match (compiled, wrong.first()) {
                (Some(ready), None) => Ok(Told::Scenario(Arc::new(ready.scenario))),
                (_, Some(first)) => Err(format!("{}: {}", first.pointer, first.detail)),
                (None, None) => Err("the scenario cannot be carried out".to_owned()),
            }
        }
        (None, None, true) => Ok(Told::Next(Next::HangUp)),
        _ => Err("it says none of `next`, `scenario` and `hangup`, or several".to_owned()),
    }
}
