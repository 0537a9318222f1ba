//! By which lines of the program's own short messages leave.

use facts::ports::{Promise, Texts};
use facts::sms::{LinkStatus, Sent, Text};

use crate::smpp::Smpp;

/// By which messages leave.
#[derive(Debug)]
pub(crate) struct Lines {
    pub(crate) links: Smpp,
}

impl Texts for Lines {
    fn to_phone(&self, _text: Text) -> Promise<Sent> {
        Box::pin(std::future::ready(Sent::NotHere))
    }

    fn by_link(&self, link: String, text: Text) -> Promise<Sent> {
        self.links.send(link, text)
    }

    fn links(&self) -> Vec<LinkStatus> {
        self.links.links()
    }
}
