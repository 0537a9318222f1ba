//! Octets of SMPP and what they say (SMPP 3.4 §3, §4; SMPP 5.0 §4). The only place that names the codec: what we need of
//! its many types is here in a few of our own.
//!
//! Frames are cut here, not by the codec: a request that cannot be read is answered with an error of its own, and the
//! link goes on. What networks deliver is read by `deliver`, which takes what the codec would not.

mod deliver;

use bytes::{Bytes, BytesMut};
use rusmpp::decode::DecodeWithLength;
use rusmpp::encode::{Encode, Length};
use rusmpp::pdus::{
    BindReceiver, BindReceiverResp, BindTransceiver, BindTransceiverResp, BindTransmitter,
    BindTransmitterResp, DeliverSm, DeliverSmResp, SubmitSm, SubmitSmResp,
};
use rusmpp::tlvs::{
    MessageDeliveryRequestTlvValue, MessageSubmissionRequestTlvValue, Tlv, TlvValue,
};
use rusmpp::types::{AnyOctetString, COctetString, EmptyOrFullCOctetString, OctetString};
use rusmpp::values::{
    DataCoding, EsmClass, InterfaceVersion, ItsSessionInfo, MessagePayload, MessageState, Npi,
    RegisteredDelivery, ServiceType, Ton, UserMessageReference, UssdServiceOp,
};
use rusmpp::{Command, CommandId, CommandStatus};

/// Octets of a frame at most: a `message_payload` has 64 KiB.
const FRAME_MAX: usize = 70_000;
/// Octets of a header (§3.2).
const HEADER: usize = 16;
/// Command ids (§5.1.2.1).
const DELIVER_SM: u32 = 0x05;
/// Characters of an id of a message at most, when it is longer than it may be.
const ID_MAX: usize = 200;
/// Octets of `short_message` at most (§4.4.1; 5.0 allows one more, 3.4 does not).
pub(super) const SHORT_MAX: usize = 254;

/// Statuses that are told apart (§5.1.3).
pub(super) mod status {
    pub(crate) const OK: u32 = 0x00;
    pub(crate) const BAD_LENGTH: u32 = 0x02;
    pub(crate) const BAD_COMMAND: u32 = 0x03;
    pub(crate) const BAD_BIND: u32 = 0x04;
    pub(crate) const SYSTEM: u32 = 0x08;
    pub(crate) const QUEUE_FULL: u32 = 0x14;
    pub(crate) const THROTTLED: u32 = 0x58;
    pub(crate) const BAD_VALIDITY: u32 = 0x62;
    pub(crate) const TEMPORARY: u32 = 0x64;
    pub(crate) const PERMANENT: u32 = 0x65;
}

/// What is said, to which request, and whether it was well.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Pdu {
    pub(super) status: u32,
    pub(super) sequence: u32,
    pub(super) body: Body,
}

/// In which direction a connection is bound (§2.2).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Role {
    Transmitter,
    Receiver,
    Transceiver,
}

/// Who binds.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Who {
    pub(super) system_id: String,
    pub(super) password: String,
    pub(super) system_type: String,
    /// 0x34 or 0x50.
    pub(super) version: u8,
}

/// Without its password.
impl std::fmt::Debug for Who {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Who").field("system_id", &self.system_id).finish_non_exhaustive()
    }
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Body {
    Bind(Role, Box<Who>),
    BindResp(Role),
    Unbind,
    UnbindResp,
    EnquireLink,
    EnquireLinkResp,
    Submit(Box<Message>),
    /// How the far end calls the message.
    SubmitResp(String),
    Deliver(Box<Message>),
    DeliverResp,
    Nack,
    /// Anything else: a request, or an answer to none of ours.
    Other(u32),
}

/// An address as it stands there (§5.2.5, §5.2.6).
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug, Default)]
pub(super) struct Address {
    pub(super) ton: u8,
    pub(super) npi: u8,
    pub(super) digits: String,
}

