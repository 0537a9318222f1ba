//! `tandem check`: looks for mistakes and changes nothing.

use std::path::Path;
use std::process::ExitCode;

use billing::rows::Audit;

use crate::cli::{failed, print};
use crate::config::Config;
use crate::{operator, serve};

/// Checks what was asked for; the configuration itself is right when we are here.
pub(crate) async fn check(config: &Config, file: Option<&Path>, books: bool) -> ExitCode {
    print("settings: in order\n");
    if let Some(file) = file {
        let status = operator::apply(config, file, true).await;
        if status != ExitCode::SUCCESS {
            return status;
        }
    }
    if !books {
        return ExitCode::SUCCESS;
    }
    let store = match serve::open_store(config).await {
        Ok(store) => store,
        Err(error) => return failed(&error.to_string()),
    };
    let audit = store.check_books().await;
    store.close().await;
    match audit {
        Ok(audit) => report(&audit),
        Err(error) => failed(&format!("the books cannot be read: {error}")),
    }
}

fn report(audit: &Audit) -> ExitCode {
    print(&format!("open calls: {}\nopen holds: {}\n", audit.open_calls, audit.open_holds));
    if audit.in_order() {
        print("books: in order\n");
        return ExitCode::SUCCESS;
    }
    let findings: String = audit.findings.iter().map(|finding| format!("  {finding}\n")).collect();
    failed(&format!("the books are not in order:\n{findings}"))
}
