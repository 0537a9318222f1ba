//! The command line: what can be asked of the program, and the words it answers with.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};

use crate::check::Wanted;
use crate::config::{Config, KNOBS, Sources, is_configuration, variable};
use crate::decrypt;
use crate::document;
use crate::recognise::{self, Announcements};
use crate::{check, demo, explain, logs, operator, serve, signature};

/// A softswitch: SIP and RTP to carriers and phones, HTTP to merchants, and the money straight in between.
#[derive(Parser, Debug)]
#[command(name = "tandem", version, propagate_version = true, after_help = AFTER_HELP)]
struct Cli {
    #[command(subcommand)]
    command: Verb,
}

const AFTER_HELP: &str = "\
Settings come from the defaults, then --config FILE, then TANDEM_… variables, then flags.
`tandem config` prints every setting with its meaning and its value.

Exit status: 0 done, 1 failed, 2 wrong usage or a mistake in a file.";

#[derive(Subcommand, Debug)]
enum Verb {
    /// Run the switch until SIGTERM
    Serve(Settings),
    /// Watch a callback happen: switch, two phones and a merchant on loopback, in ten seconds
    Demo,
    /// Bring merchants, extensions, trunks, tariffs and top-ups to what a file says
    Apply {
        /// The operator's file
        file: PathBuf,
        /// Show the difference, write nothing
        #[arg(long)]
        dry_run: bool,
        #[command(flatten)]
        settings: Settings,
    },
    /// Look for mistakes: in the configuration, in an operator's file, in the books, in the audit trail
    Check {
        /// A file to look at as well: an operator's file, or a configuration
        file: Option<PathBuf>,
        /// Audit the books: entries sum to zero, balances and holds agree
        #[arg(long)]
        books: bool,
        /// Verify the audit trail: every change by an operator, chained by SHA-256
        #[arg(long)]
        audit: bool,
        /// With --audit: a hash noted earlier that must still be in the trail
        #[arg(long, value_name = "HASH", requires = "audit")]
        head: Option<String>,
        #[command(flatten)]
        settings: Settings,
    },
    /// Say where a number would be routed, and why each other route that fits is not taken
    Explain {
        /// The number as people write it, or an extension
        number: String,
        #[command(flatten)]
        settings: Settings,
    },
    /// Say why a merchant's signature does not match: what is hashed, in each accepted reading, and known mistakes
    ExplainSignature {
        #[command(flatten)]
        asked: signature::Asked,
        #[command(flatten)]
        settings: Settings,
    },
    /// Say what is heard in a recording, and when: tones, announcements, keys, fax, music, speech
    Recognise {
        /// A WAV, MP3, AAC, M4A, FLAC or Ogg (Vorbis, Opus) file
        file: PathBuf,
        /// Whose tones: a country's code, e.g. cn; all that are known without it
        #[arg(long)]
        country: Option<String>,
        #[command(flatten)]
        settings: Settings,
    },
    /// Open a sealed recording with the keys of `recording.key_file`
    Decrypt {
        /// The sealed file
        file: PathBuf,
        /// Where what is in it is written; must not be there yet
        #[arg(long)]
        out: PathBuf,
        #[command(flatten)]
        settings: Settings,
    },
    /// Keep the announcements that are known: list, add, remove
    Announcements {
        #[command(subcommand)]
        what: Announcements,
        #[command(flatten)]
        settings: Settings,
    },
    /// Bring the database up to date and say what was done
    Migrate(Settings),
    /// Print every setting, its meaning and its value
    Config(Settings),
}

