//! The pages as HTML: no script, no font and no picture, readable on a telephone and from right to left.

use std::fmt::Write as _;

use pulldown_cmark::{Event, Options, Parser, Tag, TagEnd, html};

use super::words::{ALL, Language};
use super::{DOCUMENTS, SAMPLES, Sample};

const STYLE: &str = "\
:root{color-scheme:light dark;--ink:#1c2430;--dim:#5a6675;--line:#d5dbe3;--paper:#fff;--soft:#f3f5f8;--link:#0b5cad}\
@media(prefers-color-scheme:dark){:root{--ink:#e4e9f0;--dim:#9aa7b7;--line:#39434f;--paper:#14181e;--soft:#1d232b;--link:#7fb8f5}}\
*{box-sizing:border-box}\
body{margin:0 auto;max-width:60rem;padding:1.5rem 1rem 4rem;font:1rem/1.6 system-ui,sans-serif;color:var(--ink);background:var(--paper)}\
a{color:var(--link)}nav{display:flex;gap:1rem;flex-wrap:wrap;color:var(--dim)}\
nav>*{padding:.3rem 0}nav b{font-weight:600}a:focus-visible,pre:focus-visible{outline:3px solid var(--link);outline-offset:2px}\
pre{overflow-x:auto;padding:.8rem 1rem;border:1px solid var(--line);border-radius:.4rem;background:var(--soft);font:.9em/1.5 ui-monospace,monospace;text-align:left}pre code{padding:0;overflow-wrap:normal}\
h1{font-size:1.7rem;line-height:1.25;margin:1rem 0}h2{font-size:1.2rem;margin:2rem 0 .5rem}\
code{font:.9em ui-monospace,monospace;background:var(--soft);padding:.1em .3em;border-radius:.25em;overflow-wrap:anywhere;unicode-bidi:isolate}\
.files{display:flex;flex-wrap:wrap;gap:.6rem;padding:0;margin:.5rem 0 0;list-style:none}\
.files a{display:block;padding:.5rem .9rem;border:1px solid var(--line);border-radius:.4rem;background:var(--soft);text-decoration:none}\
.files small{display:block;color:var(--dim)}\
.wide{overflow-x:auto}table{border-collapse:collapse;margin:1rem 0}\
td code,th code{overflow-wrap:normal}td,th{border:1px solid var(--line);padding:.4rem .6rem;text-align:start;vertical-align:top}th{background:var(--soft)}";

/// The page of samples; `base` is where this switch is.
pub(super) fn index(language: Language, base: &str) -> String {
    let words = language.words();
    let mut body = String::new();
    let _ = write!(body, "<h1>{}</h1><p>{}</p>", words.title, words.about);
    let _ = write!(body, "<p>{} <code dir=\"ltr\">{}</code></p>", words.here, escaped(base));
    for (system, title) in [
        ("000", words.callni),
        ("001", words.ytx),
        ("002", words.sipcall),
        ("003", words.inoti),
        ("v1", words.v1),
    ] {
        let _ = write!(body, "<h2>{title}</h2><ul class=\"files\">");
        for one in SAMPLES.iter().filter(|one| one.system == system) {
            body += &file(one);
        }
        body += "</ul>";
    }
    let _ = write!(body, "<h2>{}</h2><ol>", words.steps_title);
    for step in words.steps {
        let _ = write!(body, "<li>{step}</li>");
    }
    let _ = write!(body, "</ol><h2>{}</h2><ul>", words.documents,);
    for (name, title) in [
        ("http-api", words.interfaces),
        ("sandbox", words.sandbox),
        ("rest-v1", words.rest),
        ("scenarios", words.scenarios),
        ("system-001", words.system_001),
        ("system-002", words.system_002),
        ("system-003", words.system_003),
        ("system-003-payments", words.payments),
        ("system-003-sms", words.messages),
        ("menu-in-five-minutes", words.menu),
    ] {
        let _ = write!(
            body,
            "<li><a href=\"/samples/{name}?lang={}\">{title}</a> (<a href=\"/samples/{name}.md\">{}</a>)</li>",
            language.tag(),
            words.as_text,
        );
    }
    let (tag, phone) = (language.tag(), words.phone);
    let _ = write!(body, "<li><a href=\"/ussd?lang={tag}\">{phone}</a></li></ul>");
    whole(language, words.title, &languages(language, "/samples?lang="), &body)
}

