//! How each field type of a message looks on the wire, and in which versions a field is there.
//!
//! [`FieldSpec`] is a field's line in Kafka's schema; [`Wire`] is implemented by every type a field can have.
//! Called only by the code that `message!` writes; the compiler folds the specs into plain branches on the version.

use bytes::Bytes;
use uuid::Uuid;

use crate::error::{DecodeError, EncodeError};
use crate::error_code::ErrorCode;
use crate::kstring::KString;
use crate::reader::Reader;
use crate::rope::Rope;
use crate::writer::Writer;

/// The longest string of the protocol, in bytes, compact or not (Kafka's generated code checks the same).
pub(crate) const STRING_LEN_MAX: usize = 0x7fff;

const NEVER: i16 = i16::MAX;

/// A version of a message, and whether it has the flexible encoding (KIP-482).
#[derive(Debug, Clone, Copy)]
pub(crate) struct Shape {
    pub(crate) version: i16,
    pub(crate) flexible: bool,
}

/// In which versions a field exists, and how.
#[derive(Debug, Clone, Copy)]
pub(crate) struct FieldSpec {
    since: i16,
    until: i16,
    nullable_since: i16,
    tag: Option<u32>,
    pub(crate) ignorable: bool,
}

/// A field that exists from `version` on.
pub(crate) const fn since(version: i16) -> FieldSpec {
    FieldSpec { since: version, until: i16::MAX, nullable_since: NEVER, tag: None, ignorable: false }
}

impl FieldSpec {
    /// The last version that has the field.
    pub(crate) const fn until(mut self, version: i16) -> Self {
        self.until = version;
        self
    }

    /// The first version in which the field may be null.
    pub(crate) const fn nullable(mut self, version: i16) -> Self {
        self.nullable_since = version;
        self
    }

    /// The field is a tagged one in every version that has it, and is written only if it is not the default.
    pub(crate) const fn tag(mut self, tag: u32) -> Self {
        self.tag = Some(tag);
        self
    }

    /// A value that the version cannot carry is dropped instead of refused.
    pub(crate) const fn ignorable(mut self) -> Self {
        self.ignorable = true;
        self
    }

    pub(crate) const fn is_present(self, version: i16) -> bool {
        version >= self.since && version <= self.until
    }

    pub(crate) const fn is_regular(self, version: i16) -> bool {
        self.tag.is_none() && self.is_present(version)
    }

    pub(crate) const fn is_nullable(self, version: i16) -> bool {
        version >= self.nullable_since
    }

    /// The tag, if the field is a tagged one of this version.
    pub(crate) const fn tag_in(self, version: i16) -> Option<u32> {
        if self.is_present(version) { self.tag } else { None }
    }
}

/// A type that a field or an array element can have.
pub(crate) trait Wire: Sized {
    /// Reads one value. Null is an error unless `nullable`.
    fn read(r: &mut Reader, shape: Shape, nullable: bool) -> Result<Self, DecodeError>;

    /// Writes one value. Null is written as such: callers have refused it where the version does.
    fn write(&self, w: &mut Writer, shape: Shape) -> Result<(), EncodeError>;

    /// The fewest bytes a value can take: bounds what an array count can be believed (I-09).
    fn len_min(shape: Shape) -> usize;

    /// Whether this is null.
    fn is_null(&self) -> bool {
        false
    }
}

/// A struct of a message. Marks what `Option` makes a nullable struct of; only `message!` implements it.
pub(crate) trait Struct: Wire {}

macro_rules! fixed_size {
    ($($type:ty, $len:literal, $read:ident, $put:ident;)*) => {$(
        impl Wire for $type {
            #[inline]
            fn read(r: &mut Reader, _: Shape, _: bool) -> Result<Self, DecodeError> {
                r.$read()
            }

            #[inline]
            fn write(&self, w: &mut Writer, _: Shape) -> Result<(), EncodeError> {
                w.$put(*self);
                Ok(())
            }

            #[inline]
            fn len_min(_: Shape) -> usize {
                $len
            }
        }
    )*};
}

