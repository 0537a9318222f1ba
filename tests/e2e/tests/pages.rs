//! What people see of system 003, in Chromium (spec §5.3): the page of an invoice in three languages, on telephones and on
//! desks; whoever presses twice, goes back, has it open twice, comes too late, or does not want to pay. The phone in the
//! browser, the page of samples, and that of `GetPayments`.

use std::path::Path;

use e2e::merchant::Merchant;
use e2e::pages::{DESK, Pages, SMALL, View, is_kind_to_people};
use e2e::tandem::{Setup, Tandem};
use e2e::ussd::{self, MOBILE, PUBLIC, Tries};
use e2e::{country, wait};
use serde_json::{Value, json};

const DARK: View = View { dark: true, ..SMALL };

/// A switch whose menu has something paid, somebody with a browser, and the merchant who is told.
struct World {
    tandem: Tandem,
    tries: Tries,
    merchant: Merchant,
    pages: Pages,
    invoices: u32,
}

impl World {
    fn new(folder: &Path) -> World {
        let merchant = Merchant::start();
        let tandem = ussd::switch(folder, &merchant.url("/menu"), "");
        let tries = Tries::of(&tandem);
        let pages = Pages::start(folder, tandem.http);
        World { tandem, tries, merchant, pages, invoices: 0 }
    }

    /// The address of a new invoice over 125,000 rials; its merchant's own number begins with 90.
    fn invoice(&mut self) -> String {
        self.invoices += 1;
        let answer = format!("9900|90{}|125000", self.invoices);
        self.merchant.answer_next_at("/menu", &[(200, &answer)]);
        format!("{PUBLIC}{}", self.tries.dial(MOBILE, "*6655*123#").invoice())
    }

    /// What stands in the books of the newest invoice: its state, how many ways to a gateway there were, how many
    /// postings, and how often the merchant was told that it is paid.
    fn stands(&self) -> (String, usize, usize, usize) {
        let invoice = self.tries.invoice();
        let id = invoice["id"].as_str().expect("an id");
        let state = invoice["state"].as_str().expect("a state").to_owned();
        let rows = |table: &str, what: &str| {
            let sql = format!("SELECT COUNT({what}) FROM {table} WHERE invoice_id = {id}");
            self.tandem.sql(&sql).parse().expect("a count")
        };
        let told = format!("*90{}*{id}&RRN=", self.invoices);
        let told =
            self.merchant.received("/menu").iter().filter(|r| r.target.contains(&told)).count();
        (state, rows("ussd_attempts", "*"), rows("ussd_entries", "DISTINCT posting"), told)
    }

    /// Whatever was pressed: it is paid once, posted once, told once, and stays so.
    fn paid_once(&self, ways: usize) {
        let wanted = ("paid".to_owned(), ways, 1, 1);
        wait::until("the merchant to be told", || {
            Some(self.stands()).filter(|stands| *stands == wanted)
        });
    }
}

/// Names of buttons and languages that are offered, as they are read aloud.
fn offers(seen: &Value, lang: &str, dir: &str, buttons: &[&str]) {
    assert_eq!((&seen["lang"], &seen["dir"]), (&json!(lang), &json!(dir)), "{seen:#}");
    assert_eq!(seen["buttons"], json!(buttons), "{seen:#}");
    is_kind_to_people(seen);
}

