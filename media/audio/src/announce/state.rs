//! What an announcement can mean.

/// Why a call did not get through, as networks announce it. The nineteen states, their order and their
/// Chinese names are those that merchants of the region know.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum State {
    /// The phone is switched off.
    SwitchedOff,
    /// No such number.
    NoSuchNumber,
    /// Out of service.
    OutOfService,
    /// On another call.
    OnACall,
    /// The called person refused.
    Refused,
    /// Cannot be reached.
    Unreachable,
    /// Service suspended.
    Suspended,
    /// Busy.
    Busy,
    /// Dialled the wrong way.
    Misdialled,
    /// Takes no calls from outside.
    IncomingBarred,
    /// A mailbox or a reminder of the missed call answers.
    Reminder,
    /// Forwarding failed.
    ForwardingFailed,
    /// The network is busy.
    NetworkBusy,
    /// Nobody answers.
    NoAnswer,
    /// No money left.
    InDebt,
    /// Cannot take the call.
    CannotAnswer,
    /// The number was changed.
    NumberChanged,
    /// The line is out of order.
    LineFault,
    /// Try again later, and no more.
    TryLater,
}

/// Each state with its number at recognisers of the region, its short name, its Chinese name and its
/// cause of ITU-T Q.850.
const TABLE: [(State, u8, &str, &str, u8); 19] = [
    (State::SwitchedOff, 2, "switched-off", "关机", 20),
    (State::NoSuchNumber, 3, "no-such-number", "空号", 1),
    (State::OutOfService, 4, "out-of-service", "停机", 27),
    (State::OnACall, 5, "on-a-call", "正在通话中", 17),
    (State::Refused, 6, "refused", "用户拒接", 21),
    (State::Unreachable, 7, "unreachable", "无法拨通", 20),
    (State::Suspended, 8, "suspended", "暂停服务", 27),
    (State::Busy, 9, "busy", "用户正忙", 17),
    (State::Misdialled, 10, "misdialled", "拨号方式不正确", 28),
    (State::IncomingBarred, 11, "incoming-barred", "呼入限制", 55),
    (State::Reminder, 12, "reminder", "来电提醒", 19),
    (State::ForwardingFailed, 13, "forwarding-failed", "呼叫转移失败", 31),
    (State::NetworkBusy, 14, "network-busy", "网络忙", 34),
    (State::NoAnswer, 15, "no-answer", "无人接听", 19),
    (State::InDebt, 16, "in-debt", "欠费", 21),
    (State::CannotAnswer, 17, "cannot-answer", "无法接听", 18),
    (State::NumberChanged, 18, "number-changed", "改号", 22),
    (State::LineFault, 19, "line-fault", "线路故障", 27),
    (State::TryLater, 20, "try-later", "稍后再拨", 31),
];

impl State {
    /// All of them, by number.
    pub fn all() -> impl Iterator<Item = State> {
        TABLE.iter().map(|row| row.0)
    }

    fn row(self) -> &'static (State, u8, &'static str, &'static str, u8) {
        // The table has a row for each, in the order of the enumeration (a test holds that).
        &TABLE[self as usize]
    }

    /// Its number, 2 to 20.
    #[must_use]
    pub fn number(self) -> u8 {
        self.row().1
    }

    /// Its short name, e.g. `switched-off`.
    #[must_use]
    pub fn name(self) -> &'static str {
        self.row().2
    }

    /// Its Chinese name, e.g. `关机`.
    #[must_use]
    pub fn chinese(self) -> &'static str {
        self.row().3
    }

    /// The cause of ITU-T Q.850 that says the same.
    #[must_use]
    pub fn cause(self) -> u8 {
        self.row().4
    }

    /// The state of a number, a short name or a Chinese name.
    #[must_use]
    pub fn parse(text: &str) -> Option<State> {
        let text = text.trim();
        let fits = |row: &&(State, u8, &str, &str, u8)| {
            row.2 == text || row.3 == text || text.parse() == Ok(row.1)
        };
        // 无法接通 is how others write 无法拨通.
        let text_of_others = (text == "无法接通").then_some(State::Unreachable);
        TABLE.iter().find(fits).map(|row| row.0).or(text_of_others)
    }

    /// The state of a number.
    #[must_use]
    pub fn from_number(number: u8) -> Option<State> {
        TABLE.iter().find(|row| row.1 == number).map(|row| row.0)
    }
}
