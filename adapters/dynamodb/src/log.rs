//! The metadata log: an append is one update of the head, a read is the head and the chunks before it.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use aws_sdk_dynamodb::config::http::HttpResponse;
use aws_sdk_dynamodb::error::SdkError;
use aws_sdk_dynamodb::operation::update_item::{UpdateItemError, UpdateItemOutput};
use aws_sdk_dynamodb::types::{AttributeValue, ReturnValue, ReturnValuesOnConditionCheckFailure};
use bytes::Bytes;
use sluice_runtime::SharedEntropy;
use sluice_store::{
    Appended, BodyRef, Consistency, Element, Incarnation, LogCapabilities, LogPosition, MetadataLog, Payload, Sealed,
    Staged, StoreError, StoreErrorKind, StoreResult, Tail, TailRead,
};
use tokio::sync::Mutex;

use crate::bodies;
use crate::chunks::Rolled;
use crate::classify::Effect;
use crate::config::{self, DynamoDbConfig};
use crate::create;
use crate::head::{self, Head};
use crate::layout;
use crate::table::{LogTable, missing_head};

/// Rolls that an append tries before it is sent to a heavy head (L5). Each moves up to 256 elements, and the others roll as
/// well: an append that waited until they all had enough might wait for ever.
const ROLLS_BEFORE_APPEND: usize = 3;

/// The metadata log in one DynamoDB table.
pub struct DynamoDbLog {
    table: Arc<LogTable>,
    entropy: SharedEntropy,
    /// Held by whoever rolls: at most one roll per process at a time. What it holds is after the beginning of the last head
    /// that was rolled: one that begins before has been cut since it was seen.
    rolling: Arc<Mutex<LogPosition>>,
    /// Size of the head when it was last seen. Only says when to look again: stale values are harmless.
    head_bytes_seen: AtomicUsize,
}

impl fmt::Debug for DynamoDbLog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DynamoDbLog(table `{}`, incarnation {})", self.table.name, self.table.incarnation)
    }
}

impl DynamoDbLog {
    /// Opens the log that is in the table, and learns its incarnation (L8).
    ///
    /// # Errors
    /// `Invalid` when the table or the head is missing (the message names `--create`) or has another format; those of
    /// any read.
    pub async fn open(config: DynamoDbConfig, entropy: SharedEntropy) -> StoreResult<Arc<Self>> {
        let client = config::client(&config).await?;
        let name = config.metadata_table();
        let place = config.endpoint.as_deref().unwrap_or("Amazon's endpoint");
        let what = format!("open the metadata log at {place}");
        let head = head::read_any(&client, &name, Consistency::Strong, &what).await?;
        let limits = config.roll.bounded();
        Ok(Arc::new(Self {
            table: Arc::new(LogTable { client, name, incarnation: head.incarnation, limits }),
            entropy,
            rolling: Arc::new(Mutex::new(LogPosition::ZERO)),
            head_bytes_seen: AtomicUsize::new(head.bytes()),
        }))
    }

    /// Makes the table and an empty log in it, as far as they are missing, and opens it. Can be repeated.
    ///
    /// # Errors
    /// `Unavailable` when the table is not active within a minute; those of `open` and of any write.
    pub async fn create(config: DynamoDbConfig, entropy: SharedEntropy) -> StoreResult<Arc<Self>> {
        let client = config::client(&config).await?;
        let name = config.metadata_table();
        create::ensure_table(&client, &name, [layout::PK, layout::SK]).await?;
        create::ensure_head(&client, &name, Incarnation(entropy.next_u128())).await?;
        Self::open(config, entropy).await
    }

