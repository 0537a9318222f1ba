//! A conference of eight real softphones that speak four codings, each with a tone of its own (merchant API §3.6, §3.9).

use std::collections::BTreeSet;
use std::path::Path;
use std::time::{Duration, Instant};

use e2e::baresip::{Account, Baresip};
use e2e::country::{self, PASSWORD, USER, Wish};
use e2e::merchant::Merchant;
use e2e::sound::{self, Sound};
use e2e::tandem::{Setup, Tandem};
use e2e::wait;
use e2e::ytx::{self, APP};
use serde_json::{Value, json};

/// What each of them speaks, and the frequency of his tone: none is a sum, a difference or a multiple of others. Those of
/// G.722 are low, because baresip 1.0 dampens what is above a kilohertz when it brings its file to 16 kHz.
const MEMBERS: [(&str, u32); 8] = [
    ("pcmu", 653),
    ("pcma", 787),
    ("g722/16000/1", 401),
    ("opus/48000/2", 941),
    ("pcma", 1103),
    ("opus/48000/2", 1277),
    ("g722/16000/1", 523),
    ("pcmu", 1451),
];
/// Of what somebody hears each of seven equal tones is a seventh; so much of it at least is to be there,
const HEARD: f32 = 0.05;
/// and so much at most of his own.
const NOT_HEARD: f32 = 0.005;
/// All talk for so long.
const TALK: Duration = Duration::from_secs(4);

fn user(at: usize) -> String {
    format!("8100{at}")
}

fn tandem(folder: &Path, merchant: &Merchant) -> Tandem {
    let extension = |at| {
        let number = user(at);
        format!(
            "[[extensions]]\nnumber = \"{number}\"\nmerchant = \"{USER}\"\npassword = \"{PASSWORD}\"\n"
        )
    };
    let extensions: String = (0..MEMBERS.len()).map(extension).collect();
    let app = ytx::account(USER, &merchant.url("/cb/"), false);
    let app = app.replace("\"notice\"]", "\"notice\", \"meeting\"]");
    let wish = Wish { more: format!("{extensions}\n{app}"), record: false, ..Wish::default() };
    let operator = country::operator(&wish, e2e::ports::one(), e2e::ports::one());
    Tandem::start(
        folder,
        &Setup { settings: vec!["media.codecs=opus,g722,pcma,pcmu".into()], operator },
    )
}

fn phones(folder: &Path, tandem: &Tandem) -> Vec<Baresip> {
    let one = |(at, (codec, tone)): (usize, &(&str, u32))| {
        let (own, user) = (folder.join(format!("phone-{at}")), user(at));
        std::fs::create_dir_all(&own).expect("a folder");
        let file = own.join("tone.wav");
        sound::write_soft_wav_tone(&file, *tone, 120);
        let account = Account {
            srtp: None,
            user: &user,
            password: PASSWORD,
            domain: "tandem.example",
            registrar: tandem.sip.port(),
            transport: "udp",
            at_home: true,
            authority: None,
        };
        Baresip::speaking(&own, &account, &file, codec)
    };
    let phones: Vec<Baresip> = MEMBERS.iter().enumerate().map(one).collect();
    phones.iter().for_each(Baresip::wait_registered);
    phones
}

fn ask(tandem: &Tandem, page: &str, body: &Value) -> Value {
    ytx::ask(tandem.http, &format!("call/{page}.wx"), body)
}

/// The share of each tone in what one of them heard while all talked.
fn shares(phone: &Baresip) -> Vec<f32> {
    let heard = wait::until("what a phone heard", || phone.heard().pop());
    let heard = Sound::decode(&heard);
    let (samples, second) = (&heard.channels[0], heard.rate as usize);
    // The end is when it was closed; three seconds before that all were in.
    let end = samples.len().saturating_sub(second / 4);
    let part = &samples[end.saturating_sub(3 * second)..end];
    let windows: Vec<&[f32]> = part.chunks_exact(second / 5).collect();
    let share = |(_, tone): &(&str, u32)| {
        let each = windows.iter().map(|window| sound::share(window, heard.rate, *tone as f32));
        each.sum::<f32>() / windows.len() as f32
    };
    MEMBERS.iter().map(share).collect()
}

