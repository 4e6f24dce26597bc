//! Which language the words of an answer are in.
//!
//! Source: `https://docs.tosspayments.com/reference/using-api/authorization`: Korean, unless `Accept-Language` asks for
//! English.

use axum::http::{HeaderMap, header};

/// The service speaks two.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Language {
    Korean,
    English,
}

impl Language {
    /// The one that a call asks for.
    pub fn of(headers: &HeaderMap) -> Self {
        let wanted = headers.get(header::ACCEPT_LANGUAGE).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let first = wanted.trim_start().get(..2).unwrap_or_default();
        if first.eq_ignore_ascii_case("en") { Self::English } else { Self::Korean }
    }

    pub const fn pick<T: Copy>(self, korean: T, english: T) -> T {
        match self {
            Self::Korean => korean,
            Self::English => english,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn english_is_spoken_on_demand() {
        for (wanted, expected) in [
            ("en-US", Language::English),
            ("EN", Language::English),
            ("ko-KR,ko;q=0.9,en;q=0.8", Language::Korean),
            ("*", Language::Korean),
            ("한", Language::Korean),
            ("", Language::Korean),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(header::ACCEPT_LANGUAGE, wanted.parse().unwrap());
            assert_eq!(Language::of(&headers), expected, "{wanted}");
        }
        assert_eq!(Language::of(&HeaderMap::new()), Language::Korean);
    }
}
