//! Figures for Prometheus. Everything is read when somebody asks; nothing here counts by itself.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use facts::sms::{LinkState, LinkStatus};
use media::{Media, MediaCounts};
use prometheus::{
    Encoder as _, Gauge, GaugeVec, IntCounter, IntCounterVec, Opts, Registry, TextEncoder,
};
use sip::endpoint::Transport;

use crate::directory::Directory;
use crate::driver::Gauges;
use crate::inbox::Inbox;
use crate::ledger::Ledger;
use crate::menus::Menus;
use crate::net::NetCounts;
use crate::outbox::OutboxGauge;
use crate::smpp::Smpp;
use crate::texts::Links as _;
use crate::upload::UploadCounts;

/// Where the figures come from.
pub(crate) struct Sources {
    pub(crate) gauges: Arc<Gauges>,
    pub(crate) inbox: Inbox,
    pub(crate) ledger: Ledger,
    pub(crate) menus: Menus,
    pub(crate) smpp: Smpp,
    pub(crate) directory: Arc<Directory>,
    pub(crate) net: Arc<NetCounts>,
    pub(crate) media: Arc<Media>,
    pub(crate) store: billing::Store,
    pub(crate) outbox: Arc<OutboxGauge>,
    pub(crate) uploads: Arc<UploadCounts>,
    pub(crate) started: Instant,
}

impl Sources {
    /// The text of all figures. A figure that cannot be registered is left out and logged.
    pub(crate) fn text(&self) -> String {
        let page = Page { registry: Registry::new() };
        self.calls(&page);
        self.queues(&page);
        self.network(&page);
        self.phones(&page);
        self.trunks(&page);
        self.connections(&page);
        self.media(&page);
        self.uploads(&page);
        self.menus(&page);
        self.smpp(&page);
        for collector in self.ledger.quality().collectors() {
            page.put(Ok(collector));
        }
        let mut text = Vec::new();
        if let Err(error) = TextEncoder::new().encode(&page.registry.gather(), &mut text) {
            tracing::warn!(%error, "metrics cannot be written");
        }
        String::from_utf8(text).unwrap_or_default()
    }

    fn calls(&self, page: &Page) {
        let counts = self.gauges.counts();
        let ledger = self.ledger.counts();
        page.gauge("tandem_calls", "Calls that are not settled.", counts.calls as u64);
        page.gauge("tandem_legs", "Legs that are not down.", counts.legs as u64);
        page.gauge("tandem_leg_ports", "Legs that hold a media port.", counts.ports as u64);
        page.gauge(
            "tandem_registrations",
            "Registered contacts.",
            self.directory.binding_count() as u64,
        );
        page.gauge("tandem_sip_transactions", "SIP transactions.", counts.transactions as u64);
        page.gauge("tandem_sip_sessions", "INVITE dialogs.", counts.sessions as u64);
        page.gauge("tandem_timers", "Deadlines that are set.", counts.timers as u64);
        page.labelled(
            "tandem_calls_by_system",
            "Live calls by the surface they came in by.",
            "system",
            self.directory.calls_by_dialect(),
        );
        page.count(
            "tandem_unwritten_total",
            "INVITEs, answers and ACKs that left before the store had written them down.",
            counts.unwritten,
        );
        page.count("tandem_calls_refused_total", "Calls refused at admission.", counts.refused);
        page.count(
            "tandem_calls_authorized_total",
            "Calls that the ledger allowed.",
            read(&ledger.granted),
        );
        page.count(
            "tandem_calls_unpaid_total",
            "Calls that the ledger refused.",
            read(&ledger.refused),
        );
        page.counts(
            "tandem_toll_fraud_total",
            "Limits against toll fraud that were reached.",
            "rule",
            self.ledger.alert_counts(),
        );
        page.counts(
            "tandem_policy_refusals_total",
            "Legs that a policy did not let be.",
            "reason",
            self.gauges.stops.counts(),
        );
        page.count("tandem_calls_settled_total", "Calls settled.", read(&ledger.settled));
        page.count(
            "tandem_store_failures_total",
            "Writes that the store did not do.",
            read(&ledger.failures),
        );
        page.count(
            "tandem_ledger_panics_total",
            "Writes that ended in a panic: a fault of the program.",
            self.ledger.panics(),
        );
    }

    fn menus(&self, page: &Page) {
        let (open, counts) = (self.gauges.counts().menus, self.menus.counts());
        page.gauge("tandem_menus", "Sessions of menus that are open.", open as u64);
        page.counts(
            "tandem_menus_ended_total",
            "Sessions of menus that are over, by how they ended.",
            "outcome",
            counts.outcomes(),
        );
        if let Some(visits) = counts.visits() {
            page.put(Ok(Box::new(visits)));
        }
    }

