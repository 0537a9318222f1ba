//! TLS of SIP connections (RFC 3261 §26.2.1, RFC 5922, RFC 8446): certificates read from files and read
//! again when they change, and whose certificate is whose.
//!
//! TLS 1.2 and 1.3, by rustls. A far end is known by the domains in its subjectAltName alone: the `sip:`
//! URIs in it, or without any its DNS names, and no wildcards (RFC 5922 §7.1, §7.2).

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use facts::settings::{Snapshot, Transport};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{verify_server_cert_signed_by_trust_anchor, verify_server_name};
use rustls::crypto::{CryptoProvider, WebPkiSupportedAlgorithms, ring};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::server::{ParsedCertificate, WebPkiClientVerifier};
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, Error, RootCertStore, ServerConfig,
    SignatureScheme,
};
use tokio::signal::unix::Signal;
use tokio::sync::watch;

use super::NetCounts;
use crate::config::TlsKnobs;

/// Time between looks at the files: whoever renews certificates need not tell us.
const LOOK: Duration = Duration::from_secs(10);

/// What TLS connections are made of. Read by everybody, replaced when a file changes.
#[derive(Debug)]
pub(crate) struct Tls {
    knobs: TlsKnobs,
    now: RwLock<Loaded>,
    /// Of carriers that are addresses.
    peers: RwLock<Names>,
    /// Of carriers that are names, by what the DNS says.
    located: RwLock<Names>,
}

/// Whom a certificate that an address shows must be for.
type Names = BTreeMap<SocketAddr, ServerName<'static>>;

#[derive(Debug)]
struct Loaded {
    files: Files,
    server: Option<Arc<ServerConfig>>,
    client: Arc<ClientConfig>,
    /// Of far ends that speak no SIP: certificates as the web has them.
    plain: Arc<ClientConfig>,
}

/// The bytes of the files, to see whether they have changed.
#[derive(Debug, Default, PartialEq, Eq)]
struct Files {
    cert: Option<Vec<u8>>,
    key: Option<Vec<u8>>,
    ca: Option<Vec<u8>>,
    client_ca: Option<Vec<u8>>,
}

impl Tls {
    /// Reads the files.
    ///
    /// # Errors
    /// The first that cannot be read or makes no sense, by name.
    pub(crate) fn load(knobs: &TlsKnobs) -> io::Result<Tls> {
        let loaded = Loaded::read(knobs, Files::read(knobs)?)?;
        Ok(Tls {
            knobs: knobs.clone(),
            now: RwLock::new(loaded),
            peers: RwLock::default(),
            located: RwLock::default(),
        })
    }

    /// Reads the files again. `false`: nothing has changed.
    ///
    /// # Errors
    /// As [`Tls::load`]; what was there before stays.
    pub(crate) fn reload(&self) -> io::Result<bool> {
        let files = Files::read(&self.knobs)?;
        if self.now.read().unwrap_or_else(PoisonError::into_inner).files == files {
            return Ok(false);
        }
        let loaded = Loaded::read(&self.knobs, files)?;
        *self.now.write().unwrap_or_else(PoisonError::into_inner) = loaded;
        Ok(true)
    }

    /// Takes new certificates up when their files change or on SIGHUP, until `stop`. Connections there are
    /// stay as they are.
    pub(crate) async fn watch(
        self: Arc<Tls>,
        mut hangup: Signal,
        counts: Arc<NetCounts>,
        mut stop: watch::Receiver<bool>,
    ) {
        let mut told = None;
        loop {
            tokio::select! {
                _ = stop.wait_for(|stop| *stop) => return,
                _ = hangup.recv() => told = None,
                () = tokio::time::sleep(LOOK) => {}
            }
            let tls = Arc::clone(&self);
            let outcome = tokio::task::spawn_blocking(move || tls.reload()).await;
            match outcome.unwrap_or_else(|error| Err(io::Error::other(error))) {
                Ok(true) => {
                    told = None;
                    counts.certificates_loaded.fetch_add(1, Ordering::Relaxed);
                    tracing::info!("new certificates; connections from now on use them");
                }
                Ok(false) => told = None,
                Err(error) => {
                    let why = error.to_string();
                    counts.certificates_refused.fetch_add(1, Ordering::Relaxed);
                    if told.as_ref() != Some(&why) {
                        tracing::warn!(error = why, "certificates stay as they were");
                    }
                    told = Some(why);
                }
            }
        }
    }

