//! Parses by least cost.
//!
//! From a position where the stream stands, the cheapest way to each position ahead is found, forward, item by item. Where all ways
//! meet, or a match is long enough to be taken in any case, or the block is full, the way is written, and the costs are those of the stream again.
//!
//! Only the cheapest way to a position is followed. So that a dearer one is not lost that leaves a better recent offset, a match is also tried together
//! with a literal and the repeat of its offset behind that, as one step.

use super::costs::{Costs, decide};
use super::data::{Data, Match};
use super::delta::DeltaFinder;
use super::state::{State, after};
use super::stream::{Source, Stream};
use crate::codec::bits::low_32;
use crate::codec::lzms::model::{Class, Model};
use crate::codec::lzms::recent::{DeltaSource, Previous};

/// Most positions of a block.
const BLOCK: usize = 2048;
/// Longest `nice_length`.
pub(super) const MAX_NICE_LENGTH: usize = 512;
/// Most positions that a step may reach behind the end of a block: a match, a literal, a repeat.
const AHEAD: usize = 2 * MAX_NICE_LENGTH + 2;

/// Finds LZ matches.
pub(super) trait Finder {
    /// Starts a chunk of `size` bytes.
    fn reset(&mut self, size: usize);
    /// Remembers a position and lists what matches there, by growing length, at most one for each length, up to the nice length.
    fn find(&mut self, data: &Data, position: usize, matches: &mut Vec<Match>);
    /// Remembers the positions from `start` to before `end`, in whose middle nothing new is.
    fn skip(&mut self, data: &Data, start: usize, end: usize);
}

/// How thoroughly to parse.
#[derive(Debug, Clone, Copy)]
pub(super) struct Thoroughness {
    /// A match of this length is taken at once.
    pub(super) nice_length: usize,
    /// Powers of delta matches that are looked for.
    pub(super) powers: u32,
    /// Delta matches are looked for where no LZ match is of this length.
    pub(super) delta_below: usize,
}

/// The last step of the cheapest way to a position.
#[derive(Debug, Clone, Copy)]
struct Step {
    /// Bytes of the whole step.
    total: u32,
    /// Bytes of the match; 0 for a literal.
    length: u32,
    /// Bytes of the repeat of the newest offset that follows behind one more literal (or behind the literal); 0 for none.
    tail: u32,
    source: Source,
}

const NO_STEP: Step = Step { total: 0, length: 0, tail: 0, source: Source::LzRepeat(0) };
const LITERAL: Step = Step { total: 1, ..NO_STEP };

/// The parser.
#[derive(Debug)]
pub(super) struct Parser {
    thoroughness: Thoroughness,
    costs: Costs,
    totals: Vec<u32>,
    steps: Vec<Step>,
    states: Vec<State>,
    /// Furthest position that a step reaches.
    end: usize,
    way: Vec<Step>,
    matches: Vec<Match>,
    delta: DeltaFinder,
}

impl Parser {
    pub(super) fn new(thoroughness: Thoroughness) -> Self {
        debug_assert!(thoroughness.nice_length <= MAX_NICE_LENGTH);
        Self {
            thoroughness,
            costs: Costs::new(),
            totals: Vec::new(),
            steps: Vec::new(),
            states: Vec::new(),
            end: 0,
            way: Vec::new(),
            matches: Vec::new(),
            delta: DeltaFinder::new(thoroughness.powers),
        }
    }

    /// Writes the whole of `data`.
    pub(super) fn parse(&mut self, data: &Data, finder: &mut impl Finder, stream: &mut Stream) {
        finder.reset(data.len());
        self.delta.reset();
        self.totals.clear();
        self.totals.resize(BLOCK + AHEAD, u32::MAX);
        self.steps.resize(BLOCK + AHEAD, NO_STEP);
        self.states.resize(BLOCK + 1, State::of(stream));
        let mut position = 0;
        while position < data.len() {
            position = self.block(data, finder, stream, position);
        }
    }