/// A message in either direction (`submit_sm` §4.4.1, `deliver_sm` §4.6.1).
#[derive(Clone, PartialEq, Eq, Default)]
pub(super) struct Message {
    pub(super) service_type: String,
    pub(super) from: Address,
    pub(super) to: Address,
    pub(super) esm_class: u8,
    pub(super) registered: u8,
    /// For how many seconds the network is to try (`validity_period`, §5.2.16, as relative time §7.1.1.2); `None`: as
    /// long as it does.
    pub(super) validity: Option<u32>,
    pub(super) coding: u8,
    /// Of `short_message`, or of `message_payload` where that is empty.
    pub(super) octets: Vec<u8>,
    /// `ussd_service_op` (§5.3.2.44).
    pub(super) ussd: Option<u8>,
    /// `its_session_info` (§5.3.2.43).
    pub(super) session: Option<[u8; 2]>,
    /// `sar_msg_ref_num`, `sar_total_segments`, `sar_segment_seqnum` (§5.3.2.22-24).
    pub(super) sar: Option<(u16, u8, u8)>,
    /// `receipted_message_id` (§5.3.2.12).
    pub(super) receipted: Option<String>,
    /// `message_state` (§5.3.2.35).
    pub(super) state: Option<u8>,
    /// `user_message_reference` (§5.3.2.17).
    pub(super) user_reference: Option<u16>,
}

/// Without what it says.
impl std::fmt::Debug for Message {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut shown = f.debug_struct("Message");
        shown.field("from", &self.from).field("to", &self.to).field("ussd", &self.ussd);
        shown.field("octets", &self.octets.len()).finish_non_exhaustive()
    }
}

/// A frame that makes no sense: who sent it is answered with this status.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Unread {
    /// Command id.
    pub(super) id: u32,
    pub(super) sequence: u32,
    pub(super) status: u32,
}

/// The stream is no SMPP, or has lost its frames: nothing that follows can be read.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Broken;

/// Takes the next frame off what was read. `None`: it is not there whole.
pub(super) fn next(read: &mut BytesMut) -> Result<Option<Result<Pdu, Unread>>, Broken> {
    let Some(header) = read.first_chunk::<4>() else { return Ok(None) };
    let length = usize::try_from(u32::from_be_bytes(*header)).map_err(|_| Broken)?;
    if !(HEADER..=FRAME_MAX).contains(&length) {
        return Err(Broken);
    }
    if read.len() < length {
        return Ok(None);
    }
    Ok(Some(pdu(read.split_to(length))))
}

fn pdu(mut frame: BytesMut) -> Result<Pdu, Unread> {
    let word = |at: usize| {
        let octets = frame.get(at..at + 4).and_then(|octets| octets.first_chunk::<4>());
        octets.map_or(0, |octets| u32::from_be_bytes(*octets))
    };
    let unread = Unread { id: word(4), sequence: word(12), status: status::BAD_LENGTH };
    let status = word(8);
    if unread.id == DELIVER_SM {
        let message = frame.get(HEADER..).and_then(deliver::read).ok_or(unread)?;
        let body = Body::Deliver(Box::new(message));
        return Ok(Pdu { status, sequence: unread.sequence, body });
    }
    let length = frame.len() - 4;
    let _ = frame.split_to(4);
    let whole = frame.clone();
    let Ok((command, _)) = Command::decode(&mut frame, length) else {
        let body = answer(unread.id, &whole[HEADER - 4..]).ok_or(unread)?;
        return Ok(Pdu { status, sequence: unread.sequence, body });
    };
    let body = match command.pdu() {
        Some(pdu) => body(pdu, unread.id),
        // Refusals come without a body (§4.4.2).
        None => match command.id() {
            CommandId::SubmitSmResp => Body::SubmitResp(String::new()),
            CommandId::BindTransmitterResp => Body::BindResp(Role::Transmitter),
            CommandId::BindReceiverResp => Body::BindResp(Role::Receiver),
            CommandId::BindTransceiverResp => Body::BindResp(Role::Transceiver),
            CommandId::GenericNack => Body::Nack,
            CommandId::DeliverSmResp => Body::DeliverResp,
            CommandId::EnquireLink => Body::EnquireLink,
            CommandId::EnquireLinkResp => Body::EnquireLinkResp,
            CommandId::Unbind => Body::Unbind,
            CommandId::UnbindResp => Body::UnbindResp,
            _ => Body::Other(unread.id),
        },
    };
    Ok(Pdu { status: command.status().into(), sequence: command.sequence_number(), body })
}

