//! The style sheet of places: a class for each column, width, row and height of the grid, so that a page stands still while it
//! is drawn and needs no inline style. Panels lie in bands: what stands beside each other, from one line that no panel
//! crosses to the next. Places count from a band's own top, so that a few hundred rows are enough for every dashboard.

use std::fmt::Write as _;
use std::sync::LazyLock;

use axum::extract::State;
use axum::http::header::CACHE_CONTROL;
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::Response;

use crate::page::with_body;

/// Rows of a band, and of a panel: five screens. What is taller is cut there.
pub(super) const ROWS_MAX: u32 = 200;
/// Columns of the grid.
pub(super) const COLUMNS: u32 = 24;

/// The sheet.
static SHEET: LazyLock<String> = LazyLock::new(|| {
    let mut sheet = String::from("@media (min-width: 640px) {\n");
    for at in 0..COLUMNS {
        let _ = write!(sheet, ".x{at}{{grid-column-start:{}}}.w{w}{{grid-column-end:span {w}}}", at + 1, w = at + 1);
    }
    for at in 0..ROWS_MAX {
        let _ = write!(sheet, ".y{at}{{grid-row-start:{}}}.h{h}{{grid-row-end:span {h}}}", at + 1, h = at + 1);
    }
    sheet.push_str("}\n");
    sheet
});

/// The handler. The program's version is in the address, so that it may be kept.
pub(crate) async fn style(State(_): State<std::sync::Arc<crate::Ui>>, headers: HeaderMap) -> Response {
    let mut response = with_body(StatusCode::OK, &headers, "text/css; charset=utf-8", SHEET.clone().into_bytes());
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("public, max-age=31536000, immutable"));
    response
}

/// Cuts panels, given by their first and last row and in the order of their first ones, into bands: the places at which a new
/// one begins, and the row that is its first.
pub(super) fn bands(rows: &[(u32, u32)]) -> Vec<(usize, u32)> {
    let mut bands: Vec<(usize, u32)> = Vec::new();
    let mut end = 0;
    for (at, (first, last)) in rows.iter().enumerate() {
        if bands.is_empty() || *first >= end {
            bands.push((at, *first));
        }
        end = end.max(*last);
    }
    bands
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bands_are_cut_where_no_panel_is() {
        let check = |rows: &[(u32, u32)], expected: &[(usize, u32)]| assert_eq!(bands(rows), expected, "{rows:?}");
        check(&[], &[]);
        check(&[(0, 8), (0, 4), (4, 8), (8, 12)], &[(0, 0), (3, 8)]);
        check(&[(0, 8), (4, 12), (8, 16)], &[(0, 0)]);
        check(&[(3, 5), (9, 11)], &[(0, 3), (1, 9)]);
    }

    #[test]
    fn every_place_has_a_class() {
        for class in [".x0{", ".x23{", ".w24{", ".y199{", ".h200{"] {
            assert!(SHEET.contains(class), "{class}");
        }
    }
}
