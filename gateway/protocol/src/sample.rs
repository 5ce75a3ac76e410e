//! Messages for tests: every field of a version gets a value that this version can carry.
//!
//! Behind feature `sample`. Arbitrary ones come from a string of bytes, so that a property test can shrink it; filled ones
//! have in each field what follows from its name and place, so that another program can fill the same message.

mod source;

pub use source::{Fill, Source};

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

/// What a field holds.
#[doc(hidden)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A value.
    Leaf,
    /// Fields.
    Struct,
    /// Structs or values that may be there or not.
    Container,
}

/// A type of which arbitrary values can be made.
pub trait Sample: Sized {
    /// What a message filled with defaults does with such a field.
    #[doc(hidden)]
    const KIND: Kind = Kind::Leaf;

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
        source.boolean()
    }
}

impl Sample for ErrorCode {
    fn sample(source: &mut Source<'_>, version: i16, _: bool) -> Self {
        Self::from_i16(Sample::sample(source, version, false))
    }
}

impl Sample for Uuid {
    fn sample(source: &mut Source<'_>, _: i16, _: bool) -> Self {
        Self::from_bytes(source.uuid())
    }
}

impl Sample for KString {
    fn sample(source: &mut Source<'_>, _: i16, _: bool) -> Self {
        Self::from(source.string())
    }
}

impl Sample for Option<KString> {
    fn sample(source: &mut Source<'_>, version: i16, nullable: bool) -> Self {
        (!source.is_null(nullable, Kind::Leaf)).then(|| Sample::sample(source, version, false))
    }
}

impl Sample for Bytes {
    fn sample(source: &mut Source<'_>, _: i16, _: bool) -> Self {
        source.blob()
    }
}

impl Sample for Option<Bytes> {
    fn sample(source: &mut Source<'_>, _: i16, nullable: bool) -> Self {
        (!source.is_null(nullable, Kind::Leaf)).then(|| source.blob())
    }
}

impl Sample for Option<Rope> {
    fn sample(source: &mut Source<'_>, _: i16, nullable: bool) -> Self {
        (!source.is_null(nullable, Kind::Leaf)).then(|| source.chunks())
    }
}

impl<T: Struct + Sample> Sample for Option<T> {
    const KIND: Kind = Kind::Container;

    fn sample(source: &mut Source<'_>, version: i16, nullable: bool) -> Self {
        (!source.is_null(nullable, Kind::Container)).then(|| Sample::sample(source, version, false))
    }
}

impl<T: Sample> Sample for Vec<T> {
    const KIND: Kind = Kind::Container;

    fn sample(source: &mut Source<'_>, version: i16, _: bool) -> Self {
        (0..source.count()).map(|index| source.element(index, version)).collect()
    }
}

impl<T: Sample> Sample for Option<Vec<T>> {
    const KIND: Kind = Kind::Container;

    fn sample(source: &mut Source<'_>, version: i16, nullable: bool) -> Self {
        (!source.is_null(nullable, Kind::Container)).then(|| Sample::sample(source, version, false))
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
