//! Pages of Ogg (RFC 3533 §6): written, counted, checked.

/// The first page of a file (RFC 3533 §6, `header_type_flag`).
pub(super) const BEGINS: u8 = 2;
/// The last.
pub(super) const ENDS: u8 = 4;

/// Octets of a page before its segment table.
const HEAD: usize = 27;
/// There is one stream in a file.
const SERIAL: u32 = 1;

/// What a page's head says.
pub(super) struct Header {
    pub(super) granule: u64,
    pub(super) number: u32,
}

/// The pages of a file so far: how many, and where the last one ends.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Pages {
    count: u32,
    granule: u64,
}

impl Pages {
    /// Those of the head alone.
    #[must_use]
    pub const fn behind_head() -> Pages {
        Pages { count: 2, granule: 0 }
    }

    /// How many: the number of the next.
    #[must_use]
    pub const fn count(&self) -> u32 {
        self.count
    }

    /// Samples at 48 kHz up to the end of the last one, those to be skipped included.
    #[must_use]
    pub const fn granule(&self) -> u64 {
        self.granule
    }

    /// Counts whole pages that were appended.
    pub fn add(&mut self, mut octets: &[u8]) {
        while let Some((header, length)) = head(octets) {
            *self = Pages { count: header.number.wrapping_add(1), granule: header.granule };
            octets = &octets[length..];
        }
    }
}

/// Appends a page of these packets.
pub(super) fn write(
    flags: u8,
    granule: u64,
    number: u32,
    lengths: &[usize],
    body: &[u8],
    out: &mut Vec<u8>,
) {
    let from = out.len();
    out.extend(b"OggS\x00");
    out.push(flags);
    out.extend(granule.to_le_bytes());
    out.extend(SERIAL.to_le_bytes());
    out.extend(number.to_le_bytes());
    out.extend([0; 4]);
    let count: usize = lengths.iter().map(|length| length / 255 + 1).sum();
    out.push(count as u8);
    for length in lengths {
        out.extend(std::iter::repeat_n(255, length / 255));
        out.push((length % 255) as u8);
    }
    out.extend_from_slice(body);
    let sum = crc(&out[from..]);
    out[from + 22..from + 26].copy_from_slice(&sum.to_le_bytes());
}

/// The page at the start of these octets and its length, if it is whole and one of ours.
pub(super) fn head(octets: &[u8]) -> Option<(Header, usize)> {
    if octets.len() < HEAD || !octets.starts_with(b"OggS\x00") {
        return None;
    }
    let table = octets.get(HEAD..HEAD + usize::from(octets[26]))?;
    let body: usize = table.iter().map(|segment| usize::from(*segment)).sum();
    let length = HEAD + table.len() + body;
    let page = octets.get(..length)?;
    let word = |at: usize| u32::from_le_bytes([page[at], page[at + 1], page[at + 2], page[at + 3]]);
    let parts = [&page[..22], &[0; 4], &page[26..]];
    let sum = parts.into_iter().fold(0, crc_on);
    if sum != word(22) || word(14) != SERIAL {
        return None;
    }
    let granule = u64::from(word(6)) | u64::from(word(10)) << 32;
    Some((Header { granule, number: word(18) }, length))
}

fn crc(octets: &[u8]) -> u32 {
    crc_on(0, octets)
}

/// RFC 3533 §6: polynomial 0x04c11db7, nothing inverted, nothing reflected.
fn crc_on(sum: u32, octets: &[u8]) -> u32 {
    octets.iter().fold(sum, |sum, octet| (sum << 8) ^ TABLE[((sum >> 24) as u8 ^ octet) as usize])
}

const TABLE: [u32; 256] = table();

const fn table() -> [u32; 256] {
    let mut table = [0; 256];
    let mut n = 0;
    while n < 256 {
        let mut sum = (n as u32) << 24;
        let mut bit = 0;
        while bit < 8 {
            sum = if sum & 0x8000_0000 == 0 { sum << 1 } else { (sum << 1) ^ 0x04c1_1db7 };
            bit += 1;
        }
        table[n] = sum;
        n += 1;
    }
    table
}
