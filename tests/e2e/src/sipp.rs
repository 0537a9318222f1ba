//! sipp as the far end of a trunk: one called party with one behaviour, or one that calls.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};

use crate::wait;

/// What the called party does with an INVITE.
#[derive(Clone, Debug)]
pub enum Behaviour {
    /// Rings, answers after `ring_ms`, plays `tone` (raw A-law), and waits for BYE; or hangs up itself
    /// `talk_ms` after the ACK.
    Answer {
        /// Time between 180 and 200.
        ring_ms: u32,
        /// Raw A-law file to play; `None` sends no audio.
        tone: Option<PathBuf>,
        /// Sends BYE this long after the ACK; `None` waits for BYE.
        talk_ms: Option<u32>,
    },
    /// 183 with early media of `tone`, then 200 after `early_ms`, then waits for BYE.
    EarlyMedia {
        /// Raw A-law file to play as early media and after the answer.
        tone: PathBuf,
        /// Time between 183 and 200.
        early_ms: u32,
    },
    /// Plays what its network says in place of an answer: 183 and a sound, over and over.
    Announces {
        /// Raw A-law file.
        sound: PathBuf,
        /// Refuses after so many milliseconds with a status; `None` waits for CANCEL.
        then: Option<(u32, &'static str)>,
    },
    /// Answers at once, takes keys as events (RFC 4733, number 101), and tells one itself by INFO a while after the ACK; waits
    /// for BYE.
    Keys {
        /// The key that it tells.
        info: char,
        /// When.
        after_ms: u32,
    },
    /// Answers at once with events agreed, and takes one key by INFO with `application/dtmf-relay`: only this one is
    /// answered with 200. Waits for BYE.
    TakesInfo {
        /// The key.
        key: char,
    },
    /// Rings if `rings`, then refuses with a status.
    Refuse {
        /// Sends 180 first.
        rings: bool,
        /// Final status and reason phrase, e.g. `486 Busy Here`.
        status: &'static str,
        /// Extra header line, e.g. a `Reason`; empty for none.
        header: &'static str,
    },
    /// A reliable 183 with its description, which is not gone on from before its PRACK came; answers after
    /// `ring_ms` more, and waits for BYE or hangs up itself `talk_ms` after the ACK (RFC 3262).
    Reliable {
        /// Time between the PRACK and 200.
        ring_ms: u32,
        /// Sends BYE this long after the ACK; `None` waits for BYE.
        talk_ms: Option<u32>,
    },
    /// Calls `number` at the switch's `port`, wants reliable provisional answers and acknowledges the 180;
    /// hangs up `talk_ms` after the answer.
    Calls {
        /// Where the switch listens.
        port: u16,
        /// The number it calls.
        number: &'static str,
        /// Sends BYE this long after the ACK.
        talk_ms: u32,
    },
    /// Calls `number` at the switch's `port`, plays `tone` once it is answered, and hangs up `talk_ms` after that.
    Dials {
        /// Where the switch listens.
        port: u16,
        /// Who calls, as it says in From.
        from: &'static str,
        /// The number it calls.
        number: &'static str,
        /// Raw A-law file.
        tone: PathBuf,
        /// Sends BYE this long after the ACK.
        talk_ms: u32,
    },
    /// Calls `number` at the switch's `port`, is told something by 183 and sound, and then refused with a status.
    IsTold {
        /// Where the switch listens.
        port: u16,
        /// Who calls, as it says in From.
        from: &'static str,
        /// The number it calls.
        number: &'static str,
        /// The status.
        status: u16,
    },
    /// Calls at the switch's `port`, by these steps, as sipp's scenarios have them.
    Written {
        /// Where the switch listens.
        port: u16,
        /// The steps.
        steps: String,
    },
    /// Rings and never answers; expects CANCEL.
    RingOnly,
    /// Answers and then never says anything again: no RTP, no BYE, no answer to BYE.
    VanishAfterAnswer,
}

const REPLY: &str = "[last_Via:]\n[last_From:]\n[last_To:];tag=[pid]x[call_number]\n[last_Call-ID:]\n[last_CSeq:]\n";
const IN_DIALOG: &str = "[last_Via:]\n[last_From:]\n[last_To:]\n[last_Call-ID:]\n[last_CSeq:]\n";
const CONTACT: &str = "Contact: <sip:peer@[local_ip]:[local_port];transport=[transport]>\n";
const SDP: &str = "Content-Type: application/sdp\nContent-Length: [len]\n\nv=0\no=sipp 1 1 IN IP[local_ip_type] [local_ip]\ns=-\nc=IN IP[media_ip_type] [media_ip]\nt=0 0\nm=audio [media_port] RTP/AVP 8\na=rtpmap:8 PCMA/8000\na=ptime:20\n";

fn reply(status: &str, dialog: &str, extra: &str, sdp: bool, retransmit: bool) -> String {
    let tail = if sdp { SDP } else { "Content-Length: 0\n" };
    let retrans = if retransmit { " retrans=\"500\"" } else { "" };
    let contact = if dialog == REPLY { CONTACT } else { "" };
    format!(
        "<send{retrans}><![CDATA[\n\nSIP/2.0 {status}\n{dialog}{extra}{contact}{tail}\n]]></send>\n"
    )
}

fn play(tone: &Path) -> String {
    format!("<nop><action><exec rtp_stream=\"{},-1,8\"/></action></nop>\n", tone.display())
}

fn wait_for_bye() -> String {
    // A crossing re-INVITE or OPTIONS is none of these scenarios' business.
    format!(
        "<recv request=\"BYE\" timeout=\"120000\"/>\n{}",
        reply("200 OK", IN_DIALOG, "", false, false)
    )
}

/// Hangs up `ms` after the ACK, or waits for BYE.
fn end(ms: Option<u32>) -> String {
    let Some(ms) = ms else { return wait_for_bye() };
    format!(
        "<pause milliseconds=\"{ms}\"/>\n<send retrans=\"500\"><![CDATA[\n\nBYE [next_url] SIP/2.0\nVia: SIP/2.0/[transport] [local_ip]:[local_port];branch=[branch]\n[routes]\nFrom: [$me]\nTo: [$them]\n[last_Call-ID:]\nCSeq: 1 BYE\nMax-Forwards: 70\nContent-Length: 0\n\n]]></send>\n<recv response=\"200\" timeout=\"10000\"/>\n"
    )
}

/// A called party whose 183 has to be acknowledged. What follows the PRACK answers the INVITE all the same,
/// so that one's Via and number are kept.
fn reliable(ring_ms: u32, talk_ms: Option<u32>) -> String {
    let mut body = reply("183 Session Progress", REPLY, "Require: 100rel\nRSeq: 1\n", true, true);
    body += "<recv request=\"PRACK\" timeout=\"10000\"><action><ereg regexp=\"1 [0-9]+ INVITE\" search_in=\"hdr\" header=\"RAck:\" check_it=\"true\" assign_to=\"rack\"/></action></recv>\n<Reference variables=\"rack\"/>\n";
    body += &reply("200 OK", IN_DIALOG, "", false, false);
    body += &format!("<pause milliseconds=\"{ring_ms}\"/>\n");
    let invite = "Via:[$via]\n[last_From:]\n[last_To:]\n[last_Call-ID:]\nCSeq: [$cseq] INVITE\n";
    body += &reply("200 OK", invite, CONTACT, false, true).replace("Content-Length: 0\n", SDP);
    body += "<recv request=\"ACK\"/>\n";
    body + &end(talk_ms)
}

/// The first lines of a request of somebody who calls.
fn head((method, uri): (&str, &str), (from, to): (&str, &str), cseq: u32) -> String {
    format!(
        "{method} {uri} SIP/2.0\nVia: SIP/2.0/[transport] [local_ip]:[local_port];branch=[branch]\nMax-Forwards: 70\nFrom: <sip:{from}@[local_ip]:[local_port]>;tag=[pid]x[call_number]\n{to}\nCall-ID: [call_id]\nCSeq: {cseq} {method}\nContact: <sip:peer@[local_ip]:[local_port]>\n"
    )
}

fn send(text: &str, resent: bool) -> String {
    let retrans = if resent { " retrans=\"500\"" } else { "" };
    format!("<send{retrans}><![CDATA[\n\n{text}\n]]></send>\n")
}

const EMPTY: &str = "Content-Length: 0\n";

/// Somebody calls by this number, and hears of it so far.
fn dials(port: u16, from: &str, number: &str) -> String {
    let to = format!("sip:{number}@127.0.0.1:{port}");
    let invite = head(("INVITE", &to), (from, &format!("To: <{to}>")), 1) + SDP;
    send(&invite, true) + "<recv response=\"100\" optional=\"true\"/>\n"
}

/// He is answered, plays something, and hangs up.
fn talks(from: &str, tone: &Path, talk_ms: u32) -> String {
    let mut body = "<recv response=\"180\" optional=\"true\"/>\n<recv response=\"183\" optional=\"true\"/>\n<recv response=\"200\" rrs=\"true\" timeout=\"20000\"/>\n".to_owned();
    let request = |method, cseq| head((method, "[next_url]"), (from, "[last_To:]"), cseq) + EMPTY;
    body += &send(&request("ACK", 1), false);
    body += &play(tone);
    body += &format!("<pause milliseconds=\"{talk_ms}\"/>\n");
    body += &send(&request("BYE", 2), true);
    body + "<recv response=\"200\" timeout=\"10000\"/>\n"
}

/// He hears something before any answer, and is refused.
fn is_told(port: u16, (from, number): (&str, &str), status: u16) -> String {
    let to = format!("sip:{number}@127.0.0.1:{port}");
    let mut body = "<recv response=\"183\" timeout=\"10000\"/>\n".to_owned();
    body += &format!("<recv response=\"{status}\" timeout=\"20000\"/>\n");
    // RFC 3261 §17.1.1.3: with the Via of the INVITE.
    let ack = head(("ACK", &to), (from, "[last_To:]"), 1) + EMPTY;
    let via = "Via: SIP/2.0/[transport] [local_ip]:[local_port];branch=[branch]";
    body + &send(&ack.replace(via, "[last_Via:]"), false)
}

/// A caller that takes part in 100rel.
fn calls(port: u16, number: &str, talk_ms: u32) -> String {
    let to = format!("sip:{number}@127.0.0.1:{port}");
    let from = "+8613800138000";
    let head = |method: &str, uri: &str, to: &str, cseq: u32| head((method, uri), (from, to), cseq);
    let send = |text: String, resent: bool| send(&text, resent);
    let empty = EMPTY;
    let mut body =
        send(head("INVITE", &to, &format!("To: <{to}>"), 1) + "Supported: 100rel\n" + SDP, true);
    body += "<recv response=\"100\" optional=\"true\"/>\n<recv response=\"180\" rrs=\"true\" timeout=\"20000\"><action><ereg regexp=\"[0-9]+\" search_in=\"hdr\" header=\"RSeq:\" check_it=\"true\" assign_to=\"rseq\"/></action></recv>\n";
    body += &send(
        head("PRACK", "[next_url]", "[last_To:]", 2) + "RAck: [$rseq] 1 INVITE\n" + empty,
        true,
    );
    body += "<recv response=\"200\" timeout=\"10000\"/>\n<recv response=\"200\" rrs=\"true\" timeout=\"20000\"/>\n";
    body += &send(head("ACK", "[next_url]", "[last_To:]", 1) + empty, false);
    body += &format!("<pause milliseconds=\"{talk_ms}\"/>\n");
    body += &send(head("BYE", "[next_url]", "[last_To:]", 3) + empty, true);
    body + "<recv response=\"200\" timeout=\"10000\"/>\n"
}

/// Waits for CANCEL, and answers it and the INVITE.
fn cancelled() -> String {
    let mut body = "<recv request=\"CANCEL\" timeout=\"120000\"/>\n".to_owned();
    body += &reply("200 OK", IN_DIALOG, "", false, false);
    body += "<send retrans=\"500\"><![CDATA[\n\nSIP/2.0 487 Request Terminated\n[last_Via:]\n[last_From:]\n[last_To:];tag=[pid]x[call_number]\n[last_Call-ID:]\nCSeq: [$cseq] INVITE\nContent-Length: 0\n\n]]></send>\n";
    body + "<recv request=\"ACK\" timeout=\"10000\"/>\n"
}

impl Behaviour {
    fn scenario(&self) -> String {
        let pause = |ms: u32| format!("<pause milliseconds=\"{ms}\"/>\n");
        let ringing = || reply("180 Ringing", REPLY, "", false, false);
        let ok = || reply("200 OK", REPLY, "", true, true);
        let mut body = "<recv request=\"INVITE\" crlf=\"true\"/>\n".to_owned();
        match self {
            Behaviour::Answer { ring_ms, tone, talk_ms } => {
                body += &ringing();
                body += &pause(*ring_ms);
                body += &ok();
                body += "<recv request=\"ACK\"/>\n";
                if let Some(tone) = tone {
                    body += &play(tone);
                }
                body += &end(*talk_ms);
            }
            Behaviour::Reliable { ring_ms, talk_ms } => body += &reliable(*ring_ms, *talk_ms),
            Behaviour::Calls { port, number, talk_ms } => body = calls(*port, number, *talk_ms),
            Behaviour::Dials { port, from, number, tone, talk_ms } => {
                body = dials(*port, from, number) + &talks(from, tone, *talk_ms);
            }
            Behaviour::Written { steps, .. } => body.clone_from(steps),
            Behaviour::IsTold { port, from, number, status } => {
                body = dials(*port, from, number) + &is_told(*port, (from, number), *status);
            }
            Behaviour::EarlyMedia { tone, early_ms } => {
                body += &reply("183 Session Progress", REPLY, "", true, false);
                body += &play(tone);
                body += &pause(*early_ms);
                body += &ok();
                body += "<recv request=\"ACK\"/>\n";
                body += &wait_for_bye();
            }
            Behaviour::Announces { sound, then } => {
                body += &reply("183 Session Progress", REPLY, "", true, false);
                body += &play(sound);
                body += &match then {
                    Some((after, status)) => {
                        let refused = reply(status, REPLY, "", false, true);
                        pause(*after) + &refused + "<recv request=\"ACK\" timeout=\"10000\"/>\n"
                    }
                    None => cancelled(),
                };
            }
            Behaviour::Keys { info, after_ms } => {
                body += &ok()
                    .replace("RTP/AVP 8\n", "RTP/AVP 8 101\na=rtpmap:101 telephone-event/8000\n");
                body += "<recv request=\"ACK\"/>\n";
                body += &pause(*after_ms);
                body += &format!(
                    "<send retrans=\"500\"><![CDATA[\n\nINFO [next_url] SIP/2.0\nVia: SIP/2.0/[transport] [local_ip]:[local_port];branch=[branch]\n[routes]\nFrom: [$me]\nTo: [$them]\n[last_Call-ID:]\nCSeq: 1 INFO\nMax-Forwards: 70\nContent-Type: application/dtmf-relay\nContent-Length: [len]\n\nSignal={info}\nDuration=160\n\n]]></send>\n<recv response=\"200\" timeout=\"10000\"/>\n"
                );
                body += &wait_for_bye();
            }
            Behaviour::TakesInfo { key } => {
                body += &ok()
                    .replace("RTP/AVP 8\n", "RTP/AVP 8 101\na=rtpmap:101 telephone-event/8000\n");
                body += "<recv request=\"ACK\"/>\n";
                body += &format!(
                    "<recv request=\"INFO\" timeout=\"20000\"><action><ereg regexp=\"application/dtmf-relay\" search_in=\"hdr\" header=\"Content-Type:\" check_it=\"true\" assign_to=\"kind\"/><ereg regexp=\"Signal={key}.*Duration=100\" search_in=\"body\" check_it=\"true\" assign_to=\"key\"/></action></recv>\n<Reference variables=\"kind,key\"/>\n"
                );
                body += &reply("200 OK", IN_DIALOG, "", false, false);
                body += &wait_for_bye();
            }
            Behaviour::Refuse { rings, status, header } => {
                if *rings {
                    body += &ringing();
                    body += &pause(300);
                }
                let extra = if header.is_empty() { String::new() } else { format!("{header}\n") };
                body += &reply(status, REPLY, &extra, false, true);
                body += "<recv request=\"ACK\" timeout=\"10000\"/>\n";
            }
            Behaviour::RingOnly => {
                body += &ringing();
                body += &cancelled();
            }
            Behaviour::VanishAfterAnswer => {
                body += &ringing();
                body += &ok();
                body += "<recv request=\"ACK\"/>\n";
                body += &pause(120_000);
            }
        }
        body = remember(&body, self);
        format!(
            "<?xml version=\"1.0\" encoding=\"ISO-8859-1\" ?>\n<!DOCTYPE scenario SYSTEM \"sipp.dtd\">\n\
             <scenario name=\"called party\">\n{body}</scenario>\n"
        )
    }
}

/// Scenarios that speak first later must remember who they are: From and To of the INVITE, swapped.
fn remember(body: &str, behaviour: &Behaviour) -> String {
    let first = "<recv request=\"INVITE\" crlf=\"true\"/>";
    let via = "<ereg regexp=\".*\" search_in=\"hdr\" header=\"Via:\" assign_to=\"via\"/>";
    let cseq = "<ereg regexp=\"[0-9]+\" search_in=\"hdr\" header=\"CSeq:\" assign_to=\"cseq\"/>";
    match behaviour {
        Behaviour::Reliable { talk_ms: None, .. } => body.replacen(
            first,
            &format!("<recv request=\"INVITE\" crlf=\"true\"><action>{via}{cseq}</action></recv>"),
            1,
        ),
        Behaviour::Reliable { talk_ms: Some(_), .. } => body.replacen(
            first,
            &format!(
                "<recv request=\"INVITE\" crlf=\"true\" rrs=\"true\"><action>{via}{cseq}\
                 <ereg regexp=\".*\" search_in=\"hdr\" header=\"From:\" assign_to=\"them\"/>\
                 <ereg regexp=\".*\" search_in=\"hdr\" header=\"To:\" assign_to=\"to\"/>\
                 <assignstr assign_to=\"me\" value=\"[$to];tag=[pid]x[call_number]\"/>\
                 </action></recv>"
            ),
            1,
        ),
        Behaviour::Answer { talk_ms: Some(_), .. } | Behaviour::Keys { .. } => body.replacen(
            first,
            "<recv request=\"INVITE\" crlf=\"true\" rrs=\"true\"><action>\
             <ereg regexp=\".*\" search_in=\"hdr\" header=\"From:\" assign_to=\"them\"/>\
             <ereg regexp=\".*\" search_in=\"hdr\" header=\"To:\" assign_to=\"to\"/>\
             <assignstr assign_to=\"me\" value=\"[$to];tag=[pid]x[call_number]\"/>\
             </action></recv>",
            1,
        ),
        Behaviour::RingOnly | Behaviour::Announces { then: None, .. } => body.replacen(
            first,
            &format!("<recv request=\"INVITE\" crlf=\"true\"><action>{cseq}</action></recv>"),
            1,
        ),
        _ => body.to_owned(),
    }
}

/// Messages are logged only where somebody will read them.
const TRACED_MAX: u32 = 100;

/// How often sipp is started anew with another port.
const TRIES: u32 = 3;
/// What sipp ends with when it gets no socket, among other reasons not to begin.
const CANNOT_BEGIN: i32 = 254;

/// A running sipp.
#[derive(Debug)]
pub struct Sipp {
    child: Child,
    /// SIP port.
    pub port: u16,
    /// RTP port.
    pub media_port: u16,
    trace: PathBuf,
}

impl Sipp {
    /// Starts a called party for `calls` calls.
    ///
    /// # Panics
    /// When sipp is missing.
    #[must_use]
    pub fn start(folder: &Path, name: &str, behaviour: &Behaviour, calls: u32) -> Sipp {
        Sipp::start_at(folder, name, behaviour, calls, crate::ports::block(4))
    }

