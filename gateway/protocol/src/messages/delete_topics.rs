//! DeleteTopics (key 20), versions 0–6.
//!
//! Version notes: 1 throttle time · 3 TOPIC_DELETION_DISABLED · 4 flexible · 5 error message (KIP-599) · 6 topics by name or
//! by id (KIP-516). Kafka 4 begins at version 1; the layout of 0 is that of Kafka 2.8.

use uuid::Uuid;

use crate::ErrorCode;
use crate::kstring::KString;
use crate::message::message;
use crate::wire::since;

message! {
    /// Deletes topics.
    request DeleteTopicsRequest -> DeleteTopicsResponse (DeleteTopics, 0..=6, flexible 4) {
        /// The topics, from version 6 on.
        topics: Vec<DeleteTopicState> => since(6);
        /// The topics, up to version 5.
        topic_names: Vec<KString> => since(0).until(5).ignorable();
        /// How long the answer may take, in milliseconds.
        timeout_ms: i32 => since(0);
    }
}

message! {
    /// A topic to delete, by name or by id.
    struct DeleteTopicState {
        /// Its name, or null.
        name: Option<KString> = None => since(6).nullable(6);
        /// Its id, or nil.
        topic_id: Uuid => since(6);
    }
}

message! {
    /// What became of the topics.
    struct DeleteTopicsResponse {
        /// How long the request was throttled, in milliseconds.
        throttle_time_ms: i32 => since(1).ignorable();
        /// One answer per topic.
        responses: Vec<DeletableTopicResult> => since(0);
    }
}

message! {
    /// What became of one topic.
    struct DeletableTopicResult {
        /// Its name. Null only from version 6 on, where an id is unknown; the default is the empty string.
        name: Option<KString> = Some(KString::new()) => since(0).nullable(6);
        /// Its id.
        topic_id: Uuid => since(6).ignorable();
        /// The error, if any.
        error_code: ErrorCode => since(0);
        /// Why, or null.
        error_message: Option<KString> = None => since(5).nullable(5).ignorable();
    }
}
