//! What the tests of this crate build on: one log with one replica, and strategies for entries of any content.

#![allow(clippy::unwrap_used)]

use proptest::collection::vec;
use proptest::prelude::*;
use uuid::Uuid;

use crate::groups::any_group_command;
use crate::{
    Applied, BatchProducer, BatchRef, BatchVerdict, Command, CommittedRun, ConfigResource, DeleteRecordsRun, Entry,
    Identity, Incarnation, ObjectId, Outcome, PartitionKey, Position, SessionId, State, invariants,
};

/// A replica that applies what it is given at the next position, and checks every invariant each time.
pub(crate) struct Replay {
    pub(crate) state: State,
}

impl Replay {
    pub(crate) fn new() -> Self {
        Self { state: State::new(Incarnation(0x5151)) }
    }

    /// A replica with one open session.
    pub(crate) fn opened() -> (Self, SessionId) {
        let mut replay = Self::new();
        let session = replay.open(1);
        (replay, session)
    }

    /// A replica with one open session and the topic "t" of three partitions.
    pub(crate) fn with_topic() -> (Self, SessionId) {
        let (mut replay, session) = Self::opened();
        replay.one(session, create_topic(1, "t", 3));
        (replay, session)
    }

    pub(crate) fn apply(&mut self, identity: Option<Identity>, commands: Vec<Command>) -> Applied {
        let entry = Entry { known: self.state.known(), hash_at_known: self.state.hash(), commands };
        let applied = self.state.apply(self.state.known().next(), identity, Some(&entry)).unwrap();
        assert_eq!(invariants::check(&self.state), Ok(()));
        applied
    }

    pub(crate) fn open(&mut self, nonce: u128) -> SessionId {
        let applied = self.apply(None, vec![open_session(nonce)]);
        assert_eq!(applied.outcomes, [Outcome::SessionOpened { session: SessionId(applied.position) }]);
        SessionId(applied.position)
    }

    /// Applies commands under the session's next sequence.
    pub(crate) fn send(&mut self, session: SessionId, commands: Vec<Command>) -> Applied {
        let sequence = self.state.session(session).unwrap().last_sequence + 1;
        self.apply(Some(Identity { session, sequence }), commands)
    }

    pub(crate) fn one(&mut self, session: SessionId, command: Command) -> Outcome {
        self.send(session, vec![command]).outcomes.remove(0)
    }

    /// Produces these batches to partition 0 of "t", as one run of a new object.
    pub(crate) fn produce(&mut self, session: SessionId, batches: Vec<BatchRef>) -> Vec<BatchVerdict> {
        let Outcome::Produced(mut verdicts) = self.one(session, produce(vec![run(0, 0, batches)])) else {
            panic!("a Produce is answered by verdicts");
        };
        verdicts.remove(0)
    }
}

pub(crate) const fn topic_id(topic: u128) -> Uuid {
    Uuid::from_u128(topic)
}

pub(crate) const fn key(partition: i32) -> PartitionKey {
    PartitionKey { topic_id: topic_id(1), partition }
}

pub(crate) fn open_session(nonce: u128) -> Command {
    Command::OpenSession { nonce, feature_level: 1, opened_at_ms: 5, name: "host:9092".to_owned() }
}

pub(crate) fn create_topic(id: u128, name: &str, partitions: u32) -> Command {
    Command::CreateTopic {
        topic_id: topic_id(id),
        name: name.to_owned(),
        partitions,
        configs: vec![("retention.ms".to_owned(), "60000".to_owned())],
        created_at_ms: 7,
    }
}

pub(crate) fn object(nonce: u64) -> ObjectId {
    ObjectId { session: SessionId(Position::new(0, 1)), nonce }
}

pub(crate) fn produce(runs: Vec<CommittedRun>) -> Command {
    Command::Produce { object: object(9), object_bytes: 1 << 40, runs }
}

/// A run of topic 1.
pub(crate) fn run(partition: i32, start: u64, batches: Vec<BatchRef>) -> CommittedRun {
    CommittedRun { topic_id: topic_id(1), partition, start, batches }
}

/// A batch of 100 bytes without a producer.
pub(crate) fn plain(records: u32) -> BatchRef {
    BatchRef { records, bytes: 100, producer: None, max_timestamp: 1_000 }
}

/// A batch of 100 bytes of producer 77.
pub(crate) fn sequenced(epoch: i16, base_sequence: i32, records: u32) -> BatchRef {
    let producer = Some(BatchProducer { id: 77, epoch, base_sequence });
    BatchRef { producer, max_timestamp: i64::from(base_sequence), ..plain(records) }
}

/// An AlterConfigs of these pairs.
pub(crate) fn alter(resource: ConfigResource, seen: Position, pairs: &[(&str, &str)]) -> Command {
    let configs = pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    Command::AlterConfigs { resource, seen, configs }
}

/// A deletion below an offset of a partition of topic 1.
pub(crate) fn below(partition: i32, before_offset: impl Into<Option<i64>>) -> DeleteRecordsRun {
    DeleteRecordsRun { topic_id: topic_id(1), partition, before_offset: before_offset.into() }
}

