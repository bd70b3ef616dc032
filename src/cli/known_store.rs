//! The store that a command reads of in the ledger, and the names of its attributes.

use std::collections::BTreeMap;

use super::failure::Failure;
use crate::config::AuditConfig;
use crate::ledger::LedgerReader as _;
use crate::ledger::audit::AuditLog;
use crate::record::{AttributeNames, KnownAttribute, StoreName};

/// A store that the ledger knows.
pub(super) struct KnownStore {
    /// Its id in the ledger.
    pub(super) id: i64,
    /// Its name.
    pub(super) name: StoreName,
    /// The attributes that it defines or did define.
    pub(super) attributes: Vec<KnownAttribute>,
}

impl KnownStore {
    async fn new(audit: &AuditLog, id: i64, name: StoreName) -> Result<Self, Failure> {
        Ok(Self { id, name, attributes: audit.entries_of(id).attributes().await? })
    }

    /// Returns the id of the attribute that `text` names: an id, or a name that the ledger knows.
    pub(super) fn attribute_id(&self, text: &str) -> Result<i64, Failure> {
        if let Ok(id) = text.parse() {
            return Ok(id);
        }
        let named = |deleted| {
            let named = self.attributes.iter().filter(|known| known.name == text && known.deleted == deleted);
            named.map(|known| known.id).collect::<Vec<i64>>()
        };
        // The name may have passed from a deleted attribute to a new one.
        let ids = Some(named(false)).filter(|ids| !ids.is_empty()).unwrap_or_else(|| named(true));
        match ids.as_slice() {
            [id] => Ok(*id),
            [] => {
                let names: Vec<_> = self.attributes.iter().map(|known| known.name.as_str()).collect();
                let failure = Failure::new(format!("the ledger knows no attribute named {text}"));
                Err(failure.hint(if names.is_empty() {
                    "it knows none yet".to_owned()
                } else {
                    format!("it knows {}", names.join(", "))
                }))
            }
            ids => {
                let ids: Vec<String> = ids.iter().map(i64::to_string).collect();
                let failure =
                    Failure::new(format!("several attributes are named {text}: {}", ids.join(", ")));
                Err(failure.hint("name it by its id"))
            }
        }
    }

    /// Returns what the names of attributes mean, as far as the ledger knows.
    pub(super) fn attribute_names(&self) -> AttributeNames {
        AttributeNames::of(&self.attributes)
    }

    /// Returns the name of each attribute by its id.
    pub(super) fn names(&self) -> BTreeMap<i64, String> {
        self.attributes.iter().map(|known| (known.id, known.name.clone())).collect()
    }
}

/// Returns the configured store as the ledger knows it. If the configuration does not say which store it is, because a
/// variable of the environment is not set, the only store of the ledger is meant.
///
/// # Errors
/// The ledger does not know the store, or knows several.
pub(super) async fn known_store(audit: &AuditLog, config: &AuditConfig) -> Result<KnownStore, Failure> {
    if let Some(name) = &config.store {
        let id = audit.store_id(name).await?.ok_or_else(|| {
            Failure::new(format!("the ledger does not know {name} yet"))
                .hint("check [store] api_url and hash, or run `attrsync sync` first")
        })?;
        return KnownStore::new(audit, id, name.clone()).await;
    }
    let stores = audit.stores().await?;
    match stores.as_slice() {
        [store] => KnownStore::new(audit, store.id, StoreName::new(&store.api_url, &store.hash)).await,
        [] => Err(Failure::new("the ledger knows no store yet").hint("run `attrsync sync` first")),
        stores => {
            let hashes: Vec<&str> = stores.iter().map(|store| store.hash.as_str()).collect();
            Err(Failure::usage(format!("the ledger holds several stores: {}", hashes.join(", ")))
                .hint("say which: set the environment variables that [store] hash and api_url name"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_of_several_attributes_is_refused() {
        let known = |id, name: &str, deleted| KnownAttribute {
            id,
            name: name.to_owned(),
            kind: "string".to_owned(),
            former_name: None,
            deleted,
        };
        let attributes = vec![
            known(1, "tier", false),
            known(2, "tier", false),
            known(3, "vip", true),
            known(4, "vip", false),
        ];
        let store = KnownStore { id: 1, name: StoreName::new("https://api.test", "hash"), attributes };
        let message = |text| store.attribute_id(text).map_err(|failure| failure.whole());
        assert_eq!(message("tier"), Err("several attributes are named tier: 1, 2".to_owned()));
        assert_eq!(message("2"), Ok(2));
        assert_eq!(message("vip"), Ok(4), "the other one was deleted");
    }
}
