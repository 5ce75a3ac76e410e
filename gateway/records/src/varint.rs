//! Zigzag varints as Kafka's records use them (KIP-98: protocol buffers' sint32 and sint64).
//!
//! Promises: reads take at most 5 and 10 bytes and fail on a longer encoding, as Kafka's do. Called by: `record`,
//! `build`.

const CONTINUES: u8 = 0x80;
const PAYLOAD: u8 = 0x7f;

/// Reads a zigzag varint of at most 10 bytes from the front of `rest`, and moves past it. None: the bytes end first,
/// or the tenth byte says that another follows.
pub(crate) fn read_varlong(rest: &mut &[u8]) -> Option<i64> {
    read(rest, 10).map(|raw| (raw >> 1).cast_signed() ^ (raw & 1).wrapping_neg().cast_signed())
}

/// Reads a zigzag varint of at most 5 bytes. None also for what does not fit 32 bits, which no encoder writes (Kafka
/// drops the upper three of the 35 bits).
pub(crate) fn read_varint(rest: &mut &[u8]) -> Option<i32> {
    let raw = u32::try_from(read(rest, 5)?).ok()?;
    Some((raw >> 1).cast_signed() ^ (raw & 1).wrapping_neg().cast_signed())
}

fn read(rest: &mut &[u8], max_bytes: u32) -> Option<u64> {
    let mut raw = 0_u64;
    for index in 0..max_bytes {
        let (byte, behind) = rest.split_first()?;
        *rest = behind;
        raw |= u64::from(byte & PAYLOAD) << (7 * index);
        if byte & CONTINUES == 0 {
            return Some(raw);
        }
    }
    None
}

/// Appends `value` as a zigzag varint.
pub(crate) fn write_varlong(out: &mut Vec<u8>, value: i64) {
    let mut raw = ((value << 1) ^ (value >> 63)).cast_unsigned();
    loop {
        let [lowest, ..] = raw.to_le_bytes();
        raw >>= 7;
        if raw == 0 {
            out.push(lowest & PAYLOAD);
            return;
        }
        out.push(lowest | CONTINUES);
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, missing_docs)]
    use super::*;

    fn encoded(value: i64) -> Vec<u8> {
        let mut out = Vec::new();
        write_varlong(&mut out, value);
        out
    }

    #[test]
    fn known_values_have_their_known_bytes() {
        for (value, bytes) in [(0, vec![0]), (-1, vec![1]), (1, vec![2]), (63, vec![126]), (64, vec![0x80, 1])] {
            assert_eq!(encoded(value), bytes);
        }
        assert_eq!(encoded(i64::from(i32::MIN)), [0xff, 0xff, 0xff, 0xff, 0x0f]);
    }

    #[test]
    fn every_power_of_two_and_its_neighbours_come_back() {
        for shift in 0..64 {
            for value in [(1_i64 << shift).wrapping_sub(1), 1 << shift, (1_i64 << shift).wrapping_neg()] {
                let bytes = encoded(value);
                let mut rest = bytes.as_slice();
                assert_eq!(read_varlong(&mut rest), Some(value));
                assert!(rest.is_empty());
                let mut rest = bytes.as_slice();
                assert_eq!(read_varint(&mut rest), i32::try_from(value).ok());
            }
        }
    }

    #[test]
    fn endless_and_cut_varints_are_refused() {
        assert_eq!(read_varlong(&mut [0x80; 64].as_slice()), None);
        assert_eq!(read_varint(&mut [0x80, 0x80, 0x80, 0x80, 0x80, 0].as_slice()), None);
        assert_eq!(read_varint(&mut [0x80].as_slice()), None);
        assert_eq!(read_varint(&mut [].as_slice()), None);
    }
}
