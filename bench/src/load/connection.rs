//! One kept-alive HTTP/1.1 connection.

use std::net::SocketAddr;

use http_body_util::{BodyExt as _, Full};
use hyper::{
    Method, Request, StatusCode,
    body::Bytes,
    client::conn::http1::{self, SendRequest},
    header::{AUTHORIZATION, CONTENT_TYPE, HOST, HeaderName, HeaderValue},
};
use hyper_util::rt::TokioIo;
use serde::de::DeserializeOwned;
use tokio::{net::TcpStream, task::JoinHandle};

use crate::error::{Doing as _, Error};

/// A connection; closed when dropped.
pub(crate) struct Connection {
    sender: SendRequest<Full<Bytes>>,
    host: HeaderValue,
    driver: JoinHandle<()>,
}

/// A request, without what every request has.
#[derive(Clone)]
pub(crate) struct Ask {
    method: Method,
    path: String,
    body: Bytes,
    headers: Vec<(HeaderName, HeaderValue)>,
}

/// What came back.
pub(crate) struct Answer {
    pub status: StatusCode,
    pub body: Bytes,
}

impl Ask {
    /// A request with a body of JSON.
    pub fn post(path: impl Into<String>, body: &serde_json::Value) -> Self {
        let headers = vec![(CONTENT_TYPE, HeaderValue::from_static("application/json"))];
        Self { method: Method::POST, path: path.into(), body: body.to_string().into(), headers }
    }

    /// A request without a body.
    pub fn get(path: impl Into<String>) -> Self {
        Self { method: Method::GET, path: path.into(), body: Bytes::new(), headers: Vec::new() }
    }

    /// With another header.
    pub fn with(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.push((name, value));
        self
    }

    /// Of somebody who is signed in.
    pub fn by(self, token: &HeaderValue) -> Self {
        self.with(AUTHORIZATION, token.clone())
    }

    /// The same to another path.
    pub fn to(&self, path: String) -> Self {
        Self { path, ..self.clone() }
    }
}

impl Answer {
    /// The body, where the status is `status`; else an error that shows what came.
    pub fn expect<T: DeserializeOwned>(&self, status: u16, what: &str) -> Result<T, Error> {
        let wrong = || Error::Answer {
            what: what.to_owned(),
            status: self.status.as_u16(),
            body: String::from_utf8_lossy(&self.body).into_owned(),
        };
        if self.status != status {
            return Err(wrong());
        }
        serde_json::from_slice(&self.body).map_err(|_| wrong())
    }
}

impl Connection {
    /// Connects.
    pub async fn open(address: SocketAddr) -> Result<Self, Error> {
        let stream = TcpStream::connect(address).await.doing(format!("connecting to {address}"))?;
        stream.set_nodelay(true).doing("setting TCP_NODELAY")?;
        let (sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
        let driver = tokio::spawn(async move {
            // Whoever waits for an answer is told the error too.
            let _told = connection.await;
        });
        let host = HeaderValue::from_str(&address.to_string())
            .unwrap_or_else(|error| unreachable!("an address is visible ASCII: {error}"));
        Ok(Self { sender, host, driver })
    }

    /// Sends a request and reads the answer to its end.
    pub async fn send(&mut self, ask: &Ask) -> Result<Answer, Error> {
        let mut request = Request::new(Full::new(ask.body.clone()));
        *request.method_mut() = ask.method.clone();
        *request.uri_mut() =
            ask.path.parse().unwrap_or_else(|error| unreachable!("paths here are made of ids: {error}"));
        let headers = request.headers_mut();
        headers.insert(HOST, self.host.clone());
        headers.extend(ask.headers.iter().cloned());
        self.sender.ready().await?;
        let (parts, body) = self.sender.send_request(request).await?.into_parts();
        Ok(Answer { status: parts.status, body: body.collect().await?.to_bytes() })
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.driver.abort();
    }
}
