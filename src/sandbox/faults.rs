//! The faults of requests, and their rates.
//!
//! A request has at most one fault. Faults are drawn from a seeded generator, so that they can be repeated.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

macro_rules! faults {
    ($($(#[$doc:meta])* $variant:ident = $name:literal),+ $(,)?) => {
        /// Something that goes wrong with a request.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
        pub enum Fault {
            $($(#[$doc])* $variant,)+
            /// `status-N`: not applied; the response has this status. For scripts only.
            Status(u16),
        }

        impl Fault {
            /// Every fault that can have a rate.
            pub const ALL: &[Self] = &[$(Self::$variant),+];

            /// The fault's name in descriptions and scripts.
            #[must_use]
            pub fn name(self) -> String {
                match self {
                    $(Self::$variant => $name.to_owned(),)+
                    Self::Status(status) => format!("status-{status}"),
                }
            }
        }
    };
}

faults! {
    /// `none`: nothing goes wrong; for scripts.
    None = "none",
    /// `refused`: not applied; 500, 502, 503 or 504 with JSON, HTML or no body.
    Refused = "refused",
    /// `dropped`: not applied; the connection is reset.
    Dropped = "dropped",
    /// `html`: not applied; a gateway's 502 in HTML.
    Html = "html",
    /// `lost`: applied; the response is that of `refused`.
    Lost = "lost",
    /// `reset`: applied, then the connection is reset.
    Reset = "reset",
    /// `cut`: applied, then the body ends in the middle.
    Cut = "cut",
    /// `slow`: applied; the response takes longer than the client's time-out.
    Slow = "slow",
    /// `silent`: not applied; there is no response, and the connection stays open.
    Silent = "silent",
    /// `late`: applied after the client's time-out, and within twice that time.
    Late = "late",
    /// `429`: not applied; 429 with the rate headers.
    Limited = "429",
    /// `429-bare`: not applied; 429 without body and rate headers.
    LimitedBare = "429-bare",
    /// `shuffled`: applied; the echo is in another order.
    Shuffled = "shuffled",
    /// `missing`: applied; the echo lacks an item.
    Missing = "missing",
    /// `skipped`: an item is not applied and the echo lacks it, with a 200.
    Skipped = "skipped",
    /// `altered`: applied; the echo shows another value for an item.
    Altered = "altered",
    /// `stale`: applied; the echo shows the values that the store had before.
    Stale = "stale",
    /// `no-ids`: applied; the echo has no value ids.
    NoIds = "no-ids",
    /// `doubled`: applied; the echo has an item twice.
    Doubled = "doubled",
    /// `conflicting`: applied; the echo has an item twice, with different values.
    Conflicting = "conflicting",
    /// `ignored`: an item is not applied and the echo shows the stored value instead, with a 200.
    Ignored = "ignored",
    /// `misaddressed`: applied; the echo shows an item as that of the next customer.
    Misaddressed = "misaddressed",
}

/// The faults of reads. Faults of echoes apply to writes only.
const READ_FAULTS: [Fault; 6] =
    [Fault::Refused, Fault::Dropped, Fault::Html, Fault::Cut, Fault::Limited, Fault::LimitedBare];

/// The name of the rate of reads that fail.
const READS: &str = "reads";

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name())
    }
}

impl FromStr for Fault {
    type Err = FaultsError;

    fn from_str(name: &str) -> Result<Self, FaultsError> {
        let status = name.strip_prefix("status-").and_then(|digits| digits.parse().ok());
        if let Some(status) = status.filter(|status| (200..600).contains(status)) {
            return Ok(Self::Status(status));
        }
        let known = Self::ALL.iter().copied().find(|fault| fault.name() == name);
        known.ok_or_else(|| FaultsError::UnknownName(name.to_owned()))
    }
}

/// An invalid description of faults.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FaultsError {
    /// There is no such fault.
    #[error("unknown fault {0:?}; the names are {names}", names = names())]
    UnknownName(String),
    /// A rate is not a number between 0 and 1.
    #[error("the rate of {name} must be a number from 0 to 1, not {rate:?}")]
    BadRate {
        /// The fault.
        name: String,
        /// What was given.
        rate: String,
    },
    /// A part of the description is not `name=rate`.
    #[error("{0:?} is not of the form name=rate, as in lost=0.01")]
    BadPair(String),
    /// More than every request would have a fault.
    #[error("the rates add up to more than 1, but a request can have only one fault; lower some of them")]
    TooMany,
}

fn names() -> String {
    let mut names: Vec<String> = Fault::ALL.iter().map(|fault| fault.name()).collect();
    names.push(READS.to_owned());
    names.join(", ")
}

/// The rate of each fault of writes, and the rate of reads that fail.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Faults {
    rates: BTreeMap<Fault, f64>,
    reads: f64,
}

