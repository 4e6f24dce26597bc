"""Pays at the provider's simulator through two public client libraries of Toss Payments, both as they are published.

usage: python3 pay.py PROVIDER_URL WEBHOOK_PORT

`python-tosspayments` is a thin layer over HTTP, with idempotency keys. `tosspayments-python-server-sdk` reads payments,
refusals and webhooks into types of its own, and fails where a member is missing that the real service has. Neither takes
another address than the real service's as an argument; both keep it in an attribute of the client, which is set here.

Prints one line of JSON: what was charged and what was refunded, by their answers. Exits with 3 where a library is missing.
"""

import importlib.util
import json
import queue
import sys
import threading
import types
from http.server import BaseHTTPRequestHandler, HTTPServer

SDK = "tosspayments_server_sdk"
if importlib.util.find_spec(SDK) is None or importlib.util.find_spec("tosspayments") is None:
    print("the client libraries are not installed", file=sys.stderr)
    sys.exit(3)

# Importing the SDK's package fails in each of its versions so far: it names exceptions that are in none of its modules.
# Its modules work, so they are imported without the package's own file.
package = types.ModuleType(SDK)
package.__path__ = importlib.util.find_spec(SDK).submodule_search_locations
sys.modules[SDK] = package

from tosspayments import TossPayments
from tosspayments_server_sdk.client import Client
from tosspayments_server_sdk.exceptions import APIError, PaymentNotFoundError
from tosspayments_server_sdk.models.enums import PaymentStatus

SECRET_KEY = "test_sk_of_somebody_else"
PATIENCE_SECONDS = 10


def webhooks(port: int) -> queue.Queue:
    """The bodies of the webhooks that arrive at the port."""
    received = queue.Queue()

    class Receiver(BaseHTTPRequestHandler):
        def do_POST(self):
            received.put(self.rfile.read(int(self.headers["Content-Length"])))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_):
            pass

    server = HTTPServer(("127.0.0.1", port), Receiver)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return received


def refused(call, code: str, status: int, kind=APIError):
    try:
        answer = call()
    except kind as error:
        assert (error.error_code, error.status_code) == (code, status), error
        assert error.message, error
    else:
        raise AssertionError(f"expected {code}, got {answer}")


def with_types(url: str, received: queue.Queue) -> tuple[int, int]:
    client = Client(secret_key=SECRET_KEY, max_retries=0)
    client.config.api_base = url
    payments = client.payments

    paid = payments.confirm("sdk-key-1", "sdk-order-1", 50_000)
    assert paid.is_paid() and (paid.total_amount, paid.balance_amount) == (50_000, 50_000), paid
    assert (paid.supplied_amount, paid.vat) == (45_455, 4_545), paid
    assert (paid.method, paid.currency, paid.card.amount) == ("카드", "KRW", 50_000), paid
    assert paid.approved_at.utcoffset().total_seconds() == 9 * 60 * 60, paid
    assert payments.retrieve("sdk-key-1") == paid
    assert payments.retrieve_by_order_id("sdk-order-1") == paid

    part = payments.cancel("sdk-key-1", "one of two", cancel_amount=20_000)
    assert part.status is PaymentStatus.PARTIAL_CANCELED and part.get_cancelable_amount() == 30_000, part
    refused(lambda: payments.cancel("sdk-key-1", "too much", cancel_amount=30_001), "NOT_CANCELABLE_AMOUNT", 403)
    rest = payments.cancel("sdk-key-1", "the other")
    assert rest.status is PaymentStatus.CANCELED and rest.get_canceled_amount() == 50_000, rest
    assert [(each.cancel_amount, each.cancel_reason) for each in rest.cancels] == [
        (20_000, "one of two"),
        (30_000, "the other"),
    ], rest
    assert payments.retrieve("sdk-key-1") == rest

    refused(lambda: payments.cancel("sdk-key-1", "again"), "ALREADY_CANCELED_PAYMENT", 400)
    refused(lambda: payments.confirm("sdk-key-1", "sdk-order-1", 50_000), "ALREADY_PROCESSED_PAYMENT", 400)
    refused(lambda: payments.confirm("sdk-key-1", "sdk-order-1", 40_000), "INVALID_REQUEST", 400)
    refused(lambda: payments.confirm("decline", "sdk-order-2", 500), "REJECT_CARD_PAYMENT", 403)
    declined = payments.retrieve_by_order_id("sdk-order-2")
    assert declined.status is PaymentStatus.ABORTED and declined.failure["code"] == "REJECT_CARD_PAYMENT", declined
    refused(lambda: payments.cancel("decline", "never paid"), "NOT_CANCELABLE_PAYMENT", 403)
    refused(lambda: payments.retrieve("never-seen"), "NOT_FOUND_PAYMENT", 404, PaymentNotFoundError)

    # Each change was announced; of one payment in order, and of different ones in any.
    told = [client.webhooks.verify_and_parse(received.get(timeout=PATIENCE_SECONDS)) for _ in range(4)]
    assert all(event.is_payment_event for event in told), told
    assert [event.payment for event in told if event.order_id == "sdk-order-1"] == [paid, part, rest], told
    assert [event.payment for event in told if event.order_id == "sdk-order-2"] == [declined], told
    return 50_000, 50_000


