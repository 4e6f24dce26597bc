//! What a refusal means, from its status and code.
//!
//! Source: `https://docs.tosspayments.com/reference/error-codes`, the tables of confirm, cancel and lookup. A code that
//! stands in none of the lists below, or in none of the documents, is no knowledge and therefore [`Doubt`].

use crate::provider::{Doubt, ProviderError};

/// Codes by which the card company, the bank or the provider's own limits say no to this payment or this refund.
const DECLINED: &[&str] = &[
    // Confirm, 400.
    "BELOW_MINIMUM_AMOUNT",
    "EXCEED_MAX_AMOUNT",
    "EXCEED_MAX_CARD_INSTALLMENT_PLAN",
    "EXCEED_MAX_DAILY_PAYMENT_COUNT",
    "EXCEED_MAX_MONTHLY_PAYMENT_AMOUNT",
    "EXCEED_MAX_ONE_DAY_WITHDRAW_AMOUNT",
    "EXCEED_MAX_ONE_TIME_WITHDRAW_AMOUNT",
    "EXCEED_MAX_PAYMENT_AMOUNT",
    "INVALID_ACCOUNT_INFO_RE_REGISTER",
    "INVALID_CARD_EXPIRATION",
    "INVALID_CARD_INSTALLMENT_PLAN",
    "INVALID_CARD_LOST_OR_STOLEN",
    "INVALID_CARD_NUMBER",
    "INVALID_REJECT_CARD",
    "INVALID_STOPPED_CARD",
    "NOT_ALLOWED_POINT_USE",
    "NOT_AVAILABLE_PAYMENT",
    "NOT_SUPPORTED_INSTALLMENT_PLAN_CARD_OR_MERCHANT",
    "NOT_SUPPORTED_MONTHLY_INSTALLMENT_PLAN",
    "RESTRICTED_TRANSFER_ACCOUNT",
    // Confirm, 403.
    "EXCEED_MAX_AUTH_COUNT",
    "EXCEED_MAX_ONE_DAY_AMOUNT",
    "FDS_ERROR",
    "INVALID_PASSWORD",
    "NOT_AVAILABLE_BANK",
    "REJECT_ACCOUNT_PAYMENT",
    "REJECT_CARD_COMPANY",
    "REJECT_CARD_PAYMENT",
    "REJECT_TOSSPAY_INVALID_ACCOUNT",
    // Confirm, 404: the buyer authenticated too long ago (10 minutes) or for something else, and was not charged.
    "NOT_FOUND_PAYMENT_SESSION",
    // Cancel, 400 and 403.
    "EXCEED_MAX_REFUND_DUE",
    "NOT_ALLOWED_PARTIAL_REFUND",
    "NOT_CANCELABLE_AMOUNT",
    "NOT_CANCELABLE_PAYMENT",
    "NOT_CANCELABLE_PAYMENT_FOR_DORMANT_USER",
];

/// Codes that say that our call is wrong, and will be wrong again.
const REJECTED: &[&str] = &[
    "FORBIDDEN_REQUEST",
    "INVALID_AUTHORIZE_AUTH",
    "INVALID_CURRENCY",
    "INVALID_IDEMPOTENCY_KEY",
    "INVALID_ORDER_ID",
    "INVALID_PAYMENT_KEY",
    "INVALID_REQUEST",
    "INVALID_REQUIRED_PARAM",
    "INVALID_UNREGISTERED_SUBMALL",
    "NOT_FOUND_TERMINAL_ID",
    "NOT_REGISTERED_BUSINESS",
    "UNAPPROVED_ORDER_ID",
];

/// Codes about our key; they come with 400, 401 and 403.
const UNAUTHORIZED: &[&str] = &["INCORRECT_BASIC_AUTH_FORMAT", "INVALID_API_KEY", "UNAUTHORIZED_KEY"];

/// Codes that say that an earlier call was carried out.
const PROCESSED: &[&str] = &["ALREADY_CANCELED_PAYMENT", "ALREADY_PROCESSED_PAYMENT", "DUPLICATED_ORDER_ID"];

/// Codes of 400 that tell of a fault behind the provider: they say as little as a 500 does.
const FAULTS: &[&str] = &["CARD_PROCESSING_ERROR", "PROVIDER_ERROR"];