#[test]
fn s3_6_eight_phones_of_four_codings_hear_each_other_and_not_themselves() {
    let folder = tempfile::tempdir().expect("a folder");
    let merchant = Merchant::start();
    let tandem = tandem(folder.path(), &merchant);
    let mut phones = phones(folder.path(), &tandem);
    let parties: Vec<Value> = (1..MEMBERS.len())
        .map(|at| json!({ "name": format!("P{at}"), "phone": user(at) }))
        .collect();
    let body = json!({ "action": "createMeeting", "appid": APP, "meetingname": "eight",
                       "creator": user(0), "parties": parties, "customParm": "o8" });
    let made = ask(&tandem, "TeleMeeting", &body);
    assert_eq!(made["statusCode"], "0", "{made}");
    let confid = made["confid"].as_str().expect("a confid").to_owned();
    let about = |action: &str| json!({ "action": action, "appid": APP, "confid": confid });
    let end = Instant::now() + Duration::from_secs(30);
    loop {
        let told = ask(&tandem, "MeetingQuery", &about("queryMeeting"));
        let parties = told["parties"].as_array().expect("parties");
        let joined = parties.iter().filter(|one| one["state"] == "joined").count();
        if joined == MEMBERS.len() {
            break;
        }
        let logs = || phones.iter().map(Baresip::log).collect::<Vec<_>>().join("\n----\n");
        assert!(Instant::now() < end, "{told}\n{}", logs());
        std::thread::sleep(Duration::from_millis(50));
    }
    std::thread::sleep(TALK);
    assert_eq!(ask(&tandem, "TeleMeeting", &about("closeMeeting"))["statusCode"], "0");
    // A record for each, of one conference.
    let told = merchant.wait_for("/cb/", MEMBERS.len());
    let rows: Vec<Value> = told
        .iter()
        .map(|got| serde_json::from_str::<Value>(&got.body).expect("JSON")["cdr"][0].clone())
        .collect();
    assert_eq!(rows.len(), MEMBERS.len());
    let of = |name: &str| rows.iter().map(|row| row[name].to_string()).collect::<BTreeSet<_>>();
    assert_eq!((of("requestid").len(), of("tel").len()), (MEMBERS.len(), MEMBERS.len()));
    assert_eq!(of("confid"), [format!("\"{confid}\"")].into());
    assert_eq!((of("fid"), of("customParm")), (["\"5\"".into()].into(), ["\"o8\"".into()].into()));
    for row in &rows {
        let seconds: u64 = row["duration"].as_str().expect("a text").parse().expect("seconds");
        assert!((4..60).contains(&seconds), "{row}");
    }
    // What each spoke stands in his CDR.
    let cdrs = tandem.admin("GET", "/admin/v1/cdrs");
    let codings: BTreeSet<String> = cdrs["items"]
        .as_array()
        .expect("CDRs")
        .iter()
        .map(|cdr| cdr["codings"].to_string())
        .collect();
    let spoken = ["g722", "opus", "pcma", "pcmu"].map(|coding| format!("[\"{coding}\"]"));
    assert_eq!(codings, spoken.into(), "{cdrs}");
    for phone in &mut phones {
        phone.stop();
    }
    let all: Vec<Vec<f32>> = phones.iter().map(shares).collect();
    let told = || all.iter().map(|shares| format!("{shares:.4?}\n")).collect::<String>();
    for (me, shares) in all.iter().enumerate() {
        for (other, share) in shares.iter().enumerate() {
            let (speaks, tone) = MEMBERS[other];
            if other == me {
                assert!(*share < NOT_HEARD, "{me} hears himself:\n{}", told());
            } else {
                assert!(*share > HEARD, "{me} does not hear {tone} Hz in {speaks}:\n{}", told());
            }
        }
    }
    tandem.books_in_order();
}