fixed_size! {
    bool, 1, read_bool, put_bool;
    i8, 1, read_i8, put_i8;
    i16, 2, read_i16, put_i16;
    i32, 4, read_i32, put_i32;
    i64, 8, read_i64, put_i64;
    Uuid, 16, read_uuid, put_uuid;
}

impl Wire for ErrorCode {
    fn read(r: &mut Reader, _: Shape, _: bool) -> Result<Self, DecodeError> {
        r.read_i16().map(ErrorCode::from_i16)
    }

    fn write(&self, w: &mut Writer, _: Shape) -> Result<(), EncodeError> {
        w.put_i16(self.as_i16());
        Ok(())
    }

    fn len_min(_: Shape) -> usize {
        2
    }
}

/// Bytes of the shortest length field of strings.
const fn string_len_min(shape: Shape) -> usize {
    if shape.flexible { 1 } else { 2 }
}

/// Bytes of the shortest length field of arrays, bytes and records.
const fn array_len_min(shape: Shape) -> usize {
    if shape.flexible { 1 } else { 4 }
}

/// A required value must be there; an optional one may be null from some version on.
fn check_null<T>(value: Option<T>, nullable: bool) -> Result<Option<T>, DecodeError> {
    if value.is_none() && !nullable { Err(DecodeError::UnexpectedNull) } else { Ok(value) }
}

impl Wire for Option<KString> {
    fn read(r: &mut Reader, shape: Shape, nullable: bool) -> Result<Self, DecodeError> {
        check_null(r.read_nullable_string(shape.flexible)?, nullable)
    }

    fn write(&self, w: &mut Writer, shape: Shape) -> Result<(), EncodeError> {
        w.put_nullable_string(self.as_deref(), shape.flexible)
    }

    fn len_min(shape: Shape) -> usize {
        string_len_min(shape)
    }

    fn is_null(&self) -> bool {
        self.is_none()
    }
}

impl Wire for KString {
    fn read(r: &mut Reader, shape: Shape, _: bool) -> Result<Self, DecodeError> {
        r.read_nullable_string(shape.flexible)?.ok_or(DecodeError::UnexpectedNull)
    }

    fn write(&self, w: &mut Writer, shape: Shape) -> Result<(), EncodeError> {
        w.put_nullable_string(Some(self), shape.flexible)
    }

    fn len_min(shape: Shape) -> usize {
        string_len_min(shape)
    }
}

impl Wire for Bytes {
    fn read(r: &mut Reader, shape: Shape, _: bool) -> Result<Self, DecodeError> {
        r.read_nullable_bytes(shape.flexible)?.ok_or(DecodeError::UnexpectedNull)
    }

    fn write(&self, w: &mut Writer, shape: Shape) -> Result<(), EncodeError> {
        w.put_len(Some(self.len()), shape.flexible)?;
        w.put_chunk(self);
        Ok(())
    }

    fn len_min(shape: Shape) -> usize {
        array_len_min(shape)
    }
}

impl Wire for Option<Bytes> {
    fn read(r: &mut Reader, shape: Shape, nullable: bool) -> Result<Self, DecodeError> {
        check_null(r.read_nullable_bytes(shape.flexible)?, nullable)
    }

    fn write(&self, w: &mut Writer, shape: Shape) -> Result<(), EncodeError> {
        w.put_len(self.as_ref().map(Bytes::len), shape.flexible)?;
        if let Some(bytes) = self {
            w.put_chunk(bytes);
        }
        Ok(())
    }

    fn len_min(shape: Shape) -> usize {
        array_len_min(shape)
    }

    fn is_null(&self) -> bool {
        self.is_none()
    }
}

impl Wire for Option<Rope> {
    fn read(r: &mut Reader, shape: Shape, nullable: bool) -> Result<Self, DecodeError> {
        let Some(bytes) = check_null(r.read_nullable_bytes(shape.flexible)?, nullable)? else {
            return Ok(None);
        };
        // The rope's list of one chunk.
        r.charge(size_of::<Bytes>())?;
        Ok(Some(Rope::from(bytes)))
    }