fn any_position() -> impl Strategy<Value = Position> {
    prop_oneof![(0..6_u64).prop_map(|index| Position::new(0, index)), any::<u64>().prop_map(Position::from_raw)]
}

fn any_topic() -> impl Strategy<Value = Uuid> {
    prop_oneof![4 => (0..4_u128).prop_map(topic_id), 1 => any::<u128>().prop_map(topic_id)]
}

fn any_batch() -> impl Strategy<Value = BatchRef> {
    let small = (0..3_u32, 0..3_i64, -1..2_i16, 0..6_i32).prop_map(|(records, id, epoch, base_sequence)| BatchRef {
        producer: Some(BatchProducer { id, epoch, base_sequence }),
        ..plain(records)
    });
    let wild = any::<(u32, u32, Option<(i64, i16, i32)>, i64)>().prop_map(|(records, bytes, p, max_timestamp)| {
        let producer = p.map(|(id, epoch, base_sequence)| BatchProducer { id, epoch, base_sequence });
        BatchRef { records, bytes, producer, max_timestamp }
    });
    prop_oneof![3 => small, 1 => wild]
}

fn any_run() -> impl Strategy<Value = CommittedRun> {
    let start = prop_oneof![0..1_000_u64, any::<u64>()];
    let partition = prop_oneof![8 => -1..4_i32, 1 => any::<i32>()];
    (any_topic(), partition, start, vec(any_batch(), 0..5))
        .prop_map(|(topic_id, partition, start, batches)| CommittedRun { topic_id, partition, start, batches })
}

fn any_alteration() -> impl Strategy<Value = Command> {
    let broker = prop_oneof![3 => -1..2_i32, 1 => any::<i32>()].prop_map(ConfigResource::Broker);
    let resource =
        prop_oneof![2 => any_topic().prop_map(ConfigResource::Topic), 1 => Just(ConfigResource::Cluster), 2 => broker];
    let seen = prop_oneof![2 => Just(Position::ZERO), 3 => any_position()];
    (resource, seen, vec(("[a-z.]{0,12}", ".{0,12}"), 0..3))
        .prop_map(|(resource, seen, configs)| Command::AlterConfigs { resource, seen, configs })
}

fn any_deletion() -> impl Strategy<Value = Command> {
    let partition = prop_oneof![8 => -1..4_i32, 1 => any::<i32>()];
    let offset = prop_oneof![3 => (0..12_i64).prop_map(Some), 1 => any::<Option<i64>>()];
    let run = (any_topic(), partition, offset).prop_map(|(topic_id, partition, before_offset)| DeleteRecordsRun {
        topic_id,
        partition,
        before_offset,
    });
    vec(run, 0..5).prop_map(|runs| Command::DeleteRecords { runs })
}

/// Commands of every kind: sensible, refused and absurd ones.
pub(crate) fn any_command() -> impl Strategy<Value = Command> {
    let open =
        (any::<u128>(), 0..3_u16, any::<i64>(), ".{0,20}").prop_map(|(nonce, feature_level, opened_at_ms, name)| {
            Command::OpenSession { nonce, feature_level, opened_at_ms, name }
        });
    let close = (any_position(), any_position())
        .prop_map(|(session, last_append)| Command::CloseSession { session: SessionId(session), last_append });
    let config = ("[a-z.]{0,12}", ".{0,12}");
    let create = (any_topic(), "[a-c._ ]{0,4}", 0..5_u32, vec(config, 0..3), any::<i64>()).prop_map(
        |(topic_id, name, partitions, configs, created_at_ms)| Command::CreateTopic {
            topic_id,
            name,
            partitions,
            configs,
            created_at_ms,
        },
    );
    let object = (any_position(), any::<u64>());
    let object_bytes = prop_oneof![0..2_000_u64, any::<u64>()];
    let produce = (object, object_bytes, vec(any_run(), 0..5)).prop_map(|(object, object_bytes, runs)| {
        let object = ObjectId { session: SessionId(object.0), nonce: object.1 };
        Command::Produce { object, object_bytes, runs }
    });
    let count = prop_oneof![0..10_u32, any::<u32>()];
    let allocate = count.prop_map(|count| Command::AllocateProducerIds { count });
    let group = any_group_command().prop_map(Command::Group);
    let delete = any_topic().prop_map(|topic_id| Command::DeleteTopic { topic_id });
    let grown = prop_oneof![9 => 0..9_u32, 1 => any::<u32>()];
    let grow = (any_topic(), grown).prop_map(|(topic_id, count)| Command::CreatePartitions { topic_id, count });
    prop_oneof![
        1 => open, 1 => close, 2 => create, 6 => produce, 1 => allocate, 6 => group, 1 => delete,
        3 => any_alteration(), 1 => grow, 2 => any_deletion(),
    ]
}

/// Entries of any content.
pub(crate) fn any_entry() -> impl Strategy<Value = Entry> {
    (any_position(), any::<u128>(), vec(any_command(), 0..5)).prop_map(|(known, hash_at_known, commands)| Entry {
        known,
        hash_at_known,
        commands,
    })
}
