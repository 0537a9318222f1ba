use facts::media::Prompt;
use facts::sound::{Say as Words, Spoken};
use serde_json::json;

use super::*;

fn compiled(value: Value) -> Result<Compiled, Vec<FieldError>> {
    let scenario: NewScenario = serde_json::from_value(value).unwrap();
    let mut numbers = BTreeMap::new();
    for (place, written) in scenario.numbers() {
        if written.len() == 5 {
            numbers.insert(place, Number::Internal(written));
        }
    }
    scenario.compile("zh", &numbers, true)
}

fn mistakes(value: Value) -> Vec<(String, String)> {
    let found = compiled(value).unwrap_err();
    found.into_iter().map(|error| (error.pointer, error.detail)).collect()
}

fn places(value: Value) -> Vec<String> {
    mistakes(value).into_iter().map(|(place, _)| place).collect()
}

fn menu() -> Value {
    json!({
        "start": "menu", "language": "en",
        "steps": {
            "menu": {
                "do": "gather", "sounds": [{ "prompt": "welcome" }, { "url": "https://a.example/x.mp3" }],
                "choices": { "1": "sales", "2": "hours", "0": null }, "timeout_s": 4, "tries": 3,
                "no_input": "bye", "no_match": "bye"
            },
            "sales": { "do": "dial", "number": "80001", "failed": "bye" },
            "hours": { "do": "say", "say": [{ "time": { "hour": 9, "minute": 0 } }], "next": "menu" },
            "bye": { "do": "play", "sounds": [{ "prompt": "goodbye", "language": "fa" }], "next": "end" },
            "end": { "do": "hangup" }
        }
    })
}

#[test]
fn a_menu_becomes_a_step_for_each_try_and_the_first_step_is_the_first() {
    let Compiled { scenario, sounds, hooks, confers } = compiled(menu()).unwrap();
    assert!(!confers, "it leads into no conference");
    assert!(hooks.is_empty());
    assert_eq!(scenario.steps().len(), 6, "three tries, and bye, hours, sales");
    // Behind the menu the others stand by their names.
    let (bye, hours, sales) = (Next::Step(3), Next::Step(4), Next::Step(5));
    for at in 0..3 {
        let Some(Step::Say(say)) = scenario.step(at) else { panic!("step {at}") };
        let on = if at < 2 { Next::Step(at + 1) } else { bye };
        assert_eq!((say.none, say.other, say.wait), (on, on, Duration::from_secs(4)));
        let led: Vec<_> = say.choices.iter().map(|one| (one.keys.as_str(), one.next)).collect();
        assert_eq!(led, [("0", Next::HangUp), ("1", sales), ("2", hours)]);
        assert_eq!(say.clips.len(), 2);
    }
    let prompt = |name: &str, language: &str| {
        Clip::Prompt(Prompt { name: name.into(), language: language.into() })
    };
    let Some(Step::Say(last)) = scenario.step(3) else { panic!() };
    assert_eq!((last.none, &last.clips[0]), (Next::HangUp, &prompt("goodbye", "fa")));
    let Some(Step::Say(told)) = scenario.step(4) else { panic!() };
    let nine = vec![Spoken::Time { hour: 9, minute: 0 }];
    assert_eq!(told.clips, [Clip::Say(Words { language: "en".into(), parts: nine })]);
    assert_eq!(told.none, Next::Step(0));
    let lead = Step::Lead { to: Number::Internal("80001".into()), failed: bye };
    assert_eq!(scenario.step(5), Some(&lead));
    let at: Vec<&str> = sounds.iter().map(|(at, _)| at.as_str()).collect();
    let steps = "/scenario/steps";
    assert_eq!(at.len(), 4);
    assert!(at.contains(&format!("{steps}/menu/sounds/1").as_str()), "{at:?}");
    assert!(at.contains(&format!("{steps}/hours/say").as_str()), "{at:?}");
}

