"""Reads every message of the JetStream stream BOXOFFICE with a client that knows nothing of Boxoffice.

usage: python3 read_stream.py NATS_READER_URL

Prints one line of JSON: how many messages there are, the last one's sequence in the stream, and the SHA-256 of all
bodies, each followed by a line feed. Needs nats-py (see requirements.txt); exits with 3 where that is missing.
"""

import asyncio
import hashlib
import json
import sys

try:
    import nats
    from nats.js.api import AckPolicy, ConsumerConfig, DeliverPolicy
except ImportError as missing:
    print(f"nats-py is not installed: {missing}", file=sys.stderr)
    sys.exit(3)

STREAM = "BOXOFFICE"
BATCH = 500
PATIENCE_SECONDS = 10


async def read(url: str) -> dict:
    client = await nats.connect(url, allow_reconnect=False)
    try:
        stream = client.jetstream()
        state = (await stream.stream_info(STREAM)).state
        config = ConsumerConfig(deliver_policy=DeliverPolicy.ALL, ack_policy=AckPolicy.NONE)
        consumer = await stream.pull_subscribe("", stream=STREAM, config=config)
        count, last, digest = 0, 0, hashlib.sha256()
        while last < state.last_seq:
            for message in await consumer.fetch(BATCH, timeout=PATIENCE_SECONDS):
                sequence = message.metadata.sequence.stream
                if sequence != last + 1:
                    raise SystemExit(f"message {sequence} follows message {last}")
                count, last = count + 1, sequence
                digest.update(message.data + b"\n")
        return {"count": count, "lastSequence": last, "sha256": digest.hexdigest()}
    finally:
        await client.close()


if __name__ == "__main__":
    if len(sys.argv) != 2:
        raise SystemExit(__doc__)
    print(json.dumps(asyncio.run(read(sys.argv[1]))))