/// What an answer says whose body cannot be read: its status, which stands before that, counts. An id that is no field as
/// the codec wants it (§5.2.23: 64 characters, a zero behind them) is taken as far as it can be read.
fn answer(id: u32, body: &[u8]) -> Option<Body> {
    Some(match id {
        0x8000_0000 => Body::Nack,
        0x8000_0001 => Body::BindResp(Role::Receiver),
        0x8000_0002 => Body::BindResp(Role::Transmitter),
        0x8000_0009 => Body::BindResp(Role::Transceiver),
        0x8000_0004 => {
            let id = body.split(|octet| *octet == 0).next().unwrap_or_default();
            let id = str::from_utf8(id).unwrap_or_default();
            Body::SubmitResp(id.chars().filter(|c| !c.is_control()).take(ID_MAX).collect())
        }
        0x8000_0006 => Body::UnbindResp,
        0x8000_0015 => Body::EnquireLinkResp,
        _ => return None,
    })
}

fn body(pdu: &rusmpp::Pdu, id: u32) -> Body {
    use rusmpp::Pdu as P;
    let who = |id: &str, password: &str, kind: &str, version: InterfaceVersion| {
        let (system_id, password) = (id.to_owned(), password.to_owned());
        Box::new(Who { system_id, password, system_type: kind.to_owned(), version: version.into() })
    };
    macro_rules! bind {
        ($role:expr, $bind:expr) => {{
            let (id, password) = ($bind.system_id.as_str(), $bind.password.as_str());
            let version = $bind.interface_version;
            Body::Bind($role, who(id, password, $bind.system_type.as_str(), version))
        }};
    }
    match pdu {
        P::BindTransmitter(bind) => bind!(Role::Transmitter, bind),
        P::BindReceiver(bind) => bind!(Role::Receiver, bind),
        P::BindTransceiver(bind) => bind!(Role::Transceiver, bind),
        P::BindTransmitterResp(_) => Body::BindResp(Role::Transmitter),
        P::BindReceiverResp(_) => Body::BindResp(Role::Receiver),
        P::BindTransceiverResp(_) => Body::BindResp(Role::Transceiver),
        P::Unbind => Body::Unbind,
        P::UnbindResp => Body::UnbindResp,
        P::EnquireLink => Body::EnquireLink,
        P::EnquireLinkResp => Body::EnquireLinkResp,
        P::SubmitSm(submit) => Body::Submit(Box::new(submitted(submit))),
        P::SubmitSmResp(answer) => Body::SubmitResp(answer.message_id().as_str().to_owned()),
        P::DeliverSmResp(_) => Body::DeliverResp,
        P::GenericNack => Body::Nack,
        _ => Body::Other(id),
    }
}

fn submitted(sm: &SubmitSm) -> Message {
    let mut message = Message {
        service_type: sm.service_type.value().as_str().to_owned(),
        from: Address {
            ton: sm.source_addr_ton.into(),
            npi: sm.source_addr_npi.into(),
            digits: sm.source_addr.as_str().to_owned(),
        },
        to: Address {
            ton: sm.dest_addr_ton.into(),
            npi: sm.dest_addr_npi.into(),
            digits: sm.destination_addr.as_str().to_owned(),
        },
        esm_class: sm.esm_class.into(),
        registered: sm.registered_delivery.into(),
        validity: seconds(sm.validity_period.as_str()),
        coding: sm.data_coding.into(),
        octets: sm.short_message().as_ref().to_vec(),
        ..Message::default()
    };
    extras(&mut message, sm.tlvs());
    message
}

