use super::*;

/// Output value of a µ-law rank on the 14-bit scale, straight from Table 2a: 8 segments of 16
/// intervals, the interval doubling from 2 per segment, the first interval half as wide.
fn ulaw_output(rank: usize) -> i32 {
    ulaw_decisions()
        .windows(2)
        .map(|pair| if pair[0] == 0 { 0 } else { (pair[0] + pair[1]) / 2 })
        .nth(rank)
        .unwrap()
}

/// Decision values x1…x129 of Table 2a.
fn ulaw_decisions() -> Vec<i32> {
    let mut values = vec![0, 1];
    let mut step = 2;
    for segment in 0..8 {
        let intervals = if segment == 0 { 15 } else { 16 };
        for _ in 0..intervals {
            values.push(values[values.len() - 1] + step);
        }
        step *= 2;
    }
    values
}

/// Decision values of Table 1a on its scale of 4096.
fn alaw_decisions() -> Vec<i32> {
    let mut values = vec![0];
    for segment in 0..8 {
        let step = if segment < 2 { 2 } else { 1 << segment };
        for _ in 0..16 {
            values.push(values[values.len() - 1] + step);
        }
    }
    values
}

/// The interval a value lies in, by looking through the decision values one by one.
fn interval(decisions: &[i32], value: i32) -> usize {
    (0..128).rev().find(|rank| value >= decisions[*rank]).unwrap_or(0)
}

#[test]
fn the_reference_tables_end_where_the_recommendation_says() {
    assert_eq!(ulaw_decisions().len(), 129);
    assert_eq!(*ulaw_decisions().last().unwrap(), 8159);
    assert_eq!(ulaw_output(127), 8031);
    assert_eq!(alaw_decisions().len(), 129);
    assert_eq!(*alaw_decisions().last().unwrap(), 4096);
}

#[test]
fn every_ulaw_code_decodes_to_its_output_value() {
    for code in 0..=255_u8 {
        let rank = usize::from(!code & 0x7f);
        let sign = if code & 0x80 == 0 { -1 } else { 1 };
        assert_eq!(i32::from(ulaw_to_linear(code)), sign * ulaw_output(rank) * 4, "{code:#04x}");
    }
}

#[test]
fn every_alaw_code_decodes_to_its_output_value() {
    let decisions = alaw_decisions();
    for code in 0..=255_u8 {
        let rank = usize::from((code ^ 0x55) & 0x7f);
        let sign = if code & 0x80 == 0 { -1 } else { 1 };
        let output = (decisions[rank] + decisions[rank + 1]) / 2;
        assert_eq!(i32::from(alaw_to_linear(code)), sign * output * 8, "{code:#04x}");
    }
}

#[test]
fn every_sample_is_coded_by_the_interval_it_lies_in() {
    let (ulaw, alaw) = (ulaw_decisions(), alaw_decisions());
    for sample in i16::MIN..=i16::MAX {
        let (sign, magnitude) =
            if sample < 0 { (0, -1 - i32::from(sample)) } else { (0x80, i32::from(sample)) };
        let rank = u8::try_from(interval(&ulaw, magnitude >> 2)).unwrap();
        assert_eq!(linear_to_ulaw(sample), (sign | (0x7f - rank)), "µ-law of {sample}");
        // The A-law scale has steps of 8; the last bit of a 16-bit sample never decides.
        let rank = u8::try_from(interval(&alaw, magnitude >> 3)).unwrap();
        assert_eq!(linear_to_alaw(sample), (sign | rank) ^ 0x55, "A-law of {sample}");
    }
}

#[test]
fn codes_survive_a_trip_through_linear() {
    for code in 0..=255_u8 {
        assert_eq!(linear_to_alaw(alaw_to_linear(code)), code);
        // Negative zero is the one code that comes back as its positive twin.
        let expected = if code == 0x7f { 0xff } else { code };
        assert_eq!(linear_to_ulaw(ulaw_to_linear(code)), expected);
    }
    assert_eq!(ulaw_to_linear(ULAW_SILENCE), 0);
    assert_eq!(alaw_to_linear(ALAW_SILENCE), 8);
}

