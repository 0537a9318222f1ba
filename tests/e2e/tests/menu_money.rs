//! Money and messages of system 003 that are no try (spec §5.3, §5.5), on the program itself: subscribers come by the IMS,
//! messages leave to a gateway by HTTP, whose hook tells receipts and what came in, and invoices are paid where money
//! does not move, and where it does.

use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};

use e2e::baresip::{Account, Baresip};
use e2e::country::{USER, Wish, operator};
use e2e::merchant::{Merchant, http, try_http};
use e2e::sipp::Sipp;
use e2e::stripe::{PAGE, Stripe, intent};
use e2e::tandem::{Setup, Tandem};
use e2e::ussd::{CODE, PUBLIC, Tries, pay};
use e2e::zarinpal::Zarinpal;
use e2e::{ims, ports, sound, wait};
use serde_json::{Value, json};

/// Whoever dials, as the IMS, pages and the gateway for messages write him.
const CALLER: &str = "+989123456789";
const MOBILE: &str = "09123456789";
const RECIPIENT: &str = "989123456789";
const SECRET: &str = "secret-of-the-gate";
const TOKEN: &str = "0123456789abcdef";
const FORM: (&str, &str) = ("Content-Type", "application/x-www-form-urlencoded");
/// What the page answers when it is told of a payment, and what the subscriber is sent of it.
const THANKS: (&str, &str) = ("سفارش شما ثبت شد [end]", "سفارش شما ثبت شد");

/// A switch with a menu, its merchant's page, and the gateway that takes messages: the first of them it calls `g1`.
struct Shop {
    tandem: Tandem,
    page: Merchant,
    gateway: Merchant,
    tries: Tries,
    dialled: u32,
}

impl Shop {
    fn open(folder: &Path, more: &str) -> Shop {
        let taken = AtomicUsize::new(0);
        let gateway = Merchant::by(move |_| {
            let nth = taken.fetch_add(1, Ordering::SeqCst) + 1;
            (200, format!("{{\"id\":\"g{nth}\"}}"))
        });
        let page = Merchant::start();
        let more = format!(
            r#"
[[ussd_codes]]
code = "{CODE}"
merchant = "{USER}"
page = "{page}"
price = "0.5"
sms_receipt = true
[sms]
ways = ["http"]
url = "{gateway}"
sender = "3000"
body = '{{"to":"{{to}}","from":"{{from}}","text":"{{text}}"}}'
reference = "/id"
[[sms_hooks]]
name = "gate"
secret = "{SECRET}"
{more}"#,
            page = page.url("/menu"),
            gateway = gateway.url("/send"),
        );
        let wish = Wish { more, ..Wish::default() };
        let operator = operator(&wish, ports::one(), ports::one()).replace(
            "name = \"carrier-a\"\n",
            "name = \"carrier-a\"\noptions = { menus = true }\n",
        );
        let settings = vec![format!("http.public_url={PUBLIC}")];
        let tandem = Tandem::start(folder, &Setup { settings, operator });
        let tries = Tries::of(&tandem);
        Shop { tandem, page, gateway, tries, dialled: 0 }
    }