    /// Sends one append (L1: exactly one request). The condition makes it an append to this log and no other (L8), and
    /// never to conflict with another append.
    async fn send_append(&self, elements: Vec<AttributeValue>) -> Result<UpdateItemOutput, AppendError> {
        let table = &self.table;
        let request = table
            .client
            .update_item()
            .table_name(&table.name)
            .set_key(Some(layout::head_key().into_item()))
            .update_expression("SET #t = list_append(#t, :e)")
            .condition_expression("attribute_exists(#b) AND #i = :i AND #f = :f")
            .expression_attribute_names("#t", layout::TAIL)
            .expression_attribute_names("#b", layout::FIRST)
            .expression_attribute_names("#i", layout::INCARNATION)
            .expression_attribute_names("#f", layout::FORMAT_NUMBER)
            .expression_attribute_values(":e", AttributeValue::L(elements))
            .expression_attribute_values(":i", AttributeValue::S(table.incarnation.to_string()))
            .expression_attribute_values(":f", layout::number(layout::FORMAT))
            .return_values(ReturnValue::AllNew)
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld);
        request.send().await.map_err(Box::new)
    }

    /// The error of an append. A refused condition says which: no head, or somebody else's (L8).
    fn classify_append(&self, error: AppendError) -> StoreError {
        let Some(UpdateItemError::ConditionalCheckFailedException(refused)) = error.as_service_error() else {
            return self.table.classify(*error, Effect::Write, "append to the log");
        };
        let parsed = refused.item().cloned().map(Head::parse);
        match parsed {
            None => missing_head(&self.table.name),
            Some(Ok(head)) => self.table.foreign(head.incarnation),
            Some(Err(error)) => error.with_kind(StoreErrorKind::Invalid),
        }
    }

    /// Appends; a head that has outgrown its item is rolled and the request sent again, for it certainly did not happen.
    async fn append_rolling(&self, elements: Vec<AttributeValue>) -> StoreResult<UpdateItemOutput> {
        if self.head_bytes_seen.load(Ordering::Relaxed) >= self.table.limits.head_bytes_hard {
            self.roll_before_append(false).await?;
        }
        let error = match self.send_append(elements.clone()).await {
            Ok(output) => return Ok(output),
            Err(error) => self.classify_append(error),
        };
        if error.kind() != StoreErrorKind::TooLarge {
            return Err(error);
        }
        self.roll_before_append(true).await?;
        self.send_append(elements).await.map_err(|error| {
            let error = self.classify_append(error);
            // Others have filled it again. It is the head that is too large and not the append: worth another try.
            if error.kind() == StoreErrorKind::TooLarge { error.with_kind(StoreErrorKind::Unavailable) } else { error }
        })
    }

    /// L5: at the hard limit everybody rolls before appending. `is_full`: DynamoDB says so, whatever our limit is.
    ///
    /// # Errors
    /// Never `Unknown`: the append did not happen, whatever came of the roll.
    async fn roll_before_append(&self, is_full: bool) -> StoreResult<()> {
        let mut rolling = self.rolling.lock().await;
        for rolls in 0..ROLLS_BEFORE_APPEND {
            let head = self.read_head(Consistency::Strong).await?;
            let must_roll = is_full && rolls == 0;
            if !must_roll && head.bytes() < self.table.limits.head_bytes_hard {
                return Ok(());
            }
            self.table.roll(&head).await.map_err(|error| match error.kind() {
                StoreErrorKind::Unknown => error.with_kind(StoreErrorKind::Unavailable),
                _ => error,
            })?;
            *rolling = head.first.next();
        }
        Ok(())
    }

    /// Rolls without holding up the append that found it necessary; not at all while another roll of ours is under way, or
    /// when that has cut this head before its answer came.
    fn roll_in_background(&self, head: Head) {
        let Ok(mut rolling) = Arc::clone(&self.rolling).try_lock_owned() else {
            return;
        };
        if head.first < *rolling {
            return;
        }
        let table = Arc::clone(&self.table);
        tokio::spawn(async move {
            // A failure costs nothing but a heavier head: the next appender over the threshold rolls.
            match table.roll(&head).await {
                Ok(()) => *rolling = head.first.next(),
                Err(error) => tracing::warn!(%error, first = head.first.0, "could not roll the metadata log"),
            }
        });
    }

    async fn read_head(&self, consistency: Consistency) -> StoreResult<Head> {
        let head = self.table.read_head(consistency).await?;
        self.head_bytes_seen.store(head.bytes(), Ordering::Relaxed);
        Ok(head)
    }

    /// Everything after `known`: from the head, or from chunks and the head; or the gap between them.
    async fn tail_after(&self, head: &Head, known: LogPosition) -> StoreResult<Result<Tail, LogPosition>> {
        let wanted = known.next();
        let mut tail = head.tail_from(wanted)?;
        if wanted >= head.first {
            return Ok(Ok(tail));
        }
        match self.table.read_chunks(wanted..head.first).await? {
            Rolled::Gap(position) => Ok(Err(position)),
            Rolled::Elements(mut elements) => {
                elements.append(&mut tail.elements);
                Ok(Ok(Tail { first: wanted, elements }))
            }
        }
    }

    /// What an accepted append says. It is in the log: nothing may become an error any more.
    async fn answer(&self, head: &Head, known: LogPosition) -> Appended {
        if head.end() <= known.next() {
            // Older than what is known, although it was just written: the next read judges that (L6).
            return Appended::CommittedTailUnread;
        }
        match self.tail_after(head, known).await {
            Ok(Ok(tail)) => Appended::Tail(tail),
            Ok(Err(_)) => Appended::CommittedTailUnread,
            Err(error) => {
                tracing::warn!(%error, known = known.0, "could not read the log before an append");
                Appended::CommittedTailUnread
            }
        }
    }
}