    /// What a listener needs; `None` without a certificate of our own.
    pub(super) fn server(&self) -> Option<Arc<ServerConfig>> {
        self.now.read().unwrap_or_else(PoisonError::into_inner).server.clone()
    }

    /// What a connection to this address needs, and for whom its certificate must be.
    pub(super) fn client(&self, to: SocketAddr) -> (Arc<ClientConfig>, ServerName<'static>) {
        let config = Arc::clone(&self.now.read().unwrap_or_else(PoisonError::into_inner).client);
        let of = |names: &RwLock<Names>| {
            names.read().unwrap_or_else(PoisonError::into_inner).get(&to).cloned()
        };
        let name = of(&self.peers).or_else(|| of(&self.located));
        (config, name.unwrap_or_else(|| ServerName::IpAddress(to.ip().into())))
    }

    /// What a connection needs that is no SIP's.
    pub(super) fn plain(&self) -> Arc<ClientConfig> {
        Arc::clone(&self.now.read().unwrap_or_else(PoisonError::into_inner).plain)
    }

    /// Takes from new settings who is at which address.
    pub(crate) fn know(&self, settings: &Snapshot) {
        let trunks = settings.trunks.values().filter(|trunk| trunk.transport == Transport::Tls);
        let named = trunks.filter_map(|trunk| {
            let name = ServerName::try_from(trunk.certified_name().to_owned()).ok()?;
            Some((trunk.target.address()?, name))
        });
        *self.peers.write().unwrap_or_else(PoisonError::into_inner) = named.collect();
    }

    /// Takes from the engine where the carriers are that are names (RFC 3263 §4): their certificates are
    /// for what was asked for, and not for what the DNS answered.
    pub(crate) fn locate(&self, names: Vec<(SocketAddr, String)>) {
        let named = names.into_iter();
        let named = named.filter_map(|(at, name)| Some((at, ServerName::try_from(name).ok()?)));
        *self.located.write().unwrap_or_else(PoisonError::into_inner) = named.collect();
    }
}

impl Files {
    fn read(knobs: &TlsKnobs) -> io::Result<Files> {
        Ok(Files {
            cert: read(knobs.cert.as_deref())?,
            key: read(knobs.key.as_deref())?,
            ca: read(knobs.ca.as_deref())?,
            client_ca: read(knobs.client_ca.as_deref())?,
        })
    }
}

fn read(path: Option<&Path>) -> io::Result<Option<Vec<u8>>> {
    path.map(|path| std::fs::read(path).map_err(|error| named(path, error))).transpose()
}

fn named(path: &Path, error: impl std::fmt::Display) -> io::Error {
    io::Error::other(format!("{}: {error}", path.display()))
}

impl Loaded {
    fn read(knobs: &TlsKnobs, files: Files) -> io::Result<Loaded> {
        let provider = Arc::new(ring::default_provider());
        let algorithms = provider.signature_verification_algorithms;
        let own = own(knobs, &files)?;
        let roots = match (&knobs.ca, &files.ca) {
            (Some(path), Some(bytes)) => authorities(path, bytes)?,
            _ => webpki_roots::TLS_SERVER_ROOTS.iter().cloned().collect(),
        };
        let builder = || {
            ClientConfig::builder_with_provider(Arc::clone(&provider))
                .with_safe_default_protocol_versions()
                .map_err(io::Error::other)
        };
        let plain = builder()?.with_root_certificates(roots.clone()).with_no_client_auth();
        let verifier = Arc::new(SipVerifier { roots, algorithms });
        let client = builder()?.dangerous().with_custom_certificate_verifier(verifier);
        let client = match &own {
            // Shown to whoever asks for it.
            Some((chain, key)) => client
                .with_client_auth_cert(chain.clone(), key.clone_key())
                .map_err(|error| mismatch(knobs, &error))?,
            None => client.with_no_client_auth(),
        };
        let server = match own {
            Some((chain, key)) => Some(server(knobs, &files, provider, chain, key)?),
            None => None,
        };
        Ok(Loaded { files, server, client: Arc::new(client), plain: Arc::new(plain) })
    }
}