    /// A subscriber dials; the page has something paid; he sees that he is sent a link, and the session is over. The
    /// path of the invoice, as it stands in the message, and the session as pages are told it.
    fn orders(&mut self, factor: u32, amount: &str) -> (String, u64) {
        let before = self.texts().len();
        let rials: String = amount.chars().filter_map(digit).collect();
        self.page.answer_next_at("/menu", &[(200, &format!("9900|{factor}|{rials}"))]);
        self.dialled += 1;
        let screen = format!("لینک پرداخت {amount} ریال برای شما پیامک شد");
        let (port, old) = (self.tandem.sip.port(), self.dialled.is_multiple_of(2));
        let dialogue = ims::dialogue(port, old, CALLER, &[(&screen, false)]);
        let name = format!("dial-{}", self.dialled);
        let mut phone = Sipp::start(self.tandem.folder(), &name, &dialogue, 1);
        assert!(phone.finish().success(), "{}", phone.messages());
        let listed = self.tries.ask("GET", "/v1/ussd/sessions?limit=500", &Value::Null);
        let last = listed["items"].as_array().and_then(|all| all.last()).expect("a session");
        assert_eq!((&last["door"], &last["price_micros"]), (&json!("ims"), &json!(500_000)));
        let session: u64 = last["id"].as_str().expect("an id").parse().expect("digits");
        let asked = self.page.received("/menu").pop().expect("a visit");
        assert_eq!(
            asked.target,
            format!("/menu?mobile={MOBILE}&sessionid={session}&call=*6655*123")
        );
        let sent = self.gateway.wait_for("/send", before + 1).remove(before).body;
        let told: Value = serde_json::from_str(&sent).expect("JSON");
        let text = told["text"].as_str().expect("a text");
        let path = text.split_once(PUBLIC).unwrap_or_else(|| panic!("no link: {text}")).1;
        let token = path.strip_prefix("/pay/").expect("a link to an invoice");
        assert!(token.len() == 32 && token.bytes().all(|b| b.is_ascii_hexdigit()), "{token}");
        let wanted = format!("پرداخت {amount} ریال\nفاکتور {factor}\n{PUBLIC}{path}");
        assert_eq!(sent, message(RECIPIENT, &wanted));
        wait::until("the link to be noted as sent", || {
            (self.messages().last()?["state"] == "sent").then_some(())
        });
        (path.to_owned(), session)
    }

    /// What the gateway was given, in order.
    fn texts(&self) -> Vec<String> {
        self.gateway.received("/send").into_iter().map(|one| one.body).collect()
    }

    /// All messages, once each of them stands so.
    fn noted(&self, state: &str) -> Vec<Value> {
        wait::until(&format!("all messages to be {state}"), || {
            let rows = self.messages();
            rows.iter().all(|row| row["state"] == *state).then_some(rows)
        })
    }

    fn messages(&self) -> Vec<Value> {
        self.tandem.admin("GET", "/admin/v1/sms")["items"].as_array().expect("a list").clone()
    }

    /// A page of the invoice, and what is pressed there.
    fn browser(&self, method: &str, path: &str, form: &str) -> (u16, String) {
        http(self.tandem.http, method, path, &[FORM], form)
    }

    /// Somebody presses *Pay*: where he is sent names the way, behind the gateway's `page`.
    fn starts(&self, path: &str, gateway: &str, page: &str) -> String {
        let form = format!("gateway={gateway}");
        assert_eq!(self.browser("POST", &format!("{path}/start"), &form).0, 303);
        let (_, going) = self.browser("GET", &format!("{path}/go"), "");
        let behind = going.split_once(&format!("0;url={page}"));
        let (way, _) = behind.and_then(|(_, rest)| rest.split_once('"')).expect(&going);
        way.to_owned()
    }

    /// A receipt of the gateway.
    fn receipt(&self, secret: &str, name: &str) -> u16 {
        let path = format!("/sms-hooks/gate?secret={secret}&id={name}&status=DELIVRD");
        http(self.tandem.http, "GET", &path, &[], "").0
    }

    /// Visits of the page that tell of a payment.
    fn told(&self) -> Vec<String> {
        let visits = self.page.received("/menu").into_iter();
        let told = visits.filter(|visit| visit.target.contains("RRN="));
        told.map(|visit| format!("{} {}", visit.method, visit.target)).collect()
    }

    /// What was posted of payments: account and rials.
    fn posted(&self) -> String {
        let sql = "SELECT posting || ':' || account || ':' || rials FROM ussd_entries \
                   ORDER BY invoice_id, account";
        self.tandem.sql(sql)
    }

    /// What is left of the merchant's money.
    fn balance(&self) -> i64 {
        let path = format!("/admin/v1/merchants/{USER}/balance");
        self.tandem.admin("GET", &path)["posted_micros"].as_i64().expect("micros")
    }
}

/// Of an amount as subscribers read it.
fn digit(read: char) -> Option<char> {
    char::from_digit(u32::from(read).checked_sub(u32::from('۰'))?, 10)
}

/// What the gateway is asked, to the byte.
fn message(to: &str, text: &str) -> String {
    format!("{{\"to\":\"{to}\",\"from\":\"3000\",\"text\":{}}}", json!(text))
}

