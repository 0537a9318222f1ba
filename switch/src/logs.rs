//! Log lines: to standard error, so that standard output stays machine-readable.

use tracing_subscriber::EnvFilter;

use crate::config::Config;

const QUIET: &str = "symphonia=warn,sqlx=warn,hyper=warn,reqwest=warn";

/// Starts logging; a second start in the same process changes nothing.
pub(crate) fn start(config: &Config) {
    // What other people's crates say at INFO is not news; a filter of the operator's own comes last and wins.
    let wanted = format!("{QUIET},{}", config.log_level);
    let filter = EnvFilter::try_new(wanted).unwrap_or_else(|_| EnvFilter::new("info"));
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    let started = if config.log_json {
        builder.json().flatten_event(true).try_init()
    } else {
        builder.with_ansi(std::io::IsTerminal::is_terminal(&std::io::stderr())).try_init()
    };
    drop(started);
}
