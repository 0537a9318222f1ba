//! What merchants read and take away before they have an account.

#![allow(clippy::unwrap_used, reason = "a test may fail where it stands")]
#![allow(dead_code, reason = "the world serves other files as well")]

mod world;

use axum::body::Body;
use axum::http::{HeaderMap, Request, StatusCode, header};
use tower::ServiceExt as _;
use world::{World, read};

/// A page as a browser with these wishes gets it from the merchants' door.
async fn get(
    world: &World,
    path: &str,
    headers: &[(&str, &str)],
) -> (StatusCode, HeaderMap, String) {
    let mut request = Request::get(path).header("host", "switch.example:8080");
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let request = request.body(Body::empty()).unwrap();
    let response = world.merchants.clone().oneshot(request).await.unwrap();
    let headers = response.headers().clone();
    let (status, body) = read(response).await;
    (status, headers, String::from_utf8(body).unwrap())
}

#[tokio::test]
async fn the_page_speaks_the_reader_s_language_and_leads_to_every_sample() {
    let world = World::new().await;
    for (wish, tag, direction, words) in [
        ("zh-CN,zh;q=0.9,en;q=0.8", "zh", "ltr", "商户示例程序"),
        ("de,en;q=0.5", "en", "ltr", "Samples for merchants"),
        ("fa-IR", "fa", "rtl", "برنامه‌های نمونه"),
    ] {
        let (status, headers, page) = get(&world, "/samples", &[("accept-language", wish)]).await;
        assert_eq!(status, StatusCode::OK);
        assert_eq!(headers[header::CONTENT_LANGUAGE], tag);
        assert!(page.contains(&format!("<html lang=\"{tag}\" dir=\"{direction}\">")), "{page}");
        assert!(page.contains(words) && page.contains("width=device-width"), "{page}");
        assert!(page.contains("http://switch.example:8080"), "where it is: {page}");
        assert!(!page.contains("<script"));
        let links: Vec<&str> =
            page.split("href=\"").skip(1).map(|s| s.split('"').next().unwrap()).collect();
        assert_eq!(links.iter().filter(|link| link.starts_with("/samples/0")).count(), 20);
        for link in links {
            let (status, _, body) = get(&world, link, &[]).await;
            assert!(status == StatusCode::OK && !body.is_empty(), "{link}");
        }
    }
}

/// Every file of the folder is served, as it is but for the address.
#[tokio::test]
async fn a_sample_is_the_file_with_this_switch_s_address_in_it() {
    let world = World::new().await;
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../samples");
    let mut seen = 0;
    for system in ["000", "001", "002", "003"] {
        for entry in std::fs::read_dir(folder.join(system)).unwrap() {
            let entry = entry.unwrap();
            let name = entry.file_name().into_string().unwrap();
            let text = std::fs::read_to_string(entry.path()).unwrap();
            let (status, headers, body) =
                get(&world, &format!("/samples/{system}/{name}"), &[]).await;
            assert_eq!(status, StatusCode::OK, "{name}");
            assert_eq!(body, text.replace("http://127.0.0.1:8080", "http://switch.example:8080"));
            assert_ne!(body, text, "{name} has the place");
            assert_eq!(
                headers[header::CONTENT_DISPOSITION],
                format!("attachment; filename=\"{name}\"")
            );
            assert_eq!(headers[header::CONTENT_TYPE], "text/plain; charset=utf-8");
            seen += 1;
        }
    }
    assert_eq!(seen, 20);
    for nothing in
        ["/samples/000/none.py", "/samples/000/..%2f..%2fCargo.toml", "/samples/003/call.py"]
    {
        assert_eq!(get(&world, nothing, &[]).await.0, StatusCode::NOT_FOUND, "{nothing}");
    }
}

/// A host is written into programs that people run.
#[tokio::test]
async fn a_host_that_is_none_is_not_written_into_programs() {
    let world = World::new().await;
    for host in ["x\"; import os #", "a/b", "a<b>", ""] {
        let request = Request::get("/samples/000/call.py").header("host", host);
        let response =
            world.merchants.clone().oneshot(request.body(Body::empty()).unwrap()).await.unwrap();
        let body = String::from_utf8(read(response).await.1).unwrap();
        assert!(body.contains("\"http://127.0.0.1:8080\""), "{host}: {body}");
    }
    let public =
        |config| api::ApiConfig { public_url: Some("https://call.example/".into()), ..config };
    let world = World::with(public).await;
    let (_, _, body) = get(&world, "/samples/000/call.py", &[]).await;
    assert!(body.contains("\"https://call.example\""), "{body}");
}

#[tokio::test]
async fn the_interfaces_are_there_to_read_without_the_operator_s_part() {
    let world = World::new().await;
    let (_, headers, text) = get(&world, "/samples/http-api.md", &[]).await;
    assert_eq!(headers[header::CONTENT_TYPE], "text/markdown; charset=utf-8");
    let (_, _, page) = get(&world, "/samples/http-api?lang=fa", &[]).await;
    for (words, in_text) in
        [("callback_result", true), ("biz_callback", true), ("POST /top-ups", false)]
    {
        assert_eq!(text.contains(words), in_text, "{words}");
        assert_eq!(page.contains(words), in_text, "{words}");
    }
    assert!(page.contains("<table>") && page.contains("<h2 id=\"system-000"), "{page}");
    let mut places = 0;
    let documents = [
        "http-api",
        "sandbox",
        "rest-v1",
        "scenarios",
        "system-001",
        "system-002",
        "system-003",
        "system-003-payments",
        "system-003-sms",
        "menu-in-five-minutes",
    ];
    for document in documents {
        let (_, _, page) = get(&world, &format!("/samples/{document}"), &[]).await;
        assert!(page.contains("<h1 id=\""), "{document}");
        for link in page.split("href=\"").skip(1).map(|rest| rest.split('"').next().unwrap()) {
            if let Some(place) = link.strip_prefix('#') {
                assert!(page.contains(&format!("id=\"{place}\"")), "{document}: {link}");
                continue;
            }
            let inside =
                if link.starts_with('/') { link.to_owned() } else { format!("/samples/{link}") };
            let (path, place) = inside.split_once('#').unwrap_or((&inside, ""));
            // The Markdown itself is only linked to as such, from the list of all documents.
            assert!(link.starts_with("http") || !path.ends_with(".md"), "{document}: {link}");
            let (status, _, there) = get(&world, path, &[]).await;
            assert!(link.starts_with("http") || status == StatusCode::OK, "{document}: {link}");
            let known = place.is_empty() || there.contains(&format!("id=\"{place}\""));
            assert!(link.starts_with("http") || known, "{document}: {link}");
            places += usize::from(!place.is_empty());
        }
    }
    assert!(places > 0, "no document links into another");
    assert_eq!(get(&world, "/samples/none.md", &[]).await.0, StatusCode::NOT_FOUND);
    assert!(page.contains("dir=\"rtl\">بازگشت"), "back to one's own language: {page}");
}