    fn smpp(&self, page: &Page) {
        let links = self.smpp.links();
        type Figure = fn(&LinkStatus) -> u64;
        let gauges: [(&str, &str, Figure); 3] = [
            ("tandem_smpp_bound", "1 where an SMPP link is bound.", |link| {
                u64::from(link.state == LinkState::Bound)
            }),
            (
                "tandem_smpp_outstanding",
                "Requests to SMPP links that wait for their answers.",
                |link| link.outstanding,
            ),
            ("tandem_smpp_waiting", "Messages that wait for their SMPP link.", |link| link.waiting),
        ];
        for (name, help, figure) in gauges {
            let rows = links.iter().map(|link| (link.name.as_str(), figure(link)));
            page.labelled(name, help, "link", rows.collect());
        }
        let counts: [(&str, &str, Figure); 6] = [
            ("tandem_smpp_taken_total", "Messages that SMPP links took.", |link| link.taken),
            ("tandem_smpp_refused_total", "Messages that they refused.", |link| link.refused),
            ("tandem_smpp_throttled_total", "How often they wanted us to be slower.", |link| {
                link.throttled
            }),
            ("tandem_smpp_unanswered_total", "Requests whose answers never came.", |link| {
                link.unanswered
            }),
            (
                "tandem_smpp_delivered_total",
                "Messages, receipts and steps of menus that came by them.",
                |link| link.delivered,
            ),
            ("tandem_smpp_lost_total", "Their connections that were lost.", |link| link.lost),
        ];
        for (name, help, figure) in counts {
            let rows = links.iter().map(|link| (link.name.as_str(), figure(link)));
            page.counts(name, help, "link", rows);
        }
    }

