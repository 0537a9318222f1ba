//! TLS: who is let in, who is believed, and what a new certificate changes.

use std::path::Path;
use std::sync::atomic::Ordering;

use facts::TrunkId;
use facts::settings::{NumberFormat, Snapshot, Transport as Way, Trunk, TrunkOptions};
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, RootCertStore, ServerConfig, SupportedProtocolVersion, version};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::time::timeout;
use tokio_rustls::client::TlsStream;
use tokio_rustls::{TlsAcceptor, TlsConnector};

use super::super::tls::identities;
use super::authority::{Authority, Issued};
use super::*;

const NAME: &str = "sip.example.com";

fn provider() -> Arc<rustls::crypto::CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}

/// A phone's side, that believes this authority and may show a certificate.
fn client(
    authority: &Authority,
    versions: &[&'static SupportedProtocolVersion],
    own: Option<&Issued>,
) -> TlsConnector {
    let mut roots = RootCertStore::empty();
    let pem = authority.pem();
    let bytes = rustls::pki_types::pem::PemObject::from_pem_slice(pem.as_bytes()).unwrap();
    roots.add(bytes).unwrap();
    let config = ClientConfig::builder_with_provider(provider())
        .with_protocol_versions(versions)
        .unwrap()
        .with_root_certificates(roots);
    let config = match own {
        Some(own) => config.with_client_auth_cert(vec![own.der()], own.secret()).unwrap(),
        None => config.with_no_client_auth(),
    };
    TlsConnector::from(Arc::new(config))
}

async fn dial(
    address: SocketAddr,
    connector: &TlsConnector,
) -> std::io::Result<TlsStream<TcpStream>> {
    let stream = TcpStream::connect(address).await?;
    connector.connect(ServerName::try_from(NAME).unwrap(), stream).await
}

fn serving(issued: &Issued, folder: &Path) -> Ground {
    let (cert, key) = issued.write(folder);
    Ground::new(|config| {
        (config.tls.cert, config.tls.key) = (Some(cert), Some(key));
    })
}

#[tokio::test]
async fn rfc3261_26_2_1_messages_travel_by_tls_1_2_and_1_3_both_ways() {
    let (authority, folder) = (Authority::new(), tempfile::tempdir().unwrap());
    let ground = serving(&authority.issue(&["dns:sip.example.com"]), folder.path());
    let address = ground.listening(Transport::Tls);
    for version in [&version::TLS12, &version::TLS13] {
        let connector = client(&authority, &[version], None);
        let mut phone = dial(address, &connector).await.unwrap();
        assert_eq!(phone.get_ref().1.protocol_version(), Some(version.version));
        phone.write_all(OPTIONS).await.unwrap();
        let heard = ground.heard().await;
        assert_eq!((&heard.bytes[..], heard.flow.transport), (OPTIONS, Transport::Tls));
        assert!(ground.say(heard.flow, b"SIP/2.0 200 OK\r\n\r\n"));
        let mut answer = [0; 14];
        phone.read_exact(&mut answer).await.unwrap();
        assert_eq!(&answer, b"SIP/2.0 200 OK");
    }
    assert_eq!(ground.shared.counts.received.of(Transport::Tls).load(Ordering::Relaxed), 2);
}

#[tokio::test]
async fn a_half_handshake_is_cut_in_time_and_counted() {
    let (authority, folder) = (Authority::new(), tempfile::tempdir().unwrap());
    let (cert, key) = authority.issue(&["dns:sip.example.com"]).write(folder.path());
    let ground = Ground::new(|config| {
        (config.tls.cert, config.tls.key) = (Some(cert), Some(key));
        config.tcp.handshake = Duration::from_millis(50);
    });
    let address = ground.listening(Transport::Tls);
    for noise in [&b"\x16\x03\x01"[..], OPTIONS] {
        let mut peer = TcpStream::connect(address).await.unwrap();
        peer.write_all(noise).await.unwrap();
        let mut rest = Vec::new();
        let _ = timeout(PATIENCE, peer.read_to_end(&mut rest)).await.expect("it was kept");
    }
    let failed =
        || ground.shared.counts.handshakes_failed.of(Transport::Tls).load(Ordering::Relaxed);
    soon("not counted", || (failed() == 2).then_some(())).await;
    assert_eq!((ground.connections(), ground.outlet.network.len()), (0, 0));
}

#[test]
fn rfc5922_7_1_a_certificate_is_for_the_sip_uris_in_it_or_else_for_its_dns_names() {
    let authority = Authority::new();
    for (names, domains) in [
        (&["dns:Sip.Example.com", "dns:b.example"][..], &["sip.example.com", "b.example"][..]),
        // §7.1: with a URI the DNS names do not count.
        (&["dns:a.example", "uri:sip:b.example"], &["b.example"]),
        (&["uri:sip:b.example", "uri:sip:c.example"], &["b.example", "c.example"]),
        // Another scheme is no SIP URI; a user is no domain.
        (&["dns:a.example", "uri:https://b.example"], &["a.example"]),
        (&["uri:sip:alice@b.example"], &[]),
        // §7.2: no wildcard; a NUL ends nothing.
        (&["dns:*.example.com"], &[]),
        (&["dns:a.example\0.evil.example"], &[]),
        (&["uri:sip:a.example\0.evil.example"], &[]),
        (&["ip:192.0.2.1"], &[]),
        (&[], &[]),
    ] {
        assert_eq!(identities(&authority.issue(names).der()), domains, "{names:?}");
    }
}

/// A carrier with this certificate; what it was sent.
async fn carrier(issued: &Issued) -> (SocketAddr, tokio::task::JoinHandle<Option<Vec<u8>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let config = ServerConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![issued.der()], issued.secret())
        .unwrap();
    let task = tokio::spawn(async move {
        let (stream, _) = listener.accept().await.ok()?;
        let mut stream = TlsAcceptor::from(Arc::new(config)).accept(stream).await.ok()?;
        let mut message = vec![0; OPTIONS.len()];
        stream.read_exact(&mut message).await.ok()?;
        Some(message)
    });
    (address, task)
}