    /// Writes what begins at `start` and returns where it ends.
    fn block(
        &mut self,
        data: &Data,
        finder: &mut impl Finder,
        stream: &mut Stream,
        start: usize,
    ) -> usize {
        self.costs.update(stream);
        self.states[0] = State::of(stream);
        self.totals[0] = 0;
        self.end = 0;
        let mut node = 0usize;
        let long = loop {
            let position = start.wrapping_add(node);
            if node != 0 {
                self.arrive(node);
                if node == self.end || node >= BLOCK || position >= data.len() {
                    break None;
                }
            }
            let long = self.leave(data, finder, &stream.model, node, position);
            if long.is_some() {
                break long;
            }
            node = node.wrapping_add(1);
        };
        self.write(data, stream, start, node);
        self.totals[..=self.end].fill(u32::MAX);
        let mut position = start.wrapping_add(node);
        if let Some((source, length)) = long {
            stream.item(source, low_32(length));
            let end = position.wrapping_add(length);
            finder.skip(data, position.wrapping_add(1), end);
            position = end;
        }
        position
    }

    /// Makes the state of a node from the one where its step began.
    #[inline(always)]
    fn arrive(&mut self, node: usize) {
        let step = self.steps[node];
        let mut state = self.states[node.wrapping_sub(step.total as usize)];
        if step.length == 0 {
            state.literal();
        } else {
            state.item(step.source);
            if step.tail != 0 {
                state.literal();
            }
        }
        if step.tail != 0 {
            state.item(Source::LzRepeat(0));
        }
        self.states[node] = state;
    }

    /// Writes the way to a node.
    fn write(&mut self, data: &Data, stream: &mut Stream, start: usize, node: usize) {
        self.way.clear();
        let mut at = node;
        while at != 0 {
            let step = self.steps[at];
            self.way.push(step);
            at = at.wrapping_sub(step.total as usize);
        }
        let mut position = start;
        for step in self.way.iter().rev() {
            if step.length == 0 {
                stream.literal(data.byte(position));
            } else {
                stream.item(step.source, step.length);
                if step.tail != 0 {
                    stream.literal(data.byte(position.wrapping_add(step.length as usize)));
                }
            }
            if step.tail != 0 {
                stream.item(Source::LzRepeat(0), step.tail);
            }
            position = position.wrapping_add(step.total as usize);
        }
    }

    /// Takes a step to a node when it is cheaper than what is known.
    #[inline(always)]
    fn offer(&mut self, node: usize, cost: u32, step: Step) {
        if cost < self.totals[node] {
            self.totals[node] = cost;
            self.steps[node] = step;
        }
    }

    /// Offers a match in all lengths from `least` to `most`.
    #[inline(never)]
    fn offer_lengths(&mut self, node: usize, cost: u32, source: Source, least: usize, most: usize) {
        let from = node.wrapping_add(least);
        let to = node.wrapping_add(most).wrapping_add(1);
        let totals = &mut self.totals[from..to];
        let steps = &mut self.steps[from..to];
        let costs = &self.costs.lengths()[least..most.wrapping_add(1)];
        for (((total, step), length), length_cost) in
            totals.iter_mut().zip(steps).zip(least..).zip(costs)
        {
            let cost = cost.wrapping_add(*length_cost);
            if cost < *total {
                *total = cost;
                *step = Step { total: low_32(length), length: low_32(length), tail: 0, source };
            }
        }
        self.end = self.end.max(node.wrapping_add(most));
    }

