#!/usr/bin/env python3
"""PESQ of sentences through each pair of codings, through loss that is concealed, through a conference and in
recordings, and through the coders of others.

Speaks sentences with espeak-ng, takes the announcements that ship with the program, passes both through
the example `through` of the room `audio`, and prints the medians that stand in docs/media-quality.md.
Ends with 1 when one of them is lower. Needs espeak-ng, sox, ffmpeg and `pip install pesq numpy`.

    cargo build -p audio --release --example through --example conference
    tests/load/quality.py target/release/examples/through
    tests/load/quality.py --conference target/release/examples/conference
    tests/load/quality.py --order target/release/examples/through
    tests/load/quality.py --record target/release/examples/cost
    tests/load/quality.py --reference
"""

import array
import glob
import os
import statistics
import subprocess
import sys
import tempfile

import numpy
from pesq import PesqError, pesq

CODINGS = ("pcmu", "pcma", "g722", "opus")
SENTENCES = (
    ("en", 150, "The number you have dialled is not in service. Please check the number and try again."),
    ("en-us+f3", 165, "She sells sea shells on the sea shore, while the quick brown fox jumps over the dog."),
    ("de", 155, "Der Teilnehmer ist im Moment nicht erreichbar. Bitte versuchen Sie es noch einmal."),
    ("fr+f2", 150, "Votre correspondant n'est pas disponible. Veuillez rappeler dans quelques minutes."),
    ("cmn", 150, "您拨打的电话已关机，请稍后再拨。谢谢您的来电。"),
    ("fa", 140, "مشترک مورد نظر در دسترس نمی‌باشد. لطفا بعدا تماس بگیرید."),
)
PROMPTS = "media/prompts/*/callee-*.ogg"
# Medians at 0, 3 and 5 % loss that stand in docs/media-quality.md.
MEDIANS = {
    ("pcmu", "pcmu"): (4.03, 3.41, 3.12),
    ("pcmu", "pcma"): (3.84, 3.28, 3.06),
    ("pcmu", "g722"): (3.72, 3.26, 3.04),
    ("pcmu", "opus"): (4.00, 3.39, 3.11),
    ("pcma", "pcmu"): (3.85, 3.29, 3.07),
    ("pcma", "pcma"): (4.05, 3.43, 3.14),
    ("pcma", "g722"): (3.72, 3.28, 3.04),
    ("pcma", "opus"): (3.98, 3.40, 3.12),
    ("g722", "pcmu"): (3.70, 3.15, 2.86),
    ("g722", "pcma"): (3.70, 3.15, 2.87),
    ("g722", "g722"): (2.72, 2.17, 1.88),
    ("g722", "opus"): (3.02, 2.33, 1.98),
    ("opus", "pcmu"): (3.90, 3.54, 3.49),
    ("opus", "pcma"): (3.88, 3.56, 3.50),
    ("opus", "g722"): (2.91, 2.75, 2.69),
    ("opus", "opus"): (3.86, 3.38, 3.32),
}
LOSSES = (0, 3, 5)
# Three who talk in turn: their codings, the listener's, jitter in ms, loss in per cent; and the median.
CONFERENCES = {
    ("pcma", "pcma", 0, 0): 4.04,
    ("pcma", "pcma", 40, 0): 4.03,
    ("pcma", "pcma", 40, 3): 3.47,
    ("pcmu", "pcma", 0, 0): 3.83,
    ("pcma,g722,opus", "pcma", 0, 0): 3.87,
    ("pcma,g722,opus", "pcma", 40, 3): 3.21,
    ("pcma,g722,opus", "opus", 0, 0): 3.96,
    ("pcma,g722,opus", "g722", 0, 0): 3.77,
}
# Before a transcoder: packets in 100 that the next one overtakes, or how late each is at most; the median of what is
# put in order.
ORDERS = {
    ("g722", "pcma", "0"): 3.70,
    ("g722", "pcma", "1"): 3.70,
    ("g722", "pcma", "5"): 3.70,
    ("g722", "pcma", "40ms"): 3.70,
    ("opus", "pcma", "0"): 3.88,
    ("opus", "pcma", "1"): 3.88,
    ("opus", "pcma", "5"): 3.88,
    ("opus", "pcma", "40ms"): 3.88,
}
# What each channel of a recording is against what the leg carried and against what was said before G.711: the medians.
RECORDINGS = {
    ("wav", "pcma"): (4.52, 4.06),
    ("mp3", "pcma"): (4.49, 4.00),
    ("mp3", "pcmu"): (4.51, 4.00),
    ("opus", "pcma"): (4.48, 4.01),
    ("opus", "pcmu"): (4.48, 4.00),
}
# No channel of any recording may be below this against what the leg carried.
RECORDED = 4.0
# The same ways through the coders of others: sox for G.711, ffmpeg for G.722, libopus. What is behind the name is its
# rate, its bits per second and its complexity.
REFERENCES = (
    ("pcmu",), ("pcma",), ("g722",), ("opus:16000:48k:5",),
    ("pcmu", "pcma"), ("pcma", "pcmu"),
    ("pcma", "g722"), ("g722", "pcma"),
    ("pcma", "opus:8000:24k:5"), ("pcma", "opus:8000:24k:10"), ("pcma", "opus:8000:40k:1"), ("pcma", "opus:8000:40k:5"),
    ("opus:16000:40k:5", "pcma"), ("opus:16000:48k:5", "pcma"), ("opus:16000:48k:10", "pcma"),
)
# Between two sentences, seconds, and what may be late or early of one.
PAUSE, MARGIN = 0.5, 0.25
# What another version of espeak-ng or sox may change.
SLACK = 0.15