    fn write(&self, w: &mut Writer, shape: Shape) -> Result<(), EncodeError> {
        w.put_len(self.as_ref().map(Rope::len), shape.flexible)?;
        if let Some(rope) = self {
            w.put_rope(rope);
        }
        Ok(())
    }

    fn len_min(shape: Shape) -> usize {
        array_len_min(shape)
    }

    fn is_null(&self) -> bool {
        self.is_none()
    }
}

fn read_nullable_vec<T: Wire>(r: &mut Reader, shape: Shape) -> Result<Option<Vec<T>>, DecodeError> {
    let Some(count) = r.read_len(shape.flexible)? else {
        return Ok(None);
    };
    let mut elements = r.reserve(count, T::len_min(shape))?;
    for _ in 0..count {
        elements.push(T::read(r, shape, false)?);
    }
    Ok(Some(elements))
}

fn write_vec<T: Wire>(elements: &[T], w: &mut Writer, shape: Shape) -> Result<(), EncodeError> {
    w.put_len(Some(elements.len()), shape.flexible)?;
    elements.iter().try_for_each(|element| element.write(w, shape))
}

impl<T: Wire> Wire for Vec<T> {
    fn read(r: &mut Reader, shape: Shape, _: bool) -> Result<Self, DecodeError> {
        read_nullable_vec(r, shape)?.ok_or(DecodeError::UnexpectedNull)
    }

    fn write(&self, w: &mut Writer, shape: Shape) -> Result<(), EncodeError> {
        write_vec(self, w, shape)
    }

    fn len_min(shape: Shape) -> usize {
        array_len_min(shape)
    }
}

impl<T: Wire> Wire for Option<Vec<T>> {
    fn read(r: &mut Reader, shape: Shape, nullable: bool) -> Result<Self, DecodeError> {
        check_null(read_nullable_vec(r, shape)?, nullable)
    }

    fn write(&self, w: &mut Writer, shape: Shape) -> Result<(), EncodeError> {
        match self {
            Some(elements) => write_vec(elements, w, shape),
            None => w.put_len(None, shape.flexible),
        }
    }

    fn len_min(shape: Shape) -> usize {
        array_len_min(shape)
    }

    fn is_null(&self) -> bool {
        self.is_none()
    }
}

/// A nullable struct: a byte first, negative for null, as Kafka's generated code reads and writes it (KIP-893).
impl<T: Struct> Wire for Option<T> {
    fn read(r: &mut Reader, shape: Shape, nullable: bool) -> Result<Self, DecodeError> {
        let value = if r.read_i8()? < 0 { None } else { Some(T::read(r, shape, false)?) };
        check_null(value, nullable)
    }

    fn write(&self, w: &mut Writer, shape: Shape) -> Result<(), EncodeError> {
        let Some(value) = self else {
            w.put_i8(-1);
            return Ok(());
        };
        w.put_i8(1);
        value.write(w, shape)
    }

    fn len_min(_: Shape) -> usize {
        1
    }

    fn is_null(&self) -> bool {
        self.is_none()
    }
}

/// The tagged fields of one struct while they are written: encoded apart, because their count and sizes come first.
/// Allocates only when there is a field to write.
#[derive(Default)]
pub(crate) struct TaggedFields {
    count: u32,
    encoded: Writer,
}

impl TaggedFields {
    /// Adds a field. Tags must be added in ascending order (KIP-482).
    pub(crate) fn add(&mut self, tag: u32, value: &impl Wire, shape: Shape) -> Result<(), EncodeError> {
        let mut body = Writer::default();
        value.write(&mut body, shape)?;
        let len = body.len();
        let short = u32::try_from(len).map_err(|_| EncodeError::TooLong { len, max: 0x7fff_ffff })?;
        self.encoded.put_uvarint(tag);
        self.encoded.put_uvarint(short);
        self.encoded.put_rope(&body.finish());
        self.count = self.count.saturating_add(1);
        Ok(())
    }

    /// Writes the count and the fields: the end of every flexible struct.
    pub(crate) fn write(self, w: &mut Writer) {
        w.put_uvarint(self.count);
        if self.count > 0 {
            w.put_rope(&self.encoded.finish());
        }
    }
}
