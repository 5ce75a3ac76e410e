//! The traits of a message, and the macro that declares one from its schema.
//!
//! `message!` writes, from one list of fields: the struct, its defaults, its decoder, its encoder and
//! (for tests) its generator. So the versions of a field are written down once.

use std::fmt::Debug;

use crate::api_key::ApiKey;
use crate::error::{DecodeError, EncodeError};
use crate::reader::Reader;
use crate::writer::Writer;

/// The body of a request or of a response. `Default` gives Kafka's schema defaults.
pub trait Message: Sized + Debug + Clone + PartialEq + Default {
    /// The name in Kafka's schemas.
    const NAME: &'static str;

    /// Reads a body of `version`. Fields that this version does not have get their defaults; unknown tagged
    /// fields are skipped. Bytes after the body are left: see [`Reader::finish`].
    ///
    /// Errors: any [`DecodeError`]; never panics, whatever the bytes (I-09).
    fn decode(r: &mut Reader, version: i16) -> Result<Self, DecodeError>;

    /// Writes a body of `version`.
    ///
    /// Errors: [`EncodeError::UnsupportedField`] if a field that this version does not have is neither default
    /// nor ignorable; [`EncodeError::UnexpectedNull`]; [`EncodeError::TooLong`]; [`EncodeError::UnsupportedVersion`].
    /// After an error the writer holds part of the message and must be dropped.
    fn encode(&self, w: &mut Writer, version: i16) -> Result<(), EncodeError>;
}

/// The body of a request, with what is fixed for its API.
pub trait Request: Message {
    /// The API.
    const KEY: ApiKey;
    /// The lowest version this codec has; not what the gateway accepts or advertises.
    const MIN_VERSION: i16;
    /// The highest version this codec has.
    const MAX_VERSION: i16;
    /// The first version with the flexible encoding (KIP-482); `i16::MAX` if none has it.
    const FLEXIBLE_FROM: i16;
    /// The body of the answer; it has the same versions.
    type Response: Message;
}

/// The default of a field: as declared, or the type's own.
macro_rules! default_of {
    () => {
        Default::default()
    };
    ($default:expr) => {
        $default
    };
}
pub(crate) use default_of;

