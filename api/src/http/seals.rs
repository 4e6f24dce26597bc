//! The sealed log, as C2SP tlog-tiles wants it served: the signed checkpoint, tiles of hashes, and bundles of entries.

use axum::{
    extract::{Path, State},
    http::{HeaderValue, header},
    response::{IntoResponse, Response},
};
use journal::{Position, read_after};
use seals::{ENTRY_BYTES_MAX, Row, TILE_WIDTH, TileId, TilePath};

use super::{
    caller::Organizer,
    problem::{Kind, Problem, ProblemDocument},
    state::Api,
};

/// A checkpoint is soon followed by another.
const CHECKPOINT_CACHE: &str = "public, max-age=1";
/// A tile never changes: a wider one has another name.
const TILE_CACHE: &str = "public, max-age=31536000, immutable";
/// Nor do entries, but they are not for everybody.
const ENTRIES_CACHE: &str = "private, max-age=31536000, immutable";

/// The newest signed checkpoint of the log: a signed note (C2SP tlog-checkpoint).
#[utoipa::path(get, path = "/checkpoint", tag = "seals", responses(
    (status = 200, description = "the log's name, the tree's size, its root, and the signature", body = String, content_type = "text/plain"),
    (status = 503, description = "none is signed yet", body = ProblemDocument, content_type = "application/problem+json"),
))]
pub(super) async fn checkpoint(State(api): State<Api>) -> Result<Response, Problem> {
    let newest = api.seals.newest().await?;
    let newest = newest.ok_or_else(|| Problem::new(Kind::NotSealed, "no checkpoint is signed yet"))?;
    Ok(as_file("text/plain; charset=utf-8", CHECKPOINT_CACHE, newest.note.into_bytes()))
}

/// Hashes of the log's Merkle tree (C2SP tlog-tiles). N is like `x001/234`, with `.p/W` behind where it is part of a tile.
#[utoipa::path(get, path = "/tile/{level}/{n}", tag = "seals", params(
    ("level" = u8, Path, description = "0 for hashes of events, each further one 256 times as coarse"),
    ("n" = String, Path, description = "which tile: `000`, `x001/234`, or `000.p/17` for its first 17 hashes"),
), responses(
    (status = 200, description = "up to 256 hashes of 32 bytes", body = Vec<u8>, content_type = "application/octet-stream"),
    (status = 404, description = "no such tile, or not sealed so far", body = ProblemDocument, content_type = "application/problem+json"),
))]
pub(super) async fn hashes(
    State(api): State<Api>,
    Path((level, n)): Path<(String, String)>,
) -> Result<Response, Problem> {
    let path = parse(&format!("{level}/{n}"))?;
    let level = path.level.ok_or_else(no_tile)?;
    let hashes = api.seals.tile(TileId { level, index: path.index }).await?.unwrap_or_default();
    let hashes = hashes.get(..path.width).ok_or_else(no_tile)?;
    let bytes = hashes.iter().flat_map(|hash| hash.0).collect();
    Ok(as_file("application/octet-stream", TILE_CACHE, bytes))
}

/// The events themselves as the tree's leaves, each after its length in two bytes (C2SP tlog-tiles). Organizers only.
#[utoipa::path(get, path = "/tile/entries/{n}", tag = "seals", security(("token" = [])), params(
    ("n" = String, Path, description = "which bundle: `000`, `x001/234`, or `000.p/17` for its first 17 entries"),
), responses(
    (status = 200, description = "up to 256 leaves, as docs/seals.md says", body = Vec<u8>, content_type = "application/octet-stream"),
    (status = 403, description = "not an organizer", body = ProblemDocument, content_type = "application/problem+json"),
    (status = 404, description = "no such bundle, or not sealed so far", body = ProblemDocument, content_type = "application/problem+json"),
))]
pub(super) async fn entries(State(api): State<Api>, _: Organizer, Path(n): Path<String>) -> Result<Response, Problem> {
    let path = parse(&format!("entries/{n}"))?;
    let width = path.width as u64;
    let sealed = api.seals.newest().await?.map_or(0, |newest| newest.size);
    let first = path
        .index
        .checked_mul(TILE_WIDTH as u64)
        .filter(|first| first.checked_add(width).is_some_and(|end| end <= sealed));
    let events = read_after(api.journal.pool(), Position(first.ok_or_else(no_tile)?), path.width).await?;
    let (mut bundle, mut leaf) = (Vec::new(), Vec::new());
    for event in &events {
        let mut id = [0; uuid::fmt::Hyphenated::LENGTH];
        leaf.clear();
        Row::of(event, &mut id).encode(&mut leaf);
        let length = u16::try_from(leaf.len()).map_err(|_| {
            let position = event.position;
            let detail = format!(
                "the event at position {position} has more than {ENTRY_BYTES_MAX} bytes, and no place in a bundle"
            );
            Problem::new(Kind::NotFound, detail)
        })?;
        bundle.extend_from_slice(&length.to_be_bytes());
        bundle.extend_from_slice(&leaf);
    }
    Ok(as_file("application/octet-stream", ENTRIES_CACHE, bundle))
}

fn parse(path: &str) -> Result<TilePath, Problem> {
    path.parse().map_err(|error: seals::PathError| Problem::new(Kind::NotFound, error.to_string()))
}

fn no_tile() -> Problem {
    Problem::new(Kind::NotFound, "there is no such tile, or the log is not sealed so far")
}

fn as_file(kind: &'static str, cache: &'static str, bytes: Vec<u8>) -> Response {
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static(kind)),
        (header::CACHE_CONTROL, HeaderValue::from_static(cache)),
    ];
    (headers, bytes).into_response()
}