fn trunk(target: SocketAddr, name: &str) -> Snapshot {
    let trunk = Trunk {
        name: "carrier".into(),
        enabled: true,
        peers: Vec::new(),
        peer_names: Vec::new(),
        target: target.into(),
        transport: Way::Tls,
        domain: String::new(),
        credentials: None,
        numbers: NumberFormat::PlusE164,
        codecs: Vec::new(),
        max_calls: None,
        calls_per_second: None,
        options: TrunkOptions { tls_peer_name: name.into(), ..TrunkOptions::default() },
    };
    Snapshot { trunks: [(TrunkId(1), trunk)].into(), ..Snapshot::default() }
}

/// Conformance §2 class 20: whose certificate is believed.
#[tokio::test]
async fn rfc5922_7_2_a_carrier_is_believed_by_its_name_alone() {
    let (ours, others, folder) = (Authority::new(), Authority::new(), tempfile::tempdir().unwrap());
    let ca = folder.path().join("ca.pem");
    std::fs::write(&ca, ours.pem()).unwrap();
    for (issued, name, good) in [
        (ours.issue(&["dns:sip.example.com"]), NAME, true),
        (ours.issue(&["uri:sip:sip.example.com", "dns:www.example.com"]), NAME, true),
        (ours.issue(&["ip:127.0.0.1"]), "", true),
        (ours.issue(&["dns:other.example"]), NAME, false),
        (ours.issue(&["dns:*.example.com"]), NAME, false),
        (ours.issue(&["uri:sip:other.example", "dns:sip.example.com"]), NAME, false),
        (ours.issue(&["ip:127.0.0.9"]), "", false),
        (ours.issue(&["ip:127.0.0.1"]), NAME, false),
        (ours.issue_until(&["dns:sip.example.com"], 2001), NAME, false),
        (others.issue(&["dns:sip.example.com"]), NAME, false),
    ] {
        let ground = Ground::new(|config| config.tls.ca = Some(ca.clone()));
        let (address, heard) = carrier(&issued).await;
        ground.shared.tls.know(&trunk(address, name));
        let flow = Flow {
            transport: Transport::Tls,
            local: "127.0.0.1:5061".parse().unwrap(),
            remote: address,
            connection: None,
        };
        assert!(ground.say(flow, OPTIONS));
        if good {
            let message = timeout(PATIENCE, heard).await.unwrap().unwrap();
            assert_eq!(message.as_deref(), Some(OPTIONS), "{name}");
        } else {
            let Fact::FlowError(broken) = ground.fact().await else { panic!("another fact") };
            assert_eq!(broken, flow);
            assert_eq!(timeout(PATIENCE, heard).await.unwrap().unwrap(), None, "{name}");
            assert_eq!(ground.connections(), 0);
        }
    }
}

