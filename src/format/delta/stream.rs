//! The patch stream of PA30 ("PseudoLzx"): literals and copies out of the window that is the reference with the output behind it.
//!
//! In front stand the *rift table* (which place of the output corresponds to which of the reference), then the codes, in segments of the
//! output. A symbol is a literal or a copy: a *slot* that tells the kind of distance, and the length. Distances are counted backwards,
//! plainly or from the place that the rift table gives, or are one of the three last.

use super::{
    bits::{Bits, Step},
    huffman::{Code, LONGEST, flat},
};

/// Symbols for literals and copies.
pub(super) const MAIN: usize = 600;
/// Symbols for lengths.
pub(super) const LENGTHS: usize = 256;
/// Symbols for the low four bits of distances.
pub(super) const ALIGNED: usize = 16;
/// Code lengths of one segment.
const ALL: usize = MAIN + LENGTHS + ALIGNED;
/// Symbols that code the code lengths.
const PRE: usize = 39;
/// Most segments: their code lengths stand before everything else and have to be kept. Real deltas have one for some KiB of output.
const SEGMENTS: u64 = 1 << 16;
/// Most entries of the rift table: each costs a bit or two in the file and 16 bytes here. Real deltas have some thousand.
const RIFTS: u64 = 1 << 20;
/// Symbols of numbers with a sign: so many for each sign.
const SIGNED: usize = 126;

/// Makes the target of `size` bytes. Nothing is reserved: the output grows as it is made.
///
/// # Errors
/// What is wrong with the stream, and at which of its bytes.
pub(super) fn decode(
    patch: &[u8],
    reference: &[u8],
    size: usize,
) -> Result<Vec<u8>, (&'static str, u64)> {
    let bits = Bits::new(patch).map_err(|what| (what, 0))?;
    let output = Vec::new();
    let mut decoder =
        Decoder { bits, reference, output, rift: Vec::new(), place: 0, recent: [0; 3] };
    let done = decoder.run(size);
    let at = decoder.bits.offset();
    done.map_err(|what| (what, at)).map(|()| decoder.output)
}

/// What is applied to a reference.
struct Decoder<'a> {
    bits: Bits<'a>,
    reference: &'a [u8],
    output: Vec<u8>,
    rift: Vec<Rift>,
    /// How many entries of `rift` start at or before the current position.
    place: usize,
    /// The last distances, newest first.
    recent: [i64; 3],
}

/// From the window position `start` on, what corresponds to it lies so much further ahead.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Rift {
    start: i64,
    target: i64,
}

impl Rift {
    /// Has a negative: it becomes a distance, which counts the other way.
    fn offset(self) -> Step<i64> {
        let offset = self.target.checked_sub(self.start);
        offset.filter(|&offset| offset != i64::MIN).ok_or("a rift table that overflows")
    }
}

/// The code lengths of one part of the output.
struct Segment {
    /// Window position of its first byte.
    start: u64,
    lengths: Vec<u8>,
}

/// The codes of one part of the output.
struct Codes {
    main: Code,
    lengths: Code,
    aligned: Code,
}

/// How a copy tells its distance.
#[derive(Clone, Copy)]
enum Distance {
    /// Where the rift table says; looked up again wherever the table breaks inside the copy.
    Source,
    /// So far back.
    Back(i64),
}

