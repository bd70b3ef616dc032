//! What happens to a push, and what it asks for.

use std::time::Duration;

use chrono::{DateTime, Utc};

use super::{End, Subject};
use crate::destination::{Echo, ReadError, Response};
use crate::record::{
    Change, ChangeOutcome, Counts, Key, NewRequest, PlanPart, PlannedChange, RecordedIntent, RequestEnd,
    RequestMethod, RequestSizes, WaitReason,
};

/// The time of an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Now {
    /// The time since the push started, by a clock that never goes back.
    pub elapsed: Duration,
    /// The wall clock, for times that are recorded.
    pub utc: DateTime<Utc>,
}

/// Something that happened: an action was executed, time passed, or a stop was asked for.
#[derive(Debug)]
pub enum Event {
    /// A page of the plan is loaded. Fewer changes than were asked for mean that it was the last.
    PageLoaded(Vec<PlannedChange>),
    /// The rate limiter permits one more request.
    PermitGranted,
    /// The intent is committed.
    IntentRecorded {
        /// The token of the action.
        token: u64,
        /// The request's id and the run's counts.
        intent: RecordedIntent,
    },
    /// The response to a request was read, or none came.
    ResponseRead {
        /// The request.
        request_id: i64,
        /// What came back.
        response: Response,
        /// The time from sending to the end of the response.
        took: Duration,
    },
    /// A request was not sent, because its intent had expired before it could leave.
    IntentExpired {
        /// The request.
        request_id: i64,
    },
    /// The values were read of keys whose ids are not known, or could not be.
    IdsFound {
        /// The token of the action.
        token: u64,
        /// The store's values of the keys.
        rows: Result<Vec<Echo>, ReadError>,
    },
    /// The values that a response left open were read from the store, or could not be.
    ReadBack {
        /// The request.
        request_id: i64,
        /// The store's values of the keys.
        values: Result<Vec<Echo>, ReadError>,
    },
    /// Outcomes or sizes are committed.
    Recorded {
        /// The token of the action.
        token: u64,
        /// The run's counts, if the commit changed them.
        counts: Option<Counts>,
    },
    /// The store was asked for subjects. The list has those that it no longer has.
    ExistenceChecked(Result<Vec<Subject>, ReadError>),
    /// The store was read, to find out whether it refuses reads as well.
    ReadsChecked(Result<(), ReadError>),
    /// The store's values of the canary were read, or could not be.
    CanaryRead(Result<Vec<Echo>, ReadError>),
    /// The time of the timer has come.
    Timer,
    /// The run is asked to stop.
    StopAsked,
}

/// Something to be executed. Each one leads to one event, except `SetTimer`, `Notify` and `End`.
#[derive(Debug, PartialEq, Eq)]
pub enum Action {
    /// Load changes of a part of the plan that are still `planned`, in key order.
    LoadPage {
        /// The part.
        part: PlanPart,
        /// After this key.
        after: Option<Key>,
        /// At most so many.
        limit: usize,
    },
    /// Wait until the store's rate quota permits one more request.
    AcquirePermit,
    /// Commit the intent of a request.
    RecordIntent {
        /// Repeated in the event.
        token: u64,
        /// The request.
        request: NewRequest,
        /// Its changes.
        changes: Vec<Change>,
    },
    /// Send the values of a request whose intent is committed.
    Send {
        /// The request.
        request_id: i64,
        /// Keys and values.
        items: Vec<(Key, String)>,
        /// When its intent was given to the ledger: the request must be on the wire within [`super::INTENT_VALID`].
        recorded_at: Duration,
    },
    /// Delete the values of a request whose intent is committed.
    Delete {
        /// The request.
        request_id: i64,
        /// The store's ids of the values.
        ids: Vec<i64>,
        /// As of `Send`.
        recorded_at: Duration,
    },
    /// Read the store's values of keys that are to be deleted, to find their ids.
    FindIds {
        /// Repeated in the event.
        token: u64,
        /// The keys.
        keys: Vec<Key>,
    },
    /// Read the store's values of these keys.
    ReadBack {
        /// The request whose response left them open.
        request_id: i64,
        /// The keys.
        keys: Vec<Key>,
    },
    /// Commit the end of a request.
    RecordOutcome {
        /// Repeated in the event.
        token: u64,
        /// The request.
        request_id: i64,
        /// How it ended.
        end: RequestEnd,
        /// The outcomes of those of its changes that have one.
        outcomes: Vec<ChangeOutcome>,
    },
    /// Commit outcomes apart from the end of a request: rejections that a bisection found, and the last outcomes of a
    /// run.
    RecordUnsent {
        /// Repeated in the event.
        token: u64,
        /// The outcomes.
        outcomes: Vec<ChangeOutcome>,
    },
    /// Keep what is known of the size of the store's requests.
    KeepSizes {
        /// Repeated in the event.
        token: u64,
        /// What is known.
        sizes: RequestSizes,
    },
    /// Ask the store which of these it no longer has.
    CheckExistence(Vec<Subject>),
    /// Read something from the store.
    CheckReads,
    /// Read the store's values of the canary.
    ReadCanary {
        /// The keys.
        keys: Vec<Key>,
    },
    /// Make confirmed entries unconfirmed, because the store does not hold their values.
    MakeUnconfirmed {
        /// Repeated in the event `Recorded`.
        token: u64,
        /// The keys.
        keys: Vec<Key>,
    },
    /// Replace the timer; `None` ends it.
    SetTimer(Option<Duration>),
    /// Tell subscribers.
    Notify(Notice),
    /// The push is over. Nothing is under way.
    End(End),
}

/// Something that subscribers may want to know: progress, logs, metrics.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Notice {
    /// The run's counts changed.
    Counted(Counts),
    /// A request ended.
    RequestEnded(EndedRequest),
    /// The store rejected a value.
    Rejected(Key),
    /// The store accepts fewer values in a request than it was sent.
    SizeLearned(usize),
    /// The push waits; `None` when it goes on.
    Waiting(Option<Wait>),
    /// It could not be checked whether a customer or an attribute still exists.
    CheckFailed(ReadError),
}

/// A request that has ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EndedRequest {
    /// The request.
    pub request_id: i64,
    /// Whether it wrote values or deleted them.
    pub method: RequestMethod,
    /// The first request of the batch that its changes were filled into. It is the request itself, unless this one
    /// repeats or divides another.
    pub first_request_id: i64,
    /// Which attempt at these changes it was, from 1.
    pub attempt: u32,
    /// How many values it carried.
    pub values: usize,
    /// The status of the response, or why there was none. Holds no values.
    pub response: String,
    /// The class of the response: one of [`RESPONSE_CLASSES`](crate::destination::RESPONSE_CLASSES).
    pub class: &'static str,
    /// The time from sending to the end of the response.
    pub took: Duration,
}

/// Why a push makes no request now, and until when.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wait {
    /// The reason.
    pub reason: WaitReason,
    /// The time since the push started at which it goes on.
    pub until: Duration,
    /// The last response, without values; empty if there was none.
    pub response: String,
}