/// Declares a request, a response, or a struct within one.
///
/// A field is `name: Type = default => spec;` with a [`FieldSpec`](crate::wire::FieldSpec). Without `= default` it is the
/// type's own. Fields stand in wire order; tagged ones in ascending order of their tags.
macro_rules! message {
    (
        $(#[$meta:meta])*
        request $name:ident -> $response:ident ($key:ident, $min:literal..=$max:literal, flexible $flexible:expr) {
            $($fields:tt)*
        }
    ) => {
        message! { $(#[$meta])* struct $name { $($fields)* } }

        impl $crate::message::Request for $name {
            const KEY: $crate::ApiKey = $crate::ApiKey::$key;
            const MIN_VERSION: i16 = $min;
            const MAX_VERSION: i16 = $max;
            const FLEXIBLE_FROM: i16 = $flexible;
            type Response = $response;
        }

        message! { @body $name of $name }
        message! { @body $response of $name }
    };

    (@body $name:ident of $request:ident) => {
        impl $crate::message::Message for $name {
            const NAME: &'static str = stringify!($name);

            fn decode(r: &mut $crate::Reader, version: i16) -> Result<Self, $crate::DecodeError> {
                match $crate::message::shape_of::<$request>(version) {
                    Some(shape) => $crate::wire::Wire::read(r, shape, false),
                    None => Err($crate::DecodeError::UnsupportedVersion { message: Self::NAME, version }),
                }
            }

            fn encode(&self, w: &mut $crate::Writer, version: i16) -> Result<(), $crate::EncodeError> {
                match $crate::message::shape_of::<$request>(version) {
                    Some(shape) => $crate::wire::Wire::write(self, w, shape),
                    None => Err($crate::EncodeError::UnsupportedVersion { message: Self::NAME, version }),
                }
            }
        }
    };

    (
        $(#[$meta:meta])*
        struct $name:ident {
            $($(#[$field_meta:meta])* $field:ident: $type:ty $(= $default:expr)? => $spec:expr;)*
        }
    ) => {
        $(#[$meta])*
        #[derive(Debug, Clone, PartialEq)]
        pub struct $name {
            $($(#[$field_meta])* pub $field: $type,)*
        }

        impl Default for $name {
            fn default() -> Self {
                Self { $($field: $crate::message::default_of!($($default)?),)* }
            }
        }

        impl $crate::wire::Wire for $name {
            fn read(
                r: &mut $crate::Reader,
                shape: $crate::wire::Shape,
                _nullable: bool,
            ) -> Result<Self, $crate::DecodeError> {
                use $crate::wire::{FieldSpec, Wire};
                let version = shape.version;
                let mut message = Self::default();
                $({
                    const SPEC: FieldSpec = $spec;
                    if SPEC.is_regular(version) {
                        message.$field = Wire::read(r, shape, SPEC.is_nullable(version))?;
                    }
                })*
                if shape.flexible {
                    r.read_tagged_fields(|r, tag| {
                        $({
                            const SPEC: FieldSpec = $spec;
                            if SPEC.tag_in(version) == Some(tag) {
                                message.$field = Wire::read(r, shape, SPEC.is_nullable(version))?;
                                return Ok(true);
                            }
                        })*
                        Ok(false)
                    })?;
                }
                Ok(message)
            }

            fn write(
                &self,
                w: &mut $crate::Writer,
                shape: $crate::wire::Shape,
            ) -> Result<(), $crate::EncodeError> {
                use $crate::wire::{FieldSpec, TaggedFields, Wire};
                let version = shape.version;
                $({
                    const SPEC: FieldSpec = $spec;
                    if SPEC.is_present(version) {
                        if Wire::is_null(&self.$field) && !SPEC.is_nullable(version) {
                            let (message, field) = (stringify!($name), stringify!($field));
                            return Err($crate::EncodeError::UnexpectedNull { message, field, version });
                        }
                    } else if !SPEC.ignorable {
                        let default: $type = $crate::message::default_of!($($default)?);
                        if self.$field != default {
                            let (message, field) = (stringify!($name), stringify!($field));
                            return Err($crate::EncodeError::UnsupportedField { message, field, version });
                        }
                    }
                    if SPEC.is_regular(version) {
                        Wire::write(&self.$field, w, shape)?;
                    }
                })*
                if shape.flexible {
                    #[allow(unused_mut, reason = "a struct may have no tagged field")]
                    let mut tagged = TaggedFields::default();
                    $({
                        const SPEC: FieldSpec = $spec;
                        if let Some(tag) = SPEC.tag_in(version) {
                            let default: $type = $crate::message::default_of!($($default)?);
                            if self.$field != default {
                                tagged.add(tag, &self.$field, shape)?;
                            }
                        }
                    })*
                    tagged.write(w);
                }
                Ok(())
            }

            fn len_min(shape: $crate::wire::Shape) -> usize {
                use $crate::wire::{FieldSpec, Wire};
                let mut len = usize::from(shape.flexible);
                $({
                    const SPEC: FieldSpec = $spec;
                    if SPEC.is_regular(shape.version) {
                        len += <$type as Wire>::len_min(shape);
                    }
                })*
                len
            }
        }

        impl $crate::wire::Struct for $name {}

        #[cfg(any(test, feature = "sample"))]
        impl $crate::sample::Sample for $name {
            const KIND: $crate::sample::Kind = $crate::sample::Kind::Struct;

            fn sample(source: &mut $crate::sample::Source<'_>, version: i16, _nullable: bool) -> Self {
                use $crate::wire::FieldSpec;
                let mut message = Self::default();
                $({
                    const SPEC: FieldSpec = $spec;
                    if SPEC.is_present(version) {
                        let default: $type = $crate::message::default_of!($($default)?);
                        message.$field =
                            source.field(stringify!($field), default, version, SPEC.is_nullable(version));
                    }
                })*
                message
            }
        }
    };
}
pub(crate) use message;

/// The encoding of a version of `R` and its response; `None` if there is no such version.
pub(crate) fn shape_of<R: Request>(version: i16) -> Option<crate::wire::Shape> {
    let known = (R::MIN_VERSION..=R::MAX_VERSION).contains(&version);
    known.then_some(crate::wire::Shape { version, flexible: version >= R::FLEXIBLE_FROM })
}
