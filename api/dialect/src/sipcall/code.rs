//! `errors.code` of a service that said no, and its words (merchant API §4.2).

use super::fault::Lang;

macro_rules! codes {
    ($( $(#[$doc:meta])* $code:ident = $number:literal, $zh:literal, $en:literal; )*) => {
        /// Why a service did not do what it was asked for, or how something stands.
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
        pub enum Code {
            $( $(#[$doc])* $code, )*
            /// 1002 about one parameter, by its name.
            Bad(&'static str),
        }

        impl Code {
            /// The number on the wire.
            #[must_use]
            pub const fn number(self) -> u16 {
                match self { $( Code::$code => $number, )* Code::Bad(_) => Code::Validation.number() }
            }

            /// The words.
            #[must_use]
            pub const fn words(self, lang: Lang) -> &'static str {
                match self {
                    $( Code::$code => lang.pick($zh, $en), )*
                    Code::Bad(_) => Code::Validation.words(lang),
                }
            }

            /// The words, and which parameter they are about where that is known.
            #[must_use]
            pub fn told(self, lang: Lang) -> String {
                let words = self.words(lang);
                match self {
                    Code::Bad(name) => format!("{words}{}{name}", lang.pick("：", ": ")),
                    _ => words.to_owned(),
                }
            }

            /// The same about another parameter, where it is about one.
            #[must_use]
            pub const fn about(self, name: &'static str) -> Code {
                match self { Code::Bad(_) => Code::Bad(name), code => code }
            }

            /// All of them, as they are about no parameter.
            pub const ALL: &[Code] = &[$(Code::$code),*];
        }
    };
}

codes! {
    /// The switch did not answer.
    Connection = 1001, "服务器连接失败", "server connection failed";
    /// A value has not the form that it must have.
    Validation = 1002, "数据验证错误", "validation error";
    /// It could not be done.
    Failed = 1003, "操作失败", "operation failed";
    /// Somebody else's extension.
    ForeignExtension = 1011, "分机不属于该公司", "extension not of this company";
    /// Nobody has it.
    NoExtension = 1012, "分机不存在", "extension does not exist";
    /// It is out of use.
    DisabledExtension = 1013, "分机已禁用", "extension disabled";
    /// None of its phones is there.
    NotRegistered = 1014, "分机未注册", "extension not registered";
    /// It is in no call.
    NotInCall = 1015, "分机不在通话中", "extension not in a call";
    /// It is in use.
    Enabled = 1016, "分机已启用", "extension enabled";
    /// A phone of it is there.
    Registered = 1017, "分机已注册", "extension registered";
    /// The number to show is none of the company's.
    ForeignNumber = 1021, "号码不属于该公司", "number not of this company";
    /// There is no such sound.
    NoFile = 1029, "文件不存在", "file does not exist";
    /// What policies say of numbers does not let it be called, where a call by policy is asked for.
    Policy = 1032, "违反策略", "violates policy";
    /// The balance does not cover the call.
    NoBalance = 1040, "余额不足", "balance not enough";
    /// Too many calls.
    TooMany = 1041, "超过并发限制", "concurrency limit";
    /// The number is not to be rung.
    Blocked = 1042, "号码被限制", "blocked number";
    /// Not at this time, or not so often.
    OutsideHours = 1043, "非允许呼叫时段", "outside hours";
    /// There is no such group.
    NoGroup = 1044, "分机组不存在", "group does not exist";
    /// What was sent in as a sound cannot be played.
    BadVoice = 1045, "语音文件无效", "voice file invalid";
    /// Who talks speaks a coding that is mixed with nobody.
    Unmixable = 1046, "通话编码不支持监听", "the coding of the call cannot be mixed";
    /// A number that may be shown.
    NumberEnabled = 1018, "号码已启用", "number enabled";
    /// There is no such task.
    NoTask = 1024, "任务不存在", "task does not exist";
    /// It waits to be started.
    TaskWaiting = 1025, "任务未开始", "task not started";
    /// It dials.
    TaskRunning = 1026, "任务运行中", "task running";
    /// It does not dial.
    TaskPaused = 1027, "任务已暂停", "task paused";
    /// All its numbers were called, or it was cancelled.
    TaskEnded = 1028, "任务已结束", "task ended";
    /// None of its phones is there, where it is asked what it is at.
    Offline = 1200, "分机离线", "extension offline";
    /// It does nothing.
    Idle = 1201, "空闲", "idle";
    /// It rings.
    Ringing = 1202, "振铃", "ringing";
    /// It has dialled.
    OffHook = 1203, "摘机", "off-hook";
    /// It talks.
    Talking = 1204, "通话", "talking";
    /// A number of a task was not called.
    Uncalled = 1035, "未呼叫", "not called yet";
    /// A number of a task was called.
    Called = 1036, "已呼叫", "called";
    /// Nobody more can sign in to the queue.
    QueueFault = 1210, "队列错误", "queue error";
    /// Somebody else's queue.
    ForeignQueue = 1211, "队列不属于该公司", "queue not of this company";
    /// It has signed out of the queue.
    SignedOut = 1217, "已暂停", "paused";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn s4_2_each_code_has_a_number_of_its_own_and_words_in_both_languages() {
        let mut numbers: Vec<u16> = Code::ALL.iter().map(|code| code.number()).collect();
        numbers.sort_unstable();
        numbers.dedup();
        assert_eq!(numbers.len(), Code::ALL.len());
        let bad = Code::Bad("phone");
        assert_eq!((bad.number(), bad.words(Lang::En)), (1002, "validation error"));
        assert_eq!(bad.told(Lang::Zh), "数据验证错误：phone");
        assert_eq!(bad.about("x").told(Lang::En), "validation error: x");
        assert_eq!(Code::NoFile.about("x").told(Lang::En), "file does not exist");
        for code in Code::ALL {
            assert!(
                !code.words(Lang::Zh).is_ascii() && code.words(Lang::En).is_ascii(),
                "{code:?}"
            );
        }
    }
}
