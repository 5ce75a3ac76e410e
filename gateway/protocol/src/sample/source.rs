//! Where the values of a sample come from: arbitrary bytes, or the name and place of each field.

use std::fmt::Write as _;

use bytes::Bytes;

use super::{Kind, Sample};
use crate::rope::Rope;

/// How to fill a message by the names of its fields. `tests/golden/Filled.java` does the same with Kafka's own classes.
///
/// The path of a field is the name of the message, then a dot and a name or an index per step; its hash is FNV-1a of 64 bits,
/// folded onto its lower half. Numbers are the low bytes of the hash, strings and bytes are made of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fill {
    /// Every field has a value, arrays have one or two elements.
    Values,
    /// The same, but booleans are the other way round, and strings, bytes and records are null where they may be.
    NullLeaves,
    /// The same, but arrays and structs are null where they may be.
    NullContainers,
    /// Every field has its default, but arrays that lie in fewer arrays than this have one element, and structs there are
    /// not null.
    Defaults(usize),
}

/// Choices: read from bytes (zeros when they have run out, which gives the smallest values), or made of names.
#[derive(Debug)]
pub struct Source<'a>(Choices<'a>);

#[derive(Debug)]
enum Choices<'a> {
    Bytes(std::slice::Iter<'a, u8>),
    Names { fill: Fill, path: String, depth: usize },
}

impl<'a> Source<'a> {
    /// Choices from `bytes`.
    pub fn new(bytes: &'a [u8]) -> Self {
        Self(Choices::Bytes(bytes.iter()))
    }

    /// Choices from names, for the message called `name`.
    pub fn filling(name: &str, fill: Fill) -> Self {
        Self(Choices::Names { fill, path: name.to_owned(), depth: 0 })
    }

    fn byte(&mut self) -> u8 {
        match &mut self.0 {
            Choices::Bytes(bytes) => bytes.next().copied().unwrap_or_default(),
            Choices::Names { .. } => 0,
        }
    }

    fn array<const N: usize>(&mut self) -> [u8; N] {
        std::array::from_fn(|_| self.byte())
    }

    /// What follows from the path of the field, if names decide; 0 if defaults do.
    fn named(&self) -> Option<u64> {
        match &self.0 {
            Choices::Bytes(_) => None,
            Choices::Names { fill: Fill::Defaults(_), .. } => Some(0),
            Choices::Names { path, .. } => Some(hash(path)),
        }
    }

    /// Edge values as often as any others.
    pub(super) fn integer(&mut self) -> i64 {
        if let Some(named) = self.named() {
            return named.cast_signed();
        }
        match self.byte() % 8 {
            0 => 0,
            1 => -1,
            2 => i64::MAX,
            3 => i64::MIN,
            4 => 0x7fff_ffff_8000_0000,
            5 => self.byte().into(),
            _ => i64::from_be_bytes(self.array()),
        }
    }

    pub(super) fn boolean(&mut self) -> bool {
        match &self.0 {
            Choices::Bytes(_) => self.byte() & 1 == 1,
            Choices::Names { fill: Fill::Defaults(_), .. } => false,
            Choices::Names { fill, path, .. } => (hash(path) & 1 == 1) == (*fill == Fill::Values),
        }
    }

    pub(super) fn uuid(&mut self) -> [u8; 16] {
        match self.named() {
            None => self.array(),
            Some(named) => (u128::from(named) << 64 | u128::from(named)).to_be_bytes(),
        }
    }

    pub(super) fn string(&mut self) -> String {
        if let Some(named) = self.named() {
            return if self.is_default() { String::new() } else { format!("{:x}", named & 0xffff) };
        }
        let choice = self.byte();
        match choice % 8 {
            0 => String::new(),
            // A length that needs two bytes as a compact one.
            1 => "long".repeat(50),
            2 => "日本é".to_owned(),
            _ => format!("name-{choice}"),
        }
    }

    /// Some bytes; now and then enough of them to take another path of the writer.
    pub(super) fn blob(&mut self) -> Bytes {
        if let Some(named) = self.named() {
            let [.., high, low] = named.to_be_bytes();
            return if self.is_default() { Bytes::new() } else { Bytes::copy_from_slice(&[high, low]) };
        }
        let fill = self.byte();
        let len = match fill % 16 {
            0 => 0,
            1 => 1024,
            2 => 1500,
            small => usize::from(small) * 5,
        };
        Bytes::from(vec![fill; len])
    }

    /// Records.
    pub(super) fn chunks(&mut self) -> Rope {
        let count = if self.named().is_some() { 1 } else { self.byte() % 3 };
        (0..count).map(|_| self.blob()).collect()
    }

    pub(super) fn is_null(&mut self, nullable: bool, kind: Kind) -> bool {
        match &self.0 {
            Choices::Bytes(_) => nullable && self.byte().is_multiple_of(4),
            Choices::Names { fill: Fill::NullLeaves, .. } => nullable && kind == Kind::Leaf,
            Choices::Names { fill: Fill::NullContainers, .. } => nullable && kind == Kind::Container,
            Choices::Names { .. } => false,
        }
    }

    /// How many elements an array has.
    pub(super) fn count(&mut self) -> usize {
        match self.named() {
            None => usize::from(self.byte() % 4),
            Some(named) => {
                if named >> 8 & 1 == 1 {
                    2
                } else {
                    1
                }
            }
        }
    }

    fn is_default(&self) -> bool {
        matches!(self.0, Choices::Names { fill: Fill::Defaults(_), .. })
    }

    /// Goes to a part of what the path leads to, and tells how to come back.
    fn enter(&mut self, part: std::fmt::Arguments<'_>) -> usize {
        match &mut self.0 {
            Choices::Bytes(_) => 0,
            Choices::Names { path, .. } => {
                let back = path.len();
                // Writing to a string cannot fail.
                let _ = write!(path, ".{part}");
                back
            }
        }
    }

    fn leave(&mut self, back: usize) {
        if let Choices::Names { path, .. } = &mut self.0 {
            path.truncate(back);
        }
    }

    /// The value of the field called `name`.
    pub(crate) fn field<T: Sample>(&mut self, name: &str, default: T, version: i16, nullable: bool) -> T {
        let keep = match &self.0 {
            Choices::Names { fill: Fill::Defaults(filled), depth, .. } => match T::KIND {
                Kind::Leaf => true,
                Kind::Struct => false,
                Kind::Container => depth >= filled,
            },
            Choices::Bytes(_) | Choices::Names { .. } => false,
        };
        if keep {
            return default;
        }
        let back = self.enter(format_args!("{name}"));
        let value = T::sample(self, version, nullable);
        self.leave(back);
        value
    }

    /// An element of an array.
    pub(super) fn element<T: Sample>(&mut self, index: usize, version: i16) -> T {
        let back = self.enter(format_args!("{index}"));
        self.descend(1);
        let value = T::sample(self, version, false);
        self.descend(-1);
        self.leave(back);
        value
    }

    fn descend(&mut self, by: isize) {
        if let Choices::Names { depth, .. } = &mut self.0 {
            *depth = depth.saturating_add_signed(by);
        }
    }
}

/// FNV-1a, folded so that its low bits depend on all of it.
fn hash(path: &str) -> u64 {
    let long = path
        .bytes()
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3));
    long ^ long >> 32
}
