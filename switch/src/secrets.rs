//! Files that hold secrets should be read by the service alone. Whoever runs it decides: we only say so.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use crate::config::Config;

/// What of a mode is for those who are neither the owner nor of the group: a group may be the service's own.
const OTHERS: u32 = 0o007;

/// A sentence for each file of secrets that everybody on this machine may read or change. Files that are not there are
/// somebody else's finding.
pub(crate) fn open_to_others(config: &Config) -> Vec<String> {
    let token = config.token_file();
    let files = [
        ("recording.key_file", config.recording.keys.as_deref()),
        ("recording.s3_credentials", config.recording.upload.credentials.as_deref()),
        ("admin.token_file", Some(token.as_path())),
    ];
    files.into_iter().filter_map(|(knob, file)| finding(knob, file?)).collect()
}

fn finding(knob: &str, file: &Path) -> Option<String> {
    let mode = std::fs::metadata(file).ok()?.permissions().mode() & 0o777;
    let open = mode & OTHERS != 0;
    open.then(|| format!("{knob}: {} is open to others (mode {mode:04o})", file.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_of_secrets_that_others_may_read_are_named() {
        let folder = tempfile::tempdir().unwrap();
        let put = |name: &str, mode: u32| {
            let path = folder.path().join(name);
            std::fs::write(&path, "secret").unwrap();
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
            path
        };
        let mut config = Config { data: folder.path().join("data"), ..Config::default() };
        assert!(open_to_others(&config).is_empty(), "there are none");
        config.recording.keys = Some(put("keys", 0o600));
        config.recording.upload.credentials = Some(put("s3", 0o640));
        config.admin_token = Some(put("token", 0o400));
        assert!(open_to_others(&config).is_empty());
        put("keys", 0o604);
        put("s3", 0o644);
        put("token", 0o602);
        let found = open_to_others(&config);
        let wanted = [
            ("recording.key_file", "keys", "0604"),
            ("recording.s3_credentials", "s3", "0644"),
            ("admin.token_file", "token", "0602"),
        ];
        assert_eq!(found.len(), wanted.len());
        for (line, (knob, name, mode)) in found.iter().zip(wanted) {
            assert!(line.starts_with(knob) && line.contains(&format!("/{name} is open")), "{line}");
            assert!(line.contains(mode) && !line.contains("secret"), "{line}");
        }
    }
}
