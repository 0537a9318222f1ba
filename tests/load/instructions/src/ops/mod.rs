//! The operations.

mod http;
mod money;
mod room;
mod sip;
mod sound;

use crate::Meter;

/// One operation.
#[derive(Clone, Copy, Debug)]
pub struct Operation {
    /// On the command line and in the bounds.
    pub name: &'static str,
    /// In words.
    pub what: &'static str,
    /// How often it is done for one count.
    pub rounds: u64,
    /// Where its code is.
    pub work: Work,
}

/// Where an operation's code is, and so what callgrind counts.
#[derive(Clone, Copy, Debug)]
pub enum Work {
    /// Here: prepares, switches the meter on, and does it that often.
    Here(fn(&mut Meter, u64)),
    /// In a program of its own beside this one.
    There {
        /// Path below the folder of this program.
        program: &'static str,
        /// Its arguments; the number of rounds follows them.
        arguments: &'static [&'static str],
        /// The function that is counted, as callgrind spells it.
        counted: &'static str,
    },
}

/// A whole call in the engine, placed to settled, while others are up.
const fn call(
    name: &'static str,
    what: &'static str,
    arguments: &'static [&'static str],
) -> Operation {
    let program = "examples/engine-cost";
    Operation {
        name,
        what,
        rounds: 200,
        work: Work::There { program, arguments, counted: "*measured_step*" },
    }
}

/// All of them.
pub const OPERATIONS: &[Operation] = &[
    Operation {
        name: "parse_invite",
        what: "an INVITE of 963 octets: its lines indexed",
        rounds: 2000,
        work: Work::Here(sip::parse),
    },
    Operation {
        name: "read_invite",
        what: "the same, and its Via, From, To and CSeq as values",
        rounds: 2000,
        work: Work::Here(sip::read),
    },
    Operation {
        name: "verify_invite",
        what: "the same, and whether a server may act on it",
        rounds: 2000,
        work: Work::Here(sip::verify),
    },
    Operation {
        name: "transaction_step",
        what: "a 180 into an INVITE client transaction, to the event",
        rounds: 500,
        work: Work::Here(sip::provisional),
    },
    Operation {
        name: "transaction_copy",
        what: "a copy of an INVITE that a server transaction answers again",
        rounds: 500,
        work: Work::Here(sip::copy),
    },
    call(
        "call_10",
        "a whole call in the engine, placed to settled, 10 others up",
        &["--live", "10", "--warm", "200", "--calls"],
    ),
    call(
        "call_1000",
        "the same with 1000 others up",
        &["--live", "1000", "--warm", "200", "--calls"],
    ),
    Operation {
        name: "relay_forward",
        what: "an RTP packet from leg to leg",
        rounds: 20_000,
        work: Work::Here(sound::forward),
    },
    Operation {
        name: "mix_10",
        what: "a tick of a conference of 10 in G.711 and G.722, two of them talk",
        rounds: 100,
        work: Work::Here(room::mix_10),
    },
    Operation {
        name: "mix_200",
        what: "the same of 200 in G.711, three of them talk",
        rounds: 20,
        work: Work::Here(room::mix_200),
    },
    Operation {
        name: "rate_call",
        what: "a number priced and a call charged, 100,000 prefixes",
        rounds: 20_000,
        work: Work::Here(money::rate),
    },
    Operation {
        name: "settle_call",
        what: "what settling a call of two legs posts and gives back",
        rounds: 5000,
        work: Work::Here(money::settle),
    },
    Operation {
        name: "sign_000",
        what: "a request of system 000: read, signature checked",
        rounds: 500,
        work: Work::Here(http::system_000),
    },
    Operation {
        name: "sign_001",
        what: "a request of system 001: header read, signature checked",
        rounds: 500,
        work: Work::Here(http::system_001),
    },
];
