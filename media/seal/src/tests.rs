use std::io::Cursor;

use proptest::prelude::*;

use super::*;

const OLD: &str = "2025 AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";
const NEW: &str = "2026-b //////////////////////////////////////////8=";

fn keys(lines: &[&str]) -> Keys {
    Keys::parse(&lines.join("\n")).unwrap()
}

fn octets(count: usize, seed: u8) -> Vec<u8> {
    (0..count).map(|n| (n as u8).wrapping_mul(31).wrapping_add(seed)).collect()
}

/// A finished file: a head, and sound in these pieces.
fn file(keys: &Keys, pieces: &[usize]) -> (Vec<u8>, Vec<u8>) {
    let mut out = Vec::new();
    let mut sealer = Sealer::new(keys, [7; SALT_BYTES], &[0; 44], &mut out).unwrap();
    let mut plain = octets(44, 9);
    for (n, piece) in pieces.iter().enumerate() {
        let sound = octets(*piece, n as u8);
        sealer.sound(&sound, &mut out);
        plain.extend(sound);
    }
    let (at, head) = sealer.head_anew(&octets(44, 9));
    out[at as usize..at as usize + head.len()].copy_from_slice(&head);
    sealer.end(&mut out);
    (out, plain)
}

fn whole(keys: &Keys, file: &[u8]) -> Result<Vec<u8>, OpenError> {
    let mut reader = Reader::open(keys, Cursor::new(file))?;
    let (length, mut out) = (reader.length(), Vec::new());
    loop {
        let piece = reader.read()?;
        if piece.is_empty() {
            assert_eq!(length, out.len() as u64);
            return Ok(out);
        }
        out.extend(piece);
    }
}

#[test]
fn what_was_sealed_opens_with_its_key_and_no_other() {
    let old = keys(&[OLD]);
    let (file, plain) = file(&old, &[1_000, 1, 40_000, 360]);
    assert!(is_sealed(&file) && !is_sealed(b"RIFF"));
    assert!(!file.windows(8).any(|part| plain[44..].windows(8).next() == Some(part)));
    assert_eq!(whole(&old, &file).unwrap(), plain);
    // A new key seals from now on; the old one opens what is there.
    let both = keys(&["# rotated in autumn", NEW, "", OLD]);
    assert_eq!((both.newest(), whole(&both, &file).unwrap()), ("2026-b", plain));
    let lost = whole(&keys(&[NEW]), &file).unwrap_err();
    assert!(matches!(&lost, OpenError::NoKey(name) if name == "2025"));
    assert_eq!(lost.to_string(), "sealed with the key \"2025\", which is not in the key file");
    let other = NEW.replace("2026-b", "2025");
    assert!(matches!(whole(&keys(&[&other]), &file), Err(OpenError::Broken)));
    assert!(matches!(whole(&old, b"RIFF1234"), Err(OpenError::NotSealed)));
    assert!(matches!(whole(&old, &file[..file.len() - 1]), Err(OpenError::Unfinished)));
}

#[test]
fn every_octet_is_vouched_for() {
    let keys = keys(&[OLD]);
    let (file, _) = file(&keys, &[30, 20]);
    for at in 0..file.len() {
        let mut changed = file.clone();
        changed[at] ^= 1;
        assert!(whole(&keys, &changed).is_err(), "octet {at}");
    }
}

#[test]
fn frames_cannot_be_swapped_taken_out_or_borrowed() {
    let keys = keys(&[OLD]);
    let (file, _) = file(&keys, &[100, 100, 100]);
    let begin = MAGIC.len() + 1 + 4 + SALT_BYTES;
    let (head, frame) = (begin + 4 + 44 + 16, 4 + 100 + 16);
    let at = |n: usize| head + n * frame..head + (n + 1) * frame;
    let mut swapped = file.clone();
    swapped[at(0)].copy_from_slice(&file[at(1)]);
    swapped[at(1)].copy_from_slice(&file[at(0)]);
    assert!(whole(&keys, &swapped).is_err());
    let mut without = file.clone();
    without.drain(at(2));
    assert!(whole(&keys, &without).is_err());
    // The same frames under another salt.
    let mut borrowed = file;
    borrowed[begin - 1] ^= 1;
    assert!(whole(&keys, &borrowed).is_err());
}

