//! Visits to the pages that say menus (system 003): what a page is asked, and what of its answer is shown.
//!
//! A page that says nothing which could be shown is told of in one line of the log, and the subscriber sees words of the
//! switch's own. Who may visit at a time, and who pays, is the caller's business.

use std::time::{Duration, Instant};

use dialect::inoti::page::{self, Answer};
use facts::ports::FetchError;
use facts::ussd::{Language, Screen, Step, screens};

use crate::payments;
use crate::state::ApiState;

/// What a visit came to.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Seen {
    /// What is to be seen next.
    pub screen: Screen,
    /// What was odd in the answer, in words for whoever made the page.
    pub note: Option<String>,
}

/// Why there is nothing to show.
enum Failed {
    /// The page's own doing.
    Page(String),
    /// Ours: of it the merchant hears no more than that.
    Books(billing::Error),
}

impl From<billing::Error> for Failed {
    fn from(error: billing::Error) -> Failed {
        Failed::Books(error)
    }
}

/// Asks the page of a step, and says what is to be seen next, within the time that the code gives its page.
pub async fn visit(state: &ApiState, step: &Step) -> Seen {
    let (code, session, number) = (step.code.to_string(), step.session, step.number);
    let (why, note) = match said(state, step).await {
        Ok(Said { screen, odd, refused }) => {
            if let Some(why) = refused {
                tracing::warn!(code, %session, number, why, "a menu wants something paid, which cannot be");
            } else if let Some(odd) = odd {
                tracing::warn!(code, %session, number, odd, "a menu's page answered, perhaps not as it was meant to");
            }
            return Seen { screen, note: refused.or(odd).map(str::to_owned) };
        }
        Err(Failed::Page(why)) => (why.clone(), why),
        Err(Failed::Books(error)) => (error.to_string(), "the switch could not ask it now".into()),
    };
    tracing::info!(code, %session, number, why, "a menu's page said nothing to show");
    Seen { screen: Screen::Unavailable, note: Some(note) }
}

/// What a page said.
struct Said {
    screen: Screen,
    /// What was hardly meant to be.
    odd: Option<&'static str>,
    /// Why nothing can be paid.
    refused: Option<&'static str>,
}

async fn said(state: &ApiState, step: &Step) -> Result<Said, Failed> {
    let (store, begun) = (&state.0.store, Instant::now());
    let page = |why: &str| Failed::Page(why.to_owned());
    let view = state.0.settings.current(store).await?;
    let code = view.ussd_code(store, &step.code).await?;
    let code = code.filter(|code| code.merchant == step.merchant);
    let code = code.ok_or_else(|| page("the code is gone"))?;
    let within = Duration::from_millis(code.page_ms).saturating_sub(begun.elapsed());
    let address = page::address(&code.page, &view.plan, step, code.leading_star);
    let fetched = state.0.guard.get_within(&address, page::ANSWER_MAX, within).await;
    let fetched = fetched.map_err(|error| Failed::Page(words(error)))?;
    if fetched.status != 200 {
        return Err(Failed::Page(format!("it answered {}", fetched.status)));
    }
    let (kind, body) = (fetched.content_type.as_deref(), fetched.body.as_slice());
    if page::is_binary(kind, body) {
        return Err(page("it answered what is no text"));
    }
    let answer = page::answer(kind, body);
    let odd = odd(&answer, body, code.language);
    let (screen, refused) = match answer {
        Answer::Menu(text) => (Screen::Menu(text), None),
        Answer::Last(text) => (Screen::Last(text), None),
        Answer::Nothing => return Err(page("it answered nothing")),
        Answer::Pay { factor, rials } => {
            payments::asked(state, &view, (step, &code), (factor, rials)).await?
        }
    };
    Ok(Said { screen, odd, refused })
}

/// What is shown as it is, and was hardly meant to be.
fn odd(answer: &Answer, body: &[u8], language: Language) -> Option<&'static str> {
    let (Answer::Menu(text) | Answer::Last(text)) = answer else { return None };
    let finds = [
        (
            page::is_almost_a_payment(text),
            "no 9900|Factor|Price: 1 to 50 letters, digits, - and _; 1 to 12 digits, not 0; nothing else",
        ),
        (page::is_markup(body), "it answered with markup, which is shown as it is"),
        (page::has_mark_within(text), "[end] ends a session at the end of an answer alone"),
        (screens(text, language).1, "of a text that is longer five screens are shown"),
    ];
    finds.into_iter().find_map(|(odd, words)| odd.then_some(words))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn s5_2_what_was_hardly_meant_to_be_shown_is_told_to_whoever_made_the_page() {
        let read = |text: &str| page::answer(None, text.as_bytes());
        let told = |text: &str| odd(&read(text), text.as_bytes(), Language::En);
        for (text, words) in [
            ("9900 | F1 | 100000", "9900|Factor|Price"),
            ("<p>9900|F1|1000</p>", "9900|Factor|Price"),
            ("9900|F1|1,000", "9900|Factor|Price"),
            ("<b>1-tea</b>", "markup"),
            ("before [END] after", "[end]"),
            (&"word ".repeat(400), "five screens"),
            (&"چای ".repeat(120), "five screens"),
        ] {
            assert!(
                told(text).is_some_and(|told| told.contains(words)),
                "{text}: {:?}",
                told(text)
            );
        }
        // As many as are shown, to the last character, and one more: 73 characters beside the way to the next.
        let whole = "茶".repeat(4 * 73 + 73);
        assert_eq!(told(&whole), None);
        assert!(told(&(whole + "茶")).is_some_and(|told| told.contains("five screens")));
        for text in ["1-tea", "bye[end]", "9900|F1|1000", "99001|a", "a < b", &"word ".repeat(150)]
        {
            assert_eq!(told(text), None, "{text}");
        }
        // The way to the next screen is Persian there, and makes all of it so.
        let text = "word ".repeat(150);
        assert!(odd(&read(&text), text.as_bytes(), Language::Fa).is_some());
    }
}