#[test]
fn s5_3_an_invoice_is_paid_once_however_its_page_is_used() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut world = World::new(folder.path());

    // Pressed twice in Persian, here and at the gateway; looked at again afterwards.
    let invoice = world.invoice();
    world.pages.open("a", &invoice, SMALL);
    let seen = world.pages.heading("a", "پرداخت صورتحساب");
    offers(&seen, "fa", "rtl", &["پرداخت", "انصراف"]);
    let text = seen["text"].as_str().expect("a text");
    assert!(text.contains("۱۲۵٬۰۰۰ ریال\n۱۲٬۵۰۰ تومان") && text.contains("*6655*123#"), "{text}");
    world.pages.press("a", "پرداخت", 2);
    let seen = world.pages.heading("a", "درگاه آزمایشی");
    offers(&seen, "fa", "rtl", &["پرداخت", "انصراف"]);
    world.pages.press("a", "پرداخت", 2);
    let seen = world.pages.heading("a", "پرداخت با موفقیت انجام شد");
    offers(&seen, "fa", "rtl", &[]);
    world.paid_once(1);
    let rrn = world.tries.invoice()["rrn"].as_str().expect("a number").to_owned();
    assert!(seen["text"].as_str().is_some_and(|text| text.contains(&rrn)), "{seen:#}");
    world.pages.reload("a");
    let again = world.pages.heading("a", "پرداخت با موفقیت انجام شد");
    assert_eq!(again["text"], seen["text"]);

    // Back from the gateway and on to it again, in Chinese; the page before shows what is so by then.
    let invoice = world.invoice();
    world.pages.open("a", &format!("{invoice}?lang=zh"), DARK);
    offers(&world.pages.heading("a", "支付账单"), "zh", "ltr", &["支付", "取消"]);
    world.pages.press("a", "支付", 1);
    world.pages.heading("a", "测试网关");
    world.pages.back("a");
    world.pages.heading("a", "支付账单");
    // Some browsers show the page as it was, where pressing leads on as well; anew it says where he stands.
    world.pages.reload("a");
    let seen = world.pages.heading("a", "支付账单");
    offers(&seen, "zh", "ltr", &["取消"]);
    assert!(seen["text"].as_str().is_some_and(|text| text.contains("不要重复支付")), "{seen:#}");
    world.pages.press("a", "继续支付", 1);
    offers(&world.pages.heading("a", "测试网关"), "zh", "ltr", &["支付", "取消"]);
    world.pages.press("a", "支付", 1);
    offers(&world.pages.heading("a", "支付成功"), "zh", "ltr", &[]);
    world.pages.back("a");
    world.pages.reload("a");
    world.pages.heading("a", "支付成功");
    world.paid_once(1);

    // Open twice, in English: both go to the gateway, and the second to press is told what the first has done.
    let invoice = format!("{}?lang=en", world.invoice());
    for tab in ["a", "b"] {
        world.pages.open(tab, &invoice, DESK);
        offers(&world.pages.heading(tab, "Pay an invoice"), "en", "ltr", &["Pay", "Cancel"]);
    }
    for tab in ["a", "b"] {
        world.pages.press(tab, "Pay", 1);
        world.pages.heading(tab, "Test gateway");
    }
    world.pages.press("a", "Pay", 1);
    let first = world.pages.heading("a", "Paid");
    world.pages.press("b", "Pay", 1);
    assert_eq!(world.pages.heading("b", "Paid")["text"], first["text"]);
    world.paid_once(1);
    world.tandem.books_in_order();
}

#[test]
fn s5_3_who_cancels_or_comes_too_late_sees_so_and_the_merchant_is_not_told() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut world = World::new(folder.path());
    let cancelled = || ("cancelled".to_owned(), 0, 0, 0);

    // Cancelled; whoever has the page open still, and presses, is told so.
    let invoice = world.invoice();
    for tab in ["a", "b"] {
        world.pages.open(tab, &invoice, DARK);
        world.pages.heading(tab, "پرداخت صورتحساب");
    }
    world.pages.press("a", "انصراف", 2);
    offers(&world.pages.heading("a", "پرداخت لغو شد"), "fa", "rtl", &[]);
    world.pages.press("b", "پرداخت", 1);
    offers(&world.pages.heading("b", "پرداخت لغو شد"), "fa", "rtl", &[]);
    assert_eq!(world.stands(), cancelled());

    // Not wanted at the gateway: the invoice stands, another way leads there, and is paid by it.
    let invoice = format!("{}?lang=en", world.invoice());
    world.pages.open("a", &invoice, SMALL);
    world.pages.press("a", "Pay", 1);
    world.pages.heading("a", "Test gateway");
    world.pages.press("a", "Cancel", 1);
    let seen = world.pages.heading("a", "Pay an invoice");
    offers(&seen, "en", "ltr", &["Pay", "Cancel"]);
    let text = seen["text"].as_str().expect("a text");
    assert!(text.contains("Nothing was paid"), "{text}");
    assert_eq!(world.stands(), ("open".to_owned(), 1, 0, 0));
    world.pages.press("a", "Pay", 1);
    world.pages.heading("a", "Test gateway");
    world.pages.press("a", "Pay", 1);
    world.pages.heading("a", "Paid");
    world.paid_once(2);

    // Past its time, with the page open since before.
    let invoice = format!("{}?lang=zh", world.invoice());
    world.pages.open("a", &invoice, SMALL);
    world.pages.heading("a", "支付账单");
    let _ = world.tandem.sql("UPDATE ussd_invoices SET expires = made WHERE state = 'open'");
    world.pages.press("a", "支付", 1);
    offers(&world.pages.heading("a", "此链接已过期"), "zh", "ltr", &[]);
    wait::until("the invoice to lapse", || (world.stands().0 == "expired").then_some(()));
    assert_eq!(world.stands(), ("expired".to_owned(), 0, 0, 0));
    world.tandem.books_in_order();
}

