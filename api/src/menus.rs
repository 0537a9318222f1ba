//! Visits to the pages that say menus (system 003): what a page is asked, and what of its answer is shown.
//!
//! A page that says nothing which could be shown is told of in one line of the log, and the subscriber sees words of the
//! switch's own. Who may visit at a time, and who pays, is the caller's business.

use std::time::{Duration, Instant};

use dialect::inoti::page::{self, Answer};
use facts::ports::FetchError;
use facts::ussd::{Screen, Step};

use crate::payments;
use crate::state::ApiState;

/// Asks the page of a step, and says what is to be seen next, within the time that the code gives its page.
pub async fn visit(state: &ApiState, step: &Step) -> Screen {
    let (code, session) = (step.code.to_string(), step.session);
    match said(state, step).await {
        Ok(screen) => screen,
        Err(why) => {
            let number = step.number;
            tracing::info!(code, %session, number, why, "a menu's page said nothing to show");
            Screen::Unavailable
        }
    }
}

async fn said(state: &ApiState, step: &Step) -> Result<Screen, String> {
    let (store, begun) = (&state.0.store, Instant::now());
    let failed = |error: billing::Error| error.to_string();
    let view = state.0.settings.current(store).await.map_err(failed)?;
    let code = view.ussd_code(store, &step.code).await.map_err(failed)?;
    let code = code.filter(|code| code.merchant == step.merchant).ok_or("the code is gone")?;
    let within = Duration::from_millis(code.page_ms).saturating_sub(begun.elapsed());
    let address = page::address(&code.page, &view.plan, step, code.leading_star);
    let fetched = state.0.guard.get_within(&address, page::ANSWER_MAX, within).await;
    let fetched = fetched.map_err(words)?;
    if fetched.status != 200 {
        return Err(format!("it answered {}", fetched.status));
    }
    let (kind, body) = (fetched.content_type.as_deref(), fetched.body.as_slice());
    if page::is_binary(kind, body) {
        return Err("it answered what is no text".to_owned());
    }
    if page::is_markup(body) {
        let (code, session) = (step.code.to_string(), step.session);
        tracing::warn!(code, %session, "a menu's page answered with markup, which is shown as it is");
    }
    let answer = page::answer(kind, body);
    if let Answer::Menu(text) | Answer::Last(text) = &answer
        && page::is_almost_a_payment(text)
    {
        let (code, session) = (step.code.to_string(), step.session);
        let why = "no 9900|Factor|Price: 1 to 50 letters, digits, - and _; 1 to 12 digits, not 0; nothing else";
        tracing::warn!(code, %session, why, "a menu's page answered with what is shown, and nothing to be paid");
    }
    match answer {
        Answer::Menu(text) => Ok(Screen::Menu(text)),
        Answer::Last(text) => Ok(Screen::Last(text)),
        Answer::Nothing => Err("it answered nothing".to_owned()),
        Answer::Pay { factor, rials } => {
            let asked = payments::asked(state, &view, (step, &code), (factor, rials));
            asked.await.map_err(failed)
        }
    }
}

fn words(why: FetchError) -> String {
    match why {
        FetchError::BadUrl => "it is no address that is visited".to_owned(),
        FetchError::Refused => "its address is barred".to_owned(),
        FetchError::Failed(why) => why,
        FetchError::TimedOut => "it did not answer in time".to_owned(),
        FetchError::TooLarge => "it answered more than is read".to_owned(),
    }
}
