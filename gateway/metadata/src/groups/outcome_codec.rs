//! Outcomes of groups under the rolling hash (L9): a tag (u8) and the fields. Part of the feature level (I-12).

use super::outcome::{CommitRefusal, GroupOutcome, GroupRefusal, JoinOutcome};
use crate::wire::Writer;

impl GroupOutcome {
    pub(crate) fn write(&self, writer: &mut Writer) {
        match self {
            Self::Joined { group, member, joined } => {
                writer.u8(1);
                writer.varint(group.0);
                writer.varint(member.0);
                joined.write(writer);
            }
            Self::Synced => writer.u8(2),
            Self::TookOver => writer.u8(3),
            Self::Left(removed) => {
                writer.u8(4);
                writer.count(removed.len());
                removed.iter().for_each(|removed| writer.u8(u8::from(*removed)));
            }
            Self::MemberExpired => writer.u8(5),
            Self::PhaseCompleted => writer.u8(6),
            Self::Committed(exceptions) => {
                writer.u8(7);
                writer.count(exceptions.len());
                for exception in exceptions {
                    writer.varint(u64::from(exception.index));
                    exception.reason.write(writer);
                }
            }
            Self::OffsetsDeleted { count, group_deleted } => {
                writer.u8(8);
                writer.varint(*count);
                writer.u8(u8::from(*group_deleted));
            }
            Self::GroupDeleted => writer.u8(9),
            Self::Refused(refusal) => {
                writer.u8(10);
                writer.u8(refusal.tag());
            }
            Self::Mismatch => writer.u8(11),
        }
    }
}

impl JoinOutcome {
    fn write(self, writer: &mut Writer) {
        match self {
            Self::Registered => writer.u8(1),
            Self::Waiting { generation } => {
                writer.u8(2);
                writer.zigzag(i64::from(generation));
            }
            Self::Current { replaced } => {
                writer.u8(3);
                writer.u8(u8::from(replaced));
            }
        }
    }
}

impl CommitRefusal {
    fn write(self, writer: &mut Writer) {
        match self {
            Self::Overtaken { stored } => {
                writer.u8(1);
                writer.zigzag(stored);
            }
            Self::UnknownPartition => writer.u8(2),
            Self::LimitReached => writer.u8(3),
        }
    }
}

impl GroupRefusal {
    fn tag(self) -> u8 {
        match self {
            Self::GroupNotFound => 1,
            Self::UnknownMember => 2,
            Self::FencedInstance => 3,
            Self::IllegalGeneration => 4,
            Self::RebalanceInProgress => 5,
            Self::InconsistentProtocol => 6,
            Self::GroupFull => 7,
            Self::NotEmpty => 8,
            Self::LimitReached => 9,
            Self::Malformed => 10,
        }
    }
}