/// Boxed: the SDK's is large.
type AppendError = Box<SdkError<UpdateItemError, HttpResponse>>;

/// The elements as attributes, and their weight in the head.
///
/// # Errors
/// `Invalid` for none, or more than one append takes; `TooLarge` for more bytes.
fn encode_all(entries: &[Staged]) -> StoreResult<(Vec<AttributeValue>, usize)> {
    let max = config::APPEND_ELEMENTS_MAX;
    if entries.is_empty() || entries.len() > max {
        let message = format!("append of {} elements: 1 to {max} are one request", entries.len());
        return Err(StoreError::new(StoreErrorKind::Invalid, message));
    }
    let encoded: Vec<_> = entries.iter().map(|staged| layout::encode_element(&staged.element)).collect();
    let bytes = encoded.iter().map(|element| element.len() + 1).sum();
    if bytes > config::APPEND_BYTES_MAX {
        return Err(StoreError::new(StoreErrorKind::TooLarge, format!("append of {bytes} bytes in one request")));
    }
    Ok((encoded.into_iter().map(layout::binary).collect(), bytes))
}

#[async_trait]
impl MetadataLog for DynamoDbLog {
    fn incarnation(&self) -> Incarnation {
        self.table.incarnation
    }

    async fn stage(&self, entry: &Sealed) -> StoreResult<Staged> {
        let payload = if entry.bytes.len() <= config::INLINE_BYTES_MAX {
            Payload::Inline(entry.bytes.clone())
        } else {
            let [_, _, _, _, salt @ ..] = self.entropy.next_u64().to_be_bytes();
            let body = bodies::pointer(entry, u32::from_be_bytes(salt))?;
            self.table.write_body(&body, &entry.bytes).await?;
            Payload::Body(body)
        };
        Ok(Staged { element: Element { session: entry.session, sequence: entry.sequence, payload } })
    }

    async fn append(&self, entries: &[Staged], known: LogPosition) -> StoreResult<Appended> {
        let (elements, bytes) = encode_all(entries)?;
        let output = self.append_rolling(elements).await?;
        let head = match output.attributes.map(Head::parse) {
            Some(Ok(head)) => head,
            Some(Err(error)) => {
                tracing::error!(%error, "an append was answered with a head that makes no sense");
                return Ok(Appended::CommittedTailUnread);
            }
            None => return Ok(Appended::CommittedTailUnread),
        };
        self.head_bytes_seen.store(head.bytes(), Ordering::Relaxed);
        let answer = self.answer(&head, known).await;
        if self.table.limits.calls_for_roll(&head, entries.len(), bytes) {
            self.roll_in_background(head);
        }
        Ok(answer)
    }

    async fn read(&self, known: LogPosition, consistency: Consistency) -> StoreResult<TailRead> {
        let mut head = self.read_head(consistency).await?;
        if head.end() <= known {
            // L6: an eventual answer may be older than what is known, and says nothing then.
            if consistency == Consistency::Eventual {
                return Ok(TailRead::Tail(Tail { first: known.next(), elements: Vec::new() }));
            }
            head = self.read_head(Consistency::Strong).await?;
            if head.end() <= known {
                let end = head.end();
                let message =
                    format!("the log ends before position {end}, but {known} was read from it: a rollback (L6)");
                return Err(layout::corrupt(message));
            }
        }
        let gap = match self.tail_after(&head, known).await? {
            Ok(tail) => return Ok(TailRead::Tail(tail)),
            Err(gap) => gap,
        };
        // L6: judged by a strong read of the head that begins after the gap was found.
        let judge = self.read_head(Consistency::Strong).await?;
        if judge.snapshot.is_some_and(|position| position > known) {
            return Ok(TailRead::Trimmed);
        }
        Err(layout::corrupt(format!(
            "position {gap} is missing in the log after {known}, and no snapshot covers it (L6)"
        )))
    }

    async fn read_body(&self, body: &BodyRef) -> StoreResult<Bytes> {
        self.table.read_whole_body(body).await
    }

    fn capabilities(&self) -> LogCapabilities {
        LogCapabilities {
            name: "dynamodb",
            append_rate: Some(config::APPENDS_PER_S),
            inline_bytes_max: config::INLINE_BYTES_MAX,
            entry_bytes_max: config::ENTRY_BYTES_MAX,
            append_elements_max: config::APPEND_ELEMENTS_MAX,
        }
    }
}