    fn queues(&self, page: &Page) {
        let (waiting, room) = self.inbox.depth();
        page.gauge("tandem_queue_depth", "Messages that wait for the engine.", waiting as u64);
        page.gauge("tandem_queue_room", "Messages that may wait for the engine.", room as u64);
        page.gauge(
            "tandem_facts_depth",
            "Facts that wait for the engine.",
            self.inbox.facts_waiting() as u64,
        );
        page.seconds(
            "tandem_queue_age_seconds",
            "How long the last message had waited.",
            read(&self.gauges.queue_age_us),
        );
        let lost = self.inbox.counts();
        page.count(
            "tandem_queue_dropped_total",
            "Messages dropped because the queue was full.",
            read(&lost.dropped),
        );
        page.count(
            "tandem_queue_excused_total",
            "Messages told to come later because the queue moved too slowly.",
            read(&lost.excused),
        );
        page.count(
            "tandem_facts_lost_total",
            "Facts lost because their queue was full: a fault.",
            read(&lost.lost),
        );
        page.count(
            "tandem_panics_total",
            "Steps of the engine that panicked: a fault.",
            read(&self.gauges.panics),
        );
        page.gauge(
            "tandem_store_backlog",
            "Writes that wait for the store.",
            self.store.backlog() as u64,
        );
        page.gauge(
            "tandem_ledger_lanes",
            "Calls and users with writes under way.",
            self.ledger.busy() as u64,
        );
        page.seconds(
            "tandem_outbox_lag_seconds",
            "How long the next notification has been due.",
            self.outbox.lag_us(),
        );
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            page.gauge(
                "tandem_tasks",
                "Tasks of the shell: connections, requests, deliveries, writes.",
                runtime.metrics().num_alive_tasks() as u64,
            );
        }
        let up = u64::try_from(self.started.elapsed().as_micros()).unwrap_or(u64::MAX);
        page.seconds("tandem_uptime_seconds", "Time since the start.", up);
    }

    fn network(&self, page: &Page) {
        let net = &self.net;
        page.counts(
            "tandem_sip_received_total",
            "SIP datagrams and messages received.",
            "transport",
            net.received.named(&Transport::ALL),
        );
        page.count("tandem_sip_sent_total", "SIP messages sent.", read(&net.sent));
        page.count(
            "tandem_sip_send_failed_total",
            "SIP messages that could not be sent.",
            read(&net.failed),
        );
        page.count(
            "tandem_sip_send_congested_total",
            "SIP datagrams the socket had no room for.",
            read(&net.congested),
        );
        page.count(
            "tandem_sip_handled_total",
            "SIP messages handled by the engine.",
            read(&self.gauges.messages),
        );
        page.counts(
            "tandem_sip_turned_away_total",
            "Registrations and calls that were turned away.",
            "reason",
            self.gauges.refusals.counts(),
        );
        let counts = self.gauges.counts();
        let drops = counts.drops;
        page.counts(
            "tandem_sip_unusable_total",
            "SIP messages that reached no user: dropped, or refused below calls and registrations.",
            "what",
            [
                ("unreadable", drops.unreadable),
                ("refused", drops.refused),
                ("stray_response", drops.stray_responses),
                ("stray_ack", drops.stray_acks),
                ("overload", drops.overload),
            ],
        );
        page.gauge("tandem_sip_bans", "Sources that are not listened to.", counts.bans as u64);
        page.count(
            "tandem_sip_banned_dropped_total",
            "Messages of banned sources that were dropped.",
            counts.dropped,
        );
        page.count("tandem_sip_503_total", "503 responses sent.", read(&self.gauges.unavailable));
    }

    /// What phones want besides calls.
    fn phones(&self, page: &Page) {
        let counts = self.gauges.counts();
        let ledger = self.ledger.counts();
        page.gauge(
            "tandem_sip_subscriptions",
            "Subscriptions of phones to calls and mailboxes.",
            counts.subscriptions as u64,
        );
        page.gauge(
            "tandem_sip_messages_waiting",
            "MESSAGEs that wait for the answers of phones.",
            counts.messages as u64,
        );
        page.counts(
            "tandem_sip_messages_total",
            "MESSAGEs to phones, by what became of them.",
            "result",
            [("delivered", counts.delivered), ("undelivered", counts.undelivered)],
        );
        page.counts(
            "tandem_keys_by_info_total",
            "Keys that far ends were told by INFO, by what became of them.",
            "result",
            [("told", counts.keys_told), ("untold", counts.keys_untold)],
        );
        page.counts(
            "tandem_voicemail_total",
            "Messages that callers left, and that owners of mailboxes heard and deleted by phone.",
            "event",
            [
                ("left", read(&ledger.mail_left)),
                ("heard", read(&ledger.mail_heard)),
                ("deleted", read(&ledger.mail_deleted)),
            ],
        );
    }

    fn trunks(&self, page: &Page) {
        page.labelled(
            "tandem_trunk_up",
            "1 where a watched trunk answers OPTIONS, 0 where it does not; absent until it first failed.",
            "trunk",
            self.gauges.carriers.up(),
        );
        page.labelled(
            "tandem_trunk_registered",
            "1 where we are registered at a trunk that wants it.",
            "trunk",
            self.gauges.carriers.registered(),
        );
        page.counts(
            "tandem_trunk_missed_total",
            "INVITEs to a trunk that came to nothing: silence, not sent, or a final answer but 2xx.",
            "trunk",
            self.gauges.carriers.misses(),
        );
    }

    fn connections(&self, page: &Page) {
        let net = &self.net;
        page.labelled(
            "tandem_sip_connections",
            "SIP connections.",
            "transport",
            self.directory.connections(),
        );
        page.counts(
            "tandem_sip_handshakes_failed_total",
            "TLS and WebSocket handshakes that failed or took too long.",
            "transport",
            net.handshakes_failed.named(&[Transport::Tls, Transport::Ws, Transport::Wss]),
        );
        page.count(
            "tandem_tls_loaded_total",
            "Times new certificates were taken up.",
            read(&net.certificates_loaded),
        );
        page.count(
            "tandem_tls_refused_total",
            "Times changed certificates could not be used.",
            read(&net.certificates_refused),
        );
        page.count("tandem_stun_total", "STUN requests answered.", read(&net.stun));
        page.count(
            "tandem_sip_connections_cut_total",
            "SIP connections refused or cut.",
            read(&net.connections_cut),
        );
    }

    fn uploads(&self, page: &Page) {
        let uploads = &self.uploads;
        page.counts(
            "tandem_recording_copies_total",
            "Copies of recordings in the storage, by what was done.",
            "result",
            [
                ("stored", read(&uploads.stored)),
                ("removed", read(&uploads.removed)),
                ("failed", read(&uploads.failed)),
            ],
        );
        page.gauge(
            "tandem_recording_copies_waiting",
            "Recordings that wait to be copied to the storage, or removed from it.",
            read(&uploads.waiting),
        );
        page.seconds(
            "tandem_recording_copies_lag_seconds",
            "Age of the oldest of those.",
            read(&uploads.oldest_us),
        );
    }

    fn media(&self, page: &Page) {
        let media = self.media.counts();
        page.gauge("tandem_media_legs", "Legs in the media plane.", media.legs);
        page.gauge("tandem_ports_free", "Port pairs that are free.", media.free);
        page.gauge("tandem_ports_quarantined", "Port pairs at rest.", media.quarantined);
        page.gauge("tandem_recordings", "Recordings under way.", media.recordings);
        page.count("tandem_rtp_received_total", "RTP packets received.", media.packets_received);
        page.count("tandem_rtp_sent_total", "RTP packets sent.", media.packets_sent);
        page.count("tandem_rtp_dropped_total", "RTP packets refused.", media.packets_dropped);
        page.count(
            "tandem_rtp_strangers_total",
            "RTP packets refused because of where they came from.",
            media.packets_refused,
        );
        page.count(
            "tandem_srtp_forged_total",
            "Packets refused because their SRTP tag was wrong.",
            media.srtp_forged,
        );
        page.count(
            "tandem_srtp_replayed_total",
            "Packets of SRTP refused because they came before.",
            media.srtp_replayed,
        );
        page.count(
            "tandem_recorder_taps_lost_total",
            "Packets a recorder could not take.",
            media.taps_lost,
        );
        page.gauge(
            "tandem_media_listened",
            "Legs whose network is listened to before the answer.",
            media.listened,
        );
        page.count(
            "tandem_media_unheard_total",
            "Legs that were not listened to, because too many were.",
            media.unheard,
        );
        page.count(
            "tandem_media_reordered_total",
            "Packets put in order before a transcoder.",
            media.reordered,
        );
        page.count(
            "tandem_media_late_total",
            "Packets that came too late for a transcoder, or again.",
            media.late,
        );
        page.count(
            "tandem_media_orders_lost_total",
            "Orders a media worker could not take.",
            media.orders_lost,
        );
        sounds(page, &media);
    }
}