fn file(one: &Sample) -> String {
    format!(
        "<li><a href=\"/samples/{}/{}\" dir=\"ltr\">{}<small>{}</small></a></li>",
        one.system,
        one.name,
        escaped(one.language),
        one.name
    )
}

/// The same page in the other languages; `page`: its address, escaped, up to their tags.
pub(crate) fn languages(now: Language, page: &str) -> String {
    let mut nav = "<nav>".to_owned();
    for one in ALL {
        let (tag, name) = (one.tag(), one.name());
        let _ = if one == now {
            write!(nav, "<b lang=\"{tag}\">{name}</b>")
        } else {
            write!(nav, "<a href=\"{page}{tag}\" lang=\"{tag}\">{name}</a>")
        };
    }
    nav + "</nav>"
}

/// Links to documents that are served lead there, and those to others are words.
fn linked<'d>(event: Event<'d>, dropped: &mut Vec<bool>) -> Option<Event<'d>> {
    match event {
        Event::Start(Tag::Link { link_type, dest_url, title, id }) => {
            let whole = dest_url.trim_start_matches("../");
            let (file, place) = whole.split_at(whole.find('#').unwrap_or(whole.len()));
            let served = DOCUMENTS.iter().find(|(_, known, _)| *known == file);
            let list = file == "samples";
            let here = served.is_some() || list || file.is_empty();
            let elsewhere = !here && !file.contains("://");
            dropped.push(elsewhere);
            let dest_url = match served {
                Some((name, ..)) => format!("{name}{place}").into(),
                None if list => "/samples".into(),
                None => dest_url,
            };
            (!elsewhere).then_some(Event::Start(Tag::Link { link_type, dest_url, title, id }))
        }
        Event::End(TagEnd::Link) => (!dropped.pop().unwrap_or_default()).then_some(event),
        event => Some(event),
    }
}

/// Gives headings the names by which links know them: small letters, hyphens for blanks, nothing else.
fn name_headings(events: &mut [Event<'_>]) {
    let mut name = String::new();
    for event in events.iter_mut().rev() {
        match event {
            Event::End(TagEnd::Heading(_)) => name.clear(),
            Event::Text(text) | Event::Code(text) => name.insert_str(0, text),
            Event::Start(Tag::Heading { id, .. }) => {
                let kept = name.to_lowercase().replace(' ', "-");
                let kept = kept.chars().filter(|c| c.is_alphanumeric() || matches!(c, '-' | '_'));
                *id = Some(kept.collect::<String>().into());
            }
            _ => {}
        }
    }
}

/// A document of ours, in English, for a reader of any language.
pub(super) fn document(reader: Language, title: &str, markdown: &str) -> String {
    let mut rendered = String::new();
    let mut dropped = Vec::new();
    let mut events: Vec<Event<'_>> = Parser::new_ext(markdown, Options::ENABLE_TABLES).collect();
    name_headings(&mut events);
    let events = events.into_iter().filter_map(|event| linked(event, &mut dropped));
    html::push_html(&mut rendered, events);
    // A wide table scrolls by itself.
    let rendered = rendered
        .replace("<table>", "<div class=\"wide\"><table>")
        .replace("</table>", "</table></div>");
    let back = format!(
        "<nav><a href=\"/samples?lang={tag}\" lang=\"{tag}\" dir=\"{}\">{}</a></nav>",
        reader.direction(),
        reader.words().back,
        tag = reader.tag(),
    );
    whole(Language::English, title, &back, &rendered)
}

/// A page, `nav` above it.
pub(crate) fn whole(language: Language, title: &str, nav: &str, body: &str) -> String {
    format!(
        "<!doctype html><html lang=\"{}\" dir=\"{}\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\"><title>{title}</title>\
         <style>{STYLE}</style></head><body>{nav}<main>{body}</main></body></html>\n",
        language.tag(),
        language.direction(),
    )
}

/// A text between tags, or in quotes.
pub(crate) fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}
