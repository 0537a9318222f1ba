//! `GetPayments` over HTTP (spec §5.4).

use axum::body::Body;
use axum::http::{Request, StatusCode};
use facts::CallId;
use facts::ussd::{Dialled, Door, Step};
use serde_json::{Value, json};

use crate::{Seen, Shop, world};
use tower::ServiceExt as _;

const AT: &str = "/_services/ExternalUssdPay.asmx";

async fn post(shop: &Shop, at: &str, kind: &str, body: String) -> Seen {
    let request = Request::post(at).header("content-type", kind).body(Body::from(body)).unwrap();
    let response = shop.world.router.clone().oneshot(request).await.unwrap();
    let headers = response.headers().clone();
    let (status, body) = world::read(response).await;
    Seen { status, headers, body: String::from_utf8(body).unwrap() }
}

fn envelope(space: &str, fields: &[(&str, &str)]) -> String {
    let fields: String =
        fields.iter().map(|(name, value)| format!("<{name}>{value}</{name}>")).collect();
    format!(
        "<?xml version=\"1.0\" encoding=\"utf-8\"?><soap:Envelope xmlns:soap=\"{space}\"><soap:Body>\
         <GetPayments xmlns=\"http://tempuri.org/\">{fields}</GetPayments></soap:Body></soap:Envelope>"
    )
}

const SOAP_11: &str = "http://schemas.xmlsoap.org/soap/envelope/";
const SOAP_12: &str = "http://www.w3.org/2003/05/soap-envelope";

/// The text of the result, out of whatever it is in.
fn result(seen: &Seen) -> String {
    assert_eq!(seen.status, StatusCode::OK, "{}", seen.body);
    let (_, rest) = seen
        .body
        .split_once("<GetPaymentsResult>")
        .or_else(|| seen.body.split_once("tempuri.org/\">"))
        .unwrap();
    let end = rest.find("</").unwrap();
    rest[..end]
        .replace("&quot;", "\"")
        .replace("&lt;", "<")
        .replace("&gt;", ">")
        .replace("&amp;", "&")
}

async fn ask(shop: &Shop, fields: &[(&str, &str)]) -> String {
    let login = [("Username", "u"), ("Password", "p"), ("CodeName", "123")];
    let rest = login.into_iter().filter(|(name, _)| fields.iter().all(|(known, _)| known != name));
    let all: Vec<(&str, &str)> = rest.chain(fields.iter().copied()).collect();
    result(&post(shop, AT, "text/xml; charset=utf-8", envelope(SOAP_11, &all)).await)
}

async fn invoices(shop: &Shop, fields: &[(&str, &str)]) -> Vec<i64> {
    let told = ask(shop, fields).await;
    let list: Value = serde_json::from_str(&told).unwrap_or_else(|_| panic!("{told}"));
    list.as_array().unwrap().iter().map(|one| one["InotiFactorID"].as_i64().unwrap()).collect()
}

#[tokio::test]
async fn s5_4_every_filter_and_every_word() {
    let shop = Shop::new(json!([{ "name": "try", "kind": "test" }])).await;
    let first = shop.invoice("12", 5000).await;
    let second = shop.invoice("A-13", 6000).await;
    let third = shop.invoice("14", 7000).await;
    for invoice in [&first, &second] {
        shop.pay(invoice).await;
    }
    shop.press(&format!("/pay/{}/cancel", third.token), "").await;
    let paid = shop.now(&first).await;
    let told: Value = serde_json::from_str(&ask(&shop, &[("YourFactorID", "12")]).await).unwrap();
    let when = dialect::inoti::payments::time(paid.closed.unwrap());
    let wanted = json!([{
        "PayID": first.id, "SessionID": first.session.0.to_string(),
        "RefKeyBank": paid.reference.clone().unwrap(), "Mobile": "09123456789", "Price": 5000,
        "Result": "true", "PayDateTime": when, "InotiFactorID": first.id, "YourFactorID": "12",
        "RRN": paid.rrn.clone().unwrap().parse::<u64>().unwrap(),
    }]);
    assert_eq!(told, wanted);
    let both = vec![first.id, second.id];
    assert_eq!(invoices(&shop, &[]).await, both);
    assert_eq!(invoices(&shop, &[("IsAll", "true")]).await, [first.id, second.id, third.id]);
    let all: Value =
        serde_json::from_str(&ask(&shop, &[("IsAll", "1"), ("YourFactorID", "14")]).await).unwrap();
    assert_eq!((&all[0]["Result"], &all[0]["RRN"]), (&json!("false"), &json!(0)));
    let (session, rrn) = (first.session.0.to_string(), paid.rrn.clone().unwrap());
    let (reference, id) = (paid.reference.clone().unwrap(), first.id.to_string());
    for only_first in [
        ("SessionID", session.as_str()),
        ("PriceTo", "5999"),
        ("RefKey", &reference),
        ("iNotiFactorID", &id),
        ("RRN", &rrn),
    ] {
        assert_eq!(invoices(&shop, &[only_first]).await, [first.id], "{only_first:?}");
    }
    assert_eq!(invoices(&shop, &[("PriceFrom", "5001")]).await, [second.id]);
    let day = &when[..10];
    for (field, value, found) in [
        ("DateFrom", day, true),
        ("DateTo", day, true),
        ("DateFrom", "2120-01-01", false),
        ("DateTo", "1398/11/14", false),
        ("Mobile", "09123456789", true),
        ("Mobile", "+98 912 345 6789", true),
        ("Mobile", "09120000000", false),
        ("SessionID", "not a number", false),
        ("CodeName", "*6655*123#", true),
        ("CodeName", "", true),
    ] {
        let wanted = if found { both.clone() } else { Vec::new() };
        assert_eq!(invoices(&shop, &[(field, value)]).await, wanted, "{field} {value}");
    }
    for (field, value, word) in [
        ("NullResult", "nothing & <none>", "nothing & <none>"),
        ("CodeName", "999", "CodeName Error"),
        ("DateFrom", "1398/13/01", "DateFrom Error"),
        ("PriceFrom", "x", "PriceFrom Error"),
        ("iNotiFactorID", "x", "iNotiFactorID Error"),
        ("RRN", "x", "RRN Error"),
        ("YourFactorID", "a b", "YourFactorID Error"),
        ("Password", "wrong", "Username Or Password Error"),
        ("Username", "nobody", "Username Or Password Error"),
    ] {
        let escaped = value.replace('&', "&amp;").replace('<', "&lt;");
        let fields = [(field, escaped.as_str()), ("Mobile", "09120000000")];
        assert_eq!(ask(&shop, &fields).await, word, "{field}");
    }
    let strict = [("Username", "strict"), ("YourFactorID", "A-13")];
    assert_eq!(ask(&shop, &strict).await, "YourFactorID Error");
    // Another merchant's owner sees nothing of it.
    assert_eq!(ask(&shop, &[("Username", "other")]).await, "CodeName Error");
    assert_eq!(ask(&shop, &[("Username", "other"), ("CodeName", "")]).await, "[]");
}

