//! The OpenAPI document, made from the handlers.

use utoipa::{
    Modify, OpenApi,
    openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme},
};

/// What the document says beside the routes.
#[derive(OpenApi)]
#[openapi(
    info(
        title = "Boxoffice",
        description = "Concert ticketing that can prove what it did. Errors are problem documents (RFC 9457). \
                       `Idempotency-Key` on every POST; `Boxoffice-Position` on every answer to a command and \
                       `Boxoffice-Min-Position` on reads, to read one's own writes.",
        license(name = "Apache-2.0", identifier = "Apache-2.0")
    ),
    // Their paths have more segments than a document of this kind can say; the router takes them as they are.
    paths(super::seals::hashes, super::seals::entries),
    modifiers(&Token)
)]
pub(super) struct Document;

struct Token;

impl Modify for Token {
    fn modify(&self, document: &mut utoipa::openapi::OpenApi) {
        let components = document.components.get_or_insert_default();
        let bearer = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).bearer_format("JWT").build();
        components.add_security_scheme("token", SecurityScheme::Http(bearer));
    }
}

/// The document, as JSON.
pub(crate) fn document() -> Result<String, serde_json::Error> {
    super::router::routes().split_for_parts().1.to_pretty_json()
}