/// Where settings come from.
#[derive(Args, Debug, Default)]
struct Settings {
    /// Configuration file (TOML)
    #[arg(long, value_name = "FILE", env = "TANDEM_CONFIG")]
    config: Option<PathBuf>,
    /// Folder of database, recordings and token [setting: data]
    #[arg(long, value_name = "FOLDER")]
    data: Option<String>,
    /// Database URL [setting: database]
    #[arg(long, value_name = "URL")]
    database: Option<String>,
    /// SIP over UDP, address:port, comma-separated, or off [setting: sip.udp]
    #[arg(long, value_name = "ADDRESSES")]
    sip_udp: Option<String>,
    /// SIP over TCP, address:port, comma-separated, or off [setting: sip.tcp]
    #[arg(long, value_name = "ADDRESSES")]
    sip_tcp: Option<String>,
    /// Merchants' HTTP listener [setting: http.listen]
    #[arg(long, value_name = "ADDRESS")]
    http: Option<String>,
    /// Operator's HTTP listener [setting: admin.listen]
    #[arg(long, value_name = "ADDRESS")]
    admin: Option<String>,
    /// RTP port range [setting: rtp.ports]
    #[arg(long, value_name = "LOW-HIGH")]
    rtp_ports: Option<String>,
    /// Log level or filter [setting: log.level]
    #[arg(long, value_name = "LEVEL")]
    log: Option<String>,
    /// Any setting, e.g. --set sip.t1=250ms; may be repeated
    #[arg(long = "set", value_name = "SETTING=VALUE", value_parser = pair)]
    set: Vec<(String, String)>,
}

/// `sip.t1=250ms` in its two halves.
fn pair(text: &str) -> Result<(String, String), String> {
    let (key, value) =
        text.split_once('=').ok_or("a setting and its value are expected, e.g. sip.t1=250ms")?;
    Ok((key.trim().to_owned(), value.trim().to_owned()))
}

impl Settings {
    fn sources(&self) -> Sources {
        let named = [
            ("--data", "data", &self.data),
            ("--database", "database", &self.database),
            ("--sip-udp", "sip.udp", &self.sip_udp),
            ("--sip-tcp", "sip.tcp", &self.sip_tcp),
            ("--http", "http.listen", &self.http),
            ("--admin", "admin.listen", &self.admin),
            ("--rtp-ports", "rtp.ports", &self.rtp_ports),
            ("--log", "log.level", &self.log),
        ];
        let flags = named
            .into_iter()
            .filter_map(|(flag, key, value)| Some((flag.into(), key.into(), value.clone()?)))
            .chain(
                self.set
                    .iter()
                    .map(|(key, value)| (format!("--set {key}"), key.clone(), value.clone())),
            )
            .collect();
        let environment = std::env::vars_os()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
            .filter(|(name, _)| name.starts_with("TANDEM_") && name != "TANDEM_CONFIG")
            .collect();
        Sources { file: self.config.clone(), environment, flags }
    }

    /// The configuration, or every mistake in it on standard error.
    fn load_from(sources: &Sources) -> Result<Config, ExitCode> {
        Config::load(sources).map_err(|mistakes| {
            let count = mistakes.len();
            let plural = if count == 1 { "mistake" } else { "mistakes" };
            complain(&format!(
                "{count} {plural} in the settings:\n{}",
                document::listed(&mistakes)
            ));
            ExitCode::from(2)
        })
    }
}

/// Runs the program.
pub(crate) fn run() -> ExitCode {
    let verb = Cli::parse().command;
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            complain(&format!("cannot start: {error}"));
            return ExitCode::FAILURE;
        }
    };
    let status = runtime.block_on(carry_out(verb));
    // A look-up that hangs in the system's resolver must not keep the process.
    runtime.shutdown_timeout(std::time::Duration::from_secs(2));
    status
}

