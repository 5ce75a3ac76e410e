//! The file `FORMAT`: what makes a folder a data directory.
//!
//! Layout: three lines, `sluice data directory`, `version <number>`, `incarnation <32 hex digits>`. One per directory,
//! written once, last of all when the directory is made, so that a directory that has one is whole.

use sluice_store::{Incarnation, StoreError, StoreErrorKind, StoreResult};

/// The version this build writes and reads.
pub(super) const VERSION: u32 = 1;

const MAGIC: &str = "sluice data directory";

/// The file's text.
pub(super) fn encode(incarnation: Incarnation) -> String {
    format!("{MAGIC}\nversion {VERSION}\nincarnation {incarnation}\n")
}

/// Reads the file's bytes; `dir` is for the message.
///
/// # Errors
/// `Invalid` for another version, `Corrupt` for anything that is not the layout above.
pub(super) fn decode(bytes: &[u8], dir: &str) -> StoreResult<Incarnation> {
    let damaged = || {
        let message = format!("data directory `{dir}`: its FORMAT file is damaged; restore it from a backup");
        StoreError::new(StoreErrorKind::Corrupt, message)
    };
    let text = std::str::from_utf8(bytes).map_err(|_| damaged())?;
    let mut lines = text.lines();
    if lines.next() != Some(MAGIC) {
        return Err(damaged());
    }
    let version = lines.next().and_then(|line| line.strip_prefix("version ")).ok_or_else(damaged)?;
    let version: u32 = version.parse().map_err(|_| damaged())?;
    if version != VERSION {
        let message = format!(
            "data directory `{dir}` has format version {version}, and this build reads version {VERSION}: \
             use the build of sluice that wrote it, or another directory"
        );
        return Err(StoreError::new(StoreErrorKind::Invalid, message));
    }
    let incarnation = lines.next().and_then(|line| line.strip_prefix("incarnation ")).ok_or_else(damaged)?;
    // `from_str_radix` takes a sign as well.
    let is_hex = incarnation.len() == 32 && incarnation.bytes().all(|digit| digit.is_ascii_hexdigit());
    if !is_hex || lines.next().is_some() || !text.ends_with('\n') {
        return Err(damaged());
    }
    u128::from_str_radix(incarnation, 16).map(Incarnation).map_err(|_| damaged())
}

#[cfg(test)]
mod tests {
    use super::*;

    const INCARNATION: Incarnation = Incarnation(0xABCD_0000_0000_0000_0000_0000_0000_0001);

    #[test]
    fn what_is_encoded_is_decoded() {
        let text = encode(INCARNATION);
        assert_eq!(text, "sluice data directory\nversion 1\nincarnation abcd0000000000000000000000000001\n");
        assert_eq!(decode(text.as_bytes(), "d").unwrap(), INCARNATION);
    }

    #[test]
    fn every_truncation_is_damaged() {
        let text = encode(INCARNATION);
        for len in 0..text.len() {
            let error = decode(&text.as_bytes()[..len], "d").unwrap_err();
            assert_eq!(error.kind(), StoreErrorKind::Corrupt, "{len} bytes: {error}");
        }
    }

    #[test]
    fn another_version_is_invalid_and_the_message_says_what_to_do() {
        let text = encode(INCARNATION).replace("version 1", "version 2");
        let error = decode(text.as_bytes(), "some/dir").unwrap_err();
        assert_eq!(error.kind(), StoreErrorKind::Invalid);
        let message = error.to_string();
        assert!(message.contains("`some/dir` has format version 2") && message.contains("use the build"), "{message}");
    }

    #[test]
    fn anything_else_is_damaged() {
        let text = encode(INCARNATION);
        let signed = text.replace("incarnation a", "incarnation +");
        for bytes in [&b"\xff\xfe"[..], b"hello", signed.as_bytes(), format!("{text}more\n").as_bytes()] {
            assert_eq!(decode(bytes, "d").unwrap_err().kind(), StoreErrorKind::Corrupt);
        }
    }
}