/// Sounds that legs were to hear, and what was fetched of them.
fn sounds(page: &Page, media: &MediaCounts) {
    page.count(
        "tandem_sounds_unplayable_total",
        "Sounds that a leg was to hear and that could not be had.",
        media.unplayable,
    );
    page.count(
        "tandem_sounds_fetched_total",
        "Sounds fetched from addresses.",
        media.sounds_fetched,
    );
    page.count(
        "tandem_sounds_unchanged_total",
        "Visits that found a sound as it was.",
        media.sounds_unchanged,
    );
    page.count("tandem_sounds_failed_total", "Visits that brought no sound.", media.sounds_failed);
    page.gauge(
        "tandem_sounds_held_bytes",
        "Memory that fetched sounds take at most.",
        media.sounds_held,
    );
}

struct Page {
    registry: Registry,
}

impl Page {
    fn gauge(&self, name: &str, help: &str, value: u64) {
        self.put(Gauge::new(name, help).map(|gauge| {
            gauge.set(float(value));
            Box::new(gauge) as _
        }));
    }

    /// Prometheus counts time in seconds.
    fn seconds(&self, name: &str, help: &str, micros: u64) {
        self.put(Gauge::new(name, help).map(|gauge| {
            gauge.set(float(micros) / 1e6);
            Box::new(gauge) as _
        }));
    }

    fn count(&self, name: &str, help: &str, value: u64) {
        self.put(IntCounter::new(name, help).map(|counter| {
            counter.inc_by(value);
            Box::new(counter) as _
        }));
    }

    fn labelled(
        &self,
        name: &str,
        help: &str,
        label: &str,
        values: std::collections::BTreeMap<impl AsRef<str>, u64>,
    ) {
        self.put(GaugeVec::new(Opts::new(name, help), &[label]).map(|gauges| {
            for (word, value) in values {
                gauges.with_label_values(&[word.as_ref()]).set(float(value));
            }
            Box::new(gauges) as _
        }));
    }

    fn counts(
        &self,
        name: &str,
        help: &str,
        label: &str,
        values: impl IntoIterator<Item = (impl AsRef<str>, u64)>,
    ) {
        self.put(IntCounterVec::new(Opts::new(name, help), &[label]).map(|counters| {
            for (word, value) in values {
                counters.with_label_values(&[word.as_ref()]).inc_by(value);
            }
            Box::new(counters) as _
        }));
    }

    fn put(&self, made: prometheus::Result<Box<dyn prometheus::core::Collector>>) {
        if let Err(error) = made.and_then(|collector| self.registry.register(collector)) {
            tracing::warn!(%error, "a metric was left out");
        }
    }
}

fn read(counter: &std::sync::atomic::AtomicU64) -> u64 {
    counter.load(Ordering::Relaxed)
}

#[expect(clippy::cast_precision_loss, reason = "Prometheus knows only doubles")]
fn float(value: u64) -> f64 {
    value as f64
}
