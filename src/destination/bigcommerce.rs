//! BigCommerce over HTTP: client, wire types, pacing.
