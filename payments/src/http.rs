//! The HTTP client that the adapter and the simulator's webhooks use.

use std::time::Duration;

use reqwest::{Client, Url, redirect, retry};
use thiserror::Error;

/// How many idle connections to one host are kept.
const IDLE_CONNECTIONS_MAX: usize = 64;

/// How long an idle connection is kept, in milliseconds; shorter than servers usually keep theirs, so that a call
/// seldom meets a connection that is just being closed.
const IDLE_MS_MAX: u64 = 30_000;

/// Why there is no client.
#[derive(Debug, Error)]
pub(crate) enum ClientError {
    /// The process has not chosen its cryptography yet.
    #[error("no cryptography provider is installed in this process")]
    Cryptography,
    /// The client cannot be built.
    #[error("the HTTP client cannot be built")]
    Build(#[source] reqwest::Error),
}

/// A client for calls of `url`, each bounded by `timeout` in all.
///
/// It follows no redirect and repeats nothing by itself: what moves money is repeated knowingly or not at all.
pub(crate) fn client(url: &Url, timeout: Duration) -> Result<Client, ClientError> {
    // Without one, building the client would panic.
    if rustls::crypto::CryptoProvider::get_default().is_none() {
        return Err(ClientError::Cryptography);
    }
    let mut builder = Client::builder()
        .timeout(timeout)
        .redirect(redirect::Policy::none())
        .retry(retry::never())
        .pool_max_idle_per_host(IDLE_CONNECTIONS_MAX)
        .pool_idle_timeout(Duration::from_millis(IDLE_MS_MAX));
    if url.scheme() == "http" {
        // No TLS, so no need for the certificates of the system, which a small container may lack.
        builder = builder.tls_certs_only([]);
    }
    if is_loopback(url) {
        builder = builder.no_proxy();
    }
    builder.build().map_err(ClientError::Build)
}

fn is_loopback(url: &Url) -> bool {
    url.host_str().is_some_and(|host| {
        let bare = host.trim_start_matches('[').trim_end_matches(']');
        host == "localhost" || bare.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loopback_is_told_from_the_rest() {
        for (url, expected) in [
            ("http://127.0.0.1:8080", true),
            ("http://localhost/", true),
            ("http://[::1]:9", true),
            ("https://api.tosspayments.com", false),
        ] {
            assert_eq!(is_loopback(&url.parse().unwrap()), expected, "{url}");
        }
    }
}