#[test]
fn every_mistake_is_told_and_where_it_is() {
    let mut wrong = menu();
    wrong["steps"]["menu"]["choices"]["1"] = json!("slaes");
    wrong["steps"]["menu"]["tries"] = json!(10);
    wrong["steps"]["hours"]["next"] = json!("later");
    wrong["steps"]["sales"]["number"] = json!("nobody");
    wrong["steps"]["bye"]["sounds"][0]["url"] = json!("https://a.example");
    let steps = "/scenario/steps";
    assert_eq!(
        places(wrong),
        [
            format!("{steps}/bye/sounds/0"),
            format!("{steps}/hours/next"),
            format!("{steps}/menu/choices/1"),
            format!("{steps}/menu/tries"),
            format!("{steps}/sales/number"),
        ]
    );
    // What has another form than its step is told alone, beside those of other steps.
    let mut form = menu();
    form["steps"]["menu"]["choices"]["1"] = json!(5);
    form["steps"]["end"] = json!({ "do": "hangup", "now": true });
    form["steps"]["a b"] = json!({ "do": "hangup" });
    form["steps"]["odd"] = json!({ "do": "shout" });
    form["steps"]["none"] = json!("bye");
    let told = places(form);
    for place in ["a b", "end/now", "menu/choices/1", "none", "odd/do"] {
        assert!(told.contains(&format!("{steps}/{place}")), "{place}: {told:?}");
    }
}

#[test]
fn what_could_not_be_carried_out_is_refused() {
    let one = |step: Value| json!({ "start": "a", "steps": { "a": step } });
    let sound = json!([{ "prompt": "x" }]);
    for (step, place) in [
        (json!({ "do": "play", "sounds": [] }), "a/sounds"),
        (json!({ "do": "play", "sounds": sound, "times": 0 }), "a/times"),
        (json!({ "do": "play", "sounds": sound, "times": 300 }), "a/times"),
        (json!({ "do": "say", "say": [] }), "a/say"),
        (json!({ "do": "say", "say": [{ "shout": "x" }] }), "a/say/0"),
        (json!({ "do": "gather", "sounds": sound }), "a"),
        (json!({ "do": "gather", "choices": { "x": "a" } }), "a/choices/x"),
        (json!({ "do": "gather", "choices": { "": "a" } }), "a/choices/"),
        (json!({ "do": "gather", "choices": { "*/": "a" } }), "a/choices/*~1"),
        (json!({ "do": "gather", "collect": { "max": 0 } }), "a/collect/max"),
        (json!({ "do": "gather", "collect": { "max": 4 }, "timeout_s": 61 }), "a/timeout_s"),
        (json!({ "do": "dial" }), "a/number"),
    ] {
        assert_eq!(places(one(step.clone())), [format!("/scenario/steps/{place}")], "{step}");
    }
    assert_eq!(places(one(json!({ "do": "hangup" }))), ["/scenario/start"]);
    assert_eq!(places(json!({ "start": "b", "steps": {} }))[0], "/scenario/start");
    let many = |count: usize| {
        let step = |nth: usize| (format!("s{nth}"), json!({ "do": "play", "sounds": sound }));
        json!({ "start": "s0", "steps": Value::Object((0..count).map(step).collect()) })
    };
    assert!(compiled(many(64)).is_ok());
    assert_eq!(places(many(65)), ["/scenario/steps"]);
    assert_eq!(places(many(400))[0], "/scenario/steps");
    let gathers = |count: usize| {
        let step = json!({ "do": "gather", "choices": { "1": null }, "tries": 9 });
        let step = |nth: usize| (format!("s{nth}"), step.clone());
        json!({ "start": "s0", "steps": Value::Object((0..count).map(step).collect()) })
    };
    assert!(compiled(gathers(7)).is_ok(), "63 places");
    for count in [8, 28, 29, 30, 64] {
        assert_eq!(places(gathers(count)), ["/scenario/steps"], "{count} of 9 tries each");
    }
}