def rate(coding):
    return 8000 if coding.startswith("pcm") else 16000


def read(path, hz):
    command = ["ffmpeg", "-v", "error", "-i", path, "-ac", "1", "-ar", str(hz), "-f", "s16le", "-"]
    return subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout


def samples(octets):
    return numpy.array(array.array("h", octets), dtype=numpy.int16)


def resampled(octets, hz, to):
    if hz == to:
        return octets
    command = ["sox", "-V1", "-t", "raw", "-r", str(hz), "-e", "signed", "-b", "16", "-c", "1", "-",
               "-t", "raw", "-r", str(to), "-e", "signed", "-b", "16", "-c", "1", "-"]
    return subprocess.run(command, input=octets, check=True, stdout=subprocess.PIPE).stdout


def through(program, sound, coding, other, loss, seed, late=()):
    command = [program, coding, other, str(loss), str(seed), *late]
    return subprocess.run(command, input=sound, check=True, stdout=subprocess.PIPE).stdout


def median(program, sounds, coding, other, loss, late=()):
    """Narrow-band where either side is, wide-band where neither is: MOS-LQO."""
    wide = rate(coding) == rate(other) == 16000
    hz, mode = (16000, "wb") if wide else (8000, "nb")
    scores = []
    for seed, sound in enumerate(sounds):
        heard = through(program, sound[rate(coding)], coding, other, loss, seed + 1, late)
        reference, heard = samples(sound[hz]), samples(resampled(heard, rate(other), hz))
        try:
            scores.append(pesq(hz, reference, heard, mode))
        except PesqError as error:
            print(f"{coding} {other} {loss}: sound {seed}: {error}", file=sys.stderr)
    return mode, statistics.median(scores), min(scores)


