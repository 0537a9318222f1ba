//! What an ear hears of sound that came in a coding: coded as a gateway of a telephone network would, decoded as the ear does.

use audio::codec::{CodecError, Coding, Decoder, Encoder, OCTETS_MAX, SAMPLES_MAX};
use audio::convert::Converter;
use audio::{FRAME, RATE};

/// A coding by its name on a command line.
pub(crate) fn coding(name: &str) -> Option<Coding> {
    match name {
        "pcmu" => Some(Coding::Pcmu),
        "pcma" => Some(Coding::Pcma),
        "g722" => Some(Coding::G722),
        "opus" => Some(Coding::Opus),
        _ => None,
    }
}

/// Sound of 8 kHz that went over a line: packets of 20 ms, of which those that `lost` takes are silence. The
/// last packet is filled up with silence.
///
/// # Errors
/// Of coders that cannot be made.
pub(crate) fn over(
    coding: Coding,
    sound: &[i16],
    mut lost: impl FnMut(usize) -> bool,
) -> Result<Vec<i16>, CodecError> {
    // Wide-band where the coding is: a gateway has no other encoder.
    let said = coding.rate().min(16_000);
    let mut encoder = Encoder::at(coding, said)?;
    let mut widens = Converter::new(RATE, said);
    // Opus is decoded at the rate of the ear.
    let mut decoder = Decoder::at(coding, RATE).or_else(|_| Decoder::new(coding))?;
    let mut narrows = Converter::new(decoder.rate(), RATE);
    let (mut octets, mut heard) = ([0; OCTETS_MAX], Vec::with_capacity(sound.len()));
    let (mut wide, mut decoded, mut narrow) = ([0; 2 * FRAME], [0; SAMPLES_MAX], [0; SAMPLES_MAX]);
    for (number, piece) in sound.chunks(FRAME).enumerate() {
        let mut frame = [0; FRAME];
        frame[..piece.len()].copy_from_slice(piece);
        let frame = match &mut widens {
            None => &frame[..],
            Some(converter) => {
                let count = converter.convert(&frame, &mut wide);
                &wide[..count]
            }
        };
        let length = encoder.encode(frame, &mut octets)?;
        if lost(number) {
            heard.extend([0; FRAME]);
            continue;
        }
        let samples = decoder.decode(&octets[..length], &mut decoded)?;
        match &mut narrows {
            None => heard.extend(&decoded[..samples]),
            Some(converter) => {
                let count = converter.convert(&decoded[..samples], &mut narrow);
                heard.extend(&narrow[..count]);
            }
        }
    }
    Ok(heard)
}