    /// The same with its sound at these ports, which somebody listens to from its first packet on.
    ///
    /// # Panics
    /// When sipp is missing.
    #[must_use]
    pub fn start_at(
        folder: &Path,
        name: &str,
        behaviour: &Behaviour,
        calls: u32,
        media_port: u16,
    ) -> Sipp {
        let to = match behaviour {
            Behaviour::Calls { port, .. }
            | Behaviour::Dials { port, .. }
            | Behaviour::Written { port, .. }
            | Behaviour::IsTold { port, .. } => Some(format!("127.0.0.1:{port}")),
            _ => None,
        };
        let scenario = folder.join(format!("{name}.xml"));
        std::fs::write(&scenario, behaviour.scenario()).expect("a scenario file");
        let trace = folder.join(format!("{name}.messages"));
        let log = folder.join(format!("{name}.log"));
        // A port that was free when it was chosen may be somebody's by the time sipp asks for it.
        for _ in 0..TRIES {
            let port = crate::ports::one();
            let out = File::create(&log).expect("a log file");
            let mut command = Command::new("sipp");
            if calls <= TRACED_MAX {
                command.args(["-trace_msg", "-message_file"]).arg(&trace);
            }
            let child = command
                .arg("-sf")
                .arg(&scenario)
                .args(["-i", "127.0.0.1", "-p", &port.to_string()])
                .args(["-mi", "127.0.0.1", "-mp", &media_port.to_string()])
                .args(["-m", &calls.to_string(), "-nostdin"])
                .args(&to)
                .current_dir(folder)
                .stdout(out.try_clone().expect("a log file"))
                .stderr(out)
                .stdin(Stdio::null())
                .env("TERM", "dumb")
                .spawn()
                .expect("sipp runs");
            let mut sipp = Sipp { child, port, media_port, trace: trace.clone() };
            if wait::until("sipp to listen, or to end", || sipp.began()) {
                return sipp;
            }
        }
        panic!("sipp does not begin: {}", std::fs::read_to_string(&log).unwrap_or_default());
    }

    /// Whether it listens, or did and is through; `false` when it has ended without. Bound when its port no longer is
    /// free for us.
    fn began(&mut self) -> Option<bool> {
        if let Some(status) = self.child.try_wait().ok().flatten() {
            return Some(status.code() != Some(CANNOT_BEGIN));
        }
        std::net::UdpSocket::bind(("127.0.0.1", self.port)).is_err().then_some(true)
    }

    /// Every SIP message it sent and received, as sipp logs them.
    #[must_use]
    pub fn messages(&self) -> String {
        std::fs::read_to_string(&self.trace).unwrap_or_default()
    }

    /// A phone that loses its power: no BYE, no more packets, nobody at its port.
    pub fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Waits until it has finished all its calls; success means every step of the scenario happened.
    #[must_use]
    pub fn finish(&mut self) -> ExitStatus {
        wait::until("sipp to finish", || self.child.try_wait().ok().flatten())
    }
}

impl Drop for Sipp {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
