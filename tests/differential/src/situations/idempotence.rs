//! Idempotent producers, as far as they need no transaction.

use anyhow::{Context, Result};
use sluice_protocol::messages::InitProducerIdRequest;

use super::target;
use crate::batches::{batch_of, build};
use crate::requests::{To, fetch, produce};
use crate::rows;
use crate::session::Session;
use crate::situation::{Situation, differs, family, situation};

fn begin() -> InitProducerIdRequest {
    InitProducerIdRequest { transactional_id: None, transaction_timeout_ms: 60_000, ..InitProducerIdRequest::default() }
}

/// A topic and a producer id.
fn begun(s: &mut Session) -> Result<(To, i64)> {
    let to = target(s, "a", false)?;
    let answer = s.prepare(4, &begin())?;
    anyhow::ensure!(answer.error_code.is_none(), "no producer id");
    Ok((to, answer.producer_id))
}

fn one(s: &mut Session, to: &To, producer: (i64, i16), sequence: i32) {
    s.ask(9, &produce(to, batch_of(producer, sequence, &["x"])));
}

pub(super) const ALL: &[Situation] = &[
    family("a producer id is given", "InitProducerId", 0..=5, |s, v| {
        let first = s.ask(v, &begin()).context("an answer")?;
        let second = s.ask(v, &begin()).context("an answer")?;
        s.note("another one", first.producer_id != second.producer_id);
        Ok(())
    }),
    family("a producer names its id and epoch without a transactional id", "InitProducerId", 3..=5, |s, v| {
        s.ask(v, &InitProducerIdRequest { producer_id: 77, producer_epoch: 3, ..begin() });
        s.ask(v, &InitProducerIdRequest { producer_id: 77, producer_epoch: -1, ..begin() });
        s.ask(v, &InitProducerIdRequest { producer_id: -1, producer_epoch: 3, ..begin() });
        Ok(())
    }),
    family("an empty transactional id", "InitProducerId", 0..=5, |s, v| {
        s.ask(v, &InitProducerIdRequest { transactional_id: Some("".into()), ..begin() });
        Ok(())
    }),
    situation("a timeout of 0 without a transactional id", "InitProducerId", |s, _| {
        for transaction_timeout_ms in [0, -1, i32::MAX] {
            s.ask(4, &InitProducerIdRequest { transaction_timeout_ms, ..begin() });
        }
        Ok(())
    }),
    family("batches of a producer in their order", rows::DUPLICATE, 3..=13, |s, v| {
        let (mut to, producer) = begun(s)?;
        let name = to.clone();
        if v >= 13 {
            to = To::id(s.topic_id(&to.name)?);
        }
        s.ask(v, &produce(&to, batch_of((producer, 0), 0, &["zero", "one"])));
        s.ask(v, &produce(&to, batch_of((producer, 0), 2, &["two"])));
        s.ask(v, &produce(&to, batch_of((producer, 0), 2, &["two"])));
        s.ask(12, &fetch(&name, 0));
        Ok(())
    }),
    situation("each of the last five batches is known again", rows::DUPLICATE, |s, _| {
        let (to, producer) = begun(s)?;
        (0..5).for_each(|n| one(s, &to, (producer, 0), n));
        (0..5).for_each(|n| one(s, &to, (producer, 0), n));
        s.ask(12, &fetch(&to, 0));
        Ok(())
    }),
    situation("a duplicate older than the last five batches", rows::OLD_DUPLICATE, |s, _| {
        let (to, producer) = begun(s)?;
        (0..7).for_each(|n| one(s, &to, (producer, 0), n));
        for n in [0, 1, 2, 6] {
            one(s, &to, (producer, 0), n);
        }
        Ok(())
    }),
    situation("a batch that overlaps one that is known", rows::OLD_DUPLICATE, |s, _| {
        let (to, producer) = begun(s)?;
        s.ask(9, &produce(&to, batch_of((producer, 0), 0, &["a", "b", "c"])));
        s.ask(9, &produce(&to, batch_of((producer, 0), 0, &["a", "b"])));
        s.ask(9, &produce(&to, batch_of((producer, 0), 1, &["b", "c"])));
        s.ask(9, &produce(&to, batch_of((producer, 0), 2, &["c", "d"])));
        Ok(())
    }),
    situation("a gap in the sequence", rows::GAP, |s, _| {
        let (to, producer) = begun(s)?;
        for n in [0, 2, 1, 7] {
            one(s, &to, (producer, 0), n);
        }
        s.ask(12, &fetch(&to, 0));
        Ok(())
    }),
    situation("a newer epoch begins with sequence 0", rows::GAP, |s, _| {
        let (to, producer) = begun(s)?;
        one(s, &to, (producer, 0), 0);
        one(s, &to, (producer, 1), 1);
        one(s, &to, (producer, 1), 0);
        one(s, &to, (producer, 1), 1);
        Ok(())
    }),
    situation("an older epoch is refused", rows::STALE_EPOCH, |s, _| {
        let (to, producer) = begun(s)?;
        one(s, &to, (producer, 3), 0);
        one(s, &to, (producer, 2), 1);
        one(s, &to, (producer, 2), 0);
        one(s, &to, (producer, 3), 1);
        Ok(())
    }),
    situation("the first batch of a producer in a partition begins with 0", rows::NO_STATE, |s, _| {
        let (to, producer) = begun(s)?;
        one(s, &to, (producer, 0), 0);
        Ok(())
    }),
    situation("the first batch of a producer in a partition begins with 5", rows::NO_STATE, |s, _| {
        let (to, producer) = begun(s)?;
        one(s, &to, (producer, 0), 5);
        Ok(())
    })
    .but(const { &[differs("D-03")] }),
    situation("a producer id that was never given", rows::NO_STATE, |s, _| {
        let to = target(s, "a", false)?;
        one(s, &to, (4_611_686_018_427_387_904, 0), 0);
        one(s, &to, (4_611_686_018_427_387_904, 0), 1);
        Ok(())
    }),
    situation("the sequence goes on from 0 after the largest", rows::DUPLICATE, |s, _| {
        let to = target(s, "a", false)?;
        let foreign = (4_611_686_018_427_387_905, 0);
        one(s, &to, foreign, i32::MAX);
        one(s, &to, foreign, 0);
        Ok(())
    })
    .but(const { &[differs("D-03")] }),
    situation("a producer id without a sequence or an epoch", rows::BAD_BATCH, |s, _| {
        let (to, producer) = begun(s)?;
        one(s, &to, (producer, 0), -1);
        one(s, &to, (producer, -1), 0);
        one(s, &to, (-1, 0), 0);
        one(s, &to, (-2, 0), 0);
        Ok(())
    })
    .but(const { &[differs("D-52")] }),
    situation("two batches of one producer in one partition's records", rows::BAD_BATCH, |s, _| {
        let (to, producer) = begun(s)?;
        let two = [batch_of((producer, 0), 0, &["a"]), batch_of((producer, 0), 1, &["b"])].concat();
        s.ask(9, &produce(&to, two.into()));
        Ok(())
    }),
    situation("two producers beside each other", rows::DUPLICATE, |s, _| {
        let (to, first) = begun(s)?;
        let second = s.prepare(4, &begin())?.producer_id;
        for producer in [first, second] {
            one(s, &to, (producer, 0), 0);
        }
        for producer in [second, first] {
            one(s, &to, (producer, 0), 1);
        }
        s.ask(12, &fetch(&to, 0));
        Ok(())
    }),
    situation("a duplicate in another partition is none", rows::DUPLICATE, |s, _| {
        let name = s.topic_with("b", 2, &[])?;
        let producer = s.prepare(4, &begin())?.producer_id;
        for partition in [0, 1, 0, 1] {
            let records = Some(batch_of((producer, 0), 0, &["x"]));
            s.ask(9, &crate::requests::produce_to(&To::name(&name), &[(partition, records)]));
        }
        Ok(())
    }),
    situation("a batch without a producer between those of one", rows::DUPLICATE, |s, _| {
        let (to, producer) = begun(s)?;
        one(s, &to, (producer, 0), 0);
        s.ask(9, &produce(&to, build(sluice_records::BatchBuilder::new(), &["between"])));
        one(s, &to, (producer, 0), 1);
        one(s, &to, (producer, 0), 0);
        Ok(())
    }),
];