/// The message that says that it is paid.
fn success(amount: &str, factor: u32, rrn: &str) -> String {
    let text =
        format!("پرداخت {amount} ریال با موفقیت انجام شد\nفاکتور {factor}\nشناسه رهگیری: {rrn}");
    message(RECIPIENT, &text)
}

/// The visit that tells of a payment, to the byte.
fn visit(session: u64, factor: u32, invoice: &Value) -> String {
    let text = |name: &str| invoice[name].as_str().expect("a text");
    let (id, rrn) = (text("id"), text("rrn"));
    format!("GET /menu?mobile={MOBILE}&sessionid={session}&call=*6655*123*{factor}*{id}&RRN={rrn}")
}

/// One subscriber pays, where no money moves; another time he does not want to.
#[test]
fn s5_3_from_the_code_to_the_last_receipt_and_nothing_for_who_cancels() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut shop =
        Shop::open(folder.path(), "[[payment_gateways]]\nname = \"try\"\nkind = \"test\"\n");
    let (path, session) = shop.orders(12, "۵٬۰۰۰");
    assert!(shop.browser("GET", &path, "").1.contains("۵٬۰۰۰ ریال"));
    shop.page.answer_next_at("/menu", &[(200, THANKS.0)]);
    pay(&shop.tandem, &path);
    let invoice = shop.tries.wait_invoice("paid");
    let rrn = invoice["rrn"].as_str().expect("a tracking number");
    assert!(rrn.len() == 12 && shop.browser("GET", &path, "").1.contains(rrn), "{rrn}");
    // The page is told, and says something to the subscriber, who is told of the payment too.
    let _ = shop.page.wait_for("/menu", 2);
    assert_eq!(shop.told(), [visit(session, 12, &invoice)]);
    let _ = shop.gateway.wait_for("/send", 3);
    let mut sent = shop.texts().split_off(1);
    sent.sort_unstable();
    let mut wanted = vec![success("۵٬۰۰۰", 12, rrn), message(RECIPIENT, THANKS.1)];
    wanted.sort_unstable();
    assert_eq!(sent, wanted);
    // Each is `sent` until its receipt comes, by the one secret that is good for it.
    let rows = shop.noted("sent");
    assert!(rows.len() == 3 && rows.iter().all(|row| row["way"] == "http"), "{rows:?}");
    assert_eq!(shop.receipt("another-secret-of-it", "g1"), 403);
    assert_eq!(shop.receipt(SECRET, "g1"), 200);
    let rows = shop.messages();
    let states: Vec<_> = rows.iter().map(|row| row["state"].as_str().unwrap_or("")).collect();
    assert_eq!(states, ["delivered", "sent", "sent"]);
    let (named, word) = (&rows[0]["receipts"][0]["reference"], &rows[0]["receipts"][0]["word"]);
    assert_eq!((named, word), (&json!("g1"), &json!("DELIVRD")));
    assert_eq!((shop.receipt(SECRET, "g2"), shop.receipt(SECRET, "g3")), (200, 200));
    assert_eq!(shop.noted("delivered").len(), 3);
    // Paid without money: it stands apart from what the merchant is due, who paid for the session.
    let posted = "payment:gateway:try:5000 payment:trial:1:-5000";
    assert_eq!((shop.posted().as_str(), shop.balance()), (posted, 99_500_000));

    // He orders again, and presses Cancel at the gateway and then on the invoice.
    let (path, _) = shop.orders(13, "۷٬۰۰۰");
    for (method, way, form) in
        [("POST", "start", ""), ("POST", "test", "act=cancel"), ("GET", "back", "")]
    {
        assert_eq!(shop.browser(method, &format!("{path}/{way}"), form).0, 303, "{way}");
    }
    assert_eq!(shop.browser("POST", &format!("{path}/cancel"), "").0, 303);
    assert_eq!(shop.tries.wait_invoice("cancelled")["rrn"], Value::Null);
    assert!(shop.browser("GET", &path, "").1.contains("پرداخت لغو شد"));
    // Nothing is on its way when it has ended, and nothing was.
    assert!(shop.tandem.terminate().success());
    let owed = shop.tandem.sql("SELECT kind || ':' || sequence || ':' || state FROM outbox");
    assert_eq!(owed, format!("payment:{}:done", invoice["id"].as_str().expect("an id")));
    assert_eq!(shop.tandem.sql("SELECT COUNT(*) FROM sms"), "4");
    assert_eq!((shop.texts().len(), shop.told().len()), (4, 1));
    assert_eq!((shop.page.received("/menu").len(), shop.posted().as_str()), (3, posted));
    shop.tandem.books_in_order();
}

