//! The far end of sandboxes: a telephone of its own that answers on loopback, in SIP and RTP, to the engine a trunk
//! like any other. What it does is chosen by the number that is called: `docs/sandbox.md`.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, LazyLock, Mutex, PoisonError};
use std::time::Duration;

use facts::media::Codec;
use facts::recognition::Announced;
use facts::settings::{NumberFormat, Snapshot, Transport, Trunk, TrunkOptions};
use facts::{NextHop, TrunkId};
use phone::{Answer, Behaviour, Phone};

/// No trunk in the books has it: their ids begin at 1.
const ID: TrunkId = TrunkId(0);
/// No trunk in the books may be called so.
const NAME: &str = "(sandbox)";
/// Legs at one time: each has threads of its own.
const LEGS_MAX: u32 = 100;
/// It rings so long before it answers or refuses.
const RINGS: Duration = Duration::from_millis(1000);
/// It talks so long when the number does not say.
const TALKS: Duration = Duration::from_secs(10);
/// It presses its key so long after the answer.
const PRESSES_AFTER: Duration = Duration::from_secs(2);
/// It plays a tone so long before it refuses.
const PLAYS: Duration = Duration::from_secs(4);
/// And so long after the end of an announcement, which is by then heard once and begun again.
const PLAYS_ON: Duration = Duration::from_millis(1500);
/// What it hums, Hz.
const HUMS: u32 = 425;
/// Chinese busy and congestion tones: 450 Hz, milliseconds on and off.
const BUSY: [(u32, u32); 2] = [(450, 350), (0, 350)];
const CONGESTION: [(u32, u32); 2] = [(450, 700), (0, 700)];

/// What networks say, ready to be sent; made when it is first wanted.
static SPEECH: LazyLock<Vec<(u8, Arc<[i16]>)>> = LazyLock::new(|| {
    let spoken = |one: Announced| (one.number(), media::announcements::spoken(one).into());
    Announced::all().map(spoken).collect()
});

/// What is said for a number of the recognisers' list, and how long.
fn speech(number: u8) -> (Arc<[i16]>, Duration) {
    let found = SPEECH.iter().find(|(known, _)| *known == number);
    let speech = found.map(|(_, speech)| Arc::clone(speech)).unwrap_or_default();
    let lasts = Duration::from_millis(speech.len() as u64 / 8);
    (speech, lasts)
}

/// Starts the far end when somebody needs it.
#[derive(Default)]
pub(crate) struct Sandbox {
    phone: Mutex<Option<Phone>>,
}

impl Sandbox {
    /// Where there are sandboxes, adds the trunk that leads to their far end. Without one (it could not be started)
    /// their calls outside fail: to a carrier they never go.
    pub(crate) fn furnish(&self, snapshot: &mut Snapshot) {
        if snapshot.sandboxes.is_empty() {
            return;
        }
        let mut phone = self.phone.lock().unwrap_or_else(PoisonError::into_inner);
        if phone.is_none() {
            match Phone::far_end((Ipv4Addr::LOCALHOST, 0).into(), behaviour) {
                Ok(started) => {
                    tracing::info!(address = %started.address(), "the far end of sandboxes answers");
                    *phone = Some(started);
                }
                Err(error) => tracing::error!(%error, "there is no far end for sandboxes"),
            }
        }
        if let Some(phone) = &*phone {
            snapshot.trunks.insert(ID, trunk(phone.address()));
            snapshot.sandbox = Some(ID);
        }
    }
}

fn trunk(address: SocketAddr) -> Trunk {
    Trunk {
        name: NAME.into(),
        enabled: true,
        // It calls nobody.
        peers: Vec::new(),
        peer_names: Vec::new(),
        target: NextHop::Address(address),
        transport: Transport::Udp,
        domain: String::new(),
        credentials: None,
        numbers: NumberFormat::E164,
        codecs: vec![Codec::Pcma, Codec::Pcmu],
        max_calls: Some(LEGS_MAX),
        calls_per_second: None,
        options: TrunkOptions { tones: "cn".into(), ..TrunkOptions::default() },
    }
}

