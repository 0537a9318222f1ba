//! Reliable provisional answers (RFC 3262) with sipp, which goes on only when its peer keeps to them: each
//! called party of a callback, and a caller.

use e2e::country::{A, B, Country, KEY, USER, Wish};
use e2e::merchant::{Merchant, callback_target, http};
use e2e::sipp::{Behaviour, Sipp};
use e2e::wait;

#[test]
fn b1_rfc3262_4_both_called_parties_of_a_callback_get_their_pracks() {
    let a = Behaviour::Reliable { ring_ms: 300, talk_ms: None };
    let b = Behaviour::Reliable { ring_ms: 300, talk_ms: Some(2000) };
    let mut country = Country::new(&Wish::default(), &a, &b, 1);
    let merchant = Merchant::start();
    let target = callback_target(USER, KEY, "reliable", A, B, &merchant.url("/back"));
    let (_, body) = http(country.tandem.http, "GET", &target, &[], "");
    assert_eq!(body, "result=success&callbackid=reliable");
    let told = merchant.wait_for("/back", 1).remove(0);
    assert_eq!(told.query("callback_result").as_deref(), Some("success"), "{}", told.target);
    for carrier in [&mut country.carrier_a, &mut country.carrier_b] {
        let done = carrier.finish().success();
        assert!(done, "every step of the scenario happened:\n{}", carrier.messages());
        assert!(carrier.messages().contains("Supported: 100rel"), "we offered it");
    }
    country.tandem.books_in_order();
}

#[test]
fn b1_rfc3262_3_a_caller_that_takes_them_gets_reliable_answers() {
    let more = format!(
        "\n[[extensions]]\nnumber = \"80001\"\nmerchant = \"{USER}\"\npassword = \"k7Qm2XwT9pRe\"\n\
         bound_phone = \"{B}\"\n\n[[inbound]]\nnumber = \"+861053180002\"\nextension = \"80001\"\n"
    );
    let b = Behaviour::Answer { ring_ms: 800, tone: None, talk_ms: None };
    let wish = Wish { more, ..Wish::default() };
    let mut country = Country::new(&wish, &Behaviour::RingOnly, &b, 1);
    let port = country.tandem.sip.port();
    let number = "+861053180002";
    let call = Behaviour::Calls { port, number, talk_ms: 1500 };
    let mut caller = Sipp::start(country.folder.path(), "caller", &call, 1);
    assert!(caller.finish().success(), "{}", caller.messages());
    let said = caller.messages();
    assert!(said.contains("Require: 100rel") && said.contains("RSeq: "), "{said}");
    assert!(country.carrier_b.finish().success(), "B got BYE");
    let cdrs = wait::until("both CDRs", || {
        let cdrs = country.tandem.admin("GET", "/admin/v1/cdrs");
        (cdrs["items"].as_array()?.len() == 2).then_some(cdrs)
    });
    let legs = cdrs["items"].as_array().expect("CDRs");
    assert!(legs.iter().all(|leg| !leg["facts"]["answered"].is_null()), "{cdrs}");
    country.tandem.books_in_order();
}
