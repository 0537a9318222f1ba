//! A client of `/v1`.

use axum::body::Body;
use axum::http::{HeaderMap, Request, StatusCode};
use dialect::rest::Scope;
use facts::CallId;
use serde_json::{Value, json};
use tower::ServiceExt as _;

use super::{World, read};

/// A merchant's system: a key, and what comes back.
pub(crate) struct Client<'w> {
    pub(crate) world: &'w World,
    pub(crate) key: String,
}

/// What came back.
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or(Value::Null)
    }

    /// The code of a problem, which is one in every respect.
    pub(crate) fn problem(&self) -> String {
        let value = self.json();
        let text = String::from_utf8_lossy(&self.body);
        assert_eq!(self.headers["content-type"], "application/problem+json", "{text}");
        assert_eq!(value["status"], self.status.as_u16(), "{text}");
        assert!(value["title"].is_string() && value["type"].is_string(), "{text}");
        value["code"].as_str().unwrap().to_owned()
    }

    /// Where a request is wrong.
    pub(crate) fn pointers(&self) -> Vec<String> {
        let code = self.problem();
        assert!(matches!(code.as_str(), "invalid" | "number_unreachable"), "{code}");
        let errors = self.json()["errors"].as_array().cloned().unwrap();
        errors.iter().map(|error| error["pointer"].as_str().unwrap().to_owned()).collect()
    }
}

pub(crate) async fn send(world: &World, request: Request<Body>) -> Answer {
    let response = world.router.clone().oneshot(request).await.unwrap();
    let headers = response.headers().clone();
    let (status, body) = read(response).await;
    Answer { status, headers, body }
}

impl Client<'_> {
    pub(crate) async fn ask(&self, method: &str, path: &str, body: Option<Value>) -> Answer {
        self.ask_with(method, path, body, &[]).await
    }

    pub(crate) async fn ask_with(
        &self,
        method: &str,
        path: &str,
        body: Option<Value>,
        headers: &[(&str, &str)],
    ) -> Answer {
        let mut request = Request::builder()
            .method(method)
            .uri(format!("/v1{path}"))
            .header("accept", "application/json")
            .header("authorization", format!("Bearer {}", self.key));
        if body.is_some() {
            request = request.header("content-type", "application/json");
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let body = body.map_or_else(Body::empty, |body| Body::from(body.to_string()));
        send(self.world, request.body(body).unwrap()).await
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.ask("GET", path, None).await
    }

    /// Places a call; its id.
    pub(crate) async fn place(&self, body: Value) -> CallId {
        let answer = self.ask("POST", "/calls", Some(body)).await;
        let text = String::from_utf8_lossy(&answer.body);
        assert_eq!(answer.status, StatusCode::CREATED, "{text}");
        answer.json()["id"].as_str().unwrap().parse().unwrap()
    }
}

pub(crate) fn all_scopes() -> Vec<&'static str> {
    Scope::ALL.iter().map(|scope| scope.word()).collect()
}

/// A key by the operator's hand; its row too.
pub(crate) async fn make(world: &World, merchant: &str, more: Value) -> (String, Value) {
    let mut asked = json!({ "merchant": merchant, "name": "crm", "scopes": all_scopes() });
    for (field, given) in more.as_object().unwrap() {
        asked[field] = given.clone();
    }
    let (status, made) = world.admin("POST", "/api-keys", Some(asked)).await;
    assert_eq!(status, StatusCode::CREATED, "{made}");
    (made["key"].as_str().unwrap().to_owned(), made)
}

pub(crate) async fn client<'w>(world: &'w World, merchant: &str) -> Client<'w> {
    let (key, _) = make(world, merchant, json!({ "caller_ids": ["01053180002"] })).await;
    Client { world, key }
}