    /// Offers all steps from a node. Returns a match that is to be taken in any case.
    #[inline(always)]
    fn leave(
        &mut self,
        data: &Data,
        finder: &mut impl Finder,
        model: &Model,
        node: usize,
        position: usize,
    ) -> Option<(Source, usize)> {
        let state = self.states[node];
        let total = self.totals[node];
        let left = data.len().wrapping_sub(position);
        let most = left.min(self.thoroughness.nice_length);
        let match_cost = total.wrapping_add(decide(&model.main, state.main, 1));
        let lz_cost = match_cost.wrapping_add(decide(&model.matches, state.matches, 0));
        let repeat_cost = lz_cost.wrapping_add(decide(&model.lz, state.lz, 1));

        let mut matches = std::mem::take(&mut self.matches);
        finder.find(data, position, &mut matches);

        // Recent offsets.
        let mut longest_repeat = 0;
        let first = data.load_four(position);
        for index in 0..3u32 {
            let offset = state.recent.get(index as usize, state.previous == Previous::Lz);
            if offset as usize > position {
                continue;
            }
            let at = position.wrapping_sub(offset as usize);
            if (data.load_four(at) ^ first) & 0xFFFF != 0 {
                continue;
            }
            let length = data.common_length(at, position, 2, most);
            if length < 2 {
                continue;
            }
            if length >= self.thoroughness.nice_length {
                self.matches = matches;
                let length = data.common_length(at, position, length, left);
                return Some((Source::LzRepeat(index), length));
            }
            let cost = repeat_cost.wrapping_add(repeat_index_cost(
                &model.lz_repeat,
                state.lz_repeat,
                index,
            ));
            self.offer_lengths(node, cost, Source::LzRepeat(index), 2, length);
            if length > longest_repeat {
                let cost = cost.wrapping_add(self.costs.length(length));
                let lz = after(state.lz, 1);
                let repeat = after(state.lz_repeat[0], u8::from(index > 0));
                let context = (lz, repeat);
                let source = Source::LzRepeat(index);
                self.offer_tail(
                    data,
                    model,
                    node,
                    position,
                    (source, offset, length),
                    cost,
                    &state,
                    context,
                );
            }
            longest_repeat = longest_repeat.max(length);
        }

        // New offsets.
        let explicit_cost = lz_cost.wrapping_add(decide(&model.lz, state.lz, 0));
        let mut longest = 1;
        for i in 0..matches.len() {
            let Match { length, offset } = matches[i];
            let length = length as usize;
            if length >= self.thoroughness.nice_length {
                self.matches = matches;
                let at = position.wrapping_sub(offset as usize);
                let length = data.common_length(at, position, length, left);
                return Some((Source::Lz(offset), length));
            }
            let cost = explicit_cost.wrapping_add(self.costs.offset(offset));
            self.offer_lengths(node, cost, Source::Lz(offset), longest + 1, length);
            longest = length;
            if i.wrapping_add(1) == matches.len() {
                let cost = cost.wrapping_add(self.costs.length(length));
                let context = (after(state.lz, 0), state.lz_repeat[0]);
                let source = Source::Lz(offset);
                self.offer_tail(
                    data,
                    model,
                    node,
                    position,
                    (source, offset, length),
                    cost,
                    &state,
                    context,
                );
            }
        }
        self.matches = matches;

        if self.thoroughness.powers != 0
            && most >= 4
            && longest.max(longest_repeat) < self.thoroughness.delta_below
        {
            let found = self.leave_by_delta(
                data,
                model,
                node,
                position,
                longest.max(longest_repeat),
                match_cost,
                &state,
            );
            if found.is_some() {
                return found;
            }
        }

        // A literal, and one with a repeat behind it.
        let byte = data.byte(position);
        let cost = total
            .wrapping_add(decide(&model.main, state.main, 0))
            .wrapping_add(self.costs.literal(byte));
        self.offer(node.wrapping_add(1), cost, LITERAL);
        self.end = self.end.max(node.wrapping_add(1));
        if left > 2 {
            let offset = state.recent.get(0, false) as usize;
            if offset <= position {
                let next = position.wrapping_add(1);
                let at = next.wrapping_sub(offset);
                if (data.load_four(at) ^ data.load_four(next)) & 0xFFFF == 0
                    && byte != data.byte(position.wrapping_sub(offset))
                {
                    let most = left.wrapping_sub(1).min(self.thoroughness.nice_length);
                    let length = data.common_length(at, next, 2, most);
                    let main = after(state.main, 0);
                    let cost = cost
                        .wrapping_add(decide(&model.main, main, 1))
                        .wrapping_add(decide(&model.matches, state.matches, 0))
                        .wrapping_add(decide(&model.lz, state.lz, 1))
                        .wrapping_add(decide(&model.lz_repeat[0], state.lz_repeat[0], 0))
                        .wrapping_add(self.costs.length(length));
                    let to = node.wrapping_add(1).wrapping_add(length);
                    let total = low_32(length).wrapping_add(1);
                    self.offer(to, cost, Step { total, tail: low_32(length), ..LITERAL });
                    self.end = self.end.max(to);
                }
            }
        }
        None
    }

