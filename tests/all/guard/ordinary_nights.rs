//! A shop's life of two hundred nights, with the big ones that every shop has.

use attrsync::config::{GuardConfig, Share};
use attrsync::record::RunStatus;

use super::shop::{Customer, Shop, rows_of};

const NIGHTS: u32 = 200;
/// The days before it count from 2026-01-01.
const FIRST_DAY: u32 = 200;

const IMPORT: u32 = 20;
const NEW_ATTRIBUTE: u32 = 40;
const CAMPAIGN: u32 = 60;
const BLACK_FRIDAY: u32 = 83;
const CLEANING: u32 = 120;
const RENAMED_COMPANIES: u32 = 140;
const YEARLY_TIERS: u32 = 165;

/// One of the customers in so many orders something.
fn order(one: &mut Customer, night: u32, random: &mut fastrand::Rng) {
    one.spent += random.u32(500..30_000);
    one.last_order = Some(FIRST_DAY + night);
    if one.spent > 400_000 {
        one.tier = "gold";
    }
}

/// Changes the customers as a night in this place of the year does.
fn live(customers: &mut Vec<Customer>, night: u32, random: &mut fastrand::Rng) {
    let orders = match night {
        BLACK_FRIDAY => 0.22,
        night if (BLACK_FRIDAY + 1..BLACK_FRIDAY + 4).contains(&night) => 0.15,
        night if night % 7 == 3 => 0.0,
        _ => 0.005 + 0.03 * random.f64(),
    };
    let is_quiet = orders == 0.0;
    for one in customers.iter_mut() {
        if random.f64() < orders {
            order(one, night, random);
        }
        if !is_quiet && random.f64() < 0.003 {
            one.newsletter = !one.newsletter;
        }
        if !is_quiet && random.f64() < 0.001 {
            one.company = format!("Company {}", random.u32(..1_000_000));
        }
    }
    let last = customers.last().map_or(0, |one| one.id);
    let added = match night {
        IMPORT => customers.len() / 2,
        _ if is_quiet => 0,
        _ => random.usize(..=customers.len() / 100),
    };
    customers.extend((1..).take(added).map(|n| Customer::drawn(last + n, random)));
    match night {
        NEW_ATTRIBUTE => customers.iter_mut().for_each(|one| one.region = Some("north")),
        CAMPAIGN => customers.iter_mut().filter(|one| one.id % 6 == 0).for_each(|one| one.newsletter = true),
        CLEANING => customers.retain(|one| one.id % 9 != 0),
        RENAMED_COMPANIES => {
            let shouting = customers.iter_mut().filter(|one| one.id % 30 == 0);
            shouting.for_each(|one| one.company = one.company.to_uppercase());
        }
        YEARLY_TIERS => customers.iter_mut().for_each(|one| {
            one.tier = match one.tier {
                "bronze" => "member",
                "silver" => "plus",
                _ => "premium",
            };
        }),
        _ => {
            let leaving = if is_quiet { 0.0 } else { 0.002 };
            customers.retain(|_| random.f64() >= leaving);
        }
    }
}

/// Lives two hundred nights, and returns those that were stopped.
async fn stopped(size: usize, seed: u64) -> Vec<u32> {
    let mut random = fastrand::Rng::with_seed(seed);
    let mut shop = Shop::open(size, seed).await;
    shop.night(rows_of(&shop.customers)).await;
    let mut stopped = Vec::new();
    for night in 1..=NIGHTS {
        let mut customers = std::mem::take(&mut shop.customers);
        live(&mut customers, night, &mut random);
        shop.customers = customers;
        let mut rows = rows_of(&shop.customers);
        // Some rows are always wrong.
        rows.iter_mut().step_by(400).for_each(|row| row.2 = row.2.take().map(|value| value.repeat(200)));
        let report = shop.night(rows.clone()).await;
        if report.status == RunStatus::Blocked {
            stopped.push(night);
            let guard = GuardConfig { max_updates: Share::percent(100.0), ..GuardConfig::default() };
            let let_through = shop.night_by(rows, guard).await;
            assert_eq!(let_through.counts.deferred, 0, "night {night}: {:?}", let_through.message);
        } else {
            assert_eq!(report.counts.deferred, 0, "night {night}: {:?}", report.message);
        }
    }
    stopped
}

#[tokio::test(start_paused = true)]
async fn promise_10_two_hundred_ordinary_nights_are_stopped_at_most_once() {
    for (size, seed) in [(200, 1), (200, 2), (500, 3)] {
        let stopped = stopped(size, seed).await;
        assert_eq!(stopped, [YEARLY_TIERS], "{size} customers, seed {seed}");
    }
}
