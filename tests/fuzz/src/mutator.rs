//! [`Mutator`]: damages samples, reproducibly for a seed.

/// Boundary values of lengths and counts.
const EDGES: [u32; 8] = [0, 1, 0x3f, 0xc0, 0xff, 0x7fff_ffff, 0xffff_fffe, u32::MAX];

pub(crate) struct Mutator {
    state: u64,
    damaged: Vec<u8>,
}

impl Mutator {
    pub(crate) fn new(seed: u64) -> Mutator {
        Mutator {
            state: seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1,
            damaged: Vec::new(),
        }
    }

    /// One of `samples`, damaged in up to four places.
    pub(crate) fn damage(&mut self, samples: &[Vec<u8>]) -> &[u8] {
        let sample = &samples[self.draw(samples.len())];
        self.damaged.clear();
        self.damaged.extend_from_slice(sample);
        for _ in 0..self.draw(5) {
            let other = &samples[self.draw(samples.len())];
            self.damage_once(other);
        }
        &self.damaged
    }

    fn damage_once(&mut self, other: &[u8]) {
        let len = self.damaged.len();
        if len == 0 {
            return;
        }
        let at = self.draw(len);
        let upto = (at + 1 + self.draw(16)).min(len);
        match self.draw(9) {
            0 | 1 => self.damaged[at] = self.draw(256) as u8,
            2 | 3 => self.damaged[at] ^= 1 << self.draw(8),
            4 => drop(self.damaged.drain(at..upto)),
            5 => {
                let twice = self.damaged[at..upto].to_vec();
                self.damaged.splice(at..at, twice);
            }
            6 => {
                let from = self.draw(other.len());
                let piece = &other[from..(from + 1 + self.draw(32)).min(other.len())];
                self.damaged.splice(at..upto, piece.iter().copied());
            }
            7 => {
                let edge = EDGES[self.draw(EDGES.len())].to_be_bytes();
                let width = [1, 2, 4][self.draw(3)].min(len - at);
                self.damaged[at..at + width].copy_from_slice(&edge[4 - width..]);
            }
            _ => self.damaged.truncate(at),
        }
    }

    fn draw(&mut self, sides: usize) -> usize {
        self.state ^= self.state << 13;
        self.state ^= self.state >> 7;
        self.state ^= self.state << 17;
        (self.state >> 20) as usize % sides
    }
}