async fn carry_out(verb: Verb) -> ExitCode {
    let settings = match &verb {
        Verb::Serve(settings) | Verb::Migrate(settings) | Verb::Config(settings) => settings,
        Verb::Apply { settings, .. }
        | Verb::Check { settings, .. }
        | Verb::Explain { settings, .. }
        | Verb::ExplainSignature { settings, .. }
        | Verb::Recognise { settings, .. }
        | Verb::Decrypt { settings, .. }
        | Verb::Announcements { settings, .. } => settings,
        Verb::Demo => return demo::run().await,
    };
    let mut sources = settings.sources();
    let mut operators = None;
    if let Verb::Apply { file, .. } | Verb::Check { file: Some(file), .. } = &verb {
        let apply = matches!(verb, Verb::Apply { .. });
        operators = match told_apart(file) {
            Kind::Operators => Some(file.as_path()),
            Kind::Configuration if apply => return no_operators_file(file),
            Kind::Configuration => {
                let shown = file.display();
                print(&format!("{shown}: a configuration, no operator's file: checked as one\n"));
                if let Err(status) = Settings::load_from(&sources) {
                    return status;
                }
                sources.file = Some(file.clone());
                None
            }
        };
    }
    let config = match Settings::load_from(&sources) {
        Ok(config) => config,
        Err(status) => return status,
    };
    match &verb {
        Verb::Serve(_) => {
            logs::start(&config);
            match serve::serve(&config).await {
                Ok(status) => ExitCode::from(status),
                Err(error) => failed(&error.to_string()),
            }
        }
        Verb::Apply { file, dry_run, .. } => operator::apply(&config, file, *dry_run).await,
        Verb::Check { books, audit, head, .. } => {
            let wanted =
                Wanted { file: operators, books: *books, audit: *audit, head: head.as_deref() };
            check::check(&config, wanted).await
        }
        Verb::Explain { number, .. } => explain::explain(&config, number).await,
        Verb::ExplainSignature { asked, .. } => signature::explain(&config, asked).await,
        Verb::Recognise { file, country, .. } => {
            recognise::recognise(&config, file, country.as_deref())
        }
        Verb::Decrypt { file, out, .. } => decrypt::decrypt(&config, file, out),
        Verb::Announcements { what, .. } => recognise::keep(&config, what),
        Verb::Migrate(_) => migrate(&config).await,
        Verb::Config(_) | Verb::Demo => {
            print(&listing(&config));
            ExitCode::SUCCESS
        }
    }
}

/// What a file is that somebody named beside the flags.
enum Kind {
    Operators,
    Configuration,
}

/// Only a file that can be read, has settings of ours and nothing to apply is a configuration.
fn told_apart(file: &Path) -> Kind {
    match std::fs::read_to_string(file) {
        Ok(text) if is_configuration(&text) && !operator::is_operators(&text) => {
            Kind::Configuration
        }
        _ => Kind::Operators,
    }
}

fn no_operators_file(file: &Path) -> ExitCode {
    let shown = file.display();
    complain(&format!(
        "{shown} is a configuration, no operator's file: name that one, and give this one with \
         --config {shown}"
    ));
    ExitCode::from(2)
}

async fn migrate(config: &Config) -> ExitCode {
    let store = match serve::open_store(config).await {
        Ok(store) => store,
        Err(error) => return failed(&error.to_string()),
    };
    let outcome = store.migrate().await;
    store.close().await;
    match outcome {
        Ok(names) if names.is_empty() => {
            print("the database is up to date\n");
            ExitCode::SUCCESS
        }
        Ok(names) => {
            let lines: String = names.iter().map(|name| format!("applied {name}\n")).collect();
            print(&lines);
            ExitCode::SUCCESS
        }
        Err(error) => failed(&error.to_string()),
    }
}

/// The settings as a TOML file with their meanings.
fn listing(config: &Config) -> String {
    let mut text = String::new();
    let mut section = "";
    for knob in KNOBS {
        let (group, name) = knob.key.split_once('.').unwrap_or(("", knob.key));
        if group != section {
            text += &format!("\n[{group}]\n");
            section = group;
        }
        let values = (knob.show)(config);
        let quoted: Vec<String> = values.iter().map(|value| format!("{value:?}")).collect();
        let shown = match &quoted[..] {
            [one] => one.clone(),
            many => format!("[{}]", many.join(", ")),
        };
        text += &format!("# {} ({})\n{name} = {shown}\n", knob.help, variable(knob.key));
    }
    text
}

/// The word on standard error, and status 1.
pub(crate) fn failed(why: &str) -> ExitCode {
    complain(why);
    ExitCode::FAILURE
}

/// One line on standard error.
#[expect(clippy::print_stderr, reason = "the command line speaks here")]
pub(crate) fn complain(text: &str) {
    eprintln!("tandem: {}", text.trim_end());
}

/// Text on standard output.
pub(crate) fn print(text: &str) {
    use std::io::Write as _;
    // Whoever reads it may have read enough.
    let _ = std::io::stdout().lock().write_all(text.as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory as _;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn what_config_prints_is_a_configuration_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("c.toml");
        std::fs::write(&path, listing(&Config::default())).unwrap();
        let sources = Sources { file: Some(path), ..Sources::default() };
        assert_eq!(Config::load(&sources), Ok(Config::default()));
    }
}
