//! Probabilities of the binary decisions.
//!
//! A decision's probability is how often it was 0 in the last 64 cases of its context. The context of a decision is what the last few
//! decisions of the same class were.

/// The last 64 decisions in a context.
#[derive(Debug, Clone, Copy)]
pub(super) struct Probability {
    /// The decisions, the newest in the lowest bit.
    recent: u64,
    /// How many of them are 0.
    zeros: u32,
}

impl Probability {
    const START: Self = Self { recent: 0x5555_5555, zeros: 48 };

    /// Of 64 decisions how many are expected to be 0: 1 to 63.
    #[inline(always)]
    pub(super) fn of_zero(self) -> u32 {
        self.zeros.clamp(1, 63)
    }

    /// Remembers a decision.
    #[inline(always)]
    pub(super) fn update(&mut self, decision: u32) {
        let oldest = u32::from(self.recent >> 63 != 0);
        self.zeros = self.zeros.wrapping_add(oldest).wrapping_sub(decision);
        self.recent = self.recent << 1 | u64::from(decision);
    }
}

/// A class of decisions with `CONTEXTS` contexts, a power of two.
#[derive(Debug, Clone)]
pub(super) struct Class<const CONTEXTS: usize> {
    contexts: [Probability; CONTEXTS],
    /// The last decisions, as many as make an index.
    state: u32,
}

impl<const CONTEXTS: usize> Class<CONTEXTS> {
    const fn new() -> Self {
        Self { contexts: [Probability::START; CONTEXTS], state: 0 }
    }

    /// The probability of the next decision.
    #[inline(always)]
    pub(super) fn current(&mut self) -> &mut Probability {
        &mut self.contexts[self.state as usize & (CONTEXTS - 1)]
    }

    /// The probability in the state that these last decisions make.
    #[inline(always)]
    pub(super) fn in_state(&self, state: u32) -> Probability {
        self.contexts[state as usize & (CONTEXTS - 1)]
    }

    /// The last decisions. Only as many low bits count as make an index.
    #[inline(always)]
    pub(super) fn state(&self) -> u32 {
        self.state
    }

    /// Makes a decision the last one.
    #[inline(always)]
    pub(super) fn advance(&mut self, decision: u32) {
        self.state = self.state << 1 | decision;
    }
}

/// All classes of decisions.
#[derive(Debug, Clone)]
pub(super) struct Model {
    /// 0: literal, 1: match.
    pub(super) main: Class<16>,
    /// 0: LZ match, 1: delta match.
    pub(super) matches: Class<32>,
    /// 0: new offset, 1: recent one.
    pub(super) lz: Class<64>,
    /// First: 0 the most recent offset, 1 an older one. Second, for those: 0 the second, 1 the third.
    pub(super) lz_repeat: [Class<64>; 2],
    /// As `lz`, for delta matches.
    pub(super) delta: Class<64>,
    /// As `lz_repeat`, for delta matches.
    pub(super) delta_repeat: [Class<64>; 2],
}

impl Model {
    pub(super) const START: Self = Self {
        main: Class::new(),
        matches: Class::new(),
        lz: Class::new(),
        lz_repeat: [Class::new(), Class::new()],
        delta: Class::new(),
        delta_repeat: [Class::new(), Class::new()],
    };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zeros_are_counted_over_the_last_sixty_four() {
        let mut probability = Probability::START;
        assert_eq!(probability.zeros, probability.recent.count_zeros());
        let mut state = 7u32;
        for i in 0..1000 {
            state = state.wrapping_mul(1_103_515_245).wrapping_add(12_345);
            probability.update(if i % 200 < 100 { 1 } else { state >> 31 });
            assert_eq!(probability.zeros, probability.recent.count_zeros());
            assert!((1..64).contains(&probability.of_zero()));
        }
    }
}
