//! Looks up the customers of e-mail addresses: those that the ledger does not know, and those that are due again.
//!
//! Addresses are read and looked up by turns, so that no snapshot of the source stays open while the store is asked, and that
//! memory does not grow with their number. What was looked up is kept as it comes: a killed run loses few requests.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};
use futures_util::StreamExt as _;
use futures_util::future::{BoxFuture, FutureExt as _};
use futures_util::stream::FuturesUnordered;

use super::by_email::ByEmail;
use super::known::Known;
use crate::clock::Clock;
use crate::config::PushConfig;
use crate::destination::{CustomerAddress, Destination, LISTED_CUSTOMERS_MAX};
use crate::engine::ports::{EngineError, GaveUp, Ports, Progress};
use crate::engine::read_retry;
use crate::failpoint;
use crate::ledger::{EmailReader, Ledger, LedgerReader};
use crate::record::{EmailCustomer, EmailHash, EmailState, WaitReason, is_askable};
use crate::retry::{self, Meaning};
use crate::source::{Addresses, Source, SourceError};
use crate::tries::Tries;
use crate::waits::Waits;

/// How many addresses are read before the store is asked for them.
const READ_AT_ONCE: usize = 50_000;

/// How many addresses are kept at once.
const KEPT_AT_ONCE: usize = 400;

/// How many addresses are looked up if they cannot be kept in the ledger.
const NOT_KEPT_MAX: u64 = 100_000;

/// How many addresses the store may refuse to be asked for. If it refuses more, the requests are wrong rather than the
/// addresses.
const REFUSED_MAX: usize = 20;

/// How many customers that may be deleted are looked for.
const DELETED_MAX: usize = 500;

/// What a look-up is made with.
#[derive(Clone, Copy)]
pub(crate) struct LookUp<'a> {
    pub(crate) source: &'a dyn Source,
    pub(crate) ledger: Option<&'a dyn LedgerReader>,
    pub(crate) destination: &'a dyn Destination,
    pub(crate) config: &'a PushConfig,
    pub(crate) clock: &'a dyn Clock,
    pub(crate) progress: &'a (dyn Fn(Progress) + Send + Sync),
    pub(crate) waits: &'a Waits,
}

impl<'a> LookUp<'a> {
    /// A look-up by a run.
    pub(crate) fn of_run(ports: Ports<'a>, config: &'a PushConfig) -> Self {
        let Ports { source, ledger, destination, clock, progress, waits } = ports;
        Self { source, ledger: Some(ledger), destination, config, clock, progress, waits }
    }
}

/// Where what was looked up is kept.
#[derive(Clone, Copy)]
pub(crate) enum Kept<'a> {
    /// In the ledger, by this run.
    InLedger(&'a dyn Ledger, i64),
    /// In memory, for this source.
    With(&'a ByEmail<'a>),
}

/// What was looked up so far.
#[derive(Default)]
struct Tally {
    looked_up: u64,
    /// Addresses that the store refused to be asked for.
    refused: usize,
}

/// An address to be looked up.
struct Asked {
    address: String,
    hash: EmailHash,
}

/// Looks up the addresses with these numbers, or all if there are no numbers. `anew` looks up addresses that are known too. Does
/// nothing if the source names customers by their ids.
///
/// # Errors
/// The source, the ledger or the store could not be read, or the ledger not written.
pub(crate) async fn look_up(
    with: LookUp<'_>,
    numbers: &BTreeSet<i64>,
    anew: bool,
    kept: Kept<'_>,
) -> Result<(), EngineError> {
    let Some(addresses) = with.source.addresses() else { return Ok(()) };
    let deleted = deleted_customers(with.ledger).await?;
    let (mut after, mut tally) = (Some(-1), Tally::default());
    while let Some(from) = after {
        let is_due = |known: Option<&EmailCustomer>, now| match known {
            Some(known) => {
                anew || known.is_due(now) || known.customer_id.is_some_and(|id| deleted.contains(&id))
            }
            None => true,
        };
        let (due, next) = read_due(with, addresses, numbers, from, &is_due).await?;
        ask(with, due, &mut tally, kept).await?;
        after = next.filter(|_| matches!(kept, Kept::InLedger(..)) || tally.looked_up < NOT_KEPT_MAX);
        if after.is_none() && next.is_some() {
            tracing::warn!(
                "only {NOT_KEPT_MAX} e-mail addresses were looked up: `attrsync sync` and `attrsync plan --save` look up all, because \
                 they keep them in the ledger"
            );
        }
    }
    Ok(())
}