    /// Offers a match together with a literal and the repeat of its offset. `context` is how the classes `lz` and the first of `lz_repeat`
    /// stand after the match.
    #[expect(clippy::too_many_arguments, reason = "all of it differs from call to call")]
    #[inline(always)]
    fn offer_tail(
        &mut self,
        data: &Data,
        model: &Model,
        node: usize,
        position: usize,
        (source, offset, length): (Source, u32, usize),
        cost: u32,
        state: &State,
        (lz, lz_repeat): (u8, u8),
    ) {
        let literal = position.wrapping_add(length);
        let next = literal.wrapping_add(1);
        if next.wrapping_add(2) > data.len() {
            return;
        }
        let at = next.wrapping_sub(offset as usize);
        if (data.load_four(at) ^ data.load_four(next)) & 0xFFFF != 0 {
            return;
        }
        let most = data.len().wrapping_sub(next).min(self.thoroughness.nice_length);
        let tail = data.common_length(at, next, 2, most);
        let main = after(state.main, 1);
        let matches = after(state.matches, 0);
        let cost = cost
            .wrapping_add(decide(&model.main, main, 0))
            .wrapping_add(self.costs.literal(data.byte(literal)))
            .wrapping_add(decide(&model.main, after(main, 0), 1))
            .wrapping_add(decide(&model.matches, matches, 0))
            .wrapping_add(decide(&model.lz, lz, 1))
            .wrapping_add(decide(&model.lz_repeat[0], lz_repeat, 0))
            .wrapping_add(self.costs.length(tail));
        let total = length.wrapping_add(tail).wrapping_add(1);
        let to = node.wrapping_add(total);
        let step =
            Step { total: low_32(total), length: low_32(length), tail: low_32(tail), source };
        self.offer(to, cost, step);
        self.end = self.end.max(to);
    }

    /// Offers delta matches. Returns one that is to be taken in any case.
    #[expect(clippy::too_many_arguments, reason = "what `leave` knows already")]
    #[inline(never)]
    fn leave_by_delta(
        &mut self,
        data: &Data,
        model: &Model,
        node: usize,
        position: usize,
        longest: usize,
        match_cost: u32,
        state: &State,
    ) -> Option<(Source, usize)> {
        let left = data.len().wrapping_sub(position);
        let nice_length = self.thoroughness.nice_length;
        let most = left.min(nice_length);
        let delta_cost = match_cost.wrapping_add(decide(&model.matches, state.matches, 1));
        let repeat_cost = delta_cost.wrapping_add(decide(&model.delta, state.delta, 1));
        for index in 0..3u32 {
            let source = state.recent_delta.get(index as usize, state.previous == Previous::Delta);
            let span = 1usize << source.power;
            let offset = (source.raw as usize) << source.power;
            if offset.wrapping_add(span) > position {
                continue;
            }
            let length = data.delta_length(position, span, offset, most);
            if length < 3 {
                continue;
            }
            if length >= nice_length {
                let length = data.delta_length(position, span, offset, left);
                return Some((Source::DeltaRepeat(index), length));
            }
            let cost = repeat_cost.wrapping_add(repeat_index_cost(
                &model.delta_repeat,
                state.delta_repeat,
                index,
            ));
            self.offer_lengths(node, cost, Source::DeltaRepeat(index), 2, length);
        }
        let explicit_cost = delta_cost.wrapping_add(decide(&model.delta, state.delta, 0));
        let mut long = None;
        let mut found = [(DeltaSource { power: 0, raw: 0 }, 0); 8];
        let mut count = 0;
        self.delta.find(data, position, longest.max(3), most, |source, length| {
            if length >= nice_length {
                long = Some(source);
            }
            found[count & 7] = (source, length);
            count = count.wrapping_add(1);
        });
        if let Some(source) = long {
            let span = 1usize << source.power;
            let offset = (source.raw as usize) << source.power;
            let length = data.delta_length(position, span, offset, left);
            return Some((Source::Delta(source), length));
        }
        for &(source, length) in &found[..count.min(8)] {
            let cost = explicit_cost.wrapping_add(self.costs.delta(source.power, source.raw));
            self.offer_lengths(node, cost, Source::Delta(source), 4, length);
        }
        None
    }
}

/// What it costs to say which recent source is meant.
#[inline(always)]
fn repeat_index_cost(classes: &[Class<64>; 2], states: [u8; 2], index: u32) -> u32 {
    if index == 0 {
        decide(&classes[0], states[0], 0)
    } else {
        decide(&classes[0], states[0], 1).wrapping_add(decide(
            &classes[1],
            states[1],
            index.wrapping_sub(1),
        ))
    }
}
