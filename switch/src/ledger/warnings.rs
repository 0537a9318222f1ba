//! What the operator is warned of, in the log and in the audit trail: limits against toll fraud that were reached,
//! sources that are not listened to any more.

use std::collections::BTreeMap;
use std::time::Instant;

use billing::Once;
use facts::ban::Ban;
use facts::fraud::Alert;

use super::Ledger;
use crate::clock;

impl Ledger {
    /// Logs that a limit against toll fraud was reached, counts it and writes it into the audit trail; the
    /// same one once a minute.
    pub(crate) fn alert(&self, alert: Alert) {
        self.0.alerts.note(Instant::now(), alert, |alert, unlogged| {
            let (scope, rule, blocked) =
                (alert.scope.to_string(), alert.rule.as_str(), alert.blocked);
            let call = alert.call.map(|call| call.to_string()).unwrap_or_default();
            let prefix = alert.prefix;
            tracing::warn!(
                scope,
                rule,
                blocked,
                prefix,
                call,
                unlogged,
                "a limit against toll fraud was reached"
            );
            let this = self.clone();
            let lane = scope.clone();
            let work = async move {
                let what = serde_json::json!({
                    "scope": scope, "rule": rule, "blocked": blocked, "prefix": prefix, "call": call,
                });
                let noted = match Once::fresh() {
                    Ok(once) => {
                        this.0.store.note(&once, clock::wall(), "switch", "toll_fraud", what).await
                    }
                    Err(error) => Err(error),
                };
                if let Err(error) = noted {
                    this.failed("note an alert", &error);
                }
            };
            self.0.users.push(lane, move || Box::pin(work));
        });
    }

    /// Takes what the store found of limits.
    pub(super) fn alerts(&self) {
        for alert in self.0.store.alerts() {
            self.alert(alert);
        }
    }

    /// Limits against toll fraud that were reached, by rule.
    pub(crate) fn alert_counts(&self) -> BTreeMap<&'static str, u64> {
        self.0.alerts.counts()
    }

    /// Logs that a source is not listened to any more, and writes it into the audit trail.
    pub(crate) fn banned(&self, ban: Ban) {
        let Ban { source, offence, until, times, .. } = ban;
        let offence = offence.as_str();
        tracing::warn!(%source, offence, %until, times, "banned: its requests are dropped");
        let this = self.clone();
        let work = async move {
            let what = serde_json::json!({ "source": source, "offence": offence, "until": until });
            let noted = match Once::fresh() {
                Ok(once) => this.0.store.note(&once, clock::wall(), "switch", "ban", what).await,
                Err(error) => Err(error),
            };
            if let Err(error) = noted {
                this.failed("note a ban", &error);
            }
        };
        self.0.users.push(source.to_string(), move || Box::pin(work));
    }
}