/// Table 3/G.711 as printed, magnitudes from zero: A-law decoder output number, counted from one.
#[rustfmt::skip]
const TABLE_3: [u8; 128] = [
    1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 6, 6, 7, 7, 8, 8,
    9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24,
    25, 27, 29, 31, 33, 34, 35, 36, 37, 38, 39, 40, 41, 42, 43, 44,
    46, 48, 49, 50, 51, 52, 53, 54, 55, 56, 57, 58, 59, 60, 61, 62,
    64, 65, 66, 67, 68, 69, 70, 71, 72, 73, 74, 75, 76, 77, 78, 79,
    80, 82, 83, 84, 85, 86, 87, 88, 89, 90, 91, 92, 93, 94, 95, 96,
    97, 98, 99, 100, 101, 102, 103, 104, 105, 106, 107, 108, 109, 110, 111, 112,
    113, 114, 115, 116, 117, 118, 119, 120, 121, 122, 123, 124, 125, 126, 127, 128,
];

/// Table 4/G.711 as printed: µ-law decoder output number, counted from zero.
#[rustfmt::skip]
const TABLE_4: [u8; 128] = [
    1, 3, 5, 7, 9, 11, 13, 15, 16, 17, 18, 19, 20, 21, 22, 23,
    24, 25, 26, 27, 28, 29, 30, 31, 32, 32, 33, 33, 34, 34, 35, 35,
    36, 37, 38, 39, 40, 41, 42, 43, 44, 45, 46, 47, 48, 48, 49, 49,
    50, 51, 52, 53, 54, 55, 56, 57, 58, 59, 60, 61, 62, 63, 64, 64,
    65, 66, 67, 68, 69, 70, 71, 72, 73, 74, 75, 76, 77, 78, 79, 80,
    80, 81, 82, 83, 84, 85, 86, 87, 88, 89, 90, 91, 92, 93, 94, 95,
    96, 97, 98, 99, 100, 101, 102, 103, 104, 105, 106, 107, 108, 109, 110, 111,
    112, 113, 114, 115, 116, 117, 118, 119, 120, 121, 122, 123, 124, 125, 126, 127,
];

#[test]
fn the_direct_conversion_is_tables_3_and_4() {
    for code in 0..=255_u8 {
        let rank = usize::from(!code & 0x7f);
        assert_eq!(ulaw_to_alaw(code) ^ 0x55, (code & 0x80) | (TABLE_3[rank] - 1), "{code:#04x}");
        let rank = usize::from((code ^ 0x55) & 0x7f);
        assert_eq!(alaw_to_ulaw(code) ^ 0x7f, (code & 0x80) | TABLE_4[rank], "{code:#04x}");
    }
}

#[test]
fn a_chain_of_conversions_changes_a_code_once_only() {
    for code in 0..=255_u8 {
        let once = ulaw_to_alaw(code);
        assert_eq!(ulaw_to_alaw(alaw_to_ulaw(once)), once, "µ-law {code:#04x}");
        let once = alaw_to_ulaw(code);
        assert_eq!(alaw_to_ulaw(ulaw_to_alaw(once)), once, "A-law {code:#04x}");
    }
}

#[test]
fn the_direct_conversion_stays_within_one_interval() {
    for code in 0..=255_u8 {
        let (from, to) = (ulaw_to_linear(code), alaw_to_linear(ulaw_to_alaw(code)));
        let step = 16_i32.max(i32::from(from).abs() / 16);
        assert!((i32::from(from) - i32::from(to)).abs() <= step, "µ-law {code:#04x}: {from} {to}");
        let (from, to) = (alaw_to_linear(code), ulaw_to_linear(alaw_to_ulaw(code)));
        let step = 16_i32.max(i32::from(from).abs() / 16);
        assert!((i32::from(from) - i32::from(to)).abs() <= step, "A-law {code:#04x}: {from} {to}");
    }
}

#[test]
fn slices_convert_as_far_as_the_shorter_one_goes() {
    let codes: Vec<u8> = (0..=255).collect();
    let mut samples = [0_i16; 300];
    assert_eq!(decode_ulaw(&codes, &mut samples), 256);
    let mut back = [0_u8; 100];
    assert_eq!(encode_ulaw(&samples, &mut back), 100);
    assert_eq!(back[..100], codes[..100]);
    assert_eq!(decode_alaw(&codes, &mut samples[..40]), 40);
    let mut back = [0_u8; 40];
    assert_eq!(encode_alaw(&samples[..40], &mut back), 40);
    assert_eq!(back, codes[..40]);
    let mut turned = codes.clone();
    ulaw_to_alaw_in_place(&mut turned);
    assert!(turned.iter().zip(&codes).all(|(to, from)| *to == ulaw_to_alaw(*from)));
    alaw_to_ulaw_in_place(&mut turned);
    assert!(turned.iter().zip(&codes).all(|(to, from)| *to == alaw_to_ulaw(ulaw_to_alaw(*from))));
}