impl Decoder<'_> {
    fn run(&mut self, size: usize) -> Step<()> {
        self.read_rift()?;
        let segments = self.read_segments()?;
        let mut segments = segments.iter().peekable();
        let first = segments.next().ok_or("no codes")?;
        let mut codes = first.codes()?;
        while self.output.len() < size {
            let mut current = None;
            while let Some(next) = segments.next_if(|next| next.start <= self.position() as u64) {
                current = Some(next);
            }
            if let Some(segment) = current {
                codes = segment.codes()?;
            }
            let border = segments.peek().map_or(u64::MAX, |next| next.start);
            self.run_segment(&codes, border, size)?;
        }
        Ok(())
    }

    /// Decodes until the window position `border` or the whole output is reached.
    fn run_segment(&mut self, codes: &Codes, border: u64, size: usize) -> Step<()> {
        let left = border.saturating_sub(self.reference.len() as u64);
        let end = usize::try_from(left).unwrap_or(usize::MAX).min(size);
        while self.output.len() < end {
            let symbol = codes.main.read(&mut self.bits)?;
            match u8::try_from(symbol) {
                Ok(literal) => self.output.push(literal),
                Err(_) => self.copy(codes, symbol - 256, size)?,
            }
        }
        Ok(())
    }

    /// Length of the window: where the next byte goes.
    fn position(&self) -> usize {
        self.reference.len() + self.output.len()
    }

    /// One copy, with what its symbol says (less 256).
    fn copy(&mut self, codes: &Codes, symbol: usize, size: usize) -> Step<()> {
        let distance = self.read_distance(codes, symbol >> 3)?;
        let mut length = self.read_length(codes, symbol & 7)?;
        if length > size - self.output.len() {
            return Err("a copy behind the end of the target");
        }
        let first = match distance {
            Distance::Back(distance) => distance,
            Distance::Source => -self.rift_offset()?,
        };
        self.remember(first);
        if let Distance::Back(distance) = distance {
            return self.copy_from(distance, length);
        }
        while length > 0 {
            let distance = -self.rift_offset()?;
            let next = self.rift.get(self.place).map_or(i64::MAX, |rift| rift.start);
            let piece = usize::try_from(next).unwrap_or(usize::MAX) - self.position();
            let piece = piece.min(length);
            self.copy_from(distance, piece)?;
            length -= piece;
        }
        Ok(())
    }

    /// Copies `length` bytes from `distance` before the end of the window; the copy may run into what it makes.
    fn copy_from(&mut self, distance: i64, mut length: usize) -> Step<()> {
        let position = self.position();
        let start = usize::try_from(distance).ok().filter(|&distance| distance > 0);
        let start = start.and_then(|distance| position.checked_sub(distance));
        let mut start = start.ok_or("a copy from outside the window")?;
        if let Some(rest) = self.reference.get(start..) {
            let piece = &rest[..rest.len().min(length)];
            self.output.extend_from_slice(piece);
            length -= piece.len();
            start += piece.len();
        }
        let start = start.saturating_sub(self.reference.len());
        while length > 0 {
            // Each round doubles what repeats.
            let piece = length.min(self.output.len() - start);
            self.output.extend_from_within(start..start + piece);
            length -= piece;
        }
        Ok(())
    }

    /// The distance that `slot` and the bits behind it tell.
    fn read_distance(&mut self, codes: &Codes, slot: usize) -> Step<Distance> {
        Ok(Distance::Back(match slot {
            0 => self.near_source(14, 0)?,
            1 => self.near_source(16, 0x2000)?,
            2 => self.near_source(18, 0xA000)?,
            3 => return Ok(Distance::Source),
            4..=6 => self.recent[slot - 4],
            _ => self.plain_distance(codes, slot - 7)?,
        }))
    }

    /// A distance from the place that the rift table gives: `width` bits with a sign, away from zero by `bias`.
    fn near_source(&mut self, width: u32, bias: i64) -> Step<i64> {
        let bits = self.bits.take(width)?.cast_signed();
        let value = bits - (1 << (width - 1));
        let value = if value < 0 { value - bias } else { value + bias };
        value.checked_sub(self.rift_offset()?).ok_or("a rift table that overflows")
    }

    fn plain_distance(&mut self, codes: &Codes, slot: usize) -> Step<i64> {
        let bits = &mut self.bits;
        let slot = match slot as u64 {
            0 if !bits.flag()? => 36 + bits.take(2)?,
            0 if !bits.flag()? => 40 + bits.take(3)?,
            0 => 48 + bits.take(4)?,
            slot => slot,
        };
        if slot <= 3 {
            return Ok(slot.cast_signed());
        }
        let top = 2 | slot & 1;
        // At most 30: the slot is at most 63.
        let width = u32::try_from((slot >> 1) - 1).unwrap_or(0);
        let distance = if width < 4 {
            top << width | bits.take(width)?
        } else {
            let high = top << (width - 4) | bits.take(width - 4)?;
            high << 4 | codes.aligned.read(bits)? as u64
        };
        Ok(distance.cast_signed())
    }

    fn read_length(&mut self, codes: &Codes, short: usize) -> Step<usize> {
        if short > 0 {
            return Ok(short + 1);
        }
        let bits = &mut self.bits;
        match codes.lengths.read(bits)? {
            0 => {
                let width = bits.zeros(40)? + 8;
                let length = 1 << width | bits.take(width)?;
                usize::try_from(length + 8).map_err(|_| "a copy behind the end of the target")
            }
            length => Ok(length + 8),
        }
    }

    fn remember(&mut self, distance: i64) {
        let [first, second, _] = self.recent;
        if distance != first {
            if distance != second {
                self.recent[2] = second;
            }
            self.recent[1] = first;
            self.recent[0] = distance;
        }
    }

    /// How much further ahead than the current position its counterpart lies.
    fn rift_offset(&mut self) -> Step<i64> {
        let position = i64::try_from(self.position()).unwrap_or(i64::MAX);
        while self.rift.get(self.place).is_some_and(|rift| rift.start <= position) {
            self.place += 1;
        }
        // Before the first entry the last one holds.
        let last = self.rift.len().saturating_sub(1);
        let place = self.place.checked_sub(1).unwrap_or(last);
        self.rift.get(place).copied().ok_or("no rift table")?.offset()
    }

    fn read_rift(&mut self) -> Step<()> {
        if self.bits.flag()? {
            let (starts, targets) = (Signed::read(&mut self.bits)?, Signed::read(&mut self.bits)?);
            let overflow = "a rift table that overflows";
            let (mut start, mut target) = (0_i64, 0_i64);
            let count = self.bits.number()?;
            if count > RIFTS {
                return Err("too many entries in the rift table");
            }
            for _ in 0..count {
                start = start.checked_add(starts.value(&mut self.bits)?).ok_or(overflow)?;
                target = target.checked_add(targets.value(&mut self.bits)?).ok_or(overflow)?;
                let target = start.checked_add(target).ok_or(overflow)?;
                self.rift.push(Rift { start, target });
            }
        }
        // The output starts where the reference does.
        let start = i64::try_from(self.reference.len()).unwrap_or(i64::MAX);
        self.rift.push(Rift { start, target: 0 });
        self.rift.sort_unstable();
        Ok(())
    }

    fn read_segments(&mut self) -> Step<Vec<Segment>> {
        let bits = &mut self.bits;
        if bits.flag()? {
            let lengths = [flat(MAIN), flat(LENGTHS), flat(ALIGNED)].concat();
            return Ok(vec![Segment { start: 0, lengths }]);
        }
        let count = bits.number()?;
        if count > SEGMENTS {
            return Err("too many segments");
        }
        let mut starts = Vec::new();
        let mut start = 0_u64;
        for _ in 0..count {
            start = start.checked_add(bits.number()?).ok_or("a segment that is too far away")?;
            starts.push(start);
        }
        let mut lengths = [0; PRE];
        for length in &mut lengths {
            *length = u8::try_from(bits.take(4)?).unwrap_or(0);
        }
        let pre = Code::new(&lengths)?;
        let mut segments: Vec<Segment> = Vec::new();
        for start in starts {
            let previous = segments.last().map_or([0; ALL].as_slice(), |last| &last.lengths);
            let lengths = read_lengths(bits, &pre, previous)?;
            segments.push(Segment { start, lengths });
        }
        Ok(segments)
    }
}