/// The customers that the store was found not to have any more.
async fn deleted_customers(ledger: Option<&dyn LedgerReader>) -> Result<BTreeSet<i64>, EngineError> {
    let Some(ledger) = ledger else { return Ok(BTreeSet::new()) };
    let checked = ledger.customers_to_check(i64::MAX, DELETED_MAX).await?;
    Ok(checked.iter().filter(|customer| customer.deleted).map(|customer| customer.customer_id).collect())
}

type IsDue<'a> = &'a (dyn Fn(Option<&EmailCustomer>, DateTime<Utc>) -> bool + Send + Sync);

/// Reads addresses after a number that are to be looked up, and returns the number after which more may be. As long as the source is
/// unavailable, it is read again.
async fn read_due(
    with: LookUp<'_>,
    addresses: &dyn Addresses,
    numbers: &BTreeSet<i64>,
    after: i64,
    is_due: IsDue<'_>,
) -> Result<(Vec<Asked>, Option<i64>), EngineError> {
    let mut tries = Tries::new(WaitReason::Source, with.source.give_up_after());
    loop {
        match try_read_due(with, addresses, numbers, after, is_due, &tries).await {
            Err(EngineError::Source(error @ SourceError::Unavailable { .. })) => {
                if !tries.wait(&error, with.waits).await {
                    return Err(error.into());
                }
            }
            read => return read,
        }
    }
}

async fn try_read_due(
    with: LookUp<'_>,
    addresses: &dyn Addresses,
    numbers: &BTreeSet<i64>,
    after: i64,
    is_due: IsDue<'_>,
    tries: &Tries,
) -> Result<(Vec<Asked>, Option<i64>), EngineError> {
    let (mut due, mut last) = (Vec::new(), after);
    let now = with.clock.now();
    let mut known = Known::new(with.ledger.map(|ledger| ledger as &dyn EmailReader));
    let mut pages = addresses.read_addresses(numbers, after, tries.left()).await?;
    while let Some(page) = pages.next().await? {
        for row in (0..page.len()).map(|at| page.row(at)) {
            let (Some(number), Some(address)) = (row.customer_id, row.value) else { continue };
            if due.len() >= READ_AT_ONCE && number != last {
                return Ok((due, Some(last)));
            }
            last = number;
            let hash = EmailHash::of_normalised(address);
            let known = known.of(number).await?.iter().find(|known| known.hash == hash);
            // An address that the database cut, or has in another encoding, has the number of another address.
            if hash.number() == number && is_due(known, now) {
                due.push(Asked { address: address.to_owned(), hash });
            }
        }
    }
    Ok((due, None))
}