def with_idempotency_keys(url: str) -> tuple[int, int]:
    client = TossPayments(SECRET_KEY)
    client._TossPayments__base_url = f"{url}/"

    def confirm():
        return client.confirm("key-1", "order-1", 15_000, idempotency_key="one confirmation")

    paid = confirm()
    assert (paid["status"], paid["totalAmount"], paid["orderId"]) == ("DONE", 15_000, "order-1"), paid
    assert confirm() == paid
    assert client.get_payment_by_payment_key("key-1") == paid
    assert client.get_payment_by_order_id("order-1") == paid

    def cancel(key: str):
        wanted = {"cancelReason": "one of them", "cancelAmount": 4_000}
        return client.cancel("key-1", wanted, idempotency_key=key)

    once = cancel("first")
    assert (once["status"], once["balanceAmount"]) == ("PARTIAL_CANCELED", 11_000), once
    assert cancel("first") == once
    twice = cancel("second")
    assert (twice["balanceAmount"], len(twice["cancels"])) == (7_000, 2), twice
    assert cancel("first") == once, "the first answer stays"

    rest = client.cancel("key-1", {"cancelReason": "the rest"})
    assert (rest["status"], rest["balanceAmount"]) == ("CANCELED", 0), rest
    assert client.get_payment_by_payment_key("key-1") == rest
    assert confirm() == paid, "the first answer stays"

    def refused_here(call, status: int, code: str, words: str):
        try:
            answer = call()
        except Exception as error:  # Its class is private.
            assert (error.code, error.error_type, error.reason) == (status, code, words), vars(error)
        else:
            raise AssertionError(f"expected {code}, got {answer}")

    refused_here(
        lambda: client.confirm("key-1", "order-1", 15_000), 400, "ALREADY_PROCESSED_PAYMENT", "이미 처리된 결제 입니다."
    )
    refused_here(
        lambda: client.confirm("key-2", "order-1", 15_000),
        400,
        "DUPLICATED_ORDER_ID",
        "이미 승인 및 취소가 진행된 중복된 주문번호 입니다. 다른 주문번호로 진행해주세요.",
    )
    refused_here(
        lambda: client.confirm("decline-2", "order-2", 500, idempotency_key="declined"),
        403,
        "REJECT_CARD_PAYMENT",
        "한도초과 혹은 잔액부족으로 결제에 실패했습니다.",
    )
    refused_here(lambda: cancel("third"), 400, "ALREADY_CANCELED_PAYMENT", "이미 취소된 결제 입니다.")
    refused_here(
        lambda: client.get_payment_by_order_id("never-seen"), 404, "NOT_FOUND_PAYMENT", "존재하지 않는 결제 정보 입니다."
    )
    refused_here(lambda: cancel("k" * 301), 400, "INVALID_IDEMPOTENCY_KEY", "멱등키는 300자 이하여야 합니다.")
    return 15_000, 15_000


def main(url: str, port: int):
    received = webhooks(port)
    # In this order: the webhooks of the first are awaited before the second makes any.
    moved = zip(with_types(url, received), with_idempotency_keys(url))
    print(json.dumps(dict(zip(["charged", "refunded"], map(sum, moved)))))


if __name__ == "__main__":
    if len(sys.argv) != 3:
        raise SystemExit(__doc__)
    main(sys.argv[1].rstrip("/"), int(sys.argv[2]))
