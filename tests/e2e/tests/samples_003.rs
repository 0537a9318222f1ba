//! The samples of system 003, against the program: a menu of two steps, an order that is paid for at the gateway for tests,
//! booked once when the switch tells of it and says so when it is asked; visits of strangers book nothing.

use std::net::SocketAddr;
use std::path::Path;

use e2e::merchant::try_http;
use e2e::programs::{Language, Program, Running};
use e2e::tandem::Tandem;
use e2e::ussd::{self, CODE, MOBILE, OWNER, Tries};
use e2e::{ports, wait};
use serde_json::json;

/// A shop that listens.
struct Shop {
    running: Running,
    at: SocketAddr,
}

impl Shop {
    fn open(
        program: &Program,
        tandem: SocketAddr,
        folder: &Path,
        at: SocketAddr,
        password: &str,
    ) -> Shop {
        let variables = [
            ("MERCHANT_URL", format!("http://{tandem}")),
            ("MERCHANT_LISTEN", at.to_string()),
            ("MERCHANT_USERNAME", OWNER.0.to_owned()),
            ("MERCHANT_PASSWORD", password.to_owned()),
            ("MERCHANT_CODE", CODE.to_owned()),
            ("MERCHANT_ORDERS", folder.display().to_string()),
        ];
        let running = program.start(&[], &variables);
        wait::until("a shop to open", || try_http(at, "GET", "/", &[], "").ok());
        Shop { running, at }
    }

    /// Somebody visits it.
    fn visit(&self, target: &str) -> (u16, String) {
        try_http(self.at, "GET", target, &[], "").expect("it listens")
    }
}

/// What a subscriber sees of the menu, until he has a link; its session, and the path of the invoice.
fn ordered(tries: &Tries) -> (String, String) {
    let first = tries.dial(MOBILE, "*۶۶۵۵*۱۲۳#");
    assert!(first.more && first.text.starts_with("Tea house\n1-Tea 50,000 rials\n"), "{first:?}");
    let second = tries.enter(&first.session, "۲");
    assert!(second.more && second.text == "How many of coffee, 1 to 9?", "{second:?}");
    let link = tries.enter(&first.session, "3#");
    assert!(!link.more, "{link:?}");
    (first.told().to_owned(), link.invoice())
}

/// Words at the end of which nothing is typed any more.
fn leaves(tries: &Tries) {
    let ends = [
        ("*6655*123*0#", "Good bye"),
        ("*6655*123*7#", "We have no such drink"),
        ("*6655*123*1*0#", "That is no number from 1 to 9"),
        ("*6655*123*1*2*3#", "That is no number from 1 to 9"),
    ];
    for (dialled, said) in ends {
        let last = tries.dial("09120000001", dialled);
        assert_eq!((last.text.as_str(), last.more), (said, false), "{dialled}");
    }
}

/// Visits that nobody of ours makes.
fn strangers(shop: &Shop, session: &str) {
    let paid = format!(
        "mobile={MOBILE}&sessionid={session}&call=*6655*123*2*3*{session}*1&RRN=123456789012"
    );
    let visits = [
        (403, format!("/?{paid}")),
        (404, format!("/?{}", paid.replace(MOBILE, "09120000009"))),
        (404, "/?mobile=1&sessionid=1&call=*6655*123*1*1*77*1&RRN=1".to_owned()),
        (404, "/?mobile=1&sessionid=1&call=*6655*123*1*1*..%2F77*1&RRN=1".to_owned()),
        (400, format!("/?mobile={MOBILE}&sessionid=..%2F1&call=*6655*123*1*1")),
        (400, format!("/?mobile={MOBILE}&sessionid=1&call=*6655*1234*1*1")),
        (400, "/".to_owned()),
    ];
    for (status, target) in visits {
        let said = shop.visit(&target);
        assert_eq!(said.0, status, "{target}: {said:?}");
    }
}

/// The visit that tells of the newest invoice, which is paid.
fn told(tries: &Tries, session: &str) -> String {
    let paid = tries.wait_invoice("paid");
    assert_eq!((&paid["rials"], &paid["factor"]), (&json!(240_000), &json!(session)), "{paid}");
    let text = |name: &str| paid[name].as_str().expect("a text").to_owned();
    let call = format!("*6655*123*2*3*{session}*{}", text("id"));
    format!("/menu?mobile={MOBILE}&sessionid={session}&call={call}&RRN={}", text("rrn"))
}

fn whole(language: Language) {
    let folder = tempfile::tempdir().expect("a folder");
    let at = SocketAddr::from(([127, 0, 0, 1], ports::one()));
    let program = if language == Language::Php {
        Program::served(&language.page(), at.port())
    } else {
        language.build(&language.page(), folder.path())
    };
    let tandem: Tandem = ussd::switch(folder.path(), &format!("http://{at}/menu"), "");
    let orders = folder.path().join("orders");
    let open = |password| Shop::open(&program, tandem.http, &orders, at, password);
    let tries = Tries::of(&tandem);

    // Whose password is wrong is served as well; he cannot know what was paid.
    let shop = open("wrong");
    let (session, invoice) = ordered(&tries);
    leaves(&tries);
    ussd::pay(&tandem, &invoice);
    let told = told(&tries, &session);
    let (status, said) = shop.visit(&told);
    assert_eq!(status, 503, "{said}");
    assert!(said.contains("refused: Username Or Password Error"), "{said}");
    drop(shop);

    // Its orders are kept. Of visits that tell of one at the same time one books.
    let mut shop = open(OWNER.1);
    let visits: Vec<_> = (0..4)
        .map(|_| {
            let (at, told) = (shop.at, told.clone());
            std::thread::spawn(move || try_http(at, "GET", &told, &[], "").expect("it listens"))
        })
        .collect();
    let mut said: Vec<_> = visits.into_iter().map(|one| one.join().expect("an answer").1).collect();
    said.sort();
    assert_eq!(said, ["booked", "booked before", "booked before", "booked before"]);

    // Another order, of which the switch tells.
    let (session, invoice) = ordered(&tries);
    strangers(&shop, &session);
    ussd::pay(&tandem, &invoice);
    let told = self::told(&tries, &session);
    if language == Language::Php {
        // Its words come on standard error.
        let file = orders.join(format!("{session}.paid"));
        wait::until("the order to be booked", || file.is_file().then_some(()));
    } else {
        shop.running.wait_line(&format!("paid: order {session}, "));
    }
    // The same once more, also as others spell it, and after a new start.
    let spelt = told.replace("call=*", "Call=").replace("sessionid", "SessionID");
    for target in [&told, &spelt] {
        assert_eq!(shop.visit(target), (200, "booked before".to_owned()), "{target}");
    }
    drop(shop);
    let shop = open(OWNER.1);
    assert_eq!(shop.visit(&told), (200, "booked before".to_owned()));
    tandem.books_in_order();
}

#[test]
fn menu_in_csharp() {
    whole(Language::CSharp);
}

#[test]
fn menu_in_php() {
    whole(Language::Php);
}

#[test]
fn menu_in_python() {
    whole(Language::Python);
}

#[test]
fn menu_in_java() {
    whole(Language::Java);
}

#[test]
fn menu_in_go() {
    whole(Language::Go);
}