/// Asks the store for addresses, some requests at a time, and keeps what it says.
async fn ask(
    with: LookUp<'_>,
    due: Vec<Asked>,
    tally: &mut Tally,
    kept: Kept<'_>,
) -> Result<(), EngineError> {
    let (askable, malformed): (Vec<Asked>, Vec<Asked>) =
        due.into_iter().partition(|asked| is_askable(&asked.address));
    let now = with.clock.now();
    tally.looked_up += malformed.len() as u64;
    let mut resolved: Vec<EmailCustomer> =
        malformed.iter().map(|asked| unresolved(asked.hash, EmailState::Malformed, now)).collect();
    let mut batches = askable.chunks(LISTED_CUSTOMERS_MAX);
    let mut asking: FuturesUnordered<BoxFuture<'_, Result<Batch, Box<GaveUp>>>> = FuturesUnordered::new();
    loop {
        while asking.len() < with.config.workers
            && let Some(batch) = batches.next()
        {
            asking.push(ask_batch(with, batch).boxed());
        }
        while resolved.len() >= KEPT_AT_ONCE || (asking.is_empty() && !resolved.is_empty()) {
            let rest = resolved.split_off(resolved.len().min(KEPT_AT_ONCE));
            keep(std::mem::replace(&mut resolved, rest), kept).await?;
        }
        let Some(batch) = asking.next().await else { return Ok(()) };
        let Batch { customers, refusal } = batch?;
        if let Some(refusal) = refusal {
            tally.refused += customers.iter().filter(|email| email.state == EmailState::Malformed).count();
            if tally.refused > REFUSED_MAX {
                return Err(EngineError::Store(refusal));
            }
        }
        tally.looked_up += customers.len() as u64;
        (with.progress)(Progress::LookingUp(tally.looked_up));
        resolved.extend(customers);
    }
}

async fn keep(emails: Vec<EmailCustomer>, kept: Kept<'_>) -> Result<(), EngineError> {
    match kept {
        Kept::InLedger(ledger, run_id) => {
            ledger.keep_emails(run_id, &emails).await?;
            failpoint::reach("emails-kept");
        }
        Kept::With(source) => source.keep(emails),
    }
    Ok(())
}

/// What the store said of some addresses.
struct Batch {
    customers: Vec<EmailCustomer>,
    /// The last response that refused a single address.
    refusal: Option<Box<GaveUp>>,
}

/// Asks the store for addresses in one request. If it refuses them, they are halved until the one that it refuses is found.
async fn ask_batch(with: LookUp<'_>, batch: &[Asked]) -> Result<Batch, Box<GaveUp>> {
    let LookUp { destination, config, waits, clock, .. } = with;
    let (mut parts, mut customers, mut refusal) = (vec![batch], Vec::new(), None);
    while let Some(part) = parts.pop() {
        let addresses: Vec<&str> = part.iter().map(|asked| asked.address.as_str()).collect();
        let read = || destination.customers_by_email(&addresses);
        match read_retry::tried(config, waits, WaitReason::Customers, read).await {
            Ok(found) => customers.extend(part.iter().map(|asked| resolved(asked, &found, clock.now()))),
            Err(gave_up) if !is_of_content(&gave_up) => return Err(gave_up),
            Err(gave_up) => match part {
                [asked] => {
                    customers.push(unresolved(asked.hash, EmailState::Malformed, clock.now()));
                    refusal = Some(gave_up);
                }
                part => parts.extend(<[_; 2]>::from(part.split_at(part.len() / 2))),
            },
        }
    }
    Ok(Batch { customers, refusal })
}

/// Whether the store, or something before it, refused what was asked for.
fn is_of_content(gave_up: &GaveUp) -> bool {
    let meaning = retry::meaning(&gave_up.error.0, 0);
    matches!(meaning, Meaning::Refused(_) | Meaning::TooLarge { .. } | Meaning::Filtered(403 | 406))
}

fn unresolved(hash: EmailHash, state: EmailState, now: DateTime<Utc>) -> EmailCustomer {
    EmailCustomer { hash, customer_id: None, state, resolved_at: now }
}

/// What a list of customers says of one address.
fn resolved(asked: &Asked, found: &[CustomerAddress], now: DateTime<Utc>) -> EmailCustomer {
    let ids = found.iter().filter(|found| found.address == asked.address).map(|found| found.customer_id);
    let ids: BTreeSet<i64> = ids.collect();
    let state = match ids.len() {
        0 => EmailState::Unknown,
        1 => EmailState::Found,
        _ => EmailState::Ambiguous,
    };
    let customer_id = ids.first().copied().filter(|_| state == EmailState::Found);
    EmailCustomer { customer_id, ..unresolved(asked.hash, state, now) }
}
