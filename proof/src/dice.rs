//! Dice that fall the same way for the same seed, on every machine and in every version of this code: a seed that was
//! printed once must stay good.

/// Dice: `SplitMix64` (Steele, Lea and Flood, "Fast Splittable Pseudorandom Number Generators", 2014).
#[derive(Clone, Debug)]
pub struct Dice(u64);

impl Dice {
    /// The dice of `seed`.
    pub const fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// Any number.
    pub const fn any(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `bound`; 0 where that is 0.
    pub const fn below(&mut self, bound: u64) -> u64 {
        // The bias of the remainder is far below anything that matters for bounds as small as these.
        if bound == 0 { 0 } else { self.any() % bound }
    }

    /// A place in a list of `length`; 0 where that is empty.
    #[expect(clippy::cast_possible_truncation, reason = "below a usize")]
    pub const fn place(&mut self, length: usize) -> usize {
        self.below(length as u64) as usize
    }

    /// True `thousandths` times in a thousand.
    pub const fn falls(&mut self, thousandths: u64) -> bool {
        self.below(1_000) < thousandths
    }

    /// One of these.
    pub const fn one_of<T: Copy, const N: usize>(&mut self, choices: [T; N]) -> T {
        choices[self.place(N)]
    }
}
