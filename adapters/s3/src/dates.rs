//! The store's clock, read off the Date header of every answer, refusals included (T3).

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use aws_sdk_s3::config::{ConfigBag, Intercept, RuntimeComponents};
use aws_sdk_s3::error::BoxError;
use aws_smithy_runtime_api::client::interceptors::context::BeforeDeserializationInterceptorContextRef;
use aws_smithy_types::DateTime;
use aws_smithy_types::date_time::Format;
use sluice_runtime::SharedClock;
use sluice_store::ClockReading;

/// The header counts whole seconds, rounded down: on average half of one is missing.
const HEADER_ROUNDING_MS: i64 = 500;

/// Remembers the Date header of the last answer that had one.
#[derive(Clone)]
pub(crate) struct DateRecorder {
    clock: SharedClock,
    last: Arc<Mutex<Option<ClockReading>>>,
}

impl DateRecorder {
    pub(crate) fn new(clock: SharedClock) -> Self {
        Self { clock, last: Arc::default() }
    }

    pub(crate) fn last(&self) -> Option<ClockReading> {
        *self.last.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Keeps what this header says; one that cannot be read is as good as none.
    fn record(&self, date: &str) {
        let Ok(date_ms) = DateTime::from_str(date, Format::HttpDate).map(|d| d.to_millis()) else {
            return;
        };
        let Ok(date_ms) = date_ms else { return };
        let store_ms = date_ms.saturating_add(HEADER_ROUNDING_MS);
        let seen = ClockReading { store_ms, wall_ms: self.clock.wall_ms(), at: self.clock.now() };
        *self.last.lock().unwrap_or_else(PoisonError::into_inner) = Some(seen);
    }
}

impl fmt::Debug for DateRecorder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DateRecorder").field("last", &self.last()).finish_non_exhaustive()
    }
}

impl Intercept for DateRecorder {
    fn name(&self) -> &'static str {
        "DateRecorder"
    }

    fn read_before_deserialization(
        &self,
        context: &BeforeDeserializationInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        if let Some(date) = context.response().headers().get("date") {
            self.record(date);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use sluice_runtime::TokioClock;

    #[test]
    fn t3_offset_is_the_stores_clock_less_ours() {
        // 2024-01-01T00:00:00Z, and a clock of ours that is ten seconds behind it.
        let clock = Arc::new(TokioClock::starting_at(1_704_067_190_000));
        let dates = DateRecorder::new(clock);
        assert_eq!(dates.last(), None);
        dates.record("not a date");
        assert_eq!(dates.last(), None);
        dates.record("Mon, 01 Jan 2024 00:00:00 GMT");
        let offset_ms = dates.last().unwrap().offset_ms();
        assert!((10_000..=10_500).contains(&offset_ms), "{offset_ms}");
    }
}
