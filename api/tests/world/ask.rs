//! Requests of system 001.

use axum::body::Body;
use axum::http::{Request, StatusCode};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use dialect::clock;
use serde_json::Value;

use super::{AUTH_TOKEN, SID, World, md5, now};

/// A request in the making: every part of it can be spoilt.
pub(crate) struct Ask {
    pub(crate) sid: String,
    pub(crate) header_sid: String,
    pub(crate) token: String,
    pub(crate) stamp: String,
    pub(crate) sign_stamp: Option<String>,
    pub(crate) version: &'static str,
    pub(crate) path: &'static str,
    pub(crate) body: String,
    pub(crate) content_type: Option<&'static str>,
    pub(crate) method: &'static str,
    pub(crate) key: Option<&'static str>,
}

pub(crate) fn ask(path: &'static str, body: &Value) -> Ask {
    Ask {
        sid: SID.into(),
        header_sid: SID.into(),
        token: AUTH_TOKEN.into(),
        stamp: clock::compact(now()),
        sign_stamp: None,
        version: "201512",
        path,
        body: body.to_string(),
        content_type: None,
        method: "POST",
        key: None,
    }
}

impl Ask {
    pub(crate) fn of(sid: &str, path: &'static str, body: &Value) -> Ask {
        Ask { sid: sid.into(), header_sid: sid.into(), ..ask(path, body) }
    }

    pub(crate) async fn send(&self, world: &World) -> Value {
        let stamp = self.sign_stamp.as_ref().unwrap_or(&self.stamp);
        let sign = md5(format!("{}{}{stamp}", self.header_sid, self.token)).to_uppercase();
        let auth = STANDARD.encode(format!("{}|{}", self.header_sid, self.stamp));
        let uri = format!("/{}/sid/{}/{}?Sign={sign}", self.version, self.sid, self.path);
        let mut request =
            Request::builder().method(self.method).uri(uri).header("authorization", auth);
        if let Some(content_type) = self.content_type {
            request = request.header("content-type", content_type);
        }
        if let Some(key) = self.key {
            request = request.header("idempotency-key", key);
        }
        let (status, body) = world.send(request.body(Body::from(self.body.clone())).unwrap()).await;
        assert_eq!(status, StatusCode::OK, "{body}");
        serde_json::from_str(&body).unwrap()
    }

    pub(crate) async fn code(&self, world: &World) -> String {
        let answer = self.send(world).await;
        answer["statusCode"].as_str().expect("a string").to_owned()
    }
}
