//! What all doors share: who is asking, reading a body within bounds, writing an answer.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::{Duration, Instant};

use axum::body::Body;
use axum::extract::Request;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::Response;
use bytes::Bytes;
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use hyper::body::Body as _;
use ipnet::IpNet;

use crate::counters::count;
use crate::state::ApiState;

/// The peer of the TCP connection; the server puts it into each request.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Peer(pub(crate) SocketAddr);

/// Hops of `X-Forwarded-For` looked at.
const HOPS_MAX: usize = 16;

/// The client's address: the connection's, or what a trusted proxy says it is.
pub(crate) fn client_ip(request: &Request, proxies: &[IpNet]) -> IpAddr {
    let peer = request
        .extensions()
        .get::<Peer>()
        .map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |peer| peer.0.ip().to_canonical());
    forwarded(peer, request.headers(), proxies)
}

fn forwarded(peer: IpAddr, headers: &HeaderMap, proxies: &[IpNet]) -> IpAddr {
    let trusted = |ip: &IpAddr| proxies.iter().any(|net| net.contains(ip));
    let mut client = peer;
    let values = headers.get_all("x-forwarded-for");
    let hops = values.iter().filter_map(|value| value.to_str().ok()).flat_map(|v| v.split(','));
    let hops: Vec<&str> = hops.collect();
    for hop in hops.iter().rev().take(HOPS_MAX) {
        if !trusted(&client) {
            break;
        }
        match hop.trim().parse::<IpAddr>() {
            Ok(ip) => client = ip.to_canonical(),
            Err(_) => break,
        }
    }
    client
}

/// True when the list is empty or the address is in it. An entry that cannot be read admits nobody.
pub(crate) fn ip_allowed(ip: IpAddr, list: &[String]) -> bool {
    let covers = |entry: &str| {
        let entry = entry.trim();
        entry.parse::<IpNet>().is_ok_and(|net| net.contains(&ip))
            || entry.parse::<IpAddr>().is_ok_and(|one| one.to_canonical() == ip)
    };
    list.is_empty() || list.iter().any(|entry| covers(entry))
}

/// Takes a token of the client's address.
pub(crate) fn ip_may_ask(state: &ApiState, ip: IpAddr) -> bool {
    let may = state.0.per_ip.take(source(ip), Instant::now());
    if !may {
        count(&state.0.counters.rate_limited);
    }
    may
}

/// What counts as one client: an IPv4 address, or the /64 that IPv6 gives to one subscriber (RFC 6177).
pub(crate) fn source(ip: IpAddr) -> IpAddr {
    match ip.to_canonical() {
        IpAddr::V4(v4) => IpAddr::V4(v4),
        IpAddr::V6(v6) => IpAddr::V6(Ipv6Addr::from(u128::from(v6) >> 64 << 64)),
    }
}

/// Takes a token of the merchant.
pub(crate) fn merchant_may_ask(state: &ApiState, merchant: facts::MerchantId) -> bool {
    let may = state.0.per_merchant.take(merchant, Instant::now());
    if !may {
        count(&state.0.counters.rate_limited);
    }
    may
}

/// Reads a body: refused unread when its announced length is over the limit, cut off when it turns out to
/// be, given up after `patience`.
pub(crate) async fn read_body(
    state: &ApiState,
    headers: &HeaderMap,
    body: Body,
    limit: usize,
    patience: Duration,
) -> Result<Bytes, Response> {
    let announced = headers
        .get(header::CONTENT_LENGTH)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.parse::<u64>().ok());
    if announced.is_some_and(|length| length > limit as u64) {
        count(&state.0.counters.oversize);
        return Err(closing(StatusCode::PAYLOAD_TOO_LARGE, "the body is too large"));
    }
    if body.is_end_stream() {
        return Ok(Bytes::new());
    }
    match tokio::time::timeout(patience, Limited::new(body, limit).collect()).await {
        Ok(Ok(collected)) => Ok(collected.to_bytes()),
        Ok(Err(error)) if error.is::<LengthLimitError>() => {
            count(&state.0.counters.oversize);
            Err(closing(StatusCode::PAYLOAD_TOO_LARGE, "the body is too large"))
        }
        Ok(Err(_)) => Err(closing(StatusCode::BAD_REQUEST, "the body broke off")),
        Err(_) => Err(closing(StatusCode::REQUEST_TIMEOUT, "the body came too slowly")),
    }
}

/// An answer with a body.
pub(crate) fn answer(
    status: StatusCode,
    content_type: &'static str,
    body: impl Into<Body>,
) -> Response {
    let mut response = Response::new(body.into());
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}

/// An answer after which the connection is closed: there may be an unread body on it.
pub(crate) fn closing(status: StatusCode, words: &'static str) -> Response {
    let mut response = answer(status, "text/plain; charset=utf-8", words);
    response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(value: &'static str) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert("x-forwarded-for", HeaderValue::from_static(value));
        headers
    }

    #[test]
    fn only_a_trusted_proxy_may_say_who_asks() {
        let proxies: Vec<IpNet> = vec!["10.0.0.0/8".parse().unwrap()];
        let ip = |text: &str| text.parse::<IpAddr>().unwrap();
        let spoofed = headers("1.1.1.1, 2.2.2.2");
        assert_eq!(forwarded(ip("9.9.9.9"), &spoofed, &proxies), ip("9.9.9.9"));
        assert_eq!(forwarded(ip("10.0.0.1"), &spoofed, &proxies), ip("2.2.2.2"));
        let chain = headers("1.1.1.1, 2.2.2.2, 10.0.0.7");
        assert_eq!(forwarded(ip("10.0.0.1"), &chain, &proxies), ip("2.2.2.2"));
        assert_eq!(forwarded(ip("10.0.0.1"), &headers("x"), &proxies), ip("10.0.0.1"));
    }

    #[test]
    fn a_subscriber_of_ipv6_is_one_client() {
        let ip = |text: &str| text.parse::<IpAddr>().unwrap();
        assert_eq!(source(ip("2001:db8:1:2:3:4:5:6")), ip("2001:db8:1:2::"));
        assert_eq!(source(ip("::ffff:192.0.2.1")), ip("192.0.2.1"));
    }

    #[test]
    fn allow_lists_name_networks_or_addresses() {
        let ip: IpAddr = "192.0.2.7".parse().unwrap();
        for (list, allowed) in [
            (vec![], true),
            (vec!["192.0.2.0/24"], true),
            (vec!["192.0.2.7"], true),
            (vec!["::ffff:192.0.2.7"], true),
            (vec!["192.0.2.8", "10.0.0.0/8"], false),
            (vec!["nonsense"], false),
        ] {
            let list: Vec<String> = list.into_iter().map(String::from).collect();
            assert_eq!(ip_allowed(ip, &list), allowed, "{list:?}");
        }
    }
}