/// What an answer other than success says about the money.
///
/// `status` is the HTTP status, `code` and `message` the members of the error body. Pure.
pub fn classify(status: u16, code: &str, message: &str) -> ProviderError {
    let owned = || (code.to_owned(), message.to_owned());
    match status {
        429 => ProviderError::Busy,
        401 => {
            let (code, message) = owned();
            ProviderError::Unauthorized { code, message }
        }
        400..=499 if UNAUTHORIZED.contains(&code) => {
            let (code, message) = owned();
            ProviderError::Unauthorized { code, message }
        }
        400..=499 if DECLINED.contains(&code) => {
            let (code, message) = owned();
            ProviderError::Declined { code, message }
        }
        400..=499 if REJECTED.contains(&code) => {
            let (code, message) = owned();
            ProviderError::Rejected { code, message }
        }
        400..=499 if PROCESSED.contains(&code) => ProviderError::AlreadyProcessed,
        400..=499 if code == "NOT_FOUND_PAYMENT" => ProviderError::NotFound,
        // IDEMPOTENT_REQUEST_PROCESSING (409) is our own call still on its way, FORBIDDEN_CONSECUTIVE_REQUEST (403) one
        // that came right after another; and a code of next year may be anything.
        400..=499 if !code.is_empty() && !FAULTS.contains(&code) => {
            let (code, message) = owned();
            Doubt::Unclear { status, code, message }.into()
        }
        other => {
            let (code, message) = owned();
            Doubt::Fault { status: other, code, message }.into()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kind(error: &ProviderError) -> &'static str {
        match error {
            ProviderError::Declined { .. } => "declined",
            ProviderError::AlreadyProcessed => "already",
            ProviderError::NotFound => "not found",
            ProviderError::Busy => "busy",
            ProviderError::Unreachable(_) => "unreachable",
            ProviderError::Unauthorized { .. } => "unauthorized",
            ProviderError::Rejected { .. } => "rejected",
            ProviderError::Unknown(_) => "unknown",
        }
    }

    #[test]
    fn every_refusal_is_one_of_the_kinds() {
        // Status, code, kind, certain, retryable.
        let table = [
            (403, "REJECT_CARD_PAYMENT", "declined", true, false),
            (403, "REJECT_CARD_COMPANY", "declined", true, false),
            (400, "INVALID_STOPPED_CARD", "declined", true, false),
            (404, "NOT_FOUND_PAYMENT_SESSION", "declined", true, false),
            (403, "NOT_CANCELABLE_PAYMENT", "declined", true, false),
            (400, "ALREADY_PROCESSED_PAYMENT", "already", false, false),
            (400, "ALREADY_CANCELED_PAYMENT", "already", false, false),
            (400, "DUPLICATED_ORDER_ID", "already", false, false),
            (404, "NOT_FOUND_PAYMENT", "not found", true, false),
            (429, "", "busy", true, true),
            (401, "UNAUTHORIZED_KEY", "unauthorized", true, false),
            (401, "", "unauthorized", true, false),
            (400, "INVALID_API_KEY", "unauthorized", true, false),
            (403, "INCORRECT_BASIC_AUTH_FORMAT", "unauthorized", true, false),
            (400, "INVALID_REQUEST", "rejected", true, false),
            (403, "FORBIDDEN_REQUEST", "rejected", true, false),
            (400, "INVALID_IDEMPOTENCY_KEY", "rejected", true, false),
            (409, "IDEMPOTENT_REQUEST_PROCESSING", "unknown", false, true),
            (400, "PROVIDER_ERROR", "unknown", false, true),
            (400, "CARD_PROCESSING_ERROR", "unknown", false, true),
            (500, "FAILED_INTERNAL_SYSTEM_PROCESSING", "unknown", false, true),
            (500, "FAILED_PAYMENT_INTERNAL_SYSTEM_PROCESSING", "unknown", false, true),
            (500, "UNKNOWN_PAYMENT_ERROR", "unknown", false, true),
            (500, "REJECT_CARD_PAYMENT", "unknown", false, true),
            (503, "", "unknown", false, true),
            (502, "", "unknown", false, true),
            (404, "", "unknown", false, true),
            (400, "A_CODE_OF_NEXT_YEAR", "unknown", false, true),
            (302, "", "unknown", false, true),
        ];
        for (status, code, expected, certain, retryable) in table {
            let error = classify(status, code, "m");
            assert_eq!(kind(&error), expected, "{status} {code}");
            assert_eq!(error.is_certain(), certain, "{status} {code}");
            assert_eq!(error.is_retryable(), retryable, "{status} {code}");
        }
    }

    #[test]
    fn no_code_stands_in_two_lists() {
        let mut codes = [DECLINED, REJECTED, UNAUTHORIZED, PROCESSED].concat();
        let count = codes.len();
        codes.sort_unstable();
        codes.dedup();
        assert_eq!(codes.len(), count);
    }
}
