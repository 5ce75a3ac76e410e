//! The name of a segment object.

use crate::{Incarnation, Position, SessionId};

/// A segment object: the session that wrote it and a random nonce. Never reused (I-03).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ObjectId {
    /// The session under which it was written. An entry of a later session may refer to it: what did not happen is
    /// sealed again (L3).
    pub session: SessionId,
    /// Random within the session.
    pub nonce: u64,
}

impl ObjectId {
    /// Its key: `incarnation/low byte of the nonce/session/nonce`, all lower-case hex of fixed width.
    ///
    /// The low byte spreads keys over the store's partitions. The depth is fixed, so no key is another key + "/…".
    #[must_use]
    pub fn key(&self, incarnation: Incarnation) -> String {
        let spread = self.nonce & 0xff;
        let session = self.session.0.raw();
        format!("{incarnation}/{spread:02x}/{session:016x}/{:016x}", self.nonce)
    }

    /// The incarnation and the id in a key that [`Self::key`] made; `None` for any other text.
    #[must_use]
    pub fn parse(key: &str) -> Option<(Incarnation, Self)> {
        let mut parts = key.split('/');
        let incarnation = Incarnation(u128::from_str_radix(parts.next()?, 16).ok()?);
        let _spread = parts.next()?;
        let session = u64::from_str_radix(parts.next()?, 16).ok()?;
        let nonce = u64::from_str_radix(parts.next()?, 16).ok()?;
        let id = Self { session: SessionId(Position::from_raw(session)), nonce };
        // One comparison refuses signs, upper case, wrong widths, a wrong spread and anything after the nonce.
        (id.key(incarnation) == key).then_some((incarnation, id))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_key_has_four_parts_of_fixed_width() {
        let id = ObjectId { session: SessionId(Position::new(0, 7)), nonce: 0xabcd };
        assert_eq!(id.key(Incarnation(1)), "00000000000000000000000000000001/cd/0000000000000007/000000000000abcd");
    }

    #[test]
    fn a_key_in_another_form_is_not_parsed() {
        let id = ObjectId { session: SessionId(Position::new(0, 7)), nonce: 0xabcd };
        let key = id.key(Incarnation(1));
        for bad in [
            String::new(),
            key.to_uppercase(),
            format!("{key}/x"),
            format!("/{key}"),
            key.replace("/cd/", "/ce/"),
            key.replace("/cd/", "/"),
            key.replacen("00", "+0", 1),
            key.replacen('0', "", 1),
        ] {
            assert_eq!(ObjectId::parse(&bad), None, "{bad}");
        }
    }

    proptest! {
        #![proptest_config(crate::simulation::config(256))]
        // Holds: I-03 (one key per object), L12 (the session in a key names its log)
        #[test]
        fn a_key_names_its_object(incarnation: u128, session: u64, nonce: u64) {
            let id = ObjectId { session: SessionId(Position::from_raw(session)), nonce };
            let key = id.key(Incarnation(incarnation));
            prop_assert_eq!(ObjectId::parse(&key), Some((Incarnation(incarnation), id)));
        }
    }
}