#[tokio::test]
async fn s5_4_tries_are_told_by_their_session_alone_and_in_sandboxes() {
    let shop = Shop::new(json!([{ "name": "try", "kind": "test" }])).await;
    let real = shop.invoice("12", 5000).await;
    shop.step(55, Door::Simulator, "9900|13|6000").await;
    let tried = shop.all().await.pop().unwrap();
    assert!(tried.trial);
    for invoice in [&real, &tried] {
        shop.pay(invoice).await;
    }
    let rrn = shop.now(&tried).await.rrn.unwrap();
    assert_eq!(invoices(&shop, &[]).await, [real.id]);
    for alone in [("YourFactorID", "13"), ("RRN", &rrn), ("IsAll", "true"), ("PriceFrom", "5500")] {
        assert!(!invoices(&shop, &[alone]).await.contains(&tried.id), "{alone:?}");
    }
    assert_eq!(invoices(&shop, &[("SessionID", "55")]).await, [tried.id]);
    let as_pages_do = [("SessionID", "55"), ("YourFactorID", "13"), ("RRN", rrn.as_str())];
    assert_eq!(invoices(&shop, &as_pages_do).await, [tried.id]);
    // A sandbox has nothing else.
    let file = json!({
        "tariffs": [{ "name": "play", "currency": "XTS", "rates": [] }],
        "merchants": [{ "name": "sand", "currency": "XTS", "sandbox": true, "tariff": "play" }],
        "ussd_owners": [{ "username": "sand", "password": "p", "merchant": "sand" }],
        "ussd_codes": [{ "code": "*6655*9#", "merchant": "sand", "page": shop.page.url("/p.php"),
                         "price": "0" }],
    });
    let store = &shop.world.store;
    let changes = store.apply(&serde_json::from_value(file).unwrap(), world::now(), false).await;
    assert_eq!(changes.unwrap().mistakes, []);
    let merchant = store.merchant_by_name("sand").await.unwrap().unwrap().id;
    let step = Step {
        session: CallId(56),
        merchant,
        door: Door::Ims,
        code: Dialled::code("6655*9").unwrap(),
        mobile: "989123456789".into(),
        inputs: Vec::new(),
        number: 1,
    };
    shop.page.answer(200, "9900|14|7000");
    api::menus::visit(&shop.world.state, &step).await;
    let played = shop.all().await.pop().unwrap();
    assert!(played.trial && played.merchant == merchant, "{played:?}");
    shop.pay(&played).await;
    let own = [("Username", "sand"), ("CodeName", "9")];
    assert_eq!(invoices(&shop, &own).await, [played.id]);
}

#[tokio::test]
async fn s5_4_where_the_database_is_away_there_is_no_answer_and_no_empty_list() {
    let shop = Shop::new(json!([{ "name": "try", "kind": "test" }])).await;
    let query = "Username=u&Password=p&CodeName=123";
    let form = format!("{AT}/GetPayments?{query}");
    assert_eq!(result(&shop.get(&form).await), "[]");
    shop.world.store.close().await;
    let fields = [("Username", "u"), ("Password", "p"), ("CodeName", "123")];
    let kind = "text/xml; charset=utf-8";
    for seen in [shop.get(&form).await, post(&shop, AT, kind, envelope(SOAP_11, &fields)).await] {
        assert_eq!(seen.status, StatusCode::SERVICE_UNAVAILABLE, "{}", seen.body);
        assert!(!seen.body.contains("[]"), "{}", seen.body);
    }
}

