//! Requests and answers of the group APIs with symbols in the places of names.
//!
//! Promises: two brokers that behave the same give equal answers, whatever ids they draw and in whatever order they list
//! things. Never: bytes (that is `wire`), or what is right (that is `model`). Used by every other module.

/// A request in flight, numbered in the order of sending.
pub type Ticket = u32;

/// A client: the scripts have six. Its client id is `m0` to `m5`.
pub type Slot = u8;

/// A group of the script.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Group {
    /// A group that members join.
    Live(u8),
    /// A group that nobody ever joins or commits to.
    Missing,
    /// The empty name.
    Nameless,
}

/// A member id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Id {
    /// The empty id.
    Nobody,
    /// An id the coordinator never gave.
    Bogus,
    /// The id that the coordinator gave for this Join.
    Of(Ticket),
    /// An id that was given for a Join still unanswered, or, in an observed answer, one nobody has seen before.
    Unseen,
}

/// A topic of the script.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Topic {
    /// Three partitions.
    A,
    /// Two partitions.
    B,
    /// There is none of this name.
    Unknown,
}

impl Topic {
    /// How many partitions it has.
    #[must_use]
    pub fn partitions(self) -> i32 {
        match self {
            Topic::A => 3,
            Topic::B => 2,
            Topic::Unknown => 0,
        }
    }
}

/// A protocol that a member offers: its name and metadata.
pub type Protocol = (&'static str, Vec<u8>);

/// A partition's part of a commit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Commit {
    /// The topic.
    pub topic: Topic,
    /// The partition.
    pub partition: i32,
    /// The offset.
    pub offset: i64,
    /// The leader epoch, or −1.
    pub epoch: i32,
    /// The metadata, or null.
    pub metadata: Option<String>,
}

/// Partitions asked for, by topic.
pub type Partitions = Vec<(Topic, Vec<i32>)>;

/// What is asked, in terms of one version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// Version of the API.
    pub version: i16,
    /// Who asks: its client id.
    pub slot: Slot,
    /// The rest.
    pub body: Body,
}

/// What is asked.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(missing_docs, reason = "Kafka's names for Kafka's fields")]
pub enum Body {
    Join {
        group: Group,
        id: Id,
        instance: Option<u8>,
        session_ms: i32,
        kind: &'static str,
        protocols: Vec<Protocol>,
    },
    Sync {
        group: Group,
        generation: i32,
        id: Id,
        instance: Option<u8>,
        kind: Option<&'static str>,
        protocol: Option<&'static str>,
        assignments: Vec<(Id, Vec<u8>)>,
    },
    Heartbeat {
        group: Group,
        generation: i32,
        id: Id,
        instance: Option<u8>,
    },
    Leave {
        group: Group,
        members: Vec<(Id, Option<u8>)>,
    },
    Commit {
        group: Group,
        generation: i32,
        id: Id,
        instance: Option<u8>,
        commits: Vec<Commit>,
    },
    Fetch {
        groups: Vec<(Group, Option<Partitions>)>,
        stable: bool,
    },
    DeleteOffsets {
        group: Group,
        partitions: Partitions,
    },
    Describe {
        groups: Vec<Group>,
    },
    List {
        states: Vec<&'static str>,
        types: Vec<&'static str>,
    },
    Delete {
        groups: Vec<Group>,
    },
}

/// A committed offset as it is fetched: offset, leader epoch, metadata, error code.
pub type Fetched = (Topic, i32, i64, i32, String, i16);

/// One member in a description.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
#[allow(missing_docs, reason = "Kafka's names for Kafka's fields")]
pub struct Described {
    pub id: Id,
    pub instance: Option<String>,
    pub client_id: String,
    pub metadata: Vec<u8>,
    pub assignment: Vec<u8>,
}

/// A group in a description.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
#[allow(missing_docs, reason = "Kafka's names for Kafka's fields")]
pub struct DescribedGroup {
    pub group: Group,
    pub error: i16,
    pub state: String,
    pub kind: String,
    pub protocol: String,
    pub members: Vec<Described>,
}

/// An answer, or what an answer must be. Lists whose order says nothing are sorted.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
#[allow(missing_docs, reason = "Kafka's names for Kafka's fields")]
pub enum Answer {
    Join {
        error: i16,
        generation: i32,
        kind: Option<String>,
        protocol: Option<String>,
        leader: Id,
        skip: bool,
        id: Id,
        members: Vec<(Id, Option<String>, Vec<u8>)>,
    },
    Sync {
        error: i16,
        kind: Option<String>,
        protocol: Option<String>,
        assignment: Vec<u8>,
    },
    Heartbeat(i16),
    Leave {
        error: i16,
        members: Vec<(Id, Option<String>, i16)>,
    },
    Commit(Vec<(Topic, i32, i16)>),
    Fetch(Vec<(Group, i16, Vec<Fetched>)>),
    DeleteOffsets {
        error: i16,
        partitions: Vec<(Topic, i32, i16)>,
    },
    Describe(Vec<DescribedGroup>),
    List {
        error: i16,
        groups: Vec<(Group, String, String, String)>,
    },
    Delete(Vec<(Group, i16)>),
}

/// Name of a static member.
#[must_use]
pub fn instance_name(instance: u8) -> String {
    format!("i{instance}")
}
