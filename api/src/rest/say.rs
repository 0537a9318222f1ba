//! `POST /v1/codes` and `/v1/notices`: somebody is rung for what is said.

use std::sync::Arc;
use std::time::Duration;

use dialect::rest::{FieldError, NewCode, NewNotice, NewParty, Op, Problem, parse_leniently};
use facts::media::Record;
use facts::scenario::{self, Collect, Next, Scenario, Step};
use facts::sound::{Clip, Say, Spoken};
use facts::{CallCommand, Dialect, Number, Purpose, RequestKey};

use super::place::{app, earlier, heard, key, party, placing, pushes, shown, told};
use super::{Asked, Asker, Code, Reply, ours};
use crate::settings::View;
use crate::state::ApiState;

/// The announcement before a code.
const CODE_IS: &str = "code-is";
/// How often a code is said unless the request says.
const TIMES: u8 = 3;
/// How long a key is waited for when all is said.
const WAIT: Duration = Duration::from_secs(5);

/// What is asked for beside what is said.
struct Wanted<'a> {
    key: Option<RequestKey>,
    to: &'a NewParty,
    purpose: Purpose,
    reference: Option<String>,
}

pub(super) async fn code(state: &ApiState, view: &View, asker: &Asker, asked: &Asked) -> Reply {
    let key = key(asked, Op::PlaceCode)?;
    if let Some(placed) = earlier(state, asker, key.as_ref()).await? {
        return Ok(told(placed));
    }
    let (new, mut wrong) = parse_leniently::<NewCode>(&asked.body)?;
    wrong.extend(new.mistakes());
    let language = new.language.unwrap_or_else(|| asker.merchant.language.clone());
    let parts = vec![Spoken::Prompt(CODE_IS.to_owned()), Spoken::Spelled(new.code)];
    let clip = Clip::Say(Say { language, parts });
    if wrong.is_empty()
        && let Err(words) = state.0.calls.playable(&clip)
    {
        wrong.push(FieldError::new("/language", words));
    }
    let say = scenario::Say::only(vec![clip], new.times.unwrap_or(TIMES));
    let wanted = Wanted { key, to: &new.to, purpose: Purpose::Code, reference: new.reference };
    said(state, (view, asker), wanted, (say, wrong)).await
}

pub(super) async fn notice(state: &ApiState, view: &View, asker: &Asker, asked: &Asked) -> Reply {
    let key = key(asked, Op::PlaceNotice)?;
    if let Some(placed) = earlier(state, asker, key.as_ref()).await? {
        return Ok(told(placed));
    }
    let (new, mut wrong) = parse_leniently::<NewNotice>(&asked.body)?;
    let store = &state.0.store;
    let template = view.template(store, asker.merchant.id, &new.template).await.map_err(ours)?;
    let language = new.language.as_ref().unwrap_or(&asker.merchant.language);
    let clip = match &template {
        None => Err(FieldError::new("/template", "is no template of the merchant's")),
        Some(template) => {
            let said = template.say(language, &new.values).map(Clip::Say);
            said.map_err(|why| FieldError::new("/values", why.to_string())).and_then(|clip| {
                let heard = state.0.calls.playable(&clip);
                heard.map_err(|words| FieldError::new("/values", words)).map(|()| clip)
            })
        }
    };
    let clip = clip.map_err(|error| wrong.push(error)).ok();
    let mut say = scenario::Say::only(Vec::from_iter(clip), new.times.unwrap_or(1));
    if let Some(template) = template.filter(|_| new.keys) {
        say.collect = Some(Collect { max: template.keys, secret: false, next: Next::HangUp });
        say.wait = WAIT;
    }
    let wanted = Wanted { key, to: &new.to, purpose: Purpose::Notice, reference: new.reference };
    said(state, (view, asker), wanted, (say, wrong)).await
}

/// Rings whoever is to hear it.
async fn said(
    state: &ApiState,
    (view, asker): (&View, &Asker),
    wanted: Wanted<'_>,
    (say, mut wrong): (scenario::Say, Vec<FieldError>),
) -> Reply {
    let first = heard(state, view, &asker.merchant, wanted.to, "/to").await.map_err(ours)?;
    let (number, sub_account) = first.unwrap_or_else(|error| {
        wrong.push(error);
        (Number::Internal(String::new()), None)
    });
    let shown = shown(view, asker, wanted.to, "/to", &mut wrong);
    if !wrong.is_empty() {
        return Err(Problem::invalid(wrong));
    }
    let scenario = Scenario::new(vec![Step::Say(say)]).map_err(|fault| {
        tracing::error!(%fault, "rest: what is to be said makes no scenario");
        Problem::new(Code::Internal, "")
    })?;
    let command = CallCommand {
        dialect: Dialect::Rest,
        merchant: asker.merchant.id,
        sub_account,
        app: app(&asker.merchant),
        a: party(number, wanted.to, shown),
        b: None,
        scenario: Some(Arc::new(scenario)),
        conference: None,
        purpose: wanted.purpose,
        max_talk: None,
        record: Record::No,
        key: wanted.key,
        pushes: pushes(wanted.reference.as_deref()),
        custom: wanted.reference.unwrap_or_default(),
    };
    placing(state, command).await
}