fn extras(message: &mut Message, tlvs: &[Tlv]) {
    let (mut reference, mut total, mut number) = (None, None, None);
    for value in tlvs.iter().filter_map(Tlv::value) {
        match value {
            TlvValue::UssdServiceOp(op) => message.ussd = Some(op_number(*op)),
            TlvValue::ItsSessionInfo(info) => {
                message.session = Some([info.session_number, info.sequence_number]);
            }
            TlvValue::SarMsgRefNum(value) => reference = Some(*value),
            TlvValue::SarTotalSegments(value) => total = Some(*value),
            TlvValue::SarSegmentSeqnum(value) => number = Some(*value),
            TlvValue::UserMessageReference(value) => message.user_reference = Some(value.value),
            TlvValue::MessagePayload(payload) if message.octets.is_empty() => {
                message.octets = payload.value.as_ref().to_vec();
            }
            _ => {}
        }
    }
    message.sar = reference.zip(total).zip(number).map(|((r, t), n)| (r, t, n));
}

fn op_number(op: UssdServiceOp) -> u8 {
    op.into()
}

/// Octets of a frame. Texts that are longer than their fields are cut: settings were checked, and what is longer came
/// from the far end itself.
pub(super) fn octets(pdu: &Pdu) -> Bytes {
    let command =
        Command::new(CommandStatus::from(pdu.status), pdu.sequence, rusmpp_pdu(&pdu.body));
    let length = 4 + command.length();
    let mut frame = vec![0; length];
    let written = u32::try_from(length).unwrap_or(u32::MAX);
    frame[..4].copy_from_slice(&written.to_be_bytes());
    command.encode(&mut frame[4..]);
    Bytes::from(frame)
}

fn rusmpp_pdu(body: &Body) -> rusmpp::Pdu {
    use rusmpp::Pdu as P;
    macro_rules! bind {
        ($kind:ident, $who:expr) => {
            $kind::new(
                text($who.system_id.as_str()),
                text($who.password.as_str()),
                text($who.system_type.as_str()),
                InterfaceVersion::from($who.version),
                Ton::Unknown,
                Npi::Unknown,
                COctetString::null(),
            )
            .into()
        };
    }
    match body {
        Body::Bind(Role::Transmitter, who) => bind!(BindTransmitter, who),
        Body::Bind(Role::Receiver, who) => bind!(BindReceiver, who),
        Body::Bind(Role::Transceiver, who) => bind!(BindTransceiver, who),
        Body::BindResp(Role::Transmitter) => BindTransmitterResp::new(text("smsc"), None).into(),
        Body::BindResp(Role::Receiver) => BindReceiverResp::new(text("smsc"), None).into(),
        Body::BindResp(Role::Transceiver) => BindTransceiverResp::new(text("smsc"), None).into(),
        Body::Unbind => P::Unbind,
        Body::UnbindResp => P::UnbindResp,
        Body::EnquireLink => P::EnquireLink,
        Body::EnquireLinkResp => P::EnquireLinkResp,
        Body::Submit(message) => submit_sm(message).into(),
        Body::SubmitResp(id) => SubmitSmResp::new(text(id), Vec::new()).into(),
        Body::Deliver(message) => deliver_sm(message).into(),
        Body::DeliverResp => DeliverSmResp::new(COctetString::null(), Vec::new()).into(),
        Body::Nack | Body::Other(_) => P::GenericNack,
    }
}

