//! Bytes that tell what they are: whether they are whole can be seen from them alone.

use bytes::Bytes;

/// Least bytes: the number, the length, and enough of what follows from the number.
pub const PAYLOAD_BYTES_MIN: usize = 20;

/// The bytes of the thing with this number.
#[must_use]
pub fn payload(number: u64, len: usize) -> Bytes {
    let len = len.max(PAYLOAD_BYTES_MIN);
    let mut bytes = Vec::with_capacity(len + 8);
    bytes.extend_from_slice(&number.to_be_bytes());
    bytes.extend_from_slice(&u32::try_from(len).expect("a length of 32 bits").to_be_bytes());
    let mut filling = fastrand::Rng::with_seed(number);
    while bytes.len() < len {
        bytes.extend_from_slice(&filling.u64(..).to_be_bytes());
    }
    bytes.truncate(len);
    Bytes::from(bytes)
}

/// The number of what these bytes are; none when they are not exactly what [`payload`] made.
#[must_use]
pub fn number(bytes: &[u8]) -> Option<u64> {
    let (number, rest) = bytes.split_first_chunk()?;
    let (len, _) = rest.split_first_chunk()?;
    let number = u64::from_be_bytes(*number);
    let is_whole = u32::from_be_bytes(*len) as usize == bytes.len() && payload(number, bytes.len()) == bytes;
    is_whole.then_some(number)
}

/// A length: mostly small, sometimes some sectors, seldom many.
pub fn draw_len(rng: &mut fastrand::Rng) -> usize {
    match rng.u8(..10) {
        0 => rng.usize(20_000..70_000),
        1..3 => rng.usize(1_000..9_000),
        _ => rng.usize(PAYLOAD_BYTES_MIN..400),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_told_by_themselves_and_damage_is_seen() {
        for len in [0, 20, 23, 100, 5_000] {
            let bytes = payload(7, len);
            assert_eq!(number(&bytes), Some(7));
            assert_eq!(number(&bytes[..bytes.len() - 1]), None, "cut");
            for at in 0..bytes.len() {
                let mut damaged = bytes.to_vec();
                damaged[at] ^= 0x40;
                assert_eq!(number(&damaged), None, "byte {at} of {len}");
            }
        }
    }
}