fn mismatch(knobs: &TlsKnobs, error: &Error) -> io::Error {
    named(knobs.cert.as_deref().unwrap_or(Path::new("sip.tls_cert")), error)
}

fn server(
    knobs: &TlsKnobs,
    files: &Files,
    provider: Arc<CryptoProvider>,
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
) -> io::Result<Arc<ServerConfig>> {
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(io::Error::other)?;
    let builder = match (&knobs.client_ca, &files.client_ca) {
        (Some(path), Some(bytes)) => {
            let roots = Arc::new(authorities(path, bytes)?);
            // Asked for, not demanded: phones have none. Who has to show one is a matter of its trunk.
            let verifier = WebPkiClientVerifier::builder_with_provider(roots, provider)
                .allow_unauthenticated()
                .build()
                .map_err(|error| named(path, error))?;
            builder.with_client_cert_verifier(verifier)
        }
        _ => builder.with_no_client_auth(),
    };
    let config = builder.with_single_cert(chain, key).map_err(|error| mismatch(knobs, &error))?;
    Ok(Arc::new(config))
}

type Own = (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>);

fn own(knobs: &TlsKnobs, files: &Files) -> io::Result<Option<Own>> {
    let (Some(cert), Some(cert_bytes)) = (&knobs.cert, &files.cert) else { return Ok(None) };
    let (Some(key), Some(key_bytes)) = (&knobs.key, &files.key) else { return Ok(None) };
    let chain = certificates(cert, cert_bytes)?;
    // The error could repeat what stands in the file, which is secret.
    let secret = PrivateKeyDer::from_pem_slice(key_bytes)
        .map_err(|_| named(key, "holds no private key in PEM"))?;
    Ok(Some((chain, secret)))
}

fn certificates(path: &Path, bytes: &[u8]) -> io::Result<Vec<CertificateDer<'static>>> {
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(bytes).collect();
    match chain {
        Ok(chain) if !chain.is_empty() => Ok(chain),
        _ => Err(named(path, "holds no certificate in PEM")),
    }
}

fn authorities(path: &Path, bytes: &[u8]) -> io::Result<RootCertStore> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates(path, bytes)? {
        roots.add(certificate).map_err(|error| named(path, error))?;
    }
    Ok(roots)
}

/// The domains that a certificate is for, in lower case (RFC 5922 §7.1): those of the `sip:` URIs in its
/// subjectAltName, or without any its DNS names. The common name does not count.
pub(super) fn identities(certificate: &CertificateDer<'_>) -> Vec<String> {
    let Ok(certificate) = webpki::EndEntityCert::try_from(certificate) else { return Vec::new() };
    let domain = |uri: &str| {
        let (scheme, domain) = uri.split_once(':')?;
        scheme.eq_ignore_ascii_case("sip").then(|| domain.to_ascii_lowercase())
    };
    let uris: Vec<String> = certificate.valid_uri_names().filter_map(domain).collect();
    let names = match uris.is_empty() {
        true => certificate.valid_dns_names().map(str::to_ascii_lowercase).collect(),
        false => uris,
    };
    // §7.1: a user part makes it no domain; §7.2: no wildcards. A NUL is in neither.
    let is_name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.');
    names.into_iter().filter(|name| !name.is_empty() && name.chars().all(is_name)).collect()
}

/// Chain as the web does it, names as SIP does.
#[derive(Debug)]
struct SipVerifier {
    roots: RootCertStore,
    algorithms: WebPkiSupportedAlgorithms,
}

impl ServerCertVerifier for SipVerifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let parsed = ParsedCertificate::try_from(end_entity)?;
        let algorithms = self.algorithms.all;
        verify_server_cert_signed_by_trust_anchor(
            &parsed,
            &self.roots,
            intermediates,
            now,
            algorithms,
        )?;
        let fits = match server_name {
            ServerName::DnsName(name) => {
                let name = name.as_ref();
                identities(end_entity).iter().any(|known| known.eq_ignore_ascii_case(name))
            }
            address => verify_server_name(&parsed, address).is_ok(),
        };
        match fits {
            true => Ok(ServerCertVerified::assertion()),
            false => Err(Error::InvalidCertificate(CertificateError::NotValidForName)),
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        rustls::crypto::verify_tls12_signature(message, cert, dss, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        rustls::crypto::verify_tls13_signature(message, cert, dss, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}
