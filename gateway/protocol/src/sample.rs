//! Arbitrary messages, for tests: every field of a version gets a value that this version can carry.
//!
//! Behind feature `sample`. Values come from a string of bytes, so that a property test can shrink it.

use bytes::Bytes;
use uuid::Uuid;

use crate::error_code::ErrorCode;
use crate::kstring::KString;
use crate::message::Request;
use crate::messages::{
    AlterConfigsRequest, AlterPartitionReassignmentsRequest, ApiVersionsRequest, CreatePartitionsRequest,
    CreateTopicsRequest, DeleteGroupsRequest, DeleteRecordsRequest, DeleteTopicsRequest, DescribeClusterRequest,
    DescribeConfigsRequest, DescribeGroupsRequest, DescribeLogDirsRequest, DescribeProducersRequest,
    DescribeTopicPartitionsRequest, ElectLeadersRequest, FetchRequest, FindCoordinatorRequest, HeartbeatRequest,
    IncrementalAlterConfigsRequest, InitProducerIdRequest, JoinGroupRequest, LeaveGroupRequest,
    ListConfigResourcesRequest, ListGroupsRequest, ListOffsetsRequest, ListPartitionReassignmentsRequest,
    MetadataRequest, OffsetCommitRequest, OffsetDeleteRequest, OffsetFetchRequest, OffsetForLeaderEpochRequest,
    ProduceRequest, SyncGroupRequest,
};
use crate::rope::Rope;
use crate::wire::Struct;

/// Choices read from bytes; zeros when they have run out, which gives the smallest values.
#[derive(Debug)]
pub struct Source<'a> {
    bytes: std::slice::Iter<'a, u8>,
}

impl<'a> Source<'a> {
    /// Choices from `bytes`.
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { bytes: bytes.iter() }
    }

    fn byte(&mut self) -> u8 {
        self.bytes.next().copied().unwrap_or_default()
    }

    fn array<const N: usize>(&mut self) -> [u8; N] {
        std::array::from_fn(|_| self.byte())
    }

    /// Edge values as often as any others.
    fn integer(&mut self) -> i64 {
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

    fn is_null(&mut self, nullable: bool) -> bool {
        nullable && self.byte().is_multiple_of(4)
    }

    /// Some bytes; now and then enough of them to take another path of the writer.
    fn blob(&mut self) -> Bytes {
        let fill = self.byte();
        let len = match fill % 16 {
            0 => 0,
            1 => 1024,
            2 => 1500,
            small => usize::from(small) * 5,
        };
        Bytes::from(vec![fill; len])
    }
}