macro_rules! sm_of {
    ($kind:ident, $tlv:ident, $message:expr) => {{
        let message = $message;
        let mut sm = $kind::builder()
            .service_type(ServiceType::new(text(&message.service_type)))
            .source_addr_ton(Ton::from(message.from.ton))
            .source_addr_npi(Npi::from(message.from.npi))
            .source_addr(text(&message.from.digits))
            .dest_addr_ton(Ton::from(message.to.ton))
            .dest_addr_npi(Npi::from(message.to.npi))
            .destination_addr(text(&message.to.digits))
            .esm_class(EsmClass::from(message.esm_class))
            .registered_delivery(RegisteredDelivery::from(message.registered))
            .data_coding(DataCoding::from(message.coding))
            .build();
        match OctetString::from_slice(&message.octets) {
            Ok(short) if message.octets.len() <= SHORT_MAX => sm.set_short_message(short),
            _ => sm.push_tlv($tlv::MessagePayload(MessagePayload::new(
                AnyOctetString::from_slice(&message.octets),
            ))),
        }
        if let Some(op) = message.ussd {
            sm.push_tlv($tlv::UssdServiceOp(UssdServiceOp::from(op)));
        }
        if let Some([number, sequence]) = message.session {
            sm.push_tlv($tlv::ItsSessionInfo(ItsSessionInfo::new(number, sequence)));
        }
        if let Some((reference, total, number)) = message.sar {
            sm.push_tlv($tlv::SarMsgRefNum(reference));
            sm.push_tlv($tlv::SarTotalSegments(total));
            sm.push_tlv($tlv::SarSegmentSeqnum(number));
        }
        if let Some(reference) = message.user_reference {
            sm.push_tlv($tlv::UserMessageReference(UserMessageReference::new(reference)));
        }
        sm
    }};
}

fn submit_sm(message: &Message) -> SubmitSm {
    let mut sm = sm_of!(SubmitSm, MessageSubmissionRequestTlvValue, message);
    if let Some(seconds) = message.validity {
        sm.validity_period = EmptyOrFullCOctetString::from_slice(relative(seconds).as_bytes())
            .unwrap_or_else(|_| EmptyOrFullCOctetString::empty());
    }
    sm
}

/// `YYMMDDhhmmss000R`, and the NUL at its end (§7.1.1.2): months of no certain length are not used.
fn relative(seconds: u32) -> String {
    const DAY: u32 = 86_400;
    let seconds = seconds.min(99 * DAY);
    let (days, rest) = (seconds / DAY, seconds % DAY);
    format!("0000{days:02}{:02}{:02}{:02}000R\0", rest / 3_600, rest / 60 % 60, rest % 60)
}

/// Seconds of such a time. `None`: it is none.
fn seconds(relative: &str) -> Option<u32> {
    let digits = relative.strip_suffix("000R").filter(|digits| digits.len() == 12)?;
    let of = |at: usize| digits.get(at..at + 2)?.parse::<u32>().ok();
    let months = of(0)? + of(2)?;
    (months == 0).then_some(of(4)? * 86_400 + of(6)? * 3_600 + of(8)? * 60 + of(10)?)
}

fn deliver_sm(message: &Message) -> DeliverSm {
    let mut sm = sm_of!(DeliverSm, MessageDeliveryRequestTlvValue, message);
    if let Some(id) = &message.receipted {
        sm.push_tlv(MessageDeliveryRequestTlvValue::ReceiptedMessageId(text(id)));
    }
    if let Some(state) = message.state {
        sm.push_tlv(MessageDeliveryRequestTlvValue::MessageState(MessageState::from(state)));
    }
    sm
}