/// What is done with a call, by the last three digits of its number.
fn behaviour(number: &str) -> Behaviour {
    let at = number.len().saturating_sub(3);
    let last = number.get(at..).and_then(|digits| digits.parse::<u16>().ok()).unwrap_or(0);
    let answers = Behaviour {
        answer: Answer::After(RINGS),
        hang_up_after: Some(TALKS),
        tone_hz: HUMS,
        ..Behaviour::default()
    };
    let refuses = |code, cause| Behaviour {
        answer: Answer::Reject { after: RINGS, code, cause: Some(cause) },
        ..answers.clone()
    };
    let unrung = |code, cause| Behaviour {
        ring_after: None,
        answer: Answer::Reject { after: Duration::ZERO, code, cause: Some(cause) },
        ..answers.clone()
    };
    // What a network plays in place of an answer says more than the status after it.
    let plays = |rhythm: &[(u32, u32)]| Behaviour {
        ring_after: None,
        early_media_after: Some(Duration::ZERO),
        rhythm: rhythm.to_vec(),
        answer: Answer::Reject { after: PLAYS, code: 480, cause: None },
        ..answers.clone()
    };
    let says = |number| {
        let (speech, lasts) = speech(number);
        Behaviour {
            speech,
            answer: Answer::Reject { after: lasts + PLAYS_ON, code: 480, cause: None },
            ..plays(&[])
        }
    };
    match last {
        101..=199 => {
            Behaviour { hang_up_after: Some(Duration::from_secs(u64::from(last - 100))), ..answers }
        }
        // It waits for the other side; the longest talk of the merchant ends it otherwise.
        100 => Behaviour { hang_up_after: None, ..answers },
        200 => unrung(486, 17),
        201 => Behaviour { answer: Answer::Never, ..answers },
        202 => refuses(603, 21),
        203 => unrung(404, 1),
        204 => unrung(480, 20),
        205 => unrung(503, 34),
        206 => unrung(410, 22),
        207 => unrung(484, 28),
        300 => plays(&BUSY),
        301 => plays(&CONGESTION),
        302..=320 => says(u8::try_from(last - 300).unwrap_or_default()),
        400..=411 => {
            let key = char::from(b"0123456789*#"[usize::from(last - 400)]);
            Behaviour { keys: Some((PRESSES_AFTER, key.into())), ..answers }
        }
        _ => answers,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every row of the document is what is done, and the document has every number that does something of its own.
    #[test]
    fn numbers_do_what_the_document_says() {
        let page = include_str!("../../docs/sandbox.md");
        let ordinary = format!("{:?}", behaviour("13800138000"));
        for last in 0..1000_u16 {
            let own = format!("{:?}", behaviour(&format!("13800138{last:03}"))) != ordinary;
            let named = page.lines().filter_map(|line| line.strip_prefix("| `…")).any(|row| {
                let low = row.split('`').next().unwrap_or_default();
                let high = row.split("` to `…").nth(1).and_then(|rest| rest.split('`').next());
                let high = high.unwrap_or(low);
                (low.parse::<u16>().unwrap()..=high.parse::<u16>().unwrap()).contains(&last)
            });
            // 110 says in so many words what all others do.
            assert_eq!(own || last == 110, named, "{last:03}");
        }
        for (number, answer) in [
            ("8613800138200", Answer::Reject { after: Duration::ZERO, code: 486, cause: Some(17) }),
            ("8613800138202", Answer::Reject { after: RINGS, code: 603, cause: Some(21) }),
            ("201", Answer::Never),
            ("", Answer::After(RINGS)),
        ] {
            assert_eq!(behaviour(number).answer, answer, "{number}");
        }
        assert_eq!(behaviour("13800138411").keys.unwrap().1, "#");
        assert_eq!(behaviour("13800138103").hang_up_after, Some(Duration::from_secs(3)));
    }

    #[test]
    fn without_sandboxes_nothing_is_started_and_with_them_one_trunk_is_there() {
        let (sandbox, mut snapshot) = (Sandbox::default(), Snapshot::default());
        sandbox.furnish(&mut snapshot);
        assert_eq!((snapshot.sandbox, snapshot.trunks.len()), (None, 0));
        snapshot.sandboxes.insert(facts::MerchantId(1));
        sandbox.furnish(&mut snapshot);
        let first = snapshot.trunks[&ID].target.clone();
        sandbox.furnish(&mut snapshot);
        assert_eq!((snapshot.sandbox, &snapshot.trunks[&ID].target), (Some(ID), &first));
    }
}
