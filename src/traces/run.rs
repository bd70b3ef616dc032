//! The spans of one run, made from what its observers are told.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Mutex, PoisonError};
use std::time::SystemTime;

use opentelemetry::trace::{Span as _, SpanBuilder, SpanKind, Status, TraceContextExt as _, Tracer as _};
use opentelemetry::{Context, KeyValue};
use opentelemetry_sdk::trace::{SdkTracer, Span};

use super::TracedRun;
use crate::engine::Progress;
use crate::push::{EndedRequest, Notice};
use crate::record::{Counts, RunKind, RunStatus, Trigger};
use crate::waits::Waits;

/// The most batches whose spans are open. The oldest one ends when another begins; what is sent of its changes
/// afterwards is in another span with the same id.
const OPEN_MAX: usize = 256;

/// The trace of a run.
pub struct RunTrace {
    spans: Option<Mutex<Spans>>,
}

struct Spans {
    tracer: SdkTracer,
    sync: String,
    kind: RunKind,
    trigger: Trigger,
    waits: Waits,
    run: Option<Span>,
    opened: SystemTime,
    counts: Counts,
    /// The open batches, by the id of their first request.
    batches: BTreeMap<i64, Batch>,
}

struct Batch {
    span: Span,
    requests: i64,
    ended: SystemTime,
}

impl RunTrace {
    pub(super) fn new(tracer: Option<SdkTracer>, run: &TracedRun<'_>) -> Self {
        let spans = tracer.map(|tracer| Spans {
            tracer,
            sync: run.sync.to_owned(),
            kind: run.kind,
            trigger: run.trigger,
            waits: run.waits.clone(),
            run: None,
            opened: SystemTime::now(),
            counts: Counts::default(),
            batches: BTreeMap::new(),
        });
        Self { spans: spans.map(Mutex::new) }
    }

    /// Takes note of what happens in the run.
    pub fn observe(&self, progress: &Progress) {
        let Some(spans) = &self.spans else { return };
        // The spans are consistent after every step, so a panic elsewhere does no harm to them.
        let mut spans = spans.lock().unwrap_or_else(PoisonError::into_inner);
        match progress {
            Progress::Opened(run_id) => spans.opened(*run_id),
            Progress::Planned(counts) => spans.planned(*counts),
            Progress::Pushing(Notice::Counted(counts)) => spans.counts = *counts,
            Progress::Pushing(Notice::Waiting(Some(wait))) => {
                let reason = KeyValue::new("attrsync.wait.reason", wait.reason.as_str());
                spans.event("wait", vec![reason]);
            }
            Progress::Pushing(Notice::RequestEnded(request)) => spans.request_ended(request),
            Progress::Ended(status) => spans.ended(*status),
            Progress::FoundInterrupted(_)
            | Progress::Planning(_)
            | Progress::Reading(_)
            | Progress::LookingUp(_)
            | Progress::Pushing(_)
            | Progress::Allowed(_) => {}
        }
    }
}

impl fmt::Debug for RunTrace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RunTrace").finish_non_exhaustive()
    }
}

impl Spans {
    fn opened(&mut self, run_id: i64) {
        self.opened = SystemTime::now();
        let attributes = vec![
            KeyValue::new("attrsync.sync", self.sync.clone()),
            KeyValue::new("attrsync.run.id", run_id),
            KeyValue::new("attrsync.run.kind", self.kind.as_str()),
            KeyValue::new("attrsync.run.trigger", self.trigger.as_str()),
        ];
        let builder = self.tracer.span_builder(self.kind.as_str()).with_attributes(attributes);
        let builder = builder.with_start_time(self.opened);
        // Whatever else is traced in this process is no part of it.
        self.run = Some(self.tracer.build_with_context(builder, &Context::new()));
    }

    fn planned(&mut self, counts: Counts) {
        self.counts = counts;
        let Some(run) = &self.run else { return };
        let attributes = vec![
            KeyValue::new("attrsync.rows", counts.source_rows),
            KeyValue::new("attrsync.unchanged", counts.unchanged),
            KeyValue::new("attrsync.planned", counts.planned),
        ];
        let mut plan = self.child_of(run, "plan", self.opened, attributes, SpanKind::Internal);
        plan.end();
    }