/// The code lengths of a segment, told by how they differ from those of the one before.
fn read_lengths(bits: &mut Bits<'_>, pre: &Code, previous: &[u8]) -> Step<Vec<u8>> {
    let mut lengths: Vec<u8> = Vec::with_capacity(ALL);
    while lengths.len() < ALL {
        let symbol = u8::try_from(pre.read(bits)?).unwrap_or(u8::MAX);
        let before = previous[lengths.len()];
        match symbol {
            0..=16 => lengths.push(symbol),
            17..=19 => {
                // A segment may be passed over, and the next one add to what no code was made of.
                let length = before + (symbol - 16);
                if usize::from(length) > LONGEST {
                    return Err("a code of more than 16 bits");
                }
                lengths.push(length);
            }
            20..=22 => {
                lengths.push(before.checked_sub(symbol - 19).ok_or("a code length below zero")?);
            }
            _ => {
                let kind = symbol - 23;
                let count = match u32::from(kind & 7) {
                    small @ 0..3 => small as usize + 1,
                    wide => {
                        let count = 1 << (wide - 1) | bits.take(wide - 1)?;
                        usize::try_from(count).unwrap_or(usize::MAX)
                    }
                };
                if count > ALL - lengths.len() {
                    return Err("more code lengths than symbols");
                }
                if kind < 8 {
                    let last = *lengths.last().ok_or("a code length that repeats nothing")?;
                    lengths.resize(lengths.len() + count, last);
                } else {
                    lengths.extend_from_slice(&previous[lengths.len()..lengths.len() + count]);
                }
            }
        }
    }
    Ok(lengths)
}

impl Segment {
    fn codes(&self) -> Step<Codes> {
        let (main, rest) = self.lengths.split_at(MAIN);
        let (lengths, aligned) = rest.split_at(LENGTHS);
        Ok(Codes {
            main: Code::new(main)?,
            lengths: Code::new(lengths)?,
            aligned: Code::new(aligned)?,
        })
    }
}

/// A code for numbers with a sign ("IntFormat").
struct Signed(Code);

impl Signed {
    fn read(bits: &mut Bits<'_>) -> Step<Self> {
        let mut count = || bits.take(8).map(|count| usize::try_from(count).unwrap_or(usize::MAX));
        let (positive, negative, mut longer) = (count()?, count()?, count()?);
        if positive > SIGNED || negative > SIGNED {
            return Err("a number code with too many symbols");
        }
        let mut given = [None; 2 * SIGNED];
        let mut length = || bits.take(4).map(|length| u8::try_from(length).unwrap_or(0) + 1);
        for symbol in (0..positive).chain(SIGNED..SIGNED + negative) {
            given[symbol] = Some(length()?);
        }
        let rest = length()?;
        let lengths = given.map(|given| {
            given.unwrap_or_else(|| {
                let short = longer == 0;
                longer = longer.saturating_sub(1);
                rest - u8::from(short)
            })
        });
        Code::new(&lengths).map(Self)
    }

    fn value(&self, bits: &mut Bits<'_>) -> Step<i64> {
        let symbol = self.0.read(bits)?;
        let (negative, symbol) = (symbol >= SIGNED, symbol % SIGNED);
        let value = if symbol <= 3 {
            symbol as u64
        } else {
            // At most 61: symbols are below 126.
            let width = u32::try_from((symbol >> 1) - 1).unwrap_or(0);
            let low = bits.take(width.min(32))?;
            let high = bits.take(width.saturating_sub(32))?;
            (2 | symbol as u64 & 1) << width | high << 32 | low
        };
        let value = value.cast_signed();
        Ok(if negative { !value } else { value })
    }
}
