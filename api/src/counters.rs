//! What the doors and the push worker count, for `/metrics`.

use std::fmt::Write as _;
use std::sync::atomic::{AtomicU64, Ordering};

macro_rules! counters {
    ($( $(#[$doc:meta])* $name:ident = $metric:literal, $help:literal; )*) => {
        /// Counters since the process started.
        #[derive(Debug, Default)]
        pub struct Counters { $( $(#[$doc])* pub(crate) $name: AtomicU64, )* }

        impl Counters {
            /// Prometheus text of all counters.
            #[must_use]
            pub fn text(&self) -> String {
                let mut out = String::new();
                $(
                    let value = self.$name.load(Ordering::Relaxed);
                    // Writing to a String cannot fail.
                    let _ = write!(out, "# HELP {0} {1}\n# TYPE {0} counter\n{0} {value}\n", $metric, $help);
                )*
                out
            }
        }
    };
}

counters! {
    /// Requests to system 000.
    callni_requests = "tandem_api_callni_requests_total", "Requests to system 000.";
    /// Requests to system 000 that were answered with a code.
    callni_failures = "tandem_api_callni_failures_total", "Requests to system 000 answered with a code.";
    /// Requests to system 001.
    ytx_requests = "tandem_api_ytx_requests_total", "Requests to system 001.";
    /// Requests to system 001 that were answered with a code.
    ytx_failures = "tandem_api_ytx_failures_total", "Requests to system 001 answered with a code.";
    /// Requests to system 002.
    sipcall_requests = "tandem_api_sipcall_requests_total", "Requests to system 002.";
    /// Requests to system 002 that were not done.
    sipcall_failures = "tandem_api_sipcall_failures_total", "Requests to system 002 that were refused.";
    /// Requests to `/v1`.
    rest_requests = "tandem_api_rest_requests_total", "Requests to /v1.";
    /// Requests to `/v1` that were answered with a problem.
    rest_failures = "tandem_api_rest_failures_total", "Requests to /v1 answered with a problem.";
    /// Signatures or tokens that did not match.
    bad_signatures = "tandem_api_bad_signatures_total", "Signatures and tokens that did not match.";
    /// Requests refused by a rate limit.
    rate_limited = "tandem_api_rate_limited_total", "Requests refused by a rate limit.";
    /// Connections accepted.
    connections = "tandem_api_connections_total", "HTTP connections accepted.";
    /// Connections closed at once because there were too many.
    connections_refused = "tandem_api_connections_refused_total", "HTTP connections over the limit.";
    /// Requests whose body was larger than allowed.
    oversize = "tandem_api_oversize_total", "Request bodies over the limit.";
    /// Short messages that a way took.
    sms_sent = "tandem_sms_sent_total", "Short messages that a way took.";
    /// Tries at short messages that no way took.
    sms_failed = "tandem_sms_failed_total", "Tries at short messages that no way took.";
    /// Short messages that came in.
    sms_received = "tandem_sms_received_total", "Short messages that came in.";
    /// Receipts of short messages that said something new.
    sms_receipts = "tandem_sms_receipts_total", "Receipts of short messages that said something new.";
    /// Requests to the doors for short messages.
    sms_requests = "tandem_api_sms_requests_total", "Requests to the doors for short messages.";
    /// Those of them that were refused.
    sms_refused = "tandem_api_sms_refused_total", "Requests to the doors for short messages that were refused.";
    /// Pushes sent, each attempt.
    push_attempts = "tandem_push_attempts_total", "Pushes sent, each attempt.";
    /// Pushes that the merchant took.
    push_delivered = "tandem_push_delivered_total", "Pushes that the merchant took.";
    /// Pushes given up.
    push_parked = "tandem_push_parked_total", "Pushes given up.";
    /// Times an endpoint was left alone after failing again and again.
    push_circuit_opened = "tandem_push_circuit_opened_total", "Endpoints left alone for a while.";
    /// Faults of the store that the push worker met.
    push_store_errors = "tandem_push_store_errors_total", "Faults of the store met by the push worker.";
}

/// One more.
pub(crate) fn count(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}
