//! One topic.

use std::sync::Arc;

use imbl::OrdMap;
use uuid::Uuid;

use crate::Position;

/// A topic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Topic {
    /// Stable and never nil: newer Kafka APIs address topics by it.
    pub id: Uuid,
    /// Its name.
    pub name: Arc<str>,
    /// It has the partitions 0 to `partitions` − 1.
    pub partitions: u32,
    /// Configs that were set on it, by name.
    pub configs: OrdMap<String, String>,
    /// The entry that changed them last: the one that created the topic when none has since. It only grows.
    pub configs_changed_at: Position,
    /// The entry that created it.
    pub created_at: Position,
    /// Stamp of the gateway that created it, milliseconds since 1970 (T3).
    pub created_at_ms: i64,
}