/// Zarinpal has the money, and the switch loses its power: before whoever paid comes back, and again while it is being
/// told of it. What the merchant is due is booked once, and he is told once.
#[test]
fn s5_3_what_zarinpal_has_is_due_once_whenever_the_power_is_lost() {
    let folder = tempfile::tempdir().expect("a folder");
    let zarinpal = Zarinpal::start();
    let mut shop = Shop::open(folder.path(), &zarinpal.row());
    let page = zarinpal.page();

    // He has paid; the power goes; he comes back later, when all is done.
    let (path, session) = shop.orders(12, "۱۲۵٬۰۰۰");
    let way = shop.starts(&path, "card", &page);
    let rrn = zarinpal.pay(&way);
    shop.tandem.kill();
    assert_eq!(zarinpal.told(&way), [0_i64; 0]);
    shop.tandem.resume();
    let invoice = shop.tries.wait_invoice("paid");
    assert_eq!((&invoice["rrn"], invoice["state"].as_str()), (&json!(rrn), Some("paid")));
    let first = visit(session, 12, &invoice);
    let _ = shop.page.wait_for("/menu", 2);
    assert_eq!(shop.told(), std::slice::from_ref(&first));
    let back = format!("{path}/back?Authority={way}&Status=OK");
    assert_eq!(shop.browser("GET", &back, "").0, 303);
    assert!(shop.browser("GET", &path, "").1.contains(&rrn));
    assert_eq!(zarinpal.told(&way), [100]);
    // The page said `success`, and the code has it sent.
    let wanted = [success("۱۲۵٬۰۰۰", 12, &rrn), message(RECIPIENT, "success")];
    let _ = shop.gateway.wait_for("/send", 3);
    shop.noted("sent");
    let sent = shop.texts().split_off(1);
    assert!(sent.len() == 2 && wanted.iter().all(|one| sent.contains(one)), "{sent:?}");

    // He comes back, Zarinpal is asked and gives the money; before it has said so the power goes.
    let (path, session) = shop.orders(13, "۷٬۰۰۰");
    let way = shop.starts(&path, "card", &page);
    let rrn = zarinpal.pay(&way);
    zarinpal.silent(true);
    let back = format!("{path}/back?Authority={way}&Status=OK");
    std::thread::scope(|scope| {
        let door = shop.tandem.http;
        let coming = scope.spawn(move || try_http(door, "GET", &back, &[], "").is_err());
        wait::until("Zarinpal to be asked", || (zarinpal.told(&way) == [100]).then_some(()));
        shop.tandem.kill();
        assert!(coming.join().expect("it has ended"), "nobody answered him");
    });
    zarinpal.silent(false);
    shop.tandem.resume();
    let invoice = shop.tries.wait_invoice("paid");
    assert_eq!((&invoice["rrn"], zarinpal.told(&way)), (&json!(rrn), vec![100, 101]));
    let _ = shop.page.wait_for("/menu", 4);
    let _ = shop.gateway.wait_for("/send", 6);
    shop.noted("sent");
    let sent = shop.texts();
    let paid = success("۷٬۰۰۰", 13, &rrn);
    assert_eq!((sent.len(), sent.iter().filter(|one| **one == paid).count()), (6, 1));

    // Whatever dies afterwards: two payments, two visits, and this is what he is due.
    shop.tandem.kill();
    shop.tandem.resume();
    assert!(shop.browser("GET", &path, "").1.contains(&rrn));
    assert!(shop.tandem.terminate().success());
    assert_eq!(shop.told(), [first, visit(session, 13, &invoice)]);
    assert_eq!(
        shop.posted(),
        "payment:gateway:card:125000 payment:merchant:1:-125000 \
         payment:gateway:card:7000 payment:merchant:1:-7000"
    );
    assert_eq!(shop.tandem.sql("SELECT state FROM outbox"), "done done");
    assert_eq!(shop.texts().len(), 6);
    shop.tandem.books_in_order();
}

