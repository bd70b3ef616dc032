//! BigCommerce as plain state: a model, its faults, an in-process destination, an HTTP server.
