//! Keys on their way from one leg to the other. Those in the media pass there, heard as events or as sound; this is
//! the way of those that one of the two takes, or tells, by INFO.

use facts::media::MediaCommand;
use facts::{LegId, LegNo};

use crate::call::Call;
use crate::world::World;

impl Call {
    /// A key came: who talks with its leg gets it as his far end takes keys. Between two who have it in their media
    /// it is the media plane's; `signalled`: it came by INFO.
    /// Where A is in a conference, his key goes on to it: there it may say that he does not want to be recorded.
    pub(crate) fn pass_key(&mut self, w: &mut World, no: LegNo, (digit, signalled): (char, bool)) {
        if let Some(leg) = self.visits_by(no) {
            if signalled {
                w.media(MediaCommand::Press { leg, digit });
            }
            return;
        }
        if !self.is_bridged(no) || !self.pair.contains(&no) {
            return;
        }
        let leg = LegId::new(self.id, self.other(no));
        let mixed = self.is_mixed();
        match self.legs.get_mut(usize::from(leg.no.0)).and_then(Option::as_mut) {
            Some(other) if other.takes_info() => other.tell_key(w, digit),
            // What passes through a room is sound.
            _ if signalled || mixed => w.media(MediaCommand::Press { leg, digit }),
            _ => {}
        }
    }
}