/// Stripe has the money: before whoever paid is heard of again the power goes; another time Stripe says so itself, as nobody
/// else can; and what goes back goes back once, though the power goes before its answer is heard.
#[test]
fn s5_3_what_stripe_has_is_due_once_and_goes_back_once_whenever_the_power_is_lost() {
    let folder = tempfile::tempdir().expect("a folder");
    let stripe = Stripe::start();
    let mut shop = Shop::open(folder.path(), &stripe.row());

    // He has paid; the power goes.
    let (path, session) = shop.orders(12, "۱۲۵٬۰۰۰");
    let way = shop.starts(&path, "abroad", PAGE);
    stripe.pay(&way);
    shop.tandem.kill();
    shop.tandem.resume();
    let first = shop.tries.wait_invoice("paid");
    assert_eq!(first["reference"], json!(intent(&way)));
    let _ = shop.page.wait_for("/menu", 2);
    let told = visit(session, 12, &first);
    assert_eq!(shop.told(), std::slice::from_ref(&told));
    let _ = shop.gateway.wait_for("/send", 3);

    // He has paid, and his telephone is empty: Stripe says so. Nobody else can.
    let (path, session) = shop.orders(13, "۷٬۰۰۰");
    let way = shop.starts(&path, "abroad", PAGE);
    let hook = |(signature, body): (String, String)| {
        let headers = [("Stripe-Signature", signature.as_str())];
        http(shop.tandem.http, "POST", "/pay-hooks/abroad", &headers, &body).0
    };
    assert_eq!(hook(stripe.word(&way, true)), 200);
    assert_eq!(shop.tries.invoice()["state"], "open", "it is asked, and has nothing");
    stripe.pay(&way);
    assert_eq!(hook(stripe.word(&way, false)), 400);
    assert_eq!((hook(stripe.word(&way, true)), hook(stripe.word(&way, true))), (200, 200));
    let second = shop.tries.wait_invoice("paid");
    let _ = shop.page.wait_for("/menu", 4);
    assert_eq!(shop.told(), [told, visit(session, 13, &second)]);

    // The first one is to go back: Stripe gives it, and before it has said so the power goes.
    stripe.silent(true);
    let refund = format!("/admin/v1/ussd-invoices/{}/refund", first["id"].as_str().expect("an id"));
    let token = std::fs::read_to_string(folder.path().join("data/admin.token"));
    let bearer = format!("Bearer {}", token.expect("a token").trim());
    std::thread::scope(|scope| {
        let door = shop.tandem.admin;
        let headers = [("Authorization", bearer.as_str())];
        let asking = scope.spawn(move || try_http(door, "POST", &refund, &headers, "").is_err());
        wait::until("Stripe to be asked", || (stripe.refunds().len() == 1).then_some(()));
        shop.tandem.kill();
        assert!(asking.join().expect("it has ended"), "nobody heard of it");
    });
    stripe.silent(false);
    shop.tandem.resume();
    let state = || {
        let listed = shop.tries.ask("GET", "/v1/ussd/invoices?limit=500", &Value::Null);
        let all = listed["items"].as_array().expect("a list");
        all.iter().find(|one| one["id"] == first["id"]).expect("the first")["state"].clone()
    };
    wait::until("the money to be back", || (state() == "refunded").then_some(()));
    assert!(shop.tandem.terminate().success());
    assert_eq!(stripe.refunds(), [first["reference"].as_str().expect("a payment")]);
    assert_eq!(shop.told().len(), 2);
    assert_eq!(
        shop.posted(),
        "payment:gateway:abroad:125000 refunded.1:gateway:abroad:-125000 \
         payment:merchant:1:-125000 refund.1:merchant:1:125000 \
         refund.1:refunds:-125000 refunded.1:refunds:125000 \
         payment:gateway:abroad:7000 payment:merchant:1:-7000"
    );
    shop.tandem.books_in_order();
}