def conference(program, sounds, talkers, listener, jitter, loss):
    """Narrow-band MOS-LQO of each sentence, three of them in one conference after the other."""
    scores = []
    with tempfile.TemporaryDirectory() as folder:
        for first in range(0, len(sounds) - 2, 3):
            files, starts, at = [], [], 0.0
            for n, sound in enumerate(sounds[first:first + 3]):
                coding = talkers.split(",")[n % len(talkers.split(","))]
                files.append(os.path.join(folder, f"{n}.raw"))
                with open(files[-1], "wb") as file:
                    file.write(sound[rate(coding)])
                starts.append(at)
                at += len(sound[8000]) // 320 * 0.02 + PAUSE
            command = [program, talkers, listener, str(jitter), str(loss), *files]
            heard = subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout
            heard = samples(resampled(heard, rate(listener), 8000))
            for start, sound in zip(starts, sounds[first:first + 3]):
                reference = samples(sound[8000])
                piece = heard[int(start * 8000):int((start + MARGIN) * 8000) + len(reference)]
                try:
                    scores.append(pesq(8000, reference, piece, "nb"))
                except PesqError as error:
                    print(f"{talkers} {listener}: {error}", file=sys.stderr)
    return statistics.median(scores), min(scores)


def conferences(program, sounds):
    missed = False
    for (talkers, listener, jitter, loss), floor in CONFERENCES.items():
        middle, least = conference(program, sounds, talkers, listener, jitter, loss)
        fell = middle < floor - SLACK
        missed = missed or fell
        print(f"{talkers} in turn, heard in {listener}, jitter {jitter} ms, {loss} % lost  nb  median {middle:.2f}"
              f"  least {least:.2f}" + (f"  was {floor}" if fell else ""), flush=True)
    return missed


def orders(program, sounds):
    missed = False
    for (coding, other, late), floor in ORDERS.items():
        came = median(program, sounds, coding, other, 0, (late,))[1]
        held = median(program, sounds, coding, other, 0, (late, "held"))[1]
        lossy = median(program, sounds, coding, other, 3, (late, "held"))[1]
        fell = held < floor - SLACK
        missed = missed or fell
        print(f"{coding} -> {other}, late {late}  nb  as it came {came:.2f}  in order {held:.2f}"
              f"  in order with 3 % lost {lossy:.2f}" + (f"  was {floor}" if fell else ""), flush=True)
    return missed


def by_ffmpeg(octets, hz, coder, form):
    raw = ["-f", "s16le", "-ar", str(hz)]
    command = ["ffmpeg", "-v", "error", *raw, "-ac", "1", "-i", "-", *coder, "-f", form, "-"]
    coded = subprocess.run(command, input=octets, check=True, stdout=subprocess.PIPE).stdout
    command = ["ffmpeg", "-v", "error", "-f", form, "-i", "-", *raw, "-"]
    return subprocess.run(command, input=coded, check=True, stdout=subprocess.PIPE).stdout


def g711(octets, law):
    raw = ["-t", "raw", "-r", "8000", "-c", "1"]
    linear, coded = [*raw, "-e", "signed", "-b", "16"], [*raw, "-e", law, "-b", "8"]
    octets = subprocess.run(["sox", "-V1", "-D", *linear, "-", *coded, "-"], input=octets, check=True,
                            stdout=subprocess.PIPE).stdout
    return subprocess.run(["sox", "-V1", "-D", *coded, "-", *linear, "-"], input=octets, check=True,
                          stdout=subprocess.PIPE).stdout


def by_others(coding, octets, hz):
    """Through one coding of somebody else's: what comes out, and its rate."""
    name, *settings = coding.split(":")
    to = int(settings[0]) if settings else rate(name)
    octets = resampled(octets, hz, to)
    if name in ("pcmu", "pcma"):
        return g711(octets, "mu-law" if name == "pcmu" else "a-law"), to
    if name == "g722":
        return by_ffmpeg(octets, to, ["-c:a", "g722"], "g722"), to
    coder = ["-c:a", "libopus", "-application", "voip", "-frame_duration", "20",
             "-b:a", settings[1], "-compression_level", settings[2]]
    return by_ffmpeg(octets, to, coder, "ogg"), to