    fn event(&mut self, name: &'static str, attributes: Vec<KeyValue>) {
        if let Some(run) = &mut self.run {
            run.add_event(name, attributes);
        }
    }

    fn request_ended(&mut self, request: &EndedRequest) {
        let ended = SystemTime::now();
        let started = ended.checked_sub(request.took).unwrap_or(ended);
        let batch_id = request.first_request_id;
        let Some(mut batch) = self.batches.remove(&batch_id).or_else(|| self.batch(request, started)) else {
            return;
        };
        let attributes = vec![
            KeyValue::new("http.request.method", request.method.as_str()),
            KeyValue::new("attrsync.request.id", request.request_id),
            KeyValue::new("attrsync.request.values", int(request.values)),
            KeyValue::new("attrsync.request.attempt", i64::from(request.attempt)),
            KeyValue::new("attrsync.response.class", request.class),
        ];
        let mut span = self.child_of(&batch.span, "request", started, attributes, SpanKind::Client);
        let is_accepted = request.class == "2xx";
        if !is_accepted {
            span.set_status(Status::error(request.response.clone()));
        }
        span.end_with_timestamp(ended);
        batch.requests += 1;
        batch.ended = ended;
        if is_accepted && request.request_id == batch_id {
            return batch.end();
        }
        self.batches.insert(batch_id, batch);
        while self.batches.len() > OPEN_MAX {
            if let Some((_, oldest)) = self.batches.pop_first() {
                oldest.end();
            }
        }
    }

    fn batch(&self, request: &EndedRequest, started: SystemTime) -> Option<Batch> {
        let attributes = vec![
            KeyValue::new("attrsync.batch.id", request.first_request_id),
            KeyValue::new("attrsync.batch.values", int(request.values)),
        ];
        let span = self.child_of(self.run.as_ref()?, "batch", started, attributes, SpanKind::Internal);
        Some(Batch { span, requests: 0, ended: started })
    }

    fn child_of(
        &self,
        parent: &Span,
        name: impl Into<Cow<'static, str>>,
        started: SystemTime,
        attributes: Vec<KeyValue>,
        kind: SpanKind,
    ) -> Span {
        let builder = SpanBuilder::from_name(name).with_kind(kind);
        let builder = builder.with_start_time(started).with_attributes(attributes);
        let parent = Context::new().with_remote_span_context(parent.span_context().clone());
        self.tracer.build_with_context(builder, &parent)
    }

    fn ended(&mut self, status: RunStatus) {
        for batch in std::mem::take(&mut self.batches).into_values() {
            batch.end();
        }
        let Some(mut run) = self.run.take() else { return };
        let counts = self.counts;
        for (name, count) in [
            ("attrsync.rows", counts.source_rows),
            ("attrsync.unchanged", counts.unchanged),
            ("attrsync.planned", counts.planned),
            ("attrsync.confirmed", counts.confirmed),
            ("attrsync.rejected", counts.rejected),
            ("attrsync.unknown", counts.unknown),
            ("attrsync.deferred", counts.deferred),
            ("attrsync.still_rejected", counts.still_rejected),
            ("attrsync.invalid", counts.invalid),
            ("attrsync.requests", counts.requests),
        ] {
            run.set_attribute(KeyValue::new(name, count));
        }
        for total in self.waits.totals() {
            let name = format!("attrsync.waited_ms.{}", total.reason.as_str());
            run.set_attribute(KeyValue::new(name, total.milliseconds));
        }
        run.set_attribute(KeyValue::new("attrsync.run.status", status.as_str()));
        run.set_status(match status {
            RunStatus::Succeeded => Status::Ok,
            RunStatus::Failed => Status::error("the run failed"),
            _ => Status::Unset,
        });
        run.end();
    }
}

impl Batch {
    fn end(mut self) {
        self.span.set_attribute(KeyValue::new("attrsync.batch.requests", self.requests));
        self.span.end_with_timestamp(self.ended);
    }
}

fn int(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}