impl Faults {
    /// Makes these rates.
    ///
    /// # Errors
    /// A rate outside 0 to 1, or rates that add up to more than 1.
    pub fn new(rates: impl IntoIterator<Item = (Fault, f64)>) -> Result<Self, FaultsError> {
        let mut faults = Self::default();
        for (fault, rate) in rates {
            faults.set(&fault.name(), rate)?;
        }
        Ok(faults)
    }

    /// Sets the rate of the fault of this name; `reads` is the rate of reads that fail.
    ///
    /// # Errors
    /// An unknown name, a rate outside 0 to 1, or rates that add up to more than 1.
    pub fn set(&mut self, name: &str, rate: f64) -> Result<(), FaultsError> {
        if name != READS {
            name.parse::<Fault>()?;
        }
        if !(0.0..=1.0).contains(&rate) {
            return Err(FaultsError::BadRate { name: name.to_owned(), rate: rate.to_string() });
        }
        if name == READS {
            self.reads = rate;
            return Ok(());
        }
        let mut rates = self.rates.clone();
        rates.insert(name.parse()?, rate);
        // A small tolerance, because rates that add up to 1 in decimal may exceed it in binary.
        if rates.values().sum::<f64>() > 1.0 + 1e-9 {
            return Err(FaultsError::TooMany);
        }
        self.rates = rates;
        Ok(())
    }

    /// Draws the fault of the next write.
    pub(super) fn draw_write(&self, rng: &mut fastrand::Rng) -> Fault {
        if self.rates.is_empty() {
            return Fault::None;
        }
        let mut point = rng.f64();
        for (&fault, &rate) in &self.rates {
            if point < rate {
                return fault;
            }
            point -= rate;
        }
        Fault::None
    }

    /// Draws the fault of the next read.
    pub(super) fn draw_read(&self, rng: &mut fastrand::Rng) -> Fault {
        if self.reads > 0.0 && rng.f64() < self.reads {
            return READ_FAULTS[rng.usize(..READ_FAULTS.len())];
        }
        Fault::None
    }
}

impl FromStr for Faults {
    type Err = FaultsError;

    /// Reads `lost=0.01,html=0.02,429=0.05`. An empty text has no faults.
    fn from_str(text: &str) -> Result<Self, FaultsError> {
        let mut faults = Self::default();
        for pair in text.split(',').map(str::trim).filter(|pair| !pair.is_empty()) {
            let (name, rate) = pair.split_once('=').ok_or_else(|| FaultsError::BadPair(pair.to_owned()))?;
            let (name, rate) = (name.trim(), rate.trim());
            let number = rate
                .parse()
                .map_err(|_| FaultsError::BadRate { name: name.to_owned(), rate: rate.to_owned() })?;
            faults.set(name, number)?;
        }
        Ok(faults)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_description_is_read() {
        let faults: Faults = "lost=0.01, html=0.02,429=0.05,reads=0.5".parse().unwrap();
        assert_eq!(faults.rates.len(), 3);
        assert_eq!(faults.rates[&Fault::Limited], 0.05);
        assert_eq!(faults.reads, 0.5);
        assert_eq!("".parse(), Ok(Faults::default()));
    }

    #[test]
    fn an_invalid_description_has_a_hint() {
        let error = "lots=0.1".parse::<Faults>().unwrap_err().to_string();
        assert!(error.contains("lots") && error.contains("lost") && error.contains("429-bare"), "{error}");
        assert!(matches!("lost".parse::<Faults>(), Err(FaultsError::BadPair(_))));
        assert!(matches!("lost=2".parse::<Faults>(), Err(FaultsError::BadRate { .. })));
        assert!(matches!("lost=NaN".parse::<Faults>(), Err(FaultsError::BadRate { .. })));
        assert_eq!("lost=0.6,cut=0.6".parse::<Faults>(), Err(FaultsError::TooMany));
    }

    #[test]
    fn every_fault_has_its_name() {
        for &fault in Fault::ALL {
            assert_eq!(fault.name().parse(), Ok(fault));
        }
        assert_eq!("status-507".parse(), Ok(Fault::Status(507)));
    }

    #[test]
    fn rates_are_kept_and_a_seed_repeats_them() {
        let faults: Faults = "lost=0.25,cut=0.25".parse().unwrap();
        let draw = |seed| {
            let mut rng = fastrand::Rng::with_seed(seed);
            (0..4000).map(|_| faults.draw_write(&mut rng)).collect::<Vec<_>>()
        };
        let drawn = draw(7);
        assert_eq!(drawn, draw(7));
        let lost = drawn.iter().filter(|&&fault| fault == Fault::Lost).count();
        assert!((800..1200).contains(&lost), "{lost}");
        let none = drawn.iter().filter(|&&fault| fault == Fault::None).count();
        assert!((1800..2200).contains(&none), "{none}");
    }
}
