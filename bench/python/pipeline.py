"""What a team writes in an afternoon: Kafka to Postgres with confluent-kafka and psycopg's COPY.

Two processes, batches of 10,000, offsets committed to Kafka after Postgres. The reference that `bench ingest` is
compared with; not exactly once: a kill between the two commits doubles a batch.

    python pipeline.py BROKERS TOPIC DATABASE_URL TABLE ROWS      prints {"seconds": …, "cpu_seconds": …}
"""

import json
import multiprocessing as mp
import resource
import sys
import time

import psycopg
from confluent_kafka import Consumer

COLUMNS = {
    "sensor_readings": ["sensor_id", "sensor_type", "unit", "value", "event_time", "producer_id", "run_id", "sequence"],
    "plain_readings": ["sensor_id", "value", "event_time", "sequence"],
}


def work(brokers, topic, url, table, rows, stored, first):
    consumer = Consumer({"bootstrap.servers": brokers, "group.id": "python-" + url.rsplit("/", 1)[1],
                         "auto.offset.reset": "earliest", "enable.auto.commit": False,
                         "queued.max.messages.kbytes": 65536, "fetch.message.max.bytes": 4194304})
    consumer.subscribe([topic])
    fields = COLUMNS[table]
    origin = ["processed_by_consumer", "log_id"] if table == "sensor_readings" else []
    columns = fields + origin + ["kafka_partition", "kafka_offset"]
    with psycopg.connect(url) as database:
        while stored.value < rows:
            messages = [m for m in consumer.consume(10_000, timeout=1.0) if not m.error()]
            if not messages:
                continue
            if first.value == 0:
                first.value = time.time()
            with database.cursor() as cursor, cursor.copy(f"COPY {table} ({', '.join(columns)}) FROM STDIN") as copy:
                for message in messages:
                    reading = json.loads(message.value())
                    row = [reading[field] for field in fields] + (["python", 1] if origin else [])
                    copy.write_row(row + [message.partition(), message.offset()])
            database.commit()
            consumer.commit(asynchronous=True)
            with stored.get_lock():
                stored.value += len(messages)
    consumer.close()


if __name__ == "__main__":
    brokers, topic, url, table, rows = sys.argv[1:6]
    stored, first = mp.Value("q", 0), mp.Value("d", 0.0)
    workers = [mp.Process(target=work, args=(brokers, topic, url, table, int(rows), stored, first)) for _ in range(2)]
    for worker in workers:
        worker.start()
    while stored.value < int(rows) and any(worker.is_alive() for worker in workers):
        time.sleep(0.02)
    seconds = time.time() - first.value
    for worker in workers:
        worker.join()
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    print(json.dumps({"rows": stored.value, "seconds": seconds, "cpu_seconds": used.ru_utime + used.ru_stime}))
