//! Tiles of C2SP tlog-tiles: which there are, and their paths.

use std::{fmt, str::FromStr};

use thiserror::Error;

/// Levels of the tree in a tile.
pub(crate) const TILE_HEIGHT: u32 = 8;
/// Hashes in a full tile.
pub const TILE_WIDTH: usize = 1 << TILE_HEIGHT;
/// The highest level that a path may name.
const LEVEL_MAX: u8 = 63;

/// A tile's place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct TileId {
    /// 0 holds the hashes of leaves, each further one the roots of full tiles below.
    pub level: u8,
    /// Which of its level.
    pub index: u64,
}

/// What a request names after `/tile/`: `L/N` or `entries/N`, and `.p/W` where it is only part of a tile.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TilePath {
    /// `None` for entries.
    pub level: Option<u8>,
    /// Which of its level.
    pub index: u64,
    /// How many hashes or entries, 1 to 256.
    pub width: usize,
}

/// A path that names no tile.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[error("a tile is L/N or entries/N, where N is like x001/234, and part of it has .p/W behind, with W from 1 to 255")]
pub struct PathError;

impl FromStr for TilePath {
    type Err = PathError;

    fn from_str(path: &str) -> Result<Self, PathError> {
        let (level, rest) = path.split_once('/').ok_or(PathError)?;
        let level = match level {
            "entries" => None,
            level => {
                Some(number(level).and_then(|n| u8::try_from(n).ok()).filter(|n| *n <= LEVEL_MAX).ok_or(PathError)?)
            }
        };
        let (index, width) = match rest.split_once(".p/") {
            Some((index, width)) => {
                let width = number(width).and_then(|n| usize::try_from(n).ok()).filter(|n| (1..TILE_WIDTH).contains(n));
                (index, width.ok_or(PathError)?)
            }
            None => (rest, TILE_WIDTH),
        };
        let path = Self { level, index: parse_index(index).ok_or(PathError)?, width };
        // One name a tile: no leading zeros, no other spelling.
        if path.index_text() == index { Ok(path) } else { Err(PathError) }
    }
}

/// A number as the standard writes it: decimal, without sign and leading zeros.
fn number(text: &str) -> Option<u64> {
    let plain = text.bytes().all(|byte| byte.is_ascii_digit()) && (text == "0" || !text.starts_with('0'));
    if plain { text.parse().ok() } else { None }
}

fn parse_index(text: &str) -> Option<u64> {
    let mut index: u64 = 0;
    for part in text.split('/') {
        let digits = part.strip_prefix('x').unwrap_or(part);
        if digits.len() != 3 || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        index = index.checked_mul(1_000)?.checked_add(digits.parse().ok()?)?;
    }
    Some(index)
}

impl TilePath {
    fn index_text(&self) -> String {
        let mut text = format!("{:03}", self.index % 1_000);
        let mut rest = self.index / 1_000;
        while rest > 0 {
            text = format!("x{:03}/{text}", rest % 1_000);
            rest /= 1_000;
        }
        text
    }

    /// Whether it is a whole tile, which never changes again.
    pub const fn is_full(&self) -> bool {
        self.width == TILE_WIDTH
    }
}

impl fmt::Display for TilePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.level {
            Some(level) => write!(f, "{level}/")?,
            None => f.write_str("entries/")?,
        }
        f.write_str(&self.index_text())?;
        if self.is_full() { Ok(()) } else { write!(f, ".p/{}", self.width) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_those_of_the_standard() {
        for (path, level, index, width) in [
            ("0/x001/x234/067", Some(0), 1_234_067, 256),
            ("0/000", Some(0), 0, 256),
            ("1/x001/000.p/17", Some(1), 1_000, 17),
            ("63/999.p/255", Some(63), 999, 255),
            ("entries/x018/446/x744", None, 0, 0),
            ("entries/x273/112.p/1", None, 273_112, 1),
        ] {
            let parsed = path.parse::<TilePath>();
            if width == 0 {
                assert_eq!(parsed, Err(PathError), "{path}");
            } else {
                assert_eq!(parsed, Ok(TilePath { level, index, width }), "{path}");
                assert_eq!(TilePath { level, index, width }.to_string(), path);
            }
        }
    }

    #[test]
    fn there_is_one_path_a_tile_and_no_other() {
        for path in [
            "",
            "0",
            "0/",
            "64/000",
            "00/000",
            "-1/000",
            "0/0",
            "0/0000",
            "0/x000/001",
            "0/001/002",
            "0/x001",
            "0/000.p/0",
            "0/000.p/256",
            "0/000.p/01",
            "0/000.p/",
            "data/000",
            "0/000.p/1/",
            "0/x99/999",
            "0/+01",
            "0/x999/x999/x999/x999/x999/x999/x999/999",
        ] {
            assert_eq!(path.parse::<TilePath>(), Err(PathError), "{path}");
        }
    }

    #[test]
    fn the_other_implementation_writes_the_same_paths() {
        for index in [0, 1, 255, 999, 1_000, 1_234_067, 999_999_999, 1_000_000_000] {
            for (level, width) in [(0, 256), (1, 17), (3, 255)] {
                let ours = TilePath { level: Some(level), index, width: usize::try_from(width).unwrap_or_default() };
                // Theirs also names the height, as the standard's forerunner did.
                assert_eq!(format!("tile/8/{ours}"), tlog_tiles::Tile::new(8, level, index, width, false).path());
            }
        }
    }
}