def references(sounds):
    for way in REFERENCES:
        scores = []
        for sound in sounds:
            first = way[0].split(":")
            hz = int(first[1]) if len(first) > 1 else rate(first[0])
            octets = sound[hz]
            for coding in way:
                octets, hz = by_others(coding, octets, hz)
            scores.append(pesq(8000, samples(sound[8000]), samples(resampled(octets, hz, 8000)), "nb"))
        print(f"{' -> '.join(way)}  nb  median {statistics.median(scores):.2f}  least {min(scores):.2f}", flush=True)


def recordings(program, sounds):
    """Each sound on the left of a recording, and another one on its right, over two legs."""
    missed = False
    for (form, law), floors in RECORDINGS.items():
        carried, said, lengths = [], [], []
        with tempfile.TemporaryDirectory() as folder:
            source, path = os.path.join(folder, "said.raw"), os.path.join(folder, f"call.{form}")
            for n, sound in enumerate(sounds):
                other = samples(sounds[(n + 7) % len(sounds)][8000])
                left = samples(sound[8000])[:len(sound[8000]) // 320 * 160]
                sides = [left, numpy.resize(other, len(left))]
                numpy.stack(sides, axis=1).tofile(source)
                subprocess.run([program, form, source, path, law], check=True, stdout=subprocess.DEVNULL)
                command = ["ffmpeg", "-v", "error", "-i", path, "-f", "s16le", "-ar", "8000", "-"]
                heard = subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout
                heard = samples(heard).reshape(-1, 2)
                lengths.append(abs(len(heard) - len(left)) / 8)
                for side in (0, 1):
                    channel = numpy.ascontiguousarray(heard[:, side])
                    leg = g711(sides[side].tobytes(), "mu-law" if law == "pcmu" else "a-law")
                    carried.append(pesq(8000, samples(leg), channel, "nb"))
                    said.append(pesq(8000, sides[side], channel, "nb"))
        medians = statistics.median(carried), statistics.median(said)
        fell = any(got < floor - SLACK for got, floor in zip(medians, floors))
        bad = fell or min(carried) < RECORDED or max(lengths) > 20
        missed = missed or bad
        print(f"{form} of {law}  nb  against the leg: median {medians[0]:.2f}  least {min(carried):.2f}"
              f"  against what was said: median {medians[1]:.2f}  least {min(said):.2f}"
              f"  length within {max(lengths):.1f} ms" + (f"  was {floors}" if bad else ""), flush=True)
    return missed


def main():
    program = sys.argv[-1]
    sounds = []
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "said.wav")
        for voice, speed, text in SENTENCES:
            subprocess.run(["espeak-ng", "-v", voice, "-s", str(speed), "-w", path, text], check=True)
            sounds.append({hz: read(path, hz) for hz in (8000, 16000)})
    for path in sorted(glob.glob(PROMPTS)):
        sounds.append({hz: read(path, hz) for hz in (8000, 16000)})
    print(f"{len(sounds)} sounds, {sum(len(s[8000]) for s in sounds) / 16000:.0f} s")
    if "--conference" in sys.argv:
        sys.exit(1 if conferences(program, sounds) else 0)
    if "--order" in sys.argv:
        sys.exit(1 if orders(program, sounds) else 0)
    if "--record" in sys.argv:
        sys.exit(1 if recordings(program, sounds) else 0)
    if "--reference" in sys.argv:
        references(sounds)
        sys.exit(0)
    missed = False
    for coding in CODINGS:
        for other in CODINGS:
            for loss, floor in zip(LOSSES, MEDIANS[coding, other]):
                mode, middle, least = median(program, sounds, coding, other, loss)
                fell = middle < floor - SLACK
                missed = missed or fell
                print(f"{coding} -> {other}  {loss} %  {mode}  median {middle:.2f}  least {least:.2f}"
                      + (f"  was {floor}" if fell else ""), flush=True)
    sys.exit(1 if missed else 0)


if __name__ == "__main__":
    main()