#[test]
fn a_file_that_was_cut_is_taken_up_where_it_is_whole() {
    let keys = keys(&[OLD]);
    let mut out = Vec::new();
    let mut sealer = Sealer::new(&keys, [3; SALT_BYTES], &[5; 44], &mut out).unwrap();
    let mut ends = vec![(out.len(), 44)];
    for n in 0..10_u8 {
        sealer.sound(&octets(200, n), &mut out);
        ends.push((out.len(), 44 + 200 * (usize::from(n) + 1)));
    }
    std::mem::forget(sealer);
    for cut in ends[0].0..out.len() {
        let (stored, plain) = *ends.iter().rev().find(|(end, _)| *end <= cut).unwrap();
        let (mut heard, mut found) = (Vec::new(), Found::default());
        let begin = salvage(&keys, Cursor::new(&out[..cut]), |piece, far| {
            heard.extend_from_slice(&piece.plain);
            found = *far;
            true
        })
        .unwrap();
        assert_eq!(
            (found.stored as usize, found.plain as usize, heard.len()),
            (stored, plain, plain)
        );
        if cut % 97 == 0 {
            let mut mended = out[..stored].to_vec();
            let mut sealer = Sealer::resume(&keys, &begin, &found).unwrap();
            sealer.sound(&[1; 50], &mut mended);
            let (at, head) = sealer.head_anew(&[6; 44]);
            mended[at as usize..at as usize + head.len()].copy_from_slice(&head);
            sealer.end(&mut mended);
            heard[..44].fill(6);
            heard.extend([1; 50]);
            assert_eq!(whole(&keys, &mended).unwrap(), heard);
        }
    }
    assert!(salvage(&keys, Cursor::new(&out[..10]), |_, _| true).is_err());
}

#[test]
fn key_files_that_are_none_are_told_by_line_and_never_quoted() {
    for (text, error) in [
        ("", KeyError::Empty),
        ("# none\n\n", KeyError::Empty),
        ("a b c", KeyError::Line(1)),
        ("a", KeyError::Line(1)),
        ("a AAAA", KeyError::Line(1)),
        ("\na b!", KeyError::Line(2)),
        (&OLD.replace("2025", "20/25"), KeyError::Line(1)),
        (&OLD.replace("2025", &"x".repeat(33)), KeyError::Line(1)),
        (&format!("{OLD}\n{OLD}"), KeyError::Twice(2)),
    ] {
        assert_eq!(Keys::parse(text).unwrap_err(), error, "{text}");
    }
    assert_eq!(format!("{:?}", keys(&[NEW, OLD])), r#"{"2026-b", "2025"}"#);
}

proptest! {
    #[test]
    fn any_part_can_be_read(pieces in proptest::collection::vec(0..40_000_usize, 1..6), from: u16, then: u16) {
        let keys = keys(&[OLD]);
        let (file, plain) = file(&keys, &pieces);
        let mut reader = Reader::open(&keys, Cursor::new(&file)).unwrap();
        let from = usize::from(from).min(plain.len());
        reader.skip(from as u64).unwrap();
        let mut at = from;
        let piece = reader.read().unwrap();
        prop_assert_eq!(&piece[..], &plain[at..at + piece.len()]);
        at += piece.len();
        let then = usize::from(then).min(plain.len() - at);
        reader.skip(then as u64).unwrap();
        let piece = reader.read().unwrap();
        prop_assert_eq!(&piece[..], &plain[at + then..at + then + piece.len()]);
    }

    #[test]
    fn hostile_files_never_panic(mut file in proptest::collection::vec(any::<u8>(), 0..400), magic: bool) {
        if magic && file.len() > 13 {
            file[..8].copy_from_slice(MAGIC);
            file[8..13].copy_from_slice(b"\x042025");
        }
        let keys = keys(&[OLD]);
        let _ = whole(&keys, &file);
        let _ = salvage(&keys, Cursor::new(&file), |_, _| true);
    }
}
