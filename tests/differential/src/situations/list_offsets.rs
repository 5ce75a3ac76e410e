//! ListOffsets: every special timestamp, and by time to the exact record.

use anyhow::Result;
use sluice_protocol::KString;
use sluice_protocol::messages::ListOffsetsRequest;
use sluice_protocol::messages::list_offsets::ListOffsetsPartition;
use sluice_records::{BatchBuilder, Compression};

use crate::batches::{TIMESTAMP_MS, batch, build};
use crate::requests::{To, list_offset, produce};
use crate::rows;
use crate::session::Session;
use crate::situation::{Situation, differs, family, situation};

/// A topic of two batches, three records each, a second apart, then one of a record in between in time.
fn filled(s: &mut Session) -> Result<KString> {
    let name = s.topic("a")?;
    let to = To::name(&name);
    s.prepare(9, &produce(&to, batch(&["a", "b", "c"])))?;
    let mut later = BatchBuilder::new().compression(Compression::Gzip);
    for at in [3_000, 9_000, 5_000] {
        later.push(TIMESTAMP_MS + at, None, Some(b"later"), &[]);
    }
    s.prepare(9, &produce(&to, later.build()?))?;
    s.prepare(9, &produce(&to, build(BatchBuilder::new(), &["g"])))?;
    Ok(name)
}

fn with(request: ListOffsetsRequest, change: fn(&mut ListOffsetsPartition)) -> ListOffsetsRequest {
    let mut request = request;
    request.topics.iter_mut().flat_map(|t| &mut t.partitions).for_each(change);
    request
}

pub(super) const ALL: &[Situation] = &[
    family("the end and the start of a partition", rows::LIST_OFFSETS, 1..=11, |s, v| {
        let name = filled(s)?;
        s.ask(v, &list_offset(&name, 0, -1));
        s.ask(v, &list_offset(&name, 0, -2));
        Ok(())
    }),
    family("offsets by time, to the record", rows::LIST_OFFSETS, 1..=11, |s, v| {
        let name = filled(s)?;
        for at in [-5_000, 0, 1, 1_000, 1_500, 2_001, 3_001, 5_000, 5_001, 9_000, 9_001] {
            s.ask(v, &list_offset(&name, 0, TIMESTAMP_MS + at));
        }
        s.ask(v, &list_offset(&name, 0, 0));
        s.ask(v, &list_offset(&name, 0, i64::MAX));
        Ok(())
    }),
    family("the record of the greatest timestamp", rows::LIST_OFFSETS, 7..=11, |s, v| {
        let name = filled(s)?;
        s.ask(v, &list_offset(&name, 0, -3));
        Ok(())
    }),
    family("the local, the tiered and the pending offset", rows::LIST_OFFSETS, 1..=11, |s, v| {
        let name = filled(s)?;
        for special in [-3, -4, -5, -6, -7, -100, i64::MIN] {
            s.ask(v, &list_offset(&name, 0, special));
        }
        Ok(())
    }),
    family("offsets of an empty partition", rows::LIST_OFFSETS, 1..=11, |s, v| {
        let name = s.topic("a")?;
        for special in [-1, -2, 0, TIMESTAMP_MS] {
            s.ask(v, &list_offset(&name, 0, special));
        }
        if v >= 7 {
            s.ask(v, &list_offset(&name, 0, -3));
        }
        Ok(())
    }),
    family("offsets of a topic or partition that is not there", rows::UNKNOWN_TOPIC, 1..=11, |s, v| {
        let name = s.topic("a")?;
        let none = s.name("none");
        s.ask(v, &list_offset(&name, 1, -1));
        s.ask(v, &list_offset(&name, -1, -1));
        s.ask(v, &list_offset(&none, 0, -1));
        s.ask(v, &list_offset(&KString::from("a b"), 0, -1));
        s.ask(v, &list_offset(&KString::from(""), 0, -1));
        Ok(())
    }),
    family("offsets with a leader epoch", rows::EPOCHS, 4..=11, |s, v| {
        let name = filled(s)?;
        s.ask(v, &with(list_offset(&name, 0, -1), |p| p.current_leader_epoch = 0));
        s.ask(v, &with(list_offset(&name, 0, -1), |p| p.current_leader_epoch = 9));
        s.ask(v, &with(list_offset(&name, 0, TIMESTAMP_MS), |p| p.current_leader_epoch = 9));
        Ok(())
    }),
    family("the end of what is committed", rows::COMMITTED, 2..=11, |s, v| {
        let name = filled(s)?;
        s.ask(v, &ListOffsetsRequest { isolation_level: 1, ..list_offset(&name, 0, -1) });
        s.ask(v, &ListOffsetsRequest { isolation_level: 1, ..list_offset(&name, 0, TIMESTAMP_MS + 9_000) });
        Ok(())
    }),
    family("offsets of nothing", "ListOffsets", 1..=11, |s, v| {
        let name = s.topic("a")?;
        s.ask(v, &ListOffsetsRequest { replica_id: -1, ..ListOffsetsRequest::default() });
        let mut none = list_offset(&name, 0, -1);
        none.topics[0].partitions.clear();
        s.ask(v, &none);
        Ok(())
    }),
    family("a partition that is asked for twice", "ListOffsets", 1..=11, |s, v| {
        let name = filled(s)?;
        let mut twice = list_offset(&name, 0, -1);
        twice.topics[0].partitions.extend(list_offset(&name, 0, -2).topics[0].partitions.clone());
        s.ask(v, &twice);
        Ok(())
    }),
    situation("a topic that is asked for twice", "ListOffsets", |s, _| {
        let name = filled(s)?;
        let mut twice = list_offset(&name, 0, -1);
        twice.topics.extend(list_offset(&name, 0, -2).topics);
        s.ask(6, &twice);
        Ok(())
    }),
    situation("offsets for a follower and for a debugger", "ListOffsets", |s, _| {
        let name = filled(s)?;
        s.ask(6, &ListOffsetsRequest { replica_id: 7, ..list_offset(&name, 0, -1) });
        s.ask(6, &ListOffsetsRequest { replica_id: -2, ..list_offset(&name, 0, -1) });
        Ok(())
    }),
    situation("an isolation level that there is not in ListOffsets", rows::COMMITTED, |s, _| {
        let name = filled(s)?;
        s.ask(6, &ListOffsetsRequest { isolation_level: 9, ..list_offset(&name, 0, -1) });
        Ok(())
    })
    .but(const { &[differs("D-41")] }),
    situation("offsets of several topics and partitions", "ListOffsets", |s, _| {
        let (a, b) = (filled(s)?, s.topic_with("b", 3, &[])?);
        let mut request = list_offset(&a, 0, -1);
        let mut more = list_offset(&b, 2, -1);
        more.topics[0].partitions.extend(list_offset(&b, 0, -2).topics[0].partitions.clone());
        request.topics.extend(more.topics);
        s.ask_shaped(6, &request, super::responses_sorted);
        Ok(())
    }),
];