#[test]
fn s5_3_the_page_bears_long_names_keyboards_and_any_width() {
    let folder = tempfile::tempdir().expect("a folder");
    let merchant = Merchant::start();
    let most = format!("9900|{}|999999999999", "W".repeat(50));
    merchant.answer_next_at("/menu", &[(200, &most)]);
    // A name without a place to break it at.
    let name = "M".repeat(64);
    let operator = ussd::operators_file(&merchant.url("/menu"), "")
        .replace(&format!("\"{}\"", country::USER), &format!("\"{name}\""))
        .replace(&format!("kind = \"{name}\""), "kind = \"test\"");
    let settings = vec![format!("http.public_url={PUBLIC}")];
    let tandem = Tandem::start(folder.path(), &Setup { settings, operator });
    let tries = Tries::by(&tandem, &name);
    let mut pages = Pages::start(folder.path(), tandem.http);
    let invoice = format!("{PUBLIC}{}", tries.dial(MOBILE, "*6655*123#").invoice());
    for (lang, dir, pay) in [("fa", "rtl", "پرداخت"), ("zh", "ltr", "支付"), ("en", "ltr", "Pay")]
    {
        for view in
            [View { width: 280, dark: false }, SMALL, DARK, DESK, View { dark: true, ..DESK }]
        {
            pages.open("a", &format!("{invoice}?lang={lang}"), view);
            let seen = pages.look("a");
            assert_eq!((&seen["lang"], &seen["dir"]), (&json!(lang), &json!(dir)));
            assert!(seen["text"].as_str().is_some_and(|text| text.contains(&name)), "{seen:#}");
            is_kind_to_people(&seen);
        }
        // By keys alone: two languages, then what it is about; where one is, is to be seen.
        for _ in 0..3 {
            pages.key("a", "Tab");
        }
        let focus = &pages.look("a")["focus"];
        assert_eq!(focus["name"], pay);
        assert!(focus["outline"].as_f64().is_some_and(|width| width >= 2.0), "{focus}");
    }
    pages.key("a", "Enter");
    pages.heading("a", "Test gateway");

    // Nothing there, in the language that is asked for.
    pages.open("a", &format!("{PUBLIC}/pay/{}?lang=zh", "0".repeat(32)), SMALL);
    is_kind_to_people(&pages.heading("a", "没有此账单"));
}