/// Whoever writes the keyword has his account by the gateway, and a merchant's program has a code sent by it.
#[test]
fn s5_5_who_signs_up_by_text_and_whoever_is_sent_a_code_read_it_at_the_gateway() {
    let folder = tempfile::tempdir().expect("a folder");
    let more = format!(
        r#"
[[sms_keywords]]
number = "3000"
keyword = "REG"
merchant = "{USER}"
purpose = "signup"
language = "en"
[[sms_accounts]]
username = "u"
token = "{TOKEN}"
merchant = "{USER}"
lines = [{{ number = "3000", price_en = "0.10", price_fa = "0.25" }}]
"#
    );
    let shop = Shop::open(folder.path(), &more);
    let ask = |path: &str, body: &Value| {
        let kind = [("Content-Type", "application/json")];
        http(shop.tandem.http, "POST", path, &kind, &body.to_string())
    };
    // The gateway tells it twice.
    let hook = format!("/sms-hooks/gate?secret={SECRET}");
    let wrote = json!({ "id": "m1", "from": "+8613800138000", "to": "3000", "text": "reg Ann" });
    for _ in 0..2 {
        assert_eq!(ask(&hook, &wrote).0, 200);
    }
    let came = shop.tandem.admin("GET", "/admin/v1/sms/inbound");
    let [row] = came["items"].as_array().expect("a list").as_slice() else { panic!("{came}") };
    assert_eq!((&row["state"], &row["text"]), (&json!("pending"), &json!("reg Ann")));
    let account = row["account"].as_str().expect("an account");
    let answer = shop.gateway.wait_for("/send", 1).remove(0).body;
    let told: Value = serde_json::from_str(&answer).expect("JSON");
    let (_, behind) = told["text"].as_str().and_then(|t| t.split_once("Password ")).expect(&answer);
    let password = behind.lines().next().expect("a password");
    let text = format!(
        "{USER}: request received\nNumber {account}\nPassword {password}\nIn use once it is approved"
    );
    assert!(password.len() == 12 && password.bytes().all(|b| b.is_ascii_alphanumeric()));
    assert_eq!(answer, message("8613800138000", &text));
    // Somebody approves it, twice: he is told once, and his phone registers by what he was sent.
    let tone = folder.path().join("700.wav");
    sound::write_wav_tone(&tone, 700, 1);
    let phone = Account {
        user: account,
        password,
        domain: "tandem.example",
        registrar: shop.tandem.sip.port(),
        transport: "udp",
        at_home: true,
        authority: None,
        srtp: None,
    };
    let approve = format!("/admin/v1/sms/inbound/{}/approve", row["id"]);
    assert_eq!(shop.tandem.admin("POST", &approve)["state"], "approved");
    assert_eq!(shop.tandem.admin("POST", &approve)["state"], "approved");
    let told = shop.gateway.wait_for("/send", 2).remove(1).body;
    assert_eq!(told, message("8613800138000", &format!("Number {account} is in use now")));
    let version = shop.tandem.sql("SELECT version FROM settings");
    let known = format!("new settings version={version}\n");
    wait::until("calls to know him", || shop.tandem.log().contains(&known).then_some(()));
    Baresip::start(folder.path(), &phone, &tone).wait_registered();
    assert_eq!(shop.balance(), 100_000_000, "answers cost the merchant nothing");

    // A code, whose price is taken with it.
    let lines = json!({ "Status": 1, "ObjActiveLinesOutput": [
        { "LineNumber": "3000", "LineType": "service", "PriceEn": "0.1", "PriceFa": "0.25" },
    ]});
    let (status, listed) = ask("/api/SMSAPI/ActiveLines", &json!({ "Token": TOKEN }));
    assert_eq!((status, serde_json::from_str(&listed).ok()), (200, Some(lines)));
    let code = json!({ "Token": TOKEN, "Code": "4711", "Mobile": MOBILE,
                       "CompanyName": "Tea house", "WebSite": "tea.example" });
    let (status, said) = ask("/api/SMSAPI/OTP", &code);
    assert_eq!((status, said.as_str()), (200, r#"{"Result":"sent","Status":3}"#));
    let sent = shop.gateway.wait_for("/send", 3).remove(2).body;
    assert_eq!(sent, message(RECIPIENT, "Tea house\nCode: 4711\ntea.example"));
    let rows = shop.noted("sent");
    let prices: Vec<_> = rows.iter().map(|row| row["price_micros"].clone()).collect();
    assert_eq!((prices, shop.balance()), (vec![json!(0), json!(0), json!(100_000)], 99_900_000));
    assert_eq!(shop.texts().len(), 3);
    shop.tandem.books_in_order();
}
