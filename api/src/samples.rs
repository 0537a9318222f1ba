//! `GET /samples`: programs that merchants begin with, and what the interfaces are, to read and to take away. All of it is in
//! the binary; addresses of this switch are filled in.

mod page;
mod words;

use axum::Router;
use axum::extract::{Path, Query, Request, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::Response;
use axum::routing::get;
use serde::Deserialize;

use crate::door::{answer, client_ip, ip_may_ask};
use crate::state::ApiState;
pub(crate) use page::{escaped, languages, whole};
pub(crate) use words::{ALL as LANGUAGES, Language};

/// What stands for this switch in the files.
const HERE: &str = "http://127.0.0.1:8080";
/// Longest host that is believed.
const HOST_MAX: usize = 255;

/// A program of one system.
pub(crate) struct Sample {
    system: &'static str,
    name: &'static str,
    /// As people call it.
    language: &'static str,
    text: &'static str,
}

macro_rules! samples {
    ($($system:literal: $($language:literal $name:literal),+;)+) => {
        &[$($(Sample {
            system: $system,
            name: $name,
            language: $language,
            text: include_str!(concat!("../../samples/", $system, "/", $name)),
        }),+),+]
    };
}

/// In the order in which they are listed.
pub(crate) const SAMPLES: &[Sample] = samples! {
    "000": "C#" "Call.cs", "PHP" "call.php", "Python" "call.py", "Java" "Call.java", "Go" "call.go";
    "001": "C#" "Call.cs", "PHP" "call.php", "Python" "call.py", "Java" "Call.java", "Go" "call.go";
    "002": "C#" "Call.cs", "PHP" "call.php", "Python" "call.py", "Java" "Call.java", "Go" "call.go";
    "003": "C#" "Menu.cs", "PHP" "menu.php", "Python" "menu.py", "Java" "Menu.java", "Go" "menu.go";
    "v1": "C#" "Call.cs", "PHP" "call.php", "Python" "call.py", "Java" "Call.java", "Go" "call.go";
};

/// Documents for merchants: name, file as others link to it, text.
pub(crate) const DOCUMENTS: &[(&str, &str, &str)] = &[
    ("http-api", "http-api.md", include_str!("../../docs/http-api.md")),
    ("sandbox", "sandbox.md", include_str!("../../docs/sandbox.md")),
    ("rest-v1", "rest-v1.md", include_str!("../../docs/rest-v1.md")),
    ("scenarios", "scenarios.md", include_str!("../../docs/scenarios.md")),
    ("system-001", "merchants/001.md", include_str!("../../docs/merchants/001.md")),
    ("system-002", "merchants/002.md", include_str!("../../docs/merchants/002.md")),
    (
        "menu-in-five-minutes",
        "menu-in-five-minutes.md",
        include_str!("../../docs/menu-in-five-minutes.md"),
    ),
    ("system-003", "merchants/003.md", include_str!("../../docs/merchants/003.md")),
    (
        "system-003-payments",
        "merchants/003-payments.md",
        include_str!("../../docs/merchants/003-payments.md"),
    ),
    ("system-003-sms", "merchants/003-sms.md", include_str!("../../docs/merchants/003-sms.md")),
];
/// Where in one of them the operator's part begins, which is none of the merchants' business.
const OPERATOR: &str = "\n## Operator";

pub(crate) fn routes() -> Router<ApiState> {
    Router::new()
        .route("/samples", get(index))
        .route("/samples/", get(index))
        .route("/samples/{document}", get(document))
        .route("/samples/{system}/{name}", get(sample))
}

#[derive(Deserialize)]
struct Asked {
    lang: Option<String>,
}

async fn index(
    State(state): State<ApiState>,
    Query(asked): Query<Asked>,
    request: Request,
) -> Response {
    guarded(&state, &request, || {
        let language = Language::chosen(asked.lang.as_deref(), request.headers());
        html(language, page::index(language, &base(&state, request.headers())))
    })
}

/// As a page, and with `.md` behind its name as it was written.
async fn document(
    State(state): State<ApiState>,
    Path(file): Path<String>,
    Query(asked): Query<Asked>,
    request: Request,
) -> Response {
    guarded(&state, &request, || {
        let language = Language::chosen(asked.lang.as_deref(), request.headers());
        let name = file.strip_suffix(".md").unwrap_or(&file);
        let Some((name, _, text)) = DOCUMENTS.iter().find(|(known, ..)| *known == name) else {
            return answer(
                StatusCode::NOT_FOUND,
                "text/plain; charset=utf-8",
                "no such document\n",
            );
        };
        let text = for_merchants(text);
        if file.ends_with(".md") {
            return answer(StatusCode::OK, "text/markdown; charset=utf-8", text);
        }
        html(Language::English, page::document(language, name, text))
    })
}

async fn sample(
    State(state): State<ApiState>,
    Path((system, name)): Path<(String, String)>,
    request: Request,
) -> Response {
    guarded(&state, &request, || {
        let found = SAMPLES.iter().find(|one| one.system == system && one.name == name);
        let Some(found) = found else {
            return answer(StatusCode::NOT_FOUND, "text/plain; charset=utf-8", "no such sample\n");
        };
        let text = found.text.replace(HERE, &base(&state, request.headers()));
        let mut response = answer(StatusCode::OK, "text/plain; charset=utf-8", text);
        let name = format!("attachment; filename=\"{}\"", found.name);
        if let Ok(value) = HeaderValue::from_str(&name) {
            response.headers_mut().insert(header::CONTENT_DISPOSITION, value);
        }
        response
    })
}

/// Everybody may read, no faster than anything else here.
fn guarded(state: &ApiState, request: &Request, write: impl FnOnce() -> Response) -> Response {
    if ip_may_ask(state, client_ip(request, &state.0.config.trusted_proxies)) {
        write()
    } else {
        answer(StatusCode::TOO_MANY_REQUESTS, "text/plain; charset=utf-8", "too many requests\n")
    }
}

/// A page of ours that has nothing from elsewhere and runs nothing.
pub(crate) fn html(language: Language, page: String) -> Response {
    let mut response = answer(StatusCode::OK, "text/html; charset=utf-8", page);
    let headers = response.headers_mut();
    let policy = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; \
         frame-ancestors 'none'";
    headers.insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(policy));
    headers.insert(header::CONTENT_LANGUAGE, HeaderValue::from_static(language.tag()));
    headers.insert(header::VARY, HeaderValue::from_static("Accept-Language, Host"));
    response
}

/// What merchants need of a document.
fn for_merchants(text: &'static str) -> &'static str {
    text.split(OPERATOR).next().unwrap_or_default()
}

/// Where merchants reach this switch: as it is configured, else as whoever asks has reached it.
pub(crate) fn base(state: &ApiState, headers: &HeaderMap) -> String {
    if let Some(url) = &state.0.config.public_url {
        return url.trim_end_matches('/').to_owned();
    }
    let host = headers.get(header::HOST).and_then(|value| value.to_str().ok()).unwrap_or_default();
    // It is written into programs: nothing but what a host is made of.
    let may = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | ':' | '[' | ']');
    if host.is_empty() || host.len() > HOST_MAX || !host.chars().all(may) {
        return HERE.to_owned();
    }
    format!("http://{host}")
}