/// A text of a field: printable ASCII, cut to its room.
fn text<const MIN: usize, const MAX: usize>(text: &str) -> COctetString<MIN, MAX> {
    let kept = text.bytes().filter(|octet| (0x20..0x7f).contains(octet)).take(MAX - 1);
    let mut octets: Vec<u8> = kept.collect();
    octets.push(0);
    COctetString::from_vec(octets).unwrap_or_else(|_| COctetString::empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn there_and_back(body: Body) -> Pdu {
        let pdu = Pdu { status: 0, sequence: 7, body };
        let mut read = BytesMut::from(octets(&pdu).as_ref());
        let back = next(&mut read).unwrap().unwrap().unwrap();
        assert!(read.is_empty());
        assert_eq!(back, pdu);
        back
    }

    fn message() -> Message {
        Message {
            service_type: "USSD".into(),
            from: Address { ton: 1, npi: 1, digits: "989123456789".into() },
            to: Address { ton: 0, npi: 1, digits: "6655".into() },
            esm_class: 0x40,
            registered: 1,
            coding: 8,
            octets: vec![0, 1, 2],
            ussd: Some(17),
            session: Some([9, 3]),
            sar: Some((77, 3, 2)),
            user_reference: Some(5),
            ..Message::default()
        }
    }

    #[test]
    fn smpp34_7_1_1_2_a_relative_time_has_days_hours_minutes_and_seconds() {
        assert_eq!(relative(600), "000000001000000R\0");
        assert_eq!(relative(2 * 86_400 + 3_600 + 61), "000002010101000R\0");
        assert_eq!(relative(u32::MAX), "000099000000000R\0");
        for none in
            ["", "261124120000000+", "000100000000000R", "00000000100000R", "0000000é000000R"]
        {
            assert_eq!(seconds(none), None, "{none:?}");
        }
    }

    #[test]
    fn smpp34_4_what_is_written_is_read_again() {
        let who = Who {
            system_id: "tandem".into(),
            password: "secret".into(),
            system_type: "VMA".into(),
            version: 0x34,
        };
        for role in [Role::Transmitter, Role::Receiver, Role::Transceiver] {
            there_and_back(Body::Bind(role, Box::new(who.clone())));
            there_and_back(Body::BindResp(role));
        }
        there_and_back(Body::EnquireLink);
        there_and_back(Body::Unbind);
        there_and_back(Body::Nack);
        let validity = Some(((2 * 24 + 3) * 60 + 4) * 60 + 5);
        there_and_back(Body::Submit(Box::new(Message { validity, ..message() })));
        there_and_back(Body::SubmitResp("a1".into()));
        let receipt =
            Message { receipted: Some("a1".into()), state: Some(2), esm_class: 4, ..message() };
        there_and_back(Body::Deliver(Box::new(receipt)));
        // What is longer than `short_message` is a payload.
        let long = Message { octets: vec![65; 3_000], ..message() };
        let Body::Submit(back) = there_and_back(Body::Submit(Box::new(long))).body else {
            panic!()
        };
        assert_eq!(back.octets.len(), 3_000);
        // No bits of ours in a plain message, whatever the codec thinks is usual.
        let plain = Message { esm_class: 0, ..message() };
        let Body::Submit(back) = there_and_back(Body::Submit(Box::new(plain))).body else {
            panic!()
        };
        assert_eq!(back.esm_class, 0);
        assert!(!format!("{who:?}").contains("secret"));
    }

    #[test]
    fn smpp34_3_2_frames_come_in_pieces_and_a_bad_one_is_answered_by_its_sequence() {
        let pdu = Pdu { status: 0, sequence: 9, body: Body::Deliver(Box::new(message())) };
        let whole = octets(&pdu);
        let mut read = BytesMut::new();
        for octet in &whole[..whole.len() - 1] {
            read.extend_from_slice(&[*octet]);
            assert_eq!(next(&mut read), Ok(None));
        }
        read.extend_from_slice(&whole[whole.len() - 1..]);
        assert_eq!(next(&mut read), Ok(Some(Ok(pdu))));
        // A deliver_sm that ends in the middle of a field.
        let mut cut = whole[..40].to_vec();
        cut[..4].copy_from_slice(&40_u32.to_be_bytes());
        let mut read = BytesMut::from(cut.as_slice());
        let unread = Unread { id: 5, sequence: 9, status: status::BAD_LENGTH };
        assert_eq!(next(&mut read), Ok(Some(Err(unread))));
        // No SMPP at all.
        assert_eq!(next(&mut BytesMut::from(&b"GET / HTTP/1.1\r\n"[..])), Err(Broken));
        assert_eq!(next(&mut BytesMut::from(&[0, 0, 0, 3][..])), Err(Broken));
    }

    #[test]
    fn no_octets_make_it_panic() {
        let pdu = Pdu { status: 0, sequence: 9, body: Body::Deliver(Box::new(message())) };
        let receipt = Message { receipted: Some("a1".into()), state: Some(2), ..message() };
        let others = [Body::Deliver(Box::new(receipt)), Body::SubmitResp("id".into()), Body::Nack];
        let others = others.map(|body| Pdu { status: 0, sequence: 1, body });
        let mut drawn: u32 = 7;
        let mut draw = || {
            drawn = drawn.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            usize::try_from(drawn >> 8).unwrap()
        };
        for pdu in std::iter::once(pdu).chain(others) {
            let whole = octets(&pdu);
            for _ in 0..5_000 {
                let mut frame = whole.to_vec();
                for _ in 0..draw() % 4 {
                    let at = 4 + draw() % (frame.len() - 4);
                    frame[at] = u8::try_from(draw() % 256).unwrap();
                }
                frame.truncate(HEADER + draw() % (frame.len() - HEADER + 1));
                let length = u32::try_from(frame.len()).unwrap();
                frame[..4].copy_from_slice(&length.to_be_bytes());
                if let Ok(Some(Ok(read))) = next(&mut BytesMut::from(frame.as_slice())) {
                    let _ = octets(&read);
                }
            }
        }
    }

    /// What is taken is taken, whatever its id looks like: it must not leave again.
    #[test]
    fn smpp34_4_4_2_an_answer_that_cannot_be_read_is_what_its_status_says() {
        let answer = |id: u32, status: u32, body: &[u8]| {
            let mut frame = Vec::new();
            for word in [u32::try_from(16 + body.len()).unwrap(), id, status, 3] {
                frame.extend_from_slice(&word.to_be_bytes());
            }
            frame.extend_from_slice(body);
            next(&mut BytesMut::from(frame.as_slice())).unwrap().unwrap()
        };
        let long = "a".repeat(80);
        for (body, id) in [
            (format!("{long}\0").into_bytes(), long.as_str()),
            (b"17".to_vec(), "17"),
            ("شناسه\0".as_bytes().to_vec(), "شناسه"),
            (b"\xff\xfe\0".to_vec(), ""),
            // A field behind it that says of itself that it is longer than all there is.
            (b"17\0\x04\x23\0\x09\x01".to_vec(), "17"),
            (b"17\0\x04".to_vec(), "17"),
        ] {
            for status in [0, 0x0b] {
                let read = answer(0x8000_0004, status, &body).expect("an answer");
                assert_eq!((read.status, read.sequence), (status, 3));
                assert_eq!(read.body, Body::SubmitResp(id.into()), "{body:?}");
            }
        }
        for (id, role) in [(1, Role::Receiver), (2, Role::Transmitter), (9, Role::Transceiver)] {
            let refused = answer(0x8000_0000 | id, 0x0e, b"more than fifteen characters\0");
            let refused = refused.expect("an answer");
            assert_eq!((refused.status, refused.body), (0x0e, Body::BindResp(role)));
        }
        // Requests are answered with an error, and what is nobody's answer is none.
        assert!(answer(5, 0, b"17").is_err());
        assert!(answer(0x8000_0103, 0, b"\xff").is_err());
    }

    #[test]
    fn smpp34_4_4_2_a_refusal_has_no_body() {
        let mut refused = Vec::new();
        for word in [16_u32, 0x8000_0004, 0x58, 3] {
            refused.extend_from_slice(&word.to_be_bytes());
        }
        let read = next(&mut BytesMut::from(refused.as_slice())).unwrap().unwrap().unwrap();
        assert_eq!((read.status, read.sequence), (status::THROTTLED, 3));
        assert_eq!(read.body, Body::SubmitResp(String::new()));
    }
}
