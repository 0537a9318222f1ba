//! `App.Sip_Cdr.GetRecodeFile`: recordings at addresses that are good for a while, and at `/{recordfilename}` for the networks that a
//! company has named.

use std::net::IpAddr;

use axum::extract::{Path, Request, State};
use axum::http::request::Parts;
use axum::http::{Method, StatusCode};
use axum::response::Response;
use billing::rows::Company;
use dialect::sipcall::{Answer, Code, Recode, Stop};
use facts::media::RecordedFile;
use facts::{CallId, Dialect, UnixMillis};
use hmac::{Hmac, Mac as _};
use sha2::Sha256;

use super::{Asker, ours};
use crate::door::{answer, client_ip, ip_may_ask};
use crate::recordings;
use crate::state::{ApiState, now};

/// Tells an address of a recording that is good until then.
pub(super) async fn told(
    state: &ApiState,
    asker: &Asker,
    Recode(name): Recode,
) -> Result<Answer, Stop> {
    let company = asker.company.as_ref();
    let kept = find(state, &name).await.map_err(ours)?;
    let own = kept.filter(|kept| kept.company == company.companycode).ok_or(Code::NoFile)?;
    if !recordings::is_there(state, &own.file).await {
        return Err(Code::NoFile.into());
    }
    let until = now() + Recode::LIFE;
    let base = match &state.0.config.public_url {
        Some(url) => url.trim_end_matches('/').to_owned(),
        None => own.base,
    };
    let address =
        format!("{base}/download/{}/{}/{name}", until.seconds(), mark(company, &name, until));
    Ok(Recode::answer(address, until, asker.lang()))
}

/// A recording that is on record.
struct Kept {
    company: String,
    /// Path below the folder of recordings.
    file: String,
    /// Scheme, host and port of where recordings are had.
    base: String,
}

/// The recording of a name, which begins with the number of its call.
async fn find(state: &ApiState, name: &str) -> billing::Result<Option<Kept>> {
    let digits = name.split('_').next().unwrap_or_default();
    let Ok(call) = digits.parse::<CallId>() else { return Ok(None) };
    let entry = state.0.store.call(call).await?;
    let Some(record) = entry.and_then(|entry| entry.record) else { return Ok(None) };
    let command = &record.facts.command;
    if command.dialect != Dialect::Sipcall {
        return Ok(None);
    }
    let named = |file: &&RecordedFile| file.file.rsplit('/').next() == Some(name);
    let files = record.facts.recording.iter().flat_map(RecordedFile::all);
    let Some(file) = files.into_iter().find(named) else { return Ok(None) };
    let url = record.recording_url.as_deref().unwrap_or_default();
    let base = url.split('/').take(3).collect::<Vec<_>>().join("/");
    Ok(Some(Kept { company: command.app.clone(), file: file.file.clone(), base }))
}

/// What nobody makes who has not the company's key: an address ends with its time, and with that key.
fn mark(company: &Company, name: &str, until: UnixMillis) -> String {
    hex::encode(mac(company, name, until).finalize().into_bytes())[..32].to_owned()
}

fn mac(company: &Company, name: &str, until: UnixMillis) -> Hmac<Sha256> {
    let key = company.accesskey.as_bytes();
    // HMAC takes keys of any length; an empty one stands in for the error that cannot be.
    let mut mac = Hmac::<Sha256>::new_from_slice(key)
        .unwrap_or_else(|_| Hmac::<Sha256>::new(&Default::default()));
    mac.update(format!("recording:{}:{}:{name}", company.companycode, until.seconds()).as_bytes());
    mac
}

fn missing() -> Response {
    answer(StatusCode::NOT_FOUND, "text/plain; charset=utf-8", "no such recording\n")
}

/// `GET /download/{until}/{mark}/{file}`.
pub(super) async fn download(
    State(state): State<ApiState>,
    Path((until, shown, name)): Path<(i64, String, String)>,
    request: Request,
) -> Response {
    let ip = client_ip(&request, &state.0.config.trusted_proxies);
    let (asked, _) = request.into_parts();
    let until = UnixMillis(until.saturating_mul(1_000));
    let good = |asker: &Asker, _: IpAddr| {
        let shown = hex::decode(&shown).unwrap_or_default();
        let mac = mac(&asker.company, &name, until);
        now() < until && shown.len() == 16 && mac.verify_truncated_left(&shown).is_ok()
    };
    give(&state, &name, (&asked, ip), good).await
}

/// `GET /{recordfilename}`.
pub(super) async fn direct(
    State(state): State<ApiState>,
    Path(name): Path<String>,
    request: Request,
) -> Response {
    let ip = client_ip(&request, &state.0.config.trusted_proxies);
    let (asked, _) = request.into_parts();
    // The company's networks, and the merchant's as well.
    let good =
        |asker: &Asker, ip: IpAddr| !asker.company.allowed_ips.is_empty() && asker.from(ip).is_ok();
    give(&state, &name, (&asked, ip), good).await
}

/// The recording, where its company may do business and what is shown is good.
async fn give(
    state: &ApiState,
    name: &str,
    (asked, ip): (&Parts, IpAddr),
    good: impl Fn(&Asker, IpAddr) -> bool + Send + Sync,
) -> Response {
    if asked.method != Method::GET && asked.method != Method::HEAD {
        return answer(StatusCode::NOT_FOUND, "text/plain; charset=utf-8", "not found\n");
    }
    if !ip_may_ask(state, ip) {
        return answer(
            StatusCode::TOO_MANY_REQUESTS,
            "text/plain; charset=utf-8",
            "too many requests\n",
        );
    }
    match kept(state, name).await {
        Ok(Some((kept, asker))) if asker.authorized().is_ok() && good(&asker, ip) => {
            recordings::file(state, &kept.file, &asked.headers).await
        }
        Ok(_) => missing(),
        Err(error) => {
            tracing::warn!(%error, "system 002: a recording was not looked for");
            answer(StatusCode::SERVICE_UNAVAILABLE, "text/plain; charset=utf-8", "try again\n")
        }
    }
}

async fn kept(state: &ApiState, name: &str) -> billing::Result<Option<(Kept, Asker)>> {
    let Some(kept) = find(state, name).await? else { return Ok(None) };
    let store = &state.0.store;
    let view = state.0.settings.current(store).await?;
    let Some(company) = view.company(store, &kept.company).await? else { return Ok(None) };
    let merchant = view.merchant(store, company.merchant).await?;
    Ok(merchant.map(|merchant| (kept, Asker { company, merchant })))
}
