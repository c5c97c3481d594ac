//! Data of many shapes for the codec tests, the same on every machine.

/// A small pseudo-random generator (xorshift), so that samples need no seed file.
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1)
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D)
    }

    pub(crate) fn below(&mut self, limit: usize) -> usize {
        usize::try_from(self.next() >> 33).unwrap() % limit
    }

    pub(crate) fn byte(&mut self) -> u8 {
        self.next().to_le_bytes()[7]
    }
}

/// Names of the shapes that [`sample`] knows.
pub(crate) const SHAPES: &[&str] = &[
    "zeros",
    "random",
    "text",
    "code",
    "ramp",
    "period 1000",
    "few symbols",
    "mixed",
    "records",
    "rare bytes",
];

/// `size` bytes of a shape.
pub(crate) fn sample(shape: &str, size: usize, seed: u64) -> Vec<u8> {
    let mut random = Random::new(seed);
    let mut data = Vec::with_capacity(size + 100);
    while data.len() < size {
        match shape {
            "zeros" => data.push(0),
            "random" => data.push(random.byte()),
            "text" => text(&mut data, &mut random),
            "code" => code(&mut data, &mut random),
            "ramp" => data.push(u8::try_from(data.len() / 3 % 256).unwrap()),
            "period 1000" if data.len() < 1000 => data.push(random.byte()),
            "period 1000" => data.push(data[data.len() - 1000]),
            "few symbols" => data.push(b"ab"[random.below(2)]),
            "mixed" => {
                let part = SHAPES[random.below(6)];
                data.extend(sample(part, 1 + random.below(20_000), random.next()));
            }
            "records" => {
                data.extend_from_slice(&u32::try_from(data.len()).unwrap().to_le_bytes());
                data.extend_from_slice(&[1, 0, 0, 0, random.byte() & 3, 0, 0xFF, 0xFF]);
            }
            // Frequencies that fall by half make codes longer than the limit.
            "rare bytes" => data.push(u8::try_from(random.next().leading_zeros()).unwrap()),
            _ => unreachable!("unknown shape {shape}"),
        }
    }
    data.truncate(size);
    data
}

fn text(data: &mut Vec<u8>, random: &mut Random) {
    const WORDS: &[&str] = &[
        "the",
        "image",
        "component",
        "of",
        "driver",
        "package",
        "and",
        "servicing",
        "\r\n",
        "registry",
        "0x8007",
        "version=",
        "\"",
        "<assembly>",
        "microsoft",
        "windows",
        "system32",
    ];
    data.extend_from_slice(WORDS[random.below(WORDS.len())].as_bytes());
    data.push(b' ');
}

/// Like x86: frequent opcodes, calls of few functions by relative operands.
fn code(data: &mut Vec<u8>, random: &mut Random) {
    const OPCODES: &[u8] =
        &[0x48, 0x8B, 0x89, 0x0F, 0x85, 0xFF, 0x15, 0x33, 0xC0, 0xC3, 0xCC, 0xE8];
    if random.below(6) == 0 {
        let target = i64::try_from(random.below(40) * 977).unwrap() - 3000;
        let relative = target - i64::try_from(data.len()).unwrap() - 5;
        data.push(0xE8);
        data.extend_from_slice(&relative.to_le_bytes()[..4]);
    } else {
        data.push(OPCODES[random.below(OPCODES.len())]);
        data.push(random.byte() & 0x3F);
    }
}
