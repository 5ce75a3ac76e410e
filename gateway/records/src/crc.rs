//! CRC32C of concatenations, without reading the bytes again.
//!
//! Promises: [`crc32c_combine`] costs at most 8 carry-less multiplications whatever the lengths (a fraction of a
//! microsecond), so a segment's checksum is derived from its batches' checksums and not from its data. The crate
//! `crc32c` can combine too, but rebuilds its matrices at each call, which costs more than hashing 128 KiB.
//!
//! Never does: hash record bytes. Called by: `validate` (whole-batch CRC), `segment` (whole-object CRC).

/// The Castagnoli polynomial, bit-reflected, as used by Kafka, S3 and iSCSI (RFC 3720, appendix B.4).
const POLYNOMIAL: u32 = 0x82f6_3b78;

/// 1 = x^0 in the reflected representation: the highest bit is the lowest power.
const ONE: u32 = 1 << 31;

/// Bytes of a length are taken four bits at a time: 16 nibbles of a 64-bit length.
const NIBBLES: usize = 16;

/// `POWERS[n][v]` = x^(8 · v · 16^n) modulo the polynomial: what `v · 16^n` zero bytes do to a CRC.
static POWERS: [[u32; 16]; NIBBLES] = powers();

/// a · b modulo the polynomial, over GF(2), reflected.
const fn multiply(a: u32, mut b: u32) -> u32 {
    let mut product = 0;
    let mut bit = ONE;
    while bit != 0 {
        if a & bit != 0 {
            product ^= b;
        }
        b = (b >> 1) ^ (POLYNOMIAL & (b & 1).wrapping_neg());
        bit >>= 1;
    }
    product
}

#[allow(clippy::indexing_slicing, reason = "evaluated at compile time; a wrong index is a build error")]
const fn powers() -> [[u32; 16]; NIBBLES] {
    let mut table = [[ONE; 16]; NIBBLES];
    // x^8: one zero byte.
    let mut step: u32 = 1 << (31 - 8);
    let mut nibble = 0;
    while nibble < NIBBLES {
        let mut value = 1;
        while value < 16 {
            table[nibble][value] = multiply(table[nibble][value - 1], step);
            value += 1;
        }
        step = multiply(table[nibble][15], step);
        nibble += 1;
    }
    table
}

/// CRC32C of A followed by B, from their CRCs and the length of B in bytes. Total: any values are accepted.
#[must_use]
pub fn crc32c_combine(crc_a: u32, crc_b: u32, len_b: u64) -> u32 {
    let mut shifted = crc_a;
    let mut rest = len_b;
    for row in &POWERS {
        if rest == 0 {
            break;
        }
        // Masked to 0..=15, so the lookup always succeeds.
        let power = usize::try_from(rest & 15).ok().and_then(|value| row.get(value)).copied().unwrap_or(ONE);
        if power != ONE {
            shifted = multiply(power, shifted);
        }
        rest >>= 4;
    }
    shifted ^ crc_b
}

/// CRC32C of parts laid end to end, from each part's (CRC32C, length in bytes). No parts: 0, the CRC of nothing.
#[must_use]
pub fn crc32c_of_parts(parts: impl IntoIterator<Item = (u32, u64)>) -> u32 {
    parts.into_iter().fold(0, |crc, (part_crc, len)| crc32c_combine(crc, part_crc, len))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, missing_docs)]
    use super::*;

    #[test]
    fn combining_equals_hashing_the_concatenation_at_every_split() {
        let data: Vec<u8> = (0..700_u32).map(|i| (i * 31 % 251) as u8).collect();
        let whole = crc32c::crc32c(&data);
        for split in 0..=data.len() {
            let (a, b) = data.split_at(split);
            let combined = crc32c_combine(crc32c::crc32c(a), crc32c::crc32c(b), b.len() as u64);
            assert_eq!(combined, whole, "split at {split}");
        }
    }

    #[test]
    fn combining_agrees_with_the_matrix_method_for_long_parts() {
        for shift in 0..40 {
            for delta in [0_u64, 1, 12_345] {
                let len = (1_u64 << shift) + delta;
                let expected = crc32c::crc32c_combine(0xdead_beef, 0x1234_5678, len as usize);
                assert_eq!(crc32c_combine(0xdead_beef, 0x1234_5678, len), expected, "length {len}");
            }
        }
    }

    #[test]
    fn no_parts_have_the_crc_of_nothing() {
        assert_eq!(crc32c_of_parts([]), crc32c::crc32c(b""));
    }
}
