//! How large the long runs are: small ones in every run of the tests, those of full size by `./dev prove`.

use std::{env, fmt::Debug, str::FromStr};

/// What the environment says under `name`, or else `small`.
pub fn scale<T: FromStr<Err: Debug>>(name: &str, small: T) -> T {
    env::var(name).map_or(small, |text| text.parse().unwrap_or_else(|error| panic!("{name}={text}: {error:?}")))
}
