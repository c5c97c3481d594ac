//! What adapts from item to item and is known on a path before it is written: recent offsets and the last decisions.

use super::stream::{Source, Stream};
use crate::codec::bits::low_8;
use crate::codec::lzms::recent::{DeltaSource, Previous, Recent};

/// A state on a path. The decisions are kept as the classes do, in as many low bits as count.
#[derive(Debug, Clone, Copy)]
pub(super) struct State {
    pub(super) recent: Recent<u32>,
    pub(super) recent_delta: Recent<DeltaSource>,
    pub(super) previous: Previous,
    pub(super) main: u8,
    pub(super) matches: u8,
    pub(super) lz: u8,
    pub(super) lz_repeat: [u8; 2],
    pub(super) delta: u8,
    pub(super) delta_repeat: [u8; 2],
}

/// A state after one more decision.
#[inline(always)]
pub(super) fn after(state: u8, decision: u8) -> u8 {
    state << 1 | decision
}

impl State {
    /// The state where `stream` stands.
    pub(super) fn of(stream: &Stream) -> Self {
        let low = |state: u32| low_8(state as usize);
        let model = &stream.model;
        Self {
            recent: stream.recent,
            recent_delta: stream.recent_delta,
            previous: stream.previous,
            main: low(model.main.state()),
            matches: low(model.matches.state()),
            lz: low(model.lz.state()),
            lz_repeat: [low(model.lz_repeat[0].state()), low(model.lz_repeat[1].state())],
            delta: low(model.delta.state()),
            delta_repeat: [low(model.delta_repeat[0].state()), low(model.delta_repeat[1].state())],
        }
    }

    /// Goes on over a literal.
    #[inline(always)]
    pub(super) fn literal(&mut self) {
        self.main = after(self.main, 0);
        self.previous = Previous::Literal;
    }

    /// Goes on over a match.
    #[inline(always)]
    pub(super) fn item(&mut self, source: Source) {
        self.main = after(self.main, 1);
        match source {
            Source::Lz(offset) => {
                self.matches = after(self.matches, 0);
                self.lz = after(self.lz, 0);
                self.recent.push(offset);
                self.previous = Previous::Lz;
            }
            Source::LzRepeat(index) => {
                self.matches = after(self.matches, 0);
                self.lz = after(self.lz, 1);
                repeat(&mut self.lz_repeat, index);
                self.recent.repeat(index as usize, self.previous == Previous::Lz);
                self.previous = Previous::Lz;
            }
            Source::Delta(source) => {
                self.matches = after(self.matches, 1);
                self.delta = after(self.delta, 0);
                self.recent_delta.push(source);
                self.previous = Previous::Delta;
            }
            Source::DeltaRepeat(index) => {
                self.matches = after(self.matches, 1);
                self.delta = after(self.delta, 1);
                repeat(&mut self.delta_repeat, index);
                self.recent_delta.repeat(index as usize, self.previous == Previous::Delta);
                self.previous = Previous::Delta;
            }
        }
    }
}

#[inline(always)]
fn repeat(states: &mut [u8; 2], index: u32) {
    states[0] = after(states[0], u8::from(index > 0));
    if index > 0 {
        states[1] = after(states[1], u8::from(index > 1));
    }
}
