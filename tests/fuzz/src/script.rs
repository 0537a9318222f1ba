//! Bytes as a script: the choices of a run, read one after the other.

/// Reads choices off bytes. Past their end every choice is the first one.
#[derive(Clone, Copy, Debug)]
pub struct Script<'a>(&'a [u8]);

impl<'a> Script<'a> {
    /// All of these bytes.
    pub fn new(bytes: &'a [u8]) -> Script<'a> {
        Script(bytes)
    }

    /// Nothing is left to choose.
    pub fn is_over(&self) -> bool {
        self.0.is_empty()
    }

    /// One byte.
    pub fn byte(&mut self) -> u8 {
        match self.0.split_first() {
            Some((&first, rest)) => {
                self.0 = rest;
                first
            }
            None => 0,
        }
    }

    /// Two bytes, the high one first.
    pub fn pair(&mut self) -> u16 {
        u16::from(self.byte()) << 8 | u16::from(self.byte())
    }

    /// A number below `bound`; 0 when there is nothing to choose from.
    pub fn below(&mut self, bound: usize) -> usize {
        if bound < 2 { 0 } else { usize::from(self.byte()) % bound }
    }

    /// One of these.
    pub fn pick<T: Copy>(&mut self, of: &[T]) -> T {
        of[self.below(of.len())]
    }

    /// True in about one of `n` cases, never once the script is over.
    pub fn one_in(&mut self, n: u8) -> bool {
        !self.is_over() && self.byte() % n.max(1) == n.max(1) - 1
    }

    /// So many bytes, or what is left.
    pub fn bytes(&mut self, count: usize) -> &'a [u8] {
        let (taken, rest) = self.0.split_at(count.min(self.0.len()));
        self.0 = rest;
        taken
    }

    /// All that is left.
    pub fn rest(&mut self) -> &'a [u8] {
        std::mem::take(&mut self.0)
    }
}
