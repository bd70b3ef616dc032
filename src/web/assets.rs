//! The files of the site that are the same for every reader. They are in the program itself.

use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::response::{IntoResponse, Response};

/// A file with its address.
#[derive(Debug, Clone, Copy)]
pub(super) struct Asset {
    path: &'static str,
    kind: &'static str,
    text: &'static str,
}

pub(super) const STYLE: Asset = Asset {
    path: "/assets/style.css",
    kind: "text/css; charset=utf-8",
    text: include_str!("assets/style.css"),
};

pub(super) const REFRESH: Asset = Asset {
    path: "/assets/refresh.js",
    kind: "text/javascript; charset=utf-8",
    text: include_str!("assets/refresh.js"),
};

pub(super) const ICON: Asset =
    Asset { path: "/assets/icon.svg", kind: "image/svg+xml", text: include_str!("assets/icon.svg") };

impl Asset {
    /// The path, for the router.
    pub(super) const fn path(self) -> &'static str {
        self.path
    }

    /// The address for pages. It names the content too (FNV-1a), because browsers keep the file.
    pub(super) fn href(self) -> String {
        let digest = self.text.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |digest, byte| {
            (digest ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
        });
        format!("{}?{digest:016x}", self.path)
    }

    pub(super) fn response(self) -> Response {
        let headers = [(CONTENT_TYPE, self.kind), (CACHE_CONTROL, "public, max-age=31536000, immutable")];
        (headers, self.text).into_response()
    }
}