#[tokio::test]
async fn s5_4_soap_of_both_versions_forms_and_faults() {
    let shop = Shop::new(json!([{ "name": "try", "kind": "test" }])).await;
    let fields = [("Username", "u"), ("Password", "p"), ("CodeName", "123"), ("NullResult", "-")];
    let newer = "application/soap+xml; charset=utf-8; action=\"http://tempuri.org/GetPayments\"";
    for (space, kind) in [(SOAP_11, "text/xml; charset=utf-8"), (SOAP_12, newer), (SOAP_11, "x/y")]
    {
        let seen = post(&shop, AT, kind, envelope(space, &fields)).await;
        assert_eq!(result(&seen), "-");
        assert!(seen.body.contains(space));
        let kind = seen.headers["content-type"].to_str().unwrap();
        assert_eq!(kind.starts_with("application/soap+xml"), space == SOAP_12, "{kind}");
        assert_eq!(seen.headers["cache-control"], "no-store");
        assert!(!seen.headers.contains_key("strict-transport-security"), "both are served");
    }
    let query = "Username=u&Password=p&codename=*6655*123%23&NullResult=a+%2B";
    let form = "application/x-www-form-urlencoded";
    for seen in [
        shop.get(&format!("{AT}/GetPayments?{query}")).await,
        post(&shop, &format!("{AT}/GetPayments"), form, query.to_owned()).await,
        shop.get(&format!("/_SERVICES/externalussdpay.ASMX/getpayments?{query}")).await,
    ] {
        assert_eq!(result(&seen), "a +");
        assert!(seen.body.starts_with(
            "<?xml version=\"1.0\" encoding=\"utf-8\"?>\r\n<string xmlns=\"http://tempuri.org/\">"
        ));
    }
    for (kind, wanted) in [("text/xml", "soap:Client"), (newer, "soap:Sender")] {
        for broken in ["<a>", "", "nothing", "<!DOCTYPE a><a/>"] {
            let seen = post(&shop, AT, kind, broken.to_owned()).await;
            assert_eq!(seen.status, StatusCode::INTERNAL_SERVER_ERROR);
            assert!(seen.body.contains(wanted), "{}", seen.body);
        }
    }
    for query in ["?WSDL", "?wsdl"] {
        let seen = shop.get(&format!("{AT}{query}")).await;
        assert!(
            seen.body.contains("location=\"http://pay.example/_services/ExternalUssdPay.asmx\"")
        );
        assert!(seen.body.contains("<wsdl:definitions"));
    }
    assert!(shop.get(&format!("{AT}?op=GetPayments")).await.body.contains("Service description"));
    for nowhere in [
        "/_services/other.asmx",
        "/services/ExternalUssdPay.asmx",
        "/_services/ExternalUssdPay.asmx/Other",
    ] {
        assert_eq!(shop.get(nowhere).await.status, StatusCode::NOT_FOUND, "{nowhere}");
    }
}

#[tokio::test]
async fn s5_4_the_page_of_help_has_every_word_of_refusal_and_long_lines_wrap() {
    let shop = Shop::new(json!([{ "name": "try", "kind": "test" }])).await;
    let mut said = Vec::new();
    for field in dialect::inoti::payments::FIELDS {
        let word = ask(&shop, &[(field, "?")]).await;
        if word.ends_with(" Error") && !said.contains(&word) {
            said.push(word);
        }
    }
    assert_eq!(said.len(), 10, "{said:?}");
    for (tag, why) in [("en", "digits alone"), ("zh", "只能是数字"), ("fa", "فقط رقم")] {
        let page = shop.get(&format!("{AT}?op=GetPayments&lang={tag}")).await.body;
        for word in &said {
            assert!(page.contains(&format!("<code dir=\"ltr\">{word}</code> – ")), "{tag} {word}");
        }
        assert_eq!(page.matches(" Error</code>").count(), said.len(), "{page}");
        assert!(page.contains(&format!("RRN Error</code> – {why}</li>")), "{page}");
        let (blocks, wraps) = ("<pre ", "white-space:pre-wrap;overflow-wrap:anywhere");
        assert_eq!(page.matches(blocks).count(), 3, "{page}");
        assert!(page.split(blocks).skip(1).all(|block| {
            block.split('>').next().is_some_and(|attributes| attributes.contains(wraps))
        }));
    }
}

#[tokio::test]
async fn s5_4_ten_wrong_passwords_lock_the_name_also_for_the_right_one() {
    let shop = Shop::new(json!([{ "name": "try", "kind": "test" }])).await;
    for _ in 0..10 {
        assert_eq!(ask(&shop, &[("Password", "wrong")]).await, "Username Or Password Error");
    }
    assert_eq!(ask(&shop, &[]).await, "Username Or Password Error", "locked");
    assert_eq!(ask(&shop, &[("Username", "strict")]).await, "[]", "others are not");
}
