//! What the next process needs to end the SIP sessions of a leg, as the journal keeps it: the
//! snapshots of all of them, each with its length in front.

/// Sessions of one leg at most: its contacts, and one that answered.
const SESSIONS_MAX: usize = 64;

/// Joins snapshots; `None` when there is nothing to end.
pub(crate) fn pack(snapshots: &[Vec<u8>]) -> Option<Vec<u8>> {
    let mut out = Vec::new();
    for snapshot in snapshots.iter().take(SESSIONS_MAX) {
        let length = u32::try_from(snapshot.len()).unwrap_or(0);
        out.extend_from_slice(&length.to_be_bytes());
        out.extend_from_slice(snapshot);
    }
    (!out.is_empty()).then_some(out)
}

/// Takes them apart again; stops at what is none.
pub(crate) fn unpack(mut bytes: &[u8]) -> Vec<&[u8]> {
    let mut all = Vec::new();
    while let Some((length, rest)) = bytes.split_first_chunk::<4>() {
        let length = usize::try_from(u32::from_be_bytes(*length)).unwrap_or(usize::MAX);
        let Some((snapshot, rest)) = rest.split_at_checked(length) else { break };
        if all.len() == SESSIONS_MAX {
            break;
        }
        all.push(snapshot);
        bytes = rest;
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn papers_are_packed_and_unpacked() {
        let all = [b"one".to_vec(), Vec::new(), vec![0xff; 300]];
        let packed = pack(&all).unwrap();
        assert_eq!(unpack(&packed), all);
        assert_eq!(pack(&[]), None);
        assert!(unpack(b"").is_empty() && unpack(b"\0\0\0\x09short").is_empty());
        assert_eq!(unpack(&packed[..packed.len() - 1]).len(), 2, "cut off: what is whole");
    }
}
