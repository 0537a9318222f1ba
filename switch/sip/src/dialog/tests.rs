use bytes::Bytes;

use super::*;

fn message(text: &str) -> Message {
    Message::parse(Bytes::from(text.replace('\n', "\r\n"))).unwrap()
}

fn flow() -> Flow {
    Flow::udp("192.0.2.1:5060".parse().unwrap(), "192.0.2.9:5060".parse().unwrap())
}

fn invite() -> Message {
    message(
        "INVITE sip:bob@192.0.2.9 SIP/2.0\nVia: SIP/2.0/UDP 192.0.2.1;branch=z9hG4bKa\n\
         From: \"A\" <sip:a@192.0.2.1>;tag=ours\nTo: <sip:bob@192.0.2.9>\nCall-ID: c1\n\
         CSeq: 7 INVITE\nContact: <sip:a@192.0.2.1>\nContent-Length: 0\n\n",
    )
}

fn answer(extra: &str) -> Message {
    message(&format!(
        "SIP/2.0 200 OK\nVia: SIP/2.0/UDP 192.0.2.1;branch=z9hG4bKa\n\
         From: \"A\" <sip:a@192.0.2.1>;tag=ours\nTo: <sip:bob@192.0.2.9>;tag=theirs\n\
         Call-ID: c1\nCSeq: 7 INVITE\nContact: <sip:bob@192.0.2.77:5070>\n{extra}\
         Content-Length: 0\n\n"
    ))
}

fn open(extra: &str) -> Dialog {
    Dialog::opened_by_answer(&invite(), &answer(extra), flow(), false).unwrap()
}

fn bye(dialog: &Dialog) -> Message {
    Message::parse(dialog.draft(&Method::Bye, 8).to_bytes()).unwrap()
}

fn routes(message: &Message) -> Vec<String> {
    message.routes().unwrap().iter().map(ToString::to_string).collect()
}

#[test]
fn a7_rfc3261_12_1_2_the_client_reverses_the_route_set() {
    let dialog = open("Record-Route: <sip:p2;lr>, <sip:p1;lr>\n");
    let bye = bye(&dialog);
    assert_eq!(bye.request_uri(), Some("sip:bob@192.0.2.77:5070"));
    assert_eq!(routes(&bye), ["<sip:p1;lr>", "<sip:p2;lr>"]);
    assert_eq!(dialog.next_hop().unwrap().to_string(), "sip:p1;lr");
}

#[test]
fn a7_rfc3261_12_1_1_the_server_keeps_the_order_of_the_route_set() {
    let request = message(
        "INVITE sip:us@192.0.2.1 SIP/2.0\nVia: SIP/2.0/UDP 192.0.2.9;branch=z9hG4bKa\n\
         Record-Route: <sip:p2;lr>\nRecord-Route: <sip:p1;lr>\n\
         From: <sip:b@192.0.2.9>;tag=theirs\nTo: <sip:us@192.0.2.1>\nCall-ID: c1\n\
         CSeq: 3 INVITE\nContact: <sip:b@192.0.2.9>\nContent-Length: 0\n\n",
    );
    let mut dialog =
        Dialog::opened_by_request(&request, "ours", b"<sip:us>".to_vec(), flow(), false).unwrap();
    assert_eq!(routes(&bye(&dialog)), ["<sip:p2;lr>", "<sip:p1;lr>"]);
    assert!(!dialog.take_order(2), "§12.2.2: lower");
    assert!(dialog.take_order(3) && dialog.take_order(9), "§12.2.2: gaps are no fault");
    assert!(!dialog.take_order(8));
}

#[test]
fn a7_rfc3261_12_2_1_1_a_strict_router_becomes_the_request_uri() {
    let dialog = open("Record-Route: <sip:p2;lr>, <sip:p1;method=INVITE?x=y>\n");
    let bye = bye(&dialog);
    assert_eq!(bye.request_uri(), Some("sip:p1"));
    assert_eq!(routes(&bye), ["<sip:p2;lr>", "<sip:bob@192.0.2.77:5070>"]);
}

#[test]
fn a7_rfc3261_12_dialogs_are_told_apart_by_call_id_and_both_tags() {
    let dialog = open("");
    let request = |call_id: &str, from: &str, to: &str| {
        message(&format!(
            "BYE sip:a@192.0.2.1 SIP/2.0\nVia: SIP/2.0/UDP 192.0.2.9;branch=z9hG4bKb\n\
             From: <sip:bob@192.0.2.9>;tag={from}\nTo: <sip:a@192.0.2.1>;tag={to}\n\
             Call-ID: {call_id}\nCSeq: 1 BYE\nContent-Length: 0\n\n"
        ))
    };
    assert!(dialog.owns(&request("c1", "theirs", "ours")));
    assert!(!dialog.owns(&request("c2", "theirs", "ours")));
    assert!(!dialog.owns(&request("c1", "other", "ours")));
    assert!(!dialog.owns(&request("c1", "theirs", "other")));
}

#[test]
fn a7_a_contact_moves_the_target_and_a_message_without_one_does_not() {
    let mut dialog = open("");
    dialog.refresh_target(&message(
        "INVITE sip:a@192.0.2.1 SIP/2.0\nVia: SIP/2.0/UDP 192.0.2.9;branch=z9hG4bKb\n\
         From: <sip:bob@192.0.2.9>;tag=theirs\nTo: <sip:a@192.0.2.1>;tag=ours\nCall-ID: c1\n\
         CSeq: 1 INVITE\nContact: <sip:bob@192.0.2.88>\nContent-Length: 0\n\n",
    ));
    assert_eq!(bye(&dialog).request_uri(), Some("sip:bob@192.0.2.88"));
    dialog.refresh_target(&invite_without_contact());
    assert_eq!(bye(&dialog).request_uri(), Some("sip:bob@192.0.2.88"));
}

fn invite_without_contact() -> Message {
    let text = String::from_utf8(invite().bytes().to_vec()).unwrap();
    message(&text.replace("\r\n", "\n").replace("Contact: <sip:a@192.0.2.1>\n", ""))
}

#[test]
fn a_snapshot_reads_back_with_the_numbering_1000_further_on() {
    let mut dialog = open("Record-Route: <sip:p2;lr>, \"P\" <sip:p1;lr>\n");
    dialog.flow.connection = Some(4);
    dialog.remote_cseq = Some(12);
    let bytes = dialog.to_snapshot();
    let back = Dialog::from_snapshot(&bytes).unwrap();
    assert_eq!(back.local_cseq, dialog.local_cseq + 1000);
    dialog.local_cseq += 1000;
    dialog.flow.connection = None;
    assert_eq!(back, dialog);
}

#[test]
fn what_is_no_snapshot_is_refused() {
    let bytes = open("").to_snapshot();
    for end in 0..bytes.len() {
        assert_eq!(Dialog::from_snapshot(&bytes[..end]), None, "cut at {end}");
    }
    let mut other = bytes;
    other[0] = 9;
    assert_eq!(Dialog::from_snapshot(&other), None);
}
