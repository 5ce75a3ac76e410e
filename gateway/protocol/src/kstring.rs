//! Strings that are slices of the frame they came in.
//!
//! Promises: always UTF-8 (checked when made); cloning and decoding never copy.
//! A decoded string keeps its whole frame alive: what outlives the request calls [`KString::detach`].

use std::borrow::Borrow;
use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::ops::Deref;

use bytes::Bytes;

/// A UTF-8 string backed by [`Bytes`]. Nullable strings of the protocol are `Option<KString>`.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct KString(Bytes);

impl KString {
    /// The empty string. Does not allocate.
    pub const fn new() -> Self {
        Self(Bytes::new())
    }

    /// A string constant. Does not allocate.
    pub const fn from_static(text: &'static str) -> Self {
        Self(Bytes::from_static(text.as_bytes()))
    }

    /// Takes bytes as a string without copying them; `None` unless they are UTF-8.
    pub fn from_utf8(bytes: Bytes) -> Option<Self> {
        std::str::from_utf8(&bytes).is_ok().then_some(Self(bytes))
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        // Checked again because unchecked conversion is unsafe code; it costs nanoseconds at these
        // lengths. The default cannot occur: every constructor has checked the bytes.
        std::str::from_utf8(&self.0).unwrap_or_default()
    }

    /// The text as bytes, sharing memory.
    pub fn as_bytes(&self) -> &Bytes {
        &self.0
    }

    /// A copy with memory of its own, so that the frame this string came in can be freed.
    #[must_use]
    pub fn detach(&self) -> Self {
        Self(Bytes::copy_from_slice(&self.0))
    }
}

impl Deref for KString {
    type Target = str;

    fn deref(&self) -> &str {
        self.as_str()
    }
}

impl AsRef<str> for KString {
    fn as_ref(&self) -> &str {
        self.as_str()
    }
}

impl Borrow<str> for KString {
    fn borrow(&self) -> &str {
        self.as_str()
    }
}

// Byte order of UTF-8 is the order of `str`, so comparing bytes agrees with `Borrow<str>`.
impl Ord for KString {
    fn cmp(&self, other: &Self) -> Ordering {
        self.0.cmp(&other.0)
    }
}

impl PartialOrd for KString {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Hash for KString {
    fn hash<H: Hasher>(&self, state: &mut H) {
        // As `str` does, or look-ups by `&str` would miss.
        self.as_str().hash(state);
    }
}

impl PartialEq<str> for KString {
    fn eq(&self, other: &str) -> bool {
        self.0 == other.as_bytes()
    }
}

impl PartialEq<&str> for KString {
    fn eq(&self, other: &&str) -> bool {
        self.0 == other.as_bytes()
    }
}

impl From<&str> for KString {
    fn from(text: &str) -> Self {
        Self(Bytes::copy_from_slice(text.as_bytes()))
    }
}

impl From<String> for KString {
    fn from(text: String) -> Self {
        Self(Bytes::from(text))
    }
}

impl From<KString> for String {
    fn from(text: KString) -> Self {
        text.as_str().to_owned()
    }
}

impl fmt::Debug for KString {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), f)
    }
}

impl fmt::Display for KString {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self.as_str(), f)
    }
}