/// A type of which arbitrary values can be made.
pub trait Sample: Sized {
    /// A value that can be encoded in `version`; null only if `nullable`.
    fn sample(source: &mut Source<'_>, version: i16, nullable: bool) -> Self;
}

macro_rules! sample_integers {
    ($($type:ty),*) => {$(
        impl Sample for $type {
            fn sample(source: &mut Source<'_>, _: i16, _: bool) -> Self {
                // Low bytes are kept: the edge values are edges at every width.
                source.integer() as $type
            }
        }
    )*};
}
sample_integers!(i8, i16, i32, i64);

impl Sample for bool {
    fn sample(source: &mut Source<'_>, _: i16, _: bool) -> Self {
        source.byte() & 1 == 1
    }
}

impl Sample for ErrorCode {
    fn sample(source: &mut Source<'_>, version: i16, _: bool) -> Self {
        Self::from_i16(Sample::sample(source, version, false))
    }
}

impl Sample for Uuid {
    fn sample(source: &mut Source<'_>, _: i16, _: bool) -> Self {
        Self::from_bytes(source.array())
    }
}

impl Sample for KString {
    fn sample(source: &mut Source<'_>, _: i16, _: bool) -> Self {
        let choice = source.byte();
        Self::from(match choice % 8 {
            0 => String::new(),
            // A length that needs two bytes as a compact one.
            1 => "long".repeat(50),
            2 => "日本é".to_owned(),
            _ => format!("name-{choice}"),
        })
    }
}

impl Sample for Option<KString> {
    fn sample(source: &mut Source<'_>, version: i16, nullable: bool) -> Self {
        (!source.is_null(nullable)).then(|| Sample::sample(source, version, false))
    }
}

impl Sample for Bytes {
    fn sample(source: &mut Source<'_>, _: i16, _: bool) -> Self {
        source.blob()
    }
}

impl Sample for Option<Bytes> {
    fn sample(source: &mut Source<'_>, _: i16, nullable: bool) -> Self {
        (!source.is_null(nullable)).then(|| source.blob())
    }
}

impl Sample for Option<Rope> {
    fn sample(source: &mut Source<'_>, _: i16, nullable: bool) -> Self {
        (!source.is_null(nullable)).then(|| (0..source.byte() % 3).map(|_| source.blob()).collect())
    }
}

impl<T: Struct + Sample> Sample for Option<T> {
    fn sample(source: &mut Source<'_>, version: i16, nullable: bool) -> Self {
        (!source.is_null(nullable)).then(|| Sample::sample(source, version, false))
    }
}

impl<T: Sample> Sample for Vec<T> {
    fn sample(source: &mut Source<'_>, version: i16, _: bool) -> Self {
        (0..source.byte() % 4).map(|_| T::sample(source, version, false)).collect()
    }
}

impl<T: Sample> Sample for Option<Vec<T>> {
    fn sample(source: &mut Source<'_>, version: i16, nullable: bool) -> Self {
        (!source.is_null(nullable)).then(|| Sample::sample(source, version, false))
    }
}

/// Something done with every API.
pub trait Visitor {
    /// Called once per API.
    fn visit<R>(&mut self)
    where
        R: Request<Response: Sample> + Sample;
}

/// Shows every API of this crate to `visitor`, in order of the keys.
pub fn visit_all(visitor: &mut impl Visitor) {
    visitor.visit::<ProduceRequest>();
    visitor.visit::<FetchRequest>();
    visitor.visit::<ListOffsetsRequest>();
    visitor.visit::<MetadataRequest>();
    visitor.visit::<OffsetCommitRequest>();
    visitor.visit::<OffsetFetchRequest>();
    visitor.visit::<FindCoordinatorRequest>();
    visitor.visit::<JoinGroupRequest>();
    visitor.visit::<HeartbeatRequest>();
    visitor.visit::<LeaveGroupRequest>();
    visitor.visit::<SyncGroupRequest>();
    visitor.visit::<DescribeGroupsRequest>();
    visitor.visit::<ListGroupsRequest>();
    visitor.visit::<ApiVersionsRequest>();
    visitor.visit::<CreateTopicsRequest>();
    visitor.visit::<DeleteTopicsRequest>();
    visitor.visit::<DeleteRecordsRequest>();
    visitor.visit::<InitProducerIdRequest>();
    visitor.visit::<OffsetForLeaderEpochRequest>();
    visitor.visit::<DescribeConfigsRequest>();
    visitor.visit::<AlterConfigsRequest>();
    visitor.visit::<DescribeLogDirsRequest>();
    visitor.visit::<CreatePartitionsRequest>();
    visitor.visit::<DeleteGroupsRequest>();
    visitor.visit::<ElectLeadersRequest>();
    visitor.visit::<IncrementalAlterConfigsRequest>();
    visitor.visit::<AlterPartitionReassignmentsRequest>();
    visitor.visit::<ListPartitionReassignmentsRequest>();
    visitor.visit::<OffsetDeleteRequest>();
    visitor.visit::<DescribeClusterRequest>();
    visitor.visit::<DescribeProducersRequest>();
    visitor.visit::<ListConfigResourcesRequest>();
    visitor.visit::<DescribeTopicPartitionsRequest>();
}