/// The phone in the browser leads to the page of the invoice; samples and the page of the service are kind to people too.
#[test]
fn s5_1_a_menu_is_tried_out_and_paid_in_the_browser_alone() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut world = World::new(folder.path());
    let key = world.tandem.api_key(country::USER, &["ussd:write"]);
    for lang in ["fa", "zh", "en"] {
        for (path, tag) in
            [("/ussd", lang), ("/samples", lang), ("/_services/ExternalUssdPay.asmx", lang)]
        {
            for view in [SMALL, View { dark: true, ..DESK }] {
                world.pages.open("a", &format!("{PUBLIC}{path}?lang={tag}"), view);
                let seen = world.pages.look("a");
                assert_eq!(seen["lang"], lang, "{path}");
                assert_eq!(seen["sideways"], 0, "{path} {seen:#}");
                assert_eq!(seen["landmarks"], 1, "{path}");
                assert!(
                    seen["contrast"].as_f64().is_some_and(|least| least >= 4.5),
                    "{path} {seen:#}"
                );
            }
        }
    }
    world.merchant.answer_next_at("/menu", &[(200, "1-Tea"), (200, "9900|7|50000")]);
    world.pages.open("a", &format!("{PUBLIC}/ussd?lang=en"), SMALL);
    // Three languages are two links; then key, number and code.
    for text in ["", "", &key, "", "*6655*123#"] {
        world.pages.key("a", "Tab");
        if !text.is_empty() {
            world.pages.write("a", text);
        }
    }
    world.pages.press("a", "Dial", 1);
    let shows =
        |seen: &Value, text: &str| seen["text"].as_str().is_some_and(|all| all.contains(text));
    world.pages.until("a", "the menu", |seen| shows(seen, "1-Tea"));
    world.pages.write("a", "1");
    world.pages.key("a", "Enter");
    let seen = world.pages.until("a", "a link", |seen| shows(seen, "TEST http"));
    let links = seen["links"].as_array().expect("links");
    let link = links.iter().filter_map(Value::as_str).find(|link| link.starts_with(PUBLIC));
    let link = link.unwrap_or_else(|| panic!("it can be followed: {seen:#}"));
    world.pages.open("b", link, SMALL);
    world.pages.heading("b", "پرداخت صورتحساب");
}

/// What the switch refuses is told beside the form, in the page's language: no phone shows it, and no session is over.
#[test]
fn s5_1_what_is_refused_is_told_beside_the_phone_in_its_language() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut world = World::new(folder.path());
    let good = world.tandem.api_key(country::USER, &["ussd:write"]);
    let reads = world.tandem.api_key(country::USER, &["ussd:read"]);
    let (code, mobile) = ("*6655*123#", "+989121234567");
    let no_key = ["این کلید معتبر نیست", "密钥无效", "lacks the scope ussd:write"];
    let no_code = ["چنین کدی ندارید", "您没有这样的代码", "You have no such code"];
    let no_mobile = ["شمارهٔ تلفن نیست", "这不是电话号码", "This is no telephone number"];
    let of = [
        ("fa", "کدی را شماره‌گیری کنید", "نشست پایان یافت", "تعداد نویسه‌ها –"),
        ("zh", "请拨打代码", "会话已结束", "字符数 –"),
        ("en", "Dial a code", "Session over", "Characters –"),
    ];
    let dials = ["شماره‌گیری", "拨打", "Dial"];
    for (at, (lang, idle, over, none)) in of.into_iter().enumerate() {
        for (key, mobile, code, told) in [
            ("nonsense", mobile, code, no_key[at]),
            (reads.as_str(), mobile, code, no_key[at]),
            (good.as_str(), mobile, "*1*1#", no_code[at]),
            (good.as_str(), "12", code, no_mobile[at]),
        ] {
            world.pages.open("a", &format!("{PUBLIC}/ussd?lang={lang}"), SMALL);
            // What is in a field is marked by whoever comes to it by keys, and gives way.
            for text in ["", "", key, mobile, code] {
                world.pages.key("a", "Tab");
                if !text.is_empty() {
                    world.pages.write("a", text);
                }
            }
            world.pages.press("a", dials[at], 1);
            let is_told = |seen: &Value| seen["alert"].as_str().is_some_and(|t| t.contains(told));
            let seen = world.pages.until("a", told, is_told);
            let text = seen["text"].as_str().expect("a text");
            assert_eq!(text.matches(told).count(), 1, "{text}");
            assert!(text.contains(idle) && !text.contains(over) && text.contains(none), "{text}");
            assert!(!text.contains("Authorization") && !text.contains("/dialled"), "{text}");
            is_kind_to_people(&seen);
        }
    }
    // Mended where it was wrong, for there he is now: nothing is left of the refusal.
    world.merchant.answer_next_at("/menu", &[(200, "1-Tea")]);
    world.pages.write("a", mobile);
    world.pages.press("a", "Dial", 1);
    let shows = |seen: &Value| seen["text"].as_str().is_some_and(|text| text.contains("1-Tea"));
    let seen = world.pages.until("a", "the menu", shows);
    let text = seen["text"].as_str().expect("a text");
    assert_eq!(seen["alert"], "", "{text}");
    assert!(text.contains("Session open") && text.contains("Characters 5"), "{text}");
}