#[tokio::test]
async fn whoever_shows_a_certificate_is_told_to_the_engine_before_its_first_message() {
    let (authority, folder) = (Authority::new(), tempfile::tempdir().unwrap());
    let (cert, key) = authority.issue(&["dns:sip.example.com"]).write(folder.path());
    let ca = folder.path().join("clients.pem");
    std::fs::write(&ca, authority.pem()).unwrap();
    let ground = Ground::new(|config| {
        (config.tls.cert, config.tls.key) = (Some(cert), Some(key));
        config.tls.client_ca = Some(ca);
    });
    let address = ground.listening(Transport::Tls);
    let both = [&version::TLS12, &version::TLS13];
    let own = authority.issue(&["dns:carrier.example"]);
    let mut proved = dial(address, &client(&authority, &both, Some(&own))).await.unwrap();
    proved.write_all(OPTIONS).await.unwrap();
    let flow = ground.heard().await.flow;
    let Fact::Peer { flow: told, names } = ground.fact().await else { panic!("another fact") };
    assert_eq!((told, names), (flow, vec!["carrier.example".to_owned()]));
    // Nobody has to show one; but one that nobody vouches for is refused.
    let mut plain = dial(address, &client(&authority, &both, None)).await.unwrap();
    plain.write_all(OPTIONS).await.unwrap();
    ground.heard().await;
    assert!(ground.outlet.facts.is_empty());
    let stranger = Authority::new().issue(&["dns:carrier.example"]);
    if let Ok(mut refused) = dial(address, &client(&authority, &both, Some(&stranger))).await {
        let _ = refused.write_all(OPTIONS).await;
        let mut rest = Vec::new();
        let _ = timeout(PATIENCE, refused.read_to_end(&mut rest)).await.expect("it was kept");
        assert_eq!(rest, b"");
    }
    assert_eq!(ground.outlet.network.len(), 0);
}

/// Conformance §3 F21: a renewed certificate disturbs nobody.
#[tokio::test]
async fn a_new_certificate_is_for_new_connections_and_a_broken_one_for_none() {
    let (authority, folder) = (Authority::new(), tempfile::tempdir().unwrap());
    let (first, second) =
        (authority.issue(&["dns:sip.example.com"]), authority.issue(&["dns:sip.example.com"]));
    let ground = serving(&first, folder.path());
    let address = ground.listening(Transport::Tls);
    let connector = client(&authority, &[&version::TLS13], None);
    let shown = |phone: &TlsStream<TcpStream>| {
        phone.get_ref().1.peer_certificates().unwrap()[0].clone().into_owned()
    };
    let mut old = dial(address, &connector).await.unwrap();
    assert_eq!(shown(&old), first.der());
    let tls = &ground.shared.tls;
    assert!(!tls.reload().unwrap(), "nothing has changed");
    let (cert, key) = second.write(folder.path());
    std::fs::write(&key, &first.key).unwrap();
    assert!(tls.reload().is_err(), "the key of another certificate");
    std::fs::write(&cert, "no certificate").unwrap();
    let why = tls.reload().unwrap_err().to_string();
    assert!(why.contains("cert.pem") && !why.contains("PRIVATE"), "{why}");
    assert_eq!(shown(&dial(address, &connector).await.unwrap()), first.der());
    second.write(folder.path());
    assert!(tls.reload().unwrap());
    let fresh = client(&authority, &[&version::TLS13], None);
    assert_eq!(shown(&dial(address, &fresh).await.unwrap()), second.der());
    old.write_all(OPTIONS).await.unwrap();
    assert_eq!(&ground.heard().await.bytes[..], OPTIONS, "the old connection lives");
}

#[tokio::test]
async fn rfc5923_8_2_a_peers_own_connection_does_not_stand_for_a_proved_one() {
    let (authority, folder) = (Authority::new(), tempfile::tempdir().unwrap());
    let ground = serving(&authority.issue(&["dns:sip.example.com"]), folder.path());
    let address = ground.listening(Transport::Tls);
    let connector = client(&authority, &[&version::TLS13], None);
    let mut peer = dial(address, &connector).await.unwrap();
    peer.write_all(OPTIONS).await.unwrap();
    let flow = ground.heard().await.flow;
    assert!(ground.shared.directory.to(Transport::Tls, flow.remote).is_none());
    assert!(ground.say(flow, b"x"), "what belongs to its own dialogs goes by it");
}
